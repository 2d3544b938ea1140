/** Where to go after signing in: a place of ours, whatever an address says. */
export const placeOfOurs = (to: unknown): string =>
  typeof to === 'string' && /^\/(?![/\\])/.test(to) && !to.startsWith('/sign-in') ? to : '/runs'
