//! The one task that writes.

use crate::{
    StoreError,
    failpoints::{AFTER_COMMIT, BEFORE_COMMIT, crash_point},
    row::{Labels, Standing},
    state::Change,
};
use sqlx::{Connection, Sqlite, SqliteConnection, Transaction};
use std::{fs::File, os::unix::fs::FileExt};
use tokio::sync::{mpsc, oneshot};
use windlass_contract::{RunId, capability::StateError};
use windlass_engine::{Event, EventKind, Origin, Outcome};

/// How many requests one transaction takes at most: enough to share a commit among all that could come during one, and few
/// enough that the first does not wait for long behind the last.
const MAX_BATCH: usize = 256;

/// How many requests may wait before a sender has to: a bound on memory, far over what a commit lets accumulate.
pub(crate) const QUEUE: usize = 1024;

/// The number of a run's first event.
pub const FIRST_SEQ: u64 = 1;

/// Events of one run, encoded, and what they mean for its row.
pub(crate) struct Append {
    run: RunId,
    first_seq: u64,
    bodies: Vec<String>,
    created: Option<Created>,
    finished: Option<(Outcome, u64)>,
    standing: Standing,
}

struct Created {
    name: String,
    file: Option<String>,
    at_ms: u64,
    origin: Origin,
}

impl Append {
    /// Encodes the events, in the caller's task.
    pub(crate) fn new(run: &RunId, first_seq: u64, events: &[Event], standing: Standing) -> Result<Self, StoreError> {
        let mut append = Append {
            run: run.clone(),
            first_seq,
            bodies: Vec::with_capacity(events.len()),
            created: None,
            finished: None,
            standing,
        };
        for (event, seq) in events.iter().zip(first_seq..) {
            append.bodies.push(event.encode().map_err(|source| StoreError::BadEvent {
                run: run.clone(),
                seq,
                source,
            })?);
            match &event.kind {
                EventKind::RunCreated { plan, file, origin, .. } => {
                    let (name, file, at_ms) = (plan.name.clone(), file.clone(), event.at_ms);
                    append.created = Some(Created { name, file, at_ms, origin: origin.clone() });
                }
                EventKind::RunFinished { outcome } => append.finished = Some((*outcome, event.at_ms)),
                _ => {}
            }
        }
        Ok(append)
    }
}

/// Something to write, and who wants to know.
pub(crate) enum Request {
    Append(Box<Append>, oneshot::Sender<Result<u64, StoreError>>),
    /// Something that is asked of a run.
    Ask(Asked, oneshot::Sender<Result<i64, StoreError>>),
    State(String, Change, oneshot::Sender<Result<(), StateError>>),
    /// Write what came before, then end.
    Close(oneshot::Sender<()>),
}

/// What is asked of a run, and by whom.
pub(crate) struct Asked {
    pub(crate) run: RunId,
    pub(crate) at_ms: u64,
    pub(crate) by: String,
    pub(crate) body: String,
}

/// The files that are touched after commits, for other processes that watch them.
pub(crate) struct Bells {
    /// After each commit.
    pub(crate) commits: File,
    /// After a commit that asks something of a run.
    pub(crate) requests: File,
    /// After a commit that ends a run.
    pub(crate) ends: File,
}

/// What a request came to, to be told once it is durable.
enum Done {
    Append(Result<u64, StoreError>),
    Ask(Result<i64, StoreError>),
    State(Result<(), StateError>),
}

impl Done {
    fn has_changed(&self) -> bool {
        match self {
            Done::Append(done) => done.is_ok(),
            Done::Ask(done) => done.is_ok(),
            Done::State(done) => done.is_ok(),
        }
    }
}

/// Writes what comes until nobody can send any more. `owner` is kept until the last write is over.
pub(crate) async fn write_all(
    mut connection: SqliteConnection,
    mut inbox: mpsc::Receiver<Request>,
    bells: Bells,
    owner: File,
) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    let mut closing = Vec::new();
    while closing.is_empty() && inbox.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let mut wanted = Vec::with_capacity(batch.len());
        for request in batch.drain(..) {
            match request {
                Request::Close(done) => closing.push(done),
                // After a close nothing is taken; dropping the request tells its sender.
                _ if !closing.is_empty() => {}
                request => wanted.push(request),
            }
        }
        if !wanted.is_empty() {
            write_batch(&mut connection, wanted, &bells).await;
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the database did not close cleanly; nothing is lost");
    }
    drop(owner);
    for done in closing {
        let _ = done.send(());
    }
}

/// One transaction. A request that is refused changes nothing and leaves the others alone; where the database fails, all fail.
async fn write_batch(connection: &mut SqliteConnection, batch: Vec<Request>, bells: &Bells) {
    match try_batch(connection, &batch).await {
        Ok(done) => {
            crash_point(AFTER_COMMIT);
            // After the commit, so that whoever is woken by it sees what was committed. Its content means nothing. What was
            // refused rings nothing: who waits for a turn would wake itself by asking.
            if done.iter().any(Done::has_changed) {
                ring(&bells.commits);
            }
            if batch.iter().any(|request| matches!(request, Request::Ask(..))) {
                ring(&bells.requests);
            }
            let ends = |request: &Request| matches!(request, Request::Append(append, _) if append.finished.is_some());
            if batch.iter().any(ends) {
                ring(&bells.ends);
            }
            for (request, done) in batch.into_iter().zip(done) {
                tell(request, Ok(done));
            }
        }
        Err(error) => {
            tracing::error!(%error, "a transaction failed");
            for request in batch {
                tell(request, Err(&error));
            }
        }
    }
}

fn ring(bell: &File) {
    if let Err(error) = bell.write_at(b".", 0) {
        tracing::warn!(%error, "other processes could not be told of a commit");
    }
}

async fn try_batch(connection: &mut SqliteConnection, batch: &[Request]) -> Result<Vec<Done>, sqlx::Error> {
    // IMMEDIATE: a read that turns into a write later could fail halfway, when another process was faster.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut done = Vec::with_capacity(batch.len());
    for request in batch {
        match request {
            Request::Append(append, _) => done.push(Done::Append(append_events(&mut transaction, append).await?)),
            Request::Ask(asked, _) => done.push(Done::Ask(ask(&mut transaction, asked).await?)),
            Request::State(plugin, change, _) => {
                done.push(Done::State(crate::state::apply(&mut transaction, plugin, change).await?));
            }
            Request::Close(_) => {}
        }
    }
    crash_point(BEFORE_COMMIT);
    transaction.commit().await?;
    Ok(done)
}

/// Answers a request. Who asked may be gone: what was written does not depend on it.
fn tell(request: Request, done: Result<Done, &sqlx::Error>) {
    match (request, done) {
        (Request::Append(_, reply), Ok(Done::Append(result))) => drop(reply.send(result)),
        (Request::Ask(_, reply), Ok(Done::Ask(result))) => drop(reply.send(result)),
        (Request::Ask(_, reply), Err(error)) => drop(reply.send(Err(StoreError::of_database("write", error)))),
        (Request::State(_, _, reply), Ok(Done::State(result))) => drop(reply.send(result)),
        (Request::Append(_, reply), Err(error)) => drop(reply.send(Err(StoreError::of_database("write", error)))),
        (Request::State(_, _, reply), Err(error)) => drop(reply.send(Err(StateError::Unavailable(error.to_string())))),
        // Dropping its end of the channel tells the sender that there is no answer.
        (Request::Append(..) | Request::Ask(..) | Request::State(..) | Request::Close(_), Ok(_))
        | (Request::Close(_), Err(_)) => {}
    }
}

/// Writes events and the run's row; gives the next number. The outer error is the database's and ends the transaction;
/// the inner one is a refusal that has changed nothing.
async fn append_events(
    transaction: &mut Transaction<'_, Sqlite>,
    append: &Append,
) -> Result<Result<u64, StoreError>, sqlx::Error> {
    let count = append.bodies.len() as u64;
    let (first, next) = (number(append.first_seq), number(append.first_seq.saturating_add(count)));
    let (outcome, finished) = match append.finished {
        Some((outcome, at_ms)) => (Some(outcome.name()), Some(number(at_ms))),
        None => (None, None),
    };
    let standing = &append.standing;
    let labels: &Labels = &standing.labels;
    if standing.turn
        && let Some(busy) = turn_is_taken(transaction, &append.run).await?
    {
        return Ok(Err(busy));
    }
    let row = match &append.created {
        Some(Created { name, file, at_ms, origin }) => sqlx::query(
            "INSERT INTO runs (id, name, file, created_at_ms, next_seq, status, outcome, finished_at_ms, parent, started_by,
                 turn_group, turn_limit, trigger_kind, title, workflow_version, rerun_of)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        )
        .bind(append.run.as_str())
        .bind(name)
        .bind(file)
        .bind(number(*at_ms))
        .bind(next)
        .bind(standing.status.0.name())
        .bind(outcome)
        .bind(finished)
        .bind(origin.parent.as_ref().map(|parent| parent.run.as_str()))
        .bind(&origin.by)
        .bind(origin.group.as_ref().map(|group| group.name.as_str()))
        .bind(origin.group.as_ref().map(|group| i64::from(group.limit)))
        .bind(&labels.trigger)
        .bind(&labels.title)
        .bind(labels.version)
        .bind(labels.rerun_of.as_ref().map(RunId::as_str)),
        // The row is left alone where another append was first. Its outcome is written once: it stands in indexes, which a step in the
        // middle of a run has no business with.
        None if append.finished.is_some() => sqlx::query(
            "UPDATE runs SET next_seq = ?3, status = ?4, turn_taken = turn_taken OR ?5, outcome = ?6, finished_at_ms = ?7
             WHERE id = ?1 AND next_seq = ?2",
        )
        .bind(append.run.as_str())
        .bind(first)
        .bind(next)
        .bind(standing.status.0.name())
        .bind(standing.turn)
        .bind(outcome)
        .bind(finished),
        None => sqlx::query(
            "UPDATE runs SET next_seq = ?3, status = ?4, turn_taken = turn_taken OR ?5 WHERE id = ?1 AND next_seq = ?2",
        )
        .bind(append.run.as_str())
        .bind(first)
        .bind(next)
        .bind(standing.status.0.name())
        .bind(standing.turn),
    };
    if row.execute(&mut **transaction).await?.rows_affected() == 0 {
        return Ok(Err(refusal(transaction, append).await?));
    }
    if let Some(gates) = &standing.gates {
        write_gates(transaction, &append.run, gates).await?;
    }
    for (id, answer) in &standing.answers {
        sqlx::query("UPDATE requests SET answer = ? WHERE id = ? AND run = ?")
            .bind(answer.as_deref().unwrap_or_default())
            .bind(id)
            .bind(append.run.as_str())
            .execute(&mut **transaction)
            .await?;
    }
    for (body, seq) in append.bodies.iter().zip(append.first_seq..) {
        sqlx::query("INSERT INTO events (run, seq, body) VALUES (?, ?, ?)")
            .bind(append.run.as_str())
            .bind(number(seq))
            .bind(body)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(Ok(append.first_seq.saturating_add(count)))
}

/// The gates of a run that are open now, in place of those that were.
async fn write_gates(
    transaction: &mut Transaction<'_, Sqlite>,
    run: &RunId,
    gates: &[crate::row::GateRow],
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM gates WHERE run = ?").bind(run.as_str()).execute(&mut **transaction).await?;
    for gate in gates {
        let approvers = serde_json::Value::from(gate.approvers.clone());
        sqlx::query(
            "INSERT INTO gates (run, step, attempt, kind, prompt, approvers, quorum, opened_ms, expires_ms, due_ms, votes,
                 self_approval, otherwise)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(run.as_str())
        .bind(gate.step.as_str())
        .bind(i64::from(gate.attempt))
        .bind(&gate.kind)
        .bind(&gate.prompt)
        .bind(approvers.to_string())
        .bind(i64::from(gate.quorum))
        .bind(number(gate.opened_ms))
        .bind(number(gate.expires_ms))
        .bind(number(gate.due_ms))
        .bind(gate.votes.to_string())
        .bind(gate.self_approval)
        .bind(&gate.otherwise)
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

/// Why a run's turn in its group has not come: as many others as may go on are before it or have had their turn. `None` where it
/// has, or where the run is in no group.
async fn turn_is_taken(
    transaction: &mut Transaction<'_, Sqlite>,
    run: &RunId,
) -> Result<Option<StoreError>, sqlx::Error> {
    // Runs are created in the order of their rows: the clock plays no part.
    let others: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT other.id, other.turn_group, own.turn_limit FROM runs own JOIN runs other
             ON other.turn_group = own.turn_group AND other.id <> own.id AND other.outcome IS NULL
         WHERE own.id = ? AND (other.turn_taken OR other.rowid < own.rowid) ORDER BY other.rowid",
    )
    .bind(run.as_str())
    .fetch_all(&mut **transaction)
    .await?;
    let Some((_, group, limit)) = others.first() else { return Ok(None) };
    if i64::try_from(others.len()).unwrap_or(i64::MAX) < *limit {
        return Ok(None);
    }
    let group = group.clone();
    let behind = others.iter().map(|(id, ..)| id.clone()).collect();
    Ok(Some(StoreError::NotItsTurn { run: run.clone(), group, behind }))
}

/// Keeps what is asked of a run; gives its number.
async fn ask(transaction: &mut Transaction<'_, Sqlite>, asked: &Asked) -> Result<Result<i64, StoreError>, sqlx::Error> {
    let id: Option<i64> = sqlx::query_scalar(
        "INSERT INTO requests (run, at_ms, by, body) SELECT id, ?2, ?3, ?4 FROM runs WHERE id = ?1 RETURNING id",
    )
    .bind(asked.run.as_str())
    .bind(number(asked.at_ms))
    .bind(&asked.by)
    .bind(&asked.body)
    .fetch_optional(&mut **transaction)
    .await?;
    Ok(id.ok_or_else(|| StoreError::UnknownRun { run: asked.run.clone() }))
}

/// Why the run's row was not as the append expected.
async fn refusal(transaction: &mut Transaction<'_, Sqlite>, append: &Append) -> Result<StoreError, sqlx::Error> {
    let run = append.run.clone();
    if append.created.is_some() {
        return Ok(StoreError::RunExists { run });
    }
    let found: Option<i64> = sqlx::query_scalar("SELECT next_seq FROM runs WHERE id = ?")
        .bind(append.run.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(match found {
        Some(found) => StoreError::Conflict { run, expected: append.first_seq, found: found.unsigned_abs() },
        None => StoreError::UnknownRun { run },
    })
}

/// SQLite's integers have a sign; ours reach its limit in the year 292,278,994.
fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
