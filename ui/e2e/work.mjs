// A working day: a sign-in that is refused, a run that is read by the keyboard, a log that is followed, tests and findings, the past of a
// run, a run that waits, and sequences of templates. Started by tests/tests/browser.rs, which gives it a server, as `browser.mjs` says,
// and IMAGE, an image that the container engine has.
import { button, call, fail, link, look, page, PATIENCE, play, seen, signIn, step, url } from './browser.mjs'

const { IMAGE: image } = process.env

const junit = `<testsuites><testsuite name="unit"><testcase name="adds" time="0.5"/><testcase name="divides" time="1.2"><failure message="expected 2, got 3"/></testcase><testcase name="later"><skipped/></testcase></testsuite></testsuites>`
const sarif = JSON.stringify({
  version: '2.1.0',
  runs: [
    {
      tool: { driver: { name: 'scan', rules: [{ id: 'key-in-source', properties: { 'security-severity': '9.1' } }] } },
      results: [
        {
          ruleId: 'key-in-source',
          level: 'error',
          message: { text: 'A private key stands in the source.' },
          locations: [{ physicalLocation: { artifactLocation: { uri: 'src/key.c' }, region: { startLine: 3 } } }],
        },
      ],
    },
  ],
})
const quoted = (text) => `'${text.replaceAll("'", "''")}'`

const CHECK = `name: check
steps:
  - name: compile
    type: step.shell_exec
    config:
      image: ${image}
      commands:
        - 'echo "::group::Compiler"; echo compiling; echo "::endgroup::"'
        - 'echo "src/main.c:4:9: warning: unused variable"; echo "::error file=src/app.js,line=10::Something is off"'
        - 'for n in 1 2 3 4 5 6 7 8 9; do echo "line $n"; done; echo "src/main.c:7:1: error: expected ;"'
  - name: unit
    type: step.shell_exec
    config:
      image: ${image}
      commands:
        - ${quoted(`echo '${junit}' > unit.xml; echo '${sarif}' > scan.sarif; echo tested`)}
      artifacts_out:
        - { key: unit.xml, path: unit.xml }
        - { key: scan.sarif, path: scan.sarif }
  - name: verdict
    type: step.shell_exec
    config: { image: ${image}, commands: ['echo "one test failed"; exit 1'] }
`
// Ten lines a second, until it is cancelled: longer than anybody looks.
const TALK = `name: talk
steps:
  - name: talk
    type: step.shell_exec
    config:
      image: ${image}
      commands: ['n=0; while [ $n -lt 3000 ]; do n=$((n+1)); echo "word $n"; sleep 0.1; done']
`

const deploy = (yaml) => call('POST', '/api/v1/workflows', { yaml })
const begin = async (name) => (await call('POST', `/api/v1/workflows/${name}/runs`, { inputs: {} })).id
const log = () => page.getByRole('log')
/** The lines of a log that are on the screen. */
const lines = () =>
  log().evaluate((box) => {
    const { top, bottom } = box.getBoundingClientRect()
    return [...box.querySelectorAll('[data-line]')]
      .filter((row) => row.getBoundingClientRect().bottom > top && row.getBoundingClientRect().top < bottom)
      .map((row) => Number(row.dataset.line))
  })
const chosen = () => page.getByRole('option', { selected: true })
const press = (keys) => page.keyboard.press(keys)
/** Waits until it is so. */
async function until(words, is) {
  const end = Date.now() + PATIENCE
  while (!(await is())) {
    if (Date.now() > end) fail(`it never came to this: ${words}`)
    await page.waitForTimeout(50)
  }
}

async function refusedSignIn() {
  step('be refused by an identity provider, in words')
  await page.goto(`${url}/sign-in?error=WL1521&to=%2Fruns`)
  await seen('You are not admitted here').waitFor()
  await look('refused')
  await page.goto(`${url}/sign-in?error=%3Cb%3Eyour%20password`)
  await button('Sign in').waitFor()
  if (await page.getByRole('alert').count()) fail('a text out of an address is shown')
  await page.goto(`${url}/sign-in?error=WL1522&to=%2Fruns%3Fstatus%3Dfailed`)
  await seen('That sign-in was not begun in this browser').waitFor()
  await signIn()
  await page.waitForURL(/\/runs\?status=failed/)
}

async function byKeyboard(run) {
  step('read a run by the keyboard')
  await page.goto(`${url}/runs/${run}`)
  await until('the step that failed is chosen', async () => /verdict/.test(await chosen().innerText()))
  for (const [keys, name] of [
    ['k', 'unit'],
    ['k', 'compile'],
    ['k', 'compile'],
    ['j', 'unit'],
    ['f', 'verdict'],
  ]) {
    await press(keys)
    await until(`${keys} goes to ${name}`, async () => new RegExp(name).test(await chosen().innerText()))
  }
  await press('/')
  await page.keyboard.type('comp')
  await until('one step is left', async () => (await page.getByRole('option').count()) === 1)
  await press('Escape')
  await press('?')
  for (const words of ['Next step', 'Step before', 'Next failure', 'Filter the steps', 'Next problem in the log']) {
    await page.getByRole('dialog').getByText(words, { exact: true }).waitFor()
  }
  await press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })

  step('go from one problem in the log to the next')
  await page.getByRole('option', { name: /compile/ }).click()
  await button('2 errors').waitFor()
  await button('1 warning').waitFor()
  const at = () => log().locator('[data-hit]').innerText()
  for (const words of [/unused variable/, /src\/app\.js:10: Something is off/, /expected ;/, /unused variable/]) {
    await press('e')
    await until(
      `the problem is ${words}`,
      async () => (await log().locator('[data-hit]').count()) === 1 && words.test(await at()),
    )
  }
  await look('problems')
}

async function reports(run) {
  step('read what tests and scanners said')
  await page.goto(`${url}/runs/${run}?tab=tests`)
  await seen('expected 2, got 3').waitFor()
  await seen('1 failed').waitFor()
  await look('tests')
  await link('Findings').click()
  await seen('A private key stands in the source.').waitFor()
  await seen('src/key.c:3').waitFor()
  await look('findings')
}

async function past(run) {
  step('look at the run as it stood')
  await page.goto(`${url}/runs/${run}?tab=events`)
  const slider = page.getByRole('slider', { name: 'Event' })
  await slider.waitFor()
  const last = Number(await slider.inputValue())
  const how = (name) => page.getByRole('option', { name }).locator('[data-status]').getAttribute('data-status')
  await until('it is over at the end', async () => (await how(/verdict/)) === 'failed')
  await slider.focus()
  await press('Home')
  await until('nothing has begun', async () => (await how(/verdict/)) === 'queued' && (await slider.inputValue()) === '0')
  // Forward until the first step has succeeded: the last one has not begun by then.
  for (let event = 0; event < last && (await how(/compile/)) !== 'succeeded'; event += 1) await press('ArrowRight')
  if ((await how(/compile/)) !== 'succeeded' || (await how(/verdict/)) !== 'queued') fail('it did not stand so')
  if (!/[?&]at=\d+/.test(page.url())) fail('the address does not say where')
  await look('as-it-stood')
}

async function following() {
  step('follow a log, let go by scrolling up, and take hold again')
  await page.goto(`${url}/runs/${await begin('talk')}`)
  await until('more is printed than fits', async () => Math.max(0, ...(await lines())) > 40)
  await log().hover()
  await page.mouse.wheel(0, -300)
  await button('Follow').waitFor()
  const held = await lines()
  await page.waitForTimeout(1_000) // ten more lines
  const now = await lines()
  if (held.join() !== now.join()) fail(`it did not stay where it was: ${held} and then ${now}`)
  await button('Follow').click()
  await until('it follows again', async () => Math.max(...(await lines())) > Math.max(...held) + 10)
  await button('Follow').waitFor({ state: 'detached' })
  await button('Cancel').click()
  await button('Cancel the run').click()
  await seen('cancelled').first().waitFor()
}

async function runs() {
  step('filter the list of runs')
  await page.goto(`${url}/runs?workflow=check`)
  await seen('95 % within').waitFor()
  await link('Failed', { exact: true }).click()
  await page.waitForURL(/status=failed/)
  await link('check', { exact: true }).first().waitFor()
  const chosen = await page.getByRole('navigation', { name: 'Filters' }).locator('[aria-current]').allInnerTexts()
  if (chosen.join() !== 'Failed') fail(`it says that these are shown: ${chosen}`)
  await look('runs-filtered')
}

async function sequences() {
  step('run a sequence of templates that people do')
  const names = ['Build it', 'Look at it', 'Ship it']
  const ids = []
  for (const name of names) {
    const made = await call('POST', '/api/workflows', { name, task_prompt: `Do it: ${name}`, manual: true })
    ids.push((made.template ?? made).id)
  }
  await page.goto(`${url}/pipelines/sequences`)
  await button('New sequence').click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name').fill('Release')
  for (const [at, name] of names.entries()) {
    await dialog.getByRole('button', { name: 'Add a step' }).click()
    await dialog.getByRole('combobox', { name: `Template of step ${at + 1}` }).click()
    await page.getByRole('option', { name }).click()
  }
  await look('sequence')
  await dialog.getByRole('button', { name: 'Create' }).click()
  await dialog.waitFor({ state: 'detached' })

  const active = page.getByRole('region', { name: /^Run \d+ of Release/ })
  const at = (step) => active.getByText(`Step ${step} / 3`).waitFor()
  await button('Start').click()
  await at(1)
  await look('sequences')
  await active.getByRole('button', { name: 'Step Done' }).click()
  await at(2)
  // Its failure stops the sequence: nothing is said of going on.
  await active.getByRole('button', { name: 'Step Failed' }).click()
  await active.waitFor({ state: 'detached' })
  await page.getByRole('table', { name: 'Runs of sequences' }).getByText('failed').first().waitFor()
  await button('Start').click()
  await at(1)
  await active.getByRole('button', { name: 'Cancel' }).click()
  await active.waitFor({ state: 'detached' })
  await page.getByRole('table', { name: 'Runs of sequences' }).getByText('cancelled').first().waitFor()
}

await play(async () => {
  await deploy(CHECK)
  await deploy(TALK)
  const run = await begin('check')
  await refusedSignIn()
  await byKeyboard(run)
  await reports(run)
  await past(run)
  await following()
  await runs()
  await sequences()
})
