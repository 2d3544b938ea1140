// The registries that plugins come from. They are configured in a file, which this page shows how to write.
import { CircleCheck, Package, Unplug } from 'lucide-react'
import { $api } from '@/api/client'
import type { components } from '@/api/schema'
import { Badge } from '@/ui/Badge'
import { CopyButton } from '@/ui/CopyButton'
import { Card, EmptyState } from '@/ui/places'
import { Table } from '@/ui/Table'
import { Frame } from './Frame'
import css from './settings.module.css'

type RegistryRow = components['schemas']['RegistryRow']

const EXAMPLE = `[registries]
default = "https://plugins.example.com"

[registries.namespaces]
acme = "https://plugins.acme.example"
`

export function RegistriesPage() {
  const { data, error, refetch } = $api.useQuery('get', '/api/v1/registries')
  return (
    <Frame
      title="Registries"
      subtitle="Where plugins come from. A namespace comes from exactly one of them, and no other is asked."
    >
      <Card flush>
        <Table<RegistryRow>
          label="Registries"
          rows={data}
          error={error}
          onRetry={() => void refetch()}
          rowKey={(registry) => registry.url}
          empty={
            <EmptyState icon={<Package aria-hidden />} title="No registry is configured">
              Name one in config.toml, as below. Until then only what is installed can be used.
            </EmptyState>
          }
          columns={[
            {
              key: 'url',
              name: 'Address',
              cell: (registry) => (
                <span className={css.cellActions}>
                  <span className={css.mono}>{registry.url}</span>
                  {registry.default && <Badge tone="accent">default</Badge>}
                </span>
              ),
            },
            {
              key: 'namespaces',
              name: 'Namespaces',
              stacked: 'For',
              cell: (registry) =>
                registry.namespaces.length === 0 ? (
                  <span className="muted">{registry.default ? 'all that are not mapped' : 'none'}</span>
                ) : (
                  <span className={css.hosts}>
                    {registry.namespaces.map((namespace) => (
                      <Badge key={namespace} outline>
                        {namespace}
                      </Badge>
                    ))}
                  </span>
                ),
            },
            {
              key: 'state',
              name: 'State',
              stacked: 'State',
              cell: (registry) =>
                registry.reachable ? (
                  <Badge tone="ok" icon={<CircleCheck aria-hidden />}>
                    answers
                  </Badge>
                ) : (
                  <span className={css.rowName}>
                    <span>
                      <Badge tone="bad" icon={<Unplug aria-hidden />}>
                        does not answer
                      </Badge>
                    </span>
                    {registry.reason != null && <span className={css.small}>{registry.reason}</span>}
                  </span>
                ),
            },
          ]}
        />
      </Card>
      <Card title="How they are configured" actions={<CopyButton text={EXAMPLE} label="Copy the example" />}>
        <div className={css.stack}>
          <p className={css.small}>
            In <code>config.toml</code> of the server's home. It is read when the server starts; a token for a registry is kept by{' '}
            <code>windlass plugin login</code>.
          </p>
          <pre className={css.json}>
            <code>{EXAMPLE}</code>
          </pre>
        </div>
      </Card>
    </Frame>
  )
}
