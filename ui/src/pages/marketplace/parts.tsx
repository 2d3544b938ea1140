// What several of the marketplace's pages show.
import { Link } from '@tanstack/react-router'
import {
  Archive,
  BadgeCheck,
  Blocks,
  Box,
  CircleSlash,
  Cloud,
  Database,
  Eye,
  Globe,
  KeyRound,
  Puzzle,
  Radar,
  ShieldAlert,
  TriangleAlert,
  type LucideIcon,
} from 'lucide-react'
import { cx } from '@/lib/cx'
import { Badge } from '@/ui/Badge'
import { TabLinks, tabLink } from '@/ui/Tabs'
import { Tip } from '@/ui/Tooltip'
import { $api } from '@/api/client'
import { alarm, monogram, nameParts, sentence, STATE_MEANS, type ReleaseState } from './model'
import css from './market.module.css'

/** A tile in the place of a picture: two letters, always the same ones. */
export const Monogram = ({ name, large }: { name: string; large?: boolean }) => (
  <span className={cx(css.monogram, large && css.monogramLarge)} aria-hidden>
    {monogram(name)}
  </span>
)

/** `acme:slack`, the namespace quieter than the name. */
export function PluginName({ name }: { name: string }) {
  const parts = nameParts(name)
  return (
    <span className={css.name}>
      {parts.namespace !== '' && <span className={css.namespace}>{parts.namespace}:</span>}
      {parts.name}
    </span>
  )
}

export const VerifiedMark = () => (
  <Tip text="The registry's operator has verified who owns this namespace.">
    {/* Focusable, because the tooltip says what the mark means. */}
    {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
    <span tabIndex={0} className={css.verified}>
      <BadgeCheck aria-hidden />
      <span className="visually-hidden">verified publisher</span>
    </span>
  </Tip>
)

const KINDS: Record<string, { word: string; plural: string; icon: LucideIcon }> = {
  step: { word: 'steps', plural: 'Steps', icon: Blocks },
  provider: { word: 'provider', plural: 'Providers', icon: Cloud },
  scanner: { word: 'scanner', plural: 'Scanners', icon: Radar },
}
export const kindPlural = (kind: string) => KINDS[kind]?.plural ?? kind
export function KindBadge({ kind }: { kind: string }) {
  const known = KINDS[kind]
  const Icon = known?.icon ?? Puzzle
  return <Badge icon={<Icon aria-hidden />}>{known?.word ?? kind}</Badge>
}

const STATE: Record<Exclude<ReleaseState, 'ok'>, { word: string; tone: 'wait' | 'bad' | 'idle'; icon: LucideIcon }> = {
  yanked: { word: 'yanked', tone: 'wait', icon: TriangleAlert },
  quarantined: { word: 'quarantined', tone: 'bad', icon: ShieldAlert },
  removed: { word: 'removed', tone: 'bad', icon: CircleSlash },
  unknown: { word: 'not known', tone: 'idle', icon: CircleSlash },
}

/** Whether a release may be used. What is in order needs no word unless `always`. */
export function ReleaseBadge({ state, reason, always }: { state: ReleaseState; reason?: string | undefined; always?: boolean }) {
  if (state === 'ok') return always ? <Badge tone="ok">in order</Badge> : null
  const { word, tone, icon: Icon } = STATE[state]
  return (
    <Tip text={reason ?? STATE_MEANS[state]}>
      {/* Focusable, because the tooltip says why. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <span tabIndex={0}>
        <Badge tone={tone} icon={<Icon aria-hidden />}>
          {word}
        </Badge>
      </span>
    </Tip>
  )
}

const PERMISSION_ICON: Record<string, LucideIcon> = {
  containers: Box,
  http: Globe,
  secrets: KeyRound,
  'secrets-reveal': Eye,
  artifacts: Archive,
  state: Database,
  providers: Cloud,
  scanners: Radar,
}

export interface PermissionLine {
  capability: string
  words: string
  change?: string | undefined
  until_now?: string | null | undefined
  alarming?: boolean | undefined
}

/** What a plugin may, a sentence each, the alarming ones first and with the reason. */
export function Permissions({ lines, label }: { lines: readonly PermissionLine[]; label: string }) {
  const grave = (line: PermissionLine) => line.alarming === true || alarm(line.capability, line.words) !== undefined
  const sorted = [...lines].sort((a, b) => Number(grave(b)) - Number(grave(a)))
  return (
    <ul className={css.permissions} aria-label={label}>
      {sorted.map((line) => {
        const Icon = PERMISSION_ICON[line.capability] ?? Puzzle
        const isGrave = grave(line)
        const fresh = line.change === 'new' || line.change === 'widened'
        return (
          <li
            key={`${line.capability} ${line.words}`}
            className={cx(css.permission, isGrave && css.grave)}
            data-change={line.change}
          >
            <Icon aria-hidden />
            <div>
              <span>{sentence(line.words)}.</span>{' '}
              {fresh && (
                <Badge tone={isGrave ? 'bad' : 'wait'} icon={<TriangleAlert aria-hidden />}>
                  {line.change}
                </Badge>
              )}
              {line.until_now != null && <p className={css.untilNow}>Until now: {line.until_now}.</p>}
              {isGrave && <p className={css.why}>{alarm(line.capability, line.words) ?? 'Think twice before you grant this.'}</p>}
            </div>
          </li>
        )
      })}
    </ul>
  )
}

/** The two lists of the marketplace. */
export function MarketTabs() {
  const installed = $api.useQuery('get', '/api/v1/plugins').data
  const updates = installed?.filter((plugin) => plugin.newer != null).length ?? 0
  return (
    <div className={css.tabs}>
      <TabLinks label="Marketplace">
        <Link to="/marketplace" className={tabLink} activeOptions={{ exact: true, includeSearch: false }}>
          Discover
        </Link>
        <Link to="/marketplace/installed" className={tabLink}>
          Installed
          {installed !== undefined && <span className={css.tabCount}>{installed.length}</span>}
          {updates > 0 && <Badge tone="accent">{updates === 1 ? '1 update' : `${updates} updates`}</Badge>}
        </Link>
      </TabLinks>
    </div>
  )
}
