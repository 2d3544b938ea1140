// The frame of every page of the settings: the list of them at the left, what belongs to administrators marked as such.
import { Link } from '@tanstack/react-router'
import {
  KeyRound,
  Lock,
  Package,
  ScrollText,
  ServerCog,
  ShieldX,
  UserRound,
  UsersRound,
  LockKeyhole,
  type LucideIcon,
} from 'lucide-react'
import type { ReactNode } from 'react'
import { useMay, useSession, type Role } from '@/app/may'
import { Page } from '@/app/Page'
import { Card, EmptyState, Skeleton } from '@/ui/places'
import css from './settings.module.css'

interface Entry {
  to:
    | '/settings/profile'
    | '/settings/users'
    | '/settings/keys'
    | '/settings/secrets'
    | '/settings/registries'
    | '/settings/audit'
    | '/settings/about'
  title: string
  icon: LucideIcon
  role?: Role
}

const ENTRIES: readonly Entry[] = [
  { to: '/settings/profile', title: 'Profile', icon: UserRound },
  { to: '/settings/users', title: 'Users', icon: UsersRound, role: 'admin' },
  { to: '/settings/keys', title: 'API keys', icon: KeyRound, role: 'admin' },
  { to: '/settings/secrets', title: 'Secrets', icon: LockKeyhole },
  { to: '/settings/registries', title: 'Registries', icon: Package },
  { to: '/settings/audit', title: 'Audit log', icon: ScrollText, role: 'admin' },
  { to: '/settings/about', title: 'About', icon: ServerCog },
]

/** On a narrow page the list is a row that scrolls: the page that one is on is scrolled to. */
function showCurrent(nav: HTMLElement | null) {
  const current = nav?.querySelector<HTMLElement>('[aria-current="page"]')
  if (nav && current) nav.scrollLeft = current.offsetLeft - nav.offsetLeft - (nav.clientWidth - current.clientWidth) / 2
}

function Nav() {
  const { may } = useMay('admin')
  return (
    <nav className={css.nav} aria-label="Settings" ref={showCurrent}>
      {ENTRIES.map(({ to, title, icon: Icon, role }) => (
        <Link key={to} to={to} className={css.navLink}>
          <Icon aria-hidden />
          {title}
          {role === 'admin' && !may && <Lock aria-label="for administrators" className={css.lock} />}
        </Link>
      ))}
    </nav>
  )
}

export function Frame(props: {
  title: string
  subtitle?: ReactNode
  actions?: ReactNode
  /** Who sees it; everybody without. */
  needs?: Role
  children: ReactNode
}) {
  return (
    <div className={css.frame}>
      <Nav />
      <Page
        title={props.title}
        subtitle={props.subtitle}
        actions={props.needs ? <For needs={props.needs}>{props.actions}</For> : props.actions}
      >
        {props.needs ? (
          <For needs={props.needs} otherwise>
            {props.children}
          </For>
        ) : (
          <div className={css.stack}>{props.children}</div>
        )}
      </Page>
    </div>
  )
}

/** What only some see. The others are told whom to ask, instead of being shown an error of the server. */
function For({ needs, otherwise, children }: { needs: Role; otherwise?: boolean; children: ReactNode }) {
  const { may, why } = useMay(needs)
  const { isPending } = useSession()
  if (may) return otherwise ? <div className={css.stack}>{children}</div> : children
  if (!otherwise) return null
  if (isPending) return <Skeleton height={280} />
  return (
    <Card flush>
      <EmptyState icon={<ShieldX aria-hidden />} title="For administrators">
        {why} Ask one of them, or sign in as somebody else.
      </EmptyState>
    </Card>
  )
}
