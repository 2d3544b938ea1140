// A value as JSON, with a button that copies it.
import { CopyButton } from '@/ui'
import css from './runs.module.css'

export function Json({ value }: { value: unknown }) {
  const text = JSON.stringify(value, null, 2)
  return (
    <div style={{ position: 'relative' }}>
      <div style={{ position: 'absolute', top: 6, right: 6 }}>
        <CopyButton text={text} label="Copy the JSON" />
      </div>
      <pre className={css.json}>{text}</pre>
    </div>
  )
}
