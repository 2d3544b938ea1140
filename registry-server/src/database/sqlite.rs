//! The registry's database in one SQLite file.
//!
//! One connection writes, so that transactions queue here and not in SQLite; the operator's command is another process, and
//! waits for its turn by the file's lock. Readers see the last commit and wait for nobody (WAL). A commit that was
//! acknowledged survives the loss of power (`synchronous=FULL`).

mod accounts;
mod journal;
mod market;
mod packages;
mod repositories;
mod seed;

use super::{By, Database, Result};
use crate::{
    error::RegistryError,
    failpoints::{AFTER_COMMIT, BEFORE_COMMIT, crash_point},
};
use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{
    ConnectOptions as _, SqliteConnection, SqlitePool, Transaction,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use std::{fs, io, os::unix::fs::OpenOptionsExt as _, path::Path, time::Duration};
use windlass_contract::{Digest, PluginName};

/// How long a statement waits for another process's transaction, in seconds. One takes milliseconds; seconds mean that something is
/// wrong, which is better said than waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How many reads go on at once. Reads are short and from memory; more would only take turns on the processors.
const READERS: u32 = 4;
/// The file in the data folder.
const FILE: &str = "registry.db";
/// Only the registry's own user reads it: it holds the hashes of tokens.
const FILE_MODE: u32 = 0o600;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

type Write = Transaction<'static, sqlx::Sqlite>;

/// The database of one data folder. Clones share it.
#[derive(Clone)]
pub struct Sqlite {
    reads: SqlitePool,
    writes: SqlitePool,
}

impl Sqlite {
    /// Opens the database in the folder `data`, and makes it where there is none.
    ///
    /// # Errors
    /// When it cannot be used, or was made by a later version.
    pub async fn open(data: &Path) -> Result<Self> {
        fs::create_dir_all(data).map_err(|error| RegistryError::io("make the folder", data, error))?;
        let path = data.join(FILE);
        // Made here and not by SQLite, which would let everybody read it.
        let made = fs::OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path);
        if let Err(error) = made
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(RegistryError::io("make the database", &path, error));
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        // Never closed while idle: the last connection that closes would have to clear the log away again and again.
        let writes = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await
            .map_err(database("open"))?;
        let mut connection = writes.acquire().await.map_err(database("open"))?;
        // Not `run`, whose `Acquire` bound makes the future of this function impossible to spawn.
        MIGRATIONS.run_direct(None, &mut *connection, false).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
                RegistryError::NewerDatabase { path: path.display().to_string() }
            }
            error => RegistryError::Database { what: "bring its tables up to date", why: error.to_string() },
        })?;
        drop(connection);
        let reads = SqlitePoolOptions::new()
            .max_connections(READERS)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.read_only(true));
        Ok(Sqlite { reads, writes })
    }

    /// A transaction that has the file for itself from its beginning on.
    async fn begin(&self) -> Result<Write> {
        self.writes.begin_with("BEGIN IMMEDIATE").await.map_err(database("begin to write"))
    }
}

/// Ends a transaction, durably.
async fn commit(write: Write) -> Result<()> {
    crash_point(BEFORE_COMMIT);
    write.commit().await.map_err(database("commit"))?;
    crash_point(AFTER_COMMIT);
    Ok(())
}

#[async_trait]
impl Database for Sqlite {
    async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT serial FROM snapshot").fetch_one(&self.reads).await.map_err(database("answer"))?;
        Ok(())
    }

    async fn close(&self) {
        self.reads.close().await;
        self.writes.close().await;
    }
}

/// Gives an error its place.
fn database(what: &'static str) -> impl Fn(sqlx::Error) -> RegistryError {
    move |error| RegistryError::Database { what, why: error.to_string() }
}

/// Something in a row is not what this program writes there.
fn damaged(what: &'static str) -> impl Fn(String) -> RegistryError {
    move |why| RegistryError::Database { what, why }
}

fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}

fn parsed<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| damaged(what)(format!("{text:?}: {error}")))
}

fn json<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| damaged(what)(error.to_string()))
}

/// Texts, numbers and lists of them: their JSON cannot fail.
fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn digest_of(row: &SqliteRow, column: &str) -> Result<Digest> {
    use sqlx::Row as _;
    let text: String = row.try_get(column).map_err(database("read a digest"))?;
    parsed("read a digest", &text)
}

/// The number of a package.
async fn package(connection: &mut SqliteConnection, name: &PluginName) -> Result<Option<i64>> {
    sqlx::query_scalar("SELECT id FROM packages WHERE namespace = ? AND name = ?")
        .bind(name.namespace())
        .bind(name.name())
        .fetch_optional(connection)
        .await
        .map_err(database("find a package"))
}

/// A line of the audit log, in the transaction of what it tells.
async fn record(
    connection: &mut SqliteConnection,
    by: &By,
    action: &str,
    namespace: Option<&str>,
    subject: &str,
    detail: &str,
) -> Result<()> {
    sqlx::query("INSERT INTO audit (at_ms, actor, token, ip, action, namespace, subject, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(millis(Timestamp::now()))
        .bind(&by.actor)
        .bind(by.token.as_ref().map(|token| token.as_str()))
        .bind(by.ip.map(|ip| ip.to_string()))
        .bind(action)
        .bind(namespace)
        .bind(subject)
        .bind(detail)
        .execute(connection)
        .await
        .map_err(database("write the audit log"))?;
    Ok(())
}

/// A notice to each owner of a namespace.
async fn notify(
    connection: &mut SqliteConnection,
    namespace: &str,
    kind: &str,
    subject: &str,
    words: &str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO notices (user, at_ms, kind, subject, words) SELECT user, ?, ?, ?, ? FROM owners WHERE namespace = ?",
    )
    .bind(millis(Timestamp::now()))
    .bind(kind)
    .bind(subject)
    .bind(words)
    .bind(namespace)
    .execute(connection)
    .await
    .map_err(database("tell the owners"))?;
    Ok(())
}
