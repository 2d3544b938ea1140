// What the palette finds besides pages. Each area adds a source; a source is a hook that is asked with the words typed so far.
import type { ReactNode } from 'react'

export interface Hit {
  to: string
  title: string
  detail?: string
  icon?: ReactNode
}
export interface HitGroup {
  title: string
  hits: readonly Hit[]
}

type Source = (words: string, open: boolean) => HitGroup | undefined

/** Filled once, before anything is drawn: hooks must not come and go. */
export const sources: Source[] = []

export const useFound = (words: string, open: boolean): HitGroup[] =>
  // The list never changes while the page lives, so this calls the same hooks in the same order every time.
  sources.map((source) => source(words, open)).filter((group) => group !== undefined && group.hits.length > 0) as HitGroup[]
