// The frame around every page: sidebar, top bar, palette, keyboard help.
import { soon, useStream } from '@/api/live'
import { refresh } from '@/api/refresh'
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { Check, Keyboard, LogOut, Menu as MenuIcon, Monitor, Moon, Search, Sun, UserRound } from 'lucide-react'
import { Dialog as RadixDialog } from 'radix-ui'
import { lazy, Suspense, useMemo, useState } from 'react'
import { cx } from '@/lib/cx'
import { Button, IconButton } from '@/ui/Button'
import { Dialog, Menu, MenuItem, MenuLabel, MenuSeparator } from '@/ui/overlays'
import { Kbd } from '@/ui/places'
import { Toaster } from '@/ui/toast'
import { TooltipProvider } from '@/ui/Tooltip'
import { Crumbs } from './Crumbs'
import { useRegistered, useShortcuts, type Shortcut } from './keys'
import { pages } from './navigation'
import { signOut, useApprovalCount, usePerson } from './session'
import { setTheme, useTheme, type Theme } from './theme'
import css from './shell.module.css'

const Palette = lazy(() => import('./Palette'))

export const Mark = () => (
  <svg viewBox="0 0 32 32" aria-hidden>
    <rect width="32" height="32" rx="8" fill="#0b6377" />
    <g fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round">
      <circle cx="16" cy="16" r="4.2" />
      <path d="M16 5.5v6.3M16 20.2v6.3M5.5 16h6.3M20.2 16h6.3M8.6 8.6l4.4 4.4M19 19l4.4 4.4M23.4 8.6 19 13M13 19l-4.4 4.4" />
    </g>
  </svg>
)

function Sidebar({ onGo }: { onGo?: () => void }) {
  const waiting = useApprovalCount()
  return (
    <nav className={css.sidebar} aria-label="Main">
      <Link to="/runs" className={css.brand} {...(onGo && { onClick: onGo })}>
        <Mark />
        Windlass
      </Link>
      <ul className={css.nav}>
        {pages.map(({ to, title, icon: Icon }) => (
          <li key={to}>
            <Link to={to} className={css.navLink} {...(onGo && { onClick: onGo })}>
              <Icon aria-hidden />
              {title}
              {to === '/approvals' && waiting > 0 && (
                <span className={css.count}>
                  {waiting}
                  <span className="visually-hidden"> waiting</span>
                </span>
              )}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  )
}

const THEMES: readonly { value: Theme; label: string; icon: typeof Sun }[] = [
  { value: 'system', label: 'As the system', icon: Monitor },
  { value: 'light', label: 'Light', icon: Sun },
  { value: 'dark', label: 'Dark', icon: Moon },
]

function ThemeMenu() {
  const theme = useTheme()
  const Icon = THEMES.find(({ value }) => value === theme)?.icon ?? Monitor
  return (
    <Menu
      trigger={
        <Button kind="ghost" className={css.themeButton} aria-label="Theme">
          <Icon aria-hidden />
        </Button>
      }
    >
      {THEMES.map(({ value, label, icon: Each }) => (
        <MenuItem
          key={value}
          icon={<Each aria-hidden />}
          onSelect={() => setTheme(value)}
          end={value === theme && <Check aria-label="chosen" />}
        >
          {label}
        </MenuItem>
      ))}
    </Menu>
  )
}

function PersonMenu({ onKeys }: { onKeys: () => void }) {
  const person = usePerson()
  const initials = person?.name.slice(0, 2).toUpperCase()
  return (
    <Menu
      trigger={
        <Button kind="ghost" aria-label={initials ? `${initials}: your account` : 'Your account'} style={{ padding: '0 5px' }}>
          <span className={css.avatar} aria-hidden>
            {initials ?? <UserRound aria-hidden />}
          </span>
        </Button>
      }
    >
      {person && (
        <>
          <MenuLabel>
            {person.name}, {person.role}
          </MenuLabel>
          <MenuSeparator />
        </>
      )}
      <MenuItem icon={<Keyboard aria-hidden />} end="?" onSelect={onKeys}>
        Keyboard
      </MenuItem>
      {person && (
        <MenuItem icon={<LogOut aria-hidden />} onSelect={() => void signOut()}>
          Sign out
        </MenuItem>
      )}
    </Menu>
  )
}

const spell = (keys: string) =>
  keys
    .replace('mod+', 'Ctrl ')
    .split(' ')
    .map((key) => (key.length === 1 && key >= 'a' ? key.toUpperCase() : key))

function KeyboardHelp({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const all = useRegistered()
  const groups = [...new Set(all.map((shortcut) => shortcut.group))]
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title="Keyboard">
      <dl className={css.keys}>
        {groups.flatMap((group) => [
          <h3 key={group}>{group}</h3>,
          ...all
            .filter((shortcut) => shortcut.group === group)
            .map((shortcut) => [
              <dt key={`${shortcut.keys} is`}>{shortcut.does}</dt>,
              <dd key={shortcut.keys}>
                {spell(shortcut.keys).map((key) => (
                  <Kbd key={key}>{key}</Kbd>
                ))}
              </dd>,
            ]),
        ])}
      </dl>
    </Dialog>
  )
}

const LIST_MS = 800 // lists are read again at most so often, however busy the server is
const runsChanged = soon(() => void refresh('/api/v1/runs', '/api/v1/workflows', '/api/pipelines/run'), LIST_MS)
const gatesChanged = soon(() => void refresh('/api/v1/gates'))

/** What changes on the server, for whatever is on the page. */
function useChanges() {
  useStream('/api/v1/events', {
    events: ['run', 'gate', 'look'],
    onEvent: (name) => {
      if (name !== 'gate') runsChanged()
      if (name !== 'run') gatesChanged()
    },
  })
}

export function Shell() {
  useChanges()
  const [palette, setPalette] = useState(false)
  const [help, setHelp] = useState(false)
  const [drawer, setDrawer] = useState(false)
  const navigate = useNavigate()
  const busy = useRouterState({ select: (state) => state.status === 'pending' })
  useShortcuts(
    useMemo<Shortcut[]>(
      () => [
        { keys: 'mod+k', does: 'Go to anything', group: 'Everywhere', run: () => setPalette((open) => !open) },
        { keys: '?', does: 'This help', group: 'Everywhere', run: () => setHelp(true) },
        ...pages.map(({ to, title, keys }) => ({ keys, does: title, group: 'Go to', run: () => void navigate({ to }) })),
      ],
      [navigate],
    ),
  )
  return (
    <TooltipProvider>
      <a href="#main" className={css.skip}>
        To the content
      </a>
      {busy && <div className={css.progress} role="progressbar" aria-label="Loading the page" />}
      <div className={css.shell}>
        <Sidebar />
        <div className={css.main}>
          <header className={css.topbar}>
            <IconButton label="Menu" className={cx(css.burger)} onClick={() => setDrawer(true)}>
              <MenuIcon aria-hidden />
            </IconButton>
            <Crumbs />
            <button type="button" className={css.search} onClick={() => setPalette(true)}>
              <Search aria-hidden />
              <span>Go to…</span>
              <Kbd>Ctrl K</Kbd>
            </button>
            <ThemeMenu />
            <PersonMenu onKeys={() => setHelp(true)} />
          </header>
          <main id="main" tabIndex={-1}>
            <Outlet />
          </main>
        </div>
      </div>
      <RadixDialog.Root open={drawer} onOpenChange={setDrawer}>
        <RadixDialog.Portal>
          <RadixDialog.Overlay style={{ position: 'fixed', inset: 0, zIndex: 40, background: 'var(--overlay)' }} />
          <RadixDialog.Content className={css.navDrawer} aria-describedby={undefined}>
            <RadixDialog.Title className="visually-hidden">Menu</RadixDialog.Title>
            <Sidebar onGo={() => setDrawer(false)} />
          </RadixDialog.Content>
        </RadixDialog.Portal>
      </RadixDialog.Root>
      <Suspense>{palette && <Palette open onOpenChange={setPalette} />}</Suspense>
      <KeyboardHelp open={help} onOpenChange={setHelp} />
      <Toaster />
    </TooltipProvider>
  )
}
