//! What is under way of a run: attempts, sub-runs, timers; and how facts become durable, are acted on and are told, in this order.

use crate::{
    Asked, Claim, DriverError, Notice, Stop,
    attempt::{Again, Attempt},
    clock::{now_ms, until},
    draft::Draft,
    log_file::LogFile,
    request::{Request, decided_by_cancel, is_refusal},
    run::{Fact, Shared, Waits},
    sub_run::SubRunTask,
};
use serde_json::{Map, Value};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use windlass_capabilities::StepTools;
use windlass_contract::{CodedError, RunId, StepName};
use windlass_engine::{Command, Event, EventKind, GateView, InFlight, Run, RunStatus, StepState};
use windlass_manifest::plan::{Step, Work};
use windlass_store::{RequestRow, Standing, StoreError};

/// After a crash: every attempt that was in flight, to be executed again as the same attempt.
pub(crate) fn attempts_again(run: &Run) -> Vec<Begin> {
    let again = |flight: InFlight<'_>| Begin {
        step: flight.step.clone(),
        attempt: flight.attempt,
        config: flight.config.clone(),
        timeout_ms: flight.step.timeout_ms,
        warnings: Vec::new(),
        sub_run: flight.sub_run.cloned(),
        again: Some(Again {
            started_ms: flight.started_ms,
            containers: flight.containers.iter().map(|c| (c.index, c.name.clone())).collect(),
        }),
        cancelling: flight.cancelling,
    };
    run.in_flight().into_iter().map(again).collect()
}

/// An attempt that is to begin now, or again.
pub(crate) struct Begin {
    step: Step,
    attempt: u32,
    config: Value,
    timeout_ms: u64,
    warnings: Vec<String>,
    /// The run that it has begun, if it is one of a sub-run.
    sub_run: Option<RunId>,
    again: Option<Again>,
    /// It had been asked to stop already.
    cancelling: bool,
}

/// What is under way of a run.
pub(crate) struct Carrier {
    pub(crate) shared: Arc<Shared>,
    /// The attempts that run, and how each is asked to stop.
    pub(crate) stops: HashMap<(StepName, u32), CancellationToken>,
    /// Attempts of sub-runs that wait themselves: nothing of them is under way.
    pub(crate) parked: HashSet<(StepName, u32)>,
    /// Attempts, and the removal of what they leave.
    pub(crate) tasks: JoinSet<()>,
    /// Sub-runs that nobody waits for.
    pub(crate) detached: JoinSet<()>,
    /// Pauses before attempts, and gates' times; dropped with the carrier, whether they have rung or not.
    pub(crate) timers: JoinSet<()>,
    pub(crate) notices: mpsc::UnboundedSender<Notice>,
}

impl Carrier {
    /// Makes `kinds` durable in one commit, together with the intents that follow from them, and acts on it.
    pub(crate) async fn record_and_act(
        &mut self,
        claim: &mut Claim,
        kinds: Vec<EventKind>,
    ) -> Result<Vec<Command>, DriverError> {
        let mut draft = claim.draft();
        let commands = draft.add(kinds)?;
        let events = draft.events;
        let told = self.commit(claim, events, Vec::new()).await?;
        self.act(&claim.run, commands.clone());
        self.tell(told);
        Ok(commands)
    }

    /// Gives what is to be told once it has been acted on.
    async fn commit(
        &self,
        claim: &mut Claim,
        events: Vec<Event>,
        answers: Vec<(i64, Option<String>)>,
    ) -> Result<Vec<Notice>, DriverError> {
        if events.is_empty() && answers.is_empty() {
            return Ok(Vec::new());
        }
        let answered = (!answers.is_empty()).then(|| Notice::Answered { run: self.shared.run.clone() });
        let standing = Standing { answers, ..Standing::of(&claim.run, &events) };
        let first = claim.next;
        claim.next = self.shared.host.parts.store.append(&self.shared.run, claim.next, &events, standing).await?;
        Ok(recorded(&self.shared.run, first, events).into_iter().chain(answered).collect())
    }

    pub(crate) fn tell(&self, notices: Vec<Notice>) {
        for notice in notices {
            let _ = self.notices.send(notice);
        }
    }

    /// Takes what attempts have told, in one commit; then lets them go on, and tells the world.
    pub(crate) async fn take(&mut self, claim: &mut Claim, batch: Vec<Fact>) -> Result<(), DriverError> {
        let mut kinds = Vec::with_capacity(batch.len());
        let mut after = Vec::with_capacity(batch.len());
        for fact in batch {
            match fact {
                Fact::Record { kind, durable } => {
                    kinds.push(kind);
                    after.push(After::GoOn(durable));
                }
                Fact::Ended { kind, tools } => {
                    let kind = decided_by_cancel(&claim.run, kind);
                    after.push(After::Ended(kind.clone(), tools));
                    kinds.push(kind);
                }
                Fact::Due { step, attempt } => {
                    // A timer that a cancel has made needless may still ring.
                    let retrying = claim.run.step(&step).is_some_and(|step| {
                        let next = step.attempts.last().map_or(0, |last| last.attempt) + 1;
                        matches!(step.state, StepState::Retrying { .. }) && next == attempt
                    });
                    if retrying {
                        kinds.push(EventKind::RetryDue { step, attempt });
                    }
                }
                Fact::GateDue { step, attempt } => {
                    let open = |gate: &GateView<'_>| *gate.step == step && gate.attempt == attempt;
                    if claim.run.gates().iter().any(open) {
                        kinds.push(EventKind::GateDue { step, attempt });
                    }
                }
                Fact::Parked { step, attempt } => {
                    let stopped = self.stops.remove(&(step.clone(), attempt));
                    if stopped.is_some_and(|stop| stop.is_cancelled()) {
                        // It was left waiting at the very moment at which it was asked to stop.
                        self.cancel_parked(&claim.run, &step, attempt);
                    } else {
                        self.parked.insert((step, attempt));
                    }
                }
            }
        }
        let mut draft = claim.draft();
        let commands = draft.add(kinds)?;
        let events = draft.events;
        let told = self.commit(claim, events, Vec::new()).await?;
        for after in after {
            match after {
                After::GoOn(durable) => {
                    let _ = durable.send(Ok(()));
                }
                After::Ended(kind, tools) => self.ended(&kind, tools),
            }
        }
        self.act(&claim.run, commands);
        self.tell(told);
        Ok(())
    }

    /// An attempt's end is durable: removes its containers beside what comes next.
    fn ended(&mut self, kind: &EventKind, tools: Option<StepTools>) {
        if let Some(tools) = tools {
            self.tasks.spawn(async move {
                if let Err(error) = tools.remove().await {
                    // The run's end comes back to them, and after it the next sweep.
                    tracing::warn!("containers of a finished step are still there: {error}");
                }
            });
        }
        if let EventKind::StepFinished { step, attempt, .. } | EventKind::StepUndecided { step, attempt } = kind {
            self.stops.remove(&(step.clone(), *attempt));
        }
    }

    /// Carries commands out whose reasons are durable.
    pub(crate) fn act(&mut self, run: &Run, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::StartStep { step, attempt, config, timeout_ms, warnings } => {
                    let Some(planned) = run.planned_step(&step) else { continue };
                    let begin = Begin {
                        step: planned.clone(),
                        attempt,
                        config,
                        timeout_ms,
                        warnings,
                        sub_run: None,
                        again: None,
                        cancelling: false,
                    };
                    self.start(begin);
                }
                Command::StartSubRun { step, attempt, inputs, .. } => {
                    let begun = run.step(&step).and_then(|view| view.attempts.last()?.sub_run.cloned());
                    let (Some(planned), Some(sub_run)) = (run.planned_step(&step), begun) else { continue };
                    self.start_sub_run(run, planned, attempt, sub_run, inputs, false);
                }
                Command::StartTimer { step, attempt, due_ms } => {
                    self.ring_at(due_ms, Fact::Due { step, attempt });
                }
                Command::AwaitGate { step, attempt, due_ms } => {
                    self.ring_at(due_ms, Fact::GateDue { step, attempt });
                }
                Command::CancelStep { step, attempt } => {
                    let key = (step, attempt);
                    if self.parked.remove(&key) {
                        self.cancel_parked(run, &key.0, attempt);
                    } else if let Some(stop) = self.stops.get(&key) {
                        stop.cancel();
                    }
                }
                // People answer, and what was recorded with what led to it.
                Command::AskFate { .. }
                | Command::OpenGate { .. }
                | Command::EnterGroup { .. }
                | Command::EnterState { .. }
                | Command::Finish { .. } => {}
            }
        }
    }

    fn ring_at(&mut self, due_ms: u64, fact: Fact) {
        let facts = self.shared.facts.clone();
        self.timers.spawn(async move {
            // A timer may ring a moment early by the clock that events are dated with.
            while now_ms() < due_ms {
                tokio::time::sleep(until(due_ms)).await;
            }
            let _ = facts.send(fact).await;
        });
    }

    fn start(&mut self, begin: Begin) {
        let Begin { step, attempt, config, timeout_ms, warnings, again, cancelling, .. } = begin;
        // The engine commands the start of an attempt for what plugins carry out only.
        let Work::Plugin(work) = step.work else { return };
        let step = step.name;
        let stop = self.stop_for(&step, attempt, cancelling);
        // The log is begun before anybody hears of the attempt: who follows it then follows this execution's log, and not what
        // an earlier one has left.
        let log = LogFile::begin(&self.shared, &step, attempt);
        let (run, name) = (self.shared.run.clone(), step.clone());
        let _ = self.notices.send(Notice::Began { run, step: name, attempt, again: again.is_some() });
        let shared = Arc::clone(&self.shared);
        let span = tracing::info_span!(
            "step", run = %shared.run, step = %step, attempt, plugin = %work.plugin, step_type = %work.step_type,
            outcome = tracing::field::Empty,
        );
        let attempt = Attempt { shared, step, work, attempt, config, timeout_ms, warnings, again, stop, log };
        self.tasks.spawn(attempt.carry_out().instrument(span));
    }

    pub(crate) fn start_again(&mut self, run: &Run, begin: Begin) {
        match begin.sub_run.clone() {
            None => self.start(begin),
            Some(sub_run) => {
                let inputs = begin.config.as_object().cloned().unwrap_or_default();
                self.start_sub_run(run, &begin.step, begin.attempt, sub_run, inputs, begin.cancelling);
            }
        }
    }

    fn stop_for(&mut self, step: &StepName, attempt: u32, cancelling: bool) -> CancellationToken {
        let stop = CancellationToken::new();
        if cancelling {
            stop.cancel();
        }
        self.stops.insert((step.clone(), attempt), stop.clone());
        stop
    }

    fn start_sub_run(
        &mut self,
        run: &Run,
        step: &Step,
        attempt: u32,
        sub_run: RunId,
        inputs: Map<String, Value>,
        cancelling: bool,
    ) {
        let stop = self.stop_for(&step.name, attempt, cancelling);
        let shared = Arc::clone(&self.shared);
        let Some(task) = SubRunTask::new(shared, run, step, attempt, sub_run, inputs, stop, self.notices.clone())
        else {
            return;
        };
        if task.waits() {
            self.tasks.spawn(task.carry_out());
        } else {
            self.detached.spawn(task.carry_out());
        }
    }

    /// A sub-run that waits somewhere is taken up, to be stopped.
    fn cancel_parked(&mut self, run: &Run, step: &StepName, attempt: u32) {
        let flight = run.in_flight().into_iter().find(|flight| flight.step.name == *step && flight.attempt == attempt);
        let Some(flight) = flight else { return };
        let inputs = flight.config.as_object().cloned().unwrap_or_default();
        if let Some(sub_run) = flight.sub_run.cloned() {
            self.start_sub_run(run, flight.step, attempt, sub_run, inputs, true);
        }
    }

    /// Goes on with the sub-runs that waited and have ended meanwhile, whoever has carried them out.
    pub(crate) async fn look_at_parked(&mut self, run: &Run) -> Result<(), DriverError> {
        for flight in run.in_flight() {
            let key = (flight.step.name.clone(), flight.attempt);
            let Some(sub_run) = flight.sub_run.filter(|_| self.parked.contains(&key)) else { continue };
            if self.shared.host.parts.store.run(sub_run).await?.outcome.is_some() {
                self.parked.remove(&key);
                let inputs = flight.config.as_object().cloned().unwrap_or_default();
                self.start_sub_run(run, flight.step, flight.attempt, sub_run.clone(), inputs, false);
            }
        }
        Ok(())
    }

    /// What a run that was taken up is asked first, and all that is outstanding; gives the commands that are now to be acted on.
    pub(crate) async fn take_up(&mut self, claim: &mut Claim, asked: &[Asked]) -> Result<Vec<Command>, DriverError> {
        let requests = self.shared.host.parts.store.requests(&self.shared.run).await?;
        let mut draft = claim.draft();
        for asked in asked {
            let kind = asked.event(draft.run)?;
            draft.try_apply(kind).map_err(DriverError::Refused)?;
        }
        let mut answers = Vec::new();
        let mut forced = false;
        for request in requests {
            let answered = answer(&mut draft, &request);
            forced |= matches!(answered, Ok((_, true)));
            answers.push((request.id, answered.err()));
        }
        // All that is outstanding, old and new, gets its intent in this commit.
        let outstanding = draft.run.outstanding();
        let commands = draft.intend(outstanding)?;
        let events = draft.events;
        let told = self.commit(claim, events, answers).await?;
        claim.fresh.extend(told);
        if forced {
            self.shared.at_once.cancel();
        }
        Ok(commands)
    }

    /// What others have asked meanwhile, each answered in the commit that it leads to.
    pub(crate) async fn take_requests(&mut self, claim: &mut Claim) -> Result<(), DriverError> {
        let requests = self.shared.host.parts.store.requests(&self.shared.run).await?;
        if requests.is_empty() {
            return Ok(());
        }
        let mut draft = claim.draft();
        let (mut commands, mut answers) = (Vec::new(), Vec::new());
        let mut forced = false;
        for request in requests {
            match answer(&mut draft, &request) {
                Ok((follow, at_once)) => {
                    forced |= at_once;
                    commands.extend(draft.intend(follow)?);
                    answers.push((request.id, None));
                }
                Err(why) => answers.push((request.id, Some(why))),
            }
        }
        let events = draft.events;
        let told = self.commit(claim, events, answers).await?;
        self.act(&claim.run, commands);
        if forced {
            self.shared.at_once.cancel();
        }
        self.tell(told);
        Ok(())
    }

    /// Waits for the run's turn in its group, if it is in one.
    pub(crate) async fn enter_group(&mut self, claim: &mut Claim, stop: &Stop) -> Result<(), DriverError> {
        let Some(group) = claim.run.queued_in().map(|group| group.name.clone()) else { return Ok(()) };
        // A turn comes when another run ends.
        let (mut ends, mut bell) = (self.shared.host.ended(), self.shared.host.asked());
        let mut told = Vec::new();
        while claim.run.queued_in().is_some() && !stop.gently.is_cancelled() {
            let before = claim.run.clone();
            let mut draft = claim.draft();
            let commands = draft.add(vec![EventKind::GroupEntered {}])?;
            let events = draft.events;
            let standing = Standing { turn: true, ..Standing::of(&claim.run, &events) };
            let first = claim.next;
            match self.shared.host.parts.store.append(&self.shared.run, first, &events, standing).await {
                Ok(next) => {
                    claim.next = next;
                    self.act(&claim.run, commands);
                    self.tell(recorded(&self.shared.run, first, events));
                    return Ok(());
                }
                Err(StoreError::NotItsTurn { behind, .. }) => {
                    claim.run = before;
                    if behind != told {
                        told.clone_from(&behind);
                        let (run, group) = (self.shared.run.clone(), group.clone());
                        let _ = self.notices.send(Notice::Queued { run, group, behind });
                    }
                }
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                _ = ends.changed() => {}
                () = stop.gently.cancelled() => {}
                _ = bell.changed() => self.take_requests(claim).await?,
            }
        }
        Ok(())
    }

    /// What the run waits for, if nothing of it is under way and nothing is due.
    pub(crate) fn only_waits(&self, run: &Run) -> Option<Waits> {
        if run.status() == RunStatus::Cancelling || !self.stops.is_empty() || run.queued_in().is_some() {
            return None;
        }
        let mut waits = Waits::default();
        let now = now_ms();
        for command in run.outstanding() {
            match command {
                Command::AskFate { step, .. } => waits.fates.push(step),
                Command::AwaitGate { step, due_ms, .. } if due_ms > now => {
                    waits.gates.push(step);
                    waits.due_ms = Some(waits.due_ms.map_or(due_ms, |due| due.min(due_ms)));
                }
                _ => return None,
            }
        }
        waits.sub_runs = run.in_flight().iter().filter_map(|flight| flight.sub_run.cloned()).collect();
        let something = !(waits.fates.is_empty() && waits.gates.is_empty() && waits.sub_runs.is_empty());
        something.then_some(waits)
    }
}

/// Applies what somebody has asked by a row; gives what follows, and whether it asks to stop at once. Why not, in words, where it is
/// refused.
fn answer(draft: &mut Draft<'_>, request: &RequestRow) -> Result<(Vec<Command>, bool), String> {
    let words = |error: &dyn CodedError| match error.help() {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    };
    let parsed = serde_json::from_str::<Request>(&request.body).map_err(|error| error.to_string())?;
    let asked = Asked { request: parsed, by: request.by.clone() };
    let kind = asked.event(draft.run).map_err(|error| words(&error))?;
    // The second request to stop, whoever asks: what runs has had its time to end by itself.
    let at_once = matches!(kind, EventKind::CancelRequested { .. }) && draft.run.status() == RunStatus::Cancelling;
    let follow = draft.try_apply(kind).map_err(|error| {
        if !is_refusal(&error) {
            tracing::warn!("a request to run {} does not fit: {error}", draft.run.id());
        }
        words(&error)
    })?;
    Ok((follow, at_once))
}

/// Events that have become durable, to be told.
pub(crate) fn recorded(run: &RunId, first: u64, events: Vec<Event>) -> Vec<Notice> {
    let one = |(event, seq)| Notice::Recorded { run: run.clone(), seq, event: Arc::new(event) };
    events.into_iter().zip(first..).map(one).collect()
}

/// What follows a commit.
#[allow(
    clippy::large_enum_variant,
    reason = "at most a batch of them, for as long as a commit takes; boxes would only cost"
)]
enum After {
    GoOn(oneshot::Sender<Result<(), String>>),
    Ended(EventKind, Option<StepTools>),
}
