// A run as it stood after one of its events: the answer of now without what had not happened by then. Nothing is worked out anew, because
// only the engine knows its rules; so what the answer does not keep, such as why a step waited then, is left out. Facts of one commit
// have one time and are seen together.
import type { components } from '@/api/schema'
import type { RunView } from '@/run/model'
import { toRunView, type RunAnswer } from './model'

type Api = components['schemas']
export type HistoryRow = Api['HistoryRow']

const within = (at: number, ms: number | null | undefined): ms is number => ms != null && ms <= at

/** The step that an event names, where it names one. */
export function stepNamed(row: HistoryRow): string | undefined {
  const event = row.event['event'] as Record<string, unknown> | undefined
  return typeof event?.['step'] === 'string' ? event['step'] : undefined
}

/** Steps of which nobody could tell what had become of them, and nobody had decided. */
function undecided(happened: readonly HistoryRow[]): ReadonlySet<string> {
  const open = new Set<string>()
  for (const row of happened) {
    const step = stepNamed(row)
    if (step === undefined) continue
    if (row.kind === 'step-undecided') open.add(step)
    if (row.kind === 'step-decided') open.delete(step)
  }
  return open
}

function attemptAsOf(attempt: Api['AttemptView'], at: number): Api['AttemptView'] {
  return within(at, attempt.finished_ms) ? attempt : { ...attempt, finished_ms: null, outcome: null, reason: null }
}

function stepAsOf(step: Api['StepView'], at: number, isGate: boolean, isUndecided: boolean): Api['StepView'] {
  if (within(at, step.finished_ms)) return step
  const attempts = step.attempts.filter((each) => within(at, each.started_ms)).map((each) => attemptAsOf(each, at))
  const last = attempts.at(-1)
  const status =
    last === undefined
      ? 'pending'
      : last.finished_ms != null
        ? 'retrying'
        : isUndecided
          ? 'undecided'
          : isGate
            ? 'blocked'
            : 'running'
  return {
    ...step,
    attempts,
    status,
    outcome: null,
    reason: null,
    sentence: null,
    outputs: null,
    finished_ms: null,
    due_ms: null,
    allowed_failure: false,
  }
}

/** `happened` are the events from the first one to the one that is looked at; at least one. */
export function asOf(run: RunAnswer, happened: readonly HistoryRow[]): RunAnswer {
  const at = happened.at(-1)?.at_ms ?? run.created_at_ms
  const open = undecided(happened)
  const gates = new Set(
    run.graph.states.flatMap((state) => state.steps.filter((step) => step.kind === 'gate').map((step) => step.name)),
  )
  const visits = run.visits
    .filter((visit) => within(at, visit.entered_ms))
    .map((visit) => {
      const over = within(at, visit.ended_ms)
      const steps = visit.steps.map((step) => stepAsOf(step, at, gates.has(step.name), open.has(step.name)))
      return over ? { ...visit, steps } : { ...visit, steps, ended_ms: null, outcome: null, left_for: null, because: null }
    })
  const current = visits.at(-1)
  const finished = happened.some((row) => row.kind === 'run-finished')
  const asked = happened.some((row) => row.kind === 'cancel-requested')
  const waits = current?.steps.some((step) => step.status === 'blocked' || step.status === 'undecided')
  return {
    ...run,
    status: finished ? 'finished' : current === undefined ? 'queued' : asked ? 'cancelling' : waits ? 'blocked' : 'running',
    outcome: finished ? (run.outcome ?? null) : null,
    finished_at_ms: finished ? (run.finished_at_ms ?? null) : null,
    state: current?.state ?? run.graph.initial,
    visits,
    gates: [],
    culprit: finished ? (run.culprit ?? null) : null,
    reason: finished ? (run.reason ?? null) : null,
    actions: [],
  }
}

/** The same as the views see it: what ran then has taken as long as it had by then. */
export function viewAsOf(run: RunAnswer, happened: readonly HistoryRow[]): RunView {
  const view = toRunView(asOf(run, happened))
  const at = happened.at(-1)?.at_ms
  return {
    ...view,
    steps: view.steps.map((step) => ({
      ...step,
      attempts: step.attempts.map((attempt) => ({ ...attempt, endedMs: attempt.endedMs ?? at })),
    })),
  }
}
