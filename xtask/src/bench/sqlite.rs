//! The floor of everything durable: a commit of one row, by SQLite alone.

use sqlx::{
    Connection as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// About what the event of a step that has ended is.
const BODY: &str =
    r#"{"v":1,"at_ms":1700000000000,"event":{"type":"step-finished","step":"s1","attempt":1,"outcome":"succeeded"}}"#;

/// A database of its own, set up as the event log is.
pub(crate) struct Bare {
    connection: SqliteConnection,
    rows: i64,
}

impl Bare {
    pub(crate) async fn open(folder: &Path) -> anyhow::Result<Bare> {
        let options = SqliteConnectOptions::new()
            .filename(folder.join("bare.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        sqlx::query("CREATE TABLE events (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)")
            .execute(&mut connection)
            .await?;
        Ok(Bare { connection, rows: 0 })
    }

    /// So many commits, one after the other, of one row each.
    pub(crate) async fn commits(&mut self, count: u32) -> anyhow::Result<Duration> {
        let began = Instant::now();
        for _ in 0..count {
            self.rows += 1;
            let insert = sqlx::query("INSERT INTO events (seq, body) VALUES (?, ?)").bind(self.rows).bind(BODY);
            insert.execute(&mut self.connection).await?;
        }
        Ok(began.elapsed())
    }
}

/// A home's database as anybody may read it.
pub(crate) struct Database(SqliteConnection);

impl Database {
    pub(crate) async fn open(file: &Path) -> anyhow::Result<Database> {
        Ok(Database(SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await?))
    }

    /// Its size in bytes, what stands in the write-ahead log included.
    pub(crate) async fn bytes(&mut self) -> anyhow::Result<f64> {
        let (pages, free, page): (i64, i64, i64) =
            sqlx::query_as("SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size")
                .fetch_one(&mut self.0)
                .await?;
        Ok(((pages - free) * page) as f64)
    }

    /// How many gates are open, all columns fetched and none looked at.
    pub(crate) async fn gates(&mut self) -> anyhow::Result<usize> {
        let rows = sqlx::query("SELECT * FROM gates ORDER BY opened_ms, run, step").fetch_all(&mut self.0).await?;
        Ok(rows.len())
    }

    /// Reads the events of every run that has not ended, run by run; gives how many runs, and bytes.
    pub(crate) async fn events(&mut self) -> anyhow::Result<(usize, usize)> {
        let runs: Vec<String> =
            sqlx::query_scalar("SELECT id FROM runs WHERE outcome IS NULL").fetch_all(&mut self.0).await?;
        let mut bytes = 0;
        for run in &runs {
            let read = sqlx::query_scalar("SELECT body FROM events WHERE run = ? ORDER BY seq").bind(run);
            let bodies: Vec<String> = read.fetch_all(&mut self.0).await?;
            bytes += bodies.iter().map(String::len).sum::<usize>();
        }
        Ok((runs.len(), bytes))
    }
}

/// How many commits stand in a write-ahead log that has not been started over yet.
///
/// Each frame's header says the size of the database after a commit, or 0 within one.
pub(crate) fn commits_in_log(log: &Path) -> std::io::Result<u32> {
    const HEADER: usize = 32;
    const FRAME_HEADER: usize = 24;
    let bytes = std::fs::read(log)?;
    let number = |at: usize| bytes.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    let (page, salt) = (number(8) as usize, bytes.get(16..24));
    let mut commits = 0;
    let mut at = HEADER;
    // Frames of another salt are left over from before the log was started over.
    while salt.is_some() && page > 0 && bytes.get(at + 8..at + 16) == salt {
        commits += u32::from(number(at + 4) != 0);
        at += FRAME_HEADER + page;
    }
    Ok(commits)
}
