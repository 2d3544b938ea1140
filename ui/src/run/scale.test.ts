import { expect, it } from 'vitest'
import { ticks } from './scale'

it.each([
  [1_000, '0 | 0.2 s | 0.4 s | 0.6 s | 0.8 s'],
  [42_000, '0 | 10 s | 20 s | 30 s | 40 s'],
  [500_000, '0 | 2 min | 4 min | 6 min | 8 min'],
  [80_000, '0 | 15 s | 30 s | 45 s | 1 min | 1:15'],
])('marks %d ms', (span, marks) =>
  expect(
    ticks(span)
      .map((tick) => tick.label)
      .join(' | '),
  ).toBe(marks),
)

it('never makes more than a handful', () => {
  for (let span = 1; span < 1e12; span *= 1.7) expect(ticks(span).length).toBeLessThanOrEqual(7)
})
