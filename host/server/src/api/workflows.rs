//! Pipelines that were deployed, their versions, and beginning runs of them.

use super::{lint::DiagnosticRow, runs::RunRow, unfinished};
use crate::{
    App, Page, Problem,
    access::{Admin, Operator, Viewer},
    extract::{Json, Path, Query},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(workflows, deploy))
        .routes(routes!(workflow, delete_workflow))
        .routes(routes!(versions))
        .routes(routes!(version))
        .routes(routes!(run))
}

/// A pipeline in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct WorkflowRow {
    /// Its name.
    pub name: String,
    /// Its newest version.
    pub version: u32,
    /// `steps`, `workflow` (states) or `pipelines`.
    pub dialect: String,
    /// When it was first deployed.
    pub created_at_ms: u64,
    /// When its newest version was.
    pub updated_at_ms: u64,
    /// Who deployed that.
    pub updated_by: String,
    /// The last runs, the newest first, at most 20.
    pub recent: Vec<RecentRun>,
    /// Of the last 100 runs that ended: the share that succeeded, 0 to 1; none where there was none.
    pub success_rate: Option<f64>,
    /// Of the same, the median of how long they took, in milliseconds.
    pub median_ms: Option<u64>,
    /// And the 95th percentile.
    pub p95_ms: Option<u64>,
}

/// A run as a stroke in a sparkline.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecentRun {
    /// The run.
    pub id: String,
    /// Where it stands.
    pub status: String,
    /// How it ended.
    pub outcome: Option<String>,
    /// When it began.
    pub created_at_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: Option<u64>,
}

/// A pipeline.
#[derive(Serialize, ToSchema)]
pub(crate) struct Workflow {
    /// What the list has.
    #[serde(flatten)]
    pub row: WorkflowRow,
    /// The text of its newest version.
    pub yaml: String,
    /// Which pipeline of the file, where the file has several.
    pub pipeline: Option<String>,
    /// JSON Schema of its inputs, for a form.
    #[schema(value_type = Object)]
    pub input_schema: Value,
    /// What is wrong with it with what is installed now.
    pub diagnostics: Vec<DiagnosticRow>,
    /// Its states and steps; absent where it cannot be loaded any more.
    pub graph: Option<super::runs::Graph>,
}

/// A pipeline to be deployed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deploy {
    /// The file's text, at most 1 MiB. Its name is the pipeline's.
    pub yaml: String,
    /// Which pipeline, where the file has several.
    pub pipeline: Option<String>,
    /// The newest version that whoever deploys has seen; the deployment is refused where there is a newer one.
    pub base_version: Option<u32>,
    /// What has changed, for the list of versions; at most 500 characters.
    pub message: Option<String>,
}

/// What was deployed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Deployed {
    /// The pipeline's name.
    pub name: String,
    /// The version; that of before where the text is the same.
    pub version: u32,
    /// Whether this made a new version.
    pub changed: bool,
    /// Warnings.
    pub diagnostics: Vec<DiagnosticRow>,
}

/// A version of a pipeline.
#[derive(Serialize, ToSchema)]
pub(crate) struct VersionRow {
    /// Its number, from 1.
    pub version: u32,
    /// sha256 of its text.
    pub digest: String,
    /// Who deployed it.
    pub created_by: String,
    /// When.
    pub created_at_ms: u64,
    /// What had changed.
    pub message: Option<String>,
}

/// A version with its text.
#[derive(Serialize, ToSchema)]
pub(crate) struct Version {
    /// What the list has.
    #[serde(flatten)]
    pub row: VersionRow,
    /// The text.
    pub yaml: String,
    /// Which pipeline of it.
    pub pipeline: Option<String>,
}

/// What a run is begun with.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RunRequest {
    /// Its inputs.
    #[schema(value_type = Object)]
    pub inputs: Map<String, Value>,
    /// What is put on the blackboard.
    #[schema(value_type = Object)]
    pub blackboard: Map<String, Value>,
    /// Which version; the newest without it.
    pub version: Option<u32>,
}

/// Which pipelines.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WorkflowsQuery {
    /// Part of the name.
    pub q: Option<String>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// How many, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
}

/// The pipelines, by name.
#[utoipa::path(get, path = "/api/v1/workflows", tag = "workflows", params(WorkflowsQuery), responses((status = 200, body = Page<WorkflowRow>)))]
async fn workflows(
    State(_app): State<App>,
    _: Viewer,
    Query(_query): Query<WorkflowsQuery>,
) -> Result<Json<Page<WorkflowRow>>, Problem> {
    unfinished()
}

/// Deploy a pipeline: a new one, or a new version. One with errors is refused, with the diagnostics as `errors`.
#[utoipa::path(post, path = "/api/v1/workflows", tag = "workflows", request_body = Deploy, responses((status = 201, body = Deployed)))]
async fn deploy(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Json(_body): Json<Deploy>,
) -> Result<(StatusCode, Json<Deployed>), Problem> {
    unfinished()
}

/// One pipeline, its newest version.
#[utoipa::path(get, path = "/api/v1/workflows/{name}", tag = "workflows", params(("name" = String, Path)), responses((status = 200, body = Workflow)))]
async fn workflow(State(_app): State<App>, _: Viewer, Path(_name): Path<String>) -> Result<Json<Workflow>, Problem> {
    unfinished()
}

/// Delete a pipeline with its versions and triggers. Its runs stay.
#[utoipa::path(delete, path = "/api/v1/workflows/{name}", tag = "workflows", params(("name" = String, Path)), responses((status = 204)))]
async fn delete_workflow(
    State(_app): State<App>,
    Admin(_caller): Admin,
    Path(_name): Path<String>,
) -> Result<StatusCode, Problem> {
    unfinished()
}

/// The versions of a pipeline, the newest first.
#[utoipa::path(get, path = "/api/v1/workflows/{name}/versions", tag = "workflows", params(("name" = String, Path), crate::Paging), responses((status = 200, body = Page<VersionRow>)))]
async fn versions(
    State(_app): State<App>,
    _: Viewer,
    Path(_name): Path<String>,
    Query(_page): Query<crate::Paging>,
) -> Result<Json<Page<VersionRow>>, Problem> {
    unfinished()
}

/// One version.
#[utoipa::path(get, path = "/api/v1/workflows/{name}/versions/{version}", tag = "workflows", params(("name" = String, Path), ("version" = u32, Path)), responses((status = 200, body = Version)))]
async fn version(
    State(_app): State<App>,
    _: Viewer,
    Path(_place): Path<(String, u32)>,
) -> Result<Json<Version>, Problem> {
    unfinished()
}

/// Begin a run. It is durable when this answers.
#[utoipa::path(post, path = "/api/v1/workflows/{name}/runs", tag = "workflows", params(("name" = String, Path)), request_body = RunRequest, responses((status = 201, body = RunRow)))]
async fn run(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Path(_name): Path<String>,
    Json(_body): Json<RunRequest>,
) -> Result<(StatusCode, Json<RunRow>), Problem> {
    unfinished()
}
