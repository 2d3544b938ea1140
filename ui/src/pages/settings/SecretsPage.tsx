// Secrets by name. Values are written and never read.
import { useMutation } from '@tanstack/react-query'
import { Plus, RotateCcwKey, Trash2, LockKeyhole } from 'lucide-react'
import { useState } from 'react'
import { $api, api, ok } from '@/api/client'
import { fieldError } from '@/api/problem'
import { refresh } from '@/api/refresh'
import type { components } from '@/api/schema'
import { MayButton, useMay } from '@/app/may'
import { Badge } from '@/ui/Badge'
import { IconButton } from '@/ui/Button'
import { CopyButton } from '@/ui/CopyButton'
import { Field, Input, Textarea } from '@/ui/inputs'
import { CliTwin, Confirm, FormDialog } from '@/ui/overlays'
import { Card, EmptyState } from '@/ui/places'
import { Table } from '@/ui/Table'
import { Time } from '@/ui/Time'
import { toast } from '@/ui/toast'
import { Frame } from './Frame'
import css from './settings.module.css'

type SecretRow = components['schemas']['SecretRow']

const parts = (name: string): { engine: string; path: string } => {
  const at = name.indexOf('/')
  return { engine: name.slice(0, at), path: name.slice(at + 1) }
}
const soundName = (name: string) => /^[^/\s]+\/\S+$/.test(name)
const hostList = (text: string): string[] =>
  text
    .split(/[\s,]+/)
    .map((host) => host.trim())
    .filter((host) => host !== '')

/** A new secret, or a new value of one that there is: then its name stands. */
function SetSecret({ before, onClose }: { before: SecretRow | undefined; onClose: () => void }) {
  const [name, setName] = useState(before?.name ?? '')
  const [value, setValue] = useState('')
  const [hosts, setHosts] = useState(before?.hosts.join('\n') ?? '')
  const saving = useMutation({
    mutationFn: () =>
      ok(
        api.PUT('/api/v1/secrets/{engine}/{path}', {
          params: { path: parts(name.trim()) },
          body: { value, hosts: hostList(hosts) },
        }),
      ),
    onSuccess: async () => {
      await refresh('/api/v1/secrets')
      toast.ok(before ? `${name} has a new value` : `${name} is kept`, 'Steps that begin from now on get it.')
      onClose()
    },
  })
  const badName = name !== '' && !soundName(name.trim())
  const flags = hostList(hosts).map((host) => `--host ${host} `)
  return (
    <FormDialog
      title={before ? `Replace ${before.name}` : 'Add a secret'}
      description="It is encrypted on the server. Nobody can read it back here, you neither."
      action={before ? 'Replace the value' : 'Keep the secret'}
      busy={saving.isPending}
      disabled={!soundName(name.trim()) || value === ''}
      error={saving.error}
      onSubmit={() => saving.mutate()}
      onClose={onClose}
      aside={<CliTwin command={`windlass secret set ${flags.join('')}${name.trim() || 'engine/path'} < value.txt`} />}
    >
      {before === undefined && (
        <Field
          label="Name"
          required
          help={
            <>
              <code>engine/path</code>, such as <code>cicd/docker-registry</code>. Pipelines write <code>secret:</code> before it.
            </>
          }
          error={badName ? 'Write engine/path, without white space.' : fieldError(saving.error, '/path')}
        >
          <Input mono value={name} autoComplete="off" spellCheck={false} onChange={(event) => setName(event.target.value)} />
        </Field>
      )}
      <Field label="Value" required help="Up to 64 KiB; line breaks count." error={fieldError(saving.error, '/value')}>
        <Textarea
          mono
          rows={4}
          value={value}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => setValue(event.target.value)}
        />
      </Field>
      <Field
        label="Hosts"
        help="Where the value may be sent over HTTP, one a line. None: it reaches containers and signatures only."
        error={fieldError(saving.error, '/hosts')}
      >
        <Textarea
          mono
          rows={2}
          value={hosts}
          placeholder="api.example.com"
          spellCheck={false}
          onChange={(event) => setHosts(event.target.value)}
        />
      </Field>
    </FormDialog>
  )
}

export function SecretsPage() {
  const { data, error, refetch } = $api.useQuery('get', '/api/v1/secrets')
  const [setting, setSetting] = useState<{ before: SecretRow | undefined }>()
  const [removing, setRemoving] = useState<SecretRow>()
  const operator = useMay('operator')
  const remove = useMutation({
    mutationFn: (secret: SecretRow) =>
      ok(api.DELETE('/api/v1/secrets/{engine}/{path}', { params: { path: parts(secret.name) } })),
    onSuccess: async (_, secret) => {
      await refresh('/api/v1/secrets')
      toast.ok(`${secret.name} is removed`)
      setRemoving(undefined)
    },
    onError: (problem) => toast.error(problem, 'The secret was not removed'),
  })
  return (
    <Frame
      title="Secrets"
      subtitle="Their names. Values are written here and never shown again."
      actions={
        <>
          <CliTwin command="windlass secret list" />
          <MayButton
            needs="operator"
            kind="primary"
            icon={<Plus aria-hidden />}
            onClick={() => setSetting({ before: undefined })}
          >
            Add a secret
          </MayButton>
        </>
      }
    >
      <Card flush>
        <Table<SecretRow>
          label="Secrets"
          rows={data}
          error={error}
          onRetry={() => void refetch()}
          rowKey={(secret) => secret.name}
          empty={
            <EmptyState
              icon={<LockKeyhole aria-hidden />}
              title="No secrets"
              actions={
                <MayButton needs="operator" onClick={() => setSetting({ before: undefined })}>
                  Add a secret
                </MayButton>
              }
            >
              Passwords, tokens and keys that pipelines use by name. Plugins get a handle, and the host puts the value in place.
            </EmptyState>
          }
          columns={[
            {
              key: 'name',
              name: 'Name',
              cell: (secret) => (
                <span className={css.cellActions}>
                  <code>{secret.name}</code>
                  <CopyButton text={`secret:${secret.name}`} label="Copy the reference" />
                </span>
              ),
            },
            {
              key: 'hosts',
              name: 'May be sent to',
              stacked: 'Sent to',
              cell: (secret) =>
                secret.hosts.length === 0 ? (
                  <span className="muted">no host: containers only</span>
                ) : (
                  <span className={css.hosts}>
                    {secret.hosts.map((host) => (
                      <Badge key={host} outline>
                        {host}
                      </Badge>
                    ))}
                  </span>
                ),
            },
            { key: 'set', name: 'Set', stacked: 'Set', cell: (secret) => <Time at={secret.updated_at_ms} /> },
            {
              key: 'act',
              name: <span className="visually-hidden">Actions</span>,
              end: true,
              cell: (secret) =>
                operator.may && (
                  <span className={css.cellActions}>
                    <IconButton size="small" label={`Replace ${secret.name}`} onClick={() => setSetting({ before: secret })}>
                      <RotateCcwKey aria-hidden />
                    </IconButton>
                    <IconButton size="small" label={`Remove ${secret.name}`} onClick={() => setRemoving(secret)}>
                      <Trash2 aria-hidden />
                    </IconButton>
                  </span>
                ),
            },
          ]}
        />
      </Card>
      {setting && <SetSecret before={setting.before} onClose={() => setSetting(undefined)} />}
      <Confirm
        open={removing !== undefined}
        danger
        onOpenChange={(open) => !open && setRemoving(undefined)}
        title={`Remove ${removing?.name ?? ''}?`}
        action="Remove the secret"
        busy={remove.isPending}
        onConfirm={() => removing && remove.mutate(removing)}
        aside={<CliTwin command={`windlass secret remove ${removing?.name ?? ''}`} />}
      >
        Steps that name it fail from now on. Its value cannot be had back.
      </Confirm>
    </Frame>
  )
}
