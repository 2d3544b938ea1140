//! What an append says of a run beside its events: where it stands now, the gates that are open, the requests it answers.

use windlass_contract::{RunId, StepName};
use windlass_engine::{Event, EventKind, Run, RunStatus};
use windlass_manifest::plan::{Gate, GateDefault};

/// What is written with events, in their transaction.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Where the run stands after them; `running` by default.
    pub status: Status,
    /// The gates that are open after them, where that has changed.
    pub gates: Option<Vec<GateRow>>,
    /// The requests that these events answer: `None` for one that was done, else why it was refused.
    pub answers: Vec<(i64, Option<String>)>,
    /// Whether they are to be written only when the run's turn in its group has come.
    pub turn: bool,
    /// With a run's first events: what lists need of it.
    pub labels: Labels,
}

/// What is kept of a run for lists and follows from no event of it. Nothing of it changes what the run does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// What began it: `manual`, `webhook`, `schedule`, `rerun`, `sequence`, `sub-run` or `cli`, which is the default.
    pub trigger: String,
    /// What it was begun for, in a few words.
    pub title: Option<String>,
    /// The version of the deployed pipeline.
    pub version: Option<u32>,
    /// The run that it repeats, all of it or a part.
    pub rerun_of: Option<RunId>,
}

impl Default for Labels {
    fn default() -> Self {
        Labels { trigger: "cli".to_owned(), title: None, version: None, rerun_of: None }
    }
}

/// [`RunStatus`] with a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub RunStatus);

impl Default for Status {
    fn default() -> Self {
        Status(RunStatus::Running)
    }
}

impl Standing {
    /// Of a run that has taken these events.
    pub fn of(run: &Run, events: &[Event]) -> Self {
        let touches_gates = |event: &Event| {
            matches!(
                event.kind,
                EventKind::GateOpened { .. }
                    | EventKind::GateVoted { .. }
                    | EventKind::GateDue { .. }
                    | EventKind::CancelRequested { .. }
            )
        };
        Standing {
            status: Status(run.status()),
            gates: events.iter().any(touches_gates).then(|| gate_rows(run)),
            ..Standing::default()
        }
    }
}

/// A gate that waits.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct GateRow {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepName,
    /// The attempt.
    pub attempt: u32,
    /// `manual`, `question` or `scheduled`.
    pub kind: String,
    /// What people are asked.
    pub prompt: Option<String>,
    /// Who may decide; empty: anybody.
    pub approvers: Vec<String>,
    /// How many must approve.
    pub quorum: u32,
    /// Since when, in milliseconds since 1970 (UTC).
    pub opened_ms: u64,
    /// When its own time is over.
    pub expires_ms: u64,
    /// When it is to be woken.
    pub due_ms: u64,
    /// The votes so far, as JSON.
    pub votes: serde_json::Value,
    /// Whether who began the run may approve it.
    pub self_approval: bool,
    /// What counts when its time is over, in words; `None` where it then fails.
    pub otherwise: Option<String>,
}

/// The open gates of a run as rows.
fn gate_rows(run: &Run) -> Vec<GateRow> {
    let row = |gate: windlass_engine::GateView<'_>| {
        let (kind, approvers, quorum) = match gate.gate {
            Gate::Manual(manual) => ("manual", manual.approvers.clone(), manual.quorum),
            Gate::Question(_) => ("question", Vec::new(), 1),
            Gate::Scheduled(_) => ("scheduled", Vec::new(), 0),
            Gate::Automated { .. } => ("automated", Vec::new(), 0),
        };
        let otherwise = match gate.gate {
            Gate::Manual(manual) => Some(match manual.on_timeout {
                GateDefault::Reject => "it counts as rejected".to_owned(),
                GateDefault::Approve => "it counts as approved".to_owned(),
            }),
            Gate::Question(question) => {
                question.default_response.as_ref().map(|answer| format!("the answer is {answer:?}"))
            }
            Gate::Scheduled(_) | Gate::Automated { .. } => None,
        };
        GateRow {
            run: run.id().clone(),
            step: gate.step.clone(),
            attempt: gate.attempt,
            kind: kind.to_owned(),
            prompt: gate.prompt.map(str::to_owned),
            approvers,
            quorum,
            opened_ms: gate.opened_ms,
            expires_ms: gate.expires_ms,
            due_ms: gate.due_ms,
            votes: serde_json::to_value(gate.votes).unwrap_or_default(),
            self_approval: matches!(gate.gate, Gate::Manual(manual) if manual.self_approval),
            otherwise,
        }
    };
    run.gates().into_iter().map(row).collect()
}

/// What somebody asks of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// Its number.
    pub id: i64,
    /// Who asks: an identity that was proved.
    pub by: String,
    /// What, in the driver's own form.
    pub body: String,
}
