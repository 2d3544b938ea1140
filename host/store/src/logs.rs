//! What steps print: one file for each attempt, only ever written at its end.
//!
//! **Format** (version 1): the eight bytes [`MAGIC`], then frames. A frame is a header of 13 bytes, little-endian,
//! `at_ms: u64`, `stream: u8`, `len: u32`, and then `len` bytes. `stream` is 1 standard output, 2 standard error, 3 the plugin's own
//! lines, 4 the host's, 255 the end, after which nothing comes. What a crash tore off at the end of a file is not a frame and is ignored.
//!
//! **Invariants.**
//! - An attempt that is executed again after a crash writes its log anew, in a new file: containers are read again from their
//!   beginning, so nothing is missing and nothing is there twice. Who follows is told ([`Followed::Restarted`]).
//! - A follower never slows the writer and never misses a byte: it reads the file, and is only woken.
//! - A file is made with its first byte. A step that prints nothing costs nothing, and has no log.
//!
//! **Not here.** Masking and quotas: bytes come in as they may be seen.

mod follow;
mod index;
mod lines;
mod read;
mod write;

pub use follow::{Followed, Follower};
pub use index::{LogLines, LogText};
pub use lines::{Line, Lines, SHOWN_BYTES};
pub use read::LogReader;
pub use write::LogWriter;

use crate::{StoreError, lock};
use index::LineIndex;
use moka::sync::Cache;
use std::{
    collections::{HashMap, HashSet},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;
use windlass_contract::{RunId, StepName};

/// What every log begins with. The last byte is the version.
pub const MAGIC: [u8; 8] = *b"WLLOG\0\0\x01";

/// The largest frame, in bytes: what comes longer is split. It bounds what a reader must hold, and what it must believe
/// of a damaged header.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;

const HEADER_BYTES: usize = 13;
/// The `stream` of the frame that ends a log.
const END: u8 = 255;

/// Where bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output of containers.
    Stdout,
    /// Standard error of containers.
    Stderr,
    /// The plugin's own lines.
    Plugin,
    /// The host's lines.
    System,
}

impl LogStream {
    const ALL: [LogStream; 4] = [LogStream::Stdout, LogStream::Stderr, LogStream::Plugin, LogStream::System];

    fn byte(self) -> u8 {
        match self {
            LogStream::Stdout => 1,
            LogStream::Stderr => 2,
            LogStream::Plugin => 3,
            LogStream::System => 4,
        }
    }
}

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When, in milliseconds since 1970 (UTC).
    pub at_ms: u64,
    /// From where.
    pub stream: LogStream,
    /// The bytes, as they came: neither aligned to lines nor to characters.
    pub bytes: bytes::Bytes,
}

/// The logs being written in this process, and how many bytes are in the file of each.
type Live = Arc<Mutex<HashMap<PathBuf, watch::Receiver<u64>>>>;

/// How many logs' indexes are held in memory. One has some kilobytes, and at most a 256th of its log.
const MAX_INDEXES: u64 = 64;

/// The logs of one data folder. Clones share it.
#[derive(Clone)]
pub struct LogStore {
    dir: PathBuf,
    live: Live,
    indexes: Cache<PathBuf, Arc<Mutex<LineIndex>>>,
}

/// The folder of a run.
pub(crate) fn run_dir(dir: &Path, run: &RunId) -> PathBuf {
    dir.join("runs").join(run.as_str())
}

impl LogStore {
    /// The logs in the data folder `dir`. Nothing is made before there is something to write.
    pub fn open(dir: &Path) -> Self {
        LogStore { dir: dir.to_owned(), live: Live::default(), indexes: Cache::new(MAX_INDEXES) }
    }

    /// Where the log of an attempt is, or would be. A step's name has no dot, so no two attempts share a file.
    pub fn path(&self, run: &RunId, step: &StepName, attempt: u32) -> PathBuf {
        run_dir(&self.dir, run).join(format!("{step}.{attempt}.log"))
    }

    /// Begins the log of an attempt, and removes what an earlier execution of the same attempt had written.
    ///
    /// # Errors
    /// When that cannot be removed.
    pub fn writer(&self, run: &RunId, step: &StepName, attempt: u32) -> Result<LogWriter, StoreError> {
        let path = self.path(run, step, attempt);
        for old in [&LineIndex::file(&path), &path] {
            match std::fs::remove_file(old) {
                Err(source) if source.kind() != ErrorKind::NotFound => {
                    return Err(StoreError::io("remove the old log", old)(source));
                }
                _ => {}
            }
        }
        self.indexes.invalidate(&path);
        let index = self.index(&path);
        Ok(LogWriter::new(path, Arc::clone(&self.live), index))
    }

    fn index(&self, path: &Path) -> Arc<Mutex<LineIndex>> {
        self.indexes.get_with_by_ref(path, || Arc::new(Mutex::new(LineIndex::new(path.to_owned()))))
    }

    /// The log of an attempt by its lines, as far as it goes now; nothing where it has none. Reads what nobody has read yet: a gigabyte at
    /// most, once.
    ///
    /// # Errors
    /// When there is a file and it cannot be read, or is no log.
    pub fn lines(&self, run: &RunId, step: &StepName, attempt: u32) -> Result<Option<LogLines>, StoreError> {
        LogLines::open(self.index(&self.path(run, step, attempt)))
    }

    /// What is in the log of an attempt so far; nothing where it has none.
    ///
    /// # Errors
    /// When there is a file and it cannot be read, or is no log.
    pub fn reader(&self, run: &RunId, step: &StepName, attempt: u32) -> Result<Option<LogReader>, StoreError> {
        LogReader::open(&self.path(run, step, attempt))
    }

    /// The attempts of a run that have printed something.
    ///
    /// # Errors
    /// When the run's folder cannot be read.
    pub fn attempts(&self, run: &RunId) -> Result<HashSet<(StepName, u32)>, StoreError> {
        let dir = run_dir(&self.dir, run);
        let entries = match std::fs::read_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HashSet::new()),
            entries => entries.map_err(StoreError::io("read the folder", &dir))?,
        };
        let attempt = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.ok()?.file_name();
            let (step, attempt) = name.to_str()?.strip_suffix(".log")?.rsplit_once('.')?;
            Some((step.parse().ok()?, attempt.parse().ok()?))
        };
        Ok(entries.filter_map(attempt).collect())
    }

    /// Copies what the containers of an attempt printed, the bytes alone; gives how many.
    ///
    /// # Errors
    /// When the log cannot be read, or `to` not written.
    pub fn raw(&self, run: &RunId, step: &StepName, attempt: u32, to: &mut impl Write) -> Result<u64, StoreError> {
        let path = self.path(run, step, attempt);
        let Some(mut reader) = LogReader::open(&path)? else { return Ok(0) };
        let mut copied = 0;
        while let Some(frame) = reader.next_frame()? {
            if matches!(frame.stream, LogStream::Stdout | LogStream::Stderr) {
                to.write_all(&frame.bytes).map_err(StoreError::io("copy the log", &path))?;
                copied += frame.bytes.len() as u64;
            }
        }
        Ok(copied)
    }

    /// Follows the log of an attempt from its beginning, whether it has begun or not, in this process or another.
    ///
    /// # Errors
    /// When the run's folder cannot be made or watched.
    pub fn follow(&self, run: &RunId, step: &StepName, attempt: u32) -> Result<Follower, StoreError> {
        let path = self.path(run, step, attempt);
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner).get(&path).cloned();
        match live {
            Some(progress) => Ok(Follower::live(path, progress)),
            None => {
                let dir = run_dir(&self.dir, run);
                // There must be something to watch before the first byte is there.
                lock::make_dir(&dir)?;
                Follower::foreign(path, &dir)
            }
        }
    }
}
