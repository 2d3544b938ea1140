/// <reference path="./windlass-plugin-types.d.ts" />
declare module 'windlass:plugin/step@0.1.0' {
  /**
   * What this plugin provides, as a JSON document: `{"steps": [{"name", "summary", "docs", "effect",
   * "config_schema", "output_schema"}]}`; `wit/descriptor.schema.json` is its schema. At most 1 MiB.
   * 
   * Called once when the plugin is published and once when it is installed, never during a run, and without any
   * capability: what it returns must depend on nothing.
   */
  export function describe(): string;
  /**
   * Checks `config` (a JSON document that already satisfies the schema) for `step-type` beyond what a schema can say.
   * 
   * Called by `lint` and `plan`. It must have no side effects and gets no capability but `log`. Values that are only
   * known during a run are still templates in the text (`{{ … }}`).
   */
  export function validate(stepType: string, config: string): Array<Diagnostic>;
  /**
   * Does the work of one attempt. The configuration is read through `inputs` and results are given through `outputs`.
   * 
   * After a crash of the host, an attempt of a `pure` or `idempotent` step type is run again from the start with the same
   * `inputs.idempotency-key`; containers that it had started are found again by `containers.start` and adopted.
   */
  export function run(stepType: string): void;
  /**
   * After a crash of the host: what became of the attempt that `inputs` describes. Called only for step types of
   * the effect class `at-most-once`; others return `rerun`.
   */
  export function recover(stepType: string): Recovery;
  export type Diagnostic = import('windlass:plugin/types@0.1.0').Diagnostic;
  export type Recovery = import('windlass:plugin/types@0.1.0').Recovery;
  /**
   * Why a step did not succeed. A trap is not one of these: a trap is always a defect of the plugin.
   */
  export type StepError = StepErrorInvalidConfig | StepErrorFailed | StepErrorDenied | StepErrorUnavailable | StepErrorCancelled | StepErrorOther;
  /**
   * The configuration cannot be carried out; a retry cannot help.
   */
  export interface StepErrorInvalidConfig {
    tag: 'invalid-config',
    val: string,
  }
  /**
   * The work was done and its result is a failure (a test failed, a command exited non-zero).
   */
  export interface StepErrorFailed {
    tag: 'failed',
    val: string,
  }
  /**
   * A capability was refused; the text names the grant or scope to give. A retry cannot help.
   */
  export interface StepErrorDenied {
    tag: 'denied',
    val: string,
  }
  /**
   * Something outside was not available; a retry may help.
   */
  export interface StepErrorUnavailable {
    tag: 'unavailable',
    val: string,
  }
  /**
   * The host asked the plugin to stop.
   */
  export interface StepErrorCancelled {
    tag: 'cancelled',
  }
  /**
   * Anything else; a retry cannot be expected to help.
   */
  export interface StepErrorOther {
    tag: 'other',
    val: string,
  }
}
