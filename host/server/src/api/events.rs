//! Following runs, as server-sent events.

use super::unfinished;
use crate::{
    App, Problem,
    access::Viewer,
    extract::{Path, Query},
};
use axum::{extract::State, http::HeaderMap, response::Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events))
}

/// From where a run is followed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// The id of the last event that the reader has, as the header `Last-Event-ID`, which goes before it.
    pub after: Option<String>,
}

/// What a run tells, as server-sent events: the items of `windlass run --json`, without the lines of logs. Each has an id; a reader that was cut off
/// goes on after the last one that it has.
#[utoipa::path(get, path = "/api/v1/runs/{id}/events", tag = "runs", params(("id" = String, Path), EventsQuery), responses((status = 200, content_type = "text/event-stream", body = String)))]
async fn events(
    State(_app): State<App>,
    _: Viewer,
    Path(_id): Path<String>,
    Query(_query): Query<EventsQuery>,
    _headers: HeaderMap,
) -> Result<Response, Problem> {
    unfinished()
}
