// A plan that nobody runs, as the graph draws it.
import type { components } from '@/api/schema'
import type { RunView } from '@/run/model'

export const planAsRun = (graph: components['schemas']['Graph']): RunView => ({
  id: 'plan',
  status: 'queued',
  createdMs: 0,
  states: graph.states.map((state) => ({
    name: state.name,
    visits: 0,
    current: state.name === graph.initial && graph.states.length > 1,
    exits: [...new Map(state.transitions.map((way) => [way.to, way.when]))].map(([to, label]) => ({ to, label, taken: 0 })),
  })),
  steps: graph.states.flatMap((state) =>
    state.steps.map((step) => ({
      name: step.name,
      state: state.name,
      type: step.step_type,
      status: 'queued' as const,
      needs: step.needs,
      attempts: [],
      why: step.condition == null ? undefined : `if ${step.condition}`,
    })),
  ),
})
