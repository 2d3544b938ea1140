import { describe, expect, it } from 'vitest'
import { CHUNK, createLogStore, HELD, type LogLine } from './store'

const lines = (from: number, to: number): LogLine[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => ({
    line: from + index,
    text: `line ${from + index}`,
    stream: 'stdout',
  }))
const settle = () => new Promise((resolve) => setTimeout(resolve, 0))

function counted(total: number, complete = true) {
  const asked: [number, number][] = []
  const store = createLogStore({
    total,
    complete,
    getRange: (from, to) => {
      asked.push([from, to])
      return Promise.resolve(lines(from, to))
    },
  })
  return { asked, store }
}

describe('a log', () => {
  it('of ten million lines is opened by one request for its last chunk', async () => {
    const { asked, store } = counted(10_000_000)
    store.ensure(9_999_980, 10_000_000)
    await settle()
    expect(asked).toEqual([[9_999_501, 10_000_000]])
    expect(store.line(10_000_000)?.text).toBe('line 10000000')
    expect(store.line(1)).toBeUndefined()
  })
  it('asks for nothing twice', async () => {
    const { asked, store } = counted(1_000)
    store.ensure(1, 20)
    store.ensure(10, 30)
    await settle()
    store.ensure(1, CHUNK)
    await settle()
    expect(asked).toEqual([[1, CHUNK]])
  })
  it('reads on after it was closed', async () => {
    const { asked, store } = counted(1_000)
    store.ensure(1, 20)
    store.close()
    store.ensure(1, 20)
    await settle()
    expect(asked).toEqual([
      [1, CHUNK],
      [1, CHUNK],
    ])
    expect(store.line(1)?.text).toBe('line 1')
  })
  it('asks only for the lines that came since', async () => {
    const { asked, store } = counted(100, false)
    store.ensure(1, 100)
    await settle()
    store.grow(150, false)
    store.ensure(1, 150)
    await settle()
    expect(asked).toEqual([
      [1, 100],
      [101, 150],
    ])
  })
  it('takes lines that arrive, and asks for the gap before them', async () => {
    const { asked, store } = counted(0, false)
    store.push(lines(3, 4))
    expect(store.snapshot().total).toBe(4)
    store.ensure(1, 4)
    await settle()
    expect(asked).toEqual([[1, 4]])
    expect(store.line(1)?.text).toBe('line 1')
  })
  it('holds no more than its bound', async () => {
    const { asked, store } = counted(CHUNK * (HELD + 2))
    for (let index = 0; index <= HELD; index += 1) {
      store.ensure(index * CHUNK + 1, index * CHUNK + 1)
      await settle()
    }
    expect(store.line(1)).toBeUndefined()
    expect(store.line(CHUNK + 1)).toBeDefined()
    expect(asked).toHaveLength(HELD + 1)
  })
  it('says that a range could not be had, and does not ask for ever', async () => {
    let asked = 0
    const store = createLogStore({
      total: 10,
      complete: true,
      getRange: () => {
        asked += 1
        return Promise.reject(new TypeError('no'))
      },
    })
    store.ensure(1, 10)
    await settle()
    store.ensure(1, 10)
    await settle()
    expect(asked).toBe(1)
    expect(store.snapshot().error).toBeInstanceOf(TypeError)
  })
})
