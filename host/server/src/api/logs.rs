//! What steps printed.

use super::unfinished;
use crate::{
    App, Problem,
    access::Viewer,
    extract::{Json, Path, Query},
};
use axum::{extract::State, http::HeaderMap, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(log))
        .routes(routes!(raw_log))
        .routes(routes!(follow_log))
        .routes(routes!(search_log))
}

/// A piece of a log.
#[derive(Serialize, ToSchema)]
pub(crate) struct LogPage {
    /// The number of the first line, from 1.
    pub first: u64,
    /// The lines.
    pub lines: Vec<LogLineRow>,
    /// How many lines there are so far.
    pub total_lines: u64,
    /// How many bytes its text has so far.
    pub total_bytes: u64,
    /// Whether nothing more will come.
    pub complete: bool,
}

/// A line of a log.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct LogLineRow {
    /// Its number, from 1.
    pub n: u64,
    /// When.
    pub at_ms: u64,
    /// `stdout`, `stderr`, `plugin` or `system`.
    pub stream: String,
    /// The line, masked, with its ANSI codes and without its end. At most 64 KiB are sent.
    pub text: String,
}

/// Which lines.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// The first line, from 1; below 0 it counts from the end.
    pub from: Option<i64>,
    /// How many, 1 to 5000.
    #[param(minimum = 1, maximum = 5000)]
    pub limit: Option<u32>,
}

/// From where a log is followed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FollowQuery {
    /// The first line, from 1.
    pub from: Option<u64>,
}

/// What is looked for in a log.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchQuery {
    /// The text, 1 to 200 characters; small and capital letters are the same.
    pub q: String,
    /// Begin after this line.
    #[serde(default)]
    pub after: u64,
}

/// Where a text is in a log.
#[derive(Serialize, ToSchema)]
pub(crate) struct LogMatches {
    /// The lines that have it, at most 1000.
    pub lines: Vec<u64>,
    /// Whether there may be more.
    pub more: bool,
}

/// Lines of an attempt's log.
#[utoipa::path(get, path = "/api/v1/runs/{id}/logs/{step}/{attempt}", tag = "runs", params(("id" = String, Path), ("step" = String, Path), ("attempt" = u32, Path), LogQuery), responses((status = 200, body = LogPage)))]
async fn log(
    State(_app): State<App>,
    _: Viewer,
    Path(_place): Path<(String, String, u32)>,
    Query(_query): Query<LogQuery>,
) -> Result<Json<LogPage>, Problem> {
    unfinished()
}

/// An attempt's log as text, whole.
#[utoipa::path(get, path = "/api/v1/runs/{id}/logs/{step}/{attempt}/raw", tag = "runs", params(("id" = String, Path), ("step" = String, Path), ("attempt" = u32, Path)), responses((status = 200, content_type = "text/plain", body = String)))]
async fn raw_log(
    State(_app): State<App>,
    _: Viewer,
    Path(_place): Path<(String, String, u32)>,
) -> Result<Response, Problem> {
    unfinished()
}

/// An attempt's log as it is written, as server-sent events: `lines` with an array of lines, `restarted`, and `end`. The id is the number of the last line.
#[utoipa::path(get, path = "/api/v1/runs/{id}/logs/{step}/{attempt}/stream", tag = "runs", params(("id" = String, Path), ("step" = String, Path), ("attempt" = u32, Path), FollowQuery), responses((status = 200, content_type = "text/event-stream", body = String)))]
async fn follow_log(
    State(_app): State<App>,
    _: Viewer,
    Path(_place): Path<(String, String, u32)>,
    Query(_query): Query<FollowQuery>,
    _headers: HeaderMap,
) -> Result<Response, Problem> {
    unfinished()
}

/// Lines of an attempt's log that have a text.
#[utoipa::path(get, path = "/api/v1/runs/{id}/logs/{step}/{attempt}/search", tag = "runs", params(("id" = String, Path), ("step" = String, Path), ("attempt" = u32, Path), SearchQuery), responses((status = 200, body = LogMatches)))]
async fn search_log(
    State(_app): State<App>,
    _: Viewer,
    Path(_place): Path<(String, String, u32)>,
    Query(_query): Query<SearchQuery>,
) -> Result<Json<LogMatches>, Problem> {
    unfinished()
}
