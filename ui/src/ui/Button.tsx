// Buttons. `busy` keeps the width and says so to screen readers; a button that may not be pressed should say why in a tooltip.
import { LoaderCircle } from 'lucide-react'
import { Slot } from 'radix-ui'
import type { ComponentProps, ReactNode } from 'react'
import { cx } from '@/lib/cx'
import { Tip } from './Tooltip'
import css from './ui.module.css'

type Kind = 'default' | 'primary' | 'ghost' | 'danger' | 'danger-solid'

const KIND: Record<Kind, string | undefined> = {
  default: undefined,
  primary: css.primary,
  ghost: css.ghost,
  danger: css.danger,
  'danger-solid': css.dangerSolid,
}

export interface ButtonProps extends ComponentProps<'button'> {
  kind?: Kind
  size?: 'small' | 'medium'
  icon?: ReactNode
  busy?: boolean
  /** Render the child (a link) with the looks of a button. */
  asChild?: boolean
}

export function Button({ kind = 'default', size = 'medium', icon, busy, asChild, className, children, ...rest }: ButtonProps) {
  const look = cx(css.button, KIND[kind], size === 'small' && css.small, className)
  if (asChild) {
    return (
      <Slot.Root className={look} {...rest}>
        {children}
      </Slot.Root>
    )
  }
  return (
    <button
      type="button"
      className={look}
      aria-busy={busy || undefined}
      {...rest}
      disabled={rest.disabled === true || busy === true}
    >
      {busy ? <LoaderCircle className={css.spin} aria-hidden /> : icon}
      {children}
    </button>
  )
}

export interface IconButtonProps extends Omit<ButtonProps, 'icon' | 'children'> {
  /** What it does; shown as a tooltip, and read out. */
  label: string
  children: ReactNode
  /** The key that does the same. */
  shortcut?: string
}

export function IconButton({ label, shortcut, children, kind = 'ghost', className, ...rest }: IconButtonProps) {
  return (
    <Tip text={label} shortcut={shortcut}>
      <Button kind={kind} className={cx(css.iconOnly, className)} aria-label={label} {...rest}>
        {children}
      </Button>
    </Tip>
  )
}
