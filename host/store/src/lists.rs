//! The lists of a server: runs by what one looks for, how a pipeline's last runs went, the gates that are open, what is due.
//!
//! **Invariants.**
//! - A page costs its own length and not the list's: each goes along an index in the list's order, which is named, so that the planner
//!   cannot choose to sort. What it filters by besides is read from the index (`a_page_goes_along_an_index`).
//! - A page goes on after the last entry that was given, so what is added meanwhile neither repeats nor skips one.

use crate::{
    RunSummary, StoreError,
    row::GateRow,
    runs::{SUMMARY, gate, run_id, summary},
};
use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, Sqlite, SqlitePool};
use windlass_contract::RunId;
use windlass_engine::{Outcome, RunStatus};

/// Which runs a page of the list has.
#[derive(Debug, Clone, Default)]
pub struct RunQuery {
    /// Of this pipeline.
    pub name: Option<String>,
    /// That stand in one of these ways; empty: in any.
    pub statuses: Vec<RunStatus>,
    /// That ended in one of these ways; empty: in any, or not yet.
    pub outcomes: Vec<Outcome>,
    /// That this one began.
    pub started_by: Option<String>,
    /// That were begun so.
    pub trigger: Option<String>,
    /// Created at or after this time.
    pub since_ms: Option<u64>,
    /// Created before this time.
    pub until_ms: Option<u64>,
    /// With sub-runs.
    pub sub_runs: bool,
    /// After this one: when it was created, and its id.
    pub after: Option<(u64, RunId)>,
    /// At most so many.
    pub limit: u32,
}

/// How a run of a pipeline ended, and how long it took, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRun {
    /// The pipeline's name.
    pub name: String,
    /// How.
    pub outcome: Outcome,
    /// How long.
    pub took_ms: u64,
}

/// A run that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedRun {
    /// Its id.
    pub id: RunId,
    /// The run that it is a sub-run of.
    pub parent: Option<RunId>,
    /// Whether something of it waits for people or a time. Something else may be under way all the same.
    pub waits: bool,
}

/// A gate with what lists tell of its run.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenGate {
    /// The gate.
    pub gate: GateRow,
    /// The pipeline's name.
    pub name: String,
    /// Who began the run.
    pub started_by: Option<String>,
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn page_query(query: &RunQuery) -> QueryBuilder<Sqlite> {
    let unfinished = !query.statuses.is_empty() && !query.statuses.contains(&RunStatus::Finished);
    let index = match &query.name {
        _ if unfinished => "runs_unfinished",
        Some(_) => "runs_by_workflow",
        None => "runs_by_creation",
    };
    let mut sql = QueryBuilder::new(format!("SELECT {SUMMARY} FROM runs INDEXED BY {index} WHERE TRUE"));
    if unfinished {
        sql.push(" AND outcome IS NULL");
    }
    if !query.sub_runs {
        sql.push(" AND parent IS NULL");
    }
    if let Some(name) = &query.name {
        sql.push(" AND name = ").push_bind(name.clone());
    }
    if !query.statuses.is_empty() {
        let mut list = sql.push(" AND status IN (").separated(", ");
        for status in &query.statuses {
            list.push_bind(status.name());
        }
        sql.push(")");
    }
    if !query.outcomes.is_empty() {
        let mut list = sql.push(" AND outcome IN (").separated(", ");
        for outcome in &query.outcomes {
            list.push_bind(outcome.name());
        }
        sql.push(")");
    }
    if let Some(by) = &query.started_by {
        sql.push(" AND started_by = ").push_bind(by.clone());
    }
    if let Some(trigger) = &query.trigger {
        sql.push(" AND trigger_kind = ").push_bind(trigger.clone());
    }
    if let Some(since) = query.since_ms {
        sql.push(" AND created_at_ms >= ").push_bind(number(since));
    }
    if let Some(until) = query.until_ms {
        sql.push(" AND created_at_ms < ").push_bind(number(until));
    }
    if let Some((at, id)) = &query.after {
        sql.push(" AND (created_at_ms, id) < (").push_bind(number(*at)).push(", ").push_bind(id.to_string()).push(")");
    }
    sql.push(" ORDER BY created_at_ms DESC, id DESC LIMIT ").push_bind(i64::from(query.limit));
    sql
}

/// A page of runs, the newest first.
pub(crate) async fn page(pool: &SqlitePool, query: &RunQuery) -> Result<Vec<RunSummary>, StoreError> {
    let rows = page_query(query).build().fetch_all(pool).await.map_err(StoreError::database("list the runs"))?;
    rows.iter().map(summary).collect()
}

/// The last `limit` runs of each of these pipelines, the newest first, without sub-runs.
pub(crate) async fn recent(pool: &SqlitePool, names: &[String], limit: u32) -> Result<Vec<RunSummary>, StoreError> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT {SUMMARY} FROM json_each(?1) AS wanted CROSS JOIN runs ON runs.rowid IN (
             SELECT one.rowid FROM runs AS one INDEXED BY runs_by_workflow
             WHERE one.name = wanted.value AND one.parent IS NULL
             ORDER BY one.created_at_ms DESC, one.id DESC LIMIT ?2)
         ORDER BY runs.created_at_ms DESC, runs.id DESC"
    )))
    .bind(json(names))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(StoreError::database("list the last runs of pipelines"))?;
    rows.iter().map(summary).collect()
}

/// How the last `limit` runs of each of these pipelines ended that have, without sub-runs.
pub(crate) async fn ended(pool: &SqlitePool, names: &[String], limit: u32) -> Result<Vec<EndedRun>, StoreError> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT runs.name, runs.outcome, coalesce(runs.finished_at_ms, runs.created_at_ms) - runs.created_at_ms
         FROM json_each(?1) AS wanted CROSS JOIN runs ON runs.rowid IN (
             SELECT one.rowid FROM runs AS one INDEXED BY runs_by_workflow
             WHERE one.name = wanted.value AND one.parent IS NULL AND one.outcome IS NOT NULL
             ORDER BY one.created_at_ms DESC, one.id DESC LIMIT ?2)",
    )
    .bind(json(names))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(StoreError::database("read how the last runs of pipelines ended"))?;
    let damaged = |why: String| StoreError::Damaged { what: "a run".to_owned(), why };
    let row = |(name, outcome, took): (String, String, i64)| {
        // A clock may have been set back meanwhile.
        Ok(EndedRun { name, outcome: outcome.parse().map_err(damaged)?, took_ms: u64::try_from(took).unwrap_or(0) })
    };
    rows.into_iter().map(row).collect()
}

fn json(names: &[String]) -> String {
    serde_json::Value::from(names).to_string()
}

/// The runs that repeat this one, in the order of their creation.
pub(crate) async fn reruns(pool: &SqlitePool, run: &RunId) -> Result<Vec<RunId>, StoreError> {
    let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM runs WHERE rerun_of = ? ORDER BY rowid")
        .bind(run.as_str())
        .fetch_all(pool)
        .await
        .map_err(StoreError::database("list the runs that repeat one"))?;
    ids.iter().map(|id| run_id(id)).collect()
}

/// The runs that are not over, the oldest first.
pub(crate) async fn unfinished(pool: &SqlitePool) -> Result<Vec<UnfinishedRun>, StoreError> {
    let rows: Vec<(String, Option<String>, bool)> = sqlx::query_as(
        "SELECT id, parent, status IN ('blocked', 'waiting') FROM runs INDEXED BY runs_unfinished WHERE outcome IS NULL
         ORDER BY created_at_ms, id",
    )
    .fetch_all(pool)
    .await
    .map_err(StoreError::database("list the runs that are not over"))?;
    let one = |(id, parent, waits): &(String, Option<String>, bool)| {
        Ok(UnfinishedRun { id: run_id(id)?, parent: parent.as_deref().map(run_id).transpose()?, waits: *waits })
    };
    rows.iter().map(one).collect()
}

/// The runs of the same group whose turn is before this one's, in the order of their turns.
pub(crate) async fn behind(pool: &SqlitePool, run: &RunId) -> Result<Vec<RunId>, StoreError> {
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT other.id FROM runs own JOIN runs other
             ON other.turn_group = own.turn_group AND other.id <> own.id AND other.outcome IS NULL
         WHERE own.id = ? AND (other.turn_taken OR other.rowid < own.rowid) ORDER BY other.rowid",
    )
    .bind(run.as_str())
    .fetch_all(pool)
    .await
    .map_err(StoreError::database("read who is before a run"))?;
    ids.iter().map(|id| run_id(id)).collect()
}

/// The gates that are open, of one run or of all, those that have been so for the longest time first; at most `limit`.
pub(crate) async fn open_gates(
    pool: &SqlitePool,
    run: Option<&RunId>,
    limit: u32,
) -> Result<Vec<OpenGate>, StoreError> {
    let rows = sqlx::query(
        "SELECT gates.*, runs.name, runs.started_by FROM gates JOIN runs ON runs.id = gates.run
         WHERE ?1 IS NULL OR gates.run = ?1 ORDER BY gates.opened_ms, gates.run, gates.step LIMIT ?2",
    )
    .bind(run.map(RunId::as_str))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(StoreError::database("list the open gates"))?;
    let read = |error: sqlx::Error| StoreError::Damaged { what: "a gate".to_owned(), why: error.to_string() };
    let one = |row: &sqlx::sqlite::SqliteRow| {
        Ok(OpenGate {
            gate: gate(row)?,
            name: row.try_get("name").map_err(read)?,
            started_by: row.try_get("started_by").map_err(read)?,
        })
    };
    rows.iter().map(one).collect()
}

/// How many gates are open.
pub(crate) async fn count_gates(pool: &SqlitePool) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM gates")
        .fetch_one(pool)
        .await
        .map_err(StoreError::database("count the open gates"))?;
    Ok(count.unsigned_abs())
}

/// The runs with a gate whose time has come after `since_ms` and up to `now_ms`, and when the next one's comes.
pub(crate) async fn due_gates(
    pool: &SqlitePool,
    since_ms: Option<u64>,
    now_ms: u64,
) -> Result<(Vec<RunId>, Option<u64>), StoreError> {
    let due: Vec<String> = sqlx::query_scalar("SELECT DISTINCT run FROM gates WHERE due_ms > ? AND due_ms <= ?")
        .bind(since_ms.map_or(-1, number))
        .bind(number(now_ms))
        .fetch_all(pool)
        .await
        .map_err(StoreError::database("look for gates that are due"))?;
    let next: Option<i64> = sqlx::query_scalar("SELECT min(due_ms) FROM gates WHERE due_ms > ?")
        .bind(number(now_ms))
        .fetch_one(pool)
        .await
        .map_err(StoreError::database("look for the next gate that is due"))?;
    Ok((due.iter().map(|id| run_id(id)).collect::<Result<_, _>>()?, next.map(i64::unsigned_abs)))
}

/// Events of a run as they are stored, after the number `after`, at most `limit`.
pub(crate) async fn stored_events(
    pool: &SqlitePool,
    run: &RunId,
    after: u64,
    limit: u32,
) -> Result<Vec<(u64, String)>, StoreError> {
    let rows: Vec<(i64, String)> =
        sqlx::query_as("SELECT seq, body FROM events WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?")
            .bind(run.as_str())
            .bind(number(after))
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await
            .map_err(StoreError::database("read a run's events"))?;
    Ok(rows.into_iter().map(|(seq, body)| (seq.unsigned_abs(), body)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use sqlx::Execute as _;

    /// Every way to filter, with the index that the page goes along; none may sort.
    #[tokio::test]
    async fn a_page_goes_along_an_index() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).await.expect("a store");
        let id: RunId = "r1".parse().expect("an id");
        let all = RunQuery { limit: 50, ..RunQuery::default() };
        let of = || RunQuery { name: Some("ci".to_owned()), ..all.clone() };
        let table = [
            (all.clone(), "runs_by_creation"),
            (RunQuery { sub_runs: true, ..all.clone() }, "runs_by_creation"),
            (RunQuery { after: Some((5, id.clone())), ..all.clone() }, "runs_by_creation ((created_at_ms,id)<(?,?))"),
            (RunQuery { outcomes: vec![Outcome::Failed, Outcome::Error], ..all.clone() }, "runs_by_creation"),
            (RunQuery { started_by: Some("ada".to_owned()), ..all.clone() }, "runs_by_creation"),
            (RunQuery { trigger: Some("webhook".to_owned()), ..all.clone() }, "runs_by_creation"),
            (RunQuery { since_ms: Some(1), until_ms: Some(9), ..all.clone() }, "runs_by_creation (created_at_ms>?"),
            (RunQuery { statuses: vec![RunStatus::Finished], ..all.clone() }, "runs_by_creation"),
            (RunQuery { statuses: vec![RunStatus::Running, RunStatus::Waiting], ..all.clone() }, "runs_unfinished"),
            (RunQuery { statuses: vec![RunStatus::Queued], ..of() }, "runs_unfinished"),
            (of(), "runs_by_workflow (name=?)"),
            (RunQuery { outcomes: vec![Outcome::Failed], ..of() }, "runs_by_workflow (name=?)"),
            (RunQuery { after: Some((5, id)), ..of() }, "runs_by_workflow (name=? AND (created_at_ms,id)<(?,?))"),
        ];
        for (query, index) in table {
            let sql = page_query(&query).build().sql().as_str().to_owned();
            let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
                .fetch_all(store.reads())
                .await
                .expect("a plan");
            let words: Vec<&str> = plan.iter().map(|(.., words)| words.as_str()).collect();
            assert!(words.iter().any(|words| words.contains(index)), "{query:?}: {words:?}");
            assert!(!words.iter().any(|words| words.contains("TEMP B-TREE")), "{query:?}: {words:?}");
        }
    }
}
