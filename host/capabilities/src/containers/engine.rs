//! The container engine: connecting, naming, labelling, clearing away.

use super::{Keep, LABEL_ENVIRONMENT, LABEL_OWNER, LABEL_PIPELINE, LABEL_RUN, LABEL_VOLUME, volumes::PersistentVolume};
use bollard::{
    API_DEFAULT_VERSION, Docker,
    errors::Error,
    query_parameters::{
        CreateImageOptions, ListContainersOptions, ListVolumesOptions, RemoveContainerOptions, RemoveVolumeOptions,
    },
};
use futures::{StreamExt as _, future};
use std::{collections::HashMap, time::Duration};
use tokio::sync::OnceCell;
use windlass_contract::{Code, CodedError, RunId, capability::ContainerError};

/// Where the engine is, unless `DOCKER_HOST` or the settings say otherwise.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// An ordinary request to the engine is answered within this time, or the engine counts as not answering. Creating and
/// starting take tenths of a second; a machine under heavy load took 20 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// How long the engine may take to say what it is: whoever asks wants to know whether it answers.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests that take as long as a step does (waiting, archives): bounded by the step's own deadline, not by this.
const LONG_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);

/// An image without anything in it, for containers that are never started but hold volumes. Made when it is missing.
pub(super) const VOID_IMAGE: &str = "windlass/void:1";

/// Which container engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DockerSettings {
    /// `unix:///path` or `tcp://host:port`. Default: `DOCKER_HOST`, else `unix:///var/run/docker.sock`.
    pub host: Option<String>,
}

/// Why the engine did not do what the host asked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum EngineError {
    #[error(
        "no container engine answers at {host} ({why}); start Docker (`systemctl start docker`), \
         or set DOCKER_HOST"
    )]
    Unavailable { host: String, why: String },
    #[error("the container engine could not {what}: {why}")]
    Refused { what: String, why: String },
    #[error("volume {name} of run {run} is no longer there; start a new run instead")]
    VolumeGone { name: String, run: RunId },
}

impl CodedError for EngineError {
    fn code(&self) -> Code {
        Code(match self {
            EngineError::Unavailable { .. } => 410,
            EngineError::Refused { .. } => 411,
            EngineError::VolumeGone { .. } => 412,
        })
    }
    fn retryable(&self) -> bool {
        !matches!(self, EngineError::VolumeGone { .. })
    }
}

impl From<EngineError> for ContainerError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Unavailable { .. } => ContainerError::EngineUnavailable(error.to_string()),
            EngineError::Refused { .. } | EngineError::VolumeGone { .. } => ContainerError::Other(error.to_string()),
        }
    }
}

/// A connection to the engine: one pool, two patiences.
#[derive(Clone)]
pub(super) struct Connection {
    /// For ordinary requests.
    pub(super) docker: Docker,
    /// For those that take as long as a step does.
    pub(super) patient: Docker,
}

/// The engine of a host. Connected to when the first container is wanted.
pub(crate) struct Engine {
    host: String,
    owner: String,
    connection: OnceCell<Connection>,
}

impl Engine {
    pub(crate) fn new(settings: DockerSettings, owner: String) -> Self {
        let from_environment = || std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let host = settings.host.or_else(from_environment).unwrap_or_else(|| DEFAULT_HOST.to_owned());
        Engine { host, owner, connection: OnceCell::new() }
    }

    pub(super) async fn connect(&self) -> Result<&Connection, EngineError> {
        self.connection.get_or_try_init(|| self.connect_now()).await
    }

    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.initialized()
    }

    async fn connect_now(&self) -> Result<Connection, EngineError> {
        let seconds = REQUEST_TIMEOUT.as_secs();
        let docker = match self.host.strip_prefix("unix://") {
            Some(path) => Docker::connect_with_unix(path, seconds, API_DEFAULT_VERSION),
            None => Docker::connect_with_http(&self.host, seconds, API_DEFAULT_VERSION),
        };
        let docker = docker.map_err(|error| self.unavailable(&error))?;
        let docker = docker.negotiate_version().await.map_err(|error| self.unavailable(&error))?;
        Ok(Connection { patient: docker.clone().with_timeout(LONG_TIMEOUT), docker })
    }

    /// What the engine says that it is, such as `28.2.2`.
    pub(crate) async fn version(&self) -> Result<String, EngineError> {
        let asked = async {
            let docker = &self.connect().await?.docker;
            docker.version().await.map_err(|error| self.unavailable(&error))
        };
        let silent = || EngineError::Unavailable {
            host: self.host.clone(),
            why: format!("it has not answered in {} seconds", VERSION_TIMEOUT.as_secs()),
        };
        let version = tokio::time::timeout(VERSION_TIMEOUT, asked).await.map_err(|_| silent())??;
        Ok(version.version.unwrap_or_else(|| "of an unknown version".to_owned()))
    }

    pub(super) fn unavailable(&self, error: &Error) -> EngineError {
        EngineError::Unavailable { host: self.host.clone(), why: innermost(error) }
    }

    /// What an error of a request for `what` means.
    pub(super) fn failed(&self, what: &str, error: &Error) -> EngineError {
        match error {
            Error::DockerResponseServerError { .. } | Error::DockerStreamError { .. } => {
                EngineError::Refused { what: what.to_owned(), why: words(error) }
            }
            error => self.unavailable(error),
        }
    }

    /// Makes the empty image.
    pub(super) async fn import_void(&self) -> Result<(), EngineError> {
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some("windlass/void".to_owned()),
            tag: Some("1".to_owned()),
            ..CreateImageOptions::default()
        };
        // An archive of nothing: two blocks of zeros.
        let archive = bollard::body_full(vec![0; 1024].into());
        let mut answers = std::pin::pin!(self.connect().await?.docker.create_image(Some(options), Some(archive), None));
        while let Some(answer) = answers.next().await {
            answer.map_err(|error| self.failed("make the empty image", &error))?;
        }
        Ok(())
    }

    pub(super) async fn remove_container(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptions { force: true, ..RemoveContainerOptions::default() };
        match self.connect().await?.docker.remove_container(name, Some(options)).await {
            // Not there, or on its way out already.
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(self.failed(&format!("remove container {name}"), &error)),
        }
    }

    /// The containers of this owner (of one run, if it is given).
    async fn containers(&self, run: Option<&RunId>) -> Result<Vec<Labelled>, EngineError> {
        let options =
            ListContainersOptions { all: true, filters: Some(self.filter(run)), ..ListContainersOptions::default() };
        let listed = self.connect().await?.docker.list_containers(Some(options)).await;
        let listed = listed.map_err(|error| self.failed("list containers", &error))?;
        let one = |summary: bollard::models::ContainerSummary| {
            summary.id.map(|name| Labelled { name, labels: summary.labels.unwrap_or_default() })
        };
        Ok(listed.into_iter().filter_map(one).collect())
    }

    pub(super) async fn volumes(&self, run: Option<&RunId>) -> Result<Vec<Labelled>, EngineError> {
        let options = ListVolumesOptions { filters: Some(self.filter(run)) };
        let listed = self.connect().await?.docker.list_volumes(Some(options)).await;
        let listed = listed.map_err(|error| self.failed("list volumes", &error))?;
        let one = |volume: bollard::models::Volume| Labelled { name: volume.name, labels: volume.labels };
        Ok(listed.volumes.unwrap_or_default().into_iter().map(one).collect())
    }

    fn filter(&self, run: Option<&RunId>) -> HashMap<String, Vec<String>> {
        let own = format!("{LABEL_OWNER}={}", self.owner);
        let labels = run.map(|run| format!("{LABEL_RUN}={run}")).into_iter().chain([own]).collect();
        HashMap::from([("label".to_owned(), labels)])
    }

    pub(super) async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        match self.connect().await?.docker.remove_volume(name, None::<RemoveVolumeOptions>).await {
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
            Err(error) => Err(self.failed(&format!("remove volume {name}"), &error)),
        }
    }

    pub(crate) async fn remove_run(&self, run: &RunId, keep: Keep) -> Result<(), EngineError> {
        let containers = self.containers(Some(run)).await?;
        let volumes = self.volumes(Some(run)).await?;
        self.remove_all(&containers, &volumes, |_| keep).await.map(drop)
    }

    pub(crate) async fn sweep(&self, keep: impl Fn(&RunId) -> Keep) -> Result<usize, EngineError> {
        let (containers, volumes) = (self.containers(None).await?, self.volumes(None).await?);
        self.remove_all(&containers, &volumes, keep).await
    }

    /// Removes what is not to be kept, containers first: a volume in use cannot go.
    async fn remove_all(
        &self,
        containers: &[Labelled],
        volumes: &[Labelled],
        keep: impl Fn(&RunId) -> Keep,
    ) -> Result<usize, EngineError> {
        // What was detached is its environment's. What carries our owner's label and neither an environment's nor that of a run that
        // can be read is no longer anybody's.
        let keep = |of: &Labelled| match of.run() {
            _ if of.labels.contains_key(LABEL_ENVIRONMENT) => Keep::Everything,
            Some(run) => keep(&run),
            None => Keep::Nothing,
        };
        let containers: Vec<_> = containers.iter().filter(|of| keep(of) != Keep::Everything).collect();
        future::try_join_all(containers.iter().map(|of| self.remove_container(&of.name))).await?;
        let is_kept = |of: &Labelled| match keep(of) {
            Keep::Everything => true,
            // Credentials were lent to a container: they go with it.
            Keep::Volumes => of.labels.contains_key(LABEL_VOLUME),
            Keep::Nothing => of.persistent().is_some(),
        };
        let volumes: Vec<_> = volumes.iter().filter(|of| !is_kept(of)).collect();
        future::try_join_all(volumes.iter().map(|of| self.remove_volume(&of.name))).await?;
        Ok(containers.len() + volumes.len())
    }
}

/// A container or volume of ours, by what its labels say.
pub(super) struct Labelled {
    pub(super) name: String,
    labels: HashMap<String, String>,
}

impl Labelled {
    fn run(&self) -> Option<RunId> {
        self.labels.get(LABEL_RUN)?.parse().ok()
    }

    /// What it is, if it is a volume that outlives runs.
    pub(super) fn persistent(&self) -> Option<PersistentVolume> {
        let (pipeline, name) = (self.labels.get(LABEL_PIPELINE)?.clone(), self.labels.get(LABEL_VOLUME)?.clone());
        Some(PersistentVolume { pipeline, name })
    }
}

/// What the engine said, without the frame around it.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } => error.trim().to_owned(),
        error => innermost(error),
    }
}

fn innermost(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
