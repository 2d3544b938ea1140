//! What steps printed.

use super::events::run_id;
use crate::{
    App, Problem,
    access::Viewer,
    download::{self, Thing},
    extract::{Json, Path, Query},
    logs::{self, Attempt, LogSource},
    streams,
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
    /// The lines: fewer than were asked for where they are over 4 MiB together, or where there are no more.
    pub lines: Vec<LogLineRow>,
    /// How many lines there are so far.
    pub total_lines: u64,
    /// How many bytes its text has so far.
    pub total_bytes: u64,
    /// Whether nothing more will come.
    pub complete: bool,
}

/// A line of a log. What it would have overwritten with a carriage return is gone, and control sequences other than colours are shown.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct LogLineRow {
    /// Its number, from 1.
    pub n: u64,
    /// When.
    pub at_ms: u64,
    /// `stdout`, `stderr`, `plugin` or `system`.
    pub stream: String,
    /// The line, masked, with its ANSI colours and without its end. At most 64 KiB of it are sent.
    pub text: String,
    /// How many bytes more it has; absent where that is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<u64>,
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
    /// The last line that was looked at: what to send as `after` for the rest.
    pub looked_at: u64,
}

/// Lines of an attempt's log.
#[utoipa::path(get, path = "/api/v1/runs/{id}/logs/{step}/{attempt}", tag = "runs", params(("id" = String, Path), ("step" = String, Path), ("attempt" = u32, Path), LogQuery), responses((status = 200, body = LogPage)))]
async fn log(
    State(app): State<App>,
    _: Viewer,
    Path((id, step, attempt)): Path<(String, String, u32)>,
    Query(query): Query<LogQuery>,
) -> Result<Json<LogPage>, Problem> {
    let limit = query.limit.unwrap_or(logs::DEFAULT_PAGE_LINES);
    if !(1..=logs::MAX_PAGE_LINES).contains(&limit) {
        return Err(Problem::field("?limit", format!("limit is 1 to {}", logs::MAX_PAGE_LINES)));
    }
    let from = query.from.unwrap_or(1);
    if from == 0 {
        return Err(Problem::field("?from", "lines are numbered from 1; below 0 it counts from the end"));
    }
    let attempt = Attempt::find(&app, run_id(&id)?, &step, attempt).await?;
    Ok(Json(logs::page(&app, attempt, from, limit).await?))
}

/// An attempt's log as text, whole: what its containers, its plugin and the host printed, masked, with its ANSI codes. Of one that is still written,
/// what there is. Ranges are served.
#[utoipa::path(get, path = "/api/v1/runs/{id}/logs/{step}/{attempt}/raw", tag = "runs", params(("id" = String, Path), ("step" = String, Path), ("attempt" = u32, Path)), responses((status = 200, content_type = "text/plain", body = String), (status = 206, content_type = "text/plain", body = String)))]
async fn raw_log(
    State(app): State<App>,
    _: Viewer,
    Path((id, step, attempt)): Path<(String, String, u32)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let attempt = Attempt::find(&app, run_id(&id)?, &step, attempt).await?;
    let name = format!("{}.{}.{}.txt", attempt.run, attempt.step, attempt.attempt);
    let lines = logs::lines(&app, &attempt).await?;
    let size = lines.as_ref().map_or(0, |lines| lines.end().bytes());
    // One that has ended does not change any more.
    let ended = lines.as_ref().is_some_and(windlass_store::logs::LogLines::ended);
    let etag = ended.then(|| format!("\"{}.{}.{}-{size}\"", attempt.run, attempt.step, attempt.attempt));
    let thing = Thing { size, etag, text: true, inline: true, name: &name };
    download::respond(&thing, &headers, |part| {
        let text = lines.map(|lines| lines.text(part.start)).transpose()?;
        Ok(download::blocking(text, |text| match text {
            Some(text) => text.next_piece().map_err(std::io::Error::other),
            None => Ok(None),
        }))
    })
}

/// An attempt's log as it is written, as server-sent events: `lines` with an array of lines, `restarted` where the attempt is carried out again after a
/// crash and its log begins anew, and `end`. The id is the number of the last line; after it goes on who was cut off.
#[utoipa::path(get, path = "/api/v1/runs/{id}/logs/{step}/{attempt}/stream", tag = "runs", params(("id" = String, Path), ("step" = String, Path), ("attempt" = u32, Path), FollowQuery), responses((status = 200, content_type = "text/event-stream", body = Vec<LogLineRow>)))]
async fn follow_log(
    State(app): State<App>,
    Viewer(caller): Viewer,
    Path((id, step, attempt)): Path<(String, String, u32)>,
    Query(query): Query<FollowQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = streams::last_event_id(&headers, None)?;
    let number = |text: String| {
        let wrong = || Problem::field("Last-Event-ID", "the last event of a log is the number of a line");
        text.parse::<u64>().map_err(|_| wrong())
    };
    let last = last.map(number).transpose()?;
    if query.from == Some(0) {
        return Err(Problem::field("?from", "lines are numbered from 1"));
    }
    let after = last.or(query.from.map(|from| from - 1)).unwrap_or(0);
    let attempt = Attempt::find(&app, run_id(&id)?, &step, attempt).await?;
    let place = app.streams().enter(&caller)?;
    Ok(streams::respond(place, LogSource::open(&app, attempt, after).await?))
}

/// Lines of an attempt's log that have a text.
#[utoipa::path(get, path = "/api/v1/runs/{id}/logs/{step}/{attempt}/search", tag = "runs", params(("id" = String, Path), ("step" = String, Path), ("attempt" = u32, Path), SearchQuery), responses((status = 200, body = LogMatches)))]
async fn search_log(
    State(app): State<App>,
    _: Viewer,
    Path((id, step, attempt)): Path<(String, String, u32)>,
    Query(query): Query<SearchQuery>,
) -> Result<Json<LogMatches>, Problem> {
    let length = query.q.chars().count();
    if !(1..=logs::MAX_SEARCH_CHARACTERS).contains(&length) {
        return Err(Problem::field("?q", format!("q has 1 to {} characters", logs::MAX_SEARCH_CHARACTERS)));
    }
    let attempt = Attempt::find(&app, run_id(&id)?, &step, attempt).await?;
    Ok(Json(logs::search(&app, attempt, query.q, query.after).await?))
}
