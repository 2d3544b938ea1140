declare module 'windlass:plugin/types@0.1.0' {
  /**
   * How bad a diagnostic is.
   * # Variants
   * 
   * ## `"error"`
   * 
   * The pipeline cannot run.
   * ## `"warning"`
   * 
   * It can run, but probably not as meant.
   * ## `"info"`
   * 
   * Worth knowing.
   */
  export type Severity = 'error' | 'warning' | 'info';
  /**
   * One finding about a step's configuration.
   */
  export interface Diagnostic {
    /**
     * How bad it is.
     */
    severity: Severity,
    /**
     * JSON pointer into the configuration, such as `/commands/0`; empty for the whole.
     */
    path: string,
    /**
     * What is wrong, in one sentence, without the place.
     */
    message: string,
    /**
     * What to write instead.
     */
    help?: string,
  }
  /**
   * What an attempt that was in flight when the host died amounts to.
   * # Variants
   * 
   * ## `"rerun"`
   * 
   * Nothing took effect, or repeating with the same idempotency key is safe: run it again.
   * ## `"succeeded"`
   * 
   * It took full effect: count it as succeeded.
   * ## `"failed"`
   * 
   * It took effect in part and cannot go on: count it as failed.
   * ## `"unknown"`
   * 
   * The plugin cannot tell: a person decides.
   */
  export type Recovery = 'rerun' | 'succeeded' | 'failed' | 'unknown';
}
