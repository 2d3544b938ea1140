//! Import of a static plugin index that somebody else publishes: what can be found here and is not installable here.
//!
//! The format is that of GoCodeAlone's workflow-registry: `v1/index.json` is a list of entries, each under the name of its
//! folder, and `v1/plugins/<folder>/manifest.json` is what its author wrote, where the name is sometimes another. Entries ship native
//! executables, so they become search results and pages, and nothing that the client would fetch.
//!
//! **Invariants.**
//! - Parsed, not sanitised: each value is of its type, within its limit, and holds no character that deceives; keys that the
//!   format does not have are refused. What is wrong with one entry is reported and costs that entry only.
//! - A private entry is not kept, whatever else the index says of it.
//! - What is read replaces all that was imported before, so importing twice is importing once, and what is gone is gone.
//!
//! Not here: where the documents come from ([`source`]), and where they are kept (the database).

pub mod source;
mod wire;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};
use windlass_package::market::{NativeName, NativePage, StepConflict};
use wire::Wire;

/// Largest index, in bytes: eighty times the one we know.
pub const MAX_INDEX: u64 = 16 * 1024 * 1024;
/// Largest manifest of one entry, in bytes.
pub const MAX_ENTRY: u64 = 1024 * 1024;
/// Most entries of an index: a hundred times the one we know.
pub const MAX_ENTRIES: usize = 10_000;
/// Most items of one list of an entry.
pub const MAX_ITEMS: usize = 1_000;
/// Longest description, in characters.
pub const MAX_DESCRIPTION: usize = 2_000;
/// Longest other text, in characters.
pub const MAX_TEXT: usize = 300;

/// What one import came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Import {
    /// What is kept, by name.
    pub entries: BTreeMap<NativeName, NativePage>,
    /// How many entries are private, and so were left out.
    pub private: usize,
    /// What is wrong, and with what.
    pub problems: Vec<Problem>,
}

/// What is wrong with one entry or manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which.
    pub entry: String,
    /// What.
    pub why: String,
}

/// Reads an index. `manifest` gives what an entry's author wrote, if it can be had.
///
/// # Errors
/// When it is not a list, or over a limit as a whole.
pub fn read(index: &[u8], mut manifest: impl FnMut(&NativeName) -> Result<Vec<u8>, String>) -> Result<Import, String> {
    let entries = list(index)?;
    let mut import = Import::default();
    for (number, value) in entries.into_iter().enumerate() {
        match entry(value, number) {
            Ok(None) => import.private += 1,
            Ok(Some((name, mut page))) => {
                match manifest(&name).and_then(|bytes| Wire::parse(&bytes)) {
                    // The index may be older than the manifest, which knows best whether it is private.
                    Ok(wire) if wire.private => {
                        import.private += 1;
                        continue;
                    }
                    Ok(wire) => page.manifest_name = wire.name,
                    Err(why) => import.problems.push(Problem {
                        entry: format!("{name}/manifest.json"),
                        why: format!("{why}; shown as the index has it"),
                    }),
                }
                match import.entries.entry(name) {
                    Entry::Vacant(place) => {
                        place.insert(page);
                    }
                    Entry::Occupied(first) => import.problems.push(Problem {
                        entry: first.key().to_string(),
                        why: "it is in the index twice; the first is kept".to_owned(),
                    }),
                }
            }
            Err(problem) => import.problems.push(problem),
        }
    }
    Ok(import)
}

/// The names of an index, for whoever fetches the manifests.
pub(crate) fn names(index: &[u8]) -> Result<BTreeSet<NativeName>, String> {
    let named = |value: Value| value.get("name").and_then(Value::as_str).and_then(|name| name.parse().ok());
    Ok(list(index)?.into_iter().filter_map(named).collect())
}

fn list(index: &[u8]) -> Result<Vec<Value>, String> {
    if index.len() as u64 > MAX_INDEX {
        return Err(format!("the index has {} bytes, at most {MAX_INDEX} are read", index.len()));
    }
    let entries: Vec<Value> =
        serde_json::from_slice(index).map_err(|error| format!("the index is not a list of entries: {error}"))?;
    if entries.len() > MAX_ENTRIES {
        return Err(format!("the index has {} entries, at most {MAX_ENTRIES} are read", entries.len()));
    }
    Ok(entries)
}

fn entry(value: Value, number: usize) -> Result<Option<(NativeName, NativePage)>, Problem> {
    let named = value.get("name").and_then(Value::as_str).map(|name| name.chars().take(80).collect::<String>());
    let entry = named.unwrap_or_else(|| format!("entry {}", number + 1));
    let problem = |why: String| Problem { entry: entry.clone(), why };
    let wire = Wire::of(value).map_err(&problem)?;
    if wire.private {
        return Ok(None);
    }
    let name: NativeName = wire.name.parse().map_err(problem)?;
    Ok(Some((name.clone(), wire.page(name))))
}

/// One conflict as a line of a report.
pub fn words(conflict: &StepConflict) -> String {
    let providers: Vec<_> = conflict.providers.iter().map(ToString::to_string).collect();
    format!("{}: {}", conflict.step, providers.join(", "))
}

#[cfg(test)]
mod tests;
