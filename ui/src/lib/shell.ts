/** A text as one word of a shell's. */
export const quote = (text: string): string => (/^[\w=.,:/@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)
