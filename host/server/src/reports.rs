//! What tests and scanners said in a run: the JUnit and SARIF reports among its artifacts.
//!
//! Reports are files of somebody's build: they are read with bounds on everything, as data and nothing else, and one that cannot be read is named
//! with the reason and hides nothing of the others. A folder that was kept as an archive is looked into. The values of the run's secrets were
//! masked in them when they were kept (`windlass_capabilities::artifacts::reports`).
//!
//! **Not here.** What the formats mean: [`junit`] and [`sarif`], pure functions from texts.

pub(crate) mod junit;
pub(crate) mod sarif;

use std::io::{self, Read};
use tokio::sync::Semaphore;
use windlass_capabilities::{
    ArtifactStore, StoreError,
    artifacts::{
        TAR,
        reports::{MAX_REPORT_BYTES, is_named},
    },
};
use windlass_contract::RunId;

/// How many bytes of reports of one run are read (100 MiB): some seconds of work.
const MAX_ALL_BYTES: u64 = 100 << 20;
/// How many files an archive is looked through for.
const MAX_ARCHIVE_FILES: usize = 10_000;
/// How large an archive is that is looked into, in bytes (256 MiB). Reports are kept in small ones.
const MAX_ARCHIVE_BYTES: u64 = 256 << 20;
/// How many texts that cannot be read are named.
const MAX_UNREADABLE: usize = 50;
/// How many runs are read at once. Each takes a processor for its time.
static READERS: Semaphore = Semaphore::const_new(2);

/// What the reports of a run say.
pub(crate) struct Reports<T> {
    /// Each report's name and what it says: an artifact's key, with a file's path behind it where the artifact is an archive.
    pub read: Vec<(String, T)>,
    /// Names and reasons of those that cannot be read.
    pub unreadable: Vec<String>,
}

/// Which files may be reports of a kind, by their names, and how one is read; `None` of a text that is something else.
pub(crate) struct Format<T> {
    pub endings: &'static [&'static str],
    pub read: fn(&str) -> Result<Option<T>, String>,
}

/// The reports of a run.
pub(crate) async fn of_run<T: Send + 'static>(
    store: &ArtifactStore,
    run: &RunId,
    format: Format<T>,
) -> Result<Reports<T>, StoreError> {
    let (store, run) = (store.clone(), run.clone());
    let _turn = READERS.acquire().await;
    let read = tokio::task::spawn_blocking(move || read_all(&store, &run, &format)).await;
    read.unwrap_or_else(|error| Err(StoreError::Io { path: "reports".into(), source: io::Error::other(error) }))
}

fn read_all<T>(store: &ArtifactStore, run: &RunId, format: &Format<T>) -> Result<Reports<T>, StoreError> {
    let mut reading =
        Reading { reports: Reports { read: Vec::new(), unreadable: Vec::new() }, format, left: MAX_ALL_BYTES };
    for kept in store.list(run)? {
        let name = kept.key.as_str();
        if kept.media_type == TAR {
            if kept.size <= MAX_ARCHIVE_BYTES
                && let Err(error) = reading.archive(name, store.read(kept.digest, kept.size)?)
            {
                reading.refuse(name, &error.to_string());
            }
        } else if is_named(name, format.endings) {
            reading.one(name, kept.size, store.read(kept.digest, kept.size)?);
        }
    }
    Ok(reading.reports)
}

struct Reading<'a, T> {
    reports: Reports<T>,
    format: &'a Format<T>,
    left: u64,
}

impl<T> Reading<'_, T> {
    fn refuse(&mut self, name: &str, why: &str) {
        if self.reports.unreadable.len() < MAX_UNREADABLE {
            self.reports.unreadable.push(format!("{name}: {why}"));
        }
    }

    fn archive(&mut self, name: &str, bytes: impl Read) -> io::Result<()> {
        let mut archive = tar::Archive::new(bytes);
        for entry in archive.entries()?.take(MAX_ARCHIVE_FILES) {
            let entry = entry?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if entry.header().entry_type().is_file() && is_named(&path, self.format.endings) {
                self.one(&format!("{name}/{path}"), entry.size(), entry);
            }
        }
        Ok(())
    }

    fn one(&mut self, name: &str, size: u64, bytes: impl Read) {
        if size > MAX_REPORT_BYTES {
            return self.refuse(name, &format!("it has {size} bytes, and {MAX_REPORT_BYTES} are read"));
        }
        if size > self.left {
            return self.refuse(name, &format!("the run's reports have more than {MAX_ALL_BYTES} bytes together"));
        }
        self.left -= size;
        let mut text = String::new();
        let read = match bytes.take(MAX_REPORT_BYTES).read_to_string(&mut text) {
            Ok(_) => (self.format.read)(text.trim_start_matches('\u{feff}')),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(Some(report)) => self.reports.read.push((name.to_owned(), report)),
            Ok(None) => {}
            Err(why) => self.refuse(name, &why),
        }
    }
}

/// A text cut to so many bytes, at a character, with a mark.
fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(bytes)])
}
