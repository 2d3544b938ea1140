// What a form shows of a JSON Schema (draft 2020-12), what it begins with, and what is wrong with what was typed.
// The server checks again, and fully; this is so that people need not wait for it.

export interface FormSchema {
  type?: string | string[]
  title?: string
  description?: string
  default?: unknown
  enum?: unknown[]
  const?: unknown
  format?: string
  pattern?: string
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  exclusiveMaximum?: number
  minItems?: number
  maxItems?: number
  properties?: Record<string, FormSchema>
  required?: string[]
  additionalProperties?: boolean | FormSchema
  items?: FormSchema
  examples?: unknown[]
  readOnly?: boolean
  oneOf?: FormSchema[]
  anyOf?: FormSchema[]
  $ref?: string
  $defs?: Record<string, FormSchema>
  definitions?: Record<string, FormSchema>
  'x-windlass-secret'?: boolean
  /** A text of several lines. */
  'x-windlass-multiline'?: boolean
}

export type Kind = 'text' | 'lines' | 'secret' | 'number' | 'integer' | 'boolean' | 'choice' | 'list' | 'map' | 'object' | 'json'

const MOST_REFS = 16 // a schema that refers to itself in a circle ends here

export function resolve(schema: FormSchema, root: FormSchema): FormSchema {
  let now = schema
  for (let i = 0; i < MOST_REFS && now.$ref !== undefined; i += 1) {
    const [, group, name] = /^#\/(\$defs|definitions)\/(.+)$/.exec(now.$ref) ?? []
    const next = name === undefined ? undefined : (group === '$defs' ? root.$defs : root.definitions)?.[name]
    if (!next) return { ...now, $ref: '' }
    const { $ref: _, ...own } = now
    now = { ...next, ...own }
  }
  return now
}

const typeOf = (schema: FormSchema): string | undefined =>
  Array.isArray(schema.type) ? schema.type.find((type) => type !== 'null') : schema.type

/** How a field is shown. What no control fits is edited as JSON, and is not left out. */
export function kindOf(schema: FormSchema): Kind {
  if (schema['x-windlass-secret'] === true || schema.format === 'password') return 'secret'
  if (choices(schema)) return 'choice'
  switch (typeOf(schema)) {
    case 'string':
      return schema['x-windlass-multiline'] === true || schema.format === 'textarea' ? 'lines' : 'text'
    case 'number':
      return 'number'
    case 'integer':
      return 'integer'
    case 'boolean':
      return 'boolean'
    case 'array':
      return schema.items === undefined || ['string', undefined].includes(typeOf(schema.items)) ? 'list' : 'json'
    case 'object':
      if (schema.properties) return 'object'
      if (schema.additionalProperties === undefined || schema.additionalProperties === true) return 'map'
      return typeof schema.additionalProperties === 'object' && typeOf(schema.additionalProperties) === 'string' ? 'map' : 'json'
    default:
      return schema.properties ? 'object' : 'json'
  }
}

/** The values to choose from, with their names. */
export function choices(schema: FormSchema): { value: string; label: string }[] | undefined {
  const branches = schema.oneOf ?? schema.anyOf
  if (branches && branches.length > 0 && branches.every((branch) => branch.const !== undefined)) {
    return branches.map((branch) => ({ value: String(branch.const), label: branch.title ?? String(branch.const) }))
  }
  return schema.enum?.filter((value) => value !== null).map((value) => ({ value: String(value), label: String(value) }))
}

/** The value of the schema's enum that a choice's text stands for. */
export function chosen(schema: FormSchema, text: string): unknown {
  const values = schema.enum ?? (schema.oneOf ?? schema.anyOf)?.map((branch) => branch.const) ?? []
  return values.find((value) => String(value) === text) ?? text
}

/** The value that a form begins with: the defaults, deeply. */
export function initial(schema: FormSchema, root: FormSchema = schema): unknown {
  const real = resolve(schema, root)
  if (real.default !== undefined) return real.default
  if (kindOf(real) === 'object') {
    const entries = Object.entries(real.properties ?? {})
      .map(([name, property]) => [name, initial(property, root)] as const)
      .filter(([, value]) => value !== undefined)
    return entries.length > 0 ? Object.fromEntries(entries) : undefined
  }
  return real.const
}

export type Errors = Readonly<Record<string, string>>

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const empty = (value: unknown) => value === undefined || value === '' || value === null

/** What is wrong, by JSON pointer. */
export function validate(schema: FormSchema, value: unknown, root: FormSchema = schema, at = ''): Record<string, string> {
  const real = resolve(schema, root)
  const errors: Record<string, string> = {}
  const kind = kindOf(real)
  if (kind === 'object') {
    const object = isObject(value) ? value : {}
    for (const [name, property] of Object.entries(real.properties ?? {})) {
      const here = `${at}/${escape(name)}`
      const given = object[name]
      if (empty(given)) {
        if (real.required?.includes(name)) {
          const inner = resolve(property, root)
          if (kindOf(inner) === 'object') Object.assign(errors, validate(inner, {}, root, here))
          else errors[here] = 'This is required.'
        }
        continue
      }
      Object.assign(errors, validate(property, given, root, here))
    }
    return errors
  }
  const wrong = wrongWith(real, kind, value)
  if (wrong !== undefined) errors[at] = wrong
  return errors
}

const escape = (name: string) => name.replace(/~/g, '~0').replace(/\//g, '~1')
const many = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`

function wrongWith(schema: FormSchema, kind: Kind, value: unknown): string | undefined {
  if (empty(value)) return undefined
  switch (kind) {
    case 'number':
    case 'integer': {
      if (typeof value !== 'number' || Number.isNaN(value))
        return kind === 'integer' ? 'Write a whole number.' : 'Write a number.'
      if (kind === 'integer' && !Number.isInteger(value)) return 'Write a whole number.'
      if (schema.minimum !== undefined && value < schema.minimum) return `It must be at least ${schema.minimum}.`
      if (schema.maximum !== undefined && value > schema.maximum) return `It may be at most ${schema.maximum}.`
      if (schema.exclusiveMinimum !== undefined && value <= schema.exclusiveMinimum)
        return `It must be more than ${schema.exclusiveMinimum}.`
      if (schema.exclusiveMaximum !== undefined && value >= schema.exclusiveMaximum)
        return `It must be less than ${schema.exclusiveMaximum}.`
      return undefined
    }
    case 'text':
    case 'lines':
    case 'secret': {
      if (typeof value !== 'string') return 'Write a text.'
      const length = Array.from(value).length
      if (schema.minLength !== undefined && length < schema.minLength)
        return `It needs at least ${many(schema.minLength, 'character')}.`
      if (schema.maxLength !== undefined && length > schema.maxLength)
        return `It may have at most ${many(schema.maxLength, 'character')}.`
      if (schema.pattern !== undefined && !matches(schema.pattern, value)) return `It must match ${schema.pattern}.`
      return undefined
    }
    case 'list': {
      if (!Array.isArray(value)) return 'Write a list.'
      if (schema.minItems !== undefined && value.length < schema.minItems)
        return `It needs at least ${many(schema.minItems, 'entry').replace('entrys', 'entries')}.`
      if (schema.maxItems !== undefined && value.length > schema.maxItems)
        return `It may have at most ${many(schema.maxItems, 'entry').replace('entrys', 'entries')}.`
      return undefined
    }
    case 'choice':
      return choices(schema)?.some((choice) => choice.value === String(value)) ? undefined : 'Choose one of the list.'
    case 'json':
      return value instanceof BrokenJson ? 'This is not JSON.' : undefined
    default:
      return undefined
  }
}

function matches(pattern: string, value: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(value)
  } catch {
    return true // A pattern that JavaScript does not know: the server decides.
  }
}

/** A text in a JSON field that is none yet. Kept, so that what was typed is not lost. */
export class BrokenJson {
  constructor(readonly text: string) {}
}
