//! The documented interface's view of plugins: `/api/v1/module-schemas` and `/api/v1/admin/plugins`.

use super::unfinished;
use crate::{
    App, Problem,
    access::{Admin, Viewer},
    extract::{Json, Path, Query},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(module_schemas))
        .routes(routes!(admin_plugins))
        .routes(routes!(registry_search))
        .routes(routes!(registry_install))
        .routes(routes!(admin_remove))
}

/// Which schema.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SchemasQuery {
    /// Only this type, such as `step.shell_exec`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// A step type or provider, described for forms.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModuleSchema {
    /// Its type, such as `step.shell_exec`.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    pub label: String,
    /// `step` or `provider`.
    pub category: String,
    /// What it does.
    pub description: String,
    /// The plugin with its version.
    pub plugin: String,
    /// The fields of its configuration.
    pub config_fields: Vec<ConfigField>,
    /// What they are when they are not given.
    #[schema(value_type = Object)]
    pub default_config: BTreeMap<String, Value>,
    /// JSON Schema of its configuration, which says all of it.
    #[schema(value_type = Object)]
    pub config_schema: Value,
    /// JSON Schema of its results.
    #[schema(value_type = Object)]
    pub output_schema: Value,
}

/// A field of a configuration.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConfigField {
    /// Its key.
    pub key: String,
    /// For people.
    pub label: String,
    /// `string`, `number`, `boolean`, `select`, `array`, `map` or `json`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it must be given.
    pub required: bool,
    /// What it is otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub default_value: Option<Value>,
    /// What it means.
    pub description: String,
    /// What it may be, of `select`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// The type of an array's items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array_item_type: Option<String>,
    /// The type of a map's values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_value_type: Option<String>,
    /// Whether it is a secret.
    pub sensitive: bool,
}

/// A plugin, in the documented interface's words.
#[derive(Serialize, ToSchema)]
pub(crate) struct AdminPlugin {
    /// `namespace:name`.
    pub name: String,
    /// The version.
    pub version: String,
    /// Who signed it.
    pub author: String,
    /// One line.
    pub description: String,
    /// Words that it may be found by.
    pub tags: Vec<String>,
    /// `core` for the bundled ones, else `community`.
    pub tier: String,
    /// Whether it is installed here.
    pub installed: bool,
    /// The providers that it has.
    pub providers: Vec<String>,
}

/// What is looked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AdminSearchQuery {
    /// Words.
    #[serde(default)]
    pub q: String,
}

/// What is to be installed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdminInstall {
    /// `namespace:name`.
    pub name: String,
    /// The version.
    pub version: String,
    /// The `consent` of the plan (`POST /api/v1/plugins/plan`), where the plugin asks for anything.
    pub consent: Option<String>,
}

/// What was installed.
#[derive(Serialize, ToSchema)]
pub(crate) struct AdminInstalled {
    /// `installed`.
    pub status: String,
    /// The plugin.
    pub name: String,
    /// The version.
    pub version: String,
}

/// The step types and providers of what is installed, by type; with `type`, that one alone.
#[utoipa::path(get, path = "/api/v1/module-schemas", tag = "plugins", params(SchemasQuery), responses((status = 200, body = BTreeMap<String, ModuleSchema>)))]
async fn module_schemas(
    State(_app): State<App>,
    _: Viewer,
    Query(_query): Query<SchemasQuery>,
) -> Result<Json<Value>, Problem> {
    unfinished()
}

/// The plugins that are installed.
#[utoipa::path(get, path = "/api/v1/admin/plugins", tag = "plugins", responses((status = 200, body = Vec<AdminPlugin>)))]
async fn admin_plugins(State(_app): State<App>, _: Viewer) -> Result<Json<Vec<AdminPlugin>>, Problem> {
    unfinished()
}

/// Search the registries.
#[utoipa::path(get, path = "/api/v1/admin/plugins/registry/search", tag = "plugins", params(AdminSearchQuery), responses((status = 200, body = Vec<AdminPlugin>)))]
async fn registry_search(
    State(_app): State<App>,
    _: Viewer,
    Query(_query): Query<AdminSearchQuery>,
) -> Result<Json<Vec<AdminPlugin>>, Problem> {
    unfinished()
}

/// Install a plugin. One that asks for permissions needs the plan's `consent`.
#[utoipa::path(post, path = "/api/v1/admin/plugins/registry/install", tag = "plugins", request_body = AdminInstall, responses((status = 201, body = AdminInstalled)))]
async fn registry_install(
    State(_app): State<App>,
    Admin(_caller): Admin,
    Json(_body): Json<AdminInstall>,
) -> Result<(StatusCode, Json<AdminInstalled>), Problem> {
    unfinished()
}

/// Remove a plugin.
#[utoipa::path(delete, path = "/api/v1/admin/plugins/{name}", tag = "plugins", params(("name" = String, Path, description = "`namespace:name`")), responses((status = 200, body = super::environments::Deleted)))]
async fn admin_remove(
    State(_app): State<App>,
    Admin(_caller): Admin,
    Path(_name): Path<String>,
) -> Result<Json<super::environments::Deleted>, Problem> {
    unfinished()
}
