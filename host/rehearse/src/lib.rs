//! Rehearsals: what a plugin asked of its host, kept once and answered again without the world behind it.
//!
//! **Purpose.** Two implementations of the traits in [`windlass_contract::capability`]. A [`Recorder`] wraps real ones and
//! writes down each call and its answer; a [`Replayer`] gives the same answers to the same calls, in the same order, and
//! tells the first [`Difference`]. What lies between them is a [`Session`]: a file of JSON lines that lives beside a
//! plugin's tests.
//!
//! **Invariants.**
//! - A session holds no value of a secret: whatever is written passes a [`Redactor`], and a secret's placeholder, which is
//!   random in a run, is the same stand-in each time.
//! - A replayer never guesses. A call that is not the next one of the session gets a refusal, and so does every call after it.
//! - Reading a session is bounded: its size, its lines and each of its data files.
//!
//! **Not here.** Real capabilities, the sandbox, and what a test expects of a plugin.

mod error;
mod form;
mod record;
mod refusal;
mod replay;
pub mod session;
mod veil;

pub use error::SessionError;
pub use record::Recorder;
pub use refusal::Refusal;
pub use replay::{Difference, Replayer};
pub use session::{Answer, Call, Session};
pub use veil::Redactor;
