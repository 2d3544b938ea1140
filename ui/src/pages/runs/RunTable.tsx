// Runs as rows, for the list of all and for a pipeline's.
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { Badge, Duration, StatusBadge, Table, Time } from '@/ui'
import { runStatus, short, triggerWords, type RunRow } from './model'
import css from './runs.module.css'

export function RunTable(props: {
  rows: readonly RunRow[] | undefined
  error?: unknown
  onRetry?: () => void
  empty: ReactNode
  more?: { onMore: () => void; loading: boolean } | undefined
  /** A pipeline's own page does not repeat its name. */
  plain?: boolean
}) {
  return (
    <Table
      label="Runs"
      rows={props.rows}
      rowKey={(run) => run.id}
      error={props.error}
      {...(props.onRetry && { onRetry: props.onRetry })}
      empty={props.empty}
      more={props.more}
      columns={[
        {
          key: 'status',
          name: 'Status',
          width: 130,
          cell: (run) => <StatusBadge status={runStatus(run)} />,
        },
        {
          key: 'run',
          name: 'Run',
          cell: (run) => (
            <div className={css.what}>
              <Link to="/runs/$run" params={{ run: run.id }} className={css.name}>
                {props.plain ? (run.title ?? short(run.id)) : run.workflow}
              </Link>
              <span className={css.detail}>
                {!props.plain && run.title != null && <span className="truncate">{run.title}</span>}
                {!(props.plain && run.title == null) && <code>{short(run.id)}</code>}
              </span>
            </div>
          ),
        },
        {
          key: 'version',
          name: 'Version',
          stacked: 'Version',
          width: 80,
          cell: (run) => (run.version == null ? <span className="muted">–</span> : <Badge outline>v{run.version}</Badge>),
        },
        {
          key: 'by',
          name: 'Begun',
          stacked: 'Begun',
          cell: (run) => (
            <span className={css.by}>
              {triggerWords(run.trigger)}
              {run.by != null && !run.by.startsWith('trigger:') && <span className="muted">{run.by}</span>}
            </span>
          ),
        },
        { key: 'at', name: 'When', stacked: 'When', width: 110, cell: (run) => <Time at={run.created_at_ms} /> },
        {
          key: 'took',
          name: 'Took',
          stacked: 'Took',
          width: 110,
          end: true,
          cell: (run) => <Duration from={run.created_at_ms} to={run.finished_at_ms} />,
        },
      ]}
    />
  )
}
