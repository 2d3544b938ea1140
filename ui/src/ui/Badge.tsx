// Badges: a word with a colour that means something.
import {
  Archive,
  Box,
  Cloud,
  Database,
  Eye,
  FileText,
  Globe,
  KeyRound,
  Puzzle,
  ShieldCheck,
  ShieldQuestion,
  ShieldX,
  Wrench,
  type LucideIcon,
} from 'lucide-react'
import type { ReactNode } from 'react'
import { cx } from '@/lib/cx'
import { STATUS, type Status, type Tone } from './status'
import { Tip } from './Tooltip'
import css from './ui.module.css'

export function Badge({
  tone,
  outline,
  icon,
  children,
}: {
  tone?: Tone | 'accent'
  outline?: boolean
  icon?: ReactNode
  children: ReactNode
}) {
  return (
    <span className={cx(css.badge, outline && css.outline, tone && css[`tone-${tone}`])}>
      {icon}
      {children}
    </span>
  )
}

/** Colour, icon and word, always all three. `pill` for headers, plain for rows; `iconOnly` where the word stands beside it anyway. */
export function StatusBadge({ status, pill, iconOnly }: { status: Status; pill?: boolean; iconOnly?: boolean }) {
  const { word, tone, icon: Icon } = STATUS[status]
  return (
    <span className={cx(css.status, pill && css.statusPill, pill ? css[`tone-${tone}`] : css[`fg-${tone}`])} data-status={status}>
      <Icon aria-hidden className={status === 'running' ? css.turning : undefined} />
      {iconOnly ? <span className="visually-hidden">{word}</span> : word}
    </span>
  )
}

interface Capability {
  word: string
  icon: LucideIcon
  means: string
  /** It can do harm that the others cannot. */
  grave?: boolean
}

const CAPABILITIES: Record<string, Capability> = {
  network: { word: 'network', icon: Globe, means: 'It may talk to the hosts that you allow, and to no others.' },
  http: { word: 'network', icon: Globe, means: 'It may talk to the hosts that you allow, and to no others.' },
  containers: { word: 'containers', icon: Box, means: 'It may start containers on this machine, in the workspace of the run.' },
  secrets: {
    word: 'secrets',
    icon: KeyRound,
    means: 'It may name secrets. The host puts them in place; the plugin never sees their text.',
  },
  'secrets-reveal': { word: 'reads secrets', icon: Eye, means: 'It may read the text of secrets.', grave: true },
  artifacts: { word: 'artifacts', icon: Archive, means: 'It may read and write artifacts of the run.' },
  state: { word: 'state', icon: Database, means: 'It may keep data of its own from one run to the next.' },
  providers: {
    word: 'providers',
    icon: Cloud,
    means: 'It may ask cloud providers to act with the credentials of an environment.',
  },
  log: { word: 'log', icon: FileText, means: 'It may write lines into the log of its step.' },
  config: { word: 'config', icon: Wrench, means: 'It may read configuration of the server that is meant for it.' },
}

/** What a plugin may reach. One that asks for the text of secrets is red, whatever stands around it. */
export function CapabilityBadge({ capability, detail }: { capability: string; detail?: ReactNode }) {
  const known = CAPABILITIES[capability] ?? { word: capability, icon: Puzzle, means: 'It may use this capability of the host.' }
  const Icon = known.icon
  return (
    <Tip
      text={
        <>
          {known.means}
          {detail != null && <div style={{ marginTop: 4, opacity: 0.8 }}>{detail}</div>}
        </>
      }
    >
      {/* Focusable, because the tooltip says what the badge means. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <span tabIndex={0} className={cx(css.badge, known.grave ? css['tone-bad'] : css.outline)}>
        <Icon aria-hidden />
        {known.word}
      </span>
    </Tip>
  )
}

/** In plain words, for consent dialogs. */
export const capabilityMeans = (capability: string): string =>
  CAPABILITIES[capability]?.means ?? 'It may use this capability of the host.'

/** What is known of who made it. Three results, never two. */
export function SignatureBadge({ verdict }: { verdict: 'verified' | 'unsigned' | 'bad' }) {
  if (verdict === 'verified') {
    return (
      <Badge tone="ok" icon={<ShieldCheck aria-hidden />}>
        signed
      </Badge>
    )
  }
  if (verdict === 'bad') {
    return (
      <Badge tone="bad" icon={<ShieldX aria-hidden />}>
        bad signature
      </Badge>
    )
  }
  return (
    <Badge tone="wait" icon={<ShieldQuestion aria-hidden />}>
      unsigned
    </Badge>
  )
}
