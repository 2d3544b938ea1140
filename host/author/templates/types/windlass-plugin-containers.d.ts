/// <reference path="./windlass-plugin-artifacts.d.ts" />
/// <reference path="./windlass-plugin-secrets.d.ts" />
declare module 'windlass:plugin/containers@0.1.0' {
  /**
   * Starts a container. All containers of a run share its volumes.
   * 
   * The n-th call of an attempt names the n-th container of that attempt. Where that container is there already,
   * because the host died and the attempt is run again, it is adopted: it is not started a second time, and its log is
   * read from its beginning.
   */
  export function start(spec: ContainerSpec): Container;
  /**
   * The detached container that this plugin has called `name`, in the environment of this call. One of another plugin or
   * environment cannot be found.
   */
  export function find(name: string): Container | undefined;
  export type Artifact = import('windlass:plugin/artifacts@0.1.0').Artifact;
  export type Secret = import('windlass:plugin/secrets@0.1.0').Secret;
  /**
   * Why a container could not do what was asked.
   */
  export type ContainerError = ContainerErrorNotGranted | ContainerErrorInvalid | ContainerErrorImagePullFailed | ContainerErrorVolumeMountFailed | ContainerErrorResourceExhausted | ContainerErrorEngineUnavailable | ContainerErrorLost | ContainerErrorCancelled | ContainerErrorNotFound | ContainerErrorTooLarge | ContainerErrorOther;
  /**
   * The grant does not cover it; the text names what to grant.
   */
  export interface ContainerErrorNotGranted {
    tag: 'not-granted',
    val: string,
  }
  /**
   * The specification is not valid.
   */
  export interface ContainerErrorInvalid {
    tag: 'invalid',
    val: string,
  }
  /**
   * The image could not be pulled. A retry may help.
   */
  export interface ContainerErrorImagePullFailed {
    tag: 'image-pull-failed',
    val: string,
  }
  /**
   * A volume could not be mounted.
   */
  export interface ContainerErrorVolumeMountFailed {
    tag: 'volume-mount-failed',
    val: string,
  }
  /**
   * Out of memory, disk or processes.
   */
  export interface ContainerErrorResourceExhausted {
    tag: 'resource-exhausted',
    val: string,
  }
  /**
   * The container engine does not answer. A retry may help.
   */
  export interface ContainerErrorEngineUnavailable {
    tag: 'engine-unavailable',
    val: string,
  }
  /**
   * The container of this attempt was there before the host restarted, and is gone. It is not started a second time.
   */
  export interface ContainerErrorLost {
    tag: 'lost',
    val: string,
  }
  /**
   * The step was asked to stop.
   */
  export interface ContainerErrorCancelled {
    tag: 'cancelled',
  }
  /**
   * No such path in the container.
   */
  export interface ContainerErrorNotFound {
    tag: 'not-found',
    val: string,
  }
  /**
   * Over a quota of artifacts or files.
   */
  export interface ContainerErrorTooLarge {
    tag: 'too-large',
    val: string,
  }
  /**
   * Anything else.
   */
  export interface ContainerErrorOther {
    tag: 'other',
    val: string,
  }
  /**
   * How a process ended.
   */
  export interface Exit {
    /**
     * The exit code; 128 + n when signal n ended it.
     */
    code: number,
    /**
     * The kernel ended a process of the container because its memory was used up, whatever the code.
     */
    outOfMemory: boolean,
    /**
     * The container's own `timeout-ms` was reached: SIGTERM, a grace of 10 seconds, SIGKILL.
     */
    timedOut: boolean,
  }
  /**
   * Which of a process's two outputs.
   * # Variants
   * 
   * ## `"stdout"`
   * 
   * Standard output.
   * ## `"stderr"`
   * 
   * Standard error.
   */
  export type Output = 'stdout' | 'stderr';
  /**
   * When an image is fetched.
   * # Variants
   * 
   * ## `"if-not-present"`
   * 
   * Unless it is there already.
   * ## `"always"`
   * 
   * Each time.
   * ## `"never"`
   * 
   * Never: it must be there.
   */
  export type PullPolicy = 'if-not-present' | 'always' | 'never';
  
  export class Container implements Disposable {
    /**
     * This type does not have a public constructor.
     */
    private constructor();
    /**
    * Waits until its process has ended. May be called again; the answer stays.
    */
    wait(): Exit;
    /**
    * What it has printed to that output: head and tail, 1 MiB in all, with a marked gap between. The whole is in the log.
    * Masked like the log. After `wait`, it is complete.
    */
    captured(output: Output): string;
    /**
    * Runs another process in it, beside the first, and waits for its end. Its output goes to the log.
    * Not adopted after a crash of the host: use it in step types that are `pure`.
    */
    exec(argv: Array<string>): Exit;
    /**
    * Keeps a file or folder of the container as an artifact of the run under `key`. A folder becomes a tar archive.
    * Works also after the process has ended. Links that lead out of the folder are refused.
    */
    save(path: string, key: string): Artifact;
    /**
    * Puts an artifact into the container at `path`: a file, or, for a tar archive, a folder with its content.
    */
    load(artifact: Artifact, path: string): void;
    /**
    * SIGTERM, then SIGKILL after `grace-ms`.
    */
    stop(graceMs: number): void;
    /**
    * Waits for its end, but no longer than `ms`; none while it runs.
    */
    waitFor(ms: number): Exit | undefined;
    /**
    * How a detached container stands, as a JSON document: `{"running": bool, "exit_code": number, "out_of_memory": bool,
    * "image": text, "started_at": RFC 3339, "ports": {"8080": "127.0.0.1:32768"}}`; `exit_code` only after its end, `ports`
    * only while it runs.
    */
    state(): string;
    /**
    * Starts the process of a detached container that has ended once more, with all that it was made with.
    */
    startAgain(): void;
    /**
    * Removes a detached container, running or not. Those of a step are removed at its end.
    */
    remove(): void;
    [Symbol.dispose](): void;
  }
  
  export class ContainerSpec implements Disposable {
    /**
    * A container from `image`: a name with a tag or a digest.
    */
    constructor(image: string)
    /**
    * The argument vector. Without it, the image's own command.
    */
    command(argv: Array<string>): void;
    /**
    * Replaces the image's entry point.
    */
    entrypoint(argv: Array<string>): void;
    /**
    * Sets an environment variable.
    */
    env(name: string, value: string): void;
    /**
    * Sets an environment variable to a secret's value, which the plugin never sees.
    */
    envSecret(name: string, value: Secret): void;
    /**
    * The working directory. Default: where the workspace is mounted, else the image's.
    */
    workdir(path: string): void;
    /**
    * Where the run's workspace volume is mounted (default `/workspace`), and whether read-only.
    */
    workspace(path: string, readOnly: boolean): void;
    /**
    * Mounts the volume `name` of the pipeline (`workspace` is one) at the absolute `path`. After a call of it, the
    * workspace is mounted only where it is asked for. One volume may be mounted at several paths.
    */
    volume(name: string, path: string, readOnly: boolean): void;
    /**
    * Mounts nothing but what `volume` and `workspace` ask for.
    */
    noWorkspace(): void;
    /**
    * Logs in to a container registry. The secret is the document `{"username": …, "password": …, "serveraddress": …}`,
    * its last key being optional: without it, it is the registry of the image. The host pulls the image with it, if it is
    * for the image's registry, and the container finds it as a client's configuration, in the folder that
    * `DOCKER_CONFIG` names; it is in no environment variable.
    */
    registryAuth(credentials: Secret): void;
    /**
    * When to fetch the image. Default: `if-not-present`.
    */
    pull(policy: PullPolicy): void;
    /**
    * Memory ceiling in MiB; swap is the same, so there is none. Default and upper bound: the grant's.
    */
    memoryMib(mib: number): void;
    /**
    * Processor ceiling in thousandths of a processor. Default and upper bound: the grant's.
    */
    cpuMillis(millis: number): void;
    /**
    * At most this many processes. Default: 4,096.
    */
    pids(limit: number): void;
    /**
    * `uid`, `uid:gid`, or a name from the image. Default: the image's.
    */
    user(user: string): void;
    /**
    * Whether it gets a network of its own with a way out. Default: no. Needs the grant.
    */
    network(enabled: boolean): void;
    /**
    * Makes the root file system read-only, with a writable `/tmp` in memory. Default: no.
    */
    readOnlyRoot(enabled: boolean): void;
    /**
    * How long it may run. Default: what is left of the step's timeout.
    */
    timeoutMs(ms: number): void;
    /**
    * Lets the container outlive the call: it runs until it ends by itself or is removed, and `find` gives it to later calls
    * for the same environment by `name`, which is 1 to 63 lower-case letters, digits and single hyphens. It has no volumes,
    * no timeout, and a log of its own on the engine. For calls of a provider only; needs the grant (`detached`).
    */
    detach(name: string): void;
    /**
    * Makes the TCP port `container-port` of a detached container reachable on the engine's machine, at its loopback address
    * only and at a port that the engine chooses; `state` tells it. At most 16. Needs a network, and the grant (`ports`).
    */
    publish(containerPort: number): void;
    [Symbol.dispose](): void;
  }
}
