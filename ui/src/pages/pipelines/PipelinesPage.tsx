// The pipelines: how their last runs went, how often they succeed, and how long they take.
import { getRouteApi, Link } from '@tanstack/react-router'
import { ListOrdered, Pencil, Play, Plus, Search, Workflow } from 'lucide-react'
import { asRows, byCursor } from '@/api/pages'
import { $api } from '@/api/client'
import { Page } from '@/app/Page'
import { defined } from '@/lib/defined'
import { runStatus } from '@/pages/runs/model'
import { Badge, Button, Card, CliTwin, EmptyState, Input, StatusBadge, Table, Time } from '@/ui'
import { Sparkline } from './Sparkline'
import { percent, took } from './words'
import runs from '@/pages/runs/runs.module.css'

const route = getRouteApi('/shell/pipelines/')
const PAGE = 50

export function PipelinesPage() {
  const { q } = route.useSearch()
  const navigate = route.useNavigate()
  const list = $api.useInfiniteQuery(
    'get',
    '/api/v1/workflows',
    { params: { query: { ...(q !== undefined && { q }), limit: PAGE } } },
    byCursor,
  )
  return (
    <Page
      title="Pipelines"
      actions={
        <>
          <CliTwin command="windlass lint pipeline.yaml" />
          <Button asChild>
            <Link to="/pipelines/sequences">
              <ListOrdered aria-hidden /> Sequences of templates
            </Link>
          </Button>
          <Button kind="primary" asChild>
            <Link to="/pipelines/new">
              <Plus aria-hidden /> New pipeline
            </Link>
          </Button>
        </>
      }
    >
      <div className={runs.filters}>
        <div style={{ width: 280, maxWidth: '100%' }}>
          <Input
            aria-label="Find a pipeline"
            placeholder="Find a pipeline"
            icon={<Search aria-hidden />}
            defaultValue={q ?? ''}
            onChange={(event) => void navigate({ search: defined({ q: event.target.value.trim() || undefined }), replace: true })}
          />
        </div>
      </div>
      <Card flush>
        <Table
          label="Pipelines"
          {...asRows(list)}
          rowKey={(each) => each.name}
          empty={
            q !== undefined ? (
              <EmptyState title="No pipeline by that name" />
            ) : (
              <EmptyState
                icon={<Workflow aria-hidden />}
                title="No pipelines yet"
                actions={
                  <Button kind="primary" asChild>
                    <Link to="/pipelines/new">
                      <Plus aria-hidden /> New pipeline
                    </Link>
                  </Button>
                }
              >
                Write one here, with completion of what your plugins offer, or deploy a file that you have.
              </EmptyState>
            )
          }
          columns={[
            {
              key: 'name',
              name: 'Pipeline',
              cell: (each) => (
                <div className={runs.what}>
                  <Link to="/pipelines/$name" params={{ name: each.name }} className={runs.name}>
                    {each.name}
                  </Link>
                  <span className={runs.detail}>
                    <Badge outline>v{each.version}</Badge>
                    <span>
                      <Time at={each.updated_at_ms} /> by {each.updated_by}
                    </span>
                  </span>
                </div>
              ),
            },
            {
              key: 'last',
              name: 'Last run',
              stacked: 'Last run',
              cell: (each) => {
                const last = each.recent[0]
                return last ? (
                  <span style={{ display: 'inline-flex', gap: 8, flexWrap: 'wrap' }}>
                    <StatusBadge status={runStatus(last)} />
                    <span className="muted">
                      <Time at={last.created_at_ms} />
                    </span>
                  </span>
                ) : (
                  <span className="muted">–</span>
                )
              },
            },
            { key: 'recent', name: 'Recent', stacked: 'Recent', cell: (each) => <Sparkline runs={each.recent} /> },
            { key: 'rate', name: 'Succeeds', stacked: 'Succeeds', end: true, cell: (each) => percent(each.success_rate) },
            { key: 'p50', name: 'Median', stacked: 'Median', end: true, cell: (each) => took(each.median_ms) },
            { key: 'p95', name: '95 %', stacked: '95 % in', end: true, cell: (each) => took(each.p95_ms) },
            {
              key: 'do',
              name: <span className="visually-hidden">Actions</span>,
              end: true,
              width: 150,
              cell: (each) => (
                <span style={{ display: 'inline-flex', gap: 4 }}>
                  <Button size="small" kind="ghost" asChild>
                    <Link to="/pipelines/$name/edit" params={{ name: each.name }} aria-label={`Edit ${each.name}`}>
                      <Pencil aria-hidden />
                    </Link>
                  </Button>
                  <Button size="small" asChild>
                    <Link
                      to="/pipelines/$name"
                      params={{ name: each.name }}
                      search={{ run: true }}
                      aria-label={`Run ${each.name}`}
                    >
                      <Play aria-hidden /> Run
                    </Link>
                  </Button>
                </span>
              ),
            },
          ]}
        />
      </Card>
    </Page>
  )
}
