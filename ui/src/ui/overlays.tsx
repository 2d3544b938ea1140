// What opens over the page: dialogs, drawers, menus, popovers. Focus, Escape and scrolling are Radix's.
import { Terminal, X } from 'lucide-react'
import { AlertDialog, Dialog as RadixDialog, DropdownMenu, Popover as RadixPopover } from 'radix-ui'
import { useId, type ReactNode } from 'react'
import { cx } from '@/lib/cx'
import { Button, IconButton } from './Button'
import { CopyButton } from './CopyButton'
import { ErrorState } from './places'
import css from './ui.module.css'

export interface DialogProps {
  open: boolean
  onOpenChange: (open: boolean) => void
  title: ReactNode
  description?: ReactNode
  children?: ReactNode
  /** Buttons; the one that does it stands last. */
  footer?: ReactNode
  wide?: boolean
  /** Only its buttons close it: for what cannot be had again. */
  firm?: boolean
}

function Panel({
  look,
  title,
  description,
  children,
  footer,
  firm,
}: Omit<DialogProps, 'open' | 'onOpenChange' | 'wide'> & { look: string }) {
  return (
    <RadixDialog.Portal>
      <RadixDialog.Overlay className={css.overlay} />
      <RadixDialog.Content
        className={look}
        onOpenAutoFocus={(event) => {
          // A form begins at its first field, and not at the button that closes it.
          const field = (event.currentTarget as HTMLElement).querySelector<HTMLElement>(
            ':is(input, textarea, [role="combobox"]):not([disabled])',
          )
          if (!field) return
          event.preventDefault()
          field.focus()
        }}
        {...(description === undefined && { 'aria-describedby': undefined })}
      >
        <div className={css.dialogHead}>
          <div>
            <RadixDialog.Title asChild>
              <h2>{title}</h2>
            </RadixDialog.Title>
            {description !== undefined && (
              <RadixDialog.Description asChild>
                <p>{description}</p>
              </RadixDialog.Description>
            )}
          </div>
          {!firm && (
            <RadixDialog.Close asChild>
              <Button kind="ghost" size="small" className={css.iconOnly} aria-label="Close">
                <X aria-hidden />
              </Button>
            </RadixDialog.Close>
          )}
        </div>
        <div className={css.dialogBody}>{children}</div>
        {footer !== undefined && <div className={css.dialogFoot}>{footer}</div>}
      </RadixDialog.Content>
    </RadixDialog.Portal>
  )
}

export function Dialog({ open, onOpenChange, wide, ...panel }: DialogProps) {
  return (
    <RadixDialog.Root open={open} onOpenChange={onOpenChange}>
      <Panel look={cx(css.dialog, wide && css.dialogWide)} {...panel} />
    </RadixDialog.Root>
  )
}

export interface FormDialogProps extends Pick<DialogProps, 'title' | 'description' | 'wide'> {
  /** The verb of the button that does it, and of the Enter key. */
  action: string
  icon?: ReactNode
  onSubmit: () => void
  onClose: () => void
  busy: boolean
  /** Whether it cannot be sent as it is filled in. */
  disabled?: boolean
  /** What the server said of what was sent. */
  error: unknown
  /** What stands at the left of the buttons, such as the CLI twin. */
  aside?: ReactNode
  cancel?: string
  children: ReactNode
}

/** A dialog that is a form. It is there as long as it is open; the caller closes it when it was done. */
export function FormDialog(props: FormDialogProps) {
  const id = useId()
  return (
    <Dialog
      open
      {...(props.wide && { wide: true })}
      onOpenChange={(open) => !open && props.onClose()}
      title={props.title}
      {...(props.description !== undefined && { description: props.description })}
      footer={
        <>
          {props.aside !== undefined && <div className={css.aside}>{props.aside}</div>}
          <Button onClick={props.onClose}>{props.cancel ?? 'Cancel'}</Button>
          <Button kind="primary" type="submit" form={id} icon={props.icon} busy={props.busy} disabled={props.disabled ?? false}>
            {props.action}
          </Button>
        </>
      }
    >
      <form
        id={id}
        className={css.form}
        onSubmit={(event) => {
          event.preventDefault()
          props.onSubmit()
        }}
      >
        {props.children}
        {props.error != null && <ErrorState error={props.error} />}
      </form>
    </Dialog>
  )
}

/** A panel at the right edge, for details beside a list that stays in sight. */
export function Drawer({ open, onOpenChange, ...panel }: Omit<DialogProps, 'wide'>) {
  return (
    <RadixDialog.Root open={open} onOpenChange={onOpenChange}>
      <Panel look={cx(css.drawer)} {...panel} />
    </RadixDialog.Root>
  )
}

export interface ConfirmProps {
  open: boolean
  onOpenChange: (open: boolean) => void
  title: ReactNode
  /** What will happen, and whether it can be undone. */
  children: ReactNode
  /** The verb: "Cancel the run", never "OK". */
  action: string
  onConfirm: () => void
  danger?: boolean
  busy?: boolean
  /** Whether it cannot be done as things stand; the text says why. */
  disabled?: boolean
  /** What stands at the left of the buttons, such as the CLI twin. */
  aside?: ReactNode
}

/** Asks before something that cannot be undone. Stays open while it is done; the caller closes it. */
export function Confirm(props: ConfirmProps) {
  return (
    <AlertDialog.Root open={props.open} onOpenChange={props.onOpenChange}>
      <AlertDialog.Portal>
        <AlertDialog.Overlay className={css.overlay} />
        <AlertDialog.Content className={css.dialog}>
          <div className={css.dialogHead}>
            <div>
              <AlertDialog.Title asChild>
                <h2>{props.title}</h2>
              </AlertDialog.Title>
            </div>
          </div>
          <AlertDialog.Description asChild>
            <div className={css.dialogBody}>{props.children}</div>
          </AlertDialog.Description>
          <div className={css.dialogFoot}>
            {props.aside !== undefined && <div className={css.aside}>{props.aside}</div>}
            <AlertDialog.Cancel asChild>
              <Button>Keep as it is</Button>
            </AlertDialog.Cancel>
            <Button
              kind={props.danger ? 'danger-solid' : 'primary'}
              busy={props.busy ?? false}
              disabled={props.disabled ?? false}
              onClick={props.onConfirm}
            >
              {props.action}
            </Button>
          </div>
        </AlertDialog.Content>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  )
}

export function Menu({ trigger, children, align = 'end' }: { trigger: ReactNode; children: ReactNode; align?: 'start' | 'end' }) {
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger asChild>{trigger}</DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className={css.menu} align={align} sideOffset={4} collisionPadding={8}>
          {children}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  )
}

export function MenuItem(props: {
  icon?: ReactNode
  children: ReactNode
  onSelect?: () => void
  end?: ReactNode
  danger?: boolean
  disabled?: boolean
  asChild?: boolean
}) {
  return (
    <DropdownMenu.Item
      className={cx(css.item, props.danger && css.itemDanger)}
      {...(props.onSelect && { onSelect: props.onSelect })}
      {...(props.disabled && { disabled: true })}
      {...(props.asChild && { asChild: true })}
    >
      {props.asChild ? (
        props.children
      ) : (
        <>
          {props.icon}
          {props.children}
          {props.end !== undefined && <span className={css.itemEnd}>{props.end}</span>}
        </>
      )}
    </DropdownMenu.Item>
  )
}

export const MenuSeparator = () => <DropdownMenu.Separator className={css.separator} />
export const MenuLabel = ({ children }: { children: ReactNode }) => (
  <DropdownMenu.Label className={css.menuLabel}>{children}</DropdownMenu.Label>
)

export function Popover({
  trigger,
  children,
  align = 'end',
}: {
  trigger: ReactNode
  children: ReactNode
  align?: 'start' | 'end'
}) {
  return (
    <RadixPopover.Root>
      <RadixPopover.Trigger asChild>{trigger}</RadixPopover.Trigger>
      <RadixPopover.Portal>
        <RadixPopover.Content className={css.popover} align={align} sideOffset={6} collisionPadding={8}>
          {children}
        </RadixPopover.Content>
      </RadixPopover.Portal>
    </RadixPopover.Root>
  )
}

/** A command as text that can be copied. */
export function Command({ children }: { children: string }) {
  return (
    <div className={css.cli}>
      <code>{children}</code>
      <CopyButton text={children} label="Copy the command" />
    </div>
  )
}

/** The command that does what this page does. Every action has one. */
export function CliTwin({ command, label = 'Copy as CLI' }: { command: string | readonly string[]; label?: string }) {
  const commands = typeof command === 'string' ? [command] : command
  return (
    <Popover
      trigger={
        <IconButton label={label}>
          <Terminal aria-hidden />
        </IconButton>
      }
    >
      <strong>On the command line</strong>
      {commands.map((line) => (
        <Command key={line}>{line}</Command>
      ))}
    </Popover>
  )
}
