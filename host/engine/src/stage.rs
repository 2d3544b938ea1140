//! The steps of the state that a run is in: when each begins, is skipped, is tried again, and ends.

use crate::{
    Command, Container, Outcome, Reason, ReasonKind, Run, Skip,
    gate::Waiting,
    run::{Cancel, Turn, sentences},
};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};
use windlass_contract::{RunId, StepName};
use windlass_manifest::{
    plan::{Completion, Gate, OnFailure, Retry, RetryOn, State, Step, Work},
    template::{
        RenderError, Status, evaluate_condition, explain, mentions_status, render_config, render_text, render_value,
    },
};

/// The longest pause before a retry, in milliseconds: one day. The pause doubles with each attempt; past this it would be
/// forgotten, not waited for. A longer `backoff` that the author wrote is kept as it is.
const MAX_BACKOFF_MS: u64 = 24 * 60 * 60 * 1000;

/// An attempt that began.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) started_ms: u64,
    pub(crate) end: Option<AttemptEnd>,
    pub(crate) containers: Vec<Container>,
    /// The run that it began, if it is one of a sub-run.
    pub(crate) sub_run: Option<RunId>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AttemptEnd {
    pub(crate) at_ms: u64,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<Reason>,
}

/// Where a step stands. The present attempt is the last in `StepRecord::attempts`; `Ready` and `Backoff` are about the next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Phase {
    /// Some of its needs are not settled.
    Waiting,
    /// `StartStep`, `OpenGate` or `StartSubRun` is outstanding.
    Ready,
    /// Between its start and `StepFinished`. While `cancelling`, `CancelStep` is outstanding.
    Running { cancelling: bool },
    /// `StartTimer` is outstanding.
    Backoff { due_ms: u64 },
    /// `AskFate` is outstanding.
    Undecided,
    /// `AwaitGate` is outstanding.
    Gate(Waiting),
    /// Over, for good.
    Settled(Settled),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settled {
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<Reason>,
    pub(crate) skip: Option<Skip>,
    /// It failed and `on_failure: continue` let the run go on.
    pub(crate) allowed: bool,
    pub(crate) at_ms: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StepRecord {
    /// How many of its needs are not settled.
    pending: usize,
    /// A step that it needs, directly or not, has failed and was not allowed to.
    need_failed: bool,
    pub(crate) phase: Phase,
    /// Those of this visit of its state.
    pub(crate) attempts: Vec<Attempt>,
    /// The attempts that it had in earlier visits: numbers go on.
    pub(crate) before: u32,
    /// Attempts that a person allowed beyond the retries.
    pub(crate) granted: u32,
    /// It was not done again, but taken over from another run.
    pub(crate) carried: bool,
    /// The rendered configuration (of a sub-run: the inputs; of a gate: its prompt), from the moment it is ready until it is
    /// settled. Kept and not rendered again: a retry and a re-execution after a crash get the very same one, whatever other
    /// steps have given meanwhile.
    pub(crate) config: Option<Value>,
    pub(crate) warnings: Vec<String>,
}

/// The steps of the present state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stage {
    pub(crate) index: HashMap<StepName, usize>,
    dependents: Vec<Vec<usize>>,
    pub(crate) steps: Vec<StepRecord>,
    /// The steps of which something is outstanding or in flight, in the plan's order.
    pub(crate) active: BTreeSet<usize>,
    pub(crate) unsettled: usize,
    /// How many wait for a person.
    pub(crate) blocked: usize,
    /// How many wait for a gate's time.
    pub(crate) waiting: usize,
    /// The gravest failure that was not allowed, and the first step that had one.
    pub(crate) failure: Option<(Outcome, usize)>,
}

impl Stage {
    /// The steps of a state that is entered, which may have been visited before.
    ///
    /// # Errors
    /// What is wrong with the graph, in words.
    pub(crate) fn new(state: &State, earlier: Option<&[StepRecord]>) -> Result<Stage, &'static str> {
        let steps = &state.steps;
        let index: HashMap<StepName, usize> =
            steps.iter().enumerate().map(|(i, step)| (step.name.clone(), i)).collect();
        if index.len() != steps.len() {
            return Err("two of its steps have one name");
        }
        let mut dependents = vec![Vec::new(); steps.len()];
        let mut records = Vec::with_capacity(steps.len());
        for (i, step) in steps.iter().enumerate() {
            let needs = needs_of(step, &index).ok_or("a step needs one that it does not have")?;
            needs.iter().for_each(|need| dependents[*need].push(i));
            records.push(StepRecord {
                pending: needs.len(),
                need_failed: false,
                phase: Phase::Waiting,
                attempts: Vec::new(),
                before: earlier.and_then(|records| records.get(i)).map_or(0, attempt_number),
                granted: 0,
                carried: false,
                config: None,
                warnings: Vec::new(),
            });
        }
        if has_cycle(&records, &dependents) {
            return Err("its steps need each other in a circle");
        }
        Ok(Stage {
            index,
            dependents,
            unsettled: records.len(),
            blocked: 0,
            waiting: 0,
            steps: records,
            active: BTreeSet::new(),
            failure: None,
        })
    }

    /// The steps that need no other.
    pub(crate) fn roots(&self) -> impl Iterator<Item = usize> {
        (0..self.steps.len()).filter(|i| self.steps[*i].pending == 0)
    }

    /// The steps that need a step directly.
    pub(crate) fn dependents(&self, i: usize) -> &[usize] {
        &self.dependents[i]
    }

    /// How a step ended, if it has.
    pub(crate) fn settled(&self, i: usize) -> Option<&Settled> {
        self.steps[i].settled()
    }
}

impl StepRecord {
    /// How it ended, if it has.
    pub(crate) fn settled(&self) -> Option<&Settled> {
        match &self.phase {
            Phase::Settled(settled) => Some(settled),
            _ => None,
        }
    }
}

/// Whether a step, while it waits, waits for a time and not for a person.
pub(crate) fn waits_for_time(step: &Step) -> bool {
    matches!(step.work, Work::Gate(Gate::Scheduled(_)))
}

impl Run {
    /// A step waits from now on.
    pub(crate) fn begin_waiting(&mut self, i: usize) {
        *self.waiting_as(i) += 1;
    }

    /// A step waits no more.
    pub(crate) fn end_waiting(&mut self, i: usize) {
        *self.waiting_as(i) -= 1;
    }

    /// How many wait for what this step waits for.
    fn waiting_as(&mut self, i: usize) -> &mut usize {
        if waits_for_time(self.planned(i)) { &mut self.stage.waiting } else { &mut self.stage.blocked }
    }

    /// What is outstanding of one step.
    pub(crate) fn command_of(&self, i: usize) -> Option<Command> {
        let planned = self.planned(i);
        let record = &self.stage.steps[i];
        let (step, present) = (planned.name.clone(), attempt_number(record));
        match &record.phase {
            Phase::Ready => Some(match &planned.work {
                Work::Gate(_) => Command::OpenGate { step, attempt: present + 1 },
                Work::SubRun(sub) => Command::StartSubRun {
                    step,
                    attempt: present + 1,
                    workflow: sub.workflow.clone(),
                    wait: sub.wait,
                    inputs: record.config.as_ref().and_then(Value::as_object).cloned().unwrap_or_default(),
                },
                Work::Plugin(_) | Work::Absent { .. } => Command::StartStep {
                    step,
                    attempt: present + 1,
                    config: record.config.clone().unwrap_or_default(),
                    timeout_ms: planned.timeout_ms,
                    warnings: if record.attempts.is_empty() { record.warnings.clone() } else { Vec::new() },
                },
            }),
            Phase::Running { cancelling: true } => Some(Command::CancelStep { step, attempt: present }),
            Phase::Backoff { due_ms } => Some(Command::StartTimer { step, attempt: present + 1, due_ms: *due_ms }),
            Phase::Undecided => Some(Command::AskFate { step, attempt: present }),
            Phase::Gate(waiting) => Some(Command::AwaitGate { step, attempt: present, due_ms: waiting.due_ms }),
            Phase::Waiting | Phase::Running { cancelling: false } | Phase::Settled(_) => None,
        }
    }

    /// What a step's condition sees of the run.
    fn condition_status(&self, i: usize) -> Status {
        let cancelled = self.cancel != Cancel::No;
        let any_failed = self.stage.steps[i].need_failed && !cancelled;
        Status { all_needs_ok: self.stage.failure.is_none(), any_failed, cancelled }
    }

    /// Starts a step, or skips it.
    pub(crate) fn consider(&mut self, i: usize, turn: &mut Turn) {
        let wanted = self.wanted(i, self.condition_status(i));
        let rendered = match wanted {
            Ok(true) => self.rendered(i),
            Ok(false) => {
                let skip = self.why_skipped(i);
                return self.skip(i, skip, turn);
            }
            Err(error) => Err(error),
        };
        match rendered {
            Ok((config, warnings)) => {
                let record = &mut self.stage.steps[i];
                record.config = Some(config);
                record.warnings = warnings;
                self.make_ready(i, turn);
            }
            Err(error) => self.settle(i, Outcome::Error, Some(template_reason(&error)), Map::new(), turn),
        }
    }

    /// What a step is carried out with.
    fn rendered(&self, i: usize) -> Result<(Value, Vec<String>), RenderError> {
        let (plan, context) = (&*self.plan, &self.context);
        match &self.planned(i).work {
            Work::Plugin(work) => {
                let (config, warnings) = render_config(work, plan, context)?;
                Ok((config, sentences(&warnings)))
            }
            Work::SubRun(sub) => {
                let mut inputs = Map::new();
                let mut warnings = Vec::new();
                for (name, value) in &sub.inputs {
                    let value = match value {
                        Value::String(text) => render_value(text, plan, context, &format!("inputs.{name}"))?,
                        value => value.clone(),
                    };
                    inputs.insert(name.clone(), value);
                }
                if let Some(text) = &sub.input {
                    let (text, odd) = render_text(text, plan, context, "input")?;
                    warnings.extend(sentences(&odd));
                    match serde_json::from_str(&text) {
                        Ok(Value::Object(given)) => inputs.extend(given),
                        _ => drop(inputs.insert("input".to_owned(), Value::String(text))),
                    }
                }
                Ok((Value::Object(inputs), warnings))
            }
            Work::Gate(gate) => match crate::gate::prompt(gate) {
                Some(prompt) => {
                    let (text, warnings) = render_text(prompt, plan, context, "prompt")?;
                    Ok((Value::String(text), sentences(&warnings)))
                }
                None => Ok((Value::Null, Vec::new())),
            },
            Work::Absent { .. } => Ok((Value::Null, Vec::new())),
        }
    }

    /// Whether a step is to run in a run of this status.
    fn wanted(&self, i: usize, status: Status) -> Result<bool, RenderError> {
        match &self.planned(i).condition {
            _ if self.cancel == Cancel::Forced => Ok(false),
            None => Ok(status.success()),
            Some(condition) => evaluate_condition(condition, &self.context, status),
        }
    }

    /// A step that asks for the run's status is skipped for its condition. Another one is skipped for the state that the run is
    /// in, if its condition would hold in a run that goes well.
    fn why_skipped(&self, i: usize) -> Skip {
        if self.cancel == Cancel::Forced {
            return Skip::RunCancelled;
        }
        let well = Status { all_needs_ok: true, any_failed: false, cancelled: false };
        let condition = self.planned(i).condition.as_deref();
        let asks = condition.is_some_and(mentions_status);
        let otherwise = !asks && self.wanted(i, well).unwrap_or(false);
        match (self.cancel, self.stage.failure) {
            (Cancel::Requested, _) if otherwise => Skip::RunCancelled,
            (Cancel::No, Some((_, by))) if otherwise => Skip::RunFailed { by: self.planned(by).name.clone() },
            _ => Skip::Condition {
                values: condition.map(|text| explain(text, &self.context)).unwrap_or_default(),
                text: condition.unwrap_or("success()").to_owned(),
            },
        }
    }

    pub(crate) fn make_ready(&mut self, i: usize, turn: &mut Turn) {
        self.stage.steps[i].phase = Phase::Ready;
        self.stage.active.insert(i);
        turn.commands.extend(self.command_of(i));
    }

    pub(crate) fn end_attempt(&mut self, i: usize, at_ms: u64, outcome: Outcome, reason: Option<Reason>) {
        if let Some(attempt) = self.stage.steps[i].attempts.last_mut() {
            attempt.end = Some(AttemptEnd { at_ms, outcome, reason });
        }
    }

    pub(crate) fn may_retry(&self, i: usize, outcome: Outcome, reason: Option<&Reason>) -> bool {
        let (record, Retry { max_attempts, on, .. }) = (&self.stage.steps[i], &self.planned(i).retry);
        let left = attempts(record) < max_attempts.saturating_add(record.granted);
        let kind = reason.map(|reason| reason.kind);
        left && match outcome {
            Outcome::Error => on.contains(&RetryOn::Infrastructure) && kind.is_some_and(ReasonKind::is_infrastructure),
            Outcome::Failed => {
                on.contains(&RetryOn::NonZeroExit) && matches!(kind, Some(ReasonKind::NonZeroExit { .. }))
            }
            _ => false,
        }
    }

    /// The next attempt, after its pause.
    pub(crate) fn retry(&mut self, i: usize, turn: &mut Turn) {
        let Some(pause) = self.pause(i) else { return self.make_ready(i, turn) };
        self.stage.steps[i].phase = Phase::Backoff { due_ms: turn.at_ms.saturating_add(pause) };
        turn.commands.extend(self.command_of(i));
    }

    /// How long to wait before the next attempt, in milliseconds: doubled with each, and spread where the author wants that.
    fn pause(&self, i: usize) -> Option<u64> {
        let planned = self.planned(i);
        let first = planned.retry.backoff_ms;
        if first == 0 {
            return None;
        }
        let record = &self.stage.steps[i];
        let doublings = attempts(record).saturating_sub(1);
        let whole =
            first.saturating_mul(1_u64.checked_shl(doublings).unwrap_or(u64::MAX)).min(MAX_BACKOFF_MS.max(first));
        Some(if planned.retry.jitter { whole - self.spread(i) % (whole / 2 + 1) } else { whole })
    }

    /// A number that looks random and follows from the run, the step and the attempt (FNV-1a): runs that failed together do not come
    /// back together, and a replayed one comes back as it did.
    fn spread(&self, i: usize) -> u64 {
        let text = format!("{}/{}/{}", self.id, self.planned(i).name, attempt_number(&self.stage.steps[i]));
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    }

    pub(crate) fn cancel(&mut self, why: &str, turn: &mut Turn) {
        self.cancel = match self.cancel {
            Cancel::No => Cancel::Requested,
            Cancel::Requested | Cancel::Forced => Cancel::Forced,
        };
        if self.queued {
            // Its turn never comes: the steps are decided about as in any run that is to stop.
            self.queued = false;
            turn.ready.extend(self.stage.roots());
        }
        if let Some(crate::run::Next::Enter { .. }) = self.next {
            self.next = None;
        }
        for i in self.stage.active.clone() {
            match self.stage.steps[i].phase {
                Phase::Ready | Phase::Backoff { .. } if !self.stage.steps[i].attempts.is_empty() => {
                    let message = format!("stopped before its next attempt: {why}");
                    self.settle_cancelled(i, Outcome::Cancelled, ReasonKind::Cancelled, message, turn);
                }
                // Commanded, and its intent not recorded: the command stands only where the step asks to run all the same.
                Phase::Ready if !self.wanted(i, self.condition_status(i)).unwrap_or(false) => {
                    self.skip(i, Skip::RunCancelled, turn);
                }
                Phase::Running { cancelling: false } => {
                    self.stage.steps[i].phase = Phase::Running { cancelling: true };
                    turn.commands.extend(self.command_of(i));
                }
                Phase::Undecided => {
                    self.end_waiting(i);
                    let message = "nobody knows whether it took effect, and the run was stopped before anybody decided";
                    self.settle_cancelled(i, Outcome::Lost, ReasonKind::Lost, message.to_owned(), turn);
                }
                Phase::Gate(_) => {
                    self.end_waiting(i);
                    let message = format!("nobody had decided when the run was stopped: {why}");
                    self.settle_cancelled(i, Outcome::Cancelled, ReasonKind::Cancelled, message, turn);
                }
                _ => {}
            }
        }
    }

    fn settle_cancelled(&mut self, i: usize, outcome: Outcome, kind: ReasonKind, message: String, turn: &mut Turn) {
        let reason = Some(Reason { kind, code: None, message });
        let open = self.stage.steps[i].attempts.last().is_some_and(|attempt| attempt.end.is_none());
        if open {
            self.end_attempt(i, turn.at_ms, outcome, reason.clone());
        }
        self.settle(i, outcome, reason, Map::new(), turn);
    }

    fn skip(&mut self, i: usize, skip: Skip, turn: &mut Turn) {
        self.settle(i, Outcome::Skipped, None, Map::new(), turn);
        if let Phase::Settled(settled) = &mut self.stage.steps[i].phase {
            settled.skip = Some(skip);
        }
    }

    /// Ends a step for good, and hands its dependents on where it was the last that they needed.
    pub(crate) fn settle(
        &mut self,
        i: usize,
        outcome: Outcome,
        reason: Option<Reason>,
        outputs: Map<String, Value>,
        turn: &mut Turn,
    ) {
        let allowed = outcome.is_failure() && self.planned(i).on_failure == OnFailure::Continue;
        if outcome.is_failure() && !allowed {
            self.stage.failure = Some(match self.stage.failure {
                Some((known, first)) if gravity(known) >= gravity(outcome) => (known, first),
                Some((_, first)) => (as_verdict(outcome), first),
                None => (as_verdict(outcome), i),
            });
        }
        if let Work::SubRun(sub) = &self.planned(i).work
            && let (Some(key), Some(result)) = (&sub.result_key, outputs.get("output"))
        {
            let (key, result) = (key.clone(), result.clone());
            self.context.blackboard.insert(key, result);
        }
        self.publish(i, outcome, outputs);
        let record = &mut self.stage.steps[i];
        let failed = record.need_failed || (outcome.is_failure() && !allowed);
        record.config = None;
        record.warnings = Vec::new();
        record.phase = Phase::Settled(Settled { outcome, reason, skip: None, allowed, at_ms: turn.at_ms });
        self.stage.active.remove(&i);
        self.stage.unsettled -= 1;
        self.changed.push(i);
        for dependent in &self.stage.dependents[i] {
            let record = &mut self.stage.steps[*dependent];
            record.pending -= 1;
            record.need_failed |= failed;
            if record.pending == 0 {
                turn.ready.push_back(*dependent);
            }
        }
    }

    /// How the steps of the present state went together, when all are settled.
    pub(crate) fn stage_outcome(&self) -> Outcome {
        let succeeded = || self.stage.steps.iter().filter_map(StepRecord::settled);
        match (self.state().completion, self.stage.failure) {
            (_, Some(_)) if self.cancel != Cancel::No => Outcome::Cancelled,
            (_, None) | (Completion::BestEffort, _) => Outcome::Succeeded,
            (Completion::AnySucceed, _) if succeeded().any(|end| end.outcome == Outcome::Succeeded) => {
                Outcome::Succeeded
            }
            (_, Some((gravest, _))) => gravest,
        }
    }
}

/// The number of the last attempt that began; 0 before the first.
pub(crate) fn attempt_number(record: &StepRecord) -> u32 {
    record.before.saturating_add(attempts(record))
}

/// How many attempts there were in this visit.
fn attempts(record: &StepRecord) -> u32 {
    u32::try_from(record.attempts.len()).unwrap_or(u32::MAX)
}

/// The places of the steps that a step needs, each once; `None` where one does not exist.
fn needs_of(step: &Step, index: &HashMap<StepName, usize>) -> Option<BTreeSet<usize>> {
    step.needs.iter().map(|need| index.get(need).copied()).collect()
}

/// Whether some steps can never become ready (Kahn's algorithm).
fn has_cycle(records: &[StepRecord], dependents: &[Vec<usize>]) -> bool {
    let mut pending: Vec<usize> = records.iter().map(|record| record.pending).collect();
    let mut free: Vec<usize> = (0..pending.len()).filter(|i| pending[*i] == 0).collect();
    let mut reached = 0;
    while let Some(i) = free.pop() {
        reached += 1;
        for dependent in &dependents[i] {
            pending[*dependent] -= 1;
            if pending[*dependent] == 0 {
                free.push(*dependent);
            }
        }
    }
    reached < records.len()
}

pub(crate) fn template_reason(error: &RenderError) -> Reason {
    use windlass_contract::CodedError;
    let message = match error.help() {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    };
    Reason { kind: ReasonKind::TemplateError, code: Some(error.code().to_string()), message }
}

/// What a step's failure makes of the run. A plugin that says `cancelled` in a run that nobody cancelled has failed.
fn as_verdict(outcome: Outcome) -> Outcome {
    if outcome == Outcome::Cancelled { Outcome::Failed } else { outcome }
}

/// Which failure the run's outcome is taken from: what would fail again before what another try might mend.
fn gravity(outcome: Outcome) -> u8 {
    match as_verdict(outcome) {
        Outcome::Rejected => 5,
        Outcome::Failed | Outcome::Cancelled => 4,
        Outcome::TimedOut => 3,
        Outcome::Lost => 2,
        Outcome::Error => 1,
        Outcome::Succeeded | Outcome::Skipped => 0,
    }
}
