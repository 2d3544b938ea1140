// What the first page costs on the wire: the entry, all that it imports statically, and the chunk of the page that people land on.
// Fails over the budget. Run by `npm run build`.
import { readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const BUDGET_KIB = 300 // gzip, JavaScript and CSS: the limit that the project has set itself
const LANDING = 'src/pages/runs/RunsPage.tsx'

const dist = new URL('../dist/', import.meta.url)
const manifest = JSON.parse(readFileSync(new URL('manifest.json', dist), 'utf8'))
const size = (name) => statSync(fileURLToPath(new URL(`${name}.gz`, dist))).size

const files = new Set()
const visit = (key) => {
  const chunk = manifest[key]
  if (!chunk || files.has(chunk.file)) return
  files.add(chunk.file)
  for (const css of chunk.css ?? []) files.add(css)
  for (const next of chunk.imports ?? []) visit(next)
}
visit('index.html')
visit(LANDING)

const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`
let total = size('theme.js')
for (const file of [...files].sort((a, b) => size(b) - size(a))) {
  total += size(file)
  console.log(`${kib(size(file)).padStart(11)}  ${file}`)
}
console.log(`${kib(total).padStart(11)}  first page, gzip, of ${BUDGET_KIB} KiB`)
if (total > BUDGET_KIB * 1024) {
  console.error(`The first page is over its budget. What is not needed to paint it belongs behind a dynamic import.`)
  process.exit(1)
}
