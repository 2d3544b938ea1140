//! The capability interfaces of `wit/` as traits, in plain types.
//!
//! `runtime` turns a guest's calls into calls of these traits, `capabilities` implements them with a container engine, a
//! store and a network, and a fake host implements them from a recording. A [`Capabilities`] value is made for one
//! attempt of one step; a capability that was not granted is `None`, and its interface is not linked.

use crate::{ArtifactKey, Digest, Interface, PluginRef, RunId, StepName};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use std::{collections::BTreeSet, sync::Arc};

/// What a step plugin is called with: one attempt of one step.
#[derive(Debug, Clone)]
pub struct StepCall {
    /// Who is called.
    pub plugin: PluginRef,
    /// Which of its step types.
    pub step_type: String,
    /// The run.
    pub run: RunId,
    /// The step's name in its pipeline.
    pub step: StepName,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The step's configuration with templates rendered; secrets stand in it as references.
    pub config: Value,
}

impl StepCall {
    /// The same for every execution of this attempt, different for any other.
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}/{}", self.run, self.step, self.attempt)
    }
}

/// What one attempt may reach. `None` is not granted, and not linked.
#[derive(Clone)]
pub struct Capabilities {
    /// Always there.
    pub log: Arc<dyn Log>,
    /// Containers.
    pub containers: Option<Arc<dyn Containers>>,
    /// Artifacts and the workspace.
    pub artifacts: Option<Arc<dyn Artifacts>>,
    /// Secrets by handle.
    pub secrets: Option<Arc<dyn Secrets>>,
    /// Whether the bytes of those may be read. Only with `secrets`.
    pub secrets_reveal: bool,
    /// HTTP.
    pub http: Option<Arc<dyn Http>>,
    /// The plugin's own store.
    pub state: Option<Arc<dyn State>>,
    /// Set when the step was asked to stop.
    pub cancelled: Arc<std::sync::atomic::AtomicBool>,
}

impl Capabilities {
    /// Only what every plugin has: for `validate`, and for step types that need nothing.
    pub fn none(log: Arc<dyn Log>) -> Self {
        Capabilities {
            log,
            containers: None,
            artifacts: None,
            secrets: None,
            secrets_reveal: false,
            http: None,
            state: None,
            cancelled: Arc::default(),
        }
    }

    /// The interfaces that are to be linked, without those that always are.
    pub fn interfaces(&self) -> BTreeSet<Interface> {
        let held = [
            (self.containers.is_some(), Interface::Containers),
            (self.artifacts.is_some(), Interface::Artifacts),
            (self.secrets.is_some(), Interface::Secrets),
            (self.secrets.is_some() && self.secrets_reveal, Interface::SecretsReveal),
            (self.http.is_some(), Interface::Http),
            (self.state.is_some(), Interface::State),
        ];
        held.into_iter().filter_map(|(held, interface)| held.then_some(interface)).collect()
    }
}

/// How important a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Hidden unless asked for.
    Debug,
    /// The normal course.
    Info,
    /// Should be looked at.
    Warn,
    /// Why the step will fail.
    Error,
}

/// One entry of a plugin's log.
#[derive(Debug, Clone, PartialEq)]
pub enum LogEntry {
    /// A line. Masking and escaping happen behind the trait.
    Line {
        /// Its level.
        level: LogLevel,
        /// Its text.
        message: String,
        /// Its fields.
        fields: Vec<(String, String)>,
    },
    /// What follows belongs to this group.
    GroupStart(String),
    /// The innermost group ends.
    GroupEnd,
    /// How far the step is.
    Progress {
        /// Units done.
        done: u32,
        /// Of how many; 0 is not known.
        total: u32,
        /// Doing what.
        message: String,
    },
    /// What the guest wrote to its own standard output or error.
    Stdio {
        /// Standard error, else standard output.
        stderr: bool,
        /// The bytes, not aligned to lines.
        bytes: Vec<u8>,
    },
}

/// `log`. Never fails and never blocks for long: what is over a quota is dropped and counted.
pub trait Log: Send + Sync {
    /// Takes an entry.
    fn write(&self, entry: LogEntry);
}

/// Why a container could not do what was asked; the cases of `container-error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each case is documented in wit/capabilities.wit")]
pub enum ContainerError {
    #[error("{0}")]
    NotGranted(String),
    #[error("{0}")]
    Invalid(String),
    #[error("the image could not be pulled: {0}")]
    ImagePullFailed(String),
    #[error("a volume could not be mounted: {0}")]
    VolumeMountFailed(String),
    #[error("out of resources: {0}")]
    ResourceExhausted(String),
    #[error("the container engine does not answer: {0}")]
    EngineUnavailable(String),
    #[error("{0}")]
    Lost(String),
    #[error("the step was asked to stop")]
    Cancelled,
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    TooLarge(String),
    #[error("{0}")]
    Other(String),
}

/// How a container's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The exit code; 128 + n when signal n ended it.
    pub code: i32,
    /// The kernel ended a process of it for lack of memory.
    pub out_of_memory: bool,
    /// Its own timeout was reached.
    pub timed_out: bool,
}

/// Which of a process's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// When an image is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// Unless it is there already.
    #[default]
    IfNotPresent,
    /// Each time.
    Always,
    /// Never.
    Never,
}

/// A volume in a container; see `container-spec.volume`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeMount {
    /// The volume, as the pipeline calls it.
    pub name: String,
    /// Where it is mounted, absolute.
    pub path: String,
    /// Whether nothing can be written to it.
    pub read_only: bool,
}

/// What to start; see `container-spec`. Made by the guest step by step, checked by [`Containers::start`].
#[derive(Clone, Default)]
#[allow(missing_docs, reason = "each field is documented in wit/capabilities.wit")]
pub struct ContainerSpec {
    pub image: String,
    pub command: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    pub env: Vec<(String, String)>,
    pub env_secret: Vec<(String, Arc<dyn Secret>)>,
    pub workdir: Option<String>,
    pub workspace: Option<(String, bool)>,
    /// `None` until the guest asks for a volume or for none: then the workspace is mounted.
    pub volumes: Option<Vec<VolumeMount>>,
    pub registry_auth: Option<Arc<dyn Secret>>,
    pub pull: PullPolicy,
    pub memory_mib: Option<u32>,
    pub cpu_millis: Option<u32>,
    pub pids: Option<u32>,
    pub user: Option<String>,
    pub network: bool,
    pub read_only_root: bool,
    pub timeout_ms: Option<u32>,
    pub detach: Option<String>,
    pub publish: Vec<u16>,
}

/// `containers`.
#[async_trait]
pub trait Containers: Send + Sync {
    /// Starts a container, or adopts the one that this attempt had started before the host died.
    async fn start(&self, spec: ContainerSpec) -> Result<Arc<dyn Container>, ContainerError>;
    /// The container that this plugin has detached under this name in the environment of this call.
    async fn find(&self, name: String) -> Result<Option<Arc<dyn Container>>, ContainerError> {
        Err(ContainerError::Invalid(format!("there is no detached container {name:?} here: {ONLY_DETACHED}")))
    }
}

/// Why what concerns detached containers is refused everywhere else.
pub const ONLY_DETACHED: &str = "containers outlive only the calls of providers";

/// A container that was started.
#[async_trait]
pub trait Container: Send + Sync {
    /// Waits for its end; the answer stays.
    async fn wait(&self) -> Result<Exit, ContainerError>;
    /// Head and tail of what it printed, masked.
    async fn captured(&self, output: Output) -> String;
    /// Runs another process in it.
    async fn exec(&self, argv: Vec<String>) -> Result<Exit, ContainerError>;
    /// Keeps a file or folder of it.
    async fn save(&self, path: String, key: String) -> Result<Arc<dyn Artifact>, ContainerError>;
    /// Puts an artifact into it.
    async fn load(&self, artifact: Arc<dyn Artifact>, path: String) -> Result<(), ContainerError>;
    /// SIGTERM, then SIGKILL after the grace.
    async fn stop(&self, grace_ms: u32) -> Result<(), ContainerError>;
    /// Waits for its end, but no longer than so many milliseconds; none while it runs.
    async fn wait_for(&self, ms: u32) -> Result<Option<Exit>, ContainerError>;
    /// How a detached container stands, as a JSON document.
    async fn state(&self) -> Result<String, ContainerError> {
        Err(ContainerError::Invalid(ONLY_DETACHED.to_owned()))
    }
    /// Starts the process of a detached container that has ended once more.
    async fn start_again(&self) -> Result<(), ContainerError> {
        Err(ContainerError::Invalid(ONLY_DETACHED.to_owned()))
    }
    /// Removes a detached container.
    async fn remove(&self) -> Result<(), ContainerError> {
        Err(ContainerError::Invalid(ONLY_DETACHED.to_owned()))
    }
}

/// Why an artifact could not be had or made; the cases of `artifact-error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each case is documented in wit/capabilities.wit")]
pub enum ArtifactError {
    #[error("{0}")]
    NotGranted(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    TooLarge(String),
    #[error("the artifact store does not answer: {0}")]
    Unavailable(String),
    #[error("{0}")]
    Other(String),
}

/// `artifacts`.
#[async_trait]
pub trait Artifacts: Send + Sync {
    /// The artifact `key` of this run.
    async fn get(&self, key: String) -> Result<Arc<dyn Artifact>, ArtifactError>;
    /// The artifact `key` of another run, or of `previous`.
    async fn get_from(&self, run: String, key: String) -> Result<Arc<dyn Artifact>, ArtifactError>;
    /// This run's keys, sorted.
    async fn keys(&self) -> Result<Vec<String>, ArtifactError>;
    /// Begins an artifact.
    async fn create(&self, key: String) -> Result<Box<dyn ArtifactWriter>, ArtifactError>;
    /// Keeps a file or folder of the workspace.
    #[allow(clippy::wrong_self_convention, reason = "named as in wit/capabilities.wit")]
    async fn from_workspace(&self, path: String, key: String) -> Result<Arc<dyn Artifact>, ArtifactError>;
    /// Puts an artifact into the workspace.
    async fn to_workspace(&self, artifact: Arc<dyn Artifact>, path: String) -> Result<(), ArtifactError>;
}

/// An artifact that exists: immutable.
#[async_trait]
pub trait Artifact: Send + Sync {
    /// Its key.
    fn key(&self) -> &ArtifactKey;
    /// Its digest.
    fn digest(&self) -> Digest;
    /// Its size in bytes.
    fn size(&self) -> u64;
    /// Its media type.
    fn media_type(&self) -> &str;
    /// Reads it from its beginning.
    async fn open(&self) -> Result<Box<dyn ArtifactReader>, ArtifactError>;
}

/// A position in an artifact.
#[async_trait]
pub trait ArtifactReader: Send {
    /// The next bytes, at most `max`; empty at the end.
    async fn read(&mut self, max: usize) -> Result<Bytes, ArtifactError>;
}

/// An artifact in the making; dropped without `finish`, nothing is kept.
#[async_trait]
pub trait ArtifactWriter: Send {
    /// Appends.
    async fn write(&mut self, bytes: Bytes) -> Result<(), ArtifactError>;
    /// Keeps it.
    async fn finish(self: Box<Self>) -> Result<Arc<dyn Artifact>, ArtifactError>;
}

/// Why a secret could not be used; the cases of `secret-error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each case is documented in wit/capabilities.wit")]
pub enum SecretError {
    #[error("{0}")]
    NotGranted(String),
    #[error("{0}")]
    NotFound(String),
    #[error("the secret engine does not answer: {0}")]
    Unavailable(String),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Other(String),
}

/// `secrets`.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The secret at `engine/path`, or `secret:engine/path`.
    async fn get(&self, reference: String) -> Result<Arc<dyn Secret>, SecretError>;
}

/// A secret that the host holds.
#[async_trait]
pub trait Secret: Send + Sync {
    /// The stand-in for this call.
    fn placeholder(&self) -> String;
    /// HMAC-SHA-256 with the secret as key.
    fn hmac_sha256(&self, data: &[u8]) -> Result<Vec<u8>, SecretError>;
    /// RS256 with the secret as PKCS #8 key.
    fn sign_rs256(&self, data: &[u8]) -> Result<Vec<u8>, SecretError>;
    /// The value, for the edges of the host and for `secrets-reveal`; never for a guest otherwise.
    fn value(&self) -> crate::SecretValue;
}

/// Why a request was not answered; the cases of `http-error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each case is documented in wit/capabilities.wit")]
pub enum HttpError {
    #[error("{0}")]
    NotGranted(String),
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Unreachable(String),
    #[error("{0}")]
    TimedOut(String),
    #[error("{0}")]
    TooLarge(String),
    #[error("{0}")]
    Other(String),
}

/// A request in the making; checked by [`Http::send`].
#[derive(Clone, Default)]
#[allow(missing_docs, reason = "each field is documented in wit/capabilities.wit")]
pub struct HttpRequest {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub secret_headers: Vec<(String, String, Arc<dyn Secret>)>,
    pub body: Vec<u8>,
    pub timeout_ms: Option<u32>,
}

/// `http`.
#[async_trait]
pub trait Http: Send + Sync {
    /// Sends it and waits for the head of the answer.
    async fn send(&self, request: HttpRequest) -> Result<Box<dyn HttpResponse>, HttpError>;
}

/// An answer, of any status.
#[async_trait]
pub trait HttpResponse: Send {
    /// The status code.
    fn status(&self) -> u16;
    /// Its headers, names in lower case.
    fn headers(&self) -> Vec<(String, String)>;
    /// The next bytes of the body, at most `max`; empty at the end.
    async fn read(&mut self, max: usize) -> Result<Bytes, HttpError>;
}

/// Why the plugin's store refused; the cases of `state-error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each case is documented in wit/capabilities.wit")]
pub enum StateError {
    #[error("{0}")]
    TooLarge(String),
    #[error("the stored value is not the expected one")]
    Conflict,
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    #[error("{0}")]
    Other(String),
}

/// `state`: already bound to one plugin.
#[async_trait]
pub trait State: Send + Sync {
    /// The value at `key`.
    async fn get(&self, key: String) -> Result<Option<Vec<u8>>, StateError>;
    /// Sets it.
    async fn set(&self, key: String, value: Vec<u8>) -> Result<(), StateError>;
    /// Sets it only if the present value is `expected`.
    async fn compare_and_set(&self, key: String, expected: Option<Vec<u8>>, value: Vec<u8>) -> Result<(), StateError>;
    /// Removes it.
    async fn delete(&self, key: String) -> Result<(), StateError>;
    /// The keys that begin with `prefix`, sorted.
    async fn keys(&self, prefix: String) -> Result<Vec<String>, StateError>;
}
