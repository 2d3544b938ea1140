//! Plugins that are installed, and what they may do.
//!
//! Nothing is installed that nobody has looked at: an install or update names the `consent` of the plan that was shown, and is refused when what
//! would be installed is not that any more.

use crate::{
    App, Problem,
    access::{Admin, Viewer},
    extract::{Json, Path, Query},
    installs::{self, Wanted},
    market,
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(plugins, install))
        .routes(routes!(plan))
        .routes(routes!(plugin, remove))
        .routes(routes!(grants, set_grants))
}

/// A plugin that is installed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct InstalledPlugin {
    /// `namespace:name`.
    pub name: String,
    /// The version.
    pub version: String,
    /// sha256 of the component.
    pub digest: String,
    /// Where it came from.
    pub registry: String,
    /// What it is for: `step`, `provider`, `scanner`.
    pub kinds: Vec<String>,
    /// Its step types.
    pub steps: Vec<String>,
    /// What it may, in words.
    pub permissions: Vec<PermissionWords>,
    /// What it asks for and was not granted, in words.
    pub refused: Vec<PermissionWords>,
    /// The pipelines that use it.
    pub used_by: Vec<String>,
    /// Whether its component is on this machine.
    pub present: bool,
    /// `ok`, `yanked`, `quarantined` or `removed`, as its registry says; `unknown` where it does not answer.
    pub status: String,
    /// The newest version that may be used, where it is another.
    pub newer: Option<String>,
    /// It was installed because another plugin calls it.
    pub dependency: bool,
}

/// A permission in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PermissionWords {
    /// The capability: `containers`, `http`, `secrets-reveal`, …
    pub capability: String,
    /// What it may, with the scope.
    pub words: String,
}

/// What is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanRequest {
    /// `namespace:name`.
    pub name: String,
    /// A version or a requirement such as `^1.2`; the newest that goes without it.
    pub version: Option<String>,
}

/// What would be done, and what has to be agreed to.
#[derive(Serialize, ToSchema)]
pub(crate) struct InstallPlan {
    /// Names all of this: to be sent back with the install.
    pub consent: String,
    /// The plugins that would be installed or changed: the one that is wanted first, then what it calls.
    pub changes: Vec<PlannedChange>,
    /// Pipelines that would be wrong, a line each: file or pipeline, line, and what is wrong.
    pub breaks: Vec<String>,
    /// Step types that another plugin that is installed has too, in words.
    pub conflicts: Vec<String>,
    /// Whether anything is asked that was not granted before.
    pub widens: bool,
}

/// What would be done to one plugin.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlannedChange {
    /// `namespace:name`.
    pub name: String,
    /// The version that is installed now.
    pub from: Option<String>,
    /// The version that it becomes.
    pub to: String,
    /// sha256 of the component.
    pub digest: String,
    /// How large it is, in bytes.
    pub size: Option<u64>,
    /// One line.
    pub summary: String,
    /// `verified` or `unsigned`.
    pub verification: String,
    /// By whom, in words.
    pub verification_words: String,
    /// What it asks for.
    pub permissions: Vec<PlannedPermission>,
    /// What it asked for and asks for no more.
    pub given_up: Vec<String>,
    /// How its step types change.
    pub steps: Vec<StepChangeRow>,
}

/// A permission that a version asks for.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlannedPermission {
    /// The capability.
    pub capability: String,
    /// What it would may, with the scope.
    pub words: String,
    /// `first` (on the first install), `same`, `new`, or `widened`.
    pub change: String,
    /// What it may until now, where it is widened.
    pub until_now: Option<String>,
    /// Whether it is one that people should think about twice: values of secrets, for instance.
    pub alarming: bool,
}

/// How a step type changes.
#[derive(Serialize, ToSchema)]
pub(crate) struct StepChangeRow {
    /// In words.
    pub words: String,
    /// Whether a pipeline that was right may be wrong with it.
    pub breaking: bool,
}

/// What was agreed to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InstallRequest {
    /// `namespace:name`.
    pub name: String,
    /// The version of the plan.
    pub version: String,
    /// The plan's `consent`: everything in it is granted.
    pub consent: String,
}

/// Whether pipelines that use it stand in the way.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RemoveQuery {
    /// Remove it although pipelines use it.
    #[serde(default)]
    pub force: bool,
}

/// What a plugin may, as the grants file has it.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grants {
    /// The grants in the form of the grants file.
    #[schema(value_type = Object)]
    pub granted: Value,
    /// What the plugin asks for, in the same form; ignored when it is written.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub asked: Value,
}

/// The plugins that are installed, by name.
#[utoipa::path(get, path = "/api/v1/plugins", tag = "plugins", responses((status = 200, body = Vec<InstalledPlugin>)))]
async fn plugins(State(app): State<App>, _: Viewer) -> Result<Json<Vec<InstalledPlugin>>, Problem> {
    installs::rows(&app, None).await.map(Json)
}

/// What an install or update would do. Fetches, verifies and compiles; changes nothing of what is installed.
#[utoipa::path(post, path = "/api/v1/plugins/plan", tag = "plugins", request_body = PlanRequest, responses((status = 200, body = InstallPlan)))]
async fn plan(State(app): State<App>, _: Admin, Json(body): Json<PlanRequest>) -> Result<Json<InstallPlan>, Problem> {
    installs::plan(&app, Wanted::parse(&body.name, body.version.as_deref())?).await.map(Json)
}

/// Install or update a plugin as its plan was agreed to.
#[utoipa::path(post, path = "/api/v1/plugins", tag = "plugins", request_body = InstallRequest, responses((status = 201, body = InstalledPlugin)))]
async fn install(
    State(app): State<App>,
    Admin(caller): Admin,
    Json(body): Json<InstallRequest>,
) -> Result<(StatusCode, Json<InstalledPlugin>), Problem> {
    let wanted = Wanted::exactly(&body.name, &body.version)?;
    let installed = installs::install(&app, &caller, wanted, body.consent).await?;
    Ok((StatusCode::CREATED, Json(installed)))
}

/// One plugin that is installed.
#[utoipa::path(get, path = "/api/v1/plugins/{namespace}/{name}", tag = "plugins", params(("namespace" = String, Path), ("name" = String, Path)), responses((status = 200, body = InstalledPlugin)))]
async fn plugin(
    State(app): State<App>,
    _: Viewer,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<InstalledPlugin>, Problem> {
    installs::row(&app, &market::name(&namespace, &name)?).await.map(Json)
}

/// Remove a plugin. Refused while pipelines use it, with their names as `blockers`.
#[utoipa::path(delete, path = "/api/v1/plugins/{namespace}/{name}", tag = "plugins", params(("namespace" = String, Path), ("name" = String, Path), RemoveQuery), responses((status = 204)))]
async fn remove(
    State(app): State<App>,
    Admin(caller): Admin,
    Path((namespace, name)): Path<(String, String)>,
    Query(query): Query<RemoveQuery>,
) -> Result<StatusCode, Problem> {
    installs::remove(&app, &caller, &market::name(&namespace, &name)?, query.force).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a plugin was granted, and what it asks for.
#[utoipa::path(get, path = "/api/v1/plugins/{namespace}/{name}/grants", tag = "plugins", params(("namespace" = String, Path), ("name" = String, Path)), responses((status = 200, body = Grants)))]
async fn grants(
    State(app): State<App>,
    _: Viewer,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<Grants>, Problem> {
    installs::grants(&app, &market::name(&namespace, &name)?).await.map(Json)
}

/// Narrow or widen what a plugin was granted, within what it asks for.
#[utoipa::path(put, path = "/api/v1/plugins/{namespace}/{name}/grants", tag = "plugins", params(("namespace" = String, Path), ("name" = String, Path)), request_body = Grants, responses((status = 200, body = InstalledPlugin)))]
async fn set_grants(
    State(app): State<App>,
    Admin(caller): Admin,
    Path((namespace, name)): Path<(String, String)>,
    Json(body): Json<Grants>,
) -> Result<Json<InstalledPlugin>, Problem> {
    installs::set_grants(&app, &caller, &market::name(&namespace, &name)?, body.granted).await.map(Json)
}
