//! What happened in a run: the facts that are stored, and from which everything else about the run is derived.
//!
//! The JSON form is stable. A change that alters the meaning of what is already stored raises [`EVENT_VERSION`]; an older
//! host then refuses the event in words and does not guess. A key that this version does not know is refused too,
//! because a fact that is dropped silently would make the replayed run another run.

use crate::EngineError;
use serde::{Deserialize, Serialize, ser::SerializeStruct};
use serde_json::{Map, Value};
use windlass_contract::{RunId, StepName};
use windlass_manifest::plan::Plan;

/// The version of the stored form of events that this host writes, and the newest that it reads.
pub const EVENT_VERSION: u32 = 1;

/// A fact about a run, with its time.
///
/// Stored as `{"v": 1, "at_ms": …, "event": {"type": "step-started", …}}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When, in milliseconds since 1970 (UTC), by the clock of the host that recorded it. Clocks may be set back: the
    /// order of events is their order in the log, never this number.
    pub at_ms: u64,
    /// What.
    pub kind: EventKind,
}

/// The kinds of facts.
///
/// `attempt` counts from 1. An event names a step of the run's current state. Attempt numbers go on counting when a state is
/// entered again, so that (run, step, attempt) names one attempt for ever: containers, logs and idempotency keys depend on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum EventKind {
    /// The first event of every run. The pipeline's file is not read again after it.
    RunCreated {
        /// The run.
        run: RunId,
        /// What to do, complete.
        plan: Box<Plan>,
        /// The inputs, with defaults filled in.
        inputs: Map<String, Value>,
        /// The run that `previous` means in this one: the last one of this pipeline that succeeded.
        previous: Option<RunId>,
        /// The pipeline's file as the user named it; for people.
        file: Option<String>,
    },
    /// An attempt is about to begin: the intent, recorded before any effect. Answers `StartStep`.
    StepStarted {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
    },
    /// An attempt has created a container and not started it yet. After a crash, a container that stands here and is gone
    /// is lost: it is never started a second time.
    ContainerCreated {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// Which container of this attempt, from 0.
        index: u32,
        /// Its name at the container engine.
        name: String,
    },
    /// An attempt has ended. Answers a `CancelStep` too.
    StepFinished {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// How; never `skipped`, which only the engine says.
        outcome: Outcome,
        /// Why, where it did not succeed.
        reason: Option<Reason>,
        /// What it gave, also where it failed.
        outputs: Map<String, Value>,
    },
    /// The pause before an attempt is over. Answers `StartTimer`.
    RetryDue {
        /// The step.
        step: StepName,
        /// The attempt that may begin.
        attempt: u32,
    },
    /// After a crash, nobody can tell what became of an attempt that must not be repeated blindly: a person decides.
    StepUndecided {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
    },
    /// A person has decided what became of such an attempt. Answers `OpenGate`.
    StepDecided {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// What it counts as.
        decision: Decision,
        /// Who decided.
        by: String,
    },
    /// The run is to stop. A second one stops the steps too that run because of `always()` or `cancelled()`.
    CancelRequested {
        /// Why, in words.
        reason: String,
    },
    /// The last event of every run. Answers `Finish`.
    RunFinished {
        /// How the run ended, as the engine had said.
        outcome: Outcome,
    },
}

impl EventKind {
    /// Its `type` in the stored form.
    pub fn name(&self) -> &'static str {
        match self {
            EventKind::RunCreated { .. } => "run-created",
            EventKind::StepStarted { .. } => "step-started",
            EventKind::ContainerCreated { .. } => "container-created",
            EventKind::StepFinished { .. } => "step-finished",
            EventKind::RetryDue { .. } => "retry-due",
            EventKind::StepUndecided { .. } => "step-undecided",
            EventKind::StepDecided { .. } => "step-decided",
            EventKind::CancelRequested { .. } => "cancel-requested",
            EventKind::RunFinished { .. } => "run-finished",
        }
    }
}

/// How an attempt, a step or a run ended. Closed: there is no other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The work was done, and its result is good.
    Succeeded,
    /// The work was done, and its result is a failure.
    Failed,
    /// The work could not be done: infrastructure, configuration, or a defect of the plugin.
    Error,
    /// It took longer than it may.
    TimedOut,
    /// It was stopped because the run was.
    Cancelled,
    /// It never began.
    Skipped,
    /// Nobody can tell: what carried it out is gone.
    Lost,
    /// A person said no at a gate.
    Rejected,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 8] = [
        Outcome::Succeeded,
        Outcome::Failed,
        Outcome::Error,
        Outcome::TimedOut,
        Outcome::Cancelled,
        Outcome::Skipped,
        Outcome::Lost,
        Outcome::Rejected,
    ];

    /// Its name in the stored form and for people, such as `timed-out`.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::Failed => "failed",
            Outcome::Error => "error",
            Outcome::TimedOut => "timed-out",
            Outcome::Cancelled => "cancelled",
            Outcome::Skipped => "skipped",
            Outcome::Lost => "lost",
            Outcome::Rejected => "rejected",
        }
    }

    /// Whether a step that ended so stands in the way of the run's success. A step that is skipped does not.
    pub fn is_failure(self) -> bool {
        !matches!(self, Outcome::Succeeded | Outcome::Skipped)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Outcome {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Outcome::ALL
            .into_iter()
            .find(|outcome| outcome.name() == text)
            .ok_or_else(|| format!("no outcome is called {text:?}"))
    }
}

/// Why an attempt did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// What kind of reason, for retries and for scripts.
    pub kind: ReasonKind,
    /// The stable code of the error, such as `WL0401`, where there was one.
    pub code: Option<String>,
    /// What happened and what to do next, for people. Masked by whoever made it.
    pub message: String,
}

/// The kinds of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonKind {
    /// A process ended with this code.
    NonZeroExit {
        /// The code; 128 + n when signal n ended it.
        code: i32,
    },
    /// The kernel ended a process for lack of memory.
    OutOfMemory,
    /// An image could not be pulled.
    ImagePullFailed,
    /// The workspace could not be mounted.
    VolumeMountFailed,
    /// The container engine or the host has no room left.
    ResourceExhausted,
    /// The step's time is over.
    TimeoutExpired,
    /// The plugin trapped: a defect of the plugin.
    PluginTrapped,
    /// A capability or a grant was refused.
    Denied,
    /// The configuration cannot be carried out.
    InvalidConfig,
    /// Something outside does not answer: the container engine, a registry, a server.
    Unavailable,
    /// A template or a condition could not be evaluated.
    TemplateError,
    /// It was asked to stop.
    Cancelled,
    /// What carried it out is gone.
    Lost,
    /// Anything else.
    Other,
}

impl ReasonKind {
    /// Whether the cause lies in the infrastructure and may be gone the next time: what `retry` is for by itself.
    pub fn is_infrastructure(self) -> bool {
        matches!(
            self,
            ReasonKind::ImagePullFailed
                | ReasonKind::VolumeMountFailed
                | ReasonKind::ResourceExhausted
                | ReasonKind::Unavailable
        )
    }
}

/// What a person says became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Do it again, as a new attempt: one more than the retries allow, with a new idempotency key and new containers.
    Rerun,
    /// It took effect.
    Succeeded,
    /// It did not, and is not to be repeated.
    Failed,
}

impl Serialize for Event {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Event", 3)?;
        out.serialize_field("v", &EVENT_VERSION)?;
        out.serialize_field("at_ms", &self.at_ms)?;
        out.serialize_field("event", &self.kind)?;
        out.end()
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Stored {
            v: u32,
            at_ms: u64,
            event: EventKind,
        }
        let stored = Stored::deserialize(deserializer)?;
        if stored.v != EVENT_VERSION {
            return Err(serde::de::Error::custom(format_args!("event version {} is not known", stored.v)));
        }
        Ok(Event { at_ms: stored.at_ms, kind: stored.event })
    }
}

impl Event {
    /// The stored form.
    ///
    /// # Errors
    /// [`EngineError::Unstorable`] when a value in it has no JSON form.
    pub fn encode(&self) -> Result<String, EngineError> {
        serde_json::to_string(self).map_err(|error| EngineError::Unstorable { why: error.to_string() })
    }

    /// From the stored form.
    ///
    /// # Errors
    /// [`EngineError::NewerEvent`] when a newer host wrote it, [`EngineError::CorruptEvent`] when nobody did.
    pub fn decode(text: &str) -> Result<Self, EngineError> {
        /// What every version has: enough to tell a newer event from a broken one.
        #[derive(Deserialize)]
        struct Header {
            v: u32,
        }
        serde_json::from_str(text).map_err(|error| match serde_json::from_str::<Header>(text) {
            Ok(Header { v }) if v > EVENT_VERSION => EngineError::NewerEvent { version: v },
            _ => EngineError::CorruptEvent { why: error.to_string() },
        })
    }
}
