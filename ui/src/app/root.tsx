// The two routes that all others hang below: the document, and within it the shell that signed-in people see.
import { createRootRoute, createRoute, Outlet, redirect } from '@tanstack/react-router'
import { $api, queryClient } from '@/api/client'
import { toProblem } from '@/api/problem'
import { NotFound, PageError } from './fallbacks'
import { Shell } from './Shell'

export const rootRoute = createRootRoute({ component: Outlet, notFoundComponent: NotFound, errorComponent: PageError })

/** Everything but the sign-in page. It has no path of its own. */
export const shellRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: 'shell',
  component: Shell,
  // Before anything is drawn: a page that is taken away again would be worse than one that comes a moment later.
  beforeLoad: async ({ location }) => {
    try {
      await queryClient.query({ ...$api.queryOptions('get', '/api/v1/session', {}), staleTime: 'static' })
    } catch (error) {
      // Anything else is said by the page itself.
      if (toProblem(error).status === 401) throw redirect({ to: '/sign-in', search: { to: location.href } })
    }
  },
})
