// The client of the HTTP API. Types come from the server's OpenAPI; there is no fetch layer of our own.
//
//   $api.useQuery('get', '/api/v1/…', { params: { path: { … } } })       in components
//   $api.queryOptions(…)                                                  in loaders
//   api.POST('/api/v1/…', { body })                                       elsewhere; `ok()` turns its error into a throw
import createFetchClient, { type Middleware } from 'openapi-fetch'
import createQueryClient from 'openapi-react-query'
import { QueryClient } from '@tanstack/react-query'
import type { paths } from './schema'
import { ProblemError, toProblem } from './problem'

const CSRF_COOKIE = 'windlass_csrf'
const CSRF_HEADER = 'x-csrf-token'
const CHANGES = new Set(['POST', 'PUT', 'PATCH', 'DELETE'])

const cookie = (name: string): string | undefined =>
  document.cookie
    .split('; ')
    .find((pair) => pair.startsWith(`${name}=`))
    ?.slice(name.length + 1)

/** Called when the server says that nobody is signed in. Set by the application, which knows where the sign-in page is. */
export const session = { expired: () => {} }

const conventions: Middleware = {
  onRequest({ request }) {
    if (!CHANGES.has(request.method)) return
    const token = cookie(CSRF_COOKIE)
    if (token !== undefined) request.headers.set(CSRF_HEADER, decodeURIComponent(token))
    // A request that was sent twice, by a browser or by a person, changes things once.
    if (request.method === 'POST' && !request.headers.has('idempotency-key')) {
      request.headers.set('idempotency-key', crypto.randomUUID())
    }
    return request
  },
  onResponse({ response }) {
    if (response.status === 401) session.expired()
  },
}

export const api = createFetchClient<paths>({ baseUrl: location.origin, headers: { accept: 'application/json' } })
api.use(conventions)

export const $api = createQueryClient(api)

/** The data of an answer; throws its problem. */
export async function ok<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer
  if (!response.ok) throw new ProblemError(toProblem(error ?? { status: response.status }))
  return data as T
}

const RETRIES = 2 // a server that starts takes under a second
const FRESH_MS = 5_000 // what was read is not read again within this time, unless something says that it changed

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: FRESH_MS,
      // What the server refused, it refuses again; only silence is worth another try.
      retry: (count, error) => count < RETRIES && toProblem(error).status === 0,
      refetchOnWindowFocus: false,
    },
    mutations: { retry: false },
  },
})
