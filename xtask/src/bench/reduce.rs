//! The engine alone: events in, commands out, nothing stored.

use anyhow::Context as _;
use serde_json::Map;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use windlass_engine::{Command, Event, EventKind, Outcome, Run};
use windlass_manifest::plan::Plan;

/// A run that was carried out by nobody.
pub(crate) struct Reduced {
    /// How long the engine took for all of it.
    pub(crate) took: Duration,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

/// Has the engine go through a run whose steps all succeed.
pub(crate) fn reduce(plan: Plan) -> anyhow::Result<Reduced> {
    let kind = EventKind::RunCreated {
        run: "r1".parse()?,
        plan: Box::new(plan),
        inputs: Map::new(),
        previous: None,
        file: None,
        origin: Default::default(),
    };
    let began = Instant::now();
    let (mut run, commands) = Run::create(&Event { at_ms: 0, kind })?;
    let mut queue = VecDeque::from(commands);
    while let Some(command) = queue.pop_front() {
        let kinds = match command {
            Command::StartStep { step, attempt, .. } => {
                let finished = EventKind::StepFinished {
                    step: step.clone(),
                    attempt,
                    outcome: Outcome::Succeeded,
                    reason: None,
                    outputs: Map::new(),
                };
                vec![EventKind::StepStarted { step, attempt }, finished]
            }
            Command::EnterState { state, transition, feedback } => {
                vec![EventKind::StateEntered { state, transition, feedback }]
            }
            Command::Finish { outcome } => vec![EventKind::RunFinished { outcome }],
            _ => Vec::new(),
        };
        for kind in kinds {
            queue.extend(run.apply(&Event { at_ms: 0, kind })?);
        }
    }
    let took = began.elapsed();
    let outcome = run.finished_ms().and_then(|_| run.outcome()).context("the run did not end")?;
    Ok(Reduced { took, outcome })
}
