/// <reference path="./windlass-plugin-secrets.d.ts" />
declare module 'windlass:plugin/secrets-reveal@0.1.0' {
  /**
   * The value. It is masked wherever it appears later, but it is in the plugin's hands.
   */
  export function reveal(secret: Secret): Uint8Array;
  export type Secret = import('windlass:plugin/secrets@0.1.0').Secret;
  export type SecretError = import('windlass:plugin/secrets@0.1.0').SecretError;
}
