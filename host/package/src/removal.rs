//! Taking plugins out of a project: not one that is needed, and with it those that only it needed.
//!
//! A plugin is needed when a pipeline of the project uses it or another locked plugin calls it. What pipelines use is for the
//! caller to know. Components stay in the store, which other projects share.

use crate::{PackageError, grants::Grants, lock::Lock};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use windlass_contract::PluginName;

/// The files of the pipelines that use a plugin, by plugin.
pub type Uses = BTreeMap<PluginName, BTreeSet<String>>;

/// Takes a plugin out of the lock and the grants, and those that only it called and nobody asked for. Gives what was taken
/// out, the plugin itself first; empty where it was in neither.
///
/// # Errors
/// [`PackageError::Needed`] unless `force`; or when a file is not valid or cannot be written.
pub fn remove(project: &Path, name: &PluginName, uses: &Uses, force: bool) -> Result<Vec<PluginName>, PackageError> {
    let gone = would_remove(project, name, uses, force)?;
    if !gone.is_empty() {
        take_out(project, Lock::load(project)?, Grants::load(project)?, &gone)?;
    }
    Ok(gone)
}

/// What [`remove`] would take out.
///
/// # Errors
/// As of [`remove`].
pub fn would_remove(
    project: &Path,
    name: &PluginName,
    uses: &Uses,
    force: bool,
) -> Result<Vec<PluginName>, PackageError> {
    let (lock, grants) = (Lock::load(project)?, Grants::load(project)?);
    let mut by: Vec<String> = uses.get(name).into_iter().flatten().map(|file| format!("{file} uses it")).collect();
    by.extend(lock.needed_by(name).map(|other| format!("{}@{} calls it", other.name, other.version)));
    if !by.is_empty() && !force {
        return Err(PackageError::Needed { name: name.clone(), by });
    }
    if !lock.plugins.contains_key(name) && !grants.plugins.contains_key(name) {
        return Ok(Vec::new());
    }
    let orphaned_before = orphans(&lock, uses);
    let mut rest = lock.clone();
    rest.plugins.remove(name);
    let mut gone = vec![name.clone()];
    gone.extend(orphans(&rest, uses).into_iter().filter(|other| !orphaned_before.contains(other)));
    Ok(gone)
}

/// What is locked and nobody needs: no pipeline uses it, no needed plugin calls it, and nobody asked for it by name.
pub fn orphans(lock: &Lock, uses: &Uses) -> BTreeSet<PluginName> {
    let needed = lock.plugins.values().filter(|locked| locked.requested || uses.contains_key(&locked.name));
    let needed: BTreeSet<_> = needed.flat_map(|locked| lock.closure(&locked.name)).collect();
    lock.plugins.keys().filter(|name| !needed.contains(*name)).cloned().collect()
}

/// Takes out what nobody needs, or says what that would be.
///
/// # Errors
/// When a file is not valid or cannot be written.
pub fn prune(project: &Path, uses: &Uses, dry_run: bool) -> Result<Vec<PluginName>, PackageError> {
    let (lock, grants) = (Lock::load(project)?, Grants::load(project)?);
    let gone: Vec<_> = orphans(&lock, uses).into_iter().collect();
    if !dry_run {
        take_out(project, lock, grants, &gone)?;
    }
    Ok(gone)
}

fn take_out(project: &Path, mut lock: Lock, mut grants: Grants, gone: &[PluginName]) -> Result<(), PackageError> {
    for name in gone {
        lock.plugins.remove(name);
        grants.plugins.remove(name);
    }
    // The lock first: a crash between the two leaves a grant for nothing, never a plugin without its grant's reason.
    lock.save(project)?;
    grants.save(project)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Locked;
    use semver::Version;
    use windlass_contract::{Digest, Permissions};

    fn name(text: &str) -> PluginName {
        format!("acme:{text}").parse().unwrap()
    }

    /// `a! b`: a, asked for by name, which calls b.
    fn lock(text: &str) -> Lock {
        let entry = |line: &str| {
            let (own, calls) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            let own_name = name(own.trim_end_matches('!'));
            let locked = Locked {
                name: own_name.clone(),
                version: Version::new(1, 0, 0),
                digest: Digest::of(own.as_bytes()),
                registry: "http://127.0.0.1:1".to_owned(),
                contract: Version::new(0, 1, 0),
                requested: own.ends_with('!'),
                cosign: None,
                signature: None,
                dependencies: calls.split_whitespace().map(|other| (name(other), "*".parse().unwrap())).collect(),
                permissions: Permissions::default(),
            };
            (own_name, locked)
        };
        Lock { plugins: text.split(',').map(entry).collect() }
    }

    fn uses(text: &str) -> Uses {
        text.split_whitespace().map(|each| (name(each), ["ci.yaml".to_owned()].into())).collect()
    }

    #[test]
    fn what_nobody_needs() {
        let check = |text: &str, used: &str, expect: &str| {
            let found = orphans(&lock(text), &uses(used));
            let words: Vec<_> = found.iter().map(PluginName::name).collect();
            assert_eq!(words.join(" "), expect, "{text} with {used}");
        };
        check("a! b,b", "", "");
        check("a b,b", "", "a b");
        check("a b,b", "a", "");
        check("a b,b", "b", "a");
        check("a b,b a", "", "a b"); // a ring holds nobody up
    }

    #[test]
    fn removing() {
        let check = |text: &str, used: &str, what: &str, force: bool| {
            let project = tempfile::tempdir().unwrap();
            lock(text).save(project.path()).unwrap();
            let words = match remove(project.path(), &name(what), &uses(used), force) {
                Ok(gone) => gone.iter().map(|name| name.name().to_owned()).collect::<Vec<_>>().join(" "),
                Err(error) => error.to_string(),
            };
            let left: Vec<_> = Lock::load(project.path()).unwrap().plugins.into_keys().collect();
            format!("{words} | {}", left.iter().map(PluginName::name).collect::<Vec<_>>().join(" "))
        };
        let all = [
            check("a! b,b c,c,d!", "", "a", false),
            check("a! b,b c,c!", "", "a", false),
            check("a! b,b", "", "b", false),
            check("a! b,b", "", "b", true),
            check("a!", "a", "a", false),
            check("a!", "", "z", false),
            check("a!,stale", "", "a", false),
        ];
        insta::assert_snapshot!(all.join("\n"), @"
        a b c | d
        a b | c
        acme:b is still needed:
          - acme:a@1.0.0 calls it | a b
        b | a
        acme:a is still needed:
          - ci.yaml uses it | a
         | a
        a | stale
        ");
    }
}
