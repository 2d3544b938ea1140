//! The log of one call: quotas, and the last lines for a report.

use crate::limits;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};
use windlass_contract::capability::{Log, LogEntry, LogLevel};

/// Stands between the guest and the host's log. Never fails: what is over the quota is dropped, counted, and told at the
/// end of the call, however it ends.
pub(crate) struct LogSink {
    log: Arc<dyn Log>,
    used: AtomicU64,
    full: AtomicBool,
    dropped: AtomicU64,
    dropped_bytes: AtomicU64,
    depth: AtomicU64,
    tail: Mutex<VecDeque<String>>,
}

impl LogSink {
    pub(crate) fn new(log: Arc<dyn Log>) -> Arc<Self> {
        Arc::new(LogSink {
            log,
            used: AtomicU64::new(0),
            full: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            dropped_bytes: AtomicU64::new(0),
            depth: AtomicU64::new(0),
            tail: Mutex::default(),
        })
    }

    /// Whether `bytes` more fit. The first entry that does not fit closes the log: no gaps inside what is shown.
    fn admit(&self, bytes: usize) -> bool {
        let cost = (bytes as u64).max(limits::LOG_ENTRY_BYTES);
        let fits = !self.full.load(Ordering::Relaxed)
            && self.used.fetch_add(cost, Ordering::Relaxed) + cost <= limits::LOG_BYTES;
        if !fits {
            self.full.store(true, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.dropped_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        fits
    }

    fn remember(&self, text: &str) {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        for line in text.lines().rev().take(limits::TAIL_LINES).collect::<Vec<_>>().into_iter().rev() {
            if tail.len() == limits::TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(line.chars().take(limits::TAIL_LINE_CHARS).collect());
        }
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> Vec<String> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(crate) fn line(&self, level: LogLevel, mut message: String, mut fields: Vec<(String, String)>) {
        cut(&mut message);
        let mut left = limits::LOG_LINE_BYTES - message.len().min(limits::LOG_LINE_BYTES);
        let all = fields.len();
        let fitting = fields
            .iter()
            .take_while(|(name, value)| {
                // A field costs its place in a list too, or a million empty ones would be free.
                let cost = name.len() + value.len() + 8;
                let fits = cost <= left;
                left -= cost.min(left);
                fits
            })
            .count();
        if fitting < all {
            fields.truncate(fitting);
            fields.push(("cut".to_owned(), format!("{} fields", all - fitting)));
        }
        let bytes = message.len() + fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if self.admit(bytes) {
            self.remember(&message);
            self.log.write(LogEntry::Line { level, message, fields });
        }
    }

    pub(crate) fn group_start(&self, mut name: String) {
        if self.depth.fetch_add(1, Ordering::Relaxed) >= u64::from(limits::LOG_GROUPS) {
            return self.line(LogLevel::Info, name, Vec::new());
        }
        cut(&mut name);
        if self.admit(name.len()) {
            self.log.write(LogEntry::GroupStart(name));
        }
    }

    pub(crate) fn group_end(&self) {
        let depth = self.depth.load(Ordering::Relaxed);
        if depth == 0 {
            return;
        }
        self.depth.store(depth - 1, Ordering::Relaxed);
        if depth <= u64::from(limits::LOG_GROUPS) && self.admit(0) {
            self.log.write(LogEntry::GroupEnd);
        }
    }

    pub(crate) fn progress(&self, done: u32, total: u32, mut message: String) {
        cut(&mut message);
        if self.admit(message.len()) {
            self.log.write(LogEntry::Progress { done, total, message });
        }
    }

    fn stdio(&self, stderr: bool, bytes: &[u8]) {
        if self.admit(bytes.len()) {
            self.remember(&String::from_utf8_lossy(bytes));
            self.log.write(LogEntry::Stdio { stderr, bytes: bytes.to_vec() });
        }
    }
}

/// Cuts a text to the length of a line, and marks it.
fn cut(text: &mut String) {
    if text.len() > limits::LOG_LINE_BYTES {
        let rest = text.len() - limits::LOG_LINE_BYTES;
        text.truncate(text.floor_char_boundary(limits::LOG_LINE_BYTES));
        text.push_str(&format!(" … (cut: {rest} more bytes)"));
    }
}

impl Drop for LogSink {
    fn drop(&mut self) {
        let dropped = *self.dropped.get_mut();
        if dropped > 0 {
            let message = format!(
                "{dropped} further log entries with {} were dropped: a plugin may write {} a step",
                limits::size(*self.dropped_bytes.get_mut()),
                limits::size(limits::LOG_BYTES)
            );
            self.log.write(LogEntry::Line { level: LogLevel::Warn, message, fields: Vec::new() });
        }
    }
}

/// The guest's standard output or error.
pub(crate) struct Stdio {
    pub(crate) sink: Arc<LogSink>,
    pub(crate) stderr: bool,
}

impl IsTerminal for Stdio {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stdio {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this one, and it is not linked.
        Box::new(tokio::io::sink())
    }
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Stdio { sink: self.sink.clone(), stderr: self.stderr })
    }
}

#[async_trait]
impl Pollable for Stdio {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Stdio {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        if !bytes.is_empty() {
            self.sink.stdio(self.stderr, &bytes);
        }
        Ok(())
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<LogEntry>>);

    impl Log for Recorder {
        fn write(&self, entry: LogEntry) {
            self.0.lock().expect("a lock").push(entry);
        }
    }

    /// What the host's log gets when `write` writes.
    fn written(write: impl FnOnce(&LogSink)) -> Vec<LogEntry> {
        let recorder = Arc::new(Recorder::default());
        write(&LogSink::new(recorder.clone()));
        std::mem::take(&mut recorder.0.lock().expect("a lock"))
    }

    #[test]
    fn empty_lines_are_not_free() {
        let entries = written(|sink| (0..1_100_000).for_each(|_| sink.line(LogLevel::Info, String::new(), Vec::new())));
        assert_eq!(entries.len() as u64, limits::LOG_BYTES / limits::LOG_ENTRY_BYTES + 1);
        let Some(LogEntry::Line { message, .. }) = entries.last() else { panic!("no line") };
        assert!(message.starts_with("51424 further log entries with 0 bytes were dropped"), "{message}");
    }

    #[test]
    fn a_million_empty_fields_are_cut() {
        let fields = vec![(String::new(), String::new()); 1_000_000];
        let entries = written(|sink| sink.line(LogLevel::Info, "x".into(), fields));
        let [LogEntry::Line { fields, .. }] = entries.as_slice() else { panic!("one line") };
        assert_eq!(fields.len(), limits::LOG_LINE_BYTES / 8);
        assert_eq!(fields.last(), Some(&("cut".to_owned(), "868929 fields".to_owned())));
    }

    #[test]
    fn groups_nest_eight_deep() {
        let entries = written(|sink| {
            (0..10).for_each(|depth| sink.group_start(depth.to_string()));
            (0..12).for_each(|_| sink.group_end());
        });
        let count = |expect: fn(&LogEntry) -> bool| entries.iter().filter(|entry| expect(entry)).count();
        assert_eq!(count(|entry| matches!(entry, LogEntry::GroupStart(_))), 8);
        assert_eq!(count(|entry| matches!(entry, LogEntry::Line { .. })), 2);
        assert_eq!(count(|entry| matches!(entry, LogEntry::GroupEnd)), 8);
    }

    #[test]
    fn the_tail_is_the_last_lines() {
        let sink = LogSink::new(Arc::new(Recorder::default()));
        (0..30).for_each(|line| sink.line(LogLevel::Info, line.to_string(), Vec::new()));
        sink.stdio(true, b"thread panicked\nat the disco\n");
        let tail = sink.tail();
        assert_eq!(tail.len(), limits::TAIL_LINES);
        assert_eq!(tail[17..], ["29", "thread panicked", "at the disco"]);
    }
}
