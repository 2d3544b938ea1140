/// <reference path="./windlass-plugin-secrets.d.ts" />
declare module 'windlass:plugin/http@0.1.0' {
  /**
   * Sends it and waits for the head of the answer.
   */
  export function send(request: Request): Response;
  export type Secret = import('windlass:plugin/secrets@0.1.0').Secret;
  /**
   * Why a request was not answered.
   */
  export type HttpError = HttpErrorNotGranted | HttpErrorDenied | HttpErrorInvalid | HttpErrorUnreachable | HttpErrorTimedOut | HttpErrorTooLarge | HttpErrorOther;
  /**
   * The host or the method is not in the grant; the text names what to grant.
   */
  export interface HttpErrorNotGranted {
    tag: 'not-granted',
    val: string,
  }
  /**
   * The address, or a secret bound for another host, was refused.
   */
  export interface HttpErrorDenied {
    tag: 'denied',
    val: string,
  }
  /**
   * The URL, a header or the method is not valid.
   */
  export interface HttpErrorInvalid {
    tag: 'invalid',
    val: string,
  }
  /**
   * The name does not resolve, or nobody answers. A retry may help.
   */
  export interface HttpErrorUnreachable {
    tag: 'unreachable',
    val: string,
  }
  /**
   * No answer in time. A retry may help.
   */
  export interface HttpErrorTimedOut {
    tag: 'timed-out',
    val: string,
  }
  /**
   * A body over the limit.
   */
  export interface HttpErrorTooLarge {
    tag: 'too-large',
    val: string,
  }
  /**
   * Anything else.
   */
  export interface HttpErrorOther {
    tag: 'other',
    val: string,
  }
  
  export class Request implements Disposable {
    /**
    * `method` such as `GET`; `url` absolute, `https` or `http`.
    */
    constructor(method: string, url: string)
    /**
    * Adds a header.
    */
    header(name: string, value: string): void;
    /**
    * Adds a header of `prefix` and the secret's value, which the plugin never sees: `("authorization", "Bearer ", s)`.
    */
    secretHeader(name: string, prefix: string, value: Secret): void;
    /**
    * Appends to the body; one call takes 16 MiB at most, so a large body is given in several. Placeholders of secrets in it
    * are replaced when the host is one they are bound to.
    */
    body(bytes: Uint8Array): void;
    /**
    * How long to wait for the whole answer. Default 30,000.
    */
    timeoutMs(ms: number): void;
    [Symbol.dispose](): void;
  }
  
  export class Response implements Disposable {
    /**
     * This type does not have a public constructor.
     */
    private constructor();
    /**
    * The status code.
    */
    status(): number;
    /**
    * Its headers, names in lower case.
    */
    headers(): Array<[string, string]>;
    /**
    * The next bytes of the body, at most `max` and at most 1 MiB; empty at the end.
    */
    read(max: number): Uint8Array;
    [Symbol.dispose](): void;
  }
}
