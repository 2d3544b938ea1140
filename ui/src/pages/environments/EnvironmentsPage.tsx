// The environments: what is deployed where, and whether each can be reached.
import { getRouteApi, Link } from '@tanstack/react-router'
import { Plus, Server, Zap } from 'lucide-react'
import { $api } from '@/api/client'
import { MayButton, useMay } from '@/app/may'
import { Page } from '@/app/Page'
import { Button } from '@/ui/Button'
import { Notice } from '@/ui/Notice'
import { CliTwin } from '@/ui/overlays'
import { Card, EmptyState } from '@/ui/places'
import { Table } from '@/ui/Table'
import { Time } from '@/ui/Time'
import type { Environment } from './model'
import { curl, DeploymentState, EnvironmentState, LastTest, useTest } from './parts'
import css from './environments.module.css'

const route = getRouteApi('/shell/environments/')

function TestCell({ environment }: { environment: Environment }) {
  const testing = useTest(environment)
  return (
    <span className={css.testCell}>
      <LastTest test={environment.last_test} testing={testing.isPending} />
      <MayButton
        needs="operator"
        size="small"
        kind="ghost"
        icon={<Zap aria-hidden />}
        disabled={testing.isPending}
        aria-label={`Test the connection of ${environment.name}`}
        onClick={() => testing.mutate()}
      >
        Test
      </MayButton>
    </span>
  )
}

function New() {
  const { may } = useMay('admin')
  if (!may) {
    return (
      <MayButton needs="admin" kind="primary" icon={<Plus aria-hidden />}>
        New environment
      </MayButton>
    )
  }
  return (
    <Button kind="primary" asChild>
      <Link to="/environments/new">
        <Plus aria-hidden />
        New environment
      </Link>
    </Button>
  )
}

export function EnvironmentsPage() {
  const search = route.useSearch()
  const { data, error, refetch } = $api.useQuery('get', '/api/v1/admin/environments', { params: { query: search } })
  const providers = $api.useQuery('get', '/api/v1/providers').data
  const filtered = Object.keys(search).length > 0
  return (
    <Page
      title="Environments"
      subtitle="Where pipelines deploy to, what is there now, and what was before."
      actions={
        <>
          <CliTwin command={curl('GET', '/api/v1/admin/environments')} />
          <New />
        </>
      }
    >
      <div className={css.stack}>
        {providers?.length === 0 && (
          <Notice
            tone="run"
            title="No provider is installed"
            actions={
              <Button size="small" asChild>
                <Link to="/marketplace" search={{ kind: 'provider' }}>
                  Find a provider
                </Link>
              </Button>
            }
          >
            <p>A provider is a plugin that deploys. The plugin windlass:local deploys to this machine.</p>
          </Notice>
        )}
        {filtered && (
          <p className={css.small}>
            Only{' '}
            {Object.entries(search)
              .map(([key, value]) => `${key.replace('_id', '')} ${value}`)
              .join(', ')}
            .{' '}
            <Link to="/environments" className={css.underlined}>
              Show all
            </Link>
          </p>
        )}
        <Card flush>
          <Table<Environment>
            label="Environments"
            rows={data}
            error={error}
            onRetry={() => void refetch()}
            rowKey={(environment) => environment.id}
            empty={
              <EmptyState
                icon={<Server aria-hidden />}
                title={filtered ? 'Nothing matches' : 'No environments'}
                actions={!filtered && <New />}
              >
                {filtered
                  ? 'No environment is as asked for.'
                  : 'An environment says how a provider is reached, and keeps the secrets for it. Steps and people deploy to it by name.'}
              </EmptyState>
            }
            columns={[
              {
                key: 'name',
                name: 'Environment',
                cell: (environment) => (
                  <span className={css.rowName}>
                    <Link to="/environments/$id" params={{ id: environment.id }}>
                      <strong>{environment.name}</strong>
                    </Link>
                    <span className={css.small}>
                      {[environment.provider, environment.region, environment.workflow_id && `only ${environment.workflow_id}`]
                        .filter(Boolean)
                        .join(' · ')}
                    </span>
                  </span>
                ),
              },
              {
                key: 'status',
                name: 'State',
                stacked: 'State',
                cell: (environment) => <EnvironmentState state={environment.status} />,
              },
              {
                key: 'current',
                name: 'Deployed now',
                stacked: 'Now',
                cell: ({ current }) =>
                  current == null ? (
                    <span className="muted">nothing yet</span>
                  ) : (
                    <span className={css.rowName}>
                      <span className={css.inline}>
                        <code>{current.image}</code>
                        {current.status !== 'succeeded' && <DeploymentState state={current.status} />}
                      </span>
                      <span className={css.small}>
                        {current.by}, <Time at={current.at_ms} />
                      </span>
                    </span>
                  ),
              },
              {
                key: 'test',
                name: 'Connection',
                stacked: 'Connection',
                cell: (environment) => <TestCell environment={environment} />,
              },
            ]}
          />
        </Card>
      </div>
    </Page>
  )
}
