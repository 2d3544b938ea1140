//! Following a log while it is written.

use super::{Frame, LogReader};
use crate::{StoreError, Watch};
use std::path::{Path, PathBuf};
use tokio::sync::watch;

/// What a follower sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// The next piece.
    Frame(Frame),
    /// The attempt is executed again after a crash, and its log begins again: forget what came before.
    Restarted,
}

/// Reads a log and waits for more of it.
pub struct Follower {
    path: PathBuf,
    reader: Option<LogReader>,
    /// Where to begin in the first log that is seen.
    from: u64,
    source: Source,
}

/// Who says that there is more.
enum Source {
    /// The writer, in this process.
    Live(watch::Receiver<u64>),
    /// The writer was dropped: what is there is all.
    Gone,
    /// The kernel, for a writer in another process or one that has not begun.
    Foreign(Watch),
}

impl Follower {
    pub(super) fn live(path: PathBuf, progress: watch::Receiver<u64>) -> Self {
        Follower { path, reader: None, from: 0, source: Source::Live(progress) }
    }

    pub(super) fn foreign(path: PathBuf, dir: &Path) -> Result<Self, StoreError> {
        Ok(Follower { path, reader: None, from: 0, source: Source::Foreign(Watch::new(dir)?) })
    }

    /// Begins where an earlier follower was ([`Follower::offset`]), which may have been in another process. Where the log is
    /// shorter than that, it was begun anew, and the first thing that is seen is [`Followed::Restarted`].
    #[must_use]
    pub fn from(mut self, offset: u64) -> Self {
        self.from = offset;
        self
    }

    /// Where the next frame begins, in bytes from the log's beginning.
    pub fn offset(&self) -> u64 {
        self.reader.as_ref().map_or(self.from, LogReader::offset)
    }

    /// What comes next, waiting for it; `None` at the log's end. An attempt that printed nothing has no log and so no end, and neither
    /// has one whose host died: stop waiting when the run says that the attempt is over, and take the rest with
    /// [`Follower::try_next`]. May be dropped while it waits; nothing is lost.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn next(&mut self) -> Result<Option<Followed>, StoreError> {
        loop {
            // Before looking: a change that comes after the look is then still to be seen.
            if let Source::Live(progress) = &mut self.source {
                progress.borrow_and_update();
            }
            if let Some(followed) = self.try_next()? {
                return Ok(Some(followed));
            }
            if self.reader.as_ref().is_some_and(LogReader::ended) {
                return Ok(None);
            }
            match &mut self.source {
                Source::Live(progress) => {
                    if progress.changed().await.is_err() {
                        self.source = Source::Gone;
                    }
                }
                Source::Gone => return Ok(None),
                Source::Foreign(watch) => watch.changed().await,
            }
        }
    }

    /// What is there already.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn try_next(&mut self) -> Result<Option<Followed>, StoreError> {
        if self.reader.is_none() {
            self.reader = LogReader::open(&self.path)?;
            if let Some(reader) = &mut self.reader
                && !reader.go_to(std::mem::take(&mut self.from))?
            {
                return Ok(Some(Followed::Restarted));
            }
        }
        let Some(reader) = &mut self.reader else { return Ok(None) };
        if let Some(frame) = reader.next_frame()? {
            return Ok(Some(Followed::Frame(frame)));
        }
        if reader.ended() || !reader.replaced()? {
            return Ok(None);
        }
        self.reader = LogReader::open(&self.path)?;
        Ok(Some(Followed::Restarted))
    }
}
