// All runs, the newest first. Filters live in the address; the list is read again when the server says that something changed.
import { getRouteApi, Link } from '@tanstack/react-router'
import { Play, X } from 'lucide-react'
import { asRows, byCursor } from '@/api/pages'
import { $api } from '@/api/client'
import { useSession } from '@/app/may'
import { Page } from '@/app/Page'
import { defined } from '@/lib/defined'
import { Button, Card, CliTwin, EmptyState, Input, Select, StatusBadge, Switch } from '@/ui'
import { Trend } from '@/pages/pipelines/Trend'
import { TRIGGERS, triggerWords } from './model'
import { RunTable } from './RunTable'
import type { RunsSearch } from './routes'
import css from './runs.module.css'

const route = getRouteApi('/shell/runs/')
const PAGE = 50
const ANY = ' any'

const STANDS = ['queued', 'running', 'blocked', 'waiting', 'cancelling'] as const
const ENDED = ['succeeded', 'failed', 'error', 'timed-out', 'cancelled', 'lost', 'rejected'] as const

export function RunsPage() {
  const search = route.useSearch()
  const navigate = route.useNavigate()
  const set = (change: { [K in keyof RunsSearch]?: RunsSearch[K] | undefined }) =>
    void navigate({ search: (before) => defined({ ...before, ...change }), replace: true })
  const runs = useRuns(search)
  const filtered = Object.keys(search).length > 0
  return (
    <Page title="Runs" actions={<CliTwin command="windlass runs" />}>
      <Chips search={search} />
      <div className={css.filters}>
        <div className={css.filter}>
          <Input
            aria-label="Pipeline"
            placeholder="Pipeline"
            defaultValue={search.workflow ?? ''}
            key={`w ${search.workflow ?? ''}`}
            onBlur={(event) => set({ workflow: event.target.value.trim() || undefined })}
            onKeyDown={(event) => event.key === 'Enter' && set({ workflow: event.currentTarget.value.trim() || undefined })}
          />
        </div>
        <div className={css.filter}>
          <Select
            aria-label="Status"
            value={search.status ?? ANY}
            onChange={(status) => set({ status: status === ANY ? undefined : status })}
            options={[
              { value: ANY, label: 'Any status' },
              ...[...STANDS, ...ENDED].map((value) => ({ value, label: <StatusBadge status={value} /> })),
            ]}
          />
        </div>
        <div className={css.filter}>
          <Select
            aria-label="Begun"
            value={search.trigger ?? ANY}
            onChange={(trigger) => set({ trigger: trigger === ANY ? undefined : trigger })}
            options={[{ value: ANY, label: 'Begun anyhow' }, ...TRIGGERS.map((value) => ({ value, label: triggerWords(value) }))]}
          />
        </div>
        <div className={css.filter}>
          <Input
            aria-label="By"
            placeholder="By whom"
            defaultValue={search.by ?? ''}
            key={`b ${search.by ?? ''}`}
            onBlur={(event) => set({ by: event.target.value.trim() || undefined })}
            onKeyDown={(event) => event.key === 'Enter' && set({ by: event.currentTarget.value.trim() || undefined })}
          />
        </div>
        <Switch label="Sub-runs" checked={search.sub_runs ?? false} onChange={(on) => set({ sub_runs: on || undefined })} />
        {filtered && (
          <Button kind="ghost" icon={<X aria-hidden />} onClick={() => void navigate({ search: {}, replace: true })}>
            Show all
          </Button>
        )}
      </div>
      {search.workflow !== undefined && <PipelineTrend name={search.workflow} />}
      <Card flush>
        <RunTable
          {...asRows(runs)}
          empty={
            filtered ? (
              <EmptyState
                title="No run is like that"
                actions={<Button onClick={() => void navigate({ search: {} })}>Show all runs</Button>}
              />
            ) : (
              <EmptyState
                icon={<Play aria-hidden />}
                title="No runs yet"
                actions={
                  <Button kind="primary" asChild>
                    <Link to="/pipelines">Choose a pipeline</Link>
                  </Button>
                }
              >
                Run a pipeline: what it does, and why it waits or fails, appears here while it happens.
              </EmptyState>
            )
          }
        />
      </Card>
    </Page>
  )
}

/** What people look for most, a click away. Each is an address of its own. */
function Chips({ search }: { search: RunsSearch }) {
  const self = useSession().data?.user.name
  const chips: [string, RunsSearch][] = [
    ['All', {}],
    ...(self === undefined ? [] : [['Mine', { by: self }] as [string, RunsSearch]]),
    ['Running', { status: 'running' }],
    ['Blocked', { status: 'blocked' }],
    ['Failed', { status: 'failed' }],
  ]
  // A pipeline that was chosen stays chosen.
  const kept = defined({ workflow: search.workflow })
  return (
    <nav className={css.chips} aria-label="Filters">
      {chips.map(([label, wanted]) => (
        <Link
          key={label}
          to="/runs"
          search={{ ...kept, ...wanted }}
          replace
          className={css.chip}
          activeOptions={{ exact: true, includeSearch: true }}
        >
          {label}
        </Link>
      ))}
    </nav>
  )
}

/** How the pipeline that was chosen does. Text that is no pipeline's name has no trend. */
function PipelineTrend({ name }: { name: string }) {
  const { data, isError } = $api.useQuery('get', '/api/v1/workflows/{name}', { params: { path: { name } } })
  return isError ? null : (
    <div className={css.trend}>
      <Trend pipeline={data} />
    </div>
  )
}

function useRuns(search: RunsSearch) {
  const { status, ...rest } = search
  // One filter for people; for the server, where a run stands and how it ended are two.
  const which = status === undefined ? {} : (STANDS as readonly string[]).includes(status) ? { status } : { outcome: status }
  return $api.useInfiniteQuery('get', '/api/v1/runs', { params: { query: { ...rest, ...which, limit: PAGE } } }, byCursor)
}
