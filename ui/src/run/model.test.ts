import { describe, expect, it } from 'vitest'
import { counts, criticalPath, nextFailure, worst, type StepView } from './model'

const step = (name: string, needs: string[], start?: number, end?: number, more: Partial<StepView> = {}): StepView => ({
  name,
  state: 'main',
  type: 'step.shell_exec',
  status: end === undefined ? 'running' : 'succeeded',
  needs,
  attempts: start === undefined ? [] : [{ number: 1, status: 'succeeded', startedMs: start, endedMs: end }],
  ...more,
})

describe('criticalPath', () => {
  it('goes back over the need that ended last', () => {
    const steps = [step('a', [], 0, 10), step('b', [], 0, 30), step('c', ['a', 'b'], 30, 40), step('d', ['a'], 10, 20)]
    expect([...criticalPath(steps)]).toEqual(['c', 'b'])
  })
  it('takes what runs still for the last', () => {
    expect([...criticalPath([step('a', [], 0, 10), step('b', ['a'], 10)])]).toEqual(['b', 'a'])
  })
  it('crosses states', () => {
    const steps = [step('a', [], 0, 10, { state: 'ONE' }), step('b', [], 11, 20, { state: 'TWO' })]
    expect([...criticalPath(steps)]).toEqual(['b', 'a'])
  })
  it('is empty before anything began, and ends where needs go round', () => {
    expect(criticalPath([step('a', [])]).size).toBe(0)
    expect(criticalPath([step('a', ['b'], 0, 5), step('b', ['a'], 0, 6)]).size).toBe(2)
  })
})

it('counts what people care for first', () => {
  const steps = [step('a', [], 0, 1), step('b', [], 0, 1, { status: 'failed' }), step('c', [], 0, 1)]
  expect(counts(steps)).toEqual([
    ['failed', 1],
    ['succeeded', 2],
  ])
  expect(worst(steps)).toBe('failed')
})

it('finds the next failure, going round', () => {
  const steps = [step('a', [], 0, 1, { status: 'failed' }), step('b', [], 0, 1), step('c', [], 0, 1, { status: 'failed' })]
  const failed = (it: StepView) => it.status === 'failed'
  expect(nextFailure(steps, 'a', failed)?.name).toBe('c')
  expect(nextFailure(steps, 'c', failed)?.name).toBe('a')
  expect(nextFailure(steps, undefined, failed)?.name).toBe('a')
})
