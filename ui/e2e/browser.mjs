// What the scripts of this folder share: a browser with a page, steps that are told, pictures that axe looks at, and the end.
//
//   WINDLASS_URL, WINDLASS_KEY  the server, and its administrator's key
//   PICTURES                    where pictures of each page are kept
//   PATIENCE                    how long each thing may take, in milliseconds
//
// Every page that is looked at is looked at in both themes and as a phone has it. One serious finding of axe, or one error in the
// browser's console, and the script has failed.
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium } from 'playwright-core'

export const { WINDLASS_URL: url, WINDLASS_KEY: key, PICTURES: pictures = '/tmp/windlass-pictures' } = process.env
export const PATIENCE = Number(process.env.PATIENCE ?? 60_000) // two cores that do many other things, too
const WIDE = { width: 1360, height: 900 }
const PHONE = { width: 360, height: 740 }
const COLOURS_MS = 150 // the colours' own transition

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
mkdirSync(pictures, { recursive: true })

export const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'.split(
    ' ',
  ),
})
// Its own policy is on: what the pages do must be allowed by it.
const context = await browser.newContext({ viewport: WIDE, colorScheme: 'light' })
context.setDefaultTimeout(PATIENCE)
export const page = await context.newPage()
const errors = []
// What the server refuses on purpose is told by the browser, too: a sign-in without a session, a pipeline with an error.
page.on('console', (message) => {
  if (message.type() === 'error' && !/status of 4\d\d/.test(message.text())) errors.push(message.text())
})
page.on('pageerror', (error) => errors.push(error.message))

let steps = 0
export const step = (words) => console.log(`${String((steps += 1)).padStart(2)}. ${words}`)
export const fail = (words) => {
  throw new Error(words)
}
export const seen = page.getByText.bind(page)
export const button = (name, options) => page.getByRole('button', { name, ...options })
export const link = (name, options) => page.getByRole('link', { name, ...options })

let pictured = 0
/** A picture of the page, and what axe says of it, in both themes; and whether it fits a phone. */
export async function look(name) {
  const file = (kind) => `${pictures}/${String(pictured).padStart(2, '0')}-${name}-${kind}.png`
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await page.waitForTimeout(COLOURS_MS)
    await page.screenshot({ path: file(colorScheme) })
    // By the debugger: the page's own policy allows no script of ours, as it should be.
    await page.evaluate(axe)
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
    const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
    for (const { id, help, nodes } of serious) {
      const where = nodes.slice(0, 3).map((node) => node.html.slice(0, 160))
      errors.push(`axe, ${name}, ${colorScheme}: ${id}: ${help}: ${where.join(' | ')}`)
    }
  }
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize(PHONE)
  await page.waitForTimeout(COLOURS_MS)
  await page.screenshot({ path: file('phone') })
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  if (wide > 0) errors.push(`${name}: at 360 px the page is ${wide} px too wide`)
  await page.setViewportSize(WIDE)
  pictured += 1
}

/** Signs in with the administrator's key, on the page that is there. */
export async function signIn() {
  await page.getByRole('radio', { name: 'Key' }).or(button('Key')).first().click()
  await page.getByLabel('Key', { exact: true }).last().fill(key)
  await button('Sign in').click()
}

/** Asks the API as a script with the administrator's key does. */
export async function call(method, path, body) {
  const answer = await fetch(url + path, {
    method,
    headers: { 'x-api-key': key, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  if (!answer.ok) fail(`${method} ${path}: ${answer.status} ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}

/** Does it, tells what went wrong, and ends the process with that. */
export async function play(all) {
  let wrong
  try {
    await all()
  } catch (error) {
    wrong = error
    await page.screenshot({ path: `${pictures}/where-it-went-wrong.png`, fullPage: true }).catch(() => undefined)
    console.error(`\nIn step ${steps}, at ${page.url()}:\n${error.message}`)
  }
  for (const error of errors) console.error(`- ${error}`)
  await browser.close()
  process.exit(wrong || errors.length > 0 ? 1 : 0)
}
