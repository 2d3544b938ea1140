import { expect, it } from 'vitest'
import { asOf, viewAsOf, type HistoryRow } from './history'
import { toRunView, type RunAnswer } from './model'

const attempt = (number: number, from: number, to: number, outcome: string) => ({
  attempt: number,
  started_ms: from,
  finished_ms: to,
  outcome,
  has_log: true,
})
const step = (name: string, outcome: string, finished_ms: number, attempts: object[]) => ({
  name,
  status: outcome,
  outcome,
  finished_ms,
  allowed_failure: false,
  carried: false,
  attempts,
})
const planned = (name: string, kind = 'plugin') => ({ name, kind, step_type: `step.${kind}`, needs: [], continues: false })

// build fails once and is tried again, a gate is approved, a step is left out, and one ends it all in another state.
const run = {
  id: 'r1',
  status: 'finished',
  outcome: 'succeeded',
  created_at_ms: 1,
  finished_at_ms: 70,
  gates: [],
  graph: {
    initial: 'A',
    states: [
      { name: 'A', steps: [planned('build'), planned('ask', 'gate'), planned('never')], transitions: [{ to: 'B', when: '' }] },
      { name: 'B', steps: [planned('ship')], transitions: [] },
    ],
  },
  visits: [
    {
      state: 'A',
      entered_ms: 1,
      ended_ms: 50,
      left_for: 'B',
      steps: [
        step('build', 'succeeded', 30, [attempt(1, 1, 10, 'failed'), attempt(2, 20, 30, 'succeeded')]),
        step('ask', 'succeeded', 50, [attempt(1, 30, 50, 'succeeded')]),
        step('never', 'skipped', 30, []),
      ],
    },
    { state: 'B', entered_ms: 50, ended_ms: 70, steps: [step('ship', 'succeeded', 70, [attempt(1, 50, 70, 'succeeded')])] },
  ],
} as unknown as RunAnswer

const EVENTS: [string, number, object][] = [
  ['run-created', 1, {}],
  ['step-started', 1, { step: 'build' }],
  ['step-finished', 10, { step: 'build' }],
  ['retry-due', 20, { step: 'build' }],
  ['step-finished', 30, { step: 'build' }],
  ['gate-opened', 30, { step: 'ask' }],
  ['gate-voted', 50, { step: 'ask' }],
  ['state-entered', 50, {}],
  ['step-undecided', 60, { step: 'ship' }],
  ['step-decided', 65, { step: 'ship' }],
  ['step-finished', 70, { step: 'ship' }],
  ['run-finished', 70, {}],
]
const history = EVENTS.map(([kind, at_ms, more], index): HistoryRow => ({ seq: index + 1, kind, at_ms, event: { event: more } }))

it.each<[number, string, string]>([
  [1, 'running', 'build running, ask queued, never queued, ship queued'],
  [3, 'running', 'build waiting, ask queued, never queued, ship queued'],
  [4, 'running', 'build running, ask queued, never queued, ship queued'],
  [6, 'blocked', 'build succeeded, ask blocked, never skipped, ship queued'],
  [8, 'running', 'build succeeded, ask succeeded, never skipped, ship running'],
  [9, 'blocked', 'build succeeded, ask succeeded, never skipped, ship blocked'],
  [10, 'running', 'build succeeded, ask succeeded, never skipped, ship running'],
  [12, 'succeeded', 'build succeeded, ask succeeded, never skipped, ship succeeded'],
])('after event %i it was %s', (events, status, steps) => {
  const view = toRunView(asOf(run, history.slice(0, events)))
  expect(view.status).toBe(status)
  expect(view.steps.map((each) => `${each.name} ${each.status}`).join(', ')).toBe(steps)
})

it('has gone nowhere that it went later', () => {
  const before = toRunView(asOf(run, history.slice(0, 6)))
  expect(before.states.map((state) => [state.visits, state.current, state.exits[0]?.taken])).toEqual([
    [1, true, 0],
    [0, false, undefined],
  ])
})

it('has taken as long as it had by then', () => {
  const took = (events: number) => viewAsOf(run, history.slice(0, events)).steps[0]?.attempts.map((each) => each.endedMs)
  expect(took(2)).toEqual([1])
  expect(took(4)).toEqual([10, 20])
  expect(took(12)).toEqual([10, 30])
})

it('is at its end what it is now', () => expect(asOf(run, history).visits).toEqual(run.visits))
