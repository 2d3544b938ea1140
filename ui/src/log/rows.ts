// Which lines are shown, in which row: a log without the insides of its closed groups.

export interface Hidden {
  from: number
  to: number
}

/** Row (from 0) to line (from 1). `hidden` is in order and does not overlap. */
export function lineOf(row: number, hidden: readonly Hidden[]): number {
  let line = row + 1
  for (const { from, to } of hidden) {
    if (line < from) break
    line += to - from + 1
  }
  return line
}

/** Line to row; a hidden line to the row of its group's heading. */
export function rowOf(line: number, hidden: readonly Hidden[]): number {
  let before = 0
  for (const { from, to } of hidden) {
    if (line < from) break
    if (line <= to) return from - 2 - before
    before += to - from + 1
  }
  return line - 1 - before
}

/** How many rows. */
export function rowCount(total: number, hidden: readonly Hidden[]): number {
  return hidden.reduce((count, { from, to }) => count - Math.max(0, Math.min(to, total) - from + 1), total)
}

// A selection in an address: `#step:12` or `#step:12-20`.
export interface Place {
  step: string
  from?: number | undefined
  to?: number | undefined
}

export function parsePlace(hash: string): Place | undefined {
  const text = hash.replace(/^#/, '')
  if (text === '') return undefined
  const found = /^(.+?)(?::(\d{1,10})(?:-(\d{1,10}))?)?$/.exec(text)
  if (!found) return undefined
  const [, name = '', a, b] = found
  let step: string
  try {
    step = decodeURIComponent(name)
  } catch {
    return undefined
  }
  if (a === undefined) return { step }
  const ends = [Number(a), Number(b ?? a)].sort((x, y) => x - y)
  return ends[0] !== undefined && ends[0] > 0 ? { step, from: ends[0], to: ends[1] } : { step }
}

export function formatPlace({ step, from, to }: Place): string {
  const name = encodeURIComponent(step)
  if (from === undefined) return name
  return to === undefined || to === from ? `${name}:${from}` : `${name}:${from}-${to}`
}
