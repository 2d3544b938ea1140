//! The server itself.

use super::unfinished;
use crate::{App, Problem, access::Viewer, extract::Json};
use axum::{extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(live))
        .routes(routes!(ready))
        .routes(routes!(metrics))
        .routes(routes!(about))
}

/// Whether the server does its work.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok` or `failing`.
    pub status: String,
    /// Its parts.
    pub checks: Vec<Check>,
}

/// Whether a part does its work.
#[derive(Serialize, ToSchema)]
pub(crate) struct Check {
    /// The part: `event-log`, `records`, `container-engine`.
    pub name: String,
    /// Whether it does.
    pub ok: bool,
    /// Why not, or what it is.
    pub detail: String,
}

/// What this server is.
#[derive(Serialize, ToSchema)]
pub(crate) struct About {
    /// Its version.
    pub version: String,
    /// Under which address it is reached.
    pub public_url: String,
    /// The version of the plugins' contract.
    pub contract: String,
    /// How many runs go on or wait for a place.
    pub active_runs: u64,
    /// How many gates are open.
    pub open_gates: u64,
}

/// Whether everything does its work.
#[utoipa::path(get, path = "/health", tag = "system", security(()), responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn health(State(_app): State<App>) -> Result<(StatusCode, Json<Health>), Problem> {
    unfinished()
}

/// Whether the process answers.
#[utoipa::path(get, path = "/health/live", tag = "system", security(()), responses((status = 200, body = Health)))]
async fn live() -> Json<Health> {
    Json(Health { status: "ok".to_owned(), checks: Vec::new() })
}

/// Whether it takes requests: the databases answer.
#[utoipa::path(get, path = "/health/ready", tag = "system", security(()), responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn ready(State(_app): State<App>) -> Result<(StatusCode, Json<Health>), Problem> {
    unfinished()
}

/// Measures, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "system", responses((status = 200, content_type = "application/openmetrics-text", body = String)))]
async fn metrics(State(_app): State<App>, _: Viewer) -> Result<String, Problem> {
    unfinished()
}

/// What this server is.
#[utoipa::path(get, path = "/api/v1/about", tag = "system", responses((status = 200, body = About)))]
async fn about(State(app): State<App>, _: Viewer) -> Result<Json<About>, Problem> {
    Ok(Json(About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        public_url: app.public_url().to_owned(),
        contract: windlass_contract::CONTRACT_VERSION.to_owned(),
        active_runs: app.runs().count() as u64,
        open_gates: app.host().store().count_gates().await?,
    }))
}
