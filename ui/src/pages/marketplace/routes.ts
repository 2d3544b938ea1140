// Routes of "Marketplace". Pages are loaded when they are gone to; search parameters are parsed here, and what does not parse is dropped.
import { createRoute, lazyRouteComponent } from '@tanstack/react-router'
import { shellRoute } from '@/app/root'

export const marketplaceRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/marketplace',
  staticData: { crumb: 'Marketplace' },
  component: lazyRouteComponent(() => import('./MarketplacePage'), 'MarketplacePage'),
})
