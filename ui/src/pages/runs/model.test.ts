import { describe, expect, it } from 'vitest'
import { interesting, runStatus, stepOf, stepStatus, toRunView, type RunAnswer } from './model'

const step = (name: string, status: string, more: object = {}) => ({
  name,
  status,
  allowed_failure: false,
  carried: false,
  attempts: [],
  ...more,
})
const attempt = (number: number, from: number, to?: number, outcome?: string) => ({
  attempt: number,
  started_ms: from,
  finished_ms: to ?? null,
  outcome: outcome ?? null,
  has_log: true,
})
const planned = (name: string, needs: string[] = []) => ({
  name,
  kind: 'plugin',
  step_type: 'step.shell_exec',
  needs,
  continues: false,
})

const run = {
  id: 'r1',
  workflow: 'w',
  status: 'running',
  trigger: 'manual',
  created_at_ms: 0,
  state: 'TEST',
  gates: [],
  rerun_of: 'r0',
  graph: {
    initial: 'BUILD',
    states: [
      { name: 'BUILD', steps: [planned('compile')], transitions: [{ to: 'TEST', when: 'on success' }] },
      { name: 'TEST', steps: [planned('unit'), planned('e2e', ['unit'])], transitions: [{ to: 'BUILD', when: 'on failure' }] },
      { name: 'DONE', steps: [planned('publish')], transitions: [] },
    ],
  },
  visits: [
    {
      state: 'BUILD',
      entered_ms: 0,
      left_for: 'TEST',
      steps: [step('compile', 'succeeded', { outcome: 'succeeded', attempts: [attempt(1, 1, 5, 'succeeded')] })],
    },
    {
      state: 'TEST',
      entered_ms: 6,
      left_for: 'BUILD',
      steps: [
        step('unit', 'failed', { outcome: 'failed', attempts: [attempt(1, 6, 9, 'failed')] }),
        step('e2e', 'skipped', { sentence: 'unit failed' }),
      ],
    },
    {
      state: 'BUILD',
      entered_ms: 10,
      left_for: 'TEST',
      steps: [step('compile', 'succeeded', { outcome: 'succeeded', carried: true, attempts: [attempt(2, 10, 12, 'succeeded')] })],
    },
    {
      state: 'TEST',
      entered_ms: 13,
      steps: [
        step('unit', 'succeeded', { outcome: 'succeeded', finished_ms: 20, attempts: [attempt(2, 13, 20, 'succeeded')] }),
        step('e2e', 'running', { attempts: [attempt(1, 25)] }),
      ],
    },
  ],
} as unknown as RunAnswer

describe('toRunView', () => {
  const view = toRunView(run)
  const at = (name: string) => view.steps.find((each) => each.name === name)
  it('has a step with the attempts of all stays, and as it stands in the last', () => {
    expect(at('unit')).toMatchObject({ status: 'succeeded', attempts: [{ number: 1 }, { number: 2 }] })
    expect(stepOf(run, 'unit')?.attempts).toHaveLength(2)
  })
  it('counts the ways that were taken', () => {
    expect(view.states[0]).toMatchObject({ name: 'BUILD', visits: 2, current: false, exits: [{ to: 'TEST', taken: 2 }] })
    expect(view.states[1]).toMatchObject({ current: true, exits: [{ to: 'BUILD', taken: 1 }] })
  })
  it('knows when a step could have begun', () => expect(at('e2e')).toMatchObject({ status: 'running', readyMs: 20 }))
  it('has what was not reached as queued, and as skipped once the run is over', () => {
    expect(at('publish')?.status).toBe('queued')
    const over = toRunView({ ...run, status: 'finished', outcome: 'failed' }).steps.find((each) => each.name === 'publish')
    expect(over).toMatchObject({ status: 'skipped', why: 'The run did not come to DONE.' })
  })
  it('says from where a result was taken', () => expect(at('compile')?.carriedFrom).toBe('r0'))
  it('shows first what a person looks for', () => {
    expect(interesting(view, undefined)).toBe('e2e')
    expect(interesting(view, 'unit')).toBe('unit')
  })
})

it.each([
  [{ status: 'finished', outcome: 'timed-out' }, 'timed-out'],
  [{ status: 'finished', outcome: 'rejected' }, 'rejected'],
  [{ status: 'blocked' }, 'blocked'],
  [{ status: 'waiting' }, 'waiting'],
  [{ status: 'queued' }, 'queued'],
  [{ status: 'cancelling' }, 'cancelling'],
])('%j is %s', (row, word) => expect(runStatus(row)).toBe(word))

it.each([
  ['pending', false, 'queued'],
  ['waiting', false, 'waiting'],
  ['retrying', false, 'waiting'],
  ['undecided', false, 'blocked'],
  ['running', true, 'cancelling'],
  ['rejected', false, 'rejected'],
])('a step that is %s is shown', (status, cancelling, word) => expect(stepStatus({ status }, cancelling)).toBe(word))
