//! Sub-runs: runs that a step of another run begins. Each is a run of its own, with its own claim, events and volumes.
//!
//! The parent records the sub-run's id before the sub-run is created, so that after a crash it is found by that id, or created under
//! it. A sub-run that waits for people is left as any run is; its step stays in flight, and nothing of either is in memory. When it
//! has ended later, in whatever process, its parent is taken up again ([`Host::parent_to_wake`]).

use crate::{
    Claim, DriverError, Ending, Host, NewRun, Stop, Terms,
    carrier::Carrier,
    carry_out,
    host::Workspace,
    run::{Fact, Notice, Shared},
};
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};
use std::{pin::pin, sync::Arc};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;
use windlass_contract::{CodedError, RunId, StepName};
use windlass_engine::{EventKind, Origin, Outcome, Parent, Reason, ReasonKind, Run};
use windlass_manifest::plan::{Plan, Step, Work};
use windlass_store::{Labels, StoreError};

/// A sub-run, to be created or taken up, and carried out.
pub(crate) struct SubRunTask {
    shared: Arc<Shared>,
    step: StepName,
    attempt: u32,
    id: RunId,
    plan: Plan,
    inputs: Map<String, Value>,
    by: Option<String>,
    wait: bool,
    timeout_ms: u64,
    stop: CancellationToken,
    notices: mpsc::UnboundedSender<Notice>,
}

/// How a sub-run was left, as its step sees it.
enum Left {
    Ended { outcome: Outcome, reason: Option<Reason>, outputs: Map<String, Value> },
    Parked,
}

impl SubRunTask {
    #[allow(clippy::too_many_arguments, reason = "what an attempt is made of; a struct of them would be this one")]
    pub(crate) fn new(
        shared: Arc<Shared>,
        run: &Run,
        step: &Step,
        attempt: u32,
        id: RunId,
        inputs: Map<String, Value>,
        stop: CancellationToken,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Option<Self> {
        let Work::SubRun(sub) = &step.work else { return None };
        // The engine refuses a plan that lacks one of its workflows.
        let plan = run.plan().workflows.get(&sub.workflow)?.clone();
        let by = run.origin().by.clone();
        let (step, wait, timeout_ms) = (step.name.clone(), sub.wait, step.timeout_ms);
        Some(SubRunTask { shared, step, attempt, id, plan, inputs, by, wait, timeout_ms, stop, notices })
    }

    /// Whether the parent waits for its end.
    pub(crate) fn waits(&self) -> bool {
        self.wait
    }

    /// Boxed, because a run may begin a run that begins a run.
    pub(crate) fn carry_out(self) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if self.wait {
                let left = self.work().await;
                self.tell(left).await;
                return;
            }
            // Nobody waits: its step has succeeded as soon as it is there.
            let claimed = self.claim().await;
            let begun = match &claimed {
                Ok(_) => Left::Ended {
                    outcome: Outcome::Succeeded,
                    reason: None,
                    outputs: Map::from_iter([("run".to_owned(), Value::from(self.id.as_str()))]),
                },
                Err(error) => failed(error),
            };
            self.tell(begun).await;
            if let Ok(Some(claim)) = claimed
                && let Err(error) = self.go_on(claim, &Stop::default()).await
            {
                tracing::warn!("the sub-run {} was left as it stands: {error}", self.id);
            }
        })
    }

    async fn tell(&self, left: Left) {
        let (step, attempt) = (self.step.clone(), self.attempt);
        let fact = match left {
            Left::Parked => Fact::Parked { step, attempt },
            Left::Ended { outcome, reason, outputs } => {
                let kind = EventKind::StepFinished { step, attempt, outcome, reason, outputs };
                Fact::Ended { kind, tools: None }
            }
        };
        let _ = self.shared.facts.send(fact).await;
    }

    async fn work(&self) -> Left {
        let claim = match self.claim().await {
            Ok(Some(claim)) => claim,
            Ok(None) => return self.ended().await,
            Err(error) => return failed(&error),
        };
        let stop = Stop::default();
        let mut running = pin!(self.go_on(claim, &stop));
        let timeout = tokio::time::sleep(std::time::Duration::from_millis(self.timeout_ms));
        let timed_out = tokio::select! {
            ending = &mut running => return self.left(ending).await,
            () = self.stop.cancelled() => false,
            () = timeout => true,
        };
        stop.request();
        let ending = tokio::select! {
            ending = &mut running => ending,
            () = self.shared.at_once.cancelled() => {
                stop.request();
                running.await
            }
        };
        match self.left(ending).await {
            Left::Ended { outputs, .. } if timed_out => Left::Ended {
                outcome: Outcome::TimedOut,
                reason: Some(Reason {
                    kind: ReasonKind::TimeoutExpired,
                    code: None,
                    message: format!("the sub-run {} took longer than its step may, and was stopped", self.id),
                }),
                outputs,
            },
            left => left,
        }
    }

    async fn left(&self, ending: Result<Ending, DriverError>) -> Left {
        match ending {
            Ok(Ending::Waiting(_)) => Left::Parked,
            Ok(Ending::Finished(_)) => self.ended().await,
            Err(error) => failed(&error),
        }
    }

    /// What a sub-run that has ended means for its step.
    async fn ended(&self) -> Left {
        let run = match self.shared.host.read(&self.id).await {
            Ok(run) => run,
            Err(error) => return failed(&error),
        };
        let outcome = run.outcome().unwrap_or(Outcome::Lost);
        let reason = outcome.is_failure().then(|| {
            let why = run.reason().map(|reason| format!(": {}", reason.message)).unwrap_or_default();
            let kind = if outcome == Outcome::Cancelled { ReasonKind::Cancelled } else { ReasonKind::SubRunFailed };
            Reason { kind, code: None, message: format!("the sub-run {} ended {outcome}{why}", self.id) }
        });
        let outputs = json!({ "run": self.id, "outcome": outcome, "output": run.result() });
        Left::Ended { outcome, reason, outputs: outputs.as_object().cloned().unwrap_or_default() }
    }

    /// The right to carry it out: of the run that is there, or of a new one under its id. `None` when it has ended.
    async fn claim(&self) -> Result<Option<Claim>, DriverError> {
        let host = &self.shared.host;
        match host.parts.store.run(&self.id).await {
            Err(StoreError::UnknownRun { .. }) => {
                let parent = Parent { run: self.shared.run.clone(), step: self.step.clone(), attempt: self.attempt };
                let origin = Origin { by: self.by.clone(), parent: Some(parent), ..Origin::default() };
                // What its step leaves out is what the workflow says it is then.
                let mut inputs = self.inputs.clone();
                for (name, declared) in &self.plan.inputs {
                    if let (None, Some(default)) = (inputs.get(name), &declared.default) {
                        inputs.insert(name.clone(), default.clone());
                    }
                }
                let new = NewRun {
                    plan: self.plan.clone(),
                    inputs,
                    file: None,
                    workspace: Workspace::LikeRun(self.shared.run.clone()),
                    origin,
                    labels: Labels { trigger: "sub-run".to_owned(), ..Labels::default() },
                };
                return host.create_as(&self.id, new).await.map(Some);
            }
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        // Looked at after listening, so that no change is missed.
        let mut commits = host.committed();
        loop {
            match host.take_up(&self.id).await {
                Ok(claim) => return Ok(Some(claim)),
                Err(DriverError::Finished { .. }) => return Ok(None),
                // Somebody else carries it out at this moment: whoever decided at its gate, say. Once it has ended, what they still hold it
                // for is no concern of its step; no commit tells when they let go.
                Err(DriverError::Store(StoreError::RunOwned { .. })) => {
                    if host.parts.store.run(&self.id).await?.outcome.is_some() {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                _ = commits.changed() => {}
                () = self.stop.cancelled() => {
                    return Err(DriverError::SubRunBusy { run: self.id.clone() });
                }
            }
        }
    }

    fn go_on<'a>(&'a self, claim: Claim, stop: &Stop) -> BoxFuture<'a, Result<Ending, DriverError>> {
        let terms = Terms {
            grants: self.shared.grants.clone(),
            asked: Vec::new(),
            stop: stop.clone(),
            wait: false,
            notices: self.notices.clone(),
        };
        Box::pin(carry_out(&self.shared.host, claim, terms))
    }
}

fn failed(error: &DriverError) -> Left {
    let message = match error.help() {
        Some(help) => format!("{error}\n{help}"),
        None => error.to_string(),
    };
    let reason = Reason { kind: ReasonKind::SubRunFailed, code: Some(error.code().to_string()), message };
    Left::Ended { outcome: Outcome::Error, reason: Some(reason), outputs: Map::new() }
}

/// Lets go of a run that has ended, and waits for the sub-runs that nobody else waits for.
pub(crate) async fn after_the_end(claim: Claim, carrier: Carrier, mut detached: JoinSet<()>) {
    drop(claim);
    drop(carrier);
    while detached.join_next().await.is_some() {}
}

impl Host {
    /// Whether the run that this one is a sub-run of waits for it, and so takes it up itself when it is taken up.
    ///
    /// # Errors
    /// When the event log cannot be read.
    pub async fn is_carried_by_parent(&self, run: &RunId, parent: &RunId) -> Result<bool, DriverError> {
        let parent = self.read(parent).await?;
        Ok(parent.finished_ms().is_none() && parent.in_flight().iter().any(|flight| flight.sub_run == Some(run)))
    }

    /// The run that waits for this one, which has ended: it is to be taken up.
    ///
    /// # Errors
    /// When the event log cannot be read.
    pub async fn parent_to_wake(&self, run: &RunId) -> Result<Option<RunId>, DriverError> {
        let run = self.read(run).await?;
        let Some(parent) = run.origin().parent.clone().filter(|_| run.finished_ms().is_some()) else { return Ok(None) };
        let state = self.read(&parent.run).await?;
        let waits = state.in_flight().iter().any(|flight| flight.sub_run == Some(run.id()));
        Ok((waits && !self.is_claimed(&parent.run)).then_some(parent.run))
    }
}
