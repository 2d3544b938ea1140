//! Containers beside the host, by the Docker Engine API. The only module that names bollard.
//!
//! A container of an attempt has a name that follows from run, step, attempt and index, and labels that say the same, so
//! that a host which comes back after a crash finds it again. The order of a start is: check, create, **record**
//! ([`Journal`], durable), attach, start. Whatever of it happened before a crash, the next execution ends up with one
//! container that was started once:
//!
//! | recorded | there | what is done |
//! |---|---|---|
//! | no | no | create, record, start |
//! | no | created | record, start |
//! | yes | created | start |
//! | yes | running or exited | adopt: read the log from its beginning, wait |
//! | yes | no | `Lost`: it ran, and what it did is not known |
//!
//! What a provider detaches belongs to no attempt: see the module `detached`.
//!
//! A container that is there but was made by somebody else, or for another request, is refused, not touched.
//!
//! Output of a fresh container is attached to before it starts (fast); that of an adopted one, and that of a connection that
//! broke, is read from the engine's log file, which keeps all of it.
//!
//! What containers may do: no privileges, no host paths, no host network, no devices, no engine socket: there is no field
//! for them. A granted network is the engine's default bridge: it reaches what the engine's machine routes, so it is a
//! grant of its own and not narrowed by the egress policy of `http`.

mod detached;
mod engine;
mod files;
mod fill;
mod output;
mod registry;
mod run;
mod seen;
mod spec;
mod volumes;

pub use detached::Detached;
pub(crate) use detached::Place;
pub(crate) use engine::Engine;
pub use engine::{DockerSettings, EngineError};
pub use output::CAPTURED_BYTES;
pub use seen::{Seen, Trouble};
pub(crate) use volumes::Volumes;
pub use volumes::{Keep, PersistentVolume, VolumePlace};

use crate::{
    artifacts::{Shelf, to_container},
    log::LogSink,
};
use async_trait::async_trait;
use run::Running;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{sync::OnceCell, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use windlass_contract::{
    StepCall,
    capability::{Artifact, Container, ContainerError, ContainerSpec, Containers, Exit, Output},
    permissions::ContainersScope,
};

const LABEL_RUN: &str = "dev.windlass.run";
const LABEL_STEP: &str = "dev.windlass.step";
const LABEL_ATTEMPT: &str = "dev.windlass.attempt";
const LABEL_INDEX: &str = "dev.windlass.index";
const LABEL_OWNER: &str = "dev.windlass.owner";
const LABEL_SPEC: &str = "dev.windlass.spec";
const LABEL_VOLUME: &str = "dev.windlass.volume";
const LABEL_PIPELINE: &str = "dev.windlass.pipeline";
const LABEL_PLUGIN: &str = "dev.windlass.plugin";
const LABEL_ENVIRONMENT: &str = "dev.windlass.environment";
const LABEL_DEPLOYMENT: &str = "dev.windlass.deployment";

/// One attempt starts at most this many containers: more than any step has use for, too few to fill a machine.
const MAX_CONTAINERS: u32 = 100;

/// Between SIGTERM and SIGKILL when a timeout was reached: time to write a report, not to finish the work.
const TIMEOUT_GRACE: Duration = Duration::from_secs(10);

/// Where a container is recorded before it is started.
#[async_trait]
pub trait Journal: Send + Sync {
    /// The container `name`, the `index`-th of the attempt, exists and is about to be started. Durable when this returns.
    async fn container_created(&self, index: u32, name: &str) -> Result<(), String>;
}

/// What the containers of one attempt share.
pub(crate) struct StepWork {
    engine: Arc<Engine>,
    call: StepCall,
    sink: Arc<dyn LogSink>,
    journal: Arc<dyn Journal>,
    shelf: Shelf,
    volumes: Volumes,
    deadline: Instant,
    created_before: HashMap<u32, String>,
    /// Set when the step is to stop: wakes everybody who waits.
    pub(crate) cancelled: CancellationToken,
    /// How long containers get between SIGTERM and SIGKILL once it is set.
    grace: OnceLock<Duration>,
    /// Set when that is to wait no longer.
    pub(super) at_once: CancellationToken,
    /// Starts that are under way, and containers that are waited for. They go on when the guest that asked is gone.
    tasks: TaskTracker,
    started: AtomicU32,
    /// The containers to remove at the end.
    names: Mutex<BTreeSet<String>>,
    /// Those of them that were lent credentials, which lie on a volume.
    loans: Mutex<BTreeSet<String>>,
    holder: OnceCell<String>,
    seen: Mutex<Seen>,
}

impl StepWork {
    #[allow(clippy::too_many_arguments, reason = "called in one place, with a value of its own type for each")]
    pub(crate) fn new(
        engine: Arc<Engine>,
        call: StepCall,
        sink: Arc<dyn LogSink>,
        journal: Arc<dyn Journal>,
        shelf: Shelf,
        volumes: Volumes,
        deadline: Instant,
        created_before: Vec<(u32, String)>,
    ) -> Self {
        let names = created_before.iter().map(|(_, name)| name.clone()).collect();
        StepWork {
            engine,
            call,
            sink,
            journal,
            shelf,
            volumes,
            deadline,
            created_before: created_before.into_iter().collect(),
            cancelled: CancellationToken::new(),
            grace: OnceLock::new(),
            at_once: CancellationToken::new(),
            tasks: TaskTracker::new(),
            started: AtomicU32::new(0),
            names: Mutex::new(names),
            loans: Mutex::default(),
            holder: OnceCell::new(),
            seen: Mutex::default(),
        }
    }

    fn name_prefix(&self) -> String {
        format!("windlass-{}-{}-{}", self.call.run, self.call.step, self.call.attempt)
    }

    fn remember(&self, name: &str) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    fn remember_loan(&self, name: &str) {
        self.loans.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    fn forget(&self, name: &str) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.loans.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    pub(crate) async fn stop(&self, grace: Duration) {
        let _ = self.grace.set(grace);
        if grace.is_zero() {
            self.at_once.cancel();
        }
        self.cancelled.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(crate) async fn remove(&self) -> Result<(), EngineError> {
        let names: Vec<String> = self.names.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        futures::future::try_join_all(names.iter().map(|name| async move {
            self.engine.remove_container(name).await?;
            if self.loans.lock().unwrap_or_else(PoisonError::into_inner).contains(name) {
                self.engine.remove_volume(&registry::volume_name(name)).await?;
            }
            self.forget(name);
            Ok(())
        }))
        .await
        .map(drop)
    }
}

/// [`Containers`] for one attempt of one step.
pub(crate) struct StepContainers {
    pub(crate) work: Arc<StepWork>,
    pub(crate) granted: ContainersScope,
    /// The strings of the step's configuration.
    pub(crate) named: Arc<BTreeSet<String>>,
    /// Where containers may be detached, in a call of a provider.
    pub(crate) place: Option<Place>,
}

#[async_trait]
impl Containers for StepContainers {
    async fn start(&self, spec: ContainerSpec) -> Result<Arc<dyn Container>, ContainerError> {
        let index = self.work.started.fetch_add(1, Ordering::SeqCst) + 1;
        if self.work.cancelled.is_cancelled() {
            return Err(ContainerError::Cancelled);
        }
        if index > MAX_CONTAINERS {
            let words =
                format!("this attempt has started {MAX_CONTAINERS} containers already; run several commands in one");
            return Err(ContainerError::ResourceExhausted(words));
        }
        let plan = spec::Plan::check(&spec, &self.granted, &self.named, &self.work.volumes, self.place.as_ref())?;
        // Known to the masker before a container or the engine can hold it.
        for value in plan.credentials.iter().flat_map(|credentials| credentials.sensitive()) {
            self.work.shelf.masker.add(&value);
        }
        if let (Some(name), Some(place)) = (&plan.detached, &self.place) {
            let starting = self.work.clone().start_detached(place.clone(), name.clone(), plan);
            let started = self.work.tasks.spawn(starting).await;
            return started.unwrap_or_else(|_| Err(interrupted())).map(|made| Arc::new(made) as Arc<dyn Container>);
        }
        // A task of its own: where the guest is dropped in the middle, the start still ends in a known state.
        let starting = self.work.tasks.spawn(self.work.clone().start(index, plan));
        let running = starting.await.unwrap_or_else(|_| Err(interrupted()));
        self.work.saw(running.as_ref().map(|_| None));
        let running = running?;
        Ok(Arc::new(StepContainer { work: self.work.clone(), running }))
    }

    async fn find(&self, name: String) -> Result<Option<Arc<dyn Container>>, ContainerError> {
        let place = spec::place_of_detached(&self.granted, self.place.as_ref())?;
        let found = self.work.find_detached(place, &spec::detached_name(&name)?).await?;
        Ok(found.map(|found| Arc::new(found) as Arc<dyn Container>))
    }
}

fn interrupted() -> ContainerError {
    ContainerError::Other("the start was interrupted".to_owned())
}

/// A container that was started, or adopted.
struct StepContainer {
    work: Arc<StepWork>,
    running: Running,
}

#[async_trait]
impl Container for StepContainer {
    async fn wait(&self) -> Result<Exit, ContainerError> {
        let exit = tokio::select! {
            biased;
            exit = self.running.ended() => exit,
            () = self.work.cancelled.cancelled() => Err(ContainerError::Cancelled),
        };
        self.work.saw(exit.as_ref().map(|exit| Some(*exit)));
        exit
    }

    async fn captured(&self, output: Output) -> String {
        self.running.outputs.captured(output)
    }

    async fn exec(&self, argv: Vec<String>) -> Result<Exit, ContainerError> {
        spec::check_argv("command", Some(&argv), &mut 0)?;
        tokio::select! {
            exit = self.work.exec(&self.running.name, &self.running.outputs, argv) => exit,
            () = self.work.cancelled.cancelled() => Err(ContainerError::Cancelled),
        }
    }

    async fn save(&self, path: String, key: String) -> Result<Arc<dyn Artifact>, ContainerError> {
        let draft = self.work.shelf.begin(&key).await.map_err(to_container)?;
        let stored = self.work.take_out(&self.running.name, &path, draft).await?;
        Ok(self.work.shelf.handle(stored))
    }

    async fn load(&self, artifact: Arc<dyn Artifact>, path: String) -> Result<(), ContainerError> {
        self.work.put_in(&self.running.name, &self.running.mounted, &*artifact, &path).await
    }

    async fn stop(&self, grace_ms: u32) -> Result<(), ContainerError> {
        self.running.ask_to_stop(Duration::from_millis(grace_ms.into()));
        match self.wait().await {
            Err(ContainerError::Cancelled) => Err(ContainerError::Cancelled),
            Ok(_) | Err(ContainerError::Lost(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn wait_for(&self, ms: u32) -> Result<Option<Exit>, ContainerError> {
        within(ms, self.wait()).await
    }
}

/// An end, unless it takes longer than so many milliseconds.
async fn within(
    ms: u32,
    end: impl Future<Output = Result<Exit, ContainerError>>,
) -> Result<Option<Exit>, ContainerError> {
    tokio::time::timeout(Duration::from_millis(ms.into()), end).await.ok().transpose()
}

#[cfg(test)]
pub(crate) mod tests_support {
    use windlass_contract::{Digest, PluginRef, StepCall};

    pub(crate) fn call(run: &str, step: &str, config: serde_json::Value) -> StepCall {
        StepCall {
            plugin: PluginRef {
                name: "acme:test".parse().unwrap(),
                version: "0.1.0".parse().unwrap(),
                digest: Digest::of(b""),
            },
            step_type: "step.test".to_owned(),
            run: run.parse().unwrap(),
            step: step.parse().unwrap(),
            attempt: 1,
            config,
        }
    }
}
