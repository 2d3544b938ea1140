//! What runs are carried out with, how they come to be, and who carries out which.

use crate::{DriverError, Notice, carrier::recorded, clock::now_ms, draft::Draft, traces::used_containers};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    path::PathBuf,
    sync::{Arc, OnceLock},
};
use tokio::sync::{Semaphore, watch};
use windlass_capabilities::{Masker, Toolbox, ToolboxSettings};
use windlass_contract::{Digest, Permissions, PluginRef, RunId, SecretReference};
use windlass_engine::{Command, Event, EventKind, Group, Origin, Rerun, RerunFrom, Run};
use windlass_manifest::{
    plan::{Plan, Work},
    template::{Context, RunContext, render_env, render_text},
};
use windlass_runtime::Runtime;
use windlass_store::{Labels, RunLock, Standing, Store, StoreError, Watch, logs::LogStore};

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
    /// Rings when something is asked of a run of this home. Made when it is first listened to, as the others are.
    asked: OnceLock<watch::Sender<()>>,
    /// Rings when a run of this home has ended.
    ended: OnceLock<watch::Sender<()>>,
    /// Rings at each commit in this home.
    committed: OnceLock<watch::Sender<()>>,
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
    /// What its workspace begins with.
    pub workspace: Workspace,
    /// Where it comes from. Its group is filled in from the plan.
    pub origin: Origin,
    /// What lists tell of it.
    pub labels: Labels,
}

/// What a run's workspace begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Workspace {
    /// Nothing.
    Empty,
    /// This folder's content.
    Folder(PathBuf),
    /// What this run's began with: a sub-run's does.
    LikeRun(RunId),
    /// What this run, which has ended, has left in all its volumes.
    LeftBy(RunId),
}

/// The right to carry a run out: a lock that ends with the process, and the run as it stands.
pub struct Claim {
    pub(crate) run: Run,
    pub(crate) next: u64,
    /// What the creation commanded; a run that was taken up has its commands in `Run::outstanding`.
    pub(crate) commands: Vec<Command>,
    pub(crate) taken_up: bool,
    /// What has become durable with the claim and is not told yet.
    pub(crate) fresh: Vec<Notice>,
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

    /// Whether the run was there before, and its events were told by somebody else.
    pub fn is_taken_up(&self) -> bool {
        self.taken_up
    }

    /// The number of the run's next event.
    pub fn next_seq(&self) -> u64 {
        self.next
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
        let (asked, ended, committed) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Ok(Host { parts: Arc::new(Parts { home, store, logs, runtime, toolbox, places, asked, ended, committed }) })
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
    /// When the workspace's content cannot be copied, or the run not be recorded.
    pub async fn create(&self, new: NewRun) -> Result<Claim, DriverError> {
        self.create_as(&new_run_id(), new).await
    }

    /// The same, under an id that was recorded before: after a crash, the run is found by it and not created twice.
    ///
    /// # Errors
    /// [`StoreError::RunExists`] where it is there already, and nothing of it is touched; and as [`Host::create`].
    pub async fn create_as(&self, run: &RunId, new: NewRun) -> Result<Claim, DriverError> {
        let lock = self.parts.store.lock_run(run)?;
        match self.parts.store.run(run).await {
            Err(StoreError::UnknownRun { .. }) => {}
            Err(error) => return Err(error.into()),
            // What is made for a new run, and removed where it cannot be, is this one's.
            Ok(_) => return Err(StoreError::RunExists { run: run.clone() }.into()),
        }
        let created = self.create_locked(new, run, lock).await;
        if created.is_err() {
            // What a process leaves that dies here, `sweep` removes.
            self.forget(run).await;
        }
        created
    }

    async fn create_locked(&self, new: NewRun, run: &RunId, lock: RunLock) -> Result<Claim, DriverError> {
        let mark = self.mark(run);
        let marked = std::fs::create_dir_all(self.marks()).and_then(|()| File::create(&mark));
        marked.map_err(|source| DriverError::Io { path: mark, source })?;
        let NewRun { plan, inputs, file, workspace, mut origin, labels } = new;
        self.begin_workspace(run, &plan, workspace).await?;
        let previous = self.parts.store.last_succeeded(&plan.name).await?;
        origin.group = group(run, &plan, &inputs, previous.as_ref())?;
        let kind = EventKind::RunCreated { run: run.clone(), plan: Box::new(plan), inputs, previous, file, origin };
        let created = Event { at_ms: now_ms(), kind };
        let (mut state, commands) =
            Run::create(&created).map_err(|source| DriverError::History { run: run.clone(), at: 0, source })?;
        // The first steps' intents are in the commit that creates the run.
        let mut draft = Draft { run: &mut state, before: 0, events: vec![created] };
        let commands = draft.intend(commands)?;
        let events = draft.events;
        let standing = Standing { labels, ..Standing::of(&state, &events) };
        let next = self.parts.store.create_run(&events, standing).await?;
        let fresh = recorded(run, windlass_store::FIRST_SEQ, events);
        Ok(Claim { run: state, next, commands, taken_up: false, fresh, secrets: Vec::new(), _lock: lock })
    }

    /// Records and claims a run that repeats another one, which has ended, from where it is asked to. What that one has left in its
    /// volumes and of artifacts is there again.
    ///
    /// # Errors
    /// When it cannot be repeated so; when what it left in its volumes is gone; and as [`Host::create`].
    pub async fn rerun(
        &self,
        of: &RunId,
        from: &RerunFrom,
        by: Option<String>,
        workspace: Workspace,
    ) -> Result<Claim, DriverError> {
        let old = self.read(of).await?;
        let rerun: Option<Rerun> = old.rerun(from).map_err(DriverError::Refused)?;
        let workspace = match &rerun {
            None => workspace,
            Some(_) if !used_containers(&old) => Workspace::Empty,
            Some(_) if self.kept(&old.plan().name).as_ref() == Some(of) => Workspace::LeftBy(of.clone()),
            Some(_) => return Err(DriverError::VolumesGone { run: of.clone() }),
        };
        let origin =
            Origin { by, rerun: rerun.map(Box::new), blackboard: old.origin().blackboard.clone(), ..Origin::default() };
        let row = self.parts.store.run(of).await?;
        let (title, version) = (row.title, row.version);
        let labels = Labels { trigger: "rerun".to_owned(), title, version, rerun_of: Some(of.clone()) };
        let new = NewRun {
            labels,
            plan: old.plan().clone(),
            inputs: old.inputs().clone(),
            file: old.file().map(str::to_owned),
            workspace,
            origin,
        };
        let id = new_run_id();
        if new.origin.rerun.is_some() {
            self.parts.toolbox.artifacts().take_over(of, &id)?;
        }
        self.create_as(&id, new).await
    }

    /// Rings after something was asked of a run of this home, by whatever process.
    pub(crate) fn asked(&self) -> watch::Receiver<()> {
        bell(&self.parts.asked, || self.parts.store.asked())
    }

    /// Rings after a run of this home has ended, in whatever process.
    pub fn ended(&self) -> watch::Receiver<()> {
        bell(&self.parts.ended, || self.parts.store.ended())
    }

    /// Rings after each commit in this home, by whatever process: one watch of the system for all who wait.
    pub fn committed(&self) -> watch::Receiver<()> {
        bell(&self.parts.committed, || self.parts.store.commits())
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
        let (commands, fresh) = (Vec::new(), Vec::new());
        Ok(Claim { run: state, next, commands, taken_up: true, fresh, secrets, _lock: lock })
    }

    /// Whether whoever takes a run up has something to do: something of it is under way or due, or was asked and not answered. A run
    /// may wait for people and have a step under way beside that.
    ///
    /// # Errors
    /// When there is none, or its history does not fit.
    pub async fn has_work(&self, run: &RunId) -> Result<bool, DriverError> {
        let state = self.read(run).await?;
        let waits = |command: &Command| matches!(command, Command::AskFate { .. } | Command::AwaitGate { .. });
        let under_way = state.in_flight().iter().any(|flight| flight.sub_run.is_none());
        Ok(under_way || !state.outstanding().iter().all(waits) || !self.parts.store.requests(run).await?.is_empty())
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
}

/// A bell that everybody in this process hears. The system has few watches, so there is one however many listen.
fn bell(
    made: &OnceLock<watch::Sender<()>>,
    changes: impl FnOnce() -> Result<Watch, StoreError>,
) -> watch::Receiver<()> {
    let bell = made.get_or_init(|| {
        let (bell, _) = watch::channel(());
        match changes() {
            Ok(mut changed) => {
                let ring = bell.clone();
                tokio::spawn(async move {
                    loop {
                        changed.changed().await;
                        ring.send_replace(());
                    }
                });
            }
            // Then what happens is seen when the run is next taken up.
            Err(error) => tracing::warn!("what others do to runs is not seen while they go on: {error}"),
        }
        bell
    });
    bell.subscribe()
}

/// The group in which a run takes turns, its name rendered.
fn group(
    run: &RunId,
    plan: &Plan,
    inputs: &Map<String, Value>,
    previous: Option<&RunId>,
) -> Result<Option<Group>, DriverError> {
    let Some(concurrency) = &plan.concurrency else { return Ok(None) };
    let failed = |error| DriverError::History {
        run: run.clone(),
        at: 0,
        source: windlass_engine::EngineError::Environment { error: Box::new(error) },
    };
    let mut context = Context {
        inputs: inputs.clone(),
        run: RunContext { id: run.to_string(), previous: previous.map(ToString::to_string) },
        ..Context::default()
    };
    context.env = render_env(plan, &context).map_err(failed)?.0;
    let (name, _) = render_text(&concurrency.group, plan, &context, "concurrency.group").map_err(failed)?;
    Ok(Some(Group { name, limit: concurrency.limit.max(1) }))
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
    fn collect_plan(plan: &Plan, found: &mut BTreeSet<String>) {
        plan.env.values().for_each(|value| collect(&Value::String(value.clone()), found));
        plan.blackboard.values().for_each(|value| collect(value, found));
        for step in plan.steps() {
            if let Work::Plugin(work) = &step.work {
                collect(&work.config, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    if let EventKind::RunCreated { plan, inputs, .. } = created {
        inputs.values().for_each(|value| collect(value, &mut found));
        collect_plan(plan, &mut found);
    }
    found.iter().filter_map(|text| SecretReference::in_text(text)?.ok()).collect()
}

fn replay(run: &RunId, events: &[Event]) -> Result<Run, DriverError> {
    Run::replay(events).map_err(|(at, source)| DriverError::History { run: run.clone(), at, source })
}

/// A new run's id. Sorts by time, is unique without coordination, and is short enough to be typed from a screen.
pub fn new_run_id() -> RunId {
    let id = uuid::Uuid::now_v7().simple().to_string();
    // 48 bits of milliseconds and 32 bits of randomness: twenty hex digits.
    let text = format!("r{}{}", &id[..12], &id[24..32]);
    match text.parse() {
        Ok(id) => id,
        Err(error) => unreachable!("hex digits are a run id: {error}"),
    }
}
