//! Workflow templates, at the addresses of the documented interface: `/api/workflows`.

use crate::{
    App, Problem,
    access::{Operator, Viewer},
    extract::Json,
    sequences::number,
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use windlass_manifest::sequence::{DEFAULT_MODEL, Parameters, Template};
use windlass_store::records::sequences::TemplateRow;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(templates, create, change, delete))
}

/// A template.
#[derive(Serialize, ToSchema)]
pub(crate) struct TemplateView {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// What the agent is told, or a person is asked.
    pub task_prompt: String,
    /// Which model.
    pub model: String,
    /// How long it may take, in seconds.
    pub timeout_seconds: Option<u32>,
    /// Which agent.
    pub agent_role: Option<String>,
    /// For finding it.
    pub tags: Vec<String>,
    /// How the model is asked.
    pub parameters: Option<TemplateParameters>,
    /// Whether a person does it, and says so by advancing the run.
    pub manual: bool,
    /// When it was made, in seconds since 1970.
    pub created_at: u64,
    /// When it was last changed.
    pub updated_at: u64,
    /// How many pipelines use it.
    pub used_by: u32,
}

/// How a model is asked.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TemplateParameters {
    /// How much chance there is in its answers, 0 to 2.
    pub temperature: Option<f64>,
    /// How long its answer may be, in tokens.
    pub max_tokens: Option<u32>,
}

/// A template to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TemplateInput {
    /// Of a change: which.
    pub id: Option<u64>,
    /// Its name, 1 to 200 characters.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// What the agent is told, or a person is asked: 1 to 10,000 characters. `prompt` is the same.
    #[serde(alias = "prompt")]
    pub task_prompt: String,
    /// Which model.
    pub model: Option<String>,
    /// How long it may take, 10 to 3600 seconds.
    pub timeout_seconds: Option<u32>,
    /// Which agent.
    pub agent_role: Option<String>,
    /// For finding it.
    #[serde(default)]
    pub tags: Vec<String>,
    /// How the model is asked.
    pub parameters: Option<TemplateParameters>,
    /// Whether a person does it.
    #[serde(default)]
    pub manual: bool,
}

/// One template.
#[derive(Serialize, ToSchema)]
pub(crate) struct TemplateAnswer {
    /// The template.
    pub template: TemplateView,
}

/// All templates.
#[derive(Serialize, ToSchema)]
pub(crate) struct TemplatesAnswer {
    /// The templates, by name.
    pub templates: Vec<TemplateView>,
}

/// Which one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TemplateId {
    /// Its number.
    pub id: u64,
}

/// What was done.
#[derive(Serialize, ToSchema)]
pub(crate) struct Done {
    /// `true`.
    pub success: bool,
}

impl TemplateInput {
    /// As it is kept; nothing of it is checked yet.
    fn template(self) -> Template {
        let parameters = |TemplateParameters { temperature, max_tokens }| Parameters { temperature, max_tokens };
        Template {
            id: 0,
            name: self.name,
            task_prompt: self.task_prompt,
            description: self.description,
            model: self.model.unwrap_or_else(|| DEFAULT_MODEL.to_owned()),
            timeout_seconds: self.timeout_seconds,
            agent_role: self.agent_role,
            tags: self.tags,
            parameters: self.parameters.map(parameters),
            manual: self.manual,
        }
    }
}

impl TemplateView {
    fn of(row: &TemplateRow) -> Result<TemplateView, Problem> {
        let template: Template = serde_json::from_str(&row.body).map_err(Problem::internal)?;
        let parameters = |Parameters { temperature, max_tokens }| TemplateParameters { temperature, max_tokens };
        Ok(TemplateView {
            id: row.id.unsigned_abs(),
            name: template.name,
            description: template.description,
            task_prompt: template.task_prompt,
            model: template.model,
            timeout_seconds: template.timeout_seconds,
            agent_role: template.agent_role,
            tags: template.tags,
            parameters: template.parameters.map(parameters),
            manual: template.manual,
            created_at: row.created_at_ms / 1_000,
            updated_at: row.updated_at_ms / 1_000,
            used_by: row.used_by,
        })
    }
}

async fn one(app: &App, id: u64) -> Result<TemplateView, Problem> {
    let row = app.records().sequence_templates(Some(number(id))).await?.into_iter().next();
    TemplateView::of(&row.ok_or_else(|| Problem::not_found(format!("template {id}")))?)
}

/// The templates.
#[utoipa::path(get, path = "/api/workflows", tag = "pipelines", operation_id = "list_templates", responses((status = 200, body = TemplatesAnswer)))]
async fn templates(State(app): State<App>, _: Viewer) -> Result<Json<TemplatesAnswer>, Problem> {
    let rows = app.records().sequence_templates(None).await?;
    Ok(Json(TemplatesAnswer { templates: rows.iter().map(TemplateView::of).collect::<Result<_, _>>()? }))
}

/// Make a template.
#[utoipa::path(post, path = "/api/workflows", tag = "pipelines", operation_id = "create_template", request_body = TemplateInput, responses((status = 201, body = TemplateAnswer)))]
async fn create(
    State(app): State<App>,
    Operator(caller): Operator,
    Json(body): Json<TemplateInput>,
) -> Result<(StatusCode, Json<TemplateAnswer>), Problem> {
    if body.id.is_some() {
        return Err(Problem::field("/id", "a new template gets its number here; change one with PUT"));
    }
    let template = one(&app, app.put_template(&caller, None, body.template()).await?).await?;
    Ok((StatusCode::CREATED, Json(TemplateAnswer { template })))
}

/// Change a template, as a whole.
#[utoipa::path(put, path = "/api/workflows", tag = "pipelines", operation_id = "change_template", request_body = TemplateInput, responses((status = 200, body = TemplateAnswer)))]
async fn change(
    State(app): State<App>,
    Operator(caller): Operator,
    Json(body): Json<TemplateInput>,
) -> Result<Json<TemplateAnswer>, Problem> {
    let id = body.id.ok_or_else(|| Problem::field("/id", "say which template"))?;
    let template = one(&app, app.put_template(&caller, Some(id), body.template()).await?).await?;
    Ok(Json(TemplateAnswer { template }))
}

/// Delete a template. Refused while pipelines use it.
#[utoipa::path(delete, path = "/api/workflows", tag = "pipelines", operation_id = "delete_template", request_body = TemplateId, responses((status = 200, body = Done)))]
async fn delete(
    State(app): State<App>,
    Operator(caller): Operator,
    Json(body): Json<TemplateId>,
) -> Result<Json<Done>, Problem> {
    app.delete_template(&caller, body.id).await?;
    Ok(Json(Done { success: true }))
}
