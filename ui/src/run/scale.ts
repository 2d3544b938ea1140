// Round marks on an axis of time.
const SECOND = 1_000
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400].map(
  (s) => s * SECOND,
)
const MARKS = 6 // at most; more run into each other on a narrow screen

export function ticks(span: number): { at: number; label: string }[] {
  const step = STEPS.find((each) => span / each <= MARKS) ?? Math.ceil(span / MARKS / 86_400_000) * 86_400_000
  const marks = []
  for (let at = 0; at < span; at += step) marks.push({ at, label: mark(at, step) })
  return marks
}

function mark(at: number, step: number): string {
  if (at === 0) return '0'
  if (step < SECOND) return `${(at / SECOND).toFixed(1)} s`
  const seconds = Math.round(at / SECOND)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes}:${String(seconds % 60).padStart(2, '0')}`
  const hours = Math.floor(minutes / 60)
  return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60}`
}
