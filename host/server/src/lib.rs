//! The server: HTTP API, events, triggers, and the web UI's files.
//!
//! **Purpose.** What a team uses all day. It carries runs out with the same driver as the command line, and offers everything over HTTP: to
//! the web UI, to programs, and to other systems' webhooks. `windlass server` starts it.
//!
//! **Layers.** [`serve`] opens the parts ([`App`]) and listens. `api` is the HTTP face, a module for each kind of thing, each with
//! its own routes; handlers read the request, call a part, and shape the answer. The parts know nothing of HTTP: `runs` carries runs out,
//! `plugins` knows what is installed, `access` knows who may what, `follow` what runs tell, `board` what
//! changes among them, `logs` what steps printed, `reports` what tests and scanners said. What is kept is in `windlass_store::records`.
//!
//! **Invariants.**
//! - A route is described or it is not there: the router is made of the OpenAPI document's operations.
//! - Every request but those of the sign-in, the health checks and the webhooks is somebody's, and its handler's type says which role it takes.
//! - Every error is a [`Problem`]. Every change is in the audit.
//! - A fact is durable before an answer tells it.
//! - What a client sends slowly, or takes slowly, holds nobody up: bodies, times and connections are bounded.
//!
//! **Not here.** What a pipeline means (`manifest`), what a run does next (`engine`), SQL (`store`).

#![allow(
    clippy::result_large_err,
    reason = "a problem is made once, where a request ends: its size is not on any hot path"
)]

mod access;
mod api;
mod app;
mod aside;
mod assets;
mod audit;
mod board;
mod clock;
mod config;
mod download;
mod edge;
mod environments;
mod extract;
mod follow;
mod idempotency;
mod installs;
mod logs;
mod market;
mod metrics;
mod page;
mod plugins;
mod problem;
mod reports;
mod runs;
mod secrets;
mod sequences;
mod streams;
mod throttle;
mod triggers;
mod views;
mod workflows;

pub use access::{Desk, Role};
pub use api::{
    access::{KeyRow, MadeKey, NewKey, NewUser, User, UserChange},
    document,
};
pub use app::{App, Settings, serve};
pub use page::{Page, Paging};
pub use problem::{FieldError, Problem};
