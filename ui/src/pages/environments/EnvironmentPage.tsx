// One environment: what is deployed there, what was, whether it can be reached, and how it is configured.
import { useMutation } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import {
  Check,
  CircleCheck,
  CircleX,
  Ellipsis,
  History,
  LoaderCircle,
  Pencil,
  Rocket,
  Server,
  Trash2,
  Undo2,
  Zap,
} from 'lucide-react'
import { useState, type ReactNode } from 'react'
import { $api, api, ok } from '@/api/client'
import { asRows, byCursor } from '@/api/pages'
import { refresh } from '@/api/refresh'
import { useCrumb } from '@/app/Crumbs'
import { MayButton, useMay } from '@/app/may'
import { Page } from '@/app/Page'
import { JsonSchemaForm } from '@/forms/JsonSchemaForm'
import { short } from '@/pages/runs/model'
import { Badge } from '@/ui/Badge'
import { Button, IconButton } from '@/ui/Button'
import { CopyButton } from '@/ui/CopyButton'
import { Field, Input } from '@/ui/inputs'
import { CliTwin, Confirm, FormDialog, Menu, MenuItem } from '@/ui/overlays'
import { Card, EmptyState, ErrorState, Fact, Facts, Skeleton } from '@/ui/places'
import { Table } from '@/ui/Table'
import { Duration, Time } from '@/ui/Time'
import { toast } from '@/ui/toast'
import { before, configLines, latency, sharedStart, splitSchema, type Config, type Deployment, type Environment } from './model'
import { curl, DeploymentState, EnvironmentState, useTest } from './parts'
import ui from '@/ui/ui.module.css'
import css from './environments.module.css'

const route = getRouteApi('/shell/environments/$id')

/** What is said by a provider, with addresses in it as links. */
function Message({ text }: { text: string }) {
  const parts = text.split(/(https?:\/\/[^\s,;]+)/)
  return (
    <>
      {parts.map((part, index): ReactNode =>
        index % 2 === 1 ? (
          <a key={index} href={part} target="_blank" rel="noopener noreferrer" className={css.underlined}>
            {part}
          </a>
        ) : (
          part
        ),
      )}
    </>
  )
}

/** A run by its number, as a way to it. */
const InRun = ({ id }: { id: string }) => (
  <Link to="/runs/$run" params={{ run: id }}>
    <code>{short(id)}</code>
  </Link>
)

/** What is not the same in two images: what they share in the beginning is said once, faintly. */
function Difference({ from, to }: { from: string; to: string }) {
  const shared = sharedStart(from, to)
  return (
    <code>
      <span className="muted">{from.slice(0, shared)}</span>
      {from.slice(shared)}
    </code>
  )
}

interface CurrentProps {
  environment: Environment
  /** What a rollback would go back to. */
  earlier: Deployment | undefined
  onRollback: () => void
}

function Current({ environment, earlier, onRollback }: CurrentProps) {
  const { current } = environment
  if (current == null) {
    return (
      <Card title="Deployed now">
        <p className="muted">Nothing yet.</p>
      </Card>
    )
  }
  return (
    <Card
      title="Deployed now"
      actions={
        <>
          <DeploymentState state={current.status} />
          {earlier !== undefined && (
            <MayButton needs="operator" size="small" icon={<Undo2 aria-hidden />} onClick={onRollback}>
              Roll back…
            </MayButton>
          )}
        </>
      }
    >
      <div className={css.fields}>
        <div className={css.image}>
          <code>{current.image}</code>
          <CopyButton text={current.image} label="Copy the image" />
        </div>
        <p className={css.said}>
          <Message text={current.message} />
        </p>
        <Facts>
          <Fact name="Since">
            <Time at={current.at_ms} />
          </Fact>
          <Fact name="By">
            {current.by}
            {current.run != null && (
              <>
                {' '}
                in run <InRun id={current.run} />
              </>
            )}
          </Fact>
          <Fact name="Deploy id">
            <code>{current.deploy_id}</code>
          </Fact>
          {earlier !== undefined && (
            <Fact name="Before it">
              <Difference from={earlier.image} to={current.image} />
            </Fact>
          )}
        </Facts>
      </div>
    </Card>
  )
}

function Connection({ environment, testing, onTest }: { environment: Environment; testing: boolean; onTest: () => void }) {
  const test = environment.last_test
  const Icon = test?.success ? CircleCheck : CircleX
  return (
    <Card
      title="Connection"
      actions={
        <MayButton needs="operator" size="small" icon={<Zap aria-hidden />} busy={testing} onClick={onTest}>
          Test the connection
        </MayButton>
      }
    >
      {testing ? (
        <p className={css.test} role="status">
          <LoaderCircle aria-hidden className={ui.spin} />
          Asking the provider…
        </p>
      ) : test == null ? (
        <p className="muted">Never tested. A test asks the provider with what is configured, and changes nothing.</p>
      ) : (
        <div className={css.fields}>
          <div className={css.result} data-ok={test.success}>
            <Icon aria-hidden />
            <div>
              <strong>{test.success ? 'Reached' : 'Not reached'}</strong>
              <p>{test.message}</p>
            </div>
            <span className={css.latency}>{latency(test.latency)}</span>
          </div>
          {configLines(test.details).length > 0 && (
            <Facts>
              {configLines(test.details).map(([name, value]) => (
                <Fact key={name} name={name}>
                  <code>{value}</code>
                </Fact>
              ))}
            </Facts>
          )}
          <p className={css.small}>
            Tested <Time at={test.at_ms} />
          </p>
        </div>
      )}
    </Card>
  )
}

function Configuration({ environment }: { environment: Environment }) {
  const lines = configLines(environment.config)
  const secrets = Object.keys(environment.secrets)
  return (
    <Card title="Configuration">
      <Facts>
        <Fact name="Provider">
          {environment.provider}
          {environment.region !== '' && <span className="muted"> in {environment.region}</span>}
        </Fact>
        <Fact name="For">{environment.workflow_id === '' ? 'all pipelines' : environment.workflow_id}</Fact>
        {lines.map(([name, value]) => (
          <Fact key={name} name={name}>
            <code>{value}</code>
          </Fact>
        ))}
        {secrets.map((name) => (
          <Fact key={`secret ${name}`} name={name}>
            <Badge tone="ok" icon={<Check aria-hidden />}>
              secret is set
            </Badge>
          </Fact>
        ))}
        <Fact name="Changed">
          <Time at={Date.parse(environment.updated_at)} />
        </Fact>
      </Facts>
    </Card>
  )
}

interface Deploying {
  pending: boolean
  since: number
  error: unknown
  start: (image: string, config: Config) => void
}

function DeployDialog({
  environment,
  deploying,
  onClose,
}: {
  environment: Environment
  deploying: Deploying
  onClose: () => void
}) {
  const [image, setImage] = useState(environment.current?.image ?? '')
  const [config, setConfig] = useState<Config>({})
  const schema = $api.useQuery('get', '/api/v1/providers').data?.find((each) => each.name === environment.provider)?.config_schema
  const { open } = splitSchema(schema)
  const body = { image, ...(Object.keys(config).length > 0 && { config }) }
  return (
    <FormDialog
      title={`Deploy to ${environment.name}`}
      description={
        environment.current == null
          ? 'It would be the first deployment there.'
          : `It takes the place of ${environment.current.image}.`
      }
      action="Deploy"
      busy={deploying.pending}
      disabled={image.trim() === ''}
      error={deploying.error}
      onSubmit={() => deploying.start(image.trim(), config)}
      onClose={onClose}
      aside={<CliTwin command={curl('POST', `/api/v1/admin/environments/${environment.id}/deployments`, body)} />}
      cancel={deploying.pending ? 'Close' : 'Cancel'}
    >
      <Field label="Image" required help="With a tag or, so that nobody can change what it is, a digest.">
        <Input
          mono
          value={image}
          spellCheck={false}
          placeholder="ghcr.io/acme/shop:1.8.2"
          onChange={(event) => setImage(event.target.value)}
        />
      </Field>
      {Object.keys(open.properties ?? {}).length > 0 && (
        <details className={css.more}>
          <summary>For this deployment only</summary>
          <p className={css.small}>What is filled in here counts over what the environment is configured to.</p>
          <JsonSchemaForm
            schema={{ ...open, required: [] }}
            value={config}
            onChange={(value) => setConfig(typeof value === 'object' && value !== null ? (value as Config) : {})}
          />
        </details>
      )}
      {deploying.pending && (
        <p className={css.test} role="status">
          <LoaderCircle aria-hidden className={ui.spin} />
          <span>
            The provider deploys and waits until it is healthy. <Duration from={deploying.since || undefined} to={undefined} />{' '}
            This may be closed; it goes on.
          </span>
        </p>
      )}
    </FormDialog>
  )
}

function useDeployments(id: string) {
  return asRows(
    $api.useInfiniteQuery(
      'get',
      '/api/v1/admin/environments/{id}/deployments',
      { params: { path: { id }, query: {} } },
      byCursor,
    ),
  )
}

function Deployments({ environment, deployments }: { environment: Environment; deployments: ReturnType<typeof useDeployments> }) {
  return (
    <Card title="Deployments" flush>
      <Table<Deployment>
        label="Deployments"
        {...deployments}
        rowKey={(deployment) => String(deployment.id)}
        empty={
          <EmptyState icon={<History aria-hidden />} title="Nothing was deployed yet">
            A step of a pipeline deploys here, or a person with the button above.
          </EmptyState>
        }
        columns={[
          {
            key: 'image',
            name: 'Image',
            cell: (deployment) => (
              <span className={css.rowName}>
                <span className={css.inline}>
                  <code>{deployment.image}</code>
                  {deployment.id === environment.current?.id && <Badge tone="accent">now</Badge>}
                  {deployment.kind === 'rollback' && <Badge icon={<Undo2 aria-hidden />}>rollback</Badge>}
                </span>
                <span className={css.small}>{deployment.message}</span>
              </span>
            ),
          },
          {
            key: 'status',
            name: 'Result',
            stacked: 'Result',
            cell: (deployment) => <DeploymentState state={deployment.status} />,
          },
          {
            key: 'by',
            name: 'By',
            stacked: 'By',
            cell: (deployment) => (
              <span className={css.rowName}>
                {deployment.by}
                {deployment.run != null && (
                  <span className={css.small}>
                    in run <InRun id={deployment.run} />
                  </span>
                )}
              </span>
            ),
          },
          { key: 'at', name: 'When', stacked: 'When', cell: (deployment) => <Time at={deployment.at_ms} /> },
          {
            key: 'took',
            name: 'Took',
            stacked: 'Took',
            end: true,
            cell: (deployment) => <Duration from={deployment.at_ms} to={deployment.ended_at_ms} />,
          },
        ]}
      />
    </Card>
  )
}

type Doing = 'deploy' | 'rollback' | 'delete'

function Loaded({ environment }: { environment: Environment }) {
  const navigate = useNavigate()
  const [doing, setDoing] = useState<Doing>()
  const admin = useMay('admin')
  const testing = useTest(environment)
  const deployments = useDeployments(environment.id)
  const earlier = before(deployments.rows ?? [], environment.current)
  const path = { path: { id: environment.id } }
  const told = (deployment: Deployment) => {
    if (deployment.status === 'failed') toast.info(`${environment.name}: the deployment failed`, deployment.message)
    else toast.ok(`${environment.name} has ${deployment.image}`, deployment.message)
  }
  const deploy = useMutation({
    mutationFn: ({ image, config }: { image: string; config: Config }) =>
      ok(
        api.POST('/api/v1/admin/environments/{id}/deployments', {
          params: path,
          body: { image, config: config as Record<string, never> },
        }),
      ),
    onSuccess: (deployment) => {
      told(deployment)
      setDoing((now) => (now === 'deploy' ? undefined : now))
    },
    onSettled: () => refresh('/api/v1/admin/environments'),
  })
  const rollback = useMutation({
    mutationFn: () => ok(api.POST('/api/v1/admin/environments/{id}/rollback', { params: path })),
    onSuccess: (deployment) => {
      told(deployment)
      setDoing(undefined)
    },
    onError: (problem) => toast.error(problem, 'It was not rolled back'),
    onSettled: () => refresh('/api/v1/admin/environments'),
  })
  const remove = useMutation({
    mutationFn: () => ok(api.DELETE('/api/v1/admin/environments/{id}', { params: path })),
    onSuccess: async () => {
      toast.ok(`${environment.name} is deleted`, 'What is deployed there was left as it is.')
      await navigate({ to: '/environments' })
      await refresh('/api/v1/admin/environments')
    },
    onError: (problem) => toast.error(problem, 'It was not deleted'),
  })
  return (
    <Page
      title={environment.name}
      heading={
        <span className={css.inline}>
          {environment.name} <EnvironmentState state={environment.status} />
        </span>
      }
      subtitle={[environment.provider, environment.region, environment.workflow_id && `only for ${environment.workflow_id}`]
        .filter(Boolean)
        .join(' · ')}
      actions={
        <>
          {admin.may && (
            <Button asChild>
              <Link to="/environments/$id/edit" params={{ id: environment.id }}>
                <Pencil aria-hidden />
                Change
              </Link>
            </Button>
          )}
          <MayButton
            needs="operator"
            kind="primary"
            icon={<Rocket aria-hidden />}
            busy={deploy.isPending && doing !== 'deploy'}
            onClick={() => setDoing('deploy')}
          >
            Deploy…
          </MayButton>
          <Menu
            trigger={
              <IconButton label="More">
                <Ellipsis aria-hidden />
              </IconButton>
            }
          >
            <MenuItem
              danger
              icon={<Trash2 aria-hidden />}
              disabled={!admin.may}
              end={admin.may ? undefined : 'admin'}
              onSelect={() => setDoing('delete')}
            >
              Delete…
            </MenuItem>
          </Menu>
        </>
      }
    >
      <div className={css.columns}>
        <div className={css.stack}>
          <Current environment={environment} earlier={earlier} onRollback={() => setDoing('rollback')} />
          <Deployments environment={environment} deployments={deployments} />
        </div>
        <div className={css.stack}>
          <Connection environment={environment} testing={testing.isPending} onTest={() => testing.mutate()} />
          <Configuration environment={environment} />
        </div>
      </div>
      {doing === 'deploy' && (
        <DeployDialog
          environment={environment}
          deploying={{
            pending: deploy.isPending,
            since: deploy.submittedAt,
            error: deploy.error,
            start: (image, config) => deploy.mutate({ image, config }),
          }}
          onClose={() => {
            setDoing(undefined)
            if (!deploy.isPending) deploy.reset()
          }}
        />
      )}
      <Confirm
        open={doing === 'rollback'}
        onOpenChange={(open) => !open && !rollback.isPending && setDoing(undefined)}
        title={`Roll ${environment.name} back?`}
        action="Roll back"
        busy={rollback.isPending}
        onConfirm={() => rollback.mutate()}
        aside={<CliTwin command={curl('POST', `/api/v1/admin/environments/${environment.id}/rollback`)} />}
      >
        It goes from <code>{environment.current?.image}</code> back to <code>{earlier?.image}</code>, which {earlier?.by} deployed{' '}
        <Time at={earlier?.at_ms} />.
      </Confirm>
      <Confirm
        open={doing === 'delete'}
        danger
        onOpenChange={(open) => !open && setDoing(undefined)}
        title={`Delete ${environment.name}?`}
        action="Delete the environment"
        busy={remove.isPending}
        onConfirm={() => remove.mutate()}
        aside={<CliTwin command={curl('DELETE', `/api/v1/admin/environments/${environment.id}`)} />}
      >
        Its configuration and its secrets go and cannot be had back. What is deployed there stays as it is, and nobody here looks
        after it any more.
      </Confirm>
    </Page>
  )
}

export function EnvironmentPage() {
  const { id } = route.useParams()
  const { data, error, refetch } = $api.useQuery('get', '/api/v1/admin/environments/{id}', { params: { path: { id } } })
  useCrumb(data?.name)
  if (error !== null) {
    return (
      <Page title="Environment">
        {error.status === 404 ? (
          <Card flush>
            <EmptyState
              icon={<Server aria-hidden />}
              title="There is no such environment"
              actions={
                <Button asChild>
                  <Link to="/environments">All environments</Link>
                </Button>
              }
            >
              It may have been deleted.
            </EmptyState>
          </Card>
        ) : (
          <ErrorState error={error} onRetry={() => void refetch()} />
        )}
      </Page>
    )
  }
  if (data === undefined) {
    return (
      <Page title="Environment" heading={<Skeleton width={160} height={28} />}>
        <div className={css.columns} role="status" aria-busy aria-label="Loading">
          <div className={css.stack}>
            <Skeleton height={220} />
            <Skeleton height={320} />
          </div>
          <div className={css.stack}>
            <Skeleton height={180} />
            <Skeleton height={240} />
          </div>
        </div>
      </Page>
    )
  }
  return <Loaded environment={data} />
}
