//! What the commands share: where things are, and how they are opened.

use crate::{
    args::Global,
    exit::{UsageError, coded},
};
use anyhow::Context as _;
use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
};
use windlass_author::stage::RealWorld;
use windlass_capabilities::{DockerSettings, EgressPolicy, KeySource, ToolboxSettings, Vault};
use windlass_contract::{Digest, RunId};
use windlass_driver::{Host, HostSettings};
use windlass_package::{Home, Installed, installed};
use windlass_runtime::{Runtime, Settings};

/// How many plugins run at once. Each may hold 256 MiB at the most, and in practice holds under one; a container step
/// holds its place while its container runs.
const CONCURRENCY: usize = 64;

/// The home and the project that a command works on.
pub(crate) struct App {
    pub(crate) home: Home,
    pub(crate) project: PathBuf,
}

impl App {
    /// `file` is the pipeline that the command is about, if it is about one: its folder is the project.
    pub(crate) fn new(global: &Global, file: Option<&Path>) -> anyhow::Result<App> {
        let home = Home::from_env(global.home.clone()).map_err(coded)?;
        let project = match (&global.project, file.and_then(Path::parent)) {
            (Some(project), _) => project.clone(),
            (None, Some(folder)) if !folder.as_os_str().is_empty() => folder.to_owned(),
            (None, _) => PathBuf::from("."),
        };
        Ok(App { home, project })
    }

    /// The sandbox.
    pub(crate) fn runtime(&self) -> anyhow::Result<Runtime> {
        let compiler = std::env::current_exe().context("cannot find this program's own file")?;
        let cache_dir = self.home.root().join("cache/compiled");
        Runtime::new(Settings { cache_dir, compiler, concurrency: CONCURRENCY }).map_err(coded)
    }

    /// The built-in vault.
    pub(crate) fn vault(&self) -> Vault {
        let root = self.home.root();
        Vault::open(root.join("vault.json"), vault_key(root))
    }

    /// The settings of what steps may reach.
    fn toolbox(&self) -> anyhow::Result<ToolboxSettings> {
        let root = self.home.root();
        std::fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
        let place = root.canonicalize().with_context(|| format!("cannot find {}", root.display()))?;
        Ok(ToolboxSettings {
            data_dir: root.to_owned(),
            vault_key: vault_key(root),
            docker: DockerSettings::default(),
            egress: egress()?,
            // One name for each home, so that two homes on one engine leave each other's containers alone.
            owner: Digest::of(place.as_os_str().as_encoded_bytes()).short(),
        })
    }

    /// What a plugin may reach while one of its test cases is recorded.
    pub(crate) fn real_world(&self) -> anyhow::Result<RealWorld> {
        let ToolboxSettings { data_dir, vault_key, docker, egress, .. } = self.toolbox()?;
        Ok(RealWorld { home: data_dir, vault_key, docker, egress })
    }

    /// Everything that carries runs out.
    pub(crate) async fn host(&self) -> anyhow::Result<Host> {
        let settings = HostSettings { home: self.home.root().to_owned(), toolbox: self.toolbox()? };
        Host::open(settings, self.runtime()?).await.map_err(coded)
    }

    /// What the project has installed.
    pub(crate) fn installed(&self) -> anyhow::Result<Vec<Installed>> {
        installed(&self.home, &self.project).map_err(coded)
    }
}

/// The key from the environment where it is given, else from a file in the home that is made when the first secret is set.
fn vault_key(home: &Path) -> KeySource {
    match std::env::var_os("WINDLASS_VAULT_KEY") {
        Some(key) if !key.is_empty() => KeySource::Env,
        _ => KeySource::File(home.join("vault.key")),
    }
}

/// The operator's openings for requests of plugins: `WINDLASS_EGRESS_OPEN=127.0.0.0/8,10.0.0.0/8`.
fn egress() -> anyhow::Result<EgressPolicy> {
    const NAME: &str = "WINDLASS_EGRESS_OPEN";
    let text = std::env::var(NAME).unwrap_or_default();
    let ranges = text.split(',').map(str::trim).filter(|range| !range.is_empty());
    let opened = ranges.map(|range| {
        let words = || UsageError(format!("{NAME}: {range:?} is no range of addresses, such as 10.1.0.0/16"));
        range.parse().map_err(|_| words())
    });
    Ok(EgressPolicy { opened: opened.collect::<Result<_, _>>()? })
}

/// A run from the command line: its id, `last`, or any part of an id that only one run has.
pub(crate) async fn find_run(host: &Host, text: &str) -> anyhow::Result<RunId> {
    let all = host.store().runs(windlass_store::RunFilter::default()).await.map_err(coded)?;
    if text == "last" {
        let newest = all.first().map(|run| run.id.clone());
        return newest.ok_or_else(|| UsageError("there is no run yet".to_owned()).into());
    }
    let mut found: Vec<&RunId> = all.iter().map(|run| &run.id).filter(|id| id.as_str().contains(text)).collect();
    if let Some(exact) = found.iter().find(|id| id.as_str() == text) {
        return Ok((*exact).clone());
    }
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only.clone()),
        (None, _) => Err(UsageError(format!("no run is called {text:?}; `windlass runs` lists them")).into()),
        (Some(_), more) => Err(UsageError(format!("{} runs match {text:?}; write more of the id", more + 1)).into()),
    }
}

/// Who works here, for the record and for gates: the account that this process runs under, by the system's own word and not by the
/// environment's, which anybody can set.
pub(crate) fn whoami() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let named = std::fs::read_to_string("/etc/passwd").ok().and_then(|accounts| {
        let mut accounts = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let own = accounts.find(|fields| fields.get(2).is_some_and(|id| id.parse() == Ok(uid)))?;
        own.first().map(|name| (*name).to_owned())
    });
    named.unwrap_or_else(|| format!("uid {uid}"))
}

/// Whether there is a person to ask.
pub(crate) fn interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
