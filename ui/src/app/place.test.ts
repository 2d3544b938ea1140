import { expect, it } from 'vitest'
import { placeOfOurs } from './place'

it.each([
  ['/runs/01?tab=tests#a:1', '/runs/01?tab=tests#a:1'],
  ['//evil.example', '/runs'],
  ['/\\evil.example', '/runs'],
  ['https://evil.example', '/runs'],
  ['javascript:alert(1)', '/runs'],
  ['/sign-in?to=/sign-in', '/runs'],
  [undefined, '/runs'],
  [7, '/runs'],
])('after signing in, %j leads to %s', (to, place) => expect(placeOfOurs(to)).toBe(place))
