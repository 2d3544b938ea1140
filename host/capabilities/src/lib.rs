//! What a plugin may reach: containers, secrets, artifacts, http, log.
//!
//! **Purpose.** The real implementations of the traits in [`windlass_contract::capability`]. A [`Toolbox`] holds what a
//! whole host shares (the engine's socket, the artifact store, the vault, the egress policy); for one attempt of one step
//! it makes [`StepTools`], whose [`capabilities`](StepTools::capabilities) are what the sandbox links.
//!
//! **Invariants.**
//! - A capability is made only from the permissions that are given; what is not granted is `None`, and what is granted
//!   is checked again at each use, against the parsed thing (an address, an image reference), never against text.
//! - Only [`containers`] names bollard. There is no field, here or in the contract, that could ask for privileges, a host
//!   path, a host network, a device or the engine's socket.
//! - A secret's value is known to the run's [`Masker`] before it is handed to anything, and everything that leaves through
//!   a [`LogSink`], an error or a captured text passes that masker.
//! - A container is journalled before it is started, and never started twice for one index of one attempt.
//! - Bytes are streamed: no file, log or body is held in memory whole.
//!
//! **Not here.** What is granted to whom, quotas of a plugin's own log calls (`runtime`), storing logs and events, and the
//! plugin's `state` (handed in, since only `store` names a database).

pub mod artifacts;
pub mod containers;
pub mod http;
pub mod log;
pub mod secrets;
mod toolbox;

pub use artifacts::{ArtifactStore, StoreError};
pub use containers::{
    CAPTURED_BYTES, Detached, DockerSettings, EngineError, Journal, Keep, PersistentVolume, Seen, Trouble, VolumePlace,
};
pub use http::EgressPolicy;
pub use log::{LogSink, LogStream};
pub use secrets::{KeySource, MAX_VALUE as MAX_SECRET, MaskStream, Masker, SecretInfo, Vault, VaultError};
pub use toolbox::{StepScope, StepTools, Toolbox, ToolboxError, ToolboxSettings};
