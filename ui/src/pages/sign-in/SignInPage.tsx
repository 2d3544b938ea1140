// Signing in: with a password, with a key, or through whoever the server trusts to say who people are.
import { getRouteApi, useRouter } from '@tanstack/react-router'
import { useState, type SubmitEvent } from 'react'
import { $api, queryClient } from '@/api/client'
import { placeOfOurs } from '@/app/place'
import { Mark } from '@/app/Shell'
import { useDocumentTitle } from '@/app/title'
import { Button, ErrorState, Field, Input, Segmented, Skeleton, TooltipProvider } from '@/ui'
import { Notice } from '@/ui/Notice'
import { refusal } from './refusals'
import css from './sign-in.module.css'

const route = getRouteApi('/sign-in')

export function SignInPage() {
  useDocumentTitle('Sign in')
  const { to, error } = route.useSearch()
  const router = useRouter()
  const ways = $api.useQuery('get', '/api/v1/session/ways', {})
  const [way, setWay] = useState<'password' | 'key'>('password')
  const [name, setName] = useState('')
  const [secret, setSecret] = useState('')
  const signIn = $api.useMutation('post', '/api/v1/session', {
    onSuccess: (session) => {
      queryClient.clear()
      queryClient.setQueryData($api.queryOptions('get', '/api/v1/session', {}).queryKey, session)
      router.history.push(placeOfOurs(to))
    },
  })
  const shown = ways.data?.password === false ? 'key' : way
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    signIn.mutate({ body: shown === 'key' ? { key: secret.trim() } : { name: name.trim(), password: secret } })
  }
  return (
    <TooltipProvider>
      <main className={css.page}>
        <div className={css.box}>
          <div className={css.brand}>
            <Mark />
            <h1>Sign in to Windlass</h1>
          </div>
          {signIn.isError ? <ErrorState error={signIn.error} /> : error !== undefined && <Refused code={error} />}
          {ways.isPending ? (
            <Skeleton height={180} />
          ) : (
            <>
              {ways.data?.oidc.map((provider) => (
                <Button key={provider.id} asChild className={css.wide}>
                  <a
                    href={`${provider.url}${provider.url.includes('?') ? '&' : '?'}return_to=${encodeURIComponent(placeOfOurs(to))}`}
                  >
                    Continue with {provider.label}
                  </a>
                </Button>
              ))}
              {ways.data !== undefined && ways.data.oidc.length > 0 && <div className={css.or}>or</div>}
              <form onSubmit={submit} className={css.form}>
                {ways.data?.password !== false && (
                  <Segmented
                    label="How to sign in"
                    value={way}
                    onChange={(next) => {
                      setWay(next)
                      setSecret('')
                    }}
                    options={[
                      { value: 'password', label: 'Password' },
                      { value: 'key', label: 'Key' },
                    ]}
                  />
                )}
                {shown === 'password' && (
                  <Field label="Name">
                    <Input autoComplete="username" required value={name} onChange={(event) => setName(event.target.value)} />
                  </Field>
                )}
                <Field
                  key={shown}
                  label={shown === 'key' ? 'Key' : 'Password'}
                  help={shown === 'key' ? 'The first start of the server printed one for the administrator.' : undefined}
                >
                  <Input
                    type="password"
                    mono={shown === 'key'}
                    autoComplete={shown === 'key' ? 'off' : 'current-password'}
                    required
                    value={secret}
                    onChange={(event) => setSecret(event.target.value)}
                  />
                </Field>
                <Button kind="primary" type="submit" className={css.wide} busy={signIn.isPending}>
                  Sign in
                </Button>
              </form>
            </>
          )}
        </div>
      </main>
    </TooltipProvider>
  )
}

function Refused({ code }: { code: string }) {
  const { title, words } = refusal(code)
  return (
    <Notice tone="bad" title={title}>
      <p>{words}</p>
      <p className={css.code}>{code}</p>
    </Notice>
  )
}
