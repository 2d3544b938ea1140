//! What keeps a run from being carried out at all. A step that fails is not one of these: that is an outcome.

use std::{io, path::PathBuf};
use windlass_contract::{Code, CodedError, EnvironmentName, PluginRef, RunId, StepName};

/// Why a run could not be created, taken up, or carried on.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// It has ended already.
    #[error("run {run} has ended already: {outcome}")]
    Finished {
        /// The run.
        run: RunId,
        /// How.
        outcome: windlass_engine::Outcome,
    },
    /// A decision about a step that does not wait for one.
    #[error("step {step} of run {run} does not wait for a decision")]
    NothingToDecide {
        /// The run.
        run: RunId,
        /// The step.
        step: StepName,
    },
    /// What was asked of a run was refused.
    #[error("{0}")]
    Refused(#[source] windlass_engine::EngineError),
    /// What a run has left in its volumes is not there any more.
    #[error(
        "there are no volumes of run {run}: one that succeeds leaves none, and what a failed one left is there until a later run of the pipeline takes its place"
    )]
    VolumesGone {
        /// The run.
        run: RunId,
    },
    /// A sub-run is carried out by another process, and its parent was asked to stop.
    #[error("the sub-run {run} is carried out by another process")]
    SubRunBusy {
        /// The sub-run.
        run: RunId,
    },
    /// Something else changes the environment at this moment.
    #[error("environment {environment} is being changed by another call")]
    EnvironmentBusy {
        /// The environment.
        environment: EnvironmentName,
    },
    /// The artifact store.
    #[error(transparent)]
    Artifacts(#[from] windlass_capabilities::StoreError),
    /// A plugin of the plan is not installed, or not granted anything, here and now.
    #[error("{0} is not installed in this project any more")]
    NotInstalled(PluginRef),
    /// A defect of ours while a step was carried out.
    #[error("windlass itself failed while it carried the step out: {0}")]
    Panicked(String),
    /// A file or folder of the home.
    #[error("cannot use {path:?}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder that should fill the workspace.
    #[error(transparent)]
    Snapshot(#[from] crate::snapshot::SnapshotError),
    /// The event log.
    #[error(transparent)]
    Store(#[from] windlass_store::StoreError),
    /// A history that does not fit: a defect of ours, or a damaged log.
    #[error("the history of run {run} does not fit at event {at}: {source}")]
    History {
        /// The run.
        run: RunId,
        /// Which event, from 0.
        at: usize,
        /// What does not fit.
        source: windlass_engine::EngineError,
    },
    /// The sandbox.
    #[error(transparent)]
    Runtime(#[from] windlass_runtime::RuntimeError),
    /// The container engine.
    #[error(transparent)]
    Engine(#[from] windlass_capabilities::EngineError),
    /// What steps may reach.
    #[error(transparent)]
    Capabilities(#[from] windlass_capabilities::ToolboxError),
}

impl CodedError for DriverError {
    fn code(&self) -> Code {
        match self {
            DriverError::Finished { .. } => Code(1101),
            DriverError::NothingToDecide { .. } => Code(1102),
            DriverError::NotInstalled(_) => Code(1103),
            DriverError::Io { .. } => Code(1104),
            DriverError::Snapshot(_) => Code(1105),
            DriverError::Panicked(_) => Code(1106),
            DriverError::VolumesGone { .. } => Code(1107),
            DriverError::SubRunBusy { .. } => Code(1108),
            DriverError::EnvironmentBusy { .. } => Code(1120),
            DriverError::Refused(error) => error.code(),
            DriverError::Artifacts(error) => error.code(),
            DriverError::Store(error) => error.code(),
            DriverError::History { source, .. } => source.code(),
            DriverError::Runtime(error) => error.code(),
            DriverError::Engine(error) => error.code(),
            DriverError::Capabilities(error) => error.code(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            DriverError::Finished { run, .. } => Some(format!("look at it with `windlass runs {run}`")),
            DriverError::NothingToDecide { run, .. } => Some(format!("`windlass runs {run}` shows what waits")),
            DriverError::NotInstalled(plugin) => {
                Some(format!("install it again: `windlass plugin install {}@={}`", plugin.name, plugin.version))
            }
            DriverError::Io { .. } => {
                Some("check that it exists, that it is yours, and that the disk has room".to_owned())
            }
            DriverError::Snapshot(_) => None,
            DriverError::VolumesGone { .. } => Some("repeat the run from its beginning".to_owned()),
            DriverError::SubRunBusy { run } => Some(format!("stop it with `windlass cancel {run}`")),
            DriverError::EnvironmentBusy { .. } => Some("ask again when that has ended".to_owned()),
            DriverError::Refused(error) => error.help(),
            DriverError::Artifacts(error) => error.help(),
            DriverError::Panicked(_) => {
                Some("this is a defect of windlass; please report it, with the step's configuration".to_owned())
            }
            DriverError::Store(error) => error.help(),
            DriverError::History { source, .. } => source.help(),
            DriverError::Runtime(error) => error.help(),
            DriverError::Engine(error) => error.help(),
            DriverError::Capabilities(error) => error.help(),
        }
    }
}
