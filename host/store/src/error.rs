//! What can go wrong with what is kept.

use std::path::PathBuf;
use windlass_contract::{Code, CodedError, RunId};
use windlass_engine::EngineError;

/// Why the store refused or could not.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder could not be used.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// Doing what.
        what: &'static str,
        /// With which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has the data folder.
    #[error("the data folder {} is in use by {by}", dir.display())]
    Owned {
        /// The folder.
        dir: PathBuf,
        /// Who, as far as it said.
        by: String,
    },
    /// Another process carries this run out.
    #[error("the run {run} is carried out by {by}")]
    RunOwned {
        /// The run.
        run: RunId,
        /// Who, as far as it said.
        by: String,
    },
    /// Nothing was ever stored there.
    #[error("there is no data in {}", dir.display())]
    Missing {
        /// The folder.
        dir: PathBuf,
    },
    /// The database has the form of another version.
    #[error("the database in {} has the form of {} windlass: {why}", dir.display(), if *newer { "a newer" } else { "another" })]
    OtherSchema {
        /// The folder.
        dir: PathBuf,
        /// Whether it is newer than this one.
        newer: bool,
        /// What differs.
        why: String,
    },
    /// Somebody else appended first.
    #[error("the run {run} has {found} as its next event, not {expected}: another process appended to it")]
    Conflict {
        /// The run.
        run: RunId,
        /// Where the append was to begin.
        expected: u64,
        /// Where it would have to.
        found: u64,
    },
    /// The run's turn in its group has not come.
    #[error("the run {run} waits for its turn in the group {group:?}, behind {}", behind.join(", "))]
    NotItsTurn {
        /// The run.
        run: RunId,
        /// The group.
        group: String,
        /// The runs before it, in the order of their turns.
        behind: Vec<String>,
    },
    /// No such run.
    #[error("there is no run {run}")]
    UnknownRun {
        /// The run.
        run: RunId,
    },
    /// A run of this id is there already.
    #[error("there is a run {run} already")]
    RunExists {
        /// The run.
        run: RunId,
    },
    /// Events that do not begin as a run does.
    #[error("a run begins with exactly one run-created event")]
    NotABeginning,
    /// An event that cannot be read or written.
    #[error("event {seq} of the run {run}: {source}")]
    BadEvent {
        /// The run.
        run: RunId,
        /// Its number, from 1.
        seq: u64,
        /// What is wrong with it.
        source: EngineError,
    },
    /// An event that should be there and is not.
    #[error("event {seq} of the run {run} is missing")]
    MissingEvent {
        /// The run.
        run: RunId,
        /// Its number, from 1.
        seq: u64,
    },
    /// A row that this crate did not write.
    #[error("the stored record of {what} is damaged: {why}")]
    Damaged {
        /// Of what.
        what: String,
        /// How.
        why: String,
    },
    /// The database failed.
    #[error("the database failed to {what}: {why}")]
    Database {
        /// Doing what.
        what: &'static str,
        /// Its own words.
        why: String,
        /// Whether it was only busy.
        busy: bool,
    },
    /// The store was closed, or its writer died.
    #[error("the store is closed; whether the last change was kept is not known")]
    Closed,
    /// This store was opened for reading.
    #[error("the store was opened for reading only")]
    ReadOnly,
    /// A log of another version, or a file that is no log.
    #[error("{} is not a log that this windlass can read", path.display())]
    NotALog {
        /// The file.
        path: PathBuf,
    },
    /// A log that is damaged in its middle.
    #[error("the log {} is damaged at byte {offset}", path.display())]
    DamagedLog {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
    /// Changes of files cannot be waited for.
    #[error("cannot wait for changes in {}: {why}", path.display())]
    Watch {
        /// Of what.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl StoreError {
    /// For `map_err`: an error of the file system.
    pub(crate) fn io(what: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Io { what, path, source }
    }

    /// For `map_err`: an error of the database.
    pub(crate) fn database(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
        move |error| StoreError::of_database(what, &error)
    }

    pub(crate) fn of_database(what: &'static str, error: &sqlx::Error) -> StoreError {
        // SQLITE_BUSY; its extended codes keep it in the low byte.
        const BUSY: u32 = 5;
        let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<u32>().ok());
        StoreError::Database { what, why: error.to_string(), busy: code.is_some_and(|code| code & 0xff == BUSY) }
    }
}

impl CodedError for StoreError {
    fn code(&self) -> Code {
        Code(match self {
            StoreError::Io { .. } => 1001,
            StoreError::Owned { .. } => 1002,
            StoreError::RunOwned { .. } => 1003,
            StoreError::Missing { .. } => 1004,
            StoreError::OtherSchema { .. } => 1005,
            StoreError::Conflict { .. } => 1006,
            StoreError::UnknownRun { .. } => 1007,
            StoreError::RunExists { .. } => 1008,
            StoreError::NotABeginning => 1009,
            StoreError::BadEvent { .. } => 1010,
            StoreError::MissingEvent { .. } => 1011,
            StoreError::Damaged { .. } => 1012,
            StoreError::Database { .. } => 1013,
            StoreError::Closed => 1014,
            StoreError::ReadOnly => 1015,
            StoreError::NotALog { .. } => 1016,
            StoreError::DamagedLog { .. } => 1017,
            StoreError::Watch { .. } => 1018,
            StoreError::NotItsTurn { .. } => 1019,
        })
    }

    fn help(&self) -> Option<String> {
        let text = match self {
            StoreError::Io { .. } => "check that the folder exists, belongs to you and has free space",
            StoreError::Owned { .. } => "wait until it ends, stop it, or use another data folder",
            StoreError::RunOwned { .. } => "wait until it ends, or stop that process first",
            StoreError::Missing { .. } => "run a pipeline first, or name the data folder that was used",
            StoreError::OtherSchema { newer: true, .. } => "use the newer version, or another data folder",
            StoreError::OtherSchema { .. } => {
                "open it once with a command that writes, such as `windlass run`, which brings it up to date"
            }
            StoreError::Conflict { .. } => "look at the run with `windlass runs`; only one process may carry a run out",
            StoreError::NotItsTurn { .. } => "it begins by itself when they have ended; `windlass runs` shows them",
            StoreError::UnknownRun { .. } => "`windlass runs` lists them",
            StoreError::RunExists { .. } | StoreError::NotABeginning | StoreError::ReadOnly => {
                "this is a defect of windlass: report it with the command that led to it"
            }
            StoreError::BadEvent { source, .. } => return source.help(),
            StoreError::MissingEvent { .. } | StoreError::Damaged { .. } => {
                "the data is damaged: restore the data folder from a copy; other runs are not affected"
            }
            StoreError::Database { busy: true, .. } => "another process holds the database: try again",
            StoreError::Database { .. } => "check the free space and the health of the disk with the data folder",
            StoreError::Closed => "look at the log for why it ended, and continue the run with `windlass resume`",
            StoreError::NotALog { .. } => "use the version of windlass that wrote it",
            StoreError::DamagedLog { .. } => {
                "what stands before that place can be read; the run itself is not affected"
            }
            StoreError::Watch { .. } => {
                "raise fs.inotify.max_user_instances and max_user_watches, or read without --follow"
            }
        };
        Some(text.to_owned())
    }

    fn retryable(&self) -> bool {
        matches!(self, StoreError::Owned { .. } | StoreError::RunOwned { .. } | StoreError::Database { busy: true, .. })
    }
}
