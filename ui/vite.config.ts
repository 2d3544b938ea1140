// Vite: the development server, the build, and the tests of plain logic.
//
// The built files are embedded in the `windlass` binary and served under `/`; hashed names live in /assets and may be kept for ever.
import { defineConfig } from 'vitest/config'
import react from '@vitejs/plugin-react'
import { fileURLToPath } from 'node:url'

// Where the server of a developer listens; the one of `windlass server` by default.
const server = process.env['WINDLASS_SERVER'] ?? 'http://127.0.0.1:7117'

// What the server sends with every page. Preview sends it too, so that a breach shows up before it is embedded.
// Inline styles are allowed because Radix and CodeMirror write them; scripts come from files only.
const csp =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // `font-src 'self'` does not allow data: addresses
    modulePreload: { polyfill: false },
    reportCompressedSize: false, // scripts/budget.mjs says it, and fails over the budget
    manifest: 'manifest.json',
  },
  server: { proxy: { '/api': { target: server, changeOrigin: false }, '/index': server, '/metrics': server, '/health': server } },
  preview: { headers: { 'content-security-policy': csp } },
  test: { include: ['src/**/*.test.ts', 'src/**/*.test.tsx'], environment: 'node' },
})
