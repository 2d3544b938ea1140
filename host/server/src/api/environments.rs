//! Where is deployed. The addresses and names are those of the documented interface.

use super::unfinished;
use crate::{
    App, Page, Paging, Problem,
    access::{Admin, Operator, Viewer},
    extract::{Json, Path, Query},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(environments, create))
        .routes(routes!(environment, change, delete))
        .routes(routes!(test))
        .routes(routes!(deployments, deploy))
        .routes(routes!(rollback))
        .routes(routes!(providers))
}

/// An environment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Environment {
    /// Its id.
    pub id: String,
    /// The pipeline that it belongs to; empty: all.
    pub workflow_id: String,
    /// Its name.
    pub name: String,
    /// Its provider's name: see the providers.
    pub provider: String,
    /// The region, where the provider has some.
    pub region: String,
    /// How the provider reaches it: by the provider's schema.
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
    /// The names of its secrets, each with `"set"`. Values are written and never read.
    pub secrets: BTreeMap<String, String>,
    /// `active`, `provisioning`, `error` or `decommissioned`.
    pub status: String,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When it was last changed (RFC 3339).
    pub updated_at: String,
    /// What is deployed there now.
    pub current: Option<Deployment>,
    /// The last test of its connection.
    pub last_test: Option<ConnectionTest>,
}

/// An environment to be made, or what is to change of one: what is absent stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EnvironmentInput {
    /// The pipeline that it belongs to.
    pub workflow_id: Option<String>,
    /// Its name, 1 to 64 letters, digits, `_` and `-`; needed to make one.
    pub name: Option<String>,
    /// Its provider's name; needed to make one.
    pub provider: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// How the provider reaches it.
    #[schema(value_type = Option<Object>)]
    pub config: Option<Map<String, Value>>,
    /// Secrets to be set, by name; an empty value removes one.
    pub secrets: Option<BTreeMap<String, String>>,
    /// `active`, `provisioning`, `error` or `decommissioned`.
    pub status: Option<String>,
}

/// Which environments.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EnvironmentsQuery {
    /// Of this pipeline.
    pub workflow_id: Option<String>,
    /// Of this provider.
    pub provider: Option<String>,
    /// That stand so.
    pub status: Option<String>,
}

/// What came of a test.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ConnectionTest {
    /// Whether the provider can be reached with what is configured.
    pub success: bool,
    /// What it said.
    pub message: String,
    /// How long it took, in nanoseconds.
    pub latency: u64,
    /// More that it said.
    #[schema(value_type = Option<Object>)]
    pub details: Option<Value>,
    /// When it was tested.
    pub at_ms: u64,
}

/// Something that was deployed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Deployment {
    /// Its number here.
    pub id: i64,
    /// Its name at the provider.
    pub deploy_id: String,
    /// The image.
    pub image: String,
    /// `pending`, `in_progress`, `succeeded`, `failed` or `rolled_back`.
    pub status: String,
    /// What the provider said.
    pub message: String,
    /// Who deployed it.
    pub by: String,
    /// By which run.
    pub run: Option<String>,
    /// When.
    pub at_ms: u64,
}

/// What is to be deployed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeployRequest {
    /// The image.
    pub image: String,
    /// What else the provider takes.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
}

/// A deletion that was done.
#[derive(Serialize, ToSchema)]
pub(crate) struct Deleted {
    /// `deleted`.
    pub status: String,
}

/// A provider of environments.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProviderRow {
    /// Its name, such as `local`.
    pub name: String,
    /// For people.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// The plugin with its version.
    pub plugin: String,
    /// JSON Schema of an environment's `config`. A field that is a secret has `"format": "password"`, and belongs into `secrets`.
    #[schema(value_type = Object)]
    pub config_schema: Value,
    /// Its regions; empty where it has none.
    pub regions: Vec<String>,
    /// What it can do: `deploy`, `status`, `rollback`, …
    pub verbs: Vec<String>,
}

/// The environments, by name.
#[utoipa::path(get, path = "/api/v1/admin/environments", tag = "environments", params(EnvironmentsQuery), responses((status = 200, body = Vec<Environment>)))]
async fn environments(
    State(_app): State<App>,
    _: Viewer,
    Query(_query): Query<EnvironmentsQuery>,
) -> Result<Json<Vec<Environment>>, Problem> {
    unfinished()
}

/// Make an environment.
#[utoipa::path(post, path = "/api/v1/admin/environments", tag = "environments", request_body = EnvironmentInput, responses((status = 201, body = Environment)))]
async fn create(
    State(_app): State<App>,
    Admin(_caller): Admin,
    Json(_body): Json<EnvironmentInput>,
) -> Result<(StatusCode, Json<Environment>), Problem> {
    unfinished()
}

/// One environment.
#[utoipa::path(get, path = "/api/v1/admin/environments/{id}", tag = "environments", params(("id" = String, Path)), responses((status = 200, body = Environment)))]
async fn environment(
    State(_app): State<App>,
    _: Viewer,
    Path(_id): Path<String>,
) -> Result<Json<Environment>, Problem> {
    unfinished()
}

/// Change an environment.
#[utoipa::path(put, path = "/api/v1/admin/environments/{id}", tag = "environments", params(("id" = String, Path)), request_body = EnvironmentInput, responses((status = 200, body = Environment)))]
async fn change(
    State(_app): State<App>,
    Admin(_caller): Admin,
    Path(_id): Path<String>,
    Json(_body): Json<EnvironmentInput>,
) -> Result<Json<Environment>, Problem> {
    unfinished()
}

/// Delete an environment and its secrets. What is deployed there stays.
#[utoipa::path(delete, path = "/api/v1/admin/environments/{id}", tag = "environments", params(("id" = String, Path)), responses((status = 200, body = Deleted)))]
async fn delete(
    State(_app): State<App>,
    Admin(_caller): Admin,
    Path(_id): Path<String>,
) -> Result<Json<Deleted>, Problem> {
    unfinished()
}

/// Ask the provider whether it can be reached.
#[utoipa::path(post, path = "/api/v1/admin/environments/{id}/test", tag = "environments", params(("id" = String, Path)), responses((status = 200, body = ConnectionTest)))]
async fn test(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Path(_id): Path<String>,
) -> Result<Json<ConnectionTest>, Problem> {
    unfinished()
}

/// What was deployed to an environment, the newest first.
#[utoipa::path(get, path = "/api/v1/admin/environments/{id}/deployments", tag = "environments", params(("id" = String, Path), Paging), responses((status = 200, body = Page<Deployment>)))]
async fn deployments(
    State(_app): State<App>,
    _: Viewer,
    Path(_id): Path<String>,
    Query(_page): Query<Paging>,
) -> Result<Json<Page<Deployment>>, Problem> {
    unfinished()
}

/// Deploy.
#[utoipa::path(post, path = "/api/v1/admin/environments/{id}/deployments", tag = "environments", params(("id" = String, Path)), request_body = DeployRequest, responses((status = 201, body = Deployment)))]
async fn deploy(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Path(_id): Path<String>,
    Json(_body): Json<DeployRequest>,
) -> Result<(StatusCode, Json<Deployment>), Problem> {
    unfinished()
}

/// Go back to what was there before.
#[utoipa::path(post, path = "/api/v1/admin/environments/{id}/rollback", tag = "environments", params(("id" = String, Path)), responses((status = 200, body = Deployment)))]
async fn rollback(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Path(_id): Path<String>,
) -> Result<Json<Deployment>, Problem> {
    unfinished()
}

/// The providers that installed plugins offer.
#[utoipa::path(get, path = "/api/v1/providers", tag = "environments", responses((status = 200, body = Vec<ProviderRow>)))]
async fn providers(State(_app): State<App>, _: Viewer) -> Result<Json<Vec<ProviderRow>>, Problem> {
    unfinished()
}
