import { expect, it } from 'vitest'
import { quote } from './shell'

it.each([
  ['ada@example.com', 'ada@example.com'],
  ['Ada Lovelace', "'Ada Lovelace'"],
  ["it's", `'it'\\''s'`],
  ['$(rm)', "'$(rm)'"],
  ['', "''"],
])('%j is %s', (text, word) => expect(quote(text)).toBe(word))
