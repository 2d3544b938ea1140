// Problems that tools print, found in the lines of a log: the workflow commands of GitHub, and what the common compilers, linters and
// test runners write. Lines come as plain text, in their order. What is not certain is not a problem: a count that is too high is worth
// less than none.

export type Level = 'error' | 'warning' | 'notice'

export interface Problem {
  /** The line of the log that says it. */
  line: number
  level: Level
  message: string
  /** Where it is in the sources, as the tool wrote it. */
  file?: string
  /** `file`'s line, from 1. */
  at?: number
  /** A workflow command is not meant to be read as it is printed: this stands in its place. */
  shown?: string
}

type Found = Omit<Problem, 'line'>

interface Text {
  line: number
  text: string
}

const LONGEST = 1_000 // characters: no tool's line is longer, and patterns over a minified file would take long

const ECHO = '$ ' // before a command that is about to run: what stands in it was not printed yet

const place = (file: string | undefined, at: string | undefined) => ({
  ...(file !== undefined && file !== '' && { file }),
  ...(at !== undefined && Number(at) > 0 && { at: Number(at) }),
})
const where = ({ file, at }: Pick<Found, 'file' | 'at'>) => (file === undefined ? '' : at === undefined ? file : `${file}:${at}`)

// ---- Workflow commands: `::error file=app.js,line=1::Missing semicolon`, `##[error]Process completed with exit code 1.`

const COMMAND = /^::(error|warning|notice)(?: ([^:]*(?::(?!:)[^:]*)*))?::(.*)$/
const MARKED = /^##\[(error|warning|notice)\](.*)$/

const unescape = (text: string) =>
  text.replace(/%(25|0[AD]|3A|2C)/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))

function command(text: string): Found | undefined {
  const marked = MARKED.exec(text)
  if (marked) return { level: marked[1] as Level, message: marked[2] ?? '', shown: marked[2] ?? '' }
  const [, level, given = '', words = ''] = COMMAND.exec(text) ?? []
  if (level === undefined) return undefined
  const of = new Map(
    given.split(',').map(
      (pair) =>
        pair
          .split(/=(.*)/s)
          .slice(0, 2)
          .map((part) => unescape(part.trim())) as [string, string],
    ),
  )
  const found = { level: level as Level, message: unescape(words), ...place(of.get('file'), of.get('line')) }
  return { ...found, shown: [where(found), of.get('title'), found.message].filter(Boolean).join(': ') }
}

// ---- What one line says by itself

type Pattern = [RegExp, (found: RegExpExecArray) => Found]

const level = (word: string | undefined): Level =>
  /warn/i.test(word ?? '') ? 'warning' : /note|info/i.test(word ?? '') ? 'notice' : 'error'

const PATTERNS: readonly Pattern[] = [
  // gcc, clang, go vet, shellcheck, mypy, ruff with its long form: `src/a.c:4:9: error: …`, `app.py:12: error: …`
  [
    /^(?<file>(?:[A-Za-z]:[\\/])?[^\s:][^:]*):(?<at>\d+):(?:\d+:)? (?<level>fatal error|error|warning):? (?<message>.+)$/,
    ({ groups: g }) => ({ level: level(g?.['level']), message: g?.['message'] ?? '', ...place(g?.['file'], g?.['at']) }),
  ],
  // tsc: `src/a.ts(3,5): error TS2304: …`, and its pretty form `src/a.ts:3:5 - error TS2304: …`
  [
    /^(?<file>[^\s(:][^(:]*)(?:\((?<at>\d+),\d+\):|:(?<pretty>\d+):\d+ -) (?<level>error|warning) (?<message>\w+: .+)$/,
    ({ groups: g }) => ({
      level: level(g?.['level']),
      message: g?.['message'] ?? '',
      ...place(g?.['file'], g?.['at'] ?? g?.['pretty']),
    }),
  ],
  // pytest, where a test's traceback ends: `tests/test_a.py:12: AssertionError`
  [
    /^(?<file>[^\s:]+\.py):(?<at>\d+): (?<message>\w*(?:Error|Exception|Failed|Exit|Interrupt))$/,
    ({ groups: g }) => ({ level: 'error', message: g?.['message'] ?? '', ...place(g?.['file'], g?.['at']) }),
  ],
]

// ---- What several lines say together

const RUST = /^(error|warning)(?:\[[A-Z]\d+\])?: (.+)$/
const RUST_PLACE = /^\s*--> (.+?):(\d+):\d+$/
const ESLINT_FILE = /^(?:\/|[A-Za-z]:\\|\.{0,2}\/?[\w@-])[^:*?"<>|]*\.[cm]?[jt]sx?$|^\S+\.(?:vue|svelte|json|css)$/
const ESLINT = /^\s+(\d+):\d+\s+(error|warning)\s+(.+?)\s*$/
const PYTEST = /^(?:FAILED|ERROR) ([^\s:]+\.py)(?:::\S+)?(?: - (.+))?$/

/** All problems of these lines. */
export function findProblems(lines: Iterable<Text>): Problem[] {
  const problems: Problem[] = []
  // rustc says what is wrong, and in the next line where; only both together are certain.
  let rust: (Found & { line: number }) | undefined
  // eslint says the file once, and below it what is wrong in it.
  let file: string | undefined
  // A summary repeats what the tracebacks above it said.
  const told = new Set<string>()
  for (const { line, text: whole } of lines) {
    if (whole.startsWith(ECHO)) continue
    const text = whole.length > LONGEST ? whole.slice(0, LONGEST) : whole
    const at: RegExpExecArray | null = rust ? RUST_PLACE.exec(text) : null
    if (rust && at) problems.push({ ...rust, ...place(at[1], at[2]) })
    rust = undefined

    const single = command(text) ?? one(text)
    const linted = file === undefined ? null : ESLINT.exec(text)
    const said = RUST.exec(text)
    const failed = PYTEST.exec(text)
    if (single) {
      problems.push({ line, ...single })
      if (single.file !== undefined) told.add(single.file)
    } else if (linted) {
      problems.push({ line, level: level(linted[2]), message: linted[3] ?? '', ...place(file, linted[1]) })
    } else if (said) {
      rust = { line, level: level(said[1]), message: said[2] ?? '' }
    } else if (failed?.[1] !== undefined && !told.has(failed[1])) {
      problems.push({ line, level: 'error', message: failed[2] ?? text, file: failed[1] })
    }
    if (!linted) file = ESLINT_FILE.test(text) ? text : undefined
  }
  return problems
}

function one(text: string): Found | undefined {
  for (const [pattern, read] of PATTERNS) {
    const found = pattern.exec(text)
    if (found) return read(found)
  }
  return undefined
}

/** Where a problem's place stands in a text, to be marked: from and to, in characters. */
export function placeIn(text: string, { file, at }: Pick<Problem, 'file' | 'at'>): [number, number] | undefined {
  if (file === undefined) return undefined
  const from = text.indexOf(file)
  if (from < 0) return undefined
  const end = from + file.length
  const number = at === undefined ? null : /^(?::\d+(?::\d+)?|\(\d+,\d+\))/.exec(text.slice(end))
  return [from, end + (number?.[0].length ?? 0)]
}

/** The problem after a line of the log, or before it, going round. */
export function nextProblem(problems: readonly Problem[], from: number | undefined, by: 1 | -1): Problem | undefined {
  if (by > 0) return problems.find((each) => each.line > (from ?? 0)) ?? problems[0]
  return problems.findLast((each) => each.line < (from ?? 0)) ?? problems.at(-1)
}
