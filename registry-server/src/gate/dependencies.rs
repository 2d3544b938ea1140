//! The plugins that a plugin calls, and the versions of Windlass that it runs on.

use super::{Refused, Stop};
use crate::{Registry, database::Stored};
use semver::{BuildMetadata, Comparator, Prerelease, Version, VersionReq};
use windlass_package::{
    manifest::Manifest,
    release::{Release, newest},
};

/// Looks whether each dependency can be had here; gives the newest release of each that will do.
///
/// A namespace belongs to one registry, so a plugin that is not here is not anywhere for those who install from here.
pub(super) async fn check(registry: &Registry, manifest: &Manifest) -> Result<Vec<Stored>, Stop> {
    if let Some(engine) = manifest.engine.as_ref().filter(|engine| !names_a_version(engine)) {
        return Err(Refused::Engine(engine.clone()).into());
    }
    let mut found = Vec::new();
    for (name, range) in &manifest.dependencies {
        let refuse = |why| Refused::Dependency { name: name.clone(), range: range.clone(), why };
        if *name == manifest.name {
            return Err(refuse("which is itself").into());
        }
        let stored = registry.0.database.releases(name).await?;
        if stored.is_empty() {
            return Err(refuse("and there is no such plugin in this registry").into());
        }
        let releases: Vec<Release> = stored.iter().map(|stored| stored.release.clone()).collect();
        let chosen =
            newest(&releases, range).ok_or_else(|| refuse("and no release that may be used is in that range"))?;
        found.extend(stored.iter().find(|stored| stored.release.version == chosen.version).cloned());
    }
    Ok(found)
}

/// Whether any version at all is in a range. A range begins at one of the versions that it names, or just after it.
fn names_a_version(range: &VersionReq) -> bool {
    let candidates = range.comparators.iter().flat_map(|Comparator { major, minor, patch, pre, .. }| {
        let (major, minor, patch) = (*major, minor.unwrap_or(0), patch.unwrap_or(0));
        let at = |major, minor, patch| Version::new(major, minor, patch);
        let below = match (minor, patch) {
            (_, 1..) => at(major, minor, patch - 1),
            (1.., 0) => at(major, minor - 1, u64::MAX),
            (0, 0) => at(major.saturating_sub(1), u64::MAX, u64::MAX),
        };
        [
            Version { major, minor, patch, pre: pre.clone(), build: BuildMetadata::EMPTY },
            Version { pre: Prerelease::EMPTY, ..at(major, minor, patch) },
            at(major, minor, patch.saturating_add(1)),
            at(major, minor.saturating_add(1), 0),
            at(major.saturating_add(1), 0, 0),
            below,
            at(0, 0, 0),
        ]
    });
    range.comparators.is_empty() || candidates.into_iter().any(|version| range.matches(&version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let check = |text: &str, expect: bool| {
            assert_eq!(names_a_version(&text.parse().unwrap()), expect, "{text}");
        };
        check("*", true);
        check("^0.1", true);
        check(">=0.1, <0.3", true);
        check(">0.1.0, <0.2", true);
        check(">0.1, <0.2", false); // >0.1 is from 0.2 on
        check("<0.1", true);
        check("=1.2.3-rc.1", true);
        check("~1.2, >1.2.7", true);
        check(">2, <1", false);
        check("<0.0.0", false);
        check("^1, ^2", false);
        check("=1.2.3, >1.2.3", false);
    }
}
