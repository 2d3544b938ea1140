//! From a host's settings to what one attempt of one step may use.

use crate::{
    artifacts::{ArtifactStore, Shelf, StepArtifacts},
    containers::{
        Detached, DockerSettings, Engine, EngineError, Journal, Keep, PersistentVolume, Place, Seen, StepContainers,
        StepWork, VolumePlace, Volumes,
    },
    http::{Client, EgressPolicy, StepHttp},
    log::{LogSink, PluginLog},
    secrets::{Book, KeySource, Masker, StepSecrets, Vault},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use windlass_contract::{
    Capabilities, Code, CodedError, EnvironmentName, Permissions, RunId, StepCall,
    capability::{Artifacts, Containers, Http, Secrets, State},
};

/// How a host is set up.
#[derive(Debug, Clone)]
pub struct ToolboxSettings {
    /// Artifacts and the vault lie in it.
    pub data_dir: PathBuf,
    /// Where the vault's key comes from.
    pub vault_key: KeySource,
    /// Which container engine.
    pub docker: DockerSettings,
    /// What requests may reach beyond the public internet.
    pub egress: EgressPolicy,
    /// Who owns the containers, as a label: one name for each data folder, so that two hosts on one engine leave each
    /// other's containers alone.
    pub owner: String,
}

/// Why a toolbox could not be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum ToolboxError {
    #[error("the owner {0:?} is not a name; use 1 to 63 letters, digits, '.', '_' and '-'")]
    BadOwner(String),
    #[error("no HTTP client can be made: {0}; are the system's root certificates (ca-certificates) installed?")]
    Http(#[source] reqwest::Error),
}

impl CodedError for ToolboxError {
    fn code(&self) -> Code {
        Code(match self {
            ToolboxError::BadOwner(_) => 401,
            ToolboxError::Http(_) => 701,
        })
    }
}

/// What all steps of a host share. Clones are the same toolbox.
#[derive(Clone)]
pub struct Toolbox {
    artifacts: ArtifactStore,
    vault: Arc<Vault>,
    engine: Arc<Engine>,
    http: Client,
}

/// What is given for one attempt of one step.
pub struct StepScope {
    /// Which attempt of which step.
    pub call: StepCall,
    /// What it may reach: what is granted and asked for, both.
    pub permissions: Permissions,
    /// Where its log goes.
    pub log: Arc<dyn LogSink>,
    /// Where a container is recorded before it is started.
    pub journal: Arc<dyn Journal>,
    /// The run's masker.
    pub masker: Masker,
    /// The plugin's own store, where it is granted.
    pub state: Option<Arc<dyn State>>,
    /// When the step's timeout is over.
    pub deadline: Instant,
    /// The containers, by index and name, that an earlier execution of this attempt recorded.
    pub created_before: Vec<(u32, String)>,
    /// The volumes that the plan declares, and whose each is. The workspace is the run's where it is not among them.
    pub volumes: BTreeMap<String, VolumePlace>,
    /// The last run of the same pipeline that succeeded.
    pub previous_run: Option<RunId>,
    /// The environment that a provider is called for; then there is no workspace, and containers may be detached.
    pub environment: Option<EnvironmentName>,
}

impl Toolbox {
    /// A toolbox. Nothing is connected to or read until it is wanted.
    ///
    /// # Errors
    /// When the owner is not a name, or the system has no root certificates.
    pub fn new(settings: ToolboxSettings) -> Result<Self, ToolboxError> {
        let owner = settings.owner;
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !(1..=63).contains(&owner.len()) || !owner.chars().all(sound) {
            return Err(ToolboxError::BadOwner(owner));
        }
        Ok(Toolbox {
            artifacts: ArtifactStore::open(settings.data_dir.join("artifacts")),
            vault: Arc::new(Vault::open(settings.data_dir.join("vault.json"), settings.vault_key)),
            engine: Arc::new(Engine::new(settings.docker, owner)),
            http: Client::new(settings.egress).map_err(ToolboxError::Http)?,
        })
    }

    /// The tools of one attempt of one step.
    pub fn for_step(&self, scope: StepScope) -> StepTools {
        let StepScope { call, permissions, log: sink, masker, state, .. } = scope;
        let mut strings = BTreeSet::new();
        collect_strings(&call.config, &mut strings);
        let named = Arc::new(strings);
        let shelf = Shelf {
            store: self.artifacts.clone(),
            run: call.run.clone(),
            scope: permissions.artifacts,
            masker: masker.clone(),
        };
        let owner = || self.engine.owner().to_owned();
        let volumes = match scope.environment {
            None => Volumes::new(owner(), call.run.clone(), scope.volumes),
            Some(_) => Volumes::none(owner(), call.run.clone()),
        };
        let place =
            scope.environment.map(|environment| Place::new(self.engine.owner(), &call.plugin.name, environment));
        let work = Arc::new(StepWork::new(
            self.engine.clone(),
            call,
            sink.clone(),
            scope.journal,
            shelf.clone(),
            volumes,
            scope.deadline.into(),
            scope.created_before,
        ));
        let book = Arc::new(Book::default());
        let containers = permissions.containers.map(|granted| {
            Arc::new(StepContainers { work: work.clone(), granted, named: named.clone(), place }) as Arc<dyn Containers>
        });
        let artifacts = permissions.artifacts.map(|_| {
            Arc::new(StepArtifacts { shelf, previous: scope.previous_run, files: work.clone() }) as Arc<dyn Artifacts>
        });
        let http = permissions.http.map(|granted| {
            Arc::new(StepHttp::new(
                self.http.clone(),
                granted,
                &named,
                book.clone(),
                masker.clone(),
                permissions.secrets_reveal,
                sink.clone(),
                work.cancelled.clone(),
            )) as Arc<dyn Http>
        });
        let secrets = (!permissions.secrets.is_empty()).then(|| {
            Arc::new(StepSecrets {
                vault: self.vault.clone(),
                granted: permissions.secrets,
                named,
                masker: masker.clone(),
                sink: sink.clone(),
                book,
            }) as Arc<dyn Secrets>
        });
        let capabilities = Capabilities {
            log: Arc::new(PluginLog::new(sink, masker)),
            containers,
            artifacts,
            secrets_reveal: permissions.secrets_reveal && secrets.is_some(),
            secrets,
            http,
            state: state.filter(|_| permissions.state),
            cancelled: Arc::default(),
        };
        StepTools { capabilities, work }
    }

    /// The artifacts of all runs.
    pub fn artifacts(&self) -> &ArtifactStore {
        &self.artifacts
    }

    /// The built-in vault.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Lays the tar file `archive` out in a run's workspace, which is in `place`. Doing it again does no harm, so a crash in the
    /// middle is mended by that. In a workspace that outlives runs, the pipeline's folder is laid over what is there, at each run.
    ///
    /// # Errors
    /// When the file cannot be read, or the engine does not answer.
    pub async fn fill_workspace(&self, run: &RunId, place: &VolumePlace, archive: &Path) -> Result<(), EngineError> {
        self.engine.fill_workspace(run, place, archive).await
    }

    /// Copies the content of the volumes `names`, which are the run's own, from one run into another. The bytes stream through this
    /// process; owners and modes stay. Doing it again does no harm.
    ///
    /// # Errors
    /// [`EngineError::VolumeGone`] when the old run's volume is not there any more, or when the engine does not answer.
    pub async fn copy_volumes(&self, from: &RunId, to: &RunId, names: &[String]) -> Result<(), EngineError> {
        self.engine.copy_volumes(from, to, names).await
    }

    /// The volumes of this owner that outlive runs, sorted.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn persistent_volumes(&self) -> Result<Vec<PersistentVolume>, EngineError> {
        self.engine.persistent_volumes().await
    }

    /// Removes the volumes of the pipeline that outlive its runs; answers how many.
    ///
    /// # Errors
    /// When the engine does not answer, or a container uses one of them.
    pub async fn remove_persistent(&self, pipeline: &str) -> Result<usize, EngineError> {
        self.engine.remove_persistent(pipeline).await
    }

    /// What the container engine says that it is, such as `28.2.2`.
    ///
    /// # Errors
    /// When it does not answer within 5 seconds.
    pub async fn engine_version(&self) -> Result<String, EngineError> {
        self.engine.version().await
    }

    /// What providers have detached: for one environment, or for all. Sorted.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn detached(&self, environment: Option<&EnvironmentName>) -> Result<Vec<Detached>, EngineError> {
        self.engine.detached(environment).await
    }

    /// Removes what providers have detached for an environment; answers how many containers.
    ///
    /// # Errors
    /// When the engine does not answer. Nothing is left half: asking again removes what is still there.
    pub async fn remove_detached(&self, environment: &EnvironmentName) -> Result<usize, EngineError> {
        self.engine.remove_detached(environment).await
    }

    /// Whether this process has had use for a container engine yet.
    pub fn has_engine(&self) -> bool {
        self.engine.is_connected()
    }

    /// Removes the containers of a finished run, and its volumes unless they are to stay. Those of its pipeline stay in any case.
    ///
    /// # Errors
    /// When the engine does not answer. Nothing is left half: asking again removes what is still there.
    pub async fn remove_run(&self, run: &RunId, keep: Keep) -> Result<(), EngineError> {
        self.engine.remove_run(run, keep).await
    }

    /// Removes the containers and volumes of this owner's runs that are not to be kept; answers how many.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn sweep(&self, keep: impl Fn(&RunId) -> Keep + Send) -> Result<usize, EngineError> {
        self.engine.sweep(keep).await
    }
}

/// The tools of one attempt of one step.
pub struct StepTools {
    capabilities: Capabilities,
    work: Arc<StepWork>,
}

impl StepTools {
    /// What the sandbox links.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    /// Asks the step to stop: sets the flag, wakes whoever waits with `Cancelled`, and ends its containers with SIGTERM,
    /// then SIGKILL after `grace`. Asked again with no grace at all, it waits no longer. Returns when they have ended and their
    /// logs are complete.
    pub async fn stop(&self, grace: Duration) {
        self.capabilities.cancelled.store(true, std::sync::atomic::Ordering::SeqCst);
        self.work.stop(grace).await;
    }

    /// What the host itself has seen of the step's containers.
    pub fn seen(&self) -> Seen {
        self.work.seen()
    }

    /// Removes the step's containers. Call it after the outcome is durable: until then they are what recovery looks at.
    ///
    /// # Errors
    /// When the engine does not answer; [`Toolbox::remove_run`] and [`Toolbox::sweep`] come back to them.
    pub async fn remove(&self) -> Result<(), EngineError> {
        self.work.remove().await
    }
}

/// All strings of a configuration: what `from-config` means.
fn collect_strings(value: &Value, strings: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            strings.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| collect_strings(item, strings)),
        Value::Object(fields) => fields.values().for_each(|field| collect_strings(field, strings)),
        _ => {}
    }
}
