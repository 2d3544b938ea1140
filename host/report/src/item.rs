//! What is told: one closed list, with what a person and a program need of each.
//!
//! The JSON form is stable: keys are added, never renamed or taken away. A reader passes over types and keys that it does not know.

use crate::EventId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use windlass_contract::{PluginRef, RunId, StepName};
use windlass_engine::{Decision, Outcome, Parent, Reason, Skip, Vote};

/// An item with its place. As JSON it is one flat object: `run`, `seq`, `part`, `at_ms`, `type`, and what the type has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The run.
    pub run: RunId,
    /// The number of the event that it follows from, from 1.
    pub seq: u64,
    /// Which of that event's items, from 0.
    pub part: u32,
    /// When, in milliseconds since 1970 (UTC). Clocks may be set back: the order is that of `seq` and `part`.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub item: Item,
}

impl Told {
    /// Where a reader goes on from; `None` for a line of a log, which follows from no event and is read again by its step,
    /// attempt and number.
    pub fn id(&self) -> Option<EventId> {
        let place = EventId { run: self.run.clone(), seq: self.seq, part: self.part };
        (!matches!(self.item, Item::Log(_))).then_some(place)
    }
}

/// What a run tells. `attempt` counts from 1 and goes on when a state is entered again; `state` is the one that the step is in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Item {
    /// The run was created.
    RunStarted {
        /// Its pipeline's name.
        name: String,
        /// The pipeline's file, as the user named it.
        file: Option<String>,
        /// The inputs, with defaults filled in.
        inputs: Map<String, Value>,
        /// Who began it.
        by: Option<String>,
        /// The step that it is a sub-run of.
        parent: Option<Parent>,
        /// The run that it repeats.
        rerun_of: Option<RunId>,
        /// What was odd about the pipeline's environment, for people.
        warnings: Vec<String>,
    },
    /// The run waits for its turn in a concurrency group.
    RunQueued {
        /// The group's name.
        group: String,
        /// How many runs of it may go on at once.
        limit: u32,
        /// The runs before it. A run does not know them: who knows the others fills them in.
        behind: Vec<RunId>,
    },
    /// The run is in this state from now on.
    StateEntered {
        /// The state.
        state: String,
        /// How many times the run has been in it, this time among them.
        visit: u32,
        /// The state that was left; `None` at the beginning.
        from: Option<String>,
        /// Why it was left for this one, in words with the values that decided.
        because: Option<String>,
        /// What this state reads as `{{ state.feedback }}`.
        feedback: Option<String>,
    },
    /// A plugin is about to carry out an attempt.
    StepStarted {
        /// The step.
        step: StepName,
        /// Its state.
        state: String,
        /// The attempt.
        attempt: u32,
        /// The step type, such as `step.shell_exec`.
        step_type: String,
        /// The plugin, pinned.
        plugin: PluginRef,
    },
    /// A step's attempt has ended, or the step has without one: its configuration cannot be rendered, or the run was stopped
    /// between two attempts.
    StepEnded {
        /// The step.
        step: StepName,
        /// The attempt; `None` where none was under way.
        attempt: Option<u32>,
        /// How.
        outcome: Outcome,
        /// Why it did not succeed.
        reason: Option<Reason>,
        /// When it is tried again, in milliseconds since 1970 (UTC); `None` where that was the last attempt.
        retry_ms: Option<u64>,
        /// How long the attempt took, in milliseconds.
        took_ms: u64,
        /// It failed, and `on_failure: continue` lets the run go on.
        allowed: bool,
    },
    /// A step will not begin.
    StepSkipped {
        /// The step.
        step: StepName,
        /// Its state.
        state: String,
        /// Why, for programs.
        skip: Skip,
        /// Why, in one sentence with the values that decided.
        sentence: String,
    },
    /// A step is not done again, but taken over.
    StepCarried {
        /// The step.
        step: StepName,
        /// Its state.
        state: String,
        /// How it had ended.
        outcome: Outcome,
        /// The run that it was done in.
        from: RunId,
    },
    /// A gate asks, or waits for its time. One that is decided at once by its conditions is told so in the next item.
    GateOpened {
        /// The step.
        step: StepName,
        /// Its state.
        state: String,
        /// The attempt.
        attempt: u32,
        /// For what it waits.
        gate: GateKind,
        /// What people are asked.
        prompt: Option<String>,
        /// Who may decide; empty: anybody.
        approvers: Vec<String>,
        /// Who may not approve, for they began the run.
        not_by: Option<String>,
        /// How many must approve.
        quorum: Option<u32>,
        /// When its window opens, in milliseconds since 1970 (UTC), where one does before its time is over.
        opens_ms: Option<u64>,
        /// When its time is over, in milliseconds since 1970 (UTC).
        expires_ms: Option<u64>,
        /// What counts then, in words.
        otherwise: Option<String>,
        /// What to type, one command each.
        commands: Vec<String>,
    },
    /// A person has said something at a gate.
    GateVoted {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// Who.
        by: String,
        /// What.
        vote: Vote,
        /// Why, in words.
        comment: Option<String>,
        /// How many more must approve; 0 where the gate is decided.
        missing: u32,
    },
    /// A gate is over.
    GateDecided {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// As what it counts.
        outcome: Outcome,
        /// Why it was not passed.
        reason: Option<Reason>,
        /// The people who decided; empty: its conditions, its time, or the end of the run.
        by: Vec<String>,
        /// The answer to a question.
        answer: Option<String>,
        /// How long it was open, in milliseconds.
        took_ms: u64,
        /// It was not passed, and `on_failure: continue` lets the run go on.
        allowed: bool,
    },
    /// A run of its own begins.
    SubRunStarted {
        /// The step.
        step: StepName,
        /// Its state.
        state: String,
        /// The attempt.
        attempt: u32,
        /// The workflow.
        workflow: String,
        /// Its run.
        sub_run: RunId,
        /// Whether this run waits for it.
        wait: bool,
    },
    /// A sub-run has ended, or nobody waits for it.
    SubRunEnded {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// Its run.
        sub_run: RunId,
        /// How.
        outcome: Outcome,
        /// Why it did not succeed.
        reason: Option<Reason>,
        /// When it is tried again, in milliseconds since 1970 (UTC).
        retry_ms: Option<u64>,
        /// How long it took, in milliseconds.
        took_ms: u64,
        /// It failed, and `on_failure: continue` lets the run go on.
        allowed: bool,
    },
    /// An attempt has created a container. After a crash it may be told again.
    ContainerCreated {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// Which of the attempt's, from 0.
        index: u32,
        /// Its name at the container engine.
        name: String,
    },
    /// Nobody can tell what became of an attempt: a person decides.
    StepUndecided {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// What to type.
        commands: Vec<String>,
    },
    /// A person has decided that.
    StepDecided {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// As what it counts.
        decision: Decision,
        /// Who decided.
        by: String,
    },
    /// The run is to stop.
    Cancelling {
        /// Why, in words.
        reason: String,
        /// It was asked a second time: what asks for `always()` or `cancelled()` is stopped, too.
        forced: bool,
    },
    /// A line of a log.
    Log(LogLine),
    /// The run is over. The last item of every run, but for lines of logs that were still on their way.
    RunEnded {
        /// How.
        outcome: Outcome,
        /// Why it did not succeed.
        reason: Option<Reason>,
        /// How long it took from its creation, in milliseconds.
        took_ms: u64,
        /// Its steps, over all visits of its states.
        counts: Counts,
    },
}

/// A line of a log. It follows from no event: its [`Told`] has the `seq` of the last event before it, and `part` 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The step.
    pub step: StepName,
    /// The attempt.
    pub attempt: u32,
    /// Which line of the attempt, from 1. One that is not higher than the one before says that the attempt is carried out again
    /// after a crash, and its log is written anew.
    pub line: u64,
    /// From where.
    pub stream: Stream,
    /// The line, masked and without its end.
    pub text: String,
}

/// Where lines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output of containers.
    Stdout,
    /// Standard error of containers.
    Stderr,
    /// The plugin's own lines.
    Plugin,
    /// The host's lines.
    System,
}

/// For what a gate waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateKind {
    /// For people who approve or reject.
    Manual,
    /// For a person's answer.
    Question,
    /// For nobody: its conditions decide at once.
    Automated,
    /// For a time.
    Scheduled,
}

/// How many steps ended how; each is counted once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// They succeeded.
    pub succeeded: usize,
    /// They did not succeed in any other way, and that counted.
    pub failed: usize,
    /// They were stopped because the run was.
    pub cancelled: usize,
    /// They failed, and `on_failure: continue` let the run go on.
    pub allowed: usize,
    /// They never began.
    pub skipped: usize,
    /// They were taken over from the run that this one repeats.
    pub carried: usize,
}

/// The end of a step or of one of its attempts, whatever carried it out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ended<'a> {
    /// The step.
    pub step: &'a StepName,
    /// The attempt; `None` where none was under way.
    pub attempt: Option<u32>,
    /// How.
    pub outcome: Outcome,
    /// Why it did not succeed.
    pub reason: Option<&'a Reason>,
    /// When it is tried again, in milliseconds since 1970 (UTC).
    pub retry_ms: Option<u64>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// It failed, and the run goes on as if it had not.
    pub allowed: bool,
}

impl Item {
    /// Its `type` in the JSON form.
    pub fn name(&self) -> &'static str {
        match self {
            Item::RunStarted { .. } => "run-started",
            Item::RunQueued { .. } => "run-queued",
            Item::StateEntered { .. } => "state-entered",
            Item::StepStarted { .. } => "step-started",
            Item::StepEnded { .. } => "step-ended",
            Item::StepSkipped { .. } => "step-skipped",
            Item::StepCarried { .. } => "step-carried",
            Item::GateOpened { .. } => "gate-opened",
            Item::GateVoted { .. } => "gate-voted",
            Item::GateDecided { .. } => "gate-decided",
            Item::SubRunStarted { .. } => "sub-run-started",
            Item::SubRunEnded { .. } => "sub-run-ended",
            Item::ContainerCreated { .. } => "container-created",
            Item::StepUndecided { .. } => "step-undecided",
            Item::StepDecided { .. } => "step-decided",
            Item::Cancelling { .. } => "cancelling",
            Item::Log(_) => "log",
            Item::RunEnded { .. } => "run-ended",
        }
    }

    /// The step and the attempt that it is the beginning of.
    pub fn began(&self) -> Option<(&StepName, u32)> {
        match self {
            Item::StepStarted { step, attempt, .. }
            | Item::GateOpened { step, attempt, .. }
            | Item::SubRunStarted { step, attempt, .. } => Some((step, *attempt)),
            _ => None,
        }
    }

    /// The end that it tells.
    pub fn ended(&self) -> Option<Ended<'_>> {
        match self {
            Item::StepEnded { step, attempt, outcome, reason, retry_ms, took_ms, allowed } => Some(Ended {
                step,
                attempt: *attempt,
                outcome: *outcome,
                reason: reason.as_ref(),
                retry_ms: *retry_ms,
                took_ms: *took_ms,
                allowed: *allowed,
            }),
            Item::SubRunEnded { step, attempt, outcome, reason, retry_ms, took_ms, allowed, .. } => Some(Ended {
                step,
                attempt: Some(*attempt),
                outcome: *outcome,
                reason: reason.as_ref(),
                retry_ms: *retry_ms,
                took_ms: *took_ms,
                allowed: *allowed,
            }),
            Item::GateDecided { step, attempt, outcome, reason, took_ms, allowed, .. } => Some(Ended {
                step,
                attempt: Some(*attempt),
                outcome: *outcome,
                reason: reason.as_ref(),
                retry_ms: None,
                took_ms: *took_ms,
                allowed: *allowed,
            }),
            _ => None,
        }
    }
}
