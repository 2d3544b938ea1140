// Routes of "Pipelines". Pages are loaded when they are gone to; search parameters are parsed here, and what does not parse is dropped.
import { createRoute, lazyRouteComponent } from '@tanstack/react-router'
import { shellRoute } from '@/app/root'

export const pipelinesRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/pipelines',
  staticData: { crumb: 'Pipelines' },
  component: lazyRouteComponent(() => import('./PipelinesPage'), 'PipelinesPage'),
})
