// Routes of "Settings". Pages are loaded when they are gone to; search parameters are parsed here, and what does not parse is dropped.
import { createRoute, lazyRouteComponent, redirect } from '@tanstack/react-router'
import { shellRoute } from '@/app/root'
import { asText, defined } from '@/lib/defined'

const parent = createRoute({
  getParentRoute: () => shellRoute,
  path: '/settings',
  staticData: { crumb: 'Settings' },
})

const index = createRoute({
  getParentRoute: () => parent,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/settings/profile', replace: true })
  },
})

const profile = createRoute({
  getParentRoute: () => parent,
  path: '/profile',
  staticData: { crumb: 'Profile' },
  component: lazyRouteComponent(() => import('./ProfilePage'), 'ProfilePage'),
})
const users = createRoute({
  getParentRoute: () => parent,
  path: '/users',
  staticData: { crumb: 'Users' },
  component: lazyRouteComponent(() => import('./UsersPage'), 'UsersPage'),
})
const keys = createRoute({
  getParentRoute: () => parent,
  path: '/keys',
  staticData: { crumb: 'API keys' },
  component: lazyRouteComponent(() => import('./KeysPage'), 'KeysPage'),
})
const secrets = createRoute({
  getParentRoute: () => parent,
  path: '/secrets',
  staticData: { crumb: 'Secrets' },
  component: lazyRouteComponent(() => import('./SecretsPage'), 'SecretsPage'),
})
const registries = createRoute({
  getParentRoute: () => parent,
  path: '/registries',
  staticData: { crumb: 'Registries' },
  component: lazyRouteComponent(() => import('./RegistriesPage'), 'RegistriesPage'),
})
const audit = createRoute({
  getParentRoute: () => parent,
  path: '/audit',
  staticData: { crumb: 'Audit log' },
  validateSearch: (search: Record<string, unknown>): { actor?: string; action?: string; target?: string } =>
    defined({ actor: asText(search['actor']), action: asText(search['action']), target: asText(search['target']) }),
  component: lazyRouteComponent(() => import('./AuditPage'), 'AuditPage'),
})
const about = createRoute({
  getParentRoute: () => parent,
  path: '/about',
  staticData: { crumb: 'About' },
  component: lazyRouteComponent(() => import('./AboutPage'), 'AboutPage'),
})

export const settingsRoute = parent.addChildren([index, profile, users, keys, secrets, registries, audit, about])
