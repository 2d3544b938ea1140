//! The one task that writes.

use crate::{
    StoreError,
    failpoints::{AFTER_COMMIT, BEFORE_COMMIT, crash_point},
    state::Change,
};
use sqlx::{Connection, Sqlite, SqliteConnection, Transaction};
use std::{fs::File, os::unix::fs::FileExt};
use tokio::sync::{mpsc, oneshot};
use windlass_contract::{RunId, capability::StateError};
use windlass_engine::{Event, EventKind, Outcome};

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
    effect: Effect,
}

struct Created {
    name: String,
    file: Option<String>,
    at_ms: u64,
}

/// What events change in the run's row.
#[derive(Default)]
struct Effect {
    undecided: i64,
    cancelling: bool,
    finished: Option<(Outcome, u64)>,
}

impl Append {
    /// Encodes the events, in the caller's task.
    pub(crate) fn new(run: &RunId, first_seq: u64, events: &[Event]) -> Result<Self, StoreError> {
        let mut append = Append {
            run: run.clone(),
            first_seq,
            bodies: Vec::with_capacity(events.len()),
            created: None,
            effect: Effect::default(),
        };
        for (event, seq) in events.iter().zip(first_seq..) {
            append.bodies.push(event.encode().map_err(|source| StoreError::BadEvent {
                run: run.clone(),
                seq,
                source,
            })?);
            match &event.kind {
                EventKind::RunCreated { plan, file, .. } => {
                    append.created =
                        Some(Created { name: plan.name.to_string(), file: file.clone(), at_ms: event.at_ms });
                }
                EventKind::StepUndecided { .. } => append.effect.undecided += 1,
                EventKind::StepDecided { .. } => append.effect.undecided -= 1,
                EventKind::CancelRequested { .. } => append.effect.cancelling = true,
                EventKind::RunFinished { outcome } => append.effect.finished = Some((*outcome, event.at_ms)),
                EventKind::StepStarted { .. }
                | EventKind::ContainerCreated { .. }
                | EventKind::StepFinished { .. }
                | EventKind::RetryDue { .. } => {}
            }
        }
        Ok(append)
    }
}

/// Something to write, and who wants to know.
pub(crate) enum Request {
    Append(Append, oneshot::Sender<Result<u64, StoreError>>),
    State(String, Change, oneshot::Sender<Result<(), StateError>>),
    /// Write what came before, then end.
    Close(oneshot::Sender<()>),
}

/// What a request came to, to be told once it is durable.
enum Done {
    Append(Result<u64, StoreError>),
    State(Result<(), StateError>),
}

/// Writes what comes until nobody can send any more. `commits` is touched after each commit, for other processes that
/// watch it; `owner` is kept until the last write is over.
pub(crate) async fn write_all(
    mut connection: SqliteConnection,
    mut inbox: mpsc::Receiver<Request>,
    commits: File,
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
            write_batch(&mut connection, wanted, &commits).await;
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
async fn write_batch(connection: &mut SqliteConnection, batch: Vec<Request>, commits: &File) {
    match try_batch(connection, &batch).await {
        Ok(done) => {
            crash_point(AFTER_COMMIT);
            // After the commit, so that whoever is woken by it sees what was committed. Its content means nothing.
            if let Err(error) = commits.write_at(b".", 0) {
                tracing::warn!(%error, "other processes could not be told of a commit");
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

async fn try_batch(connection: &mut SqliteConnection, batch: &[Request]) -> Result<Vec<Done>, sqlx::Error> {
    // IMMEDIATE: a read that turns into a write later could fail halfway, when another process was faster.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut done = Vec::with_capacity(batch.len());
    for request in batch {
        match request {
            Request::Append(append, _) => done.push(Done::Append(append_events(&mut transaction, append).await?)),
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
        (Request::State(_, _, reply), Ok(Done::State(result))) => drop(reply.send(result)),
        (Request::Append(_, reply), Err(error)) => drop(reply.send(Err(StoreError::of_database("write", error)))),
        (Request::State(_, _, reply), Err(error)) => drop(reply.send(Err(StateError::Unavailable(error.to_string())))),
        // Dropping its end of the channel tells the sender that there is no answer.
        (Request::Append(..) | Request::State(..) | Request::Close(_), Ok(_)) | (Request::Close(_), Err(_)) => {}
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
    let (outcome, finished) = match append.effect.finished {
        Some((outcome, at_ms)) => (Some(outcome.name()), Some(number(at_ms))),
        None => (None, None),
    };
    let row = match &append.created {
        Some(created) => sqlx::query(
            "INSERT INTO runs (id, name, file, created_at_ms, next_seq, undecided, cancelling, outcome, finished_at_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        )
        .bind(append.run.as_str())
        .bind(&created.name)
        .bind(&created.file)
        .bind(number(created.at_ms))
        .bind(next)
        .bind(append.effect.undecided)
        .bind(append.effect.cancelling)
        .bind(outcome)
        .bind(finished),
        // A cancel settles what waits for a person. The row is left alone where another append was first.
        None => sqlx::query(
            "UPDATE runs SET next_seq = ?3,
                 undecided = CASE WHEN ?5 THEN 0 ELSE undecided + ?4 END,
                 cancelling = cancelling OR ?5,
                 outcome = coalesce(?6, outcome),
                 finished_at_ms = coalesce(?7, finished_at_ms)
             WHERE id = ?1 AND next_seq = ?2",
        )
        .bind(append.run.as_str())
        .bind(first)
        .bind(next)
        .bind(append.effect.undecided)
        .bind(append.effect.cancelling)
        .bind(outcome)
        .bind(finished),
    };
    if row.execute(&mut **transaction).await?.rows_affected() == 0 {
        return Ok(Err(refusal(transaction, append).await?));
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
