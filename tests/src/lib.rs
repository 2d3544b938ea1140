//! End-to-end tests: the real command line, a real registry, a real container engine.
//!
//! **Purpose.** What the tests share: the built programs ([`windlass`], [`registry_server`]), a registry that ends with the
//! test ([`Registry`]), a home and a project of each test's own with the plugins already installed ([`Project`]), a server ([`Server`]), the tools of
//! others ([`Stock`]), and a small HTTP server on loopback ([`WebServer`]).
//!
//! **Invariants.** Nothing is simulated and nothing is skipped: a part that is missing is a panic that names what makes it.
//! A test ends only processes that it started and removes only containers and volumes of its own home. Each call of the
//! program gets an environment of its own: nothing of the tests' environment reaches it but `PATH` and `DOCKER_HOST`.
//!
//! **Not here.** What one crate alone can show; those tests stand beside its code.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of functions that are marked as such")]

mod docker_registry;
pub mod newcomer;
mod process;
mod project;
mod registry;
mod server;
mod stock;
mod template;
mod web;

pub use docker_registry::DockerRegistry;
pub use process::{Output, Running};
pub use project::Project;
pub use registry::Registry;
pub use server::{Client, Reply, Server};
pub use stock::Stock;
pub use template::{Agents, EXAMPLES};
pub use web::{Answer, Received, WebServer, get};

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The image that the tests run: busybox, statically linked. `scripts/test-images.sh` makes it.
pub const IMAGE: &str = "windlass-test/busybox:1";

/// The repository's folder.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).canonicalize().unwrap().leak()
}

/// The `windlass` program.
pub fn windlass() -> PathBuf {
    program("windlass")
}

/// The `registry-server` program.
pub fn registry_server() -> PathBuf {
    program("registry-server")
}

/// Where the programs are, if not in the development build.
static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();

/// From now on, the programs are those of this folder: a benchmark measures what is optimised. Before the first is started.
pub fn use_programs_of(folder: PathBuf) {
    let first = PROGRAMS.set(folder);
    assert!(first.is_ok(), "the programs were chosen already");
}

/// A program of the development build.
fn program(name: &str) -> PathBuf {
    let path = PROGRAMS.get_or_init(|| root().join("target/debug")).join(name);
    assert!(path.is_file(), "{} is not there. Run: make build", path.display());
    path
}

/// The files below a folder that contain a text; their paths.
pub fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let output = std::process::Command::new("grep").args(["-rlF", "--", text]).arg(folder).output().unwrap();
    // 1: none does. 2 and more: it could not look.
    assert!(output.status.code().is_some_and(|code| code <= 1), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The folder of everything that these tests write: below `target`, and on one file system.
fn scratch() -> PathBuf {
    let path = root().join("target/e2e");
    std::fs::create_dir_all(&path).expect("target can be written");
    path
}
