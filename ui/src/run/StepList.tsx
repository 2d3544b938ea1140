// The steps of a run as a list. `j` and `k` go down and up, `/` filters, `f` goes to the next failure.
import { useVirtualizer } from '@tanstack/react-virtual'
import { Search, X } from 'lucide-react'
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react'
import { useShortcuts, type Shortcut } from '@/app/keys'
import { Badge, StatusBadge } from '@/ui/Badge'
import { IconButton } from '@/ui/Button'
import { Input } from '@/ui/inputs'
import { EmptyState } from '@/ui/places'
import { isFailure, STATUS } from '@/ui/status'
import { Duration } from '@/ui/Time'
import { endedMs, nextFailure, startedMs, type RunViewProps, type StepView } from './model'
import css from './run.module.css'

type Row = { state: string } | { step: StepView }

export function StepList({ run, selected, onSelect }: RunViewProps) {
  const scroll = useRef<HTMLDivElement>(null)
  const filter = useRef<HTMLInputElement>(null)
  const [words, setWords] = useState('')

  const shown = useMemo(() => {
    const wanted = words.toLowerCase().trim()
    if (wanted === '') return run.steps
    return run.steps.filter((step) =>
      `${step.name} ${step.type} ${step.state} ${STATUS[step.status].word}`.toLowerCase().includes(wanted),
    )
  }, [run.steps, words])
  const rows = useMemo<Row[]>(() => {
    if (run.states.length < 2) return shown.map((step) => ({ step }))
    let state: string | undefined
    return shown.flatMap((step): Row[] => {
      const head = step.state === state ? [] : [{ state: step.state }]
      state = step.state
      return [...head, { step }]
    })
  }, [shown, run.states.length])

  // eslint-disable-next-line react-hooks/incompatible-library -- its result is used here only
  const list = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: (index) => {
      const row = rows[index]
      return row && 'step' in row && row.step.why !== undefined ? 53 : 36
    },
    overscan: 10,
  })
  const at = rows.findIndex((row) => 'step' in row && row.step.name === selected)
  useEffect(() => {
    if (at >= 0) list.scrollToIndex(at, { align: 'auto' })
    // eslint-disable-next-line react-hooks/exhaustive-deps -- only when another step is chosen
  }, [at])

  const latest = useRef({ shown, selected, onSelect })
  // Before the next key can be pressed.
  useLayoutEffect(() => {
    latest.current = { shown, selected, onSelect }
  })
  useShortcuts(
    useMemo<Shortcut[]>(() => {
      // Nothing is asked for where one already is: a navigation to the same place could outlast the one after it.
      const choose = (next: StepView | undefined) => {
        const { selected, onSelect } = latest.current
        if (next && next.name !== selected) onSelect(next.name)
      }
      const go = (by: number) => {
        const { shown, selected } = latest.current
        const index = shown.findIndex((step) => step.name === selected)
        choose(shown[index < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, index + by))])
      }
      const failure = () => {
        const { shown, selected } = latest.current
        choose(nextFailure(shown, selected, (step) => isFailure(step.status)))
      }
      const group = 'A run'
      return [
        { keys: 'j', does: 'Next step', group, run: () => go(1) },
        { keys: 'k', does: 'Step before', group, run: () => go(-1) },
        { keys: 'f', does: 'Next failure', group, run: failure },
        { keys: '/', does: 'Filter the steps', group, run: () => filter.current?.focus() },
      ]
    }, []),
  )

  return (
    <div className={css.list}>
      <div className={css.listHead}>
        <Input
          ref={filter}
          aria-label="Filter the steps"
          placeholder={`Filter ${run.steps.length} steps`}
          icon={<Search aria-hidden />}
          value={words}
          onChange={(event) => setWords(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Escape') {
              setWords('')
              event.currentTarget.blur()
            }
          }}
        />
        {words !== '' && (
          <IconButton label="Show all" onClick={() => setWords('')}>
            <X aria-hidden />
          </IconButton>
        )}
      </div>
      {rows.length === 0 ? (
        <EmptyState title={words === '' ? 'No steps yet' : 'No step is like that'} />
      ) : (
        <div className={css.rows} ref={scroll} tabIndex={-1}>
          <div role="listbox" aria-label="Steps" style={{ position: 'relative', height: list.getTotalSize() }}>
            {list.getVirtualItems().map((item) => {
              const row = rows[item.index]
              if (!row) return null
              const place = { transform: `translateY(${item.start}px)` }
              if ('state' in row) {
                return (
                  <div
                    key={item.key}
                    ref={list.measureElement}
                    data-index={item.index}
                    className={css.stateHead}
                    style={place}
                    role="presentation"
                  >
                    {row.state}
                  </div>
                )
              }
              return (
                <StepRow
                  key={item.key}
                  measure={list.measureElement}
                  index={item.index}
                  step={row.step}
                  selected={row.step.name === selected}
                  place={place}
                  onSelect={onSelect}
                />
              )
            })}
          </div>
        </div>
      )}
    </div>
  )
}

function StepRow(props: {
  step: StepView
  selected: boolean
  onSelect: (step: string) => void
  measure: (element: Element | null) => void
  index: number
  place: { transform: string }
}) {
  const { step, selected, measure, index, place, onSelect } = props
  return (
    <button
      type="button"
      role="option"
      ref={measure}
      data-index={index}
      className={css.step}
      style={place}
      aria-selected={selected}
      onClick={() => onSelect(step.name)}
    >
      <StatusBadge status={step.status} iconOnly />
      <span style={{ display: 'flex', gap: 8, minWidth: 0 }}>
        <span className="truncate">{step.name}</span>
        {step.attempts.length > 1 && <Badge>{step.attempts.length} attempts</Badge>}
        {step.allowed && <Badge>may fail</Badge>}
        {step.carriedFrom !== undefined && <Badge>taken over</Badge>}
      </span>
      <span className={css.stepTime}>{step.attempts.length > 0 && <Duration from={startedMs(step)} to={endedMs(step)} />}</span>
      {step.why !== undefined && <span className={css.why}>{step.why}</span>}
    </button>
  )
}
