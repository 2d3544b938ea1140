declare module 'windlass:plugin/outputs@0.1.0' {
  /**
   * Sets the result `name` to a JSON value; a later call for the same name replaces it. Later steps read it as
   * `steps.<step>.outputs.<name>`. Results count also when the step fails.
   */
  export function set(name: string, value: string): void;
  /**
   * Why a result was refused.
   */
  export type OutputError = OutputErrorInvalid | OutputErrorTooLarge | OutputErrorOther;
  /**
   * The name is not 1 to 63 letters, digits, `-` and `_`, or the value is not JSON.
   */
  export interface OutputErrorInvalid {
    tag: 'invalid',
    val: string,
  }
  /**
   * More than 4 MiB in all, or more than 1,000 names.
   */
  export interface OutputErrorTooLarge {
    tag: 'too-large',
    val: string,
  }
  /**
   * Anything else.
   */
  export interface OutputErrorOther {
    tag: 'other',
    val: string,
  }
}
