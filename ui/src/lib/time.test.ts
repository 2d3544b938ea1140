import { describe, expect, it } from 'vitest'
import { ago, bytes, duration } from './time'

describe('duration', () => {
  it.each([
    [-5, '0.0 s'],
    [449, '0.4 s'],
    [9_999, '9.9 s'],
    [59_999, '59 s'],
    [185_000, '3 min 05 s'],
    [8_040_000, '2 h 14 min'],
    [266_400_000, '3 d 2 h'],
  ])('%d ms is %s', (ms, words) => expect(duration(ms)).toBe(words))
})

describe('ago', () => {
  const now = Date.UTC(2026, 0, 20)
  it.each([
    [0, 'just now'],
    [12_000, '12 s ago'],
    [-300_000, 'in 5 min'],
    [3 * 86_400_000, '3 d ago'],
  ])('%d ms back is %s', (back, words) => expect(ago(now - back, now)).toBe(words))
  it('is a date after two weeks', () => expect(ago(Date.UTC(2025, 11, 1, 12), now)).toBe('1 Dec 2025'))
})

describe('bytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [2_440, '2.4 kB'],
    [999_900, '1.0 MB'],
    [1_000_000_000, '1.0 GB'],
  ])('%d is %s', (count, words) => expect(bytes(count)).toBe(words))
})
