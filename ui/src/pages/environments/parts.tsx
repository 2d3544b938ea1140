// What several pages of environments show.
import { CircleCheck, CircleDashed, CircleOff, CircleX, LoaderCircle, TriangleAlert, Undo2, type LucideIcon } from 'lucide-react'
import { useMutation } from '@tanstack/react-query'
import { api, ok } from '@/api/client'
import { refresh } from '@/api/refresh'
import { Badge } from '@/ui/Badge'
import type { Tone } from '@/ui/status'
import { Time } from '@/ui/Time'
import { Tip } from '@/ui/Tooltip'
import { toast } from '@/ui/toast'
import { latency, type ConnectionTest, type Environment } from './model'
import ui from '@/ui/ui.module.css'
import css from './environments.module.css'

interface Look {
  word: string
  tone: Tone
  icon: LucideIcon
}

const ENVIRONMENT: Record<string, Look> = {
  active: { word: 'active', tone: 'ok', icon: CircleCheck },
  provisioning: { word: 'being set up', tone: 'run', icon: CircleDashed },
  error: { word: 'error', tone: 'bad', icon: TriangleAlert },
  decommissioned: { word: 'taken out of use', tone: 'idle', icon: CircleOff },
}

const DEPLOYMENT: Record<string, Look> = {
  pending: { word: 'queued', tone: 'idle', icon: CircleDashed },
  in_progress: { word: 'deploying', tone: 'run', icon: LoaderCircle },
  succeeded: { word: 'succeeded', tone: 'ok', icon: CircleCheck },
  failed: { word: 'failed', tone: 'bad', icon: CircleX },
  rolled_back: { word: 'rolled back', tone: 'idle', icon: Undo2 },
}

function StateBadge({ looks, state }: { looks: Record<string, Look>; state: string }) {
  const { word, tone, icon: Icon } = looks[state] ?? { word: state, tone: 'idle', icon: CircleDashed }
  return (
    <Badge tone={tone} icon={<Icon aria-hidden className={state === 'in_progress' ? ui.turning : undefined} />}>
      {word}
    </Badge>
  )
}

export const EnvironmentState = ({ state }: { state: string }) => <StateBadge looks={ENVIRONMENT} state={state} />
export const DeploymentState = ({ state }: { state: string }) => <StateBadge looks={DEPLOYMENT} state={state} />

/** How the last test of the connection went, in a line. */
export function LastTest({ test, testing }: { test: ConnectionTest | null | undefined; testing: boolean }) {
  if (testing) {
    return (
      <span className={css.test} role="status">
        <LoaderCircle aria-hidden className={ui.spin} />
        asking the provider…
      </span>
    )
  }
  if (test == null) return <span className="muted">never tested</span>
  const Icon = test.success ? CircleCheck : CircleX
  return (
    <Tip text={test.message}>
      {/* Focusable, because the tooltip says what the provider said. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <span className={css.test} data-ok={test.success} tabIndex={0}>
        <Icon aria-hidden />
        {test.success ? `reached in ${latency(test.latency)}` : 'not reached'}
        <span className="muted">
          <Time at={test.at_ms} />
        </span>
      </span>
    </Tip>
  )
}

/** Asks an environment's provider whether it can be reached. What it said is read again with the environment. */
export function useTest(environment: Pick<Environment, 'id' | 'name'>) {
  return useMutation({
    mutationFn: () => ok(api.POST('/api/v1/admin/environments/{id}/test', { params: { path: { id: environment.id } } })),
    onSuccess: async (test) => {
      await refresh('/api/v1/admin/environments')
      if (test.success) toast.ok(`${environment.name} can be reached`, `${test.message} (${latency(test.latency)})`)
      else toast.info(`${environment.name} cannot be reached`, test.message)
    },
    onError: (problem) => toast.error(problem, `${environment.name} was not tested`),
  })
}

/** There is no subcommand for environments: the twin is the request itself, with the key in a variable. */
export const curl = (method: string, path: string, body?: unknown): string =>
  `curl -X ${method} -H "x-api-key: $WINDLASS_KEY"${
    body === undefined ? '' : ` -H 'content-type: application/json' -d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`
  } ${location.origin}${path}`
