//! What is kept: the event log, what is derived from it for lists, the plugins' own stores, and the logs.
//!
//! **Purpose.** [`Store`] is one SQLite database in one folder; [`logs::LogStore`] is the files with what steps printed,
//! beside it. This is the only crate that names sqlx.
//!
//! **Invariants.**
//! - What was acknowledged survives a crash of the process and a loss of power (`synchronous=FULL`).
//! - A run's events are numbered from 1 without gaps. An append says where it expects to write, and changes nothing where
//!   another one was first ([`StoreError::Conflict`]).
//! - The row in the list of runs changes in the transaction of the events it follows from.
//! - One task writes. It takes whatever has come while it was committing into the next transaction, so many
//!   runs share a commit and a lone one waits for nobody.
//! - A stored event that cannot be read is an error with its run and number, never skipped.
//!
//! **Not here.** What events mean (`engine`), what to do after a crash (`driver`), artifacts and secrets (`capabilities`).

mod error;
mod failpoints;
mod lists;
mod lock;
pub mod logs;
pub mod records;
mod row;
mod runs;
mod state;
mod store;
mod watch;
mod writer;

pub use error::StoreError;
pub use failpoints::{AFTER_COMMIT, BEFORE_COMMIT};
pub use lists::{EndedRun, OpenGate, RunQuery, UnfinishedRun};
pub use lock::RunLock;
pub use records::Records;
pub use row::{GateRow, Labels, RequestRow, Standing, Status};
pub use runs::{RunFilter, RunStands, RunSummary};
pub use state::{MAX_KEY_BYTES, MAX_KEYS, MAX_VALUE_BYTES};
pub use store::Store;
pub use watch::Watch;
pub use writer::FIRST_SEQ;
