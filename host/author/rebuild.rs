//! Says of which folders the crate embeds copies: cargo cannot see that by itself.

#![allow(clippy::print_stdout, reason = "cargo reads what a build script prints")]

fn main() {
    for folder in ["templates", "../../wit", "../../examples/plugins/c", "../../examples/plugins/js/package-lock.json"]
    {
        println!("cargo:rerun-if-changed={folder}");
    }
}
