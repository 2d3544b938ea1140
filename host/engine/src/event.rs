//! What happened in a run: the facts that are stored, and from which everything else about the run is derived.
//!
//! The JSON form is stable. A change that alters the meaning of what is already stored raises [`EVENT_VERSION`]; an older
//! host then refuses the event in words and does not guess. A key that this version does not know is refused too,
//! because a fact that is dropped silently would make the replayed run another run.

use crate::EngineError;
use serde::{Deserialize, Serialize, ser::SerializeStruct};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use windlass_contract::{RunId, StepName};
use windlass_manifest::plan::Plan;

/// The version of the stored form of events that this host writes, and the newest that it reads.
pub const EVENT_VERSION: u32 = 2;

/// A fact about a run, with its time.
///
/// Stored as `{"v": 2, "at_ms": …, "event": {"type": "step-started", …}}`.
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
        /// Where it comes from, and what it begins with.
        #[serde(default)]
        origin: Origin,
    },
    /// The run's turn in its concurrency group has come. Answers `EnterGroup`.
    GroupEntered {},
    /// The run has left its state by a transition, and enters this one. Answers `EnterState`. The names of steps in later
    /// events are this state's.
    StateEntered {
        /// The state.
        state: String,
        /// The transition that was taken, by its place among those of the state that was left.
        transition: u32,
        /// The transition's feedback, rendered.
        feedback: Option<String>,
    },
    /// A gate asks, or waits for its time. Answers `OpenGate`. Its timeout counts from here.
    GateOpened {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
    },
    /// A person has said something at a gate. Enough of them answer `AwaitGate`.
    GateVoted {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// Who: an identity that was proved to whoever records this, never a claim.
        by: String,
        /// What.
        vote: Vote,
        /// Why, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comment: Option<String>,
        /// Their e-mail address, where that is proved too: a gate may name its approvers by it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<String>,
    },
    /// The time that a gate waits for has come, or its own time is over. Answers `AwaitGate`.
    GateDue {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
    },
    /// A sub-run is about to be created under this id: the intent. Answers `StartSubRun`; a `StepFinished` follows when it
    /// has ended, or at once where nobody waits for it.
    SubRunStarted {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// The sub-run's id.
        run: RunId,
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
    /// A person has decided what became of such an attempt. Answers `AskFate`.
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
            EventKind::GroupEntered {} => "group-entered",
            EventKind::StateEntered { .. } => "state-entered",
            EventKind::GateOpened { .. } => "gate-opened",
            EventKind::GateVoted { .. } => "gate-voted",
            EventKind::GateDue { .. } => "gate-due",
            EventKind::SubRunStarted { .. } => "sub-run-started",
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

/// Where a run comes from, and what it begins with that is not in its plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Who began it: an identity that was proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The run that it is a sub-run of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The group that it waits in for its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// What it takes over from the run that it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<Box<Rerun>>,
    /// What is put on the blackboard at its beginning, over the plan's.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub blackboard: Map<String, Value>,
}

/// The step that a sub-run belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// The run.
    pub run: RunId,
    /// Its step.
    pub step: StepName,
    /// That step's attempt.
    pub attempt: u32,
}

/// A concurrency group as a run stands in it, its name rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// How many runs of it may go on at once.
    pub limit: u32,
}

/// What a run takes over from the run that it repeats: it begins where that one stood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rerun {
    /// The run that it repeats.
    pub of: RunId,
    /// The state that it begins in, by name.
    pub state: String,
    /// The feedback with which that state had been entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
    /// What the states that had ended by then had given, and what had been put on the blackboard.
    pub states: Map<String, Value>,
    /// See `states`.
    pub blackboard: Map<String, Value>,
    /// The steps of that state that are not done again, with what they gave.
    pub steps: BTreeMap<StepName, CarriedStep>,
}

/// A step that a rerun does not do again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarriedStep {
    /// How it had ended: `succeeded`, or a failure that was allowed.
    pub outcome: Outcome,
    /// What it had given.
    pub outputs: Map<String, Value>,
}

/// What a person says at a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vote {
    /// Yes.
    Approve,
    /// No.
    Reject,
    /// To a question: this.
    Answer(String),
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
    /// Somebody said no at a gate, or its conditions did not hold.
    Rejected,
    /// Nobody decided about a gate in time.
    GateExpired,
    /// No transition of the state matched.
    NoMatchingTransition,
    /// A state was to be entered more often than it may.
    StateVisitLimit,
    /// The run was to take more transitions than it may.
    TransitionLimit,
    /// Fewer agents gave a score than must.
    TooFewJudges,
    /// A sub-run did not succeed.
    SubRunFailed,
    /// The run ended in a state that says so.
    FailedState,
    /// Anything else.
    Other,
}

impl ReasonKind {
    /// Its name as the documents of the workflow dialect write it, such as `ImagePullFailed`.
    pub fn name(self) -> &'static str {
        match self {
            ReasonKind::NonZeroExit { .. } => "NonZeroExitCode",
            ReasonKind::OutOfMemory => "OutOfMemory",
            ReasonKind::ImagePullFailed => "ImagePullFailed",
            ReasonKind::VolumeMountFailed => "VolumeMountFailed",
            ReasonKind::ResourceExhausted => "ResourceExhausted",
            ReasonKind::TimeoutExpired => "TimeoutExpired",
            ReasonKind::PluginTrapped => "PluginTrapped",
            ReasonKind::Denied => "Denied",
            ReasonKind::InvalidConfig => "InvalidConfig",
            ReasonKind::Unavailable => "Unavailable",
            ReasonKind::TemplateError => "TemplateError",
            ReasonKind::Cancelled => "Cancelled",
            ReasonKind::Lost => "Lost",
            ReasonKind::Rejected => "Rejected",
            ReasonKind::GateExpired => "GateExpired",
            ReasonKind::NoMatchingTransition => "NoMatchingTransition",
            ReasonKind::StateVisitLimit => "StateVisitLimitExceeded",
            ReasonKind::TransitionLimit => "TransitionLimitExceeded",
            ReasonKind::TooFewJudges => "TooFewJudges",
            ReasonKind::SubRunFailed => "SubRunFailed",
            ReasonKind::FailedState => "FailedState",
            ReasonKind::Other => "Other",
        }
    }

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
    /// [`EngineError::NewerEvent`] and [`EngineError::OlderEvent`] when another version wrote it, [`EngineError::CorruptEvent`] when
    /// nobody did.
    pub fn decode(text: &str) -> Result<Self, EngineError> {
        /// What every version has: enough to tell a newer event from a broken one.
        #[derive(Deserialize)]
        struct Header {
            v: u32,
        }
        serde_json::from_str(text).map_err(|error| match serde_json::from_str::<Header>(text) {
            Ok(Header { v }) if v > EVENT_VERSION => EngineError::NewerEvent { version: v },
            Ok(Header { v }) if (1..EVENT_VERSION).contains(&v) => EngineError::OlderEvent { version: v },
            _ => EngineError::CorruptEvent { why: error.to_string() },
        })
    }
}
