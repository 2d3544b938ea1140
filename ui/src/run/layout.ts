// Where everything in the graph stands. Steps are laid out within their state, then the states among each other; dagre does both.
// Above `GROUP_ABOVE` steps, those that hang together alike (a matrix, a fan-out) become one node.
import * as dagre from '@dagrejs/dagre'
import type { RunView, StepView } from './model'

export const GROUP_ABOVE = 200 // nodes; more are neither readable nor quick to lay out
const NODE = { width: 208, height: 52 }
const GAP = { layer: 44, sibling: 14, state: 56, box: 16, title: 32, margin: 24 }

export interface NodeBox {
  id: string
  x: number
  y: number
  width: number
  height: number
  /** One, or all of a group. */
  steps: readonly StepView[]
  state: string
  label: string
}
export interface StateBox {
  name: string
  x: number
  y: number
  width: number
  height: number
}
export interface Edge {
  id: string
  path: string
  /** The steps or states at its ends. */
  from: string
  to: string
  kind: 'need' | 'taken' | 'possible'
  label?: { text: string; x: number; y: number } | undefined
}
export interface Layout {
  nodes: NodeBox[]
  states: StateBox[]
  edges: Edge[]
  width: number
  height: number
}

interface Group {
  id: string
  label: string
  steps: StepView[]
}

/** Steps as groups of one; above the limit, steps of a state with the same needs and the same dependants as one group. */
export function group(steps: readonly StepView[], above = GROUP_ABOVE, open: ReadonlySet<string> = new Set()): Group[] {
  if (steps.length <= above) return steps.map((step) => ({ id: step.name, label: step.name, steps: [step] }))
  const dependants = new Map<string, string[]>()
  for (const step of steps) for (const need of step.needs) dependants.set(need, [...(dependants.get(need) ?? []), step.name])
  const groups = new Map<string, Group>()
  for (const step of steps) {
    const key = JSON.stringify([step.state, [...step.needs].sort(), dependants.get(step.name) ?? []])
    const known = groups.get(key)
    if (known) known.steps.push(step)
    else groups.set(key, { id: step.name, label: step.name, steps: [step] })
  }
  return [...groups.values()].flatMap((each) => {
    if (each.steps.length === 1) return each
    if (open.has(each.id)) return each.steps.map((step) => ({ id: step.name, label: step.name, steps: [step] }))
    return { ...each, label: commonName(each.steps) }
  })
}

/** "test (16)" out of "test-1", "test-2", …: what the names have in common, and how many there are. */
export function commonName(steps: readonly StepView[]): string {
  const first = steps[0]?.name ?? ''
  let length = first.length
  for (const { name } of steps) while (!name.startsWith(first.slice(0, length))) length -= 1
  const stem = first.slice(0, length).replace(/[\s_.([-]+$/, '')
  return stem === '' ? `${steps.length} steps` : `${stem} (${steps.length})`
}

interface Placed {
  boxes: Map<string, { x: number; y: number }>
  lines: { from: string; to: string; points: { x: number; y: number }[] }[]
  width: number
  height: number
}

function place(
  sizes: readonly { id: string; width: number; height: number }[],
  lines: readonly { from: string; to: string }[],
  gaps: { layer: number; sibling: number },
): Placed {
  const graph = new dagre.graphlib.Graph({ multigraph: false, directed: true })
  graph.setGraph({ rankdir: 'LR', ranksep: gaps.layer, nodesep: gaps.sibling, marginx: 0, marginy: 0 })
  graph.setDefaultEdgeLabel(() => ({}))
  for (const { id, width, height } of sizes) graph.setNode(id, { width, height })
  for (const { from, to } of lines) if (from !== to) graph.setEdge(from, to, {})
  dagre.layout(graph)
  const boxes = new Map<string, { x: number; y: number }>()
  let width = 0
  let height = 0
  for (const { id, width: w, height: h } of sizes) {
    const at = graph.node(id) as { x: number; y: number }
    boxes.set(id, { x: at.x - w / 2, y: at.y - h / 2 })
    width = Math.max(width, at.x + w / 2)
    height = Math.max(height, at.y + h / 2)
  }
  const placed = lines
    .filter(({ from, to }) => from !== to)
    .map(({ from, to }) => ({ from, to, points: (graph.edge(from, to) as { points: { x: number; y: number }[] }).points }))
  for (const { points } of placed) {
    for (const point of points) {
      width = Math.max(width, point.x)
      height = Math.max(height, point.y)
    }
  }
  return { boxes, lines: placed, width, height }
}

/** A smooth line from box to box. */
function curve(from: { x: number; y: number }, to: { x: number; y: number }): string {
  const bend = Math.max(18, Math.abs(to.x - from.x) / 2)
  return `M${from.x} ${from.y}C${from.x + bend} ${from.y} ${to.x - bend} ${to.y} ${to.x} ${to.y}`
}

/** A line through points, for the ways between states, which may go back. */
function through(points: readonly { x: number; y: number }[]): string {
  const [first, ...rest] = points
  if (!first) return ''
  let path = `M${first.x} ${first.y}`
  for (const [index, point] of rest.entries()) {
    const next = rest[index + 1]
    path += next ? `Q${point.x} ${point.y} ${(point.x + next.x) / 2} ${(point.y + next.y) / 2}` : `L${point.x} ${point.y}`
  }
  return path
}

export function layout(run: RunView, open: ReadonlySet<string> = new Set()): Layout {
  const several = run.states.length > 1
  const perState = new Map(run.states.map((state) => [state.name, [] as StepView[]]))
  for (const step of run.steps) perState.get(step.state)?.push(step)
  const many = run.steps.length > GROUP_ABOVE

  const inner = run.states.map((state) => {
    const groups = group(perState.get(state.name) ?? [], many ? 1 : GROUP_ABOVE, open)
    const groupOf = new Map(groups.flatMap((each) => each.steps.map((step) => [step.name, each.id])))
    const lines = new Map<string, { from: string; to: string }>()
    for (const each of groups) {
      for (const step of each.steps) {
        for (const need of step.needs) {
          const from = groupOf.get(need)
          if (from !== undefined && from !== each.id) lines.set(`${from} ${each.id}`, { from, to: each.id })
        }
      }
    }
    const sizes = groups.map(({ id }) => ({ id, ...NODE }))
    const placed = place(sizes, [...lines.values()], { layer: GAP.layer, sibling: GAP.sibling })
    const size = {
      width: Math.max(placed.width, NODE.width) + (several ? 2 * GAP.box : 0),
      height: (several ? GAP.title + GAP.box : 0) + (groups.length === 0 ? 0 : placed.height),
    }
    return { state, groups, placed, size }
  })

  const ways = several ? run.states.flatMap((state) => state.exits.map((exit) => ({ ...exit, from: state.name }))) : []
  const known = new Set(run.states.map((state) => state.name))
  const outer = place(
    inner.map(({ state, size }) => ({ id: state.name, ...size })),
    ways.filter((way) => known.has(way.to)).map(({ from, to }) => ({ from, to })),
    { layer: GAP.state, sibling: GAP.layer },
  )

  const result: Layout = {
    nodes: [],
    states: [],
    edges: [],
    width: outer.width + 2 * GAP.margin,
    height: outer.height + 2 * GAP.margin,
  }
  for (const { state, groups, placed, size } of inner) {
    const at = outer.boxes.get(state.name) ?? { x: 0, y: 0 }
    const origin = { x: at.x + GAP.margin + (several ? GAP.box : 0), y: at.y + GAP.margin + (several ? GAP.title : 0) }
    if (several) result.states.push({ name: state.name, x: at.x + GAP.margin, y: at.y + GAP.margin, ...size })
    for (const { id, label, steps } of groups) {
      const box = placed.boxes.get(id) ?? { x: 0, y: 0 }
      result.nodes.push({ id, label, steps, state: state.name, x: origin.x + box.x, y: origin.y + box.y, ...NODE })
    }
    for (const { from, to } of placed.lines) {
      const a = placed.boxes.get(from)
      const b = placed.boxes.get(to)
      if (!a || !b) continue
      const start = { x: origin.x + a.x + NODE.width, y: origin.y + a.y + NODE.height / 2 }
      const end = { x: origin.x + b.x, y: origin.y + b.y + NODE.height / 2 }
      result.edges.push({ id: `${from} ${to}`, path: curve(start, end), from, to, kind: 'need' })
    }
  }
  for (const { from, to, points } of outer.lines) {
    const way = ways.find((each) => each.from === from && each.to === to)
    const shifted = points.map(({ x, y }) => ({ x: x + GAP.margin, y: y + GAP.margin }))
    const middle = shifted[Math.floor(shifted.length / 2)]
    result.edges.push({
      id: `state ${from} ${to}`,
      path: through(shifted),
      from,
      to,
      kind: way && way.taken > 0 ? 'taken' : 'possible',
      label: way?.taken !== undefined && way.taken > 1 && middle ? { text: `×${way.taken}`, ...middle } : undefined,
    })
  }
  return result
}
