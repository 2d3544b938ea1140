//! The step's log: where lines go, and how a plugin's own lines are made fit to be read.
//!
//! A plugin's text is data, not terminal control: values are masked, then every control character but tab, newline and
//! colour is shown escaped, bidirectional overrides too, and a line that holds newlines is indented so that it cannot pass
//! for the lines of another. A container's output is masked and otherwise left byte for byte as it was printed, so that
//! the stored log is exact; whoever shows it on a terminal filters it there.
//!
//! Quotas (bytes a line and a step) belong to the callers: `runtime` for a plugin, the sink for what it stores.

use crate::secrets::{MaskStream, Masker};
use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};
use windlass_contract::capability::{Log, LogEntry, LogLevel};

/// Groups nest at most this deep; deeper ones are written without further indentation. A reader cannot follow more.
const MAX_GROUP_DEPTH: usize = 8;

/// A guest's standard output without a newline is written after this many bytes, so that it is neither lost nor hoarded.
const MAX_STDIO_LINE: usize = 64 << 10;

/// Where a piece of a step's log comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogStream {
    /// A container's standard output.
    Stdout,
    /// A container's standard error.
    Stderr,
    /// The plugin itself.
    Plugin,
    /// The host: what it did for the step.
    System,
}

/// Where a step's log goes. Bytes are masked already, and not aligned to lines.
pub trait LogSink: Send + Sync {
    /// Takes the next bytes of a stream. Must not block for long: containers wait for it.
    fn append(&self, stream: LogStream, bytes: &[u8]);
}

/// Writes one line of the host's own into a step's log.
pub(crate) fn system_line(sink: &dyn LogSink, masker: &Masker, text: &str) {
    let mut line = escape(&masker.mask(text));
    line.push('\n');
    sink.append(LogStream::System, line.as_bytes());
}

/// [`Log`] for one attempt of one step.
pub(crate) struct PluginLog {
    sink: Arc<dyn LogSink>,
    masker: Masker,
    state: Mutex<State>,
}

struct State {
    depth: usize,
    stdio: [Stdio; 2],
}

struct Stdio {
    mask: MaskStream,
    line: Vec<u8>,
}

impl PluginLog {
    pub(crate) fn new(sink: Arc<dyn LogSink>, masker: Masker) -> Self {
        let stdio = || Stdio { mask: masker.stream(), line: Vec::new() };
        let state = State { depth: 0, stdio: [stdio(), stdio()] };
        PluginLog { sink, masker, state: Mutex::new(state) }
    }

    fn line(&self, depth: usize, text: &str) {
        let indent = "  ".repeat(depth.min(MAX_GROUP_DEPTH));
        let mut out = String::with_capacity(text.len() + 8);
        for (n, line) in escape(&self.masker.mask(text)).trim_end_matches('\n').split('\n').enumerate() {
            let _ = writeln!(out, "{indent}{}{line}", if n > 0 { "  " } else { "" });
        }
        self.sink.append(LogStream::Plugin, out.as_bytes());
    }
}

impl Log for PluginLog {
    fn write(&self, entry: LogEntry) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match entry {
            LogEntry::Line { level, message, fields } => {
                let mut text = match level {
                    LogLevel::Debug => "debug: ".to_owned(),
                    LogLevel::Info => String::new(),
                    LogLevel::Warn => "warning: ".to_owned(),
                    LogLevel::Error => "error: ".to_owned(),
                };
                text.push_str(&message);
                for (name, value) in fields {
                    let quote = value.is_empty() || value.contains(|c: char| c.is_whitespace() || c == '"' || c == '=');
                    let _ = if quote { write!(text, " {name}={value:?}") } else { write!(text, " {name}={value}") };
                }
                self.line(state.depth, &text);
            }
            LogEntry::GroupStart(name) => {
                self.line(state.depth, &format!("▸ {name}"));
                state.depth += 1;
            }
            LogEntry::GroupEnd => state.depth = state.depth.saturating_sub(1),
            LogEntry::Progress { done, total: 0, message } => self.line(state.depth, &format!("[{done}] {message}")),
            LogEntry::Progress { done, total, message } => {
                self.line(state.depth, &format!("[{done}/{total}] {message}"));
            }
            LogEntry::Stdio { stderr, bytes } => {
                let depth = state.depth;
                let Stdio { mask, line } = &mut state.stdio[usize::from(stderr)];
                mask.push(&bytes, line);
                while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                    let rest = line.split_off(end + 1);
                    self.line(depth, &String::from_utf8_lossy(line));
                    *line = rest;
                }
                if line.len() > MAX_STDIO_LINE {
                    self.line(depth, &String::from_utf8_lossy(&std::mem::take(line)));
                }
            }
        }
    }
}

impl Drop for PluginLog {
    /// What the guest printed without a last newline is not lost.
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for n in 0..2 {
            let Stdio { mask, line } = &mut state.stdio[n];
            mask.finish(line);
            let rest = std::mem::take(line);
            if !rest.is_empty() {
                self.line(0, &String::from_utf8_lossy(&rest));
            }
        }
    }
}

/// A line's bytes as people may see them: what `\r` would have overwritten is gone, and so are control sequences other than colours.
pub fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\r');
    let last = text.rsplit('\r').next().unwrap_or_default();
    escape(last)
}

/// `text` with control characters shown, but for tab, newline and colour (`ESC [ … m`).
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = sgr(rest);
        if colour > 0 {
            out.push_str(&rest[..colour]);
            rest = &rest[colour..];
            continue;
        }
        match c {
            '\t' | '\n' => out.push(c),
            c if c.is_control() || is_bidi(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// How long the colour sequence is that `text` begins with; 0 for none.
fn sgr(text: &str) -> usize {
    let Some(body) = text.strip_prefix("\x1b[") else { return 0 };
    let digits = body.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b';' | b':')).count();
    if digits <= 32 && body.as_bytes().get(digits) == Some(&b'm') { digits + 3 } else { 0 }
}

/// Characters that turn the order of what is read around.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::{tests_support::Kept, *};
    use windlass_contract::SecretValue;

    fn written(entries: Vec<LogEntry>) -> String {
        let (sink, masker) = (Arc::new(Kept::default()), Masker::new());
        masker.add(&SecretValue::new(b"s3cr3t".to_vec()));
        let log = PluginLog::new(sink.clone(), masker);
        entries.into_iter().for_each(|entry| log.write(entry));
        drop(log);
        sink.text()
    }

    fn line(level: LogLevel, message: &str, fields: &[(&str, &str)]) -> LogEntry {
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        LogEntry::Line { level, message: message.to_owned(), fields }
    }

    #[test]
    fn lines_groups_and_progress() {
        let text = written(vec![
            line(LogLevel::Info, "hello", &[("n", "1"), ("words", "a b")]),
            LogEntry::GroupStart("build".to_owned()),
            line(LogLevel::Warn, "careful s3cr3t", &[("key", "s3cr3t")]),
            LogEntry::Progress { done: 1, total: 3, message: "files".to_owned() },
            LogEntry::GroupEnd,
            LogEntry::GroupEnd,
            line(LogLevel::Error, "two\nlines", &[]),
        ]);
        insta::assert_snapshot!(text, @r#"
        hello n=1 words="a b"
        ▸ build
          warning: careful *** key=***
          [1/3] files
        error: two
          lines
        "#);
    }

    #[test]
    fn control_characters_are_shown() {
        let check = |text: &str, expect: &str| assert_eq!(escape(text), expect);
        check("tab\tand \x1b[31;1mred\x1b[0m", "tab\tand \x1b[31;1mred\x1b[0m");
        check("\x1b]0;title\x07\x1b[2J\r\x08\0", "\\u{1b}]0;title\\u{7}\\u{1b}[2J\\u{d}\\u{8}\\u{0}");
        check("\u{202e}gnp.exe \u{9b}31m", "\\u{202e}gnp.exe \\u{9b}31m");
        check("grün ✓", "grün ✓");
    }

    #[test]
    fn standard_output_of_the_guest_is_masked_across_calls_and_not_lost() {
        let stdio = |bytes: &[u8]| LogEntry::Stdio { stderr: false, bytes: bytes.to_vec() };
        let text = written(vec![stdio(b"one s3c"), stdio(b"r3t\ntwo \xff"), stdio(b" end")]);
        assert_eq!(text, "one ***\ntwo \u{fffd} end\n");
    }
}

/// A sink that keeps everything, for the tests of this crate.
#[cfg(test)]
pub(crate) mod tests_support {
    use super::*;

    #[derive(Default)]
    pub(crate) struct Kept(Mutex<Vec<u8>>);

    impl Kept {
        pub(crate) fn text(&self) -> String {
            String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
        }
    }

    impl LogSink for Kept {
        fn append(&self, _: LogStream, bytes: &[u8]) {
            self.0.lock().unwrap().extend_from_slice(bytes);
        }
    }
}
