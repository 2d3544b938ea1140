// `examples:greet-js`: one step type, step.greet_js, that uses every capability of the contract once.
//
// The same plugin is written in Rust, Python and C beside this folder, with the same configuration and the same results.
// What to know about this language's engine (QuickJS) is in README.md.

import { write, groupStart, groupEnd, progress } from 'windlass:plugin/log@0.1.0';
import { config as readConfig, attempt } from 'windlass:plugin/inputs@0.1.0';
import { set } from 'windlass:plugin/outputs@0.1.0';
import { ContainerSpec, start } from 'windlass:plugin/containers@0.1.0';
import { create, get as getArtifact } from 'windlass:plugin/artifacts@0.1.0';
import { get as getSecret } from 'windlass:plugin/secrets@0.1.0';
import { Request, send } from 'windlass:plugin/http@0.1.0';
import descriptor from './descriptor.js';

const STEP_TYPE = 'step.greet_js';
const LANGUAGE = 'js';
/** How much of the answer's body becomes a result, in bytes. A greeting needs no more. */
const BODY_BYTES = 200;
/** How much is read from an artifact at once, in bytes. */
const CHUNK_BYTES = 64 * 1024;

/** Prints a greeting, and whether it has a secret; the name and the secret come by environment, never spliced into the text. */
const SCRIPT = 'printf "hello %s%s\\n" "$NAME" "${TOKEN:+ and its token}"';

export const step = {
  describe() {
    return JSON.stringify(descriptor);
  },

  validate(stepType, config) {
    if (JSON.parse(config).name !== 'nobody') return [];
    return [
      {
        severity: 'warning',
        path: '/name',
        message: 'nobody will be greeted',
        help: 'give the name of somebody',
      },
    ];
  },

  run(stepType) {
    if (stepType !== STEP_TYPE) throw { tag: 'invalid-config', val: `this plugin has no step type ${stepType}` };
    const config = JSON.parse(readConfig());

    groupStart('greet');
    write('info', `hello ${config.name}`, [['language', LANGUAGE], ['attempt', String(attempt())]]);
    output('greeting', `hello ${config.name} from ${LANGUAGE}`);

    progress(1, 4, 'artifact');
    keepArtifact(`hello ${config.name}\n`);

    progress(2, 4, 'secret');
    const token = config.token == null ? null : asked(() => getSecret(config.token));
    if (token != null) output('hmac', hex(asked(() => token.hmacSha256(encode('windlass')))));

    progress(3, 4, 'container');
    if (config.image != null) greetInContainer(config, token);

    progress(4, 4, 'request');
    if (config.url != null) fetchGreeting(config, token);
    groupEnd();
  },

  recover() {
    return 'rerun';
  },
};

/** Keeps the text as an artifact, and reads it back to the last byte. */
function keepArtifact(text) {
  const key = `greetings/${LANGUAGE}.txt`;
  const writer = asked(() => create(key));
  asked(() => writer.write(encode(text)));
  asked(() => writer.finish());

  const artifact = asked(() => getArtifact(key));
  const reader = asked(() => artifact.open());
  const read = readAll((max) => asked(() => reader.read(max)), Infinity);
  if (decode(read) !== text) throw { tag: 'other', val: `the artifact ${key} is not what was written` };
  output('artifact_digest', artifact.digest());
}

/** Runs a container that is given the secret without this plugin seeing it. */
function greetInContainer(config, token) {
  const spec = new ContainerSpec(config.image);
  spec.command(['sh', '-c', SCRIPT]);
  spec.env('NAME', config.name);
  if (token != null) spec.envSecret('TOKEN', token);
  const container = asked(() => start(spec));
  const exit = asked(() => container.wait());
  output('container_exit', exit.code);
  output('container_stdout', container.captured('stdout').trimEnd());
  if (exit.outOfMemory) throw { tag: 'failed', val: 'the container ran out of memory' };
  if (exit.code !== 0) throw { tag: 'failed', val: `the container exited ${exit.code}` };
}

/** Asks the URL, with the secret both ways: as a header that the host fills in, and as a placeholder in text of our own. */
function fetchGreeting(config, token) {
  const request = new Request('GET', config.url);
  if (token != null) {
    request.secretHeader('authorization', 'Bearer ', token);
    request.header('x-greet-token', token.placeholder());
  }
  const response = asked(() => send(request));
  output('http_status', response.status());
  output('http_body', decode(readAll((max) => asked(() => response.read(max)), BODY_BYTES)));
}

/** Sets one result. */
function output(name, value) {
  asked(() => set(name, JSON.stringify(value)));
}

/** Reads chunks until the end, or until `limit` bytes. */
function readAll(read, limit) {
  const bytes = [];
  while (bytes.length < limit) {
    const chunk = read(Math.min(CHUNK_BYTES, limit - bytes.length));
    if (chunk.length === 0) break;
    for (const byte of chunk) bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** Which error of a step each refusal of the host is; what is not named here is `other`. */
const STEP_ERRORS = {
  'not-granted': 'denied',
  denied: 'denied',
  invalid: 'invalid-config',
  'not-found': 'invalid-config',
  'image-pull-failed': 'unavailable',
  'volume-mount-failed': 'unavailable',
  'resource-exhausted': 'unavailable',
  'engine-unavailable': 'unavailable',
  unavailable: 'unavailable',
  unreachable: 'unavailable',
  'timed-out': 'unavailable',
};

/**
 * Calls the host, and throws its refusals as the step's error.
 *
 * A refusal arrives as an Error whose `payload` is the variant of the called interface. An export may only throw the
 * variant of its own signature, as a plain object; anything else that leaves an export is a trap, a defect of the plugin.
 */
function asked(call) {
  try {
    return call();
  } catch (error) {
    const refusal = error?.payload;
    if (refusal?.tag == null) throw error;
    if (refusal.tag === 'cancelled') throw { tag: 'cancelled' };
    throw { tag: STEP_ERRORS[refusal.tag] ?? 'other', val: String(refusal.val ?? refusal.tag) };
  }
}

/** UTF-8 without TextEncoder, which QuickJS does not have. */
function encode(text) {
  const escaped = encodeURIComponent(text);
  const bytes = [];
  for (let i = 0; i < escaped.length; i++) {
    if (escaped[i] === '%') bytes.push(parseInt(escaped.slice(i + 1, (i += 2) + 1), 16));
    else bytes.push(escaped.charCodeAt(i));
  }
  return Uint8Array.from(bytes);
}

/** Text from UTF-8 without TextDecoder; bytes that are not UTF-8 are shown as `?`. */
function decode(bytes) {
  const escaped = Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  try {
    return decodeURIComponent(escaped);
  } catch {
    return Array.from(bytes, (byte) => (byte < 0x80 ? String.fromCharCode(byte) : '?')).join('');
  }
}

/** Lower-case hexadecimal digits. */
function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
