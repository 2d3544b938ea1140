//! What fuzzing has kept for the target `sizes`, once through it: the other targets are replayed in the root workspace.

#[allow(unreachable_pub, reason = "the fuzz program calls it from outside")]
#[path = "../../../fuzz/sizes.rs"]
mod sizes;

use std::{fs, path::Path};

#[test]
fn what_is_kept_still_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/sizes");
    let inputs: Vec<_> = fs::read_dir(folder).expect("a corpus").map(|input| input.expect("an input").path()).collect();
    assert!(inputs.len() > 10, "{} inputs", inputs.len());
    for input in inputs {
        let bytes = fs::read(&input).expect("an input");
        assert!(std::panic::catch_unwind(|| sizes::sizes(&bytes)).is_ok(), "{}", input.display());
    }
}
