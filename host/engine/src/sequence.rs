//! The run of a sequence of templates, as its documented interface shows it and moves it on.
//!
//! A sequence is a chain of steps in one state (`windlass_manifest::sequence`), so its run is a run like any; here is only the
//! other view of it.
//!
//! - A run advances by itself. Only a manual template waits for [`advance`], which is a vote at its gate: it is bound to who
//!   casts it, and of two at the same time one finds the gate decided.
//! - A step after a failure that stops the run, or of a cancelled run, is `skipped`. A run that went on past a failure is
//!   `completed`, and says how many steps failed.
//!
//! **Not here.** Where sequences are stored, and their HTTP face.

use crate::{EngineError, Outcome, Run, RunStatus, StepState, StepView, Vote};
use serde::Serialize;
use windlass_contract::{RunId, StepName};
use windlass_manifest::plan::OnFailure;

/// Where a sequence's run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SequenceStatus {
    /// It waits for its turn.
    Pending,
    /// It goes on, or waits for a person.
    Running,
    /// Over, to its last step.
    Completed,
    /// Over, by a step that failed.
    Failed,
    /// Over, because it was asked to stop.
    Cancelled,
}

impl SequenceStatus {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            SequenceStatus::Pending => "pending",
            SequenceStatus::Running => "running",
            SequenceStatus::Completed => "completed",
            SequenceStatus::Failed => "failed",
            SequenceStatus::Cancelled => "cancelled",
        }
    }
}

/// Where a step of it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SequenceStepStatus {
    /// Not yet begun.
    Pending,
    /// Begun, or it waits for a person.
    Running,
    /// It succeeded.
    Completed,
    /// It did not.
    Failed,
    /// It was stopped, or never began and never will.
    Skipped,
}

impl SequenceStepStatus {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            SequenceStepStatus::Pending => "pending",
            SequenceStepStatus::Running => "running",
            SequenceStepStatus::Completed => "completed",
            SequenceStepStatus::Failed => "failed",
            SequenceStepStatus::Skipped => "skipped",
        }
    }
}

/// A step of a sequence's run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SequenceStepView<'a> {
    /// Its name in the plan: its index and its template's name.
    pub name: &'a StepName,
    /// What its failure does to the run.
    pub on_failure: OnFailure,
    /// Where it stands.
    pub status: SequenceStepStatus,
    /// When it began, in milliseconds since 1970 (UTC).
    pub started_at: Option<u64>,
    /// When it was over, or was skipped.
    pub completed_at: Option<u64>,
    /// Why it failed.
    pub error: Option<&'a str>,
}

/// A sequence's run as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SequenceView<'a> {
    /// Its id.
    pub id: &'a RunId,
    /// Where it stands.
    pub status: SequenceStatus,
    /// The index of the step that runs, or of the last one that did.
    pub current_step: usize,
    /// How many steps have failed.
    pub failed_steps: usize,
    /// The steps, as they were when the run was created, with where they stand.
    pub steps_snapshot: Vec<SequenceStepView<'a>>,
}

fn step_status(step: &StepView<'_>) -> SequenceStepStatus {
    match (step.state, step.outcome) {
        (StepState::Waiting | StepState::Ready, _) => SequenceStepStatus::Pending,
        (StepState::Finished, Some(Outcome::Succeeded)) => SequenceStepStatus::Completed,
        (StepState::Finished, Some(Outcome::Cancelled)) => SequenceStepStatus::Skipped,
        (StepState::Finished, _) if step.skipped.is_some() => SequenceStepStatus::Skipped,
        (StepState::Finished, _) => SequenceStepStatus::Failed,
        _ => SequenceStepStatus::Running,
    }
}

/// A run of a sequence's plan, as the documented interface shows it.
pub fn view(run: &Run) -> SequenceView<'_> {
    let planned = run.plan().steps();
    let steps: Vec<SequenceStepView<'_>> = run
        .steps()
        .zip(planned)
        .map(|(step, planned)| SequenceStepView {
            status: step_status(&step),
            name: step.name,
            on_failure: planned.on_failure,
            started_at: step.started_ms,
            completed_at: step.finished_ms,
            error: step.reason.map(|reason| reason.message.as_str()),
        })
        .collect();
    let status = match (run.status(), run.outcome()) {
        (RunStatus::Queued, _) => SequenceStatus::Pending,
        (RunStatus::Finished, Some(Outcome::Succeeded)) => SequenceStatus::Completed,
        (RunStatus::Finished, Some(Outcome::Cancelled)) => SequenceStatus::Cancelled,
        (RunStatus::Finished, _) => SequenceStatus::Failed,
        _ => SequenceStatus::Running,
    };
    SequenceView {
        id: run.id(),
        status,
        current_step: steps.iter().rposition(|step| step.started_at.is_some()).unwrap_or(0),
        failed_steps: steps.iter().filter(|step| step.status == SequenceStepStatus::Failed).count(),
        steps_snapshot: steps,
    }
}

/// What `advance` asks of a run: the step that is done, the vote at its gate, and what is said about it.
///
/// # Errors
/// When the run is not running, or its present step is not for a person.
pub fn advance(
    run: &Run,
    success: bool,
    error: Option<String>,
) -> Result<(StepName, Vote, Option<String>), EngineError> {
    let refused = |why| EngineError::NotAdvanced { why };
    let now = view(run);
    if now.status != SequenceStatus::Running {
        return Err(refused(format!("the run is {}, not running", now.status.name())));
    }
    let gates = run.gates();
    let Some(gate) = gates.first() else {
        let at = now.steps_snapshot.get(now.current_step).map(|step| step.name.to_string()).unwrap_or_default();
        return Err(refused(format!("the step {at} is an agent's, and goes on by itself when the agent is done")));
    };
    let vote = if success { Vote::Approve } else { Vote::Reject };
    Ok((gate.step.clone(), vote, error))
}
