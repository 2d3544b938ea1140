import { describe, expect, it } from 'vitest'
import { asOneOf, asText, defined } from './defined'

describe('search parameters', () => {
  it('are text, whatever the address bar was read as', () => {
    expect([asText('slack'), asText(7), asText(true), asText(''), asText({}), asText(undefined)]).toEqual([
      'slack',
      '7',
      'true',
      undefined,
      undefined,
      undefined,
    ])
    expect(asText('x'.repeat(300))).toHaveLength(200)
  })
  it('are one of the words that there are, or dropped', () => {
    expect(asOneOf(['new', 'name'], 'name')).toBe('name')
    expect(asOneOf(['new', 'name'], 'nmae')).toBeUndefined()
  })
  it('are left out where they are not given', () => expect(Object.keys(defined({ a: 1, b: undefined }))).toEqual(['a']))
})
