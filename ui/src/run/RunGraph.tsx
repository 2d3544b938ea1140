// A run as a graph. Drag to move, Ctrl and the wheel (or a pinch) to zoom; Tab and the arrow keys go from node to node.
import { Maximize, Minus, Plus } from 'lucide-react'
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent } from 'react'
import { IconButton } from '@/ui/Button'
import { StatusBadge } from '@/ui/Badge'
import { Skeleton } from '@/ui/places'
import { isOver, STATUS } from '@/ui/status'
import { Duration } from '@/ui/Time'
import type { Layout, NodeBox } from './layout'
import { counts, endedMs, startedMs, worst, type RunView, type StepView } from './model'
import css from './run.module.css'

const ZOOM = { least: 0.25, most: 1.6, step: 1.2 }
const READABLE = 0.6 // a graph that would be shown smaller is shown from its beginning instead
const EDGE = 24 // pixels between what is focused and the edge of the view

interface View {
  x: number
  y: number
  scale: number
}

const clamp = (value: number, least: number, most: number) => Math.min(most, Math.max(least, value))

export interface RunGraphProps {
  run: RunView
  selected: string | undefined
  onSelect: (step: string) => void
}

export function RunGraph({ run, selected, onSelect }: RunGraphProps) {
  const frame = useRef<HTMLDivElement>(null)
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set())
  const [placed, setPlaced] = useState<Layout>()
  const [view, setView] = useState<View>()
  const [dragging, setDragging] = useState(false)

  // What the places depend on. A status that changes moves nothing.
  const shape = JSON.stringify([run.states.map((s) => [s.name, s.exits]), run.steps.map((s) => [s.name, s.state, s.needs])])
  useEffect(() => {
    let current = true
    void import('./layout').then(({ layout }) => current && setPlaced(layout(run, open)))
    return () => {
      current = false
    }
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `shape` is what counts of the run
  }, [shape, open])

  const fit = useCallback(() => {
    const box = frame.current
    if (!box || !placed || box.clientWidth === 0) return
    const scale = clamp(Math.min(box.clientWidth / placed.width, box.clientHeight / placed.height), READABLE, 1)
    setView({
      scale,
      // What is wider than the view begins at its left, where a run begins.
      x: Math.max(0, (box.clientWidth - placed.width * scale) / 2),
      y: Math.max(0, (box.clientHeight - placed.height * scale) / 2),
    })
  }, [placed])
  useLayoutEffect(fit, [fit])

  const zoom = useCallback((factor: number, at?: { x: number; y: number }) => {
    setView((now) => {
      const box = frame.current
      if (!now || !box) return now
      const point = at ?? { x: box.clientWidth / 2, y: box.clientHeight / 2 }
      const scale = clamp(now.scale * factor, ZOOM.least, ZOOM.most)
      const grown = scale / now.scale
      return { scale, x: point.x - (point.x - now.x) * grown, y: point.y - (point.y - now.y) * grown }
    })
  }, [])

  useEffect(() => {
    const box = frame.current
    if (!box) return
    // React's wheel listeners are passive; this one must keep the browser from zooming the page.
    const wheel = (event: WheelEvent) => {
      if (!event.ctrlKey && !event.metaKey) return
      event.preventDefault()
      const rect = box.getBoundingClientRect()
      zoom(Math.exp(-event.deltaY / 300), { x: event.clientX - rect.left, y: event.clientY - rect.top })
    }
    box.addEventListener('wheel', wheel, { passive: false })
    return () => box.removeEventListener('wheel', wheel)
  }, [zoom])

  const grab = (event: PointerEvent<HTMLDivElement>) => {
    if (event.button !== 0 || (event.target as Element).closest('button')) return
    const start = { x: event.clientX, y: event.clientY }
    const from = view
    if (!from) return
    const target = event.currentTarget
    target.setPointerCapture(event.pointerId)
    setDragging(true)
    const move = (next: globalThis.PointerEvent) =>
      setView({ ...from, x: from.x + next.clientX - start.x, y: from.y + next.clientY - start.y })
    const drop = () => {
      setDragging(false)
      target.removeEventListener('pointermove', move)
      target.removeEventListener('pointerup', drop)
      target.removeEventListener('pointercancel', drop)
    }
    target.addEventListener('pointermove', move)
    target.addEventListener('pointerup', drop)
    target.addEventListener('pointercancel', drop)
  }

  const steps = useMemo(() => new Map(run.steps.map((step) => [step.name, step])), [run.steps])
  const current = useMemo(() => new Set(run.states.filter((state) => state.current).map((state) => state.name)), [run.states])

  /** Moves the view so far that a node is in sight. */
  const reveal = (node: NodeBox) =>
    setView((now) => {
      const box = frame.current
      if (!now || !box) return now
      const left = node.x * now.scale + now.x
      const top = node.y * now.scale + now.y
      const right = left + node.width * now.scale
      const bottom = top + node.height * now.scale
      const dx = left < EDGE ? EDGE - left : Math.min(0, box.clientWidth - EDGE - right)
      const dy = top < EDGE ? EDGE - top : Math.min(0, box.clientHeight - EDGE - bottom)
      return dx === 0 && dy === 0 ? now : { ...now, x: now.x + dx, y: now.y + dy }
    })

  const arrows = (event: KeyboardEvent<HTMLDivElement>) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key]
    const here = placed?.nodes.find((node) => node.id === (event.target as HTMLElement).dataset['node'])
    if (!way || !here || !placed) return
    event.preventDefault()
    const [wx = 0, wy = 0] = way
    const next = placed.nodes
      .map((node) => ({
        node,
        along: (node.x - here.x) * wx + (node.y - here.y) * wy,
        aside: Math.abs((node.x - here.x) * wy + (node.y - here.y) * wx),
      }))
      .filter(({ along }) => along > 0)
      .sort((a, b) => a.along + 2 * a.aside - (b.along + 2 * b.aside))[0]
    if (next) frame.current?.querySelector<HTMLElement>(`[data-node="${CSS.escape(next.node.id)}"]`)?.focus()
  }

  if (!placed) return <Skeleton height="100%" style={{ minHeight: 220 }} />
  return (
    // The arrow keys go on from whichever node has the focus; the frame itself has nothing to press.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
    <div
      ref={frame}
      className={css.graph}
      role="group"
      aria-label="Graph of the run"
      data-dragging={dragging || undefined}
      onPointerDown={grab}
      onKeyDown={arrows}
    >
      <div
        className={css.canvas}
        style={{
          width: placed.width,
          height: placed.height,
          transform: view ? `translate(${view.x}px, ${view.y}px) scale(${view.scale})` : undefined,
          visibility: view ? 'visible' : 'hidden',
        }}
      >
        {placed.states.map((state) => (
          <div
            key={state.name}
            className={css.stateBox}
            data-current={current.has(state.name) || undefined}
            style={{ left: state.x, top: state.y, width: state.width, height: state.height }}
          >
            <StateName run={run} name={state.name} />
          </div>
        ))}
        <svg width={placed.width} height={placed.height} aria-hidden>
          {placed.edges.map((edge) => (
            <path
              key={edge.id}
              d={edge.path}
              className={css.edge}
              data-kind={edge.kind}
              data-done={(steps.has(edge.from) && isOver(steps.get(edge.from)?.status ?? 'queued')) || undefined}
              data-lit={(selected !== undefined && (edge.from === selected || edge.to === selected)) || undefined}
            />
          ))}
          {placed.edges.map(
            (edge) =>
              edge.label && (
                <text key={edge.id} x={edge.label.x} y={edge.label.y} className={css.edgeLabel} textAnchor="middle">
                  {edge.label.text}
                </text>
              ),
          )}
        </svg>
        {placed.nodes.map((node) => (
          <Node
            key={node.id}
            node={node}
            steps={node.steps.flatMap((step) => steps.get(step.name) ?? [])}
            selected={node.steps.some((step) => step.name === selected)}
            onFocus={() => reveal(node)}
            onPress={() => (node.steps.length > 1 ? setOpen(new Set([...open, node.id])) : onSelect(node.id))}
          />
        ))}
      </div>
      <div className={css.graphTools}>
        <IconButton size="small" label="Smaller" onClick={() => zoom(1 / ZOOM.step)}>
          <Minus aria-hidden />
        </IconButton>
        <IconButton size="small" label="Larger" onClick={() => zoom(ZOOM.step)}>
          <Plus aria-hidden />
        </IconButton>
        <IconButton size="small" label="All in sight" onClick={fit}>
          <Maximize aria-hidden />
        </IconButton>
      </div>
    </div>
  )
}

function StateName({ run, name }: { run: RunView; name: string }) {
  const visits = run.states.find((state) => state.name === name)?.visits ?? 0
  return (
    <div className={css.stateName}>
      <span className="truncate">{name}</span>
      {visits > 1 && <span>{visits} visits</span>}
    </div>
  )
}

function Node(props: { node: NodeBox; steps: readonly StepView[]; selected: boolean; onPress: () => void; onFocus: () => void }) {
  const { node, steps, selected } = props
  const status = worst(steps)
  const only = steps.length === 1 ? steps[0] : undefined
  const done = steps.filter((step) => isOver(step.status)).length
  return (
    <button
      type="button"
      className={css.node}
      data-node={node.id}
      data-tone={STATUS[status].tone}
      data-faint={status === 'skipped' || undefined}
      aria-pressed={selected}
      title={only?.why}
      style={{ left: node.x, top: node.y, width: node.width, height: node.height }}
      onClick={props.onPress}
      onFocus={props.onFocus}
    >
      <StatusBadge status={status} iconOnly />
      <span className={css.nodeText}>
        <span className={`${css.nodeName ?? ''} truncate`}>{node.label}</span>
        {only ? (
          <span className={`${css.nodeType ?? ''} truncate`}>{only.type.replace(/^step\./, '')}</span>
        ) : (
          <span className={css.tally} aria-hidden>
            {counts(steps).map(([each, count]) => (
              <span key={each} style={{ flex: count, background: `var(--${STATUS[each].tone}-solid)` }} />
            ))}
          </span>
        )}
      </span>
      <span className={css.nodeTime}>
        {only ? (
          only.attempts.length > 0 && <Duration from={startedMs(only)} to={endedMs(only)} />
        ) : (
          <>
            {done}/{steps.length}
          </>
        )}
      </span>
    </button>
  )
}
