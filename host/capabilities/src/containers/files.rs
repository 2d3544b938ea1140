//! Files of containers and of volumes, as streams of tar archives.

use super::{
    StepWork, engine,
    spec::{self, Mounted, WORKSPACE},
    volumes::{VOLUMES, holder_path},
};
use crate::artifacts::{Draft, Stored, TAR, WorkspaceFiles, keep, lay_out, pipe_in, pipe_out};
use async_trait::async_trait;
use bollard::{
    errors::Error,
    query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use std::{io, path::PathBuf};
use tar::{Builder, EntryType, Header};
use windlass_contract::capability::{Artifact, ContainerError};

type Result<T> = std::result::Result<T, ContainerError>;

impl StepWork {
    /// Keeps the file or folder at `path` of a container.
    pub(super) async fn take_out(&self, container: &str, path: &str, draft: Draft) -> Result<Stored> {
        spec::check_path("path", path)?;
        let patient = self.engine.connect().await?.patient.clone();
        let (to, archive) = pipe_in();
        let kept = tokio::task::spawn_blocking(move || keep(archive, draft));
        let options = DownloadFromContainerOptions { path: path.to_owned() };
        let mut chunks = std::pin::pin!(patient.download_from_container(container, Some(options)));
        let mut broken = None;
        loop {
            let chunk = tokio::select! {
                chunk = chunks.next() => chunk,
                () = self.cancelled.cancelled() => return Err(ContainerError::Cancelled),
            };
            let last = chunk.is_none();
            let sent = match chunk {
                Some(Ok(chunk)) if chunk.is_empty() => Ok(()),
                Some(Ok(chunk)) => to.send(Ok(chunk)).await,
                Some(Err(error)) => {
                    broken = Some(error);
                    break;
                }
                // An empty chunk is the sign that nothing is missing.
                None => to.send(Ok(Bytes::new())).await,
            };
            if last || sent.is_err() {
                break;
            }
        }
        drop(to);
        let kept =
            kept.await.unwrap_or_else(|_| Err(ContainerError::Other("keeping the file was interrupted".to_owned())));
        match broken {
            None => kept.map_err(|error| at(path, error)),
            Some(error) => Err(self.archive_failed("read", path, &error)),
        }
    }

    /// Puts an artifact at `path` of a container, in which volumes are at `mounted`.
    pub(super) async fn put_in(
        &self,
        container: &str,
        mounted: &[String],
        artifact: &dyn Artifact,
        path: &str,
    ) -> Result<()> {
        spec::check_path("path", path)?;
        // The engine writes into a volume even where the root file system is read-only, if it is told the volume's path.
        let inside = mounted.iter().filter_map(|at| Some((at.as_str(), below(path, at)?)));
        let (base, rest) = inside.max_by_key(|(at, _)| at.len()).unwrap_or(("/", path));
        let rest = PathBuf::from(rest.trim_matches('/'));
        let (digest, size, media_type) = (artifact.digest(), artifact.size(), artifact.media_type().to_owned());
        if rest.as_os_str().is_empty() && media_type != TAR {
            return Err(ContainerError::Invalid(format!("{path} is a folder; name the file that is to be there")));
        }
        let patient = self.engine.connect().await?.patient.clone();
        let (out, broken, chunks) = pipe_out();
        let store = self.shelf.store.clone();
        let laid = tokio::task::spawn_blocking(move || {
            let blob = store.read(digest, size).map_err(|error| ContainerError::Other(error.to_string()));
            let laid = blob.and_then(|blob| lay_out(blob, size, &media_type, &rest, out));
            if laid.is_err() {
                // Breaks the upload off, so that a part is not taken for the whole.
                let _ = broken.blocking_send(Err(io::ErrorKind::InvalidData.into()));
            }
            laid
        });
        let body = stream::unfold(chunks, |mut chunks| async { chunks.recv().await.map(|chunk| (chunk, chunks)) });
        // Without this word, a file in a folder's place removes the folder with all that is in it.
        let no_overwrite_dir_non_dir = Some("1".to_owned());
        let options = UploadToContainerOptions {
            path: base.to_owned(),
            no_overwrite_dir_non_dir,
            ..UploadToContainerOptions::default()
        };
        let uploaded = tokio::select! {
            uploaded = patient.upload_to_container(container, Some(options), bollard::body_try_stream(body)) => uploaded,
            () = self.cancelled.cancelled() => return Err(ContainerError::Cancelled),
        };
        let laid = laid.await.unwrap_or_else(|_| Err(ContainerError::Other("copying was interrupted".to_owned())));
        match (uploaded, laid) {
            (Ok(()), laid) => laid.map_err(|error| at(path, error)),
            // The engine's answer is the reason when it closed the connection on us; our own is, when we broke off.
            (Err(error @ Error::DockerResponseServerError { .. }), _) => {
                Err(self.archive_failed("write", path, &error))
            }
            (Err(_), Err(error)) => Err(at(path, error)),
            (Err(error), Ok(())) => Err(self.archive_failed("write", path, &error)),
        }
    }

    /// Lets every user write to the top of the volumes that are mounted to be written to. A volume belongs to root otherwise. It is
    /// done through the container that holds them, since the engine writes to no root file system that is read-only.
    pub(super) async fn open_volumes(&self, mounted: &[Mounted]) -> Result<()> {
        let holder = self.holder().await?;
        let mut archive = Builder::new(Vec::new());
        let mut open = |name: &str| {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o1777);
            header.set_size(0);
            archive.append_data(&mut header, holder_path(name).trim_start_matches('/'), io::empty())
        };
        let opened = mounted.iter().filter(|mount| !mount.read_only).try_for_each(|mount| open(&mount.name));
        let archive = opened.and_then(|()| archive.into_inner());
        let archive = archive.map_err(|error| ContainerError::Other(error.to_string()))?;
        let options = UploadToContainerOptions { path: "/".to_owned(), ..UploadToContainerOptions::default() };
        let docker = &self.engine.connect().await?.docker;
        docker
            .upload_to_container(holder, Some(options), bollard::body_full(archive.into()))
            .await
            .map_err(|error| ContainerError::VolumeMountFailed(engine::words(&error)))
    }

    /// Where the volume is, in the container that holds them, that `path` lies in.
    fn volume_of(&self, path: &str) -> Result<String> {
        spec::check_path("path", path)?;
        let volumes = self.volumes.names().map(|name| holder_path(name));
        volumes.into_iter().find(|at| below(path, at).is_some()).ok_or_else(|| {
            let words = format!(
                "{path} is neither below {WORKSPACE} nor below {VOLUMES}/NAME, where NAME is a volume of the pipeline"
            );
            ContainerError::Invalid(words)
        })
    }

    fn archive_failed(&self, verb: &str, path: &str, error: &Error) -> ContainerError {
        match error {
            Error::DockerResponseServerError { status_code: 404, message }
                if message.contains("No such container:path") || message.contains("Could not find the file") =>
            {
                ContainerError::NotFound(format!("there is no {path}"))
            }
            Error::DockerResponseServerError { status_code: 404, message } => {
                ContainerError::Lost(format!("the container is gone: {}", message.trim()))
            }
            Error::DockerResponseServerError { message, .. } if message.contains("cannot overwrite") => {
                ContainerError::Invalid(format!(
                    "{path} would put a file in the place of a folder, or a folder in that of a file"
                ))
            }
            error => match self.engine.failed(&format!("{verb} {path}"), error).into() {
                ContainerError::Other(words) if words.contains("no space left") => {
                    ContainerError::ResourceExhausted(words)
                }
                error => error,
            },
        }
    }

    /// A container that is never started: it holds the volumes for the archive calls.
    async fn holder(&self) -> Result<&String> {
        self.holder.get_or_try_init(|| self.make_holder()).await
    }

    async fn make_holder(&self) -> Result<String> {
        let name = format!("{}-files", self.name_prefix());
        self.remember(&name);
        let labels = spec::labels(&self.call, self.engine.owner());
        self.engine.hold(&name, labels, self.volumes.holder_mounts(), "reach the volumes").await?;
        Ok(name)
    }
}

#[async_trait]
impl WorkspaceFiles for StepWork {
    async fn keep(&self, path: &str, draft: Draft) -> Result<Stored> {
        self.volume_of(path)?;
        let holder = self.holder().await?;
        self.take_out(holder, path, draft).await
    }

    async fn put(&self, artifact: &dyn Artifact, path: &str) -> Result<()> {
        let volume = self.volume_of(path)?;
        let holder = self.holder().await?;
        self.put_in(holder, &[volume], artifact, path).await
    }
}

/// The rest of `path` below the folder `at`.
fn below<'a>(path: &'a str, at: &str) -> Option<&'a str> {
    path.strip_prefix(at).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn at(path: &str, error: ContainerError) -> ContainerError {
    match error {
        ContainerError::Invalid(words) => ContainerError::Invalid(format!("{path}: {words}")),
        error => error,
    }
}
