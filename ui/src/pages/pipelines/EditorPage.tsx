// Writing a pipeline: diagnostics of the server as it is written, completion of what is installed, the graph and the permissions that
// it would have, and deploying it.
import { getRouteApi, Link, useBlocker, useNavigate } from '@tanstack/react-router'
import { CircleCheck, CircleX, Info, Rocket, TriangleAlert } from 'lucide-react'
import { useCallback, useMemo, useRef, useState } from 'react'
import { $api, api, ok } from '@/api/client'
import { refresh } from '@/api/refresh'
import type { components } from '@/api/schema'
import { MayButton } from '@/app/may'
import { Page } from '@/app/Page'
import { Words } from '@/ui/Words'
import { YamlEditor, type Diagnostic } from '@/editor'
import { RunGraph } from '@/run/RunGraph'
import {
  Badge,
  Button,
  Card,
  CliTwin,
  Confirm,
  EmptyState,
  ErrorState,
  Field,
  FormDialog,
  Input,
  Select,
  Skeleton,
  Switch,
  toast,
} from '@/ui'
import { planAsRun } from './graph'
import { RunDialog } from './RunDialog'
import css from './pipelines.module.css'

type Api = components['schemas']
type Lint = Api['Lint']

const route = getRouteApi('/shell/pipelines/$name/edit')
const MOST_MESSAGE = 500 // characters; the server's limit

const FRESH = `name: hello
inputs:
  who: { type: string, default: "world", description: "whom to greet" }
steps:
  - name: greet
    type: step.shell_exec
    config:
      image: busybox
      commands:
        - echo "Hello, $WHO"
      env:
        WHO: "{{ inputs.who }}"
`

export const NewPipelinePage = () => <EditorPage text={FRESH} />

export function EditPipelinePage() {
  const { name } = route.useParams()
  const { data, error, refetch } = $api.useQuery(
    'get',
    '/api/v1/workflows/{name}',
    { params: { path: { name } } },
    { staleTime: Infinity, gcTime: 0 },
  )
  if (data === undefined) {
    return (
      <Page title={`Edit ${name}`} wide>
        {error != null ? <ErrorState error={error} onRetry={() => void refetch()} /> : <Skeleton height={520} />}
      </Page>
    )
  }
  return <EditorPage key={name} name={name} text={data.yaml} version={data.version} pipeline={data.pipeline ?? undefined} />
}

const severity = (word: string): Diagnostic['severity'] => (word === 'error' ? 'error' : word === 'warning' ? 'warning' : 'info')

const toDiagnostic = (row: Api['DiagnosticRow']): Diagnostic => ({
  severity: severity(row.severity),
  line: row.line,
  column: row.column,
  endLine: row.end_line,
  endColumn: row.end_column,
  code: row.code,
  message: row.message,
  help: row.help ?? undefined,
})

function EditorPage(props: { text: string; name?: string; version?: number; pipeline?: string | undefined }) {
  const [text, setText] = useState(props.text)
  const [saved, setSaved] = useState(props.name === undefined ? '' : props.text)
  const [version, setVersion] = useState(props.version)
  const [pipeline, setPipeline] = useState(props.pipeline)
  const [lint, setLint] = useState<Lint>()
  const [silent, setSilent] = useState<unknown>()
  const [goTo, setGoTo] = useState<{ line: number; column: number }>()
  const [deploying, setDeploying] = useState(false)
  const [running, setRunning] = useState<{ name: string; schema: unknown }>()
  const schema = $api.useQuery('get', '/api/v1/editor-schema', {}, { staleTime: Infinity })
  const dirty = text !== saved && !(props.name === undefined && text === FRESH)

  // The last text that was asked about is the one that counts: answers may overtake each other.
  const asked = useRef('')
  const check = useCallback(
    async (source: string): Promise<readonly Diagnostic[]> => {
      asked.current = source
      try {
        const answer = await ok(api.POST('/api/v1/lint', { body: { yaml: source, ...(pipeline !== undefined && { pipeline }) } }))
        if (asked.current === source) {
          setLint(answer)
          setSilent(undefined)
        }
        return answer.diagnostics.map(toDiagnostic)
      } catch (error) {
        setSilent(error)
        throw error
      }
    },
    [pipeline],
  )

  const leaving = useBlocker({ shouldBlockFn: () => dirty, enableBeforeUnload: () => dirty, withResolver: true })
  const errors = lint?.diagnostics.filter((each) => each.severity === 'error').length ?? 0
  const title = props.name === undefined ? 'New pipeline' : `Edit ${props.name}`
  return (
    <Page
      wide
      title={title}
      subtitle={
        version === undefined ? undefined : (
          <>
            version {version}
            {dirty && ', changed here'}
          </>
        )
      }
      actions={
        <>
          <CliTwin
            command={[`windlass lint ${lint?.name ?? 'pipeline'}.yaml`, `windlass plan ${lint?.name ?? 'pipeline'}.yaml`]}
          />
          {props.name !== undefined && (
            <Button asChild>
              <Link to="/pipelines/$name" params={{ name: props.name }}>
                Back
              </Link>
            </Button>
          )}
          <MayButton
            needs="operator"
            kind="primary"
            icon={<Rocket aria-hidden />}
            disabled={lint === undefined || errors > 0 || !(dirty || props.name === undefined)}
            onClick={() => setDeploying(true)}
          >
            Deploy
          </MayButton>
        </>
      }
    >
      <div className={css.editor}>
        <Card flush>
          <div className={css.code}>
            <YamlEditor value={text} onChange={setText} lint={check} schema={schema.data} goTo={goTo} label="Pipeline" />
          </div>
        </Card>
        <div className={css.aside}>
          {silent !== undefined && <ErrorState error={silent} />}
          {lint !== undefined && lint.pipelines.length > 1 && (
            <Field label="Which pipeline of the file">
              <Select
                value={pipeline}
                onChange={setPipeline}
                options={lint.pipelines.map((value) => ({ value, label: value }))}
              />
            </Field>
          )}
          <Diagnostics lint={lint} onGo={(line, column) => setGoTo({ line, column })} />
          <Card title="Graph" flush>
            <div style={{ height: 240 }}>
              {lint?.graph != null ? (
                <RunGraph run={planAsRun(lint.graph)} selected={undefined} onSelect={() => {}} />
              ) : lint === undefined ? (
                <Skeleton height="100%" />
              ) : (
                <EmptyState title="Nothing to draw yet">The graph appears once the pipeline can be read.</EmptyState>
              )}
            </div>
          </Card>
          {lint !== undefined && lint.permissions.length > 0 && (
            <Card title="What it may do">
              <div className={css.words}>
                {lint.permissions.map((each) => (
                  <div key={each.plugin}>
                    <strong>{each.plugin}</strong>
                    <ul>
                      {each.words.map((word) => (
                        <li key={word}>{word}</li>
                      ))}
                    </ul>
                  </div>
                ))}
              </div>
            </Card>
          )}
        </div>
      </div>
      {deploying && (
        <Deploy
          text={text}
          pipeline={pipeline}
          base={version}
          onClose={() => setDeploying(false)}
          onDone={(made, run) => {
            setDeploying(false)
            setSaved(text)
            setVersion(made.version)
            if (run) setRunning({ name: made.name, schema: lint?.input_schema ?? {} })
          }}
          isNew={props.name === undefined}
        />
      )}
      {running && <RunDialog name={running.name} schema={running.schema} open onOpenChange={() => setRunning(undefined)} />}
      <Confirm
        open={leaving.status === 'blocked'}
        onOpenChange={(open) => !open && leaving.reset?.()}
        title="Leave without deploying?"
        action="Leave"
        danger
        onConfirm={() => leaving.proceed?.()}
      >
        What was changed here is not deployed, and is lost.
      </Confirm>
    </Page>
  )
}

const ICON = { error: CircleX, warning: TriangleAlert, info: Info }
const COLOUR = { error: 'var(--bad)', warning: 'var(--wait)', info: 'var(--run)' }

function Diagnostics({ lint, onGo }: { lint: Lint | undefined; onGo: (line: number, column: number) => void }) {
  const sorted = useMemo(() => [...(lint?.diagnostics ?? [])].sort((a, b) => a.line - b.line || a.column - b.column), [lint])
  if (lint === undefined) return <Skeleton height={56} />
  if (sorted.length === 0) {
    return (
      <Card flush>
        <div className={css.diagnostic} role="status">
          <CircleCheck aria-hidden style={{ color: 'var(--ok)' }} />
          <span>No problems</span>
        </div>
      </Card>
    )
  }
  return (
    <Card
      title="Problems"
      actions={<Badge tone={sorted.some((each) => each.severity === 'error') ? 'bad' : 'wait'}>{sorted.length}</Badge>}
      flush
    >
      <ul className={css.diagnostics} aria-live="polite">
        {sorted.map((each) => {
          const kind = severity(each.severity)
          const Icon = ICON[kind]
          return (
            <li key={`${each.line}:${each.column} ${each.code} ${each.message}`}>
              <button type="button" className={css.diagnostic} onClick={() => onGo(each.line, each.column)}>
                <Icon aria-label={kind} style={{ color: COLOUR[kind] }} />
                <span>
                  <Words text={each.message} />
                  {each.help != null && (
                    <span className="muted">
                      {' '}
                      <Words text={each.help} />
                    </span>
                  )}
                </span>
                <small>
                  line {each.line}, column {each.column} · {each.code}
                </small>
              </button>
            </li>
          )
        })}
      </ul>
    </Card>
  )
}

function Deploy(props: {
  text: string
  pipeline: string | undefined
  base: number | undefined
  isNew: boolean
  onClose: () => void
  onDone: (made: Api['Deployed'], run: boolean) => void
}) {
  const [message, setMessage] = useState('')
  const [run, setRun] = useState(false)
  const navigate = useNavigate()
  const deploy = $api.useMutation('post', '/api/v1/workflows', {
    onSuccess: async (made) => {
      toast.ok(made.changed ? `Deployed: version ${made.version}` : 'The text is that of the newest version', made.name)
      props.onDone(made, run)
      await refresh('/api/v1/workflows')
      if (!run && props.isNew) void navigate({ to: '/pipelines/$name', params: { name: made.name }, ignoreBlocker: true })
    },
  })
  return (
    <FormDialog
      title={props.base === undefined ? 'Deploy a new pipeline' : `Deploy version ${props.base + 1}`}
      action={run ? 'Deploy and run' : 'Deploy'}
      icon={<Rocket aria-hidden />}
      busy={deploy.isPending}
      error={deploy.error}
      onSubmit={() =>
        deploy.mutate({
          body: {
            yaml: props.text,
            ...(message.trim() !== '' && { message: message.trim() }),
            ...(props.base !== undefined && { base_version: props.base }),
            ...(props.pipeline !== undefined && { pipeline: props.pipeline }),
          },
        })
      }
      onClose={props.onClose}
    >
      <Field label="What has changed" help="For the list of versions; it may be left empty.">
        <Input value={message} maxLength={MOST_MESSAGE} onChange={(event) => setMessage(event.target.value)} />
      </Field>
      <Switch label="Run it, too" checked={run} onChange={setRun} />
    </FormDialog>
  )
}
