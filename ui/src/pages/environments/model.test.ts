import { describe, expect, it } from 'vitest'
import { before, configErrors, configLines, latency, splitSchema, toInput, type Deployment, sharedStart } from './model'

describe('latency', () => {
  it.each([
    [812_000, '0.8 ms'],
    [12_345_678, '12 ms'],
    [2_100_000_000, '2.1 s'],
  ])('%d ns is %s', (ns, words) => expect(latency(ns)).toBe(words))
})

describe('splitSchema', () => {
  const { open, secrets } = splitSchema({
    type: 'object',
    required: ['app', 'token'],
    properties: {
      app: { type: 'string' },
      token: { type: 'string', format: 'password', description: 'A token.' },
      login: { type: 'string', format: 'password' },
    },
  })
  it('shows in the open only what may be read', () => {
    expect(Object.keys(open.properties ?? {})).toEqual(['app'])
    expect(open.required).toEqual(['app'])
  })
  it('keeps the secrets apart, with what is said of them', () =>
    expect(secrets).toEqual([
      { name: 'token', title: 'token', description: 'A token.', required: true },
      { name: 'login', title: 'login', required: false },
    ]))
  it('does not fall over what is no schema', () => {
    for (const odd of [null, undefined, 7, [], 'x', {}]) expect(splitSchema(odd).secrets).toEqual([])
  })
})

describe('toInput', () => {
  it('sends of the secrets only what changes, and removes by nothing', () =>
    expect(
      toInput(
        { port: 8080, login: 'secret:cicd/old' },
        {
          kept: { kind: 'keep' },
          TOKEN: { kind: 'set', value: 'x' },
          gone: { kind: 'remove' },
          login: { kind: 'set', value: 'pw' },
          other: { kind: 'refer', reference: 'secret:cicd/docker' },
          untyped: { kind: 'set', value: '' },
        },
      ),
    ).toEqual({
      config: { port: 8080, other: 'secret:cicd/docker' },
      secrets: { TOKEN: 'x', gone: '', login: 'pw' },
    }))
})

describe('what is shown', () => {
  it('has errors at the fields of the configuration', () =>
    expect(
      configErrors([
        { field: '/config/port', message: 'too high' },
        { field: '/name', message: 'taken' },
      ]),
    ).toEqual({ '/port': 'too high' }))
  it('has a line for each value', () =>
    expect(configLines({ port: 8080, health: { path: '/up' }, command: ['serve', 'now'], env: {} })).toEqual([
      ['port', '8080'],
      ['health.path', '/up'],
      ['command', 'serve now'],
    ]))
  it('goes back to the last good deployment before the current one', () => {
    const all = [
      { id: 5, status: 'succeeded' },
      { id: 4, status: 'failed' },
      { id: 3, status: 'succeeded' },
    ] as Deployment[]
    expect(before(all, all[0])?.id).toBe(3)
    expect(before(all.slice(0, 1), all[0])).toBeUndefined()
  })
})

it.each([
  ['shop:1.8.1', 'shop:1.8.2', 'shop:'],
  ['ghcr.io/acme/shop:1', 'ghcr.io/acme/stop:1', 'ghcr.io/acme/'],
  ['shop@sha256:ab', 'shop@sha256:ac', 'shop@sha256:'],
  ['a', 'b', ''],
  ['shop:1', 'shop:1', 'shop:'],
])('%s and %s begin with %j', (a, b, shared) => expect(a.slice(0, sharedStart(a, b))).toBe(shared))
