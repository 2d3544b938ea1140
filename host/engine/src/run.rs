//! The reducer.

use crate::{Command, Decision, EngineError, Event, EventKind, Outcome, Reason, ReasonKind, Skip};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};
use windlass_contract::{RunId, StepName};
use windlass_manifest::{
    plan::{OnFailure, Plan, Retry, RetryOn, Step},
    template::{
        Context, RenderError, RunContext, Status, StepContext, Warning, evaluate_condition, mentions_status,
        render_config, render_env,
    },
};

/// The longest pause before a retry, in milliseconds: one day. The pause doubles with each attempt; past this it would be
/// forgotten, not waited for. A longer `backoff` that the author wrote is kept as it is.
const MAX_BACKOFF_MS: u64 = 24 * 60 * 60 * 1000;

/// A container that an attempt has created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Which of the attempt's, from 0.
    pub index: u32,
    /// Its name at the container engine.
    pub name: String,
}

/// An attempt that began.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) started_ms: u64,
    pub(crate) end: Option<AttemptEnd>,
    pub(crate) containers: Vec<Container>,
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
    /// `StartStep` is outstanding.
    Ready,
    /// Between `StepStarted` and `StepFinished`. While `cancelling`, `CancelStep` is outstanding.
    Running { cancelling: bool },
    /// `StartTimer` is outstanding.
    Backoff { due_ms: u64 },
    /// `OpenGate` is outstanding.
    Undecided,
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
    pub(crate) attempts: Vec<Attempt>,
    /// Attempts that a person allowed beyond the retries.
    granted: u32,
    /// The rendered configuration, from the moment it is ready until it is settled. Kept and not rendered again: a retry and
    /// a re-execution after a crash get the very same one, whatever other steps have given meanwhile.
    pub(crate) config: Option<Value>,
    pub(crate) warnings: Vec<String>,
}

/// Whether the run is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cancel {
    No,
    /// What runs is stopped; what asks for `always()` or `cancelled()` still runs.
    Requested,
    /// That is stopped too.
    Forced,
}

/// A run: what follows from its events.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub(crate) id: RunId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) previous: Option<RunId>,
    pub(crate) file: Option<String>,
    pub(crate) created_ms: u64,
    pub(crate) finished_ms: Option<u64>,
    /// The current state's place in `plan.states`.
    pub(crate) state: usize,
    pub(crate) index: HashMap<StepName, usize>,
    dependents: Vec<Vec<usize>>,
    pub(crate) steps: Vec<StepRecord>,
    /// The steps of which something is outstanding or in flight, in the plan's order.
    pub(crate) active: BTreeSet<usize>,
    pub(crate) unsettled: usize,
    pub(crate) undecided: usize,
    /// The gravest failure that was not allowed, and the first step that had one.
    failure: Option<(Outcome, usize)>,
    pub(crate) cancel: Cancel,
    pub(crate) context: Context,
    /// What was odd about the pipeline's environment.
    pub(crate) warnings: Vec<String>,
}

impl Run {
    /// The run that a `RunCreated` begins, and what to do first.
    ///
    /// # Errors
    /// When the event is another one, or the plan in it is not sound.
    pub fn create(event: &Event) -> Result<(Run, Vec<Command>), EngineError> {
        let EventKind::RunCreated { run, plan, inputs, previous, file } = &event.kind else {
            return Err(EngineError::NotCreated { found: event.kind.name() });
        };
        let invalid = |why: &str| EngineError::InvalidPlan { why: why.to_owned() };
        let plan: Arc<Plan> = Arc::new((**plan).clone());
        let state = plan.initial;
        let steps = &plan.states.get(state).ok_or_else(|| invalid("it has no initial state"))?.steps;

        let index: HashMap<StepName, usize> =
            steps.iter().enumerate().map(|(i, step)| (step.name.clone(), i)).collect();
        if index.len() != steps.len() {
            return Err(invalid("two of its steps have one name"));
        }
        let mut dependents = vec![Vec::new(); steps.len()];
        let mut records = Vec::with_capacity(steps.len());
        for (i, step) in steps.iter().enumerate() {
            let needs = needs_of(step, &index).ok_or_else(|| invalid("a step needs one that it does not have"))?;
            needs.iter().for_each(|need| dependents[*need].push(i));
            records.push(StepRecord {
                pending: needs.len(),
                need_failed: false,
                phase: Phase::Waiting,
                attempts: Vec::new(),
                granted: 0,
                config: None,
                warnings: Vec::new(),
            });
        }
        if has_cycle(&records, &dependents) {
            return Err(invalid("its steps need each other in a circle"));
        }

        let mut context = Context {
            inputs: inputs.clone(),
            run: RunContext { id: run.to_string(), previous: previous.as_ref().map(ToString::to_string) },
            ..Context::default()
        };
        let (env, warnings) =
            render_env(&plan, &context).map_err(|error| EngineError::Environment { error: Box::new(error) })?;
        context.env = env;

        let mut created = Run {
            id: run.clone(),
            context,
            warnings: sentences(&warnings),
            previous: previous.clone(),
            file: file.clone(),
            created_ms: event.at_ms,
            finished_ms: None,
            state,
            index,
            dependents,
            unsettled: records.len(),
            undecided: 0,
            steps: records,
            active: BTreeSet::new(),
            failure: None,
            cancel: Cancel::No,
            plan,
        };
        let mut turn = Turn::new(event.at_ms);
        turn.ready.extend((0..created.steps.len()).filter(|i| created.steps[*i].pending == 0));
        let commands = created.conclude(turn);
        Ok((created, commands))
    }

    /// The run that a history gives. What is to be done is in [`Run::outstanding`] and [`Run::in_flight`].
    ///
    /// # Errors
    /// With the place of the first event that does not fit, from 0.
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Run, (usize, EngineError)> {
        let mut events = events.into_iter().enumerate();
        let Some((_, first)) = events.next() else {
            return Err((0, EngineError::NotCreated { found: "nothing" }));
        };
        let (mut run, _) = Run::create(first).map_err(|error| (0, error))?;
        for (at, event) in events {
            run.apply(event).map_err(|error| (at, error))?;
        }
        Ok(run)
    }

    /// Takes the next event, and says what is to be done because of it.
    ///
    /// # Errors
    /// When the event does not fit; the run is then as it was.
    pub fn apply(&mut self, event: &Event) -> Result<Vec<Command>, EngineError> {
        let name = event.kind.name();
        if self.finished_ms.is_some() || (self.unsettled == 0 && !matches!(event.kind, EventKind::RunFinished { .. })) {
            return Err(EngineError::Over { event: name });
        }
        let mut turn = Turn::new(event.at_ms);
        match &event.kind {
            EventKind::RunCreated { .. } => return Err(EngineError::CreatedTwice),

            EventKind::StepStarted { step, attempt } => {
                let i = self.fit(event, step, *attempt, 1, |phase| matches!(phase, Phase::Ready))?;
                let record = &mut self.steps[i];
                record.attempts.push(Attempt { started_ms: event.at_ms, end: None, containers: Vec::new() });
                record.phase = Phase::Running { cancelling: false };
            }

            EventKind::ContainerCreated { step, attempt, index, name } => {
                let i = self.fit(event, step, *attempt, 0, |phase| matches!(phase, Phase::Running { .. }))?;
                let misfit = self.misfit(event, i, *attempt);
                let Some(present) = self.steps[i].attempts.last_mut() else { return Err(misfit) };
                match present.containers.iter().find(|known| known.index == *index) {
                    None => present.containers.push(Container { index: *index, name: name.clone() }),
                    // Said again by the same attempt, executed again after a crash: the same fact.
                    Some(known) if known.name == *name => {}
                    Some(_) => return Err(misfit),
                }
            }

            EventKind::StepFinished { step, attempt, outcome, reason, outputs } => {
                let i = self.fit(event, step, *attempt, 0, |phase| matches!(phase, Phase::Running { .. }))?;
                if *outcome == Outcome::Skipped {
                    return Err(self.misfit(event, i, *attempt));
                }
                self.end_attempt(i, event.at_ms, *outcome, reason.clone());
                if self.cancel == Cancel::No && self.may_retry(i, *outcome, reason.as_ref()) {
                    self.retry(i, &mut turn);
                } else {
                    self.settle(i, *outcome, reason.clone(), outputs.clone(), &mut turn);
                }
            }

            EventKind::RetryDue { step, attempt } => {
                let i = self.fit(event, step, *attempt, 1, |phase| matches!(phase, Phase::Backoff { .. }))?;
                self.make_ready(i, &mut turn);
            }

            EventKind::StepUndecided { step, attempt } => {
                let fits = |phase: &Phase| matches!(phase, Phase::Running { cancelling: false });
                let i = self.fit(event, step, *attempt, 0, fits)?;
                self.steps[i].phase = Phase::Undecided;
                self.undecided += 1;
                turn.commands.extend(self.command_of(i));
            }

            EventKind::StepDecided { step, attempt, decision, by } => {
                let i = self.fit(event, step, *attempt, 0, |phase| matches!(phase, Phase::Undecided))?;
                self.undecided -= 1;
                let said = |kind, message: String| Some(Reason { kind, code: None, message });
                match decision {
                    Decision::Rerun => {
                        let reason = said(ReasonKind::Lost, format!("its fate was unknown; {by} had it run again"));
                        self.end_attempt(i, event.at_ms, Outcome::Lost, reason);
                        self.steps[i].granted += 1;
                        self.make_ready(i, &mut turn);
                    }
                    Decision::Succeeded => {
                        self.end_attempt(i, event.at_ms, Outcome::Succeeded, None);
                        self.settle(i, Outcome::Succeeded, None, Map::new(), &mut turn);
                    }
                    Decision::Failed => {
                        let reason = said(ReasonKind::Other, format!("its fate was unknown; {by} said that it failed"));
                        self.end_attempt(i, event.at_ms, Outcome::Failed, reason.clone());
                        self.settle(i, Outcome::Failed, reason, Map::new(), &mut turn);
                    }
                }
            }

            EventKind::CancelRequested { reason } => self.cancel(reason, &mut turn),

            EventKind::RunFinished { outcome } => {
                let verdict = self.verdict();
                if verdict != Some(*outcome) {
                    let why = match verdict {
                        Some(verdict) => format!("its steps give {verdict}"),
                        None => format!("{} of its steps are not settled", self.unsettled),
                    };
                    return Err(EngineError::WrongFinish { claimed: *outcome, why });
                }
                self.finished_ms = Some(event.at_ms);
                return Ok(Vec::new());
            }
        }
        Ok(self.conclude(turn))
    }

    /// How the run ended, once every step is settled.
    pub(crate) fn verdict(&self) -> Option<Outcome> {
        let verdict = match (self.cancel, self.failure) {
            (Cancel::Requested | Cancel::Forced, _) => Outcome::Cancelled,
            (Cancel::No, Some((gravest, _))) => gravest,
            (Cancel::No, None) => Outcome::Succeeded,
        };
        (self.unsettled == 0).then_some(verdict)
    }

    /// The plan's step behind a record.
    pub(crate) fn planned(&self, i: usize) -> &Step {
        &self.plan.states[self.state].steps[i]
    }

    /// What is outstanding of one step.
    pub(crate) fn command_of(&self, i: usize) -> Option<Command> {
        let planned = self.planned(i);
        let record = &self.steps[i];
        let (step, present) = (planned.name.clone(), attempt_number(record));
        match record.phase {
            Phase::Ready => Some(Command::StartStep {
                step,
                attempt: present + 1,
                config: record.config.clone().unwrap_or_default(),
                timeout_ms: planned.timeout_ms,
                warnings: if present == 0 { record.warnings.clone() } else { Vec::new() },
            }),
            Phase::Running { cancelling: true } => Some(Command::CancelStep { step, attempt: present }),
            Phase::Backoff { due_ms } => Some(Command::StartTimer { step, attempt: present + 1, due_ms }),
            Phase::Undecided => Some(Command::OpenGate { step, attempt: present }),
            Phase::Waiting | Phase::Running { cancelling: false } | Phase::Settled(_) => None,
        }
    }

    /// The record that an event is about, if it fits: its phase is right, and it names the present attempt (`ahead` 0) or the
    /// next one (`ahead` 1).
    fn fit(
        &self,
        event: &Event,
        step: &StepName,
        attempt: u32,
        ahead: u32,
        phase: fn(&Phase) -> bool,
    ) -> Result<usize, EngineError> {
        let Some(i) = self.index.get(step).copied() else {
            return Err(EngineError::UnknownStep { event: event.kind.name(), step: step.clone() });
        };
        let record = &self.steps[i];
        if phase(&record.phase) && attempt_number(record) + ahead == attempt {
            Ok(i)
        } else {
            Err(self.misfit(event, i, attempt))
        }
    }

    fn misfit(&self, event: &Event, i: usize, attempt: u32) -> EngineError {
        let record = &self.steps[i];
        let present = attempt_number(record);
        let present = match &record.phase {
            Phase::Waiting => "waits for other steps".to_owned(),
            Phase::Ready => format!("is about to begin attempt {}", present + 1),
            Phase::Running { .. } => format!("runs attempt {present} with {} containers", containers(record)),
            Phase::Backoff { .. } => format!("waits before attempt {}", present + 1),
            Phase::Undecided => format!("waits for a person to decide about attempt {present}"),
            Phase::Settled(settled) => format!("has ended: {}", settled.outcome),
        };
        EngineError::DoesNotFit { event: event.kind.name(), step: self.planned(i).name.clone(), attempt, present }
    }

    /// What a step's condition sees of the run.
    fn condition_status(&self, i: usize) -> Status {
        let cancelled = self.cancel != Cancel::No;
        let any_failed = self.steps[i].need_failed && !cancelled;
        Status { all_needs_ok: self.failure.is_none(), any_failed, cancelled }
    }

    /// Decides about every step whose needs have become settled, until no more do; ends with `Finish` after the last.
    fn conclude(&mut self, mut turn: Turn) -> Vec<Command> {
        // A queue and not a recursion: a chain of ten thousand skipped steps must not be ten thousand frames deep.
        while let Some(i) = turn.ready.pop_front() {
            self.consider(i, &mut turn);
        }
        if let Some(outcome) = self.verdict() {
            turn.commands.push(Command::Finish { outcome });
        }
        turn.commands
    }

    /// Starts a step, or skips it.
    fn consider(&mut self, i: usize, turn: &mut Turn) {
        let wanted = self.wanted(i, self.condition_status(i));
        let rendered = match wanted {
            Ok(true) => render_config(self.planned(i), &self.plan, &self.context),
            Ok(false) => {
                let skip = self.why_skipped(i);
                return self.skip(i, skip, turn);
            }
            Err(error) => Err(error),
        };
        match rendered {
            Ok((config, warnings)) => {
                let record = &mut self.steps[i];
                record.config = Some(config);
                record.warnings = sentences(&warnings);
                self.make_ready(i, turn);
            }
            Err(error) => self.settle(i, Outcome::Error, Some(template_reason(&error)), Map::new(), turn),
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
        let asks = self.planned(i).condition.as_deref().is_some_and(mentions_status);
        let otherwise = !asks && self.wanted(i, well).unwrap_or(false);
        match (self.cancel, self.failure) {
            (Cancel::Requested, _) if otherwise => Skip::RunCancelled,
            (Cancel::No, Some((_, by))) if otherwise => Skip::RunFailed { by: self.planned(by).name.clone() },
            _ => Skip::Condition,
        }
    }

    fn make_ready(&mut self, i: usize, turn: &mut Turn) {
        self.steps[i].phase = Phase::Ready;
        self.active.insert(i);
        turn.commands.extend(self.command_of(i));
    }

    fn end_attempt(&mut self, i: usize, at_ms: u64, outcome: Outcome, reason: Option<Reason>) {
        if let Some(attempt) = self.steps[i].attempts.last_mut() {
            attempt.end = Some(AttemptEnd { at_ms, outcome, reason });
        }
    }

    fn may_retry(&self, i: usize, outcome: Outcome, reason: Option<&Reason>) -> bool {
        let (record, Retry { max_attempts, on, .. }) = (&self.steps[i], &self.planned(i).retry);
        let left = attempt_number(record) < max_attempts.saturating_add(record.granted);
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
    fn retry(&mut self, i: usize, turn: &mut Turn) {
        let first = self.planned(i).retry.backoff_ms;
        if first == 0 {
            return self.make_ready(i, turn);
        }
        let doublings = attempt_number(&self.steps[i]).saturating_sub(1);
        let pause =
            first.saturating_mul(1_u64.checked_shl(doublings).unwrap_or(u64::MAX)).min(MAX_BACKOFF_MS.max(first));
        self.steps[i].phase = Phase::Backoff { due_ms: turn.at_ms.saturating_add(pause) };
        turn.commands.extend(self.command_of(i));
    }

    fn cancel(&mut self, why: &str, turn: &mut Turn) {
        self.cancel = match self.cancel {
            Cancel::No => Cancel::Requested,
            Cancel::Requested | Cancel::Forced => Cancel::Forced,
        };
        for i in self.active.clone() {
            match self.steps[i].phase {
                Phase::Ready | Phase::Backoff { .. } if !self.steps[i].attempts.is_empty() => {
                    let reason = Reason {
                        kind: ReasonKind::Cancelled,
                        code: None,
                        message: format!("stopped before its next attempt: {why}"),
                    };
                    self.settle(i, Outcome::Cancelled, Some(reason), Map::new(), turn);
                }
                // Commanded, and its intent not recorded: the command stands only where the step asks to run all the same.
                Phase::Ready if !self.wanted(i, self.condition_status(i)).unwrap_or(false) => {
                    self.skip(i, Skip::RunCancelled, turn);
                }
                Phase::Running { cancelling: false } => {
                    self.steps[i].phase = Phase::Running { cancelling: true };
                    turn.commands.extend(self.command_of(i));
                }
                Phase::Undecided => {
                    self.undecided -= 1;
                    let reason = Reason {
                        kind: ReasonKind::Lost,
                        code: None,
                        message: "nobody knows whether it took effect, and the run was stopped before anybody decided"
                            .to_owned(),
                    };
                    self.end_attempt(i, turn.at_ms, Outcome::Lost, Some(reason.clone()));
                    self.settle(i, Outcome::Lost, Some(reason), Map::new(), turn);
                }
                _ => {}
            }
        }
    }

    fn skip(&mut self, i: usize, skip: Skip, turn: &mut Turn) {
        self.settle(i, Outcome::Skipped, None, Map::new(), turn);
        if let Phase::Settled(settled) = &mut self.steps[i].phase {
            settled.skip = Some(skip);
        }
    }

    /// Ends a step for good, and hands its dependents on where it was the last that they needed.
    fn settle(
        &mut self,
        i: usize,
        outcome: Outcome,
        reason: Option<Reason>,
        outputs: Map<String, Value>,
        turn: &mut Turn,
    ) {
        let allowed = outcome.is_failure() && self.planned(i).on_failure == OnFailure::Continue;
        if outcome.is_failure() && !allowed {
            self.failure = Some(match self.failure {
                Some((known, first)) if gravity(known) >= gravity(outcome) => (known, first),
                Some((_, first)) => (as_verdict(outcome), first),
                None => (as_verdict(outcome), i),
            });
        }
        let name = self.planned(i).name.to_string();
        self.context.steps.insert(name, StepContext { outcome: outcome.name().to_owned(), outputs });
        let record = &mut self.steps[i];
        let failed = record.need_failed || (outcome.is_failure() && !allowed);
        record.config = None;
        record.warnings = Vec::new();
        record.phase = Phase::Settled(Settled { outcome, reason, skip: None, allowed, at_ms: turn.at_ms });
        self.active.remove(&i);
        self.unsettled -= 1;
        for dependent in &self.dependents[i] {
            let record = &mut self.steps[*dependent];
            record.pending -= 1;
            record.need_failed |= failed;
            if record.pending == 0 {
                turn.ready.push_back(*dependent);
            }
        }
    }
}

/// What one event sets off.
struct Turn {
    at_ms: u64,
    commands: Vec<Command>,
    /// Steps whose needs are all settled, to be decided about.
    ready: VecDeque<usize>,
}

impl Turn {
    fn new(at_ms: u64) -> Self {
        Turn { at_ms, commands: Vec::new(), ready: VecDeque::new() }
    }
}

/// The number of the last attempt that began; 0 before the first.
pub(crate) fn attempt_number(record: &StepRecord) -> u32 {
    u32::try_from(record.attempts.len()).unwrap_or(u32::MAX)
}

fn containers(record: &StepRecord) -> usize {
    record.attempts.last().map_or(0, |attempt| attempt.containers.len())
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

fn sentences(warnings: &[Warning]) -> Vec<String> {
    warnings.iter().map(|warning| format!("{}: {}", warning.pointer, warning.message)).collect()
}

fn template_reason(error: &RenderError) -> Reason {
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
