// Short news about what a person just did. Errors stay until they are closed; everything that matters is said in the page, too.
import { CircleCheck, Info, OctagonAlert, X } from 'lucide-react'
import { Toast } from 'radix-ui'
import { useSyncExternalStore, type ReactNode } from 'react'
import { toProblem } from '@/api/problem'
import { Button } from './Button'
import { cx } from '@/lib/cx'
import css from './ui.module.css'

interface News {
  id: number
  tone: 'ok' | 'bad' | 'run'
  title: string
  body?: ReactNode
}

const SHOWN_MS = 5_000
const FOR_GOOD_MS = 86_400_000
const AT_ONCE = 4 // more than these would cover the page

let news: readonly News[] = []
let next = 0
const listeners = new Set<() => void>()

function put(list: readonly News[]) {
  news = list
  for (const listener of listeners) listener()
}
const add = (entry: Omit<News, 'id'>) => put([...news, { ...entry, id: next++ }].slice(-AT_ONCE))
const close = (id: number) => put(news.filter((entry) => entry.id !== id))

export const toast = {
  ok: (title: string, body?: ReactNode) => add({ tone: 'ok', title, body }),
  info: (title: string, body?: ReactNode) => add({ tone: 'run', title, body }),
  /** Whatever was thrown, as the server tells it. */
  error: (thrown: unknown, doing?: string) => {
    const problem = toProblem(thrown)
    const rest = [problem.detail, problem.help, problem.code].filter(Boolean).join(' ')
    add({ tone: 'bad', title: doing === undefined ? problem.title : `${doing}: ${problem.title}`, body: rest })
  },
}

const ICON = { ok: CircleCheck, bad: OctagonAlert, run: Info }

function subscribe(listener: () => void) {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

export function Toaster() {
  const list = useSyncExternalStore(subscribe, () => news)
  return (
    <Toast.Provider swipeDirection="right" label="News">
      {list.map((entry) => {
        const Icon = ICON[entry.tone]
        return (
          <Toast.Root
            key={entry.id}
            className={css.toast}
            duration={entry.tone === 'bad' ? FOR_GOOD_MS : SHOWN_MS}
            type={entry.tone === 'bad' ? 'foreground' : 'background'}
            onOpenChange={(open) => !open && close(entry.id)}
          >
            <Icon aria-hidden className={css[`fg-${entry.tone}`]} />
            <div>
              <Toast.Title asChild>
                <strong>{entry.title}</strong>
              </Toast.Title>
              {entry.body != null && entry.body !== '' && (
                <Toast.Description asChild>
                  <p>{entry.body}</p>
                </Toast.Description>
              )}
            </div>
            <Toast.Close asChild>
              <Button kind="ghost" size="small" className={cx(css.iconOnly)} aria-label="Close">
                <X aria-hidden />
              </Button>
            </Toast.Close>
          </Toast.Root>
        )
      })}
      <Toast.Viewport className={css.toasts} />
    </Toast.Provider>
  )
}
