// What the pages of environments show and send. Pure.
import type { components } from '@/api/schema'
import type { FormSchema } from '@/forms/schema'

type S = components['schemas']
export type Environment = S['Environment']
export type Deployment = S['Deployment']
export type ConnectionTest = S['ConnectionTest']
export type ProviderRow = S['ProviderRow']
export type Config = Record<string, unknown>

export const ENVIRONMENT_STATES = ['active', 'provisioning', 'error', 'decommissioned'] as const

/** "12 ms", "0.8 ms", "2.1 s", out of nanoseconds. */
export function latency(nanoseconds: number): string {
  const ms = nanoseconds / 1e6
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)} s`
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`
}

/** A secret that the provider's schema asks for by name. */
export interface SecretField {
  name: string
  title: string
  description?: string
  required: boolean
}

const asSchema = (schema: unknown): FormSchema =>
  typeof schema === 'object' && schema !== null && !Array.isArray(schema) ? schema : {}

/** A provider's schema in two: what is configured in the open, and the secrets, which are written and never read. */
export function splitSchema(given: unknown): { open: FormSchema; secrets: SecretField[] } {
  const schema = asSchema(given)
  const required = new Set(schema.required ?? [])
  const entries = Object.entries(schema.properties ?? {})
  const isSecret = ([, field]: [string, FormSchema]) => field.format === 'password'
  const secrets = entries.filter(isSecret).map(([name, field]) => ({
    name,
    title: field.title ?? name,
    ...(field.description !== undefined && { description: field.description }),
    required: required.has(name),
  }))
  const open = entries.filter((entry) => !isSecret(entry))
  return {
    open: {
      ...schema,
      properties: Object.fromEntries(open),
      required: (schema.required ?? []).filter((name) => open.some(([key]) => key === name)),
    },
    secrets,
  }
}

/** What is to become of a secret. */
export type SecretEdit =
  | { kind: 'keep' }
  | { kind: 'set'; value: string }
  | { kind: 'remove' }
  /** The server's own secret of that name is used instead of one of the environment's. */
  | { kind: 'refer'; reference: string }

/** What is sent: the whole configuration, and of the secrets only what changes. An empty value removes one. */
export function toInput(
  config: Config,
  edits: Readonly<Record<string, SecretEdit>>,
): { config: Config; secrets: Record<string, string> } {
  const all = Object.entries(edits)
  const own = all.flatMap(([name, edit]): [string, string][] =>
    edit.kind === 'set' && edit.value !== '' ? [[name, edit.value]] : [],
  )
  const removed = all.flatMap(([name, edit]): [string, string][] => (edit.kind === 'remove' ? [[name, '']] : []))
  const referred = all.flatMap(([name, edit]): [string, string][] =>
    edit.kind === 'refer' && edit.reference !== '' ? [[name, edit.reference]] : [],
  )
  // A reference would count over the value that was just set.
  const open = Object.entries(config).filter(([name]) => !own.some(([set]) => set === name))
  return { config: Object.fromEntries([...open, ...referred]), secrets: Object.fromEntries([...own, ...removed]) }
}

/** Errors of the server, by the pointer that the form knows them under: those of `/config` without that, the rest as they are. */
export function configErrors(errors: readonly { field: string; message: string }[] | undefined): Record<string, string> {
  return Object.fromEntries(
    (errors ?? [])
      .filter(({ field }) => field.startsWith('/config/'))
      .map(({ field, message }) => [field.slice('/config'.length), message]),
  )
}

/** A configuration's keys and values as text, those within others dotted. */
export function configLines(config: unknown, prefix = ''): [string, string][] {
  if (typeof config !== 'object' || config === null) return []
  return Object.entries(config).flatMap(([key, value]: [string, unknown]): [string, string][] => {
    const name = prefix + key
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return configLines(value, `${name}.`)
    if (Array.isArray(value))
      return [[name, value.map((each) => (typeof each === 'string' ? each : JSON.stringify(each))).join(' ')]]
    return [[name, typeof value === 'string' ? value : JSON.stringify(value)]]
  })
}

/** The deployment that a rollback goes back to: the last good one with another image than what is there now. */
export const before = (deployments: readonly Deployment[], current: Deployment | null | undefined): Deployment | undefined =>
  deployments.find((each) => each.status === 'succeeded' && each.id !== current?.id && each.id < (current?.id ?? Infinity))

/** How much two images have in common at their beginning, in characters: up to where a part of a name ends. */
export function sharedStart(a: string, b: string): number {
  let at = 0
  while (at < a.length && a[at] === b[at]) at += 1
  while (at > 0 && !/[/:@]/.test(a[at - 1] ?? '')) at -= 1
  return at
}

/** A name of the environment as the server takes it: 1 to 64 letters, digits, `_` and `-`. */
export const soundName = (name: string): boolean => /^[A-Za-z0-9_-]{1,64}$/.test(name)
/** A name of a secret, as an environment variable has it. */
export const soundSecret = (name: string): boolean => /^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name)
