// A log of a gigabyte in the browser: how long until its first lines are on the screen, until its middle and its end are, and how much
// memory the tab has by then. For people: it takes too long for `make test`.
//
//   WINDLASS_URL=… WINDLASS_KEY=… IMAGE=… node ui/e2e/big-log.mjs         begins a run that prints one, some minutes long
//   WINDLASS_URL=… WINDLASS_KEY=… RUN=…   node ui/e2e/big-log.mjs         looks at that run's first step
import { call, fail, page, play, signIn, step, url } from './browser.mjs'

const { IMAGE: image, RUN: known, MiB = '1024' } = process.env
const OPEN_MS = 300 // from the click to the first lines: what the interface promises
const MEMORY = 200 * 2 ** 20 // bytes of JavaScript: the lines that are held, with a lot of room
const LINE = 100 // bytes
const STEP = 'print'

const lines = Math.round((Number(MiB) * 2 ** 20) / LINE)
const PRINT = `name: big-log
steps:
  - name: ${STEP}
    type: step.shell_exec
    config:
      image: ${image}
      commands:
        - 'awk ''BEGIN { for (i = 1; i <= ${lines}; i++) printf "%09d the quick brown fox jumps over the lazy dog, again and again, until it is told: %09d\\n", i, i }'''
`

async function printed() {
  if (known !== undefined) return known
  step(`print ${MiB} MiB`)
  await call('POST', '/api/v1/workflows', { yaml: PRINT })
  const { id } = await call('POST', '/api/v1/workflows/big-log/runs', { inputs: {} })
  for (;;) {
    const run = await call('GET', `/api/v1/runs/${id}`)
    if (run.status === 'finished') return run.outcome === 'succeeded' ? id : fail(`it ${run.outcome}`)
    await new Promise((wait) => setTimeout(wait, 2_000))
  }
}

const log = () => page.getByRole('log')
/** How long until lines with text between these two are on the screen, in milliseconds, by the page's own clock. */
const shown = (from, to, act) =>
  page.evaluate(
    async ([from, to, act]) => {
      const box = () => document.querySelector('[role="log"]')
      const acts = {
        open: () => [...document.querySelectorAll('[role="radio"]')].find((each) => each.textContent === 'Log').click(),
        middle: () => (box().scrollTop = (box().scrollHeight - box().clientHeight) / 2),
        end: () => (box().scrollTop = box().scrollHeight),
      }
      const begun = performance.now()
      acts[act]()
      for (;;) {
        await new Promise(requestAnimationFrame)
        const view = box()?.getBoundingClientRect()
        const there = [...(box()?.querySelectorAll('[data-line][data-stream]') ?? [])].some((row) => {
          const { top } = row.getBoundingClientRect()
          const line = Number(row.dataset.line)
          return top >= view.top && top < view.bottom && line >= from && line <= to
        })
        if (there) return performance.now() - begun
        if (performance.now() - begun > 30_000) throw new Error(`nothing of ${from} to ${to} came`)
      }
    },
    [from, to, act],
  )

await play(async () => {
  const run = await printed()
  const first = await call('GET', `/api/v1/runs/${run}/logs/${STEP}/1?from=1&limit=1`)
  const total = first.total_lines
  const debug = await page.context().newCDPSession(page)
  await debug.send('Performance.enable')
  const memory = async () => {
    await debug.send('HeapProfiler.collectGarbage')
    const { metrics } = await debug.send('Performance.getMetrics')
    return metrics.find(({ name }) => name === 'JSHeapUsedSize').value
  }
  const tell = (what, ms) => console.log(`    ${what.padEnd(44)} ${Math.round(ms)} ms`)

  await page.goto(`${url}/sign-in?to=%2Fruns%2F${run}%23${STEP}%3A1`)
  await signIn()
  const outputs = page.getByRole('radio', { name: 'Outputs' })
  await outputs.click()
  const before = await memory()

  step(`open a log of ${total} lines`)
  const times = []
  for (let turn = 0; turn < 5; turn += 1) {
    await outputs.click()
    await page.waitForTimeout(500) // what the click before began has come
    times.push(await shown(1, 200, 'open'))
  }
  times.sort((a, b) => a - b)
  tell(`first lines after the click, of 5: best`, times[0])
  tell(`median`, times[2])
  tell(`worst`, times[4])

  step('go to its middle and its end, and up and down')
  tell('middle', await shown(total * 0.49, total * 0.51, 'middle'))
  tell('end', await shown(total - 200, total, 'end'))
  await log().focus()
  for (const key of ['Home', 'End', 'Home']) await page.keyboard.press(key)
  for (let turn = 0; turn < 300; turn += 1) await page.keyboard.press('PageDown')
  const after = await memory()
  const grown = (after - before) / 2 ** 20
  console.log(`    memory of JavaScript: ${(before / 2 ** 20).toFixed(1)} MiB before, ${(after / 2 ** 20).toFixed(1)} MiB after`)
  if (times[2] > OPEN_MS) fail(`it opens in ${Math.round(times[2])} ms: ${OPEN_MS} are promised`)
  if (after > MEMORY) fail(`it has grown by ${grown.toFixed(1)} MiB`)
})
