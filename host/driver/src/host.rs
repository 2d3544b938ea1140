//! What runs are carried out with, who carries out which, and what is removed after them.
//!
//! `open/RUN` in the home is there from before the first trace of a run until after its last one was removed: its folder's
//! snapshot, its containers, its volume. A process that dies at any moment in between leaves it, and [`Host::sweep`] finds by
//! it what is to be removed without asking the container engine or going through all runs there ever were.

use crate::{DriverError, clock::now_ms, run::Draft, snapshot};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::Semaphore;
use windlass_capabilities::{Masker, Toolbox, ToolboxSettings};
use windlass_contract::{Digest, Permissions, PluginRef, RunId, SecretReference};
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
    /// As many attempts at once as the sandbox has places: an attempt's time begins when it has one.
    pub(crate) places: Semaphore,
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
    /// What a run that was taken up names of secrets.
    pub(crate) secrets: Vec<SecretReference>,
    /// Holds the lock.
    _lock: RunLock,
}

impl Claim {
    /// The run as it stands.
    pub fn run(&self) -> &Run {
        &self.run
    }

    pub(crate) fn draft(&mut self) -> Draft<'_> {
        let before = usize::try_from(self.next - windlass_store::FIRST_SEQ).unwrap_or(usize::MAX);
        Draft { run: &mut self.run, before, events: Vec::new() }
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
        let places = Semaphore::new(runtime.concurrency());
        Ok(Host { parts: Arc::new(Parts { home, store, logs, runtime, toolbox, places }) })
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
        let created = self.create_locked(new, &run, lock).await;
        if created.is_err() {
            // What a process leaves that dies here, `sweep` removes.
            self.forget(&run).await;
        }
        created
    }

    async fn create_locked(&self, new: NewRun, run: &RunId, lock: RunLock) -> Result<Claim, DriverError> {
        let mark = self.mark(run);
        let marked = std::fs::create_dir_all(self.marks()).and_then(|()| File::create_new(&mark));
        marked.map_err(|source| DriverError::Io { path: mark, source })?;
        if let Some(folder) = new.workspace {
            let file = self.workspace_source(run);
            let copied = tokio::task::spawn_blocking(move || {
                // Complete or absent: a half-written snapshot must never fill a workspace. And durable before the run is: a
                // snapshot that is absent counts as one that has filled its workspace already.
                let partial = file.with_extension("partial");
                snapshot::write(&folder, &partial)?;
                std::fs::rename(&partial, &file)
                    .and_then(|()| sync_folder(&file))
                    .map_err(|source| snapshot::SnapshotError::Io { path: file, source })
            });
            copied.await.map_err(|panic| DriverError::Io { path: self.run_folder(run), source: panic.into() })??;
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
        let (mut state, commands) =
            Run::create(&created).map_err(|source| DriverError::History { run: run.clone(), at: 0, source })?;
        // The first steps' intents are in the commit that creates the run.
        let mut draft = Draft { run: &mut state, before: 0, events: vec![created] };
        let commands = draft.intend(commands)?;
        let events = draft.events;
        let next = self.parts.store.create_run(&events).await?;
        Ok(Claim { run: state, next, commands, taken_up: false, secrets: Vec::new(), _lock: lock })
    }

    /// Claims a run that has not ended.
    ///
    /// # Errors
    /// When there is none, when it has ended, when another process carries it out, or when its history does not fit.
    pub async fn take_up(&self, run: &RunId) -> Result<Claim, DriverError> {
        // First whether there is one: a lock makes its folder.
        self.parts.store.run(run).await?;
        let lock = self.parts.store.lock_run(run)?;
        let events = self.parts.store.events(run).await?;
        let state = replay(run, &events)?;
        if let (Some(_), Some(outcome)) = (state.finished_ms(), state.outcome()) {
            return Err(DriverError::Finished { run: run.clone(), outcome });
        }
        let next = windlass_store::FIRST_SEQ + events.len() as u64;
        let secrets = events.first().map(|event| secrets_in(&event.kind)).unwrap_or_default();
        Ok(Claim { run: state, next, commands: Vec::new(), taken_up: true, secrets, _lock: lock })
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
        // Where nobody can tell, nobody should be told to take it up.
        self.parts.store.is_locked(run).unwrap_or(true)
    }

    /// Removes what a run that has ended leaves: containers, and its workspace unless that is to stay. A run of which no step
    /// had use for a container engine needs none to end.
    pub(crate) async fn tidy(&self, run: &Run, taken_up: bool) {
        let _ = std::fs::remove_file(self.workspace_source(run.id()));
        // Another process than this one may have used it too.
        let noted = || self.mark(run.id()).metadata().is_ok_and(|mark| mark.len() > 0);
        let used = self.parts.toolbox.has_engine() || (taken_up && noted());
        if used && !self.remove_from_engine(run).await {
            return;
        }
        let _ = std::fs::remove_file(self.mark(run.id()));
    }

    /// Notes that the run may have something at the container engine from now on. Not synced: what a loss of power leaves there
    /// does not run.
    pub(crate) fn uses_engine(&self, run: &RunId) -> Result<(), DriverError> {
        let mark = self.mark(run);
        std::fs::write(&mark, "engine").map_err(|source| DriverError::Io { path: mark, source })
    }

    async fn remove_from_engine(&self, run: &Run) -> bool {
        let removed = self.parts.toolbox.remove_run(run.id(), run.plan().workspace.persistent).await;
        if let Err(error) = &removed {
            // The mark stays, and the next sweep comes back to it.
            tracing::warn!("containers or the workspace of run {} may still be there: {error}", run.id());
        }
        removed.is_ok()
    }

    /// Removes what processes that died have left behind of runs that have ended, or that never came to be. Where there is
    /// nothing of that kind, which is nearly always, it lists one small folder. A process does it once, beside its work.
    pub async fn sweep(&self) {
        // Where there is no such folder, nothing was ever begun here.
        let Ok(marks) = std::fs::read_dir(self.marks()) else { return };
        let runs = marks.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RunId>().ok());
        for run in runs {
            // Whoever is at work on a run removes its traces himself.
            if self.is_claimed(&run) {
                continue;
            }
            match self.read(&run).await {
                Ok(state) if state.finished_ms().is_some() => self.tidy(&state, true).await,
                // To be taken up again.
                Ok(_) => {}
                Err(DriverError::Store(StoreError::UnknownRun { .. })) => self.forget(&run).await,
                Err(error) => tracing::warn!("what run {run} left behind cannot be looked at: {error}"),
            }
        }
    }

    /// Removes the folder of a run that was never recorded.
    async fn forget(&self, run: &RunId) {
        // Under its lock, and looked at once more: it may be in the middle of being created.
        let Ok(_lock) = self.parts.store.lock_run(run) else { return };
        if matches!(self.parts.store.run(run).await, Err(StoreError::UnknownRun { .. })) {
            let _ = std::fs::remove_dir_all(self.run_folder(run));
            let _ = std::fs::remove_file(self.mark(run));
        }
    }

    /// Makes secrets known to a masker. A run's masker learns a secret when a step first uses it; the process that knew those of
    /// the earlier steps is gone, and what they left in the workspace may still be printed.
    ///
    /// What is not found is passed over: the step that needs it says so. A reference that a template puts together is known
    /// from its next use on only.
    pub(crate) async fn mask_known_secrets(&self, secrets: &[SecretReference], masker: &Masker) {
        if secrets.is_empty() {
            return;
        }
        let (toolbox, secrets, masker) = (self.parts.toolbox.clone(), secrets.to_vec(), masker.clone());
        let masking = tokio::task::spawn_blocking(move || {
            for (value, _) in secrets.iter().filter_map(|secret| toolbox.vault().get(secret).ok()) {
                masker.add(&value);
            }
        });
        let _ = masking.await;
    }

    fn marks(&self) -> PathBuf {
        self.parts.home.join("open")
    }

    fn mark(&self, run: &RunId) -> PathBuf {
        self.marks().join(run.as_str())
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
        // Durable before a step works on what was filled: filling it again would undo its work.
        std::fs::remove_file(&source).and_then(|()| sync_folder(&source)).map_err(io)
    }
}

/// Has the names in a file's folder on the disk.
fn sync_folder(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// The secrets that a plan and its inputs name.
fn secrets_in(created: &EventKind) -> Vec<SecretReference> {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::String(text) if text.starts_with("secret:") => drop(found.insert(text.clone())),
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    if let EventKind::RunCreated { plan, inputs, .. } = created {
        inputs.values().for_each(|value| collect(value, &mut found));
        plan.env.values().for_each(|value| collect(&Value::String(value.clone()), &mut found));
        let steps = plan.states.iter().flat_map(|state| &state.steps);
        steps.for_each(|step| collect(&step.config, &mut found));
    }
    found.iter().filter_map(|text| SecretReference::in_text(text)?.ok()).collect()
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
