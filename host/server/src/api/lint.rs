//! What the editor asks: diagnostics and the schema.

use super::unfinished;
use crate::{App, Problem, access::Viewer, extract::Json};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(lint)).routes(routes!(editor_schema))
}

/// A text to be checked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LintRequest {
    /// The text, at most 1 MiB.
    pub yaml: String,
    /// Which pipeline, where the file has several.
    pub pipeline: Option<String>,
}

/// What was found.
#[derive(Serialize, ToSchema)]
pub(crate) struct Lint {
    /// The pipeline's name, where it can be loaded.
    pub name: Option<String>,
    /// The pipelines of the file, where it has several and none was chosen.
    pub pipelines: Vec<String>,
    /// Everything that is wrong or odd, in the order of the file.
    pub diagnostics: Vec<DiagnosticRow>,
    /// What would run, where nothing is an error.
    pub graph: Option<super::runs::Graph>,
    /// JSON Schema of the inputs.
    #[schema(value_type = Option<Object>)]
    pub input_schema: Option<Value>,
    /// What each plugin of it may do, in words.
    pub permissions: Vec<StepPermission>,
}

/// What a plugin that a pipeline uses may do.
#[derive(Serialize, ToSchema)]
pub(crate) struct StepPermission {
    /// The plugin with its version.
    pub plugin: String,
    /// What it may, a sentence each.
    pub words: Vec<String>,
}

/// A diagnostic.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DiagnosticRow {
    /// `error` or `warning`.
    pub severity: String,
    /// The stable code, such as `WL0012`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// Where the marked text ends: the line.
    pub end_line: usize,
    /// And the column after its last character.
    pub end_column: usize,
}

/// Check a pipeline without deploying it.
#[utoipa::path(post, path = "/api/v1/lint", tag = "workflows", request_body = LintRequest, responses((status = 200, body = Lint)))]
async fn lint(State(_app): State<App>, _: Viewer, Json(_body): Json<LintRequest>) -> Result<Json<Lint>, Problem> {
    unfinished()
}

/// The JSON Schema for editors, with each installed step type's configuration in it.
#[utoipa::path(get, path = "/api/v1/editor-schema", tag = "workflows", responses((status = 200, body = Object)))]
async fn editor_schema(State(_app): State<App>, _: Viewer) -> Result<Json<Value>, Problem> {
    unfinished()
}
