//! The registry: OCI distribution, sparse index, publish gate.
//!
//! **Purpose.** One small server that carries plugins to every client of ours and to every OCI tool: bytes by the
//! distribution protocol ([`oci`]), versions by a sparse index ([`mod@index`]) under a signed snapshot ([`snapshot`]), discovery
//! by a well-known document, and one door by which a version comes into being ([`gate`]).
//!
//! **Invariants.**
//! - A version is a row of the database ([`database`]) and comes into being in one transaction, with its line in the index.
//! - Of a line nothing changes but its status, and it never goes; so neither do the bytes of a version that is not removed.
//! - Every string that becomes a path is parsed into a type first: names, digests, tags, upload ids.
//! - What a client says of bytes (length, digest, size) is checked against the bytes.
//! - A token is kept as its hash, is for some actions in some namespaces, and expires ([`accounts`]).
//! - What was changed is in the audit log, written by the transaction that changed it.
//!
//! **Not here.** Private packages: whatever is in this registry, everybody may read.

pub mod accounts;
mod api;
mod auth;
pub mod config;
pub mod connections;
pub mod database;
mod error;
pub mod failpoints;
pub mod gate;
pub mod index;
pub mod jobs;
pub mod limits;
pub mod market;
mod metrics;
mod names;
mod observe;
pub mod oci;
pub mod snapshot;
pub mod status;
pub mod storage;
pub mod trusted;

pub use error::RegistryError;

use crate::{
    config::Config,
    database::{Database, Sqlite},
    index::Index,
    limits::Limits,
    metrics::Metrics,
    storage::{Blobs, Folder},
    trusted::Issuers,
};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::{Mutex, RwLock, Semaphore};
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};
use url::Url;
use windlass_package::Components;

/// How many publications are judged at once; more wait. Each compiles a component, which takes a core.
pub const GATES: usize = 2;
/// Largest body of the requests that carry no blob and no manifest, in bytes.
pub const MAX_REQUEST: usize = 256 * 1024;

/// How long a request that carries no blob may take, in seconds.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a blob may take to come, in seconds: the largest one at 110 KiB a second, so that a slow drip ends.
pub const TRANSFER_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a publication may take, in seconds: the compiler's own limit is 300, and two wait for each other.
pub const GATE_TIMEOUT: Duration = Duration::from_secs(660);

/// What a registry is made with.
pub struct Settings {
    /// The folder that holds everything. One server at a time.
    pub data: PathBuf,
    /// The address by which clients reach it, such as `http://127.0.0.1:7420`. It is put into challenges and the
    /// well-known document, so it is configured and never taken from a request.
    pub public: Url,
    /// Who looks into components.
    pub components: Arc<dyn Components>,
    /// What the operator configured.
    pub config: Config,
}

/// A running registry's state. Cheap to clone.
#[derive(Clone)]
pub struct Registry(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) database: Arc<dyn Database>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) index: Index,
    pub(crate) components: Arc<dyn Components>,
    pub(crate) public: Url,
    pub(crate) behind_proxy: bool,
    pub(crate) limits: Limits,
    pub(crate) issuers: Issuers,
    pub(crate) metrics: Metrics,
    pub(crate) downloads: market::downloads::Counter,
    pub(crate) gates: Semaphore,
    /// Held from the last check of a new name to its row, so that two of them see each other.
    pub(crate) door: Mutex<()>,
    /// Held alone by who deletes a blob that nothing needs, shared by who puts a manifest that may need it.
    pub(crate) collection: RwLock<()>,
}

impl Registry {
    /// Opens the data folder.
    ///
    /// # Errors
    /// When it cannot be used, was written by a later version, or another server holds it.
    pub async fn open(settings: Settings) -> Result<Self, RegistryError> {
        // Before the database is touched: the lock says whose the folder is.
        let blobs: Arc<dyn Blobs> = Arc::new(Folder::open(&settings.data)?);
        let database: Arc<dyn Database> = Arc::new(Sqlite::open(&settings.data).await?);
        let key = snapshot::Key::open(&settings.data)?;
        let Config { behind_proxy, limits, issuers } = settings.config;
        let config = |why: String| RegistryError::Config { path: "the settings".to_owned(), why };
        let registry = Registry(Arc::new(Shared {
            index: Index::open(database.clone(), key).await?,
            database,
            blobs,
            components: settings.components,
            public: settings.public,
            behind_proxy,
            limits: Limits::new(&limits).map_err(config)?,
            issuers: Issuers::new(issuers).map_err(|error| config(error.to_string()))?,
            metrics: Metrics::new(),
            downloads: market::downloads::Counter::default(),
            gates: Semaphore::new(GATES),
            door: Mutex::new(()),
            collection: RwLock::new(()),
        }));
        // Nobody is shown a snapshot whose time is over, not even in the first second.
        registry.renew_snapshot(jiff::Timestamp::now()).await?;
        Ok(registry)
    }

    /// Writes what was counted, and lets go of the database, after what was begun.
    pub async fn close(&self) {
        if let Err(error) = self.flush_downloads().await {
            tracing::error!(%error, "the last downloads are lost");
        }
        self.0.database.close().await;
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
        let within = |time| TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, time);
        let described = market::openapi::described();
        let own = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(api::ready))
            .route("/metrics", get(api::metrics))
            .route("/token", get(oci::token))
            .route("/.well-known/wasm-pkg/registry.json", get(api::well_known))
            .route("/index/{namespace}/{name}", get(api::index))
            .route("/snapshot.json", get(api::snapshot))
            .route("/snapshot/bins/{digest}", get(api::bin))
            .merge(described.api)
            .layer(within(REQUEST_TIMEOUT));
        Router::new()
            .merge(described.gate.layer(within(GATE_TIMEOUT)))
            .merge(own)
            .layer(DefaultBodyLimit::max(MAX_REQUEST))
            .layer(from_fn(connections::at_most::<{ MAX_REQUEST as u64 }>))
            .merge(oci::router().layer(within(TRANSFER_TIMEOUT)))
            .fallback(oci::nowhere)
            .layer(CatchPanicLayer::new())
            .layer(from_fn_with_state(self.clone(), observe::observe))
            .with_state(self)
    }
}
