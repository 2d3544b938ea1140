//! From what is asked to releases: fetches the indexes that the resolver lacks, four at once, until it has an answer.
//!
//! What is locked and not spoken of is taken from the lock, without asking anybody: its index is fetched only when there is
//! no answer otherwise.

use crate::{
    Home, PackageError,
    lock::{Lock, Locked},
    release::{LINE_FORMAT, Release, Status},
    resolve::{self, Answer, Root, Rules, Universe},
    source::Source,
};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use semver::Version;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use windlass_contract::{CONTRACT_VERSION, Digest, PluginName};

/// How many requests are made at once.
pub(crate) const AT_ONCE: usize = 4;

/// What decides whether a release may be chosen, here and now.
pub(crate) fn rules(home: &Home) -> Result<Rules, PackageError> {
    let number = |text: &str| text.parse().unwrap_or(Version::new(0, 0, 0));
    Ok(Rules {
        engine: number(env!("CARGO_PKG_VERSION")),
        contract: number(CONTRACT_VERSION),
        now: Timestamp::now(),
        cool_down: home.config()?.install.cool_down,
    })
}

/// The sources that were asked, and what they said.
pub(crate) struct Planner<'a> {
    home: &'a Home,
    lock: &'a Lock,
    rules: Rules,
    sources: BTreeMap<String, Arc<Source>>,
    /// What the registries say.
    universe: Universe,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(home: &'a Home, lock: &'a Lock) -> Result<Self, PackageError> {
        let rules = rules(home)?;
        Ok(Planner { home, lock, rules, sources: BTreeMap::new(), universe: Universe::new() })
    }

    /// The source of a plugin.
    pub(crate) fn source(&mut self, name: &PluginName) -> Result<Arc<Source>, PackageError> {
        let origin = self.home.origin_of(name.namespace())?;
        let key = origin.to_string();
        if let Some(locked) = self.lock.plugins.get(name).filter(|locked| locked.registry != key) {
            let was = &locked.registry;
            let why = format!("{name} was locked from {was}, and its namespace is now mapped to {key}");
            return Err(PackageError::LockWouldChange { why });
        }
        if let Some(source) = self.sources.get(&key) {
            return Ok(source.clone());
        }
        let source = Arc::new(Source::at(self.home, origin)?);
        self.sources.insert(key, source.clone());
        Ok(source)
    }

    /// Every release of a plugin that was fetched.
    pub(crate) fn releases(&self, name: &PluginName) -> &[Release] {
        self.universe.get(name).map_or(&[], Vec::as_slice)
    }

    /// The rules.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Fetches the indexes of these plugins. One that nobody asked for by name may be unknown to its registry: then it has
    /// no release, and the resolver says who wanted it.
    pub(crate) async fn fetch(&mut self, names: BTreeSet<PluginName>, roots: &[Root]) -> Result<(), PackageError> {
        let names: Vec<_> = names.into_iter().filter(|name| !self.universe.contains_key(name)).collect();
        let mut asked = Vec::new();
        for name in names {
            asked.push((self.source(&name)?, name));
        }
        let found: Vec<_> = futures::stream::iter(asked)
            .map(|(source, name)| async move {
                let releases = match source.releases(&name).await {
                    Err(PackageError::UnknownPlugin { .. }) if !roots.iter().any(|root| root.name == name) => {
                        Vec::new()
                    }
                    other => other?,
                };
                Ok::<_, PackageError>((source, name, releases))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        for (source, name, releases) in found {
            if let Some(locked) = self.lock.plugins.get(&name) {
                agrees(locked, &releases, &source)?;
            }
            self.universe.insert(name, releases);
        }
        Ok(())
    }

    /// Whether what is locked may still be installed: it was not quarantined or removed since, and runs here.
    pub(crate) fn still_allows(&self, lock: &Lock, names: &BTreeSet<PluginName>) -> Result<(), PackageError> {
        let locked = names.iter().filter_map(|name| lock.plugins.get(name));
        for locked in locked {
            let release = self.releases(&locked.name).iter().find(|release| release.version == locked.version);
            if let Some(Err(why)) = release.map(|release| self.rules.admit(release, true, false)) {
                let why = format!("{}@{} may not be installed any more ({why})", locked.name, locked.version);
                return Err(PackageError::LockWouldChange { why });
            }
        }
        Ok(())
    }

    /// One release of each plugin that is asked for, directly or in turn; `None` for what stays as it is locked and nobody
    /// was asked about. `keep` says which of the lock's choices are preferred.
    pub(crate) async fn choose(
        &mut self,
        roots: &[Root],
        keep: &BTreeSet<PluginName>,
    ) -> Result<BTreeMap<PluginName, Option<Release>>, PackageError> {
        let preferred: BTreeMap<_, _> =
            keep.iter().filter_map(|name| Some((name.clone(), self.lock.plugins.get(name)?.version.clone()))).collect();
        let mut standing: Universe =
            keep.iter().filter_map(|name| Some((name.clone(), vec![standing(self.lock.plugins.get(name)?)]))).collect();
        loop {
            standing.retain(|name, _| !self.universe.contains_key(name));
            let mut all = self.universe.clone();
            all.extend(standing.clone());
            match resolve::resolve(&all, &preferred, roots, &self.rules) {
                Answer::Chosen(chosen) => {
                    let release = |(name, version): (PluginName, Version)| {
                        let releases = self.universe.get(&name)?;
                        releases.iter().find(|release| release.version == version).cloned()
                    };
                    return Ok(chosen.into_iter().map(|each| (each.0.clone(), release(each))).collect());
                }
                Answer::Missing(names) => self.fetch(names, roots).await?,
                // What stands may have to move.
                Answer::Conflict(_) if !standing.is_empty() => {
                    self.fetch(standing.keys().cloned().collect(), roots).await?;
                }
                Answer::Conflict(facts) => return Err(no_choice(facts, roots)),
            }
        }
    }
}

/// The error for facts that leave no choice: of one plugin alone, its own words.
fn no_choice(facts: Vec<String>, roots: &[Root]) -> PackageError {
    match (roots, facts.as_slice()) {
        ([only], [_, there_is]) => PackageError::NoVersion {
            name: only.name.clone(),
            requirement: only.requirement.to_string(),
            available: there_is.split_once(": ").map_or("none", |(_, words)| words).to_owned(),
        },
        _ => PackageError::Conflict { facts },
    }
}

/// Whether a registry says of a locked release what the lock says.
fn agrees(locked: &Locked, releases: &[Release], source: &Source) -> Result<(), PackageError> {
    let registry = source.origin().to_string();
    match releases.iter().find(|release| release.version == locked.version) {
        None => Err(PackageError::Rollback {
            registry,
            name: locked.name.clone(),
            why: format!("the locked version {} is gone", locked.version),
        }),
        Some(release) if release.digest != locked.digest => {
            let plugin = Box::new(locked.plugin());
            Err(PackageError::LockDisagrees { plugin, registry, offered: release.digest })
        }
        Some(_) => Ok(()),
    }
}

/// A locked plugin as the resolver sees it, where its registry was not asked: what the lock says of it, which is all that the
/// resolver looks at.
fn standing(locked: &Locked) -> Release {
    Release {
        v: LINE_FORMAT,
        name: locked.name.clone(),
        version: locked.version.clone(),
        digest: locked.digest,
        size: 0,
        manifest: Digest::of(b""),
        kinds: BTreeSet::new(),
        steps: Vec::new(),
        provider: None,
        contract: locked.contract.clone(),
        imports: BTreeSet::new(),
        permissions: locked.permissions.clone(),
        dependencies: locked.dependencies.clone(),
        engine: None,
        summary: String::new(),
        keywords: BTreeSet::new(),
        licence: String::new(),
        source: None,
        published: Timestamp::UNIX_EPOCH,
        signature: locked.signature.clone(),
        status: Status::Ok,
    }
}
