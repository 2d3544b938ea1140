// The frame of every page: its title (the document's, too), its actions, and its width.
import type { ReactNode } from 'react'
import { cx } from '@/lib/cx'
import { useDocumentTitle } from './title'
import css from './shell.module.css'

export function Page(props: {
  title: string
  /** What stands at the place of the title, where a plain text is not enough. */
  heading?: ReactNode
  subtitle?: ReactNode
  actions?: ReactNode
  children: ReactNode
  /** As wide as the window, for graphs and logs. */
  wide?: boolean
}) {
  useDocumentTitle(props.title)
  return (
    <div className={cx(css.page, props.wide && css.pageWide)}>
      <header className={css.pageHead}>
        <div>
          <h1>{props.heading ?? props.title}</h1>
          {props.subtitle !== undefined && <div className={css.subtitle}>{props.subtitle}</div>}
        </div>
        {props.actions !== undefined && <div className={css.pageActions}>{props.actions}</div>}
      </header>
      {props.children}
    </div>
  )
}
