// What is installed: what each plugin may, who uses it, and whether there is a newer one.
import { Link } from '@tanstack/react-router'
import { CircleArrowUp, Ellipsis, PackageOpen, SlidersHorizontal, Trash2, TriangleAlert } from 'lucide-react'
import { useState } from 'react'
import { $api } from '@/api/client'
import { MayButton, useMay } from '@/app/may'
import { Page } from '@/app/Page'
import { Badge, CapabilityBadge } from '@/ui/Badge'
import { Button, IconButton } from '@/ui/Button'
import { Notice } from '@/ui/Notice'
import { CliTwin, Menu, MenuItem } from '@/ui/overlays'
import { Card, EmptyState } from '@/ui/places'
import { Table } from '@/ui/Table'
import { Tip } from '@/ui/Tooltip'
import { ConsentDialog, type Wanted } from './Consent'
import { GrantsDrawer } from './Grants'
import { nameParts, releaseStatus, STATE_MEANS, type InstalledPlugin } from './model'
import { MarketTabs, PluginName, ReleaseBadge } from './parts'
import { RemoveDialog } from './Remove'
import css from './market.module.css'

const SHOWN_PIPELINES = 2 // the rest is a number; the plugin's page has them all

function UsedBy({ names }: { names: readonly string[] }) {
  if (names.length === 0) return <span className="muted">no pipeline</span>
  const rest = names.length - SHOWN_PIPELINES
  return (
    <span>
      {names.slice(0, SHOWN_PIPELINES).join(', ')}
      {rest > 0 && <span className="muted"> and {rest} more</span>}
    </span>
  )
}

export function InstalledPage() {
  const { data, error, refetch } = $api.useQuery('get', '/api/v1/plugins')
  const [wanted, setWanted] = useState<Wanted>()
  const [removing, setRemoving] = useState<InstalledPlugin>()
  const [grantsOf, setGrantsOf] = useState<string>()
  const admin = useMay('admin')
  const withdrawn = data?.filter((plugin) => !['ok', 'unknown'].includes(releaseStatus(plugin.status).state)) ?? []
  return (
    <Page
      title="Installed plugins"
      heading="Marketplace"
      subtitle="What is installed on this server, and what each plugin may."
      actions={<CliTwin command={['windlass plugin list', 'windlass plugin outdated']} />}
    >
      <MarketTabs />
      <div className={css.stack}>
        {withdrawn.map((plugin) => {
          const { state } = releaseStatus(plugin.status)
          return (
            <Notice
              key={plugin.name}
              tone={state === 'yanked' ? 'wait' : 'bad'}
              title={`${plugin.name} ${plugin.version} was ${state}`}
              actions={
                plugin.newer != null && (
                  <MayButton
                    needs="admin"
                    size="small"
                    onClick={() => setWanted({ name: plugin.name, version: `=${plugin.newer ?? ''}`, from: plugin.version })}
                  >
                    Update to {plugin.newer}
                  </MayButton>
                )
              }
            >
              <p>{STATE_MEANS[state]}</p>
            </Notice>
          )
        })}
        <Card flush>
          <Table<InstalledPlugin>
            label="Installed plugins"
            rows={data}
            error={error}
            onRetry={() => void refetch()}
            rowKey={(plugin) => plugin.name}
            empty={
              <EmptyState
                icon={<PackageOpen aria-hidden />}
                title="No plugin is installed"
                actions={
                  <Button kind="primary" asChild>
                    <Link to="/marketplace">Find one</Link>
                  </Button>
                }
              >
                Steps come from plugins: without one, a pipeline has nothing to do.
              </EmptyState>
            }
            columns={[
              {
                key: 'name',
                name: 'Plugin',
                cell: (plugin) => (
                  <span className={css.rowName}>
                    <span className={css.schemaKey}>
                      <Link to="/marketplace/$namespace/$name" params={nameParts(plugin.name)}>
                        <strong>
                          <PluginName name={plugin.name} />
                        </strong>
                      </Link>
                      <code className="muted">{plugin.version}</code>
                      <ReleaseBadge {...releaseStatus(plugin.status)} />
                      {!plugin.present && (
                        <Badge tone="bad" icon={<TriangleAlert aria-hidden />}>
                          its component is missing
                        </Badge>
                      )}
                    </span>
                    <span className={css.small}>
                      {plugin.steps.length > 0 ? plugin.steps.join(', ') : plugin.kinds.join(', ')}
                      {plugin.dependency && ' · installed because another plugin calls it'}
                    </span>
                  </span>
                ),
              },
              {
                key: 'may',
                name: 'It may use',
                stacked: 'May use',
                cell: (plugin) => (
                  <span className={css.badges} style={{ margin: 0 }}>
                    {plugin.permissions.length === 0 && <span className="muted">nothing</span>}
                    {plugin.permissions.map(({ capability, words }) => (
                      <CapabilityBadge key={capability} capability={capability} detail={words} />
                    ))}
                    {plugin.refused.length > 0 && (
                      <Tip text={`Asked for, and not granted: ${plugin.refused.map(({ words }) => words).join('; ')}`}>
                        {/* Focusable, because the tooltip says which. */}
                        {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
                        <span tabIndex={0}>
                          <Badge>{plugin.refused.length} refused</Badge>
                        </span>
                      </Tip>
                    )}
                  </span>
                ),
              },
              { key: 'used', name: 'Used by', stacked: 'Used by', cell: (plugin) => <UsedBy names={plugin.used_by} /> },
              {
                key: 'act',
                name: <span className="visually-hidden">Actions</span>,
                end: true,
                cell: (plugin) => (
                  <span className={css.rowActions}>
                    {plugin.newer != null && (
                      <MayButton
                        needs="admin"
                        size="small"
                        icon={<CircleArrowUp aria-hidden />}
                        onClick={() => setWanted({ name: plugin.name, version: `=${plugin.newer ?? ''}`, from: plugin.version })}
                      >
                        Update to {plugin.newer}
                      </MayButton>
                    )}
                    <Menu
                      trigger={
                        <IconButton label={`More for ${plugin.name}`} size="small">
                          <Ellipsis aria-hidden />
                        </IconButton>
                      }
                    >
                      <MenuItem icon={<SlidersHorizontal aria-hidden />} onSelect={() => setGrantsOf(plugin.name)}>
                        What it may…
                      </MenuItem>
                      <MenuItem
                        danger
                        icon={<Trash2 aria-hidden />}
                        disabled={!admin.may}
                        onSelect={() => setRemoving(plugin)}
                        end={admin.may ? undefined : 'admin'}
                      >
                        Remove…
                      </MenuItem>
                    </Menu>
                  </span>
                ),
              },
            ]}
          />
        </Card>
      </div>
      <ConsentDialog wanted={wanted} onClose={() => setWanted(undefined)} />
      <RemoveDialog plugin={removing} onClose={() => setRemoving(undefined)} />
      <GrantsDrawer name={grantsOf} onClose={() => setGrantsOf(undefined)} />
    </Page>
  )
}
