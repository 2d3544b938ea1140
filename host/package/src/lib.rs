//! Find, fetch, verify, lock and compile plugins: the registry's client.
//!
//! **Purpose.** Everything between `windlass plugin …` and a component that lies on the disk, checked, granted, locked,
//! compiled and described. Two halves:
//!
//! - *formats*, pure, shared with `registry-server`: the plugin manifest ([`manifest`]), the index line and the publish
//!   request ([`release`]), signatures ([`signature`]), the
//!   index's signed snapshot ([`snapshot`]), the market's answers ([`market`]), the OCI packaging ([`oci`]);
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

pub mod archive;
pub mod client;
mod components;
pub mod config;
mod consent;
mod cosign;
mod credentials;
pub mod dev;
mod distribution;
mod endpoint;
mod error;
mod facts;
mod failpoints;
mod files;
pub mod grants;
pub mod home;
mod http;
mod index;
pub mod install;
pub mod installed;
pub mod lock;
pub mod manifest;
pub mod market;
pub mod oci;
mod plain;
mod plan;
pub mod publish;
pub mod release;
pub mod removal;
pub mod resolve;
pub mod signature;
pub mod snapshot;
mod source;
pub mod store;
pub mod update;
pub mod vendor;
mod verification;

pub use components::Components;
pub use config::Origin;
pub use consent::differences;
pub use error::PackageError;
pub use home::Home;
pub use http::{Progress, Silent};
pub use install::{Consent, ConsentRequest, Installer, Outcome, Request, install};
pub use installed::{Installed, installed, locked};
pub use source::Source;
