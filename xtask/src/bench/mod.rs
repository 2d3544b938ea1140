//! `xtask bench`: what Windlass costs, beside what the same work costs without it.
//!
//! **Method.** Ours and its bare floor are measured in turns in one run, so that whatever else the machine does meets both;
//! hence the ratio of two figures holds where their sizes depend on the machine. Everything is real: SQLite with
//! `synchronous=FULL` on the disk of the temporary folder, the container engine, components that were compiled by the
//! sandbox. A target that is missed is printed as missed and does not fail the program: a figure is judged by a person
//! who knows what else the machine did.
//!
//! The programs that are measured from outside are those beside this one, which `make bench` builds in release mode.
//!
//! **Not here.** A fresh instance beside bare wasmtime: `host/runtime/benches/call.rs`, because only `runtime` names
//! wasmtime.

mod containers;
mod figures;
mod home;
mod install;
mod lint;
mod lists;
mod long;
mod loops;
mod masking;
mod newcomer;
mod noop;
mod parked;
mod plugins;
mod process;
mod rate;
mod recovery;
mod reduce;
mod registry;
mod search;
mod served;
mod shapes;
mod sqlite;
mod steps;
mod streams;
mod webhooks;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use figures::Report;
use std::path::{Path, PathBuf};

/// What to measure, and where to write it.
#[derive(Args)]
pub(crate) struct Options {
    /// Also write all figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure only these parts.
    #[arg(value_enum)]
    parts: Vec<Part>,
}

/// A part of the whole that can be measured by itself.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Steps that do nothing, beside bare SQLite commits.
    Steps,
    /// A step in runs of 100 to 10,000 steps: a chain, a fan-out, layers.
    Long,
    /// Checking files of 10,000 steps, beside reading their YAML.
    Lint,
    /// Short runs, 64 in flight.
    Rate,
    /// A workflow that goes round.
    Loops,
    /// 10,000 runs that wait at a gate, beside an idle host.
    Parked,
    /// 1,000 runs whose process is killed, beside reading their events.
    Recovery,
    /// Masking secrets, beside copying the same bytes.
    Masking,
    /// A container step and its log, beside the same calls of the engine.
    Containers,
    /// The plugins in each language: size, compile, load, call.
    Plugins,
    /// Somebody's first plugin in each language, from nothing to a step that has run.
    Newcomer,
    /// Index, manifests and blobs of our registry, beside docker-registry.
    Registry,
    /// Searching a registry of 10,000 and of 100,000 plugins.
    Search,
    /// Installing a plugin, from nothing and again.
    Install,
    /// Following runs and logs of a server: how soon, and a thousand at once.
    Streams,
    /// The list of 10,000 runs of a server.
    ServerLists,
    /// 5,000 signed webhooks to a server, and the beginning of their runs.
    ServerWebhooks,
}

/// Measures what was asked for.
#[tokio::main]
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    process::raise_open_files()?;
    // Fails when one is there already, which is what is wanted: clients of HTTP are made with whatever is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut report = Report::begin();
    let wants = |part| options.parts.is_empty() || options.parts.contains(&part);
    if wants(Part::Masking) {
        masking::measure(&mut report);
    }
    use_programs_beside()?;
    if wants(Part::Steps) {
        steps::measure(&mut report).await.context("steps")?;
    }
    if wants(Part::Long) {
        long::measure(&mut report).await.context("long")?;
    }
    if wants(Part::Lint) {
        lint::measure(&mut report).context("lint")?;
    }
    if wants(Part::Rate) {
        rate::measure(&mut report).await.context("rate")?;
    }
    if wants(Part::Loops) {
        loops::measure(&mut report).await.context("loops")?;
    }
    if wants(Part::Parked) {
        parked::measure(&mut report).await.context("parked")?;
    }
    if wants(Part::Recovery) {
        recovery::measure(&mut report).await.context("recovery")?;
    }
    if wants(Part::Plugins) {
        plugins::measure(&mut report).await.context("plugins")?;
    }
    if wants(Part::Newcomer) {
        tokio::task::block_in_place(|| newcomer::measure(&mut report)).context("newcomer")?;
    }
    if wants(Part::Containers) {
        containers::measure(&mut report).await.context("containers")?;
    }
    if wants(Part::Registry) {
        registry::measure(&mut report).await.context("registry")?;
    }
    if wants(Part::Search) {
        search::measure(&mut report).await.context("search")?;
    }
    if wants(Part::Install) {
        install::measure(&mut report).await.context("install")?;
    }
    if wants(Part::ServerLists) {
        lists::measure(&mut report).await.context("lists")?;
    }
    if wants(Part::ServerWebhooks) {
        webhooks::measure(&mut report).await.context("webhooks")?;
    }
    if wants(Part::Streams) {
        streams::measure(&mut report).await.context("streams")?;
    }
    report.end();
    if let Some(path) = &options.json {
        let json = serde_json::to_vec_pretty(&report)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Has the programs that are measured be those beside this one, where they have been built so; else they are the development build's.
fn use_programs_beside() -> anyhow::Result<()> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let folder = own.parent().context("this program is in no folder")?;
    if ["windlass", "registry-server"].iter().all(|name| folder.join(name).is_file()) {
        windlass_tests::use_programs_of(folder.to_owned());
    }
    Ok(())
}

/// The process that `recovery` kills, in the home that it is given.
#[tokio::main]
pub(crate) async fn leave(home: &Path) -> anyhow::Result<()> {
    recovery::leave(home).await
}

/// The bare server that `registry` measures beside ours; answers with the bytes of a file.
#[tokio::main]
pub(crate) async fn answer(file: &Path) -> anyhow::Result<()> {
    served::answer(file).await
}

/// The top of the checkout that this program was built from.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
