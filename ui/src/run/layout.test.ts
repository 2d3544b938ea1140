import { describe, expect, it } from 'vitest'
import { commonName, group, layout } from './layout'
import type { RunView, StepView } from './model'

const step = (name: string, needs: string[] = [], state = 'main'): StepView => ({
  name,
  state,
  type: 'step.shell_exec',
  status: 'queued',
  needs,
  attempts: [],
})
const run = (steps: StepView[], states = ['main']): RunView => ({
  id: 'r',
  status: 'running',
  createdMs: 0,
  steps,
  states: states.map((name, index) => ({
    name,
    visits: 1,
    current: false,
    exits: states[index + 1] === undefined ? [] : [{ to: states[index + 1] ?? '', taken: 1 }],
  })),
})

describe('layout', () => {
  it('puts a step to the right of what it needs, and nothing upon anything', () => {
    const { nodes } = layout(run([step('a'), step('b', ['a']), step('c', ['a']), step('d', ['b', 'c'])]))
    const at = (id: string) => nodes.find((node) => node.id === id) ?? { x: NaN, y: NaN }
    expect(at('b').x).toBeGreaterThan(at('a').x)
    expect(at('d').x).toBeGreaterThan(at('c').x)
    expect(at('b').x).toBe(at('c').x)
    expect(at('b').y).not.toBe(at('c').y)
  })
  it('keeps the steps of a state within its box', () => {
    const { nodes, states, edges } = layout(run([step('a', [], 'ONE'), step('b', [], 'TWO')], ['ONE', 'TWO']))
    for (const node of nodes) {
      const box = states.find((state) => state.name === node.state)
      expect(
        box && node.x >= box.x && node.x + node.width <= box.x + box.width && node.y + node.height <= box.y + box.height,
      ).toBe(true)
    }
    expect(edges.map((edge) => edge.kind)).toEqual(['taken'])
  })
  it('groups a fan-out of a thousand, and opens it when asked', () => {
    const many = Array.from({ length: 1000 }, (_, index) => step(`test-${index}`, ['build']))
    const big = run([
      step('build'),
      ...many,
      step(
        'report',
        many.map((each) => each.name),
      ),
    ])
    expect(layout(big).nodes.map((node) => node.label)).toEqual(['build', 'test (1000)', 'report'])
    expect(layout(big, new Set(['test-0'])).nodes).toHaveLength(1002)
  })
  it('lays out an empty run', () => expect(layout(run([])).nodes).toEqual([]))
})

it('leaves small ones as they are', () => expect(group([step('a'), step('b')]).map((each) => each.label)).toEqual(['a', 'b']))
it('names a group by what is common', () => {
  expect(commonName([step('unit-18'), step('unit-20')])).toBe('unit (2)')
  expect(commonName([step('a'), step('b')])).toBe('2 steps')
})
