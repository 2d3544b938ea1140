//! A log's frames as lines.
//!
//! A line ends with its newline and is of one stream. Lines are numbered from 1 in the order of their ends, whichever stream they are of; what
//! the streams have left without a newline at a log's end are its last lines. So a line's number follows from the bytes before its end, and
//! whoever begins between two frames with the [`Lines`] of that place counts as everybody else.

use super::{Frame, LogStream};
use serde::{Deserialize, Serialize};

/// How much of a line people are shown, in bytes (64 KiB). Nobody reads a longer one, and a page of them must stay sendable.
pub const SHOWN_BYTES: usize = 64 * 1024;

/// A line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// When its last piece came, in milliseconds since 1970 (UTC).
    pub at_ms: u64,
    /// Whose it is.
    pub stream: LogStream,
    /// Its bytes, without the newline.
    pub bytes: &'a [u8],
    /// How many more it has than are given.
    pub cut: u64,
}

/// Cuts frames into lines: what it must know of everything that came before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// How much of a line is kept.
    keep: usize,
    complete: u64,
    bytes: u64,
    /// What has come of each stream's last line, in the order in which the streams were first seen.
    partial: Vec<Partial>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Partial {
    stream: LogStream,
    at_ms: u64,
    kept: Vec<u8>,
    cut: u64,
}

impl Partial {
    fn add(&mut self, bytes: &[u8], keep: usize) {
        let room = keep.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        self.cut += (bytes.len() - room) as u64;
    }

    fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.cut == 0
    }

    fn line(&self, number: u64) -> Line<'_> {
        Line { number, at_ms: self.at_ms, stream: self.stream, bytes: &self.kept, cut: self.cut }
    }
}

impl Lines {
    /// Whole lines, whatever memory they take.
    pub fn whole() -> Lines {
        Lines { keep: usize::MAX, complete: 0, bytes: 0, partial: Vec::new() }
    }

    /// Lines of which [`SHOWN_BYTES`] are given.
    pub fn shown() -> Lines {
        Lines { keep: SHOWN_BYTES, ..Lines::whole() }
    }

    /// How many lines have ended.
    pub fn complete(&self) -> u64 {
        self.complete
    }

    /// How many bytes of text have come, newlines among them.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many lines there are if nothing more comes.
    pub fn total(&self) -> u64 {
        self.complete + self.partial.iter().filter(|partial| !partial.is_empty()).count() as u64
    }

    /// How much memory the lines without an end take, in bytes.
    pub(super) fn held(&self) -> usize {
        self.partial.iter().map(|partial| partial.kept.len()).sum()
    }

    /// Takes a frame, and calls `each` for every line that ends in it.
    pub fn push(&mut self, frame: &Frame, each: &mut impl FnMut(Line<'_>)) {
        self.bytes += frame.bytes.len() as u64;
        let keep = self.keep;
        let partial = match self.partial.iter_mut().position(|partial| partial.stream == frame.stream) {
            Some(at) => &mut self.partial[at],
            None => {
                self.partial.push(Partial { stream: frame.stream, at_ms: 0, kept: Vec::new(), cut: 0 });
                let last = self.partial.len() - 1;
                &mut self.partial[last]
            }
        };
        partial.at_ms = frame.at_ms;
        let mut rest = &frame.bytes[..];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let bytes = &rest[..end];
            rest = &rest[end + 1..];
            self.complete += 1;
            if partial.is_empty() {
                // Most lines come whole, and need no copy.
                let shown = &bytes[..bytes.len().min(keep)];
                let cut = (bytes.len() - shown.len()) as u64;
                let (number, at_ms, stream) = (self.complete, frame.at_ms, frame.stream);
                each(Line { number, at_ms, stream, bytes: shown, cut });
            } else {
                partial.add(bytes, keep);
                each(partial.line(self.complete));
                partial.kept.clear();
                partial.cut = 0;
            }
        }
        partial.add(rest, keep);
    }

    /// Calls `each` for what is left without a newline, when nothing more comes.
    pub fn finish(&self, each: &mut impl FnMut(Line<'_>)) {
        let left = self.partial.iter().filter(|partial| !partial.is_empty());
        for (partial, number) in left.zip(self.complete + 1..) {
            each(partial.line(number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(mut lines: Lines, frames: &[(LogStream, &[u8])]) -> Vec<(u64, LogStream, String, u64)> {
        let mut seen = Vec::new();
        let mut each = |line: Line<'_>| {
            seen.push((line.number, line.stream, String::from_utf8_lossy(line.bytes).into(), line.cut));
        };
        for (stream, bytes) in frames {
            lines.push(&Frame { at_ms: 1, stream: *stream, bytes: bytes.to_vec().into() }, &mut each);
        }
        lines.finish(&mut each);
        seen
    }

    #[test]
    fn numbered_in_the_order_of_their_ends() {
        use LogStream::{Stderr, Stdout};
        let seen = cut(
            Lines::shown(),
            &[(Stdout, b"one\ntw"), (Stderr, b"other\n\n"), (Stdout, b"o\nend"), (Stderr, b""), (Stderr, b"last")],
        );
        let expected = [
            (1, Stdout, "one"),
            (2, Stderr, "other"),
            (3, Stderr, ""),
            (4, Stdout, "two"),
            (5, Stdout, "end"),
            (6, Stderr, "last"),
        ];
        assert_eq!(seen, expected.map(|(number, stream, text)| (number, stream, text.to_owned(), 0)));
    }

    #[test]
    fn a_line_over_the_limit_is_cut_and_says_so() {
        let long = vec![b'x'; SHOWN_BYTES + 7];
        let whole = [&long[..], b"\nnext\n"].concat();
        for pieces in [vec![&whole[..]], whole.chunks(1000).collect()] {
            let frames: Vec<_> = pieces.into_iter().map(|piece| (LogStream::Stdout, piece)).collect();
            let seen = cut(Lines::shown(), &frames);
            assert_eq!((seen[0].2.len(), seen[0].3, seen[1].2.as_str(), seen[1].3), (SHOWN_BYTES, 7, "next", 0));
            let seen = cut(Lines::whole(), &frames);
            assert_eq!((seen[0].2.len(), seen[0].3), (SHOWN_BYTES + 7, 0));
        }
    }
}
