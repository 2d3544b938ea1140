// Times that go on by themselves. One clock for the whole page, and what is compared is the words: a row is drawn again when they
// change, not once a second.
import { useSyncExternalStore } from 'react'
import { absolute, ago, duration } from '@/lib/time'

const TICK_MS = 1_000

let timer: ReturnType<typeof setInterval> | undefined
const listeners = new Set<() => void>()

function subscribe(listener: () => void) {
  listeners.add(listener)
  timer ??= setInterval(() => {
    for (const each of listeners) each()
  }, TICK_MS)
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0) return
    clearInterval(timer)
    timer = undefined
  }
}
const still = () => () => {}

/** Something that follows from the time, such as words; drawn again when it changes. It must be comparable with `Object.is`. */
export const useClock = <T extends string | number | boolean>(read: (now: number) => T, ticking = true): T =>
  useSyncExternalStore(ticking ? subscribe : still, () => read(Date.now()))

/** Now in whole seconds, as milliseconds since 1970. */
export const useNow = (ticking = true): number => useClock((now) => Math.floor(now / TICK_MS) * TICK_MS, ticking)

/** "3 min ago", with the whole date in its title. */
export function Time({ at }: { at: number | null | undefined }) {
  const words = useClock((now) => (at == null ? '–' : ago(at, now)), at != null)
  if (at == null) return <span className="muted">–</span>
  return (
    <time dateTime={new Date(at).toISOString()} title={absolute(at)} style={{ whiteSpace: 'nowrap' }}>
      {words}
    </time>
  )
}

/** How long it took; ticks in whole seconds until it has ended. */
export function Duration({ from, to }: { from: number | null | undefined; to: number | null | undefined }) {
  const words = useClock(
    (now) => {
      if (from == null) return '–'
      if (to != null) return duration(to - from)
      return duration(Math.floor(Math.max(0, now - from) / TICK_MS) * TICK_MS).replace(/^(\d)\.0 s$/, '$1 s')
    },
    from != null && to == null,
  )
  return <span style={{ whiteSpace: 'nowrap' }}>{words}</span>
}
