// A word on hover and on focus. Never the only place where something is said.
import { Tooltip } from 'radix-ui'
import type { ReactNode } from 'react'
import css from './ui.module.css'

const DELAY_MS = 400 // long enough not to flicker under a moving pointer

export const TooltipProvider = ({ children }: { children: ReactNode }) => (
  <Tooltip.Provider delayDuration={DELAY_MS}>{children}</Tooltip.Provider>
)

export function Tip({ text, shortcut, children }: { text: ReactNode; shortcut?: string | undefined; children: ReactNode }) {
  return (
    <Tooltip.Root>
      <Tooltip.Trigger asChild>{children}</Tooltip.Trigger>
      <Tooltip.Portal>
        <Tooltip.Content className={css.tooltip} sideOffset={6} collisionPadding={8}>
          {text}
          {shortcut && <span style={{ opacity: 0.7, marginLeft: 8 }}>{shortcut}</span>}
        </Tooltip.Content>
      </Tooltip.Portal>
    </Tooltip.Root>
  )
}
