// Light, dark, or as the system has it. The first paint is decided by public/theme.js, which must agree with this file.
import { useSyncExternalStore } from 'react'

export type Theme = 'system' | 'light' | 'dark'

const KEY = 'windlass-theme'
const listeners = new Set<() => void>()
const system = matchMedia('(prefers-color-scheme: dark)')

function read(): Theme {
  try {
    const kept = localStorage.getItem(KEY)
    return kept === 'light' || kept === 'dark' ? kept : 'system'
  } catch {
    return 'system'
  }
}

let theme = read()

function apply() {
  const dark = theme === 'dark' || (theme === 'system' && system.matches)
  document.documentElement.dataset['theme'] = dark ? 'dark' : 'light'
  for (const listener of listeners) listener()
}
system.addEventListener('change', apply)

/** Chooses a theme and keeps the choice, where storage is allowed. */
export function setTheme(next: Theme) {
  theme = next
  try {
    if (next === 'system') localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, next)
  } catch {
    // It counts until the page is closed.
  }
  apply()
}

function subscribe(listener: () => void) {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

/** What was chosen. */
export const useTheme = (): Theme => useSyncExternalStore(subscribe, () => theme)

/** Whether it is dark now, whatever made it so. */
export const useDark = (): boolean => useSyncExternalStore(subscribe, () => document.documentElement.dataset['theme'] === 'dark')
