// A run along the time: when each step could have begun, when it did, and how long it took. The critical path is drawn thicker.
import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useMemo, useRef } from 'react'
import { StatusBadge } from '@/ui/Badge'
import { EmptyState } from '@/ui/places'
import { isOver, STATUS } from '@/ui/status'
import { useNow } from '@/ui/Time'
import { duration } from '@/lib/time'
import { criticalPath, endedMs, startedMs, type RunViewProps, type StepView } from './model'
import { ticks } from './scale'
import css from './run.module.css'

const ROW = 32
const NAMES = 'clamp(120px, 24%, 280px)'

export function Waterfall({ run, selected, onSelect }: RunViewProps) {
  const scroll = useRef<HTMLDivElement>(null)
  const now = useNow(run.endedMs === undefined)
  const critical = useMemo(() => criticalPath(run.steps), [run.steps])
  const begun = useMemo(() => run.steps.filter((step) => step.attempts.length > 0 || step.readyMs !== undefined), [run.steps])
  const from = run.createdMs
  const to = Math.max(from + 1, run.endedMs ?? now)
  const span = to - from
  const share = (at: number) => `${(Math.min(1, Math.max(0, (at - from) / span)) * 100).toFixed(3)}%`
  // eslint-disable-next-line react-hooks/incompatible-library -- its result is used here only
  const rows = useVirtualizer({
    count: begun.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW,
    overscan: 12,
    paddingStart: ROW,
  })
  const at = begun.findIndex((step) => step.name === selected)
  useEffect(() => {
    if (at >= 0) rows.scrollToIndex(at, { align: 'auto' })
    // eslint-disable-next-line react-hooks/exhaustive-deps -- only when another step is chosen
  }, [at])

  if (begun.length === 0) return <EmptyState title="No step has begun yet">Each appears here as it does.</EmptyState>
  return (
    <>
      <div className={css.fall} ref={scroll} style={{ ['--names' as string]: NAMES }}>
        <div className={css.fallGrid} style={{ height: rows.getTotalSize() }}>
          <div className={css.axis} aria-hidden>
            <div className={css.axisNames}>Step</div>
            <div className={css.axisTimes}>
              {ticks(span).map((tick) => (
                <span key={tick.at} style={{ left: share(from + tick.at) }}>
                  {tick.label}
                </span>
              ))}
            </div>
          </div>
          {rows.getVirtualItems().map((item) => {
            const step = begun[item.index]
            if (!step) return null
            return (
              <button
                type="button"
                key={step.name}
                className={css.fallRow}
                aria-pressed={step.name === selected}
                style={{ top: item.start }}
                onClick={() => onSelect(step.name)}
              >
                <span className={css.fallName}>
                  <StatusBadge status={step.status} iconOnly />
                  <span className="truncate">{step.name}</span>
                </span>
                <span className={css.fallBars}>
                  <Bars step={step} critical={critical.has(step.name)} to={to} share={share} />
                </span>
              </button>
            )
          })}
        </div>
      </div>
      <div className={css.legend} aria-hidden>
        <span>
          <i
            style={{ height: 2, background: 'repeating-linear-gradient(90deg, var(--idle-solid) 0 3px, transparent 3px 6px)' }}
          />{' '}
          waits
        </span>
        <span>
          <i /> one attempt
        </span>
        <span>
          <i style={{ height: 14 }} /> decides how long the run takes
        </span>
      </div>
    </>
  )
}

function Bars({ step, critical, to, share }: { step: StepView; critical: boolean; to: number; share: (at: number) => string }) {
  const width = (from: number, end: number) => `calc(${share(end)} - ${share(from)})`
  const began = startedMs(step)
  const over = isOver(step.status)
  const end = over ? (endedMs(step) ?? to) : to
  const waited = step.readyMs !== undefined && (began ?? to) > step.readyMs ? step.readyMs : undefined
  return (
    <>
      {waited !== undefined && (
        <span
          className={css.queued}
          style={{ left: share(waited), width: width(waited, began ?? to) }}
          title={`waited ${duration((began ?? to) - waited)}`}
        />
      )}
      {step.attempts.map((attempt) => {
        const ended = attempt.endedMs ?? to
        return (
          <span
            key={attempt.number}
            className={css.bar}
            data-tone={STATUS[attempt.status].tone}
            data-critical={critical || undefined}
            style={{ left: share(attempt.startedMs), width: width(attempt.startedMs, ended) }}
            title={`attempt ${attempt.number}: ${STATUS[attempt.status].word}, ${duration(ended - attempt.startedMs)}`}
          />
        )
      })}
      {began !== undefined && (
        <span className={css.barTime} style={{ left: share(end) }}>
          {duration(end - began)}
        </span>
      )}
    </>
  )
}
