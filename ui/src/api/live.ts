// Server-sent events: news makes what was read be read again. The browser goes on by itself after a cut, and says which event it had
// last; an answer that is no stream ends it for good.
import { useEffect, useEffectEvent } from 'react'

const NEWS_MS = 150 // news that come together are read together; longer is seen as a delay

export interface LiveOptions {
  /** Names of events; those without a name are always heard. */
  events: readonly string[]
  onEvent: (name: string, data: string) => void
}

/** Follows a stream while the component is there and `url` is one. */
export function useStream(url: string | undefined, { events, onEvent }: LiveOptions) {
  const told = useEffectEvent(onEvent)
  const names = events.join(' ')
  useEffect(() => {
    if (url === undefined) return
    const source = new EventSource(url)
    const hear = (event: MessageEvent<string>) => told(event.type, event.data)
    source.onmessage = hear
    for (const name of names.split(' ')) source.addEventListener(name, hear as EventListener)
    return () => source.close()
  }, [url, names])
}

/** Calls at most once in `pause` milliseconds, and always once after the last. */
export function soon(act: () => void, pause = NEWS_MS): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined
      act()
    }, pause)
  }
}

/** What a run tells; see host/report. */
export const RUN_EVENTS = [
  'run-started',
  'run-queued',
  'state-entered',
  'step-started',
  'step-ended',
  'step-skipped',
  'step-carried',
  'gate-opened',
  'gate-voted',
  'gate-decided',
  'sub-run-started',
  'sub-run-ended',
  'container-created',
  'step-undecided',
  'step-decided',
  'cancelling',
  'run-ended',
] as const
