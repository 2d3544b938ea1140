//! What people ask of a run: votes at gates, what became of a step, to stop.
//!
//! Whoever holds the run's claim applies what it is told directly, and refuses it with an error before anything begins. Everybody else
//! writes a row ([`Host::ask`]), which wakes the claim's holder, and reads the answer.

use crate::{DriverError, Host, clock::now_ms};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use windlass_contract::{RunId, StepName};
use windlass_engine::{Command, Decision, EngineError, EventKind, Reason, ReasonKind, Run, StepState, Vote};

/// Something asked of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// A vote at a gate.
    Vote {
        /// The gate's step.
        step: StepName,
        /// What.
        vote: Vote,
        /// Why, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comment: Option<String>,
        /// The e-mail address of who asks, where that is proved too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<String>,
    },
    /// What became of a step that nobody could tell about after a crash.
    Decide {
        /// The step.
        step: StepName,
        /// What it counts as.
        decision: Decision,
    },
    /// To stop; a second time, at once.
    Cancel {
        /// Why, in words.
        reason: String,
    },
}

/// A request with who asks: an identity that was proved to whoever passes it on, never a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What.
    pub request: Request,
    /// Who.
    pub by: String,
}

impl Asked {
    /// The event that it is for a run as it stands.
    pub(crate) fn event(&self, run: &Run) -> Result<EventKind, DriverError> {
        let nothing = |step: &StepName| DriverError::NothingToDecide { run: run.id().clone(), step: step.clone() };
        match &self.request {
            Request::Vote { step, vote, comment, email } => {
                let attempt = run.gates().iter().find(|gate| gate.step == step).map(|gate| gate.attempt);
                let attempt = attempt.ok_or_else(|| nothing(step))?;
                let (step, by, email) = (step.clone(), self.by.clone(), email.clone());
                Ok(EventKind::GateVoted { step, attempt, by, vote: vote.clone(), comment: comment.clone(), email })
            }
            Request::Decide { step, decision } => {
                let asks = |command| match command {
                    Command::AskFate { step: of, attempt } if of == *step => Some(attempt),
                    _ => None,
                };
                let attempt = run.outstanding().into_iter().find_map(asks).ok_or_else(|| nothing(step))?;
                Ok(EventKind::StepDecided { step: step.clone(), attempt, decision: *decision, by: self.by.clone() })
            }
            Request::Cancel { reason } => Ok(EventKind::CancelRequested { reason: format!("{reason} ({})", self.by) }),
        }
    }
}

impl Host {
    /// Asks something of a run, whoever carries it out; gives the request's number. Durable when this returns.
    ///
    /// # Errors
    /// When there is no such run, or the row cannot be written.
    pub async fn ask(&self, run: &RunId, asked: &Asked) -> Result<i64, DriverError> {
        let body = serde_json::to_string(&asked.request).map_err(|error| DriverError::Panicked(error.to_string()))?;
        Ok(self.parts.store.ask(run, now_ms(), &asked.by, body).await?)
    }
}

/// In a run that was asked to stop, nobody is asked what became of an attempt: it is lost, as the engine says of those that
/// were waiting for a person already.
pub(crate) fn decided_by_cancel(run: &Run, kind: EventKind) -> EventKind {
    match kind {
        EventKind::StepUndecided { step, attempt }
            if run.step(&step).is_some_and(|step| step.state == StepState::Running { cancelling: true }) =>
        {
            let message = "nobody knows whether it took effect, and the run was asked to stop";
            let reason = Reason { kind: ReasonKind::Lost, code: None, message: message.to_owned() };
            let outcome = windlass_engine::Outcome::Lost;
            EventKind::StepFinished { step, attempt, outcome, reason: Some(reason), outputs: Map::new() }
        }
        kind => kind,
    }
}

/// Whether the engine's refusal is about what somebody asked, and not a damaged history.
pub(crate) fn is_refusal(error: &EngineError) -> bool {
    matches!(error, EngineError::VoteRefused { .. } | EngineError::Over { .. } | EngineError::DoesNotFit { .. })
}
