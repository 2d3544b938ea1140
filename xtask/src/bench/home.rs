//! A home for the runs that are measured: the parts as the command line opens them, in a folder that is gone afterwards.

use anyhow::{Context as _, ensure};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    time::Instant,
};
use tempfile::TempDir;
use tokio::sync::mpsc;
use windlass_capabilities::{DockerSettings, EgressPolicy, KeySource, ToolboxSettings};
use windlass_contract::{Digest, EffectClass, Permissions, PluginRef, RunId, StepName};
use windlass_driver::{
    Asked, Claim, Ending, Grants, Host, HostSettings, Labels, NewRun, Notice, Stop, Terms, Workspace, carry_out,
};
use windlass_engine::{EventKind, Origin, Outcome};
use windlass_manifest::plan::{
    DEFAULT_TIMEOUT_MS, DEFAULT_TRANSITIONS, MAIN_STATE, OnFailure, Plan, PluginWork, Retry, State, Step, Volume,
    WORKSPACE_VOLUME, Work,
};
use windlass_runtime::{Runtime, Settings};

/// As many plugins at once as the command line allows.
pub(crate) const CONCURRENCY: usize = 64;

/// A home and its host.
pub(crate) struct Home {
    pub(crate) host: Host,
    folder: TempDir,
}

/// A sandbox with its compiled components in `cache`.
pub(crate) fn runtime(cache: PathBuf) -> anyhow::Result<Runtime> {
    let compiler = std::env::current_exe()?;
    Ok(Runtime::new(Settings { cache_dir: cache, compiler, concurrency: CONCURRENCY })?)
}

/// The reference of a component under a name.
pub(crate) fn reference(name: &str, wasm: &[u8]) -> anyhow::Result<PluginRef> {
    Ok(PluginRef { name: name.parse()?, version: "0.1.0".parse()?, digest: Digest::of(wasm) })
}

impl Home {
    pub(crate) async fn open() -> anyhow::Result<Home> {
        Home::at(tempfile::tempdir()?).await
    }

    /// Of what somebody else has left in a folder.
    pub(crate) async fn at(folder: TempDir) -> anyhow::Result<Home> {
        let host = open_host(folder.path()).await?;
        Ok(Home { host, folder })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Compiles a component under a name; its reference is what a plan pins.
    pub(crate) async fn install(&self, name: &str, wasm: &[u8]) -> anyhow::Result<PluginRef> {
        install(&self.host, self.path(), name, wasm).await
    }
}

/// The host of the home in a folder.
pub(crate) async fn open_host(home: &Path) -> anyhow::Result<Host> {
    let home = home.to_owned();
    let toolbox = ToolboxSettings {
        data_dir: home.clone(),
        vault_key: KeySource::File(home.join("vault.key")),
        docker: DockerSettings::default(),
        egress: EgressPolicy::default(),
        owner: Digest::of(home.as_os_str().as_encoded_bytes()).short(),
    };
    let runtime = runtime(home.join("cache/compiled"))?;
    Ok(Host::open(HostSettings { home, toolbox }, runtime).await?)
}

/// See [`Home::install`].
pub(crate) async fn install(host: &Host, home: &Path, name: &str, wasm: &[u8]) -> anyhow::Result<PluginRef> {
    let plugin = reference(name, wasm)?;
    let file = home.join("component.wasm");
    std::fs::write(&file, wasm)?;
    host.runtime().compile(&file, plugin.digest).await?;
    Ok(plugin)
}

/// One step, without templates, retries or conditions.
pub(crate) fn step(
    name: &str,
    plugin: &PluginRef,
    step_type: &str,
    config: Value,
    needs: &[StepName],
) -> anyhow::Result<Step> {
    Ok(Step {
        name: name.parse()?,
        work: Work::Plugin(PluginWork {
            plugin: plugin.clone(),
            step_type: step_type.to_owned(),
            effect: EffectClass::Pure,
            config,
            treatment: BTreeMap::new(),
            typed: BTreeMap::new(),
        }),
        needs: needs.to_vec(),
        condition: None,
        timeout_ms: DEFAULT_TIMEOUT_MS,
        retry: Retry::default(),
        on_failure: OnFailure::default(),
    })
}

/// A pipeline of these steps.
pub(crate) fn plan(name: &str, steps: Vec<Step>) -> Plan {
    plan_of(name, vec![State::of(MAIN_STATE, steps)])
}

/// A workflow of these states.
pub(crate) fn plan_of(name: &str, states: Vec<State>) -> Plan {
    Plan {
        name: name.to_owned(),
        inputs: BTreeMap::new(),
        open_inputs: false,
        env: BTreeMap::new(),
        blackboard: Map::new(),
        volumes: BTreeMap::from([(WORKSPACE_VOLUME.to_owned(), Volume::default())]),
        states,
        initial: 0,
        max_transitions: DEFAULT_TRANSITIONS,
        concurrency: None,
        workflows: BTreeMap::new(),
        strict: false,
    }
}

/// What a plugin may do, for a run.
pub(crate) fn grants(plugin: &PluginRef, permissions: Permissions) -> Grants {
    [(plugin.digest, permissions)].into_iter().collect()
}

/// A run to be created, without inputs.
pub(crate) fn new_run(plan: Plan, workspace: Workspace) -> NewRun {
    NewRun { plan, inputs: Map::new(), file: None, workspace, origin: Origin::default(), labels: Labels::default() }
}

/// Carries a claim out, whatever it comes to, and hears nothing of it.
pub(crate) async fn carry_claim(
    host: &Host,
    claim: Claim,
    grants: Grants,
    asked: Vec<Asked>,
) -> anyhow::Result<Ending> {
    let (notices, _) = mpsc::unbounded_channel();
    Ok(carry_out(host, claim, Terms { grants, asked, stop: Stop::default(), wait: false, notices }).await?)
}

/// A run that has succeeded.
pub(crate) struct Done {
    pub(crate) id: RunId,
    /// When each step began and ended, as it was told.
    pub(crate) steps: HashMap<StepName, (Instant, Instant)>,
}

/// Creates a run and carries it out to its end, which must be success.
pub(crate) async fn carry(host: &Host, plan: Plan, grants: Grants, workspace: Option<PathBuf>) -> anyhow::Result<Done> {
    let workspace = workspace.map_or(Workspace::Empty, Workspace::Folder);
    let claim = host.create(new_run(plan, workspace)).await?;
    let id = claim.run().id().clone();
    let (notices, mut told) = mpsc::unbounded_channel();
    let watch = tokio::spawn(async move {
        let (mut began, mut steps, mut why) = (HashMap::new(), HashMap::new(), None);
        while let Some(notice) = told.recv().await {
            match notice {
                Notice::Began { step, .. } => {
                    began.insert(step, Instant::now());
                }
                Notice::Recorded { event, .. } => {
                    let EventKind::StepFinished { step, reason, .. } = &event.kind else { continue };
                    why = reason.clone().or(why);
                    if let Some(at) = began.get(step) {
                        steps.insert(step.clone(), (*at, Instant::now()));
                    }
                }
                Notice::Queued { .. } | Notice::Answered { .. } | Notice::Left { .. } => {}
            }
        }
        (steps, why)
    });
    let ending =
        carry_out(host, claim, Terms { grants, asked: Vec::new(), stop: Stop::default(), wait: false, notices })
            .await?;
    let (steps, why) = watch.await.context("the watching task")?;
    ensure!(ending == Ending::Finished(Outcome::Succeeded), "the run ended as {ending:?}: {why:?}");
    Ok(Done { id, steps })
}
