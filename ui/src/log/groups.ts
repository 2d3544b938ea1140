// Groups within a log: `::group::name` … `::endgroup::`, and headings `--- name`, `+++ name`, `~~~ name`, which last until the next.
// Found in the lines that are here; a log of which only a part is here has the groups of that part.
import type { LogLine } from './store'

export interface Group {
  /** The line of its heading. */
  from: number
  /** Its last line; `Infinity` where its end was not seen yet. */
  to: number
  title: string
  /** As the heading asks: `+++` is open, `~~~` and `---` are not. */
  open: boolean
}

const HEADING = /^(---|\+\+\+|~~~) (?![ab]\/|\/dev\/null)(\S.*)$/ // `--- a/file` is a diff
const BEGIN = /^(?:##\[group\]|::group::)(.*)$/
const END = /^(?:##\[endgroup\]|::endgroup::)\s*$/

export function heading(text: string): { title: string; open: boolean } | undefined {
  const begin = BEGIN.exec(text)
  if (begin) return { title: (begin[1] ?? '').trim() || 'Group', open: false }
  const section = HEADING.exec(text)
  if (section) return { title: section[2] ?? '', open: section[1] === '+++' }
  return undefined
}

export function findGroups(lines: Iterable<LogLine>): Group[] {
  const groups: Group[] = []
  let open: (Group & { section: boolean }) | undefined
  const end = (line: number) => {
    if (open) open.to = line
    open = undefined
  }
  for (const { line, text } of lines) {
    if (END.test(text)) {
      if (open && !open.section) end(line)
      continue
    }
    const found = heading(text)
    if (!found) continue
    // A section within a group is a line like any other: tools that print both mean the group.
    if (open && !open.section && !BEGIN.test(text)) continue
    end(line - 1)
    open = { from: line, to: Infinity, ...found, section: !BEGIN.test(text) }
    groups.push(open)
  }
  return groups.map(({ from, to, title, open: wanted }) => ({ from, to, title, open: wanted }))
}
