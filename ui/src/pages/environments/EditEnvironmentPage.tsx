// Making an environment, and changing one. The form of its configuration is the provider's; its secrets are written and never read.
import { useMutation } from '@tanstack/react-query'
import { getRouteApi, Link, useBlocker, useNavigate } from '@tanstack/react-router'
import { Check, CloudOff, Plus, Trash2, Undo2 } from 'lucide-react'
import { useState } from 'react'
import { $api, api, ok } from '@/api/client'
import { fieldError, toProblem } from '@/api/problem'
import { refresh } from '@/api/refresh'
import { useCrumb } from '@/app/Crumbs'
import { MayButton } from '@/app/may'
import { Page } from '@/app/Page'
import { JsonSchemaForm } from '@/forms/JsonSchemaForm'
import { validate } from '@/forms/schema'
import { Badge } from '@/ui/Badge'
import { Button, IconButton } from '@/ui/Button'
import { Field, Input, Segmented, Select } from '@/ui/inputs'
import { Notice } from '@/ui/Notice'
import { CliTwin, Confirm } from '@/ui/overlays'
import { Card, EmptyState, ErrorState, Skeleton } from '@/ui/places'
import { toast } from '@/ui/toast'
import {
  configErrors,
  ENVIRONMENT_STATES,
  soundName,
  soundSecret,
  splitSchema,
  toInput,
  type Config,
  type Environment,
  type ProviderRow,
  type SecretEdit,
  type SecretField,
} from './model'
import { curl } from './parts'
import css from './environments.module.css'

const ALL = ' all' // no pipeline is called so: names do not begin with a space

const MOST_PIPELINES = 200 // one page of the server; a key of its own, since the list of pipelines is read page by page

const isObject = (value: unknown): value is Config => typeof value === 'object' && value !== null && !Array.isArray(value)

/** One secret: what stands of it, and what is to become of it. */
function SecretRow(props: {
  field: SecretField
  set: boolean
  edit: SecretEdit
  references: readonly string[]
  /** A secret that the provider's schema names may be one of the server's instead. */
  mayRefer: boolean
  error: string | undefined
  onEdit: (edit: SecretEdit) => void
}) {
  const { field, set, edit, references, mayRefer, error, onEdit } = props
  if (set && edit.kind === 'keep') {
    return (
      <div className={css.secret}>
        <div className={css.secretName}>
          <strong>{field.title}</strong>
          <Badge tone="ok" icon={<Check aria-hidden />}>
            set
          </Badge>
        </div>
        <div className={css.inline}>
          <Button size="small" onClick={() => onEdit({ kind: 'set', value: '' })}>
            Replace
          </Button>
          <IconButton size="small" label={`Remove ${field.name}`} onClick={() => onEdit({ kind: 'remove' })}>
            <Trash2 aria-hidden />
          </IconButton>
        </div>
      </div>
    )
  }
  if (edit.kind === 'remove') {
    return (
      <div className={css.secret}>
        <div className={css.secretName}>
          <s>{field.title}</s>
          <Badge tone="bad">will be removed</Badge>
        </div>
        <Button size="small" icon={<Undo2 aria-hidden />} onClick={() => onEdit({ kind: 'keep' })}>
          Keep it
        </Button>
      </div>
    )
  }
  const refers = edit.kind === 'refer'
  return (
    <div className={css.secretEdit}>
      <Field
        label={field.title}
        required={field.required}
        error={error}
        help={
          <>
            {field.description}
            {set && ' The value that is set stays until this is saved.'}
          </>
        }
      >
        {refers ? (
          references.length === 0 ? (
            <Input
              mono
              value={edit.reference}
              placeholder="secret:engine/path"
              spellCheck={false}
              autoComplete="off"
              onChange={(event) => onEdit({ kind: 'refer', reference: event.target.value })}
            />
          ) : (
            <Select
              value={edit.reference}
              placeholder="Choose a secret of the server…"
              options={(references.includes(edit.reference) || edit.reference === ''
                ? references
                : [edit.reference, ...references]
              ).map((each) => ({ value: each, label: <code>{each}</code> }))}
              onChange={(reference) => onEdit({ kind: 'refer', reference })}
            />
          )
        ) : (
          <Input
            type="password"
            autoComplete="new-password"
            placeholder="written once, never shown"
            value={edit.kind === 'set' ? edit.value : ''}
            onChange={(event) => onEdit({ kind: 'set', value: event.target.value })}
          />
        )}
      </Field>
      <div className={css.inline}>
        {mayRefer && (
          <Segmented
            label={`Where ${field.name} comes from`}
            value={refers ? 'refer' : 'own'}
            options={[
              { value: 'own', label: 'A value of its own' },
              { value: 'refer', label: 'A secret of the server' },
            ]}
            onChange={(kind) => onEdit(kind === 'refer' ? { kind: 'refer', reference: '' } : { kind: 'set', value: '' })}
          />
        )}
        {set && (
          <Button size="small" kind="ghost" onClick={() => onEdit({ kind: 'keep' })}>
            Keep what is set
          </Button>
        )}
      </div>
    </div>
  )
}

/** Secrets that the configuration names as `secret:./NAME`. */
function OwnSecrets(props: {
  known: readonly string[]
  edits: Readonly<Record<string, SecretEdit>>
  errorOf: (name: string) => string | undefined
  onEdit: (name: string, edit: SecretEdit | undefined) => void
}) {
  const { known, edits, errorOf, onEdit } = props
  const [name, setName] = useState('')
  const names = [...new Set([...known, ...Object.keys(edits)])]
  const add = () => {
    onEdit(name, { kind: 'set', value: '' })
    setName('')
  }
  return (
    <>
      {names.map((each) => {
        const set = known.includes(each)
        return (
          <div key={each} className={css.ownSecret}>
            <SecretRow
              field={{
                name: each,
                title: each,
                required: false,
                ...(!set && { description: `The configuration names it as secret:./${each}` }),
              }}
              set={set}
              edit={edits[each] ?? { kind: 'keep' }}
              references={[]}
              mayRefer={false}
              error={errorOf(each)}
              onEdit={(edit) => onEdit(each, edit)}
            />
            {!set && (
              <IconButton label={`Do not add ${each}`} onClick={() => onEdit(each, undefined)}>
                <Trash2 aria-hidden />
              </IconButton>
            )}
          </div>
        )
      })}
      <div className={css.addSecret}>
        <Field
          label="Another secret"
          help={
            <>
              A name such as <code>DATABASE_URL</code>. The configuration uses it as <code>secret:./DATABASE_URL</code>.
            </>
          }
          error={name !== '' && !soundSecret(name) ? 'Letters, digits and _, not beginning with a digit.' : undefined}
        >
          <Input
            mono
            value={name}
            spellCheck={false}
            autoComplete="off"
            onChange={(event) => setName(event.target.value)}
            onKeyDown={(event) => {
              if (event.key === 'Enter') {
                event.preventDefault()
                if (soundSecret(name) && !names.includes(name)) add()
              }
            }}
          />
        </Field>
        <Button icon={<Plus aria-hidden />} disabled={!soundSecret(name) || names.includes(name)} onClick={add}>
          Add
        </Button>
      </div>
    </>
  )
}

function Form({ providers, existing }: { providers: readonly ProviderRow[]; existing: Environment | undefined }) {
  const navigate = useNavigate()
  const workflows = $api.useQuery('get', '/api/v1/workflows', { params: { query: { limit: MOST_PIPELINES } } }).data
  const serverSecrets = $api.useQuery('get', '/api/v1/secrets').data
  const [name, setName] = useState(existing?.name ?? '')
  const [providerName, setProviderName] = useState(
    existing?.provider ?? (providers.length === 1 ? providers[0]?.name : undefined),
  )
  const [region, setRegion] = useState(existing?.region ?? '')
  const [workflow, setWorkflow] = useState(existing?.workflow_id ?? '')
  const [status, setStatus] = useState(existing?.status ?? 'active')
  const provider = providers.find((each) => each.name === providerName)
  const { open, secrets } = splitSchema(provider?.config_schema)
  const secretNames = new Set(secrets.map((field) => field.name))
  const [config, setConfig] = useState<Config>(() => {
    const begin: unknown = existing?.config
    return isObject(begin) ? Object.fromEntries(Object.entries(begin).filter(([key]) => !secretNames.has(key))) : {}
  })
  const [edits, setEdits] = useState<Record<string, SecretEdit>>(() => {
    const kept: Config = isObject(existing?.config) ? existing.config : {}
    return Object.fromEntries(
      secrets.flatMap((field): [string, SecretEdit][] => {
        const value = kept[field.name]
        return typeof value === 'string' ? [[field.name, { kind: 'refer', reference: value }]] : []
      }),
    )
  })
  const [touched, setTouched] = useState(false)
  const [checked, setChecked] = useState(false)
  const touch =
    <T,>(set: (value: T) => void) =>
    (value: T) => {
      setTouched(true)
      set(value)
    }
  const editSecret = (secret: string, edit: SecretEdit | undefined) => {
    setTouched(true)
    setEdits(({ [secret]: _, ...rest }) => (edit === undefined ? rest : { ...rest, [secret]: edit }))
  }
  const saving = useMutation({
    mutationFn: async () => {
      const body = { ...toInput(config, edits), name, region, workflow_id: workflow }
      const sent = { ...body, config: body.config as Record<string, never> }
      // What is null stays as it is, or is as the server has it when nothing is said.
      return existing
        ? ok(
            api.PUT('/api/v1/admin/environments/{id}', {
              params: { path: { id: existing.id } },
              body: { ...sent, provider: null, status },
            }),
          )
        : ok(api.POST('/api/v1/admin/environments', { body: { ...sent, provider: providerName ?? null, status: null } }))
    },
    onSuccess: async (environment) => {
      setTouched(false)
      await refresh('/api/v1/admin/environments')
      toast.ok(
        existing ? `${environment.name} is changed` : `${environment.name} is there`,
        existing ? undefined : 'Test its connection next.',
      )
      await navigate({ to: '/environments/$id', params: { id: environment.id }, ignoreBlocker: true })
    },
  })
  const {
    status: blocked,
    proceed,
    reset,
  } = useBlocker({
    shouldBlockFn: () => touched && !saving.isSuccess,
    enableBeforeUnload: () => touched && !saving.isSuccess,
    withResolver: true,
  })
  const here = checked ? validate(open, config) : {}
  const problem = saving.error === null ? undefined : toProblem(saving.error)
  const errors = { ...configErrors(problem?.errors), ...here }
  const secretError = (secret: string) =>
    fieldError(saving.error, `/secrets/${secret}`) ??
    (checked &&
    secrets.some((field) => field.name === secret && field.required) &&
    existing?.secrets[secret] === undefined &&
    !(edits[secret]?.kind === 'set' && edits[secret].value !== '') &&
    !(edits[secret]?.kind === 'refer' && edits[secret].reference !== '')
      ? 'This is required.'
      : undefined)
  const submit = () => {
    setChecked(true)
    const wrong =
      Object.keys(validate(open, config)).length > 0 ||
      secrets.some(
        (field) =>
          field.required &&
          existing?.secrets[field.name] === undefined &&
          !(edits[field.name]?.kind === 'set' || edits[field.name]?.kind === 'refer'),
      )
    if (!wrong && soundName(name) && provider) saving.mutate()
  }
  const sentBody = { ...toInput(config, {}), name, provider: providerName }
  const ownKnown = Object.keys(existing?.secrets ?? {}).filter((secret) => !secretNames.has(secret))
  const ownEdits = Object.fromEntries(Object.entries(edits).filter(([secret]) => !secretNames.has(secret)))
  const references = (serverSecrets ?? []).map((secret) => `secret:${secret.name}`)

  return (
    <form
      className={css.form}
      onSubmit={(event) => {
        event.preventDefault()
        submit()
      }}
    >
      <Card title="What it is">
        <div className={css.fields}>
          <div className={css.two}>
            <Field
              label="Name"
              required
              help="Pipelines deploy to it by this name."
              error={
                (name !== '' || checked) && !soundName(name)
                  ? 'Write 1 to 64 letters, digits, _ and -.'
                  : fieldError(saving.error, '/name')
              }
            >
              <Input
                value={name}
                autoComplete="off"
                spellCheck={false}
                onChange={(event) => touch(setName)(event.target.value)}
              />
            </Field>
            <Field label="For" help="Which pipelines may use it." error={fieldError(saving.error, '/workflow_id')}>
              <Select
                value={workflow === '' ? ALL : workflow}
                onChange={(value) => touch(setWorkflow)(value === ALL ? '' : value)}
                options={[
                  { value: ALL, label: 'All pipelines' },
                  ...[
                    ...new Set([...(workflows?.items ?? []).map((each) => each.name), ...(workflow === '' ? [] : [workflow])]),
                  ].map((each) => ({ value: each, label: each })),
                ]}
              />
            </Field>
          </div>
          <div className={css.two}>
            <Field
              label="Provider"
              required
              help={provider ? `By ${provider.plugin}.` : 'Who deploys.'}
              error={fieldError(saving.error, '/provider')}
            >
              <Select
                value={providerName}
                disabled={existing !== undefined}
                onChange={(value) => {
                  setTouched(true)
                  setProviderName(value)
                  setRegion('')
                  setConfig({})
                  setEdits({})
                  setChecked(false)
                }}
                options={providers.map((each) => ({ value: each.name, label: each.title }))}
              />
            </Field>
            {provider && (provider.regions.length > 0 || region !== '') && (
              <Field label="Region" error={fieldError(saving.error, '/region')}>
                <Select
                  value={region === '' ? undefined : region}
                  onChange={touch(setRegion)}
                  options={[...new Set([...provider.regions, ...(region === '' ? [] : [region])])].map((each) => ({
                    value: each,
                    label: each,
                  }))}
                />
              </Field>
            )}
            {existing && (
              <Field label="State" error={fieldError(saving.error, '/status')}>
                <Select
                  value={status}
                  onChange={touch(setStatus)}
                  options={ENVIRONMENT_STATES.map((each) => ({ value: each, label: each }))}
                />
              </Field>
            )}
          </div>
        </div>
      </Card>
      {existing && !provider && (
        <Notice tone="bad" title={`The provider ${existing.provider} is not installed`}>
          <p>Its configuration cannot be shown as a form until the plugin is back.</p>
        </Notice>
      )}
      {provider && (
        <>
          <Card title="Configuration">
            <JsonSchemaForm
              key={provider.name}
              schema={open}
              value={config}
              onChange={(value) => touch(setConfig)(isObject(value) ? value : {})}
              errors={errors}
              {...(serverSecrets !== undefined && { secrets: serverSecrets.map((secret) => secret.name) })}
            />
          </Card>
          <Card title="Secrets">
            <div className={css.fields}>
              {secrets.map((field) => {
                const set = existing?.secrets[field.name] !== undefined
                return (
                  <SecretRow
                    key={field.name}
                    field={field}
                    set={set}
                    edit={edits[field.name] ?? (set ? { kind: 'keep' } : { kind: 'set', value: '' })}
                    references={references}
                    mayRefer
                    error={secretError(field.name)}
                    onEdit={(edit) => editSecret(field.name, edit)}
                  />
                )
              })}
              <OwnSecrets
                known={ownKnown}
                edits={ownEdits}
                errorOf={(secret) => fieldError(saving.error, `/secrets/${secret}`)}
                onEdit={editSecret}
              />
            </div>
          </Card>
        </>
      )}
      {saving.error !== null && <ErrorState error={saving.error} />}
      <div className={css.foot}>
        <CliTwin
          command={curl(
            existing ? 'PUT' : 'POST',
            `/api/v1/admin/environments${existing ? `/${existing.id}` : ''}`,
            existing
              ? { config: sentBody.config }
              : { name: sentBody.name, provider: sentBody.provider, config: sentBody.config },
          )}
        />
        <span style={{ flex: 1 }} />
        <Button asChild>
          {existing ? (
            <Link to="/environments/$id" params={{ id: existing.id }}>
              Cancel
            </Link>
          ) : (
            <Link to="/environments">Cancel</Link>
          )}
        </Button>
        <MayButton
          needs="admin"
          kind="primary"
          type="submit"
          busy={saving.isPending}
          disabled={!provider || name === ''}
          onClick={submit}
        >
          {existing ? 'Save' : 'Create the environment'}
        </MayButton>
      </div>
      <Confirm
        open={blocked === 'blocked'}
        danger
        onOpenChange={(open) => !open && reset?.()}
        title="Leave without saving?"
        action="Leave"
        onConfirm={() => proceed?.()}
      >
        What you changed here is lost.
      </Confirm>
    </form>
  )
}

const Loading = () => (
  <div className={css.form} role="status" aria-busy aria-label="Loading">
    <Skeleton height={220} />
    <Skeleton height={320} />
  </div>
)

export function NewEnvironmentPage() {
  const { data, error, refetch } = $api.useQuery('get', '/api/v1/providers')
  return (
    <Page title="New environment" subtitle="Where to deploy to, and how its provider is reached.">
      {error !== null && <ErrorState error={error} onRetry={() => void refetch()} />}
      {error === null && data === undefined && <Loading />}
      {data?.length === 0 && (
        <Card flush>
          <EmptyState
            icon={<CloudOff aria-hidden />}
            title="No provider is installed"
            actions={
              <Button kind="primary" asChild>
                <Link to="/marketplace" search={{ kind: 'provider' }}>
                  Find a provider
                </Link>
              </Button>
            }
          >
            A provider is a plugin that deploys. The plugin windlass:local deploys to this machine.
          </EmptyState>
        </Card>
      )}
      {data !== undefined && data.length > 0 && <Form providers={data} existing={undefined} />}
    </Page>
  )
}

const route = getRouteApi('/shell/environments/$id/edit')

export function EditEnvironmentPage() {
  const { id } = route.useParams()
  const providers = $api.useQuery('get', '/api/v1/providers')
  const environment = $api.useQuery('get', '/api/v1/admin/environments/{id}', { params: { path: { id } } })
  useCrumb(environment.data && `${environment.data.name}: change`)
  const error = environment.error ?? providers.error
  return (
    <Page title={environment.data ? `Change ${environment.data.name}` : 'Change the environment'}>
      {error !== null && (
        <ErrorState
          error={error}
          onRetry={() => {
            void environment.refetch()
            void providers.refetch()
          }}
        />
      )}
      {error === null && (environment.data === undefined || providers.data === undefined) && <Loading />}
      {environment.data && providers.data && <Form key={id} providers={providers.data} existing={environment.data} />}
    </Page>
  )
}
