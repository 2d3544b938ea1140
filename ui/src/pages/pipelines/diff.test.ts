import { expect, it } from 'vitest'
import { around, diff } from './diff'

const shown = (before: string, after: string) => diff(before, after).map((each) => each.kind + each.text)

it('keeps what is common', () => {
  expect(shown('a\nb\nc\nd', 'a\nc\nx\nd')).toEqual([' a', '-b', ' c', '+x', ' d'])
  expect(shown('a', 'a')).toEqual([' a'])
  expect(shown('', 'a')).toEqual(['-', '+a'])
})
it('gives both texts back, whatever they are', () => {
  let seed = 3
  const random = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below
  for (let round = 0; round < 200; round += 1) {
    const make = () => Array.from({ length: random(12) + 1 }, () => 'abcd'[random(4)] ?? 'a').join('\n')
    const [before, after] = [make(), make()]
    const changes = diff(before, after)
    expect(
      changes
        .filter((each) => each.kind !== '+')
        .map((each) => each.text)
        .join('\n'),
    ).toBe(before)
    expect(
      changes
        .filter((each) => each.kind !== '-')
        .map((each) => each.text)
        .join('\n'),
    ).toBe(after)
  }
})
it('leaves out what is far from every change', () => {
  const text = Array.from({ length: 20 }, (_, index) => String(index)).join('\n')
  expect(around(diff(text, text.replace('10', 'ten')), 1).map((each) => each?.text)).toEqual([
    undefined,
    '9',
    '10',
    'ten',
    '11',
    undefined,
  ])
})
