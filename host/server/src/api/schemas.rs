//! The documented interface's view of plugins: `/api/v1/module-schemas` and `/api/v1/admin/plugins`.

mod fields;

use crate::{
    App, Problem,
    access::{Admin, Viewer},
    extract::{Json, Path, Query},
    installs::{self, Wanted},
    market::{self, Look},
    problem::Kind,
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use windlass_contract::{PluginName, ProviderDescriptor, StepType};
use windlass_package::{
    Installed,
    market::{Hit, PluginCard},
};

/// The namespace of the plugins that come with Windlass.
const BUNDLED: &str = "windlass";
/// Hits of the documented interface's search, which has no pages.
const HITS: u32 = 100;

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
    /// An example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
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

impl ModuleSchema {
    fn new(
        kind: String,
        label: &str,
        category: &str,
        description: &str,
        plugin: String,
        config_schema: Value,
    ) -> ModuleSchema {
        let config_fields = fields::fields(&config_schema);
        ModuleSchema {
            kind,
            label: label.to_owned(),
            category: category.to_owned(),
            description: description.to_owned(),
            plugin,
            default_config: fields::defaults(&config_fields),
            config_fields,
            config_schema,
            output_schema: Value::Null,
        }
    }

    fn step(step: &StepType, plugin: &Installed) -> ModuleSchema {
        let label = fields::label(step.name.trim_start_matches("step."));
        let of = plugin.plugin.to_string();
        let schema = step.config_schema.clone();
        let output_schema = step.output_schema.clone();
        ModuleSchema {
            output_schema,
            ..ModuleSchema::new(step.name.clone(), &label, "step", &step.summary, of, schema)
        }
    }

    fn provider(provider: &ProviderDescriptor, plugin: &Installed) -> ModuleSchema {
        let (kind, of) = (format!("provider.{}", provider.name), plugin.plugin.to_string());
        let schema = with_passwords(&provider.config_schema);
        ModuleSchema::new(kind, &provider.title, "provider", &provider.docs, of, schema)
    }
}

/// A provider's schema, in which the fields that are secrets say so in the words that forms know.
pub(crate) fn with_passwords(schema: &Value) -> Value {
    let mut schema = schema.clone();
    let own = schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
    for (_, field) in own {
        if fields::is_secret(field) {
            field["format"] = "password".into();
        }
    }
    schema
}

/// Every type, by its name. One that two plugins have is named with its plugin, too, as in a pipeline.
fn all_schemas(installed: &[Installed]) -> BTreeMap<String, ModuleSchema> {
    let mut all: BTreeMap<String, ModuleSchema> = windlass_manifest::engine_steps()
        .into_iter()
        .map(|(name, summary, schema)| {
            let label = fields::label(name.trim_start_matches("step."));
            let of = concat!("windlass ", env!("CARGO_PKG_VERSION")).to_owned();
            (name.to_owned(), ModuleSchema::new(name.to_owned(), &label, "step", summary, of, schema))
        })
        .collect();
    for plugin in installed {
        for step in &plugin.descriptor.steps {
            let schema = ModuleSchema::step(step, plugin);
            let name = if all.contains_key(&step.name) {
                format!("{}/{}", plugin.plugin.name, step.name)
            } else {
                step.name.clone()
            };
            all.insert(name, schema);
        }
        if let Some(provider) = &plugin.descriptor.provider {
            let schema = ModuleSchema::provider(provider, plugin);
            all.entry(schema.kind.clone()).or_insert(schema);
        }
    }
    all
}

/// Whose work a plugin is, in the documented interface's words.
fn tier(name: &PluginName) -> String {
    if name.namespace() == BUNDLED { "core" } else { "community" }.to_owned()
}

fn installed_row(plugin: &Installed) -> AdminPlugin {
    let descriptor = &plugin.descriptor;
    let steps = descriptor.steps.iter().map(|step| step.summary.clone());
    let provider = descriptor.provider.iter().map(|provider| provider.title.clone());
    let (_, author) = installs::verified(&plugin.verification);
    AdminPlugin {
        name: plugin.plugin.name.to_string(),
        version: plugin.plugin.version.to_string(),
        author,
        description: steps.chain(provider).collect::<Vec<_>>().join("; "),
        tags: descriptor.provides(),
        tier: tier(&plugin.plugin.name),
        installed: true,
        providers: descriptor.provider.iter().map(|provider| provider.name.to_string()).collect(),
    }
}

fn found_row(card: PluginCard, installed: bool) -> AdminPlugin {
    AdminPlugin {
        author: card.name.namespace().to_owned(),
        tier: tier(&card.name),
        name: card.name.to_string(),
        version: card.version.to_string(),
        description: card.summary,
        tags: card.keywords.into_iter().collect(),
        installed,
        providers: Vec::new(),
    }
}

/// The step types and providers of what is installed, by type; with `type`, that one alone.
#[utoipa::path(get, path = "/api/v1/module-schemas", tag = "plugins", params(SchemasQuery), responses((status = 200, body = BTreeMap<String, ModuleSchema>)))]
async fn module_schemas(
    State(app): State<App>,
    _: Viewer,
    Query(query): Query<SchemasQuery>,
) -> Result<Json<Value>, Problem> {
    let mut all = all_schemas(&app.plugins().installed()?);
    let found = match query.kind {
        None => serde_json::to_value(all),
        Some(kind) => {
            let one = all.remove(&kind).ok_or_else(|| Problem::not_found(format!("step type or provider {kind}")))?;
            serde_json::to_value(one)
        }
    };
    found.map(Json).map_err(Problem::internal)
}

/// The plugins that are installed.
#[utoipa::path(get, path = "/api/v1/admin/plugins", tag = "plugins", responses((status = 200, body = Vec<AdminPlugin>)))]
async fn admin_plugins(State(app): State<App>, _: Viewer) -> Result<Json<Vec<AdminPlugin>>, Problem> {
    Ok(Json(app.plugins().installed()?.iter().map(installed_row).collect()))
}

/// Search the registries.
#[utoipa::path(get, path = "/api/v1/admin/plugins/registry/search", tag = "plugins", params(AdminSearchQuery), responses((status = 200, body = Vec<AdminPlugin>)))]
async fn registry_search(
    State(app): State<App>,
    _: Viewer,
    Query(query): Query<AdminSearchQuery>,
) -> Result<Json<Vec<AdminPlugin>>, Problem> {
    let look = Look { q: Some(query.q), limit: Some(HITS), ..Look::default() };
    let found = market::search(&app, look).await?;
    let row = |hit: super::market::MarketHit| match hit.hit {
        Hit::Plugin(card) => Some(found_row(card, hit.installed.is_some())),
        // What is no component cannot be installed here.
        Hit::Native(_) => None,
    };
    Ok(Json(found.items.into_iter().filter_map(row).collect()))
}

/// Install a plugin. One that asks for permissions needs the plan's `consent`.
#[utoipa::path(post, path = "/api/v1/admin/plugins/registry/install", tag = "plugins", request_body = AdminInstall, responses((status = 201, body = AdminInstalled)))]
async fn registry_install(
    State(app): State<App>,
    Admin(caller): Admin,
    Json(body): Json<AdminInstall>,
) -> Result<(StatusCode, Json<AdminInstalled>), Problem> {
    let wanted = Wanted::exactly(&body.name, &body.version)?;
    if installs::version_of(&app, &wanted.name)?.is_some_and(|version| version.to_string() == body.version) {
        return Err(Problem::new(Kind::Conflict, format!("{} {} is installed already", body.name, body.version)));
    }
    let consent = match body.consent {
        Some(consent) => consent,
        None => {
            let plan = installs::plan(&app, wanted.clone()).await?;
            if plan.widens {
                let words = format!("{} {} asks for permissions that were not granted", body.name, body.version);
                let help = "look at what it asks for with POST /api/v1/plugins/plan, and send the plan's `consent`";
                return Err(Problem::new(Kind::Conflict, words).help(help));
            }
            plan.consent
        }
    };
    let installed = installs::install(&app, &caller, wanted, consent).await?;
    let answer = AdminInstalled { status: "installed".to_owned(), name: installed.name, version: installed.version };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Remove a plugin.
#[utoipa::path(delete, path = "/api/v1/admin/plugins/{name}", tag = "plugins", params(("name" = String, Path, description = "`namespace:name`")), responses((status = 200, body = super::environments::Deleted)))]
async fn admin_remove(
    State(app): State<App>,
    Admin(caller): Admin,
    Path(name): Path<String>,
) -> Result<Json<super::environments::Deleted>, Problem> {
    installs::remove(&app, &caller, &installs::name(&name)?, false).await?;
    Ok(Json(super::environments::Deleted { status: "deleted".to_owned() }))
}
