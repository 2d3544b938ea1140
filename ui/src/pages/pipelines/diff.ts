// What changed between two texts, by line.

export interface Change {
  kind: ' ' | '+' | '-'
  text: string
}

const MOST = 4_000 // lines of both together after equal ends are taken away; the table would be too large, and nobody reads it

/** The longest common subsequence of lines, with equal beginnings and ends taken away first. */
export function diff(before: string, after: string): Change[] {
  const a = before.split('\n')
  const b = after.split('\n')
  let head = 0
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1
  let tail = 0
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1
  const left = a.slice(head, a.length - tail)
  const right = b.slice(head, b.length - tail)
  const same = (texts: readonly string[]) => texts.map((text): Change => ({ kind: ' ', text }))
  return [...same(a.slice(0, head)), ...middle(left, right), ...same(a.slice(a.length - tail))]
}

function middle(a: readonly string[], b: readonly string[]): Change[] {
  const all = (texts: readonly string[], kind: '+' | '-') => texts.map((text): Change => ({ kind, text }))
  if (a.length + b.length > MOST) return [...all(a, '-'), ...all(b, '+')]
  const width = b.length + 1
  const common = new Uint16Array((a.length + 1) * width)
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      common[i * width + j] =
        a[i] === b[j]
          ? (common[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(common[(i + 1) * width + j] ?? 0, common[i * width + j + 1] ?? 0)
    }
  }
  const changes: Change[] = []
  let i = 0
  let j = 0
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      changes.push({ kind: ' ', text: a[i] ?? '' })
      i += 1
      j += 1
    } else if (j >= b.length || (i < a.length && (common[(i + 1) * width + j] ?? 0) >= (common[i * width + j + 1] ?? 0))) {
      changes.push({ kind: '-', text: a[i] ?? '' })
      i += 1
    } else {
      changes.push({ kind: '+', text: b[j] ?? '' })
      j += 1
    }
  }
  return changes
}

/** Only what changed, with some lines around it; a gap is a line of its own. */
export function around(changes: readonly Change[], lines = 3): (Change | undefined)[] {
  const near = changes.map((_, at) => changes.slice(Math.max(0, at - lines), at + lines + 1).some((each) => each.kind !== ' '))
  return changes.flatMap((change, at) => (near[at] ? [change] : near[at - 1] || at === 0 ? [undefined] : []))
}
