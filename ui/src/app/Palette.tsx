// Ctrl-K: go anywhere. Pages are here; what else can be found (runs, pipelines, plugins) is given by the application, so that the
// palette knows no API.
import { useNavigate } from '@tanstack/react-router'
import { Command } from 'cmdk'
import { Dialog } from 'radix-ui'
import { useState } from 'react'
import { pages } from './navigation'
import { useFound } from './search'
import css from './shell.module.css'

export default function Palette({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const [words, setWords] = useState('')
  const navigate = useNavigate()
  const found = useFound(words, open)
  const go = (to: string) => {
    onOpenChange(false)
    setWords('')
    void navigate({ to })
  }
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Portal>
        <Dialog.Overlay style={{ position: 'fixed', inset: 0, zIndex: 40, background: 'var(--overlay)' }} />
        <Dialog.Content className={css.palette} aria-describedby={undefined}>
          <Dialog.Title className="visually-hidden">Go to</Dialog.Title>
          <Command label="Go to" loop>
            <Command.Input value={words} onValueChange={setWords} placeholder="Go to a page, a run or a pipeline…" />
            <Command.List>
              <Command.Empty>Nothing by that name.</Command.Empty>
              {found.map((group) => (
                <Command.Group key={group.title} heading={group.title}>
                  {group.hits.map((hit) => (
                    <Command.Item
                      key={hit.to}
                      value={`${group.title} ${hit.title} ${hit.detail ?? ''} ${hit.to}`}
                      onSelect={() => go(hit.to)}
                    >
                      {hit.icon}
                      {hit.title}
                      {hit.detail !== undefined && <span className={css.paletteEnd}>{hit.detail}</span>}
                    </Command.Item>
                  ))}
                </Command.Group>
              ))}
              <Command.Group heading="Pages">
                {pages.map(({ to, title, icon: Icon, keys }) => (
                  <Command.Item key={to} value={`Page ${title}`} onSelect={() => go(to)}>
                    <Icon aria-hidden />
                    {title}
                    <span className={css.paletteEnd}>{keys}</span>
                  </Command.Item>
                ))}
              </Command.Group>
            </Command.List>
          </Command>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}
