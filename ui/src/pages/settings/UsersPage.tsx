// People: who may what. For administrators.
import { useMutation } from '@tanstack/react-query'
import { Ellipsis, UserPlus, UsersRound } from 'lucide-react'
import { useState } from 'react'
import { $api, api, ok } from '@/api/client'
import { byCursor } from '@/api/pages'
import { fieldError } from '@/api/problem'
import { refresh } from '@/api/refresh'
import type { components } from '@/api/schema'
import { useSession, type Role } from '@/app/may'
import { defined } from '@/lib/defined'
import { Badge } from '@/ui/Badge'
import { Button, IconButton } from '@/ui/Button'
import { Field, Input, Select, Switch } from '@/ui/inputs'
import { Confirm, Dialog, Menu, MenuItem, MenuSeparator } from '@/ui/overlays'
import { Card, EmptyState, ErrorState } from '@/ui/places'
import { Table } from '@/ui/Table'
import { Time } from '@/ui/Time'
import { toast } from '@/ui/toast'
import { Frame } from './Frame'
import { MIN_PASSWORD } from './ProfilePage'
import css from './settings.module.css'

type User = components['schemas']['User']

const ROLES: { value: Role; label: string }[] = [
  { value: 'viewer', label: 'viewer: looks' },
  { value: 'operator', label: 'operator: runs, approves, deploys' },
  { value: 'admin', label: 'admin: installs, grants, manages people' },
]
const roleOf = (value: string): Role => ROLES.find((role) => role.value === value)?.value ?? 'viewer'
const orNothing = (text: string) => (text.trim() === '' ? undefined : text.trim())

function NewUser({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('')
  const [display, setDisplay] = useState('')
  const [email, setEmail] = useState('')
  const [role, setRole] = useState<Role>('operator')
  const [password, setPassword] = useState('')
  const making = useMutation({
    mutationFn: () =>
      ok(
        api.POST('/api/v1/users', {
          body: {
            name: name.trim(),
            role,
            ...defined({
              display_name: orNothing(display),
              email: orNothing(email),
              password: password === '' ? undefined : password,
            }),
          },
        }),
      ),
    onSuccess: async (user) => {
      await refresh('/api/v1/users')
      toast.ok(`${user.name} can sign in`)
      onClose()
    },
  })
  const short = password !== '' && password.length < MIN_PASSWORD
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && onClose()}
      title="Add a user"
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" form="new-user" busy={making.isPending} disabled={name.trim() === '' || short}>
            Add the user
          </Button>
        </>
      }
    >
      <form
        id="new-user"
        className={css.form}
        onSubmit={(event) => {
          event.preventDefault()
          making.mutate()
        }}
      >
        <Field
          label="Name"
          required
          help="What is written into runs, gates and the audit. It is never given to anybody else."
          error={fieldError(making.error, '/name')}
        >
          <Input value={name} maxLength={64} autoComplete="off" onChange={(event) => setName(event.target.value)} />
        </Field>
        <div className={css.two}>
          <Field label="Called" error={fieldError(making.error, '/display_name')}>
            <Input value={display} autoComplete="off" onChange={(event) => setDisplay(event.target.value)} />
          </Field>
          <Field label="E-mail" error={fieldError(making.error, '/email')}>
            <Input type="email" value={email} autoComplete="off" onChange={(event) => setEmail(event.target.value)} />
          </Field>
        </div>
        <Field label="Role" error={fieldError(making.error, '/role')}>
          <Select value={role} onChange={(value) => setRole(roleOf(value))} options={ROLES} />
        </Field>
        <Field
          label="First password"
          help={`At least ${MIN_PASSWORD} characters. Without one they sign in at an identity provider or with a key.`}
          error={short ? `It has ${password.length} of ${MIN_PASSWORD} characters.` : fieldError(making.error, '/password')}
        >
          <Input
            type="password"
            autoComplete="new-password"
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        </Field>
        {making.error !== null && <ErrorState error={making.error} />}
      </form>
    </Dialog>
  )
}

function EditUser({ user, self, onClose }: { user: User; self: boolean; onClose: () => void }) {
  const [display, setDisplay] = useState(user.display_name ?? '')
  const [email, setEmail] = useState(user.email ?? '')
  const [role, setRole] = useState<Role>(user.role)
  const [disabled, setDisabled] = useState(user.disabled)
  const saving = useMutation({
    mutationFn: () =>
      ok(
        api.PATCH('/api/v1/users/{name}', {
          params: { path: { name: user.name } },
          body: { display_name: display.trim(), email: email.trim(), role, disabled },
        }),
      ),
    onSuccess: async () => {
      await refresh('/api/v1/users', '/api/v1/session')
      toast.ok(`${user.name} is changed`)
      onClose()
    },
  })
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Change ${user.name}`}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" form="edit-user" busy={saving.isPending}>
            Save
          </Button>
        </>
      }
    >
      <form
        id="edit-user"
        className={css.form}
        onSubmit={(event) => {
          event.preventDefault()
          saving.mutate()
        }}
      >
        <div className={css.two}>
          <Field label="Called" error={fieldError(saving.error, '/display_name')}>
            <Input value={display} autoComplete="off" onChange={(event) => setDisplay(event.target.value)} />
          </Field>
          <Field label="E-mail" error={fieldError(saving.error, '/email')}>
            <Input type="email" value={email} autoComplete="off" onChange={(event) => setEmail(event.target.value)} />
          </Field>
        </div>
        <Field
          label="Role"
          help={self ? 'This is you. There must always be an administrator.' : 'It holds from their next request on.'}
          error={fieldError(saving.error, '/role')}
        >
          <Select value={role} onChange={(value) => setRole(roleOf(value))} options={ROLES} />
        </Field>
        <Switch
          checked={!disabled}
          onChange={(on) => setDisabled(!on)}
          disabled={self}
          label="May sign in"
          help={
            self
              ? 'Nobody locks themselves out.'
              : 'Switched off, their sessions and keys are refused at once. What they did stays.'
          }
        />
        {saving.error !== null && <ErrorState error={saving.error} />}
      </form>
    </Dialog>
  )
}

function SetPassword({ user, onClose }: { user: User; onClose: () => void }) {
  const [password, setPassword] = useState('')
  const saving = useMutation({
    mutationFn: () => ok(api.PUT('/api/v1/users/{name}/password', { params: { path: { name: user.name } }, body: { password } })),
    onSuccess: async () => {
      await refresh('/api/v1/users')
      toast.ok(`${user.name} has a new password`, 'Their sessions have ended.')
      onClose()
    },
  })
  const short = password !== '' && password.length < MIN_PASSWORD
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`A new password for ${user.name}`}
      description="Tell it to them by a safe way. All of their sessions end."
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind="primary"
            type="submit"
            form="set-password"
            busy={saving.isPending}
            disabled={password.length < MIN_PASSWORD}
          >
            Set the password
          </Button>
        </>
      }
    >
      <form
        id="set-password"
        className={css.form}
        onSubmit={(event) => {
          event.preventDefault()
          saving.mutate()
        }}
      >
        <Field
          label="New password"
          required
          help={`At least ${MIN_PASSWORD} characters.`}
          error={short ? `It has ${password.length} of ${MIN_PASSWORD} characters.` : fieldError(saving.error, '/password')}
        >
          <Input
            type="password"
            autoComplete="new-password"
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        </Field>
        {saving.error !== null && <ErrorState error={saving.error} />}
      </form>
    </Dialog>
  )
}

type Doing = { what: 'edit' | 'password' | 'delete'; user: User }

export function UsersPage() {
  const [adding, setAdding] = useState(false)
  return (
    <Frame
      title="Users"
      needs="admin"
      subtitle="People who may sign in, and what they may."
      actions={
        <Button kind="primary" icon={<UserPlus aria-hidden />} onClick={() => setAdding(true)}>
          Add a user
        </Button>
      }
    >
      <UserList />
      {adding && <NewUser onClose={() => setAdding(false)} />}
    </Frame>
  )
}

function UserList() {
  const self = useSession().data?.user.name
  const [doing, setDoing] = useState<Doing>()
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = $api.useInfiniteQuery(
    'get',
    '/api/v1/users',
    { params: { query: {} } },
    byCursor,
  )
  const remove = useMutation({
    mutationFn: (user: User) => ok(api.DELETE('/api/v1/users/{name}', { params: { path: { name: user.name } } })),
    onSuccess: async (_, user) => {
      await refresh('/api/v1/users', '/api/v1/tokens')
      toast.ok(`${user.name} is deleted`)
      setDoing(undefined)
    },
    onError: (problem) => toast.error(problem, 'Nobody was deleted'),
  })
  return (
    <>
      <Card flush>
        <Table<User>
          label="Users"
          rows={data?.pages.flatMap((page) => page.items)}
          error={error}
          onRetry={() => void refetch()}
          rowKey={(user) => user.name}
          more={hasNextPage ? { onMore: () => void fetchNextPage(), loading: isFetchingNextPage } : undefined}
          empty={<EmptyState icon={<UsersRound aria-hidden />} title="Nobody" />}
          columns={[
            {
              key: 'name',
              name: 'Name',
              cell: (user) => (
                <span className={css.person} style={{ gap: 10 }}>
                  <span className={`${css.avatar ?? ''} ${css.avatarSmall ?? ''}`} aria-hidden>
                    {user.name.slice(0, 2).toUpperCase()}
                  </span>
                  <span className={css.rowName}>
                    <span>
                      <strong>{user.display_name ?? user.name}</strong>
                      {user.name === self && <span className="muted"> (you)</span>}
                    </span>
                    {(user.display_name != null || user.email != null) && (
                      <span className={css.small}>{[user.name, user.email].filter(Boolean).join(' · ')}</span>
                    )}
                  </span>
                </span>
              ),
            },
            {
              key: 'role',
              name: 'Role',
              stacked: 'Role',
              cell: (user) => (
                <span className={css.hosts}>
                  <Badge {...(user.role === 'admin' && { tone: 'accent' as const })}>{user.role}</Badge>
                  {user.disabled && <Badge tone="bad">switched off</Badge>}
                </span>
              ),
            },
            {
              key: 'how',
              name: 'Signs in',
              stacked: 'Signs in',
              cell: (user) => {
                const ways = [user.has_password && 'password', user.oidc_issuer != null && 'identity provider'].filter(Boolean)
                return ways.length > 0 ? ways.join(', ') : <span className="muted">keys only</span>
              },
            },
            {
              key: 'seen',
              name: 'Last seen',
              stacked: 'Last seen',
              cell: (user) => (user.seen_at_ms == null ? <span className="muted">never</span> : <Time at={user.seen_at_ms} />),
            },
            {
              key: 'act',
              name: <span className="visually-hidden">Actions</span>,
              end: true,
              cell: (user) => (
                <Menu
                  trigger={
                    <IconButton label={`More for ${user.name}`} size="small">
                      <Ellipsis aria-hidden />
                    </IconButton>
                  }
                >
                  <MenuItem onSelect={() => setDoing({ what: 'edit', user })}>Change…</MenuItem>
                  <MenuItem onSelect={() => setDoing({ what: 'password', user })}>Set a password…</MenuItem>
                  <MenuSeparator />
                  <MenuItem
                    danger
                    disabled={user.name === self}
                    end={user.name === self ? 'you' : undefined}
                    onSelect={() => setDoing({ what: 'delete', user })}
                  >
                    Delete…
                  </MenuItem>
                </Menu>
              ),
            },
          ]}
        />
      </Card>
      {doing?.what === 'edit' && (
        <EditUser user={doing.user} self={doing.user.name === self} onClose={() => setDoing(undefined)} />
      )}
      {doing?.what === 'password' && <SetPassword user={doing.user} onClose={() => setDoing(undefined)} />}
      <Confirm
        open={doing?.what === 'delete'}
        danger
        onOpenChange={(open) => !open && setDoing(undefined)}
        title={`Delete ${doing?.user.name ?? ''}?`}
        action="Delete the user"
        busy={remove.isPending}
        onConfirm={() => doing && remove.mutate(doing.user)}
      >
        Their sessions and keys end at once. What they did stays under their name, which is never given to anybody else. To keep
        the account and lock it, switch it off instead.
      </Confirm>
    </>
  )
}
