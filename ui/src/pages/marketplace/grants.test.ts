import { describe, expect, it } from 'vitest'
import { capabilities, toGrants, type Capability } from './grants'

const asked = {
  containers: { images: ['from-config', 'ghcr.io/acme/*'], network: true, 'memory-mib': 8192, 'cpu-millis': 4000 },
  artifacts: { read: true, write: true },
  secrets: ['cloud/*', 'vault/*'],
  'secrets-reveal': true,
  http: { hosts: ['api.acme.example'], methods: ['GET', 'POST'] },
}
const all = (): Capability[] => capabilities(asked, asked)
const change = (name: string, edit: (capability: Capability) => Capability) =>
  toGrants(all().map((each) => (each.name === name ? edit(each) : each)))

describe('grants', () => {
  it('that are all of what was asked for stay as they are', () => expect(toGrants(all())).toEqual(asked))

  it('show what is granted as on, and what was refused as off with all that it asks for', () => {
    const some = capabilities(asked, { containers: { images: ['from-config'], 'memory-mib': 512, 'cpu-millis': 9000 } })
    expect(some.map(({ name, on }) => [name, on])).toEqual([
      ['containers', true],
      ['artifacts', false],
      ['secrets', false],
      ['secrets-reveal', false],
      ['http', false],
    ])
    expect(toGrants(some)).toEqual({ containers: { images: ['from-config'], 'memory-mib': 512, 'cpu-millis': 4000 } })
    expect(toGrants(some.map((each) => ({ ...each, on: true })))).toMatchObject({ http: asked.http, secrets: asked.secrets })
  })

  it('never give more than was asked for', () => {
    const wide = capabilities({ secrets: ['cloud/*'] }, { secrets: ['cloud/*', 'other/*'], state: true })
    expect(toGrants(wide)).toEqual({ secrets: ['cloud/*'] })
  })

  it('of which nothing is left are no grants', () => {
    const none = (capability: Capability): Capability => ({
      ...capability,
      choices: capability.choices.map((each) =>
        each.kind === 'list' ? { ...each, granted: [] } : each.kind === 'flag' ? { ...each, on: false } : each,
      ),
    })
    for (const name of ['containers', 'artifacts', 'secrets', 'http']) expect(change(name, none)).not.toHaveProperty(name)
    expect(change('secrets-reveal', (each) => ({ ...each, on: false }))).not.toHaveProperty('secrets-reveal')
  })

  it('do not fall over what is none', () => {
    for (const odd of [null, undefined, 7, [], 'x']) expect(capabilities(odd, odd)).toEqual([])
  })
})
