// What begins a pipeline by itself: webhooks, GitHub, schedules. A webhook's secret is shown once, when it is made.
import { MoreHorizontal, Plus, RefreshCw, Trash2, Webhook } from 'lucide-react'
import { useState } from 'react'
import { $api } from '@/api/client'
import { refresh } from '@/api/refresh'
import type { components } from '@/api/schema'
import { MayButton } from '@/app/may'
import { JsonSchemaForm } from '@/forms/JsonSchemaForm'
import type { FormSchema } from '@/forms/schema'
import {
  Badge,
  Button,
  Card,
  Checkbox,
  Command,
  Confirm,
  CopyButton,
  Dialog,
  EmptyState,
  ErrorState,
  Field,
  FormDialog,
  IconButton,
  Input,
  Menu,
  MenuItem,
  Segmented,
  Select,
  Skeleton,
  Switch,
  Table,
  Time,
  toast,
} from '@/ui'
import css from './pipelines.module.css'

type Api = components['schemas']
type Trigger = Api['Trigger']
type Spec = Api['TriggerSpec']
type Kind = Spec['kind']

const changed = () => refresh('/api/v1/workflows/{name}/triggers', '/api/v1/triggers')

export function Triggers({ workflow, inputs }: { workflow: string; inputs: unknown }) {
  const [making, setMaking] = useState(false)
  const [made, setMade] = useState<Api['MadeTrigger']>()
  const list = $api.useQuery('get', '/api/v1/workflows/{name}/triggers', { params: { path: { name: workflow } } })
  const add = (
    <MayButton needs="operator" icon={<Plus aria-hidden />} onClick={() => setMaking(true)}>
      New trigger
    </MayButton>
  )
  return (
    <>
      {list.isError ? (
        <ErrorState error={list.error} onRetry={() => void list.refetch()} />
      ) : (
        <Card title="Triggers" actions={list.data !== undefined && list.data.length > 0 ? add : undefined} flush>
          {list.data === undefined ? (
            <div style={{ padding: 16 }}>
              <Skeleton height={56} />
            </div>
          ) : list.data.length === 0 ? (
            <EmptyState icon={<Webhook aria-hidden />} title="Nothing begins it by itself" actions={add}>
              A push, a webhook or the time can begin this pipeline.
            </EmptyState>
          ) : (
            list.data.map((trigger) => <Row key={trigger.id} trigger={trigger} onMade={setMade} />)
          )}
        </Card>
      )}
      {making && (
        <New
          workflow={workflow}
          inputs={inputs}
          onClose={() => setMaking(false)}
          onMade={(trigger) => {
            setMaking(false)
            if (trigger.secret != null) setMade(trigger)
          }}
        />
      )}
      {made && <Secret made={made} onClose={() => setMade(undefined)} />}
    </>
  )
}

const WORDS: Record<Kind, string> = { webhook: 'webhook', github: 'GitHub', schedule: 'schedule' }

function says(spec: Spec): string {
  switch (spec.kind) {
    case 'schedule':
      return `${spec.cron}${spec.time_zone ? `, ${spec.time_zone}` : ', UTC'}`
    case 'github':
      return [
        spec.events.map((each) => each.replace('_', ' ')).join(', '),
        spec.branches?.length ? `on ${spec.branches.join(', ')}` : '',
        spec.paths?.length ? `where ${spec.paths.join(', ')} changed` : '',
      ]
        .filter(Boolean)
        .join(' ')
    case 'webhook':
      return spec.filter ?? 'every request'
  }
}

function Row({ trigger, onMade }: { trigger: Trigger; onMade: (made: Api['MadeTrigger']) => void }) {
  const [asking, setAsking] = useState<'delete' | 'rotate'>()
  const [deliveries, setDeliveries] = useState(false)
  const path = { params: { path: { id: trigger.id } } }
  const settled = { onSuccess: changed, onError: (error: unknown) => toast.error(error) }
  const change = $api.useMutation('patch', '/api/v1/triggers/{id}', settled)
  const remove = $api.useMutation('delete', '/api/v1/triggers/{id}', settled)
  const rotate = $api.useMutation('post', '/api/v1/triggers/{id}/rotate', {
    onSuccess: (made) => {
      setAsking(undefined)
      onMade(made)
      void changed()
    },
    onError: (error) => toast.error(error),
  })
  return (
    <div className={css.item}>
      <div className={css.itemHead}>
        <strong>{trigger.name}</strong>
        <Badge outline>{WORDS[trigger.spec.kind]}</Badge>
        {trigger.managed && <Badge outline>from the pipeline's text</Badge>}
        {!trigger.enabled && <Badge>off</Badge>}
        <span className={css.end}>
          <Switch
            label={<span className="visually-hidden">On</span>}
            checked={trigger.enabled}
            onChange={(enabled) => change.mutate({ ...path, body: { enabled } })}
          />
          <Menu
            trigger={
              <IconButton label={`More about ${trigger.name}`}>
                <MoreHorizontal aria-hidden />
              </IconButton>
            }
          >
            <MenuItem onSelect={() => setDeliveries(true)}>What has come of it</MenuItem>
            {trigger.url != null && (
              <MenuItem icon={<RefreshCw aria-hidden />} onSelect={() => setAsking('rotate')}>
                New secret
              </MenuItem>
            )}
            {!trigger.managed && (
              <MenuItem danger icon={<Trash2 aria-hidden />} onSelect={() => setAsking('delete')}>
                Delete
              </MenuItem>
            )}
          </Menu>
        </span>
      </div>
      <div className={css.row} style={{ fontSize: 13 }}>
        <code>{says(trigger.spec)}</code>
        {trigger.next_ms != null && trigger.enabled && (
          <span className="muted">
            next <Time at={trigger.next_ms} />
          </span>
        )}
        {trigger.last != null && (
          <span className="muted">
            last: {trigger.last.status} <Time at={trigger.last.at_ms} />
          </span>
        )}
      </div>
      {trigger.url != null && (
        <div className={css.row} style={{ fontSize: 13 }}>
          <code style={{ overflowWrap: 'anywhere' }}>{trigger.url}</code>
          <CopyButton text={trigger.url} label="Copy the address" />
        </div>
      )}
      <Confirm
        open={asking === 'delete'}
        onOpenChange={() => setAsking(undefined)}
        title={`Delete the trigger ${trigger.name}?`}
        action="Delete"
        danger
        busy={remove.isPending}
        onConfirm={() => remove.mutate(path)}
      >
        It begins nothing any more. The runs that it began stay.
      </Confirm>
      <Confirm
        open={asking === 'rotate'}
        onOpenChange={() => setAsking(undefined)}
        title={`A new secret for ${trigger.name}?`}
        action="Make a new secret"
        busy={rotate.isPending}
        onConfirm={() => rotate.mutate(path)}
      >
        The secret of now goes on being taken for an hour, so that there is time to change it at the sender.
      </Confirm>
      {deliveries && <Deliveries trigger={trigger} onClose={() => setDeliveries(false)} />}
    </div>
  )
}

function Secret({ made, onClose }: { made: Api['MadeTrigger']; onClose: () => void }) {
  return (
    <Dialog
      open
      firm
      onOpenChange={() => {}}
      title="The secret, shown once"
      description="Put it into the sender's settings now. It cannot be shown again; a new one can be made."
      footer={
        <Button kind="primary" onClick={onClose}>
          I have it
        </Button>
      }
    >
      {made.trigger.url != null && <Command>{made.trigger.url}</Command>}
      <Command>{made.secret ?? ''}</Command>
    </Dialog>
  )
}

function Deliveries({ trigger, onClose }: { trigger: Trigger; onClose: () => void }) {
  const list = $api.useQuery('get', '/api/v1/triggers/{id}/deliveries', {
    params: { path: { id: trigger.id }, query: { limit: 50 } },
  })
  const again = $api.useMutation('post', '/api/v1/triggers/{id}/deliveries/{delivery}/redeliver', {
    onSuccess: () => list.refetch(),
    onError: (error) => toast.error(error),
  })
  return (
    <Dialog open wide onOpenChange={(open) => !open && onClose()} title={`What has come of ${trigger.name}`}>
      <Table
        label="Deliveries"
        rows={list.data?.items}
        error={list.error}
        onRetry={() => void list.refetch()}
        rowKey={(each) => String(each.id)}
        empty={<EmptyState title="Nothing yet">What arrives, and what came of it, is listed here.</EmptyState>}
        columns={[
          { key: 'at', name: 'When', stacked: 'When', cell: (each) => <Time at={each.at_ms} /> },
          { key: 'event', name: 'Event', stacked: 'Event', cell: (each) => each.event },
          {
            key: 'status',
            name: 'What came of it',
            stacked: 'Result',
            cell: (each) => (
              <>
                {each.run != null ? <a href={`/runs/${encodeURIComponent(each.run)}`}>{each.status}</a> : each.status}
                {each.reason != null && <div className="muted">{each.reason}</div>}
              </>
            ),
          },
          {
            key: 'again',
            name: <span className="visually-hidden">Again</span>,
            end: true,
            cell: (each) =>
              trigger.spec.kind !== 'schedule' && (
                <Button
                  size="small"
                  busy={again.isPending}
                  onClick={() => again.mutate({ params: { path: { id: trigger.id, delivery: each.id } } })}
                >
                  Once more
                </Button>
              ),
          },
        ]}
      />
    </Dialog>
  )
}

const EVENTS = ['push', 'pull_request', 'tag'] as const
const words = (text: string) => text.split(/[\s,]+/).filter((word) => word !== '')

function New(props: { workflow: string; inputs: unknown; onClose: () => void; onMade: (made: Api['MadeTrigger']) => void }) {
  const [kind, setKind] = useState<Kind>('github')
  const [name, setName] = useState('')
  const [events, setEvents] = useState<readonly (typeof EVENTS)[number][]>(['push'])
  const [branches, setBranches] = useState('')
  const [paths, setPaths] = useState('')
  const [filter, setFilter] = useState('')
  const [cron, setCron] = useState('0 3 * * *')
  const [zone, setZone] = useState(() => Intl.DateTimeFormat().resolvedOptions().timeZone)
  const [overlap, setOverlap] = useState<Api['Overlap']>('skip')
  const [missed, setMissed] = useState<Api['Missed']>('skip')
  const [values, setValues] = useState<unknown>({})
  const make = $api.useMutation('post', '/api/v1/workflows/{name}/triggers', {
    onSuccess: async (made) => {
      toast.ok('The trigger is there', made.trigger.name)
      await changed()
      props.onMade(made)
    },
  })
  const inputs = values as Record<string, unknown>
  const spec = (): Spec => {
    const filtered = filter.trim() === '' ? {} : { filter: filter.trim() }
    switch (kind) {
      case 'schedule':
        return { kind, cron: cron.trim(), time_zone: zone.trim(), overlap, missed, inputs }
      case 'github':
        return { kind, events: [...events], branches: words(branches), paths: words(paths), ...filtered, inputs }
      case 'webhook':
        return { kind, ...filtered, inputs }
    }
  }
  return (
    <FormDialog
      title="New trigger"
      action="Make it"
      busy={make.isPending}
      disabled={name.trim() === ''}
      error={make.error}
      onSubmit={() => make.mutate({ params: { path: { name: props.workflow } }, body: { name: name.trim(), spec: spec() } })}
      onClose={props.onClose}
    >
      <Segmented
        label="Kind"
        value={kind}
        onChange={setKind}
        options={[
          { value: 'github', label: 'GitHub' },
          { value: 'webhook', label: 'Webhook' },
          { value: 'schedule', label: 'Schedule' },
        ]}
      />
      <Field label="Name" required>
        <Input
          value={name}
          onChange={(event) => setName(event.target.value)}
          placeholder={kind === 'schedule' ? 'nightly' : 'on-push'}
        />
      </Field>
      {kind === 'github' && (
        <>
          <div className={css.row} role="group" aria-label="Events">
            {EVENTS.map((each) => (
              <Checkbox
                key={each}
                label={each.replace('_', ' ')}
                checked={events.includes(each)}
                onChange={(on) => setEvents(on ? [...events, each] : events.filter((other) => other !== each))}
              />
            ))}
          </div>
          <Field label="Branches" help="Patterns such as main or release/*; none means every branch.">
            <Input mono value={branches} onChange={(event) => setBranches(event.target.value)} />
          </Field>
          <Field label="Paths" help="Only where one of these changed, such as src/**; none means any.">
            <Input mono value={paths} onChange={(event) => setPaths(event.target.value)} />
          </Field>
        </>
      )}
      {kind !== 'schedule' && (
        <Field label="Filter" help="An expression over the request; what it refuses begins nothing.">
          <Input mono value={filter} onChange={(event) => setFilter(event.target.value)} />
        </Field>
      )}
      {kind === 'schedule' && (
        <>
          <Field label="When" required help="Minute, hour, day of the month, month, day of the week.">
            <Input mono value={cron} onChange={(event) => setCron(event.target.value)} />
          </Field>
          <Field label="Time zone">
            <Input value={zone} onChange={(event) => setZone(event.target.value)} />
          </Field>
          <Field label="While the one before still runs">
            <Select
              value={overlap}
              onChange={(next) => setOverlap(next as Api['Overlap'])}
              options={[
                { value: 'skip', label: 'Skip it' },
                { value: 'queue', label: 'Wait for it' },
                { value: 'allow', label: 'Run beside it' },
                { value: 'cancel-previous', label: 'Cancel the one before' },
              ]}
            />
          </Field>
          <Field label="Times that were missed while the server was down">
            <Select
              value={missed}
              onChange={(next) => setMissed(next as Api['Missed'])}
              options={[
                { value: 'skip', label: 'Leave them' },
                { value: 'run-once', label: 'Run once for all of them' },
              ]}
            />
          </Field>
        </>
      )}
      {hasInputs(props.inputs) && (
        <Field label="Inputs">
          <JsonSchemaForm schema={props.inputs} value={values} onChange={setValues} />
        </Field>
      )}
    </FormDialog>
  )
}

const hasInputs = (schema: unknown): schema is FormSchema =>
  typeof schema === 'object' && schema !== null && Object.keys((schema as FormSchema).properties ?? {}).length > 0
