import { expect, it } from 'vitest'
import { Heights } from './heights'

it('agrees with adding them up, whatever is set in whatever order', () => {
  const heights = new Heights(20)
  const real = Array.from({ length: 60 }, () => 20)
  let seed = 7
  const random = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below
  for (let round = 0; round < 400; round += 1) {
    const row = random(60)
    const height = 20 * (1 + random(4))
    expect(heights.set(row, height)).toBe(real[row] !== height)
    real[row] = height
  }
  let top = 0
  for (const [row, height] of real.entries()) {
    expect(heights.top(row)).toBe(top)
    expect(heights.at(top)).toBe(row)
    expect(heights.at(top + height - 1)).toBe(row)
    top += height
  }
  expect(heights.total(60)).toBe(top)
})
