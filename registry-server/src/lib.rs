//! The registry: OCI distribution, sparse index, publish gate.
//!
//! **Purpose.** One small server that carries plugins to every client of ours and to every OCI tool: bytes by the
//! distribution protocol ([`oci`]), versions by a sparse index ([`index`]), discovery by a well-known document, and one
//! door by which a version comes into being ([`gate`]).
//!
//! **Invariants.**
//! - A version is a line in the index, and nothing else is: a tag that reads as a version is looked up there. So the
//!   line's rename is the one moment at which a version begins to exist, and bytes that were pushed and refused by the
//!   gate can be reached by digest only.
//! - A line never changes and never goes, so neither do the bytes of a version.
//! - Every string that becomes a path is parsed into a type first: names, digests, tags, upload ids.
//! - What a client says of bytes (length, digest, size) is checked against the bytes.
//! - A token is stored as its hash, names the namespaces it owns, and expires.
//!
//! **Not here.** Private packages (whatever is in this registry, everybody may read), deleting, full-text search, yanking
//! and the market's pages: they come with the database. [`storage`] and [`index`] are where it will be put in.

mod api;
mod error;
pub mod gate;
pub mod index;
mod names;
pub mod oci;
pub mod storage;
pub mod tokens;

pub use error::RegistryError;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, patch, post},
};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::{Mutex, Semaphore};
use url::Url;
use windlass_package::Components;

/// How many publications are judged at once; more wait. Each compiles a component, which takes a core.
pub const GATES: usize = 2;
/// Largest body of the requests that carry no blob and no manifest, in bytes.
pub const MAX_REQUEST: usize = 256 * 1024;

/// What a registry is made with.
pub struct Settings {
    /// The folder that holds everything. One server at a time.
    pub data: PathBuf,
    /// The address by which clients reach it, such as `http://127.0.0.1:7420`. It is put into challenges and the
    /// well-known document, so it is configured and never taken from a request.
    pub public: Url,
    /// Who looks into components.
    pub components: Arc<dyn Components>,
}

/// A running registry's state. Cheap to clone.
#[derive(Clone)]
pub struct Registry(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) storage: storage::Storage,
    pub(crate) index: index::Index,
    pub(crate) tokens: tokens::Tokens,
    pub(crate) components: Arc<dyn Components>,
    pub(crate) public: Url,
    pub(crate) gates: Semaphore,
    /// Held from the last check to the new line, so that two publications see each other.
    pub(crate) publishing: Mutex<()>,
}

impl Registry {
    /// Opens the data folder and reads the index.
    ///
    /// # Errors
    /// When it cannot be used, holds an index that is not valid, or another server holds it.
    pub fn open(settings: Settings) -> Result<Self, RegistryError> {
        Ok(Registry(Arc::new(Shared {
            storage: storage::Storage::open(settings.data.clone())?,
            index: index::Index::open(settings.data.join("index"))?,
            tokens: tokens::Tokens::new(&settings.data),
            components: settings.components,
            public: settings.public,
            gates: Semaphore::new(GATES),
            publishing: Mutex::new(()),
        })))
    }

    /// `host:port`, as the well-known document and challenges name it.
    pub(crate) fn host(&self) -> String {
        let url = &self.0.public;
        match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        }
    }

    /// The routes.
    pub fn router(self) -> Router {
        // Blobs and manifests count their own bytes; everything else is small.
        let oci = Router::new()
            .route("/v2/", get(oci::ping))
            .route("/v2", get(oci::ping))
            .route("/v2/{namespace}/{name}/blobs/uploads/", post(oci::upload_begin))
            .route("/v2/{namespace}/{name}/blobs/uploads", post(oci::upload_begin))
            .route(
                "/v2/{namespace}/{name}/blobs/uploads/{id}",
                patch(oci::upload_append).put(oci::upload_finish).get(oci::upload_status).delete(oci::upload_cancel),
            )
            .route("/v2/{namespace}/{name}/blobs/{digest}", get(oci::blob))
            .route("/v2/{namespace}/{name}/manifests/{reference}", get(oci::manifest).put(oci::manifest_put))
            .route("/v2/{namespace}/{name}/tags/list", get(oci::tags))
            .route("/v2/{namespace}/{name}/referrers/{digest}", get(oci::referrers))
            .layer(DefaultBodyLimit::disable());
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/token", get(oci::token))
            .route("/.well-known/wasm-pkg/registry.json", get(api::well_known))
            .route("/index/{namespace}/{name}", get(api::index))
            .route("/api/v1/search", get(api::search))
            .route("/api/v1/publish", post(api::publish))
            .layer(DefaultBodyLimit::max(MAX_REQUEST))
            .merge(oci)
            .with_state(self)
    }
}
