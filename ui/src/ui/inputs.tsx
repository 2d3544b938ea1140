// Inputs and what stands around them. `Field` ties label, help and error to its control, so that screen readers say them together.
import { Check, ChevronDown, CircleAlert } from 'lucide-react'
import { Checkbox as RadixCheckbox, Select as RadixSelect, Switch as RadixSwitch, ToggleGroup } from 'radix-ui'
import { createContext, useContext, useId, type ComponentProps, type ReactNode } from 'react'
import { cx } from '@/lib/cx'
import css from './ui.module.css'

interface Control {
  id: string
  describedBy: string | undefined
  invalid: boolean
  required: boolean
}
const FieldContext = createContext<Control | null>(null)

/** What a control inside a `Field` must carry. What the caller gives counts more. */
function useControl() {
  const field = useContext(FieldContext)
  if (!field) return {}
  return {
    id: field.id,
    ...(field.describedBy && { 'aria-describedby': field.describedBy }),
    ...(field.invalid && { 'aria-invalid': true as const }),
    ...(field.required && { 'aria-required': true as const }),
  }
}

export interface FieldProps {
  label: ReactNode
  help?: ReactNode
  error?: string | undefined
  required?: boolean
  children: ReactNode
}

export function Field({ label, help, error, required = false, children }: FieldProps) {
  const id = useId()
  const describedBy = cx(help != null && `${id}-help`, error && `${id}-error`) || undefined
  return (
    <div className={css.field}>
      <label className={css.label} htmlFor={id}>
        {label}
        {required && <span className={css.required}>required</span>}
      </label>
      <FieldContext value={{ id, describedBy, invalid: error !== undefined, required }}>{children}</FieldContext>
      {help != null && (
        <div className={css.help} id={`${id}-help`}>
          {help}
        </div>
      )}
      {error && (
        <div className={css.fieldError} id={`${id}-error`} role="alert">
          <CircleAlert aria-hidden />
          <span>{error}</span>
        </div>
      )}
    </div>
  )
}

export interface InputProps extends ComponentProps<'input'> {
  icon?: ReactNode
  mono?: boolean
}

export function Input({ icon, mono, className, ...rest }: InputProps) {
  const input = <input className={cx(css.input, mono && css.monoInput, className)} {...useControl()} {...rest} />
  if (icon === undefined) return input
  return (
    <span className={css.inputWrap}>
      {input}
      {icon}
    </span>
  )
}

export function Textarea({ mono, className, ...rest }: ComponentProps<'textarea'> & { mono?: boolean }) {
  return <textarea className={cx(css.input, mono && css.monoInput, className)} {...useControl()} {...rest} />
}

export interface Option {
  value: string
  label: ReactNode
  disabled?: boolean
}

export interface SelectProps {
  value: string | undefined
  onChange: (value: string) => void
  options: readonly Option[]
  placeholder?: string
  disabled?: boolean
  'aria-label'?: string
}

export function Select({ value, onChange, options, placeholder = 'Choose…', disabled = false, ...rest }: SelectProps) {
  return (
    <RadixSelect.Root value={value ?? ''} onValueChange={onChange} disabled={disabled}>
      <RadixSelect.Trigger className={css.select} {...useControl()} {...rest}>
        <span className="truncate">
          <RadixSelect.Value placeholder={placeholder} />
        </span>
        <RadixSelect.Icon>
          <ChevronDown aria-hidden />
        </RadixSelect.Icon>
      </RadixSelect.Trigger>
      <RadixSelect.Portal>
        <RadixSelect.Content
          className={css.menu}
          position="popper"
          sideOffset={4}
          style={{ minWidth: 'var(--radix-select-trigger-width)' }}
        >
          <RadixSelect.Viewport>
            {options.map((option) => (
              <RadixSelect.Item
                key={option.value}
                value={option.value}
                className={css.item}
                {...(option.disabled && { disabled: true })}
              >
                <RadixSelect.ItemText>{option.label}</RadixSelect.ItemText>
                <RadixSelect.ItemIndicator className={css.itemEnd}>
                  <Check aria-hidden />
                </RadixSelect.ItemIndicator>
              </RadixSelect.Item>
            ))}
          </RadixSelect.Viewport>
        </RadixSelect.Content>
      </RadixSelect.Portal>
    </RadixSelect.Root>
  )
}

interface TickProps {
  checked: boolean
  onChange: (checked: boolean) => void
  disabled?: boolean
  label: ReactNode
  help?: ReactNode
}

/** What is switched, with its label and its help. */
function Tick({ label, help, children }: Pick<TickProps, 'label' | 'help'> & { children: (control: object) => ReactNode }) {
  const id = useId()
  return (
    <div className={css.choice}>
      {children({ id, ...(help != null && { 'aria-describedby': `${id}-help` }) })}
      <div>
        <label htmlFor={id}>{label}</label>
        {help != null && (
          <div className={css.help} id={`${id}-help`}>
            {help}
          </div>
        )}
      </div>
    </div>
  )
}

export const Checkbox = ({ checked, onChange, disabled = false, ...words }: TickProps) => (
  <Tick {...words}>
    {(control) => (
      <RadixCheckbox.Root
        className={css.check}
        checked={checked}
        disabled={disabled}
        onCheckedChange={(next) => onChange(next === true)}
        {...control}
      >
        <RadixCheckbox.Indicator>
          <Check aria-hidden />
        </RadixCheckbox.Indicator>
      </RadixCheckbox.Root>
    )}
  </Tick>
)

export const Switch = ({ checked, onChange, disabled = false, ...words }: TickProps) => (
  <Tick {...words}>
    {(control) => (
      <RadixSwitch.Root className={css.switch} checked={checked} disabled={disabled} onCheckedChange={onChange} {...control}>
        <RadixSwitch.Thumb />
      </RadixSwitch.Root>
    )}
  </Tick>
)

/** One of a few, side by side. */
export function Segmented<T extends string>(props: {
  label: string
  value: T
  onChange: (value: T) => void
  options: readonly { value: T; label: ReactNode }[]
}) {
  return (
    <ToggleGroup.Root
      type="single"
      className={css.segmented}
      aria-label={props.label}
      value={props.value}
      onValueChange={(next) => next !== '' && props.onChange(next as T)}
    >
      {props.options.map((option) => (
        <ToggleGroup.Item key={option.value} value={option.value} className={css.segment}>
          {option.label}
        </ToggleGroup.Item>
      ))}
    </ToggleGroup.Root>
  )
}
