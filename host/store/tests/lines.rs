//! A log by its lines: the index of them is another way to the same lines, whatever the log is.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use proptest::prelude::*;
use std::{fs, path::Path};
use windlass_contract::{RunId, StepName};
use windlass_store::logs::{Frame, Line, Lines, LogStore, LogStream};

type Seen = (u64, LogStream, Vec<u8>, u64);

fn names() -> (RunId, StepName) {
    ("r1".parse().unwrap(), "build".parse().unwrap())
}

fn seen(line: Line<'_>) -> Seen {
    (line.number, line.stream, line.bytes.to_vec(), line.cut)
}

/// The lines of frames, without any index.
fn plain(frames: &[(LogStream, Vec<u8>)]) -> (Vec<Seen>, Lines) {
    let (mut lines, mut all) = (Lines::shown(), Vec::new());
    for (stream, bytes) in frames.iter().filter(|(_, bytes)| !bytes.is_empty()) {
        let frame = Frame { at_ms: 1, stream: *stream, bytes: bytes.clone().into() };
        lines.push(&frame, &mut |line| all.push(seen(line)));
    }
    lines.finish(&mut |line| all.push(seen(line)));
    (all, lines)
}

fn write(logs: &LogStore, frames: &[(LogStream, Vec<u8>)], finish: bool) {
    let (run, step) = names();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut writer = logs.writer(&run, &step, 1).unwrap();
        for (stream, bytes) in frames {
            writer.append(*stream, 1, bytes).unwrap();
        }
        if finish {
            writer.finish().await.unwrap();
        }
    });
}

fn read(logs: &LogStore, first: u64, count: usize, over: bool) -> Vec<Seen> {
    let (run, step) = names();
    let Some(log) = logs.lines(&run, &step, 1).unwrap() else { return Vec::new() };
    let mut all = Vec::new();
    log.read(first, over, |line| {
        all.push(seen(line));
        all.len() < count
    })
    .unwrap();
    all
}

/// Frames: mostly small, with and without newlines, some long without any, so that places of the index lie within lines.
fn frames() -> impl Strategy<Value = Vec<(LogStream, Vec<u8>)>> {
    let stream = prop_oneof![Just(LogStream::Stdout), Just(LogStream::Stderr), Just(LogStream::Plugin)];
    let bytes = prop_oneof![
        8 => prop::collection::vec(prop_oneof![3 => Just(b'\n'), 9 => any::<u8>()], 0..200),
        2 => (1_usize..150_000, any::<bool>()).prop_map(|(length, ends)| {
            let mut bytes = vec![b'x'; length];
            bytes.extend(ends.then_some(b'\n'));
            bytes
        }),
        1 => (1_usize..20_000).prop_map(|count| b"line\n".repeat(count)),
    ];
    prop::collection::vec((stream, bytes), 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Pages together are the whole; so is what is followed from a place; and both again with the index out of its file.
    #[test]
    fn pages_are_the_whole(frames in frames(), pages in 1_usize..12, from in any::<prop::sample::Index>(), finish in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let logs = LogStore::open(dir.path());
        write(&logs, &frames, finish);
        let (whole, end) = plain(&frames);
        let text: Vec<u8> = frames.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        prop_assume!(!text.is_empty());
        let page = whole.len() / pages + 1;
        for logs in [logs, LogStore::open(dir.path())] {
            let mut paged = Vec::new();
            while paged.len() < whole.len() {
                let next = read(&logs, paged.len() as u64 + 1, page, true);
                prop_assert!(!next.is_empty());
                paged.extend(next);
            }
            prop_assert_eq!(&paged, &whole);

            let (run, step) = names();
            let log = logs.lines(&run, &step, 1).unwrap().unwrap();
            prop_assert_eq!((log.end().total(), log.end().bytes(), log.ended()), (end.total(), text.len() as u64, finish));

            let first = from.index(whole.len()) as u64 + 1;
            let (offset, mut lines) = log.place(first);
            let mut follower = logs.follow(&run, &step, 1).unwrap().from(offset);
            let mut rest = Vec::new();
            while let Some(windlass_store::logs::Followed::Frame(frame)) = follower.try_next().unwrap() {
                lines.push(&frame, &mut |line| rest.extend((line.number >= first).then(|| seen(line))));
            }
            lines.finish(&mut |line| rest.extend((line.number >= first).then(|| seen(line))));
            prop_assert_eq!(&rest[..], &whole[first as usize - 1..]);

            let at = from.index(text.len());
            let (mut pieces, mut tail) = (log.text(at as u64).unwrap(), Vec::new());
            while let Some(piece) = pieces.next_piece().unwrap() {
                tail.extend_from_slice(&piece);
            }
            prop_assert!(tail == text[at..]);
        }
    }
}

/// About 12 MB in short lines.
fn large() -> Vec<(LogStream, Vec<u8>)> {
    (0..400)
        .map(|n| (LogStream::Stdout, format!("{n} is a line like any other\n").repeat(1_000).into_bytes()))
        .collect()
}

fn saved(dir: &Path) -> std::path::PathBuf {
    dir.join("runs/r1/build.1.lines")
}

#[test]
fn the_index_of_a_large_log_is_in_a_file_when_it_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let logs = LogStore::open(dir.path());
    write(&logs, &large(), true);
    let index = fs::metadata(saved(dir.path())).unwrap();
    assert!(index.len() < 20_000, "{} bytes for 12 MB", index.len());
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&index.permissions()) & 0o777, 0o600);
    let fresh = LogStore::open(dir.path());
    let (run, step) = names();
    assert_eq!(fresh.lines(&run, &step, 1).unwrap().unwrap().end().total(), 400_000);
    assert_eq!(read(&fresh, 399_001, 1, false)[0].2, b"399 is a line like any other");
    // Another execution of the attempt has another log.
    write(&logs, &[(LogStream::Stdout, b"anew\n".to_vec())], true);
    assert!(!saved(dir.path()).exists());
    for logs in [logs, LogStore::open(dir.path())] {
        assert_eq!(read(&logs, 1, 10, false).len(), 1);
    }
}

#[test]
fn an_index_that_is_damaged_or_of_another_log_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    write(&LogStore::open(dir.path()), &large(), true);
    let whole = fs::read(saved(dir.path())).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let damaged = [
        Vec::new(),
        whole[..whole.len() / 2].to_vec(),
        b"{}".to_vec(),
        text.replace("\"version\":1", "\"version\":2").into_bytes(),
        // That of a log of another length.
        text.replacen("\"end\":{\"offset\":1", "\"end\":{\"offset\":2", 1).into_bytes(),
    ];
    for (case, bytes) in damaged.into_iter().enumerate() {
        assert_ne!(bytes, whole, "case {case} changes nothing");
        fs::write(saved(dir.path()), bytes).unwrap();
        assert_eq!(
            read(&LogStore::open(dir.path()), 399_001, 1, false)[0].2,
            b"399 is a line like any other",
            "case {case}"
        );
    }
}

/// What a crash tore off at a log's end, or what is being written at this moment, is no line yet.
#[test]
fn a_torn_end_is_read_when_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let logs = LogStore::open(dir.path());
    write(&logs, &[(LogStream::Stdout, b"one\ntwo\n".to_vec()), (LogStream::Stderr, b"three\n".to_vec())], false);
    let (run, step) = names();
    let path = logs.path(&run, &step, 1);
    let whole = fs::read(&path).unwrap();
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let count = read(&logs, 1, 10, false).len();
        let expected = if length == whole.len() {
            3
        } else if length >= 8 + 13 + 8 {
            2
        } else {
            0
        };
        assert_eq!(count, expected, "with {length} bytes");
    }
}

/// An index must not be a way to fill the memory with a small log.
#[test]
fn an_index_is_small_whatever_the_log_is() {
    let dir = tempfile::tempdir().unwrap();
    let logs = LogStore::open(dir.path());
    // Lines that never end, of two streams in turns, so that each place would hold much.
    let frames: Vec<_> = (0..400)
        .map(|n| (if n % 2 == 0 { LogStream::Stdout } else { LogStream::Stderr }, vec![b'x'; 60_000]))
        .collect();
    write(&logs, &frames, true);
    let log = 400 * 60_000;
    let index = fs::metadata(saved(dir.path())).unwrap().len();
    // JSON writes a byte with four characters; the end itself holds two lines.
    assert!(index < log / 256 * 4 + 2 * 65_536 * 4 + 10_000, "{index} bytes for {log}");
    assert_eq!(read(&logs, 1, 10, false).iter().map(|line| line.3).collect::<Vec<_>>(), [200 * 60_000 - 65_536; 2]);
}
