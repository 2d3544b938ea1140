declare module 'windlass:plugin/secrets@0.1.0' {
  /**
   * The secret at `reference`: `engine/path`, or `secret:engine/path` as it stands in a configuration.
   */
  export function get(reference: string): Secret;
  /**
   * Why a secret could not be used.
   */
  export type SecretError = SecretErrorNotGranted | SecretErrorNotFound | SecretErrorUnavailable | SecretErrorInvalid | SecretErrorOther;
  /**
   * The grant does not cover it; the text names what to grant.
   */
  export interface SecretErrorNotGranted {
    tag: 'not-granted',
    val: string,
  }
  /**
   * There is no such secret; the text says how to make it.
   */
  export interface SecretErrorNotFound {
    tag: 'not-found',
    val: string,
  }
  /**
   * The secret engine does not answer. A retry may help.
   */
  export interface SecretErrorUnavailable {
    tag: 'unavailable',
    val: string,
  }
  /**
   * The secret is not what the operation needs (a key that is not a key).
   */
  export interface SecretErrorInvalid {
    tag: 'invalid',
    val: string,
  }
  /**
   * Anything else.
   */
  export interface SecretErrorOther {
    tag: 'other',
    val: string,
  }
  
  export class Secret implements Disposable {
    /**
     * This type does not have a public constructor.
     */
    private constructor();
    /**
    * A stand-in for this one call, such as `wlph_…`, for libraries that insist on a string. The host puts the value in
    * its place in headers and bodies of requests to hosts that the secret is bound to, and refuses to send it
    * anywhere else.
    */
    placeholder(): string;
    /**
    * HMAC-SHA-256 of `data` with the secret as key.
    */
    hmacSha256(data: Uint8Array): Uint8Array;
    /**
    * RSASSA-PKCS1-v1_5 with SHA-256 over `data`; the secret is an RSA private key in PKCS #8, PEM.
    */
    signRs256(data: Uint8Array): Uint8Array;
    [Symbol.dispose](): void;
  }
}
