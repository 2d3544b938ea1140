// What a run is begun with: a form out of the pipeline's inputs.
import { useNavigate } from '@tanstack/react-router'
import { Play } from 'lucide-react'
import { useState } from 'react'
import { $api } from '@/api/client'
import { toProblem } from '@/api/problem'
import { refresh } from '@/api/refresh'
import { quote } from '@/lib/shell'
import { JsonSchemaForm } from '@/forms/JsonSchemaForm'
import { initial, validate, type FormSchema } from '@/forms/schema'
import { CliTwin, FormDialog, toast } from '@/ui'

export interface RunDialogProps {
  name: string
  version?: number | undefined
  schema: unknown
  open: boolean
  onOpenChange: (open: boolean) => void
}

export function RunDialog({ name, version, schema, open, onOpenChange }: RunDialogProps) {
  return open ? <Opened name={name} version={version} schema={schema as FormSchema} onOpenChange={onOpenChange} /> : null
}

/** The inputs as the command line takes them. Text that a shell would read otherwise stands in quotes. */
export const asOptions = (inputs: Record<string, unknown>): string =>
  Object.entries(inputs)
    .map(([key, value]) => ` --input ${quote(`${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)}`)
    .join('')

function Opened({ name, version, schema, onOpenChange }: Omit<RunDialogProps, 'open' | 'schema'> & { schema: FormSchema }) {
  const navigate = useNavigate()
  const [value, setValue] = useState<unknown>(() => initial(schema) ?? {})
  const [tried, setTried] = useState(false)
  const secrets = $api.useQuery('get', '/api/v1/secrets', {}, { retry: false })
  const run = $api.useMutation('post', '/api/v1/workflows/{name}/runs', {
    onSuccess: (made) => {
      toast.ok('The run has begun', name)
      void refresh('/api/v1/runs', '/api/v1/workflows')
      void navigate({ to: '/runs/$run', params: { run: made.id } })
    },
  })
  const inputs = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  const wrong = validate(schema, inputs)
  const told = run.isError
    ? Object.fromEntries((toProblem(run.error).errors ?? []).map((each) => [each.field.replace(/^\/inputs/, ''), each.message]))
    : {}
  const submit = () => {
    setTried(true)
    if (Object.keys(wrong).length > 0) return
    run.mutate({ params: { path: { name } }, body: { inputs, ...(version !== undefined && { version }) } })
  }
  return (
    <FormDialog
      title={`Run ${name}`}
      {...(version !== undefined && { description: `Version ${version}` })}
      action="Run"
      icon={<Play aria-hidden />}
      busy={run.isPending}
      error={run.error}
      onSubmit={submit}
      onClose={() => onOpenChange(false)}
      aside={<CliTwin command={`windlass run ${name}.yaml${asOptions(inputs)}`} />}
    >
      <JsonSchemaForm
        schema={schema}
        value={value}
        onChange={setValue}
        errors={{ ...(tried ? wrong : {}), ...told }}
        secrets={secrets.data?.map((each) => each.name)}
        disabled={run.isPending}
      />
    </FormDialog>
  )
}
