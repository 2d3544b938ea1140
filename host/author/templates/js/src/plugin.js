// `@plugin@`: one step type, step.@snake@.
//
// The engine is QuickJS: there is no fetch, URL, TextEncoder, timer or console. `types/` says what there is.

import { config } from 'windlass:plugin/inputs@0.1.0';
import { write } from 'windlass:plugin/log@0.1.0';
import { set } from 'windlass:plugin/outputs@0.1.0';
import descriptor from './descriptor.js';

/** @type {typeof import('windlass:plugin/step@0.1.0')} */
export const step = {
  /** What this plugin provides. Called at publish and at install, never during a run. */
  describe() {
    return JSON.stringify(descriptor);
  },

  /** What a schema cannot say about a configuration. Called by `windlass lint` and `windlass plan`. */
  validate(stepType, config) {
    return [];
  },

  /** The work. Each call is a fresh instance. A step fails by throwing a plain object; anything else is a trap. */
  run(stepType) {
    const { who } = JSON.parse(config());
    if (who === 'nobody') throw { tag: 'invalid-config', val: 'nobody is there to be greeted' };
    const greeting = `hello ${who}`;
    write('info', greeting, []);
    // A result is a JSON value; later steps read it as steps.<step>.outputs.greeting.
    set('greeting', JSON.stringify(greeting));
  },

  /** Asked after a crash of the host, of step types with the effect `at-most-once` only. */
  recover(stepType) {
    return 'rerun';
  },
};
