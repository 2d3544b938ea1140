// Routes of "Runs". Pages are loaded when they are gone to; search parameters are parsed here, and what does not parse is dropped.
import { createRoute, lazyRouteComponent } from '@tanstack/react-router'
import { shellRoute } from '@/app/root'

export const runsRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/runs',
  staticData: { crumb: 'Runs' },
  component: lazyRouteComponent(() => import('./RunsPage'), 'RunsPage'),
})
