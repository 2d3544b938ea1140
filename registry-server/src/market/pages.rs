//! What a page shows, put together from the index, the database and what was rendered at publication.

use crate::{Registry, RegistryError, accounts::Namespace};
use jiff::Timestamp;
use semver::{Version, VersionReq};
use std::collections::BTreeMap;
use windlass_contract::PluginName;
use windlass_package::{
    market::{
        Downloads, MAX_LIMIT, NamespacePage, PermissionLine, PluginPage, ProviderPage, StepPage, VersionPage,
        VersionRow,
    },
    release::{Release, Status, newest, parse_index},
};

/// How far back downloads are shown by day, in days.
pub(super) const DOWNLOAD_DAYS: i64 = 90;
/// Dependents that a plugin's page names.
const DEPENDENTS: usize = 10;

fn limit() -> usize {
    usize::try_from(MAX_LIMIT).unwrap_or(usize::MAX)
}

/// All releases of a plugin, the newest version first.
pub(super) async fn releases(registry: &Registry, name: &PluginName) -> Result<Vec<Release>, RegistryError> {
    let document = registry.0.index.get(name).await?;
    let document = document.ok_or_else(|| RegistryError::Unknown(format!("there is no plugin {name}")))?;
    let damaged = |why| RegistryError::Database { what: "read the index", why };
    let text = std::str::from_utf8(&document.body).map_err(|error| damaged(error.to_string()))?;
    let mut releases = parse_index(name, text).map_err(damaged)?;
    releases.sort_by(|a, b| b.version.cmp(&a.version));
    Ok(releases)
}

/// One release of a plugin.
pub(super) async fn release(
    registry: &Registry,
    name: &PluginName,
    version: &Version,
) -> Result<Release, RegistryError> {
    let releases = releases(registry, name).await?;
    let found = releases.into_iter().find(|release| release.version == *version);
    found.ok_or_else(|| RegistryError::Unknown(format!("there is no release {name}@{version}")))
}

/// The release that a page is about: the newest that may be used; where none may, the newest at all.
fn shown(releases: &[Release]) -> Option<&Release> {
    newest(releases, &VersionReq::STAR)
        .or_else(|| releases.iter().find(|release| release.status.is_ok()))
        .or_else(|| releases.first())
}

/// Whether what its author wrote may be shown.
fn is_shown(status: &Status) -> bool {
    matches!(status, Status::Ok | Status::Yanked(_))
}

pub(super) fn permissions(release: &Release) -> Vec<PermissionLine> {
    let words = release.permissions.in_words().into_iter();
    words.map(|(capability, words)| PermissionLine { capability, words }).collect()
}

/// A version's page, and the README that belongs to it.
pub(super) async fn version(
    registry: &Registry,
    release: &Release,
) -> Result<(VersionPage, Option<String>), RegistryError> {
    let stored = registry.0.database.release(&release.name, &release.version).await?;
    let shown = stored.filter(|_| is_shown(&release.status)).map(|stored| stored.descriptor);
    let (steps, provider) = shown.map(|descriptor| (descriptor.steps, descriptor.provider)).unwrap_or_default();
    let (readme, mut docs) = match is_shown(&release.status) {
        true => registry.0.database.page(&release.name, &release.version).await?,
        false => (None, BTreeMap::new()),
    };
    let steps = steps.into_iter().map(|step| StepPage {
        docs: docs.remove(&step.name).unwrap_or_default(),
        name: step.name,
        summary: step.summary,
        effect: step.effect,
        config_schema: step.config_schema,
        output_schema: step.output_schema,
    });
    let steps = steps.collect();
    let provider = provider.map(|provider| ProviderPage {
        docs: docs.remove(provider.name.as_str()).unwrap_or_default(),
        name: provider.name,
        title: provider.title,
        config_schema: provider.config_schema,
        verbs: provider.verbs,
        regions: provider.regions,
    });
    let page = VersionPage {
        version: release.version.clone(),
        summary: release.summary.clone(),
        licence: release.licence.clone(),
        source: release.source.clone(),
        keywords: release.keywords.clone(),
        digest: release.digest,
        size: release.size,
        published: release.published,
        status: release.status.clone(),
        kinds: release.kinds.clone(),
        contract: release.contract.clone(),
        engine: release.engine.clone(),
        imports: release.imports.clone(),
        permissions: permissions(release),
        dependencies: release.dependencies.clone(),
        signed_by: release.signature.as_ref().map(|signature| signature.key),
        steps,
        provider,
    };
    Ok((page, readme))
}

/// A plugin's page.
pub(super) async fn plugin(registry: &Registry, name: &PluginName) -> Result<PluginPage, RegistryError> {
    let releases = releases(registry, name).await?;
    let unknown = || RegistryError::Unknown(format!("there is no plugin {name}"));
    let shown = shown(&releases).ok_or_else(unknown)?;
    let (release, readme) = version(registry, shown).await?;
    let namespace = Namespace::of(name);
    let database = &registry.0.database;
    let downloads = downloads(registry, name).await?;
    Ok(PluginPage {
        name: name.clone(),
        release,
        versions: releases.iter().take(limit()).map(VersionRow::from).collect(),
        readme,
        owners: owners(registry, &namespace).await?,
        verified: database.verified(&namespace).await?.flatten().is_some(),
        downloads: Downloads { total: downloads.total, last_90_days: downloads.last_90_days, ..Downloads::default() },
        dependents: database.dependents(name, None, DEPENDENTS).await?,
        install: install(shown),
        conflicts: database.conflicts(Some(&shown.steps)).await?,
    })
}

/// The commands that install a release: the newest that fits, and exactly this one.
fn install(release: &Release) -> Vec<String> {
    if !release.status.is_ok() {
        return Vec::new();
    }
    let name = &release.name;
    vec![format!("windlass plugin install {name}"), format!("windlass plugin install {name}@={}", release.version)]
}

pub(super) async fn downloads(registry: &Registry, name: &PluginName) -> Result<Downloads, RegistryError> {
    let today = Timestamp::now().as_second().div_euclid(86_400);
    registry.0.database.downloads(name, today - DOWNLOAD_DAYS + 1).await
}

async fn owners(registry: &Registry, namespace: &Namespace) -> Result<Vec<String>, RegistryError> {
    Ok(registry.0.database.owners(namespace).await?.iter().map(ToString::to_string).collect())
}

/// A namespace's page.
pub(super) async fn namespace(registry: &Registry, namespace: &Namespace) -> Result<NamespacePage, RegistryError> {
    let database = &registry.0.database;
    let verified = database.verified(namespace).await?;
    let verified = verified.ok_or_else(|| RegistryError::Unknown(format!("there is no namespace {namespace}")))?;
    let keys = database.keys(namespace).await?;
    Ok(NamespacePage {
        namespace: namespace.to_string(),
        verified: verified.is_some(),
        owners: owners(registry, namespace).await?,
        keys: keys.into_iter().filter(|key| key.revoked.is_none()).map(|key| key.key).collect(),
        plugins: database.cards(namespace, limit()).await?,
    })
}
