//! What a run tells: one stream of [`Item`]s, on which the command line, the server and the web UI stand. Pure.
//!
//! **Purpose.** Events say what the engine must know, and leave out what follows from it: which steps were skipped and why, what
//! became of a gate, which condition led on. A [`Projector`] holds a replica of the run and tells all of it, event by event. What it
//! tells is rendered by functions that know nothing else: [`json_lines`], [`sse`], [`junit`], [`console`]. [`why`] and [`summary`]
//! speak about a run as it stands.
//!
//! **Invariants.**
//! - The same events give the same items with the same [`EventId`]s, whether they come live or out of the store, so a reader
//!   that was cut off goes on exactly where it stood.
//! - An attempt begins with one item (`step-started`, `gate-opened`, `sub-run-started`) and ends with exactly one of its kind
//!   (`step-ended`, `gate-decided`, `sub-run-ended`); a step that never began has one that says why.
//! - No I/O, no clock: times in texts are differences of times that events have.
//!
//! **Not here.** Reading events and logs (`store`), colours (whoever has a screen), what a run does next (`engine`).

pub mod console;
mod id;
mod item;
pub mod json_lines;
pub mod junit;
mod projector;
pub mod sse;
pub mod summary;
mod tone;
pub mod why;
pub mod words;

pub use id::{BadEventId, EventId};
pub use item::{Counts, Ended, GateKind, Item, LogLine, Stream, Told};
pub use projector::Projector;
pub use tone::{Paint, Plain, Tone};
