//! What an update would bring, before it is carried out, and what has become of what is locked.
//!
//! To say how a plugin's step types change, its new version must be here: it is fetched, verified, compiled and described
//! into the store, which other projects share; of the project, nothing changes.

use crate::{
    Installer, PackageError,
    consent::{Change, differences},
    install::{Chosen, Fetched, choose_anew, hold},
    lock::{Lock, Locked},
    plan::{Planner, rules},
    release::{Release, newest},
    resolve::{Root, Rules},
    source::Source,
    verification::Verification,
};
use semver::{Version, VersionReq};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use windlass_contract::{Descriptor, Digest, Interface, PluginName, StepType};

/// What an update changes of one plugin.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The plugin.
    pub name: PluginName,
    /// What is locked; none: it is called by one that is updated, and was not needed before.
    pub from: Option<Version>,
    /// What it becomes.
    pub to: Version,
    /// The new component.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What it is for, in one line.
    pub summary: String,
    /// Who made it.
    pub verification: Verification,
    /// What it asks for, each with whether that is new.
    pub permissions: Vec<(Interface, String, Change)>,
    /// What it asked for and asks for no more.
    pub given_up: Vec<String>,
    /// How its step types change.
    pub steps: Vec<StepChange>,
    /// What it says of itself.
    pub descriptor: Descriptor,
}

/// How a step type changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepChange {
    /// It is new.
    Added(String),
    /// It is gone.
    Removed(String),
    /// Its configuration takes a new key.
    KeyAdded(String, String),
    /// Its configuration takes a key no more.
    KeyRemoved(String, String),
    /// A key that could be left out must be given.
    KeyRequired(String, String),
    /// A key that must be given can be left out.
    KeyOptional(String, String),
}

impl StepChange {
    /// Whether a pipeline that was right may be wrong with it.
    pub fn is_breaking(&self) -> bool {
        matches!(self, StepChange::Removed(_) | StepChange::KeyRemoved(..) | StepChange::KeyRequired(..))
    }
}

impl fmt::Display for StepChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepChange::Added(step) => write!(f, "{step} is new"),
            StepChange::Removed(step) => write!(f, "{step} is gone"),
            StepChange::KeyAdded(step, key) => write!(f, "{step} takes {key}"),
            StepChange::KeyRemoved(step, key) => write!(f, "{step} does not take {key} any more"),
            StepChange::KeyRequired(step, key) => write!(f, "{step} must be given {key}"),
            StepChange::KeyOptional(step, key) => write!(f, "{step} can do without {key}"),
        }
    }
}

/// How step types differ: the keys of their configurations, as far as the schemas name them.
pub fn step_changes(before: &Descriptor, now: &Descriptor) -> Vec<StepChange> {
    let by_name = |descriptor: &Descriptor| -> BTreeMap<String, StepType> {
        descriptor.steps.iter().map(|step| (step.name.clone(), step.clone())).collect()
    };
    let (before, now) = (by_name(before), by_name(now));
    let mut changes = Vec::new();
    for (name, old) in &before {
        let Some(new) = now.get(name) else {
            changes.push(StepChange::Removed(name.clone()));
            continue;
        };
        let ((old_keys, old_required), (keys, required)) = (config_keys(old), config_keys(new));
        for key in old_keys.difference(&keys) {
            changes.push(StepChange::KeyRemoved(name.clone(), key.clone()));
        }
        for key in required.difference(&old_required) {
            changes.push(StepChange::KeyRequired(name.clone(), key.clone()));
        }
        for key in keys.difference(&old_keys).filter(|key| !required.contains(*key)) {
            changes.push(StepChange::KeyAdded(name.clone(), key.clone()));
        }
        for key in old_required.difference(&required).filter(|key| keys.contains(*key)) {
            changes.push(StepChange::KeyOptional(name.clone(), key.clone()));
        }
    }
    changes.extend(now.keys().filter(|name| !before.contains_key(*name)).cloned().map(StepChange::Added));
    changes
}

/// The keys that a step's configuration takes, and those that it must be given.
fn config_keys(step: &StepType) -> (BTreeSet<String>, BTreeSet<String>) {
    let keys = step.config_schema.get("properties").and_then(Value::as_object);
    let required = step.config_schema.get("required").and_then(Value::as_array);
    (
        keys.into_iter().flat_map(|keys| keys.keys().cloned()).collect(),
        required.into_iter().flatten().filter_map(|key| key.as_str().map(str::to_owned)).collect(),
    )
}

impl Installer<'_> {
    /// What [`Installer::update`] would change.
    ///
    /// # Errors
    /// As [`Installer::update`], but for what is not granted.
    pub async fn look_ahead(
        &self,
        names: &BTreeSet<PluginName>,
        roots: &[Root],
    ) -> Result<Vec<Difference>, PackageError> {
        let lock = Lock::load(self.project)?;
        let mut planner = Planner::new(self.home, &lock)?;
        let choice = choose_anew(&mut planner, &lock, names, roots).await?;
        let _held = hold(self.home).await?;
        let mut all = Vec::new();
        for (name, release) in choice {
            let old = lock.plugins.get(&name);
            let Some(release) = release.filter(|new| old.is_none_or(|old| old.version != new.version)) else {
                continue;
            };
            let source = planner.source(&name)?;
            let chosen = Chosen { release, source, requested: false, dependency: false };
            let Fetched { chosen, verification, plugin, wasm, facts } = self.fetch(chosen, &lock).await?;
            self.keep(&plugin, wasm, facts).await?;
            let store = self.home.store();
            let described = |digest: &Digest| Ok::<_, PackageError>(store.get(digest)?.map(|entry| entry.descriptor));
            let nothing = Descriptor::default;
            let descriptor = described(&plugin.digest)?.unwrap_or_else(nothing);
            let before = match old {
                Some(old) => described(&old.digest)?.unwrap_or_else(nothing),
                None => nothing(),
            };
            let asked = &chosen.release.permissions;
            let kept: BTreeSet<_> = asked.interfaces();
            let given_up = old.map(|old| old.permissions.in_words()).unwrap_or_default();
            all.push(Difference {
                name,
                from: old.map(|old| old.version.clone()),
                to: plugin.version,
                digest: plugin.digest,
                size: chosen.release.size,
                summary: chosen.release.summary.clone(),
                verification,
                permissions: differences(old.map(|old| &old.permissions), asked),
                given_up: given_up
                    .into_iter()
                    .filter(|(interface, _)| !kept.contains(interface))
                    .map(|(_, words)| words)
                    .collect(),
                steps: step_changes(&before, &descriptor),
                descriptor,
            });
        }
        Ok(all)
    }
}

/// What has become of a locked plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The plugin.
    pub name: PluginName,
    /// What is locked.
    pub installed: Version,
    /// What an update would choose; none where there is no choice.
    pub wanted: Option<Version>,
    /// The newest there is that runs here, whatever asks for it.
    pub newest: Option<Version>,
    /// `yanked`, `quarantined` or `removed`, and why: of the locked version.
    pub notice: Option<(&'static str, String)>,
}

/// What has become of everything that is locked.
///
/// # Errors
/// When a registry does not answer, or went back on what it had published.
pub async fn outdated(
    home: &crate::Home,
    project: &std::path::Path,
    roots: &[Root],
) -> Result<Vec<Standing>, PackageError> {
    let lock = Lock::load(project)?;
    let mut planner = Planner::new(home, &lock)?;
    let choice = match choose_anew(&mut planner, &lock, &BTreeSet::new(), roots).await {
        // That there is no choice is for `update` to explain; what there is can be told all the same.
        Err(PackageError::Conflict { .. } | PackageError::NoVersion { .. }) => BTreeMap::new(),
        other => other?,
    };
    let standing = |locked: &Locked| {
        let wanted = choice.get(&locked.name).and_then(Option::as_ref).map(|release| release.version.clone());
        Standing { wanted, ..stands(locked, planner.releases(&locked.name), planner.rules()) }
    };
    Ok(lock.plugins.values().map(standing).collect())
}

/// What has become of one locked plugin. What an update would choose is not asked, since others have a say in it.
///
/// # Errors
/// When its registry does not answer, or went back on what it had published.
pub async fn standing(home: &crate::Home, locked: &Locked) -> Result<Standing, PackageError> {
    let releases = Source::of(home, &locked.name)?.releases(&locked.name).await?;
    Ok(stands(locked, &releases, &rules(home)?))
}

fn stands(locked: &Locked, releases: &[Release], rules: &Rules) -> Standing {
    let own = releases.iter().find(|release| release.version == locked.version);
    let runs_here: Vec<_> = releases.iter().filter(|each| rules.admit(each, false, true).is_ok()).cloned().collect();
    Standing {
        name: locked.name.clone(),
        installed: locked.version.clone(),
        wanted: None,
        newest: newest(&runs_here, &VersionReq::STAR).map(|release| release.version.clone()),
        notice: own.and_then(|release| release.status.notice()).map(|(state, notice)| (state, notice.reason.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_step_types_change() {
        let descriptor = |text: &str| -> Descriptor {
            let step = |line: &str| {
                let mut words = line.split_whitespace();
                let name = words.next().unwrap();
                let keys: Vec<&str> = words.collect();
                let properties: serde_json::Map<String, Value> = keys
                    .iter()
                    .map(|key| (key.trim_end_matches('!').to_owned(), Value::Object(<_>::default())))
                    .collect();
                let required: Vec<&str> = keys.iter().filter_map(|key| key.strip_suffix('!')).collect();
                serde_json::json!({
                    "name": name, "summary": "x", "effect": "pure",
                    "config_schema": {"properties": properties, "required": required},
                })
            };
            let steps: Vec<_> = text.lines().map(step).collect();
            serde_json::from_value(serde_json::json!({ "steps": steps })).unwrap()
        };
        let check = |before: &str, now: &str, expect: &str| {
            let changes = step_changes(&descriptor(before), &descriptor(now));
            let words: Vec<_> =
                changes.iter().map(|each| format!("{each}{}", if each.is_breaking() { "!" } else { "" })).collect();
            assert_eq!(words.join("; "), expect, "{before} -> {now}");
        };
        check("step.a x y!", "step.a x y!", "");
        check("step.a x", "step.a x\nstep.b", "step.b is new");
        check("step.a\nstep.b", "step.a", "step.b is gone!");
        check("step.a x", "step.a x y", "step.a takes y");
        check("step.a x y", "step.a y", "step.a does not take x any more!");
        check("step.a x", "step.a x!", "step.a must be given x!");
        check("step.a", "step.a x!", "step.a must be given x!");
        check("step.a x!", "step.a x", "step.a can do without x");
        check("step.a x!", "step.a", "step.a does not take x any more!");
    }
}
