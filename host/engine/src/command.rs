//! What the engine wants done. Whoever drives it records the answer as an event.

use crate::{Group, Outcome};
use serde::Serialize;
use serde_json::{Map, Value};
use windlass_contract::StepName;

/// Something to be done.
///
/// | command | answered by |
/// |---|---|
/// | `StartStep` | `StepStarted`, then, after the work, `StepFinished` |
/// | `StartTimer` | `RetryDue` |
/// | `AskFate` | `StepDecided` |
/// | `OpenGate` | `GateOpened` |
/// | `AwaitGate` | as many `GateVoted` as it takes, or `GateDue` |
/// | `StartSubRun` | `SubRunStarted`, then, when it has ended, `StepFinished` |
/// | `EnterGroup` | `GroupEntered` |
/// | `EnterState` | `StateEntered` |
/// | `CancelStep` | `StepFinished` of that attempt, with whatever outcome it had |
/// | `Finish` | `RunFinished` |
///
/// A cancel withdraws what it makes needless: `StartStep` not yet answered, `StartTimer`, `AskFate` and
/// `AwaitGate` of steps that are settled by it. What counts is always [`Run::outstanding`](crate::Run::outstanding).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Command {
    /// Begin an attempt.
    StartStep {
        /// The step.
        step: StepName,
        /// The attempt, from 1.
        attempt: u32,
        /// The configuration with templates rendered; secrets stand in it as references.
        config: Value,
        /// How long it may take.
        timeout_ms: u64,
        /// What was odd about the templates, for the step's log. Only in the first attempt's command.
        warnings: Vec<String>,
    },
    /// Say `RetryDue` at this time, or at once where it has passed.
    StartTimer {
        /// The step.
        step: StepName,
        /// The attempt that will be due.
        attempt: u32,
        /// When, in milliseconds since 1970 (UTC).
        due_ms: u64,
    },
    /// Ask a person what became of an attempt.
    AskFate {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
    },
    /// Record that a gate is open from now on.
    OpenGate {
        /// The step.
        step: StepName,
        /// The attempt, from 1.
        attempt: u32,
    },
    /// Wait for people's votes, and until this time for its sake or theirs. Nothing needs to be held in memory meanwhile.
    AwaitGate {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// When to say `GateDue`, in milliseconds since 1970 (UTC), or at once where it has passed.
        due_ms: u64,
    },
    /// Record an id for a sub-run, create it under that id where it is not there yet, and carry it out.
    StartSubRun {
        /// The step.
        step: StepName,
        /// The attempt, from 1.
        attempt: u32,
        /// Which of the plan's workflows.
        workflow: String,
        /// Whether this run waits for its end.
        wait: bool,
        /// Its inputs.
        inputs: Map<String, Value>,
    },
    /// Wait for the run's turn in its group.
    EnterGroup {
        /// The group.
        group: Group,
    },
    /// Record that the run goes on in another state.
    EnterState {
        /// The state.
        state: String,
        /// The transition that leads there, by its place.
        transition: u32,
        /// Its feedback, rendered.
        feedback: Option<String>,
    },
    /// Stop an attempt that runs.
    CancelStep {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
    },
    /// Every step is settled: record the end.
    Finish {
        /// How the run ended.
        outcome: Outcome,
    },
}
