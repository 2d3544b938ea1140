//! The server itself.

use crate::{App, Problem, access::Viewer, extract::Json, metrics};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
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
async fn health(State(app): State<App>) -> (StatusCode, Json<Health>) {
    let engine = match app.host().toolbox().engine_version().await {
        Ok(version) => Check { name: "container-engine".to_owned(), ok: true, detail: format!("answers: {version}") },
        Err(why) => Check { name: "container-engine".to_owned(), ok: false, detail: why.to_string() },
    };
    told(databases(&app).await.into_iter().chain([engine]).collect())
}

/// Whether the process answers.
#[utoipa::path(get, path = "/health/live", tag = "system", security(()), responses((status = 200, body = Health)))]
async fn live() -> Json<Health> {
    Json(Health { status: "ok".to_owned(), checks: Vec::new() })
}

/// Whether it takes requests: the databases answer.
#[utoipa::path(get, path = "/health/ready", tag = "system", security(()), responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn ready(State(app): State<App>) -> (StatusCode, Json<Health>) {
    told(databases(&app).await.into())
}

async fn databases(app: &App) -> [Check; 2] {
    let check = |name: &str, found: Result<(), windlass_store::StoreError>| {
        if let Err(error) = &found {
            // What is wrong is the operator's to know, and strangers may ask this.
            tracing::error!("{name} does not answer: {error}");
        }
        let detail = if found.is_ok() { "answers" } else { "does not answer; the server's log says why" };
        Check { name: name.to_owned(), ok: found.is_ok(), detail: detail.to_owned() }
    };
    let log = app.host().store().gates(None).await.map(drop);
    let records = app.records().has_users().await.map(drop);
    [check("event-log", log), check("records", records)]
}

fn told(checks: Vec<Check>) -> (StatusCode, Json<Health>) {
    let ok = checks.iter().all(|check| check.ok);
    let (code, status) = if ok { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "failing") };
    (code, Json(Health { status: status.to_owned(), checks }))
}

/// Measures, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "system", responses((status = 200, content_type = "application/openmetrics-text", body = String)))]
async fn metrics(State(app): State<App>, _: Viewer) -> Result<impl IntoResponse, Problem> {
    let now = metrics::Now {
        active_runs: app.runs().count() as u64,
        open_gates: app.host().store().count_gates().await?,
        open_streams: app.streams().count() as u64,
    };
    let text = app.metrics().render(now);
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text))
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
