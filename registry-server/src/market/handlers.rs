//! The market's handlers: what is asked, and the page that answers it.

use super::{answer, feed, pages, search::Search};
use crate::{Registry, RegistryError, accounts::Namespace, error::ApiError};
use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::Response,
};
use serde::Deserialize;
use windlass_contract::PluginName;
use windlass_package::{
    market::{
        Conflicts, Dependents, Downloads, MAX_CONFLICTS, MAX_LIMIT, MAX_VERSIONS, NATIVE_NOTE, NamespacePage,
        NativeName, NativePage, PermissionLines, PluginPage, SearchAnswer, SearchQuery, StepProviders, VersionPage,
        VersionRow, Versions,
    },
    release::Refusals,
};

type Answer = Result<Response, ApiError>;
type Plugin = Path<(String, String)>;
type Release = Path<(String, String, String)>;

fn bad(why: impl ToString) -> RegistryError {
    RegistryError::BadRequest(why.to_string())
}

/// What is wrong with a query string, without what its reader says of itself.
fn bad_query(error: &QueryRejection) -> RegistryError {
    let text = error.body_text();
    bad(text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text))
}

fn plugin_name(namespace: &str, name: &str) -> Result<PluginName, RegistryError> {
    format!("{namespace}:{name}").parse().map_err(|error: windlass_contract::NameError| bad(error))
}

fn version_of(text: &str) -> Result<semver::Version, RegistryError> {
    let shown: String = text.chars().take(80).collect();
    text.parse().map_err(|_| bad(format!("{shown:?} is not a version such as 1.2.3")))
}

/// Search plugins and native entries
#[utoipa::path(get, path = "/api/v1/search", tag = "market", params(SearchQuery), responses(
    (status = 200, description = "One page", body = SearchAnswer),
    (status = 400, description = "The query cannot be asked", body = Refusals),
))]
pub(super) async fn search(
    State(registry): State<Registry>,
    headers: HeaderMap,
    query: Result<Query<SearchQuery>, QueryRejection>,
) -> Answer {
    let Query(query) = query.map_err(|error| bad_query(&error))?;
    let search = Search::of(&query).map_err(bad)?;
    let found = registry.0.database.search(&search).await?;
    let answer = SearchAnswer {
        hits: found.hits,
        total: found.total,
        more: found.more,
        facets: found.facets,
        next: found.next,
        did_you_mean: found.did_you_mean,
    };
    Ok(answer::json(&headers, &answer))
}

/// A plugin's page
#[utoipa::path(get, path = "/api/v1/plugins/{namespace}/{name}", tag = "market",
    params(("namespace" = String, Path), ("name" = String, Path)), responses(
    (status = 200, description = "The page of its newest release", body = PluginPage),
    (status = 404, description = "There is no such plugin", body = Refusals),
))]
pub(super) async fn plugin(
    State(registry): State<Registry>,
    Path((namespace, name)): Plugin,
    headers: HeaderMap,
) -> Answer {
    let page = pages::plugin(&registry, &plugin_name(&namespace, &name)?).await?;
    Ok(answer::json(&headers, &page))
}

/// A plugin's versions
#[utoipa::path(get, path = "/api/v1/plugins/{namespace}/{name}/versions", tag = "market",
    params(("namespace" = String, Path), ("name" = String, Path)), responses(
    (status = 200, description = "The newest first", body = Versions),
    (status = 404, description = "There is no such plugin", body = Refusals),
))]
pub(super) async fn versions(
    State(registry): State<Registry>,
    Path((namespace, name)): Plugin,
    headers: HeaderMap,
) -> Answer {
    let releases = pages::releases(&registry, &plugin_name(&namespace, &name)?).await?;
    let versions = releases.iter().take(MAX_VERSIONS).map(VersionRow::from).collect();
    Ok(answer::json(&headers, &Versions { versions }))
}

/// A version's page
#[utoipa::path(get, path = "/api/v1/plugins/{namespace}/{name}/versions/{version}", tag = "market",
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)), responses(
    (status = 200, description = "The version", body = VersionPage),
    (status = 404, description = "There is no such version", body = Refusals),
))]
pub(super) async fn version(
    State(registry): State<Registry>,
    Path((namespace, name, version)): Release,
    headers: HeaderMap,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let release = pages::release(&registry, &name, &version_of(&version)?).await?;
    let (page, _) = pages::version(&registry, &release).await?;
    Ok(answer::json(&headers, &page))
}

/// What a version asks for, in words
#[utoipa::path(get, path = "/api/v1/plugins/{namespace}/{name}/versions/{version}/permissions", tag = "market",
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)), responses(
    (status = 200, description = "One line each", body = PermissionLines),
    (status = 404, description = "There is no such version", body = Refusals),
))]
pub(super) async fn permissions(
    State(registry): State<Registry>,
    Path((namespace, name, version)): Release,
    headers: HeaderMap,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let release = pages::release(&registry, &name, &version_of(&version)?).await?;
    Ok(answer::json(&headers, &PermissionLines { permissions: pages::permissions(&release) }))
}

/// Where a list goes on.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct After {
    /// The last name of the page before.
    #[param(value_type = Option<String>)]
    after: Option<PluginName>,
}

/// Who needs a plugin
#[utoipa::path(get, path = "/api/v1/plugins/{namespace}/{name}/dependents", tag = "market",
    params(("namespace" = String, Path), ("name" = String, Path), After), responses(
    (status = 200, description = "At most a hundred, by name", body = Dependents),
    (status = 400, description = "The page cannot be asked for", body = Refusals),
))]
pub(super) async fn dependents(
    State(registry): State<Registry>,
    Path((namespace, name)): Plugin,
    headers: HeaderMap,
    after: Result<Query<After>, QueryRejection>,
) -> Answer {
    let Query(After { after }) = after.map_err(|error| bad_query(&error))?;
    let (name, limit) = (plugin_name(&namespace, &name)?, usize::try_from(MAX_LIMIT).unwrap_or_default());
    Ok(answer::json(&headers, &registry.0.database.dependents(&name, after.as_ref(), limit).await?))
}

/// A plugin's downloads
#[utoipa::path(get, path = "/api/v1/plugins/{namespace}/{name}/downloads", tag = "market",
    params(("namespace" = String, Path), ("name" = String, Path)), responses(
    (status = 200, description = "In all, by version and by day", body = Downloads),
    (status = 404, description = "There is no such plugin", body = Refusals),
))]
pub(super) async fn downloads(
    State(registry): State<Registry>,
    Path((namespace, name)): Plugin,
    headers: HeaderMap,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    // Not of what is not there.
    pages::releases(&registry, &name).await?;
    Ok(answer::json(&headers, &pages::downloads(&registry, &name).await?))
}

/// A plugin's new versions as an Atom feed
#[utoipa::path(get, path = "/api/v1/plugins/{namespace}/{name}/feed.xml", tag = "market",
    params(("namespace" = String, Path), ("name" = String, Path)), responses(
    (status = 200, description = "The latest publication first", body = String, content_type = "application/atom+xml"),
    (status = 404, description = "There is no such plugin", body = Refusals),
))]
pub(super) async fn feed(
    State(registry): State<Registry>,
    Path((namespace, name)): Plugin,
    headers: HeaderMap,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let releases = pages::releases(&registry, &name).await?;
    let feed = feed::atom(&registry.0.public, &name.to_string(), &releases);
    Ok(answer::text(&headers, "application/atom+xml", feed))
}

/// A namespace and its plugins
#[utoipa::path(get, path = "/api/v1/namespaces/{namespace}", tag = "market",
    params(("namespace" = String, Path)), responses(
    (status = 200, description = "The namespace", body = NamespacePage),
    (status = 404, description = "There is no such namespace", body = Refusals),
))]
pub(super) async fn namespace(
    State(registry): State<Registry>,
    Path(namespace): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let namespace: Namespace = namespace.parse().map_err(bad)?;
    Ok(answer::json(&headers, &pages::namespace(&registry, &namespace).await?))
}

/// Who provides a step type
#[utoipa::path(get, path = "/api/v1/step-types/{name}", tag = "market",
    params(("name" = String, Path, example = "step.shell_exec")), responses(
    (status = 200, description = "At least one", body = StepProviders),
    (status = 404, description = "Nobody does", body = Refusals),
))]
pub(super) async fn step_type(
    State(registry): State<Registry>,
    Path(step): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let step: String = step.chars().take(80).collect();
    let providers = registry.0.database.providers(&step).await?;
    if providers.is_empty() {
        return Err(RegistryError::Unknown(format!("nobody here provides the step type {step:?}")).into());
    }
    Ok(answer::json(&headers, &StepProviders { step, providers }))
}

/// Step types that more than one provides
#[utoipa::path(get, path = "/api/v1/conflicts", tag = "market", responses(
    (status = 200, description = "By step type", body = Conflicts),
))]
pub(super) async fn conflicts(State(registry): State<Registry>, headers: HeaderMap) -> Answer {
    let mut conflicts = registry.0.database.conflicts(None).await?;
    conflicts.truncate(MAX_CONFLICTS);
    Ok(answer::json(&headers, &Conflicts { conflicts }))
}

/// A native entry of an imported index
#[utoipa::path(get, path = "/api/v1/native/{name}", tag = "market",
    params(("name" = String, Path)), responses(
    (status = 200, description = "The entry; it cannot be installed here", body = NativePage),
    (status = 404, description = "There is no such entry", body = Refusals),
))]
pub(super) async fn native(State(registry): State<Registry>, Path(name): Path<String>, headers: HeaderMap) -> Answer {
    let name: NativeName = name.parse().map_err(bad)?;
    let page = registry.0.database.native(&name).await?;
    let mut page = page.ok_or_else(|| RegistryError::Unknown(format!("there is no native entry {name}")))?;
    page.conflicts = registry.0.database.conflicts(Some(&page.steps)).await?;
    page.note = NATIVE_NOTE.to_owned();
    Ok(answer::json(&headers, &page))
}
