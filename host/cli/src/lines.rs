//! A log's frames as lines for a screen.

use tokio::sync::oneshot;
use windlass_store::logs::{Followed, Follower, Frame, LogReader, LogStream};

/// Frames to lines: a frame may hold many, or a part of one.
#[derive(Default)]
struct Lines {
    /// What has come of each stream's last line, and when.
    partial: Vec<(LogStream, u64, Vec<u8>)>,
}

impl Lines {
    /// Calls `each` for every line that is complete.
    fn push(&mut self, frame: &Frame, each: &mut impl FnMut(LogStream, u64, &str)) {
        let at = self.partial.iter().position(|(stream, ..)| *stream == frame.stream).unwrap_or_else(|| {
            self.partial.push((frame.stream, frame.at_ms, Vec::new()));
            self.partial.len() - 1
        });
        let (_, at_ms, partial) = &mut self.partial[at];
        *at_ms = frame.at_ms;
        partial.extend_from_slice(&frame.bytes);
        let Some(end) = partial.iter().rposition(|byte| *byte == b'\n') else { return };
        let rest = partial.split_off(end + 1);
        for line in partial[..end].split(|byte| *byte == b'\n') {
            each(frame.stream, frame.at_ms, &shown(line));
        }
        *partial = rest;
    }

    /// What is left at the end without a newline.
    fn finish(self, each: &mut impl FnMut(LogStream, u64, &str)) {
        for (stream, at_ms, rest) in self.partial.into_iter().filter(|(_, _, rest)| !rest.is_empty()) {
            each(stream, at_ms, &shown(&rest));
        }
    }
}

/// A line as a terminal may show it: what `\r` would have overwritten is gone, and so are control sequences other than colours.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\r');
    let last = text.rsplit('\r').next().unwrap_or_default();
    windlass_capabilities::log::escape(last)
}

/// Every line that is there.
///
/// # Errors
/// When the log cannot be read.
pub(crate) fn read(
    mut reader: LogReader,
    mut each: impl FnMut(LogStream, u64, &str),
) -> Result<(), windlass_store::StoreError> {
    let mut lines = Lines::default();
    while let Some(frame) = reader.next_frame()? {
        lines.push(&frame, &mut each);
    }
    lines.finish(&mut each);
    Ok(())
}

/// Every line as it comes, until the log's end, or until `is_over` says that nothing more will come.
pub(crate) async fn follow(
    mut follower: Follower,
    mut is_over: oneshot::Receiver<()>,
    mut each: impl FnMut(LogStream, u64, &str),
) {
    let mut lines = Lines::default();
    let mut waiting = true;
    loop {
        let next = if waiting {
            tokio::select! {
                biased;
                next = follower.next() => next,
                _ = &mut is_over => {
                    waiting = false;
                    continue;
                }
            }
        } else {
            follower.try_next()
        };
        match next {
            Ok(Some(Followed::Frame(frame))) => lines.push(&frame, &mut each),
            Ok(Some(Followed::Restarted)) => lines = Lines::default(),
            // A log that cannot be read is said by `windlass logs`; the run goes on.
            Ok(None) | Err(_) => break,
        }
    }
    lines.finish(&mut each);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_into_lines() {
        let frame = |stream, text: &str| Frame { at_ms: 1, stream, bytes: text.as_bytes().to_vec().into() };
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        let mut each = |stream, _, text: &str| seen.push((stream, text.to_owned()));
        lines.push(&frame(LogStream::Stdout, "one\ntw"), &mut each);
        lines.push(&frame(LogStream::Stderr, "other\n"), &mut each);
        lines.push(&frame(LogStream::Stdout, "o\n10%\r50%\r\n\x1b]0;title\x07\nend"), &mut each);
        lines.finish(&mut each);
        let expect = [
            (LogStream::Stdout, "one"),
            (LogStream::Stderr, "other"),
            (LogStream::Stdout, "two"),
            (LogStream::Stdout, "50%"),
            (LogStream::Stdout, "\\u{1b}]0;title\\u{7}"),
            (LogStream::Stdout, "end"),
        ];
        assert_eq!(seen, expect.map(|(stream, text)| (stream, text.to_owned())));
    }
}
