// The lines of one log, as far as they are known: fetched in chunks as they come into view, appended as they arrive, forgotten when
// too many are held. A log of a gigabyte is opened by reading its last chunk.

export type Stream = 'stdout' | 'stderr' | 'plugin' | 'system'

export interface LogLine {
  /** From 1. */
  line: number
  text: string
  stream: Stream
  /** Milliseconds since 1970 (UTC), where it is known. */
  atMs?: number | undefined
}

export const CHUNK = 500 // lines of one request: some 50 kB, and ten screens
export const HELD = 400 // chunks held: 200,000 lines, some 40 MB; what is far away is fetched again

export interface LogSource {
  /** The lines `from` to `to`, both included, from 1. Fewer at the end of the log. */
  getRange: (from: number, to: number, signal: AbortSignal) => Promise<readonly LogLine[]>
  /** How many lines there are so far. */
  total: number
  /** No more will come. */
  complete: boolean
}

export interface Snapshot {
  total: number
  complete: boolean
  /** Grows whenever anything changed. */
  version: number
  error: unknown
}

export interface LogStore {
  subscribe: (listener: () => void) => () => void
  snapshot: () => Snapshot
  /** `undefined` while it is not here; `ensure` brings it. */
  line: (number: number) => LogLine | undefined
  /** Fetches what is missing of these lines. */
  ensure: (from: number, to: number) => void
  /** Lines that arrived by themselves. A line that is here already is replaced: the log is written anew after a crash. */
  push: (lines: readonly LogLine[]) => void
  /** More lines are known to be there, or the last one is. */
  grow: (total: number, complete: boolean) => void
  /** All lines of a range, waiting for those that are missing. */
  read: (from: number, to: number, signal: AbortSignal) => Promise<readonly LogLine[]>
  /** After an error: asks again for what is in view. */
  retry: () => void
  /** Forgets everything: the log is written anew. */
  clear: () => void
  /** Gives up what is under way. */
  close: () => void
}

export function createLogStore(source: LogSource): LogStore {
  const chunks = new Map<number, (LogLine | undefined)[]>()
  const pending = new Map<number, Promise<void>>()
  const listeners = new Set<() => void>()
  let stop = new AbortController()
  let state: Snapshot = { total: source.total, complete: source.complete, version: 0, error: undefined }

  const change = (next: Partial<Snapshot>) => {
    state = { ...state, ...next, version: state.version + 1 }
    for (const listener of listeners) listener()
  }
  const chunkOf = (line: number) => Math.floor((line - 1) / CHUNK)
  const hold = (index: number) => {
    const known = chunks.get(index)
    // Asked for last, forgotten last: a Map keeps the order of insertion.
    if (known) chunks.delete(index)
    const chunk = known ?? []
    chunks.set(index, chunk)
    if (chunks.size > HELD) {
      const oldest = chunks.keys().next().value
      if (oldest !== undefined) chunks.delete(oldest)
    }
    return chunk
  }
  const put = (lines: readonly LogLine[]) => {
    for (const line of lines) hold(chunkOf(line.line))[(line.line - 1) % CHUNK] = line
  }

  const fetchChunk = (index: number): Promise<void> => {
    const running = pending.get(index)
    if (running) return running
    const first = index * CHUNK + 1
    const last = Math.min(state.total, first + CHUNK - 1)
    const chunk = hold(index)
    const { signal } = stop
    let from = first
    while (from <= last && chunk[from - first]) from += 1
    if (from > last) return Promise.resolve()
    const answer = source
      .getRange(from, last, signal)
      .then((lines) => {
        put(lines)
        change({ error: undefined })
      })
      .catch((error: unknown) => {
        if (!signal.aborted) change({ error })
      })
      .finally(() => {
        if (pending.get(index) === answer) pending.delete(index)
      })
    pending.set(index, answer)
    return answer
  }
  const missing = (from: number, to: number) => {
    const list: number[] = []
    for (let index = chunkOf(Math.max(1, from)); index <= chunkOf(Math.max(1, Math.min(to, state.total))); index += 1)
      list.push(index)
    return list
  }
  const line = (number: number) => chunks.get(chunkOf(number))?.[(number - 1) % CHUNK]

  return {
    subscribe: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    snapshot: () => state,
    line,
    ensure: (from, to) => {
      if (state.total === 0 || state.error !== undefined) return
      for (const index of missing(from, to)) void fetchChunk(index)
    },
    push: (lines) => {
      if (lines.length === 0) return
      put(lines)
      change({
        total: Math.max(
          state.total,
          lines.reduce((most, each) => Math.max(most, each.line), 0),
        ),
      })
    },
    grow: (total, complete) => {
      if (total !== state.total || complete !== state.complete)
        change({ total: Math.max(total, state.total), complete, error: undefined })
    },
    read: async (from, to, signal) => {
      // Beside the chunks: a search through a gigabyte must not push out what is in view.
      const here: LogLine[] = []
      for (let number = from; number <= to; number += 1) {
        const known = line(number)
        if (!known) return await source.getRange(from, to, signal)
        here.push(known)
      }
      return here
    },
    retry: () => change({ error: undefined }),
    clear: () => {
      chunks.clear()
      change({ total: 0, complete: false, error: undefined })
    },
    close: () => {
      stop.abort()
      pending.clear()
      // A view that comes back, as views do while they are worked on, reads on.
      stop = new AbortController()
    },
  }
}
