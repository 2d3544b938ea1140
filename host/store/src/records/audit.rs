//! What was changed by whom. Rows are added, and never changed or taken away.

use super::{Records, stored};
use crate::{
    StoreError,
    failpoints::{INTENDED, crash_point},
};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

/// Something that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, in milliseconds since 1970 (UTC).
    pub at_ms: u64,
    /// Who: a user's name, `trigger:ID`, `system`, or `command line (ACCOUNT)`.
    pub actor: String,
    /// With what: `session`, `key:PREFIX`, or empty.
    pub via: String,
    /// What was done, as `thing.verb`.
    pub action: String,
    /// To what.
    pub target: String,
    /// More, as JSON. Never a secret.
    pub detail: String,
    /// The request.
    pub request_id: Option<String>,
    /// The address that it came from.
    pub address: Option<String>,
}

/// Which of the entries; all where nothing is said.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditFilter<'a> {
    /// By this one.
    pub actor: Option<&'a str>,
    /// With an action that begins so.
    pub action: Option<&'a str>,
    /// To this thing.
    pub target: Option<&'a str>,
    /// With a smaller number than this.
    pub before: Option<i64>,
}

impl Records {
    /// Adds an entry of something that is no change of the records. It is durable when this returns.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn add_to_audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        insert(&mut write, entry).await?;
        write.commit().await.map_err(StoreError::database("write the audit"))?;
        crash_point(INTENDED);
        Ok(())
    }

    /// At most `limit` entries with their numbers, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn audit(&self, filter: AuditFilter<'_>, limit: u32) -> Result<Vec<(i64, AuditEntry)>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM audit
             WHERE (?1 IS NULL OR actor = ?1) AND (?2 IS NULL OR substr(action, 1, length(?2)) = ?2)
               AND (?3 IS NULL OR target = ?3) AND (?4 IS NULL OR id < ?4)
             ORDER BY id DESC LIMIT ?5",
        )
        .bind(filter.actor)
        .bind(filter.action)
        .bind(filter.target)
        .bind(filter.before)
        .bind(limit)
        .fetch_all(&self.reads)
        .await
        .map_err(StoreError::database("read the audit"))?;
        rows.iter().map(read).collect::<Result<_, _>>().map_err(StoreError::database("read the audit"))
    }
}

/// Adds an entry in the transaction of what it tells.
pub(super) async fn insert(write: &mut SqliteConnection, entry: &AuditEntry) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO audit (at_ms, actor, via, action, target, detail, request_id, address) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(stored(entry.at_ms))
    .bind(&entry.actor)
    .bind(&entry.via)
    .bind(&entry.action)
    .bind(&entry.target)
    .bind(&entry.detail)
    .bind(&entry.request_id)
    .bind(&entry.address)
    .execute(write)
    .await
    .map_err(StoreError::database("write the audit"))?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<(i64, AuditEntry), sqlx::Error> {
    let entry = AuditEntry {
        at_ms: row.try_get::<i64, _>("at_ms")?.unsigned_abs(),
        actor: row.try_get("actor")?,
        via: row.try_get("via")?,
        action: row.try_get("action")?,
        target: row.try_get("target")?,
        detail: row.try_get("detail")?,
        request_id: row.try_get("request_id")?,
        address: row.try_get("address")?,
    };
    Ok((row.try_get("id")?, entry))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn entry(action: &str) -> AuditEntry {
        AuditEntry {
            at_ms: 1,
            actor: "test".to_owned(),
            via: String::new(),
            action: action.to_owned(),
            target: String::new(),
            detail: "{}".to_owned(),
            request_id: None,
            address: None,
        }
    }
}
