// What may stand at a place of a YAML document, out of its JSON Schema (draft 2020-12). Pure: no editor in here.

export type Schema = boolean | { [key: string]: unknown }
type Node = Record<string, unknown>

const MOST_DEREFS = 32 // a schema that refers to itself in a circle ends here

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && !Array.isArray(value)

function deref(schema: unknown, root: Schema): Node | undefined {
  let now = schema
  for (let i = 0; i < MOST_DEREFS && isNode(now); i += 1) {
    const ref = now['$ref']
    if (typeof ref !== 'string' || !ref.startsWith('#')) return now
    now = ref
      .slice(1)
      .split('/')
      .filter((part) => part !== '')
      .reduce<unknown>(
        (at, part) => (isNode(at) || Array.isArray(at) ? (at as Node)[part.replace(/~1/g, '/').replace(/~0/g, '~')] : undefined),
        root,
      )
  }
  return isNode(now) ? now : undefined
}

/** Whether the values that stand beside a place speak against a branch: `type: step.docker_build` against that of `step.shell_exec`. */
function fits(branch: Node, beside: Readonly<Record<string, string>>, root: Schema): boolean {
  const properties = branch['properties']
  if (!isNode(properties)) return true
  return Object.entries(beside).every(([key, value]) => {
    const property = deref(properties[key], root)
    if (!property) return true
    if ('const' in property) return property['const'] === value
    if (Array.isArray(property['enum'])) return (property['enum'] as unknown[]).includes(value)
    return true
  })
}

/** A schema and all that it is made of: `allOf`, `anyOf`, `oneOf`, `if` and `then` where they fit what stands beside. */
function parts(schema: unknown, root: Schema, beside: Readonly<Record<string, string>>, depth = 0): Node[] {
  const node = deref(schema, root)
  if (!node || depth > MOST_DEREFS) return []
  const list: Node[] = [node]
  for (const key of ['allOf', 'anyOf', 'oneOf']) {
    const branches = node[key]
    if (!Array.isArray(branches)) continue
    for (const branch of branches) {
      const real = deref(branch, root)
      if (real && (key === 'allOf' || fits(real, beside, root))) list.push(...parts(real, root, beside, depth + 1))
    }
  }
  const condition = deref(node['if'], root)
  if (condition) {
    // Taken only where what it asks for is really written: a branch that nothing speaks for would offer everything.
    const asked = isNode(condition['properties']) ? Object.keys(condition['properties']) : []
    const holds = asked.length > 0 && asked.every((key) => key in beside) && fits(condition, beside, root)
    list.push(...parts(node[holds ? 'then' : 'else'], root, beside, depth + 1))
  }
  return list
}

/** A step into a document: the key or the index, and the plain values that stand beside it in its map. */
export interface Hop {
  key: string | number
  beside: Readonly<Record<string, string>>
}

function enter(schemas: readonly Node[], hop: Hop): unknown[] {
  return schemas.flatMap((schema): unknown[] => {
    if (typeof hop.key === 'number') {
      const prefix: unknown = schema['prefixItems']
      return [Array.isArray(prefix) && hop.key < prefix.length ? prefix[hop.key] : schema['items']]
    }
    const properties = schema['properties']
    if (isNode(properties) && hop.key in properties) return [properties[hop.key]]
    const patterns = schema['patternProperties']
    if (isNode(patterns)) {
      const hit = Object.entries(patterns).find(([pattern]) => {
        try {
          return new RegExp(pattern, 'u').test(String(hop.key))
        } catch {
          return false
        }
      })
      if (hit) return [hit[1]]
    }
    return [schema['additionalProperties']]
  })
}

/** The schemas that count at a place. `beside` are the values of the map that the place is in. */
export function schemasAt(root: Schema, path: readonly Hop[], beside: Readonly<Record<string, string>>): Node[] {
  let now: unknown[] = [root]
  for (const hop of path) {
    const all = now.flatMap((schema) => parts(schema, root, hop.beside))
    now = enter(all, hop)
  }
  return now.flatMap((schema) => parts(schema, root, beside))
}

export interface Offer {
  label: string
  /** `key` or `value`. */
  kind: 'key' | 'value'
  detail?: string | undefined
  info?: string | undefined
  required?: boolean
  /** For keys: what its value is, so that a map or a list begins on a new line. */
  opens?: 'map' | 'list' | undefined
}

const typeOf = (schema: Node): string | undefined => {
  const type = schema['type']
  return typeof type === 'string' ? type : Array.isArray(type) ? type.join(' | ') : undefined
}
const text = (value: unknown) => (typeof value === 'string' ? value : undefined)

/** The keys that may stand in the map at a place. */
export function keysAt(root: Schema, path: readonly Hop[], beside: Readonly<Record<string, string>>): Offer[] {
  const offers = new Map<string, Offer>()
  for (const schema of schemasAt(root, path, beside)) {
    const properties = schema['properties']
    if (!isNode(properties)) continue
    const required = new Set(Array.isArray(schema['required']) ? (schema['required'] as unknown[]) : [])
    for (const [label, property] of Object.entries(properties)) {
      const real = parts(property, root, {})
      if (real.some((each) => each['deprecated'] === true)) continue
      const type = real.map(typeOf).find((each) => each !== undefined)
      const known = offers.get(label)
      offers.set(label, {
        label,
        kind: 'key',
        detail: type ?? known?.detail,
        info: real.map((each) => text(each['description'])).find((each) => each !== undefined) ?? known?.info,
        required: required.has(label) || known?.required === true,
        opens: type === 'object' ? 'map' : type === 'array' ? 'list' : undefined,
      })
    }
  }
  return [...offers.values()]
}

/** The values that may stand at a place. */
export function valuesAt(root: Schema, path: readonly Hop[]): Offer[] {
  const offers = new Map<string, Offer>()
  const add = (value: unknown, info?: string) => {
    if (value === null || typeof value === 'object' || value === undefined) return
    const label = String(value)
    if (!offers.has(label)) offers.set(label, { label, kind: 'value', info })
  }
  for (const schema of schemasAt(root, path, {})) {
    const info = text(schema['description'])
    if ('const' in schema) add(schema['const'], info)
    if (Array.isArray(schema['enum'])) for (const value of schema['enum']) add(value, info)
    if (schema['type'] === 'boolean') [true, false].forEach((value) => add(value, info))
    if (schema['default'] !== undefined) add(schema['default'], 'the default')
    if (Array.isArray(schema['examples'])) for (const value of schema['examples']) add(value, 'an example')
  }
  return [...offers.values()]
}

/** What is said of a place when the pointer rests on it. */
export const describeAt = (root: Schema, path: readonly Hop[]): string | undefined =>
  schemasAt(root, path, {})
    .map((schema) => text(schema['description']))
    .find((each) => each !== undefined)
