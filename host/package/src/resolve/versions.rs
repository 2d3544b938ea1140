//! A set of versions: some, or all but some. Closed under what the solver does with sets, and equal where it holds the same.

use pubgrub::VersionSet;
use semver::Version;
use std::{collections::BTreeSet, fmt, sync::Arc};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Versions {
    Some(Arc<BTreeSet<Version>>),
    AllBut(Arc<BTreeSet<Version>>),
}

impl Versions {
    pub(super) fn of(versions: impl IntoIterator<Item = Version>) -> Self {
        Versions::Some(Arc::new(versions.into_iter().collect()))
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, versions) = match self {
            Versions::Some(versions) => ("", versions),
            Versions::AllBut(versions) => ("all but ", versions),
        };
        let words: Vec<String> = versions.iter().map(ToString::to_string).collect();
        write!(f, "{before}{}", words.join(", "))
    }
}

impl VersionSet for Versions {
    type V = Version;

    fn empty() -> Self {
        Versions::of([])
    }

    fn singleton(version: Version) -> Self {
        Versions::of([version])
    }

    fn complement(&self) -> Self {
        match self {
            Versions::Some(versions) => Versions::AllBut(versions.clone()),
            Versions::AllBut(versions) => Versions::Some(versions.clone()),
        }
    }

    fn intersection(&self, other: &Self) -> Self {
        use Versions::{AllBut, Some};
        match (self, other) {
            (Some(a), Some(b)) => Versions::of(a.intersection(b).cloned()),
            (Some(a), AllBut(b)) | (AllBut(b), Some(a)) => Versions::of(a.difference(b).cloned()),
            (AllBut(a), AllBut(b)) => AllBut(Arc::new(a.union(b).cloned().collect())),
        }
    }

    fn contains(&self, version: &Version) -> bool {
        match self {
            Versions::Some(versions) => versions.contains(version),
            Versions::AllBut(versions) => !versions.contains(version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set() -> impl Strategy<Value = Versions> {
        let some = proptest::collection::btree_set(0u64..6, 0..6);
        (some, any::<bool>()).prop_map(|(numbers, is_complement)| {
            let set = Versions::of(numbers.into_iter().map(|n| Version::new(n, 0, 0)));
            if is_complement { set.complement() } else { set }
        })
    }

    proptest! {
        /// What the solver relies on: the operations are those of sets, also outside of what any set names (7).
        #[test]
        fn sets_are_sets(a in set(), b in set()) {
            let all = (0..8).map(|n| Version::new(n, 0, 0));
            for version in all {
                prop_assert_eq!(a.complement().contains(&version), !a.contains(&version));
                prop_assert_eq!(a.intersection(&b).contains(&version), a.contains(&version) && b.contains(&version));
                prop_assert_eq!(a.union(&b).contains(&version), a.contains(&version) || b.contains(&version));
            }
            prop_assert_eq!(a.intersection(&b) == a, a.subset_of(&b));
            prop_assert_eq!(a.complement().complement(), a);
        }
    }
}
