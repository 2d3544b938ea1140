//! What runs leave outside the event log: their workspace's first content, containers, volumes; and when each is removed.
//!
//! `open/RUN` in the home is there from before the first trace of a run until after its last one was removed: its folder's
//! snapshot, its containers, its volumes. A process that dies at any moment in between leaves it, and [`Host::sweep`] finds by
//! it what is to be removed without asking the container engine or going through all runs there ever were.
//!
//! `kept/PIPELINE` names the last run of a pipeline if it did not succeed: its volumes stay, so that it can be repeated from where it
//! failed. The next run of the pipeline that ends takes its place.

use crate::{DriverError, Host, Workspace, snapshot};
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};
use windlass_capabilities::{Keep, VolumePlace};
use windlass_contract::{Digest, RunId};
use windlass_engine::{Outcome, Run};
use windlass_manifest::plan::{Plan, WORKSPACE_VOLUME};
use windlass_store::StoreError;

impl Host {
    /// Sees to it that the workspace will begin as it is to: complete or absent, a half-written snapshot must never fill one. And
    /// durable before the run is: a snapshot that is absent counts as one that has filled its workspace already.
    pub(crate) async fn begin_workspace(
        &self,
        run: &RunId,
        plan: &Plan,
        workspace: Workspace,
    ) -> Result<(), DriverError> {
        let file = self.workspace_source(run);
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| DriverError::Io { path, source }
        };
        match workspace {
            Workspace::Empty => Ok(()),
            Workspace::Folder(folder) => {
                let copied = tokio::task::spawn_blocking(move || {
                    let partial = file.with_extension("partial");
                    snapshot::write(&folder, &partial)?;
                    std::fs::rename(&partial, &file)
                        .and_then(|()| sync_folder(&file))
                        .map_err(|source| snapshot::SnapshotError::Io { path: file, source })
                });
                copied.await.map_err(|panic| io(&self.run_folder(run))(panic.into()))??;
                Ok(())
            }
            Workspace::LikeRun(other) => {
                let known = [self.workspace_source(&other), self.workspace_used(&other)];
                let Some(source) = known.iter().find(|path| exists(path)) else { return Ok(()) };
                let _ = std::fs::remove_file(&file);
                std::fs::hard_link(source, &file).and_then(|()| sync_folder(&file)).map_err(io(&file))
            }
            Workspace::LeftBy(other) => {
                let names = plan.volumes.iter().filter(|(_, volume)| !volume.persistent).map(|(name, _)| name.clone());
                let names: Vec<String> = names.collect();
                self.uses_engine(run)?;
                self.parts.toolbox.copy_volumes(&other, run, &names).await?;
                Ok(())
            }
        }
    }

    /// Removes what a run that has ended leaves: its containers, and its volumes unless it is to be repeated from the middle. A run
    /// of which no step had use for a container engine needs none to end.
    pub(crate) async fn tidy(&self, run: &Run, taken_up: bool) {
        let _ = std::fs::remove_file(self.workspace_source(run.id()));
        let _ = std::fs::remove_file(self.workspace_used(run.id()));
        // Another process than this one may have used it too.
        let noted = || self.mark(run.id()).metadata().is_ok_and(|mark| mark.len() > 0);
        let used = self.parts.toolbox.has_engine() || (taken_up && noted());
        let before = self.kept(&run.plan().name);
        let keep = used && run.outcome() != Some(Outcome::Succeeded) && used_containers(run);
        self.keep(&run.plan().name, keep.then(|| run.id()));
        if let Some(before) = before.filter(|before| before != run.id()) {
            // The run that was kept before this one is not needed any more.
            self.remove_from_engine(&before, Keep::Nothing).await;
        }
        if used && !self.remove_from_engine(run.id(), if keep { Keep::Volumes } else { Keep::Nothing }).await {
            return;
        }
        if !keep {
            let _ = std::fs::remove_file(self.mark(run.id()));
        }
    }

    /// The run whose volumes are kept for a pipeline.
    pub(crate) fn kept(&self, pipeline: &str) -> Option<RunId> {
        std::fs::read_to_string(self.kept_file(pipeline)).ok()?.trim().parse().ok()
    }

    fn keep(&self, pipeline: &str, run: Option<&RunId>) {
        let file = self.kept_file(pipeline);
        let done = match run {
            Some(run) => {
                file.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&file, run.as_str()))
            }
            None => match std::fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        if let Err(error) = done {
            tracing::warn!("which run of {pipeline} is kept cannot be noted: {error}");
        }
    }

    fn kept_file(&self, pipeline: &str) -> PathBuf {
        self.parts.home.join("kept").join(Digest::of(pipeline.as_bytes()).hex())
    }

    /// Notes that the run may have something at the container engine from now on. Not synced: what a loss of power leaves there
    /// does not run.
    pub(crate) fn uses_engine(&self, run: &RunId) -> Result<(), DriverError> {
        let mark = self.mark(run);
        std::fs::write(&mark, "engine").map_err(|source| DriverError::Io { path: mark, source })
    }

    async fn remove_from_engine(&self, run: &RunId, keep: Keep) -> bool {
        let removed = self.parts.toolbox.remove_run(run, keep).await;
        if let Err(error) = &removed {
            // The mark stays, and the next sweep comes back to it.
            tracing::warn!("containers or volumes of run {run} may still be there: {error}");
        } else if keep == Keep::Nothing {
            let _ = std::fs::remove_file(self.mark(run));
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
                Ok(state) if self.kept(&state.plan().name).as_ref() == Some(&run) => {}
                Ok(state) if state.finished_ms().is_some() => self.tidy_late(&state).await,
                // To be taken up again.
                Ok(_) => {}
                Err(DriverError::Store(StoreError::UnknownRun { .. })) => self.forget(&run).await,
                Err(error) => tracing::warn!("what run {run} left behind cannot be looked at: {error}"),
            }
        }
    }

    /// After a crash between a run's end and its tidying. A later run of the pipeline may be the one that is kept by now.
    async fn tidy_late(&self, run: &Run) {
        let newest = match self.kept(&run.plan().name) {
            Some(kept) => kept < *run.id(),
            None => self.parts.store.last_finished(&run.plan().name).await.ok().flatten().as_ref() == Some(run.id()),
        };
        if newest {
            self.tidy(run, true).await;
        } else {
            let _ = std::fs::remove_file(self.workspace_source(run.id()));
            let _ = std::fs::remove_file(self.workspace_used(run.id()));
            self.remove_from_engine(run.id(), Keep::Nothing).await;
        }
    }

    /// Removes the folder of a run that was never recorded.
    pub(crate) async fn forget(&self, run: &RunId) {
        // Under its lock, and looked at once more: it may be in the middle of being created.
        let Ok(_lock) = self.parts.store.lock_run(run) else { return };
        if matches!(self.parts.store.run(run).await, Err(StoreError::UnknownRun { .. })) {
            let noted = self.mark(run).metadata().is_ok_and(|mark| mark.len() > 0);
            let _ = std::fs::remove_dir_all(self.run_folder(run));
            if noted {
                self.remove_from_engine(run, Keep::Nothing).await;
            } else {
                let _ = std::fs::remove_file(self.mark(run));
            }
        }
    }

    pub(crate) fn marks(&self) -> PathBuf {
        self.parts.home.join("open")
    }

    pub(crate) fn mark(&self, run: &RunId) -> PathBuf {
        self.marks().join(run.as_str())
    }

    pub(crate) fn run_folder(&self, run: &RunId) -> PathBuf {
        self.parts.home.join("runs").join(run.as_str())
    }

    /// The tar file that has yet to fill the run's workspace. That it is there is the durable mark that it has not happened.
    pub(crate) fn workspace_source(&self, run: &RunId) -> PathBuf {
        self.run_folder(run).join("workspace.tar")
    }

    /// The same after it has filled the workspace: kept where sub-runs begin with it too.
    fn workspace_used(&self, run: &RunId) -> PathBuf {
        self.run_folder(run).join("workspace.used")
    }

    /// Fills the run's workspace, once. Called under the run's own mutex; a crash in the middle fills it again.
    pub(crate) async fn fill_workspace(&self, run: &RunId, place: &VolumePlace, keep: bool) -> Result<(), DriverError> {
        let source = self.workspace_source(run);
        let io = |error| DriverError::Io { path: source.clone(), source: error };
        if !exists(&source) {
            return Ok(());
        }
        self.parts.toolbox.fill_workspace(run, place, &source).await?;
        // Durable before a step works on what was filled: filling it again would undo its work.
        let done =
            if keep { std::fs::rename(&source, self.workspace_used(run)) } else { std::fs::remove_file(&source) };
        done.and_then(|()| sync_folder(&source)).map_err(io)
    }
}

/// Whose each volume of a plan is.
pub(crate) fn volume_places(plan: &Plan) -> BTreeMap<String, VolumePlace> {
    let place = |(name, volume): (&String, &windlass_manifest::plan::Volume)| {
        let place = if volume.persistent { VolumePlace::Pipeline(plan.name.clone()) } else { VolumePlace::Run };
        (name.clone(), place)
    };
    plan.volumes.iter().map(place).collect()
}

/// Where the workspace of a plan is.
pub(crate) fn workspace_place(places: &BTreeMap<String, VolumePlace>) -> VolumePlace {
    places.get(WORKSPACE_VOLUME).cloned().unwrap_or_default()
}

/// Whether any attempt of the run had use for a container, or the run began with what another had left.
pub(crate) fn used_containers(run: &Run) -> bool {
    run.origin().rerun.is_some() || run.had_containers()
}

/// Has the names in a file's folder on the disk.
fn sync_folder(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
