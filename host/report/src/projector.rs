//! From events to items: a replica of the run is kept, and what each event has changed in it is told.

use crate::{Counts, GateKind, Item, LogLine, Told, why, words};
use std::collections::BTreeMap;
use windlass_contract::StepName;
use windlass_engine::{
    EngineError, Event, EventKind, Outcome, Reason, Run, RunStatus, StepState, StepView, VisitView, Vote,
};
use windlass_manifest::plan::{Gate, GateDefault, SubRun, Work};

/// Tells what a run's events mean, one after the other.
#[derive(Debug, Clone)]
pub struct Projector {
    run: Run,
    next_seq: u64,
    /// The attempts that have begun and not ended.
    open: BTreeMap<StepName, u32>,
}

/// What of the run as it was before an event is needed to tell what it has changed.
struct Before {
    queued: bool,
    cancelling: bool,
    visits: usize,
    state: String,
    because: Option<String>,
    /// Who decides about a gate by this vote, if it is decided by it.
    deciders: Vec<String>,
}

impl Projector {
    /// Goes on from a run as it stands; `next_seq` is the number of the next event. Nothing is told of what has been.
    pub fn new(run: &Run, next_seq: u64) -> Projector {
        let under_way = |step: StepView<'_>| {
            let last = step.attempts.last()?;
            last.finished_ms.is_none().then(|| (step.name.clone(), last.attempt))
        };
        Projector { run: run.clone(), next_seq, open: run.steps().filter_map(under_way).collect() }
    }

    /// Begins with a run's first event, whose number is `seq`.
    ///
    /// # Errors
    /// When it is no `RunCreated`, or its plan is not sound.
    pub fn from_created(event: &Event, seq: u64) -> Result<(Projector, Vec<Told>), EngineError> {
        let (run, _) = Run::create(event)?;
        let mut projector = Projector { run, next_seq: seq.saturating_add(1), open: BTreeMap::new() };
        let mut items = vec![projector.started()];
        match projector.run.queued_in() {
            Some(group) => {
                items.push(Item::RunQueued { group: group.name.clone(), limit: group.limit, behind: Vec::new() });
            }
            None => items.extend(projector.entered(None, None)),
        }
        projector.consequences(&[], &mut items);
        Ok((projector.clone(), projector.place(seq, event.at_ms, items)))
    }

    /// The run as it stands after the last event.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The number of the event that it waits for.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Takes the next event, whose number is `seq`, and tells what it means. An event that it has had already tells nothing, so
    /// that what is read from the store and what comes live may overlap.
    ///
    /// # Errors
    /// When an event is missing in between, or this one does not fit the run. Then nothing has changed.
    pub fn push(&mut self, seq: u64, event: &Event) -> Result<Vec<Told>, EngineError> {
        if seq < self.next_seq {
            return Ok(Vec::new());
        }
        if seq > self.next_seq {
            let why = format!("it is number {seq}, and number {} is missing; read the run again", self.next_seq);
            return Err(EngineError::OutOfPlace { event: event.kind.name(), why });
        }
        let before = self.before(&event.kind);
        self.run.apply(event)?;
        self.next_seq = seq.saturating_add(1);
        let mut items: Vec<Item> = self.fact(&event.kind, &before).into_iter().collect();
        if self.run.visits().len() > before.visits {
            // What was open has ended before its state did.
            self.open.clear();
            items.extend(self.entered(Some(before.state), before.because));
        } else if before.queued && self.run.queued_in().is_none() {
            items.extend(self.entered(None, None));
        }
        if let Some((step, attempt)) = items.first().and_then(Item::began) {
            self.open.insert(step.clone(), attempt);
        }
        if let Some(step) = subject(&event.kind) {
            items.extend(self.tried_again(event.at_ms, step));
        }
        self.consequences(&before.deciders, &mut items);
        if let EventKind::RunFinished { outcome } = &event.kind {
            items.push(self.ended(*outcome));
        }
        Ok(self.place(seq, event.at_ms, items))
    }

    /// Tells a line of a log, in the place where the run stands now.
    pub fn log(&self, at_ms: u64, line: LogLine) -> Told {
        let seq = self.next_seq.saturating_sub(1);
        Told { run: self.run.id().clone(), seq, part: 0, at_ms, item: Item::Log(line) }
    }

    fn place(&self, seq: u64, at_ms: u64, items: Vec<Item>) -> Vec<Told> {
        let told = |(part, item)| Told { run: self.run.id().clone(), seq, part, at_ms, item };
        (0..).zip(items).map(told).collect()
    }

    fn before(&self, kind: &EventKind) -> Before {
        let deciders = match kind {
            EventKind::GateVoted { step, by, vote: Vote::Approve, .. } => {
                let gates = self.run.gates();
                let casts = gates.iter().filter(|gate| gate.step == step).flat_map(|gate| gate.votes);
                let others = casts.filter(|cast| cast.vote == Vote::Approve && cast.by != *by);
                others.map(|cast| cast.by.clone()).chain([by.clone()]).collect()
            }
            EventKind::GateVoted { by, .. } => vec![by.clone()],
            _ => Vec::new(),
        };
        Before {
            queued: self.run.queued_in().is_some(),
            cancelling: self.run.status() == RunStatus::Cancelling,
            visits: self.run.visits().len(),
            state: self.run.state_name().to_owned(),
            because: matches!(kind, EventKind::StateEntered { .. }).then(|| self.run.why_next()).flatten(),
            deciders,
        }
    }

    fn started(&self) -> Item {
        let (run, origin) = (&self.run, self.run.origin());
        Item::RunStarted {
            name: run.plan().name.clone(),
            file: run.file().map(str::to_owned),
            inputs: run.inputs().clone(),
            by: origin.by.clone(),
            parent: origin.parent.clone(),
            rerun_of: origin.rerun.as_ref().map(|rerun| rerun.of.clone()),
            warnings: run.warnings().to_vec(),
        }
    }

    fn entered(&self, from: Option<String>, because: Option<String>) -> Option<Item> {
        let state = self.run.state_name();
        let present = self.run.visits().next_back()?;
        Some(Item::StateEntered {
            state: state.to_owned(),
            visit: u32::try_from(self.run.times_in_state()).unwrap_or(u32::MAX),
            from,
            because,
            feedback: present.feedback.map(str::to_owned),
        })
    }

    /// What the event itself says.
    fn fact(&self, kind: &EventKind, before: &Before) -> Option<Item> {
        let state = self.run.state_name().to_owned();
        Some(match kind {
            EventKind::StepStarted { step, attempt } => {
                let work = self.run.planned_step(step)?.plugin()?;
                Item::StepStarted {
                    step: step.clone(),
                    state,
                    attempt: *attempt,
                    step_type: work.step_type.clone(),
                    plugin: work.plugin.clone(),
                }
            }
            EventKind::GateOpened { step, attempt } => self.opened(step, *attempt)?,
            EventKind::GateVoted { step, attempt, by, vote, comment, .. } => {
                let gates = self.run.gates();
                let missing = gates.iter().find(|gate| gate.step == step).map_or(0, why::missing_approvals);
                let (step, by, vote) = (step.clone(), by.clone(), vote.clone());
                Item::GateVoted { step, attempt: *attempt, by, vote, comment: comment.clone(), missing }
            }
            EventKind::SubRunStarted { step, attempt, run } => {
                let Work::SubRun(SubRun { workflow, wait, .. }) = &self.run.planned_step(step)?.work else {
                    return None;
                };
                Item::SubRunStarted {
                    step: step.clone(),
                    state,
                    attempt: *attempt,
                    workflow: workflow.clone(),
                    sub_run: run.clone(),
                    wait: *wait,
                }
            }
            EventKind::ContainerCreated { step, attempt, index, name } => {
                Item::ContainerCreated { step: step.clone(), attempt: *attempt, index: *index, name: name.clone() }
            }
            EventKind::StepUndecided { step, attempt } => {
                let commands = words::fate_commands(self.run.id(), step);
                Item::StepUndecided { step: step.clone(), attempt: *attempt, commands }
            }
            EventKind::StepDecided { step, attempt, decision, by } => {
                Item::StepDecided { step: step.clone(), attempt: *attempt, decision: *decision, by: by.clone() }
            }
            EventKind::CancelRequested { reason } => {
                Item::Cancelling { reason: reason.clone(), forced: before.cancelling }
            }
            // What they mean is told by what they change.
            EventKind::RunCreated { .. }
            | EventKind::GroupEntered {}
            | EventKind::StateEntered { .. }
            | EventKind::GateDue { .. }
            | EventKind::StepFinished { .. }
            | EventKind::RetryDue { .. }
            | EventKind::RunFinished { .. } => return None,
        })
    }

    fn opened(&self, step: &StepName, attempt: u32) -> Option<Item> {
        let Work::Gate(gate) = &self.run.planned_step(step)?.work else { return None };
        // A gate that was decided at once by its conditions is not open any more.
        let gates = self.run.gates();
        let open = gates.iter().find(|gate| gate.step == step);
        let (kind, commands, otherwise) = match gate {
            Gate::Manual(manual) => {
                let otherwise = match manual.on_timeout {
                    GateDefault::Approve => "approved",
                    GateDefault::Reject => "rejected",
                };
                (GateKind::Manual, words::gate_commands(self.run.id(), step), otherwise.to_owned())
            }
            Gate::Question(question) => {
                let otherwise = match &question.default_response {
                    Some(answer) => format!("answered with {}", words::short(&answer.as_str().into())),
                    None => Outcome::TimedOut.to_string(),
                };
                (GateKind::Question, words::question_commands(self.run.id(), step), otherwise)
            }
            Gate::Automated { .. } => (GateKind::Automated, Vec::new(), String::new()),
            Gate::Scheduled(_) => (GateKind::Scheduled, Vec::new(), "rejected".to_owned()),
        };
        let manual = match gate {
            Gate::Manual(manual) => Some(manual),
            _ => None,
        };
        let starter = || self.run.origin().by.clone();
        Some(Item::GateOpened {
            step: step.clone(),
            state: self.run.state_name().to_owned(),
            attempt,
            gate: kind,
            prompt: open.and_then(|open| open.prompt).map(str::to_owned),
            approvers: manual.map(|manual| manual.approvers.clone()).unwrap_or_default(),
            not_by: manual.filter(|manual| !manual.self_approval).and_then(|_| starter()),
            quorum: manual.map(|manual| manual.quorum),
            opens_ms: open.filter(|open| open.due_ms < open.expires_ms).map(|open| open.due_ms),
            expires_ms: open.map(|open| open.expires_ms),
            otherwise: open.map(|_| otherwise),
            commands: if open.is_some() { commands } else { Vec::new() },
        })
    }

    /// The end of an attempt that is not the end of its step.
    fn tried_again(&mut self, at_ms: u64, step: &StepName) -> Option<Item> {
        let view = self.run.step(step)?;
        if view.state == StepState::Finished || view.attempts.last()?.finished_ms.is_none() {
            return None;
        }
        let attempt = self.open.remove(step)?;
        let retry_ms = match view.state {
            StepState::Retrying { due_ms } => due_ms,
            _ => at_ms,
        };
        let view = self.run.step(step)?;
        self.end_of(&view, Some(attempt), Some(retry_ms), &[])
    }

    /// What became of steps by the last event.
    fn consequences(&mut self, deciders: &[String], items: &mut Vec<Item>) {
        for view in self.run.settled_last() {
            let attempt = self.open.remove(view.name);
            let state = || self.run.state_name().to_owned();
            items.extend(match (&view.skipped, &self.run.origin().rerun) {
                (Some(skip), _) => Some(Item::StepSkipped {
                    step: view.name.clone(),
                    state: state(),
                    skip: (*skip).clone(),
                    sentence: why::why_skipped(skip),
                }),
                (None, Some(rerun)) if view.carried => view.outcome.map(|outcome| Item::StepCarried {
                    step: view.name.clone(),
                    state: state(),
                    outcome,
                    from: rerun.of.clone(),
                }),
                (None, _) => self.end_of(&view, attempt, None, deciders),
            });
        }
    }

    /// The end of an attempt as what carried it out has it; without one, of the step.
    fn end_of(
        &self,
        view: &StepView<'_>,
        attempt: Option<u32>,
        retry_ms: Option<u64>,
        deciders: &[String],
    ) -> Option<Item> {
        let last = view.attempts.last().filter(|_| attempt.is_some());
        let (outcome, reason) = match last {
            Some(last) => (last.outcome?, last.reason),
            None => (view.outcome?, view.reason),
        };
        let (step, reason, allowed) = (view.name.clone(), reason.cloned(), view.allowed_failure);
        let took_ms = last.map_or(0, |last| last.finished_ms.unwrap_or_default().saturating_sub(last.started_ms));
        Some(match (attempt, last, &self.run.planned_step(view.name)?.work) {
            (Some(attempt), _, Work::Gate(_)) => Item::GateDecided {
                step,
                attempt,
                outcome,
                reason,
                by: deciders.to_vec(),
                answer: view.outputs.and_then(|given| Some(given.get("response")?.as_str()?.to_owned())),
                took_ms,
                allowed,
            },
            (Some(attempt), Some(last), Work::SubRun(_)) => {
                let sub_run = last.sub_run?.clone();
                Item::SubRunEnded { step, attempt, sub_run, outcome, reason, retry_ms, took_ms, allowed }
            }
            (attempt, ..) => Item::StepEnded { step, attempt, outcome, reason, retry_ms, took_ms, allowed },
        })
    }

    fn ended(&self, outcome: Outcome) -> Item {
        let run = &self.run;
        let took_ms = run.finished_ms().unwrap_or_default().saturating_sub(run.created_ms());
        let reason: Option<Reason> = run.reason().cloned();
        Item::RunEnded { outcome, reason, took_ms, counts: counts(run.visits()) }
    }
}

/// The step whose attempt an event may end.
fn subject(kind: &EventKind) -> Option<&StepName> {
    match kind {
        EventKind::StepFinished { step, .. } | EventKind::StepDecided { step, .. } => Some(step),
        _ => None,
    }
}

/// How many steps ended how, over these visits.
pub(crate) fn counts<'a>(visits: impl Iterator<Item = VisitView<'a>>) -> Counts {
    let mut counts = Counts::default();
    for step in visits.flat_map(|visit| visit.steps) {
        let Some(outcome) = step.outcome else { continue };
        let count = match outcome {
            _ if step.carried => &mut counts.carried,
            Outcome::Succeeded => &mut counts.succeeded,
            Outcome::Skipped => &mut counts.skipped,
            Outcome::Cancelled => &mut counts.cancelled,
            _ if step.allowed_failure => &mut counts.allowed,
            _ => &mut counts.failed,
        };
        *count += 1;
    }
    counts
}
