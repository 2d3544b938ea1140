//! The audit: who changed what, when, from where.
//!
//! **Invariants.**
//! - Every change has an entry, which is durable before the change is answered.
//! - An entry is never changed and never goes.
//! - No secret is in it: names, numbers and digests are.

use crate::{App, Problem, access::Caller, clock::now_ms, edge};
use serde_json::Value;
use windlass_store::{Records, records::audit::AuditEntry};

/// What did something that no person asked for.
pub(crate) const SYSTEM: &str = "system";

impl App {
    /// Writes down what `caller` did: see [`note`].
    pub(crate) async fn audit(
        &self,
        caller: &Caller,
        action: &str,
        target: &str,
        detail: Value,
    ) -> Result<(), Problem> {
        note(self.records(), caller, action, target, detail).await
    }
}

/// Writes down what `caller` did: `action` as `thing.verb`, `target` as the thing is named elsewhere, and in `detail` what else a
/// reader would ask. Which request it was is known from the task.
pub(crate) async fn note(
    records: &Records,
    caller: &Caller,
    action: &str,
    target: &str,
    detail: Value,
) -> Result<(), Problem> {
    let (request_id, address) = match edge::current() {
        Some(request) => (Some(request.id), Some(request.address.to_canonical().to_string())),
        None => (None, None),
    };
    let entry = AuditEntry {
        at_ms: now_ms(),
        actor: caller.name.clone(),
        via: caller.via.clone(),
        action: action.to_owned(),
        target: target.to_owned(),
        detail: detail.to_string(),
        request_id,
        address,
    };
    Ok(records.add_to_audit(&entry).await?)
}
