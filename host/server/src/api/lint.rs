//! What the editor asks: diagnostics and the schema.

use crate::{App, Problem, access::Viewer, extract::Json, views, workflows};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use windlass_manifest::{Diagnostic, Severity, Source, plan::Plan};
use windlass_package::Installed;

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

/// Diagnostics of a text, as the API tells them.
pub(crate) fn rows(found: &[Diagnostic], yaml: &str) -> Vec<DiagnosticRow> {
    let ends = windlass_manifest::ends(found, yaml);
    let row = |(each, (end_line, end_column)): (&Diagnostic, (usize, usize))| DiagnosticRow {
        severity: match each.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
        .to_owned(),
        code: each.code.to_string(),
        message: each.message.clone(),
        help: each.help.clone(),
        line: each.line,
        column: each.col,
        end_line,
        end_column,
    };
    found.iter().zip(ends).map(row).collect()
}

/// What each plugin of a plan may do, those of sub-runs too.
fn permissions(plan: &Plan, installed: &[Installed]) -> Vec<StepPermission> {
    fn plugins(plan: &Plan, found: &mut BTreeSet<String>) {
        found.extend(plan.plugin_steps().map(|(_, work)| work.plugin.to_string()));
        plan.workflows.values().for_each(|sub| plugins(sub, found));
    }
    let mut used = BTreeSet::new();
    plugins(plan, &mut used);
    let of = |each: &Installed| StepPermission {
        plugin: each.plugin.to_string(),
        words: each.effective.in_words().into_iter().map(|(_, words)| words).collect(),
    };
    installed.iter().filter(|each| used.contains(&each.plugin.to_string())).map(of).collect()
}

/// Check a pipeline without deploying it.
#[utoipa::path(post, path = "/api/v1/lint", tag = "workflows", request_body = LintRequest, responses((status = 200, body = Lint)))]
async fn lint(State(app): State<App>, _: Viewer, Json(body): Json<LintRequest>) -> Result<Json<Lint>, Problem> {
    let checked = app.check(None, &body.yaml, body.pipeline.as_deref()).await?;
    let diagnostics = rows(&checked.found, &body.yaml);
    let source = Source { name: String::new(), text: body.yaml };
    let pipelines = match body.pipeline {
        None => windlass_manifest::pipeline_names(&source),
        Some(_) => Vec::new(),
    };
    let installed = app.plugins().installed()?;
    let plan = checked.plan;
    Ok(Json(Lint {
        name: plan.as_ref().map(|plan| plan.name.clone()),
        pipelines,
        diagnostics,
        graph: plan.as_ref().map(views::graph),
        input_schema: plan.as_ref().map(workflows::input_schema),
        permissions: plan.map(|plan| permissions(&plan, &installed)).unwrap_or_default(),
    }))
}

/// The JSON Schema for editors, with each installed step type's configuration in it.
#[utoipa::path(get, path = "/api/v1/editor-schema", tag = "workflows", responses((status = 200, body = Object)))]
async fn editor_schema(State(app): State<App>, _: Viewer) -> Result<Json<Value>, Problem> {
    let catalogue = windlass_project::catalogue(&app.plugins().installed()?);
    Ok(Json(windlass_manifest::editor_schema(&catalogue)))
}
