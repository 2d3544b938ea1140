// The document's title and icon. A run's page says in both how the run stands, so that a tab in the background tells it.
import { useEffect } from 'react'
import type { Tone } from '@/ui/status'

export function useDocumentTitle(title: string) {
  useEffect(() => {
    document.title = `${title} · Windlass`
  }, [title])
}

const COLOUR: Record<Tone, string> = { ok: '#22994f', bad: '#d43b47', run: '#2f72e6', wait: '#c98500', idle: '#86919a' }
const MARK: Record<Tone, string> = {
  ok: 'M10 16.5l4 4 8-9',
  bad: 'M11 11l10 10M21 11L11 21',
  run: 'M12.5 10v12l9-6z',
  wait: 'M12.5 11v10M19.5 11v10',
  idle: 'M10.5 16h11',
}

/** The icon in the tab, as a status; the plain one again when the page is left. */
export function useFavicon(tone: Tone | undefined) {
  useEffect(() => {
    const link = document.querySelector<HTMLLinkElement>('link[rel="icon"]')
    if (!link || tone === undefined) return
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="15" fill="${COLOUR[tone]}"/><path d="${MARK[tone]}" fill="none" stroke="#fff" stroke-width="3.2" stroke-linecap="round" stroke-linejoin="round"/></svg>`
    link.href = `data:image/svg+xml,${encodeURIComponent(svg)}`
    return () => {
      link.href = '/favicon.svg'
    }
  }, [tone])
}
