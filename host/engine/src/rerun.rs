//! What a new run takes over from one that has ended, when it is to repeat only a part of it.
//!
//! **Rules.** The same plan and the same inputs. Steps that ended well are taken over with what they gave, as long as nothing they
//! need is done again; whatever failed, was stopped, or needs a step that is done again, is done again. In a workflow, the new
//! run begins in the state in question, with the blackboard as it was when the old one entered that state.

use crate::{CarriedStep, EngineError, Outcome, Rerun, Run, Skip, run::Visit, stage::StepRecord};
use serde_json::Map;
use std::collections::BTreeSet;
use windlass_contract::StepName;

/// From where a run is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RerunFrom {
    /// From the beginning.
    Start,
    /// What failed, and what comes after it.
    Failed,
    /// This step or state, and what comes after it.
    Step(String),
}

impl Run {
    /// What a run that repeats this one begins with; `None` when that is nothing.
    ///
    /// # Errors
    /// [`EngineError::NoRerun`] when this run has not ended, has nothing that failed, or never came to what is named.
    pub fn rerun(&self, from: &RerunFrom) -> Result<Option<Rerun>, EngineError> {
        let refuse = |why: String| Err(EngineError::NoRerun { why });
        if self.finished_ms.is_none() {
            return refuse("it has not ended; cancel it first, or wait".to_owned());
        }
        let last = self.visits.len() - 1;
        match from {
            RerunFrom::Start => Ok(None),
            RerunFrom::Failed if self.outcome() == Some(Outcome::Succeeded) => {
                refuse("it has succeeded; repeat all of it, or name a step to repeat it from".to_owned())
            }
            RerunFrom::Failed => {
                let redo = self.bad(last);
                // Its steps went well, and the run failed for the way out of its state: nothing less than the state is repeated.
                Ok(Some(self.base(last, if redo.is_empty() { None } else { Some(redo) })))
            }
            RerunFrom::Step(name) => {
                if let Some(visit) = self.visits.iter().rposition(|visit| self.plan.states[visit.state].name == *name) {
                    return Ok(Some(self.base(visit, None)));
                }
                let place = |visit: &Visit| {
                    self.plan.states[visit.state].steps.iter().position(|step| step.name.as_str() == name)
                };
                let found = (0..self.visits.len()).rev().find_map(|at| Some((at, place(&self.visits[at])?)));
                let Some((visit, step)) = found else {
                    return refuse(format!("it never came to a step or state called {name}"));
                };
                let mut redo = self.bad(visit);
                redo.insert(step);
                Ok(Some(self.base(visit, Some(redo))))
            }
        }
    }

    /// The records of a visit.
    pub(crate) fn records(&self, visit: usize) -> &[StepRecord] {
        match &self.visits[visit].end {
            Some(end) if visit + 1 < self.visits.len() => &end.steps,
            _ => &self.stage.steps,
        }
    }

    /// The steps of a visit that are to be done again in any case.
    fn bad(&self, visit: usize) -> BTreeSet<usize> {
        let bad = |record: &StepRecord| match record.settled() {
            None => true,
            Some(end) if end.outcome == Outcome::Skipped => !matches!(end.skip, Some(Skip::Condition { .. })),
            Some(end) => end.outcome.is_failure() && !end.allowed,
        };
        self.records(visit).iter().enumerate().filter(|(_, record)| bad(record)).map(|(i, _)| i).collect()
    }

    /// A new beginning at a visit, where these steps are done again; `None`: all.
    fn base(&self, at: usize, redo: Option<BTreeSet<usize>>) -> Rerun {
        let state = &self.plan.states[self.visits[at].state];
        let base = self.origin.rerun.as_deref();
        let mut states = base.map(|base| base.states.clone()).unwrap_or_default();
        let mut blackboard = base.map(|base| base.blackboard.clone()).unwrap_or_default();
        for visit in &self.visits[..at] {
            if let Some(end) = &visit.end {
                states.insert(self.plan.states[visit.state].name.clone(), end.value.clone());
                blackboard.extend(end.board.clone());
            }
        }
        let steps = redo.map(|redo| self.carried(at, redo)).unwrap_or_default();
        Rerun {
            of: self.id.clone(),
            state: state.name.clone(),
            feedback: self.visits[at].feedback.clone(),
            states,
            blackboard,
            steps: steps.into_iter().collect(),
        }
    }

    /// The steps of a visit that are taken over: those that ended well and that nothing done again comes before. What they gave is
    /// known of the last visit only; of an earlier one the whole state is repeated.
    fn carried(&self, at: usize, mut redo: BTreeSet<usize>) -> Vec<(StepName, CarriedStep)> {
        if at + 1 < self.visits.len() {
            return Vec::new();
        }
        let mut open: Vec<usize> = redo.iter().copied().collect();
        while let Some(step) = open.pop() {
            open.extend(self.stage.dependents(step).iter().copied().filter(|dependent| redo.insert(*dependent)));
        }
        let taken_over = |(i, record): (usize, &StepRecord)| {
            let end = record.settled().filter(|end| end.outcome != Outcome::Skipped && !redo.contains(&i))?;
            let name = self.planned(i).name.clone();
            let outputs = self.context.steps.get(name.as_str()).map_or_else(Map::new, |step| step.outputs.clone());
            Some((name, CarriedStep { outcome: end.outcome, outputs }))
        };
        self.stage.steps.iter().enumerate().filter_map(taken_over).collect()
    }
}
