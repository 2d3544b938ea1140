// Every component in every state, to look at. Development builds only.
import { CirclePlay, Inbox, Play, Plus, RotateCw, Search, Trash2 } from 'lucide-react'
import { useMemo, useState, type ReactNode } from 'react'
import { Page } from '@/app/Page'
import { ProblemError } from '@/api/problem'
import { YamlEditor, type Diagnostic } from '@/editor'
import { JsonSchemaForm } from '@/forms/JsonSchemaForm'
import { initial, validate } from '@/forms/schema'
import { LogView, type Selection } from '@/log/LogView'
import { createLogStore } from '@/log/store'
import { RunGraph } from '@/run/RunGraph'
import { StepList } from '@/run/StepList'
import { Waterfall } from '@/run/Waterfall'
import {
  Badge,
  Button,
  CapabilityBadge,
  Card,
  Checkbox,
  CliTwin,
  Command,
  Confirm,
  Dialog,
  Drawer,
  Duration,
  EmptyState,
  ErrorState,
  Fact,
  Facts,
  Field,
  IconButton,
  Input,
  Kbd,
  Menu,
  MenuItem,
  MenuSeparator,
  Prose,
  Segmented,
  Select,
  SignatureBadge,
  Skeleton,
  STATUS,
  StatusBadge,
  Switch,
  Table,
  Tabs,
  Textarea,
  Time,
  toast,
  type Sort,
  type Status,
} from '@/ui'
import { form, logLine, NOW, pipeline, run, states, wide } from './samples'

const Row = ({ children }: { children: ReactNode }) => (
  <div style={{ display: 'flex', flexWrap: 'wrap', gap: 12, alignItems: 'center' }}>{children}</div>
)
const Stack = ({ children }: { children: ReactNode }) => <div style={{ display: 'grid', gap: 16, minWidth: 0 }}>{children}</div>

export function GalleryPage() {
  return (
    <Page title="Gallery" subtitle="Every part in every state." wide>
      <Stack>
        <Parts />
        <Places />
        <Tables />
        <Forms />
        <Runs />
        <Logs />
        <Editors />
      </Stack>
    </Page>
  )
}

function Parts() {
  const [dialog, setDialog] = useState<'dialog' | 'confirm' | 'drawer'>()
  const [choice, setChoice] = useState<string>()
  const [on, setOn] = useState(true)
  const [view, setView] = useState<'graph' | 'list'>('graph')
  const open = (which: typeof dialog) => ({
    open: dialog === which,
    onOpenChange: (next: boolean) => setDialog(next ? which : undefined),
  })
  return (
    <>
      <Card title="Buttons">
        <Row>
          <Button kind="primary" icon={<Play aria-hidden />}>
            Run pipeline
          </Button>
          <Button icon={<RotateCw aria-hidden />}>Rerun</Button>
          <Button kind="ghost">Ghost</Button>
          <Button kind="danger">Cancel the run</Button>
          <Button kind="danger-solid">Remove</Button>
          <Button busy>Deploying</Button>
          <Button disabled>Disabled</Button>
          <Button size="small">Small</Button>
          <IconButton label="Remove">
            <Trash2 aria-hidden />
          </IconButton>
          <CliTwin command="windlass run release.yaml --input version=1.2.0" />
          <Menu trigger={<Button>Menu</Button>}>
            <MenuItem icon={<RotateCw aria-hidden />}>All steps</MenuItem>
            <MenuItem icon={<CirclePlay aria-hidden />} end="f">
              Failed steps
            </MenuItem>
            <MenuSeparator />
            <MenuItem danger icon={<Trash2 aria-hidden />}>
              Remove
            </MenuItem>
          </Menu>
          <Button onClick={() => setDialog('dialog')}>Dialog</Button>
          <Button onClick={() => setDialog('confirm')}>Confirm</Button>
          <Button onClick={() => setDialog('drawer')}>Drawer</Button>
          <Button onClick={() => toast.ok('Deployed', 'release, version 4')}>Toast</Button>
          <Button onClick={() => toast.error(new TypeError('x'), 'Deploying')}>Error toast</Button>
          <Kbd>Ctrl K</Kbd>
        </Row>
        <Dialog
          {...open('dialog')}
          title="Install windlass:docker 0.2.0"
          description="It asks for the following."
          footer={
            <>
              <Button onClick={() => setDialog(undefined)}>Not now</Button>
              <Button kind="primary">Install and grant</Button>
            </>
          }
        >
          <Facts>
            <Fact name={<CapabilityBadge capability="containers" />}>It may start containers on this machine.</Fact>
            <Fact name={<CapabilityBadge capability="secrets-reveal" />}>It may read the text of secrets.</Fact>
          </Facts>
        </Dialog>
        <Confirm
          {...open('confirm')}
          title="Cancel run 41?"
          action="Cancel the run"
          danger
          onConfirm={() => setDialog(undefined)}
        >
          Steps that run are asked to stop. What they did stays done.
        </Confirm>
        <Drawer {...open('drawer')} title="Details">
          <Command>windlass gates approve 01JQ7Z3C approve</Command>
        </Drawer>
      </Card>
      <Card title="Badges">
        <Stack>
          <Row>
            {(Object.keys(STATUS) as Status[]).map((status) => (
              <StatusBadge key={status} status={status} />
            ))}
          </Row>
          <Row>
            {(Object.keys(STATUS) as Status[]).map((status) => (
              <StatusBadge key={status} status={status} pill />
            ))}
          </Row>
          <Row>
            {['network', 'containers', 'secrets', 'secrets-reveal', 'artifacts', 'state', 'providers', 'something-new'].map(
              (capability) => (
                <CapabilityBadge key={capability} capability={capability} />
              ),
            )}
            <SignatureBadge verdict="verified" />
            <SignatureBadge verdict="unsigned" />
            <SignatureBadge verdict="bad" />
            <Badge tone="accent">new</Badge>
            <Badge outline>v0.1.4</Badge>
          </Row>
          <Row>
            <Time at={NOW - 42_000} />
            <Time at={NOW + 3_600_000} />
            <Duration from={NOW - 125_000} to={undefined} />
            <Duration from={0} to={8_040_000} />
          </Row>
        </Stack>
      </Card>
      <Card title="Inputs">
        <div style={{ display: 'grid', gap: 16, gridTemplateColumns: 'repeat(auto-fill, minmax(240px, 1fr))' }}>
          <Field label="Name" required help="Letters, digits and hyphens.">
            <Input placeholder="production" />
          </Field>
          <Field label="Region" error="There is no region eu-9.">
            <Input defaultValue="eu-9" />
          </Field>
          <Field label="Provider">
            <Select
              value={choice}
              onChange={setChoice}
              options={['local', 'aws', 'gcp'].map((value) => ({ value, label: value }))}
            />
          </Field>
          <Field label="Find">
            <Input icon={<Search aria-hidden />} placeholder="Find a plugin" />
          </Field>
          <Field label="Not to be changed">
            <Input disabled defaultValue="fixed" />
          </Field>
          <Field label="Comment">
            <Textarea placeholder="Why" />
          </Field>
          <Stack>
            <Switch label="Canary" help="A tenth of the traffic first." checked={on} onChange={setOn} />
            <Checkbox label="Only mine" checked={on} onChange={setOn} />
            <Segmented
              label="View"
              value={view}
              onChange={setView}
              options={[
                { value: 'graph', label: 'Graph' },
                { value: 'list', label: 'List' },
              ]}
            />
          </Stack>
        </div>
      </Card>
    </>
  )
}

function Places() {
  const [tab, setTab] = useState('readme')
  return (
    <>
      <Card title="Nothing, nothing yet, wrong">
        <div style={{ display: 'grid', gap: 16, gridTemplateColumns: 'repeat(auto-fit, minmax(min(320px, 100%), 1fr))' }}>
          <EmptyState
            icon={<Inbox aria-hidden />}
            title="No runs yet"
            actions={
              <Button kind="primary" icon={<Plus aria-hidden />}>
                New pipeline
              </Button>
            }
          >
            Deploy a pipeline and run it: everything that it does appears here.
          </EmptyState>
          <div>
            <ErrorState
              error={
                new ProblemError({
                  title: 'No such run',
                  status: 404,
                  code: 'WL1503',
                  detail: 'There is no run 01JQ7Z3C in this project.',
                  help: 'Look at `windlass runs` for those that there are.',
                  requestId: 'req-7f3a91',
                })
              }
              onRetry={() => {}}
            />
          </div>
          <Stack>
            <Skeleton width={140} height={20} />
            <Skeleton />
            <Skeleton width="70%" />
          </Stack>
        </div>
      </Card>
      <Card>
        <Tabs
          label="A plugin"
          value={tab}
          onChange={setTab}
          tabs={[
            {
              value: 'readme',
              label: 'README',
              content: (
                <Prose html='<h2>docker</h2><p>Builds <a href="https://example.org">images</a> with <code>docker build</code>.<script>alert(1)</script><img src=x onerror="alert(1)"></p><ul><li>one</li><li>two</li></ul><pre><code>- type: step.docker_build</code></pre>' />
              ),
            },
            { value: 'versions', label: 'Versions', count: 12, content: 'Versions' },
          ]}
        />
      </Card>
    </>
  )
}

interface Line {
  name: string
  status: Status
  at: number
  took: number
}
const LINES: Line[] = [
  { name: 'release', status: 'running', at: NOW - 96_000, took: 0 },
  { name: 'build-and-test', status: 'failed', at: NOW - 3_600_000, took: 185_000 },
  { name: 'nightly', status: 'succeeded', at: NOW - 86_400_000, took: 8_040_000 },
]

function Tables() {
  const [sort, setSort] = useState<Sort>({ key: 'at', down: true })
  const columns = [
    { key: 'status', name: 'Status', cell: (row: Line) => <StatusBadge status={row.status} /> },
    { key: 'name', name: 'Pipeline', stacked: 'Pipeline', sortable: true, cell: (row: Line) => row.name },
    { key: 'at', name: 'Started', stacked: 'Started', sortable: true, cell: (row: Line) => <Time at={row.at} /> },
    {
      key: 'took',
      name: 'Took',
      stacked: 'Took',
      end: true,
      cell: (row: Line) => <Duration from={row.at} to={row.took === 0 ? undefined : row.at + row.took} />,
    },
  ]
  return (
    <>
      <Card title="A table" flush>
        <Table
          label="Runs"
          columns={columns}
          rows={LINES}
          rowKey={(row) => row.name}
          sort={sort}
          onSort={setSort}
          more={{ onMore: () => {}, loading: false }}
        />
      </Card>
      <Card title="A table that loads" flush>
        <Table label="Loading" columns={columns} rows={undefined} rowKey={(row) => row.name} />
      </Card>
    </>
  )
}

function Forms() {
  const [value, setValue] = useState<unknown>(() => initial(form))
  const [sent, setSent] = useState(false)
  return (
    <Card title="A form out of a schema">
      <div style={{ maxWidth: 520 }}>
        <Stack>
          <JsonSchemaForm
            schema={form}
            value={value}
            onChange={setValue}
            errors={sent ? validate(form, value) : {}}
            secrets={['docker-hub', 'deploy-key']}
          />
          <div>
            <Button kind="primary" onClick={() => setSent(true)}>
              Run
            </Button>
          </div>
        </Stack>
      </div>
    </Card>
  )
}

function Runs() {
  const [step, setStep] = useState<string | undefined>('unit-tests')
  const [other, setOther] = useState<string>()
  return (
    <>
      <Card title="A run: graph" flush>
        <div style={{ height: 340 }}>
          <RunGraph run={run} selected={step} onSelect={setStep} />
        </div>
      </Card>
      <div style={{ display: 'grid', gap: 16, gridTemplateColumns: 'repeat(auto-fit, minmax(min(420px, 100%), 1fr))' }}>
        <Card title="Waterfall" flush>
          <div style={{ height: 400, display: 'flex', flexDirection: 'column' }}>
            <Waterfall run={run} selected={step} onSelect={setStep} />
          </div>
        </Card>
        <Card title="List" flush>
          <div style={{ height: 400 }}>
            <StepList run={run} selected={step} onSelect={setStep} />
          </div>
        </Card>
      </div>
      <Card title="States" flush>
        <div style={{ height: 300 }}>
          <RunGraph run={states} selected={other} onSelect={setOther} />
        </div>
      </Card>
      <Card title="402 steps" flush>
        <div style={{ height: 200 }}>
          <RunGraph run={wide} selected={other} onSelect={setOther} />
        </div>
      </Card>
    </>
  )
}

function Logs() {
  const [chosen, setChosen] = useState<Selection | undefined>({ from: 31, to: 33 })
  const small = useMemo(() => store(260, true), [])
  const huge = useMemo(() => store(12_000_000, false), [])
  const none = useMemo(() => store(0, false), [])
  return (
    <>
      <Card title="A log" flush>
        <div style={{ height: 420 }}>
          <LogView
            store={small}
            step="build"
            selection={chosen}
            onSelect={setChosen}
            startedMs={NOW - 96_000}
            rawHref="#"
            title={<StatusBadge status="failed" />}
            failed
          />
        </div>
      </Card>
      <Card title="A log of a gigabyte: 12 million lines" flush>
        <div style={{ height: 260 }} data-testid="huge">
          <LogView store={huge} step="huge" startedMs={NOW - 96_000} title={<StatusBadge status="running" />} />
        </div>
      </Card>
      <Card title="No line yet" flush>
        <div style={{ height: 260 }}>
          <LogView store={none} step="none" />
        </div>
      </Card>
    </>
  )
}
const store = (total: number, complete: boolean) =>
  createLogStore({
    total,
    complete,
    getRange: (from, to) => Promise.resolve(Array.from({ length: to - from + 1 }, (_, index) => logLine(from + index))),
  })

const SCHEMA = {
  type: 'object',
  properties: {
    name: { type: 'string', description: 'What the pipeline is called.' },
    inputs: { type: 'object' },
    steps: {
      type: 'array',
      items: {
        type: 'object',
        required: ['name', 'type'],
        properties: {
          name: { type: 'string', description: 'Unique in its pipeline.' },
          type: { enum: ['step.shell_exec', 'step.docker_build'], description: 'What an installed plugin offers.' },
          needs: { type: 'array' },
          timeout: { type: 'string', default: '5m' },
        },
      },
    },
  },
}

function Editors() {
  const [text, setText] = useState(pipeline)
  const lint = useMemo(
    () =>
      (source: string): Promise<Diagnostic[]> => {
        const lines = source.split('\n')
        const line = lines.findIndex((each) => each.includes('docker_bild'))
        if (line < 0) return Promise.resolve([])
        return Promise.resolve([
          {
            severity: 'error',
            line: line + 1,
            column: (lines[line]?.indexOf('step.') ?? 0) + 1,
            endColumn: (lines[line]?.length ?? 0) + 1,
            code: 'WL0201',
            message: 'No installed plugin has the step type `step.docker_bild`.',
            help: 'Did you mean `step.docker_build` of windlass:docker?',
          },
        ])
      },
    [],
  )
  return (
    <Card title="The editor" flush>
      <div style={{ height: 340 }}>
        <YamlEditor value={text} onChange={setText} lint={lint} schema={SCHEMA} />
      </div>
    </Card>
  )
}
