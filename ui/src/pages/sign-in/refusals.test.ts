import { describe, expect, it } from 'vitest'
import oidc from '../../../../host/server/src/access/oidc.rs?raw'
import problem from '../../../../host/server/src/problem.rs?raw'
import { asCode, refusal } from './refusals'

describe('why a sign-in came to nothing', () => {
  it('has words for every kind of problem that a sign-in there can end with', () => {
    const numbers = new Map([...problem.matchAll(/Kind::(\w+) => \((\d+),/g)].map(([, kind, code]) => [kind, code]))
    const kinds = new Set([...oidc.matchAll(/Kind::(\w+)/g)].map(([, kind]) => kind))
    expect(kinds).toContain('NotAdmitted')
    kinds.delete('Invalid') // of an address that somebody made up, or of the server's own configuration: the general words do
    const unknown = refusal('WL0000').title
    for (const kind of kinds) expect(refusal(`WL${numbers.get(kind)}`).title, kind).not.toBe(unknown)
  })

  it.each([
    ['WL1521', 'WL1521'],
    ['WL15210', undefined],
    ['your password is needed at evil.example', undefined],
    [1521, undefined],
    [undefined, undefined],
  ])('takes %j for %j', (given, code) => expect(asCode(given)).toBe(code))
})
