// Times in words. All are milliseconds since 1970 (UTC) unless a name says otherwise.

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** "0.4 s", "12 s", "3 min 05 s", "2 h 14 min", "3 d 2 h". Negative spans, which clocks that were set back make, count as none. */
export function duration(ms: number): string {
  const span = Math.max(0, ms)
  if (span < 10 * SECOND) return `${(Math.floor(span / 100) / 10).toFixed(1)} s`
  if (span < MINUTE) return `${Math.floor(span / SECOND)} s`
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0')
  if (span < HOUR) return `${Math.floor(span / MINUTE)} min ${two((span % MINUTE) / SECOND)} s`
  if (span < DAY) return `${Math.floor(span / HOUR)} h ${two((span % HOUR) / MINUTE)} min`
  return `${Math.floor(span / DAY)} d ${Math.floor((span % DAY) / HOUR)} h`
}

/** "just now", "12 s ago", "in 5 min", "3 d ago", then a date. */
export function ago(at: number, now: number): string {
  const span = now - at
  const size = Math.abs(span)
  const say = (count: number, unit: string) => (span >= 0 ? `${count} ${unit} ago` : `in ${count} ${unit}`)
  if (size < 5 * SECOND) return 'just now'
  if (size < MINUTE) return say(Math.floor(size / SECOND), 's')
  if (size < HOUR) return say(Math.floor(size / MINUTE), 'min')
  if (size < DAY) return say(Math.floor(size / HOUR), 'h')
  if (size < 14 * DAY) return say(Math.floor(size / DAY), 'd')
  return new Date(at).toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })
}

/** The whole truth, for titles: local time with its zone. */
export const absolute = (at: number): string => new Date(at).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'long' })

/** "2.4 MB"; powers of 1,000, as registries and disks count. */
export function bytes(count: number): string {
  if (count < 1_000) return `${count} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  let value = count / 1_000
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000
    unit += 1
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit] ?? 'TB'}`
}
