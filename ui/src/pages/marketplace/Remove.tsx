// Removing a plugin. Pipelines that use it stand in the way, and are named.
import { useMutation } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { api, ok } from '@/api/client'
import { toProblem } from '@/api/problem'
import { refresh } from '@/api/refresh'
import { Checkbox } from '@/ui/inputs'
import { Notice } from '@/ui/Notice'
import { CliTwin, Confirm } from '@/ui/overlays'
import { ErrorState } from '@/ui/places'
import { toast } from '@/ui/toast'
import { nameParts, type InstalledPlugin } from './model'
import css from './market.module.css'

export function RemoveDialog({ plugin, onClose }: { plugin: InstalledPlugin | undefined; onClose: () => void }) {
  return plugin && <Remove key={plugin.name} plugin={plugin} onClose={onClose} />
}

function Remove({ plugin, onClose }: { plugin: InstalledPlugin; onClose: () => void }) {
  const [force, setForce] = useState(false)
  const removing = useMutation({
    mutationFn: () =>
      ok(
        api.DELETE('/api/v1/plugins/{namespace}/{name}', {
          params: { path: nameParts(plugin.name), query: { force } },
        }),
      ),
    onSuccess: async () => {
      await refresh('/api/v1/plugins', '/api/v1/market', '/api/v1/providers', '/api/v1/module-schemas', '/api/v1/editor-schema')
      toast.ok(`${plugin.name} is removed`, 'Its grants went with it.')
      onClose()
    },
  })
  // The server knows best, also of what was deployed since this page was loaded.
  const blockers = (removing.error !== null ? toProblem(removing.error).blockers : undefined) ?? plugin.used_by
  const blocked = blockers.length > 0
  return (
    <Confirm
      open
      danger
      onOpenChange={(open) => !open && !removing.isPending && onClose()}
      title={`Remove ${plugin.name} ${plugin.version}?`}
      action={blocked && !force ? 'It is in use' : blocked ? 'Remove it anyway' : 'Remove the plugin'}
      busy={removing.isPending}
      disabled={blocked && !force}
      onConfirm={() => removing.mutate()}
      aside={<CliTwin command={`windlass plugin remove ${force ? '--force ' : ''}${plugin.name}`} />}
    >
      <div className={css.stack}>
        {blocked ? (
          <Notice tone="wait" title={blockers.length === 1 ? 'A pipeline uses it' : `${blockers.length} pipelines use it`}>
            <ul>
              {blockers.map((name) => (
                <li key={name}>
                  <Link to="/pipelines" onClick={onClose}>
                    {name}
                  </Link>
                </li>
              ))}
            </ul>
            <p>Take it out of them first. Runs that have begun keep the version that they began with.</p>
          </Notice>
        ) : (
          <p>
            No pipeline uses it. Its step types ({plugin.steps.length === 0 ? 'none' : plugin.steps.join(', ')}) and its grants
            go; it can be installed again.
          </p>
        )}
        {blocked && (
          <Checkbox
            checked={force}
            onChange={setForce}
            label="Remove it although these pipelines need it"
            help="Their next run is refused until they are changed or the plugin is back."
          />
        )}
        {removing.error !== null && toProblem(removing.error).blockers === undefined && <ErrorState error={removing.error} />}
      </div>
    </Confirm>
  )
}
