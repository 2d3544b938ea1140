declare module 'windlass:plugin/state@0.1.0' {
  /**
   * The value at `key`.
   */
  export function get(key: string): Uint8Array | undefined;
  /**
   * Sets it.
   */
  export function set(key: string, value: Uint8Array): void;
  /**
   * Sets it only if the present value is `expected` (none: not there); else `conflict`.
   */
  export function compareAndSet(key: string, expected: Uint8Array | undefined, value: Uint8Array): void;
  /**
   * Removes it; not an error where it is not there.
   */
  export { _delete as delete };
  function _delete(key: string): void;
  /**
   * The keys that begin with `prefix`, sorted.
   */
  export function keys(prefix: string): Array<string>;
  /**
   * Why the store refused.
   */
  export type StateError = StateErrorTooLarge | StateErrorConflict | StateErrorUnavailable | StateErrorOther;
  /**
   * The key or the value is over its limit, or the key is empty.
   */
  export interface StateErrorTooLarge {
    tag: 'too-large',
    val: string,
  }
  /**
   * The stored value is not the expected one.
   */
  export interface StateErrorConflict {
    tag: 'conflict',
  }
  /**
   * The store does not answer. A retry may help.
   */
  export interface StateErrorUnavailable {
    tag: 'unavailable',
    val: string,
  }
  /**
   * Anything else.
   */
  export interface StateErrorOther {
    tag: 'other',
    val: string,
  }
}
