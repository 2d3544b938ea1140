// What a plugin was granted, as something to narrow: what it asks for is the most, and each part of it is a choice. Pure.
//
// The API gives both as the grants file has them: a key for each capability, with a flag, a list of patterns, or an object of flags,
// lists and ceilings. A capability that is not known here is edited by the same rules.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type Asked = Record<string, Json>

/** One thing to choose within a capability. */
export type Choice =
  | { kind: 'flag'; key: string; on: boolean }
  | { kind: 'list'; key: string; asked: string[]; granted: string[] }
  | { kind: 'ceiling'; key: string; most: number; granted: number }

/** A capability that was asked for. */
export interface Capability {
  name: string
  on: boolean
  choices: Choice[]
}

const isObject = (value: unknown): value is Record<string, Json> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string') : []

function choice(key: string, asked: Json, granted: Json | undefined, fresh: boolean): Choice[] {
  if (asked === true) return [{ kind: 'flag', key, on: fresh || granted === true }]
  if (Array.isArray(asked)) {
    const most = texts(asked)
    const given = texts(granted)
    return [{ kind: 'list', key, asked: most, granted: fresh ? most : most.filter((each) => given.includes(each)) }]
  }
  if (typeof asked === 'number') {
    const given = typeof granted === 'number' ? granted : asked
    return [{ kind: 'ceiling', key, most: asked, granted: Math.min(given, asked) }]
  }
  return []
}

/** What can be chosen, as it stands now. Each capability that was refused begins with all that it asks for, once it is switched on. */
export function capabilities(asked: unknown, granted: unknown): Capability[] {
  if (!isObject(asked)) return []
  const given = isObject(granted) ? granted : {}
  return Object.entries(asked).flatMap(([name, scope]) => {
    const own = given[name]
    if (scope === false || scope === null || (Array.isArray(scope) && scope.length === 0)) return []
    if (isObject(scope)) {
      const inner = isObject(own) ? own : undefined
      const choices = Object.entries(scope).flatMap(([key, each]) => choice(key, each, inner?.[key], inner === undefined))
      return [{ name, on: inner !== undefined, choices }]
    }
    if (Array.isArray(scope)) {
      const [list] = choice('', scope, own, own === undefined)
      return [{ name, on: texts(own).length > 0, choices: list ? [list] : [] }]
    }
    return [{ name, on: own === true, choices: [] }]
  })
}

/** What is written back. A capability of which nothing is left is not granted at all. */
export function toGrants(chosen: readonly Capability[]): Asked {
  return Object.fromEntries(
    chosen.flatMap(({ name, on, choices }): [string, Json][] => {
      if (!on) return []
      const own = choices.find((each) => each.key === '')
      if (own?.kind === 'list') return own.granted.length > 0 ? [[name, own.granted]] : []
      if (choices.length === 0) return [[name, true]]
      const lists = choices.filter((each) => each.kind === 'list')
      if (lists.some((list) => list.granted.length === 0)) return []
      const flags = choices.filter((each) => each.kind === 'flag')
      if (lists.length === 0 && flags.length > 0 && !flags.some((flag) => flag.on)) return []
      return [
        [
          name,
          Object.fromEntries(
            choices.flatMap((each): [string, Json][] => {
              if (each.kind === 'flag') return each.on ? [[each.key, true]] : []
              return [[each.key, each.granted]]
            }),
          ),
        ],
      ]
    }),
  )
}

const LABELS: Record<string, string> = {
  images: 'Images',
  hosts: 'Hosts',
  methods: 'Methods',
  network: 'With a network',
  detached: 'They may go on after the call',
  ports: 'Reachable at ports of this machine (127.0.0.1)',
  read: 'Read',
  write: 'Write',
  'memory-mib': 'Memory each, at most, in MiB',
  'cpu-millis': 'Processor each, at most, in thousandths',
}
export const choiceLabel = (key: string): string => LABELS[key] ?? key.replaceAll('-', ' ')
export const patternLabel = (pattern: string): string =>
  pattern === 'from-config' ? 'what the pipeline names (from-config)' : pattern
