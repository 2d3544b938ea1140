// Who is signed in, and how many approvals wait for them.
import { $api, api, queryClient } from '@/api/client'
import { useSession } from './may'

export interface Person {
  name: string
  role: string
}

export function usePerson(): Person | undefined {
  const { data } = useSession()
  return data && { name: data.user.display_name ?? data.user.name, role: data.role }
}

/** The gates that whoever looks may decide. */
export function useApprovalCount(): number {
  const { data } = $api.useQuery('get', '/api/v1/gates', {})
  return data?.filter((gate) => gate.may_decide).length ?? 0
}

/** Ends the session, and forgets what was read in it. */
export async function signOut(): Promise<void> {
  await api.DELETE('/api/v1/session')
  queryClient.clear()
  location.assign('/sign-in')
}
