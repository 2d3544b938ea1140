//! What steps printed: pages, what is in them, and as it is written.
//!
//! Everything is read from the log's file by who asks, and nothing is held between two requests but the index of its lines. Files are read on
//! threads that may block, but for a stream's next piece, which the system has in memory because it has just been written.

use crate::{
    App, Problem,
    api::{LogLineRow, LogMatches, LogPage},
    follow::{Followed, is_over},
    streams::{BATCH_BYTES, Source, event},
};
use aho_corasick::AhoCorasick;
use bytes::Bytes;
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use windlass_capabilities::log::shown;
use windlass_contract::{RunId, StepName};
use windlass_store::{
    StoreError,
    logs::{Followed as Piece, Follower, Line, Lines, LogLines, LogStream},
};

/// How many lines a page has when it is not said.
pub(crate) const DEFAULT_PAGE_LINES: u32 = 1_000;
/// The most lines of a page: some screens more than anybody scrolls at once.
pub(crate) const MAX_PAGE_LINES: u32 = 5_000;
/// How many bytes of text a page has at most (4 MiB), and one line more: 5,000 long lines would be 300 MiB.
const MAX_PAGE_BYTES: usize = 4 << 20;
/// How long a search goes on before it says how far it came: less than people wait.
const SEARCH_TIME: Duration = Duration::from_millis(500);
/// How many lines a search gives.
const MAX_MATCHES: usize = 1_000;
/// How long the text is that is looked for, in characters.
pub(crate) const MAX_SEARCH_CHARACTERS: usize = 200;

/// An attempt that has been begun, or may be.
pub(crate) struct Attempt {
    pub run: RunId,
    pub step: StepName,
    pub attempt: u32,
    /// Nothing more will come of it.
    over: bool,
    followed: Arc<Followed>,
}

impl Attempt {
    /// The attempt of a step that the run has.
    pub(crate) async fn find(app: &App, run: RunId, step: &str, attempt: u32) -> Result<Attempt, Problem> {
        let followed = app.following().open(&run).await?;
        let found = followed.look(|run| {
            let planned = run.plan().steps().find(|planned| planned.name.as_str() == step)?;
            Some((planned.name.clone(), is_over(run, &planned.name, attempt)))
        });
        let missing = || Problem::not_found(format_args!("attempt {attempt} of a step of this name in run {run}"));
        let (step, over) = found.await?.filter(|_| attempt > 0).ok_or_else(missing)?;
        Ok(Attempt { run, step, attempt, over, followed })
    }
}

/// An attempt's log by its lines.
pub(crate) async fn lines(app: &App, of: &Attempt) -> Result<Option<LogLines>, Problem> {
    let (logs, run, step, attempt) = (app.host().logs().clone(), of.run.clone(), of.step.clone(), of.attempt);
    Ok(blocking(move || logs.lines(&run, &step, attempt)).await??)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(Problem::internal)
}

/// A page from line `from` on, or from the end if that is below 0.
pub(crate) async fn page(app: &App, of: Attempt, from: i64, limit: u32) -> Result<LogPage, Problem> {
    let Some(log) = lines(app, &of).await? else {
        return Ok(LogPage { first: 1, lines: Vec::new(), total_lines: 0, total_bytes: 0, complete: of.over });
    };
    let complete = log.ended() || of.over;
    let total_lines = if complete { log.end().total() } else { log.end().complete() };
    let total_bytes = log.end().bytes();
    let first = match u64::try_from(from) {
        Ok(from) => from,
        Err(_) => total_lines.saturating_sub(from.unsigned_abs()) + 1,
    };
    let rows = blocking(move || {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        log.read(first, complete, |line| {
            // What has come since the log was looked at is of the next page.
            if line.number > total_lines {
                return false;
            }
            bytes += line.bytes.len();
            rows.push(row(line));
            rows.len() < limit as usize && bytes < MAX_PAGE_BYTES
        })?;
        Ok::<_, StoreError>(rows)
    });
    Ok(LogPage { first, lines: rows.await??, total_lines, total_bytes, complete })
}

fn row(line: Line<'_>) -> LogLineRow {
    let stream = match line.stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
        LogStream::Plugin => "plugin",
        LogStream::System => "system",
    };
    let cut = (line.cut > 0).then_some(line.cut);
    LogLineRow { n: line.number, at_ms: line.at_ms, stream: stream.to_owned(), text: shown(line.bytes), cut }
}

/// The lines after `after` that have `text`, in small or capital letters.
pub(crate) async fn search(app: &App, of: Attempt, text: String, after: u64) -> Result<LogMatches, Problem> {
    let mut found = LogMatches { lines: Vec::new(), more: false, looked_at: after };
    let Some(log) = lines(app, &of).await? else { return Ok(found) };
    let needle = Needle::new(&text)?;
    blocking(move || {
        let until = Instant::now() + SEARCH_TIME;
        log.read(after.saturating_add(1), log.ended() || of.over, |line| {
            if found.lines.len() == MAX_MATCHES || (line.number.is_multiple_of(1_024) && Instant::now() > until) {
                found.more = true;
                return false;
            }
            found.looked_at = line.number;
            if needle.is_in(line.bytes) {
                found.lines.push(line.number);
            }
            true
        })?;
        Ok::<_, StoreError>(found)
    })
    .await?
    .map_err(Problem::from)
}

/// What is looked for.
enum Needle {
    /// Plain letters: looked for in the bytes.
    Ascii(AhoCorasick),
    /// Others: looked for in the line as text.
    Text(String),
}

impl Needle {
    fn new(text: &str) -> Result<Needle, Problem> {
        if !text.is_ascii() {
            return Ok(Needle::Text(text.to_lowercase()));
        }
        let searcher = AhoCorasick::builder().ascii_case_insensitive(true).build([text]);
        searcher.map(Needle::Ascii).map_err(Problem::internal)
    }

    fn is_in(&self, line: &[u8]) -> bool {
        // Colours in the middle of a word are not part of it.
        let plain = line.contains(&0x1b).then(|| without_colours(&shown(line)));
        let line = plain.as_ref().map_or(line, |plain| plain.as_bytes());
        match self {
            Needle::Ascii(searcher) => searcher.is_match(line),
            Needle::Text(text) => String::from_utf8_lossy(line).to_lowercase().contains(text),
        }
    }
}

/// A text without its colours, which are the only sequences that [`shown`] leaves.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut pieces = text.split("\x1b[");
    plain.extend(pieces.next());
    plain.extend(pieces.filter_map(|piece| piece.split_once('m')).map(|(_, rest)| rest));
    plain
}

/// A log as it is written: the source of a stream.
pub(crate) struct LogSource {
    of: Attempt,
    follower: Follower,
    lines: Lines,
    /// The last line that the reader has.
    after: u64,
    news: watch::Receiver<()>,
    ready: VecDeque<Bytes>,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    /// More may come.
    Open,
    /// Everything was read.
    Read,
    Ended,
}

impl LogSource {
    /// Of every line after `after`.
    pub(crate) async fn open(app: &App, of: Attempt, after: u64) -> Result<LogSource, Problem> {
        let follower = app.host().logs().follow(&of.run, &of.step, of.attempt)?;
        let mut ready = VecDeque::new();
        let (mut offset, mut counted, mut after) = (0, Lines::shown(), after);
        if after > 0 {
            match lines(app, &of).await? {
                Some(log) if log.end().total() >= after => (offset, counted) = log.place(after.saturating_add(1)),
                // It has fewer lines than the reader has seen: it was begun anew.
                _ => {
                    after = 0;
                    ready.push_back(restarted());
                }
            }
        }
        let news = of.followed.news();
        let follower = follower.from(offset);
        Ok(LogSource { of, follower, lines: counted, after, news, ready, state: State::Open })
    }

    /// What comes next; `None` at the end.
    async fn piece(&mut self) -> Option<Piece> {
        loop {
            self.news.borrow_and_update();
            if self.of.followed.is_over(&self.of.step, self.of.attempt) {
                let next = self.follower.try_next();
                return self.said(next);
            }
            tokio::select! {
                biased;
                next = self.follower.next() => return self.said(next),
                _ = self.news.changed() => {}
            }
        }
    }

    fn said(&self, next: Result<Option<Piece>, StoreError>) -> Option<Piece> {
        next.unwrap_or_else(|error| {
            tracing::error!(run = %self.of.run, step = %self.of.step, "the log cannot be followed: {error}");
            None
        })
    }

    /// Takes a piece, and whatever is there beside it, up to a batch.
    fn take(&mut self, piece: Piece) {
        let (mut rows, mut bytes, mut next) = (Vec::new(), 0, Some(piece));
        while let Some(piece) = next {
            match piece {
                Piece::Frame(frame) => self.lines.push(&frame, &mut |line| {
                    if line.number <= self.after {
                        return;
                    }
                    self.after = line.number;
                    bytes += line.bytes.len();
                    rows.push(row(line));
                    if bytes >= BATCH_BYTES {
                        self.ready.push_back(batch(&mut rows));
                        bytes = 0;
                    }
                }),
                Piece::Restarted => {
                    (self.lines, self.after) = (Lines::shown(), 0);
                    self.ready.push_back(batch(&mut rows));
                    self.ready.push_back(restarted());
                }
            }
            next = if self.ready.is_empty() {
                let beside = self.follower.try_next();
                self.said(beside)
            } else {
                None
            };
        }
        self.ready.push_back(batch(&mut rows));
    }
}

/// Lines as an event, which has the last one's number as its id; nothing where there are none.
fn batch(rows: &mut Vec<LogLineRow>) -> Bytes {
    let rows = std::mem::take(rows);
    rows.last().map(|last| event("lines", Some(last.n), &rows)).unwrap_or_default()
}

fn restarted() -> Bytes {
    event("restarted", Some(0), &serde_json::json!({}))
}

impl Source for LogSource {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.ready.pop_front() {
                Some(ready) if ready.is_empty() => continue,
                Some(ready) => return Some(ready),
                None => {}
            }
            match self.state {
                State::Open => match self.piece().await {
                    Some(piece) => self.take(piece),
                    None => self.state = State::Read,
                },
                State::Read => {
                    // What has no newline is a line, too, now that nothing more comes.
                    let mut rows = Vec::new();
                    let after = self.after;
                    self.lines.finish(&mut |line| rows.extend((line.number > after).then(|| row(line))));
                    self.ready.push_back(batch(&mut rows));
                    self.ready.push_back(event("end", None, &serde_json::json!({})));
                    self.state = State::Ended;
                }
                State::Ended => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_capital_letters_are_the_same_and_colours_are_no_part_of_words() {
        let cases = [
            ("error", "an ERROR here", true),
            ("ERROR", "an error here", true),
            ("error", "an \x1b[31mer\x1b[0mror here", true),
            ("31m", "an \x1b[31merror\x1b[0m", false),
            ("größe", "GRÖSSE und GRÖßE", true),
            ("ä", "A", false),
            ("x", "", false),
        ];
        for (text, line, expected) in cases {
            let needle = Needle::new(text).expect("a text");
            assert_eq!(needle.is_in(line.as_bytes()), expected, "{text:?} in {line:?}");
        }
    }
}
