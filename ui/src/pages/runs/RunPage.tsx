// One run: how it stands and why, its steps as graph or waterfall and as a list, the chosen step's log, and what can be asked of it.
// The chosen step and lines are the address's fragment: `#step:12-20`.
import { getRouteApi, Link, useLocation, useNavigate } from '@tanstack/react-router'
import { Ban, CircleStop, Clock, GitBranch, Hash, RotateCw, Timer, UserRound } from 'lucide-react'
import { useCallback, useMemo, useState } from 'react'
import { $api } from '@/api/client'
import { RUN_EVENTS, soon, useStream } from '@/api/live'
import { refresh } from '@/api/refresh'
import { useCrumb } from '@/app/Crumbs'
import { MayButton } from '@/app/may'
import { Page } from '@/app/Page'
import { useFavicon } from '@/app/title'
import { defined } from '@/lib/defined'
import { formatPlace, parsePlace } from '@/log/rows'
import type { Selection } from '@/log/LogView'
import { GateCard } from '@/pages/approvals/GateCard'
import { plain } from '@/log/ansi'
import { RunGraph } from '@/run/RunGraph'
import { StepList } from '@/run/StepList'
import { Waterfall } from '@/run/Waterfall'
import {
  Button,
  Card,
  CliTwin,
  Confirm,
  CopyButton,
  Duration,
  ErrorState,
  Menu,
  MenuItem,
  Segmented,
  Skeleton,
  STATUS,
  StatusBadge,
  TabLinks,
  tabLink,
  Time,
  toast,
} from '@/ui'
import { Notice } from '@/ui/Notice'
import { interesting, runStatus, short, toRunView, triggerWords, type RunAnswer } from './model'
import { EventsTab } from './EventsTab'
import { ArtifactsTab, FindingsTab, InputsTab, TestsTab } from './RunTabs'
import { StepPanel } from './StepPanel'
import css from './runs.module.css'

const route = getRouteApi('/shell/runs/$run')

const TABS = [
  ['overview', 'Overview'],
  ['tests', 'Tests'],
  ['findings', 'Findings'],
  ['artifacts', 'Artifacts'],
  ['inputs', 'Inputs and outputs'],
  ['events', 'Events'],
] as const

export function RunPage() {
  const { run: id } = route.useParams()
  const answer = $api.useQuery('get', '/api/v1/runs/{id}', { params: { path: { id } } })
  const run = answer.data
  const over = run?.status === 'finished'
  // Read again whenever the run tells something; a run that is over tells nothing any more.
  const reread = useMemo(() => soon(() => void refresh('/api/v1/runs/{id}')), [])
  const from = useFirst(id, run?.last_event_id)
  useStream(
    run === undefined || over || from === undefined
      ? undefined
      : `/api/v1/runs/${encodeURIComponent(id)}/events?after=${encodeURIComponent(from)}`,
    { events: RUN_EVENTS, onEvent: reread },
  )
  if (run === undefined) {
    return (
      <Page title={`Run ${short(id)}`} wide>
        {answer.isError ? (
          <ErrorState error={answer.error} onRetry={() => void answer.refetch()} />
        ) : (
          <div className={css.stack} aria-busy="true">
            <Skeleton width={320} height={20} />
            <Skeleton height={340} />
            <Skeleton height={520} />
          </div>
        )}
      </Page>
    )
  }
  return <Shown run={run} />
}

/** The first value that was there for an id: a stream goes on by itself and must not be opened anew for every event. */
function useFirst(id: string, value: string | undefined): string | undefined {
  const [first, setFirst] = useState<{ id: string; value: string }>()
  if (value !== undefined && first?.id !== id) setFirst({ id, value })
  return first?.id === id ? first.value : undefined
}

function Shown({ run }: { run: RunAnswer }) {
  const { tab = 'overview', view = 'graph', at } = route.useSearch()
  const navigate = route.useNavigate()
  const hash = useLocation({ select: (location) => location.hash })
  const place = parsePlace(hash)
  const status = runStatus(run)
  const steps = useMemo(() => toRunView(run), [run])
  const selected = place?.step ?? interesting(steps, run.culprit?.step)
  const selection = place?.from === undefined ? undefined : { from: place.from, to: place.to ?? place.from }
  useFavicon(STATUS[status].tone)
  useCrumb(`${run.workflow} ${short(run.id)}`)

  const goTo = useCallback(
    (step: string, lines?: Selection) =>
      void navigate({
        search: (before) => before,
        hash: formatPlace({ step, ...(lines && { from: lines.from, to: lines.to }) }),
        replace: true,
        resetScroll: false,
        hashScrollIntoView: false,
      }),
    [navigate],
  )
  const onStep = useCallback((step: string) => goTo(step), [goTo])

  return (
    <Page
      wide
      title={`${STATUS[status].word}: ${run.workflow} ${short(run.id)}`}
      heading={
        <span className={css.head}>
          <StatusBadge status={status} pill />
          <Link to="/pipelines/$name" params={{ name: run.workflow }} style={{ color: 'inherit' }}>
            {run.workflow}
          </Link>
        </span>
      }
      subtitle={
        <>
          {run.title != null && <div>{run.title}</div>}
          <div className={css.facts}>
            <span>
              <Hash aria-hidden />
              <code>{short(run.id)}</code>
              <CopyButton text={run.id} label="Copy the run's id" />
            </span>
            <span>
              <UserRound aria-hidden />
              {begunBy(run)}
            </span>
            {run.version != null && (
              <span>
                <GitBranch aria-hidden />
                version {run.version}
              </span>
            )}
            <span>
              <Clock aria-hidden />
              <Time at={run.created_at_ms} />
            </span>
            <span>
              <Timer aria-hidden />
              <Duration from={run.created_at_ms} to={run.finished_at_ms} />
            </span>
            {run.rerun_of != null && <RunLink words="repeats" id={run.rerun_of} />}
            {run.parent != null && <RunLink words="part of" id={run.parent} />}
            {run.reruns.map((each) => (
              <RunLink key={each} words="repeated by" id={each} />
            ))}
            {run.sub_runs.map((each) => (
              <RunLink key={each} words="began" id={each} />
            ))}
          </div>
        </>
      }
      actions={<Actions run={run} step={selected} />}
    >
      <div className={css.stack}>
        <TabLinks label="The run">
          {TABS.map(([value, label]) => (
            <Link
              key={value}
              to="/runs/$run"
              params={{ run: run.id }}
              search={(before: object) => defined({ ...before, tab: value, at: undefined })}
              hash={hash}
              className={tabLink}
              aria-current={tab === value ? 'page' : undefined}
              activeProps={{}}
              data-state={tab === value ? 'active' : undefined}
            >
              {label}
            </Link>
          ))}
        </TabLinks>
        {tab === 'overview' && (
          <>
            <Why run={run} />
            <Card
              title={
                <Segmented
                  label="View"
                  value={view}
                  onChange={(next) =>
                    void navigate({ search: (before) => ({ ...before, view: next }), hash, replace: true, resetScroll: false })
                  }
                  options={[
                    { value: 'graph', label: 'Graph' },
                    { value: 'waterfall', label: 'Waterfall' },
                  ]}
                />
              }
              flush
            >
              <div className={css.view}>
                {view === 'graph' ? (
                  <RunGraph run={steps} selected={selected} onSelect={onStep} />
                ) : (
                  <Waterfall run={steps} selected={selected} onSelect={onStep} />
                )}
              </div>
            </Card>
            <div className={css.split}>
              <Card flush>
                <div style={{ height: '100%' }}>
                  <StepList run={steps} selected={selected} onSelect={onStep} />
                </div>
              </Card>
              <StepPanel
                run={run}
                step={steps.steps.find((step) => step.name === selected)}
                selection={selection}
                onSelect={(lines) => selected !== undefined && goTo(selected, lines)}
              />
            </div>
          </>
        )}
        {tab === 'tests' && <TestsTab id={run.id} />}
        {tab === 'findings' && <FindingsTab id={run.id} />}
        {tab === 'artifacts' && <ArtifactsTab id={run.id} />}
        {tab === 'inputs' && <InputsTab run={run} />}
        {tab === 'events' && (
          <EventsTab
            run={run}
            at={at}
            onAt={(next) =>
              void navigate({ search: (before) => defined({ ...before, at: next }), hash, replace: true, resetScroll: false })
            }
          />
        )}
      </div>
    </Page>
  )
}

const RunLink = ({ words, id }: { words: string; id: string }) => (
  <span>
    {words}
    <Link to="/runs/$run" params={{ run: id }}>
      <code>{short(id)}</code>
    </Link>
  </span>
)

/** "by ada", "as a rerun, by ada", "on schedule". */
function begunBy({ trigger, by }: RunAnswer): string {
  const person = by == null || by.startsWith('trigger:') ? undefined : `by ${by}`
  if (person === undefined) return triggerWords(trigger)
  return trigger === 'manual' ? person : `${triggerWords(trigger)}, ${person}`
}

/** Why the run stands as it does: what it waits for, what made it fail, what is odd. */
function Why({ run }: { run: RunAnswer }) {
  const { culprit, queue, reason } = run
  return (
    <>
      {queue != null && (
        <Notice tone="wait" title={`It waits for its turn in ${queue.group}`}>
          <p>
            {queue.limit === 1 ? 'One run' : `${queue.limit} runs`} of this group may go on at once.
            {queue.behind.length > 0 && ' Before it: '}
            {queue.behind.map((id, index) => (
              <span key={id}>
                {index > 0 && ', '}
                <Link to="/runs/$run" params={{ run: id }}>
                  <code>{short(id)}</code>
                </Link>
              </span>
            ))}
          </p>
        </Notice>
      )}
      {run.gates.map((gate) => (
        <GateCard key={`${gate.step} ${gate.attempt}`} gate={gate} />
      ))}
      {culprit != null ? (
        <Notice tone="bad" title={culprit.sentence} className={css.culprit ?? ''}>
          {culprit.lines.length > 0 && (
            <pre>
              {culprit.lines.map((line, index) => {
                const number = culprit.first_line + index
                return (
                  <div key={number}>
                    <a href={`#${formatPlace({ step: culprit.step, from: number })}`} aria-label={`Line ${number}`}>
                      {number}
                    </a>
                    {plain(line)}
                  </div>
                )
              })}
            </pre>
          )}
        </Notice>
      ) : (
        reason != null && (
          <Notice tone="bad" title={reason.message}>
            {reason.code != null && <code>{reason.code}</code>}
          </Notice>
        )
      )}
      {run.warnings.map((warning) => (
        <Notice key={warning} tone="wait" title={warning} />
      ))}
    </>
  )
}

function Actions({ run, step }: { run: RunAnswer; step: string | undefined }) {
  const navigate = useNavigate()
  const [asking, setAsking] = useState(false)
  const path = { id: run.id }
  const may = (action: string) => run.actions.includes(action)
  const cancel = $api.useMutation('post', '/api/v1/runs/{id}/cancel', {
    onSuccess: async () => {
      setAsking(false)
      toast.info(run.status === 'cancelling' ? 'It is stopped at once' : 'It was asked to stop')
      await refresh('/api/v1/runs')
    },
    onError: (error) => toast.error(error, 'Cancelling'),
  })
  const rerun = $api.useMutation('post', '/api/v1/runs/{id}/rerun', {
    onSuccess: (made) => {
      toast.ok('The run is repeated')
      void navigate({ to: '/runs/$run', params: { run: made.id } })
    },
    onError: (error) => toast.error(error, 'Repeating'),
  })
  const again = (from: 'all' | 'failed' | 'step') =>
    rerun.mutate({ params: { path }, body: { from, ...(from === 'step' && step !== undefined && { step }) } })
  const stopping = run.status === 'cancelling'
  return (
    <>
      <CliTwin
        command={
          run.status === 'finished'
            ? [
                `windlass rerun ${run.id}`,
                `windlass rerun ${run.id} --failed`,
                `windlass rerun ${run.id} --from ${step ?? 'STEP'}`,
              ]
            : [`windlass runs ${run.id}`, `windlass cancel ${run.id}`]
        }
      />
      {may('cancel') && (
        <MayButton
          needs="operator"
          kind="danger"
          icon={stopping ? <CircleStop aria-hidden /> : <Ban aria-hidden />}
          onClick={() => setAsking(true)}
        >
          {stopping ? 'Stop at once' : 'Cancel'}
        </MayButton>
      )}
      {(may('rerun') || may('rerun-failed')) && (
        <Menu
          trigger={
            <Button icon={<RotateCw aria-hidden />} busy={rerun.isPending}>
              Rerun
            </Button>
          }
        >
          {may('rerun') && <MenuItem onSelect={() => again('all')}>All steps</MenuItem>}
          {may('rerun-failed') && <MenuItem onSelect={() => again('failed')}>What failed, and what comes after</MenuItem>}
          {may('rerun') && step !== undefined && <MenuItem onSelect={() => again('step')}>From {step} on</MenuItem>}
        </Menu>
      )}
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        title={stopping ? 'Stop the run at once?' : `Cancel this run of ${run.workflow}?`}
        action={stopping ? 'Stop at once' : 'Cancel the run'}
        danger
        busy={cancel.isPending}
        onConfirm={() => cancel.mutate({ params: { path }, body: {} })}
      >
        {stopping
          ? 'Steps that tidy up are stopped, too.'
          : 'Steps that are under way are asked to stop, and steps that tidy up still run. What was done stays done.'}
      </Confirm>
    </>
  )
}
