import { describe, expect, it } from 'vitest'
import { findProblems, nextProblem, placeIn } from './problems'

const find = (text: string) =>
  findProblems(text.split('\n').map((each, index) => ({ line: index + 1, text: each }))).map(
    ({ line, level, file, at, message }) => `${line} ${level} ${file ?? ''}${at === undefined ? '' : `:${at}`} ${message}`,
  )

describe('problems', () => {
  it.each<[string, string, string[]]>([
    ['a command', '::error file=src/app.js,line=10,col=15::Something is off', ['1 error src/app.js:10 Something is off']],
    ['a command without a place', '::warning::Old image', ['1 warning  Old image']],
    ['a command with a title', '::notice title=Note,file=a.b::Look', ['1 notice a.b Look']],
    ['escapes', '::error file=C%3A/a%2Cb.c,line=2::50%25 of%0Aall', ['1 error C:/a,b.c:2 50% of\nall']],
    ['colons in a place', '::error file=a:b.c::x::y', ['1 error a:b.c x::y']],
    ['a marked line', '##[error]Process completed with exit code 1.', ['1 error  Process completed with exit code 1.']],
    ['gcc', "src/main.c:4:9: error: 'x' undeclared", ["1 error src/main.c:4 'x' undeclared"]],
    ['clang', 'lib/a b.cpp:7:1: fatal error: no such file', ['1 error lib/a b.cpp:7 no such file']],
    ['a drive', 'C:\\w\\a.c:3:1: warning: unused', ['1 warning C:\\w\\a.c:3 unused']],
    ['mypy', 'app.py:12: error: Incompatible types  [arg-type]', ['1 error app.py:12 Incompatible types  [arg-type]']],
    ['tsc', "src/a.ts(3,5): error TS2304: Cannot find name 'x'.", ["1 error src/a.ts:3 TS2304: Cannot find name 'x'."]],
    ['tsc, pretty', 'src/a.ts:3:5 - error TS2304: Cannot find it.', ['1 error src/a.ts:3 TS2304: Cannot find it.']],
    [
      'rustc',
      'error[E0308]: mismatched types\n  --> src/main.rs:4:9\n   |\nwarning: unused variable: `x`\n --> src/lib.rs:1:5\nerror: could not compile `a` due to 1 previous error',
      ['1 error src/main.rs:4 mismatched types', '4 warning src/lib.rs:1 unused variable: `x`'],
    ],
    [
      'eslint',
      '/w/src/a.js\n  1:10  error    x is not defined  no-undef\n  2:1   warning  Unexpected console  no-console\n\n✖ 2 problems\n  3:1  error  nobody said of what',
      ['2 error /w/src/a.js:1 x is not defined  no-undef', '3 warning /w/src/a.js:2 Unexpected console  no-console'],
    ],
    [
      'pytest',
      'tests/test_a.py:12: AssertionError\nFAILED tests/test_a.py::test_a - assert 1 == 2\nERROR tests/test_b.py - ImportError: no',
      ['1 error tests/test_a.py:12 AssertionError', '3 error tests/test_b.py ImportError: no'],
    ],
    ['a command that is echoed', '$ echo "a.c:1:2: error: no"; echo a.c:1:2: error: no', []],
    ['nothing', 'error: see above\n0 errors\nthe error: none\nhttp://a:80/: warning\n12:30:01 error in time\n--> a.rs:1:1', []],
  ])('%s', (_, text, expected) => expect(find(text)).toEqual(expected))

  it('does not take long over a line that is made to', () => {
    const before = performance.now()
    find(`${'a:'.repeat(200_000)}\n::error ${'file=a:'.repeat(50_000)}\n${'a(1,'.repeat(100_000)}\n${' '.repeat(200_000)}`)
    expect(performance.now() - before).toBeLessThan(2_000)
  })

  it('shows a command in words', () => {
    const [found] = findProblems([{ line: 1, text: '::error file=a.js,line=1,title=Lint::Off' }])
    expect(found?.shown).toBe('a.js:1: Lint: Off')
  })
})

it.each<[string, string, number | undefined, string | undefined]>([
  ['src/a.c:4:9: error: x', 'src/a.c', 4, 'src/a.c:4:9'],
  ['src/a.ts(3,5): error TS1: x', 'src/a.ts', 3, 'src/a.ts(3,5)'],
  ['  --> src/a.rs:3:5', 'src/b.rs', 3, undefined],
  ['FAILED a.py::test', 'a.py', undefined, 'a.py'],
])('marks the place in %j', (text, file, at, marked) => {
  const found = placeIn(text, { file, ...(at !== undefined && { at }) })
  expect(found && text.slice(...found)).toBe(marked)
})

it.each<[number | undefined, 1 | -1, number]>([
  [undefined, 1, 3],
  [3, 1, 8],
  [8, 1, 3],
  [8, -1, 3],
  [3, -1, 8],
  [undefined, -1, 8],
])('after line %j by %i comes %i', (from, by, line) => {
  const problems = [3, 8].map((line) => ({ line, level: 'error' as const, message: '' }))
  expect(nextProblem(problems, from, by)?.line).toBe(line)
})
