// What an installed plugin was granted, as a panel to narrow it in.
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { $api, api, ok } from '@/api/client'
import { refresh } from '@/api/refresh'
import { MayButton } from '@/app/may'
import { capabilityMeans } from '@/ui/Badge'
import { Button } from '@/ui/Button'
import { Checkbox, Input } from '@/ui/inputs'
import { Drawer } from '@/ui/overlays'
import { EmptyState, ErrorState, Skeleton } from '@/ui/places'
import { toast } from '@/ui/toast'
import { capabilities, choiceLabel, patternLabel, toGrants, type Capability, type Choice } from './grants'
import { alarm, nameParts } from './model'
import css from './market.module.css'

const TITLE: Record<string, string> = {
  containers: 'Containers',
  artifacts: 'Artifacts and workspace',
  secrets: 'Secrets, by name',
  'secrets-reveal': 'The text of those secrets',
  http: 'Network requests',
  state: 'A store of its own',
}

function ChoiceRow({ choice, onChange }: { choice: Choice; onChange: (choice: Choice) => void }) {
  switch (choice.kind) {
    case 'flag':
      return <Checkbox checked={choice.on} onChange={(on) => onChange({ ...choice, on })} label={choiceLabel(choice.key)} />
    case 'list':
      return (
        <div className={css.stack} style={{ gap: 8 }}>
          {choice.key !== '' && <h3>{choiceLabel(choice.key)}</h3>}
          {choice.asked.map((pattern) => (
            <Checkbox
              key={pattern}
              checked={choice.granted.includes(pattern)}
              onChange={(on) =>
                onChange({
                  ...choice,
                  granted: choice.asked.filter((each) => (each === pattern ? on : choice.granted.includes(each))),
                })
              }
              label={<span className={pattern === 'from-config' ? undefined : css.mono}>{patternLabel(pattern)}</span>}
            />
          ))}
        </div>
      )
    case 'ceiling':
      return (
        <label className={css.ceiling}>
          {choiceLabel(choice.key)}
          <Input
            type="number"
            min={1}
            max={choice.most}
            value={choice.granted}
            onChange={(event) => {
              const value = Number(event.target.value)
              if (Number.isFinite(value)) onChange({ ...choice, granted: Math.min(Math.max(1, Math.trunc(value)), choice.most) })
            }}
          />
        </label>
      )
  }
}

function Editor({ name, before, onClose }: { name: string; before: Capability[]; onClose: () => void }) {
  const [chosen, setChosen] = useState(before)
  const saving = useMutation({
    mutationFn: () =>
      ok(
        api.PUT('/api/v1/plugins/{namespace}/{name}/grants', {
          params: { path: nameParts(name) },
          body: { granted: toGrants(chosen) as Record<string, never>, asked: {} },
        }),
      ),
    onSuccess: async () => {
      await refresh('/api/v1/plugins', '/api/v1/market')
      toast.ok(`What ${name} may is changed`, 'It holds for every step that begins from now on.')
      onClose()
    },
  })
  const put = (capability: Capability) =>
    setChosen((all) => all.map((each) => (each.name === capability.name ? capability : each)))
  const dirty = JSON.stringify(toGrants(chosen)) !== JSON.stringify(toGrants(before))
  return (
    <>
      {chosen.map((capability) => (
        <div key={capability.name} className={css.grant}>
          <Checkbox
            checked={capability.on}
            onChange={(on) => put({ ...capability, on })}
            label={<strong>{TITLE[capability.name] ?? capability.name}</strong>}
            help={alarm(capability.name) ?? capabilityMeans(capability.name)}
          />
          {capability.on && capability.choices.length > 0 && (
            <div className={css.grantBody}>
              {capability.choices.map((choice) => (
                <ChoiceRow
                  key={choice.key}
                  choice={choice}
                  onChange={(next) =>
                    put({ ...capability, choices: capability.choices.map((each) => (each.key === choice.key ? next : each)) })
                  }
                />
              ))}
            </div>
          )}
        </div>
      ))}
      {saving.error !== null && <ErrorState error={saving.error} />}
      <div className={css.rowActions} style={{ marginTop: 16, width: '100%' }}>
        <Button onClick={onClose}>Cancel</Button>
        <MayButton needs="admin" kind="primary" busy={saving.isPending} disabled={!dirty} onClick={() => saving.mutate()}>
          Save
        </MayButton>
      </div>
    </>
  )
}

export function GrantsDrawer({ name, onClose }: { name: string | undefined; onClose: () => void }) {
  const { data, error, refetch } = $api.useQuery(
    'get',
    '/api/v1/plugins/{namespace}/{name}/grants',
    { params: { path: nameParts(name ?? '') } },
    { enabled: name !== undefined },
  )
  const before = data === undefined ? undefined : capabilities(data.asked, data.granted)
  return (
    <Drawer
      open={name !== undefined}
      onOpenChange={(open) => !open && onClose()}
      title={`What ${name ?? ''} may`}
      description="At most what it asks for. A step that needs more than is granted here fails, and says which grant it lacks."
    >
      {error !== null && <ErrorState error={error} onRetry={() => void refetch()} />}
      {error === null && before === undefined && (
        <div className={css.stack}>
          <Skeleton height={48} />
          <Skeleton height={48} />
          <Skeleton height={48} />
        </div>
      )}
      {before?.length === 0 && <EmptyState title="It asks for nothing">There is nothing to narrow.</EmptyState>}
      {name !== undefined && before !== undefined && before.length > 0 && (
        <Editor key={`${name} ${JSON.stringify(data)}`} name={name} before={before} onClose={onClose} />
      )}
    </Drawer>
  )
}
