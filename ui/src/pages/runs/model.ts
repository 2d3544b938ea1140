// The API's words about runs as the views' words.
import type { components } from '@/api/schema'
import type { Attempt, RunView, StateView, StepView } from '@/run/model'
import { isOver, toStatus, type Status } from '@/ui/status'

type Api = components['schemas']
export type RunRow = Api['RunRow']
export type RunAnswer = Api['RunView']
export type GateRow = Api['GateRow']

/** A run's one word. */
export const runStatus = (run: Pick<RunRow, 'status' | 'outcome'>): Status =>
  toStatus(run.status === 'finished' ? run.outcome : run.status)

/** A step's one word. */
export function stepStatus(step: Pick<Api['StepView'], 'status' | 'outcome'>, cancelling: boolean): Status {
  switch (step.status) {
    case 'pending':
      return 'queued'
    case 'retrying':
      return 'waiting'
    case 'blocked':
    case 'undecided':
      return 'blocked'
    case 'running':
      return cancelling ? 'cancelling' : 'running'
    default:
      return toStatus(step.outcome ?? step.status)
  }
}

function states(run: RunAnswer): StateView[] {
  const over = run.status === 'finished'
  return run.graph.states.map((state) => {
    const visits = run.visits.filter((visit) => visit.state === state.name)
    const ways = new Map(state.transitions.map((way) => [way.to, way.when]))
    for (const visit of visits) if (visit.left_for != null && !ways.has(visit.left_for)) ways.set(visit.left_for, '')
    return {
      name: state.name,
      visits: visits.length,
      current: !over && run.state === state.name,
      exits: [...ways].map(([to, label]) => ({ to, label, taken: visits.filter((visit) => visit.left_for === to).length })),
    }
  })
}

/** The run as graph, waterfall and list see it. A step of a state that was entered again has the attempts of all its stays. */
export function toRunView(run: RunAnswer): RunView {
  const over = run.status === 'finished'
  const steps = run.graph.states.flatMap((state) => {
    const visits = run.visits.filter((visit) => visit.state === state.name)
    return state.steps.map((planned): StepView => {
      const stays = visits.flatMap((visit) => {
        const step = visit.steps.find((each) => each.name === planned.name)
        return step ? [{ step, visit }] : []
      })
      const last = stays.at(-1)
      const base = { name: planned.name, state: state.name, type: planned.step_type, needs: planned.needs }
      if (!last) {
        return {
          ...base,
          status: over ? 'skipped' : 'queued',
          attempts: [],
          why: over && visits.length === 0 ? `The run did not come to ${state.name}.` : undefined,
        }
      }
      const { step, visit } = last
      const status = stepStatus(step, run.status === 'cancelling')
      const attempts = stays.flatMap(({ step }) =>
        step.attempts.map((attempt): Attempt => ({
          number: attempt.attempt,
          status: attempt.outcome == null ? (isOver(status) ? 'lost' : status) : toStatus(attempt.outcome),
          startedMs: attempt.started_ms,
          endedMs: attempt.finished_ms ?? undefined,
          reason: attempt.reason?.message,
        })),
      )
      const needed = planned.needs.flatMap((name) => visit.steps.find((each) => each.name === name)?.finished_ms ?? [])
      const begun = step.attempts[0]?.started_ms
      return {
        ...base,
        status,
        attempts,
        readyMs: begun === undefined ? undefined : Math.min(begun, Math.max(visit.entered_ms, ...needed)),
        why: step.sentence ?? (status === 'succeeded' ? undefined : step.reason?.message),
        allowed: step.allowed_failure,
        carriedFrom: step.carried ? (run.rerun_of ?? 'another run') : undefined,
      }
    })
  })
  return {
    id: run.id,
    status: runStatus(run),
    createdMs: run.created_at_ms,
    endedMs: run.finished_at_ms ?? undefined,
    states: states(run),
    steps,
  }
}

/** The API's own words about one step: those of its last stay, with the attempts of all. */
export function stepOf(run: RunAnswer, name: string): Api['StepView'] | undefined {
  const stays = run.visits.flatMap((visit) => visit.steps.filter((step) => step.name === name))
  const last = stays.at(-1)
  return last && { ...last, attempts: stays.flatMap((step) => step.attempts) }
}

/** Which step a person wants to see first: what failed, what waits for them, what runs, else the last one that did something. */
export function interesting(run: RunView, culprit: string | undefined): string | undefined {
  const by = (...statuses: Status[]) => run.steps.find((step) => statuses.includes(step.status))?.name
  return (
    culprit ??
    by('failed', 'error', 'timed-out', 'lost', 'rejected') ??
    by('blocked') ??
    by('running', 'cancelling', 'preparing') ??
    run.steps.findLast((step) => step.attempts.length > 0)?.name ??
    run.steps[0]?.name
  )
}

const TRIGGER: Record<string, string> = {
  manual: 'by hand',
  webhook: 'by a webhook',
  schedule: 'on schedule',
  rerun: 'as a rerun',
  sequence: 'in a sequence',
  'sub-run': 'by another run',
  cli: 'on the command line',
}
export const TRIGGERS = Object.keys(TRIGGER)
export const triggerWords = (trigger: string): string => TRIGGER[trigger] ?? trigger

/** Enough of an id to know it by. */
export const short = (id: string): string => (id.length > 12 ? id.slice(-8) : id)
