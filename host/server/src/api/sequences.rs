//! Pipelines of templates, at the addresses of the documented interface: `/api/pipelines`. Times are seconds since 1970, as there.

use super::templates::Done;
use crate::{
    App, Problem,
    access::{Operator, Viewer},
    extract::{Json, Query},
    sequences::{RunView, number},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use windlass_manifest::sequence::{Sequence, SequenceStep};
use windlass_store::records::sequences::SequenceRow;

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
    /// Its name. It is taken, as the documented interface has it, and not used: the template's own name is told.
    #[serde(default)]
    #[allow(dead_code, reason = "the documented interface has it")]
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

/// How many runs a list has when it is not said, and at most: as documented.
const DEFAULT_RUNS: u32 = 20;
/// See [`DEFAULT_RUNS`].
const MAX_RUNS: u32 = 200;
/// What a step whose template is gone is called, and a run's pipeline.
const UNKNOWN: &str = "Unknown";
/// See [`UNKNOWN`].
const DELETED: &str = "Deleted Pipeline";

impl PipelineInput {
    /// As it is kept; nothing of it is checked yet.
    fn sequence(self) -> Result<Sequence, Problem> {
        let step = |(index, step): (usize, PipelineStepInput)| {
            let on_failure = step.on_failure.unwrap_or_else(|| "stop".to_owned());
            Ok(SequenceStep {
                template_id: step.template_id,
                // For people who read the request: templates may be renamed.
                template_name: None,
                on_failure: serde_json::from_value(json!(on_failure))
                    .map_err(|_| Problem::field(&format!("/steps/{index}/on_failure"), "write `stop` or `continue`"))?,
            })
        };
        let steps = self.steps.into_iter().enumerate().map(step).collect::<Result<_, Problem>>()?;
        Ok(Sequence { id: self.id.unwrap_or(0), name: self.name, description: self.description, steps })
    }
}

impl Pipeline {
    fn of(row: SequenceRow, counts: &[(i64, String, u64)]) -> Pipeline {
        let count = |which: Option<&str>| {
            let of = counts.iter().filter(|(id, status, _)| *id == row.id && which.is_none_or(|which| which == status));
            of.map(|(_, _, count)| count).sum()
        };
        let step = |(step, name): (windlass_store::records::sequences::StepRow, String)| PipelineStep {
            template_id: step.template.unsigned_abs(),
            template_name: if name.is_empty() { UNKNOWN.to_owned() } else { name },
            on_failure: step.on_failure,
        };
        Pipeline {
            id: row.id.unsigned_abs(),
            runs: PipelineRuns {
                total: count(None),
                completed: count(Some("completed")),
                failed: count(Some("failed")),
                running: count(Some("")),
            },
            name: row.name,
            description: row.description,
            steps: row.steps.into_iter().map(step).collect(),
            use_count: row.use_count,
            last_used_at: row.used_at_ms.map(|ms| ms / 1_000),
            created_at: row.created_at_ms / 1_000,
            updated_at: row.updated_at_ms / 1_000,
            created_by: row.created_by,
        }
    }
}

impl From<RunView> for PipelineRun {
    fn from(view: RunView) -> Self {
        let seconds = |ms: u64| ms / 1_000;
        let step = |(index, step): (usize, crate::sequences::StepView)| RunStep {
            step_index: u32::try_from(index).unwrap_or(u32::MAX),
            template_id: step.template,
            template_name: step.template_name,
            on_failure: step.on_failure,
            status: step.status.to_owned(),
            spawn_id: step.started_ms.map(|_| format!("{}/{}", view.row.run, step.name)),
            started_at: step.started_ms.map(seconds),
            completed_at: step.finished_ms.map(seconds),
            error: step.error,
            manual: step.manual,
        };
        let name = view.row.name.clone().unwrap_or_else(|| DELETED.to_owned());
        PipelineRun {
            id: view.row.id.unsigned_abs(),
            pipeline_id: view.row.sequence.unsigned_abs(),
            pipeline_name: name,
            status: view.status.to_owned(),
            current_step: view.current_step,
            steps_snapshot: view.steps.into_iter().enumerate().map(step).collect(),
            started_at: view.started_ms.map(seconds),
            completed_at: view.finished_ms.map(seconds),
            triggered_by: view.row.triggered_by.clone(),
            created_at: seconds(view.row.created_at_ms),
            failed_steps: view.failed_steps,
            run: view.row.run.clone(),
        }
    }
}

async fn one(app: &App, id: u64) -> Result<Pipeline, Problem> {
    let row = app.records().sequences(Some(number(id))).await?.into_iter().next();
    let row = row.ok_or_else(|| Problem::not_found(format!("pipeline {id}")))?;
    Ok(Pipeline::of(row, &app.records().sequence_run_counts().await?))
}

/// The pipelines.
#[utoipa::path(get, path = "/api/pipelines", tag = "pipelines", operation_id = "list_pipelines", responses((status = 200, body = PipelinesAnswer)))]
async fn pipelines(State(app): State<App>, _: Viewer) -> Result<Json<PipelinesAnswer>, Problem> {
    app.note_ended_sequences().await?;
    let counts = app.records().sequence_run_counts().await?;
    let rows = app.records().sequences(None).await?;
    Ok(Json(PipelinesAnswer { pipelines: rows.into_iter().map(|row| Pipeline::of(row, &counts)).collect() }))
}

/// Make a pipeline.
#[utoipa::path(post, path = "/api/pipelines", tag = "pipelines", operation_id = "create_pipeline", request_body = PipelineInput, responses((status = 201, body = PipelineAnswer)))]
async fn create(
    State(app): State<App>,
    Operator(caller): Operator,
    Json(body): Json<PipelineInput>,
) -> Result<(StatusCode, Json<PipelineAnswer>), Problem> {
    if body.id.is_some() {
        return Err(Problem::field("/id", "a new pipeline gets its number here; change one with PUT"));
    }
    let id = app.put_sequence(&caller, None, body.sequence()?).await?;
    let pipeline = one(&app, id).await?;
    Ok((StatusCode::CREATED, Json(PipelineAnswer { pipeline })))
}

/// Change a pipeline, as a whole. Runs that were begun go on as they were.
#[utoipa::path(put, path = "/api/pipelines", tag = "pipelines", operation_id = "change_pipeline", request_body = PipelineInput, responses((status = 200, body = PipelineAnswer)))]
async fn change(
    State(app): State<App>,
    Operator(caller): Operator,
    Json(body): Json<PipelineInput>,
) -> Result<Json<PipelineAnswer>, Problem> {
    let id = body.id.ok_or_else(|| Problem::field("/id", "say which pipeline"))?;
    app.put_sequence(&caller, Some(id), body.sequence()?).await?;
    let pipeline = one(&app, id).await?;
    Ok(Json(PipelineAnswer { pipeline }))
}

/// Delete a pipeline. Its runs stay.
#[utoipa::path(delete, path = "/api/pipelines", tag = "pipelines", operation_id = "delete_pipeline", request_body = PipelineId, responses((status = 200, body = Done)))]
async fn delete(
    State(app): State<App>,
    Operator(caller): Operator,
    Json(body): Json<PipelineId>,
) -> Result<Json<Done>, Problem> {
    let mut change = app.records().change().await?;
    if !change.delete_sequence(number(body.id)).await? {
        return Err(Problem::not_found(format!("pipeline {}", body.id)));
    }
    change.commit(&caller.did("pipeline.delete", &body.id.to_string(), json!({}))).await?;
    Ok(Json(Done { success: true }))
}

/// Runs of pipelines.
#[utoipa::path(get, path = "/api/pipelines/run", tag = "pipelines", operation_id = "list_pipeline_runs", params(RunsQuery), responses((status = 200, body = RunsAnswer)))]
async fn pipeline_runs(
    State(app): State<App>,
    _: Viewer,
    Query(query): Query<RunsQuery>,
) -> Result<Json<RunsAnswer>, Problem> {
    let limit = match query.limit {
        None => DEFAULT_RUNS,
        Some(limit @ 1..=MAX_RUNS) => limit,
        Some(_) => return Err(Problem::field("?limit", format!("limit is 1 to {MAX_RUNS}"))),
    };
    let (id, pipeline) = (query.id.map(number), query.pipeline_id.map(number));
    let rows = app.records().sequence_runs(id, pipeline, limit).await?;
    let mut runs = Vec::with_capacity(rows.len());
    for row in rows {
        runs.push(app.sequence_run(row).await?.into());
    }
    Ok(Json(RunsAnswer { runs }))
}

/// Start, advance or cancel a run.
#[utoipa::path(post, path = "/api/pipelines/run", tag = "pipelines", operation_id = "act_on_pipeline_run", request_body = RunAction, responses((status = 200, body = RunAnswer), (status = 201, body = RunAnswer)))]
async fn act(
    State(app): State<App>,
    Operator(caller): Operator,
    Json(body): Json<RunAction>,
) -> Result<(StatusCode, Json<RunAnswer>), Problem> {
    let run = || body.run_id.ok_or_else(|| Problem::field("/run_id", "say which run"));
    let (status, view, action) = match body.action {
        ActionKind::Start => {
            let pipeline = body.pipeline_id.ok_or_else(|| Problem::field("/pipeline_id", "say which pipeline"))?;
            (StatusCode::CREATED, app.start_sequence(pipeline, &caller.name).await?, "pipeline.start")
        }
        ActionKind::Advance => {
            let success = body.success.unwrap_or(true);
            (StatusCode::OK, app.advance_sequence(run()?, success, body.error, &caller.name).await?, "pipeline.advance")
        }
        ActionKind::Cancel => (StatusCode::OK, app.cancel_sequence(run()?, &caller.name).await?, "pipeline.cancel"),
    };
    let detail = json!({ "pipeline": view.row.sequence, "run": view.row.run });
    app.audit(&caller.did(action, &view.row.id.to_string(), detail)).await?;
    Ok((status, Json(RunAnswer { run: view.into() })))
}
