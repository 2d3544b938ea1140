import { describe, expect, it } from 'vitest'
import { formatPlace, lineOf, parsePlace, rowCount, rowOf } from './rows'

const hidden = [
  { from: 3, to: 5 },
  { from: 8, to: 8 },
]

describe('rows', () => {
  it('leaves out what is hidden', () => {
    expect(Array.from({ length: rowCount(10, hidden) }, (_, row) => lineOf(row, hidden))).toEqual([1, 2, 6, 7, 9, 10])
  })
  it('goes back and forth', () => {
    for (let row = 0; row < rowCount(10, hidden); row += 1) expect(rowOf(lineOf(row, hidden), hidden)).toBe(row)
  })
  it('has a hidden line in the row of its heading', () => {
    expect(rowOf(4, hidden)).toBe(rowOf(2, hidden))
    expect(rowOf(8, hidden)).toBe(rowOf(7, hidden))
  })
  it('counts a group whose end is not known', () => expect(rowCount(10, [{ from: 6, to: Infinity }])).toBe(5))
})

describe('places', () => {
  it.each(['build', 'build:12', 'build:12-20', 'unit%20(node%3D18):7'])('%s stays what it is', (text) => {
    const place = parsePlace(`#${text}`)
    expect(place && parsePlace(formatPlace(place))).toEqual(place)
  })
  it('puts ends in order', () => expect(parsePlace('#a:20-12')).toEqual({ step: 'a', from: 12, to: 20 }))
  it('refuses what is none', () => {
    expect(parsePlace('')).toBeUndefined()
    expect(parsePlace('#%E0%A4%A')).toBeUndefined()
    expect(parsePlace('#a:0')).toEqual({ step: 'a' })
  })
})
