// Who is signed in, and how many approvals wait for them. A stand-in until the API has both: the pages' helpers replace the bodies.

export interface Person {
  name: string
  role: string
}

export const usePerson = (): Person | undefined => undefined
export const useApprovalCount = (): number => 0
/** Ends the session. */
export const signOut = async (): Promise<void> => {}
