// Routes of "Environments". Pages are loaded when they are gone to; search parameters are parsed here, and what does not parse is dropped.
import { createRoute, lazyRouteComponent } from '@tanstack/react-router'
import { shellRoute } from '@/app/root'
import { asText, defined } from '@/lib/defined'

const parent = createRoute({
  getParentRoute: () => shellRoute,
  path: '/environments',
  staticData: { crumb: 'Environments' },
})

const list = createRoute({
  getParentRoute: () => parent,
  path: '/',
  validateSearch: (search: Record<string, unknown>): { provider?: string; status?: string; workflow_id?: string } =>
    defined({
      provider: asText(search['provider']),
      status: asText(search['status']),
      workflow_id: asText(search['workflow_id']),
    }),
  component: lazyRouteComponent(() => import('./EnvironmentsPage'), 'EnvironmentsPage'),
})
const fresh = createRoute({
  getParentRoute: () => parent,
  path: '/new',
  staticData: { crumb: 'New' },
  component: lazyRouteComponent(() => import('./EditEnvironmentPage'), 'NewEnvironmentPage'),
})
const one = createRoute({
  getParentRoute: () => parent,
  path: '/$id',
  component: lazyRouteComponent(() => import('./EnvironmentPage'), 'EnvironmentPage'),
})
const edit = createRoute({
  getParentRoute: () => parent,
  path: '/$id/edit',
  component: lazyRouteComponent(() => import('./EditEnvironmentPage'), 'EditEnvironmentPage'),
})

export const environmentsRoute = parent.addChildren([list, fresh, one, edit])
