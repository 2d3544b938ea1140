import { expect, it } from 'vitest'
import { findGroups } from './groups'
import type { LogLine } from './store'

const log = (...texts: string[]): LogLine[] => texts.map((text, index) => ({ line: index + 1, text, stream: 'stdout' }))

it('finds groups and their ends', () => {
  expect(findGroups(log('a', '::group::Install', 'b', '::endgroup::', 'c'))).toEqual([
    { from: 2, to: 4, title: 'Install', open: false },
  ])
})
it('ends a section where the next begins', () => {
  expect(findGroups(log('--- Build', 'b', '+++ Test', 'c'))).toEqual([
    { from: 1, to: 2, title: 'Build', open: false },
    { from: 3, to: Infinity, title: 'Test', open: true },
  ])
})
it('takes a diff for a diff', () => {
  expect(findGroups(log('--- a/src/main.rs', '+++ b/src/main.rs', '--- /dev/null', '---', '---x'))).toEqual([])
})
it('has sections within a group for lines', () => {
  expect(findGroups(log('::group::All', '--- one', '::endgroup::'))).toHaveLength(1)
})
