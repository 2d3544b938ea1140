// Where one is. A route says its name in `staticData.crumb`; what follows from data (a run's number), its page says with `useCrumb`.
import { Link, useMatches } from '@tanstack/react-router'
import { useEffect, useSyncExternalStore } from 'react'
import css from './shell.module.css'

declare module '@tanstack/react-router' {
  interface StaticDataRouteOption {
    /** The route's name in the breadcrumb. */
    crumb?: string
  }
}

let last: string | undefined
const listeners = new Set<() => void>()
function subscribe(listener: () => void) {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}
function say(crumb: string | undefined) {
  last = crumb
  for (const listener of listeners) listener()
}

/** The last crumb, such as "build-and-test #41". */
export function useCrumb(crumb: string | undefined) {
  useEffect(() => {
    say(crumb)
    return () => say(undefined)
  }, [crumb])
}

export function Crumbs() {
  const own = useSyncExternalStore(subscribe, () => last)
  const matches = useMatches()
  const crumbs = matches.flatMap((match) =>
    match.staticData.crumb === undefined ? [] : [{ name: match.staticData.crumb, to: match.pathname }],
  )
  return (
    <nav className={css.crumbs} aria-label="Breadcrumb">
      <ol>
        {crumbs.map(({ name, to }, index) => {
          const current = index === crumbs.length - 1 && own === undefined
          return (
            <li key={to}>
              {current ? (
                <span aria-current="page" className="truncate">
                  {name}
                </span>
              ) : (
                <Link to={to}>{name}</Link>
              )}
            </li>
          )
        })}
        {own !== undefined && (
          <li>
            <span aria-current="page" className="truncate">
              {own}
            </span>
          </li>
        )}
      </ol>
    </nav>
  )
}
