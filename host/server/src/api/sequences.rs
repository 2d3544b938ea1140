//! Pipelines of templates, at the addresses of the documented interface: `/api/pipelines`. Times are seconds since 1970, as there.

use super::{templates::Done, unfinished};
use crate::{
    App, Problem,
    access::{Operator, Viewer},
    extract::{Json, Query},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(pipelines, create, change, delete)).routes(routes!(pipeline_runs, act))
}

/// A pipeline of templates.
#[derive(Serialize, ToSchema)]
pub(crate) struct Pipeline {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Its steps.
    pub steps: Vec<PipelineStep>,
    /// How often it was run.
    pub use_count: u64,
    /// When it was last run.
    pub last_used_at: Option<u64>,
    /// When it was made.
    pub created_at: u64,
    /// When it was last changed.
    pub updated_at: u64,
    /// Who made it.
    pub created_by: String,
    /// Its runs.
    pub runs: PipelineRuns,
}

/// How many runs a pipeline had.
#[derive(Serialize, ToSchema)]
pub(crate) struct PipelineRuns {
    /// All.
    pub total: u64,
    /// Those that completed.
    pub completed: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that go on.
    pub running: u64,
}

/// A step.
#[derive(Serialize, ToSchema)]
pub(crate) struct PipelineStep {
    /// Which template.
    pub template_id: u64,
    /// Its name; `Unknown` where it is gone.
    pub template_name: String,
    /// `stop` or `continue`.
    pub on_failure: String,
}

/// A step to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PipelineStepInput {
    /// Which template.
    pub template_id: u64,
    /// Its name; not read.
    #[serde(default)]
    pub template_name: Option<String>,
    /// `stop` (the default) or `continue`.
    #[serde(default)]
    pub on_failure: Option<String>,
}

/// A pipeline to be made or changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PipelineInput {
    /// Of a change: which.
    pub id: Option<u64>,
    /// Its name, 1 to 200 characters.
    pub name: String,
    /// For people, at most 5,000 characters.
    pub description: Option<String>,
    /// Its steps, 2 to 50.
    pub steps: Vec<PipelineStepInput>,
}

/// A run of a pipeline.
#[derive(Serialize, ToSchema)]
pub(crate) struct PipelineRun {
    /// Its number.
    pub id: u64,
    /// The pipeline.
    pub pipeline_id: u64,
    /// Its name; `Deleted Pipeline` where it is gone.
    pub pipeline_name: String,
    /// `pending`, `running`, `completed`, `failed` or `cancelled`.
    pub status: String,
    /// The step that it is at, from 0.
    pub current_step: u32,
    /// Its steps.
    pub steps_snapshot: Vec<RunStep>,
    /// When it began.
    pub started_at: Option<u64>,
    /// When it was over.
    pub completed_at: Option<u64>,
    /// Who began it.
    pub triggered_by: String,
    /// When it was made.
    pub created_at: u64,
    /// How many of its steps failed although it went on.
    pub failed_steps: u32,
    /// The run that carries it out: see `/api/v1/runs`.
    pub run: String,
}

/// A step of a run.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunStep {
    /// Its index, from 0.
    pub step_index: u32,
    /// The template.
    pub template_id: u64,
    /// Its name.
    pub template_name: String,
    /// `stop` or `continue`.
    pub on_failure: String,
    /// `pending`, `running`, `completed`, `failed` or `skipped`.
    pub status: String,
    /// What carries it out: the run's id and the step's name; none before it begins.
    pub spawn_id: Option<String>,
    /// When it began.
    pub started_at: Option<u64>,
    /// When it was over.
    pub completed_at: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Whether it waits for `advance`.
    pub manual: bool,
}

/// What is done with runs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunAction {
    /// What.
    pub action: ActionKind,
    /// Which pipeline, with `start`.
    pub pipeline_id: Option<u64>,
    /// Which run, with `advance` and `cancel`.
    pub run_id: Option<u64>,
    /// With `advance`: whether the step is done; `true` without it.
    pub success: Option<bool>,
    /// With `advance`: what went wrong.
    pub error: Option<String>,
}

/// See [`RunAction`].
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ActionKind {
    /// Begin a run.
    Start,
    /// Say that the step that waits is done, or has failed.
    Advance,
    /// Stop a run.
    Cancel,
}

/// Which runs.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RunsQuery {
    /// This one.
    pub id: Option<u64>,
    /// Of this pipeline.
    pub pipeline_id: Option<u64>,
    /// How many, 1 to 200; 20 without it.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
}

/// One pipeline.
#[derive(Serialize, ToSchema)]
pub(crate) struct PipelineAnswer {
    /// The pipeline.
    pub pipeline: Pipeline,
}

/// All pipelines.
#[derive(Serialize, ToSchema)]
pub(crate) struct PipelinesAnswer {
    /// Those that are used the most first.
    pub pipelines: Vec<Pipeline>,
}

/// One run.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunAnswer {
    /// The run.
    pub run: PipelineRun,
}

/// Runs.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunsAnswer {
    /// The newest first.
    pub runs: Vec<PipelineRun>,
}

/// Which pipeline.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PipelineId {
    /// Its number.
    pub id: u64,
}

/// The pipelines.
#[utoipa::path(get, path = "/api/pipelines", tag = "pipelines", operation_id = "list_pipelines", responses((status = 200, body = PipelinesAnswer)))]
async fn pipelines(State(_app): State<App>, _: Viewer) -> Result<Json<PipelinesAnswer>, Problem> {
    unfinished()
}

/// Make a pipeline.
#[utoipa::path(post, path = "/api/pipelines", tag = "pipelines", operation_id = "create_pipeline", request_body = PipelineInput, responses((status = 201, body = PipelineAnswer)))]
async fn create(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Json(_body): Json<PipelineInput>,
) -> Result<(StatusCode, Json<PipelineAnswer>), Problem> {
    unfinished()
}

/// Change a pipeline, as a whole. Runs that were begun go on as they were.
#[utoipa::path(put, path = "/api/pipelines", tag = "pipelines", operation_id = "change_pipeline", request_body = PipelineInput, responses((status = 200, body = PipelineAnswer)))]
async fn change(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Json(_body): Json<PipelineInput>,
) -> Result<Json<PipelineAnswer>, Problem> {
    unfinished()
}

/// Delete a pipeline. Its runs stay.
#[utoipa::path(delete, path = "/api/pipelines", tag = "pipelines", operation_id = "delete_pipeline", request_body = PipelineId, responses((status = 200, body = Done)))]
async fn delete(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Json(_body): Json<PipelineId>,
) -> Result<Json<Done>, Problem> {
    unfinished()
}

/// Runs of pipelines.
#[utoipa::path(get, path = "/api/pipelines/run", tag = "pipelines", operation_id = "list_pipeline_runs", params(RunsQuery), responses((status = 200, body = RunsAnswer)))]
async fn pipeline_runs(
    State(_app): State<App>,
    _: Viewer,
    Query(_query): Query<RunsQuery>,
) -> Result<Json<RunsAnswer>, Problem> {
    unfinished()
}

/// Start, advance or cancel a run.
#[utoipa::path(post, path = "/api/pipelines/run", tag = "pipelines", operation_id = "act_on_pipeline_run", request_body = RunAction, responses((status = 200, body = RunAnswer), (status = 201, body = RunAnswer)))]
async fn act(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Json(_body): Json<RunAction>,
) -> Result<(StatusCode, Json<RunAnswer>), Problem> {
    unfinished()
}
