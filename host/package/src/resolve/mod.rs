//! Which versions: from what is asked to one version of each plugin, with the plugins that those call in turn. Pure.
//!
//! **How.** PubGrub over finite sets: a requirement is the set of those versions of the index that it matches, so that
//! the rules, pre-releases included, are exactly those of [`VersionReq::matches`] (Cargo's). What is locked is preferred,
//! then what is newest.
//!
//! **What is passed over**, each with a reason ([`PassedOver`]): yanked (unless locked), quarantined and removed, what does
//! not run on this Windlass, what was built against a contract that this host does not offer, and, where a cool-down is
//! set, what is younger than that (unless it is locked or asked for by its exact version).
//!
//! **Lazy.** The universe holds the indexes that were fetched. Where one is lacking, the answer is [`Answer::Missing`]:
//! fetch and ask again.
//!
//! **Not here.** Fetching, and what is asked.

mod explain;
mod versions;

use crate::release::{Release, Status};
use jiff::{SignedDuration, Timestamp};
use pubgrub::{Dependencies, DependencyProvider, PackageResolutionStatistics, PubGrubError, VersionSet as _};
use semver::{Comparator, Op, Version, VersionReq};
use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use versions::Versions;
use windlass_contract::PluginName;

/// One thing that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The plugin.
    pub name: PluginName,
    /// In which versions.
    pub requirement: VersionReq,
    /// Who asks.
    pub by: AskedBy,
}

/// Who asks for a plugin that no other plugin asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AskedBy {
    /// The person at the command line.
    Command,
    /// A pipeline, by its file's name.
    Pipeline(String),
    /// The lock file, which keeps what was not spoken of.
    Lock,
}

impl fmt::Display for AskedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskedBy::Command => f.write_str("you ask"),
            AskedBy::Pipeline(file) => write!(f, "{file} asks"),
            AskedBy::Lock => f.write_str("windlass.lock asks"),
        }
    }
}

/// Every release of every plugin whose index is known. A plugin that its registry does not know has none.
pub type Universe = BTreeMap<PluginName, Vec<Release>>;

/// What decides whether a release may be chosen.
#[derive(Debug, Clone)]
pub struct Rules {
    /// This version of Windlass.
    pub engine: Version,
    /// The contract that it offers.
    pub contract: Version,
    /// The time.
    pub now: Timestamp,
    /// How old a version must be to be chosen unasked.
    pub cool_down: Option<SignedDuration>,
}

/// Why a release is not chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassedOver {
    /// Yanked, quarantined or removed, and why.
    Withdrawn(&'static str, String),
    /// Younger than the cool-down.
    TooYoung {
        /// When it was published.
        published: Timestamp,
        /// When it may be chosen.
        from: Timestamp,
    },
    /// It runs on other versions of Windlass.
    Engine(VersionReq),
    /// It was built against another contract.
    Contract(Version),
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PassedOver::Withdrawn(state, reason) => write!(f, "{state}: {reason}"),
            PassedOver::TooYoung { published, from } => {
                write!(f, "too young: published {published}, the cool-down ends {from}")
            }
            PassedOver::Engine(engine) => write!(f, "runs on Windlass {engine}"),
            PassedOver::Contract(contract) => {
                write!(f, "built against {} {contract}", windlass_contract::CONTRACT_PACKAGE)
            }
        }
    }
}

impl Rules {
    /// What speaks against a release; `kept`: it is locked; `named`: it is asked for by its exact version.
    ///
    /// # Errors
    /// The reason.
    pub fn admit(&self, release: &Release, kept: bool, named: bool) -> Result<(), PassedOver> {
        match &release.status {
            Status::Ok => {}
            Status::Yanked(_) if kept => {}
            status => {
                if let Some((state, notice)) = status.notice() {
                    return Err(PassedOver::Withdrawn(state, notice.reason.clone()));
                }
            }
        }
        if let Some(engine) = release.engine.as_ref().filter(|engine| !engine.matches(&self.engine)) {
            return Err(PassedOver::Engine(engine.clone()));
        }
        if !offers(&self.contract, &release.contract) {
            return Err(PassedOver::Contract(release.contract.clone()));
        }
        match self.cool_down {
            Some(cool_down) if !kept && !named => {
                let from = release.published.checked_add(cool_down).unwrap_or(Timestamp::MAX);
                let young = self.now < from;
                if young { Err(PassedOver::TooYoung { published: release.published, from }) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

/// Whether a host that offers one version of the contract can run what was built against another: an older or the same one,
/// of the same line.
fn offers(host: &Version, plugin: &Version) -> bool {
    let line = |version: &Version| match (version.major, version.minor, version.patch) {
        (0, 0, patch) => (0, 0, patch),
        (0, minor, _) => (0, minor, 0),
        (major, _, _) => (major, 0, 0),
    };
    line(host) == line(plugin) && plugin <= host
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// One version of each plugin.
    Chosen(BTreeMap<PluginName, Version>),
    /// These indexes are needed first.
    Missing(BTreeSet<PluginName>),
    /// It cannot be: who asks for what, and what there is. A line each.
    Conflict(Vec<String>),
}

/// Chooses a version of each plugin that is asked for, directly or by another plugin.
pub fn resolve(universe: &Universe, locked: &BTreeMap<PluginName, Version>, roots: &[Root], rules: &Rules) -> Answer {
    let provider = Provider { universe, locked, roots, rules, missing: RefCell::default() };
    match pubgrub::resolve(&provider, Package::Project, ONLY) {
        Ok(chosen) => Answer::Chosen(
            chosen
                .into_iter()
                .filter_map(|(package, version)| match package {
                    Package::Plugin(name) => Some((name, version)),
                    _ => None,
                })
                .collect(),
        ),
        Err(PubGrubError::NoSolution(tree)) => Answer::Conflict(explain::facts(&provider, &tree)),
        // The provider has one error, and it is this one.
        Err(_) => Answer::Missing(provider.missing.into_inner()),
    }
}

/// The version of what has only one: the project, and each that asks.
const ONLY: Version = Version::new(0, 0, 0);

/// A package, as the solver sees it. Each that asks is one of its own, so that two who ask for the same plugin are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Package {
    Project,
    Asker(usize),
    Plugin(PluginName),
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Package::Project => f.write_str("the project"),
            Package::Asker(at) => write!(f, "asker {at}"),
            Package::Plugin(name) => name.fmt(f),
        }
    }
}

struct Provider<'a> {
    universe: &'a Universe,
    locked: &'a BTreeMap<PluginName, Version>,
    roots: &'a [Root],
    rules: &'a Rules,
    missing: RefCell<BTreeSet<PluginName>>,
}

/// An index is missing; which, the provider has noted.
#[derive(Debug, thiserror::Error)]
#[error("an index is missing")]
struct Missing;

impl Provider<'_> {
    fn releases(&self, name: &PluginName) -> &[Release] {
        self.universe.get(name).map_or(&[], Vec::as_slice)
    }

    fn is_locked(&self, release: &Release) -> bool {
        self.locked.get(&release.name) == Some(&release.version)
    }

    fn admit(&self, release: &Release) -> Result<(), PassedOver> {
        let named = self.roots.iter().any(|root| {
            root.name == release.name && exact_version(&root.requirement).as_ref() == Some(&release.version)
        });
        self.rules.admit(release, self.is_locked(release), named)
    }

    /// The versions that a requirement means. What is locked by an exact pre-release stays meant by `*`: the lock is the
    /// decision.
    fn meant(&self, name: &PluginName, requirement: &VersionReq) -> Option<Versions> {
        let Some(releases) = self.universe.get(name) else {
            self.missing.borrow_mut().insert(name.clone());
            return None;
        };
        let means = |release: &&Release| {
            requirement.matches(&release.version) || (*requirement == VersionReq::STAR && self.is_locked(release))
        };
        Some(Versions::of(releases.iter().filter(means).map(|release| release.version.clone())))
    }

    fn open<'a>(&'a self, name: &'a PluginName, range: &'a Versions) -> impl Iterator<Item = &'a Release> {
        self.releases(name).iter().filter(|release| range.contains(&release.version) && self.admit(release).is_ok())
    }

    /// All of these together, or a note of what is missing.
    fn all<'b>(
        &self,
        asked: impl Iterator<Item = (&'b PluginName, &'b VersionReq)>,
    ) -> Result<Vec<(Package, Versions)>, Missing> {
        // Every one is looked at, so that all that is missing is fetched at once.
        let found: Vec<_> = asked
            .map(|(name, requirement)| Some((Package::Plugin(name.clone()), self.meant(name, requirement)?)))
            .collect();
        found.into_iter().collect::<Option<_>>().ok_or(Missing)
    }
}

/// `=1.2.3`.
pub(crate) fn exactly(version: &Version) -> VersionReq {
    VersionReq {
        comparators: vec![Comparator {
            op: Op::Exact,
            major: version.major,
            minor: Some(version.minor),
            patch: Some(version.patch),
            pre: version.pre.clone(),
        }],
    }
}

/// The one version that a requirement of the form `=1.2.3` means.
pub fn exact_version(requirement: &VersionReq) -> Option<Version> {
    let [only] = requirement.comparators.as_slice() else { return None };
    let (Op::Exact, Some(minor), Some(patch)) = (only.op, only.minor, only.patch) else { return None };
    Some(Version { pre: only.pre.clone(), ..Version::new(only.major, minor, patch) })
}

impl DependencyProvider for Provider<'_> {
    type P = Package;
    type V = Version;
    type VS = Versions;
    type Priority = (u32, Reverse<usize>);
    type M = String;
    type Err = Missing;

    /// What conflicted most, then what leaves the least choice.
    fn prioritize(&self, package: &Package, range: &Versions, seen: &PackageResolutionStatistics) -> Self::Priority {
        match package {
            Package::Plugin(name) => match self.open(name, range).count() {
                0 => (u32::MAX, Reverse(0)),
                choices => (seen.conflict_count(), Reverse(choices)),
            },
            _ => (u32::MAX, Reverse(0)),
        }
    }

    fn choose_version(&self, package: &Package, range: &Versions) -> Result<Option<Version>, Missing> {
        let Package::Plugin(name) = package else { return Ok(Some(ONLY).filter(|version| range.contains(version))) };
        let best = self.open(name, range).max_by(|a, b| {
            let newer = a.version.cmp_precedence(&b.version).then(a.version.cmp(&b.version));
            self.is_locked(a).cmp(&self.is_locked(b)).then(newer)
        });
        Ok(best.map(|release| release.version.clone()))
    }

    fn get_dependencies(
        &self,
        package: &Package,
        version: &Version,
    ) -> Result<Dependencies<Package, Versions, String>, Missing> {
        let found = match package {
            Package::Project => {
                // All at once, so that what is missing is known at the first step.
                self.all(self.roots.iter().map(|root| (&root.name, &root.requirement)))?;
                let askers = (0..self.roots.len()).map(Package::Asker);
                askers.map(|asker| (asker, Versions::singleton(ONLY))).collect()
            }
            Package::Asker(at) => {
                self.all(self.roots.get(*at).map(|root| (&root.name, &root.requirement)).into_iter())?
            }
            Package::Plugin(name) => {
                let Some(release) = self.releases(name).iter().find(|release| release.version == *version) else {
                    return Ok(Dependencies::Available(std::iter::empty().collect()));
                };
                // The solver takes it that nothing asks for itself.
                if release.dependencies.get(name).is_some_and(|itself| !itself.matches(version)) {
                    let why = format!("{name} {version} asks for another version of itself");
                    return Ok(Dependencies::Unavailable(why));
                }
                self.all(release.dependencies.iter().filter(|(other, _)| *other != name))?
            }
        };
        Ok(Dependencies::Available(found.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests;
