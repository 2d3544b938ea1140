//! Thousands of crashes: a host is killed at its commits, before and after them, while it carries out pipelines with loops, parallel
//! states, gates, sub-runs, groups and cancels, and is started again each time. Nothing is lost, nothing is repeated, and the record is
//! in the end the one of a host that never died.
//!
//! What the corpus does not have is containers: `crash.rs` shows what holds of those.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

/// The pipelines, and how often each is carried out with crashes.
const CORPUS: [(&str, usize); 6] =
    [("chain", 60), ("loop", 60), ("gates", 60), ("parent", 60), ("turns", 50), ("cancelled", 40)];
/// The test shows less than it says if fewer processes died.
const CRASHES: usize = 2_000;
/// A process dies at one of its first commits, so that a run dies many times on its way.
const REACH: u64 = 3;
/// How often a run may die before it is left alone: no run has half as many commits.
const PATIENCE: usize = 400;

/// 128 + SIGABRT.
const DIED: i32 = 134;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }
}

/// Goes on with a pipeline; gives the exit code and what was printed.
fn go(place: &Place, home: &Path, pipeline: &str, failpoints: &str) -> (i32, String) {
    use std::os::unix::process::ExitStatusExt as _;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/crashes/{pipeline}.yaml"));
    let output = Command::new(env!("CARGO_BIN_EXE_crash-host"))
        .arg("go")
        .args([&place.cache(), home, &file])
        .env("FAILPOINTS", failpoints)
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("the host starts");
    let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or_default());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (code, String::from_utf8(output.stdout).expect("UTF-8") + if code == 0 { "" } else { &errors })
}

/// Numbers that look random and are the same in every test run (xorshift).
struct Seed(u64);

impl Seed {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Carries a pipeline out with crashes; gives how often the host died, and what it said in the end.
fn with_crashes(place: &Place, home: &Path, pipeline: &str, seed: &mut Seed) -> (usize, String) {
    for died in 0..PATIENCE {
        let side = if seed.below(2) == 0 { "before" } else { "after" };
        let points = format!("store::{side}-commit={}*off->return", seed.below(REACH));
        match go(place, home, pipeline, &points) {
            (0, told) => return (died, told),
            (DIED, _) => {}
            (code, told) => panic!("{pipeline}, after {died} crashes, at {points}: exit code {code}\n{told}"),
        }
    }
    panic!("{pipeline} did not end after {PATIENCE} crashes");
}

#[test]
fn thousands_of_crashes_and_the_record_is_the_same() {
    let place = Place { folder: tempfile::tempdir().expect("a folder") };
    let prepared = Command::new(env!("CARGO_BIN_EXE_crash-host")).arg("prepare").arg(place.cache()).status();
    assert!(prepared.expect("the host starts").success());
    let expect = CORPUS.map(|(pipeline, _)| {
        let (code, told) = go(&place, &place.folder.path().join(pipeline), pipeline, "");
        assert_eq!(code, 0, "{pipeline} without a crash: {told}");
        told
    });
    let cases: Vec<(usize, u64)> =
        CORPUS.iter().enumerate().flat_map(|(at, (_, times))| (0..*times as u64).map(move |n| (at, n))).collect();
    let (next, crashes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, n)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let pipeline = CORPUS[*at].0;
                    let home = place.folder.path().join(format!("{pipeline}-{n}"));
                    let mut seed = Seed((n + 1) * 7919 + *at as u64 * 104_729);
                    let (died, told) = with_crashes(&place, &home, pipeline, &mut seed);
                    assert_eq!(told, expect[*at], "{pipeline} {n}, after {died} crashes");
                    crashes.fetch_add(died, Ordering::Relaxed);
                    std::fs::remove_dir_all(home).expect("its folder");
                }
            });
        }
    });
    let crashes = crashes.into_inner();
    println!("{crashes} crashes in {} runs of {} pipelines: none lost, none repeated", cases.len(), CORPUS.len());
    assert!(
        crashes >= CRASHES,
        "only {crashes} crashes: were the programs built with --features windlass-cli/failpoints?"
    );
}
