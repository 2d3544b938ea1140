//! Containers that outlive the call: what a provider deploys on this machine.
//!
//! Such a container belongs to its plugin and environment and to no run. Both are in its name on the engine and in its labels, so the
//! same plugin finds it again in a later call for the same environment, and nobody else does; what clears runs away passes it by.
//! It is not supervised: its log is the engine's, rotated, and it ends by itself, or when it is stopped or removed.
//!
//! Handles hold the engine's id and not the name: what another process puts in its place is another container.

use super::{
    EngineError, LABEL_DEPLOYMENT, LABEL_ENVIRONMENT, LABEL_OWNER, LABEL_PLUGIN, StepWork,
    engine::Engine,
    output::Outputs,
    spec::{self, Plan},
    within,
};
use async_trait::async_trait;
use bollard::{
    errors::Error,
    models::{ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum},
    query_parameters::{ListContainersOptions, LogsOptions, StartContainerOptions},
};
use futures::future;
use serde_json::{Map, json};
use std::{collections::HashMap, sync::Arc};
use windlass_contract::{
    DetachedName, Digest, EnvironmentName, PluginName,
    capability::{Artifact, Container, ContainerError, Exit, Output},
};

/// A plugin has at most this many detached containers in one environment: what runs, what it replaces, and several of each; too
/// few to fill a machine.
const MAX_DETACHED: usize = 10;

/// Of the digest of plugin and environment, so many characters tell them apart: 64 bits.
const PLACE_DIGITS: usize = 16;

/// Lines of a detached container's log that `captured` looks at, the last ones: why it ended stands there.
const CAPTURED_LINES: usize = 1000;

/// Whose detached containers are meant.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    owner: String,
    plugin: PluginName,
    environment: EnvironmentName,
}

impl Place {
    pub(crate) fn new(owner: &str, plugin: &PluginName, environment: EnvironmentName) -> Place {
        Place { owner: owner.to_owned(), plugin: plugin.clone(), environment }
    }

    /// What a container is called on the engine.
    fn on_engine(&self, name: &DetachedName) -> String {
        // Neither can hold a line break.
        let digest = Digest::of(format!("{}\n{}", self.plugin, self.environment).as_bytes()).hex();
        format!("windlass-{}-{}-{name}", self.owner, &digest[..PLACE_DIGITS])
    }

    /// The labels of all that is detached here.
    fn labels(&self) -> HashMap<String, String> {
        [
            (LABEL_OWNER, self.owner.clone()),
            (LABEL_PLUGIN, self.plugin.to_string()),
            (LABEL_ENVIRONMENT, self.environment.to_string()),
        ]
        .map(|(label, value)| (label.to_owned(), value))
        .into()
    }

    fn labels_of(&self, name: &DetachedName) -> HashMap<String, String> {
        let mut labels = self.labels();
        labels.insert(LABEL_DEPLOYMENT.to_owned(), name.to_string());
        labels
    }
}

/// A container that a provider has detached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Detached {
    /// For which environment.
    pub environment: EnvironmentName,
    /// By which plugin.
    pub plugin: PluginName,
    /// What the plugin calls it.
    pub name: DetachedName,
    /// From which image.
    pub image: String,
    /// Whether it runs.
    pub running: bool,
}

impl Engine {
    pub(crate) async fn detached(&self, environment: Option<&EnvironmentName>) -> Result<Vec<Detached>, EngineError> {
        let one = |summary: ContainerSummary| {
            let labels = summary.labels?;
            Some(Detached {
                environment: labels.get(LABEL_ENVIRONMENT)?.parse().ok()?,
                plugin: labels.get(LABEL_PLUGIN)?.parse().ok()?,
                name: labels.get(LABEL_DEPLOYMENT)?.parse().ok()?,
                image: summary.image.unwrap_or_default(),
                running: summary.state == Some(ContainerSummaryStateEnum::RUNNING),
            })
        };
        let mut found: Vec<_> = self.of_environment(environment).await?.into_iter().filter_map(one).collect();
        found.sort();
        Ok(found)
    }

    pub(crate) async fn remove_detached(&self, environment: &EnvironmentName) -> Result<usize, EngineError> {
        let found = self.of_environment(Some(environment)).await?;
        let ids: Vec<String> = found.into_iter().filter_map(|summary| summary.id).collect();
        future::try_join_all(ids.iter().map(|id| self.remove_container(id))).await?;
        Ok(ids.len())
    }

    async fn of_environment(
        &self,
        environment: Option<&EnvironmentName>,
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        let label = match environment {
            Some(environment) => format!("{LABEL_ENVIRONMENT}={environment}"),
            None => LABEL_ENVIRONMENT.to_owned(),
        };
        self.labelled(vec![format!("{LABEL_OWNER}={}", self.owner()), label]).await
    }

    async fn labelled(&self, labels: Vec<String>) -> Result<Vec<ContainerSummary>, EngineError> {
        let filters = Some(HashMap::from([("label".to_owned(), labels)]));
        let options = ListContainersOptions { all: true, filters, ..ListContainersOptions::default() };
        let listed = self.connect().await?.docker.list_containers(Some(options)).await;
        listed.map_err(|error| self.failed("list containers", &error))
    }
}

impl StepWork {
    /// Starts a container that outlives the call. One that was created and does not start is removed again.
    pub(super) async fn start_detached(
        self: Arc<Self>,
        place: Place,
        name: DetachedName,
        plan: Plan,
    ) -> Result<DetachedContainer, ContainerError> {
        let labels = place.labels().into_iter().map(|(label, value)| format!("{label}={value}")).collect();
        if self.engine.labelled(labels).await?.len() >= MAX_DETACHED {
            return Err(ContainerError::ResourceExhausted(format!(
                "this environment has {MAX_DETACHED} detached containers already; remove some of them first"
            )));
        }
        let body = plan.detached_body(place.labels_of(&name));
        let Some(id) = self.create(&plan, &place.on_engine(&name), body).await? else {
            return Err(ContainerError::Invalid(format!(
                "there is a detached container {name} already; find it, or remove it first"
            )));
        };
        let made = self.detached(id);
        match made.start_again().await {
            Ok(()) => Ok(made),
            Err(error) => {
                let removed = self.engine.remove_container(&made.id).await;
                removed.map_err(|why| ContainerError::Other(format!("{error}; and it was not removed: {why}")))?;
                Err(error)
            }
        }
    }

    /// The container of this name, if it is there and was detached by this plugin for this environment.
    pub(super) async fn find_detached(
        self: &Arc<Self>,
        place: &Place,
        name: &DetachedName,
    ) -> Result<Option<DetachedContainer>, ContainerError> {
        let Some(found) = self.inspect(&place.on_engine(name)).await? else { return Ok(None) };
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        let own = place.labels_of(name).iter().all(|(label, value)| labels.get(label) == Some(value));
        Ok(found.id.filter(|_| own).map(|id| self.detached(id)))
    }

    fn detached(self: &Arc<Self>, id: String) -> DetachedContainer {
        let outputs = Outputs::new(self.sink.clone(), &self.shelf.masker);
        DetachedContainer { work: self.clone(), id, outputs }
    }
}

/// The handle of a detached container.
pub(super) struct DetachedContainer {
    work: Arc<StepWork>,
    id: String,
    outputs: Outputs,
}

impl DetachedContainer {
    fn gone(&self) -> ContainerError {
        ContainerError::Lost("the detached container is gone: somebody removed it".to_owned())
    }

    async fn inspect(&self) -> Result<ContainerInspectResponse, ContainerError> {
        self.work.inspect(&self.id).await?.ok_or_else(|| self.gone())
    }

    /// What may be waited for until the call is to stop.
    async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, ContainerError>>,
    ) -> Result<T, ContainerError> {
        tokio::select! {
            done = work => done,
            () = self.work.cancelled.cancelled() => Err(ContainerError::Cancelled),
        }
    }
}

#[async_trait]
impl Container for DetachedContainer {
    async fn wait(&self) -> Result<Exit, ContainerError> {
        let (code, _) = self.unless_cancelled(self.work.wait_for_end(&self.id)).await?;
        let out_of_memory = self.inspect().await?.state.and_then(|state| state.oom_killed).unwrap_or(false);
        Ok(Exit { code, out_of_memory, timed_out: false })
    }

    async fn captured(&self, output: Output) -> String {
        let options = LogsOptions {
            stdout: output == Output::Stdout,
            stderr: output == Output::Stderr,
            tail: CAPTURED_LINES.to_string(),
            ..LogsOptions::default()
        };
        let outputs = Outputs::new(self.work.sink.clone(), &self.work.shelf.masker);
        if let Ok(connection) = self.work.engine.connect().await {
            outputs.drain(connection.docker.logs(&self.id, Some(options))).await;
        }
        outputs.finish();
        outputs.captured(output)
    }

    async fn exec(&self, argv: Vec<String>) -> Result<Exit, ContainerError> {
        spec::check_argv("command", Some(&argv), &mut 0)?;
        self.unless_cancelled(self.work.exec(&self.id, &self.outputs, argv)).await
    }

    async fn save(&self, _: String, _: String) -> Result<Arc<dyn Artifact>, ContainerError> {
        Err(ContainerError::Invalid("there are no artifacts outside of a run".to_owned()))
    }

    async fn load(&self, _: Arc<dyn Artifact>, _: String) -> Result<(), ContainerError> {
        Err(ContainerError::Invalid("there are no artifacts outside of a run".to_owned()))
    }

    async fn stop(&self, grace_ms: u32) -> Result<(), ContainerError> {
        let running = self.inspect().await?.state.and_then(|state| state.running).unwrap_or(false);
        if !running {
            return Ok(());
        }
        self.work.signal(&self.id, "SIGTERM").await;
        if self.wait_for(grace_ms).await?.is_none() {
            self.work.signal(&self.id, "SIGKILL").await;
            self.wait().await?;
        }
        Ok(())
    }

    async fn wait_for(&self, ms: u32) -> Result<Option<Exit>, ContainerError> {
        within(ms, self.wait()).await
    }

    async fn state(&self) -> Result<String, ContainerError> {
        let found = self.inspect().await?;
        let state = found.state.unwrap_or_default();
        let running = state.running.unwrap_or(false);
        let bound = found.network_settings.and_then(|network| network.ports).unwrap_or_default();
        let ports: Map<_, _> = bound
            .into_iter()
            .filter_map(|(port, bound)| {
                let bound = bound?.into_iter().next()?;
                let port = port.strip_suffix("/tcp")?.to_owned();
                Some((port, json!(format!("{}:{}", bound.host_ip?, bound.host_port?))))
            })
            .collect();
        let mut told = json!({
            "running": running,
            "out_of_memory": state.oom_killed.unwrap_or(false),
            "image": found.config.and_then(|config| config.image),
            "started_at": state.started_at,
            "ports": ports,
        });
        if !running {
            told["exit_code"] = json!(state.exit_code);
        }
        Ok(told.to_string())
    }

    async fn start_again(&self) -> Result<(), ContainerError> {
        let docker = &self.work.engine.connect().await?.docker;
        match docker.start_container(&self.id, None::<StartContainerOptions>).await {
            Ok(()) => Ok(()),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Err(self.gone()),
            Err(error) => Err(self.work.start_failed(&error)),
        }
    }

    async fn remove(&self) -> Result<(), ContainerError> {
        Ok(self.work.engine.remove_container(&self.id).await?)
    }
}
