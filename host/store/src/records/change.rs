//! Changes that somebody makes, each with its entry in the audit.
//!
//! **Invariant.** A change and its entry are one transaction: [`Change::commit`] takes the entry, and nothing else commits one. One that is
//! dropped has changed nothing.
//!
//! **Not here.** What is written without anybody's doing: deliveries, outcomes, when somebody was last there. [`Records`] writes it itself.

use super::{
    Records,
    audit::{self, AuditEntry},
};
use crate::{
    StoreError,
    failpoints::{AUDITED, CHANGED, COMMITTED, crash_point},
};
use sqlx::{Sqlite, SqliteConnection, Transaction};

/// A change that is being made. Others wait for it: do nothing else meanwhile.
pub struct Change(Transaction<'static, Sqlite>);

impl Records {
    /// Begins a change.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn change(&self) -> Result<Change, StoreError> {
        Ok(Change(self.write().await?))
    }
}

impl Change {
    pub(super) fn write(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }

    /// Makes the change, and its entry. Both are durable when this returns.
    ///
    /// # Errors
    /// When the database cannot be written; then neither is there.
    pub async fn commit(mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        crash_point(CHANGED);
        audit::insert(&mut self.0, entry).await?;
        crash_point(AUDITED);
        self.0.commit().await.map_err(StoreError::database("commit a change"))?;
        crash_point(COMMITTED);
        Ok(())
    }
}

#[cfg(test)]
impl Records {
    /// Makes a change that a test needs to be there.
    pub(crate) async fn changed<T>(&self, make: impl AsyncFnOnce(&mut Change) -> Result<T, StoreError>) -> T {
        let mut change = self.change().await.expect("a change begins");
        let made = make(&mut change).await.expect("it can be made");
        change.commit(&audit::tests::entry("test.change")).await.expect("it is committed");
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{accounts::NewUser, audit::AuditFilter};

    #[tokio::test]
    async fn a_change_and_its_entry_are_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let records = Records::open(dir.path()).await.expect("records");
        let new = NewUser { name: "ada", display_name: None, email: None, role: "viewer", password: None, at_ms: 1 };
        let there = async || {
            let entries = records.audit(AuditFilter::default(), 10).await.expect("the audit");
            (records.user("ada").await.expect("a look").is_some(), entries.len())
        };
        let mut dropped = records.change().await.expect("a change");
        assert!(dropped.create_user(&new).await.expect("made").is_some());
        assert_eq!(there().await, (false, 0), "nobody sees what is not committed");
        drop(dropped);
        assert_eq!(there().await, (false, 0));
        records.changed(async |change| change.create_user(&new).await).await.expect("a user");
        assert_eq!(there().await, (true, 1));
    }
}
