//! `windlass plugin install` and `update`: resolve → fetch → verify → show and ask → compile and describe → grant and lock.
//!
//! Nothing of the project changes until every plugin has passed every step; the grants are written before the lock, so that
//! a crash between them leaves permissions for something that is not locked, never the reverse.
//!
//! The plugins that a plugin calls are installed with it: each is asked about for itself.

pub use crate::{
    consent::{Change, Consent, ConsentRequest},
    facts::{check_facts, undeclared},
    verification::{Proof, Verification, verify},
};

use crate::{
    Components, Home, PackageError,
    consent::consented,
    facts::{FactsOf, bad_component},
    grants::Grants,
    http::{Progress, Silent},
    lock::{Lock, Locked},
    plan::{AT_ONCE, Planner},
    release::Release,
    resolve::{AskedBy, Root},
    source::Source,
    store::{Entry, Store},
    verification,
};
use futures::StreamExt as _;
use semver::{Version, VersionReq};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    str::FromStr,
    sync::Arc,
};
use windlass_contract::{NameError, PluginName, PluginRef};

/// A plugin that is wanted: `windlass:shell`, or `windlass:shell@^0.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which.
    pub name: PluginName,
    /// In which versions; `*` when not said.
    pub requirement: VersionReq,
    /// Who asks.
    pub by: AskedBy,
}

impl FromStr for Request {
    type Err = PackageError;
    fn from_str(text: &str) -> Result<Self, PackageError> {
        let (name, requirement) = text.split_once('@').unwrap_or((text, "*"));
        let requirement = requirement.parse().map_err(|_| NameError {
            what: "version requirement",
            value: requirement.chars().take(80).collect(),
            rule: "write a version such as 1.2.3, or a range such as ^1.2",
        })?;
        Ok(Request { name: name.parse()?, requirement, by: AskedBy::Command })
    }
}

impl Request {
    pub(crate) fn root(&self) -> Root {
        Root { name: self.name.clone(), requirement: self.requirement.clone(), by: self.by.clone() }
    }
}

/// Switches of an install.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Refuse to change `windlass.lock`.
    pub locked: bool,
    /// Accept releases without a signature, from registries on this machine only.
    pub allow_unsigned: bool,
}

/// What was done for one plugin.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The plugin.
    pub plugin: PluginRef,
    /// Who made it; none when it was there and nothing had to be looked at.
    pub verification: Option<Verification>,
    /// The component was fetched now.
    pub fetched: bool,
    /// The version that was locked before, if it was another.
    pub replaced: Option<Version>,
    /// It was not asked for itself, but is called by what was.
    pub dependency: bool,
}

/// Installs plugins into the project in the folder `project`, with nobody to hear how far a download is. See
/// [`Installer::install`].
///
/// # Errors
/// See [`PackageError`].
pub async fn install(
    home: &Home,
    project: &Path,
    components: &dyn Components,
    requests: &[Request],
    options: Options,
    consent: Consent<'_>,
) -> Result<Vec<Outcome>, PackageError> {
    Installer { home, project, components, options, progress: &Silent }.install(requests, consent).await
}

/// What an install works on and with.
#[derive(Clone, Copy)]
pub struct Installer<'a> {
    /// The user's folder.
    pub home: &'a Home,
    /// The project's folder.
    pub project: &'a Path,
    /// Who looks into components.
    pub components: &'a dyn Components,
    /// The switches.
    pub options: Options,
    /// Who hears how far a download is.
    pub progress: &'a dyn Progress,
}

/// The project's files, as they are going to be.
struct State {
    lock: Lock,
    grants: Grants,
}

impl State {
    fn load(project: &Path) -> Result<Self, PackageError> {
        Ok(State { lock: Lock::load(project)?, grants: Grants::load(project)? })
    }
}

/// A release that is going to be installed.
pub(crate) struct Chosen {
    pub(crate) release: Release,
    pub(crate) source: Arc<Source>,
    pub(crate) requested: bool,
    pub(crate) dependency: bool,
}

/// One that was fetched.
pub(crate) struct Fetched {
    pub(crate) chosen: Chosen,
    pub(crate) verification: Verification,
    pub(crate) plugin: PluginRef,
    /// Its bytes; none when they were here.
    pub(crate) wasm: Option<Vec<u8>>,
    pub(crate) facts: FactsOf,
}

impl Installer<'_> {
    /// Installs plugins, and those that they call.
    ///
    /// What is locked, granted and in the store already costs no request. Its bytes are hashed and it is compiled where that
    /// is missing, so that an install mends what was damaged, and what another version of the host had compiled.
    ///
    /// # Errors
    /// See [`PackageError`]. When any plugin fails, the project's lock and grants are as they were.
    pub async fn install(&self, requests: &[Request], consent: Consent<'_>) -> Result<Vec<Outcome>, PackageError> {
        let mut state = State::load(self.project)?;
        let before = state.lock.clone();
        // What is asked for, and what is locked of what that calls.
        let mut settled = BTreeSet::new();
        let mut open = BTreeSet::new();
        for request in requests {
            match before.get(&request.name, &request.requirement) {
                Ok(_) => {
                    for name in before.closure(&request.name) {
                        let is_settled = self.is_settled(&state, &name, &consent)?;
                        (if is_settled { &mut settled } else { &mut open }).insert(name);
                    }
                }
                Err(_) if self.options.locked => {
                    let why = format!("{} {} is not in it", request.name, request.requirement);
                    return Err(PackageError::LockWouldChange { why });
                }
                Err(_) => drop(open.insert(request.name.clone())),
            }
        }
        let mut outcomes = Vec::new();
        for name in settled.difference(&open) {
            outcomes.push(self.settle(&mut state, name, requests, &consent).await?);
        }
        if !open.is_empty() {
            let roots = roots(requests, &before, &open);
            let mut planner = Planner::new(self.home, &before)?;
            planner.fetch(open.clone(), &roots).await?;
            if self.options.locked {
                planner.still_allows(&before, &open)?;
            }
            let keep = before.plugins.keys().cloned().collect();
            let choice = planner.choose(&roots, &keep).await?;
            let asked: BTreeSet<_> = requests.iter().map(|request| &request.name).collect();
            let mut chosen = Vec::new();
            for (name, release) in choice {
                let is_new = before
                    .plugins
                    .get(&name)
                    .is_none_or(|old| release.as_ref().is_some_and(|release| release.version != old.version));
                if let Some(release) = release.filter(|_| is_new || open.contains(&name)) {
                    let (requested, dependency) = (asked_for(requests, &name), !asked.contains(&name));
                    chosen.push(Chosen { source: planner.source(&name)?, release, requested, dependency });
                }
            }
            outcomes.extend(self.carry_out(&mut state, chosen, consent).await?);
        }
        for name in requests.iter().filter(|request| request.by == AskedBy::Command).map(|request| &request.name) {
            if let Some(locked) = state.lock.plugins.get_mut(name).filter(|_| !self.options.locked) {
                locked.requested = true;
            }
        }
        // In the order in which they were asked for, each before what it calls.
        let place = |name: &PluginName| requests.iter().position(|request| request.name == *name);
        outcomes.sort_by_key(|outcome| place(&outcome.plugin.name).unwrap_or(usize::MAX));
        self.save(&before, &state, &outcomes)?;
        Ok(outcomes)
    }

    /// Chooses anew: the newest versions that `roots` and the plugins themselves allow. Only `names` move, and what they call
    /// where it must; everything, where there are none, and then what nobody needs any more is forgotten. A root that is not
    /// locked yet is installed.
    ///
    /// # Errors
    /// As [`Installer::install`].
    pub async fn update(
        &self,
        names: &BTreeSet<PluginName>,
        roots: &[Root],
        consent: Consent<'_>,
    ) -> Result<Vec<Outcome>, PackageError> {
        let mut state = State::load(self.project)?;
        let before = state.lock.clone();
        let mut planner = Planner::new(self.home, &before)?;
        let choice = choose_anew(&mut planner, &before, names, roots).await?;
        let mut chosen = Vec::new();
        for (name, release) in &choice {
            let old = before.plugins.get(name);
            if let Some(release) = release.as_ref().filter(|new| old.is_none_or(|old| old.version != new.version)) {
                chosen.push(Chosen {
                    source: planner.source(name)?,
                    release: release.clone(),
                    requested: old.map_or_else(
                        || roots.iter().any(|root| root.name == *name && root.by == AskedBy::Command),
                        |old| old.requested,
                    ),
                    dependency: !roots.iter().any(|root| root.name == *name),
                });
            }
        }
        if self.options.locked && !chosen.is_empty() {
            return Err(PackageError::LockWouldChange { why: "there are newer versions".to_owned() });
        }
        let outcomes = self.carry_out(&mut state, chosen, consent).await?;
        if names.is_empty() {
            state.lock.plugins.retain(|name, _| choice.contains_key(name));
            let gone = |name: &PluginName| before.plugins.contains_key(name) && !choice.contains_key(name);
            state.grants.plugins.retain(|name, _| !gone(name));
        }
        self.save(&before, &state, &outcomes)?;
        Ok(outcomes)
    }

    fn save(&self, before: &Lock, state: &State, outcomes: &[Outcome]) -> Result<(), PackageError> {
        if self.options.locked && state.lock != *before {
            return Err(PackageError::LockWouldChange { why: "an entry differs".to_owned() });
        }
        state.grants.save(self.project)?;
        state.lock.save(self.project)?;
        for outcome in outcomes {
            if let Some(Verification::Verified { by, first_seen: true }) = &outcome.verification
                && let Some(key) = by.key()
            {
                self.home.remember_publisher(outcome.plugin.name.namespace(), key)?;
            }
        }
        Ok(())
    }

    /// Whether a locked plugin needs nothing from anybody.
    fn is_settled(&self, state: &State, name: &PluginName, consent: &Consent<'_>) -> Result<bool, PackageError> {
        let Some(locked) = state.lock.plugins.get(name) else { return Ok(false) };
        let is_agreed = matches!(consent, Consent::Given)
            || consented(&state.lock, &state.grants, &locked.name, &locked.permissions);
        let is_signed = locked.is_signed() || self.options.allow_unsigned;
        Ok(is_agreed && is_signed && whole(&self.home.store(), locked)?.is_some())
    }

    async fn settle(
        &self,
        state: &mut State,
        name: &PluginName,
        requests: &[Request],
        consent: &Consent<'_>,
    ) -> Result<Outcome, PackageError> {
        let locked = state.lock.plugins.get(name).ok_or_else(|| PackageError::NotInstalled {
            name: name.clone(),
            requirement: "*".to_owned(),
            have: None,
        })?;
        let path = self.home.store().wasm(&locked.digest);
        let compiled = self.components.compile(locked.digest, &path).await;
        compiled.map_err(|why| bad_component(&locked.plugin(), why))?;
        if matches!(consent, Consent::Given) && !locked.permissions.within(&state.grants.of(name)) {
            state.grants.plugins.insert(name.clone(), locked.permissions.clone());
        }
        let dependency = !requests.iter().any(|request| request.name == *name);
        Ok(Outcome { plugin: locked.plugin(), verification: None, fetched: false, replaced: None, dependency })
    }

    /// Fetches, verifies, asks, describes: into the state, not into the project.
    async fn carry_out(
        &self,
        state: &mut State,
        chosen: Vec<Chosen>,
        mut consent: Consent<'_>,
    ) -> Result<Vec<Outcome>, PackageError> {
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let _held = hold(self.home).await?;
        let before = state.lock.clone();
        let mut coming = futures::stream::iter(chosen).map(|each| self.fetch(each, &before)).buffered(AT_ONCE);
        let mut outcomes = Vec::new();
        while let Some(fetched) = coming.next().await {
            let Fetched { chosen, verification, plugin, wasm, facts } = fetched?;
            ask(state, &chosen.release, &plugin, &verification, &mut consent)?;
            let fetched = wasm.is_some();
            self.keep(&plugin, wasm, facts).await?;
            let old = state.lock.plugins.get(&plugin.name);
            let replaced = old.map(|old| old.version.clone()).filter(|old| *old != plugin.version);
            let requested = chosen.requested || old.is_some_and(|old| old.requested);
            let locked = lock_entry(chosen.release, &chosen.source, &verification, requested);
            state.lock.plugins.insert(plugin.name.clone(), locked);
            let (verification, dependency) = (Some(verification), chosen.dependency);
            outcomes.push(Outcome { plugin, verification, fetched, replaced, dependency });
        }
        Ok(outcomes)
    }

    /// Puts a component that was not here into the store, compiled and described.
    pub(crate) async fn keep(
        &self,
        plugin: &PluginRef,
        wasm: Option<Vec<u8>>,
        facts: FactsOf,
    ) -> Result<(), PackageError> {
        let (Some(wasm), FactsOf::Component(facts)) = (wasm, facts) else { return Ok(()) };
        let store = self.home.store();
        let path = store.put(&plugin.digest, &wasm)?;
        let described = self.components.describe(plugin, &path).await;
        let descriptor = described.map_err(|why| bad_component(plugin, why))?;
        store.finish(&Entry {
            digest: plugin.digest,
            size: wasm.len() as u64,
            kinds: facts.kinds,
            imports: facts.imports,
            contract: facts.contract,
            descriptor,
        })
    }

    /// Fetches and verifies; keeps nothing.
    pub(crate) async fn fetch(&self, chosen: Chosen, lock: &Lock) -> Result<Fetched, PackageError> {
        let release = &chosen.release;
        let locked = lock.plugins.get(&release.name).filter(|locked| locked.version == release.version);
        let verification =
            verification::check(self.home, &chosen.source, release, locked, self.options.allow_unsigned).await?;
        let plugin = PluginRef { name: release.name.clone(), version: release.version.clone(), digest: release.digest };
        let (wasm, facts) = match whole_digest(&self.home.store(), &release.digest)? {
            Some(entry) => (None, FactsOf::Entry(entry)),
            None => {
                let wasm = chosen.source.component(release, self.progress).await?;
                let facts = self.components.inspect(&wasm).map_err(|why| bad_component(&plugin, why))?;
                (Some(wasm), FactsOf::Component(facts))
            }
        };
        facts.check(&plugin, release)?;
        Ok(Fetched { verification, plugin, wasm, facts, chosen })
    }
}

/// Holds the store against other processes, until it is dropped.
pub(crate) async fn hold(home: &Home) -> Result<std::fs::File, PackageError> {
    let store = home.store();
    let held = tokio::task::spawn_blocking(move || store.lock()).await;
    // Only a panic ends that task without an answer.
    held.map_err(|error| PackageError::io("lock", home.root(), std::io::Error::other(error.to_string())))?
}

/// The choice that an update comes to; `None` for what stays as it is locked.
pub(crate) async fn choose_anew(
    planner: &mut Planner<'_>,
    lock: &Lock,
    names: &BTreeSet<PluginName>,
    roots: &[Root],
) -> Result<BTreeMap<PluginName, Option<Release>>, PackageError> {
    let moving = |name: &PluginName| names.is_empty() || names.contains(name);
    let keep = lock.plugins.keys().filter(|name| !moving(name)).cloned().collect();
    let open = lock.plugins.keys().filter(|name| moving(name)).cloned().collect();
    planner.fetch(open, roots).await?;
    planner.choose(roots, &keep).await
}

/// Shows what a plugin asks for, unless that was agreed to, and grants it.
fn ask(
    state: &mut State,
    release: &Release,
    plugin: &PluginRef,
    verification: &Verification,
    consent: &mut Consent<'_>,
) -> Result<(), PackageError> {
    let name = &plugin.name;
    // Whoever says --grant means all that is asked, also where the grant was narrowed before.
    let is_given = matches!(consent, Consent::Given) && !release.permissions.within(&state.grants.of(name));
    if !is_given && consented(&state.lock, &state.grants, name, &release.permissions) {
        return Ok(());
    }
    let question = ConsentRequest {
        plugin: plugin.clone(),
        summary: release.summary.clone(),
        verification: verification.clone(),
        asked: release.permissions.clone(),
        before: state.lock.plugins.get(name).map(|locked| locked.permissions.clone()),
    };
    let granted = match consent {
        Consent::Ask(ask) => ask(&question),
        Consent::Given => true,
        Consent::Nobody => false,
    };
    if !granted {
        return Err(PackageError::NotGranted {
            plugin: Box::new(plugin.clone()),
            words: question.words(),
            command: format!("windlass plugin install {name}@={} --grant", plugin.version),
        });
    }
    state.grants.plugins.insert(name.clone(), release.permissions.clone());
    Ok(())
}

/// Whether a person asked for a plugin by name.
fn asked_for(requests: &[Request], name: &PluginName) -> bool {
    requests.iter().any(|request| request.by == AskedBy::Command && request.name == *name)
}

/// What is asked for now, and what the lock holds of that nobody spoke of: it stays at its version.
fn roots(requests: &[Request], lock: &Lock, open: &BTreeSet<PluginName>) -> Vec<Root> {
    let mut roots: Vec<Root> = requests.iter().map(Request::root).collect();
    for locked in lock.roots() {
        if !open.contains(&locked.name) && !roots.iter().any(|root| root.name == locked.name) {
            roots.push(locked.root());
        }
    }
    roots
}

/// A component that is here, its bytes as they should be. A damaged one is fetched again.
fn whole(store: &Store, locked: &Locked) -> Result<Option<Entry>, PackageError> {
    whole_digest(store, &locked.digest)
}

pub(crate) fn whole_digest(store: &Store, digest: &windlass_contract::Digest) -> Result<Option<Entry>, PackageError> {
    Ok(if store.verify(digest)? == Some(*digest) { store.get(digest)? } else { None })
}

fn lock_entry(release: Release, source: &Source, verification: &Verification, requested: bool) -> Locked {
    let cosign = match verification {
        Verification::Verified { by, .. } => by.cosign().map(str::to_owned),
        _ => None,
    };
    Locked {
        name: release.name,
        version: release.version,
        digest: release.digest,
        registry: source.origin().to_string(),
        contract: release.contract,
        requested,
        cosign,
        signature: release.signature,
        dependencies: release.dependencies,
        permissions: release.permissions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let check = |text: &str, expect: Option<(&str, &str)>| {
            let got = text.parse::<Request>().ok().map(|r| (r.name.to_string(), r.requirement.to_string()));
            assert_eq!(got, expect.map(|(name, req)| (name.to_owned(), req.to_owned())), "{text}");
        };
        check("windlass:shell", Some(("windlass:shell", "*")));
        check("windlass:shell@0.1", Some(("windlass:shell", "^0.1")));
        check("windlass:shell@=0.1.2", Some(("windlass:shell", "=0.1.2")));
        check("windlass:shell@", None);
        check("shell", None);
        check("../x:y@1", None);
    }
}
