// A text in a log: through the lines that are here and through those that are fetched for it, from the beginning, as it goes along.
import { plain } from './ansi'
import type { LogStore } from './store'

export interface Found {
  words: string
  /** In order. */
  lines: readonly number[]
  done: boolean
  /** There are more than are listed. */
  more?: boolean
  /** These are the first that were found. */
  first?: boolean
}

export const MOST = 5_000 // hits; nobody goes through more one by one
const AT_ONCE = 5_000 // lines of one step: some 500 kB

/** Tells what it found so far after every step. Letters count alike, large or small. */
export async function find(store: LogStore, words: string, signal: AbortSignal, tell: (found: Found) => void): Promise<void> {
  const wanted = words.toLowerCase()
  const lines: number[] = []
  tell({ words, lines, done: wanted === '' })
  if (wanted === '') return
  const { total } = store.snapshot()
  for (let from = 1; from <= total; from += AT_ONCE) {
    let part
    try {
      part = await store.read(from, Math.min(total, from + AT_ONCE - 1), signal)
    } catch {
      break // The view says that the log cannot be had; what was found stays.
    }
    if (signal.aborted) return
    const before = lines.length
    for (const line of part) {
      if (lines.length < MOST && plain(line.text).toLowerCase().includes(wanted)) lines.push(line.line)
    }
    const first = before === 0 && lines.length > 0
    if (lines.length >= MOST) {
      tell({ words, lines: [...lines], done: true, more: true, first })
      return
    }
    if (lines.length > before) tell({ words, lines: [...lines], done: false, first })
  }
  if (!signal.aborted) tell({ words, lines: [...lines], done: true })
}
