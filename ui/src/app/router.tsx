// The router: every area brings its routes.
import { createRoute, createRouter, redirect } from '@tanstack/react-router'
import { approvalsRoute } from '@/pages/approvals/routes'
import { environmentsRoute } from '@/pages/environments/routes'
import { galleryRoutes } from '@/pages/gallery/routes'
import { marketplaceRoute } from '@/pages/marketplace/routes'
import { pipelinesRoute } from '@/pages/pipelines/routes'
import { runsRoute } from '@/pages/runs/routes'
import { settingsRoute } from '@/pages/settings/routes'
import { signInRoute } from '@/pages/sign-in/routes'
import { session } from '@/api/client'
import { NotFound, PageError, PagePending } from './fallbacks'
import { rootRoute, shellRoute } from './root'

const homeRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/runs', replace: true })
  },
})

const tree = rootRoute.addChildren([
  homeRoute,
  signInRoute,
  shellRoute.addChildren([
    runsRoute,
    pipelinesRoute,
    approvalsRoute,
    environmentsRoute,
    marketplaceRoute,
    settingsRoute,
    ...galleryRoutes,
  ]),
])

const PENDING_MS = 150 // a page that comes sooner is not announced: a skeleton that flashes looks slower than none

export const router = createRouter({
  routeTree: tree,
  defaultPreload: 'intent',
  defaultPreloadStaleTime: 0,
  defaultPendingMs: PENDING_MS,
  defaultPendingComponent: PagePending,
  defaultErrorComponent: PageError,
  defaultNotFoundComponent: NotFound,
  scrollRestoration: true,
  // What a route does not know of an address, or cannot read, is taken out of it. Without this, it would reach the page as it is written.
  search: { strict: true },
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}

session.expired = () => {
  const { pathname, href } = router.state.location
  if (pathname !== '/sign-in') void router.navigate({ to: '/sign-in', search: { to: href } })
}
