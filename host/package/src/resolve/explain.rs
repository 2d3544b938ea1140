//! Why it cannot be, in words: who asks for what, and what there is of it.
//!
//! The solver's proof is a tree; what a person needs of it are the facts at its leaves, each once, in the order in which
//! they matter. A fact of who asks says the requirement as it was written, not the set that it came to.

use super::{Package, Provider, Versions};
use pubgrub::{DerivationTree, External, VersionSet as _};
use semver::VersionReq;
use std::collections::BTreeSet;
use windlass_contract::PluginName;

/// Most versions that are listed of one plugin; an index may have thousands.
const MAX_LISTED: usize = 10;

pub(super) fn facts(provider: &Provider<'_>, tree: &DerivationTree<Package, Versions, String>) -> Vec<String> {
    let mut leaves = Vec::new();
    collect(tree, &mut leaves);
    let mut facts: Vec<String> = Vec::new();
    let mut spoken_of: Vec<&PluginName> = Vec::new();
    let mut speak_of = |name| {
        if !spoken_of.contains(&name) {
            spoken_of.push(name);
        }
    };
    // Those who ask, people and pipelines before plugins.
    let mut asking: Vec<(usize, String)> = Vec::new();
    for leaf in &leaves {
        match leaf {
            External::FromDependencyOf(Package::Asker(at), _, Package::Plugin(wanted), _) => {
                if let Some(root) = provider.roots.get(*at) {
                    asking.push((0, format!("{} for {}", root.by, in_words(wanted, &root.requirement))));
                    speak_of(wanted);
                }
            }
            External::FromDependencyOf(Package::Plugin(name), versions, Package::Plugin(wanted), _) => {
                for (requirement, askers) in askers(provider, name, versions, wanted) {
                    asking.push((1, format!("{name} {askers} for {}", in_words(wanted, &requirement))));
                }
                speak_of(name);
                speak_of(wanted);
            }
            External::NoVersions(Package::Plugin(name), _) => speak_of(name),
            External::Custom(Package::Plugin(name), _, why) => {
                asking.push((1, why.clone()));
                speak_of(name);
            }
            _ => {}
        }
    }
    asking.sort_by_key(|(rank, _)| *rank);
    for (_, fact) in asking {
        if !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    facts.extend(spoken_of.into_iter().map(|name| there_is(provider, name)));
    facts
}

fn collect<'a>(
    tree: &'a DerivationTree<Package, Versions, String>,
    leaves: &mut Vec<&'a External<Package, Versions, String>>,
) {
    // A loop and not a recursion: a proof may be deep.
    let mut open = vec![tree];
    while let Some(tree) = open.pop() {
        match tree {
            DerivationTree::External(leaf) => leaves.push(leaf),
            DerivationTree::Derived(derived) => open.extend([&*derived.cause2, &*derived.cause1]),
        }
    }
}

/// A plugin, and in which versions, where that is said.
fn in_words(wanted: &PluginName, requirement: &VersionReq) -> String {
    if *requirement == VersionReq::STAR { wanted.to_string() } else { format!("{wanted} {requirement}") }
}

/// The versions of a plugin among `versions` that ask for another, by what they ask: `1.0.0, 1.1.0 ask`.
fn askers(
    provider: &Provider<'_>,
    name: &PluginName,
    versions: &Versions,
    wanted: &PluginName,
) -> Vec<(VersionReq, String)> {
    let mut found: Vec<(VersionReq, BTreeSet<_>)> = Vec::new();
    for release in provider.releases(name).iter().filter(|release| versions.contains(&release.version)) {
        let Some(requirement) = release.dependencies.get(wanted) else { continue };
        match found.iter_mut().find(|(known, _)| known == requirement) {
            Some((_, versions)) => drop(versions.insert(release.version.clone())),
            None => found.push((requirement.clone(), [release.version.clone()].into())),
        }
    }
    let words = |versions: BTreeSet<semver::Version>| {
        let verb = if versions.len() == 1 { "asks" } else { "ask" };
        let words: Vec<String> = versions.iter().map(ToString::to_string).collect();
        format!("{} {verb}", words.join(", "))
    };
    found.into_iter().map(|(requirement, versions)| (requirement, words(versions))).collect()
}

/// What there is of a plugin, newest first, and why some of it is not chosen.
pub(super) fn there_is(provider: &Provider<'_>, name: &PluginName) -> String {
    let mut releases: Vec<_> = provider.releases(name).iter().collect();
    if releases.is_empty() {
        return format!("its registry has no plugin {name}");
    }
    releases.sort_by(|a, b| b.version.cmp(&a.version));
    let more = releases.len().saturating_sub(MAX_LISTED);
    let mut words: Vec<String> = releases
        .into_iter()
        .take(MAX_LISTED)
        .map(|release| match provider.admit(release) {
            Ok(()) => release.version.to_string(),
            Err(why) => format!("{} ({why})", release.version),
        })
        .collect();
    if more > 0 {
        words.push(format!("and {more} older"));
    }
    format!("there are of {name}: {}", words.join(", "))
}
