// Keyboard: one listener for the page, and a list of what the keys do, which the help shows.
import { useEffect, useSyncExternalStore } from 'react'

export interface Shortcut {
  /** As `KeyboardEvent.key`, such as `j` or `?`; `mod+k` for Control or Command. Two keys after each other: `g r`. */
  keys: string
  does: string
  group: string
  run: () => void
}

const SECOND_KEY_MS = 1_000 // how long `g` waits for the key after it

let registered: readonly Shortcut[] = []
const watching = new Set<() => void>()
let first: { key: string; at: number } | undefined

/** Whether a person is writing, so that letters are letters. */
const writing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName) || target.closest('.cm-editor') !== null)

function pressed(event: KeyboardEvent) {
  if (event.defaultPrevented || event.altKey) return
  const mod = event.ctrlKey || event.metaKey
  if (!mod && writing(event.composedPath()[0] ?? event.target)) return
  // A dialog that is open has the keyboard for itself.
  const modal = document.querySelector('[role="dialog"][data-state="open"], [role="alertdialog"]') !== null
  const key = mod ? `mod+${event.key.toLowerCase()}` : event.key
  const both = first && event.timeStamp - first.at < SECOND_KEY_MS ? `${first.key} ${key}` : undefined
  first = undefined
  // The one that was registered last counts: a page's keys before the shell's.
  const list = registered.toReversed()
  const hit = list.find((shortcut) => shortcut.keys === both) ?? list.find((shortcut) => shortcut.keys === key)
  if (hit && (!modal || hit.keys === 'mod+k')) {
    event.preventDefault()
    hit.run()
  } else if (!mod && !modal && list.some((shortcut) => shortcut.keys.startsWith(`${key} `))) {
    first = { key, at: event.timeStamp }
  }
}

function register(next: readonly Shortcut[]) {
  if (registered.length === 0 && next.length > 0) addEventListener('keydown', pressed)
  if (next.length === 0) removeEventListener('keydown', pressed)
  registered = next
  for (const told of watching) told()
}

function watch(told: () => void) {
  watching.add(told)
  return () => watching.delete(told)
}

/** What the keys do, for the help: also of what is still loading when it is opened. */
export const useRegistered = (): readonly Shortcut[] => useSyncExternalStore(watch, () => registered)

/** Registers keys while the component is there. Memoise the list. */
export function useShortcuts(list: readonly Shortcut[]) {
  useEffect(() => {
    register([...registered, ...list])
    return () => register(registered.filter((shortcut) => !list.includes(shortcut)))
  }, [list])
}
