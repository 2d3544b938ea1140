// A password that is chosen: one's own, somebody's first, or a new one for somebody.
import { fieldError } from '@/api/problem'
import { Field, Input } from '@/ui/inputs'

const LEAST = 12 // characters; the server has the same

export const longEnough = (password: string): boolean => password.length >= LEAST

export function NewPassword(props: {
  label?: string
  /** Stands behind what is said of the length. */
  help?: string
  required?: boolean
  value: string
  onChange: (password: string) => void
  /** What the server said of the form. */
  error: unknown
}) {
  const { value, help, required = true } = props
  const short = value !== '' && !longEnough(value)
  return (
    <Field
      label={props.label ?? 'New password'}
      required={required}
      help={[`At least ${LEAST} characters.`, help].filter(Boolean).join(' ')}
      error={short ? `It has ${value.length} of ${LEAST} characters.` : fieldError(props.error, '/password')}
    >
      <Input type="password" autoComplete="new-password" value={value} onChange={(event) => props.onChange(event.target.value)} />
    </Field>
  )
}
