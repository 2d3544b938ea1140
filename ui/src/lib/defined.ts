/** The same without what is undefined: for search parameters and request bodies, where absent and undefined are not the same. */
export const defined = <T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }

/** A search parameter as text: what the address bar has may have been read as a number or a truth value. */
export const asText = (value: unknown, most = 200): string | undefined => {
  const text = typeof value === 'number' || typeof value === 'boolean' ? String(value) : value
  return typeof text === 'string' && text !== '' ? text.slice(0, most) : undefined
}

/** A search parameter that is one of a few words. */
export const asOneOf = <T extends string>(words: readonly T[], value: unknown): T | undefined =>
  words.find((word) => word === value)
