// Something that a person should know while they look at a page: no error of the page itself, and nothing that goes away by itself.
import { CircleCheck, Info, OctagonAlert, TriangleAlert } from 'lucide-react'
import type { ReactNode } from 'react'
import { cx } from '@/lib/cx'
import css from './notice.module.css'

const ICON = { ok: CircleCheck, run: Info, wait: TriangleAlert, bad: OctagonAlert }

export function Notice(props: {
  tone: keyof typeof ICON
  title: ReactNode
  children?: ReactNode
  actions?: ReactNode
  className?: string
}) {
  const Icon = ICON[props.tone]
  return (
    <div
      className={cx(css.notice, css[props.tone], props.className)}
      role={props.tone === 'bad' || props.tone === 'wait' ? 'alert' : 'note'}
    >
      <Icon aria-hidden />
      <div className={css.body}>
        <strong>{props.title}</strong>
        {props.children}
      </div>
      {props.actions !== undefined && <div className={css.actions}>{props.actions}</div>}
    </div>
  )
}
