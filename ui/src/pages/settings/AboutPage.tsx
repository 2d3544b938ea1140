// The server itself: what it is, and whether its parts do their work.
import { CircleCheck, CircleX, RotateCw } from 'lucide-react'
import { $api } from '@/api/client'
import { Badge } from '@/ui/Badge'
import { Button } from '@/ui/Button'
import { CliTwin } from '@/ui/overlays'
import { Card, ErrorState, Fact, Facts, Skeleton } from '@/ui/places'
import type { components } from '@/api/schema'
import { Frame } from './Frame'
import css from './settings.module.css'

type Health = components['schemas']['Health']

/** A server that is failing says so with a 503, and its parts in the same form. */
const isHealth = (value: unknown): value is Health =>
  typeof value === 'object' && value !== null && 'checks' in value && Array.isArray(value.checks)

function HealthCard() {
  const { data, error, refetch, isFetching } = $api.useQuery('get', '/health')
  const health = data ?? (isHealth(error) ? error : undefined)
  return (
    <Card
      title={
        <>
          Health{' '}
          {health &&
            (health.status === 'ok' ? (
              <Badge tone="ok" icon={<CircleCheck aria-hidden />}>
                in order
              </Badge>
            ) : (
              <Badge tone="bad" icon={<CircleX aria-hidden />}>
                {health.status}
              </Badge>
            ))}
        </>
      }
      actions={
        <Button size="small" icon={<RotateCw aria-hidden />} busy={isFetching} onClick={() => void refetch()}>
          Look again
        </Button>
      }
    >
      {health === undefined && error !== null && <ErrorState error={error} />}
      {health === undefined && error === null && <Skeleton height={96} />}
      {health && (
        <ul className={css.checks}>
          {health.checks.map(({ name, ok, detail }) => {
            const Icon = ok ? CircleCheck : CircleX
            return (
              <li key={name} className={css.check} data-ok={ok}>
                <Icon aria-label={ok ? 'in order' : 'failing'} />
                <span>{name}</span>
                <span>{detail}</span>
              </li>
            )
          })}
        </ul>
      )}
    </Card>
  )
}

export function AboutPage() {
  const { data, error, refetch } = $api.useQuery('get', '/api/v1/about')
  return (
    <Frame title="About" subtitle="This server." actions={<CliTwin command="windlass --version" />}>
      {error !== null && <ErrorState error={error} onRetry={() => void refetch()} />}
      {error === null && (
        <div className={css.figures}>
          <div className={css.figure}>
            <span>Windlass</span>
            <strong>{data?.version ?? <Skeleton height={28} width={80} />}</strong>
          </div>
          <div className={css.figure}>
            <span>Runs that go on or wait</span>
            <strong>{data?.active_runs ?? <Skeleton height={28} width={40} />}</strong>
          </div>
          <div className={css.figure}>
            <span>Open gates</span>
            <strong>{data?.open_gates ?? <Skeleton height={28} width={40} />}</strong>
          </div>
        </div>
      )}
      <HealthCard />
      <Card title="Addresses">
        <Facts>
          <Fact name="This server">{data?.public_url ?? <Skeleton width={180} />}</Fact>
          <Fact name="Plugin contract">
            <code>{data?.contract ?? '…'}</code>
          </Fact>
          <Fact name="API">
            <a href="/api/v1/openapi.json">/api/v1/openapi.json</a>
          </Fact>
          <Fact name="Prometheus">
            <a href="/metrics">/metrics</a>
          </Fact>
        </Facts>
      </Card>
    </Frame>
  )
}
