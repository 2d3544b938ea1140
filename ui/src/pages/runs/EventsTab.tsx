// The stored events of a run, and the run as it stood after any of them.
import { ChevronLeft, ChevronRight } from 'lucide-react'
import { useMemo, useState } from 'react'
import { byCursor } from '@/api/pages'
import { $api } from '@/api/client'
import { absolute, duration } from '@/lib/time'
import { RunGraph } from '@/run/RunGraph'
import { StepList } from '@/run/StepList'
import { Button, Card, CopyButton, ErrorState, IconButton, Skeleton, StatusBadge, Time } from '@/ui'
import { stepNamed, viewAsOf, type HistoryRow } from './history'
import type { RunAnswer } from './model'
import css from './runs.module.css'

const PAGE = 200 // events of one request; the server gives no more

export interface EventsTabProps {
  run: RunAnswer
  /** The number of the event that is looked at; the last one where there is none. */
  at: number | undefined
  onAt: (at: number | undefined) => void
}

export function EventsTab({ run, at, onAt }: EventsTabProps) {
  const history = $api.useInfiniteQuery(
    'get',
    '/api/v1/runs/{id}/history',
    { params: { path: { id: run.id }, query: { limit: PAGE } } },
    byCursor,
  )
  if (history.isError) return <ErrorState error={history.error} onRetry={() => void history.refetch()} />
  const events = history.data?.pages.flatMap((page) => page.items)
  if (events === undefined) {
    return (
      <Card title="Stored events">
        <div className={css.stack}>
          {Array.from({ length: 8 }, (_, index) => (
            <Skeleton key={index} />
          ))}
        </div>
      </Card>
    )
  }
  const place = at === undefined ? -1 : events.findIndex((event) => event.seq === at)
  const index = place < 0 ? events.length - 1 : place
  const go = (next: number) => onAt(next >= events.length - 1 ? undefined : events[Math.max(0, next)]?.seq)
  return (
    <div className={css.stack}>
      {events.length > 0 && <Travel run={run} events={events} index={index} onGo={go} more={history.hasNextPage} />}
      <Card
        title="Stored events"
        actions={<CopyButton text={() => JSON.stringify(events, null, 2)} label="Copy all as JSON" />}
        flush
      >
        {events.map((event, each) => (
          <details key={event.seq} className={css.event} data-later={each > index || undefined}>
            <summary>
              <span className={css.seq}>{event.seq}</span>
              <span>
                {event.kind} <span className="muted">{stepNamed(event)}</span>
              </span>
              <span className={css.eventTime}>
                <Time at={event.at_ms} />
              </span>
            </summary>
            <pre className={css.json}>{JSON.stringify(event.event, null, 2)}</pre>
          </details>
        ))}
        {history.hasNextPage && (
          <div style={{ padding: 12, textAlign: 'center' }}>
            <Button size="small" busy={history.isFetchingNextPage} onClick={() => void history.fetchNextPage()}>
              Load more
            </Button>
          </div>
        )}
      </Card>
    </div>
  )
}

interface TravelProps {
  run: RunAnswer
  events: readonly HistoryRow[]
  index: number
  onGo: (index: number) => void
  /** There are more events than are here. */
  more: boolean
}

/** A slider over the events, with the run as it stood. */
function Travel({ run, events, index, onGo, more }: TravelProps) {
  const [selected, setSelected] = useState<string>()
  const then = useMemo(() => viewAsOf(run, events.slice(0, index + 1)), [run, events, index])
  const event = events[index]
  const last = events.length - 1
  if (event === undefined) return null
  const what = [event.kind, stepNamed(event)].filter(Boolean).join(' ')
  return (
    <Card
      title={
        <span className={css.head}>
          As it stood <StatusBadge status={then.status} />
        </span>
      }
      actions={
        <span className={css.travelWords}>
          <code>{what}</code>
          <span className="muted" title={absolute(event.at_ms)}>
            {duration(Math.max(0, event.at_ms - run.created_at_ms))} after its beginning
          </span>
        </span>
      }
      flush
    >
      <div className={css.travel}>
        <IconButton size="small" label="The event before" disabled={index === 0} onClick={() => onGo(index - 1)}>
          <ChevronLeft aria-hidden />
        </IconButton>
        <input
          type="range"
          min={0}
          max={last}
          value={index}
          aria-label="Event"
          aria-valuetext={`${event.seq}: ${what}`}
          onChange={(changed) => onGo(Number(changed.target.value))}
        />
        <IconButton size="small" label="The next event" disabled={index === last} onClick={() => onGo(index + 1)}>
          <ChevronRight aria-hidden />
        </IconButton>
        <span className={css.travelAt}>
          {index + 1} of {events.length}
          {more && '+'}
        </span>
      </div>
      <div className={css.travelView}>
        <RunGraph run={then} selected={selected} onSelect={setSelected} />
        <StepList run={then} selected={selected} onSelect={setSelected} />
      </div>
    </Card>
  )
}
