//! Find, fetch, verify, lock and compile plugins: the registry's client.
//!
//! **Purpose.** Everything between `windlass plugin …` and a component that lies on the disk, checked, granted, locked,
//! compiled and described. Two halves:
//!
//! - *formats*, pure, shared with `registry-server`: the plugin manifest ([`manifest`]), the index line and the publish
//!   request ([`release`]), signatures ([`signature`]), the
//!   index's signed snapshot ([`snapshot`]), the OCI packaging ([`oci`]);
//! - *effects*: the user's folder ([`home`]), the store of components ([`store`]), the project's lock and grants
//!   ([`lock`], [`grants`]), the HTTP client ([`client`]), and what is built of those: [`mod@install`], [`mod@installed`],
//!   [`publish`].
//!
//! **Invariants.**
//! - A namespace belongs to exactly one registry; another is never asked (dependency confusion).
//! - Bytes are used only when their SHA-256 is the one that was signed, indexed and locked. A difference is an error that
//!   prints both digests, never a second try.
//! - A registry's index only grows. One that lost or changed a release that was seen before is refused (rollback).
//! - What may be done is the intersection of what the manifest asks and what the grants file gives.
//! - Every file is written to a temporary name, synced and renamed: a crash leaves the old file or the new one.
//! - [`installed::installed`] makes no request and hashes nothing.
//!
//! **Not here.** Running a component ([`Components`] is the seam: the runtime implements it), and the registry's own rules
//! (the publish gate is in `registry-server`).

pub mod client;
mod components;
mod error;
mod files;
pub mod grants;
pub mod home;
pub mod install;
pub mod installed;
pub mod lock;
pub mod manifest;
pub mod oci;
pub mod publish;
pub mod release;
pub mod signature;
pub mod snapshot;
pub mod store;

pub use components::Components;
pub use error::PackageError;
pub use home::Home;
pub use install::{Consent, ConsentRequest, Outcome, Request, install};
pub use installed::{Installed, installed, locked};
