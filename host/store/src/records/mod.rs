//! What a server keeps beside the runs: people and their keys, workflows, templates, triggers, environments, the audit.
//!
//! A database of its own (`server.db`), because it has its own reason to change, and because the command line, which shares the
//! event log, has nothing to do with it. A module for each kind of record; each has its own migration.
//!
//! **Invariants.**
//! - What was acknowledged survives a crash of the process and a loss of power (`synchronous=FULL`).
//! - What somebody changes is committed with its entry in the audit, or not at all ([`Change`]).
//! - One connection of a process writes, in transactions that begin as writers, so none of them fails half way for a lock.
//! - One server has them. Beside it, a command changes people and keys, which nobody remembers.
//! - Nothing here is a secret in the clear: keys and session tokens are hashes, passwords argon2 hashes, secrets are in the vault.
//! - What must go together with a run is told by the run's id, which is recorded here before the run is created.
//!
//! **Not here.** What the records mean (`server`).

pub mod accounts;
pub mod audit;
mod change;
pub mod environments;
pub mod idempotency;
pub mod sequences;
pub mod triggers;
pub mod workflows;

pub use change::Change;

use crate::{
    StoreError,
    lock::{self, FILE_MODE, Held},
};
use sqlx::{
    Sqlite, SqlitePool, Transaction,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
    time::Duration,
};

const DATABASE: &str = "server.db";
/// Held by the one server that has the records.
const LOCK: &str = "server.lock";
/// How many reads go on at once: see the event log's.
const READERS: u32 = 4;
/// How long a statement waits for another's transaction. A server has one writer, so this is for the operator's commands beside it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

static MIGRATIONS: Migrator = sqlx::migrate!("./records");

/// The records of one data folder. Clones share it.
#[derive(Clone)]
pub struct Records {
    pub(crate) reads: SqlitePool,
    writes: SqlitePool,
    /// None for a command beside the server.
    _owner: Option<Arc<File>>,
}

impl Records {
    /// Opens or makes the records, for this process alone.
    ///
    /// # Errors
    /// [`StoreError::Owned`] when another server has them; and where they cannot be read or made.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        match Self::take(dir).await? {
            (records, Held::Mine(owner)) => Ok(Records { _owner: Some(Arc::new(owner)), ..records }),
            (_, Held::By(by)) => Err(StoreError::Owned { dir: dir.to_owned(), by }),
        }
    }

    /// Opens or makes the records for a command that does one thing and ends, whether a server has them or not. For people, keys and the
    /// audit alone: a server asks for those at each request, and remembers others.
    ///
    /// # Errors
    /// [`StoreError::Owned`] when the server that has them is of another version; and where they cannot be read or made.
    pub async fn open_beside(dir: &Path) -> Result<Self, StoreError> {
        let (records, held) = Self::take(dir).await?;
        if let Held::By(by) = held
            && !records.is_up_to_date().await?
        {
            return Err(StoreError::Owned { dir: dir.to_owned(), by: format!("{by}, a server of another version") });
        }
        // The lock is not kept: a server that starts meanwhile is not to be turned away.
        Ok(records)
    }

    /// Connects to the records, and brings their tables up to date where no server has them.
    async fn take(dir: &Path) -> Result<(Self, Held), StoreError> {
        lock::make_dir(dir)?;
        let held = lock::take(&dir.join(LOCK), false)?;
        let path = dir.join(DATABASE);
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(StoreError::io("make the database", &path))?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let writes = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(StoreError::database("open"))?;
        if let Held::Mine(_) = held {
            MIGRATIONS.run(&writes).await.map_err(|error| StoreError::Database {
                what: "bring its tables up to date",
                why: error.to_string(),
                busy: false,
            })?;
        }
        let reads = SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options.read_only(true));
        Ok((Records { reads, writes, _owner: None }, held))
    }

    /// Whether the tables are as this version has them.
    async fn is_up_to_date(&self) -> Result<bool, StoreError> {
        let applied: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
            .fetch_one(&self.reads)
            .await
            .map_err(StoreError::database("read its version"))?;
        Ok(applied == MIGRATIONS.iter().map(|migration| migration.version).max())
    }

    /// A transaction that may write. Others wait for it: keep it short, and do nothing else meanwhile.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.writes.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::database("begin to write"))
    }

    /// Lets go of the records.
    pub async fn close(&self) {
        self.writes.close().await;
        self.reads.close().await;
    }
}

/// A time or a number as SQLite has it.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
