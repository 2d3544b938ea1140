//! Where is deployed. The addresses and names are those of the documented interface.

use crate::{
    App, Page, Paging, Problem,
    access::{Admin, Operator, Viewer},
    environments,
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
        .routes(routes!(status))
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
    /// How the provider reaches it, as a whole.
    #[schema(value_type = Option<Object>)]
    pub config: Option<Map<String, Value>>,
    /// Secrets to be set, by name: 1 to 64 letters, digits, `_` and `-`. An empty value removes one. In `config`, `secret:./NAME` names
    /// one; one that is called like a field of the provider's schema that is a secret fills in that field.
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
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
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
    /// `deploy`, or `rollback`.
    pub kind: String,
    /// Its name at the provider; empty until the provider has answered.
    pub deploy_id: String,
    /// The image.
    pub image: String,
    /// `pending`, `in_progress`, `succeeded`, `failed` or `rolled_back`.
    pub status: String,
    /// What the provider said.
    pub message: String,
    /// Where it can be reached, where the provider says.
    pub endpoint: Option<String>,
    /// Who deployed it.
    pub by: String,
    /// By which run.
    pub run: Option<String>,
    /// When it began.
    pub at_ms: u64,
    /// When it came to its end.
    pub ended_at_ms: Option<u64>,
}

/// How what is deployed stands at this moment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct EnvironmentStatus {
    /// What is in place.
    pub deployment: Option<Deployment>,
    /// How far it is, 0 to 100.
    pub progress: Option<u8>,
    /// What the provider says.
    pub message: String,
    /// What runs of it.
    pub instances: Vec<InstanceRow>,
}

/// One instance of what was deployed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct InstanceRow {
    /// The provider's own name of it.
    pub id: String,
    /// `running`, `pending`, `stopped` or `failed`.
    pub status: String,
    /// `healthy`, `unhealthy` or `unknown`.
    pub health: String,
    /// Where it can be reached.
    pub address: Option<String>,
}

/// What is to be deployed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeployRequest {
    /// The image.
    pub image: String,
    /// What else the provider takes with a deployment.
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
    State(app): State<App>,
    _: Viewer,
    Query(query): Query<EnvironmentsQuery>,
) -> Result<Json<Vec<Environment>>, Problem> {
    environments::list(&app, &query).await.map(Json)
}

/// Make an environment.
#[utoipa::path(post, path = "/api/v1/admin/environments", tag = "environments", request_body = EnvironmentInput, responses((status = 201, body = Environment)))]
async fn create(
    State(app): State<App>,
    Admin(caller): Admin,
    Json(body): Json<EnvironmentInput>,
) -> Result<(StatusCode, Json<Environment>), Problem> {
    let made = environments::create(&app, &caller, body).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// One environment.
#[utoipa::path(get, path = "/api/v1/admin/environments/{id}", tag = "environments", params(("id" = String, Path)), responses((status = 200, body = Environment)))]
async fn environment(State(app): State<App>, _: Viewer, Path(id): Path<String>) -> Result<Json<Environment>, Problem> {
    environments::one(&app, &id).await.map(Json)
}

/// Change an environment.
#[utoipa::path(put, path = "/api/v1/admin/environments/{id}", tag = "environments", params(("id" = String, Path)), request_body = EnvironmentInput, responses((status = 200, body = Environment)))]
async fn change(
    State(app): State<App>,
    Admin(caller): Admin,
    Path(id): Path<String>,
    Json(body): Json<EnvironmentInput>,
) -> Result<Json<Environment>, Problem> {
    environments::change(&app, &caller, &id, body).await.map(Json)
}

/// Delete an environment and its secrets. What is deployed there stays.
#[utoipa::path(delete, path = "/api/v1/admin/environments/{id}", tag = "environments", params(("id" = String, Path)), responses((status = 200, body = Deleted)))]
async fn delete(
    State(app): State<App>,
    Admin(caller): Admin,
    Path(id): Path<String>,
) -> Result<Json<Deleted>, Problem> {
    environments::delete(&app, &caller, &id).await?;
    Ok(Json(Deleted { status: "deleted".to_owned() }))
}

/// Ask the provider whether it can be reached.
#[utoipa::path(post, path = "/api/v1/admin/environments/{id}/test", tag = "environments", params(("id" = String, Path)), responses((status = 200, body = ConnectionTest)))]
async fn test(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(id): Path<String>,
) -> Result<Json<ConnectionTest>, Problem> {
    environments::test(&app, &caller, &id).await.map(Json)
}

/// How what is deployed stands at this moment, as the provider says.
#[utoipa::path(get, path = "/api/v1/admin/environments/{id}/status", tag = "environments", operation_id = "standing", params(("id" = String, Path)), responses((status = 200, body = EnvironmentStatus)))]
async fn status(State(app): State<App>, _: Viewer, Path(id): Path<String>) -> Result<Json<EnvironmentStatus>, Problem> {
    environments::status(&app, &id).await.map(Json)
}

/// What was deployed to an environment, the newest first.
#[utoipa::path(get, path = "/api/v1/admin/environments/{id}/deployments", tag = "environments", params(("id" = String, Path), Paging), responses((status = 200, body = Page<Deployment>)))]
async fn deployments(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<String>,
    Query(page): Query<Paging>,
) -> Result<Json<Page<Deployment>>, Problem> {
    environments::deployments(&app, &id, &page).await.map(Json)
}

/// Deploy. One that fails is answered, too: its `status` says so. What takes longer than 20 s is told as `in_progress`, and goes on.
#[utoipa::path(post, path = "/api/v1/admin/environments/{id}/deployments", tag = "environments", params(("id" = String, Path)), request_body = DeployRequest, responses((status = 201, body = Deployment)))]
async fn deploy(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(id): Path<String>,
    Json(body): Json<DeployRequest>,
) -> Result<(StatusCode, Json<Deployment>), Problem> {
    let deployment = environments::deploy(&app, &caller, &id, body).await?;
    Ok((StatusCode::CREATED, Json(deployment)))
}

/// Go back to what was there before. The answer is the deployment that is in place then, or that was to be.
#[utoipa::path(post, path = "/api/v1/admin/environments/{id}/rollback", tag = "environments", params(("id" = String, Path)), responses((status = 200, body = Deployment)))]
async fn rollback(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(id): Path<String>,
) -> Result<Json<Deployment>, Problem> {
    environments::roll_back(&app, &caller, &id).await.map(Json)
}

/// The providers that installed plugins offer.
#[utoipa::path(get, path = "/api/v1/providers", tag = "environments", responses((status = 200, body = Vec<ProviderRow>)))]
async fn providers(State(app): State<App>, _: Viewer) -> Result<Json<Vec<ProviderRow>>, Problem> {
    environments::providers(&app).map(Json)
}
