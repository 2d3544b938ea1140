// The closed list of states, and what each looks like. A state is always shown as colour, icon and word together.
import {
  Ban,
  CircleCheck,
  CircleDashed,
  CircleDot,
  CircleOff,
  CirclePause,
  CircleSlash,
  CircleX,
  Hand,
  Hourglass,
  LoaderCircle,
  TimerOff,
  TriangleAlert,
  Unplug,
  type LucideIcon,
} from 'lucide-react'

export type Status =
  | 'queued'
  | 'blocked'
  | 'waiting'
  | 'preparing'
  | 'running'
  | 'cancelling'
  | 'succeeded'
  | 'failed'
  | 'cancelled'
  | 'skipped'
  | 'lost'
  | 'timed-out'
  | 'error'
  | 'rejected'

export type Tone = 'ok' | 'bad' | 'run' | 'wait' | 'idle'

interface Look {
  word: string
  tone: Tone
  icon: LucideIcon
  /** What the word means, in one sentence. */
  means: string
}

export const STATUS: Record<Status, Look> = {
  queued: { word: 'queued', tone: 'idle', icon: CircleDashed, means: 'It has not begun yet.' },
  blocked: { word: 'blocked', tone: 'wait', icon: Hand, means: 'A gate waits for a person.' },
  waiting: { word: 'waiting', tone: 'wait', icon: Hourglass, means: 'It waits for its turn, for a time, or for something else.' },
  preparing: { word: 'preparing', tone: 'run', icon: CircleDot, means: 'Its image and workspace are being made ready.' },
  running: { word: 'running', tone: 'run', icon: LoaderCircle, means: 'It is under way.' },
  cancelling: { word: 'cancelling', tone: 'wait', icon: CirclePause, means: 'It was asked to stop.' },
  succeeded: { word: 'succeeded', tone: 'ok', icon: CircleCheck, means: 'The work was done, and its result is good.' },
  failed: { word: 'failed', tone: 'bad', icon: CircleX, means: 'The work was done, and its result is a failure.' },
  cancelled: { word: 'cancelled', tone: 'idle', icon: Ban, means: 'Somebody stopped it.' },
  skipped: { word: 'skipped', tone: 'idle', icon: CircleSlash, means: 'It never began.' },
  lost: { word: 'lost', tone: 'bad', icon: Unplug, means: 'Nobody can tell: what carried it out is gone.' },
  'timed-out': { word: 'timed out', tone: 'bad', icon: TimerOff, means: 'It took longer than it may.' },
  error: {
    word: 'error',
    tone: 'bad',
    icon: TriangleAlert,
    means: 'The work could not be done: infrastructure or configuration.',
  },
  rejected: { word: 'rejected', tone: 'bad', icon: CircleOff, means: 'A person said no at a gate.' },
}

const OVER: ReadonlySet<Status> = new Set([
  'succeeded',
  'failed',
  'cancelled',
  'skipped',
  'lost',
  'timed-out',
  'error',
  'rejected',
])

/** Whether nothing more will come. */
export const isOver = (status: Status): boolean => OVER.has(status)

/** Whether it ended, and not well. */
export const isFailure = (status: Status): boolean => STATUS[status].tone === 'bad'

/** A word of the API as one of ours; what is not known is shown as queued, and never breaks a page. */
export function toStatus(word: string | null | undefined): Status {
  if (word != null && word in STATUS) return word as Status
  switch (word) {
    case 'completed':
    case 'success':
      return 'succeeded'
    case 'timed_out':
      return 'timed-out'
    case 'retrying':
    case 'undecided':
    case 'at-gate':
      return 'blocked'
    case 'ready':
    case 'active':
      return 'running'
    default:
      return 'queued'
  }
}
