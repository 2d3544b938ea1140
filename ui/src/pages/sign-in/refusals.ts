// Why a sign-in at an identity provider came to nothing. The server sends the browser back with a code alone, because a text in an
// address could be anybody's; the words are here.

export interface Refusal {
  title: string
  /** What happened, and what to do next. */
  words: string
}

const REFUSALS: Record<string, Refusal> = {
  WL1503: {
    title: 'That identity provider is not known here',
    words: 'It may have been taken out of the server’s configuration since. Choose one of the ways below.',
  },
  WL1508: {
    title: 'Too many sign-ins from this address',
    words: 'Wait a minute, then sign in again.',
  },
  WL1509: {
    title: 'The server has no room at the moment',
    words: 'Wait a moment, then sign in again.',
  },
  WL1510: {
    title: 'The identity provider did not do its part',
    words: 'Try again in a moment. If it stays so, an administrator finds the reason in the server’s log.',
  },
  WL1511: {
    title: 'The server could not finish this sign-in',
    words: 'Try again. If it stays so, an administrator finds the reason in the server’s log.',
  },
  WL1514: {
    title: 'The sign-in took too long',
    words: 'Sign in again. If it stays so, ask an administrator whether the identity provider can be reached.',
  },
  WL1521: {
    title: 'You are not admitted here',
    words:
      'The identity provider said no, or it knows you and you have no role on this server, an e-mail address that is not admitted, or an account that was switched off. Ask an administrator, or sign in as somebody else.',
  },
  WL1522: {
    title: 'That sign-in was not begun in this browser',
    words: 'It may be older than ten minutes, or belong to another tab. Begin again here, and finish it in this browser.',
  },
}

/** A code that is not known, of a newer server for instance, still says that it did not work. */
export const refusal = (code: string): Refusal =>
  REFUSALS[code] ?? {
    title: 'The sign-in at the identity provider did not work',
    words: 'Try again. If it stays so, tell an administrator this code; the server’s log has the reason.',
  }

/** A code of ours out of an address; nothing else is shown. */
export const asCode = (value: unknown): string | undefined =>
  typeof value === 'string' && /^WL\d{4}$/.test(value) ? value : undefined
