//! Opening the database, and what can be asked of it.

use crate::{
    RunFilter, RunLock, RunStands, RunSummary, StoreError, Watch, lists,
    lists::{EndedRun, OpenGate, RunQuery, UnfinishedRun},
    lock::{self, FILE_MODE, Held},
    row::{GateRow, RequestRow, Standing},
    runs,
    state::PluginState,
    writer::{Append, Asked, Bells, FIRST_SEQ, QUEUE, Request, write_all},
};
use sqlx::{
    ConnectOptions, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use windlass_contract::{PluginName, RunId, capability::State};
use windlass_engine::{Event, EventKind};

/// How long a statement waits for another process's transaction. One takes milliseconds; seconds mean that
/// something is wrong, which is better said than waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many reads go on at once. Reads are short and from memory; more would only take turns on the processors.
const READERS: u32 = 4;

/// Held while the database is made or brought up to date, which two processes must not do at once.
const SETUP_LOCK: &str = "setup.lock";
const DATABASE: &str = "windlass.db";
/// Held by everyone who writes: shared by several at work on single runs, or alone.
const OWNER_LOCK: &str = "owner.lock";
/// Touched after each commit: what other processes watch. The database's own files change before a commit is visible.
const COMMITS: &str = "commits";
/// Touched after each commit that asks something of a run: what whoever carries runs out watches.
const REQUESTS: &str = "requests";
/// Touched after each commit that ends a run: what runs that wait for others watch.
const ENDS: &str = "ends";
/// Held for a moment: alone by who takes a run's lock, shared by who looks whether one is taken. Looking takes the run's lock
/// for that moment, and nobody may be refused it because of that.
const CLAIMS_LOCK: &str = "claims.lock";
/// In a run's folder: held by who carries the run out.
const RUN_LOCK: &str = "run.lock";

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The database of one data folder. Clones share it.
#[derive(Clone)]
pub struct Store {
    dir: PathBuf,
    reads: SqlitePool,
    /// `None` where it was opened for reading.
    writes: Option<mpsc::Sender<Request>>,
}

impl Store {
    /// Opens or makes the data folder, for this process alone: what a server does.
    ///
    /// # Errors
    /// [`StoreError::Owned`] when another process has it; and where it cannot be read or made.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_owned(dir, false).await
    }

    /// Opens or makes the data folder beside others who do the same: what `windlass run` does. Whoever carries a run out takes
    /// [`Store::lock_run`].
    ///
    /// # Errors
    /// [`StoreError::Owned`] when another process has it for itself; and where it cannot be read or made.
    pub async fn open_shared(dir: &Path) -> Result<Self, StoreError> {
        Self::open_owned(dir, true).await
    }

    /// Opens the data folder for reading, whoever owns it.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none yet; and where it cannot be read.
    pub async fn open_read(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(DATABASE);
        if !path.try_exists().map_err(StoreError::io("look for the database", &path))? {
            return Err(StoreError::Missing { dir: dir.to_owned() });
        }
        let reads = reader_pool(&path);
        let applied: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
            .fetch_one(&reads)
            .await
            .map_err(StoreError::database("read its version"))?;
        let known = MIGRATIONS.iter().map(|migration| migration.version).max();
        if applied != known {
            let why = format!("it has the schema {applied:?}, this version has {known:?}");
            return Err(StoreError::OtherSchema { dir: dir.to_owned(), newer: applied > known, why });
        }
        Ok(Store { dir: dir.to_owned(), reads, writes: None })
    }

    async fn open_owned(dir: &Path, shared: bool) -> Result<Self, StoreError> {
        lock::make_dir(dir)?;
        let owner = match lock::take(&dir.join(OWNER_LOCK), shared)? {
            Held::Mine(file) => file,
            Held::By(by) => return Err(StoreError::Owned { dir: dir.to_owned(), by }),
        };
        let path = dir.join(DATABASE);
        let open = |path: &Path| OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(path);
        let setup = dir.join(SETUP_LOCK);
        let setup =
            tokio::task::spawn_blocking(move || lock::wait(&setup, false)).await.map_err(|_| StoreError::Closed)??;
        // Made here and not by SQLite, which would let everybody read it.
        open(&path).map_err(StoreError::io("make the database", &path))?;
        let bell = |name: &str| {
            let path = dir.join(name);
            open(&path).map_err(StoreError::io("make", &path))
        };
        let bells = Bells { commits: bell(COMMITS)?, requests: bell(REQUESTS)?, ends: bell(ENDS)? };

        let mut connection: SqliteConnection = options(&path)
            .journal_mode(SqliteJournalMode::Wal)
            // A commit that was acknowledged survives the loss of power, and not only of the process.
            .synchronous(SqliteSynchronous::Full)
            .connect()
            .await
            .map_err(StoreError::database("open"))?;
        // Not `run`, whose `Acquire` bound makes the future of this function impossible to spawn.
        MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
                StoreError::OtherSchema { dir: dir.to_owned(), newer: true, why: error.to_string() }
            }
            MigrateError::VersionMismatch(_) | MigrateError::Dirty(_) => {
                StoreError::OtherSchema { dir: dir.to_owned(), newer: false, why: error.to_string() }
            }
            error => StoreError::Database { what: "bring its tables up to date", why: error.to_string(), busy: false },
        })?;

        drop(setup);

        let (writes, inbox) = mpsc::channel(QUEUE);
        tokio::spawn(write_all(connection, inbox, bells, owner));
        Ok(Store { dir: dir.to_owned(), reads: reader_pool(&path), writes: Some(writes) })
    }

    /// Writes what was asked for so far, and lets go of the data folder. Later writes are refused with [`StoreError::Closed`].
    pub async fn close(&self) {
        self.reads.close().await;
        if let Some(writes) = &self.writes {
            let (done, closed) = oneshot::channel();
            // Where the writer is gone already, there is nothing to wait for.
            if writes.send(Request::Close(done)).await.is_ok() {
                let _ = closed.await;
            }
        }
    }

    /// Takes the right to carry a run out.
    ///
    /// # Errors
    /// [`StoreError::RunOwned`] when another process has it.
    pub fn lock_run(&self, run: &RunId) -> Result<RunLock, StoreError> {
        let dir = crate::logs::run_dir(&self.dir, run);
        lock::make_dir(&dir)?;
        let _nobody_looks = lock::wait(&self.dir.join(CLAIMS_LOCK), false)?;
        match lock::take(&dir.join(RUN_LOCK), false)? {
            Held::Mine(file) => Ok(RunLock::new(file)),
            Held::By(by) => Err(StoreError::RunOwned { run: run.clone(), by }),
        }
    }

    /// Whether somebody carries a run out at this moment. Changes nothing, and keeps nobody from taking the run up.
    ///
    /// # Errors
    /// When that cannot be looked at.
    pub fn is_locked(&self, run: &RunId) -> Result<bool, StoreError> {
        let _nobody_takes = lock::wait(&self.dir.join(CLAIMS_LOCK), true)?;
        lock::is_taken(&crate::logs::run_dir(&self.dir, run).join(RUN_LOCK))
    }

    /// Makes a run of its first events, the first of which is `RunCreated`; gives the number of the next one.
    ///
    /// # Errors
    /// [`StoreError::RunExists`] where there is one of this id.
    pub async fn create_run(&self, events: &[Event], standing: Standing) -> Result<u64, StoreError> {
        let Some((Event { kind: EventKind::RunCreated { run, .. }, .. }, rest)) = events.split_first() else {
            return Err(StoreError::NotABeginning);
        };
        if rest.iter().any(|event| matches!(event.kind, EventKind::RunCreated { .. })) {
            return Err(StoreError::NotABeginning);
        }
        self.write(Append::new(run, FIRST_SEQ, events, standing)?).await
    }

    /// Appends to a run whose next event has the number `next`; gives the number of the one after. All of them are durable when
    /// it returns, or none, and `standing` with them. Once it is called, dropping the future does not take the write back.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when `next` is not the next number, [`StoreError::NotItsTurn`] when they wait for the run's turn
    /// in its group and that has not come: nothing is written.
    pub async fn append(
        &self,
        run: &RunId,
        next: u64,
        events: &[Event],
        standing: Standing,
    ) -> Result<u64, StoreError> {
        if events.iter().any(|event| matches!(event.kind, EventKind::RunCreated { .. })) {
            return Err(StoreError::NotABeginning);
        }
        self.write(Append::new(run, next, events, standing)?).await
    }

    async fn write(&self, append: Append) -> Result<u64, StoreError> {
        let writes = self.writes.as_ref().ok_or(StoreError::ReadOnly)?;
        let (reply, answer) = oneshot::channel();
        writes.send(Request::Append(Box::new(append), reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Asks something of a run, for whoever carries it out; gives the request's number. It is durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`] where there is none.
    pub async fn ask(&self, run: &RunId, at_ms: u64, by: &str, body: String) -> Result<i64, StoreError> {
        let writes = self.writes.as_ref().ok_or(StoreError::ReadOnly)?;
        let (reply, answer) = oneshot::channel();
        let asked = Asked { run: run.clone(), at_ms, by: by.to_owned(), body };
        writes.send(Request::Ask(asked, reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// What is asked of a run and not answered, in the order in which it was asked.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn requests(&self, run: &RunId) -> Result<Vec<RequestRow>, StoreError> {
        runs::requests(&self.reads, run).await
    }

    /// What came of a request: `None` while nobody has answered, `Some(None)` when it was done, else why it was refused.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn answer(&self, request: i64) -> Result<Option<Option<String>>, StoreError> {
        runs::answer(&self.reads, request).await
    }

    /// The gates that are open, of one run or of all, those that have been so for the longest time first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn gates(&self, run: Option<&RunId>) -> Result<Vec<GateRow>, StoreError> {
        runs::gates(&self.reads, run).await
    }

    /// The sub-runs of a run, in the order of their creation.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn sub_runs(&self, run: &RunId) -> Result<Vec<RunId>, StoreError> {
        runs::sub_runs(&self.reads, run).await
    }

    /// Every event of a run, in order. The next one's number is their count plus 1.
    ///
    /// # Errors
    /// [`StoreError::BadEvent`] and [`StoreError::MissingEvent`] with the number of the first that cannot be read.
    pub async fn events(&self, run: &RunId) -> Result<Vec<Event>, StoreError> {
        runs::events(&self.reads, run).await
    }

    /// At most `limit` events of a run from number `from` on, in order; none where it has no more, or where there is no such run.
    ///
    /// # Errors
    /// As of [`Store::events`].
    pub async fn events_from(&self, run: &RunId, from: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        runs::events_from(&self.reads, run, from, limit).await
    }

    /// At most `limit` runs of the same pipeline that have ended and were created before this one, the last one first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn earlier_runs(&self, run: &RunId, limit: u32) -> Result<Vec<RunId>, StoreError> {
        runs::before(&self.reads, run, limit).await
    }

    /// How the runs stand that have not ended, that were created at `since_ms` or later, and those of `also`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn standings(&self, since_ms: u64, also: &[RunId]) -> Result<Vec<RunStands>, StoreError> {
        runs::standings(&self.reads, since_ms, also).await
    }

    /// The run and the step of each gate that is open.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn gate_places(&self) -> Result<Vec<(RunId, String)>, StoreError> {
        runs::gate_places(&self.reads).await
    }

    /// The runs that `filter` names, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn runs(&self, filter: RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        runs::list(&self.reads, filter).await
    }

    /// One run.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`] where there is none.
    pub async fn run(&self, run: &RunId) -> Result<RunSummary, StoreError> {
        runs::one(&self.reads, run).await
    }

    /// The runs that have no end yet, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn unfinished_runs(&self) -> Result<Vec<RunId>, StoreError> {
        runs::unfinished(&self.reads).await
    }

    /// The run of this pipeline that was the last to succeed.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_succeeded(&self, pipeline: &str) -> Result<Option<RunId>, StoreError> {
        runs::last_succeeded(&self.reads, pipeline).await
    }

    /// The run of this pipeline that was the last to end.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_finished(&self, pipeline: &str) -> Result<Option<RunId>, StoreError> {
        runs::last_finished(&self.reads, pipeline).await
    }

    /// A page of runs, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn page(&self, query: &RunQuery) -> Result<Vec<RunSummary>, StoreError> {
        lists::page(&self.reads, query).await
    }

    /// The last `limit` runs of each of these pipelines, the newest first, without sub-runs.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn recent_runs(&self, names: &[String], limit: u32) -> Result<Vec<RunSummary>, StoreError> {
        lists::recent(&self.reads, names, limit).await
    }

    /// How the last `limit` runs of each of these pipelines ended that have, without sub-runs.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn ended_runs(&self, names: &[String], limit: u32) -> Result<Vec<EndedRun>, StoreError> {
        lists::ended(&self.reads, names, limit).await
    }

    /// The runs that repeat this one, in the order of their creation.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn reruns(&self, run: &RunId) -> Result<Vec<RunId>, StoreError> {
        lists::reruns(&self.reads, run).await
    }

    /// The runs that are not over, the oldest first, with what whoever takes them up asks first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn left_runs(&self) -> Result<Vec<UnfinishedRun>, StoreError> {
        lists::unfinished(&self.reads).await
    }

    /// The runs of the same group whose turn is before this one's, in the order of their turns.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn runs_ahead(&self, run: &RunId) -> Result<Vec<RunId>, StoreError> {
        lists::behind(&self.reads, run).await
    }

    /// The gates that are open, with what lists tell of their runs; those that have been so for the longest time first, at most
    /// `limit`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open_gates(&self, run: Option<&RunId>, limit: u32) -> Result<Vec<OpenGate>, StoreError> {
        lists::open_gates(&self.reads, run, limit).await
    }

    /// How many gates are open.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_gates(&self) -> Result<u64, StoreError> {
        lists::count_gates(&self.reads).await
    }

    /// The runs with a gate whose time has come after `since_ms` and up to `now_ms`, and when the next one's comes, all in milliseconds
    /// since 1970 (UTC).
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn due_gates(&self, since_ms: Option<u64>, now_ms: u64) -> Result<(Vec<RunId>, Option<u64>), StoreError> {
        lists::due_gates(&self.reads, since_ms, now_ms).await
    }

    /// Events of a run in their stored form with their numbers, after the number `after`, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn stored_events(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<(u64, String)>, StoreError> {
        lists::stored_events(&self.reads, run, after, limit).await
    }

    #[cfg(test)]
    pub(crate) fn reads(&self) -> &SqlitePool {
        &self.reads
    }

    /// The store of one plugin.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`] where this one was opened for reading.
    pub fn plugin_state(&self, plugin: &PluginName) -> Result<Arc<dyn State>, StoreError> {
        let writes = self.writes.clone().ok_or(StoreError::ReadOnly)?;
        Ok(Arc::new(PluginState { plugin: plugin.to_string(), reads: self.reads.clone(), writes }))
    }

    /// Wakes after each commit that asks something of a run: for whoever carries runs out.
    ///
    /// # Errors
    /// When the system has no watches left.
    pub fn asked(&self) -> Result<Watch, StoreError> {
        Watch::new(&self.dir.join(REQUESTS))
    }

    /// Wakes after each commit that ends a run: for runs that wait for others.
    ///
    /// # Errors
    /// When the system has no watches left.
    pub fn ended(&self) -> Result<Watch, StoreError> {
        Watch::new(&self.dir.join(ENDS))
    }

    /// Wakes after each commit, of this process or another: for following a run that another process carries out.
    ///
    /// # Errors
    /// When the system has no watches left.
    pub fn commits(&self) -> Result<Watch, StoreError> {
        Watch::new(&self.dir.join(COMMITS))
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).foreign_keys(true).busy_timeout(BUSY_TIMEOUT).disable_statement_logging()
}

/// Connections are made as they are needed.
fn reader_pool(path: &Path) -> SqlitePool {
    SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options(path).read_only(true))
}
