// Made-up data for the gallery. Development builds only.
import type { LogLine } from '@/log/store'
import type { RunView, StepView } from '@/run/model'
import type { Status } from '@/ui/status'
import type { FormSchema } from '@/forms/schema'

export const NOW = Date.now()
const T = NOW - 96_000

const step = (
  name: string,
  status: Status,
  needs: string[],
  start?: number,
  end?: number,
  more: Partial<StepView> = {},
): StepView => ({
  name,
  state: 'main',
  type: 'step.shell_exec',
  status,
  needs,
  readyMs: start === undefined ? undefined : T + Math.max(0, start - 2) * 1_000,
  attempts:
    start === undefined
      ? []
      : [{ number: 1, status, startedMs: T + start * 1_000, endedMs: end === undefined ? undefined : T + end * 1_000 }],
  ...more,
})

export const run: RunView = {
  id: '01JQ7Z3C',
  status: 'running',
  createdMs: T,
  states: [{ name: 'main', visits: 1, current: true, exits: [] }],
  steps: [
    step('checkout', 'succeeded', [], 0.4, 3),
    step('build-server', 'succeeded', ['checkout'], 3, 41, { type: 'step.build_binary' }),
    step('build-ui', 'succeeded', ['checkout'], 3, 22),
    step('unit-tests', 'failed', ['build-server'], 48, 63, {
      readyMs: T + 41_000,
      attempts: [
        { number: 1, status: 'failed', startedMs: T + 41_000, endedMs: T + 46_000, reason: 'exit code 101' },
        { number: 2, status: 'failed', startedMs: T + 51_000, endedMs: T + 63_000, reason: 'exit code 101' },
      ],
      why: 'exit code 101 in the second of 2 attempts',
      allowed: true,
    }),
    step('sast', 'timed-out', ['checkout'], 3, 63, { type: 'step.scan_sast', why: 'it took longer than 1 min' }),
    step('scan-deps', 'succeeded', ['checkout'], 3, 19, { type: 'step.scan_deps' }),
    step('image', 'running', ['build-server', 'build-ui', 'scan-deps'], 44, undefined, {
      type: 'step.docker_build',
      readyMs: T + 41_000,
    }),
    step('approve', 'blocked', ['unit-tests'], 64, undefined, {
      type: 'step.gate',
      why: 'needs 1 more approval of ada or bob; open for 24 h',
    }),
    step('deploy-staging', 'queued', ['image', 'approve'], undefined, undefined, {
      type: 'step.deploy',
      why: 'waits for image and approve',
    }),
    step('notify', 'skipped', ['sast'], undefined, undefined, {
      why: "its condition did not hold: inputs.channel != '' with inputs.channel = ''",
    }),
  ],
}

const inState = (state: string, each: StepView): StepView => ({ ...each, state })
export const states: RunView = {
  id: '01JQ7Z3D',
  status: 'succeeded',
  createdMs: T,
  endedMs: T + 90_000,
  states: [
    {
      name: 'BUILD',
      visits: 2,
      current: false,
      exits: [
        { to: 'TEST', taken: 2 },
        { to: 'FAILED', taken: 0 },
      ],
    },
    {
      name: 'TEST',
      visits: 2,
      current: false,
      exits: [
        { to: 'BUILD', taken: 1 },
        { to: 'REVIEW', taken: 1 },
      ],
    },
    { name: 'REVIEW', visits: 1, current: true, exits: [{ to: 'DONE', taken: 0 }] },
    { name: 'DONE', visits: 0, current: false, exits: [] },
    { name: 'FAILED', visits: 0, current: false, exits: [] },
  ],
  steps: [
    inState('BUILD', step('compile', 'succeeded', [], 1, 30)),
    inState('TEST', step('unit', 'succeeded', [], 31, 50)),
    inState('TEST', step('integration', 'succeeded', [], 31, 66)),
    inState('REVIEW', step('judges', 'blocked', [], 67, undefined, { type: 'step.gate' })),
    inState('DONE', step('publish', 'queued', [])),
    inState('FAILED', step('tell', 'queued', [])),
  ],
}

export const wide: RunView = {
  ...run,
  steps: [
    step('build', 'succeeded', [], 0, 10),
    ...Array.from({ length: 400 }, (_, i) =>
      step(
        `test-${i + 1}`,
        i % 97 === 3 ? 'failed' : i < 260 ? 'succeeded' : i < 280 ? 'running' : 'queued',
        ['build'],
        i < 280 ? 10 + i / 8 : undefined,
        i < 260 ? 12 + i / 8 : undefined,
      ),
    ),
    step(
      'report',
      'queued',
      Array.from({ length: 400 }, (_, i) => `test-${i + 1}`),
    ),
  ],
}

const E = '\u001b'
const text = (n: number): string => {
  if (n === 1) return `${E}[2mplugin windlass:shell 0.1.4, image rust:1-slim${E}[0m`
  if (n === 2) return '::group::Fetch dependencies'
  if (n < 14) return `${E}[1;32m  Downloaded${E}[0m crate-${n} v0.${n}.1 ${E}[36m(registry)${E}[0m`
  if (n === 14) return '::endgroup::'
  if (n === 20) return `login with token *** as ci`
  if (n === 24) return `${E}[1;33mwarning${E}[0m: unused variable: \`x\` ${E}[1;34m-->${E}[0m src/main.rs:12:9`
  if (n === 31)
    return `${E}[1;31merror[E0308]${E}[0m: mismatched types ${E}[38;5;208mexpected u64${E}[0m, found <script>alert("&")</script>`
  if (n === 33) return `10%\r45%\r${E}[32m100%${E}[0m done`
  if (n % 41 === 0) return `a long line ${'that goes on and on '.repeat(14)}until its end`
  return `${E}[1;32m   Compiling${E}[0m module_${n} v0.1.0 (/workspace/crates/module_${n})`
}
export const logLine = (line: number): LogLine => ({
  line,
  text: text(line),
  stream: line % 29 === 0 ? 'stderr' : line === 1 ? 'system' : 'stdout',
  atMs: T + line * 37,
})

export const form: FormSchema = {
  type: 'object',
  required: ['version', 'target', 'token'],
  properties: {
    version: { type: 'string', description: 'What to tag.', pattern: '^\\d+\\.\\d+\\.\\d+$', default: '0.1.0' },
    target: { enum: ['staging', 'production'], description: 'Where it goes.' },
    replicas: { type: 'integer', minimum: 1, maximum: 20, default: 2 },
    canary: { type: 'boolean', description: 'Send a tenth of the traffic there first.' },
    token: {
      type: 'string',
      'x-windlass-secret': true,
      title: 'Registry token',
      description: 'The host puts it in place; no plugin sees it.',
    },
    hosts: { type: 'array', items: { type: 'string' }, title: 'Hosts' },
    labels: { type: 'object', additionalProperties: { type: 'string' }, title: 'Labels' },
    resources: {
      type: 'object',
      title: 'Resources',
      properties: {
        cpu: { type: 'integer', description: 'Thousandths of a core.' },
        memory: { type: 'string', examples: ['512Mi'] },
      },
    },
  },
}

export const pipeline = `name: release
inputs:
  version: { type: string, default: "0.1.0" }
steps:
  - name: build
    type: step.shell_exec # the default image
    config:
      image: rust:1-slim
      commands: [cargo build --release]
    timeout: 20m
  - name: image
    type: step.docker_bild
    needs: [build]
    config:
      tags: ["myapp:{{ inputs.version }}"]
`
