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
use windlass_driver::{Ending, Grants, Host, HostSettings, NewRun, Notice, Stop, carry_out};
use windlass_engine::Outcome;
use windlass_manifest::plan::{DEFAULT_TIMEOUT_MS, MAIN_STATE, OnFailure, Plan, Retry, State, Step, Workspace};
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
        let folder = tempfile::tempdir()?;
        let root = folder.path().to_owned();
        let toolbox = ToolboxSettings {
            data_dir: root.clone(),
            vault_key: KeySource::File(root.join("vault.key")),
            docker: DockerSettings::default(),
            egress: EgressPolicy::default(),
            owner: Digest::of(root.as_os_str().as_encoded_bytes()).short(),
        };
        let runtime = runtime(root.join("cache/compiled"))?;
        let host = Host::open(HostSettings { home: root, toolbox }, runtime).await?;
        Ok(Home { host, folder })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Compiles a component under a name; its reference is what a plan pins.
    pub(crate) async fn install(&self, name: &str, wasm: &[u8]) -> anyhow::Result<PluginRef> {
        let plugin = reference(name, wasm)?;
        let file = self.path().join("component.wasm");
        std::fs::write(&file, wasm)?;
        self.host.runtime().compile(&file, plugin.digest).await?;
        Ok(plugin)
    }
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
        plugin: plugin.clone(),
        step_type: step_type.to_owned(),
        effect: EffectClass::Pure,
        needs: needs.to_vec(),
        condition: None,
        config,
        treatment: BTreeMap::new(),
        typed: BTreeMap::new(),
        timeout_ms: DEFAULT_TIMEOUT_MS,
        retry: Retry::default(),
        on_failure: OnFailure::default(),
    })
}

/// A pipeline of these steps.
pub(crate) fn plan(name: &str, steps: Vec<Step>) -> Plan {
    Plan {
        name: name.to_owned(),
        inputs: BTreeMap::new(),
        env: BTreeMap::new(),
        workspace: Workspace::default(),
        states: vec![State { name: MAIN_STATE.to_owned(), steps }],
        initial: 0,
        strict: false,
    }
}

/// What a plugin may do, for a run.
pub(crate) fn grants(plugin: &PluginRef, permissions: Permissions) -> Grants {
    [(plugin.digest, permissions)].into_iter().collect()
}

/// A run that has succeeded.
pub(crate) struct Done {
    pub(crate) id: RunId,
    /// When each step began and ended, as it was told.
    pub(crate) steps: HashMap<StepName, (Instant, Instant)>,
}

/// Creates a run and carries it out to its end, which must be success.
pub(crate) async fn carry(host: &Host, plan: Plan, grants: Grants, workspace: Option<PathBuf>) -> anyhow::Result<Done> {
    let claim = host.create(NewRun { plan, inputs: Map::new(), file: None, workspace }).await?;
    let id = claim.run().id().clone();
    let (notices, mut told) = mpsc::unbounded_channel();
    let watch = tokio::spawn(async move {
        let (mut began, mut steps, mut why) = (HashMap::new(), HashMap::new(), None);
        while let Some(notice) = told.recv().await {
            match notice {
                Notice::Started { step, .. } => {
                    began.insert(step, Instant::now());
                }
                Notice::Ended { step, reason, .. } => {
                    why = reason.or(why);
                    if let Some(at) = began.get(&step) {
                        steps.insert(step, (*at, Instant::now()));
                    }
                }
                _ => {}
            }
        }
        (steps, why)
    });
    let ending = carry_out(host, claim, grants, &[], Stop::default(), notices).await?;
    let (steps, why) = watch.await.context("the watching task")?;
    ensure!(ending == Ending::Finished(Outcome::Succeeded), "the run ended as {ending:?}: {why:?}");
    Ok(Done { id, steps })
}
