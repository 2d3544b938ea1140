//! What begins runs by itself.

use super::unfinished;
use crate::{
    App, Page, Paging, Problem,
    access::{Operator, Viewer},
    extract::{Json, Path, Query},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(triggers, create))
        .routes(routes!(trigger, change, delete))
        .routes(routes!(rotate))
        .routes(routes!(deliveries))
        .routes(routes!(redeliver))
}

/// How a trigger works.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum TriggerSpec {
    /// Any system that can send a signed request.
    Webhook {
        /// When it begins a run: an expression over `event.body` and `event.headers`, such as `event.body.action == 'published'`; always without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filter: Option<String>,
        /// Inputs of the run: templates over `event`.
        #[serde(default)]
        #[schema(value_type = Object)]
        inputs: Map<String, Value>,
    },
    /// A repository at GitHub, or at what speaks as it does.
    Github {
        /// For which events: `push`, `pull_request`, `tag`.
        events: Vec<GithubEvent>,
        /// For which branches (of a pull request: those that it goes to), as globs; all without them.
        #[serde(default)]
        branches: Vec<String>,
        /// For which tags, as globs; all without them.
        #[serde(default)]
        tags: Vec<String>,
        /// For changes of which files, as globs; `!` before one takes away. All without them.
        #[serde(default)]
        paths: Vec<String>,
        /// As of a webhook.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filter: Option<String>,
        /// As of a webhook.
        #[serde(default)]
        #[schema(value_type = Object)]
        inputs: Map<String, Value>,
    },
    /// Times.
    Schedule {
        /// Five fields of cron, such as `0 9 * * 1-5`.
        cron: String,
        /// The time zone, such as `Europe/Berlin`; UTC without it.
        #[serde(default = "utc")]
        time_zone: String,
        /// What to do when the run before still goes on.
        #[serde(default)]
        overlap: Overlap,
        /// What to do about times at which no server was there.
        #[serde(default)]
        missed: Missed,
        /// Inputs of the run: templates over `event.time_ms`.
        #[serde(default)]
        #[schema(value_type = Object)]
        inputs: Map<String, Value>,
    },
}

fn utc() -> String {
    "UTC".to_owned()
}

/// The events of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GithubEvent {
    /// A branch has new commits.
    Push,
    /// A pull request was opened, reopened, or has new commits.
    PullRequest,
    /// A tag was made.
    Tag,
}

/// What a schedule does when the run before still goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Overlap {
    /// Begin nothing.
    #[default]
    Skip,
    /// Begin when that one has ended; one at most waits.
    Queue,
    /// Begin beside it.
    Allow,
    /// Ask that one to stop, and begin when it has.
    CancelPrevious,
}

/// What a schedule does about times at which no server was there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Missed {
    /// Nothing.
    #[default]
    Skip,
    /// Begin one run for all of them.
    RunOnce,
}

/// A trigger.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Trigger {
    /// Its id.
    pub id: String,
    /// The pipeline that it begins.
    pub workflow: String,
    /// For people.
    pub name: String,
    /// How it works.
    pub spec: TriggerSpec,
    /// Whether it does.
    pub enabled: bool,
    /// Where requests go, of a webhook.
    pub url: Option<String>,
    /// When it comes next, of a schedule.
    pub next_ms: Option<u64>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at_ms: u64,
    /// What it did last.
    pub last: Option<DeliveryRow>,
}

/// A trigger to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTrigger {
    /// For people, 1 to 100 characters.
    pub name: String,
    /// How it works.
    pub spec: TriggerSpec,
}

/// What is to change of a trigger; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TriggerChange {
    /// For people.
    pub name: Option<String>,
    /// How it works. The kind cannot change.
    pub spec: Option<TriggerSpec>,
    /// Whether it does.
    pub enabled: Option<bool>,
}

/// A trigger that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeTrigger {
    /// The trigger.
    pub trigger: Trigger,
    /// What requests are signed with, of a webhook: the only time that it is seen.
    pub secret: Option<String>,
}

/// What came of a request, or of a schedule's time.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DeliveryRow {
    /// Its number.
    pub id: i64,
    /// When it came.
    pub at_ms: u64,
    /// Its sender's id for it, or the time that it was for.
    pub key: String,
    /// What kind of event it was.
    pub event: String,
    /// `accepted` (the run is to begin), `started`, `filtered`, `skipped`, `refused` or `failed`.
    pub status: String,
    /// Why no run was begun, in words.
    pub reason: Option<String>,
    /// The run that it began.
    pub run: Option<String>,
}

/// The triggers of a pipeline.
#[utoipa::path(get, path = "/api/v1/workflows/{name}/triggers", tag = "triggers", params(("name" = String, Path)), responses((status = 200, body = Vec<Trigger>)))]
async fn triggers(
    State(_app): State<App>,
    _: Viewer,
    Path(_name): Path<String>,
) -> Result<Json<Vec<Trigger>>, Problem> {
    unfinished()
}

/// Make a trigger.
#[utoipa::path(post, path = "/api/v1/workflows/{name}/triggers", tag = "triggers", params(("name" = String, Path)), request_body = NewTrigger, responses((status = 201, body = MadeTrigger)))]
async fn create(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Path(_name): Path<String>,
    Json(_body): Json<NewTrigger>,
) -> Result<(StatusCode, Json<MadeTrigger>), Problem> {
    unfinished()
}

/// One trigger.
#[utoipa::path(get, path = "/api/v1/triggers/{id}", tag = "triggers", params(("id" = String, Path)), responses((status = 200, body = Trigger)))]
async fn trigger(State(_app): State<App>, _: Viewer, Path(_id): Path<String>) -> Result<Json<Trigger>, Problem> {
    unfinished()
}

/// Change a trigger.
#[utoipa::path(patch, path = "/api/v1/triggers/{id}", tag = "triggers", params(("id" = String, Path)), request_body = TriggerChange, responses((status = 200, body = Trigger)))]
async fn change(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Path(_id): Path<String>,
    Json(_body): Json<TriggerChange>,
) -> Result<Json<Trigger>, Problem> {
    unfinished()
}

/// Delete a trigger.
#[utoipa::path(delete, path = "/api/v1/triggers/{id}", tag = "triggers", params(("id" = String, Path)), responses((status = 204)))]
async fn delete(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Path(_id): Path<String>,
) -> Result<StatusCode, Problem> {
    unfinished()
}

/// Give a webhook a new secret. The one before goes on being taken for an hour.
#[utoipa::path(post, path = "/api/v1/triggers/{id}/rotate", tag = "triggers", params(("id" = String, Path)), responses((status = 200, body = MadeTrigger)))]
async fn rotate(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Path(_id): Path<String>,
) -> Result<Json<MadeTrigger>, Problem> {
    unfinished()
}

/// What has come of a trigger, the newest first.
#[utoipa::path(get, path = "/api/v1/triggers/{id}/deliveries", tag = "triggers", params(("id" = String, Path), Paging), responses((status = 200, body = Page<DeliveryRow>)))]
async fn deliveries(
    State(_app): State<App>,
    _: Viewer,
    Path(_id): Path<String>,
    Query(_page): Query<Paging>,
) -> Result<Json<Page<DeliveryRow>>, Problem> {
    unfinished()
}

/// Treat a request as if it came once more.
#[utoipa::path(post, path = "/api/v1/triggers/{id}/deliveries/{delivery}/redeliver", tag = "triggers", params(("id" = String, Path), ("delivery" = i64, Path)), responses((status = 202, body = DeliveryRow)))]
async fn redeliver(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Path(_place): Path<(String, i64)>,
) -> Result<(StatusCode, Json<DeliveryRow>), Problem> {
    unfinished()
}
