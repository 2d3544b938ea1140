import { describe, expect, it } from 'vitest'
import { alarm, monogram, releaseStatus, schemaRows, stepSnippet, typeWords } from './model'

const shell = {
  type: 'object',
  required: ['image', 'commands'],
  properties: {
    image: { type: 'string', description: 'The image.', examples: ['rust:1-slim'] },
    commands: { type: 'array', items: { type: 'string' }, examples: [['npm ci', 'npm test: all']] },
    env: { type: 'object', additionalProperties: { type: 'string', 'x-windlass-secret': true } },
    memory: { type: ['integer', 'string'] },
    policy: { type: 'string', enum: ['Always', 'Never'], default: 'Never' },
    out: { oneOf: [{ type: 'array', items: { $ref: '#/$defs/a' } }, { $ref: '#/$defs/a' }] },
    health: { type: 'object', properties: { path: { type: 'string', 'x-windlass-secret': true } } },
  },
  $defs: { a: { type: 'object', required: ['key'], properties: { key: { type: 'string' } } } },
}

describe('schemaRows', () => {
  const rows = schemaRows(shell)
  it('says each key once, with what is within it', () =>
    expect(rows.map((row) => `${row.key}: ${row.type}`)).toEqual([
      'image: text',
      'commands: list of text',
      'env: map of text',
      'memory: whole number or text',
      'policy: one of',
      'out: list of object or object',
      'health: object',
      'health.path: text',
    ]))
  it('tells what must be given, defaults, choices and secrets', () => {
    expect(rows.filter((row) => row.required).map((row) => row.key)).toEqual(['image', 'commands'])
    expect(rows.find((row) => row.key === 'policy')).toMatchObject({ default: '"Never"', options: ['Always', 'Never'] })
    expect(rows.find((row) => row.key === 'health.path')?.secret).toBe(true)
  })
  it('does not fall over what is no schema', () => {
    for (const odd of [null, undefined, 7, 'x', [], {}, { properties: { a: true } }]) expect(() => schemaRows(odd)).not.toThrow()
    expect(typeWords({ $ref: '#/nowhere' }, {})).toBe('anything')
  })
  it('ends, however a schema refers to itself', () => {
    const self = { type: 'object', properties: { child: { $ref: '#' } } }
    expect(schemaRows(self).map((row) => row.key)).toEqual(['child', 'child.child', 'child.child.child'])
    const list = { type: 'array', items: { $ref: '#' } }
    expect(typeWords(list, list)).toMatch(/^list of list of .*anything$/)
  })
})

describe('stepSnippet', () => {
  it('has what must be given, with the examples of its author', () =>
    expect(stepSnippet({ name: 'step.shell_exec', config_schema: shell })).toBe(
      `- name: shell-exec
  type: step.shell_exec
  config:
    image: rust:1-slim
    commands:
      - npm ci
      - "npm test: all"
`,
    ))
  it('ends, however a schema needs itself', () => {
    const self = { type: 'object', required: ['a'], properties: { a: { $ref: '#' } } }
    expect(stepSnippet({ name: 'step.x', config_schema: self })).toContain('…')
  })
  it('has no config where nothing must be given', () =>
    expect(stepSnippet({ name: 'step.noop', config_schema: { type: 'object' } })).toBe('- name: noop\n  type: step.noop\n'))
})

describe('words', () => {
  it.each([
    ['acme:slack', 'SL'],
    ['acme:docker-build', 'DB'],
    ['x', 'X'],
  ])('the monogram of %s is %s', (name, letters) => expect(monogram(name)).toBe(letters))
  it('are alarming where values of secrets are read, containers go on, or nobody has named what is meant', () => {
    expect(alarm('secrets-reveal')).toBeDefined()
    expect(alarm('containers', 'start containers; WHICH GO ON when it is done')).toBeDefined()
    expect(alarm('http', 'send GET requests to *.slack.com')).toBeDefined()
    expect(alarm('containers', 'start containers from ghcr.io/acme/*; without a network')).toBeDefined()
    expect(alarm('containers', 'start containers from rust:*; without a network')).toBeUndefined()
    expect(alarm('http', 'send GET requests to slack.com')).toBeUndefined()
  })
  it('of a status that is not known say so', () => {
    expect(releaseStatus({ state: 'yanked', reason: 'broken' })).toEqual({ state: 'yanked', reason: 'broken' })
    expect(releaseStatus(undefined)).toEqual({ state: 'ok' })
    expect(releaseStatus({ state: 'odd' })).toEqual({ state: 'unknown' })
    expect(releaseStatus('removed')).toEqual({ state: 'removed' })
  })
})
