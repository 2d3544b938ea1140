declare module 'windlass:plugin/log@0.1.0' {
  /**
   * Writes one line. `fields` are shown after the message, and kept apart for those who search.
   */
  export function write(level: Level, message: string, fields: Array<[string, string]>): void;
  /**
   * Opens a group: what follows is shown folded below `name`, up to the matching `group-end`. Groups nest 8 deep.
   */
  export function groupStart(name: string): void;
  /**
   * Closes the innermost group. Does nothing where none is open.
   */
  export function groupEnd(): void;
  /**
   * Tells how far the step is: `done` of `total` (0 when the total is not known), in any unit.
   */
  export function progress(done: number, total: number, message: string): void;
  /**
   * How important a line is.
   * # Variants
   * 
   * ## `"debug"`
   * 
   * For the plugin's author; hidden unless asked for.
   * ## `"info"`
   * 
   * The normal course.
   * ## `"warn"`
   * 
   * Something the pipeline's author should look at.
   * ## `"error"`
   * 
   * Why the step will fail.
   */
  export type Level = 'debug' | 'info' | 'warn' | 'error';
}
