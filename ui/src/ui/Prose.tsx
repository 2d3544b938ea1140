// HTML of others, such as a plugin's README. The server has cleaned it; it is cleaned again here, because a page that trusts one
// place alone is one mistake away from running somebody else's script. The cleaner is loaded when there is something to clean.
import { useEffect, useState } from 'react'
import { Skeleton } from './places'
import css from './ui.module.css'

const clean = async (html: string): Promise<string> => {
  const { default: purify } = await import('dompurify')
  purify.addHook('afterSanitizeAttributes', (node) => {
    // A picture that nobody described is decoration, to those who cannot see it.
    if (node.tagName === 'IMG' && !node.hasAttribute('alt')) node.setAttribute('alt', '')
    if (node.tagName === 'A') {
      node.setAttribute('rel', 'noopener noreferrer nofollow')
      node.setAttribute('target', '_blank')
    }
  })
  const cleaned = purify.sanitize(html, {
    USE_PROFILES: { html: true },
    FORBID_TAGS: ['style', 'form', 'input', 'button', 'textarea', 'select', 'iframe', 'video', 'audio'],
    FORBID_ATTR: ['style', 'class', 'id', 'name'],
    ALLOW_DATA_ATTR: false,
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|#|\/(?!\/))/i,
  })
  purify.removeAllHooks()
  return cleaned
}

export function Prose({ html }: { html: string }) {
  const [cleaned, setCleaned] = useState<{ from: string; html: string }>()
  useEffect(() => {
    let current = true
    void clean(html).then((result) => current && setCleaned({ from: html, html: result }))
    return () => {
      current = false
    }
  }, [html])
  if (cleaned?.from !== html) return <Skeleton height={120} />
  // eslint-disable-next-line no-restricted-syntax -- cleaned right above
  return <div className={css.prose} dangerouslySetInnerHTML={{ __html: cleaned.html }} />
}
