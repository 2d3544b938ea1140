// Keys: a list, making one (seen a single time), ending one. For the profile and for all keys.
import { useMutation } from '@tanstack/react-query'
import { KeyRound, Plus, Trash2 } from 'lucide-react'
import { useState, type ReactNode } from 'react'
import { $api, api, ok } from '@/api/client'
import { fieldError } from '@/api/problem'
import { refresh } from '@/api/refresh'
import type { components } from '@/api/schema'
import { useSession, type Role } from '@/app/may'
import { quote } from '@/lib/shell'
import { Badge } from '@/ui/Badge'
import { Button, IconButton } from '@/ui/Button'
import { CopyButton } from '@/ui/CopyButton'
import { Field, Input, Select } from '@/ui/inputs'
import { Notice } from '@/ui/Notice'
import { CliTwin, Confirm, Dialog, FormDialog } from '@/ui/overlays'
import { Card, EmptyState } from '@/ui/places'
import { Table, type Column } from '@/ui/Table'
import { Time } from '@/ui/Time'
import { toast } from '@/ui/toast'
import css from './settings.module.css'

type KeyRow = components['schemas']['KeyRow']
type MadeKey = components['schemas']['MadeKey']

const ROLES: readonly Role[] = ['viewer', 'operator', 'admin']
const LIFETIMES = [
  { value: '7', label: '7 days' },
  { value: '30', label: '30 days' },
  { value: '90', label: '90 days' },
  { value: '366', label: 'A year' },
  { value: 'ever', label: 'Until it is ended' },
]
const ROLE_MEANS: Record<Role, string> = {
  viewer: 'viewer: look at everything but people, keys and the audit',
  operator: 'operator: also run, cancel, approve, deploy, write pipelines and set secrets',
  admin: 'admin: also install plugins, grant, and manage people',
}

function MakeKey({ all, onClose, onMade }: { all: boolean; onClose: () => void; onMade: (made: MadeKey) => void }) {
  const session = useSession().data
  const [name, setName] = useState('')
  const [role, setRole] = useState<string>('operator')
  const [days, setDays] = useState('90')
  const [user, setUser] = useState(session?.user.name ?? '')
  const most = ROLES.indexOf(session?.role ?? 'viewer')
  const chosen = ROLES.find((each) => each === role) ?? 'viewer'
  const own = ROLES.indexOf(chosen) > most ? (ROLES[most] ?? 'viewer') : chosen
  const making = useMutation({
    mutationFn: () =>
      ok(
        api.POST('/api/v1/tokens', {
          body: {
            name: name.trim(),
            role: own,
            ...(days !== 'ever' && { days: Number(days) }),
            ...(all && user.trim() !== '' && user.trim() !== session?.user.name && { user: user.trim() }),
          },
        }),
      ),
    onSuccess: async (made) => {
      await refresh('/api/v1/tokens')
      onMade(made)
    },
  })
  return (
    <FormDialog
      title="Make a key"
      aside={
        <CliTwin
          command={`windlass server key add ${quote(name.trim() || 'FOR-WHAT')} --user ${user.trim() || 'NAME'} --role ${own}${days === 'ever' ? '' : ` --days ${days}`}`}
        />
      }
      description="For scripts and the command line. It is seen once, when it is made."
      action="Make the key"
      busy={making.isPending}
      disabled={name.trim() === ''}
      error={making.error}
      onSubmit={() => making.mutate()}
      onClose={onClose}
    >
      <Field label="For what" required error={fieldError(making.error, '/name')}>
        <Input value={name} maxLength={100} placeholder="deploy script" onChange={(event) => setName(event.target.value)} />
      </Field>
      {all && (
        <Field label="Whose" help="It acts in this person's name." error={fieldError(making.error, '/user')}>
          <Input value={user} onChange={(event) => setUser(event.target.value)} />
        </Field>
      )}
      <div className={css.two}>
        <Field label="At most" error={fieldError(making.error, '/role')}>
          <Select
            value={own}
            onChange={setRole}
            options={ROLES.map((each, index) => ({ value: each, label: each, disabled: index > most }))}
          />
        </Field>
        <Field label="Valid for" error={fieldError(making.error, '/days')}>
          <Select value={days} onChange={setDays} options={LIFETIMES} />
        </Field>
      </div>
      <p className={css.small}>{ROLE_MEANS[own]}</p>
    </FormDialog>
  )
}

function Made({ made, onClose }: { made: MadeKey; onClose: () => void }) {
  return (
    <Dialog
      open
      firm
      onOpenChange={() => undefined}
      title={`The key “${made.row.name}”`}
      footer={
        <Button kind="primary" onClick={onClose}>
          I have kept it
        </Button>
      }
    >
      <div className={css.stack}>
        <Notice tone="wait" title="This is the only time that it is shown">
          <p>Keep it where secrets are kept. The server has only its hash.</p>
        </Notice>
        <div className={css.key}>
          <code>{made.key}</code>
          <CopyButton text={made.key} label="Copy the key" />
        </div>
        <p className={css.small}>
          It is sent as <code>Authorization: Bearer …</code> or <code>x-api-key: …</code>.
        </p>
      </div>
    </Dialog>
  )
}

export function Keys({ all, title }: { all: boolean; title?: ReactNode }) {
  const { data, error, refetch } = $api.useQuery('get', '/api/v1/tokens', { params: { query: { all } } })
  const [making, setMaking] = useState(false)
  const [made, setMade] = useState<MadeKey>()
  const [ending, setEnding] = useState<KeyRow>()
  const end = useMutation({
    mutationFn: (key: KeyRow) => ok(api.DELETE('/api/v1/tokens/{id}', { params: { path: { id: key.id } } })),
    onSuccess: async (_, key) => {
      await refresh('/api/v1/tokens')
      toast.ok(`The key “${key.name}” has ended`)
      setEnding(undefined)
    },
    onError: (problem) => toast.error(problem, 'The key was not ended'),
  })
  const user: Column<KeyRow> = { key: 'user', name: 'Whose', stacked: 'Whose', cell: (key) => key.user }
  const columns: Column<KeyRow>[] = [
    {
      key: 'name',
      name: 'Key',
      cell: (key) => (
        <span className={css.rowName}>
          <strong>{key.name}</strong>
          <code className="muted">{key.prefix}…</code>
        </span>
      ),
    },
    ...(all ? [user] : []),
    { key: 'role', name: 'At most', stacked: 'At most', cell: (key) => <Badge>{key.role}</Badge> },
    { key: 'made', name: 'Made', stacked: 'Made', cell: (key) => <Time at={key.created_at_ms} /> },
    {
      key: 'used',
      name: 'Last used',
      stacked: 'Last used',
      cell: (key) => (key.used_at_ms == null ? <span className="muted">never</span> : <Time at={key.used_at_ms} />),
    },
    {
      key: 'ends',
      name: 'Ends',
      stacked: 'Ends',
      cell: (key) =>
        key.expires_at_ms == null ? <span className="muted">never by itself</span> : <Time at={key.expires_at_ms} />,
    },
    {
      key: 'act',
      name: <span className="visually-hidden">Actions</span>,
      end: true,
      cell: (key) => (
        <IconButton size="small" label={`End the key ${key.name}`} onClick={() => setEnding(key)}>
          <Trash2 aria-hidden />
        </IconButton>
      ),
    },
  ]
  return (
    <>
      <Card
        flush
        title={title ?? 'Keys'}
        actions={
          <>
            <CliTwin command="windlass server key list" />
            <Button size="small" icon={<Plus aria-hidden />} onClick={() => setMaking(true)}>
              Make a key
            </Button>
          </>
        }
      >
        <Table
          label="Keys"
          rows={data}
          error={error}
          onRetry={() => void refetch()}
          rowKey={(key) => String(key.id)}
          columns={columns}
          empty={
            <EmptyState icon={<KeyRound aria-hidden />} title="No keys">
              Scripts and the command line sign in with a key. It may have a smaller role than its owner.
            </EmptyState>
          }
        />
      </Card>
      {making && (
        <MakeKey
          all={all}
          onClose={() => setMaking(false)}
          onMade={(key) => {
            setMaking(false)
            setMade(key)
          }}
        />
      )}
      {made && <Made made={made} onClose={() => setMade(undefined)} />}
      <Confirm
        open={ending !== undefined}
        danger
        onOpenChange={(open) => !open && setEnding(undefined)}
        title={`End the key “${ending?.name ?? ''}”?`}
        action="End the key"
        aside={<CliTwin command={`windlass server key revoke ${ending?.id ?? ''}`} />}
        busy={end.isPending}
        onConfirm={() => ending && end.mutate(ending)}
      >
        Whatever uses it is refused from now on. It cannot be had back; a new one can be made.
      </Confirm>
    </>
  )
}
