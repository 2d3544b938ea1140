// A log, of any length. Only the rows in view exist; a row has its place by its number, so a log of ten million lines is as high as
// its scrollbar can say, and opens at once.
//
// Browsers cannot make an element higher than some 30 million pixels. Above `TALLEST` the content is squeezed: the scrollbar moves
// proportionally, and the wheel and the keys move by real pixels.
//
// Following: as long as the end is in view, it stays in view. Scrolling up lets go; the button, or scrolling to the end, takes hold.
import {
  ArrowDown,
  ChevronDown,
  ChevronRight,
  ChevronUp,
  Clock,
  Download,
  Info,
  OctagonAlert,
  Search,
  Terminal,
  TriangleAlert,
  WrapText,
  X,
} from 'lucide-react'
import {
  memo,
  useCallback,
  useDeferredValue,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
  type CSSProperties,
  type KeyboardEvent,
  type MouseEvent,
  type ReactNode,
} from 'react'
import { useShortcuts, type Shortcut } from '@/app/keys'
import { Button, IconButton } from '@/ui/Button'
import { CopyButton } from '@/ui/CopyButton'
import { Input } from '@/ui/inputs'
import { Menu, MenuItem } from '@/ui/overlays'
import { ErrorState, EmptyState } from '@/ui/places'
import { pieces, plain, type Piece } from './ansi'
import { findGroups, heading, type Group } from './groups'
import { Heights } from './heights'
import { formatPlace, lineOf, rowCount, rowOf, type Hidden } from './rows'
import { find, type Found } from './find'
import { findProblems, nextProblem, placeIn, type Level, type Problem } from './problems'
import type { LogLine, LogStore } from './store'
import css from './log.module.css'

const ROW = 20 // pixels of a line that is not wrapped; the style sheet has it, too
const TALLEST = 8_000_000 // pixels; Chromium and Firefox draw no element reliably that is much higher
const OVERSCAN = 20 // rows above and below the view
const NEAR_END = 24 // pixels from the end that still count as the end
const READ_UP_TO = 20_000 // lines; a longer log is not read whole only to find its groups and problems

export type Stamps = 'off' | 'relative' | 'absolute'

export interface Selection {
  from: number
  to: number
}

export interface LogViewProps {
  store: LogStore
  /** The step's name, for permalinks. */
  step: string
  /** What stands at the left of the tools. */
  title?: ReactNode
  /** The lines that the address names. */
  selection?: Selection | undefined
  onSelect?: (selection: Selection | undefined) => void
  /** When the attempt began, for relative times. */
  startedMs?: number | undefined
  /** The whole log as a file. */
  rawHref?: string | undefined
  /** The same on the command line. */
  command?: string | undefined
  /** Said where the log has no line. */
  emptyText?: string
  /** Groups are closed once they were passed; where the step failed, they stay open. */
  failed?: boolean
}

export function LogView(props: LogViewProps) {
  const { store, step, selection, onSelect } = props
  const snapshot = useSyncExternalStore(store.subscribe, store.snapshot)
  const { total, complete, version } = snapshot
  const scroller = useRef<HTMLDivElement>(null)
  const [wrap, setWrap] = useState(false)
  const [stamps, setStamps] = useState<Stamps>('off')
  const [finding, setFinding] = useState(false)
  const [folded, setFolded] = useState<ReadonlyMap<number, boolean>>(new Map())
  const [follow, setFollow] = useState(!complete && selection === undefined)
  const [view, setView] = useState({ top: 0, height: 600 })
  const [measured, setMeasured] = useState(0)
  const heights = useMemo(() => new Heights(ROW), [])
  const [hits, setHits] = useState<Found>({ words: '', lines: [], done: true })
  const [hit, setHit] = useState(0)

  // Groups: of all lines where the log is short, otherwise of those that are here and in view.
  const groups = useMemo(
    () => findGroups(linesHere(store, total)),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the store's version says when its lines changed
    [store, version, total],
  )
  // Problems: of logs that are short enough to be here whole, so that their count is the count. What is printed comes first.
  const later = useDeferredValue(version)
  const whole = total <= READ_UP_TO
  const problems = useMemo(
    () => (whole ? findProblems(linesHere(store, total).filter(isOutput).map(asPlain)) : []),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- as above
    [store, later, whole],
  )
  const byLine = useMemo(() => new Map(problems.map((problem) => [problem.line, problem])), [problems])
  const [problemAt, setProblemAt] = useState<number>()
  const byHeading = useMemo(() => new Map(groups.map((group) => [group.from, group])), [groups])
  const isOpen = useCallback(
    (group: Group) => folded.get(group.from) ?? (group.open || props.failed === true || group.to === Infinity),
    [folded, props.failed],
  )
  const hidden = useMemo<Hidden[]>(
    () =>
      groups
        .filter((group) => !isOpen(group) && group.to > group.from)
        .map((group) => ({ from: group.from + 1, to: Math.min(group.to, total) })),
    [groups, isOpen, total],
  )
  const rows = rowCount(total, hidden)

  // Heights are known of wrapped rows that were drawn; all others count as one line.
  // eslint-disable-next-line react-hooks/exhaustive-deps -- measured says when heights changed
  const full = useMemo(() => (wrap ? heights.total(rows) : rows * ROW), [wrap, heights, rows, measured])
  const squeeze = Math.max(1, full / TALLEST)
  const tall = Math.min(full, TALLEST)
  const topOf = useCallback((row: number) => (wrap ? heights.top(row) : row * ROW), [wrap, heights])
  const rowAt = useCallback((y: number) => (wrap ? heights.at(y) : Math.floor(y / ROW)), [wrap, heights])

  const first = Math.max(0, Math.min(rows - 1, rowAt(view.top)) - OVERSCAN)
  const last = Math.min(rows - 1, rowAt(view.top + view.height) + OVERSCAN)

  // ---- Scrolling

  // Where the view stands in real pixels. `scrollTop` says the same, divided by `squeeze`.
  const real = useRef(0)
  const own = useRef(-1)
  const scrollTo = useCallback(
    (top: number) => {
      const box = scroller.current
      if (!box) return
      real.current = Math.max(0, Math.min(top, full - box.clientHeight))
      const at = squeeze === 1 ? real.current : (real.current / Math.max(1, full - box.clientHeight)) * (tall - box.clientHeight)
      box.scrollTop = at
      own.current = box.scrollTop
      setView({ top: real.current, height: box.clientHeight })
    },
    [full, tall, squeeze],
  )
  const onScroll = () => {
    const box = scroller.current
    if (!box) return
    if (Math.abs(box.scrollTop - own.current) >= 1) {
      real.current =
        squeeze === 1 ? box.scrollTop : (box.scrollTop / Math.max(1, tall - box.clientHeight)) * (full - box.clientHeight)
      // Somebody scrolled: following goes on only where that brought the end into view.
      setFollow(real.current >= full - box.clientHeight - NEAR_END)
    }
    own.current = -1
    setView({ top: real.current, height: box.clientHeight })
  }
  const moveBy = useCallback(
    (pixels: number) => {
      const box = scroller.current
      if (!box) return
      scrollTo(real.current + pixels)
      setFollow(real.current >= full - box.clientHeight - NEAR_END)
    },
    [scrollTo, full],
  )
  useEffect(() => {
    const box = scroller.current
    if (!box || squeeze === 1) return
    const wheel = (event: WheelEvent) => {
      if (event.ctrlKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return
      event.preventDefault()
      moveBy(event.deltaMode === 1 ? event.deltaY * ROW : event.deltaY)
    }
    box.addEventListener('wheel', wheel, { passive: false })
    return () => box.removeEventListener('wheel', wheel)
  }, [squeeze, moveBy])
  useEffect(() => {
    const box = scroller.current
    if (!box) return
    const resized = new ResizeObserver(() => {
      heights.clear()
      setMeasured((count) => count + 1)
      setView({ top: real.current, height: box.clientHeight })
    })
    resized.observe(box)
    return () => resized.disconnect()
  }, [heights])

  // The end stays in view while it is followed.
  useLayoutEffect(() => {
    if (follow) scrollTo(full)
  }, [follow, full, scrollTo, view.height])

  const reveal = useCallback(
    (line: number) => {
      const box = scroller.current
      if (!box) return
      const group = groups.find((each) => line > each.from && line <= each.to && !isOpen(each))
      if (group) setFolded((now) => new Map(now).set(group.from, true))
      setFollow(false)
      scrollTo(topOf(rowOf(line, group ? hidden.filter((each) => each.from !== group.from + 1) : hidden)) - box.clientHeight / 3)
    },
    [groups, hidden, isOpen, scrollTo, topOf],
  )
  // An address that names a line shows it, once the log is known to be so long.
  const revealed = useRef<string>(undefined)
  useLayoutEffect(() => {
    if (!selection || total < selection.from) return
    const key = `${step}:${selection.from}-${selection.to}`
    if (revealed.current === key) return
    revealed.current = key
    const row = rowOf(selection.from, hidden)
    const box = scroller.current
    const seen = box && topOf(row) >= real.current && topOf(row) <= real.current + box.clientHeight - ROW
    if (!seen) reveal(selection.from)
  }, [selection, total, step, hidden, reveal, topOf])

  // ---- What is in view is fetched

  useEffect(() => {
    if (rows > 0) store.ensure(lineOf(first, hidden), lineOf(last, hidden))
    if (total <= READ_UP_TO) store.ensure(1, total)
  }, [store, first, last, hidden, rows, total, version])

  // ---- Finding

  const runFind = useCallback(
    (words: string, signal: AbortSignal) =>
      find(store, words, signal, (found) => {
        setHits(found)
        if (found.lines.length > 0 && found.first) {
          setHit(0)
          reveal(found.lines[0] ?? 1)
        }
      }),
    [store, reveal],
  )
  const goHit = (by: number) => {
    if (hits.lines.length === 0) return
    const next = (hit + by + hits.lines.length) % hits.lines.length
    setHit(next)
    reveal(hits.lines[next] ?? 1)
  }

  const goProblem = (by: 1 | -1, level?: Level) => {
    const next = nextProblem(level === undefined ? problems : problems.filter((each) => each.level === level), problemAt, by)
    if (!next) return
    setProblemAt(next.line)
    reveal(next.line)
  }
  const latestGo = useRef(goProblem)
  useEffect(() => {
    latestGo.current = goProblem
  })
  useShortcuts(
    useMemo<Shortcut[]>(
      () => [
        { keys: 'e', does: 'Next problem in the log', group: 'A log', run: () => latestGo.current(1) },
        { keys: 'E', does: 'Problem before', group: 'A log', run: () => latestGo.current(-1) },
        { keys: 's', does: 'Find in the log', group: 'A log', run: () => setFinding(true) },
      ],
      [],
    ),
  )

  const keys = (event: KeyboardEvent<HTMLDivElement>) => {
    const box = scroller.current
    if (!box || event.target !== box) return
    const page = box.clientHeight - 2 * ROW
    const by = { ArrowDown: ROW, ArrowUp: -ROW, PageDown: page, PageUp: -page, ' ': page, Home: -full, End: full }[event.key]
    if (by === undefined) return
    event.preventDefault()
    moveBy(by)
  }

  const choose = useCallback(
    (event: MouseEvent, line: number) => {
      if (event.ctrlKey || event.metaKey) return
      event.preventDefault()
      const next =
        event.shiftKey && selection
          ? { from: Math.min(selection.from, line), to: Math.max(selection.from, line) }
          : selection?.from === line && selection.to === line
            ? undefined
            : { from: line, to: line }
      revealed.current = next && `${step}:${next.from}-${next.to}`
      onSelect?.(next)
    },
    [selection, onSelect, step],
  )

  const measure = useCallback(
    (row: number, element: HTMLElement | null) => {
      if (element && heights.set(row, element.offsetHeight)) setMeasured((count) => count + 1)
    },
    [heights],
  )
  const fold = useCallback((group: Group, open: boolean) => setFolded((now) => new Map(now).set(group.from, open)), [])

  const drawn = []
  // In a squeezed log, rows stand relative to the view, which itself stands where the scrollbar says.
  const shift = squeeze === 1 ? 0 : view.top - (view.top / Math.max(1, full - view.height)) * (tall - view.height)
  for (let row = first; row <= last; row += 1) {
    const number = lineOf(row, hidden)
    const group = byHeading.get(number)
    drawn.push(
      <Row
        key={number}
        number={number}
        line={store.line(number)}
        top={topOf(row) - shift}
        step={step}
        stamps={stamps}
        startedMs={props.startedMs}
        chosen={selection !== undefined && number >= selection.from && number <= selection.to}
        words={hits.words}
        current={hits.lines[hit] === number || problemAt === number}
        problem={byLine.get(number)}
        group={group}
        open={group !== undefined && isOpen(group)}
        onFold={fold}
        onChoose={choose}
        measure={wrap ? measure : undefined}
        row={row}
      />,
    )
  }

  const chosenText = () => {
    if (!selection) return ''
    const texts = []
    for (let number = selection.from; number <= Math.min(selection.to, total); number += 1) {
      texts.push(plain(store.line(number)?.text ?? ''))
    }
    return texts.join('\n')
  }

  return (
    <div className={css.log}>
      <div className={css.bar}>
        <div className={css.title}>
          {props.title}
          <ProblemCounts problems={problems} onGo={(level) => goProblem(1, level)} />
        </div>
        {selection && <CopyButton text={chosenText} label={`Copy ${selection.to - selection.from + 1} lines`} />}
        {finding ? (
          <Finder
            hits={hits}
            hit={hit}
            onFind={runFind}
            onGo={goHit}
            onClose={() => {
              setFinding(false)
              setHits({ words: '', lines: [], done: true })
            }}
          />
        ) : (
          <IconButton label="Find in this log" onClick={() => setFinding(true)}>
            <Search aria-hidden />
          </IconButton>
        )}
        <IconButton
          label={wrap ? 'Do not wrap' : 'Wrap long lines'}
          aria-pressed={wrap}
          disabled={squeeze > 1}
          onClick={() => setWrap(!wrap)}
        >
          <WrapText aria-hidden />
        </IconButton>
        <Menu
          trigger={
            <Button kind="ghost" aria-label="Times" style={{ padding: '0 8px' }}>
              <Clock aria-hidden />
            </Button>
          }
        >
          {(['off', 'relative', 'absolute'] as const).map((each) => (
            <MenuItem key={each} onSelect={() => setStamps(each)} end={stamps === each ? '✓' : ''}>
              {{ off: 'No times', relative: 'Since the beginning', absolute: 'Of the day' }[each]}
            </MenuItem>
          ))}
        </Menu>
        {props.command !== undefined && <CommandButton command={props.command} />}
        {props.rawHref !== undefined && (
          <Button kind="ghost" asChild style={{ padding: '0 8px' }}>
            <a href={props.rawHref} download aria-label="Download the whole log" title="Download the whole log">
              <Download aria-hidden />
            </a>
          </Button>
        )}
      </div>
      <div className={css.view}>
        {total === 0 ? (
          <EmptyState icon={<Terminal aria-hidden />} title={complete ? 'No output' : 'No output yet'}>
            {props.emptyText ?? (complete ? 'The step printed nothing.' : 'Lines appear here the moment they are printed.')}
          </EmptyState>
        ) : (
          // The log is one thing to scroll with the keyboard, as any long text is.
          // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
          <div
            ref={scroller}
            className={css.scroll}
            role="log"
            aria-live="off"
            aria-label={`Log of ${step}`}
            // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
            tabIndex={0}
            onScroll={onScroll}
            onKeyDown={keys}
            style={{ '--gutter': `${String(total).length + 3}ch` } as CSSProperties}
          >
            <div className={css.content} data-wrap={wrap || undefined} style={{ height: tall }}>
              {drawn}
            </div>
          </div>
        )}
        {!complete && !follow && total > 0 && (
          <Button size="small" className={css.toEnd} icon={<ArrowDown aria-hidden />} onClick={() => setFollow(true)}>
            Follow
          </Button>
        )}
      </div>
      {snapshot.error !== undefined && (
        <div style={{ padding: 12 }}>
          <ErrorState error={snapshot.error} onRetry={store.retry} />
        </div>
      )}
    </div>
  )
}

/** Only what tools print counts, and not what is said about them. */
const isOutput = ({ stream }: LogLine): boolean => stream === 'stdout' || stream === 'stderr'
const asPlain = ({ line, text }: LogLine) => ({ line, text: plain(text) })

/** The lines of a log that are here, up to as many as are read whole. */
function linesHere(store: LogStore, total: number): LogLine[] {
  const here: LogLine[] = []
  for (let number = 1; number <= Math.min(total, READ_UP_TO); number += 1) {
    const line = store.line(number)
    if (line) here.push(line)
  }
  return here
}

function CommandButton({ command }: { command: string }) {
  return <CopyButton text={command} label={`Copy: ${command}`} />
}

// ---- One row

interface RowProps {
  number: number
  line: LogLine | undefined
  top: number
  step: string
  stamps: Stamps
  startedMs: number | undefined
  chosen: boolean
  words: string
  current: boolean
  problem: Problem | undefined
  group: Group | undefined
  open: boolean
  row: number
  onFold: (group: Group, open: boolean) => void
  onChoose: (event: MouseEvent, line: number) => void
  measure: ((row: number, element: HTMLElement | null) => void) | undefined
}

const Row = memo(function Row(props: RowProps) {
  const { number, line, problem, group, measure, row } = props
  const element = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => measure?.(row, element.current))
  return (
    <div
      ref={element}
      className={css.row}
      style={{ top: props.top }}
      data-chosen={props.chosen || undefined}
      data-hit={props.current || undefined}
      data-stream={line?.stream}
      data-level={problem?.level}
      data-line={number}
    >
      <a
        className={css.number}
        href={`#${formatPlace({ step: props.step, from: number })}`}
        aria-label={`Line ${number}`}
        tabIndex={-1}
        onClick={(event) => props.onChoose(event, number)}
      >
        {number}
      </a>
      {props.stamps !== 'off' && <span className={css.time}>{stamp(line?.atMs, props.stamps, props.startedMs)}</span>}
      {line === undefined ? (
        <span className={css.absent} style={{ width: 80 + ((number * 97) % 320) }} />
      ) : group ? (
        <button type="button" className={css.fold} aria-expanded={props.open} onClick={() => props.onFold(group, !props.open)}>
          <ChevronRight aria-hidden />
          {heading(line.text)?.title ?? group.title}
          {!props.open && group.to !== Infinity && <small>{group.to - group.from} lines</small>}
        </button>
      ) : (
        <span className={css.text}>
          {problem?.shown !== undefined && <LevelIcon level={problem.level} />}
          <Text text={problem?.shown ?? line.text} words={props.words} problem={problem} />
        </span>
      )}
    </div>
  )
})

function stamp(at: number | undefined, stamps: Stamps, started: number | undefined): string {
  if (at === undefined) return stamps === 'relative' ? '       ' : '            '
  if (stamps === 'relative') {
    const seconds = Math.max(0, at - (started ?? at)) / 1_000
    return seconds < 60
      ? `${seconds.toFixed(1).padStart(6)}s`
      : `${String(Math.floor(seconds / 60)).padStart(3)}:${String(Math.floor(seconds % 60)).padStart(2, '0')} `
  }
  const date = new Date(at)
  return `${date.toLocaleTimeString('en-GB')}.${String(date.getMilliseconds()).padStart(3, '0')}`
}

function look(piece: Piece): CSSProperties | undefined {
  const { colour, background, bold, dim, italic, underline, strike } = piece
  if (!colour && !background && !bold && !dim && !italic && !underline && !strike) return undefined
  return {
    // A colour of the program's own choice knows nothing of our background: it is drawn towards the colour of text.
    color: colour?.startsWith('rgb') && background === undefined ? `color-mix(in srgb, ${colour} 50%, var(--text))` : colour,
    backgroundColor: background,
    fontWeight: bold ? 600 : undefined,
    opacity: dim ? 0.75 : undefined,
    fontStyle: italic ? 'italic' : undefined,
    textDecoration: [underline && 'underline', strike && 'line-through'].filter(Boolean).join(' ') || undefined,
  }
}

function Text({ text, words, problem }: { text: string; words: string; problem?: Problem | undefined }) {
  const all = pieces(text)
  const place = problem && placeIn(all.map((piece) => piece.text).join(''), problem)
  let from = 0
  return all.map((piece, index) => {
    const at = from
    from += piece.text.length
    // A piece of one look is cut where the place begins and ends.
    const cut = (place ?? []).map((end) => Math.min(piece.text.length, Math.max(0, end - at)))
    const [begin = 0, end = 0] = cut
    return (
      <span key={index} style={look(piece)}>
        <Marked text={piece.text.slice(0, begin)} words={words} />
        {end > begin && (
          <span className={css.place}>
            <Marked text={piece.text.slice(begin, end)} words={words} />
          </span>
        )}
        <Marked text={piece.text.slice(end)} words={words} />
      </span>
    )
  })
}

const LEVELS: Record<Level, { one: string; many: string; icon: typeof Info }> = {
  error: { one: 'error', many: 'errors', icon: OctagonAlert },
  warning: { one: 'warning', many: 'warnings', icon: TriangleAlert },
  notice: { one: 'notice', many: 'notices', icon: Info },
}

function LevelIcon({ level }: { level: Level }) {
  const { one, icon: Icon } = LEVELS[level]
  return <Icon className={css.level} data-level={level} aria-label={one} />
}

/** How many problems there are; each count goes to the next of its kind. */
function ProblemCounts({ problems, onGo }: { problems: readonly Problem[]; onGo: (level: Level) => void }) {
  return (['error', 'warning'] as const).map((level) => {
    const count = problems.filter((each) => each.level === level).length
    if (count === 0) return null
    const { one, many, icon: Icon } = LEVELS[level]
    const words = `${count} ${count === 1 ? one : many}`
    return (
      <button
        key={level}
        type="button"
        className={css.count}
        data-level={level}
        title={`${words}: go to the next (E)`}
        onClick={() => onGo(level)}
      >
        <Icon aria-hidden />
        {words}
      </button>
    )
  })
}

/** Hits of the search, and what was masked. */
function Marked({ text, words }: { text: string; words: string }) {
  const parts = text.split('***')
  return parts.flatMap((part, index) => [
    ...(index > 0
      ? [
          <span key={`m${index}`} className={css.masked} title="A secret stood here.">
            ***
          </span>,
        ]
      : []),
    <Hits key={index} text={part} words={words} />,
  ])
}

function Hits({ text, words }: { text: string; words: string }) {
  if (words === '') return text
  const low = text.toLowerCase()
  const wanted = words.toLowerCase()
  const out: ReactNode[] = []
  let from = 0
  for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, from)) {
    out.push(text.slice(from, at), <mark key={at}>{text.slice(at, at + words.length)}</mark>)
    from = at + words.length
  }
  out.push(text.slice(from))
  return out
}

// ---- Finding

const TYPED_MS = 200 // after the last key, so that a long log is not searched for every letter

function Finder(props: {
  hits: Found
  hit: number
  onFind: (words: string, signal: AbortSignal) => Promise<void>
  onGo: (by: number) => void
  onClose: () => void
}) {
  const [words, setWords] = useState('')
  const { onFind } = props
  const latest = useRef(onFind)
  useEffect(() => {
    latest.current = onFind
  }, [onFind])
  useEffect(() => {
    const stop = new AbortController()
    const timer = setTimeout(() => void latest.current(words.trim(), stop.signal), TYPED_MS)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [words])
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => input.current?.focus(), [])
  const { lines, done, more } = props.hits
  return (
    <div className={css.find}>
      <Input
        ref={input}
        aria-label="Find in this log"
        placeholder="Find"
        value={words}
        onChange={(event) => setWords(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === 'Enter') props.onGo(event.shiftKey ? -1 : 1)
          if (event.key === 'Escape') props.onClose()
        }}
      />
      <span className={css.hits} role="status">
        {words.trim() === ''
          ? ''
          : lines.length === 0
            ? done
              ? 'none'
              : '…'
            : `${props.hit + 1} of ${lines.length}${more ? '+' : done ? '' : '…'}`}
      </span>
      <IconButton size="small" label="The one before" onClick={() => props.onGo(-1)} disabled={lines.length === 0}>
        <ChevronUp aria-hidden />
      </IconButton>
      <IconButton size="small" label="Next" onClick={() => props.onGo(1)} disabled={lines.length === 0}>
        <ChevronDown aria-hidden />
      </IconButton>
      <IconButton size="small" label="Close" onClick={props.onClose}>
        <X aria-hidden />
      </IconButton>
    </div>
  )
}
