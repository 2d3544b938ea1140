// A newcomer's day: sign in, find a plugin, read what it may, install it, write a pipeline, run it, approve, repeat what failed, make an
// environment, and refuse an update that asks for more. Started by tests/tests/browser.rs, which gives it a server, as `browser.mjs` says,
// and IMAGE, an image that the container engine has.
import { button, fail, link, look, page, PATIENCE, play, seen, signIn, step, url } from './browser.mjs'

const { IMAGE: image } = process.env

const editor = () => page.locator('.cm-content')
/** Writes into the editor as a person who pastes does. */
async function write(text) {
  await editor().click()
  await page.keyboard.press('Control+a')
  await page.keyboard.insertText(text)
}

const day = async () => {
  step('sign in with the key that the first start has printed')
  await page.goto(`${url}/runs?status=running`)
  await look('sign-in')
  await signIn()
  await page.waitForURL(/\/runs\?status=running/) // the address that was wanted outlives the sign-in
  await look('runs-empty')

  step('find a plugin, although it is written wrong')
  await link('Marketplace').first().click()
  await page.getByLabel('Search plugins').fill('shel')
  await link(/windlass.*shell/i)
    .first()
    .waitFor()
  await look('marketplace')

  step('read what it may, and install it')
  await link(/windlass.*shell/i)
    .first()
    .click()
  await page.getByRole('tab', { name: 'Permissions' }).or(link('Permissions')).first().click()
  await seen(/Start containers from the images that your pipeline names/)
    .first()
    .waitFor()
  await look('plugin')
  await button('Install', { exact: true }).click()
  await button(/Grant and install/).waitFor()
  await look('consent')
  const must = page.getByRole('dialog').getByRole('checkbox')
  if (await must.count()) await must.first().click()
  await button(/Grant and install/).click()
  await seen(/shell .* is installed/)
    .first()
    .waitFor()

  step('write a pipeline, with a mistake that is shown at its line')
  await link('Pipelines').first().click()
  await look('pipelines-empty')
  await link(/New pipeline/)
    .first()
    .click()
  await editor().waitFor()
  await write(pipeline('comands'))
  await seen(/comands/)
    .first()
    .waitFor()
  await seen(/commands/)
    .first()
    .waitFor()
  await page.locator('.cm-lint-marker-error, .cm-lintRange-error').first().waitFor()
  await look('editor-error')
  await write(pipeline('commands'))
  await page.locator('.cm-lintRange-error').first().waitFor({ state: 'detached' })
  await look('editor')

  step('run it, and watch its log')
  await button('Deploy', { exact: true }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('What has changed').fill('the first version')
  await dialog.getByRole('switch', { name: 'Run it, too' }).click()
  await look('deploy')
  await button('Deploy and run').click()
  await dialog.getByRole('button', { name: 'Run', exact: true }).click()
  await page.waitForURL(/\/runs\/r[0-9a-f]+/)
  await seen('line 3 of the build').first().waitFor()
  await look('run')

  step('approve at the gate, and see it fail behind it')
  await button(/^Approve/)
    .first()
    .waitFor()
  await look('run-gate')
  await button(/^Approve/)
    .first()
    .click()
  const confirm = page.getByRole('dialog').getByRole('button', { name: /approve/i })
  await confirm.waitFor({ timeout: 2000 }).catch(() => undefined)
  if (await confirm.isVisible()) await confirm.click()
  await seen('Failed', { exact: false }).first().waitFor()
  await seen(/exited 3/)
    .first()
    .waitFor()
  // Its log, in the step's own panel: what it printed, and no more of the command than its text.
  await page.getByRole('log').getByText('shipping', { exact: true }).waitFor()
  await look('run-failed')
  if (!/fail|✘|✗|×/i.test(await page.title())) fail(`the title does not tell how it ended: ${await page.title()}`)

  step('repeat what failed: what succeeded is taken over')
  await button('Rerun').click()
  await page.getByRole('menuitem', { name: 'What failed, and what comes after' }).click()
  const first = page.url()
  await page.waitForURL((now) => /\/runs\/r[0-9a-f]+/.test(now.href) && now.href !== first)
  await seen('taken over').first().waitFor()
  await look('rerun')

  step('see both runs in the list')
  await link('Runs').first().click()
  await seen('release').first().waitFor()
  await look('runs')

  step('make an environment of the provider on this machine, and test it')
  await install('windlass:local')
  await link('Environments').first().click()
  await look('environments-empty')
  await link(/New environment/)
    .or(link(/Create/))
    .first()
    .click()
  await page.getByLabel('Name', { exact: false }).first().fill('staging')
  await button('Create the environment').click()
  await seen('staging').first().waitFor()
  await button(/Test/).first().click()
  await seen(/answers|reached|connected|works/i)
    .first()
    .waitFor()
  await look('environment')

  step('refuse an update that asks for more than it was granted')
  await install('acme:greet', '=1.0.0')
  await page.goto(`${url}/marketplace/acme/greet`)
  await button(/Update to 1\.1\.0/).click()
  await seen('It asks for more than it was granted').first().waitFor()
  await look('update')
  await button('Leave it as it is').click()
  await seen('Nothing was changed').first().waitFor()
  const kept = await (await page.request.get(`${url}/api/v1/plugins/acme/greet`)).json()
  if (kept.version !== '1.0.0') fail(`refused, and yet it is ${kept.version}`)

  step('look at the other pages')
  for (const [path, name] of [
    ['/approvals', 'approvals'],
    ['/pipelines', 'pipelines'],
    ['/pipelines/release', 'pipeline'],
    ['/marketplace/installed', 'installed'],
    ['/settings', 'settings'],
    ['/settings/users', 'users'],
    ['/settings/secrets', 'secrets'],
    ['/settings/audit', 'audit'],
    ['/settings/about', 'about'],
    ['/nothing-here', 'not-found'],
  ]) {
    await page.goto(url + path)
    await page.waitForLoadState('networkidle').catch(() => undefined)
    await look(name)
  }
}

/** Installs a plugin by the interface, as what is shown is agreed to. */
async function install(name, version) {
  const { csrf_token } = await (await page.request.get(`${url}/api/v1/session`)).json()
  const headers = { 'x-csrf-token': csrf_token, origin: url }
  const asked = await page.request.post(`${url}/api/v1/plugins/plan`, { headers, data: { name, version }, timeout: PATIENCE })
  if (!asked.ok()) fail(`${name} cannot be planned: ${await asked.text()}`)
  const plan = await asked.json()
  const data = { name, version: plan.changes[0].to, consent: plan.consent }
  const done = await page.request.post(`${url}/api/v1/plugins`, { headers, data, timeout: PATIENCE })
  if (!done.ok()) fail(`${name} cannot be installed: ${await done.text()}`)
}

const pipeline = (commands) => `name: release
steps:
  - name: build
    type: step.shell_exec
    config:
      image: ${image}
      ${commands}:
        - for n in 1 2 3; do echo "line $n of the build"; sleep 1; done
  - name: approval
    type: step.gate
    config:
      type: manual
      self_approval: true
  - name: ship
    type: step.shell_exec
    config:
      image: ${image}
      commands: [echo shipping, exit 3]
`

await play(day)
