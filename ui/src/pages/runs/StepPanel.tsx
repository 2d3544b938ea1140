// One step of a run: its log, what it gave, its attempts.
import { Link } from '@tanstack/react-router'
import { Hand, ListTree } from 'lucide-react'
import { useState } from 'react'
import type { Selection } from '@/log/LogView'
import { endedMs, startedMs, type StepView } from '@/run/model'
import { Badge, Card, Duration, EmptyState, Segmented, Select, StatusBadge, Table, Time, isFailure, isOver } from '@/ui'
import { StepLog } from './StepLog'
import { short, stepOf, type RunAnswer } from './model'
import { Json } from './Json'
import css from './runs.module.css'

type View = 'log' | 'outputs' | 'attempts'

export interface StepPanelProps {
  run: RunAnswer
  step: StepView | undefined
  selection: Selection | undefined
  onSelect: (selection: Selection | undefined) => void
}

export function StepPanel({ run, step, selection, onSelect }: StepPanelProps) {
  const [view, setView] = useState<View>('log')
  const [chosen, setChosen] = useState<{ step: string; attempt: number }>()
  if (!step) {
    return (
      <Card flush className={css.panel ?? ''}>
        <EmptyState icon={<ListTree aria-hidden />} title="Choose a step">
          Its log, its outputs and its attempts are shown here.
        </EmptyState>
      </Card>
    )
  }
  const told = stepOf(run, step.name)
  const planned = run.graph.states.flatMap((state) => state.steps).find((each) => each.name === step.name)
  const gate = run.gates.find((each) => each.step === step.name)
  const last = step.attempts.at(-1)
  const number = chosen?.step === step.name ? chosen.attempt : last?.number
  const attempt = told?.attempts.find((each) => each.attempt === number)
  const subRun = attempt?.sub_run ?? undefined
  return (
    <section aria-label={`Step ${step.name}`}>
      <Card flush className={css.side ?? ''}>
        <div className={css.panel}>
          <div className={css.panelHead}>
            <StatusBadge status={step.status} />
            <h2>{step.name}</h2>
            <span className="muted">
              <code>{step.type}</code>
            </span>
            {planned?.plugin != null && <Badge outline>{planned.plugin}</Badge>}
            {step.carriedFrom !== undefined && <Badge>taken over</Badge>}
            {step.allowed && <Badge>may fail</Badge>}
            <span className={css.end}>
              {last && <Duration from={startedMs(step)} to={isOver(step.status) ? endedMs(step) : undefined} />}
              {step.attempts.length > 1 && (
                <div style={{ width: 124 }}>
                  <Select
                    aria-label="Attempt"
                    value={String(number)}
                    onChange={(next) => setChosen({ step: step.name, attempt: Number(next) })}
                    options={step.attempts.map((each) => ({ value: String(each.number), label: `Attempt ${each.number}` }))}
                  />
                </div>
              )}
              <Segmented
                label="What to show"
                value={view}
                onChange={setView}
                options={[
                  { value: 'log', label: 'Log' },
                  { value: 'outputs', label: 'Outputs' },
                  { value: 'attempts', label: 'Attempts' },
                ]}
              />
            </span>
          </div>
          {step.why !== undefined && <div className={css.sentence}>{step.why}</div>}
          {subRun !== undefined && (
            <div className={css.sentence}>
              It is a run of its own:{' '}
              <Link to="/runs/$run" params={{ run: subRun }}>
                <code>{short(subRun)}</code>
              </Link>
            </div>
          )}
          <div className={css.panelBody} data-pad={view !== 'log' || gate !== undefined || undefined}>
            {gate !== undefined && view === 'log' ? (
              <EmptyState icon={<Hand aria-hidden />} title="It waits at a gate">
                {gate.prompt ?? step.why ?? 'The card above says for whom.'}
              </EmptyState>
            ) : view === 'log' ? (
              number === undefined ? (
                <EmptyState title={isOver(step.status) ? 'It never began' : 'It has not begun yet'}>
                  {step.why ?? 'Its log appears here the moment it begins.'}
                </EmptyState>
              ) : (
                <StepLog
                  key={`${run.id} ${step.name} ${number}`}
                  run={run.id}
                  step={step.name}
                  attempt={number}
                  startedMs={attempt?.started_ms}
                  selection={selection}
                  onSelect={onSelect}
                  failed={isFailure(step.status)}
                  over={isOver(step.status)}
                />
              )
            ) : view === 'outputs' ? (
              told?.outputs == null ? (
                <EmptyState title="No outputs">
                  {isOver(step.status) ? 'The step gave none.' : 'A step gives its outputs when it ends.'}
                </EmptyState>
              ) : (
                <Json value={told.outputs} />
              )
            ) : (
              <Table
                label="Attempts"
                rows={step.attempts}
                rowKey={(each) => String(each.number)}
                empty={<EmptyState title="No attempts yet" />}
                columns={[
                  { key: 'n', name: '#', stacked: '#', width: 40, cell: (each) => each.number },
                  { key: 'status', name: 'Status', stacked: 'Status', cell: (each) => <StatusBadge status={each.status} /> },
                  { key: 'at', name: 'Began', stacked: 'Began', cell: (each) => <Time at={each.startedMs} /> },
                  {
                    key: 'took',
                    name: 'Took',
                    stacked: 'Took',
                    cell: (each) => <Duration from={each.startedMs} to={each.endedMs} />,
                  },
                  { key: 'why', name: 'Why', stacked: 'Why', cell: (each) => each.reason ?? '' },
                ]}
              />
            )}
          </div>
        </div>
      </Card>
    </section>
  )
}
