// `@plugin@`: one step type, step.@snake@.
//
// The engine is QuickJS: there is no fetch, URL, TextEncoder, timer or console. `types/` says what there is.

import { config } from 'windlass:plugin/inputs@0.1.0';
import { write } from 'windlass:plugin/log@0.1.0';
import { set } from 'windlass:plugin/outputs@0.1.0';
import type { StepError } from 'windlass:plugin/step@0.1.0';
import descriptor from './descriptor.js';

/** The step's configuration: what `config_schema` in descriptor.ts describes. */
interface Config {
  who: string;
}

export const step: typeof import('windlass:plugin/step@0.1.0') = {
  /** What this plugin provides. Called at publish and at install, never during a run. */
  describe() {
    return JSON.stringify(descriptor);
  },

  /** What a schema cannot say about a configuration. Called by `windlass lint` and `windlass plan`. */
  validate(_stepType, _config) {
    return [];
  },

  /** The work. Each call is a fresh instance. A step fails by throwing a `StepError`; anything else is a trap. */
  run(_stepType) {
    const { who }: Config = JSON.parse(config());
    if (who === 'nobody') throw invalid('nobody is there to be greeted');
    const greeting = `hello ${who}`;
    write('info', greeting, []);
    // A result is a JSON value; later steps read it as steps.<step>.outputs.greeting.
    set('greeting', JSON.stringify(greeting));
  },

  /** Asked after a crash of the host, of step types with the effect `at-most-once` only. */
  recover(_stepType) {
    return 'rerun';
  },
};

function invalid(why: string): StepError {
  return { tag: 'invalid-config', val: why };
}
