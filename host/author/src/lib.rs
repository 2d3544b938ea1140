//! What the author of a plugin uses: a folder to begin with, a build, tests without a daemon, and a loop over both.
//!
//! **Purpose.** [`scaffold`] writes a new plugin, [`build`] runs what its manifest says and looks at what came of it,
//! [`case`](mod@case) and [`stage`] call the component in the real sandbox with rehearsed capabilities, [`schema`] describes
//! `plugin.yaml` for editors, and [`watch`] tells when a plugin's sources have changed.
//!
//! **Invariants.**
//! - A plugin is built by its language's ordinary tools. What is written into a new folder needs nothing of ours to build.
//! - A test that replays reaches nothing: no daemon, no container, no network, no secret, no file but its own.
//! - A new folder is there as a whole or not at all.
//!
//! **Not here.** Printing and arguments (the command line), publishing (`package`), and what a session is (`rehearse`).

pub mod build;
pub mod case;
mod error;
pub mod scaffold;
pub mod schema;
pub mod stage;
pub mod watch;

pub use error::AuthorError;
