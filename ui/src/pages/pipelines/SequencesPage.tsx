// Pipelines that are sequences of templates: what runs now, with what a person may say about it; the sequences; the templates.
import { ArrowDown, ArrowUp, ListOrdered, Pencil, Play, Plus, Trash2 } from 'lucide-react'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { $api } from '@/api/client'
import { refresh } from '@/api/refresh'
import type { components } from '@/api/schema'
import { MayButton } from '@/app/may'
import { Page } from '@/app/Page'
import {
  Badge,
  Button,
  Card,
  Command,
  Confirm,
  Duration,
  EmptyState,
  ErrorState,
  Field,
  FormDialog,
  IconButton,
  Input,
  Popover,
  Select,
  Skeleton,
  StatusBadge,
  Switch,
  Table,
  Textarea,
  Time,
  toast,
  toStatus,
} from '@/ui'
import css from './pipelines.module.css'

type Api = components['schemas']
type Sequence = Api['Pipeline']
type Template = Api['TemplateView']
type SequenceRun = Api['PipelineRun']

const LEAST_STEPS = 2 // of a sequence; the documented interface says so
const MOST_STEPS = 50
const SHOWN_RUNS = 20

const changed = () => refresh('/api/pipelines', '/api/workflows')
const failed = (error: unknown) => toast.error(error)
/** The documented interface has seconds. */
const ms = (seconds: number | null | undefined) => (seconds == null ? undefined : seconds * 1_000)

export function SequencesPage() {
  const [editing, setEditing] = useState<Sequence | 'new'>()
  const sequences = $api.useQuery('get', '/api/pipelines', {})
  const runs = $api.useQuery('get', '/api/pipelines/run', { params: { query: { limit: SHOWN_RUNS } } })
  const templates = $api.useQuery('get', '/api/workflows', {})
  const active = runs.data?.runs.filter((run) => run.status === 'running' || run.status === 'pending') ?? []
  const few = (templates.data?.templates.length ?? 0) === 0
  const create = (
    <MayButton needs="operator" kind="primary" icon={<Plus aria-hidden />} disabled={few} onClick={() => setEditing('new')}>
      New sequence
    </MayButton>
  )
  return (
    <Page
      title="Sequences of templates"
      subtitle="Templates that run one after the other."
      actions={
        <>
          <Popover trigger={<Button>API</Button>}>
            <strong>Over HTTP</strong>
            <Command>{'curl -H "x-api-key: $KEY" $SERVER/api/pipelines'}</Command>
            <Command>
              {`curl -H "x-api-key: $KEY" -H 'content-type: application/json' -d '{"action":"start","pipeline_id":1}' $SERVER/api/pipelines/run`}
            </Command>
          </Popover>
          {create}
        </>
      }
    >
      <div className={css.stack}>
        {active.map((run) => (
          <Active key={run.id} run={run} />
        ))}
        {sequences.isError ? (
          <ErrorState error={sequences.error} onRetry={() => void sequences.refetch()} />
        ) : (
          <Card title="Sequences" flush>
            {sequences.data === undefined ? (
              <div style={{ padding: 16 }}>
                <Skeleton height={72} />
              </div>
            ) : sequences.data.pipelines.length === 0 ? (
              <EmptyState icon={<ListOrdered aria-hidden />} title="No sequences yet" actions={few ? undefined : create}>
                {few
                  ? 'Make at least two templates below; a sequence runs them one after the other.'
                  : 'Choose templates and their order.'}
              </EmptyState>
            ) : (
              sequences.data.pipelines.map((each) => <Row key={each.id} sequence={each} onEdit={() => setEditing(each)} />)
            )}
          </Card>
        )}
        <History runs={runs.data?.runs} error={runs.error} onRetry={() => void runs.refetch()} />
        <Templates templates={templates.data?.templates} error={templates.error} onRetry={() => void templates.refetch()} />
      </div>
      {editing !== undefined && (
        <EditSequence
          sequence={editing === 'new' ? undefined : editing}
          templates={templates.data?.templates ?? []}
          onClose={() => setEditing(undefined)}
        />
      )}
    </Page>
  )
}

const Arrow = () => (
  <svg viewBox="0 0 20 12" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden>
    <path d="M0 6h16M13 2l4 4-4 4" />
  </svg>
)

function Steps({ steps }: { steps: readonly { name: string; continues: boolean; status?: string }[] }) {
  return (
    <div className={css.viz} role="list">
      {steps.flatMap((step, index) => [
        ...(index > 0 ? [<Arrow key={`arrow ${index}`} />] : []),
        <div key={index} className={css.vizStep} role="listitem">
          <span className={css.vizBox}>
            {step.status !== undefined && (
              <StatusBadge status={toStatus(step.status === 'pending' ? 'queued' : step.status)} iconOnly />
            )}
            {step.name}
          </span>
          {step.continues && <small>continue on fail</small>}
        </div>,
      ])}
    </div>
  )
}

const asSteps = (run: SequenceRun) =>
  run.steps_snapshot.map((step) => ({ name: step.template_name, continues: step.on_failure === 'continue', status: step.status }))

/** What runs now. A template that is manual waits for a person to say how it went. */
function Active({ run }: { run: SequenceRun }) {
  const act = $api.useMutation('post', '/api/pipelines/run', { onSuccess: changed, onError: failed })
  const current = run.steps_snapshot[run.current_step]
  const say = (success: boolean) => act.mutate({ body: { action: 'advance', run_id: run.id, success } })
  return (
    <section className={css.banner} aria-label={`Run ${run.id} of ${run.pipeline_name}`}>
      <div className={css.bannerHead}>
        <StatusBadge status={run.status === 'pending' ? 'queued' : 'running'} />
        <strong>
          {run.pipeline_name} — Run #{run.id}
        </strong>
        <Link to="/runs/$run" params={{ run: run.run }}>
          Look at it
        </Link>
        <span>
          Step {Math.min(run.current_step + 1, run.steps_snapshot.length)} / {run.steps_snapshot.length}
        </span>
      </div>
      <Steps steps={asSteps(run)} />
      <div className={css.row}>
        {current?.manual === true && (
          <>
            <MayButton needs="operator" size="small" busy={act.isPending} onClick={() => say(true)}>
              Step Done
            </MayButton>
            <MayButton needs="operator" size="small" kind="danger" busy={act.isPending} onClick={() => say(false)}>
              Step Failed
            </MayButton>
          </>
        )}
        <MayButton
          needs="operator"
          size="small"
          kind="ghost"
          busy={act.isPending}
          onClick={() => act.mutate({ body: { action: 'cancel', run_id: run.id } })}
        >
          Cancel
        </MayButton>
      </div>
    </section>
  )
}

function Row({ sequence, onEdit }: { sequence: Sequence; onEdit: () => void }) {
  const [asking, setAsking] = useState(false)
  const start = $api.useMutation('post', '/api/pipelines/run', {
    onSuccess: () => {
      toast.ok('It has begun', sequence.name)
      return changed()
    },
    onError: failed,
  })
  const remove = $api.useMutation('delete', '/api/pipelines', { onSuccess: changed, onError: failed })
  return (
    <div className={css.item}>
      <div className={css.itemHead}>
        <strong>{sequence.name}</strong>
        <span className="muted" style={{ fontSize: 12.5 }}>
          {sequence.runs.total} {sequence.runs.total === 1 ? 'run' : 'runs'}, {sequence.runs.completed} completed,{' '}
          {sequence.runs.failed} failed
          {sequence.last_used_at != null && (
            <>
              , last <Time at={ms(sequence.last_used_at)} />
            </>
          )}
        </span>
        <span className={css.end}>
          <IconButton label={`Edit ${sequence.name}`} onClick={onEdit}>
            <Pencil aria-hidden />
          </IconButton>
          <IconButton label={`Delete ${sequence.name}`} onClick={() => setAsking(true)}>
            <Trash2 aria-hidden />
          </IconButton>
          <MayButton
            needs="operator"
            size="small"
            icon={<Play aria-hidden />}
            busy={start.isPending}
            onClick={() => start.mutate({ body: { action: 'start', pipeline_id: sequence.id } })}
          >
            Start
          </MayButton>
        </span>
      </div>
      {sequence.description != null && sequence.description !== '' && (
        <p style={{ fontSize: 13, color: 'var(--text-2)' }}>{sequence.description}</p>
      )}
      <Steps steps={sequence.steps.map((step) => ({ name: step.template_name, continues: step.on_failure === 'continue' }))} />
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        title={`Delete ${sequence.name}?`}
        action="Delete the sequence"
        danger
        busy={remove.isPending}
        onConfirm={() => remove.mutate({ body: { id: sequence.id } })}
      >
        Its runs stay, and its templates too.
      </Confirm>
    </div>
  )
}

function History({ runs, error, onRetry }: { runs: readonly SequenceRun[] | undefined; error: unknown; onRetry: () => void }) {
  return (
    <Card title="Last runs" flush>
      <Table
        label="Runs of sequences"
        rows={runs}
        rowKey={(run) => String(run.id)}
        error={error}
        onRetry={onRetry}
        empty={<EmptyState title="None has run yet" />}
        columns={[
          {
            key: 'run',
            name: 'Run',
            cell: (run) => (
              <Link to="/runs/$run" params={{ run: run.run }}>
                {run.pipeline_name} #{run.id}
              </Link>
            ),
          },
          {
            key: 'status',
            name: 'Status',
            stacked: 'Status',
            cell: (run) => (
              <span style={{ display: 'inline-flex', gap: 8 }}>
                <StatusBadge status={toStatus(run.status === 'pending' ? 'queued' : run.status)} />
                {run.failed_steps > 0 && run.status === 'completed' && <Badge tone="wait">{run.failed_steps} failed</Badge>}
              </span>
            ),
          },
          { key: 'steps', name: 'Steps', cell: (run) => <Steps steps={asSteps(run)} /> },
          { key: 'by', name: 'By', stacked: 'By', cell: (run) => run.triggered_by },
          {
            key: 'took',
            name: 'Took',
            stacked: 'Took',
            end: true,
            cell: (run) => <Duration from={ms(run.started_at)} to={ms(run.completed_at)} />,
          },
        ]}
      />
    </Card>
  )
}

function EditSequence(props: { sequence: Sequence | undefined; templates: readonly Template[]; onClose: () => void }) {
  const { sequence, templates } = props
  const [name, setName] = useState(sequence?.name ?? '')
  const [description, setDescription] = useState(sequence?.description ?? '')
  const [steps, setSteps] = useState<{ template_id: number; on_failure: string }[]>(
    () => sequence?.steps.map(({ template_id, on_failure }) => ({ template_id, on_failure })) ?? [],
  )
  const settled = {
    onSuccess: async () => {
      await changed()
      props.onClose()
    },
  }
  const create = $api.useMutation('post', '/api/pipelines', settled)
  const change = $api.useMutation('put', '/api/pipelines', settled)
  const move = (at: number, by: number) => {
    const next = [...steps]
    const [step] = next.splice(at, 1)
    if (step) next.splice(at + by, 0, step)
    setSteps(next)
  }
  const body = { name: name.trim(), description, steps }
  return (
    <FormDialog
      wide
      title={sequence ? `Edit ${sequence.name}` : 'New sequence'}
      action={sequence ? 'Save' : 'Create'}
      busy={create.isPending || change.isPending}
      disabled={name.trim() === '' || steps.length < LEAST_STEPS}
      error={create.error ?? change.error}
      onSubmit={() => (sequence ? change.mutate({ body: { ...body, id: sequence.id } }) : create.mutate({ body }))}
      onClose={props.onClose}
    >
      <Field label="Name" required>
        <Input value={name} onChange={(event) => setName(event.target.value)} />
      </Field>
      <Field label="Description">
        <Input value={description} onChange={(event) => setDescription(event.target.value)} />
      </Field>
      <div className={css.steps} role="group" aria-label="Steps">
        {steps.map((step, index) => (
          <div key={index} className={css.stepRow}>
            <span className="muted">{index + 1}</span>
            <div>
              <Select
                aria-label={`Template of step ${index + 1}`}
                value={String(step.template_id)}
                onChange={(next) =>
                  setSteps(steps.map((each, at) => (at === index ? { ...each, template_id: Number(next) } : each)))
                }
                options={templates.map((each) => ({ value: String(each.id), label: each.name }))}
              />
            </div>
            <div className={css.stepFailure}>
              <Select
                aria-label={`After a failure of step ${index + 1}`}
                value={step.on_failure}
                onChange={(next) => setSteps(steps.map((each, at) => (at === index ? { ...each, on_failure: next } : each)))}
                options={[
                  { value: 'stop', label: 'then stop' },
                  { value: 'continue', label: 'go on' },
                ]}
              />
            </div>
            <span style={{ display: 'inline-flex' }}>
              <IconButton size="small" label={`Step ${index + 1} up`} disabled={index === 0} onClick={() => move(index, -1)}>
                <ArrowUp aria-hidden />
              </IconButton>
              <IconButton
                size="small"
                label={`Step ${index + 1} down`}
                disabled={index === steps.length - 1}
                onClick={() => move(index, 1)}
              >
                <ArrowDown aria-hidden />
              </IconButton>
              <IconButton
                size="small"
                label={`Remove step ${index + 1}`}
                onClick={() => setSteps(steps.filter((_, at) => at !== index))}
              >
                <Trash2 aria-hidden />
              </IconButton>
            </span>
          </div>
        ))}
        <div>
          <Button
            size="small"
            icon={<Plus aria-hidden />}
            disabled={steps.length >= MOST_STEPS || templates[0] === undefined}
            onClick={() => templates[0] && setSteps([...steps, { template_id: templates[0].id, on_failure: 'stop' }])}
          >
            Add a step
          </Button>
          {steps.length < LEAST_STEPS && <span className="muted"> A sequence has at least {LEAST_STEPS} steps.</span>}
        </div>
      </div>
    </FormDialog>
  )
}

function Templates({
  templates,
  error,
  onRetry,
}: {
  templates: readonly Template[] | undefined
  error: unknown
  onRetry: () => void
}) {
  const [editing, setEditing] = useState<Template | 'new'>()
  const [removing, setRemoving] = useState<Template>()
  const remove = $api.useMutation('delete', '/api/workflows', {
    onSuccess: async () => {
      setRemoving(undefined)
      await changed()
    },
    onError: failed,
  })
  const add = (
    <MayButton needs="operator" icon={<Plus aria-hidden />} onClick={() => setEditing('new')}>
      New template
    </MayButton>
  )
  return (
    <>
      <Card title="Templates" actions={add} flush>
        <Table
          label="Templates"
          rows={templates}
          rowKey={(each) => String(each.id)}
          error={error}
          onRetry={onRetry}
          empty={
            <EmptyState title="No templates yet">
              A template is what an agent is asked to do, with its model and its limits.
            </EmptyState>
          }
          columns={[
            {
              key: 'name',
              name: 'Template',
              cell: (each) => (
                <span style={{ display: 'inline-flex', gap: 8, flexWrap: 'wrap' }}>
                  <strong>{each.name}</strong>
                  {each.manual && <Badge>manual</Badge>}
                  {each.tags.map((tag) => (
                    <Badge key={tag} outline>
                      {tag}
                    </Badge>
                  ))}
                </span>
              ),
            },
            { key: 'model', name: 'Model', stacked: 'Model', cell: (each) => <code>{each.model}</code> },
            {
              key: 'used',
              name: 'Used by',
              stacked: 'Used by',
              cell: (each) => `${each.used_by} ${each.used_by === 1 ? 'sequence' : 'sequences'}`,
            },
            { key: 'at', name: 'Changed', stacked: 'Changed', cell: (each) => <Time at={ms(each.updated_at)} /> },
            {
              key: 'do',
              name: <span className="visually-hidden">Actions</span>,
              end: true,
              cell: (each) => (
                <span style={{ display: 'inline-flex' }}>
                  <IconButton label={`Edit ${each.name}`} onClick={() => setEditing(each)}>
                    <Pencil aria-hidden />
                  </IconButton>
                  <IconButton label={`Delete ${each.name}`} onClick={() => setRemoving(each)}>
                    <Trash2 aria-hidden />
                  </IconButton>
                </span>
              ),
            },
          ]}
        />
      </Card>
      {editing !== undefined && (
        <EditTemplate template={editing === 'new' ? undefined : editing} onClose={() => setEditing(undefined)} />
      )}
      <Confirm
        open={removing !== undefined}
        onOpenChange={() => setRemoving(undefined)}
        title={`Delete ${removing?.name ?? ''}?`}
        action="Delete the template"
        danger
        busy={remove.isPending}
        onConfirm={() => removing && remove.mutate({ body: { id: removing.id } })}
      >
        It is refused while sequences use it.
      </Confirm>
    </>
  )
}

function EditTemplate({ template, onClose }: { template: Template | undefined; onClose: () => void }) {
  const [name, setName] = useState(template?.name ?? '')
  const [model, setModel] = useState(template?.model ?? '')
  const [prompt, setPrompt] = useState(template?.task_prompt ?? '')
  const [manual, setManual] = useState(template?.manual ?? false)
  const [seconds, setSeconds] = useState(String(template?.timeout_seconds ?? ''))
  const settled = {
    onSuccess: async () => {
      await changed()
      onClose()
    },
  }
  const create = $api.useMutation('post', '/api/workflows', settled)
  const change = $api.useMutation('put', '/api/workflows', settled)
  const body = {
    name: name.trim(),
    task_prompt: prompt,
    manual,
    ...(model.trim() !== '' && { model: model.trim() }),
    ...(Number(seconds) > 0 && { timeout_seconds: Number(seconds) }),
    ...(template && {
      description: template.description ?? null,
      agent_role: template.agent_role ?? null,
      tags: template.tags,
      parameters: template.parameters ?? null,
    }),
  }
  return (
    <FormDialog
      title={template ? `Edit ${template.name}` : 'New template'}
      action={template ? 'Save' : 'Create'}
      busy={create.isPending || change.isPending}
      disabled={name.trim() === '' || prompt.trim() === ''}
      error={create.error ?? change.error}
      onSubmit={() => (template ? change.mutate({ body: { ...body, id: template.id } }) : create.mutate({ body }))}
      onClose={onClose}
    >
      <Field label="Name" required>
        <Input value={name} onChange={(event) => setName(event.target.value)} />
      </Field>
      <Field label="Model">
        <Input mono value={model} onChange={(event) => setModel(event.target.value)} />
      </Field>
      <Field label="What to do" required>
        <Textarea value={prompt} rows={5} onChange={(event) => setPrompt(event.target.value)} />
      </Field>
      <Field label="At most so many seconds">
        <Input inputMode="numeric" value={seconds} onChange={(event) => setSeconds(event.target.value)} />
      </Field>
      <Switch
        label="A person says when it is done"
        help="The sequence then waits at this step for Step Done or Step Failed."
        checked={manual}
        onChange={setManual}
      />
    </FormDialog>
  )
}
