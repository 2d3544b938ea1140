//! Carries out the engine's commands: the embedded driver.
//!
//! **Purpose.** The reducer in `engine` says what is to be done, this crate does it with tokio: calls plugins through
//! `runtime` with what `capabilities` gives them, keeps the facts in `store`, and takes a run up again after a crash.
//!
//! **Invariants.**
//! - Commit, then act, then notify. The intent to start an attempt is in the same commit as the fact that led to it, so a
//!   step in a sequence costs one commit.
//! - A run is carried out by one process: a [`Claim`] holds a lock that the kernel releases when the process dies.
//! - An attempt that was in flight is executed again as the same attempt; what it had begun outside is adopted, never repeated.
//! - Whatever an attempt has begun has stopped before its end is recorded, so that no step works beside what needs it. Its
//!   containers are removed after that: until it is durable they are what the next execution adopts.
//! - A panic in an attempt, and an event log that cannot be written, end the attempt or the carrying out, and never hang it.
//! - What a process leaves that dies, the next one removes ([`Host::sweep`]), for runs that are over.
//! - After a run has ended, or was left waiting for people or a time, no task and no thread of it is left.
//! - A sub-run's id is recorded before the sub-run is created: it is found by it after a crash, and never created twice.
//! - Nothing polls. A run waits for messages of its attempts, for timers, and for the token that stops it.
//!
//! **Not here.** Deciding what comes next (`engine`), and printing (`cli`).

mod attempt;
mod carrier;
mod clock;
mod draft;
mod error;
mod host;
mod log_file;
mod provider;
mod request;
mod run;
pub mod snapshot;
mod sub_run;
mod traces;

pub use error::DriverError;
pub use host::{Claim, Grants, Host, HostSettings, NewRun, Workspace, new_run_id};
pub use log_file::CONTAINER_LOG_BYTES;
pub use provider::{MAX_PROVIDER_LOG_LINES, PROVIDER_LOG_LINE_BYTES, ProviderFailure, ProviderReport};
pub use request::{Asked, Request};
pub use run::{Ending, Notice, Stop, Terms, Waits, carry_out};
pub use windlass_store::Labels;
