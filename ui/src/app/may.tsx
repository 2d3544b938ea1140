// What the person who has signed in may. The server decides; this only saves people from pressing what would be refused, and says why.
import { $api } from '@/api/client'
import type { components } from '@/api/schema'
import { Button, type ButtonProps } from '@/ui/Button'
import { Tip } from '@/ui/Tooltip'

export type Role = components['schemas']['Role']

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 }
const SESSION_FRESH_MS = 60_000 // a role changes seldom, and the server looks at it each time

/** Who has signed in, and as what. */
export const useSession = () => $api.useQuery('get', '/api/v1/session', {}, { staleTime: SESSION_FRESH_MS })

export interface May {
  may: boolean
  /** Why not. */
  why: string
}

/** Whether they have at least this role. */
export function useMay(role: Role): May {
  const { data } = useSession()
  if (data === undefined) return { may: false, why: 'Who you are is still being looked up.' }
  return { may: RANK[data.role] >= RANK[role], why: `This needs the role ${role}; you have ${data.role}.` }
}

/** A button for those who have the role. For the others it stays where it is and says why it does nothing. */
export function MayButton({ needs, ...button }: ButtonProps & { needs: Role }) {
  const { may, why } = useMay(needs)
  if (may) return <Button {...button} />
  const { asChild: _asChild, type: _type, ...rest } = button
  return (
    <Tip text={why}>
      <Button {...rest} aria-disabled onClick={(event) => event.preventDefault()} />
    </Tip>
  )
}
