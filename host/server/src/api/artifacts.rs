//! What runs have made.

use super::unfinished;
use crate::{
    App, Problem,
    access::Viewer,
    extract::{Json, Path},
};
use axum::{extract::State, http::HeaderMap, response::Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(artifacts)).routes(routes!(artifact))
}

/// An artifact.
#[derive(Serialize, ToSchema)]
pub(crate) struct ArtifactRow {
    /// Its key.
    pub key: String,
    /// How many bytes.
    pub size: u64,
    /// sha256 of them.
    pub checksum: String,
    /// Its media type.
    pub media_type: String,
    /// When it was made.
    pub created_at_ms: u64,
}

/// The artifacts of a run.
#[utoipa::path(get, path = "/api/v1/runs/{id}/artifacts", tag = "runs", params(("id" = String, Path)), responses((status = 200, body = Vec<ArtifactRow>)))]
async fn artifacts(
    State(_app): State<App>,
    _: Viewer,
    Path(_id): Path<String>,
) -> Result<Json<Vec<ArtifactRow>>, Problem> {
    unfinished()
}

/// An artifact's bytes. Ranges are served, and `If-None-Match` with the digest.
#[utoipa::path(get, path = "/api/v1/runs/{id}/artifacts/{key}", tag = "runs", params(("id" = String, Path), ("key" = String, Path, description = "The key; a slash in it is written %2F")), responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 206, content_type = "application/octet-stream", body = Vec<u8>)))]
async fn artifact(
    State(_app): State<App>,
    _: Viewer,
    Path(_place): Path<(String, String)>,
    _headers: HeaderMap,
) -> Result<Response, Problem> {
    unfinished()
}
