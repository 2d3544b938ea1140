// The last runs as strokes: height is how long each took, colour how it ended. The oldest stands at the left.
import { Link } from '@tanstack/react-router'
import type { components } from '@/api/schema'
import { duration } from '@/lib/time'
import { runStatus } from '@/pages/runs/model'
import { STATUS } from '@/ui'
import css from './pipelines.module.css'

type Recent = components['schemas']['RecentRun']

const LEAST = 5 // pixels of the shortest stroke: it must still be hit with a pointer
const MOST = 24

export function Sparkline({ runs }: { runs: readonly Recent[] }) {
  if (runs.length === 0) return <span className="muted">no runs yet</span>
  const longest = Math.max(1, ...runs.map((run) => run.took_ms ?? 0))
  return (
    <span className={css.spark}>
      {[...runs].reverse().map((run) => {
        const status = runStatus(run)
        const words = `${STATUS[status].word}${run.took_ms == null ? '' : `, ${duration(run.took_ms)}`}`
        return (
          <Link
            key={run.id}
            to="/runs/$run"
            params={{ run: run.id }}
            title={words}
            aria-label={`Run: ${words}`}
            style={{
              height: LEAST + ((MOST - LEAST) * (run.took_ms ?? longest)) / longest,
              background: `var(--${STATUS[status].tone}-solid)`,
            }}
          />
        )
      })}
    </span>
  )
}
