//! The operator's import of a static index, and what there is to say about it.

use super::native::{Problem, source::Source, words};
use crate::{
    RegistryError,
    database::{By, Database, Replaced},
};
use std::fmt;
use windlass_package::market::StepConflict;

/// What an import came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Entries that can be found now.
    pub entries: usize,
    /// Private entries, which were left out.
    pub private: usize,
    /// What became of what was there before.
    pub replaced: Replaced,
    /// What is wrong with single entries.
    pub problems: Vec<Problem>,
    /// Step types that more than one provides, plugins of this registry included.
    pub conflicts: Vec<StepConflict>,
}

/// Replaces the native entries by those of the index at `source`.
///
/// # Errors
/// When there is no index there, or the database cannot be written; then nothing has changed.
pub async fn import(database: &dyn Database, source: &Source, by: &By) -> Result<Report, RegistryError> {
    let import = source.import().await.map_err(RegistryError::BadRequest)?;
    let replaced = database.replace_natives(&import.entries, &source.to_string(), by).await?;
    Ok(Report {
        entries: import.entries.len(),
        private: import.private,
        replaced,
        problems: import.problems,
        conflicts: database.conflicts(None).await?,
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replaced { added, changed, removed } = self.replaced;
        writeln!(
            f,
            "{} native entries: {added} added, {changed} changed, {removed} removed; {} private ones left out",
            self.entries, self.private
        )?;
        if !self.problems.is_empty() {
            writeln!(f, "{} entries or manifests are not valid:", self.problems.len())?;
        }
        for problem in &self.problems {
            writeln!(f, "  {}: {}", problem.entry, problem.why)?;
        }
        if !self.conflicts.is_empty() {
            writeln!(f, "{} step types are provided by more than one:", self.conflicts.len())?;
        }
        for conflict in &self.conflicts {
            writeln!(f, "  {}", words(conflict))?;
        }
        Ok(())
    }
}
