// The tabs of a run besides its overview: tests, findings, artifacts, inputs. The stored events are in `EventsTab`.
import { Archive, Bug, Download, FlaskConical } from 'lucide-react'
import { $api } from '@/api/client'
import { bytes } from '@/lib/time'
import { Badge, Button, Card, CopyButton, Duration, EmptyState, ErrorState, Table, Time } from '@/ui'
import { Json } from './Json'
import type { RunAnswer } from './model'
import css from './runs.module.css'

export function TestsTab({ id }: { id: string }) {
  const { data, error, refetch } = $api.useQuery('get', '/api/v1/runs/{id}/tests', { params: { path: { id } } })
  if (error != null) return <ErrorState error={error} onRetry={() => void refetch()} />
  return (
    <Card flush>
      {data !== undefined && data.total > 0 && (
        <div className={css.counts}>
          <span>
            <strong>{data.total}</strong> tests
          </span>
          {data.failed > 0 && <Badge tone="bad">{data.failed} failed</Badge>}
          {data.flaky > 0 && <Badge tone="wait">{data.flaky} flaky</Badge>}
          {data.skipped > 0 && <Badge>{data.skipped} skipped</Badge>}
          <span className="muted">
            <Duration from={0} to={data.took_ms} />
          </span>
        </div>
      )}
      <Unreadable names={data?.unreadable} />
      <Table
        label="Tests"
        rows={data?.tests}
        rowKey={(test) => `${test.report} ${test.suite} ${test.name}`}
        empty={
          <EmptyState icon={<FlaskConical aria-hidden />} title="No test reports">
            A step that keeps a JUnit report as an artifact has its tests listed here, failures first.
          </EmptyState>
        }
        columns={[
          {
            key: 'status',
            name: 'Result',
            width: 120,
            cell: (test) => (
              <Badge
                tone={test.status === 'passed' ? 'ok' : test.status === 'failed' || test.status === 'error' ? 'bad' : 'idle'}
              >
                {test.status}
              </Badge>
            ),
          },
          {
            key: 'name',
            name: 'Test',
            cell: (test) => (
              <div className={css.what}>
                <span className={css.name}>
                  {test.name} {test.new_failure && <Badge tone="bad">new</Badge>}
                </span>
                <span className={css.detail}>{test.suite}</span>
                {test.message != null && <pre className={css.json}>{test.message}</pre>}
              </div>
            ),
          },
          {
            key: 'took',
            name: 'Took',
            stacked: 'Took',
            end: true,
            width: 90,
            cell: (test) => <Duration from={0} to={test.took_ms} />,
          },
        ]}
      />
    </Card>
  )
}

function Unreadable({ names }: { names: readonly string[] | undefined }) {
  if (names === undefined || names.length === 0) return null
  return (
    <div className={css.sentence}>
      {names.length === 1 ? 'A report' : `${names.length} reports`} could not be read: {names.join(', ')}
    </div>
  )
}

const SEVERITY = {
  critical: 'bad',
  high: 'bad',
  error: 'bad',
  medium: 'wait',
  warning: 'wait',
  low: 'idle',
  note: 'idle',
} as const

export function FindingsTab({ id }: { id: string }) {
  const { data, error, refetch } = $api.useQuery('get', '/api/v1/runs/{id}/findings', { params: { path: { id } } })
  if (error != null) return <ErrorState error={error} onRetry={() => void refetch()} />
  const tone = (severity: string) => SEVERITY[severity as keyof typeof SEVERITY] as 'bad' | 'wait' | 'idle' | undefined
  return (
    <Card flush>
      {data !== undefined && data.findings.length > 0 && (
        <div className={css.counts}>
          {Object.entries(data.counts).map(([severity, count]) => (
            <Badge key={severity} tone={tone(severity) ?? 'idle'}>
              {count} {severity}
            </Badge>
          ))}
        </div>
      )}
      <Unreadable names={data?.unreadable} />
      <Table
        label="Findings"
        rows={data?.findings}
        rowKey={(each) => `${each.report} ${each.rule} ${each.file ?? ''} ${each.line ?? 0} ${each.message}`}
        empty={
          <EmptyState icon={<Bug aria-hidden />} title="No findings">
            A scan that keeps a SARIF report as an artifact has its findings listed here, the new ones first.
          </EmptyState>
        }
        columns={[
          {
            key: 'severity',
            name: 'Severity',
            width: 100,
            cell: (each) => <Badge tone={tone(each.severity) ?? 'idle'}>{each.severity}</Badge>,
          },
          {
            key: 'what',
            name: 'Finding',
            cell: (each) => (
              <div className={css.what} style={{ maxWidth: 640 }}>
                <span>{each.message}</span>
                <span className={css.detail}>
                  <code>{each.rule}</code>
                  {each.file != null && (
                    <code>
                      {each.file}
                      {each.line != null && `:${each.line}`}
                    </code>
                  )}
                </span>
              </div>
            ),
          },
          { key: 'tool', name: 'Tool', stacked: 'Tool', cell: (each) => each.tool },
          {
            key: 'since',
            name: 'Since',
            stacked: 'Since',
            cell: (each) => (each.since === 'new' ? <Badge tone="bad">new</Badge> : each.since),
          },
        ]}
      />
    </Card>
  )
}

export function ArtifactsTab({ id }: { id: string }) {
  const { data, error, refetch } = $api.useQuery('get', '/api/v1/runs/{id}/artifacts', { params: { path: { id } } })
  return (
    <Card flush>
      <Table
        label="Artifacts"
        rows={data}
        error={error}
        onRetry={() => void refetch()}
        rowKey={(each) => each.key}
        empty={
          <EmptyState icon={<Archive aria-hidden />} title="No artifacts">
            What a step keeps with `artifacts_out` can be downloaded here.
          </EmptyState>
        }
        columns={[
          { key: 'key', name: 'Artifact', cell: (each) => <span className={css.name}>{each.key}</span> },
          { key: 'type', name: 'Type', stacked: 'Type', cell: (each) => <code>{each.media_type}</code> },
          { key: 'size', name: 'Size', stacked: 'Size', end: true, cell: (each) => bytes(each.size) },
          {
            key: 'sum',
            name: 'sha256',
            stacked: 'sha256',
            cell: (each) => (
              <span style={{ display: 'inline-flex', alignItems: 'center', gap: 4 }}>
                <code>{each.checksum.replace(/^sha256:/, '').slice(0, 12)}</code>
                <CopyButton text={each.checksum} label="Copy the digest" />
              </span>
            ),
          },
          { key: 'at', name: 'Kept', stacked: 'Kept', cell: (each) => <Time at={each.created_at_ms} /> },
          {
            key: 'get',
            name: <span className="visually-hidden">Download</span>,
            end: true,
            cell: (each) => (
              <Button size="small" asChild>
                <a href={`/api/v1/runs/${encodeURIComponent(id)}/artifacts/${encodeURIComponent(each.key)}`} download>
                  <Download aria-hidden /> Download
                </a>
              </Button>
            ),
          },
        ]}
      />
    </Card>
  )
}

export function InputsTab({ run }: { run: RunAnswer }) {
  const outputs = run.visits
    .flatMap((visit) => visit.steps)
    .filter((step) => step.outputs != null && Object.keys(step.outputs).length > 0)
  return (
    <div className={css.stack}>
      <Card title="Inputs">
        {Object.keys(run.inputs).length === 0 ? <p className="muted">The pipeline has none.</p> : <Json value={run.inputs} />}
      </Card>
      {outputs.map((step, index) => (
        <Card key={`${step.name} ${index}`} title={`Outputs of ${step.name}`}>
          <Json value={step.outputs} />
        </Card>
      ))}
    </div>
  )
}
