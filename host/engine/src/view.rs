//! What can be asked of a run.

use crate::{
    Cast, Command, Container, Group, Origin, Outcome, Reason, Run,
    run::{Cancel, Next},
    stage::{Attempt, Phase, StepRecord, attempt_number, waits_for_time},
    transition::Ended,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use windlass_contract::{RunId, StepName};
use windlass_manifest::plan::{Condition, Gate, Plan, Step, Work};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// It waits for its turn in a concurrency group.
    Queued,
    /// Something runs, or is about to.
    Running,
    /// At least one step waits for a person.
    Blocked,
    /// At least one step waits at a gate for its time, and none for a person.
    Waiting,
    /// It was asked to stop, and stops.
    Cancelling,
    /// Over.
    Finished,
}

impl RunStatus {
    /// All of them.
    pub const ALL: [RunStatus; 6] = [
        RunStatus::Queued,
        RunStatus::Running,
        RunStatus::Blocked,
        RunStatus::Waiting,
        RunStatus::Cancelling,
        RunStatus::Finished,
    ];

    /// Its name for people and in the stored form.
    pub fn name(self) -> &'static str {
        match self {
            RunStatus::Queued => "queued",
            RunStatus::Running => "running",
            RunStatus::Blocked => "blocked",
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Skip {
    /// Its condition did not hold.
    Condition {
        /// The condition; `success()` where none was written.
        text: String,
        /// What each path in it was.
        values: Vec<(String, Value)>,
    },
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
    /// A gate is open: people decide, or a time comes. See [`Run::gates`].
    AtGate {
        /// When it goes on by itself, in milliseconds since 1970 (UTC).
        due_ms: u64,
        /// Whether people are asked; it waits for the time alone otherwise.
        asks: bool,
    },
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
    /// It was not done again, but taken over from the run that this one repeats.
    pub carried: bool,
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
    /// The run that it began.
    pub sub_run: Option<&'a RunId>,
}

/// A stay in a state.
#[derive(Debug, Clone, Serialize)]
pub struct VisitView<'a> {
    /// The state.
    pub state: &'a str,
    /// When it was entered, in milliseconds since 1970 (UTC).
    pub entered_ms: u64,
    /// With which feedback.
    pub feedback: Option<&'a str>,
    /// When its last step was settled.
    pub ended_ms: Option<u64>,
    /// How it went.
    pub outcome: Option<Outcome>,
    /// Why it did not succeed.
    pub reason: Option<&'a Reason>,
    /// The transition that was taken, by its place; `None` while it lasts, and where the run ended.
    pub transition: Option<usize>,
    /// Its steps, in the plan's order.
    pub steps: Vec<StepView<'a>>,
}

/// A gate that waits for people or for its time.
#[derive(Debug, Clone, Serialize)]
pub struct GateView<'a> {
    /// The step.
    pub step: &'a StepName,
    /// The attempt.
    pub attempt: u32,
    /// What it is.
    pub gate: &'a Gate,
    /// What people are asked, rendered.
    pub prompt: Option<&'a str>,
    /// Since when it has been open, in milliseconds since 1970 (UTC).
    pub opened_ms: u64,
    /// When its time is over.
    pub expires_ms: u64,
    /// When it is to be woken: then, or when a window opens.
    pub due_ms: u64,
    /// The votes so far, one for each identity.
    pub votes: &'a [Cast],
}

/// An attempt that has begun and not ended: after a crash it is executed again, with the same number.
#[derive(Debug, Clone, PartialEq)]
pub struct InFlight<'a> {
    /// The step.
    pub step: &'a Step,
    /// The attempt.
    pub attempt: u32,
    /// The very configuration that it began with; of a sub-run, the inputs.
    pub config: &'a Value,
    /// When it began: its timeout counts from here.
    pub started_ms: u64,
    /// The containers that it had created.
    pub containers: &'a [Container],
    /// The run that it began, if it is one of a sub-run.
    pub sub_run: Option<&'a RunId>,
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

    /// The inputs that it was created with, with defaults filled in.
    pub fn inputs(&self) -> &Map<String, Value> {
        &self.context.inputs
    }

    /// Whether any attempt of it has created a container.
    pub fn had_containers(&self) -> bool {
        let created = |record: &StepRecord| record.attempts.iter().any(|attempt| !attempt.containers.is_empty());
        (0..self.visits.len()).any(|at| self.records(at).iter().any(created))
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

    /// Where it comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The group in which it waits for its turn.
    pub fn queued_in(&self) -> Option<&Group> {
        self.origin.group.as_ref().filter(|_| self.queued)
    }

    /// Where it stands.
    pub fn status(&self) -> RunStatus {
        match (self.finished_ms, self.cancel) {
            (Some(_), _) => RunStatus::Finished,
            (None, Cancel::Requested | Cancel::Forced) => RunStatus::Cancelling,
            (None, Cancel::No) if self.queued => RunStatus::Queued,
            (None, Cancel::No) if self.stage.blocked > 0 => RunStatus::Blocked,
            (None, Cancel::No) if self.stage.waiting > 0 => RunStatus::Waiting,
            (None, Cancel::No) => RunStatus::Running,
        }
    }

    /// How it ended: known as soon as its last step is settled.
    pub fn outcome(&self) -> Option<Outcome> {
        match &self.next {
            Some(Next::Finish(verdict)) => Some(verdict.outcome),
            _ => None,
        }
    }

    /// Why it did not succeed.
    pub fn reason(&self) -> Option<&Reason> {
        match &self.next {
            Some(Next::Finish(verdict)) => verdict.reason.as_ref(),
            _ => None,
        }
    }

    /// Why the run goes on in another state, in words with the values that decided: known from the end of a state until the
    /// next one is entered.
    pub fn why_next(&self) -> Option<String> {
        let Some(Next::Enter { transition, .. }) = &self.next else { return None };
        let end = self.visit().end.as_ref()?;
        let ended = Ended {
            outcome: end.verdict.outcome,
            reason: end.verdict.reason.as_ref().map(|reason| reason.kind),
            value: &end.value,
        };
        Some(match &self.state().transitions[*transition].condition {
            Condition::Always => "always".to_owned(),
            Condition::Custom { expression } => format!("`{expression}` is true: {}", self.values_of(expression)),
            condition => ended.in_words(condition),
        })
    }

    /// What it gave: what its last state's name reads.
    pub fn result(&self) -> Value {
        let (_, value) = self.state_result();
        match value {
            // The value of a `steps:` pipeline is not kept, since nothing in it can read it.
            Value::Null => self
                .context
                .steps
                .iter()
                .map(|(name, step)| (name.clone(), Value::from(step.outputs.clone())))
                .collect(),
            value => value,
        }
    }

    /// What was commanded and is not yet answered: of steps in the plan's order, else of the run.
    pub fn outstanding(&self) -> Vec<Command> {
        let of_steps = self.stage.active.iter().filter_map(|i| self.command_of(*i));
        of_steps.chain(self.command_of_run()).collect()
    }

    /// The attempts that have begun and not ended, in the plan's order; those that wait for a person or at a gate are in
    /// [`Run::outstanding`] instead.
    pub fn in_flight(&self) -> Vec<InFlight<'_>> {
        let running = |i: &usize| {
            let record = &self.stage.steps[*i];
            let Phase::Running { cancelling } = record.phase else { return None };
            let attempt = record.attempts.last()?;
            Some(InFlight {
                step: self.planned(*i),
                attempt: attempt_number(record),
                config: record.config.as_ref()?,
                started_ms: attempt.started_ms,
                containers: &attempt.containers,
                sub_run: attempt.sub_run.as_ref(),
                cancelling,
            })
        };
        self.stage.active.iter().filter_map(running).collect()
    }

    /// The gates that are open, in the plan's order.
    pub fn gates(&self) -> Vec<GateView<'_>> {
        let open = |i: &usize| {
            let (waiting, attempt) = self.open_gate_of(*i)?;
            let record = &self.stage.steps[*i];
            let Work::Gate(gate) = &self.planned(*i).work else { return None };
            Some(GateView {
                step: &self.planned(*i).name,
                attempt,
                gate,
                prompt: record.config.as_ref().and_then(Value::as_str),
                opened_ms: record.attempts.last().map_or(0, |attempt| attempt.started_ms),
                expires_ms: waiting.expires_ms,
                due_ms: waiting.due_ms,
                votes: &waiting.votes,
            })
        };
        self.stage.active.iter().filter_map(open).collect()
    }

    /// Every stay in a state, in order; the last one is the present.
    pub fn visits(&self) -> impl ExactSizeIterator<Item = VisitView<'_>> + DoubleEndedIterator {
        (0..self.visits.len()).map(|at| {
            let visit = &self.visits[at];
            let state = &self.plan.states[visit.state];
            // What a step gave is kept of its last visit.
            let last = self.visits[at + 1..].iter().all(|later| later.state != visit.state);
            let outputs = |step: &Step| self.outputs(&step.name).filter(|_| last);
            let records = self.records(at).iter().zip(&state.steps);
            let steps = records.map(|(record, step)| StepView { outputs: outputs(step), ..view(step, record) });
            VisitView {
                state: &state.name,
                entered_ms: visit.entered_ms,
                feedback: visit.feedback.as_deref(),
                ended_ms: visit.end.as_ref().map(|end| end.at_ms),
                outcome: visit.end.as_ref().map(|end| end.verdict.outcome),
                reason: visit.end.as_ref().and_then(|end| end.verdict.reason.as_ref()),
                transition: visit.end.as_ref().and_then(|end| end.taken),
                steps: steps.collect(),
            }
        })
    }

    /// How many times the run has been in its present state, this time among them.
    pub fn times_in_state(&self) -> usize {
        self.visits.iter().filter(|visit| visit.state == self.visit().state).count()
    }

    /// The present state's name.
    pub fn state_name(&self) -> &str {
        &self.state().name
    }

    /// Every step of the present state, in the plan's order.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = StepView<'_>> {
        (0..self.stage.steps.len()).map(|i| self.view(i))
    }

    /// One step of the present state.
    pub fn step(&self, name: &StepName) -> Option<StepView<'_>> {
        Some(self.view(*self.stage.index.get(name)?))
    }

    /// A step of the present state as the plan has it.
    pub fn planned_step(&self, name: &StepName) -> Option<&Step> {
        self.stage.index.get(name).map(|i| self.planned(*i))
    }

    /// The steps that the last event has settled, skipped ones among them.
    pub fn settled_last(&self) -> impl Iterator<Item = StepView<'_>> {
        self.changed.iter().map(|i| self.view(*i))
    }

    /// The steps that a step still waits for; empty for one that does not.
    pub fn waits_for(&self, name: &StepName) -> Vec<&StepName> {
        let Some(i) = self.stage.index.get(name).copied() else { return Vec::new() };
        let settled = |need: &StepName| self.stage.index.get(need).is_some_and(|n| self.stage.settled(*n).is_some());
        self.planned(i).needs.iter().filter(|need| !settled(need)).collect()
    }

    fn outputs(&self, name: &StepName) -> Option<&Map<String, Value>> {
        self.context.steps.get(name.as_str()).map(|step| &step.outputs)
    }

    fn view(&self, i: usize) -> StepView<'_> {
        let planned = self.planned(i);
        StepView { outputs: self.outputs(&planned.name), ..view(planned, &self.stage.steps[i]) }
    }
}

/// A step as a record has it, without what it gave.
fn view<'a>(step: &'a Step, record: &'a StepRecord) -> StepView<'a> {
    let settled = record.settled();
    StepView {
        name: &step.name,
        state: match &record.phase {
            Phase::Waiting => StepState::Waiting,
            Phase::Ready => StepState::Ready,
            Phase::Running { cancelling } => StepState::Running { cancelling: *cancelling },
            Phase::Backoff { due_ms } => StepState::Retrying { due_ms: *due_ms },
            Phase::Undecided => StepState::Undecided,
            Phase::Gate(waiting) => StepState::AtGate { due_ms: waiting.due_ms, asks: !waits_for_time(step) },
            Phase::Settled(_) => StepState::Finished,
        },
        outcome: settled.map(|settled| settled.outcome),
        reason: settled.and_then(|settled| settled.reason.as_ref()),
        skipped: settled.and_then(|settled| settled.skip.as_ref()),
        allowed_failure: settled.is_some_and(|settled| settled.allowed),
        carried: record.carried,
        outputs: None,
        started_ms: record.attempts.first().map(|attempt| attempt.started_ms),
        finished_ms: settled.map(|settled| settled.at_ms),
        attempts: record
            .attempts
            .iter()
            .zip(record.before + 1..)
            .map(|(attempt, number)| attempt_view(attempt, number))
            .collect(),
    }
}

fn attempt_view(attempt: &Attempt, number: u32) -> AttemptView<'_> {
    AttemptView {
        attempt: number,
        started_ms: attempt.started_ms,
        finished_ms: attempt.end.as_ref().map(|end| end.at_ms),
        outcome: attempt.end.as_ref().map(|end| end.outcome),
        reason: attempt.end.as_ref().and_then(|end| end.reason.as_ref()),
        sub_run: attempt.sub_run.as_ref(),
    }
}
