// The marketplace: what there is, in all registries at once. Everything that narrows it is in the address, so that a search can be sent.
import { getRouteApi, Link } from '@tanstack/react-router'
import { ArrowDownToLine, CircleArrowUp, CircleCheck, PackageSearch, Search, SlidersHorizontal, X } from 'lucide-react'
import { useEffect, useState, type ReactNode } from 'react'
import { $api } from '@/api/client'
import { byCursor } from '@/api/pages'
import { Page } from '@/app/Page'
import { cx } from '@/lib/cx'
import { Badge, CapabilityBadge } from '@/ui/Badge'
import { Button, IconButton } from '@/ui/Button'
import { Input, Select } from '@/ui/inputs'
import { Notice } from '@/ui/Notice'
import { CliTwin } from '@/ui/overlays'
import { EmptyState, ErrorState, Skeleton } from '@/ui/places'
import { Time } from '@/ui/Time'
import { hostOf, nameParts, type Facets, type MarketHit } from './model'
import { kindPlural, MarketTabs, Monogram, PluginName, VerifiedMark } from './parts'
import type { MarketSearch } from './routes'
import css from './market.module.css'

const route = getRouteApi('/shell/marketplace/')
const PAGE = 24 // a multiple of what stands side by side
const TYPING_MS = 250 // a search for each letter would be thrown away with the next one

const SORTS = [
  { value: 'relevance', label: 'Best match' },
  { value: 'downloads', label: 'Most downloads' },
  { value: 'new', label: 'Newest' },
  { value: 'name', label: 'Name' },
]

function useMarket(search: MarketSearch) {
  const { data, error, refetch, fetchNextPage, hasNextPage, isFetchingNextPage, isFetching } = $api.useInfiniteQuery(
    'get',
    '/api/v1/market',
    { params: { query: { ...search, limit: PAGE } } },
    {
      ...byCursor,
      placeholderData: (before) => before,
    },
  )
  return { pages: data?.pages, error, refetch, fetchNextPage, hasNextPage, isFetchingNextPage, isFetching }
}

function SearchBox({ search, onSearch }: { search: MarketSearch; onSearch: (change: Partial<MarketSearch>) => void }) {
  const [words, setWords] = useState(search.q ?? '')
  const [sent, setSent] = useState(search.q ?? '')
  // The address changed by itself (back, a suggestion, "clear"): the box follows.
  if ((search.q ?? '') !== sent) {
    setSent(search.q ?? '')
    setWords(search.q ?? '')
  }
  useEffect(() => {
    const next = words.trim()
    if (next === sent) return
    const timer = setTimeout(() => {
      setSent(next)
      onSearch({ q: next })
    }, TYPING_MS)
    return () => clearTimeout(timer)
  }, [words, sent, onSearch])
  return (
    <Input
      type="search"
      icon={<Search aria-hidden />}
      aria-label="Search plugins"
      placeholder="Search by name, step type or what it does…"
      value={words}
      maxLength={200}
      onChange={(event) => setWords(event.target.value)}
    />
  )
}

type Filter = 'kind' | 'capability' | 'verified' | 'licence' | 'registry'

function Facet(props: {
  title: string
  entries: readonly { value: string; label: ReactNode; count?: number }[]
  chosen: string | undefined
  onChoose: (value: string | undefined) => void
}) {
  // A filter that leaves nothing is still shown while it is on: how else would one turn it off?
  const entries =
    props.chosen !== undefined && !props.entries.some((entry) => entry.value === props.chosen)
      ? [...props.entries, { value: props.chosen, label: props.chosen, count: 0 }]
      : props.entries
  if (entries.length === 0) return null
  return (
    <fieldset className={css.facet}>
      <legend>{props.title}</legend>
      {entries.map(({ value, label, count }) => {
        const on = value === props.chosen
        return (
          <button
            key={value}
            type="button"
            className={css.facetEntry}
            aria-pressed={on}
            onClick={() => props.onChoose(on ? undefined : value)}
          >
            <span className="truncate">{label}</span>
            {on ? <X aria-hidden /> : count !== undefined && <span className={css.facetCount}>{count}</span>}
          </button>
        )
      })}
    </fieldset>
  )
}

const CAPABILITY_WORD: Record<string, string> = { http: 'network', 'secrets-reveal': 'reads secrets' }

function FacetList(props: {
  facets: Facets | undefined
  search: MarketSearch
  onSearch: (change: Partial<Record<Filter, string | boolean | undefined>>) => void
}) {
  const { facets, search, onSearch } = props
  const registries = $api.useQuery('get', '/api/v1/registries').data
  if (facets === undefined) {
    return (
      <div className={css.facetSkeleton} aria-hidden>
        {[88, 120, 104, 96, 132, 80, 110].map((width) => (
          <Skeleton key={width} width={width} height={16} />
        ))}
      </div>
    )
  }
  const plain = (counts: readonly { value: string; count: number }[] = [], label = (value: string) => value) =>
    counts.map(({ value, count }) => ({ value, count, label: label(value) }))
  const verified = facets.verified?.find(({ value }) => value === 'true')
  return (
    <>
      <Facet title="Kind" entries={plain(facets.kind, kindPlural)} chosen={search.kind} onChoose={(kind) => onSearch({ kind })} />
      <Facet
        title="Asks for"
        entries={plain(facets.capability, (value) => CAPABILITY_WORD[value] ?? value)}
        chosen={search.capability}
        onChoose={(capability) => onSearch({ capability })}
      />
      <Facet
        title="Publisher"
        entries={verified ? [{ value: 'true', label: 'Verified', count: verified.count }] : []}
        chosen={search.verified === undefined ? undefined : String(search.verified)}
        onChoose={(value) => onSearch({ verified: value === undefined ? undefined : value === 'true' })}
      />
      <Facet
        title="Licence"
        entries={plain(facets.licence)}
        chosen={search.licence}
        onChoose={(licence) => onSearch({ licence })}
      />
      {(registries?.length ?? 0) > 1 && (
        <Facet
          title="Registry"
          entries={(registries ?? []).map(({ url }) => ({ value: url, label: hostOf(url) }))}
          chosen={search.registry}
          onChoose={(registry) => onSearch({ registry })}
        />
      )}
    </>
  )
}

const compact = new Intl.NumberFormat('en-GB', { notation: 'compact', maximumFractionDigits: 1 })

function PluginCard({ hit }: { hit: MarketHit }) {
  if (hit.entry === 'native') {
    return (
      <li className={cx(css.card, css.native)}>
        <Monogram name={hit.name} />
        <div className={css.cardMain}>
          <div className={css.cardHead}>
            <h2>
              <PluginName name={hit.name} />
            </h2>
            <span className={css.version}>{hit.version}</span>
          </div>
          <p className={css.summary}>{hit.summary}</p>
          <div className={css.badges}>
            <Badge outline>native: not installable here</Badge>
          </div>
          <p className={css.facts}>
            <span>{hit.category}</span>
            <span>{hit.licence}</span>
          </p>
        </div>
      </li>
    )
  }
  const { namespace, name } = nameParts(hit.name)
  return (
    <li className={css.card}>
      <Monogram name={hit.name} />
      <div className={css.cardMain}>
        <div className={css.cardHead}>
          <h2>
            <Link to="/marketplace/$namespace/$name" params={{ namespace, name }} className={css.cardLink}>
              <PluginName name={hit.name} />
            </Link>
            {hit.verified && <VerifiedMark />}
          </h2>
          <span className={css.version}>{hit.version}</span>
        </div>
        <p className={css.summary}>{hit.summary}</p>
        <div className={css.badges}>
          {hit.capabilities.length === 0 && <Badge outline>asks for nothing</Badge>}
          {hit.capabilities.map((capability) => (
            <CapabilityBadge key={capability} capability={capability} />
          ))}
        </div>
        <p className={css.facts}>
          {hit.installed != null && (
            <span className={hit.outdated ? css.outdated : css.installed}>
              {hit.outdated ? <CircleArrowUp aria-hidden /> : <CircleCheck aria-hidden />}
              {hit.outdated ? `update from ${hit.installed}` : `installed`}
            </span>
          )}
          <span>
            <ArrowDownToLine aria-hidden />
            {compact.format(hit.downloads)}
            <span className="visually-hidden"> downloads</span>
          </span>
          <Time at={Date.parse(hit.published)} />
          <span>{hit.licence}</span>
        </p>
      </div>
    </li>
  )
}

const Cards = ({ children, busy }: { children: ReactNode; busy: boolean }) => (
  <ul className={css.cards} aria-busy={busy} aria-label="Plugins">
    {children}
  </ul>
)

const SkeletonCards = () => (
  <Cards busy>
    {Array.from({ length: 6 }, (_, index) => (
      <li key={index} className={css.card} aria-hidden>
        <Skeleton width={36} height={36} />
        <div className={css.cardMain}>
          <Skeleton width="46%" height={20} />
          <Skeleton width="92%" height={14} style={{ marginTop: 10 }} />
          <Skeleton width="64%" height={14} style={{ marginTop: 6 }} />
          <Skeleton width="58%" height={20} style={{ marginTop: 12 }} />
          <Skeleton width="40%" height={14} style={{ marginTop: 12 }} />
        </div>
      </li>
    ))}
  </Cards>
)

const FILTERS: readonly Filter[] = ['kind', 'capability', 'verified', 'licence', 'registry']

export function MarketplacePage() {
  const search = route.useSearch()
  const navigate = route.useNavigate()
  const [filtersOpen, setFiltersOpen] = useState(false)
  const market = useMarket(search)
  const first = market.pages?.[0]
  const hits = market.pages?.flatMap((page) => page.items)
  const on = FILTERS.filter((filter) => search[filter] !== undefined).length
  const [change] = useState(() => (part: Partial<Record<keyof MarketSearch, string | boolean | undefined>>) => {
    void navigate({
      search: (before) => {
        const next = { ...before, ...part }
        return Object.fromEntries(Object.entries(next).filter(([, value]) => value !== undefined && value !== ''))
      },
      replace: true,
      resetScroll: false,
    })
  })
  const clear = () => void navigate({ search: search.sort ? { sort: search.sort } : {}, replace: true })
  const nothingAsked = search.q === undefined && on === 0

  return (
    <Page
      title="Marketplace"
      subtitle="Step types, providers and scanners. Each runs in a sandbox, and says what it wants before it is installed."
      actions={<CliTwin command={`windlass plugin search${search.q ? ` '${search.q.replaceAll("'", '')}'` : ''}`} />}
    >
      <MarketTabs />
      <div className={css.layout}>
        <div className={css.toolbar}>
          <SearchBox search={search} onSearch={change} />
          <div className={css.sort}>
            <Select
              aria-label="Order"
              value={search.sort ?? 'relevance'}
              options={SORTS}
              onChange={(sort) => change({ sort: sort === 'relevance' ? undefined : sort })}
            />
          </div>
          <IconButton
            label="Filters"
            kind="default"
            className={css.filterButton}
            aria-expanded={filtersOpen}
            onClick={() => setFiltersOpen((open) => !open)}
          >
            <SlidersHorizontal aria-hidden />
          </IconButton>
        </div>
        <aside className={cx(css.facets, filtersOpen && css.facetsOpen)} aria-label="Filters">
          <FacetList facets={first?.facets} search={search} onSearch={change} />
        </aside>
        <section className={css.results} aria-label="Results">
          {first?.unreachable.map(({ registry, reason }) => (
            <Notice key={registry} tone="wait" title={`${hostOf(registry)} does not answer`}>
              <p>{reason} What is shown comes from the other registries and from what is installed.</p>
            </Notice>
          ))}
          {market.error !== null && <ErrorState error={market.error} onRetry={() => void market.refetch()} />}
          {market.error === null && (
            <>
              <p className={css.count} aria-live="polite">
                {first === undefined ? (
                  <Skeleton width={90} height={14} />
                ) : (
                  <>
                    {first.total === 1 ? '1 plugin' : `${first.total} plugins`}
                    {!nothingAsked && (
                      <button type="button" className={css.clear} onClick={clear}>
                        Clear the search
                      </button>
                    )}
                  </>
                )}
              </p>
              {hits === undefined && <SkeletonCards />}
              {hits !== undefined && hits.length > 0 && (
                <Cards busy={market.isFetching}>
                  {hits.map((hit) => (
                    <PluginCard key={`${hit.registry} ${hit.name}`} hit={hit} />
                  ))}
                </Cards>
              )}
              {hits?.length === 0 && (
                <div className={css.nothing}>
                  <EmptyState
                    icon={<PackageSearch aria-hidden />}
                    title={nothingAsked ? 'No registry has any plugin' : 'Nothing matches'}
                    actions={
                      <>
                        {first?.did_you_mean != null && (
                          <Button kind="primary" onClick={() => change({ q: first.did_you_mean ?? '' })}>
                            Search for “{first.did_you_mean}”
                          </Button>
                        )}
                        {!nothingAsked && <Button onClick={clear}>Show all plugins</Button>}
                        {nothingAsked && (
                          <Button asChild>
                            <Link to="/settings/registries">See the registries</Link>
                          </Button>
                        )}
                      </>
                    }
                  >
                    {nothingAsked
                      ? 'The registries in config.toml answered, and have nothing. Publish a plugin of your own with windlass plugin publish, or name another registry.'
                      : first?.did_you_mean != null
                        ? `Did you mean “${first.did_you_mean}”?`
                        : 'Try fewer words, or take a filter off.'}
                  </EmptyState>
                </div>
              )}
              {market.hasNextPage && (
                <div className={css.more}>
                  <Button busy={market.isFetchingNextPage} onClick={() => void market.fetchNextPage()}>
                    Show more
                  </Button>
                </div>
              )}
            </>
          )}
        </section>
      </div>
    </Page>
  )
}
