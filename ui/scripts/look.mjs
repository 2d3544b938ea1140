// Pictures of pages in both themes and at 360 px, and what axe says of them. For people who work on the looks; the end-to-end tests
// have checks of their own.
//
//   npm run look                      the gallery, from a build made for it
//   npm run look -- URL NAME [PATH…]  pages of a server that runs, such as a development server
//
// The pictures land in /tmp/windlass-look (LOOK_DIR names another folder).
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium } from 'playwright-core'

const PORT = 4174
const PIECE = 1300 // pixels: a long page is also kept in pieces, which can be looked at closely
const out = process.env.LOOK_DIR ?? '/tmp/windlass-look'
const [url = `http://127.0.0.1:${PORT}`, name = 'gallery', ...rest] = process.argv.slice(2)
const paths = rest.length > 0 ? rest : ['/_gallery']
const own = process.argv.length < 3
mkdirSync(out, { recursive: true })

let server
if (own) {
  const outDir = '/tmp/windlass-look-dist'
  const env = { ...process.env, VITE_GALLERY: '1' }
  const built = spawnSync('npx', ['vite', 'build', '--outDir', outDir, '--emptyOutDir', '--logLevel', 'warn'], {
    env,
    stdio: 'inherit',
  })
  if (built.status !== 0) process.exit(built.status ?? 1)
  server = spawn('npx', ['vite', 'preview', '--outDir', outDir, '--port', String(PORT), '--strictPort', '--host', '127.0.0.1'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true, // npx starts a child of its own; the whole group is ended
  })
  await new Promise((resolve) => server.stdout.on('data', (text) => String(text).includes(String(PORT)) && resolve()))
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'.split(
    ' ',
  ),
})
let bad = 0
try {
  for (const [look, theme, width] of [
    ['light', 'light', 1360],
    ['dark', 'dark', 1360],
    ['narrow', 'light', 360],
  ]) {
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme: theme, bypassCSP: true })
    page.on('console', (message) => message.type() === 'error' && console.log(`${look}: console: ${message.text()}`))
    page.on('pageerror', (error) => ((bad += 1), console.log(`${look}: error: ${error.message}`)))
    for (const [index, path] of paths.entries()) {
      await page.goto(url + path, { waitUntil: 'networkidle' })
      await page.waitForTimeout(400)
      const file = `${out}/${name}${paths.length > 1 ? `-${index}` : ''}-${look}.png`
      // The shell scrolls the document, so a full-page picture has everything.
      await page.screenshot({ path: file, fullPage: true })
      const height = await page.evaluate(() => document.documentElement.scrollHeight)
      for (let top = 0; height > 2 * PIECE && top < height; top += PIECE) {
        await page.screenshot({
          path: file.replace('.png', `-${top / PIECE}.png`),
          fullPage: true,
          clip: { x: 0, y: top, width, height: Math.min(PIECE, height - top) },
        })
      }
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
      if (wide > 0) ((bad += 1), console.log(`${look} ${path}: ${wide} px wider than the window`))
      await page.evaluate(axe)
      const { violations } = await page.evaluate(() =>
        globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }),
      )
      for (const each of violations) {
        bad += 1
        console.log(`${look} ${path}: axe ${each.impact} ${each.id}: ${each.help}`)
        for (const node of each.nodes.slice(0, 4))
          console.log(
            `    ${node.target.join(' ')}\n      ${node.html.slice(0, 160)}\n      ${(node.any[0] ?? node.all[0] ?? node.none[0])?.message ?? ''}`,
          )
      }
      console.log(file)
    }
    await page.close()
  }
} finally {
  await browser.close()
  if (server) process.kill(-server.pid)
}
process.exit(bad > 0 ? 1 : 0)
