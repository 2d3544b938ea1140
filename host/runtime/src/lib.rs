//! The sandbox: the only crate that names wasmtime.
//!
//! **Purpose.** Turns a component on disk into something that can be called ([`Runtime::compile`], [`Runtime::load`]),
//! calls it within limits and with exactly what it was granted ([`Runtime::run`] and its siblings), and says in words
//! what went wrong ([`CallError`]). [`inspect()`] tells what a component is without compiling it.
//!
//! **Invariants.**
//! - The host never compiles: a child process does, with limits of its own. Compiled code comes from the
//!   host's own cache or from nowhere.
//! - A call gets a fresh store and instance; nothing of the guest outlives it. A trap, a timeout and a dropped future
//!   drop the store too.
//! - An interface that was not granted is not linked, and a component that imports it is refused before it is
//!   instantiated, by the name of the grant.
//! - WASI is there because toolchains import it, and is closed: empty environment and arguments, no files, no sockets, no
//!   names; standard output and error go to the log under its quota.
//! - There is one engine and one clock. The clock is never moved to stop one guest.
//! - Every limit is a constant in [`limits`], and each is hit by a test.
//!
//! **Not here.** Who is granted what, masking of secrets, retries, and everything behind the capability traits.

mod bindings;
mod cache;
mod compile;
mod engine;
mod error;
mod explain;
#[allow(unreachable_pub, reason = "what bindgen re-exports inside this crate must be named `pub`")]
mod guest;
mod host;
mod imports;
mod inspect;
pub mod limits;
mod log;
mod runtime;

pub use compile::{CHILD_ARGUMENT, CompileReport, compile_child_main};
pub use error::{
    CallError, Limit, LimitReport, NotGranted, Place, ProviderError, ProviderErrorKind, RuntimeError, StepError,
    StepErrorKind, TrapReport,
};
pub use inspect::{InspectError, Inspection, inspect};
pub use limits::{CallLimits, CompileLimits};
pub use runtime::{Plugin, PluginDiagnostic, RunReport, Runtime, Settings, Severity};
