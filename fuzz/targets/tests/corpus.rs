//! Each input that is kept, once through its target: what was found stays mended, in seconds and without libFuzzer.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use windlass_fuzz_targets::{TARGETS, run};

/// The targets whose subjects are in another workspace, which replays them.
const ELSEWHERE: &[&str] = &["sizes"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// The names in a folder, without their endings.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let stem = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    entries.map(|entry| stem(entry.expect("an entry").path())).collect()
}

#[test]
fn what_is_kept_still_holds() {
    // A thread each, so that the longest decides.
    std::thread::scope(|scope| {
        for (name, _) in TARGETS {
            scope.spawn(move || {
                let folder = folder("corpus").join(name);
                let inputs = names(&folder);
                assert!(inputs.len() > 10, "{name} has {} inputs", inputs.len());
                for input in inputs {
                    let bytes = fs::read(folder.join(&input)).expect("an input");
                    let whole = std::panic::catch_unwind(|| run(name, &bytes));
                    assert!(whole.is_ok(), "fuzz/corpus/{name}/{input}: what does not hold stands above");
                }
            });
        }
    });
}

#[test]
fn each_target_has_a_program_and_a_corpus() {
    let all: BTreeSet<String> =
        TARGETS.iter().map(|(name, _)| *name).chain(ELSEWHERE.iter().copied()).map(str::to_owned).collect();
    assert_eq!(names(&folder("fuzz_targets")), all);
    assert_eq!(names(&folder("corpus")), all);
}

/// A repository is no place for what a machine can make again.
#[test]
fn the_corpus_is_small() {
    const MAX_CORPUS_BYTES: u64 = 1024 * 1024;
    let of = |target: String| {
        let inputs = fs::read_dir(folder("corpus").join(target)).expect("a corpus");
        inputs.map(|input| input.expect("an input").metadata().expect("its size").len()).sum::<u64>()
    };
    let bytes: u64 = names(&folder("corpus")).into_iter().map(of).sum();
    assert!(bytes <= MAX_CORPUS_BYTES, "{bytes} bytes; `scripts/fuzz.sh` says how to make it small");
}
