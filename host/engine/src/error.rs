//! Why an event was refused.

use windlass_contract::{Code, CodedError, StepName};
use windlass_manifest::template::RenderError;

/// An event that does not fit. The run is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A history that begins with anything else.
    #[error("the run's history does not begin with run-created but with {found}")]
    NotCreated {
        /// What it begins with.
        found: &'static str,
    },
    /// A second `RunCreated`.
    #[error("the run was created twice")]
    CreatedTwice,
    /// A step that the current state does not have.
    #[error("{event} names the step {step}, which the plan does not have")]
    UnknownStep {
        /// The event.
        event: &'static str,
        /// The name.
        step: StepName,
    },
    /// An event about an attempt that is not in the state for it.
    #[error("{event} of attempt {attempt} does not fit the step {step}, which {present}")]
    DoesNotFit {
        /// The event.
        event: &'static str,
        /// The step.
        step: StepName,
        /// The attempt that the event names.
        attempt: u32,
        /// What the step does at present.
        present: String,
    },
    /// A step type that no plugin provides: the plan can be looked at, and not run.
    #[error("the step {step} is a `{step_type}`, and no installed plugin provides that")]
    Absent {
        /// The type.
        step_type: String,
        /// The step.
        step: StepName,
    },
    /// An event about the run or its state that is not in place.
    #[error("{event} does not fit: {why}")]
    OutOfPlace {
        /// The event.
        event: &'static str,
        /// What is known.
        why: String,
    },
    /// A vote that does not count.
    #[error("{by} cannot decide about {step}: {why}")]
    VoteRefused {
        /// The gate's step.
        step: StepName,
        /// Who wanted to.
        by: String,
        /// Why not.
        why: String,
    },
    /// A run that cannot be repeated so.
    #[error("the run cannot be repeated so: {why}")]
    NoRerun {
        /// Why not.
        why: String,
    },
    /// A sequence that a person cannot advance at present.
    #[error("the run cannot be advanced: {why}")]
    NotAdvanced {
        /// Why not.
        why: String,
    },
    /// Anything but `RunFinished` after the last step, or anything after that.
    #[error("{event} comes too late: every step of the run is settled")]
    Over {
        /// The event.
        event: &'static str,
    },
    /// `RunFinished` too early, or with another outcome than the steps'.
    #[error("run-finished with the outcome {claimed} does not fit: {why}")]
    WrongFinish {
        /// The outcome in the event.
        claimed: crate::Outcome,
        /// What is known.
        why: String,
    },
    /// A plan that `manifest` would not have made.
    #[error("the stored plan cannot be run: {why}")]
    InvalidPlan {
        /// Its defect.
        why: String,
    },
    /// The pipeline's `env` cannot be rendered with these inputs: the run cannot be created.
    #[error("{error}")]
    Environment {
        /// Why.
        error: Box<RenderError>,
    },
    /// An event of a newer host.
    #[error("the event has version {version}; this host reads up to version {}", crate::EVENT_VERSION)]
    NewerEvent {
        /// Its version.
        version: u32,
    },
    /// An event from before the form of today, of which there was no release.
    #[error("the event has version {version}, which this host does not read any more")]
    OlderEvent {
        /// Its version.
        version: u32,
    },
    /// Text that is no event.
    #[error("the stored text is not an event: {why}")]
    CorruptEvent {
        /// What is wrong with it.
        why: String,
    },
    /// An event that cannot be written as JSON.
    #[error("the event cannot be stored: {why}")]
    Unstorable {
        /// What is wrong with it.
        why: String,
    },
}

impl CodedError for EngineError {
    fn code(&self) -> Code {
        Code(match self {
            EngineError::NotCreated { .. } => 201,
            EngineError::CreatedTwice => 202,
            EngineError::UnknownStep { .. } => 203,
            EngineError::DoesNotFit { .. } => 204,
            EngineError::Over { .. } => 205,
            EngineError::WrongFinish { .. } => 206,
            EngineError::InvalidPlan { .. } => 207,
            EngineError::Environment { error } => return error.code(),
            EngineError::NewerEvent { .. } => 208,
            EngineError::CorruptEvent { .. } => 209,
            EngineError::Unstorable { .. } => 210,
            EngineError::Absent { .. } => 211,
            EngineError::OutOfPlace { .. } => 212,
            EngineError::VoteRefused { .. } => 213,
            EngineError::NoRerun { .. } => 214,
            EngineError::OlderEvent { .. } => 215,
            EngineError::NotAdvanced { .. } => 216,
        })
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            EngineError::Environment { error } => return error.help(),
            EngineError::NewerEvent { .. } => {
                "the run was made by a newer windlass: use that version or a later one".to_owned()
            }
            EngineError::OlderEvent { .. } => {
                "the run was made before the first release, and cannot be taken up: start a new one".to_owned()
            }
            EngineError::Over { .. } => "nothing is left to do: look at the run's outcome with `windlass runs`".to_owned(),
            EngineError::Absent { step_type, .. } => {
                format!("install one that does: `windlass plugin search {}`", step_type.trim_start_matches("step."))
            }
            EngineError::VoteRefused { .. } => "`windlass gates` shows who may decide, and until when".to_owned(),
            EngineError::NoRerun { .. } | EngineError::NotAdvanced { .. } => {
                "`windlass runs RUN` shows what it did".to_owned()
            }
            EngineError::NotCreated { .. }
            | EngineError::CreatedTwice
            | EngineError::InvalidPlan { .. }
            | EngineError::CorruptEvent { .. } => {
                "the run's history is damaged and the run cannot go on: start a new run, and restore the data folder from a \
                 copy if other runs are damaged too"
                    .to_owned()
            }
            EngineError::UnknownStep { .. }
            | EngineError::DoesNotFit { .. }
            | EngineError::OutOfPlace { .. }
            | EngineError::WrongFinish { .. }
            | EngineError::Unstorable { .. } => {
                "this is a defect of windlass or of a damaged history: report it with the run's events".to_owned()
            }
        })
    }
}
