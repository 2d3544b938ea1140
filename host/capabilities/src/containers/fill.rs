//! What a run's workspace begins with, and through what the host reaches volumes.

use super::{
    Engine, EngineError, VolumePlace,
    engine::VOID_IMAGE,
    spec::WORKSPACE,
    volumes::{Volume, WORKSPACE_VOLUME, run_labels},
};
use bollard::{
    errors::Error,
    models::{ContainerCreateBody, HostConfig, Mount},
    query_parameters::{CreateContainerOptions, UploadToContainerOptions},
};
use std::{collections::HashMap, path::Path};
use tokio_util::io::ReaderStream;
use windlass_contract::RunId;

/// How much of the archive is sent at once: large enough that the file is not read in small pieces.
const CHUNK: usize = 256 * 1024;

impl Engine {
    /// Lays the tar file `archive` out in the run's workspace, through a container that is never started. Doing it again lays the
    /// same files over themselves; so does the next run in a workspace that outlives runs, where what the archive does not name
    /// stays as it is.
    pub(crate) async fn fill_workspace(
        &self,
        run: &RunId,
        place: &VolumePlace,
        archive: &Path,
    ) -> Result<(), EngineError> {
        let refused = |why: String| EngineError::Refused { what: "fill the workspace".to_owned(), why };
        let file = tokio::fs::File::open(archive).await.map_err(|error| refused(error.to_string()))?;
        let name = format!("windlass-{run}-fill");
        let workspace = Volume::new(self.owner(), run, WORKSPACE_VOLUME, place).mount(WORKSPACE, false);
        self.hold(&name, run_labels(self.owner(), run), vec![workspace], "fill the workspace").await?;
        let options = UploadToContainerOptions { path: WORKSPACE.to_owned(), ..UploadToContainerOptions::default() };
        let body = bollard::body_try_stream(ReaderStream::with_capacity(file, CHUNK));
        let patient = &self.connect().await?.patient;
        let uploaded = patient.upload_to_container(&name, Some(options), body).await;
        let uploaded = uploaded.map_err(|error| self.failed("fill the workspace", &error));
        self.remove_container(&name).await?;
        uploaded
    }

    /// Makes the container `name`, which is never started: through it the archive calls reach the volumes that are mounted in it.
    /// One that is there already, because the host died beside it, is as good. `purpose` is for the error.
    pub(super) async fn hold(
        &self,
        name: &str,
        labels: HashMap<String, String>,
        mounts: Vec<Mount>,
        purpose: &str,
    ) -> Result<(), EngineError> {
        let docker = &self.connect().await?.docker;
        let body = ContainerCreateBody {
            image: Some(VOID_IMAGE.to_owned()),
            cmd: Some(vec!["never-started".to_owned()]),
            labels: Some(labels),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                mounts: Some(mounts),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
        let mut created = docker.create_container(Some(options.clone()), body.clone()).await;
        if matches!(created, Err(Error::DockerResponseServerError { status_code: 404, .. })) {
            self.import_void().await?;
            created = docker.create_container(Some(options), body).await;
        }
        match created {
            Ok(_) | Err(Error::DockerResponseServerError { status_code: 409, .. }) => Ok(()),
            Err(error) => Err(self.failed(purpose, &error)),
        }
    }
}
