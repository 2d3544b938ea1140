//! One run, carried out: commands to effects, answers to events.

use crate::{
    Claim, DriverError, Grants, Host,
    attempt::{Again, Attempt},
    clock::{now_ms, until},
    log_file::LogFile,
};
use serde_json::{Map, Value};
use std::{collections::HashMap, sync::Arc};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use windlass_capabilities::{Masker, StepTools};
use windlass_contract::{RunId, StepName};
use windlass_engine::{Command, Decision, Event, EventKind, Outcome, Reason, ReasonKind, Run, RunStatus, StepState};
use windlass_manifest::plan::Step;

/// How a run was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It is over.
    Finished(Outcome),
    /// These steps wait for a person to say what became of them. Nothing of the run is held in memory any more.
    Waiting(Vec<StepName>),
}

/// What has happened, told after it was made durable.
#[derive(Debug, Clone)]
pub enum Notice {
    /// An attempt has begun. Its log can be followed.
    Started {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// It was in flight when the host died, and is executed again.
        again: bool,
    },
    /// An attempt has ended.
    Ended {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// How.
        outcome: Outcome,
        /// Why, where it did not succeed.
        reason: Option<Reason>,
        /// When the next attempt begins, if there is one, in milliseconds since 1970 (UTC).
        retry_ms: Option<u64>,
    },
    /// A person has to say what became of an attempt.
    Undecided {
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
    },
    /// The run was asked to stop.
    Cancelling {
        /// Why.
        reason: String,
    },
    /// The run is over.
    Finished {
        /// How.
        outcome: Outcome,
    },
}

/// Asks a run to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    pub(crate) gently: CancellationToken,
    pub(crate) at_once: CancellationToken,
}

impl Stop {
    /// Stops what runs, with a grace, and then runs the steps that asked for it. The second time, without a grace.
    pub fn request(&self) {
        if self.gently.is_cancelled() {
            self.at_once.cancel();
        }
        self.gently.cancel();
    }
}

/// What an attempt tells its run.
pub(crate) enum Fact {
    /// Must be durable before the attempt goes on.
    Record { kind: EventKind, durable: oneshot::Sender<Result<(), String>> },
    /// The attempt is over. Its containers are removed once that is durable.
    Ended { kind: EventKind, tools: Option<StepTools> },
    /// The pause before an attempt is over.
    Due { step: StepName, attempt: u32 },
}

/// What all attempts of a run share.
pub(crate) struct Shared {
    pub(crate) host: Host,
    pub(crate) run: RunId,
    pub(crate) previous: Option<RunId>,
    pub(crate) grants: Grants,
    pub(crate) masker: Masker,
    pub(crate) facts: mpsc::Sender<Fact>,
    /// Held while the workspace is filled, so that it is filled once; true when it has been, or had been before.
    pub(crate) workspace: Mutex<bool>,
    pub(crate) at_once: CancellationToken,
}

/// Facts that are taken at once into one commit, at most. Bounds the memory that a burst of small steps needs.
const BATCH: usize = 256;

/// Carries a run out until it has ended or waits for a person.
///
/// `decisions` are what a person says became of steps that wait for that.
///
/// # Errors
/// When the event log cannot be written, or a decision is about nothing that waits for one. The run is then left as it was
/// recorded, and can be taken up again: its containers go on, because they are what the next execution adopts.
pub async fn carry_out(
    host: &Host,
    mut claim: Claim,
    grants: Grants,
    decisions: &[(StepName, Decision, String)],
    stop: Stop,
    notices: mpsc::UnboundedSender<Notice>,
) -> Result<Ending, DriverError> {
    let (facts, mut inbox) = mpsc::channel(BATCH);
    let shared = Arc::new(Shared {
        host: host.clone(),
        run: claim.run.id().clone(),
        previous: claim.run.previous().cloned(),
        grants,
        masker: Masker::default(),
        facts,
        workspace: Mutex::new(false),
        at_once: stop.at_once.clone(),
    });
    let mut carrier = Carrier { shared, stops: HashMap::new(), tasks: JoinSet::new(), timers: JoinSet::new(), notices };

    if claim.taken_up {
        host.mask_known_secrets(&claim.secrets, &carrier.shared.masker).await;
        // Before the decisions, whose attempts begin anew: what is in flight here was so when the host died.
        let again = attempts_again(&claim.run);
        claim.commands = carrier.decide(&mut claim, decisions).await?;
        for begin in again {
            carrier.start(begin);
        }
    }
    let commands = std::mem::take(&mut claim.commands);
    carrier.act(&claim.run, commands);

    let mut requests = 0;
    let ending = loop {
        if let Some(outcome) = claim.run.finished_ms().and_then(|_| claim.run.outcome()) {
            break Ending::Finished(outcome);
        }
        if claim.run.status() == RunStatus::Waiting && carrier.stops.is_empty() {
            let waiting = gates(&claim.run);
            if claim.run.outstanding().len() == waiting.len() {
                break Ending::Waiting(waiting);
            }
        }
        while carrier.tasks.try_join_next().is_some() {}
        while carrier.timers.try_join_next().is_some() {}
        let mut batch = Vec::new();
        let token = if requests == 0 { &stop.gently } else { &stop.at_once };
        tokio::select! {
            biased;
            _ = inbox.recv_many(&mut batch, BATCH) => {}
            () = token.cancelled(), if requests < 2 => {
                requests += 1;
                let reason = if requests == 1 { "interrupted" } else { "interrupted again" };
                let kind = EventKind::CancelRequested { reason: reason.to_owned() };
                let commands = carrier.record(&mut claim, vec![kind]).await?;
                let _ = carrier.notices.send(Notice::Cancelling { reason: reason.to_owned() });
                carrier.act(&claim.run, commands);
                continue;
            }
        }
        let commands = carrier.take(&mut claim, batch).await?;
        carrier.act(&claim.run, commands);
    };
    // Containers of ended attempts are removed beside the next steps; the last ones are waited for.
    while carrier.tasks.join_next().await.is_some() {}
    if let Ending::Finished(outcome) = &ending {
        carrier.shared.host.tidy(&claim.run, claim.taken_up).await;
        let _ = carrier.notices.send(Notice::Finished { outcome: *outcome });
    }
    Ok(ending)
}

/// The steps that wait for a person.
fn gates(run: &Run) -> Vec<StepName> {
    let outstanding = run.outstanding();
    let gate = |command| match command {
        Command::OpenGate { step, .. } => Some(step),
        _ => None,
    };
    outstanding.into_iter().filter_map(gate).collect()
}

/// After a crash: every attempt that was in flight, to be executed again as the same attempt.
fn attempts_again(run: &Run) -> Vec<Begin> {
    let again = |flight: windlass_engine::InFlight<'_>| Begin {
        step: flight.step.clone(),
        attempt: flight.attempt,
        config: flight.config.clone(),
        timeout_ms: flight.step.timeout_ms,
        warnings: Vec::new(),
        again: Some(Again {
            started_ms: flight.started_ms,
            containers: flight.containers.iter().map(|c| (c.index, c.name.clone())).collect(),
        }),
        cancelling: flight.cancelling,
    };
    run.in_flight().into_iter().map(again).collect()
}

/// Events that are about to become durable in one commit, as the run takes them.
pub(crate) struct Draft<'a> {
    pub(crate) run: &'a mut Run,
    /// How many events the run has already, for an error's words.
    pub(crate) before: usize,
    pub(crate) events: Vec<Event>,
}

impl Draft<'_> {
    /// The run takes an event, and the intents that follow from it; gives the commands whose effects may begin when all of
    /// it is durable.
    fn add(&mut self, kind: EventKind) -> Result<Vec<Command>, DriverError> {
        let commands = self.apply(kind)?;
        self.intend(commands)
    }

    /// Adds, for every command that can be answered at once, its answer: the intent of `StartStep`, the end of the run.
    pub(crate) fn intend(&mut self, mut commands: Vec<Command>) -> Result<Vec<Command>, DriverError> {
        let mut i = 0;
        while i < commands.len() {
            let kind = match &commands[i] {
                Command::StartStep { step, attempt, .. } => {
                    Some(EventKind::StepStarted { step: step.clone(), attempt: *attempt })
                }
                Command::Finish { outcome } => Some(EventKind::RunFinished { outcome: *outcome }),
                Command::StartTimer { .. } | Command::OpenGate { .. } | Command::CancelStep { .. } => None,
            };
            if let Some(kind) = kind {
                commands.extend(self.apply(kind)?);
            }
            i += 1;
        }
        Ok(commands)
    }

    fn apply(&mut self, kind: EventKind) -> Result<Vec<Command>, DriverError> {
        let event = Event { at_ms: now_ms(), kind };
        let at = self.before + self.events.len();
        let commands = self.run.apply(&event);
        let commands = commands.map_err(|source| DriverError::History { run: self.run.id().clone(), at, source })?;
        self.events.push(event);
        Ok(commands)
    }
}

/// An attempt that is to begin now, or again.
struct Begin {
    step: Step,
    attempt: u32,
    config: Value,
    timeout_ms: u64,
    warnings: Vec<String>,
    again: Option<Again>,
    /// It had been asked to stop already.
    cancelling: bool,
}

struct Carrier {
    shared: Arc<Shared>,
    /// The attempts that run, and how each is asked to stop.
    stops: HashMap<(StepName, u32), CancellationToken>,
    /// Attempts, and the removal of what they leave.
    tasks: JoinSet<()>,
    /// Pauses before attempts; dropped with the carrier, whether they have rung or not.
    timers: JoinSet<()>,
    notices: mpsc::UnboundedSender<Notice>,
}

impl Carrier {
    /// Makes `kinds` durable in one commit, together with the intents that follow from them; then their commands may be acted on.
    async fn record(&self, claim: &mut Claim, kinds: Vec<EventKind>) -> Result<Vec<Command>, DriverError> {
        let mut draft = claim.draft();
        let mut commands = Vec::new();
        for kind in kinds {
            commands.extend(draft.add(kind)?);
        }
        let events = draft.events;
        self.commit(claim, &events).await?;
        Ok(commands)
    }

    async fn commit(&self, claim: &mut Claim, events: &[Event]) -> Result<(), DriverError> {
        if !events.is_empty() {
            claim.next = self.shared.host.parts.store.append(&self.shared.run, claim.next, events).await?;
        }
        Ok(())
    }

    /// Takes what attempts have told, in one commit; then lets them go on, and tells the world.
    async fn take(&mut self, claim: &mut Claim, batch: Vec<Fact>) -> Result<Vec<Command>, DriverError> {
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
                    after.push(After::Tell(kind.clone(), tools));
                    kinds.push(kind);
                }
                Fact::Due { step, attempt } => {
                    // A timer that a cancel has made needless may still ring.
                    let retrying = claim.run.step(&step).is_some_and(|step| {
                        matches!(step.state, StepState::Retrying { .. }) && step.attempts.len() + 1 == attempt as usize
                    });
                    if retrying {
                        kinds.push(EventKind::RetryDue { step, attempt });
                    }
                }
            }
        }
        let commands = self.record(claim, kinds).await?;
        for after in after {
            match after {
                After::GoOn(durable) => {
                    let _ = durable.send(Ok(()));
                }
                After::Tell(kind, tools) => self.ended(kind, tools, &commands),
            }
        }
        Ok(commands)
    }

    /// An attempt's end is durable: tells it, and removes its containers beside what comes next.
    fn ended(&mut self, kind: EventKind, tools: Option<StepTools>, commands: &[Command]) {
        if let Some(tools) = tools {
            self.tasks.spawn(async move {
                if let Err(error) = tools.remove().await {
                    // The run's end comes back to them, and after it the next sweep.
                    tracing::warn!("containers of a finished step are still there: {error}");
                }
            });
        }
        let notice = match kind {
            EventKind::StepFinished { step, attempt, outcome, reason, .. } => {
                self.stops.remove(&(step.clone(), attempt));
                let retry_ms = commands.iter().find_map(|command| match command {
                    Command::StartTimer { step: of, due_ms, .. } if *of == step => Some(*due_ms),
                    _ => None,
                });
                Notice::Ended { step, attempt, outcome, reason, retry_ms }
            }
            EventKind::StepUndecided { step, attempt } => {
                self.stops.remove(&(step.clone(), attempt));
                Notice::Undecided { step, attempt }
            }
            _ => return,
        };
        let _ = self.notices.send(notice);
    }

    /// Carries commands out whose reasons are durable.
    fn act(&mut self, run: &Run, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::StartStep { step, attempt, config, timeout_ms, warnings } => {
                    let Some(planned) = run.planned_step(&step) else { continue };
                    let step = planned.clone();
                    self.start(Begin { step, attempt, config, timeout_ms, warnings, again: None, cancelling: false });
                }
                Command::StartTimer { step, attempt, due_ms } => {
                    let facts = self.shared.facts.clone();
                    self.timers.spawn(async move {
                        tokio::time::sleep(until(due_ms)).await;
                        let _ = facts.send(Fact::Due { step, attempt }).await;
                    });
                }
                Command::CancelStep { step, attempt } => {
                    if let Some(stop) = self.stops.get(&(step, attempt)) {
                        stop.cancel();
                    }
                }
                // A person answers; and the end of the run was recorded with what led to it.
                Command::OpenGate { .. } | Command::Finish { .. } => {}
            }
        }
    }

    fn start(&mut self, begin: Begin) {
        let Begin { step, attempt, config, timeout_ms, warnings, again, cancelling } = begin;
        let stop = CancellationToken::new();
        if cancelling {
            stop.cancel();
        }
        self.stops.insert((step.name.clone(), attempt), stop.clone());
        // The log is begun before anybody hears of the attempt: who follows it then follows this execution's log, and not what
        // an earlier one has left.
        let log = LogFile::begin(&self.shared, &step.name, attempt);
        let _ = self.notices.send(Notice::Started { step: step.name.clone(), attempt, again: again.is_some() });
        let shared = Arc::clone(&self.shared);
        let attempt = Attempt { shared, step, attempt, config, timeout_ms, warnings, again, stop, log };
        self.tasks.spawn(attempt.carry_out());
    }

    /// Records what a person has decided; gives the commands that are now to be acted on, old and new.
    async fn decide(
        &mut self,
        claim: &mut Claim,
        decisions: &[(StepName, Decision, String)],
    ) -> Result<Vec<Command>, DriverError> {
        let mut draft = claim.draft();
        for (step, decision, by) in decisions {
            let attempt = draft.run.outstanding().into_iter().find_map(|command| match command {
                Command::OpenGate { step: of, attempt } if of == *step => Some(attempt),
                _ => None,
            });
            let Some(attempt) = attempt else {
                return Err(DriverError::NothingToDecide { run: self.shared.run.clone(), step: step.clone() });
            };
            draft.apply(EventKind::StepDecided { step: step.clone(), attempt, decision: *decision, by: by.clone() })?;
        }
        // All that is outstanding, old and new, gets its intent in this commit.
        let outstanding = draft.run.outstanding();
        let commands = draft.intend(outstanding)?;
        let events = draft.events;
        self.commit(claim, &events).await?;
        Ok(commands)
    }
}

/// In a run that was asked to stop, nobody is asked what became of an attempt: it is lost, as the engine says of those that
/// were waiting for a person already.
fn decided_by_cancel(run: &Run, kind: EventKind) -> EventKind {
    match kind {
        EventKind::StepUndecided { step, attempt }
            if run.step(&step).is_some_and(|step| step.state == StepState::Running { cancelling: true }) =>
        {
            let message = "nobody knows whether it took effect, and the run was asked to stop";
            let reason = Reason { kind: ReasonKind::Lost, code: None, message: message.to_owned() };
            EventKind::StepFinished { step, attempt, outcome: Outcome::Lost, reason: Some(reason), outputs: Map::new() }
        }
        kind => kind,
    }
}

/// What follows a commit.
#[allow(
    clippy::large_enum_variant,
    reason = "at most a batch of them, for as long as a commit takes; boxes would only cost"
)]
enum After {
    GoOn(oneshot::Sender<Result<(), String>>),
    Tell(EventKind, Option<StepTools>),
}
