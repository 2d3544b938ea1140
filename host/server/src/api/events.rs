//! Following runs, as server-sent events.

use crate::{
    App, Problem,
    access::Viewer,
    board::Change,
    extract::{Path, Query},
    follow::Follower,
    problem::Kind,
    streams::{self, Source, event},
};
use axum::{extract::State, http::HeaderMap, response::Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use windlass_contract::{CodedError as _, RunId};
use windlass_report::{BadEventId, EventId};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(changes))
}

/// From where a run is followed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// The id of the last event that the reader has, as the header `Last-Event-ID`, which goes before it.
    pub after: Option<String>,
}

/// A run's id; there is none of a text that cannot be one.
pub(super) fn run_id(text: &str) -> Result<RunId, Problem> {
    text.parse().map_err(|_| Problem::not_found("run of this id"))
}

/// What a run tells, as server-sent events: the items of `windlass run --json`, without the lines of logs. Each has an id; a reader that was cut off
/// goes on after the last one that it has. After the last one of a run that has ended comes `end`: nothing more will come, and a reader closes.
#[utoipa::path(get, path = "/api/v1/runs/{id}/events", tag = "runs", params(("id" = String, Path), EventsQuery), responses((status = 200, content_type = "text/event-stream", body = String)))]
async fn events(
    State(app): State<App>,
    Viewer(caller): Viewer,
    Path(id): Path<String>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let run = run_id(&id)?;
    let last = streams::last_event_id(&headers, query.after.as_deref())?;
    let unreadable = |error: BadEventId| {
        Problem { code: error.code().to_string(), ..Problem::new(Kind::Invalid, error.to_string()) }
            .help(error.help().unwrap_or_default())
    };
    let last = last.map(|text| text.parse::<EventId>()).transpose().map_err(unreadable)?;
    if let Some(other) = last.as_ref().filter(|last| last.run != run) {
        return Err(Problem::new(
            Kind::Invalid,
            format!("the last event is of the run {}, and this is {run}", other.run),
        )
        .help("leave the last event away to read this run from its beginning"));
    }
    let place = app.streams().enter(&caller)?;
    let followed = app.following().open(&run).await?;
    Ok(streams::respond(place, Follower::new(followed, last.map(|last| (last.seq, last.part)))))
}

/// A run that stands otherwise than it did.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunChange {
    /// The run.
    pub id: String,
    /// The pipeline's name.
    pub workflow: String,
    /// As of a run in a list.
    pub status: String,
    /// How it ended.
    pub outcome: Option<String>,
}

/// A gate that was opened, or is over.
#[derive(Serialize, ToSchema)]
pub(crate) struct GateChange {
    /// The run.
    pub run: String,
    /// The step.
    pub step: String,
    /// Whether it is open now.
    pub open: bool,
    /// How many are open in all.
    pub open_gates: u64,
}

/// What changes among all runs, as server-sent events, for whoever shows a list: `run` with a run that is new or stands otherwise, `gate` with a gate
/// that was opened or is over, and `look`, at the beginning and where something may have been missed: read the list again.
#[utoipa::path(get, path = "/api/v1/events", tag = "runs", responses((status = 200, content_type = "text/event-stream", body = RunChange), (status = 206, description = "Never answered: the form of `gate` events", content_type = "text/event-stream", body = GateChange)))]
async fn changes(State(app): State<App>, Viewer(caller): Viewer) -> Result<Response, Problem> {
    let place = app.streams().enter(&caller)?;
    Ok(streams::respond(place, Changes { listener: app.board().listen(), begun: false }))
}

struct Changes {
    listener: Receiver<Change>,
    begun: bool,
}

impl Source for Changes {
    async fn next(&mut self) -> Option<Bytes> {
        let look = || event("look", None, &serde_json::json!({}));
        if !std::mem::replace(&mut self.begun, true) {
            return Some(look());
        }
        loop {
            return Some(match self.listener.recv().await {
                Ok(Change::Run { otherwise: false, .. }) => continue,
                Ok(Change::Run { stands, .. }) => {
                    let (id, workflow) = (stands.run.to_string(), stands.name.clone());
                    let (status, outcome) = (stands.status.clone(), stands.outcome.clone());
                    event("run", None, &RunChange { id, workflow, status, outcome })
                }
                Ok(Change::Gate { run, step, open, open_gates }) => {
                    event("gate", None, &GateChange { run: run.to_string(), step, open, open_gates: open_gates as u64 })
                }
                Ok(Change::Anything) | Err(RecvError::Lagged(_)) => look(),
                Err(RecvError::Closed) => return None,
            });
        }
    }
}
