// Routes of "Runs". Pages are loaded when they are gone to; search parameters are parsed here, and what does not parse is dropped.
import { createRoute, lazyRouteComponent } from '@tanstack/react-router'
import { shellRoute } from '@/app/root'
import { asOneOf, asText, defined } from '@/lib/defined'

export const RUN_TABS = ['overview', 'tests', 'findings', 'artifacts', 'inputs', 'events'] as const
export const RUN_VIEWS = ['graph', 'waterfall'] as const

export interface RunsSearch {
  workflow?: string
  /** Where they stand, or how they ended: one of the closed list of words. */
  status?: string
  by?: string
  trigger?: string
  sub_runs?: boolean
}

export interface RunSearch {
  tab?: (typeof RUN_TABS)[number]
  view?: (typeof RUN_VIEWS)[number]
  /** Of the events: the number of the one after which the run is shown. */
  at?: number
}

const parent = createRoute({ getParentRoute: () => shellRoute, path: '/runs', staticData: { crumb: 'Runs' } })

const list = createRoute({
  getParentRoute: () => parent,
  path: '/',
  validateSearch: (search: Record<string, unknown>): RunsSearch =>
    defined({
      workflow: asText(search['workflow']),
      status: asText(search['status']),
      by: asText(search['by']),
      trigger: asText(search['trigger']),
      sub_runs: search['sub_runs'] === true ? true : undefined,
    }),
  component: lazyRouteComponent(() => import('./RunsPage'), 'RunsPage'),
})

const one = createRoute({
  getParentRoute: () => parent,
  path: '/$run',
  validateSearch: (search: Record<string, unknown>): RunSearch =>
    defined({
      tab: asOneOf(RUN_TABS, search['tab']),
      view: asOneOf(RUN_VIEWS, search['view']),
      at: Number.isSafeInteger(search['at']) ? (search['at'] as number) : undefined,
    }),
  component: lazyRouteComponent(() => import('./RunPage'), 'RunPage'),
})

export const runsRoute = parent.addChildren([list, one])
