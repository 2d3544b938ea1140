//! The audit log, notices to owners, and work for later.

use super::{Sqlite, commit, database, millis, time};
use crate::{
    accounts::{Namespace, User},
    database::{AuditLine, Job, Jobs, Journal, OwnerNotice, Result},
};
use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Row as _, sqlite::SqliteRow};

#[async_trait]
impl Journal for Sqlite {
    async fn audit(&self, namespace: Option<&Namespace>, before: Option<i64>, limit: usize) -> Result<Vec<AuditLine>> {
        let rows = sqlx::query(
            "SELECT id, at_ms, actor, token, ip, action, namespace, subject, detail FROM audit
             WHERE (?1 IS NULL OR namespace = ?1) AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3",
        )
        .bind(namespace.map(Namespace::as_str))
        .bind(before)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.reads)
        .await
        .map_err(database("read the audit log"))?;
        rows.iter().map(line).collect()
    }

    async fn notices(&self, user: &User, before: Option<i64>, limit: usize) -> Result<Vec<OwnerNotice>> {
        let rows: Vec<(i64, i64, String, String, String)> = sqlx::query_as(
            "SELECT id, at_ms, kind, subject, words FROM notices
             WHERE user = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3",
        )
        .bind(user.id)
        .bind(before)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.reads)
        .await
        .map_err(database("read the notices"))?;
        let notice = |(id, at, kind, subject, words)| OwnerNotice { id, at: time(at), kind, subject, words };
        Ok(rows.into_iter().map(notice).collect())
    }
}

fn line(row: &SqliteRow) -> Result<AuditLine> {
    let read = database("read the audit log");
    Ok(AuditLine {
        id: row.try_get("id").map_err(&read)?,
        at: time(row.try_get("at_ms").map_err(&read)?),
        actor: row.try_get("actor").map_err(&read)?,
        token: row.try_get("token").map_err(&read)?,
        ip: row.try_get("ip").map_err(&read)?,
        action: row.try_get("action").map_err(&read)?,
        namespace: row.try_get("namespace").map_err(&read)?,
        subject: row.try_get("subject").map_err(&read)?,
        detail: row.try_get("detail").map_err(&read)?,
    })
}

#[async_trait]
impl Jobs for Sqlite {
    async fn schedule(&self, kind: &str, payload: &str, at: Timestamp) -> Result<()> {
        let mut write = self.begin().await?;
        sqlx::query(
            "INSERT INTO jobs (kind, payload, run_at_ms) VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET run_at_ms = min(run_at_ms, excluded.run_at_ms)",
        )
        .bind(kind)
        .bind(payload)
        .bind(millis(at))
        .execute(&mut *write)
        .await
        .map_err(database("schedule a job"))?;
        commit(write).await
    }

    async fn take(&self, now: Timestamp, lease: Timestamp) -> Result<Option<Job>> {
        // Looked at without a transaction first: there is nothing to do nearly always.
        let next: Option<(String, String)> = sqlx::query_as(
            "SELECT kind, payload FROM jobs WHERE run_at_ms <= ?1 AND (leased_until_ms IS NULL OR leased_until_ms <= ?1)
             ORDER BY run_at_ms LIMIT 1",
        )
        .bind(millis(now))
        .fetch_optional(&self.reads)
        .await
        .map_err(database("look for a job"))?;
        let Some((kind, payload)) = next else { return Ok(None) };
        let mut write = self.begin().await?;
        let attempts: Option<u32> = sqlx::query_scalar(
            "UPDATE jobs SET attempts = attempts + 1, leased_until_ms = ?1
             WHERE kind = ?2 AND payload = ?3 AND run_at_ms <= ?4 AND (leased_until_ms IS NULL OR leased_until_ms <= ?4)
             RETURNING attempts",
        )
        .bind(millis(lease))
        .bind(&kind)
        .bind(&payload)
        .bind(millis(now))
        .fetch_optional(&mut *write)
        .await
        .map_err(database("take a job"))?;
        commit(write).await?;
        Ok(attempts.map(|attempts| Job { kind, payload, attempts }))
    }

    async fn done(&self, job: &Job, again: Option<Timestamp>) -> Result<()> {
        let mut write = self.begin().await?;
        let statement = match again {
            Some(_) => {
                "UPDATE jobs SET run_at_ms = ?3, attempts = 0, leased_until_ms = NULL, last_error = NULL
                 WHERE kind = ?1 AND payload = ?2"
            }
            None => "DELETE FROM jobs WHERE kind = ?1 AND payload = ?2 AND ?3 IS NULL",
        };
        sqlx::query(statement)
            .bind(&job.kind)
            .bind(&job.payload)
            .bind(again.map(millis))
            .execute(&mut *write)
            .await
            .map_err(database("end a job"))?;
        commit(write).await
    }

    async fn failed(&self, job: &Job, why: &str, again: Timestamp) -> Result<()> {
        let mut write = self.begin().await?;
        sqlx::query(
            "UPDATE jobs SET run_at_ms = ?, leased_until_ms = NULL, last_error = ? WHERE kind = ? AND payload = ?",
        )
        .bind(millis(again))
        .bind(why)
        .bind(&job.kind)
        .bind(&job.payload)
        .execute(&mut *write)
        .await
        .map_err(database("put a job off"))?;
        commit(write).await
    }
}
