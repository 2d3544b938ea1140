// A form out of a JSON Schema: inputs of a run, settings of an environment, answers at a gate.
// The caller holds the value; errors of the server are given by JSON pointer and stand at their fields.
import { Plus, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { Button, IconButton } from '@/ui/Button'
import { Field, Input, Select, Switch, Textarea } from '@/ui/inputs'
import { Words } from '@/ui/Words'
import { BrokenJson, choices, chosen, kindOf, resolve, type Errors, type FormSchema } from './schema'
import css from './forms.module.css'

export interface JsonSchemaFormProps {
  schema: FormSchema
  value: unknown
  onChange: (value: unknown) => void
  /** By JSON pointer. */
  errors?: Errors
  /** Names of secrets that may be chosen where the schema asks for one. */
  secrets?: readonly string[] | undefined
  disabled?: boolean
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export function JsonSchemaForm({ schema, value, onChange, errors = {}, secrets, disabled = false }: JsonSchemaFormProps) {
  return (
    <fieldset className={css.form} disabled={disabled}>
      <Properties
        schema={resolve(schema, schema)}
        value={value}
        onChange={onChange}
        at=""
        root={schema}
        errors={errors}
        secrets={secrets}
      />
    </fieldset>
  )
}

interface PartProps {
  schema: FormSchema
  value: unknown
  onChange: (value: unknown) => void
  at: string
  root: FormSchema
  errors: Errors
  secrets: readonly string[] | undefined
}

function Properties({ schema, value, onChange, at, root, errors, secrets }: PartProps) {
  const object = isObject(value) ? value : {}
  const entries = Object.entries(schema.properties ?? {})
  if (entries.length === 0) return <p className="muted">There is nothing to fill in.</p>
  return entries.map(([name, property]) => {
    const here = `${at}/${name.replace(/~/g, '~0').replace(/\//g, '~1')}`
    return (
      <Part
        key={name}
        name={name}
        required={schema.required?.includes(name) ?? false}
        schema={resolve(property, root)}
        value={object[name]}
        at={here}
        root={root}
        errors={errors}
        secrets={secrets}
        onChange={(next) => {
          const { [name]: _, ...rest } = object
          onChange(next === undefined ? rest : { ...rest, [name]: next })
        }}
      />
    )
  })
}

function Part(props: PartProps & { name: string; required: boolean }) {
  const { name, required, schema, value, onChange, at, errors } = props
  const kind = kindOf(schema)
  const label = schema.title ?? name
  if (kind === 'object') {
    return (
      <fieldset className={css.nested}>
        <legend>{label}</legend>
        {schema.description !== undefined && (
          <p className={css.about}>
            <Words text={schema.description} />
          </p>
        )}
        <Properties {...props} />
      </fieldset>
    )
  }
  if (kind === 'boolean') {
    return (
      <Switch
        label={label}
        help={schema.description === undefined ? undefined : <Words text={schema.description} />}
        checked={(value ?? schema.default) === true}
        onChange={onChange}
        disabled={schema.readOnly ?? false}
      />
    )
  }
  const help = [
    sentence(schema.description),
    schema.default !== undefined && kind !== 'choice' && `Default: ${show(schema.default)}.`,
  ]
    .filter(Boolean)
    .join(' ')
  return (
    <Field label={label} required={required} error={errors[at]} help={help === '' ? undefined : <Words text={help} />}>
      <Control {...props} kind={kind} />
    </Field>
  )
}

/** Descriptions are written as sentences and as halves of them; what follows needs a full stop. */
const sentence = (text: string | undefined) => (text === undefined || /[.!?:]$/.test(text) ? text : `${text}.`)

const show = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
const asText = (value: unknown): string => (typeof value === 'string' ? value : '')

function Control({
  kind,
  schema,
  value,
  onChange,
  secrets,
  required,
}: PartProps & { kind: ReturnType<typeof kindOf>; required: boolean }) {
  const disabled = schema.readOnly ?? false
  switch (kind) {
    case 'choice': {
      const options = choices(schema) ?? []
      const none = required || schema.default !== undefined ? [] : [{ value: NONE, label: <span className="muted">none</span> }]
      return (
        <Select
          value={shownChoice(value ?? schema.default)}
          onChange={(next) => onChange(next === NONE ? undefined : chosen(schema, next))}
          options={[...none, ...options]}
          disabled={disabled}
        />
      )
    }
    case 'number':
    case 'integer':
      return <NumberInput value={value} onChange={onChange} disabled={disabled} whole={kind === 'integer'} />
    case 'lines':
      return (
        <Textarea
          value={asText(value)}
          onChange={(event) => onChange(event.target.value || undefined)}
          disabled={disabled}
          mono
        />
      )
    case 'secret':
      return <SecretInput value={asText(value)} onChange={onChange} secrets={secrets} disabled={disabled} />
    case 'list':
      return <ListInput value={Array.isArray(value) ? value.map(asText) : []} onChange={onChange} />
    case 'map':
      return <MapInput value={isObject(value) ? value : {}} onChange={onChange} />
    case 'json':
      return <JsonInput value={value} onChange={onChange} disabled={disabled} />
    default:
      return (
        <Input
          value={asText(value)}
          placeholder={schema.examples?.[0] === undefined ? undefined : show(schema.examples[0])}
          onChange={(event) => onChange(event.target.value || undefined)}
          disabled={disabled}
          type={schema.format === 'email' ? 'email' : schema.format === 'date' ? 'date' : 'text'}
        />
      )
  }
}

const shownChoice = (value: unknown): string | undefined => (value === undefined || value === null ? undefined : String(value))

const NONE = ' none' // no enum has it: names do not begin with a space

/** What was typed is kept, also while it is no number. */
function NumberInput({
  value,
  onChange,
  disabled,
  whole,
}: {
  value: unknown
  onChange: (value: unknown) => void
  disabled: boolean
  whole: boolean
}) {
  const [text, setText] = useState(typeof value === 'number' ? String(value) : '')
  const same = text.trim() === '' ? value === undefined : Object.is(Number(text), value)
  const shown = same ? text : typeof value === 'number' && !Number.isNaN(value) ? String(value) : text
  return (
    <Input
      value={shown}
      inputMode={whole ? 'numeric' : 'decimal'}
      disabled={disabled}
      onChange={(event) => {
        setText(event.target.value)
        onChange(event.target.value.trim() === '' ? undefined : Number(event.target.value))
      }}
    />
  )
}

/** A reference to a secret, never its text. */
function SecretInput(props: {
  value: string
  onChange: (value: unknown) => void
  secrets: readonly string[] | undefined
  disabled: boolean
}) {
  const { value, onChange, secrets, disabled } = props
  if (secrets === undefined || secrets.length === 0) {
    return (
      <Input
        value={value}
        mono
        placeholder="secret:name"
        spellCheck={false}
        autoComplete="off"
        disabled={disabled}
        onChange={(event) => onChange(event.target.value || undefined)}
      />
    )
  }
  const references = secrets.map((name) => (name.startsWith('secret:') ? name : `secret:${name}`))
  const all = value === '' || references.includes(value) ? references : [value, ...references]
  return (
    <Select
      value={value === '' ? undefined : value}
      placeholder="Choose a secret…"
      options={all.map((each) => ({ value: each, label: <code>{each}</code> }))}
      onChange={onChange}
      disabled={disabled}
    />
  )
}

function ListInput({ value, onChange }: { value: readonly string[]; onChange: (value: unknown) => void }) {
  const set = (next: readonly string[]) => onChange(next.length === 0 ? undefined : next)
  return (
    <div className={css.rows}>
      {value.map((entry, index) => (
        <div key={index} className={css.row}>
          <Input
            {...(index > 0 && { id: undefined })}
            aria-label={`Entry ${index + 1}`}
            value={entry}
            onChange={(event) => set(value.map((each, at) => (at === index ? event.target.value : each)))}
          />
          <IconButton label={`Remove entry ${index + 1}`} onClick={() => set(value.filter((_, at) => at !== index))}>
            <Trash2 aria-hidden />
          </IconButton>
        </div>
      ))}
      <div>
        <Button size="small" icon={<Plus aria-hidden />} onClick={() => set([...value, ''])}>
          Add an entry
        </Button>
      </div>
    </div>
  )
}

function MapInput({ value, onChange }: { value: Record<string, unknown>; onChange: (value: unknown) => void }) {
  // Rows and not the object: while a name is typed, two rows may have the same one.
  const [rows, setRows] = useState(() => Object.entries(value).map(([name, each]) => ({ name, value: asText(each) })))
  const set = (next: { name: string; value: string }[]) => {
    setRows(next)
    const named = next.filter((row) => row.name !== '')
    onChange(named.length === 0 ? undefined : Object.fromEntries(named.map((row) => [row.name, row.value])))
  }
  return (
    <div className={css.rows}>
      {rows.map((row, index) => (
        <div key={index} className={css.row}>
          <Input
            {...(index > 0 && { id: undefined })}
            aria-label={`Name ${index + 1}`}
            placeholder="name"
            mono
            value={row.name}
            onChange={(event) => set(rows.map((each, at) => (at === index ? { ...each, name: event.target.value } : each)))}
          />
          <Input
            id={undefined}
            aria-label={`Value ${index + 1}`}
            placeholder="value"
            value={row.value}
            onChange={(event) => set(rows.map((each, at) => (at === index ? { ...each, value: event.target.value } : each)))}
          />
          <IconButton label={`Remove row ${index + 1}`} onClick={() => set(rows.filter((_, at) => at !== index))}>
            <Trash2 aria-hidden />
          </IconButton>
        </div>
      ))}
      <div>
        <Button size="small" icon={<Plus aria-hidden />} onClick={() => set([...rows, { name: '', value: '' }])}>
          Add a row
        </Button>
      </div>
    </div>
  )
}

function JsonInput({ value, onChange, disabled }: { value: unknown; onChange: (value: unknown) => void; disabled: boolean }) {
  const [text, setText] = useState(
    value === undefined ? '' : value instanceof BrokenJson ? value.text : JSON.stringify(value, null, 2),
  )
  return (
    <Textarea
      mono
      value={text}
      placeholder="JSON"
      spellCheck={false}
      disabled={disabled}
      onChange={(event) => {
        setText(event.target.value)
        if (event.target.value.trim() === '') {
          onChange(undefined)
          return
        }
        try {
          onChange(JSON.parse(event.target.value))
        } catch {
          onChange(new BrokenJson(event.target.value))
        }
      }}
    />
  )
}
