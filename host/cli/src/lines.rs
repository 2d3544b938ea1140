//! A log's frames as lines for a screen.

use tokio::sync::oneshot;
use windlass_capabilities::log::shown;
use windlass_store::logs::{Followed, Follower, Line, Lines, LogReader, LogStream};

/// Every line that is there.
///
/// # Errors
/// When the log cannot be read.
pub(crate) fn read(
    mut reader: LogReader,
    mut each: impl FnMut(LogStream, u64, &str),
) -> Result<(), windlass_store::StoreError> {
    let mut lines = Lines::whole();
    let mut each = |line: Line<'_>| each(line.stream, line.at_ms, &shown(line.bytes));
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
    let mut lines = Lines::whole();
    let mut each = |line: Line<'_>| each(line.stream, line.at_ms, &shown(line.bytes));
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
            Ok(Some(Followed::Restarted)) => lines = Lines::whole(),
            // A log that cannot be read is said by `windlass logs`; the run goes on.
            Ok(None) | Err(_) => break,
        }
    }
    lines.finish(&mut each);
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_store::logs::Frame;

    #[test]
    fn frames_are_cut_into_lines() {
        let frame = |stream, text: &str| Frame { at_ms: 1, stream, bytes: text.as_bytes().to_vec().into() };
        let mut lines = Lines::whole();
        let mut seen = Vec::new();
        let mut each = |line: Line<'_>| seen.push((line.stream, shown(line.bytes)));
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
