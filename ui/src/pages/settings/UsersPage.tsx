// People: who may what. For administrators.
import { useMutation } from '@tanstack/react-query'
import { Ellipsis, UserPlus, UsersRound } from 'lucide-react'
import { useState } from 'react'
import { $api, api, ok } from '@/api/client'
import { asRows, byCursor } from '@/api/pages'
import { fieldError } from '@/api/problem'
import { refresh } from '@/api/refresh'
import type { components } from '@/api/schema'
import { useSession, type Role } from '@/app/may'
import { defined } from '@/lib/defined'
import { quote } from '@/lib/shell'
import { Badge } from '@/ui/Badge'
import { Button, IconButton } from '@/ui/Button'
import { Field, Input, Select, Switch } from '@/ui/inputs'
import { CliTwin, Confirm, FormDialog, Menu, MenuItem, MenuSeparator } from '@/ui/overlays'
import { Card, EmptyState } from '@/ui/places'
import { Table } from '@/ui/Table'
import { Time } from '@/ui/Time'
import { toast } from '@/ui/toast'
import { Frame } from './Frame'
import { longEnough, NewPassword } from './NewPassword'
import css from './settings.module.css'

type User = components['schemas']['User']

const ROLES: { value: Role; label: string }[] = [
  { value: 'viewer', label: 'viewer: looks' },
  { value: 'operator', label: 'operator: runs, approves, deploys' },
  { value: 'admin', label: 'admin: installs, grants, manages people' },
]
const roleOf = (value: string): Role => ROLES.find((role) => role.value === value)?.value ?? 'viewer'
const orNothing = (text: string) => (text.trim() === '' ? undefined : text.trim())

/** How somebody is called by people, and where they can be written to. */
function Called(props: {
  display: string
  onDisplay: (display: string) => void
  email: string
  onEmail: (email: string) => void
  error: unknown
}) {
  return (
    <div className={css.two}>
      <Field label="Called" error={fieldError(props.error, '/display_name')}>
        <Input value={props.display} autoComplete="off" onChange={(event) => props.onDisplay(event.target.value)} />
      </Field>
      <Field label="E-mail" error={fieldError(props.error, '/email')}>
        <Input type="email" value={props.email} autoComplete="off" onChange={(event) => props.onEmail(event.target.value)} />
      </Field>
    </div>
  )
}

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
  return (
    <FormDialog
      title="Add a user"
      aside={<CliTwin command={`windlass server user add ${name.trim() || 'NAME'} --role ${role}`} />}
      action="Add the user"
      busy={making.isPending}
      disabled={name.trim() === '' || (password !== '' && !longEnough(password))}
      error={making.error}
      onSubmit={() => making.mutate()}
      onClose={onClose}
    >
      <Field
        label="Name"
        required
        help="What is written into runs, gates and the audit. It is never given to anybody else."
        error={fieldError(making.error, '/name')}
      >
        <Input value={name} maxLength={64} autoComplete="off" onChange={(event) => setName(event.target.value)} />
      </Field>
      <Called display={display} onDisplay={setDisplay} email={email} onEmail={setEmail} error={making.error} />
      <Field label="Role" error={fieldError(making.error, '/role')}>
        <Select value={role} onChange={(value) => setRole(roleOf(value))} options={ROLES} />
      </Field>
      <NewPassword
        label="First password"
        help="Without one they sign in at an identity provider or with a key."
        required={false}
        value={password}
        onChange={setPassword}
        error={making.error}
      />
    </FormDialog>
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
    <FormDialog
      title={`Change ${user.name}`}
      aside={
        <CliTwin
          command={[
            `windlass server user role ${user.name} ${role}`,
            `windlass server user profile ${user.name} --display-name ${quote(display.trim())} --email ${quote(email.trim())}`,
            `windlass server user ${disabled ? 'disable' : 'enable'} ${user.name}`,
          ]}
        />
      }
      action="Save"
      busy={saving.isPending}
      error={saving.error}
      onSubmit={() => saving.mutate()}
      onClose={onClose}
    >
      <Called display={display} onDisplay={setDisplay} email={email} onEmail={setEmail} error={saving.error} />
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
    </FormDialog>
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
  return (
    <FormDialog
      title={`A new password for ${user.name}`}
      aside={<CliTwin command={`windlass server user password ${user.name}`} />}
      description="Tell it to them by a safe way. All of their sessions end."
      action="Set the password"
      busy={saving.isPending}
      disabled={!longEnough(password)}
      error={saving.error}
      onSubmit={() => saving.mutate()}
      onClose={onClose}
    >
      <NewPassword value={password} onChange={setPassword} error={saving.error} />
    </FormDialog>
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
        <>
          <CliTwin command={['windlass server user list', 'windlass server user add NAME --role operator']} />
          <Button kind="primary" icon={<UserPlus aria-hidden />} onClick={() => setAdding(true)}>
            Add a user
          </Button>
        </>
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
  const users = $api.useInfiniteQuery('get', '/api/v1/users', { params: { query: {} } }, byCursor)
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
          {...asRows(users)}
          rowKey={(user) => user.name}
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
        aside={<CliTwin command={`windlass server user remove ${doing?.user.name ?? ''}`} />}
        busy={remove.isPending}
        onConfirm={() => doing && remove.mutate(doing.user)}
      >
        Their sessions and keys end at once. What they did stays under their name, which is never given to anybody else. To keep
        the account and lock it, switch it off instead.
      </Confirm>
    </>
  )
}
