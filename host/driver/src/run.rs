//! One run, carried out: commands to effects, answers to events.

use crate::{
    Claim, DriverError, Grants, Host,
    attempt::{self, Attempt},
    clock::{now_ms, until},
};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use windlass_capabilities::{Masker, StepTools};
use windlass_contract::{RunId, StepName};
use windlass_engine::{Command, Decision, Event, EventKind, Outcome, Reason, Run, RunStatus};
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
    /// Held while the workspace is filled, so that it is filled once.
    pub(crate) workspace: Mutex<()>,
    pub(crate) at_once: CancellationToken,
}

/// Facts that are taken at once into one commit, at most. Bounds the memory that a burst of small steps needs.
const BATCH: usize = 256;

/// Carries a run out until it has ended or waits for a person.
///
/// `decisions` are what a person says became of steps that wait for that.
///
/// # Errors
/// When the event log cannot be written: the run is then left as it was recorded, and can be taken up again.
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
        workspace: Mutex::new(()),
        at_once: stop.at_once.clone(),
    });
    let mut carrier = Carrier { shared, stops: HashMap::new(), tasks: JoinSet::new(), timers: JoinSet::new(), notices };

    if claim.taken_up {
        carrier.execute_again(&claim.run);
        claim.commands = carrier.decide(&mut claim, decisions).await?;
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
        let keep = claim.run.plan().workspace.persistent;
        carrier.shared.host.tidy(claim.run.id(), claim.taken_up, keep).await;
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

/// Adds, for every command that can be answered at once, its answer: the intent of `StartStep`, the end of the run. Gives
/// back the commands, whose effects may begin when `events` are durable.
pub(crate) fn with_intents(
    run: &mut Run,
    mut commands: Vec<Command>,
    events: &mut Vec<Event>,
) -> Result<Vec<Command>, DriverError> {
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
            let event = Event { at_ms: now_ms(), kind };
            commands.extend(apply(run, &event)?);
            events.push(event);
        }
        i += 1;
    }
    Ok(commands)
}

fn apply(run: &mut Run, event: &Event) -> Result<Vec<Command>, DriverError> {
    let at = usize::MAX;
    run.apply(event).map_err(|source| DriverError::History { run: run.id().clone(), at, source })
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
        let mut events = Vec::with_capacity(kinds.len() * 2);
        let mut commands = Vec::new();
        for kind in kinds {
            let event = Event { at_ms: now_ms(), kind };
            let new = apply(&mut claim.run, &event)?;
            events.push(event);
            commands.extend(with_intents(&mut claim.run, new, &mut events)?);
        }
        claim.next = self.shared.host.parts.store.append(&self.shared.run, claim.next, &events).await?;
        Ok(commands)
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
                    after.push(After::Tell(kind.clone(), tools));
                    kinds.push(kind);
                }
                Fact::Due { step, attempt } => {
                    // A timer that a cancel has made needless may still ring.
                    let due = |command: &Command| matches!(command, Command::StartTimer { step: s, attempt: a, .. } if *s == step && *a == attempt);
                    if claim.run.outstanding().iter().any(due) {
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
                    self.start(planned, attempt, config, timeout_ms, warnings, None);
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

    fn start(
        &mut self,
        step: &Step,
        attempt: u32,
        config: Value,
        timeout_ms: u64,
        warnings: Vec<String>,
        again: Option<attempt::Again>,
    ) {
        let stop = CancellationToken::new();
        self.stops.insert((step.name.clone(), attempt), stop.clone());
        let notice = Notice::Started { step: step.name.clone(), attempt, again: again.is_some() };
        let _ = self.notices.send(notice);
        let attempt = Attempt {
            shared: Arc::clone(&self.shared),
            step: step.clone(),
            attempt,
            config,
            timeout_ms,
            warnings,
            again,
            stop,
        };
        self.tasks.spawn(attempt.carry_out());
    }

    /// After a crash: every attempt that was in flight, as the same attempt.
    fn execute_again(&mut self, run: &Run) {
        for flight in run.in_flight() {
            let again = attempt::Again {
                started_ms: flight.started_ms,
                containers: flight.containers.iter().map(|c| (c.index, c.name.clone())).collect(),
            };
            let timeout = flight.step.timeout_ms;
            self.start(flight.step, flight.attempt, flight.config.clone(), timeout, Vec::new(), Some(again));
            if flight.cancelling
                && let Some(stop) = self.stops.get(&(flight.step.name.clone(), flight.attempt))
            {
                stop.cancel();
            }
        }
    }

    /// Records what a person has decided; gives the commands that are now to be acted on, old and new.
    async fn decide(
        &mut self,
        claim: &mut Claim,
        decisions: &[(StepName, Decision, String)],
    ) -> Result<Vec<Command>, DriverError> {
        let mut kinds = Vec::new();
        for (step, decision, by) in decisions {
            let attempt = claim.run.outstanding().into_iter().find_map(|command| match command {
                Command::OpenGate { step: of, attempt } if of == *step => Some(attempt),
                _ => None,
            });
            let Some(attempt) = attempt else {
                return Err(DriverError::NothingToDecide { run: claim.run.id().clone(), step: step.clone() });
            };
            kinds.push(EventKind::StepDecided { step: step.clone(), attempt, decision: *decision, by: by.clone() });
        }
        let mut events = Vec::new();
        for kind in kinds {
            let event = Event { at_ms: now_ms(), kind };
            apply(&mut claim.run, &event)?;
            events.push(event);
        }
        // All that is outstanding, old and new, gets its intent in this commit.
        let outstanding = claim.run.outstanding();
        let commands = with_intents(&mut claim.run, outstanding, &mut events)?;
        if !events.is_empty() {
            claim.next = self.shared.host.parts.store.append(&self.shared.run, claim.next, &events).await?;
        }
        Ok(commands)
    }
}

/// What follows a commit.
enum After {
    GoOn(oneshot::Sender<Result<(), String>>),
    Tell(EventKind, Option<StepTools>),
}
