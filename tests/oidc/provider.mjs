// An OpenID Connect provider on loopback, with its own pages to sign in: node provider.mjs PORT REDIRECT_URI PEOPLE.json
//
// PEOPLE.json is read at each question: {"ada": {"groups": ["ci-admins"], "email": "ada@example.com", "email_verified": true}}.
import { readFileSync } from 'node:fs'
import { Provider } from 'oidc-provider'

const [port, redirect, people] = process.argv.slice(2)
const issuer = `http://127.0.0.1:${port}`

const provider = new Provider(issuer, {
  clients: [{ client_id: 'windlass', client_secret: 'a secret of the tests', redirect_uris: [redirect] }],
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username', 'groups'],
    email: ['email', 'email_verified'],
  },
  cookies: { keys: ['only for tests'] },
  pkce: { required: () => true },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, ...JSON.parse(readFileSync(people, 'utf8'))[id] }),
  }),
})

provider.listen(Number(port), '127.0.0.1', () => console.log(`the provider listens on ${issuer}`))
