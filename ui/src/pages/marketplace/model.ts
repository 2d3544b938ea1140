// What the marketplace's pages show, out of what the API says. Pure.
import type { components } from '@/api/schema'

type S = components['schemas']
export type MarketHit = S['MarketHit']
export type InstalledPlugin = S['InstalledPlugin']
export type InstallPlan = S['InstallPlan']
export type PlannedChange = S['PlannedChange']
export type StepPage = S['StepPage']
export type Facets = S['Facets']

/** `acme:slack` as its two parts. */
export function nameParts(name: string): { namespace: string; name: string } {
  const at = name.indexOf(':')
  return at < 0 ? { namespace: '', name } : { namespace: name.slice(0, at), name: name.slice(at + 1) }
}

/** Where an address leads, without what is the same for all. */
export function hostOf(url: string): string {
  try {
    return new URL(url).host
  } catch {
    return url
  }
}

/** Two letters for a plugin that has no picture: the first of its name, and that of the next word in it. */
export function monogram(name: string): string {
  const own = nameParts(name).name
  const [first = '', second] = own.split(/[-_.]/)
  return (second ? first.charAt(0) + second.charAt(0) : own.slice(0, 2)).toUpperCase()
}

/** Why somebody should think twice before granting it; nothing for what is ordinary. */
export function alarm(capability: string, words = ''): string | undefined {
  if (capability === 'secrets-reveal') {
    return 'It sees the text of those secrets, and could write it anywhere that it may write to. Others only name secrets, and never see them.'
  }
  if (capability === 'containers' && words.includes('WHICH GO ON')) {
    return 'What it starts goes on when the step or deployment is done, until somebody removes it.'
  }
  // The same rules as the server's, which marks them in a plan.
  if (capability === 'http' && words.includes('*')) {
    return 'The pattern stands for hosts that nobody has named: what it gets to see could be sent to any of them.'
  }
  if (capability === 'containers' && words.split(/[ ,;]/).some((image) => image.split('/').at(-1)?.startsWith('*'))) {
    return 'The pattern stands for images that nobody has named.'
  }
  return undefined
}

/** A sentence that begins with a capital, out of words of the API that stand after "it may". */
export const sentence = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1)

export type ReleaseState = 'ok' | 'yanked' | 'quarantined' | 'removed' | 'unknown'

/** Whether a release may be used, and why not. The API's type is open. */
export function releaseStatus(status: unknown): { state: ReleaseState; reason?: string } {
  if (typeof status === 'string') return { state: toState(status) }
  if (typeof status !== 'object' || status === null) return { state: 'ok' }
  const { state, reason } = status as Record<string, unknown>
  return { state: toState(state ?? 'ok'), ...(typeof reason === 'string' && { reason }) }
}
const STATES: readonly ReleaseState[] = ['ok', 'yanked', 'quarantined', 'removed']
const toState = (word: unknown): ReleaseState => STATES.find((state) => state === word) ?? 'unknown'

export const STATE_MEANS: Record<ReleaseState, string> = {
  ok: 'It may be used.',
  yanked: 'Its author has withdrawn it. Who has it keeps it; nobody else gets it.',
  quarantined: 'Its registry looks into it. It is not installed meanwhile.',
  removed: 'Its registry has removed it for good.',
  unknown: 'Its registry does not answer, so nobody can say.',
}

/** A key of a step's configuration or results. */
export interface SchemaRow {
  /** Dotted where it is within another: `health.path`. */
  key: string
  depth: number
  type: string
  required: boolean
  default?: string
  options?: string[]
  description: string
  secret: boolean
}

const MAX_DEPTH = 3 // what a table can show; deeper keys are in the schema itself

type Json = Record<string, unknown>
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
const asTextList = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string') : []

function resolve(schema: Json, root: Json): Json {
  const ref = schema['$ref']
  if (typeof ref !== 'string' || !/^#(\/|$)/.test(ref)) return schema
  const found = ref
    .slice(2)
    .split('/')
    .filter((part) => part !== '')
    .reduce<unknown>((at, part) => (isObject(at) ? at[part.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined), root)
  return isObject(found) ? { ...found, ...schema, $ref: undefined } : schema
}

/** The type in words: `text`, `list of text`, `map of text`, `one of several`, … */
export function typeWords(given: unknown, root: Json, depth = 0): string {
  if (!isObject(given) || depth > MAX_DEPTH) return 'anything'
  const schema = resolve(given, root)
  if (Array.isArray(schema['enum'])) return 'one of'
  const several = schema['oneOf'] ?? schema['anyOf']
  if (Array.isArray(several)) return [...new Set(several.map((each) => typeWords(each, root, depth + 1)))].join(' or ')
  const type = schema['type']
  if (Array.isArray(type))
    return [...new Set(type.map((each: unknown) => typeWords({ ...schema, type: each }, root, depth + 1)))].join(' or ')
  switch (type) {
    case 'string':
      return 'text'
    case 'integer':
      return 'whole number'
    case 'number':
      return 'number'
    case 'boolean':
      return 'true or false'
    case 'array':
      return `list of ${typeWords(schema['items'], root, depth + 1)}`
    case 'object':
      return isObject(schema['additionalProperties'])
        ? `map of ${typeWords(schema['additionalProperties'], root, depth + 1)}`
        : 'object'
    case 'null':
      return 'nothing'
    default:
      return 'anything'
  }
}

/** The keys of a schema as rows, those within others below them. */
export function schemaRows(schema: unknown, root?: Json, prefix = '', depth = 0): SchemaRow[] {
  if (!isObject(schema)) return []
  const whole = root ?? schema
  const own = resolve(schema, whole)
  const properties = own['properties']
  if (!isObject(properties)) return []
  const required = new Set(asTextList(own['required']))
  return Object.entries(properties).flatMap(([name, given]) => {
    const property = isObject(given) ? resolve(given, whole) : {}
    const key = prefix + name
    const row: SchemaRow = {
      key,
      depth,
      type: typeWords(property, whole),
      required: required.has(name),
      description: typeof property['description'] === 'string' ? property['description'] : '',
      secret: property['x-windlass-secret'] === true || property['format'] === 'password',
      ...(property['default'] !== undefined && { default: JSON.stringify(property['default']) }),
      ...(Array.isArray(property['enum']) && { options: property['enum'].map(String) }),
    }
    const inner = depth + 1 < MAX_DEPTH ? schemaRows(property, whole, `${key}.`, depth + 1) : []
    return [row, ...inner]
  })
}

const plainScalar = /^[A-Za-z_/.][\w ./@-]*$/
const reserved = /^(true|false|null|yes|no|on|off|~)$/i

function yamlScalar(value: unknown): string {
  if (typeof value === 'string') {
    const plain = plainScalar.test(value) && !reserved.test(value) && !value.endsWith(' ')
    // A colon within a word, as in `rust:1-slim`, means nothing to YAML.
    return plain || /^[A-Za-z][\w./@-]*(:[\w./@-]+)+$/.test(value) ? value : JSON.stringify(value)
  }
  return JSON.stringify(value)
}

function yaml(value: unknown, indent: string): string {
  if (Array.isArray(value)) {
    if (value.length === 0) return ' []\n'
    return `\n${value.map((each) => `${indent}- ${isObject(each) ? JSON.stringify(each) : yamlScalar(each)}\n`).join('')}`
  }
  if (isObject(value)) {
    const entries = Object.entries(value)
    if (entries.length === 0) return ' {}\n'
    return `\n${entries.map(([key, each]) => `${indent}${key}:${yaml(each, `${indent}  `)}`).join('')}`
  }
  return ` ${yamlScalar(value)}\n`
}

function exampleOf(given: unknown, root: Json, depth = 0): unknown {
  if (!isObject(given) || depth > MAX_DEPTH) return '…'
  const schema = resolve(given, root)
  if (Array.isArray(schema['examples']) && schema['examples'].length > 0) return schema['examples'][0]
  if (schema['default'] !== undefined) return schema['default']
  if (Array.isArray(schema['enum'])) return schema['enum'][0]
  if (schema['x-windlass-secret'] === true) return 'secret:engine/path'
  const type = Array.isArray(schema['type']) ? (schema['type'] as unknown[])[0] : schema['type']
  switch (type) {
    case 'integer':
    case 'number':
      return schema['minimum'] ?? 1
    case 'boolean':
      return true
    case 'array':
      return [exampleOf(schema['items'], root, depth + 1)]
    case 'object': {
      const properties = schema['properties']
      const required = new Set(asTextList(schema['required']))
      if (!isObject(properties)) return {}
      return Object.fromEntries(
        Object.entries(properties)
          .filter(([key]) => required.has(key))
          .map(([key, each]) => [key, exampleOf(each, root, depth + 1)]),
      )
    }
    default:
      return '…'
  }
}

/** A step of this type as YAML to begin with: what must be given, with the examples of its author. */
export function stepSnippet(step: Pick<StepPage, 'name' | 'config_schema'>): string {
  const schema: unknown = step.config_schema
  const config = isObject(schema) ? exampleOf({ ...schema, default: undefined, examples: undefined }, schema) : {}
  const name = step.name.replace(/^step\./, '').replaceAll('_', '-')
  const own = isObject(config) && Object.keys(config).length > 0 ? `  config:${yaml(config, '    ')}` : ''
  return `- name: ${name}\n  type: ${step.name}\n${own}`
}

/** What a plan does, as a verb: for titles and buttons. */
export function planVerb(plan: InstallPlan): 'install' | 'update' {
  return plan.changes[0]?.from == null ? 'install' : 'update'
}
