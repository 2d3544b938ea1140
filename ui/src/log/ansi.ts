// A line of a terminal as pieces of text with a look. Text stays text: nothing here makes HTML.
import Anser from 'anser'

export interface Piece {
  text: string
  /** The name of a token, such as `--ansi-red`, or `rgb(…)` of the 256 and the 16 million. */
  colour?: string | undefined
  background?: string | undefined
  bold?: boolean
  dim?: boolean
  italic?: boolean
  underline?: boolean
  strike?: boolean
}

/** What a terminal shows of a line in which the carriage went back: the last thing that was written over it. */
export function overwrite(text: string): string {
  if (!text.includes('\r')) return text
  const parts = text.split('\r').filter((part) => part !== '')
  return parts.at(-1) ?? ''
}

const ESC = '\u001b'
// Titles, links and cursor moves: everything that is no colour. Anser knows of colours only.
// eslint-disable-next-line no-control-regex -- control characters are what this is about
const OTHER = /\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b\[[0-9;?]*[A-HJKSTfhlnsu]|\u001b[()][A-Z0-9]|\u001b[=>78cM]/g
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f]/g

const LONGEST = 20_000 // characters of a line that are drawn; a browser stands still over more, and the raw log has them

const CUBE = [0, 95, 135, 175, 215, 255] // the six steps of each colour in the palette of 256

function palette(index: number): string {
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10
    return `rgb(${grey}, ${grey}, ${grey})`
  }
  const at = index - 16
  const of = (step: number) => CUBE[step % 6] ?? 0
  return `rgb(${of(Math.floor(at / 36))}, ${of(Math.floor(at / 6))}, ${of(at)})`
}

function colour(name: string | null | undefined, exact: string | null | undefined): string | undefined {
  if (name == null) return undefined
  if (name === 'ansi-truecolor') return exact == null ? undefined : `rgb(${exact})`
  const index = /^ansi-palette-(\d+)$/.exec(name)?.[1]
  return index === undefined ? `var(--${name})` : palette(Number(index))
}

export function pieces(line: string): Piece[] {
  let text = overwrite(
    line.length > LONGEST ? `${line.slice(0, LONGEST)} … (${line.length - LONGEST} more characters in the raw log)` : line,
  )
  if (!text.includes(ESC)) return [{ text: text.replace(CONTROL, '') }]
  text = text.replace(OTHER, '')
  return Anser.ansiToJson(text, { use_classes: true, remove_empty: true, json: true }).map((entry) => {
    const has = (name: string) => entry.decorations.includes(name as never)
    return {
      text: entry.content.replace(CONTROL, '').replaceAll(ESC, ''),
      colour: colour(entry.fg, entry.fg_truecolor),
      background: colour(entry.bg, entry.bg_truecolor),
      ...(has('bold') && { bold: true }),
      ...(has('dim') && { dim: true }),
      ...(has('italic') && { italic: true }),
      ...(has('underline') && { underline: true }),
      ...(has('strikethrough') && { strike: true }),
    }
  })
}

/** The text without its looks, for searching and copying. */
export const plain = (line: string): string =>
  pieces(line)
    .map((piece) => piece.text)
    .join('')
