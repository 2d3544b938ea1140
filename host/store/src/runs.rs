//! Reading runs and their events.

use crate::{
    StoreError,
    row::{GateRow, RequestRow},
    writer::FIRST_SEQ,
};
use sqlx::{Row, SqlitePool, sqlite::SqliteRow};
use windlass_contract::RunId;
use windlass_engine::{Event, Outcome, RunStatus};

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// The pipeline's name.
    pub name: String,
    /// The pipeline's file, as the user named it.
    pub file: Option<String>,
    /// Where it stands.
    pub status: RunStatus,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Who began it.
    pub started_by: Option<String>,
    /// The run that it is a sub-run of.
    pub parent: Option<RunId>,
    /// When it was created, in milliseconds since 1970 (UTC).
    pub created_at_ms: u64,
    /// When its end was recorded.
    pub finished_at_ms: Option<u64>,
    /// What began it; see [`crate::Labels`], as of the others here.
    pub trigger: String,
    /// What it was begun for.
    pub title: Option<String>,
    /// The version of the deployed pipeline.
    pub version: Option<u32>,
    /// The run that it repeats.
    pub rerun_of: Option<RunId>,
}

/// What a [`RunSummary`] is read from.
pub(crate) const SUMMARY: &str = "runs.id, runs.name, runs.file, runs.status, runs.outcome, runs.started_by, runs.parent, \
     runs.created_at_ms, runs.finished_at_ms, runs.trigger_kind, runs.title, runs.workflow_version, runs.rerun_of";

/// Which runs to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunFilter {
    /// Only those that stand so.
    pub status: Option<RunStatus>,
    /// Only those that ended so.
    pub outcome: Option<Outcome>,
    /// At most so many; all without it.
    pub limit: Option<u32>,
}

/// The runs that `filter` names, the newest first.
pub(crate) async fn list(pool: &SqlitePool, filter: RunFilter) -> Result<Vec<RunSummary>, StoreError> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {SUMMARY} FROM runs WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR outcome = ?2)
         ORDER BY created_at_ms DESC, id DESC LIMIT ?3"
    )))
    .bind(filter.status.map(RunStatus::name))
    .bind(filter.outcome.map(Outcome::name))
    // A negative limit is none, to SQLite.
    .bind(filter.limit.map_or(-1, i64::from))
    .fetch_all(pool)
    .await
    .map_err(StoreError::database("list the runs"))?;
    rows.iter().map(summary).collect()
}

/// One run.
pub(crate) async fn one(pool: &SqlitePool, run: &RunId) -> Result<RunSummary, StoreError> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {SUMMARY} FROM runs WHERE id = ?")))
        .bind(run.as_str())
        .fetch_optional(pool)
        .await
        .map_err(StoreError::database("read a run"))?;
    row.as_ref().map_or_else(|| Err(StoreError::UnknownRun { run: run.clone() }), summary)
}

/// The runs that have no end yet, the oldest first.
pub(crate) async fn unfinished(pool: &SqlitePool) -> Result<Vec<RunId>, StoreError> {
    let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM runs WHERE outcome IS NULL ORDER BY created_at_ms, id")
        .fetch_all(pool)
        .await
        .map_err(StoreError::database("list the unfinished runs"))?;
    ids.iter().map(|id| run_id(id)).collect()
}

/// The run of this pipeline that was the last to succeed.
pub(crate) async fn last_succeeded(pool: &SqlitePool, name: &str) -> Result<Option<RunId>, StoreError> {
    let id: Option<String> = sqlx::query_scalar(
        "SELECT id FROM runs WHERE name = ? AND outcome = 'succeeded' ORDER BY finished_at_ms DESC, id DESC LIMIT 1",
    )
    .bind(name)
    .fetch_optional(pool)
    .await
    .map_err(StoreError::database("find the last run that succeeded"))?;
    id.as_deref().map(run_id).transpose()
}

/// The run of this pipeline that was the last to end.
pub(crate) async fn last_finished(pool: &SqlitePool, name: &str) -> Result<Option<RunId>, StoreError> {
    let id: Option<String> = sqlx::query_scalar(
        "SELECT id FROM runs WHERE name = ? AND outcome IS NOT NULL ORDER BY finished_at_ms DESC, id DESC LIMIT 1",
    )
    .bind(name)
    .fetch_optional(pool)
    .await
    .map_err(StoreError::database("find the last run that ended"))?;
    id.as_deref().map(run_id).transpose()
}

/// Every event of a run, in order.
pub(crate) async fn events(pool: &SqlitePool, run: &RunId) -> Result<Vec<Event>, StoreError> {
    // One statement sees one state of the database: the events and how many there must be belong together.
    let rows: Vec<(i64, Option<i64>, Option<String>)> = sqlx::query_as(
        "SELECT runs.next_seq, events.seq, events.body FROM runs LEFT JOIN events ON events.run = runs.id
         WHERE runs.id = ? ORDER BY events.seq",
    )
    .bind(run.as_str())
    .fetch_all(pool)
    .await
    .map_err(StoreError::database("read a run's events"))?;
    let Some((next, ..)) = rows.first() else { return Err(StoreError::UnknownRun { run: run.clone() }) };
    let next = next.unsigned_abs();
    let mut events = Vec::with_capacity(rows.len());
    for ((_, found, body), seq) in rows.iter().zip(FIRST_SEQ..) {
        match (found, body) {
            (Some(found), Some(body)) if found.unsigned_abs() == seq => events
                .push(Event::decode(body).map_err(|source| StoreError::BadEvent { run: run.clone(), seq, source })?),
            _ => return Err(StoreError::MissingEvent { run: run.clone(), seq }),
        }
    }
    let seen = FIRST_SEQ + events.len() as u64;
    if seen != next {
        return Err(StoreError::MissingEvent { run: run.clone(), seq: seen.min(next) });
    }
    Ok(events)
}

/// At most `limit` events of a run from number `from` on, in order.
pub(crate) async fn events_from(
    pool: &SqlitePool,
    run: &RunId,
    from: u64,
    limit: u32,
) -> Result<Vec<Event>, StoreError> {
    let rows: Vec<(i64, String)> =
        sqlx::query_as("SELECT seq, body FROM events WHERE run = ? AND seq >= ? ORDER BY seq LIMIT ?")
            .bind(run.as_str())
            .bind(i64::try_from(from).unwrap_or(i64::MAX))
            .bind(limit)
            .fetch_all(pool)
            .await
            .map_err(StoreError::database("read a run's events"))?;
    let event = |((found, body), seq): ((i64, String), u64)| {
        if found.unsigned_abs() != seq {
            return Err(StoreError::MissingEvent { run: run.clone(), seq });
        }
        Event::decode(&body).map_err(|source| StoreError::BadEvent { run: run.clone(), seq, source })
    };
    rows.into_iter().zip(from..).map(event).collect()
}

/// The runs of the same pipeline that have ended and were created before this one, the last one first.
pub(crate) async fn before(pool: &SqlitePool, run: &RunId, limit: u32) -> Result<Vec<RunId>, StoreError> {
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT other.id FROM runs own JOIN runs other ON other.name = own.name AND other.rowid < own.rowid
         WHERE own.id = ? AND other.outcome IS NOT NULL ORDER BY other.rowid DESC LIMIT ?",
    )
    .bind(run.as_str())
    .bind(limit)
    .fetch_all(pool)
    .await
    .map_err(StoreError::database("find the runs before one"))?;
    ids.iter().map(|id| run_id(id)).collect()
}

/// How a run stands, for whoever watches many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStands {
    /// The run.
    pub run: RunId,
    /// The pipeline's name.
    pub name: String,
    /// Where it stands.
    pub status: String,
    /// How it ended.
    pub outcome: Option<String>,
    /// The number of its next event.
    pub next_seq: u64,
}

/// How the runs stand that have not ended, that were created at `since_ms` or later, and those of `also`.
pub(crate) async fn standings(pool: &SqlitePool, since_ms: u64, also: &[RunId]) -> Result<Vec<RunStands>, StoreError> {
    let also = serde_json::to_string(also).unwrap_or_default();
    let rows: Vec<(String, String, String, Option<String>, i64)> = sqlx::query_as(
        "SELECT id, name, status, outcome, next_seq FROM runs WHERE outcome IS NULL
         UNION SELECT id, name, status, outcome, next_seq FROM runs WHERE created_at_ms >= ?1
         UNION SELECT id, name, status, outcome, next_seq FROM runs WHERE id IN (SELECT value FROM json_each(?2))",
    )
    .bind(i64::try_from(since_ms).unwrap_or(i64::MAX))
    .bind(also)
    .fetch_all(pool)
    .await
    .map_err(StoreError::database("see how the runs stand"))?;
    let stands = |(id, name, status, outcome, next): (String, String, String, Option<String>, i64)| {
        Ok(RunStands { run: run_id(&id)?, name, status, outcome, next_seq: next.unsigned_abs() })
    };
    rows.into_iter().map(stands).collect()
}

/// The run and the step of each gate that is open.
pub(crate) async fn gate_places(pool: &SqlitePool) -> Result<Vec<(RunId, String)>, StoreError> {
    let rows: Vec<(String, String)> = sqlx::query_as("SELECT run, step FROM gates")
        .fetch_all(pool)
        .await
        .map_err(StoreError::database("see which gates are open"))?;
    rows.into_iter().map(|(run, step)| Ok((run_id(&run)?, step))).collect()
}

/// What is asked of a run and not answered.
pub(crate) async fn requests(pool: &SqlitePool, run: &RunId) -> Result<Vec<RequestRow>, StoreError> {
    let rows: Vec<(i64, String, String)> =
        sqlx::query_as("SELECT id, by, body FROM requests WHERE run = ? AND answer IS NULL ORDER BY id")
            .bind(run.as_str())
            .fetch_all(pool)
            .await
            .map_err(StoreError::database("read what is asked of a run"))?;
    Ok(rows.into_iter().map(|(id, by, body)| RequestRow { id, by, body }).collect())
}

/// What came of a request.
pub(crate) async fn answer(pool: &SqlitePool, request: i64) -> Result<Option<Option<String>>, StoreError> {
    let answer: Option<Option<String>> = sqlx::query_scalar("SELECT answer FROM requests WHERE id = ?")
        .bind(request)
        .fetch_optional(pool)
        .await
        .map_err(StoreError::database("read the answer to a request"))?;
    Ok(answer.flatten().map(|words| (!words.is_empty()).then_some(words)))
}

/// The sub-runs of a run.
pub(crate) async fn sub_runs(pool: &SqlitePool, run: &RunId) -> Result<Vec<RunId>, StoreError> {
    let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM runs WHERE parent = ? ORDER BY rowid")
        .bind(run.as_str())
        .fetch_all(pool)
        .await
        .map_err(StoreError::database("list sub-runs"))?;
    ids.iter().map(|id| run_id(id)).collect()
}

/// The gates that are open.
pub(crate) async fn gates(pool: &SqlitePool, run: Option<&RunId>) -> Result<Vec<GateRow>, StoreError> {
    let rows = sqlx::query("SELECT * FROM gates WHERE ?1 IS NULL OR run = ?1 ORDER BY opened_ms, run, step")
        .bind(run.map(RunId::as_str))
        .fetch_all(pool)
        .await
        .map_err(StoreError::database("list the open gates"))?;
    rows.iter().map(gate).collect()
}

pub(crate) fn gate(row: &SqliteRow) -> Result<GateRow, StoreError> {
    let damaged = |why: String| StoreError::Damaged { what: "a gate".to_owned(), why };
    let read = |error: sqlx::Error| damaged(error.to_string());
    let number = |name: &str| row.try_get::<i64, _>(name).map(i64::unsigned_abs).map_err(read);
    let small = |name: &str| Ok::<_, StoreError>(u32::try_from(number(name)?).unwrap_or(u32::MAX));
    let text = |name: &str| row.try_get::<String, _>(name).map_err(read);
    Ok(GateRow {
        run: run_id(&text("run")?)?,
        step: text("step")?.parse().map_err(|error: windlass_contract::NameError| damaged(error.to_string()))?,
        attempt: small("attempt")?,
        kind: text("kind")?,
        prompt: row.try_get("prompt").map_err(read)?,
        approvers: serde_json::from_str(&text("approvers")?).map_err(|error| damaged(error.to_string()))?,
        quorum: small("quorum")?,
        opened_ms: number("opened_ms")?,
        expires_ms: number("expires_ms")?,
        due_ms: number("due_ms")?,
        votes: serde_json::from_str(&text("votes")?).map_err(|error| damaged(error.to_string()))?,
        self_approval: row.try_get("self_approval").map_err(read)?,
        otherwise: row.try_get("otherwise").map_err(read)?,
    })
}

pub(crate) fn summary(row: &SqliteRow) -> Result<RunSummary, StoreError> {
    let damaged = |why: String| StoreError::Damaged { what: "a run".to_owned(), why };
    let read = |error: sqlx::Error| damaged(error.to_string());
    let status: String = row.try_get("status").map_err(read)?;
    let outcome: Option<String> = row.try_get("outcome").map_err(read)?;
    Ok(RunSummary {
        id: run_id(row.try_get("id").map_err(read)?)?,
        name: row.try_get("name").map_err(read)?,
        file: row.try_get("file").map_err(read)?,
        status: RunStatus::ALL
            .into_iter()
            .find(|known| known.name() == status)
            .ok_or_else(|| damaged(format!("no status is called {status:?}")))?,
        started_by: row.try_get("started_by").map_err(read)?,
        parent: row.try_get::<Option<String>, _>("parent").map_err(read)?.as_deref().map(run_id).transpose()?,
        outcome: outcome.map(|outcome| outcome.parse().map_err(damaged)).transpose()?,
        created_at_ms: row.try_get::<i64, _>("created_at_ms").map_err(read)?.unsigned_abs(),
        finished_at_ms: row.try_get::<Option<i64>, _>("finished_at_ms").map_err(read)?.map(i64::unsigned_abs),
        trigger: row.try_get("trigger_kind").map_err(read)?,
        title: row.try_get("title").map_err(read)?,
        version: row.try_get("workflow_version").map_err(read)?,
        rerun_of: row.try_get::<Option<String>, _>("rerun_of").map_err(read)?.as_deref().map(run_id).transpose()?,
    })
}

pub(crate) fn run_id(text: &str) -> Result<RunId, StoreError> {
    text.parse().map_err(|error: windlass_contract::NameError| StoreError::Damaged {
        what: "a run's id".to_owned(),
        why: error.to_string(),
    })
}
