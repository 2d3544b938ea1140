declare module 'windlass:plugin/artifacts@0.1.0' {
  /**
   * The artifact `key` of this run.
   */
  export function get(key: string): Artifact;
  /**
   * The artifact `key` of another run of the same project: its id, or `previous` for the last one of the same
   * pipeline that succeeded.
   */
  export function getFrom(run: string, key: string): Artifact;
  /**
   * The keys of this run's artifacts, sorted.
   */
  export function keys(): Array<string>;
  /**
   * Begins an artifact of this run. The same key with the same bytes is the same artifact; with others, the later one wins.
   */
  export function create(key: string): Writer;
  /**
   * Keeps a file or folder of a volume of the run. `path` is absolute: below `/workspace`, or below `/volumes/NAME` for the
   * volume NAME.
   */
  export function fromWorkspace(path: string, key: string): Artifact;
  /**
   * Puts an artifact into a volume of the run at `path`: a file, or, for a tar archive, a folder with its content.
   */
  export function toWorkspace(artifact: Artifact, path: string): void;
  /**
   * Why an artifact could not be had or made.
   */
  export type ArtifactError = ArtifactErrorNotGranted | ArtifactErrorNotFound | ArtifactErrorInvalid | ArtifactErrorTooLarge | ArtifactErrorUnavailable | ArtifactErrorOther;
  /**
   * The grant does not cover it; the text names what to grant.
   */
  export interface ArtifactErrorNotGranted {
    tag: 'not-granted',
    val: string,
  }
  /**
   * No artifact under this key.
   */
  export interface ArtifactErrorNotFound {
    tag: 'not-found',
    val: string,
  }
  /**
   * The key is not segments of letters, digits, `.`, `_` and `-` joined by `/`, or the path is not absolute.
   */
  export interface ArtifactErrorInvalid {
    tag: 'invalid',
    val: string,
  }
  /**
   * Over a quota.
   */
  export interface ArtifactErrorTooLarge {
    tag: 'too-large',
    val: string,
  }
  /**
   * The store does not answer. A retry may help.
   */
  export interface ArtifactErrorUnavailable {
    tag: 'unavailable',
    val: string,
  }
  /**
   * Anything else.
   */
  export interface ArtifactErrorOther {
    tag: 'other',
    val: string,
  }
  
  export class Artifact implements Disposable {
    /**
     * This type does not have a public constructor.
     */
    private constructor();
    /**
    * Its key.
    */
    key(): string;
    /**
    * `sha256:` and 64 hex digits.
    */
    digest(): string;
    /**
    * Its size in bytes.
    */
    size(): bigint;
    /**
    * `application/x-tar` for a folder, else `application/octet-stream`.
    */
    mediaType(): string;
    /**
    * Reads it from its beginning.
    */
    open(): Reader;
    [Symbol.dispose](): void;
  }
  
  export class Reader implements Disposable {
    /**
     * This type does not have a public constructor.
     */
    private constructor();
    /**
    * The next bytes, at most `max` and at most 1 MiB; empty at the end.
    */
    read(max: number): Uint8Array;
    [Symbol.dispose](): void;
  }
  
  export class Writer implements Disposable {
    /**
     * This type does not have a public constructor.
     */
    private constructor();
    /**
    * Appends, at most 1 MiB a call.
    */
    write(bytes: Uint8Array): void;
    /**
    * Keeps it. Fails when called twice.
    */
    finish(): Artifact;
    [Symbol.dispose](): void;
  }
}
