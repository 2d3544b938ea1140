//! Writing a log.

use super::{END, HEADER_BYTES, Live, LogStream, MAGIC, MAX_FRAME_BYTES, index::LineIndex};
use crate::{
    StoreError,
    lock::{FILE_MODE, make_dir},
};
use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;

/// How much is gathered before it is written, in bytes. Larger gains nothing measurable; smaller costs calls.
const BUFFER_BYTES: usize = 64 * 1024;

/// How long a byte stays in the buffer while others follow it, in milliseconds: what a reader may wait for at most.
const MAX_DELAY_MS: u64 = 50;

/// After how many bytes a writer has its log's lines counted (4 MiB): what a reader who comes must read itself at most, in some milliseconds.
const COUNTED_EVERY: u64 = 4 << 20;

/// The log of one attempt, being written.
///
/// Bytes are written when the buffer is full, when the oldest in it is 50 ms old at the next append, and at
/// [`LogWriter::flush`]: whoever feeds it calls that when nothing more is there for the moment. Dropped without
/// [`LogWriter::finish`], it writes what it has and leaves the log without its end.
pub struct LogWriter {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    /// When the oldest frame in the buffer came.
    oldest_ms: Option<u64>,
    last_ms: u64,
    bytes: u64,
    /// Bytes in the file; who follows waits for it to change.
    progress: watch::Sender<u64>,
    live: Live,
    index: Arc<Mutex<LineIndex>>,
    /// An error has left the file in an unknown state: nothing more is written to it.
    broken: bool,
}

impl LogWriter {
    pub(super) fn new(path: PathBuf, live: Live, index: Arc<Mutex<LineIndex>>) -> Self {
        let (progress, follow) = watch::channel(0);
        live.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), follow);
        LogWriter {
            path,
            file: None,
            buffer: Vec::new(),
            oldest_ms: None,
            last_ms: 0,
            bytes: 0,
            progress,
            live,
            index,
            broken: false,
        }
    }

    /// Takes bytes that came at `at_ms`, in milliseconds since 1970 (UTC).
    ///
    /// # Errors
    /// When they cannot be written, as on a full disk. The log then ends with the last whole frame, and every later call fails too.
    pub fn append(&mut self, stream: LogStream, at_ms: u64, bytes: &[u8]) -> Result<(), StoreError> {
        for piece in bytes.chunks(MAX_FRAME_BYTES) {
            self.push(at_ms, stream.byte(), piece);
            if self.buffer.len() >= BUFFER_BYTES {
                self.flush()?;
            }
        }
        self.bytes += bytes.len() as u64;
        self.last_ms = at_ms;
        match self.oldest_ms {
            Some(oldest) if at_ms.saturating_sub(oldest) >= MAX_DELAY_MS => self.flush(),
            _ => Ok(()),
        }
    }

    /// How many bytes it was given.
    pub fn bytes_written(&self) -> u64 {
        self.bytes
    }

    /// Writes what is in the buffer, and wakes those who follow.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.write_out();
        self.buffer.clear();
        self.oldest_ms = None;
        self.broken |= written.is_err();
        written
    }

    /// Writes the rest and the end, and has it on the disk when it returns. Gives how many bytes the log was given.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn finish(mut self) -> Result<u64, StoreError> {
        if self.bytes == 0 {
            return Ok(0);
        }
        self.push(self.last_ms, END, &[]);
        self.flush()?;
        if let Some(file) = self.file.take() {
            let index = Arc::clone(&self.index);
            let synced = tokio::task::spawn_blocking(move || {
                count(&index);
                file.sync_data()
            })
            .await;
            synced
                .unwrap_or_else(|error| Err(std::io::Error::other(error)))
                .map_err(StoreError::io("sync", &self.path))?;
        }
        Ok(self.bytes)
    }

    fn push(&mut self, at_ms: u64, stream: u8, bytes: &[u8]) {
        if self.buffer.is_empty() && self.file.is_none() {
            self.buffer.extend_from_slice(&MAGIC);
        }
        self.buffer.reserve(HEADER_BYTES + bytes.len());
        self.buffer.extend_from_slice(&at_ms.to_le_bytes());
        self.buffer.push(stream);
        // A piece has at most MAX_FRAME_BYTES.
        self.buffer.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(bytes);
        self.oldest_ms.get_or_insert(at_ms);
    }

    fn write_out(&mut self) -> Result<(), StoreError> {
        let failed = StoreError::io("write the log", &self.path);
        if self.broken {
            return Err(failed(std::io::Error::other("an earlier write to it failed")));
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                if let Some(dir) = self.path.parent() {
                    make_dir(dir)?;
                }
                let made = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&self.path);
                self.file.insert(made.map_err(StoreError::io("make the log", &self.path))?)
            }
        };
        let before = *self.progress.borrow();
        if let Err(source) = file.write_all(&self.buffer) {
            // Half a frame in the middle of a log would be damage: take it back. Where even that fails, nothing follows it.
            let _ = file.set_len(before);
            return Err(failed(source));
        }
        let after = before + self.buffer.len() as u64;
        self.progress.send_replace(after);
        if before / COUNTED_EVERY != after / COUNTED_EVERY {
            count(&self.index);
        }
        Ok(())
    }
}

/// Counts the lines that are in the file by now. What is derived from a log must not stop it: who reads it is told the error.
fn count(index: &Mutex<LineIndex>) {
    drop(index.lock().unwrap_or_else(PoisonError::into_inner).catch_up());
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            tracing::warn!(%error, "the end of a log was lost");
        }
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        // A later execution may have put its own there.
        if live.get(&self.path).is_some_and(|follow| follow.same_channel(&self.progress.subscribe())) {
            live.remove(&self.path);
        }
    }
}
