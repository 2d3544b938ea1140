// Where in a YAML document a position is: the keys that lead to it, what stands beside each, and whether a key or a value is being
// written. By indentation and not by parsing, because a document that is being written is never valid.
import type { Hop } from './schema'

export interface Place {
  path: Hop[]
  /** The plain values in the map that is being written. */
  beside: Record<string, string>
  /** What is being written, so far. */
  word: string
  /** Where it begins, from the beginning of the text. */
  from: number
  kind: 'key' | 'value'
}

interface Line {
  indent: number
  /** Columns at which a `- ` opens an item. */
  dashes: number[]
  key?: string
  value?: string
}

const KEY = /^("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#:{}[\],&*!|>'"%@`-][^#:]*?|-[^\s#:][^#:]*?)\s*:(?:\s+(.*))?$/

const unquote = (text: string): string => (/^(["']).*\1$/.test(text) ? text.slice(1, -1) : text)
const plainValue = (text: string | undefined): string | undefined => {
  const bare = text?.replace(/\s+#.*$/, '').trim()
  return bare === undefined || bare === '' || /^[|>&*!{[]/.test(bare) ? undefined : unquote(bare)
}

function read(text: string): Line | undefined {
  let at = text.length - text.trimStart().length
  let rest = text.slice(at)
  if (rest === '' || rest.startsWith('#') || rest.startsWith('---')) return undefined
  const dashes: number[] = []
  for (let dash = /^-(\s+|$)/.exec(rest); dash; dash = /^-(\s+|$)/.exec(rest)) {
    dashes.push(at)
    at += dash[0].length
    rest = rest.slice(dash[0].length)
  }
  const key = KEY.exec(rest)
  const value = plainValue(key?.[2])
  return { indent: at, dashes, ...(key?.[1] !== undefined && { key: unquote(key[1]) }), ...(value !== undefined && { value }) }
}

/** Inside `|` or `>`, where nothing is a key. */
function inBlock(lines: readonly string[], at: number, indent: number): boolean {
  for (let i = at - 1; i >= 0; i -= 1) {
    const text = lines[i] ?? ''
    if (text.trim() === '') continue
    const own = text.length - text.trimStart().length
    if (own < indent) return /(?::|^\s*-)\s+[|>][+-]?\d?\s*$/.test(text)
  }
  return false
}

export function placeAt(text: string, position: number): Place | undefined {
  const before = text.slice(0, position)
  const start = before.lastIndexOf('\n') + 1
  const head = before.slice(start)
  const lines = text.split('\n')
  const row = before.split('\n').length - 1
  if (/(^|\s)#/.test(head)) return undefined

  // The line up to the cursor: dashes, then perhaps `key: `, then the word.
  let at = head.length - head.trimStart().length
  let rest = head.slice(at)
  const dashes: number[] = []
  for (let dash = /^-\s+/.exec(rest); dash; dash = /^-\s+/.exec(rest)) {
    dashes.push(at)
    at += dash[0].length
    rest = rest.slice(dash[0].length)
  }
  if (inBlock(lines, row, dashes[0] ?? at)) return undefined
  const keyed = /^([^\s:#][^:#]*?|"[^"]*"|'[^']*'):\s+(.*)$/.exec(rest)
  const word = keyed ? (keyed[2] ?? '') : rest
  const kind = keyed ? 'value' : 'key'

  // Upwards: each line that is less indented than what was found so far is one of the parents.
  const levels: { key: string | number; column: number }[] = []
  let column = at
  let dash = [...dashes]
  const count = (from: number, own: number): number => {
    // Which item of its list: the dashes at this column since the parent.
    let items = 0
    for (let i = from - 1; i >= 0; i -= 1) {
      const line = read(lines[i] ?? '')
      if (!line) continue
      const first = line.dashes[0] ?? line.indent
      if (first < own) break
      if (first === own && line.dashes.length === 0) break
      if (line.dashes.includes(own)) items += 1
    }
    return items
  }
  let i = row
  for (;;) {
    const own = dash.pop()
    if (own !== undefined) {
      levels.unshift({ key: count(i, own), column })
      column = own
      // A list may stand at the indentation of its key.
      const parent = dash.length > 0 ? undefined : findParent(lines, i, own, true)
      if (dash.length > 0) continue
      if (!parent) break
      levels.unshift({ key: parent.key, column: parent.line.indent })
      column = parent.line.indent
      dash = [...parent.line.dashes]
      i = parent.index
      continue
    }
    const parent = findParent(lines, i, column, false)
    if (!parent) break
    if ('item' in parent) {
      dash = [...parent.line.dashes]
      i = parent.index
      continue
    }
    levels.unshift({ key: parent.key, column: parent.line.indent })
    column = parent.line.indent
    dash = [...parent.line.dashes]
    i = parent.index
  }

  const path = levels.map(({ key, column: own }) => ({
    key,
    beside: typeof key === 'number' ? {} : siblings(lines, row, own, key),
  }))
  const beside = siblings(lines, row, at, undefined)
  if (keyed?.[1] !== undefined) {
    path.push({ key: unquote(keyed[1].trim()), beside })
    return { path, beside: {}, word, from: position - word.length, kind }
  }
  return { path, beside, word, from: position - word.length, kind }
}

type Parent = { key: string; line: Line; index: number } | { item: true; line: Line; index: number }

function findParent(
  lines: readonly string[],
  from: number,
  column: number,
  sameAllowed: true,
): { key: string; line: Line; index: number } | undefined
function findParent(lines: readonly string[], from: number, column: number, sameAllowed: false): Parent | undefined
function findParent(lines: readonly string[], from: number, column: number, sameAllowed: boolean): Parent | undefined {
  for (let index = from - 1; index >= 0; index -= 1) {
    const line = read(lines[index] ?? '')
    if (!line) continue
    // `- name: a` has its keys where `name` begins: another key in that column belongs to the same item.
    if (!sameAllowed && line.dashes.length > 0 && line.indent === column) return { item: true, line, index }
    const parent = sameAllowed ? line.indent <= column && line.dashes.length === 0 : line.indent < column
    if (parent && line.key !== undefined && (sameAllowed || line.indent < column)) return { key: line.key, line, index }
    if (sameAllowed && line.dashes.length > 0 && line.indent <= column && line.key !== undefined)
      return { key: line.key, line, index }
  }
  return undefined
}

/** The plain values of the map whose keys begin at a column, around a row. */
function siblings(lines: readonly string[], row: number, column: number, except: string | undefined): Record<string, string> {
  const found: Record<string, string> = {}
  const take = (index: number): boolean => {
    const line = read(lines[index] ?? '')
    if (!line) return true
    const first = line.dashes[0] ?? line.indent
    if (line.indent === column) {
      if (line.key !== undefined && line.key !== except && line.value !== undefined && index !== row) found[line.key] = line.value
      if (index === row) return true
      return line.dashes.length === 0 // a dash opens the item: what stands above it is another
    }
    return first >= column
  }
  const own = read(lines[row] ?? '')
  const opensHere = own !== undefined && own.dashes.length > 0 && own.indent === column
  if (!opensHere) for (let index = row - 1; index >= 0 && take(index); index -= 1);
  for (let index = row + 1; index < lines.length; index += 1) {
    const line = read(lines[index] ?? '')
    if (line && line.dashes.length > 0 && (line.dashes[0] ?? 0) < column) break
    if (!take(index)) break
  }
  return found
}
