//! What the engine wants done. Whoever drives it records the answer as an event.

use crate::Outcome;
use serde::Serialize;
use serde_json::Value;
use windlass_contract::StepName;

/// Something to be done.
///
/// | command | answered by |
/// |---|---|
/// | `StartStep` | `StepStarted`, then, after the work, `StepFinished` |
/// | `StartTimer` | `RetryDue` |
/// | `OpenGate` | `StepDecided` |
/// | `CancelStep` | `StepFinished` of that attempt, with whatever outcome it had |
/// | `Finish` | `RunFinished` |
///
/// A cancel withdraws what it makes needless: `StartStep` not yet answered, `StartTimer` and `OpenGate` of steps that
/// are settled by it. What counts is always [`Run::outstanding`](crate::Run::outstanding).
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
    OpenGate {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
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
