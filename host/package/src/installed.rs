//! What a project has installed: read from the lock, the grants and the store. No requests, no hashing.

use crate::{
    Home, PackageError,
    client::Registry,
    dev,
    grants::Grants,
    lock::{Lock, Locked},
    market::{Hit, SearchQuery},
    release::Release,
    source::Source,
    verification::{Proof, Verification},
};
use semver::VersionReq;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use windlass_contract::{Descriptor, Digest, Permissions, PluginName, PluginRef, ProviderName};

/// A plugin that is ready to be called.
#[derive(Debug, Clone)]
pub struct Installed {
    /// Which.
    pub plugin: PluginRef,
    /// What it says of itself.
    pub descriptor: Descriptor,
    /// What it asks for.
    pub asked: Permissions,
    /// What the grants file gives.
    pub granted: Permissions,
    /// What both allow.
    pub effective: Permissions,
    /// Whether it was signed when it was installed.
    pub verification: Verification,
    /// Its bytes.
    pub wasm_path: PathBuf,
}

fn ready(home: &Home, grants: &Grants, locked: &Locked) -> Result<Installed, PackageError> {
    let store = home.store();
    let entry = store
        .get(&locked.digest)?
        .ok_or_else(|| PackageError::NotFetched { name: locked.name.clone(), version: locked.version.clone() })?;
    let granted = grants.of(&locked.name);
    Ok(Installed {
        plugin: locked.plugin(),
        descriptor: entry.descriptor,
        effective: locked.permissions.intersect(&granted),
        asked: locked.permissions.clone(),
        granted,
        verification: verification(locked),
        wasm_path: store.wasm(&locked.digest),
    })
}

fn verification(locked: &Locked) -> Verification {
    let by = match (&locked.signature, &locked.cosign) {
        (Some(signature), None) => Proof::Key(signature.key),
        (Some(signature), Some(who)) => Proof::Both(signature.key, who.clone()),
        (None, Some(who)) => Proof::Cosign(who.clone()),
        (None, None) => return Verification::Unsigned,
    };
    Verification::Verified { by, first_seen: false }
}

/// Every plugin of a project, sorted by name. One in the making stands in for the locked one: see [`crate::dev`].
///
/// # Errors
/// When a file is not valid, or a locked component is not on this machine ([`PackageError::NotFetched`]).
pub fn installed(home: &Home, project: &Path) -> Result<Vec<Installed>, PackageError> {
    let (lock, grants) = (Lock::load(project)?, Grants::load(project)?);
    let mut all = dev::ready(home, &grants, dev::stand_ins(home, project)?)?;
    for locked in lock.plugins.values() {
        if !all.iter().any(|each| each.plugin.name == locked.name) {
            all.push(ready(home, &grants, locked)?);
        }
    }
    all.sort_by(|a, b| a.plugin.name.cmp(&b.plugin.name));
    Ok(all)
}

/// The plugins that a pipeline requires, as the lock pins them.
///
/// # Errors
/// [`PackageError::NotInstalled`] for the first that the lock does not satisfy; otherwise as [`installed`].
pub fn locked(
    home: &Home,
    project: &Path,
    requirements: &BTreeMap<PluginName, VersionReq>,
) -> Result<Vec<Installed>, PackageError> {
    let (lock, grants) = (Lock::load(project)?, Grants::load(project)?);
    let stand_ins = dev::ready(home, &grants, dev::stand_ins(home, project)?)?;
    let find = |(name, requirement): (&PluginName, &VersionReq)| {
        let fits = |each: &&Installed| each.plugin.name == *name && dev::satisfies(&each.plugin, requirement);
        match stand_ins.iter().find(fits) {
            Some(stand_in) => Ok(stand_in.clone()),
            None => ready(home, &grants, lock.get(name, requirement)?),
        }
    };
    requirements.iter().map(find).collect()
}

/// The state of a locked component on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Its bytes have the locked digest, and the signature holds.
    Sound,
    /// It is not here.
    Missing,
    /// Other bytes are in its place.
    Damaged {
        /// Their digest.
        found: Digest,
    },
    /// The lock's entry is not what was signed, or not by the publisher's key.
    BadSignature {
        /// In words.
        why: String,
    },
}

/// Hashes every locked component and checks every signature again.
///
/// # Errors
/// When a file is not valid or cannot be read. A damaged component is an answer, not an error.
pub fn verify(home: &Home, project: &Path) -> Result<Vec<(Locked, Health)>, PackageError> {
    let lock = Lock::load(project)?;
    lock.plugins
        .into_values()
        .map(|locked| {
            let health = match home.store().verify(&locked.digest)? {
                None => Health::Missing,
                Some(found) if found != locked.digest => Health::Damaged { found },
                Some(_) => signature_health(home, &locked)?,
            };
            Ok((locked, health))
        })
        .collect()
}

fn signature_health(home: &Home, locked: &Locked) -> Result<Health, PackageError> {
    let known = home.publisher(locked.name.namespace())?;
    let why = match (&locked.signature, known) {
        (Some(signature), Some(key)) if signature.key != key => {
            format!("it is signed by {}, and {} is known by {key}", signature.key, locked.name.namespace())
        }
        (Some(signature), _) if !signature.holds(locked.statement()) => {
            format!("what windlass.lock says is not what {} signed", signature.key)
        }
        (None, Some(key)) if locked.cosign.is_none() => {
            format!("it is not signed, and {} is known by {key}", locked.name.namespace())
        }
        _ => return Ok(Health::Sound),
    };
    Ok(Health::BadSignature { why })
}

/// One line of `plugin list`.
#[derive(Debug, Clone)]
pub struct Listed {
    /// What is locked.
    pub locked: Locked,
    /// The component is on this machine.
    pub present: bool,
    /// Its step types; empty when it is not present.
    pub steps: Vec<String>,
    /// The provider that it is; none when it is not present.
    pub provider: Option<ProviderName>,
    /// What the grants file gives of what it asks.
    pub effective: Permissions,
}

/// What a project has locked, whether it is on this machine or not.
///
/// # Errors
/// When a file is not valid.
pub fn list(home: &Home, project: &Path) -> Result<Vec<Listed>, PackageError> {
    let (lock, grants) = (Lock::load(project)?, Grants::load(project)?);
    lock.plugins
        .into_values()
        .map(|locked| {
            let entry = home.store().get(&locked.digest)?;
            let present = entry.is_some();
            let descriptor = entry.map(|entry| entry.descriptor).unwrap_or_default();
            Ok(Listed {
                present,
                steps: descriptor.steps.into_iter().map(|step| step.name).collect(),
                provider: descriptor.provider.map(|provider| provider.name),
                effective: locked.permissions.intersect(&grants.of(&locked.name)),
                locked,
            })
        })
        .collect()
}

/// What the registry and this project know of a plugin.
#[derive(Debug, Clone)]
pub struct Info {
    /// The registry.
    pub registry: String,
    /// Whether it has an index, whose snapshot guards against what is hidden or held back.
    pub has_index: bool,
    /// Every release, oldest first.
    pub releases: Vec<Release>,
    /// What this project has of it.
    pub installed: Option<Listed>,
}

/// Asks the registry about a plugin.
///
/// # Errors
/// When the registry does not answer or does not know it.
pub async fn info(home: &Home, project: &Path, name: &PluginName) -> Result<Info, PackageError> {
    let source = Source::of(home, name)?;
    let releases = source.releases(name).await?;
    let installed = list(home, project)?.into_iter().find(|listed| listed.locked.name == *name);
    Ok(Info { registry: source.origin().to_string(), has_index: source.has_index(), releases, installed })
}

/// What a search of all registries came to.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// In the order of the configuration, then as each registry ranks them.
    pub hits: Vec<Hit>,
    /// Whether a registry has more that match.
    pub more: bool,
    /// Words that a registry knows, where it found nothing.
    pub did_you_mean: Vec<String>,
}

/// Searches every configured registry: one page of each.
///
/// # Errors
/// When one of them does not answer.
pub async fn search(home: &Home, query: &SearchQuery) -> Result<Found, PackageError> {
    let mut found = Found::default();
    for url in home.registries()? {
        let registry = Registry::new(home, url, None)?;
        let answer = registry.search(query).await?;
        found.more |= answer.next.is_some();
        found.did_you_mean.extend(answer.did_you_mean);
        for hit in answer.hits {
            // A registry may only speak for the namespaces that are mapped to it; a native entry has none, and is installed
            // from nowhere.
            let own = match &hit {
                Hit::Plugin(card) => home.registry_of(card.name.namespace()).is_ok_and(|url| url == *registry.url()),
                Hit::Native(_) => true,
            };
            if own {
                found.hits.push(hit);
            }
        }
    }
    Ok(found)
}
