//! What runs are carried out with, and who carries out which.

use crate::{DriverError, clock::now_ms, snapshot};
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};
use windlass_capabilities::{Toolbox, ToolboxSettings};
use windlass_contract::{Digest, Permissions, PluginRef, RunId};
use windlass_engine::{Command, Event, EventKind, Run};
use windlass_manifest::plan::Plan;
use windlass_runtime::Runtime;
use windlass_store::{RunLock, Store, StoreError, logs::LogStore};

/// Where things are.
pub struct HostSettings {
    /// The home: event log, logs, artifacts, secrets.
    pub home: PathBuf,
    /// What steps may reach.
    pub toolbox: ToolboxSettings,
}

/// The parts that runs are carried out with. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    pub(crate) parts: Arc<Parts>,
}

pub(crate) struct Parts {
    pub(crate) home: PathBuf,
    pub(crate) store: Store,
    pub(crate) logs: LogStore,
    pub(crate) runtime: Runtime,
    pub(crate) toolbox: Toolbox,
}

/// What each plugin may do in a run: by digest, what it asks for and was granted.
#[derive(Debug, Clone, Default)]
pub struct Grants(HashMap<Digest, Permissions>);

impl FromIterator<(Digest, Permissions)> for Grants {
    fn from_iter<I: IntoIterator<Item = (Digest, Permissions)>>(each: I) -> Self {
        Grants(each.into_iter().collect())
    }
}

impl Grants {
    pub(crate) fn of(&self, plugin: &PluginRef) -> Option<&Permissions> {
        self.0.get(&plugin.digest)
    }
}

/// A run to be created.
pub struct NewRun {
    /// What to do.
    pub plan: Plan,
    /// Its inputs, bound.
    pub inputs: Map<String, Value>,
    /// The pipeline's file, as the user named it.
    pub file: Option<String>,
    /// The folder that fills the workspace, if any.
    pub workspace: Option<PathBuf>,
}

/// The right to carry a run out: a lock that ends with the process, and the run as it stands.
pub struct Claim {
    pub(crate) run: Run,
    pub(crate) next: u64,
    /// What the creation commanded; a run that was taken up has its commands in `Run::outstanding`.
    pub(crate) commands: Vec<Command>,
    pub(crate) taken_up: bool,
    /// Holds the lock.
    _lock: RunLock,
}

impl Claim {
    /// The run as it stands.
    pub fn run(&self) -> &Run {
        &self.run
    }
}

impl Host {
    /// Opens the home.
    ///
    /// # Errors
    /// When a part of it cannot be opened.
    pub async fn open(settings: HostSettings, runtime: Runtime) -> Result<Host, DriverError> {
        let home = settings.home;
        let store = Store::open_shared(&home).await?;
        let logs = LogStore::open(&home);
        let toolbox = Toolbox::new(settings.toolbox)?;
        Ok(Host { parts: Arc::new(Parts { home, store, logs, runtime, toolbox }) })
    }

    /// The event log.
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// The logs.
    pub fn logs(&self) -> &LogStore {
        &self.parts.logs
    }

    /// What steps may reach.
    pub fn toolbox(&self) -> &Toolbox {
        &self.parts.toolbox
    }

    /// The sandbox.
    pub fn runtime(&self) -> &Runtime {
        &self.parts.runtime
    }

    /// Records a new run and claims it. Nothing of it begins before [`crate::carry_out`].
    ///
    /// # Errors
    /// When the workspace's folder cannot be copied, or the run not be recorded.
    pub async fn create(&self, new: NewRun) -> Result<Claim, DriverError> {
        let run = new_run_id();
        let lock = self.parts.store.lock_run(&run)?;
        if let Some(folder) = new.workspace {
            let file = self.workspace_source(&run);
            let copied = tokio::task::spawn_blocking(move || {
                // Complete or absent: a half-written snapshot must never fill a workspace.
                let partial = file.with_extension("partial");
                snapshot::write(&folder, &partial)?;
                std::fs::rename(&partial, &file).map_err(|source| snapshot::SnapshotError::Io { path: file, source })
            });
            copied.await.map_err(|panic| DriverError::Io { path: self.run_folder(&run), source: panic.into() })??;
        }
        let previous = self.parts.store.last_succeeded(&new.plan.name).await?;
        let kind = EventKind::RunCreated {
            run: run.clone(),
            plan: Box::new(new.plan),
            inputs: new.inputs,
            previous,
            file: new.file,
        };
        let created = Event { at_ms: now_ms(), kind };
        let (state, commands) =
            Run::create(&created).map_err(|source| DriverError::History { run: run.clone(), at: 0, source })?;
        let mut claim = Claim { run: state, next: 0, commands: Vec::new(), taken_up: false, _lock: lock };
        // The first steps' intents are in the commit that creates the run.
        let mut events = vec![created];
        claim.commands = crate::run::with_intents(&mut claim.run, commands, &mut events)?;
        claim.next = self.parts.store.create_run(&events).await?;
        Ok(claim)
    }

    /// Claims a run that has not ended.
    ///
    /// # Errors
    /// When there is none, when it has ended, when another process carries it out, or when its history does not fit.
    pub async fn take_up(&self, run: &RunId) -> Result<Claim, DriverError> {
        let state = self.read(run).await?;
        if let (Some(_), Some(outcome)) = (state.finished_ms(), state.outcome()) {
            return Err(DriverError::Finished { run: run.clone(), outcome });
        }
        let lock = self.parts.store.lock_run(run)?;
        // Read again under the lock: what was read before it may be behind.
        let events = self.parts.store.events(run).await?;
        let next = windlass_store::FIRST_SEQ + events.len() as u64;
        let state = replay(run, &events)?;
        Ok(Claim { run: state, next, commands: Vec::new(), taken_up: true, _lock: lock })
    }

    /// A run as it stands, whoever carries it out.
    ///
    /// # Errors
    /// When there is none, or its history does not fit.
    pub async fn read(&self, run: &RunId) -> Result<Run, DriverError> {
        let events = self.parts.store.events(run).await?;
        replay(run, &events)
    }

    /// Whether some process carries the run out at this moment.
    pub fn is_claimed(&self, run: &RunId) -> bool {
        matches!(self.parts.store.lock_run(run), Err(StoreError::RunOwned { .. }))
    }

    /// Removes what a run that has ended leaves: containers, and its workspace unless that is to stay. A run of which no step
    /// had use for a container engine needs none to end.
    pub(crate) async fn tidy(&self, run: &RunId, taken_up: bool, keep_workspace: bool) {
        let _ = std::fs::remove_file(self.workspace_source(run));
        let toolbox = &self.parts.toolbox;
        if (toolbox.has_engine() || taken_up)
            && let Err(error) = toolbox.remove_run(run, keep_workspace).await
        {
            tracing::warn!("containers or the workspace of run {run} may still be there: {error}");
        }
    }

    pub(crate) fn run_folder(&self, run: &RunId) -> PathBuf {
        self.parts.home.join("runs").join(run.as_str())
    }

    /// The tar file that has yet to fill the run's workspace. That it is there is the durable mark that it has not happened.
    pub(crate) fn workspace_source(&self, run: &RunId) -> PathBuf {
        self.run_folder(run).join("workspace.tar")
    }

    /// Fills the run's workspace, once. Called under the run's own mutex; a crash in the middle fills it again.
    pub(crate) async fn fill_workspace(&self, run: &RunId) -> Result<(), DriverError> {
        let source = self.workspace_source(run);
        let io = |error| DriverError::Io { path: source.clone(), source: error };
        if !exists(&source) {
            return Ok(());
        }
        self.parts.toolbox.fill_workspace(run, &source).await?;
        std::fs::remove_file(&source).map_err(io)
    }
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn replay(run: &RunId, events: &[Event]) -> Result<Run, DriverError> {
    Run::replay(events).map_err(|(at, source)| DriverError::History { run: run.clone(), at, source })
}

/// Sorts by time, is unique without coordination, and is short enough to be typed from a screen.
fn new_run_id() -> RunId {
    let id = uuid::Uuid::now_v7().simple().to_string();
    // 48 bits of milliseconds and 32 bits of randomness: twenty hex digits.
    let text = format!("r{}{}", &id[..12], &id[24..32]);
    match text.parse() {
        Ok(id) => id,
        Err(error) => unreachable!("hex digits are a run id: {error}"),
    }
}
