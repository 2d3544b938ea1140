declare module 'windlass:plugin/inputs@0.1.0' {
  /**
   * The step's configuration as a JSON document, with templates rendered. At most 4 MiB.
   * 
   * A secret is not in it: its place holds the reference, `secret:engine/path`, to be given to `secrets.get`.
   */
  export function config(): string;
  /**
   * One value of the configuration, by JSON pointer (`/image`, `/commands/0`): a text as it is, anything else as
   * JSON; none where there is nothing. For languages in which reading JSON is a burden.
   */
  export function get(pointer: string): string | undefined;
  /**
   * The run's id. For log lines and labels; it names nothing that the plugin could reach.
   */
  export function runId(): string;
  /**
   * The step's name in its pipeline.
   */
  export function stepName(): string;
  /**
   * Which attempt this is, from 1.
   */
  export function attempt(): number;
  /**
   * The same for every execution of this attempt, also after a crash of the host; different for any other attempt. Give
   * it to systems that recognise repeated requests.
   */
  export function idempotencyKey(): string;
  /**
   * Whether the step has been asked to stop. The plugin may end early and tidy up; it is ended anyway after a grace
   * of 10 seconds.
   */
  export function isCancelled(): boolean;
}
