import { describe, expect, it } from 'vitest'
import { toProblem } from './problem'

describe('toProblem', () => {
  it('keeps what the server says', () => {
    const problem = toProblem({ title: 'No such run', status: 404, code: 'WL0300', help: 'windlass runs', request_id: 'r-1' })
    expect(problem).toMatchObject({ title: 'No such run', status: 404, code: 'WL0300', help: 'windlass runs', requestId: 'r-1' })
  })
  it('says that the server does not answer when fetch fails', () => {
    expect(toProblem(new TypeError('Failed to fetch')).title).toBe('The server does not answer')
  })
  it('takes field errors and passes over what is none', () => {
    const problem = toProblem({ status: 422, errors: [{ field: '/name', message: 'too long' }, 7, { field: 'x' }] })
    expect(problem.errors).toEqual([{ field: '/name', message: 'too long' }])
  })
  it('never throws', () => {
    for (const odd of [null, undefined, 7, 'text', [], {}, Symbol('s')]) expect(toProblem(odd).title).not.toBe('')
  })
})
