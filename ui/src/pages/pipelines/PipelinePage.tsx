// One pipeline: its runs, its graph, its versions with what changed, and what begins it.
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { MoreHorizontal, Pencil, Play, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { asRows, byCursor } from '@/api/pages'
import { $api } from '@/api/client'
import { refresh } from '@/api/refresh'
import { useCrumb } from '@/app/Crumbs'
import { MayButton } from '@/app/may'
import { Page } from '@/app/Page'
import { defined } from '@/lib/defined'
import { RunTable } from '@/pages/runs/RunTable'
import { RunGraph } from '@/run/RunGraph'
import {
  Badge,
  Button,
  Card,
  CliTwin,
  Confirm,
  Dialog,
  EmptyState,
  ErrorState,
  IconButton,
  Menu,
  MenuItem,
  Skeleton,
  Table,
  Tabs,
  Time,
  toast,
} from '@/ui'
import { Notice } from '@/ui/Notice'
import { around, diff } from './diff'
import { planAsRun } from './graph'
import { RunDialog } from './RunDialog'
import { Trend } from './Trend'
import { Triggers } from './Triggers'
import css from './pipelines.module.css'

const route = getRouteApi('/shell/pipelines/$name/')
const PAGE = 50

export function PipelinePage() {
  const { name } = route.useParams()
  const { tab = 'runs', run: asking = false } = route.useSearch()
  const navigate = route.useNavigate()
  const go = useNavigate()
  const [removing, setRemoving] = useState(false)
  const { data, error, refetch } = $api.useQuery('get', '/api/v1/workflows/{name}', { params: { path: { name } } })
  const remove = $api.useMutation('delete', '/api/v1/workflows/{name}', {
    onSuccess: () => {
      toast.ok('The pipeline is deleted', name)
      void refresh('/api/v1/workflows')
      void go({ to: '/pipelines' })
    },
    onError: (thrown) => toast.error(thrown, 'Deleting'),
  })
  useCrumb(name)
  const errors = data?.diagnostics.filter((each) => each.severity === 'error') ?? []
  return (
    <Page
      title={name}
      subtitle={
        data && (
          <>
            version {data.version}, <Time at={data.updated_at_ms} /> by {data.updated_by}
          </>
        )
      }
      actions={
        <>
          <CliTwin command={[`windlass run ${name}.yaml`, `windlass plan ${name}.yaml`]} />
          <Menu
            trigger={
              <IconButton label="More">
                <MoreHorizontal aria-hidden />
              </IconButton>
            }
          >
            <MenuItem danger icon={<Trash2 aria-hidden />} onSelect={() => setRemoving(true)}>
              Delete the pipeline
            </MenuItem>
          </Menu>
          <Button asChild>
            <Link to="/pipelines/$name/edit" params={{ name }}>
              <Pencil aria-hidden /> Edit
            </Link>
          </Button>
          <MayButton
            needs="operator"
            kind="primary"
            icon={<Play aria-hidden />}
            disabled={data === undefined || errors.length > 0}
            onClick={() => void navigate({ search: (before) => ({ ...before, run: true }) })}
          >
            Run
          </MayButton>
        </>
      }
    >
      {error != null ? (
        <ErrorState error={error} onRetry={() => void refetch()} />
      ) : (
        <div className={css.stack}>
          {errors.length > 0 && (
            <Notice
              tone="bad"
              title="It cannot run with what is installed now"
              actions={
                <Button asChild>
                  <Link to="/pipelines/$name/edit" params={{ name }}>
                    Look at it
                  </Link>
                </Button>
              }
            >
              <ul>
                {errors.slice(0, 3).map((each) => (
                  <li key={`${each.line}:${each.column} ${each.message}`}>
                    line {each.line}: {each.message}
                  </li>
                ))}
              </ul>
            </Notice>
          )}
          <Trend pipeline={data} />
          <Tabs
            label="The pipeline"
            value={tab}
            onChange={(next) =>
              void navigate({ search: defined({ tab: next as typeof tab }), replace: true, resetScroll: false })
            }
            tabs={[
              {
                value: 'runs',
                label: 'Runs',
                content: <Runs name={name} onRun={() => void navigate({ search: { run: true } })} />,
              },
              {
                value: 'graph',
                label: 'Graph',
                content: (
                  <Card flush>
                    <div style={{ height: 420 }}>
                      {data === undefined ? (
                        <Skeleton height="100%" />
                      ) : data.graph == null ? (
                        <EmptyState title="It cannot be drawn">
                          The pipeline cannot be loaded with what is installed now.
                        </EmptyState>
                      ) : (
                        <RunGraph run={planAsRun(data.graph)} selected={undefined} onSelect={() => {}} />
                      )}
                    </div>
                  </Card>
                ),
              },
              { value: 'versions', label: 'Versions', content: <Versions name={name} newest={data?.version} /> },
              { value: 'triggers', label: 'Triggers', content: <Triggers workflow={name} inputs={data?.input_schema} /> },
            ]}
          />
        </div>
      )}
      {data && (
        <RunDialog
          name={name}
          schema={data.input_schema}
          open={asking}
          onOpenChange={(open) => !open && void navigate({ search: (before) => defined({ ...before, run: undefined }) })}
        />
      )}
      <Confirm
        open={removing}
        onOpenChange={setRemoving}
        title={`Delete ${name}?`}
        action="Delete the pipeline"
        danger
        busy={remove.isPending}
        onConfirm={() => remove.mutate({ params: { path: { name } } })}
      >
        Its versions and triggers are deleted with it. Its runs stay.
      </Confirm>
    </Page>
  )
}

function Runs({ name, onRun }: { name: string; onRun: () => void }) {
  const runs = $api.useInfiniteQuery('get', '/api/v1/runs', { params: { query: { workflow: name, limit: PAGE } } }, byCursor)
  return (
    <Card flush>
      <RunTable
        plain
        {...asRows(runs)}
        empty={
          <EmptyState
            icon={<Play aria-hidden />}
            title="It has not run yet"
            actions={
              <MayButton needs="operator" kind="primary" icon={<Play aria-hidden />} onClick={onRun}>
                Run
              </MayButton>
            }
          />
        }
      />
    </Card>
  )
}

function Versions({ name, newest }: { name: string; newest: number | undefined }) {
  const [shown, setShown] = useState<number>()
  const versions = $api.useInfiniteQuery(
    'get',
    '/api/v1/workflows/{name}/versions',
    { params: { path: { name }, query: { limit: PAGE } } },
    byCursor,
  )
  return (
    <Card flush>
      <Table
        label="Versions"
        {...asRows(versions)}
        rowKey={(each) => String(each.version)}
        columns={[
          {
            key: 'version',
            name: 'Version',
            width: 130,
            cell: (each) => (
              <span style={{ display: 'inline-flex', gap: 6 }}>
                <Badge outline>v{each.version}</Badge>
                {each.version === newest && <Badge tone="accent">newest</Badge>}
              </span>
            ),
          },
          { key: 'message', name: 'Change', stacked: 'Change', cell: (each) => each.message ?? <span className="muted">–</span> },
          { key: 'by', name: 'By', stacked: 'By', cell: (each) => each.created_by },
          { key: 'at', name: 'When', stacked: 'When', cell: (each) => <Time at={each.created_at_ms} /> },
          {
            key: 'digest',
            name: 'sha256',
            stacked: 'sha256',
            cell: (each) => <code>{each.digest.replace(/^sha256:/, '').slice(0, 12)}</code>,
          },
          {
            key: 'diff',
            name: <span className="visually-hidden">Changes</span>,
            end: true,
            cell: (each) => (
              <Button size="small" onClick={() => setShown(each.version)}>
                What changed
              </Button>
            ),
          },
        ]}
      />
      {shown !== undefined && <Changes name={name} version={shown} onClose={() => setShown(undefined)} />}
    </Card>
  )
}

function Changes({ name, version, onClose }: { name: string; version: number; onClose: () => void }) {
  const at = (number: number) => ({ params: { path: { name, version: number } } })
  const after = $api.useQuery('get', '/api/v1/workflows/{name}/versions/{version}', at(version))
  const before = $api.useQuery('get', '/api/v1/workflows/{name}/versions/{version}', at(version - 1), { enabled: version > 1 })
  const error = after.error ?? before.error
  const ready = after.data !== undefined && (version === 1 || before.data !== undefined)
  return (
    <Dialog
      open
      wide
      onOpenChange={(open) => !open && onClose()}
      title={version === 1 ? `${name}, version 1` : `${name}: what changed in version ${version}`}
    >
      {error != null ? (
        <ErrorState error={error} />
      ) : !ready ? (
        <Skeleton height={240} />
      ) : (
        // A long text is scrolled with the keyboard, too.
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        <pre className={css.diff} tabIndex={0} aria-label="Changes">
          {(version === 1
            ? after.data.yaml.split('\n').map((text) => ({ kind: ' ' as const, text }))
            : around(diff(before.data?.yaml ?? '', after.data.yaml))
          ).map((change, index) => (
            <div key={index} data-kind={change?.kind}>
              {change === undefined ? '⋯' : `${change.kind} ${change.text}`}
            </div>
          ))}
        </pre>
      )}
    </Dialog>
  )
}
