// The log of one attempt: what is looked at first, the rest as it is scrolled to, and what is printed as it is printed.
import { useEffect, useState } from 'react'
import { $api, api, ok } from '@/api/client'
import { useStream } from '@/api/live'
import { LogView, type Selection } from '@/log/LogView'
import { createLogStore, type LogLine, type LogStore, type Stream } from '@/log/store'
import type { components } from '@/api/schema'
import { ErrorState, Skeleton } from '@/ui'

type Row = components['schemas']['LogLineRow']

const FIRST = 500 // lines that come with the first answer

const toLine = (row: Row): LogLine => ({ line: row.n, text: row.text, stream: row.stream as Stream, atMs: row.at_ms })

export interface StepLogProps {
  run: string
  step: string
  attempt: number
  startedMs?: number | undefined
  selection: Selection | undefined
  onSelect: (selection: Selection | undefined) => void
  failed: boolean
  /** Nothing more will be printed. */
  over: boolean
  emptyText?: string | undefined
}

/** Give it a key of run, step and attempt: a log is one log for as long as it is shown. */
export function StepLog(props: StepLogProps) {
  const { run, step, attempt } = props
  const path = { id: run, step, attempt }
  // A log is opened at the lines that the address names, else at its end while it grows, and at its beginning when it is over.
  const [from] = useState(() => (props.selection ? Math.max(1, props.selection.from - FIRST / 2) : props.over ? 1 : -FIRST))
  const first = $api.useQuery(
    'get',
    '/api/v1/runs/{id}/logs/{step}/{attempt}',
    { params: { path, query: { from, limit: FIRST } } },
    { staleTime: 0, gcTime: 0 },
  )
  if (first.isError) {
    return (
      <div style={{ padding: 16 }}>
        <ErrorState error={first.error} onRetry={() => void first.refetch()} />
      </div>
    )
  }
  if (first.data === undefined) return <Skeleton height="100%" style={{ borderRadius: 0 }} />
  return <Opened {...props} first={first.data} />
}

function Opened(props: StepLogProps & { first: components['schemas']['LogPage'] }) {
  const { run, step, attempt, first } = props
  const address = `/api/v1/runs/${encodeURIComponent(run)}/logs/${encodeURIComponent(step)}/${attempt}`
  const make = (): LogStore => {
    const made = createLogStore({
      total: first.total_lines,
      complete: first.complete,
      getRange: async (from, to, signal) => {
        const page = await ok(
          api.GET('/api/v1/runs/{id}/logs/{step}/{attempt}', {
            params: { path: { id: run, step, attempt }, query: { from, limit: to - from + 1 } },
            signal,
          }),
        )
        return page.lines.map(toLine)
      },
    })
    made.push(first.lines.map(toLine))
    return made
  }
  const [store, setStore] = useState(make)
  const [live, setLive] = useState(!first.complete)
  useEffect(() => () => store.close(), [store])
  useStream(live ? `${address}/stream?from=${first.total_lines + 1}` : undefined, {
    events: ['lines', 'restarted', 'end'],
    onEvent: (name, data) => {
      switch (name) {
        case 'lines':
          store.push((JSON.parse(data) as Row[]).map(toLine))
          break
        case 'restarted': {
          // The attempt is carried out again after a crash, and its log is written anew.
          const anew = make()
          anew.clear()
          setStore(anew)
          break
        }
        case 'end':
          store.grow(store.snapshot().total, true)
          setLive(false)
          break
      }
    },
  })
  return (
    <LogView
      store={store}
      step={step}
      selection={props.selection}
      onSelect={props.onSelect}
      startedMs={props.startedMs}
      rawHref={`${address}/raw`}
      command={`windlass logs ${run} ${step} --attempt ${attempt}`}
      failed={props.failed}
      {...(props.emptyText !== undefined && { emptyText: props.emptyText })}
    />
  )
}
