// Oneself: who one is here, the password, and one's keys.
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { api, ok } from '@/api/client'
import { fieldError } from '@/api/problem'
import type { components } from '@/api/schema'
import { useSession } from '@/app/may'
import { Badge } from '@/ui/Badge'
import { Button } from '@/ui/Button'
import { Field, Input } from '@/ui/inputs'
import { Card, ErrorState, Fact, Facts, Skeleton } from '@/ui/places'
import { Time } from '@/ui/Time'
import { toast } from '@/ui/toast'
import { Frame } from './Frame'
import { Keys } from './Keys'
import { longEnough, NewPassword } from './NewPassword'
import css from './settings.module.css'

function Password({ user }: { user: components['schemas']['User'] }) {
  const [current, setCurrent] = useState('')
  const [password, setPassword] = useState('')
  const [again, setAgain] = useState('')
  const saving = useMutation({
    mutationFn: () =>
      ok(api.PUT('/api/v1/users/{name}/password', { params: { path: { name: user.name } }, body: { current, password } })),
    onSuccess: () => {
      setCurrent('')
      setPassword('')
      setAgain('')
      toast.ok('Your password is changed', 'Your other sessions have ended; sign in again there.')
    },
  })
  const differ = again !== '' && again !== password
  return (
    <Card title="Password">
      <form
        className={`${css.form ?? ''} ${css.narrow ?? ''}`}
        onSubmit={(event) => {
          event.preventDefault()
          saving.mutate()
        }}
      >
        {/* For password managers: whose password it is. */}
        <input type="text" name="username" autoComplete="username" value={user.name} readOnly hidden />
        <Field label="Current password" required error={fieldError(saving.error, '/current')}>
          <Input
            type="password"
            autoComplete="current-password"
            value={current}
            onChange={(event) => setCurrent(event.target.value)}
          />
        </Field>
        <NewPassword value={password} onChange={setPassword} error={saving.error} />
        <Field label="New password again" required error={differ ? 'The two are not the same.' : undefined}>
          <Input type="password" autoComplete="new-password" value={again} onChange={(event) => setAgain(event.target.value)} />
        </Field>
        {saving.error !== null && <ErrorState error={saving.error} />}
        <div>
          <Button
            kind="primary"
            type="submit"
            busy={saving.isPending}
            disabled={current === '' || !longEnough(password) || again !== password}
          >
            Change the password
          </Button>
        </div>
      </form>
    </Card>
  )
}

export function ProfilePage() {
  const { data, error, refetch } = useSession()
  if (error !== null) {
    return (
      <Frame title="Profile">
        <ErrorState error={error} onRetry={() => void refetch()} />
      </Frame>
    )
  }
  if (data === undefined) {
    return (
      <Frame title="Profile">
        <Skeleton height={180} />
        <Skeleton height={300} />
      </Frame>
    )
  }
  const { user } = data
  return (
    <Frame title="Profile" subtitle="Who you are on this server.">
      <Card>
        <div className={css.stack}>
          <div className={css.person}>
            <span className={css.avatar} aria-hidden>
              {user.name.slice(0, 2).toUpperCase()}
            </span>
            <div>
              <h2>{user.display_name ?? user.name}</h2>
              <span className={css.small}>{user.email ?? user.name}</span>
            </div>
          </div>
          <Facts>
            <Fact name="Name">
              <code>{user.name}</code>
            </Fact>
            <Fact name="Role">
              <Badge tone="accent">{user.role}</Badge>
              {data.role !== user.role && <span className="muted"> here as {data.role}, as the key allows</span>}
            </Fact>
            <Fact name="Signs in">
              {[user.has_password && 'with a password', user.oidc_issuer != null && `at ${user.oidc_issuer}`]
                .filter(Boolean)
                .join(', ') || 'with keys only'}
            </Fact>
            <Fact name="This session">
              {data.via.startsWith('key:') ? (
                <>
                  by the key <code>{data.via.slice(4)}…</code>
                </>
              ) : (
                <>
                  ends <Time at={data.expires_at_ms} /> unless it is used
                </>
              )}
            </Fact>
          </Facts>
        </div>
      </Card>
      {user.has_password && <Password user={user} />}
      <Keys all={false} title="Your keys" />
    </Frame>
  )
}
