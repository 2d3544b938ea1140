//! Workflow templates, at the addresses of the documented interface: `/api/workflows`.

use super::unfinished;
use crate::{
    App, Problem,
    access::{Operator, Viewer},
    extract::Json,
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

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

/// The templates.
#[utoipa::path(get, path = "/api/workflows", tag = "pipelines", operation_id = "list_templates", responses((status = 200, body = TemplatesAnswer)))]
async fn templates(State(_app): State<App>, _: Viewer) -> Result<Json<TemplatesAnswer>, Problem> {
    unfinished()
}

/// Make a template.
#[utoipa::path(post, path = "/api/workflows", tag = "pipelines", operation_id = "create_template", request_body = TemplateInput, responses((status = 201, body = TemplateAnswer)))]
async fn create(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Json(_body): Json<TemplateInput>,
) -> Result<(StatusCode, Json<TemplateAnswer>), Problem> {
    unfinished()
}

/// Change a template, as a whole.
#[utoipa::path(put, path = "/api/workflows", tag = "pipelines", operation_id = "change_template", request_body = TemplateInput, responses((status = 200, body = TemplateAnswer)))]
async fn change(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Json(_body): Json<TemplateInput>,
) -> Result<Json<TemplateAnswer>, Problem> {
    unfinished()
}

/// Delete a template. Refused while pipelines use it.
#[utoipa::path(delete, path = "/api/workflows", tag = "pipelines", operation_id = "delete_template", request_body = TemplateId, responses((status = 200, body = Done)))]
async fn delete(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Json(_body): Json<TemplateId>,
) -> Result<Json<Done>, Problem> {
    unfinished()
}
