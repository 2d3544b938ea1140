// Cards, and what stands in them while there is nothing, nothing yet, or an error.
import { OctagonAlert, RotateCw } from 'lucide-react'
import type { CSSProperties, ReactNode } from 'react'
import { toProblem } from '@/api/problem'
import { cx } from '@/lib/cx'
import { Button } from './Button'
import { CopyButton } from './CopyButton'
import css from './ui.module.css'

export function Card(props: {
  title?: ReactNode
  actions?: ReactNode
  children: ReactNode
  flush?: boolean
  className?: string
}) {
  return (
    <section className={cx(css.card, props.className)}>
      {props.title !== undefined && (
        <div className={css.cardHead}>
          <h2>{props.title}</h2>
          {props.actions}
        </div>
      )}
      <div className={props.flush ? css.cardFlush : css.cardBody}>{props.children}</div>
    </section>
  )
}

/** Nothing is here. Says why, and what to do about it. */
export function EmptyState(props: { icon?: ReactNode; title: string; children?: ReactNode; actions?: ReactNode }) {
  return (
    <div className={css.empty}>
      {props.icon !== undefined && <div className={css.emptyIcon}>{props.icon}</div>}
      <h2>{props.title}</h2>
      {props.children !== undefined && <p>{props.children}</p>}
      {props.actions !== undefined && <div className={css.emptyActions}>{props.actions}</div>}
    </div>
  )
}

/** Whatever went wrong, as the server tells it: what, why, what to do next, and what to quote when asking for help. */
export function ErrorState({
  error,
  onRetry,
  className,
}: {
  error: unknown
  onRetry?: (() => void) | undefined
  className?: string
}) {
  const problem = toProblem(error)
  return (
    <div className={cx(css.problem, className)} role="alert">
      <OctagonAlert aria-hidden />
      <div className={css.problemBody}>
        <strong>{problem.title}</strong>
        {problem.detail !== undefined && <p>{problem.detail}</p>}
        {problem.errors !== undefined && (
          <ul>
            {problem.errors.map((entry) => (
              <li key={`${entry.field} ${entry.message}`}>
                {entry.field !== '' && <code>{entry.field}</code>} {entry.message}
              </li>
            ))}
          </ul>
        )}
        {problem.help !== undefined && <p>{problem.help}</p>}
        <div className={css.problemFoot}>
          {onRetry !== undefined && (
            <Button size="small" icon={<RotateCw aria-hidden />} onClick={onRetry}>
              Try again
            </Button>
          )}
          {problem.code !== undefined && <code>{problem.code}</code>}
          {problem.status !== 0 && <span>HTTP {problem.status}</span>}
          {problem.requestId !== undefined && (
            <span>
              request <code>{problem.requestId}</code> <CopyButton text={problem.requestId} label="Copy the request's id" />
            </span>
          )}
        </div>
      </div>
    </div>
  )
}

/** A grey block of the size that the real thing will have. */
export function Skeleton({
  width = '100%',
  height = 14,
  style,
}: {
  width?: number | string
  height?: number | string
  style?: CSSProperties
}) {
  return <span className={css.skeleton} style={{ width, height, ...style }} aria-hidden />
}

/** For tables that load: so many rows of the real height. */
export function SkeletonRows({ rows = 6, columns }: { rows?: number; columns: number }) {
  return (
    <>
      {Array.from({ length: rows }, (_, row) => (
        <tr key={row} aria-hidden>
          {Array.from({ length: columns }, (_, column) => (
            <td key={column}>
              <Skeleton width={`${[62, 84, 48, 70, 56][(row + column) % 5] ?? 60}%`} />
            </td>
          ))}
        </tr>
      ))}
    </>
  )
}

/** Names and values. */
export function Facts({ children }: { children: ReactNode }) {
  return <dl className={css.facts}>{children}</dl>
}

export function Fact({ name, children }: { name: ReactNode; children: ReactNode }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  )
}

export const Kbd = ({ children }: { children: ReactNode }) => <kbd className={css.kbd}>{children}</kbd>
