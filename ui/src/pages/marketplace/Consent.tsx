// Installing and updating: what would be done is looked into first, shown in plain words, and done only as it was shown.
//
// Nothing is chosen beforehand. Whoever refuses leaves everything as it was, and is told so.
import { useMutation } from '@tanstack/react-query'
import { ArrowRight, CircleMinus, LoaderCircle, TriangleAlert, Wrench } from 'lucide-react'
import { useEffect, useState } from 'react'
import { api, ok } from '@/api/client'
import { toProblem } from '@/api/problem'
import { refresh } from '@/api/refresh'
import { bytes } from '@/lib/time'
import { SignatureBadge } from '@/ui/Badge'
import { Button } from '@/ui/Button'
import { CopyButton } from '@/ui/CopyButton'
import { Checkbox } from '@/ui/inputs'
import { Notice } from '@/ui/Notice'
import { CliTwin, Dialog } from '@/ui/overlays'
import { ErrorState } from '@/ui/places'
import { Duration } from '@/ui/Time'
import { toast } from '@/ui/toast'
import { alarm, planVerb, sentence, type InstallPlan, type PlannedChange } from './model'
import { Permissions, PluginName } from './parts'
import ui from '@/ui/ui.module.css'
import { Words } from '@/ui/Words'
import css from './market.module.css'

/** What is wanted: a plugin, and the version or requirement where it is not the newest. */
export interface Wanted {
  name: string
  version?: string
  /** What is installed now. */
  from?: string
}

const shortDigest = (digest: string) => `${digest.replace(/^sha256:/, '').slice(0, 12)}…`
const verdict = (word: string) => (word === 'verified' || word === 'bad' ? word : 'unsigned')

function Change({ change, main }: { change: PlannedChange; main: boolean }) {
  return (
    <section className={css.change}>
      <div className={css.changeHead}>
        <h3>
          <PluginName name={change.name} />
        </h3>
        <span className={css.arrow}>
          {change.from != null && (
            <>
              {change.from} <ArrowRight aria-label="to" />
            </>
          )}
          {change.to}
        </span>
        <SignatureBadge verdict={verdict(change.verification)} />
      </div>
      <p className={css.small}>
        {!main && 'It is called by the plugin above. '}
        {sentence(change.verification_words)}
        {change.verification_words.endsWith('.') ? ' ' : '. '}
        {change.size != null && `${bytes(change.size)}, `}
        <span className={css.digest}>
          sha256 <code title={change.digest}>{shortDigest(change.digest)}</code>
          <CopyButton text={change.digest} label="Copy the digest" />
        </span>
      </p>
      {change.permissions.length === 0 ? (
        <p className={css.question}>It asks for nothing: it can read its own configuration, write to its log and give results.</p>
      ) : (
        <>
          <p className={css.question}>If you grant it, it may:</p>
          <Permissions label={`What ${change.name} asks for`} lines={change.permissions} />
        </>
      )}
      {change.given_up.length > 0 && (
        <ul className={css.lines} aria-label="What it asks for no more">
          {change.given_up.map((words) => (
            <li key={words} className={css.line}>
              <CircleMinus aria-hidden />
              <span>No more: {words}.</span>
            </li>
          ))}
        </ul>
      )}
      {change.steps.length > 0 && (
        <ul className={css.lines} aria-label="How its step types change">
          {change.steps.map(({ words, breaking }) => (
            <li key={words} className={css.line} data-breaking={breaking}>
              {breaking ? <TriangleAlert aria-label="breaking" /> : <Wrench aria-hidden />}
              <span>
                <Words text={words} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}

function Plan({ plan }: { plan: InstallPlan }) {
  return (
    <div className={css.plan}>
      {plan.breaks.length > 0 && (
        <Notice
          tone="bad"
          title={
            plan.breaks.length === 1 ? 'A pipeline would be wrong' : `${plan.breaks.length} places in pipelines would be wrong`
          }
        >
          <ul>
            {plan.breaks.map((line) => (
              <li key={line}>
                <Words text={line} />
              </li>
            ))}
          </ul>
          <p>Their next run would be refused until they are changed.</p>
        </Notice>
      )}
      {plan.conflicts.length > 0 && (
        <Notice tone="wait" title="Step types that another plugin has too">
          <ul>
            {plan.conflicts.map((line) => (
              <li key={line}>
                <Words text={line} />
              </li>
            ))}
          </ul>
          <p>Pipelines must say whose they mean.</p>
        </Notice>
      )}
      {plan.changes.map((change, index) => (
        <Change key={change.name} change={change} main={index === 0} />
      ))}
    </div>
  )
}

export function ConsentDialog({ wanted, onClose }: { wanted: Wanted | undefined; onClose: () => void }) {
  // A dialog for each wish: nothing of the last one is left in the next.
  return wanted && <Consent key={`${wanted.name} ${wanted.version ?? ''}`} wanted={wanted} onClose={onClose} />
}

function Consent({ wanted, onClose }: { wanted: Wanted; onClose: () => void }) {
  const [ticked, setTicked] = useState(false)
  const planning = useMutation({
    mutationFn: () =>
      ok(
        api.POST('/api/v1/plugins/plan', {
          body: { name: wanted.name, ...(wanted.version !== undefined && { version: wanted.version }) },
        }),
      ),
  })
  const { mutate: look } = planning
  useEffect(() => look(), [look])
  const again = () => {
    setTicked(false)
    installing.reset()
    look()
  }
  const plan = planning.data
  const main = plan?.changes[0]
  const installing = useMutation({
    mutationFn: (agreed: { version: string; consent: string }) =>
      ok(api.POST('/api/v1/plugins', { body: { name: wanted.name, ...agreed } })),
    onSuccess: async (plugin) => {
      await refresh('/api/v1/plugins', '/api/v1/market', '/api/v1/providers', '/api/v1/module-schemas', '/api/v1/editor-schema')
      toast.ok(`${plugin.name} ${plugin.version} is installed`, 'Pipelines can use it from now on.')
      onClose()
    },
  })
  const updating = wanted.from !== undefined || (plan !== undefined && planVerb(plan) === 'update')
  const verb = updating ? 'update' : 'install'
  const alarming = plan?.changes.flatMap((change) =>
    change.permissions.filter(
      (line) => line.change !== 'same' && (line.alarming || alarm(line.capability, line.words) !== undefined),
    ),
  )
  const mustTick = (alarming?.length ?? 0) > 0
  const asks = plan?.changes.some((change) => change.permissions.some((line) => line.change !== 'same')) === true
  const refuse = () => {
    if (installing.isPending) return
    if (plan !== undefined && updating && wanted.from !== undefined) {
      toast.info('Nothing was changed', `${wanted.name} stays at ${wanted.from}, with what it was granted.`)
    } else if (plan !== undefined) {
      toast.info('Nothing was installed')
    }
    onClose()
  }
  const changed = installing.error !== null && toProblem(installing.error).status === 409
  const command =
    verb === 'install'
      ? `windlass plugin install ${wanted.name}${main ? `@=${main.to}` : ''}`
      : [`windlass plugin update --dry-run ${wanted.name}`, `windlass plugin update ${wanted.name}`]

  return (
    <Dialog
      open
      wide
      onOpenChange={(open) => !open && refuse()}
      title={
        <>
          {verb === 'install' ? 'Install' : 'Update'} <PluginName name={wanted.name} />
          {main && ` ${main.to}`}
        </>
      }
      description={main?.summary ?? 'Nothing is changed until you agree.'}
      footer={
        <>
          <div style={{ marginRight: 'auto' }}>
            <CliTwin command={command} />
          </div>
          <Button onClick={refuse} disabled={installing.isPending}>
            {updating ? 'Leave it as it is' : 'Cancel'}
          </Button>
          <Button
            kind="primary"
            busy={installing.isPending}
            disabled={plan === undefined || main === undefined || (mustTick && !ticked) || changed}
            onClick={() => plan && main && installing.mutate({ version: main.to, consent: plan.consent })}
          >
            {asks ? `Grant and ${verb}` : verb === 'install' ? 'Install' : 'Update'}
          </Button>
        </>
      }
    >
      {planning.isPending && (
        <div className={css.planning} role="status">
          <LoaderCircle className={ui.spin} aria-hidden />
          <strong>Looking into it</strong>
          <span>The release is fetched, its signature verified, and its component compiled.</span>
          <span>
            <Duration from={planning.submittedAt || undefined} to={undefined} />
          </span>
        </div>
      )}
      {planning.error !== null && <ErrorState error={planning.error} onRetry={again} />}
      {plan !== undefined && (
        <div className={css.plan}>
          {updating && !plan.widens && plan.changes.length > 0 && (
            <Notice tone="ok" title="It asks for nothing that it was not granted before." />
          )}
          {updating && plan.widens && (
            <Notice tone="wait" title="It asks for more than it was granted">
              <p>What is new is marked. If you refuse, the version that is installed stays, and may no more than before.</p>
            </Notice>
          )}
          {plan.changes.length === 0 && (
            <Notice tone="ok" title="There is nothing to do">
              <p>What is asked for is installed as it is.</p>
            </Notice>
          )}
          <Plan plan={plan} />
          {mustTick && (
            <div className={css.mustTick}>
              <Checkbox
                checked={ticked}
                onChange={setTicked}
                label={
                  alarming?.some((line) => line.capability === 'secrets-reveal')
                    ? `I know that ${wanted.name} will read the text of secrets, and I trust its author with them.`
                    : 'I have read what is marked in red, and want it.'
                }
              />
            </div>
          )}
          {installing.error !== null && <ErrorState error={installing.error} onRetry={changed ? again : undefined} />}
        </div>
      )}
    </Dialog>
  )
}
