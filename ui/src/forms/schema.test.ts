import { describe, expect, it } from 'vitest'
import { BrokenJson, chosen, initial, kindOf, validate, type FormSchema } from './schema'

const schema: FormSchema = {
  type: 'object',
  required: ['region', 'replicas', 'access'],
  properties: {
    region: { type: 'string', pattern: '^[a-z]+-[0-9]$', default: 'eu-1' },
    replicas: { type: 'integer', minimum: 1, maximum: 10 },
    level: { enum: [1, 2, 'high'] },
    token: { type: 'string', 'x-windlass-secret': true },
    tags: { type: 'array', items: { type: 'string' }, maxItems: 1 },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    access: { $ref: '#/$defs/access' },
    odd: { type: 'array', items: { type: 'object' } },
  },
  $defs: {
    access: {
      type: 'object',
      required: ['user'],
      properties: { user: { type: 'string', minLength: 2 }, admin: { type: 'boolean', default: false } },
    },
  },
}

it('begins with the defaults, deeply', () => expect(initial(schema)).toEqual({ region: 'eu-1', access: { admin: false } }))

it('names what is missing, in nested objects too', () => {
  expect(validate(schema, { region: '' })).toEqual({
    '/region': 'This is required.',
    '/replicas': 'This is required.',
    '/access/user': 'This is required.',
  })
})

it.each([
  [{ region: 'EU' }, '/region', 'It must match ^[a-z]+-[0-9]$.'],
  [{ replicas: 11 }, '/replicas', 'It may be at most 10.'],
  [{ replicas: 1.5 }, '/replicas', 'Write a whole number.'],
  [{ replicas: NaN }, '/replicas', 'Write a whole number.'],
  [{ level: 'low' }, '/level', 'Choose one of the list.'],
  [{ tags: ['a', 'b'] }, '/tags', 'It may have at most 1 entry.'],
  [{ access: { user: 'a' } }, '/access/user', 'It needs at least 2 characters.'],
  [{ odd: new BrokenJson('{') }, '/odd', 'This is not JSON.'],
])('%j', (wrong, pointer, message) => {
  const good = { region: 'eu-1', replicas: 2, access: { user: 'ada' } }
  expect(validate(schema, good)).toEqual({})
  expect(validate(schema, { ...good, ...wrong })).toEqual({ [pointer]: message })
})

it('keeps the type of a chosen value', () => expect(chosen({ enum: [1, true, 'x'] }, '1')).toBe(1))

describe('kinds', () => {
  it.each<[FormSchema, string]>([
    [{ type: 'string', format: 'password' }, 'secret'],
    [{ type: ['string', 'null'] }, 'text'],
    [{ oneOf: [{ const: 'a', title: 'A' }] }, 'choice'],
    [{ type: 'array', items: { type: 'number' } }, 'json'],
    [{ type: 'object' }, 'map'],
    [{}, 'json'],
  ])('%j is %s', (each, kind) => expect(kindOf(each)).toBe(kind))
  it('survives a schema that goes round', () => {
    const round: FormSchema = { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } }
    expect(initial(round)).toBeUndefined()
  })
})
