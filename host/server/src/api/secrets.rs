//! Secrets: their names. Values are written and never read.

use crate::{
    App, Problem,
    access::{Operator, Viewer},
    extract::{Json, Path},
    secrets,
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(secrets)).routes(routes!(set_secret, delete_secret))
}

/// A secret without its value.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecretRow {
    /// Its name, such as `cicd/docker-registry`; pipelines write `secret:` before it.
    pub name: String,
    /// The hosts that it may be sent to.
    pub hosts: Vec<String>,
    /// When it was set.
    pub updated_at_ms: Option<u64>,
}

/// A secret to be set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretInput {
    /// The value, 1 byte to 64 KiB.
    pub value: String,
    /// The hosts that it may be sent to; none: it may not be sent by plugins at all.
    #[serde(default)]
    pub hosts: Vec<String>,
}

/// The names of the secrets. Those that belong to triggers and environments are not among them.
#[utoipa::path(get, path = "/api/v1/secrets", tag = "secrets", responses((status = 200, body = Vec<SecretRow>)))]
async fn secrets(State(app): State<App>, _: Viewer) -> Result<Json<Vec<SecretRow>>, Problem> {
    secrets::rows(&app).await.map(Json)
}

/// Set a secret, a new one or a new value.
#[utoipa::path(put, path = "/api/v1/secrets/{engine}/{path}", tag = "secrets", params(("engine" = String, Path), ("path" = String, Path, description = "A slash in it is written %2F")), request_body = SecretInput, responses((status = 204)))]
async fn set_secret(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(name): Path<(String, String)>,
    Json(body): Json<SecretInput>,
) -> Result<StatusCode, Problem> {
    secrets::set(&app, &caller, name, body.value, body.hosts).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a secret.
#[utoipa::path(delete, path = "/api/v1/secrets/{engine}/{path}", tag = "secrets", params(("engine" = String, Path), ("path" = String, Path)), responses((status = 204)))]
async fn delete_secret(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(name): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    secrets::remove(&app, &caller, name).await?;
    Ok(StatusCode::NO_CONTENT)
}
