//! What becomes of a release after it was published: yanked by its owner, quarantined or removed by an administrator.

use super::{Answer, Body};
use crate::{
    Registry,
    accounts::{Action, Namespace},
    auth::{Caller, Client},
    error::{ApiError, RegistryError},
    limits::Limited,
    oci::plugin_name,
    status::{Change, Reason},
};
use axum::{
    Json,
    extract::{Path, State},
    response::IntoResponse,
};
use semver::Version;
use serde::Deserialize;
use windlass_contract::PluginName;

/// Why something is withdrawn.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Withdrawal {
    /// In words, for whoever meets it: one line of at most 500 characters.
    #[serde(deserialize_with = "super::parsed")]
    #[schema(value_type = String)]
    reason: Reason,
}

type ReleasePath = Path<(String, String, String)>;

fn release(Path((namespace, name, version)): ReleasePath) -> Result<(PluginName, Version), ApiError> {
    let name = plugin_name(&namespace, &name)?;
    let version: Version = version.parse().map_err(|_| {
        let version: String = version.chars().take(80).collect();
        RegistryError::BadRequest(format!("{version:?} is not a semantic version such as 1.2.3"))
    })?;
    Ok((name, version))
}

/// Changes a release, and answers with its line.
async fn change(registry: &Registry, path: ReleasePath, change: &Change, caller: &Caller) -> Answer {
    let (name, version) = release(path)?;
    registry.0.limits.check(Limited::Yank, Some(caller.who()))?;
    let document = registry.0.database.change_status(&name, &version, change, &caller.by).await?;
    registry.0.index.changed(&name, document).await?;
    tracing::info!(%name, %version, action = change.action(), by = caller.by.actor, "a release was changed");
    let stored = registry.0.database.release(&name, &version).await?;
    let stored = stored.ok_or_else(|| RegistryError::Unknown(format!("there is no release {name}@{version}")))?;
    Ok(Json(stored.release).into_response())
}

async fn owner(registry: &Registry, path: &ReleasePath, client: &Client) -> Result<Caller, ApiError> {
    let Path((namespace, name, _)) = path;
    let name = plugin_name(namespace, name)?;
    Ok(registry.permit(client, Action::Yank, &Namespace::of(&name), None).await?)
}

/// Yanks a release: it is not chosen any more, and those who have it locked keep it.
#[utoipa::path(put, path = "/api/v1/plugins/{namespace}/{name}/{version}/yank", request_body = Withdrawal,
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, description = "The release's line"), (status = 404, description = "There is none"), (status = 409, description = "It is not ok")))]
pub(crate) async fn yank(
    State(registry): State<Registry>,
    path: ReleasePath,
    client: Client,
    Body(why): Body<Withdrawal>,
) -> Answer {
    let caller = owner(&registry, &path, &client).await?;
    change(&registry, path, &Change::Yank(why.reason), &caller).await
}

/// Takes a yank back.
#[utoipa::path(delete, path = "/api/v1/plugins/{namespace}/{name}/{version}/yank",
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, description = "The release's line"), (status = 404, description = "There is none"), (status = 409, description = "It is not yanked")))]
pub(crate) async fn unyank(State(registry): State<Registry>, path: ReleasePath, client: Client) -> Answer {
    let caller = owner(&registry, &path, &client).await?;
    change(&registry, path, &Change::Unyank, &caller).await
}

/// Quarantines a release: it is neither chosen nor handed out while the registry looks into it. For administrators.
#[utoipa::path(put, path = "/api/v1/plugins/{namespace}/{name}/{version}/quarantine", request_body = Withdrawal,
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, description = "The release's line"), (status = 403, description = "Not an administrator"), (status = 409, description = "It is removed or in quarantine")))]
pub(crate) async fn quarantine(
    State(registry): State<Registry>,
    path: ReleasePath,
    client: Client,
    Body(why): Body<Withdrawal>,
) -> Answer {
    let caller = registry.administrator(&client).await?;
    change(&registry, path, &Change::Quarantine(why.reason), &caller).await
}

/// Lets a release out of quarantine. For administrators.
#[utoipa::path(delete, path = "/api/v1/plugins/{namespace}/{name}/{version}/quarantine",
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, description = "The release's line"), (status = 403, description = "Not an administrator"), (status = 409, description = "It is not in quarantine")))]
pub(crate) async fn let_out(State(registry): State<Registry>, path: ReleasePath, client: Client) -> Answer {
    let caller = registry.administrator(&client).await?;
    change(&registry, path, &Change::Release, &caller).await
}

/// Removes a release: its line stays, its bytes go, for good. For administrators.
#[utoipa::path(delete, path = "/api/v1/plugins/{namespace}/{name}/{version}", request_body = Withdrawal,
    params(("namespace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, description = "The release's line"), (status = 403, description = "Not an administrator"), (status = 409, description = "It is removed")))]
pub(crate) async fn remove(
    State(registry): State<Registry>,
    path: ReleasePath,
    client: Client,
    Body(why): Body<Withdrawal>,
) -> Answer {
    let caller = registry.administrator(&client).await?;
    change(&registry, path, &Change::Remove(why.reason), &caller).await
}
