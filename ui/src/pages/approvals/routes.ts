// Routes of "Approvals". Pages are loaded when they are gone to; search parameters are parsed here, and what does not parse is dropped.
import { createRoute, lazyRouteComponent } from '@tanstack/react-router'
import { shellRoute } from '@/app/root'

export const approvalsRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/approvals',
  staticData: { crumb: 'Approvals' },
  component: lazyRouteComponent(() => import('./ApprovalsPage'), 'ApprovalsPage'),
})
