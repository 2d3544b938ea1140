//! The audit: who changed what, when, from where.
//!
//! **Invariants.**
//! - Every change has an entry, which is durable before the change is answered. A crash leaves no change without one:
//!   - What is in the records is one commit with its entry ([`windlass_store::records::Change`]).
//!   - What is in the vault or among the plugins' files has its entry before it is begun ([`App::audited`]): an entry of something that a
//!     crash kept from being done misleads nobody for long, a secret that was changed by nobody would. What fails has a second entry that
//!     says so. Secrets of triggers and environments belong to a change of the records, and have its entry.
//!   - What is asked of a run is an event of that run, and names who asked: that is its record. The entry here is the copy for whoever
//!     reads the audit, and comes after it, since only then it is known whether the run has taken it.
//! - An entry is never changed and never goes.
//! - No secret is in it: names, numbers and digests are.

use crate::{
    App, Problem,
    access::{Caller, Role},
    clock::now_ms,
    edge,
};
use serde_json::{Value, json};
use std::future::Future;
use windlass_store::records::audit::AuditEntry;

/// What did something that no person asked for.
pub(crate) const SYSTEM: &str = "system";

impl Caller {
    /// What does something that no person asked for; `via` says on whose word.
    pub(crate) fn system(via: String) -> Caller {
        Caller { user: 0, name: SYSTEM.to_owned(), role: Role::Viewer, via }
    }

    /// What they do, as an entry: `action` as `thing.verb`, `target` as the thing is named elsewhere, and in `detail` what else a reader
    /// would ask. Which request it is is known from the task.
    pub(crate) fn did(&self, action: &str, target: &str, detail: Value) -> AuditEntry {
        let (request_id, address) = match edge::current() {
            Some(request) => (Some(request.id), Some(request.address.to_canonical().to_string())),
            None => (None, None),
        };
        AuditEntry {
            at_ms: now_ms(),
            actor: self.name.clone(),
            via: self.via.clone(),
            action: action.to_owned(),
            target: target.to_owned(),
            detail: detail.to_string(),
            request_id,
            address,
        }
    }
}

impl App {
    /// Writes down what was asked of a run, or what is no change at all.
    pub(crate) async fn audit(&self, entry: &AuditEntry) -> Result<(), Problem> {
        Ok(self.records().add_to_audit(entry).await?)
    }

    /// Changes something that is not in the records, with its entries before it.
    pub(crate) async fn audited<T>(
        &self,
        entries: &[AuditEntry],
        change: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        for entry in entries {
            self.audit(entry).await?;
        }
        let changed = change.await;
        if let Err(problem) = &changed {
            for entry in entries {
                let detail = json!({ "failed": problem.code }).to_string();
                self.audit(&AuditEntry { at_ms: now_ms(), detail, ..entry.clone() }).await?;
            }
        }
        changed
    }
}
