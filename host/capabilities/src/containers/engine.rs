//! The container engine: connecting, naming, labelling, clearing away.

use super::{LABEL_OWNER, LABEL_RUN};
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

/// Requests that take as long as a step does (waiting, archives): bounded by the step's own deadline, not by this.
const LONG_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);

/// An image without anything in it, for containers that are never started but hold the workspace. Made when it is missing.
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
}

impl CodedError for EngineError {
    fn code(&self) -> Code {
        Code(match self {
            EngineError::Unavailable { .. } => 410,
            EngineError::Refused { .. } => 411,
        })
    }
    fn retryable(&self) -> bool {
        true
    }
}

impl From<EngineError> for ContainerError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Unavailable { .. } => ContainerError::EngineUnavailable(error.to_string()),
            EngineError::Refused { .. } => ContainerError::Other(error.to_string()),
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
    pub(super) owner: String,
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

    /// The containers of this owner (of one run, if it is given), with their runs.
    async fn containers(&self, run: Option<&RunId>) -> Result<Vec<(String, Option<RunId>)>, EngineError> {
        let options =
            ListContainersOptions { all: true, filters: Some(self.filter(run)), ..ListContainersOptions::default() };
        let listed = self.connect().await?.docker.list_containers(Some(options)).await;
        let listed = listed.map_err(|error| self.failed("list containers", &error))?;
        let one = |summary: bollard::models::ContainerSummary| {
            let run = summary.labels.unwrap_or_default().get(LABEL_RUN).and_then(|run| run.parse().ok());
            summary.id.map(|id| (id, run))
        };
        Ok(listed.into_iter().filter_map(one).collect())
    }

    async fn volumes(&self, run: Option<&RunId>) -> Result<Vec<(String, Option<RunId>)>, EngineError> {
        let options = ListVolumesOptions { filters: Some(self.filter(run)) };
        let listed = self.connect().await?.docker.list_volumes(Some(options)).await;
        let listed = listed.map_err(|error| self.failed("list volumes", &error))?;
        let one = |volume: bollard::models::Volume| {
            let run = volume.labels.get(LABEL_RUN).and_then(|run| run.parse().ok());
            (volume.name, run)
        };
        Ok(listed.volumes.unwrap_or_default().into_iter().map(one).collect())
    }

    fn filter(&self, run: Option<&RunId>) -> HashMap<String, Vec<String>> {
        let own = format!("{LABEL_OWNER}={}", self.owner);
        let labels = run.map(|run| format!("{LABEL_RUN}={run}")).into_iter().chain([own]).collect();
        HashMap::from([("label".to_owned(), labels)])
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        match self.connect().await?.docker.remove_volume(name, None::<RemoveVolumeOptions>).await {
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
            Err(error) => Err(self.failed(&format!("remove volume {name}"), &error)),
        }
    }

    pub(crate) async fn remove_run(&self, run: &RunId, keep_workspace: bool) -> Result<(), EngineError> {
        let containers = self.containers(Some(run)).await?;
        future::try_join_all(containers.iter().map(|(id, _)| self.remove_container(id))).await?;
        if !keep_workspace {
            let volumes = self.volumes(Some(run)).await?;
            future::try_join_all(volumes.iter().map(|(name, _)| self.remove_volume(name))).await?;
        }
        Ok(())
    }

    pub(crate) async fn sweep(&self, keep: impl Fn(&RunId) -> bool) -> Result<usize, EngineError> {
        // What carries our owner's label and no run that can be read is no longer anybody's.
        let stale = |found: Vec<(String, Option<RunId>)>| {
            let stale = found.into_iter().filter(|(_, run)| !run.as_ref().is_some_and(&keep));
            stale.map(|(name, _)| name).collect::<Vec<_>>()
        };
        let containers = stale(self.containers(None).await?);
        future::try_join_all(containers.iter().map(|id| self.remove_container(id))).await?;
        let volumes = stale(self.volumes(None).await?);
        future::try_join_all(volumes.iter().map(|name| self.remove_volume(name))).await?;
        Ok(containers.len() + volumes.len())
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
