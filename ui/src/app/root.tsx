// The two routes that all others hang below: the document, and within it the shell that signed-in people see.
import { createRootRoute, createRoute, Outlet } from '@tanstack/react-router'
import { NotFound, PageError } from './fallbacks'
import { Shell } from './Shell'

export const rootRoute = createRootRoute({ component: Outlet, notFoundComponent: NotFound, errorComponent: PageError })

/** Everything but the sign-in page. It has no path of its own. */
export const shellRoute = createRoute({ getParentRoute: () => rootRoute, id: 'shell', component: Shell })
