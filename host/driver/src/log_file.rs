//! The log of one attempt, as the capabilities write to it.
//!
//! A plugin's own lines have their quota in the sandbox. What containers print has it here: it is bounded for the attempt, what is
//! over it is dropped and counted, and the container is never held up by it.

use crate::{clock::now_ms, run::Shared};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use windlass_capabilities::{LogSink, LogStream as From};
use windlass_contract::StepName;
use windlass_store::{
    StoreError,
    logs::{LogStream, LogWriter},
};

/// What the containers of one attempt may print into its log, in bytes: 1 GiB, ten times the largest log that people still
/// read, and little enough that a command which prints for ever does not fill the disk before its timeout.
pub const CONTAINER_LOG_BYTES: u64 = 1 << 30;

/// A log that is being written; nothing more once it is finished.
pub(crate) struct LogFile(Mutex<Option<Writing>>);

struct Writing {
    writer: LogWriter,
    /// What containers may still print.
    left: u64,
    printed: u64,
    dropped: u64,
}

impl LogFile {
    /// Begins the log of an attempt; what an earlier execution of it had written is gone.
    pub(crate) fn begin(shared: &Shared, step: &StepName, attempt: u32) -> Result<Arc<LogFile>, StoreError> {
        let writer = shared.host.parts.logs.writer(&shared.run, step, attempt)?;
        Ok(Arc::new(Self::new(writer, CONTAINER_LOG_BYTES)))
    }

    fn new(writer: LogWriter, left: u64) -> Self {
        LogFile(Mutex::new(Some(Writing { writer, left, printed: 0, dropped: 0 })))
    }

    fn writing(&self) -> MutexGuard<'_, Option<Writing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line of the host's own.
    pub(crate) fn say(&self, line: &str) {
        self.append(From::System, format!("{line}\n").as_bytes());
    }

    /// Everything that was written is on the disk when it returns; what could not be written is said here, once. Gives how many
    /// bytes of what containers printed are in it.
    pub(crate) async fn finish(&self) -> Result<u64, StoreError> {
        let (printed, dropped) = self.writing().as_ref().map_or((0, 0), |writing| (writing.printed, writing.dropped));
        if dropped > 0 {
            self.say(&format!(
                "{dropped} bytes of what containers printed were dropped: a step's log takes {} MiB of it; write large results \
                 to a file and keep that as an artifact",
                CONTAINER_LOG_BYTES >> 20
            ));
        }
        let writing = self.writing().take();
        match writing {
            Some(writing) => writing.writer.finish().await.map(|_| printed),
            None => Ok(printed),
        }
    }
}

impl LogSink for LogFile {
    fn append(&self, stream: From, bytes: &[u8]) {
        let mut writing = self.writing();
        let Some(Writing { writer, left, printed, dropped }) = writing.as_mut() else { return };
        let (stream, kept) = match stream {
            From::Stdout | From::Stderr => {
                let room = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= room as u64;
                *printed += room as u64;
                *dropped += (bytes.len() - room) as u64;
                let stream = if stream == From::Stdout { LogStream::Stdout } else { LogStream::Stderr };
                (stream, &bytes[..room])
            }
            From::Plugin => (LogStream::Plugin, bytes),
            From::System => (LogStream::System, bytes),
        };
        if !kept.is_empty() {
            // Each piece is flushed: it comes from an engine's socket or a guest's call and is as large as it will be, and
            // who follows wants to see it now. An error stays in the writer, and `finish` says it.
            let _ = writer.append(stream, now_ms(), kept).and_then(|()| writer.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_store::logs::LogStore;

    #[tokio::test]
    async fn what_containers_print_is_bounded() {
        let home = tempfile::tempdir().expect("a folder");
        let logs = LogStore::open(home.path());
        let (run, step) = ("r1".parse().expect("a run"), "it".parse().expect("a step"));
        let log = LogFile::new(logs.writer(&run, &step, 1).expect("a log"), 10);
        log.append(From::Stdout, b"12345678");
        log.append(From::Plugin, b"of the plugin\n");
        log.append(From::Stderr, b"abcdef");
        log.append(From::Stdout, b"more");
        assert_eq!(log.finish().await.expect("written"), 10);
        let mut raw = Vec::new();
        logs.raw(&run, &step, 1, &mut raw).expect("readable");
        assert_eq!(raw, b"12345678ab");
        let mut reader = logs.reader(&run, &step, 1).expect("readable").expect("there");
        let mut last = Vec::new();
        while let Some(frame) = reader.next_frame().expect("readable") {
            last = frame.bytes.to_vec();
        }
        let last = String::from_utf8(last).expect("text");
        assert!(last.starts_with("8 bytes of what containers printed were dropped"), "{last}");
    }
}
