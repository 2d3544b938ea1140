//! What a component says of itself, held against what its release and its manifest say.

use crate::{PackageError, release::Release, store::Entry};
use std::collections::BTreeSet;
use windlass_contract::{Interface, Permissions, PluginKind, PluginRef};
use windlass_runtime::Inspection;

/// What a component says of itself: read now, or when it was put into the store.
pub(crate) enum FactsOf {
    Component(Inspection),
    Entry(Entry),
}

impl FactsOf {
    /// Whether the component is what its release says. The publish gate checks the same; it is not trusted with it.
    pub(crate) fn check(&self, plugin: &PluginRef, release: &Release) -> Result<(), PackageError> {
        let (kinds, imports) = match self {
            FactsOf::Component(facts) => {
                check_facts(&plugin.to_string(), facts, &release.permissions)?;
                (&facts.kinds, &facts.imports)
            }
            FactsOf::Entry(entry) => {
                check_imports(&plugin.to_string(), &entry.imports, &release.permissions)?;
                (&entry.kinds, &entry.imports)
            }
        };
        if *kinds != release.kinds || *imports != release.imports {
            return Err(bad_component(plugin, "the index describes other kinds or imports than it has".to_owned()));
        }
        Ok(())
    }
}

pub(crate) fn bad_component(plugin: &PluginRef, why: String) -> PackageError {
    PackageError::BadComponent { name: plugin.to_string(), why }
}

/// What must be true of a component whatever is to be done with it.
///
/// # Errors
/// [`PackageError::BadComponent`], or [`PackageError::UndeclaredImports`] which names them.
pub fn check_facts(name: &str, facts: &Inspection, permissions: &Permissions) -> Result<(), PackageError> {
    if !facts.unknown_imports.is_empty() {
        return Err(PackageError::BadComponent {
            name: name.to_owned(),
            why: format!("it imports {}", facts.unknown_imports.join("; ")),
        });
    }
    let is = |kind| facts.kinds.contains(&kind);
    let bad = |why: &str| Err(PackageError::BadComponent { name: name.to_owned(), why: why.to_owned() });
    if !is(PluginKind::Step) && !is(PluginKind::Provider) {
        return bad(
            "it exports neither windlass:plugin/step nor windlass:plugin/provider, the kinds of plugins so far",
        );
    }
    if is(PluginKind::Provider) && facts.imports.contains(&Interface::Artifacts) {
        return bad(
            "it is a provider and imports `artifacts`, which belong to runs: put the step into a plugin of its own",
        );
    }
    check_imports(name, &facts.imports, permissions)
}

fn check_imports(name: &str, imports: &BTreeSet<Interface>, permissions: &Permissions) -> Result<(), PackageError> {
    let undeclared = undeclared(imports, permissions);
    if undeclared.is_empty() {
        return Ok(());
    }
    let imports = undeclared.iter().map(|interface| interface.name()).collect::<Vec<_>>().join(", ");
    Err(PackageError::UndeclaredImports { name: name.to_owned(), imports })
}

/// The imports that permissions do not ask for.
pub fn undeclared(imports: &BTreeSet<Interface>, permissions: &Permissions) -> Vec<Interface> {
    let declared = permissions.interfaces();
    imports.iter().copied().filter(|interface| !interface.always_granted() && !declared.contains(interface)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_component_may_be() {
        let check = |kinds: &[PluginKind], imports: &[Interface], expect: &str| {
            let facts = Inspection {
                kinds: kinds.iter().copied().collect(),
                imports: imports.iter().copied().collect(),
                wasi: Vec::new(),
                unknown_imports: Vec::new(),
                contract: semver::Version::new(0, 1, 0),
                exports: Vec::new(),
                size: 1,
                language: None,
            };
            let asked: Permissions = serde_json::from_str(r#"{"artifacts": {"read": true}, "state": true}"#).unwrap();
            let found = check_facts("acme:x", &facts, &asked).err().map_or_else(String::new, |error| error.to_string());
            assert!(found.contains(expect) && found.is_empty() == expect.is_empty(), "{found}");
        };
        use Interface::{Artifacts, Http, State};
        use PluginKind::{Provider, Scanner, Step};
        check(&[Step], &[Artifacts, State], "");
        check(&[Provider], &[State], "");
        check(&[Step, Provider], &[State], "");
        check(&[Scanner], &[], "it exports neither windlass:plugin/step nor windlass:plugin/provider");
        check(&[Provider], &[Artifacts], "imports `artifacts`, which belong to runs");
        check(&[Step, Provider], &[Artifacts], "put the step into a plugin of its own");
        check(&[Provider], &[Http], "http");
    }
}
