//! The folders that the containers of a run share: what they are called on the engine, and what outlives a run.
//!
//! A volume is the run's own and goes with it, or it belongs to the pipeline: then the next run of the same pipeline begins with
//! what this one leaves. The engine makes a volume when the first container names it; its labels say whose it is. A volume of a
//! pipeline carries no run's label, so nothing that clears a run away can meet it.

use super::{
    Engine, EngineError, LABEL_OWNER, LABEL_PIPELINE, LABEL_RUN, LABEL_VOLUME, engine::Labelled, spec::WORKSPACE,
};
use bollard::{
    errors::Error,
    models::{Mount, MountType, MountVolumeOptions},
    query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions},
};
use futures::{StreamExt as _, future};
use std::{
    collections::{BTreeMap, HashMap},
    io,
};
use windlass_contract::{Digest, RunId};

/// The volume that every run has.
pub(crate) const WORKSPACE_VOLUME: &str = "workspace";

/// Where the holder of volumes, and so `artifacts.from-workspace`, has those that are not the workspace.
pub(crate) const VOLUMES: &str = "/volumes";

/// Of the digest of a pipeline's name, so many characters tell pipelines apart: 64 bits.
const PIPELINE_DIGITS: usize = 16;

/// Whose a volume is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum VolumePlace {
    /// The run's: it is gone with it.
    #[default]
    Run,
    /// The pipeline's, by its name: the next run of it begins with what this one leaves.
    Pipeline(String),
}

/// What of a run stays on the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing of it.
    Nothing,
    /// Its volumes, for a person to look into or a rerun to copy; not its containers.
    Volumes,
    /// All of it: the run goes on.
    Everything,
}

/// A volume that outlives runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PersistentVolume {
    /// Of which pipeline, by name.
    pub pipeline: String,
    /// Which of its volumes.
    pub name: String,
}

/// A volume on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) source: String,
    pub(super) labels: HashMap<String, String>,
}

impl Volume {
    /// The volume `name` of a run.
    pub(super) fn new(owner: &str, run: &RunId, name: &str, place: &VolumePlace) -> Volume {
        let (source, label) = match place {
            VolumePlace::Run => (format!("windlass-{run}-{name}"), (LABEL_RUN, run.to_string())),
            VolumePlace::Pipeline(pipeline) => {
                let digest = Digest::of(pipeline.as_bytes()).to_string();
                let digits = &digest["sha256:".len()..][..PIPELINE_DIGITS];
                (format!("windlass-{owner}-{digits}-{name}"), (LABEL_PIPELINE, pipeline.clone()))
            }
        };
        let labels = [label, (LABEL_OWNER, owner.to_owned()), (LABEL_VOLUME, name.to_owned())];
        Volume { source, labels: labels.map(|(label, value)| (label.to_owned(), value)).into() }
    }

    /// The volume at `at` of a container.
    pub(super) fn mount(self, at: &str, read_only: bool) -> Mount {
        Mount {
            typ: Some(MountType::VOLUME),
            source: Some(self.source),
            target: Some(at.to_owned()),
            read_only: Some(read_only),
            volume_options: Some(MountVolumeOptions {
                no_copy: Some(true),
                labels: Some(self.labels),
                ..MountVolumeOptions::default()
            }),
            ..Mount::default()
        }
    }
}

/// The volumes that the plan of a run declares.
#[derive(Debug, Clone)]
pub(crate) struct Volumes {
    owner: String,
    run: RunId,
    declared: BTreeMap<String, VolumePlace>,
}

impl Volumes {
    pub(crate) fn new(owner: String, run: RunId, mut declared: BTreeMap<String, VolumePlace>) -> Volumes {
        declared.entry(WORKSPACE_VOLUME.to_owned()).or_default();
        Volumes { owner, run, declared }
    }

    /// None at all: outside of a run there is no workspace either.
    pub(crate) fn none(owner: String, run: RunId) -> Volumes {
        Volumes { owner, run, declared: BTreeMap::new() }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.declared.keys()
    }

    /// The volume `name`, if it is declared.
    pub(super) fn get(&self, name: &str) -> Option<Volume> {
        self.declared.get(name).map(|place| Volume::new(&self.owner, &self.run, name, place))
    }

    /// The labels of what belongs to the run and to no step of it.
    pub(super) fn run_labels(&self) -> HashMap<String, String> {
        run_labels(&self.owner, &self.run)
    }

    /// All of them, as a container that holds them has them.
    pub(super) fn holder_mounts(&self) -> Vec<Mount> {
        self.names().filter_map(|name| Some(self.get(name)?.mount(&holder_path(name), false))).collect()
    }
}

/// The labels of what belongs to a run and to no step of it.
pub(super) fn run_labels(owner: &str, run: &RunId) -> HashMap<String, String> {
    [(LABEL_RUN, run.to_string()), (LABEL_OWNER, owner.to_owned())].map(|(name, value)| (name.to_owned(), value)).into()
}

/// Where a container that holds volumes has the volume `name`.
pub(super) fn holder_path(name: &str) -> String {
    if name == WORKSPACE_VOLUME { WORKSPACE.to_owned() } else { format!("{VOLUMES}/{name}") }
}

impl Engine {
    /// Copies the run's volumes `names` into another run's, through containers that are never started. The bytes stream from one to
    /// the other. Doing it again lays the same files over themselves.
    pub(crate) async fn copy_volumes(&self, from: &RunId, to: &RunId, names: &[String]) -> Result<(), EngineError> {
        for name in names {
            self.copy_volume(from, to, name).await?;
        }
        Ok(())
    }

    async fn copy_volume(&self, from: &RunId, to: &RunId, name: &str) -> Result<(), EngineError> {
        let volume = |run: &RunId| Volume::new(self.owner(), run, name, &VolumePlace::Run);
        let source = volume(from);
        // Holding it would make an empty one.
        if !self.has_volume(&source).await? {
            return Err(EngineError::VolumeGone { name: name.to_owned(), run: from.clone() });
        }
        let purpose = format!("copy volume {name} of run {from}");
        let holder = |side: &str| format!("windlass-{to}-{name}-{side}");
        let (reader, writer) = (holder("copy-from"), holder("copy-to"));
        let labels = run_labels(self.owner(), to);
        let copied = async {
            self.hold(&reader, labels.clone(), vec![source.mount(WORKSPACE, true)], &purpose).await?;
            self.hold(&writer, labels, vec![volume(to).mount(WORKSPACE, false)], &purpose).await?;
            let patient = &self.connect().await?.patient;
            let from = DownloadFromContainerOptions { path: WORKSPACE.to_owned() };
            let archive = patient.download_from_container(&reader, Some(from));
            // An error of the reading side breaks the upload off, so that a part is not taken for the whole.
            let archive = archive.map(|chunk| chunk.map_err(io::Error::other));
            let to = UploadToContainerOptions { path: "/".to_owned(), ..UploadToContainerOptions::default() };
            let uploaded = patient.upload_to_container(&writer, Some(to), bollard::body_try_stream(archive)).await;
            uploaded.map_err(|error| self.failed(&purpose, &error))
        };
        let copied = copied.await;
        // Both, whatever became of the copy; its own error counts first.
        let removed = future::try_join(self.remove_container(&reader), self.remove_container(&writer)).await;
        copied.and(removed.map(drop))
    }

    async fn has_volume(&self, volume: &Volume) -> Result<bool, EngineError> {
        match self.connect().await?.docker.inspect_volume(&volume.source).await {
            Ok(found) => Ok(found.labels.get(LABEL_OWNER).is_some_and(|owner| owner == self.owner())),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
            Err(error) => Err(self.failed(&format!("look at volume {}", volume.source), &error)),
        }
    }

    /// The volumes of this owner that belong to pipelines, sorted.
    pub(crate) async fn persistent_volumes(&self) -> Result<Vec<PersistentVolume>, EngineError> {
        let found = self.volumes(None).await?;
        let mut found: Vec<_> = found.into_iter().filter_map(|volume| volume.persistent()).collect();
        found.sort();
        Ok(found)
    }

    /// Removes the volumes of the pipeline, and tells how many.
    pub(crate) async fn remove_persistent(&self, pipeline: &str) -> Result<usize, EngineError> {
        let found = self.volumes(None).await?;
        let is_of_it =
            |volume: &&Labelled| volume.persistent().is_some_and(|persistent| persistent.pipeline == pipeline);
        let doomed: Vec<_> = found.iter().filter(is_of_it).collect();
        future::try_join_all(doomed.iter().map(|volume| self.remove_volume(&volume.name))).await?;
        Ok(doomed.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_say_whose_a_volume_is() {
        let check = |place: VolumePlace, expect: (&str, &[(&str, &str)])| {
            let run: RunId = "r1".parse().unwrap();
            let volume = Volume::new("me", &run, "cache", &place);
            let labels: BTreeMap<_, _> = volume.labels.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            assert_eq!((volume.source.as_str(), labels), (expect.0, expect.1.iter().copied().collect()));
        };
        check(
            VolumePlace::Run,
            (
                "windlass-r1-cache",
                &[("dev.windlass.owner", "me"), ("dev.windlass.run", "r1"), ("dev.windlass.volume", "cache")],
            ),
        );
        check(
            VolumePlace::Pipeline("my app".to_owned()),
            (
                "windlass-me-cccdfa68ad0c1b66-cache",
                &[("dev.windlass.owner", "me"), ("dev.windlass.pipeline", "my app"), ("dev.windlass.volume", "cache")],
            ),
        );
    }

    #[test]
    fn the_workspace_is_always_declared() {
        let volumes = Volumes::new("me".to_owned(), "r1".parse().unwrap(), BTreeMap::new());
        assert_eq!(volumes.names().collect::<Vec<_>>(), ["workspace"]);
        assert_eq!(volumes.get("cache"), None);
        let targets: Vec<_> = volumes.holder_mounts().into_iter().filter_map(|mount| mount.target).collect();
        assert_eq!(targets, ["/workspace"]);
    }
}
