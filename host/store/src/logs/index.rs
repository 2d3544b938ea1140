//! Where a log's lines are: a log of a gigabyte opens at once, at any line.
//!
//! **What it is.** Places between two frames, each with what had come before it ([`Lines`]). Reading from a line begins at the last place
//! before it. It is derived from the log alone: whoever needs it catches up with the file, which a writer does now and then with its own, so that
//! nobody waits for much; that of a large log which has ended is kept in a file beside it. A file that is damaged, or of another log, is as good
//! as none.
//!
//! **Bounds.** A place is at least [`EVERY_BYTES`] after the one before, and at least [`HELD_SHARE`] times as far as the bytes that it holds of
//! lines without an end: so an index has at most that share of its log's bytes, whatever the log is.

use super::{HEADER_BYTES, Line, Lines, LogReader, read::Identity};
use crate::{StoreError, lock::FILE_MODE};
use serde::{Deserialize, Serialize};
use std::{
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// How far places are apart at least, in bytes of the log (256 KiB): what a reader passes over in less than a millisecond.
const EVERY_BYTES: u64 = 256 * 1024;

/// How many bytes of the log a place needs for each byte that it holds.
const HELD_SHARE: u64 = 256;

/// From which size on a log's index is kept in a file, in bytes (4 MiB). A smaller log is read faster than that is looked for.
const SAVED_FROM: u64 = 4 << 20;

/// The version of that file.
const VERSION: u32 = 1;

/// A place between two frames.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    offset: u64,
    before: Lines,
}

impl Place {
    fn beginning() -> Place {
        Place { offset: 0, before: Lines::shown() }
    }
}

/// See the module.
pub(super) struct LineIndex {
    path: PathBuf,
    /// Of which file it is.
    of: Option<Identity>,
    /// In their order; the log's beginning is not among them.
    places: Vec<Place>,
    /// As far as the log was read.
    end: Place,
    ended: bool,
}

/// An index in its file.
#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    places: Vec<Place>,
    end: Place,
}

impl LineIndex {
    pub(super) fn new(path: PathBuf) -> LineIndex {
        LineIndex { path, of: None, places: Vec::new(), end: Place::beginning(), ended: false }
    }

    /// The file with the index of a log.
    pub(super) fn file(log: &Path) -> PathBuf {
        log.with_extension("lines")
    }

    /// Reads what the log has beyond what was read of it; gives a reader of it, or nothing where there is no log.
    pub(super) fn catch_up(&mut self) -> Result<Option<LogReader>, StoreError> {
        let Some(mut reader) = LogReader::open(&self.path)? else {
            *self = LineIndex::new(std::mem::take(&mut self.path));
            return Ok(None);
        };
        if self.of != Some(reader.identity()) || self.end.offset > reader.file_len()? {
            *self = LineIndex::new(std::mem::take(&mut self.path));
            self.of = Some(reader.identity());
            self.load(reader.file_len()?);
        }
        if self.ended {
            return Ok(Some(reader));
        }
        reader.go_to(self.end.offset)?;
        while let Some(frame) = reader.next_frame()? {
            self.end.before.push(&frame, &mut |_| {});
            self.end.offset = reader.offset();
            let since = self.end.offset - self.places.last().map_or(0, |place| place.offset);
            if since >= EVERY_BYTES.max(HELD_SHARE * self.end.before.held() as u64) {
                self.places.push(self.end.clone());
            }
        }
        self.ended = reader.ended();
        if self.ended && self.end.offset >= SAVED_FROM {
            self.save();
        }
        Ok(Some(reader))
    }

    /// The last place with fewer than so many lines, or bytes of text, before it.
    fn place(&self, is_before: impl Fn(&Lines) -> bool) -> Place {
        let after = self.places.partition_point(|place| is_before(&place.before));
        after.checked_sub(1).map_or_else(Place::beginning, |at| self.places[at].clone())
    }

    fn save(&self) {
        let file = Self::file(&self.path);
        if file.exists() {
            return;
        }
        let saved = Saved { version: VERSION, places: self.places.clone(), end: self.end.clone() };
        // Two processes may do so at once; each renames a whole file of its own.
        let own = file.with_extension(format!("lines.{}", std::process::id()));
        let write = || {
            let bytes = serde_json::to_vec(&saved).map_err(std::io::Error::from)?;
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(FILE_MODE).open(&own)?.write_all(&bytes)?;
            std::fs::rename(&own, &file)
        };
        if let Err(error) = write() {
            tracing::warn!(path = %file.display(), %error, "the index of a log is not kept; it is made again when it is needed");
        }
    }

    /// Takes the index out of its file, if it is that of this very log and whole.
    fn load(&mut self, log_bytes: u64) {
        let Ok(bytes) = std::fs::read(Self::file(&self.path)) else { return };
        let Ok(Saved { version: VERSION, places, end }) = serde_json::from_slice(&bytes) else { return };
        let fits = end.offset + HEADER_BYTES as u64 == log_bytes
            && places.is_sorted_by(|a, b| a.offset < b.offset)
            && places.last().is_none_or(|last| last.offset <= end.offset);
        if fits {
            (self.places, self.end, self.ended) = (places, end, true);
        }
    }
}

/// A log by its lines, as far as it went when it was looked at.
pub struct LogLines {
    index: Arc<Mutex<LineIndex>>,
    end: Lines,
    ended: bool,
}

impl LogLines {
    pub(super) fn open(index: Arc<Mutex<LineIndex>>) -> Result<Option<LogLines>, StoreError> {
        let (end, ended) = {
            let mut index = index.lock().unwrap_or_else(PoisonError::into_inner);
            if index.catch_up()?.is_none() {
                return Ok(None);
            }
            (index.end.before.clone(), index.ended)
        };
        Ok(Some(LogLines { index, end, ended }))
    }

    /// What had come then.
    pub fn end(&self) -> &Lines {
        &self.end
    }

    /// Whether that is all that will come.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Calls `each` for the lines from `first` on, in their order, for as long as it says that it wants more. `over` says that nothing more
    /// will come although the log has no end, because its host died: then what has no newline is a line, too.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn read(&self, first: u64, over: bool, mut each: impl FnMut(Line<'_>) -> bool) -> Result<(), StoreError> {
        let Some((mut reader, mut lines)) = self.begin(|before| before.complete() < first)? else { return Ok(()) };
        let mut more = true;
        let mut give = |line: Line<'_>| {
            if more && line.number >= first {
                more = each(line);
            }
            more
        };
        while let Some(frame) = reader.next_frame()? {
            let mut wants = true;
            lines.push(&frame, &mut |line| wants = give(line));
            if !wants {
                return Ok(());
            }
        }
        if over || reader.ended() {
            lines.finish(&mut |line| {
                give(line);
            });
        }
        Ok(())
    }

    /// The text from byte `from` on, of all streams as it came.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn text(&self, from: u64) -> Result<LogText, StoreError> {
        let begun = self.begin(|before| before.bytes() <= from)?;
        let skip = begun.as_ref().map_or(0, |(_, lines)| from - lines.bytes());
        Ok(LogText { reader: begun.map(|(reader, _)| reader), skip })
    }

    /// Where to follow the log from to see every line from `first` on: the offset, and what came before it.
    pub fn place(&self, first: u64) -> (u64, Lines) {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let Place { offset, before } = index.place(|before| before.complete() < first);
        (offset, before)
    }

    fn begin(&self, is_before: impl Fn(&Lines) -> bool) -> Result<Option<(LogReader, Lines)>, StoreError> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        // Places are of the log that is there now, which may be another one than a moment ago.
        if index.catch_up()?.is_none() {
            return Ok(None);
        }
        let Some(mut reader) = LogReader::open(&index.path)? else { return Ok(None) };
        let Place { offset, before } = index.place(is_before);
        let there = Some(reader.identity()) == index.of && reader.go_to(offset)?;
        Ok(there.then_some((reader, before)))
    }
}

/// The text of a log, from a byte on.
pub struct LogText {
    reader: Option<LogReader>,
    skip: u64,
}

impl LogText {
    /// The next piece; `None` where there is none.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn next_piece(&mut self) -> Result<Option<bytes::Bytes>, StoreError> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        while let Some(frame) = reader.next_frame()? {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(frame.bytes.len());
            self.skip -= skipped as u64;
            if skipped < frame.bytes.len() {
                return Ok(Some(frame.bytes.slice(skipped..)));
            }
        }
        Ok(None)
    }
}
