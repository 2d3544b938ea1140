// A run as the views see it: plain data, made from the API's answer by the page. Nothing here knows where it came from.
// All times are milliseconds since 1970 (UTC).
import type { Status } from '@/ui/status'

export interface Attempt {
  /** From 1; goes on when a state is entered again. */
  number: number
  status: Status
  startedMs: number
  endedMs?: number | undefined
  /** Why it did not succeed, in one sentence. */
  reason?: string | undefined
}

export interface StepView {
  /** Unique in its run. */
  name: string
  state: string
  /** Such as `step.shell_exec`. */
  type: string
  status: Status
  needs: readonly string[]
  /** When everything that it needs was there. */
  readyMs?: number | undefined
  attempts: readonly Attempt[]
  /** Why it waits, was skipped or failed: one sentence. */
  why?: string | undefined
  /** It failed, and the run went on. */
  allowed?: boolean | undefined
  /** The run that its result was taken over from. */
  carriedFrom?: string | undefined
}

export interface StateView {
  name: string
  /** How many times the run has been in it. */
  visits: number
  current: boolean
  /** Where it may go, and how often it went there. */
  exits: readonly { to: string; taken: number; label?: string | undefined }[]
}

export interface RunView {
  id: string
  status: Status
  createdMs: number
  endedMs?: number | undefined
  /** In the order of the plan. A pipeline of steps has one. */
  states: readonly StateView[]
  /** In the order of the plan. */
  steps: readonly StepView[]
}

/** What each view of a run takes: the run, and the step that is chosen in all of them. */
export interface RunViewProps {
  run: RunView
  selected: string | undefined
  onSelect: (step: string) => void
}

export const startedMs = (step: StepView): number | undefined => step.attempts[0]?.startedMs
export const endedMs = (step: StepView): number | undefined => step.attempts.at(-1)?.endedMs

/** How many steps stand how, in the order in which people care. */
export function counts(steps: readonly StepView[]): [Status, number][] {
  const by = new Map<Status, number>()
  for (const step of steps) by.set(step.status, (by.get(step.status) ?? 0) + 1)
  return [...by].sort(([a], [b]) => CARE.indexOf(a) - CARE.indexOf(b))
}
const CARE: readonly Status[] = [
  'failed',
  'error',
  'timed-out',
  'lost',
  'rejected',
  'blocked',
  'cancelling',
  'running',
  'preparing',
  'waiting',
  'queued',
  'succeeded',
  'cancelled',
  'skipped',
]

/** The status that speaks for several steps: the one that people care for most. */
export const worst = (steps: readonly StepView[]): Status => counts(steps)[0]?.[0] ?? 'queued'

/** The steps that decided how long the run took, the last one first: from each, the one it began after that ended last. */
export function criticalPath(steps: readonly StepView[]): ReadonlySet<string> {
  const by = new Map(steps.map((step) => [step.name, step]))
  const end = (step: StepView) => endedMs(step) ?? (step.attempts.length > 0 ? Infinity : -Infinity)
  const last = (list: readonly StepView[]) =>
    list.reduce<StepView | undefined>((best, step) => (end(step) > (best ? end(best) : -Infinity) ? step : best), undefined)
  const path = new Set<string>()
  let step = last(steps)
  while (step && !path.has(step.name)) {
    path.add(step.name)
    const began = startedMs(step) ?? Infinity
    const needed = step.needs.flatMap((name) => by.get(name) ?? [])
    // A step without needs follows from the state before its own: the one that ended last before it began.
    step = last(needed.length > 0 ? needed : steps.filter((other) => other.state !== step?.state && end(other) <= began))
  }
  return path
}

/** The next step after `from` that did not succeed, going round. */
export function nextFailure(steps: readonly StepView[], from: string | undefined, failed: (step: StepView) => boolean) {
  const at = steps.findIndex((step) => step.name === from)
  return [...steps.slice(at + 1), ...steps.slice(0, at + 1)].find(failed)
}
