// Routes of "Marketplace". Pages are loaded when they are gone to; search parameters are parsed here, and what does not parse is dropped.
import { createRoute, lazyRouteComponent } from '@tanstack/react-router'
import { shellRoute } from '@/app/root'
import { asOneOf, asText, defined } from '@/lib/defined'

export const SORTS = ['relevance', 'downloads', 'new', 'name'] as const
export const PLUGIN_TABS = ['readme', 'steps', 'provider', 'permissions', 'versions', 'dependencies', 'security'] as const

export interface MarketSearch {
  q?: string
  kind?: string
  capability?: string
  verified?: boolean
  licence?: string
  registry?: string
  sort?: (typeof SORTS)[number]
}

const parent = createRoute({
  getParentRoute: () => shellRoute,
  path: '/marketplace',
  staticData: { crumb: 'Marketplace' },
})

const discover = createRoute({
  getParentRoute: () => parent,
  path: '/',
  validateSearch: (search: Record<string, unknown>): MarketSearch =>
    defined({
      q: asText(search['q']),
      kind: asText(search['kind']),
      capability: asText(search['capability']),
      verified: search['verified'] === true || search['verified'] === false ? search['verified'] : undefined,
      licence: asText(search['licence']),
      registry: asText(search['registry']),
      sort: asOneOf(SORTS, search['sort']),
    }),
  component: lazyRouteComponent(() => import('./MarketplacePage'), 'MarketplacePage'),
})

const installed = createRoute({
  getParentRoute: () => parent,
  path: '/installed',
  staticData: { crumb: 'Installed' },
  component: lazyRouteComponent(() => import('./InstalledPage'), 'InstalledPage'),
})

const plugin = createRoute({
  getParentRoute: () => parent,
  path: '/$namespace/$name',
  validateSearch: (search: Record<string, unknown>): { tab?: (typeof PLUGIN_TABS)[number] } =>
    defined({ tab: asOneOf(PLUGIN_TABS, search['tab']) }),
  component: lazyRouteComponent(() => import('./PluginPage'), 'PluginPage'),
})

export const marketplaceRoute = parent.addChildren([discover, installed, plugin])
