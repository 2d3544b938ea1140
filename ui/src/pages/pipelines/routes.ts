// Routes of "Pipelines". Pages are loaded when they are gone to; search parameters are parsed here, and what does not parse is dropped.
import { createRoute, lazyRouteComponent } from '@tanstack/react-router'
import { shellRoute } from '@/app/root'
import { asOneOf, asText, defined } from '@/lib/defined'

export const PIPELINE_TABS = ['runs', 'graph', 'versions', 'triggers'] as const

const parent = createRoute({ getParentRoute: () => shellRoute, path: '/pipelines', staticData: { crumb: 'Pipelines' } })

const list = createRoute({
  getParentRoute: () => parent,
  path: '/',
  validateSearch: (search: Record<string, unknown>): { q?: string } => defined({ q: asText(search['q']) }),
  component: lazyRouteComponent(() => import('./PipelinesPage'), 'PipelinesPage'),
})

const fresh = createRoute({
  getParentRoute: () => parent,
  path: '/new',
  staticData: { crumb: 'New' },
  component: lazyRouteComponent(() => import('./EditorPage'), 'NewPipelinePage'),
})

const sequences = createRoute({
  getParentRoute: () => parent,
  path: '/sequences',
  staticData: { crumb: 'Sequences of templates' },
  component: lazyRouteComponent(() => import('./SequencesPage'), 'SequencesPage'),
})

const one = createRoute({ getParentRoute: () => parent, path: '/$name' })

const shown = createRoute({
  getParentRoute: () => one,
  path: '/',
  validateSearch: (search: Record<string, unknown>): { tab?: (typeof PIPELINE_TABS)[number]; run?: boolean } =>
    defined({ tab: asOneOf(PIPELINE_TABS, search['tab']), run: search['run'] === true ? true : undefined }),
  component: lazyRouteComponent(() => import('./PipelinePage'), 'PipelinePage'),
})

const edit = createRoute({
  getParentRoute: () => one,
  path: '/edit',
  staticData: { crumb: 'Edit' },
  component: lazyRouteComponent(() => import('./EditorPage'), 'EditPipelinePage'),
})

export const pipelinesRoute = parent.addChildren([list, fresh, sequences, one.addChildren([shown, edit])])
