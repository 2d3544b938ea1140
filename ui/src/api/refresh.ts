// After a change: what was read before is read again. Keys of queries are [method, path, …], so a path names all of its queries.
import { queryClient } from './client'

/** Reads again all that was read from paths that begin so. Resolves when what is on the page has come. */
export const refresh = (...prefixes: readonly string[]): Promise<void> =>
  queryClient.invalidateQueries({
    predicate: ({ queryKey: [, path] }) => typeof path === 'string' && prefixes.some((prefix) => path.startsWith(prefix)),
  })
