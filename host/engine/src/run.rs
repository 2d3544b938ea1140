//! The reducer: what a run is, and what each event makes of it.

use crate::{
    Command, Decision, EngineError, Event, EventKind, Origin, Outcome, Reason, ReasonKind, Rerun,
    gate::Voter,
    stage::{Attempt, Phase, Stage, StepRecord, attempt_number},
};
use serde_json::{Map, Value};
use std::{collections::VecDeque, sync::Arc};
use windlass_contract::{RunId, StepName};
use windlass_manifest::{
    plan::{Plan, State, Step},
    template::{Context, RunContext, StepContext, Warning, render_env},
};

/// A container that an attempt has created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Which of the attempt's, from 0.
    pub index: u32,
    /// Its name at the container engine.
    pub name: String,
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

/// How a state or a run ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<Reason>,
}

/// One stay in a state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Visit {
    /// The state's place in `plan.states`.
    pub(crate) state: usize,
    pub(crate) entered_ms: u64,
    /// The feedback that it was entered with.
    pub(crate) feedback: Option<String>,
    pub(crate) end: Option<VisitEnd>,
}

/// What a stay in a state came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VisitEnd {
    pub(crate) at_ms: u64,
    pub(crate) verdict: Verdict,
    /// What the state's name reads from now on.
    pub(crate) value: Value,
    /// What its sub-runs have put on the blackboard.
    pub(crate) board: Map<String, Value>,
    /// Its steps as they ended. Empty for the last visit, whose steps are the stage's.
    pub(crate) steps: Vec<StepRecord>,
    /// The way out that was chosen, with what each one before it was asked; `None` where the run ends here.
    pub(crate) taken: Option<usize>,
}

/// What follows when every step of the current state is settled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Next {
    /// `EnterState` is outstanding.
    Enter { transition: usize, feedback: Option<String> },
    /// `Finish` is outstanding, or answered.
    Finish(Verdict),
}

/// A run: what follows from its events.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub(crate) id: RunId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) origin: Origin,
    pub(crate) previous: Option<RunId>,
    pub(crate) file: Option<String>,
    pub(crate) created_ms: u64,
    pub(crate) finished_ms: Option<u64>,
    /// `EnterGroup` is outstanding.
    pub(crate) queued: bool,
    /// The stays in states, in order; the last one is the present.
    pub(crate) visits: Vec<Visit>,
    /// The steps of the present state.
    pub(crate) stage: Stage,
    /// Known as soon as every step of it is settled.
    pub(crate) next: Option<Next>,
    pub(crate) cancel: Cancel,
    pub(crate) context: Context,
    /// What was odd about the pipeline's environment and about feedback.
    pub(crate) warnings: Vec<String>,
    /// The steps that the last event has settled.
    pub(crate) changed: Vec<usize>,
}

impl Run {
    /// The run that a `RunCreated` begins, and what to do first.
    ///
    /// # Errors
    /// When the event is another one, or the plan in it is not sound.
    pub fn create(event: &Event) -> Result<(Run, Vec<Command>), EngineError> {
        let EventKind::RunCreated { run, plan, inputs, previous, file, origin } = &event.kind else {
            return Err(EngineError::NotCreated { found: event.kind.name() });
        };
        let invalid = |why: &str| EngineError::InvalidPlan { why: why.to_owned() };
        if let Some((step_type, step)) = plan.absent().into_iter().next() {
            return Err(EngineError::Absent { step_type: step_type.to_owned(), step: step.clone() });
        }
        let plan: Arc<Plan> = Arc::new((**plan).clone());
        let targets = plan.states.iter().flat_map(|state| &state.transitions).map(|transition| transition.target);
        if targets.chain([plan.initial]).any(|target| target >= plan.states.len()) {
            return Err(invalid("a state that it names is not there"));
        }
        let rerun = origin.rerun.as_deref();
        let state = match rerun {
            None => plan.initial,
            Some(Rerun { state, .. }) => plan
                .states
                .iter()
                .position(|known| known.name == *state)
                .ok_or_else(|| invalid("the state that the run is to begin again in is not there"))?,
        };
        for each in &plan.states {
            // Whether the others are sound is known before the run is there, and not when it gets there.
            Stage::new(each, None).map_err(invalid)?;
        }
        let stage = Stage::new(&plan.states[state], None).map_err(invalid)?;

        let mut context = Context {
            inputs: inputs.clone(),
            run: RunContext { id: run.to_string(), previous: previous.as_ref().map(ToString::to_string) },
            blackboard: plan.blackboard.clone(),
            ..Context::default()
        };
        context.blackboard.extend(origin.blackboard.clone());
        if let Some(rerun) = rerun {
            context.blackboard.extend(rerun.blackboard.clone());
            context.states = rerun.states.clone();
            context.feedback = rerun.feedback.clone();
        }
        let (env, warnings) =
            render_env(&plan, &context).map_err(|error| EngineError::Environment { error: Box::new(error) })?;
        context.env = env;

        let visit = Visit { state, entered_ms: event.at_ms, feedback: context.feedback.clone(), end: None };
        let mut created = Run {
            id: run.clone(),
            context,
            warnings: sentences(&warnings),
            origin: origin.clone(),
            previous: previous.clone(),
            file: file.clone(),
            created_ms: event.at_ms,
            finished_ms: None,
            queued: origin.group.is_some(),
            visits: vec![visit],
            stage,
            next: None,
            cancel: Cancel::No,
            changed: Vec::new(),
            plan,
        };
        let mut turn = Turn::new(event.at_ms);
        if let Some(group) = &origin.group {
            turn.commands.push(Command::EnterGroup { group: group.clone() });
        } else {
            created.begin(&mut turn);
        }
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
        let mut turn = Turn::new(event.at_ms);
        match (&self.next, &event.kind) {
            _ if self.finished_ms.is_some() => return Err(EngineError::Over { event: event.kind.name() }),
            (Some(Next::Finish(_)), EventKind::RunFinished { .. }) => {}
            (Some(Next::Enter { .. }), EventKind::StateEntered { .. } | EventKind::CancelRequested { .. }) => {}
            (Some(_), _) => return Err(EngineError::Over { event: event.kind.name() }),
            (None, _) => {}
        }
        self.take(event, &mut turn)?;
        Ok(self.conclude(turn))
    }

    /// What an event changes. It refuses before it changes anything.
    fn take(&mut self, event: &Event, turn: &mut Turn) -> Result<(), EngineError> {
        match &event.kind {
            EventKind::RunCreated { .. } => return Err(EngineError::CreatedTwice),

            EventKind::GroupEntered {} => {
                if !self.queued {
                    return Err(self.out_of_place(event, "the run does not wait for its turn"));
                }
                self.changed.clear();
                self.queued = false;
                self.begin(turn);
            }

            EventKind::StateEntered { state, transition, feedback } => {
                let Some(Next::Enter { transition: chosen, .. }) = &self.next else {
                    return Err(self.out_of_place(event, "the current state has not ended"));
                };
                let target = self.state().transitions[*chosen].target;
                if usize::try_from(*transition) != Ok(*chosen) || self.plan.states[target].name != *state {
                    return Err(self.out_of_place(event, "another transition was chosen"));
                }
                self.changed.clear();
                self.enter(target, feedback.clone(), turn);
            }

            EventKind::StepStarted { step, attempt } => {
                let i = self.fit(event, step, *attempt, 1, |phase| matches!(phase, Phase::Ready))?;
                if self.planned(i).plugin().is_none() {
                    return Err(self.misfit(event, i, *attempt));
                }
                self.changed.clear();
                self.start_attempt(i, event.at_ms);
                self.stage.steps[i].phase = Phase::Running { cancelling: false };
            }

            EventKind::ContainerCreated { step, attempt, index, name } => {
                let i = self.fit(event, step, *attempt, 0, |phase| matches!(phase, Phase::Running { .. }))?;
                let misfit = self.misfit(event, i, *attempt);
                let Some(present) = self.stage.steps[i].attempts.last_mut() else { return Err(misfit) };
                match present.containers.iter().find(|known| known.index == *index) {
                    None => present.containers.push(Container { index: *index, name: name.clone() }),
                    // Said again by the same attempt, executed again after a crash: the same fact.
                    Some(known) if known.name == *name => {}
                    Some(_) => return Err(misfit),
                }
                self.changed.clear();
            }

            EventKind::StepFinished { step, attempt, outcome, reason, outputs } => {
                let i = self.fit(event, step, *attempt, 0, |phase| matches!(phase, Phase::Running { .. }))?;
                if *outcome == Outcome::Skipped {
                    return Err(self.misfit(event, i, *attempt));
                }
                self.changed.clear();
                self.end_attempt(i, event.at_ms, *outcome, reason.clone());
                if self.cancel == Cancel::No && self.may_retry(i, *outcome, reason.as_ref()) {
                    self.retry(i, turn);
                } else {
                    self.settle(i, *outcome, reason.clone(), outputs.clone(), turn);
                }
            }

            EventKind::RetryDue { step, attempt } => {
                let i = self.fit(event, step, *attempt, 1, |phase| matches!(phase, Phase::Backoff { .. }))?;
                self.changed.clear();
                self.make_ready(i, turn);
            }

            EventKind::StepUndecided { step, attempt } => {
                let fits = |phase: &Phase| matches!(phase, Phase::Running { cancelling: false });
                let i = self.fit(event, step, *attempt, 0, fits)?;
                self.changed.clear();
                self.stage.steps[i].phase = Phase::Undecided;
                self.begin_waiting(i);
                turn.commands.extend(self.command_of(i));
            }

            EventKind::StepDecided { step, attempt, decision, by } => {
                let i = self.fit(event, step, *attempt, 0, |phase| matches!(phase, Phase::Undecided))?;
                self.changed.clear();
                self.end_waiting(i);
                self.decide_fate(i, *decision, by, turn);
            }

            EventKind::GateOpened { step, attempt } => {
                let i = self.fit(event, step, *attempt, 1, |phase| matches!(phase, Phase::Ready))?;
                if !matches!(self.planned(i).work, windlass_manifest::plan::Work::Gate(_)) {
                    return Err(self.misfit(event, i, *attempt));
                }
                self.changed.clear();
                self.start_attempt(i, event.at_ms);
                self.open_gate(i, turn);
            }

            EventKind::GateVoted { step, attempt, by, vote, comment, email } => {
                let i = self.fit(event, step, *attempt, 0, |phase| matches!(phase, Phase::Gate(_)))?;
                let voter = Voter { by, email: email.as_deref() };
                self.vote(i, voter, vote, comment.as_deref(), turn)?;
            }

            EventKind::GateDue { step, attempt } => {
                let i = self.fit(event, step, *attempt, 0, |phase| matches!(phase, Phase::Gate(_)))?;
                self.changed.clear();
                self.gate_due(i, turn);
            }

            EventKind::SubRunStarted { step, attempt, run } => {
                let i = self.fit(event, step, *attempt, 1, |phase| matches!(phase, Phase::Ready))?;
                if !matches!(self.planned(i).work, windlass_manifest::plan::Work::SubRun(_)) {
                    return Err(self.misfit(event, i, *attempt));
                }
                self.changed.clear();
                self.start_attempt(i, event.at_ms);
                if let Some(attempt) = self.stage.steps[i].attempts.last_mut() {
                    attempt.sub_run = Some(run.clone());
                }
                self.stage.steps[i].phase = Phase::Running { cancelling: false };
            }

            EventKind::CancelRequested { reason } => {
                self.changed.clear();
                self.cancel(reason, turn);
            }

            EventKind::RunFinished { outcome } => {
                let verdict = self.outcome();
                if verdict != Some(*outcome) {
                    let why = match verdict {
                        Some(verdict) => format!("its steps give {verdict}"),
                        None => format!("{} of its steps are not settled", self.stage.unsettled),
                    };
                    return Err(EngineError::WrongFinish { claimed: *outcome, why });
                }
                self.changed.clear();
                self.finished_ms = Some(event.at_ms);
            }
        }
        Ok(())
    }

    /// The present state.
    pub(crate) fn state(&self) -> &State {
        &self.plan.states[self.visit().state]
    }

    /// The present stay.
    pub(crate) fn visit(&self) -> &Visit {
        // There is one from the beginning, and none is ever taken away.
        &self.visits[self.visits.len() - 1]
    }

    /// The plan's step behind a record.
    pub(crate) fn planned(&self, i: usize) -> &Step {
        &self.state().steps[i]
    }

    /// Steps that need nothing may begin. Those that a rerun takes over are settled first.
    fn begin(&mut self, turn: &mut Turn) {
        let roots: Vec<usize> = self.stage.roots().collect();
        turn.ready.extend(roots);
        let Some(rerun) = self.origin.rerun.clone().filter(|_| self.visits.len() == 1) else { return };
        // In the plan's order, in which a step that is needed may come later: what becomes ready is decided after all of it.
        for (name, carried) in rerun.steps {
            let Some(i) = self.stage.index.get(&name).copied() else { continue };
            self.stage.steps[i].carried = true;
            self.settle(i, carried.outcome, None, carried.outputs, turn);
        }
    }

    /// Leaves the present state, which has ended, for another one.
    fn enter(&mut self, target: usize, feedback: Option<String>, turn: &mut Turn) {
        let before = self.visits.iter().rposition(|visit| visit.state == target);
        let left = self.visits.len() - 1;
        let steps = std::mem::take(&mut self.stage.steps);
        if let Some(end) = &mut self.visits[left].end {
            end.steps = steps;
        }
        let earlier = before.and_then(|visit| self.visits[visit].end.as_ref()).map(|end| end.steps.as_slice());
        // Every state's graph was checked when the run was created.
        if let Ok(stage) = Stage::new(&self.plan.states[target], earlier) {
            self.stage = stage;
        }
        self.visits.push(Visit { state: target, entered_ms: turn.at_ms, feedback: feedback.clone(), end: None });
        self.context.feedback = feedback;
        // What steps of other states gave can still be read; a step of this one has given nothing yet.
        for step in &self.plan.states[target].steps {
            self.context.steps.remove(step.name.as_str());
        }
        self.next = None;
        self.begin(turn);
    }

    /// Decides about every step whose needs have become settled, until no more do; then, where all are, about the state.
    fn conclude(&mut self, mut turn: Turn) -> Vec<Command> {
        // A queue and not a recursion: a chain of ten thousand skipped steps must not be ten thousand frames deep.
        while let Some(i) = turn.ready.pop_front() {
            if matches!(self.stage.steps[i].phase, Phase::Waiting) {
                self.consider(i, &mut turn);
            }
        }
        if self.finished_ms.is_none() && !self.queued && self.stage.unsettled == 0 && self.next.is_none() {
            self.end_state(turn.at_ms);
            turn.commands.extend(self.command_of_run());
        }
        turn.commands
    }

    /// What is outstanding of the run itself.
    pub(crate) fn command_of_run(&self) -> Option<Command> {
        match &self.next {
            _ if self.finished_ms.is_some() => None,
            None if self.queued => self.origin.group.clone().map(|group| Command::EnterGroup { group }),
            None => None,
            Some(Next::Enter { transition, feedback }) => Some(Command::EnterState {
                state: self.plan.states[self.state().transitions[*transition].target].name.clone(),
                transition: u32::try_from(*transition).unwrap_or(u32::MAX),
                feedback: feedback.clone(),
            }),
            Some(Next::Finish(verdict)) => Some(Command::Finish { outcome: verdict.outcome }),
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
        let Some(i) = self.stage.index.get(step).copied() else {
            return Err(EngineError::UnknownStep { event: event.kind.name(), step: step.clone() });
        };
        let record = &self.stage.steps[i];
        if phase(&record.phase) && attempt_number(record).checked_add(ahead) == Some(attempt) {
            Ok(i)
        } else {
            Err(self.misfit(event, i, attempt))
        }
    }

    fn misfit(&self, event: &Event, i: usize, attempt: u32) -> EngineError {
        let record = &self.stage.steps[i];
        let present = attempt_number(record);
        let present = match &record.phase {
            Phase::Waiting => "waits for other steps".to_owned(),
            Phase::Ready => format!("is about to begin attempt {}", present + 1),
            Phase::Running { .. } => {
                let containers = record.attempts.last().map_or(0, |attempt| attempt.containers.len());
                format!("runs attempt {present} with {containers} containers")
            }
            Phase::Backoff { .. } => format!("waits before attempt {}", present + 1),
            Phase::Undecided => format!("waits for a person to decide about attempt {present}"),
            Phase::Gate(_) => format!("waits at a gate, opened as attempt {present}"),
            Phase::Settled(settled) => format!("has ended: {}", settled.outcome),
        };
        EngineError::DoesNotFit { event: event.kind.name(), step: self.planned(i).name.clone(), attempt, present }
    }

    fn out_of_place(&self, event: &Event, why: &str) -> EngineError {
        EngineError::OutOfPlace { event: event.kind.name(), why: why.to_owned() }
    }

    fn start_attempt(&mut self, i: usize, at_ms: u64) {
        let attempt = Attempt { started_ms: at_ms, end: None, containers: Vec::new(), sub_run: None };
        self.stage.steps[i].attempts.push(attempt);
    }

    fn decide_fate(&mut self, i: usize, decision: Decision, by: &str, turn: &mut Turn) {
        let said = |kind, message: String| Some(Reason { kind, code: None, message });
        match decision {
            Decision::Rerun => {
                let reason = said(ReasonKind::Lost, format!("its fate was unknown; {by} had it run again"));
                self.end_attempt(i, turn.at_ms, Outcome::Lost, reason);
                self.stage.steps[i].granted += 1;
                self.make_ready(i, turn);
            }
            Decision::Succeeded => {
                self.end_attempt(i, turn.at_ms, Outcome::Succeeded, None);
                self.settle(i, Outcome::Succeeded, None, Map::new(), turn);
            }
            Decision::Failed => {
                let reason = said(ReasonKind::Other, format!("its fate was unknown; {by} said that it failed"));
                self.end_attempt(i, turn.at_ms, Outcome::Failed, reason.clone());
                self.settle(i, Outcome::Failed, reason, Map::new(), turn);
            }
        }
    }

    /// What a settled step reads in templates.
    pub(crate) fn publish(&mut self, i: usize, outcome: Outcome, outputs: Map<String, Value>) {
        let name = self.planned(i).name.to_string();
        self.context.steps.insert(name, StepContext { outcome: outcome.name().to_owned(), outputs });
    }
}

/// What one event sets off.
pub(crate) struct Turn {
    pub(crate) at_ms: u64,
    pub(crate) commands: Vec<Command>,
    /// Steps whose needs are all settled, to be decided about.
    pub(crate) ready: VecDeque<usize>,
}

impl Turn {
    fn new(at_ms: u64) -> Self {
        Turn { at_ms, commands: Vec::new(), ready: VecDeque::new() }
    }
}

pub(crate) fn sentences(warnings: &[Warning]) -> Vec<String> {
    warnings.iter().map(|warning| format!("{}: {}", warning.pointer, warning.message)).collect()
}
