//! Events that are about to become durable in one commit, as the run takes them.

use crate::{DriverError, clock::now_ms, host::new_run_id};
use windlass_engine::{Command, EngineError, Event, EventKind, Run};

/// See the module.
pub(crate) struct Draft<'a> {
    pub(crate) run: &'a mut Run,
    /// How many events the run has already, for an error's words.
    pub(crate) before: usize,
    pub(crate) events: Vec<Event>,
}

impl Draft<'_> {
    /// The run takes events, each with the intents that follow from it; gives the commands whose effects may begin when all of
    /// it is durable.
    pub(crate) fn add(&mut self, kinds: Vec<EventKind>) -> Result<Vec<Command>, DriverError> {
        let mut commands = Vec::new();
        for kind in kinds {
            let follow = self.apply(kind)?;
            commands.extend(self.intend(follow)?);
        }
        Ok(commands)
    }

    /// Adds, for every command that can be answered at once, its answer: the intent to begin something, the next state, the end.
    pub(crate) fn intend(&mut self, mut commands: Vec<Command>) -> Result<Vec<Command>, DriverError> {
        let mut i = 0;
        while i < commands.len() {
            let kind = match &commands[i] {
                Command::StartStep { step, attempt, .. } => {
                    Some(EventKind::StepStarted { step: step.clone(), attempt: *attempt })
                }
                Command::OpenGate { step, attempt } => {
                    Some(EventKind::GateOpened { step: step.clone(), attempt: *attempt })
                }
                Command::StartSubRun { step, attempt, .. } => {
                    Some(EventKind::SubRunStarted { step: step.clone(), attempt: *attempt, run: new_run_id() })
                }
                Command::EnterState { state, transition, feedback } => Some(EventKind::StateEntered {
                    state: state.clone(),
                    transition: *transition,
                    feedback: feedback.clone(),
                }),
                Command::Finish { outcome } => Some(EventKind::RunFinished { outcome: *outcome }),
                Command::StartTimer { .. }
                | Command::AskFate { .. }
                | Command::AwaitGate { .. }
                | Command::CancelStep { .. }
                | Command::EnterGroup { .. } => None,
            };
            if let Some(kind) = kind {
                commands.extend(self.apply(kind)?);
            }
            i += 1;
        }
        Ok(commands)
    }

    pub(crate) fn apply(&mut self, kind: EventKind) -> Result<Vec<Command>, DriverError> {
        let at = self.before + self.events.len();
        let run = self.run.id().clone();
        self.try_apply(kind).map_err(|source| DriverError::History { run, at, source })
    }

    /// For what may be refused.
    pub(crate) fn try_apply(&mut self, kind: EventKind) -> Result<Vec<Command>, EngineError> {
        let event = Event { at_ms: now_ms(), kind };
        let commands = self.run.apply(&event)?;
        self.events.push(event);
        Ok(commands)
    }
}
