import { describe, expect, it } from 'vitest'
import { placeAt } from './place'
import { keysAt, valuesAt, type Schema } from './schema'

/** The place of `│` in a text. */
const at = (text: string) => placeAt(text.replace('│', ''), text.indexOf('│'))
const keys = (text: string) => at(text)?.path.map((hop) => hop.key)

describe('placeAt', () => {
  it('knows keys at the top', () => {
    expect(at('na│')).toMatchObject({ path: [], kind: 'key', word: 'na' })
    expect(at('name: x\n│')).toMatchObject({ path: [], kind: 'key', beside: { name: 'x' } })
  })
  it('goes into maps', () => expect(keys('inputs:\n  version:\n    ty│')).toEqual(['inputs', 'version']))
  it('goes into items, indented or not', () => {
    expect(keys('steps:\n  - name: a\n    ty│')).toEqual(['steps', 0])
    expect(keys('steps:\n- name: a\n  ty│')).toEqual(['steps', 0])
    expect(keys('steps:\n  - name: a\n    type: x\n  - na│')).toEqual(['steps', 1])
  })
  it('goes into what an item holds', () => {
    expect(keys('steps:\n  - name: a\n    type: step.x\n    config:\n      ima│')).toEqual(['steps', 0, 'config'])
    expect(keys('steps:\n  - name: a\n  - name: b\n    retry:\n      max│')).toEqual(['steps', 1, 'retry'])
  })
  it('knows values', () =>
    expect(at('steps:\n  - type: step.do│')).toMatchObject({
      kind: 'value',
      word: 'step.do',
      path: [{ key: 'steps' }, { key: 0 }, { key: 'type' }],
    }))
  it('knows what stands beside, above and below', () => {
    const place = at(
      'steps:\n  - name: a\n    type: step.shell_exec\n    config:\n      ima│\n    timeout: 5m\n  - name: b\n    type: other',
    )
    expect(place?.path[2]).toEqual({ key: 'config', beside: { name: 'a', type: 'step.shell_exec', timeout: '5m' } })
  })
  it('says nothing in comments and in blocks of text', () => {
    expect(at('# na│')).toBeUndefined()
    expect(at('run: |\n  echo na│')).toBeUndefined()
  })
})

const schema: Schema = {
  type: 'object',
  required: ['name'],
  properties: {
    name: { type: 'string', description: 'What it is called' },
    steps: { type: 'array', items: { $ref: '#/$defs/step' } },
  },
  $defs: {
    step: {
      type: 'object',
      properties: {
        name: { type: 'string' },
        type: { enum: ['step.a', 'step.b'] },
        on_failure: { enum: ['stop', 'continue'], default: 'stop' },
        config: { type: 'object' },
      },
      allOf: [
        {
          if: { properties: { type: { const: 'step.a' } } },
          then: { properties: { config: { properties: { image: { type: 'string' } } } } },
        },
        {
          if: { properties: { type: { const: 'step.b' } } },
          then: { properties: { config: { properties: { tags: { type: 'array' } } } } },
        },
      ],
    },
  },
}

describe('completion', () => {
  const offered = (text: string) => {
    const place = at(text)
    if (!place) return []
    return (place.kind === 'key' ? keysAt(schema, place.path, place.beside) : valuesAt(schema, place.path)).map(
      (offer) => offer.label,
    )
  }
  it('offers keys', () => {
    expect(offered('│')).toEqual(['name', 'steps'])
    expect(offered('steps:\n  - │')).toEqual(['name', 'type', 'on_failure', 'config'])
  })
  it('offers values', () => {
    expect(offered('steps:\n  - type: │')).toEqual(['step.a', 'step.b'])
    expect(offered('steps:\n  - on_failure: │')).toEqual(['stop', 'continue'])
  })
  it("offers the inputs of the step's own type, and of no other", () => {
    expect(offered('steps:\n  - type: step.a\n    config:\n      │')).toEqual(['image'])
    expect(offered('steps:\n  - name: x\n    config:\n      │\n    type: step.b')).toEqual(['tags'])
  })
  it('survives a schema that goes round', () => {
    const round: Schema = { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } }
    expect(keysAt(round, [], {})).toEqual([])
  })
})
