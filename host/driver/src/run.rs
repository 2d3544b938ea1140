//! One run, carried out: commands to effects, answers to events.

use crate::{
    Asked, Claim, DriverError, Grants, Host,
    carrier::{Carrier, attempts_again},
    sub_run::after_the_end,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use windlass_capabilities::{Masker, StepTools, VolumePlace};
use windlass_contract::{RunId, StepName};
use windlass_engine::{Event, EventKind, Outcome};
use windlass_store::StoreError;

/// How a run was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It is over.
    Finished(Outcome),
    /// It waits. Nothing of it is held in memory any more.
    Waiting(Waits),
}

/// What a run waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waits {
    /// Steps of which a person has to say what became of them.
    pub fates: Vec<StepName>,
    /// Gates that are open.
    pub gates: Vec<StepName>,
    /// Sub-runs that wait themselves.
    pub sub_runs: Vec<RunId>,
    /// When the first of its gates goes on by itself, in milliseconds since 1970 (UTC).
    pub due_ms: Option<u64>,
}

/// What has happened, told after it was made durable.
#[derive(Debug, Clone)]
pub enum Notice {
    /// An attempt's log has begun and can be followed. What led to it is told next, unless it is executed again.
    Began {
        /// The run.
        run: RunId,
        /// The step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// It was in flight when the host died, and is executed again.
        again: bool,
    },
    /// A fact.
    Recorded {
        /// The run.
        run: RunId,
        /// The event's number in it, from 1.
        seq: u64,
        /// What.
        event: Arc<Event>,
    },
    /// The run waits for its turn.
    Queued {
        /// The run.
        run: RunId,
        /// In which group.
        group: String,
        /// Behind which runs, in the order of their turns.
        behind: Vec<String>,
    },
    /// What was asked of the run by rows has an answer in them.
    Answered {
        /// The run.
        run: RunId,
    },
    /// The run is carried by nobody any more: it has ended, waits, or could not be carried on.
    Left {
        /// The run.
        run: RunId,
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

/// How a run is carried out.
pub struct Terms {
    /// What each plugin may do.
    pub grants: Grants,
    /// What is asked of the run before it goes on. One that is refused is an error, and then nothing has begun.
    pub asked: Vec<Asked>,
    /// Asks it to stop.
    pub stop: Stop,
    /// Whether to stay where it waits for people or a gate's time, instead of leaving it to whoever takes it up.
    pub wait: bool,
    /// Where what happens is told.
    pub notices: mpsc::UnboundedSender<Notice>,
}

/// What an attempt tells its run.
pub(crate) enum Fact {
    /// Must be durable before the attempt goes on.
    Record { kind: EventKind, durable: oneshot::Sender<Result<(), String>> },
    /// The attempt is over. Its containers are removed once that is durable.
    Ended { kind: EventKind, tools: Option<StepTools> },
    /// The pause before an attempt is over.
    Due { step: StepName, attempt: u32 },
    /// The time has come that a gate waits for.
    GateDue { step: StepName, attempt: u32 },
    /// A sub-run waits, and nothing of it is in memory any more.
    Parked { step: StepName, attempt: u32 },
}

/// What all attempts of a run share.
pub(crate) struct Shared {
    pub(crate) host: Host,
    pub(crate) run: RunId,
    pub(crate) previous: Option<RunId>,
    pub(crate) grants: Grants,
    pub(crate) masker: Masker,
    pub(crate) volumes: BTreeMap<String, VolumePlace>,
    pub(crate) facts: mpsc::Sender<Fact>,
    /// Whether sub-runs may begin with the workspace that this run began with.
    pub(crate) has_sub_runs: bool,
    /// Held while the workspace is filled, so that it is filled once; true when it has been, or had been before.
    pub(crate) workspace: Mutex<bool>,
    pub(crate) at_once: CancellationToken,
}

/// Facts that are taken at once into one commit, at most. Bounds the memory that a burst of small steps needs.
const BATCH: usize = 256;

/// Carries a run out until it has ended or waits.
///
/// # Errors
/// When the event log cannot be written, or something that was asked is refused. The run is then left as it was
/// recorded, and can be taken up again: its containers go on, because they are what the next execution adopts.
#[tracing::instrument(name = "run", skip_all, fields(run = %claim.run.id(), pipeline = claim.run.plan().name))]
pub async fn carry_out(host: &Host, claim: Claim, terms: Terms) -> Result<Ending, DriverError> {
    let (run, notices) = (claim.run.id().clone(), terms.notices.clone());
    let ending = carry_until_left(host, claim, terms).await;
    let _ = notices.send(Notice::Left { run });
    ending
}

async fn carry_until_left(host: &Host, mut claim: Claim, mut terms: Terms) -> Result<Ending, DriverError> {
    let run = claim.run.id().clone();
    loop {
        let (grants, stop, notices) = (terms.grants.clone(), terms.stop.clone(), terms.notices.clone());
        let asked = std::mem::take(&mut terms.asked);
        let ending = carry_on(host, claim, Terms { grants, asked, stop, wait: terms.wait, notices }).await?;
        // Whoever asked something while the run was being left saw it held, and waits for an answer: it is looked for after the
        // claim is given back, so that either they see the run free, or their request is seen here.
        if matches!(ending, Ending::Finished(_)) || host.store().requests(&run).await?.is_empty() {
            return Ok(ending);
        }
        match host.take_up(&run).await {
            Ok(again) => claim = again,
            // Somebody else was faster, and answers.
            Err(DriverError::Store(StoreError::RunOwned { .. }) | DriverError::Finished { .. }) => return Ok(ending),
            Err(error) => return Err(error),
        }
    }
}

/// The same for one claim.
async fn carry_on(host: &Host, mut claim: Claim, terms: Terms) -> Result<Ending, DriverError> {
    let Terms { grants, asked, stop, wait, notices } = terms;
    let (facts, mut inbox) = mpsc::channel(BATCH);
    let shared = Arc::new(Shared {
        host: host.clone(),
        run: claim.run.id().clone(),
        previous: claim.run.previous().cloned(),
        grants,
        masker: Masker::default(),
        volumes: crate::traces::volume_places(claim.run.plan()),
        facts,
        has_sub_runs: !claim.run.plan().workflows.is_empty(),
        workspace: Mutex::new(false),
        at_once: stop.at_once.clone(),
    });
    let mut carrier = Carrier {
        shared,
        stops: HashMap::new(),
        parked: HashSet::new(),
        tasks: JoinSet::new(),
        detached: JoinSet::new(),
        timers: JoinSet::new(),
        notices,
    };

    // Looked at after the watches are there, so that nothing that is asked, and no sub-run's end, is missed in between.
    let (mut bell, mut ends) = (host.asked(), host.ended());
    if claim.taken_up {
        host.mask_known_secrets(&claim.secrets, &carrier.shared.masker).await;
        // Before what was asked, whose attempts begin anew: what is in flight here was so when the host died.
        let again = attempts_again(&claim.run);
        claim.commands = carrier.take_up(&mut claim, &asked).await?;
        for begin in again {
            carrier.start_again(&claim.run, begin);
        }
    }
    let commands = std::mem::take(&mut claim.commands);
    carrier.act(&claim.run, commands);
    carrier.tell(std::mem::take(&mut claim.fresh));
    carrier.enter_group(&mut claim, &stop).await?;

    let mut requests = 0;
    let ending = loop {
        if let Some(outcome) = claim.run.finished_ms().and_then(|_| claim.run.outcome()) {
            break Ending::Finished(outcome);
        }
        let stopping = stop.gently.is_cancelled();
        if !wait
            && !stopping
            && let Some(waits) = carrier.only_waits(&claim.run)
        {
            break Ending::Waiting(waits);
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
                carrier.record_and_act(&mut claim, vec![kind]).await?;
                continue;
            }
            _ = bell.changed() => {
                carrier.take_requests(&mut claim).await?;
                continue;
            }
            _ = ends.changed(), if !carrier.parked.is_empty() => {
                carrier.look_at_parked(&claim.run).await?;
                continue;
            }
        }
        carrier.take(&mut claim, batch).await?;
    };
    // Containers of ended attempts are removed beside the next steps; the last ones are waited for.
    while carrier.tasks.join_next().await.is_some() {}
    if let Ending::Finished(_) = &ending {
        carrier.shared.host.tidy(&claim.run, claim.taken_up).await;
    }
    // What nobody waits for goes on after the run, and this process with it.
    let detached = std::mem::take(&mut carrier.detached);
    after_the_end(claim, carrier, detached).await;
    Ok(ending)
}
