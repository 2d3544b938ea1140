import { describe, expect, it } from 'vitest'
import { overwrite, pieces, plain } from './ansi'

const E = '\u001b'

describe('pieces', () => {
  it('names the token of a colour', () => {
    expect(pieces(`a ${E}[31mred${E}[0m b`)).toMatchObject([
      { text: 'a ' },
      { text: 'red', colour: 'var(--ansi-red)' },
      { text: ' b' },
    ])
  })
  it('knows bold, bright and the many colours', () => {
    expect(pieces(`${E}[1;92mok`)).toMatchObject([{ bold: true, colour: 'var(--ansi-bright-green)' }])
    expect(pieces(`${E}[38;2;1;2;3mx`)).toMatchObject([{ colour: 'rgb(1, 2, 3)' }])
    expect(pieces(`${E}[38;5;196mx`)[0]?.colour).toBe('rgb(255, 0, 0)')
  })
  it('drops titles, links, cursor moves and control characters', () => {
    expect(plain(`${E}]0;title\u0007${E}[2K${E}[1Ax\u0000\u0008y${E}]8;;http://a${E}\\z`)).toBe('xyz')
  })
  it('leaves markup as text', () => {
    expect(pieces('<img src=x onerror=alert(1)>')).toEqual([{ text: '<img src=x onerror=alert(1)>' }])
  })
  it('never leaves an escape behind, whatever comes', () => {
    for (const odd of [E, `${E}[`, `${E}[999;;m`, `${E}[31`, `${E}]8;;x`, `x${E}[0`]) expect(plain(odd)).not.toContain(E)
  })
  it('cuts a line that no browser can draw', () => expect(plain('x'.repeat(30_000)).length).toBeLessThan(21_000))
})

describe('overwrite', () => {
  it.each([
    ['10%\r50%\r100%', '100%'],
    ['done\r', 'done'],
    ['\r\r', ''],
    ['plain', 'plain'],
  ])('%j shows %j', (text, shown) => expect(overwrite(text)).toBe(shown))
})
