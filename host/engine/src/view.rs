//! What can be asked of a run.

use crate::{
    Command, Container, Outcome, Reason, Run,
    run::{Attempt, Cancel, Phase, StepRecord, attempt_number},
};
use serde::Serialize;
use serde_json::{Map, Value};
use windlass_contract::{RunId, StepName};
use windlass_manifest::plan::{Plan, Step};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// Something runs, or is about to.
    Running,
    /// At least one step waits for a person.
    Waiting,
    /// It was asked to stop, and stops.
    Cancelling,
    /// Over.
    Finished,
}

impl RunStatus {
    /// All of them.
    pub const ALL: [RunStatus; 4] =
        [RunStatus::Running, RunStatus::Waiting, RunStatus::Cancelling, RunStatus::Finished];

    /// Its name for people and in the stored form.
    pub fn name(self) -> &'static str {
        match self {
            RunStatus::Running => "running",
            RunStatus::Waiting => "waiting",
            RunStatus::Cancelling => "cancelling",
            RunStatus::Finished => "finished",
        }
    }
}

impl std::fmt::Display for RunStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a step never began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Skip {
    /// Its condition did not hold.
    Condition,
    /// The run had failed.
    RunFailed {
        /// The first step that failed.
        by: StepName,
    },
    /// The run was asked to stop.
    RunCancelled,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum StepState {
    /// It waits for other steps: [`Run::waits_for`].
    Waiting,
    /// It is to begin.
    Ready,
    /// An attempt runs.
    Running {
        /// It has been asked to stop.
        cancelling: bool,
    },
    /// It pauses before the next attempt.
    Retrying {
        /// Until when, in milliseconds since 1970 (UTC).
        due_ms: u64,
    },
    /// A person has to decide what became of it.
    Undecided,
    /// Over.
    Finished,
}

/// A step as it stands.
#[derive(Debug, Clone, Serialize)]
pub struct StepView<'a> {
    /// Its name.
    pub name: &'a StepName,
    /// Where it stands.
    #[serde(flatten)]
    pub state: StepState,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why it did not succeed.
    pub reason: Option<&'a Reason>,
    /// Why it never began.
    pub skipped: Option<&'a Skip>,
    /// It failed, and `on_failure: continue` let the run go on.
    pub allowed_failure: bool,
    /// What it gave.
    pub outputs: Option<&'a Map<String, Value>>,
    /// When its first attempt began.
    pub started_ms: Option<u64>,
    /// When it was settled.
    pub finished_ms: Option<u64>,
    /// Its attempts so far.
    pub attempts: Vec<AttemptView<'a>>,
}

/// An attempt of a step.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptView<'a> {
    /// Its number, from 1.
    pub attempt: u32,
    /// When it began.
    pub started_ms: u64,
    /// When it ended.
    pub finished_ms: Option<u64>,
    /// How.
    pub outcome: Option<Outcome>,
    /// Why it did not succeed.
    pub reason: Option<&'a Reason>,
}

/// An attempt that has begun and not ended: after a crash it is executed again, with the same number.
#[derive(Debug, Clone, PartialEq)]
pub struct InFlight<'a> {
    /// The step.
    pub step: &'a Step,
    /// The attempt.
    pub attempt: u32,
    /// The very configuration that it began with.
    pub config: &'a Value,
    /// When it began: its timeout counts from here.
    pub started_ms: u64,
    /// The containers that it had created.
    pub containers: &'a [Container],
    /// It has been asked to stop.
    pub cancelling: bool,
}

impl Run {
    /// Its id.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// What it does.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The run that `previous` means in it.
    pub fn previous(&self) -> Option<&RunId> {
        self.previous.as_ref()
    }

    /// The pipeline's file, as the user named it.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// What was odd about the pipeline's environment, for people.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// When it was created.
    pub fn created_ms(&self) -> u64 {
        self.created_ms
    }

    /// When its end was recorded.
    pub fn finished_ms(&self) -> Option<u64> {
        self.finished_ms
    }

    /// Where it stands.
    pub fn status(&self) -> RunStatus {
        match (self.finished_ms, self.cancel) {
            (Some(_), _) => RunStatus::Finished,
            (None, Cancel::Requested | Cancel::Forced) => RunStatus::Cancelling,
            (None, Cancel::No) if self.undecided > 0 => RunStatus::Waiting,
            (None, Cancel::No) => RunStatus::Running,
        }
    }

    /// How it ended: known as soon as every step is settled.
    pub fn outcome(&self) -> Option<Outcome> {
        self.verdict()
    }

    /// What was commanded and is not yet answered, in the plan's order.
    pub fn outstanding(&self) -> Vec<Command> {
        match self.verdict() {
            Some(outcome) if self.finished_ms.is_none() => vec![Command::Finish { outcome }],
            Some(_) => Vec::new(),
            None => self.active.iter().filter_map(|i| self.command_of(*i)).collect(),
        }
    }

    /// The attempts that have begun and not ended, in the plan's order; those that wait for a person's decision are in
    /// [`Run::outstanding`] instead.
    pub fn in_flight(&self) -> Vec<InFlight<'_>> {
        let running = |i: &usize| {
            let record = &self.steps[*i];
            let Phase::Running { cancelling } = record.phase else { return None };
            let attempt = record.attempts.last()?;
            Some(InFlight {
                step: self.planned(*i),
                attempt: attempt_number(record),
                config: record.config.as_ref()?,
                started_ms: attempt.started_ms,
                containers: &attempt.containers,
                cancelling,
            })
        };
        self.active.iter().filter_map(running).collect()
    }

    /// Every step, in the plan's order.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = StepView<'_>> {
        self.steps.iter().enumerate().map(|(i, record)| self.view(i, record))
    }

    /// One step.
    pub fn step(&self, name: &StepName) -> Option<StepView<'_>> {
        let i = *self.index.get(name)?;
        Some(self.view(i, &self.steps[i]))
    }

    /// A step as the plan has it.
    pub fn planned_step(&self, name: &StepName) -> Option<&Step> {
        self.index.get(name).map(|i| self.planned(*i))
    }

    /// The steps that a step still waits for; empty for one that does not.
    pub fn waits_for(&self, name: &StepName) -> Vec<&StepName> {
        let Some(i) = self.index.get(name).copied() else { return Vec::new() };
        let settled =
            |need: &StepName| self.index.get(need).is_some_and(|n| matches!(self.steps[*n].phase, Phase::Settled(_)));
        self.planned(i).needs.iter().filter(|need| !settled(need)).collect()
    }

    fn view<'a>(&'a self, i: usize, record: &'a StepRecord) -> StepView<'a> {
        let name = &self.planned(i).name;
        let settled = match &record.phase {
            Phase::Settled(settled) => Some(settled),
            _ => None,
        };
        StepView {
            name,
            state: match record.phase {
                Phase::Waiting => StepState::Waiting,
                Phase::Ready => StepState::Ready,
                Phase::Running { cancelling } => StepState::Running { cancelling },
                Phase::Backoff { due_ms } => StepState::Retrying { due_ms },
                Phase::Undecided => StepState::Undecided,
                Phase::Settled(_) => StepState::Finished,
            },
            outcome: settled.map(|settled| settled.outcome),
            reason: settled.and_then(|settled| settled.reason.as_ref()),
            skipped: settled.and_then(|settled| settled.skip.as_ref()),
            allowed_failure: settled.is_some_and(|settled| settled.allowed),
            outputs: self.context.steps.get(name.as_str()).map(|step| &step.outputs),
            started_ms: record.attempts.first().map(|attempt| attempt.started_ms),
            finished_ms: settled.map(|settled| settled.at_ms),
            attempts: record.attempts.iter().zip(1..).map(|(attempt, number)| attempt_view(attempt, number)).collect(),
        }
    }
}

fn attempt_view(attempt: &Attempt, number: u32) -> AttemptView<'_> {
    AttemptView {
        attempt: number,
        started_ms: attempt.started_ms,
        finished_ms: attempt.end.as_ref().map(|end| end.at_ms),
        outcome: attempt.end.as_ref().map(|end| end.outcome),
        reason: attempt.end.as_ref().and_then(|end| end.reason.as_ref()),
    }
}
