//! Plugins that can be installed, from the registries that the home's configuration names.

use crate::{
    App, Problem,
    access::Viewer,
    extract::{Json, Path, Query},
    market,
};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use windlass_package::market::{Facets, Hit, PluginPage};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(search)).routes(routes!(plugin)).routes(routes!(registries))
}

/// What is looked for.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MarketQuery {
    /// Words, at most 200 characters.
    pub q: Option<String>,
    /// Only of this kind: `step`, `provider` or `scanner`.
    pub kind: Option<String>,
    /// Only those that ask for this capability.
    pub capability: Option<String>,
    /// Only those whose namespace's owner the registry has verified.
    pub verified: Option<bool>,
    /// Only under this licence.
    pub licence: Option<String>,
    /// `relevance`, `downloads`, `new` or `name`.
    pub sort: Option<String>,
    /// Only of this registry, by its address.
    pub registry: Option<String>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// How many, 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}

/// A page of the marketplace.
#[derive(Serialize, ToSchema)]
pub(crate) struct MarketPage {
    /// The hits.
    pub items: Vec<MarketHit>,
    /// How many there are on all pages, as the registries count them.
    pub total: u64,
    /// How many of them each filter would leave, of all registries.
    pub facets: Facets,
    /// What to send as `cursor` for the next page.
    pub next_cursor: Option<String>,
    /// A word that there is, when nothing matches.
    pub did_you_mean: Option<String>,
    /// Registries that did not answer, with the reason.
    pub unreachable: Vec<UnreachableRegistry>,
}

/// A hit.
#[derive(Serialize, ToSchema)]
pub(crate) struct MarketHit {
    /// What the registry says.
    #[serde(flatten)]
    pub hit: Hit,
    /// The registry's address.
    pub registry: String,
    /// The version that is installed here.
    pub installed: Option<String>,
    /// Whether the registry has a newer one that may be used.
    pub outdated: bool,
}

/// A registry that did not answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct UnreachableRegistry {
    /// Its address.
    pub registry: String,
    /// Why not.
    pub reason: String,
}

/// A plugin's page.
#[derive(Serialize, ToSchema)]
pub(crate) struct MarketPlugin {
    /// What the registry says.
    pub page: PluginPage,
    /// The registry's address.
    pub registry: String,
    /// What is installed of it here.
    pub installed: Option<super::plugins::InstalledPlugin>,
    /// `verified`, `unsigned` or `bad`: what this server made of the release's signature.
    pub verification: String,
    /// In words: by whom.
    pub verification_words: String,
}

/// A registry.
#[derive(Serialize, ToSchema)]
pub(crate) struct RegistryRow {
    /// Its address.
    pub url: String,
    /// The namespaces that come from it alone; empty where it is the default.
    pub namespaces: Vec<String>,
    /// Whether it is where namespaces come from that are not mapped.
    pub default: bool,
    /// Whether it answered just now.
    pub reachable: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// Search the registries and what is installed.
#[utoipa::path(get, path = "/api/v1/market", tag = "market", params(MarketQuery), responses((status = 200, body = MarketPage)))]
async fn search(
    State(app): State<App>,
    _: Viewer,
    Query(query): Query<MarketQuery>,
) -> Result<Json<MarketPage>, Problem> {
    market::search(&app, query).await.map(Json)
}

/// A plugin's page.
#[utoipa::path(get, path = "/api/v1/market/{namespace}/{name}", tag = "market", params(("namespace" = String, Path), ("name" = String, Path)), responses((status = 200, body = MarketPlugin)))]
async fn plugin(
    State(app): State<App>,
    _: Viewer,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<MarketPlugin>, Problem> {
    market::plugin(&app, market::name(&namespace, &name)?).await.map(Json)
}

/// The registries.
#[utoipa::path(get, path = "/api/v1/registries", tag = "market", responses((status = 200, body = Vec<RegistryRow>)))]
async fn registries(State(app): State<App>, _: Viewer) -> Result<Json<Vec<RegistryRow>>, Problem> {
    market::registries(&app).await.map(Json)
}
