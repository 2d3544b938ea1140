// One plugin: what it does, what it wants, who made it, and what is installed of it.
import { getRouteApi, Link } from '@tanstack/react-router'
import {
  ArrowDownToLine,
  BookOpen,
  ChevronRight,
  CircleArrowUp,
  CircleCheck,
  Ellipsis,
  ExternalLink,
  PackageX,
  ShieldCheck,
  ShieldQuestion,
  ShieldX,
  Trash2,
} from 'lucide-react'
import { useState } from 'react'
import { $api } from '@/api/client'
import type { components } from '@/api/schema'
import { useCrumb } from '@/app/Crumbs'
import { MayButton, useMay } from '@/app/may'
import { Page } from '@/app/Page'
import { bytes } from '@/lib/time'
import { Badge, CapabilityBadge, SignatureBadge } from '@/ui/Badge'
import { Button } from '@/ui/Button'
import { CopyButton } from '@/ui/CopyButton'
import { Notice } from '@/ui/Notice'
import { Command, Menu, MenuItem } from '@/ui/overlays'
import { Card, EmptyState, ErrorState, Fact, Facts, Skeleton } from '@/ui/places'
import { Prose } from '@/ui/Prose'
import { Table } from '@/ui/Table'
import { Tabs } from '@/ui/Tabs'
import { Time } from '@/ui/Time'
import { ConsentDialog, type Wanted } from './Consent'
import {
  hostOf,
  nameParts,
  releaseStatus,
  schemaRows,
  sentence,
  stepSnippet,
  STATE_MEANS,
  type SchemaRow,
  type StepPage,
} from './model'
import { KindBadge, Monogram, Permissions, PluginName, ReleaseBadge, VerifiedMark } from './parts'
import { RemoveDialog } from './Remove'
import type { PLUGIN_TABS } from './routes'
import { Words } from '@/ui/Words'
import css from './market.module.css'

type MarketPlugin = components['schemas']['MarketPlugin']
type ProviderPage = components['schemas']['ProviderPage']
type Version = MarketPlugin['page']['versions'][number]

const route = getRouteApi('/shell/marketplace/$namespace/$name')

const shortDigest = (digest: string) => digest.replace(/^sha256:/, '').slice(0, 12)

const Digest = ({ digest }: { digest: string }) => (
  <span className={css.digest}>
    <code title={digest}>{shortDigest(digest)}</code>
    <CopyButton text={digest} label="Copy the digest" />
  </span>
)

function SchemaTable({ label, schema }: { label: string; schema: unknown }) {
  const rows = schemaRows(schema)
  return (
    <div className={css.schema}>
      <Table<SchemaRow>
        label={label}
        rows={rows}
        rowKey={(row) => row.key}
        empty={<p style={{ padding: 12 }}>None.</p>}
        columns={[
          {
            key: 'key',
            name: 'Key',
            width: '30%',
            cell: (row) => (
              <span className={css.schemaKey} style={{ paddingLeft: row.depth * 12 }}>
                <code>{row.key}</code>
                {row.required && <Badge tone="accent">required</Badge>}
                {row.secret && <Badge outline>secret</Badge>}
              </span>
            ),
          },
          {
            key: 'type',
            name: 'Type',
            stacked: 'Type',
            width: '22%',
            cell: (row) => (
              <span>
                {row.type}
                {row.options && (
                  <>
                    {' '}
                    <code>{row.options.join(' · ')}</code>
                  </>
                )}
                {row.default !== undefined && (
                  <span className="muted">
                    {' '}
                    = <code>{row.default}</code>
                  </span>
                )}
              </span>
            ),
          },
          { key: 'means', name: 'What it means', cell: (row) => <Words text={row.description} /> },
        ]}
      />
    </div>
  )
}

const EFFECT: Record<string, string> = {
  pure: 'It has no effect outside its run: after a crash it is simply done again.',
  idempotent: 'Doing it twice has the effect of doing it once: after a crash it is done again, or taken up where it was.',
  'at-most-once': 'It is never done twice by itself: after a crash, a person decides.',
}

function Step({ step, open }: { step: StepPage; open: boolean }) {
  const snippet = stepSnippet(step)
  return (
    <details className={css.step} open={open}>
      <summary>
        <ChevronRight aria-hidden />
        <code>{step.name}</code>
        <p>
          <Words text={step.summary} />
        </p>
      </summary>
      <div className={css.stepBody}>
        <Prose html={step.docs} />
        <div>
          <h2>To begin with</h2>
          <div className={css.snippet}>
            <pre>
              <code>{snippet}</code>
            </pre>
            <CopyButton text={snippet} label="Copy the YAML" />
          </div>
        </div>
        <div>
          <h2>Configuration</h2>
          <SchemaTable label={`Configuration of ${step.name}`} schema={step.config_schema} />
        </div>
        <div>
          <h2>Results</h2>
          <SchemaTable label={`Results of ${step.name}`} schema={step.output_schema} />
        </div>
        <p className={css.small}>{EFFECT[step.effect] ?? `Effect class: ${step.effect}.`}</p>
      </div>
    </details>
  )
}

function Steps({ steps }: { steps: readonly StepPage[] }) {
  if (steps.length === 0) {
    return (
      <EmptyState icon={<BookOpen aria-hidden />} title="It has no step types">
        It is a provider or a scanner: it is used by environments and by other plugins.
      </EmptyState>
    )
  }
  return (
    <div className={css.stack}>
      {steps.map((step, index) => (
        <Step key={step.name} step={step} open={index === 0 && steps.length < 4} />
      ))}
    </div>
  )
}

function Provider({ provider }: { provider: ProviderPage }) {
  return (
    <div className={css.stepBody}>
      <p>
        Environments name it <code>{provider.name}</code>: {provider.title}.
      </p>
      <Prose html={provider.docs} />
      <div>
        <h2>An environment's configuration</h2>
        <SchemaTable label={`Configuration of ${provider.name}`} schema={provider.config_schema} />
      </div>
      <div>
        <h2>What it can be asked</h2>
        <p className={css.words}>
          {provider.verbs.map((verb) => (
            <code key={verb}>{verb}</code>
          ))}
        </p>
      </div>
      {provider.regions != null && provider.regions.length > 0 && (
        <div>
          <h2>Regions</h2>
          <p className={css.words}>
            {provider.regions.map((region) => (
              <code key={region}>{region}</code>
            ))}
          </p>
        </div>
      )}
    </div>
  )
}

function Versions({
  versions,
  installed,
  onInstall,
}: {
  versions: readonly Version[]
  installed: string | undefined
  onInstall: (version: string) => void
}) {
  return (
    <Card flush>
      <Table<Version>
        label="Versions"
        rows={versions}
        rowKey={(row) => row.version}
        columns={[
          {
            key: 'version',
            name: 'Version',
            cell: (row) => (
              <span className={css.schemaKey}>
                <code>{row.version}</code>
                {row.version === installed && (
                  <Badge tone="ok" icon={<CircleCheck aria-hidden />}>
                    installed
                  </Badge>
                )}
                <ReleaseBadge {...releaseStatus(row.status)} />
              </span>
            ),
          },
          {
            key: 'published',
            name: 'Published',
            stacked: 'Published',
            cell: (row) => <Time at={Date.parse(row.published)} />,
          },
          { key: 'size', name: 'Size', stacked: 'Size', cell: (row) => bytes(row.size) },
          { key: 'digest', name: 'Digest', stacked: 'sha256', cell: (row) => <Digest digest={row.digest} /> },
          {
            key: 'act',
            name: <span className="visually-hidden">Actions</span>,
            end: true,
            cell: (row) => {
              const { state } = releaseStatus(row.status)
              if (row.version === installed || state !== 'ok') return null
              return (
                <MayButton needs="admin" size="small" onClick={() => onInstall(row.version)}>
                  Install…
                </MayButton>
              )
            },
          },
        ]}
      />
    </Card>
  )
}

function Dependencies({ data }: { data: MarketPlugin }) {
  const calls = Object.entries(data.page.release.dependencies ?? {})
  const { dependents, conflicts } = data.page
  return (
    <div className={css.stack}>
      <Card title="Plugins that it calls" flush={calls.length > 0}>
        {calls.length === 0 ? (
          <p className="muted">None.</p>
        ) : (
          <Table
            label="Plugins that it calls"
            rows={calls}
            rowKey={([name]) => name}
            columns={[
              {
                key: 'name',
                name: 'Plugin',
                cell: ([name]) => (
                  <Link to="/marketplace/$namespace/$name" params={nameParts(name)}>
                    {name}
                  </Link>
                ),
              },
              { key: 'version', name: 'Versions', stacked: 'Versions', cell: ([, version]) => <code>{version}</code> },
            ]}
          />
        )}
      </Card>
      <Card title={`Plugins that call it (${dependents.total})`}>
        {dependents.plugins.length === 0 ? (
          <p className="muted">None in its registry.</p>
        ) : (
          <p className={css.usedBy}>
            {dependents.plugins.map((name) => (
              <Link key={name} to="/marketplace/$namespace/$name" params={nameParts(name)}>
                {name}
              </Link>
            ))}
          </p>
        )}
      </Card>
      <Card title="Pipelines here that use it">
        {(data.installed?.used_by ?? []).length === 0 ? (
          <p className="muted">None.</p>
        ) : (
          <p className={css.usedBy}>
            {data.installed?.used_by.map((name) => (
              <Link key={name} to="/pipelines">
                {name}
              </Link>
            ))}
          </p>
        )}
      </Card>
      {conflicts.length > 0 && (
        <Notice tone="wait" title="Step types that something else provides too">
          <ul>
            {conflicts.map(({ step, providers }) => (
              <li key={step}>
                <code>{step}</code>: {providers.map((provider) => provider.name).join(', ')}
              </li>
            ))}
          </ul>
          <p>Pipelines say whose they mean by writing the plugin before the type.</p>
        </Notice>
      )}
    </div>
  )
}

const SIGNED = {
  verified: {
    tone: 'ok',
    icon: ShieldCheck,
    title: 'Verified',
    means:
      'This server has checked the signature itself: name, version, bytes, permissions and dependencies are what its author signed.',
  },
  unsigned: {
    tone: 'wait',
    icon: ShieldQuestion,
    title: 'Unsigned',
    means:
      'Nobody has signed it, so nobody can say whether its author wrote these bytes. It is installed only where the server was told to accept unsigned plugins.',
  },
  bad: {
    tone: 'bad',
    icon: ShieldX,
    title: 'Bad signature',
    means: 'What was signed is not what the registry has. It is not installed. Tell its author and the registry.',
  },
} as const

function Security({ data }: { data: MarketPlugin }) {
  const { release } = data.page
  const word = data.verification === 'verified' || data.verification === 'bad' ? data.verification : 'unsigned'
  const { tone, title, means } = SIGNED[word]
  return (
    <div className={css.stack}>
      <Notice tone={tone} title={title}>
        <p>{sentence(data.verification_words).replace(/\.?$/, '.')}</p>
        <p>{means}</p>
      </Notice>
      <Card title="What is pinned">
        <Facts>
          <Fact name="Component">
            <span className={css.digest}>
              <code>{release.digest}</code>
              <CopyButton text={release.digest} label="Copy the digest" />
            </span>
          </Fact>
          <Fact name="Signed by">{release.signed_by == null ? 'nobody' : <code>{release.signed_by}</code>}</Fact>
          <Fact name="Imports">
            {release.imports.length === 0 ? 'nothing beyond its log, configuration and results' : release.imports.join(', ')}
          </Fact>
          <Fact name="Contract">
            <code>{release.contract}</code>
          </Fact>
          {release.engine != null && (
            <Fact name="Runs on">
              Windlass <code>{release.engine}</code>
            </Fact>
          )}
        </Facts>
      </Card>
      <p className={css.small}>
        A component can do what it imports, and nothing else: there is no other way out of the sandbox. An install pins the
        digest; other bytes under the same version are refused.
      </p>
    </div>
  )
}

function Side({ data }: { data: MarketPlugin }) {
  const { page } = data
  const { release } = page
  return (
    <aside className={css.side} aria-label="Facts">
      <Card title="Facts">
        <Facts>
          <Fact name="Version">
            <code>{release.version}</code>
          </Fact>
          <Fact name="Published">
            <Time at={Date.parse(release.published)} />
          </Fact>
          <Fact name="Licence">{release.licence}</Fact>
          <Fact name="Size">{bytes(release.size)}</Fact>
          <Fact name="Downloads">
            {page.downloads.total.toLocaleString('en-GB')}
            <span className="muted"> ({page.downloads.last_90_days.toLocaleString('en-GB')} in 90 days)</span>
          </Fact>
          <Fact name="Owners">{page.owners.join(', ')}</Fact>
          <Fact name="Registry">{hostOf(data.registry)}</Fact>
          {release.source != null && (
            <Fact name="Source">
              <a href={release.source} target="_blank" rel="noopener noreferrer nofollow" className={css.digest}>
                {release.source.replace(/^https?:\/\//, '')}
                <ExternalLink size={13} aria-label="opens in a new tab" />
              </a>
            </Fact>
          )}
        </Facts>
      </Card>
      <Card title="On the command line">
        {page.install.map((command) => (
          <Command key={command}>{command}</Command>
        ))}
      </Card>
      {(release.keywords ?? []).length > 0 && (
        <div className={css.badges} style={{ margin: 0 }}>
          {release.keywords?.map((word) => (
            <Link key={word} to="/marketplace" search={{ q: word }}>
              <Badge outline>{word}</Badge>
            </Link>
          ))}
        </div>
      )}
    </aside>
  )
}

function Actions({ data, onWant, onRemove }: { data: MarketPlugin; onWant: (wanted: Wanted) => void; onRemove: () => void }) {
  const { installed, page } = data
  const admin = useMay('admin')
  if (installed == null) {
    return (
      <MayButton
        needs="admin"
        kind="primary"
        icon={<ArrowDownToLine aria-hidden />}
        onClick={() => onWant({ name: page.name })}
        disabled={data.verification === 'bad'}
      >
        Install
      </MayButton>
    )
  }
  return (
    <>
      {installed.newer != null && (
        <MayButton
          needs="admin"
          kind="primary"
          icon={<CircleArrowUp aria-hidden />}
          onClick={() => onWant({ name: page.name, version: `=${installed.newer ?? ''}`, from: installed.version })}
        >
          Update to {installed.newer}
        </MayButton>
      )}
      <Menu
        trigger={
          <Button kind={installed.newer == null ? 'default' : 'ghost'} aria-label="More">
            {installed.newer == null ? (
              <>
                <CircleCheck aria-hidden />
                {installed.version} installed
              </>
            ) : (
              <Ellipsis aria-hidden />
            )}
          </Button>
        }
      >
        <MenuItem asChild>
          <Link to="/marketplace/installed">What it was granted</Link>
        </MenuItem>
        <MenuItem danger icon={<Trash2 aria-hidden />} onSelect={onRemove} disabled={!admin.may}>
          Remove
        </MenuItem>
      </Menu>
    </>
  )
}

type TabName = (typeof PLUGIN_TABS)[number]

function Loading({ title }: { title: string }) {
  return (
    <Page title={title}>
      <div className={css.columns} role="status" aria-busy aria-label="Loading">
        <div className={css.stack}>
          <Skeleton height={40} />
          <Skeleton height={360} />
        </div>
        <Skeleton height={300} />
      </div>
    </Page>
  )
}

export function PluginPage() {
  const params = route.useParams()
  const { tab = 'readme' } = route.useSearch()
  const navigate = route.useNavigate()
  const [wanted, setWanted] = useState<Wanted>()
  const [removing, setRemoving] = useState(false)
  const title = `${params.namespace}:${params.name}`
  useCrumb(title)
  const { data, error, refetch } = $api.useQuery('get', '/api/v1/market/{namespace}/{name}', { params: { path: params } })
  if (error !== null) {
    return (
      <Page title={title}>
        {'status' in error && error.status === 404 ? (
          <Card flush>
            <EmptyState
              icon={<PackageX aria-hidden />}
              title={`No registry has ${title}`}
              actions={
                <Button asChild>
                  <Link to="/marketplace" search={{ q: params.name }}>
                    Search for {params.name}
                  </Link>
                </Button>
              }
            >
              The name may be written otherwise, or its namespace comes from a registry that is not configured here.
            </EmptyState>
          </Card>
        ) : (
          <ErrorState error={error} onRetry={() => void refetch()} />
        )}
      </Page>
    )
  }
  if (data === undefined) return <Loading title={title} />
  const { page, installed } = data
  const { release } = page
  const status = releaseStatus(release.status)
  const here = releaseStatus(installed?.status)
  return (
    <Page
      title={title}
      heading={
        <span className={css.head}>
          <Monogram name={page.name} large />
          <span className={css.headText}>
            <span className={css.headName}>
              <PluginName name={page.name} />
              {page.verified && <VerifiedMark />}
              <ReleaseBadge {...status} />
            </span>
          </span>
        </span>
      }
      subtitle={
        <>
          {release.summary}
          <span className={css.headMeta}>
            {release.kinds.map((kind) => (
              <KindBadge key={kind} kind={kind} />
            ))}
            <SignatureBadge
              verdict={data.verification === 'verified' || data.verification === 'bad' ? data.verification : 'unsigned'}
            />
            {release.permissions.map(({ capability, words }) => (
              <CapabilityBadge key={capability} capability={capability} detail={words} />
            ))}
          </span>
        </>
      }
      actions={<Actions data={data} onWant={setWanted} onRemove={() => setRemoving(true)} />}
    >
      {here.state !== 'ok' && here.state !== 'unknown' && (
        <div style={{ marginBottom: 16 }}>
          <Notice tone={here.state === 'yanked' ? 'wait' : 'bad'} title={`The version that is installed here was ${here.state}`}>
            <p>{here.reason ?? STATE_MEANS[here.state]}</p>
          </Notice>
        </div>
      )}
      <div className={css.columns}>
        <Tabs
          label="About the plugin"
          value={tab}
          onChange={(next) => void navigate({ search: next === 'readme' ? {} : { tab: next as TabName }, replace: true })}
          tabs={[
            {
              value: 'readme',
              label: 'Read me',
              content:
                page.readme == null ? (
                  <EmptyState icon={<BookOpen aria-hidden />} title="It came without a README">
                    What it takes and gives is under “{release.steps.length > 0 ? 'Steps' : 'Provider'}”.
                  </EmptyState>
                ) : (
                  <div className={css.readme}>
                    <Prose html={page.readme} />
                  </div>
                ),
            },
            ...(release.steps.length > 0 || release.provider == null
              ? [{ value: 'steps', label: 'Steps', count: release.steps.length, content: <Steps steps={release.steps} /> }]
              : []),
            ...(release.provider == null
              ? []
              : [{ value: 'provider', label: 'Provider', content: <Provider provider={release.provider} /> }]),
            {
              value: 'permissions',
              label: 'Permissions',
              count: release.permissions.length,
              content: (
                <div className={css.stack}>
                  <p className={css.question}>
                    {release.permissions.length === 0
                      ? 'It asks for nothing: it can read its own configuration, write to its log and give results.'
                      : 'Once it is granted, and only as far as a pipeline allows it too, it may:'}
                  </p>
                  <Permissions label="What it asks for" lines={release.permissions} />
                  {installed != null && installed.refused.length > 0 && (
                    <>
                      <h2>Asked for, and not granted here</h2>
                      <Permissions label="Not granted" lines={installed.refused} />
                    </>
                  )}
                </div>
              ),
            },
            {
              value: 'versions',
              label: 'Versions',
              count: page.versions.length,
              content: (
                <Versions
                  versions={page.versions}
                  installed={installed?.version}
                  onInstall={(version) =>
                    setWanted({ name: page.name, version: `=${version}`, ...(installed != null && { from: installed.version }) })
                  }
                />
              ),
            },
            { value: 'dependencies', label: 'Dependencies', content: <Dependencies data={data} /> },
            { value: 'security', label: 'Security', content: <Security data={data} /> },
          ]}
        />
        <Side data={data} />
      </div>
      <ConsentDialog wanted={wanted} onClose={() => setWanted(undefined)} />
      <RemoveDialog plugin={removing ? (installed ?? undefined) : undefined} onClose={() => setRemoving(false)} />
    </Page>
  )
}
