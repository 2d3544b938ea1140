//! Logs: written, cut off, followed, written again.

mod common;

use bytes::Bytes;
use common::{run_id, soon, step};
use proptest::prelude::*;
use std::time::Instant;
use windlass_contract::CodedError;
use windlass_store::{
    StoreError,
    logs::{Followed, Frame, LogStore, LogStream, MAGIC, MAX_FRAME_BYTES},
};

fn opened() -> (tempfile::TempDir, LogStore) {
    let dir = tempfile::tempdir().expect("a folder");
    let logs = LogStore::open(dir.path());
    (dir, logs)
}

fn frame(stream: LogStream, at_ms: u64, bytes: &[u8]) -> Frame {
    Frame { at_ms, stream, bytes: Bytes::copy_from_slice(bytes) }
}

fn read(logs: &LogStore) -> Result<Vec<Frame>, StoreError> {
    logs.reader(&run_id("r1"), &step(), 1)?.into_iter().flatten().collect()
}

fn writer(logs: &LogStore) -> windlass_store::logs::LogWriter {
    logs.writer(&run_id("r1"), &step(), 1).expect("nothing is in its way")
}

#[tokio::test]
async fn what_was_written_is_read() {
    let (dir, logs) = opened();
    let mut log = writer(&logs);
    log.append(LogStream::Stdout, 10, b"one\n").expect("room");
    log.append(LogStream::Stderr, 11, b"two").expect("room");
    log.append(LogStream::Plugin, 12, "drei \u{1f600}".as_bytes()).expect("room");
    log.append(LogStream::System, 13, b"").expect("room");
    log.append(LogStream::Stdout, 14, &[0, 255]).expect("room");
    assert_eq!(log.finish().await.expect("room"), 18);
    let expect = [
        frame(LogStream::Stdout, 10, b"one\n"),
        frame(LogStream::Stderr, 11, b"two"),
        frame(LogStream::Plugin, 12, "drei \u{1f600}".as_bytes()),
        frame(LogStream::Stdout, 14, &[0, 255]),
    ];
    assert_eq!(read(&logs).expect("sound"), expect);
    let mut raw = Vec::new();
    assert_eq!(logs.raw(&run_id("r1"), &step(), 1, &mut raw).expect("sound"), 9);
    assert_eq!(raw, b"one\ntwo\0\xff");
    assert_eq!(logs.path(&run_id("r1"), &step(), 1), dir.path().join("runs/r1/build.1.log"));
}

#[tokio::test]
async fn a_step_that_prints_nothing_leaves_nothing() {
    let (dir, logs) = opened();
    assert_eq!(writer(&logs).finish().await.expect("nothing to do"), 0);
    assert!(logs.reader(&run_id("r1"), &step(), 1).expect("no error").is_none());
    assert_eq!(logs.raw(&run_id("r1"), &step(), 1, &mut Vec::new()).expect("no error"), 0);
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0);
}

#[tokio::test]
async fn an_attempt_executed_again_writes_its_log_anew() {
    let (_dir, logs) = opened();
    let mut log = writer(&logs);
    log.append(LogStream::Stdout, 1, b"before the crash").expect("room");
    drop(log);
    assert_eq!(read(&logs).expect("sound").len(), 1, "what was there is kept when the writer is dropped");
    let mut log = writer(&logs);
    assert!(read(&logs).expect("sound").is_empty());
    log.append(LogStream::Stdout, 2, b"after it").expect("room");
    log.finish().await.expect("room");
    assert_eq!(read(&logs).expect("sound"), [frame(LogStream::Stdout, 2, b"after it")]);
    // Another attempt has a file of its own.
    assert!(logs.reader(&run_id("r1"), &step(), 2).expect("no error").is_none());
}

#[tokio::test]
async fn a_byte_waits_for_50_ms_at_most_while_others_come() {
    let (_dir, logs) = opened();
    let mut log = writer(&logs);
    log.append(LogStream::Stdout, 1000, b"a").expect("room");
    log.append(LogStream::Stdout, 1049, b"b").expect("room");
    assert!(read(&logs).expect("sound").is_empty(), "it is gathered first");
    log.append(LogStream::Stdout, 1050, b"c").expect("room");
    assert_eq!(read(&logs).expect("sound").len(), 3);
    log.append(LogStream::Stdout, 1051, b"d").expect("room");
    log.flush().expect("room");
    assert_eq!(read(&logs).expect("sound").len(), 4);
}

#[tokio::test]
async fn long_pieces_are_split() {
    let (_dir, logs) = opened();
    let piece: Vec<u8> = (0..MAX_FRAME_BYTES * 2 + 5).map(|n| n as u8).collect();
    let mut log = writer(&logs);
    log.append(LogStream::Stdout, 1, &piece).expect("room");
    log.finish().await.expect("room");
    let lengths: Vec<_> = read(&logs).expect("sound").iter().map(|frame| frame.bytes.len()).collect();
    assert_eq!(lengths, [MAX_FRAME_BYTES, MAX_FRAME_BYTES, 5]);
    let mut raw = Vec::new();
    logs.raw(&run_id("r1"), &step(), 1, &mut raw).expect("sound");
    assert!(raw == piece, "the bytes are the same");
}

#[test]
fn what_is_no_log_or_damaged_is_told() {
    let (_dir, logs) = opened();
    let path = logs.path(&run_id("r1"), &step(), 1);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
    let header = |stream: u8, len: u32| [&1_u64.to_le_bytes()[..], &[stream], &len.to_le_bytes()].concat();
    let check = |content: &[u8], expect: &str| {
        std::fs::write(&path, content).expect("it can be written");
        let told = read(&logs).map_or_else(|error| format!("{}", error.code()), |frames| format!("{}", frames.len()));
        assert_eq!(told, expect, "{content:?}");
    };
    let one = [&MAGIC[..], &header(1, 2), b"ab"].concat();
    check(b"", "0");
    check(&MAGIC[..5], "0");
    check(&one, "1");
    check(&[&one[..], &header(1, 5), b"torn"].concat(), "1");
    check(b"just some text, no log", "WL1016");
    check(b"WLLOG\0\0\x02", "WL1016");
    check(&[&one[..], &header(9, 0)].concat(), "WL1017");
    check(&[&one[..], &header(255, 1)].concat(), "WL1017");
    check(&[&one[..], &header(1, u32::MAX)].concat(), "WL1017");
    // Nothing comes after the end.
    check(&[&one[..], &header(255, 0), &header(1, 0)].concat(), "1");
}

#[test]
fn where_it_cannot_be_written_it_says_so_each_time() {
    let (dir, logs) = opened();
    let mut log = writer(&logs);
    let blocked = dir.path().join("runs");
    std::fs::write(&blocked, b"a file where a folder is to be").expect("it can be written");
    log.append(LogStream::Stdout, 1, b"x").expect("gathered");
    assert_eq!(log.flush().expect_err("there is no way").code().to_string(), "WL1001");
    // Nothing may follow what is lost, even where it could be written now.
    std::fs::remove_file(&blocked).expect("it can be removed");
    log.append(LogStream::Stdout, 1, b"y").expect("gathered");
    assert!(log.flush().is_err());
    drop(log);
    assert!(read(&logs).expect("no error").is_empty());
}

proptest! {
    /// Cut off anywhere, a log gives the frames before the cut, and no error.
    #[test]
    fn cut_off_anywhere(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8), cut in 0.0..1.0_f64) {
        let (_dir, logs) = opened();
        let mut log = writer(&logs);
        for (piece, at_ms) in pieces.iter().zip(0..) {
            log.append(LogStream::Stdout, at_ms, piece).expect("room");
        }
        drop(log);
        let path = logs.path(&run_id("r1"), &step(), 1);
        let whole = std::fs::read(&path).unwrap_or_default();
        let cut = (whole.len() as f64 * cut) as usize;
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        std::fs::write(&path, &whole[..cut]).expect("it can be written");
        let frames = read(&logs).expect("a cut is no damage");
        let mut end = MAGIC.len();
        let expect = pieces.iter().take_while(|piece| { end += 13 + piece.len(); end <= cut }).count();
        prop_assert_eq!(frames.len(), expect);
        for (frame, piece) in frames.iter().zip(&pieces) {
            prop_assert_eq!(&frame.bytes[..], &piece[..]);
        }
    }

    /// Whatever is in the file, reading it ends, and does not panic.
    #[test]
    fn any_content(content in prop::collection::vec(any::<u8>(), 0..300), sound in any::<bool>()) {
        let (_dir, logs) = opened();
        let path = logs.path(&run_id("r1"), &step(), 1);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        std::fs::write(&path, if sound { [&MAGIC[..], &content].concat() } else { content }).expect("it can be written");
        let _ = read(&logs);
    }
}

/// Reads what a writer in another task gives, in the same process and, through another `LogStore`, as another process would.
#[tokio::test(flavor = "multi_thread")]
async fn followers_miss_nothing() {
    const LINES: u64 = 3000;
    let (dir, logs) = opened();
    let elsewhere = LogStore::open(dir.path());
    let early = elsewhere.follow(&run_id("r1"), &step(), 1).expect("a watch");
    let mut log = writer(&logs);
    let live = logs.follow(&run_id("r1"), &step(), 1).expect("a follower");
    let collect = |mut follower: windlass_store::logs::Follower| {
        tokio::spawn(async move {
            let mut bytes = Vec::new();
            while let Some(followed) = follower.next().await.expect("sound") {
                match followed {
                    Followed::Frame(frame) => bytes.extend_from_slice(&frame.bytes),
                    Followed::Restarted => panic!("nothing was restarted"),
                }
            }
            bytes
        })
    };
    let mut followers = vec![collect(early), collect(live)];
    let mut expect = Vec::new();
    for n in 0..LINES {
        let line = format!("line {n}\n");
        expect.extend_from_slice(line.as_bytes());
        log.append(LogStream::Stdout, n / 100, line.as_bytes()).expect("room");
        if n % 7 == 0 {
            log.flush().expect("room");
        }
        if n % 500 == 0 {
            tokio::task::yield_now().await;
        }
        if n == LINES / 2 {
            followers.push(collect(elsewhere.follow(&run_id("r1"), &step(), 1).expect("a watch")));
            followers.push(collect(logs.follow(&run_id("r1"), &step(), 1).expect("a follower")));
        }
    }
    log.finish().await.expect("room");
    followers.push(collect(logs.follow(&run_id("r1"), &step(), 1).expect("a follower of what is over")));
    for follower in followers {
        assert!(soon(follower).await.expect("no panic") == expect, "each has every byte once");
    }
}

async fn next(follower: &mut windlass_store::logs::Follower) -> Option<Followed> {
    soon(follower.next()).await.expect("sound")
}

#[tokio::test]
async fn a_follower_is_told_when_the_log_begins_again() {
    let (dir, logs) = opened();
    let mut follower = LogStore::open(dir.path()).follow(&run_id("r1"), &step(), 1).expect("a watch");
    let mut log = writer(&logs);
    log.append(LogStream::Stdout, 1, b"before the crash").expect("room");
    drop(log);
    assert_eq!(next(&mut follower).await, Some(Followed::Frame(frame(LogStream::Stdout, 1, b"before the crash"))));
    assert_eq!(follower.try_next().expect("sound"), None);
    let mut log = writer(&logs);
    assert_eq!(follower.try_next().expect("sound"), None, "removed, and nothing new is there yet");
    log.append(LogStream::Stdout, 2, b"after it").expect("room");
    log.finish().await.expect("room");
    assert_eq!(next(&mut follower).await, Some(Followed::Restarted));
    assert_eq!(next(&mut follower).await, Some(Followed::Frame(frame(LogStream::Stdout, 2, b"after it"))));
    assert_eq!(next(&mut follower).await, None);
}

#[tokio::test]
async fn a_follower_goes_on_from_an_offset() {
    let (dir, logs) = opened();
    let follow = |offset| LogStore::open(dir.path()).follow(&run_id("r1"), &step(), 1).expect("a watch").from(offset);
    let mut log = writer(&logs);
    for text in [b"one", b"two", b"six"] {
        log.append(LogStream::Stdout, 1, text).expect("room");
    }
    log.flush().expect("room");
    let seen = |text: &[u8]| Some(Followed::Frame(frame(LogStream::Stdout, 1, text)));
    let mut first = follow(0);
    assert_eq!(first.offset(), 0);
    assert_eq!(next(&mut first).await, seen(b"one"));
    let offset = first.offset();
    assert_eq!(follow(offset).offset(), offset, "before there is anything to read, too");
    let mut second = follow(offset);
    assert_eq!(next(&mut second).await, seen(b"two"));
    assert_eq!(next(&mut second).await, seen(b"six"));
    // All is read: what comes is what is new.
    let mut third = follow(second.offset());
    log.append(LogStream::Stdout, 1, b"new").expect("room");
    log.finish().await.expect("room");
    assert_eq!(next(&mut third).await, seen(b"new"));
    assert_eq!(next(&mut third).await, None);
    // Begun anew since, and shorter.
    let end = third.offset();
    let mut log = writer(&logs);
    log.append(LogStream::Stdout, 1, b"again").expect("room");
    log.finish().await.expect("room");
    let mut fourth = follow(end);
    assert_eq!(next(&mut fourth).await, Some(Followed::Restarted));
    assert_eq!(next(&mut fourth).await, seen(b"again"));
    // An offset that nobody was given.
    assert!(follow(9).next().await.is_err());
}

#[tokio::test]
async fn a_follower_in_the_process_ends_with_the_writer() {
    let (_dir, logs) = opened();
    let mut log = writer(&logs);
    let mut follower = logs.follow(&run_id("r1"), &step(), 1).expect("a follower");
    log.append(LogStream::Stdout, 1, b"x").expect("room");
    // The writer is gone without having finished, as when its task was stopped.
    drop(log);
    assert_eq!(next(&mut follower).await, Some(Followed::Frame(frame(LogStream::Stdout, 1, b"x"))));
    assert_eq!(next(&mut follower).await, None);
}

#[tokio::test]
async fn a_follower_may_stop_waiting_and_go_on() {
    let (dir, logs) = opened();
    let mut follower = LogStore::open(dir.path()).follow(&run_id("r1"), &step(), 1).expect("a watch");
    for _ in 0..3 {
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), follower.next()).await.is_err());
    }
    let mut log = writer(&logs);
    log.append(LogStream::Stdout, 1, b"x").expect("room");
    log.flush().expect("room");
    assert_eq!(next(&mut follower).await, Some(Followed::Frame(frame(LogStream::Stdout, 1, b"x"))));
}

/// Not a benchmark: `make bench` measures. It fails where something grows with the length of the log.
#[tokio::test]
async fn a_large_log_is_written_and_read_in_time() {
    let (_dir, logs) = opened();
    let line = [b'x'; 100];
    let begun = Instant::now();
    let mut log = writer(&logs);
    for n in 0..200_000 {
        log.append(LogStream::Stdout, n / 1000, &line).expect("room");
    }
    log.finish().await.expect("room");
    let mut raw = Vec::new();
    logs.raw(&run_id("r1"), &step(), 1, &mut raw).expect("sound");
    assert_eq!(raw.len(), 200_000 * line.len());
    assert!(begun.elapsed() < common::PATIENCE, "20 MB took {:?}", begun.elapsed());
}
