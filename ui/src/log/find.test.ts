import { expect, it } from 'vitest'
import { find, MOST, type Found } from './find'
import { createLogStore, type LogLine } from './store'

const log = (total: number, text: (line: number) => string) =>
  createLogStore({
    total,
    complete: true,
    getRange: (from, to) =>
      Promise.resolve(
        Array.from({ length: to - from + 1 }, (_, i): LogLine => ({ line: from + i, text: text(from + i), stream: 'stdout' })),
      ),
  })

it('finds text under colours, whatever the case, and tells the first hit once', async () => {
  const told: Found[] = []
  const store = log(12_000, (line) => (line % 4_000 === 0 ? '\u001b[31mErr\u001b[0mor' : 'fine'))
  await find(store, 'ERROR', new AbortController().signal, (found) => told.push(found))
  expect(told.at(-1)).toMatchObject({ lines: [4_000, 8_000, 12_000], done: true })
  expect(told.filter((found) => found.first)).toHaveLength(1)
})
it('lists no more than its bound', async () => {
  let last: Found | undefined
  await find(
    log(20_000, () => 'x'),
    'x',
    new AbortController().signal,
    (found) => (last = found),
  )
  expect(last).toMatchObject({ more: true, done: true })
  expect(last?.lines).toHaveLength(MOST)
})
it('stops when it is told to', async () => {
  const stop = new AbortController()
  stop.abort()
  let last: Found | undefined
  await find(
    log(100, () => 'x'),
    'x',
    stop.signal,
    (found) => (last = found),
  )
  expect(last?.lines).toEqual([])
})
