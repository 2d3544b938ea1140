// How a pipeline does: its last runs, how often it succeeds, and how long it takes.
import type { ReactNode } from 'react'
import type { components } from '@/api/schema'
import { Skeleton } from '@/ui'
import { Sparkline } from './Sparkline'
import { percent, took } from './words'
import css from './pipelines.module.css'

type Row = Pick<components['schemas']['WorkflowRow'], 'recent' | 'success_rate' | 'median_ms' | 'p95_ms'>

/** `undefined` while it is loaded. */
export function Trend({ pipeline }: { pipeline: Row | undefined }) {
  const figure = (name: string, read: (row: Row) => ReactNode) => (
    <div className={css.stat}>
      <span>{name}</span>
      <strong>{pipeline === undefined ? <Skeleton width={60} height={20} /> : read(pipeline)}</strong>
    </div>
  )
  return (
    <div className={css.stats}>
      <div className={css.stat}>
        <span>Last runs</span>
        {pipeline === undefined ? <Skeleton height={24} width={90} /> : <Sparkline runs={pipeline.recent} />}
      </div>
      {figure('Succeeds', (row) => percent(row.success_rate))}
      {figure('Median', (row) => took(row.median_ms))}
      {figure('95 % within', (row) => took(row.p95_ms))}
    </div>
  )
}
