// Routes of "Environments". Pages are loaded when they are gone to; search parameters are parsed here, and what does not parse is dropped.
import { createRoute, lazyRouteComponent } from '@tanstack/react-router'
import { shellRoute } from '@/app/root'

export const environmentsRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/environments',
  staticData: { crumb: 'Environments' },
  component: lazyRouteComponent(() => import('./EnvironmentsPage'), 'EnvironmentsPage'),
})
