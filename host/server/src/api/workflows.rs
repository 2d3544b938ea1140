//! Pipelines that were deployed, their versions, and beginning runs of them.

use super::{
    lint::{DiagnosticRow, rows},
    runs::RunRow,
};
use crate::{
    App, Page, Paging, Problem,
    access::{Admin, Operator, Viewer},
    extract::{Json, Path, Query},
    views,
    workflows::{Begun, New, input_schema, no_workflow},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use windlass_store::records::workflows::{VersionRecord, WorkflowRecord};

/// How many runs the sparkline of a pipeline has.
const RECENT: u32 = 20;
/// How many runs that ended the figures of a pipeline are made of: enough to mean something, and few enough that they tell of now.
const MEASURED: u32 = 100;

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

impl From<VersionRecord> for VersionRow {
    fn from(record: VersionRecord) -> Self {
        let VersionRecord { version, digest, created_by, created_at_ms, message } = record;
        VersionRow { version, digest, created_by, created_at_ms, message }
    }
}

/// Pipelines with how their last runs went: two questions to the event log, however many they are.
async fn with_runs(app: &App, records: Vec<WorkflowRecord>) -> Result<Vec<WorkflowRow>, Problem> {
    let names: Vec<String> = records.iter().map(|record| record.name.clone()).collect();
    let recent = app.host().store().recent_runs(&names, RECENT).await?;
    let ended = app.host().store().ended_runs(&names, MEASURED).await?;
    let row = |record: WorkflowRecord| {
        let WorkflowRecord { name, version, dialect, created_at_ms, updated_at_ms, updated_by } = record;
        let figures = views::figures(ended.iter().filter(|run| run.name == name));
        let own = recent.iter().filter(|run| run.name == name);
        let recent = own.map(|run| RecentRun {
            id: run.id.to_string(),
            status: run.status.name().to_owned(),
            outcome: run.outcome.map(|outcome| outcome.name().to_owned()),
            created_at_ms: run.created_at_ms,
            took_ms: run.finished_at_ms.map(|end| end.saturating_sub(run.created_at_ms)),
        });
        WorkflowRow {
            recent: recent.collect(),
            success_rate: figures.success_rate,
            median_ms: figures.median_ms,
            p95_ms: figures.p95_ms,
            name,
            version,
            dialect,
            created_at_ms,
            updated_at_ms,
            updated_by,
        }
    };
    Ok(records.into_iter().map(row).collect())
}

/// The pipelines, by name.
#[utoipa::path(get, path = "/api/v1/workflows", tag = "workflows", params(WorkflowsQuery), responses((status = 200, body = Page<WorkflowRow>)))]
async fn workflows(
    State(app): State<App>,
    _: Viewer,
    Query(query): Query<WorkflowsQuery>,
) -> Result<Json<Page<WorkflowRow>>, Problem> {
    let paging = Paging { cursor: query.cursor, limit: query.limit };
    let (limit, after) = (paging.limit()?, paging.after::<String>()?);
    let part = query.q.as_deref().filter(|part| !part.is_empty());
    let records = app.records().workflows(part, after.as_deref(), limit + 1).await?;
    let page = Page::of(records, limit, |record| record.name.clone());
    let items = with_runs(&app, page.items).await?;
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// Deploy a pipeline: a new one, or a new version. One with errors is refused, with the diagnostics as `errors`.
#[utoipa::path(post, path = "/api/v1/workflows", tag = "workflows", request_body = Deploy, responses((status = 201, body = Deployed), (status = 200, body = Deployed, description = "The text is that of the newest version already")))]
async fn deploy(
    State(app): State<App>,
    Operator(caller): Operator,
    Json(body): Json<Deploy>,
) -> Result<(StatusCode, Json<Deployed>), Problem> {
    let new = New {
        yaml: &body.yaml,
        pipeline: body.pipeline.as_deref(),
        base: body.base_version,
        message: body.message.as_deref(),
    };
    let deployed = app.deploy(&caller, new).await?;
    let status = if deployed.changed { StatusCode::CREATED } else { StatusCode::OK };
    let (name, version, changed) = (deployed.name, deployed.version, deployed.changed);
    Ok((status, Json(Deployed { name, version, changed, diagnostics: deployed.warnings })))
}

/// One pipeline, its newest version.
#[utoipa::path(get, path = "/api/v1/workflows/{name}", tag = "workflows", params(("name" = String, Path)), responses((status = 200, body = Workflow)))]
async fn workflow(State(app): State<App>, _: Viewer, Path(name): Path<String>) -> Result<Json<Workflow>, Problem> {
    let record = app.records().workflow(&name).await?.ok_or_else(|| no_workflow(&name))?;
    let text = app.records().workflow_text(&name, Some(record.version)).await?.ok_or_else(|| no_workflow(&name))?;
    let checked = app.check(Some(&name), &text.yaml, text.pipeline.as_deref()).await?;
    let row = with_runs(&app, vec![record]).await?.pop().ok_or_else(|| no_workflow(&name))?;
    Ok(Json(Workflow {
        row,
        diagnostics: rows(&checked.found, &text.yaml),
        yaml: text.yaml,
        pipeline: text.pipeline,
        input_schema: checked.plan.as_ref().map_or_else(|| json!({ "type": "object" }), input_schema),
        graph: checked.plan.as_ref().map(views::graph),
    }))
}

/// Delete a pipeline with its versions and triggers. Its runs stay.
#[utoipa::path(delete, path = "/api/v1/workflows/{name}", tag = "workflows", params(("name" = String, Path)), responses((status = 204)))]
async fn delete_workflow(
    State(app): State<App>,
    Admin(caller): Admin,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    app.delete_workflow(&caller, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The versions of a pipeline, the newest first.
#[utoipa::path(get, path = "/api/v1/workflows/{name}/versions", tag = "workflows", params(("name" = String, Path), crate::Paging), responses((status = 200, body = Page<VersionRow>)))]
async fn versions(
    State(app): State<App>,
    _: Viewer,
    Path(name): Path<String>,
    Query(page): Query<Paging>,
) -> Result<Json<Page<VersionRow>>, Problem> {
    let (limit, before) = (page.limit()?, page.after()?);
    app.records().workflow(&name).await?.ok_or_else(|| no_workflow(&name))?;
    let found = app.records().workflow_versions(&name, None, before, limit + 1).await?;
    Ok(Json(Page::of(found.into_iter().map(VersionRow::from).collect(), limit, |row| row.version)))
}

/// One version.
#[utoipa::path(get, path = "/api/v1/workflows/{name}/versions/{version}", tag = "workflows", params(("name" = String, Path), ("version" = u32, Path)), responses((status = 200, body = Version)))]
async fn version(
    State(app): State<App>,
    _: Viewer,
    Path((name, version)): Path<(String, u32)>,
) -> Result<Json<Version>, Problem> {
    let absent = || Problem::not_found(format!("version {version} of a pipeline {name:?}"));
    let text = app.records().workflow_text(&name, Some(version)).await?.ok_or_else(absent)?;
    let row = app.records().workflow_versions(&name, Some(version), None, 1).await?.pop().ok_or_else(absent)?;
    Ok(Json(Version { row: row.into(), yaml: text.yaml, pipeline: text.pipeline }))
}

/// Begin a run. It is durable when this answers. An input that is given as text is read as its type.
#[utoipa::path(post, path = "/api/v1/workflows/{name}/runs", tag = "workflows", params(("name" = String, Path)), request_body = RunRequest, responses((status = 201, body = RunRow)))]
async fn run(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(name): Path<String>,
    Json(body): Json<RunRequest>,
) -> Result<(StatusCode, Json<RunRow>), Problem> {
    let RunRequest { inputs, blackboard, version } = body;
    let origin = Begun { by: caller.name.clone(), trigger: "manual", title: None, run_id: None };
    let run = app.begin_run(&name, version, inputs, blackboard, origin).await?;
    app.audit(&caller.did("run.begin", &run.id, json!({ "workflow": name, "version": run.version }))).await?;
    Ok((StatusCode::CREATED, Json(run)))
}
