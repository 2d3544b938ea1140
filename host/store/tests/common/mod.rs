//! Runs to be stored.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use serde_json::{Map, json};
use std::{future::Future, time::Duration};
use windlass_contract::{RunId, StepName};
use windlass_engine::{Event, EventKind, Origin, Outcome};

/// What must happen at once has happened after this, on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it did not happen")
}

pub(crate) fn run_id(text: &str) -> RunId {
    text.parse().expect("a sound run id")
}

pub(crate) fn step() -> StepName {
    "build".parse().expect("a sound step name")
}

pub(crate) fn created(run: &str, name: &str, at_ms: u64) -> Event {
    let plan = json!({
        "name": name, "inputs": {}, "env": {}, "volumes": {"workspace": {"persistent": false}},
        "states": [{"name": "main", "steps": []}], "initial": 0, "strict": false,
    });
    let kind = EventKind::RunCreated {
        run: run_id(run),
        plan: Box::new(serde_json::from_value(plan).expect("a sound plan")),
        inputs: Map::new(),
        previous: None,
        file: Some("windlass.yaml".to_owned()),
        origin: Origin::default(),
    };
    Event { at_ms, kind }
}

pub(crate) fn started(attempt: u32) -> Event {
    Event { at_ms: 5, kind: EventKind::StepStarted { step: step(), attempt } }
}

pub(crate) fn finished(outcome: Outcome, at_ms: u64) -> Event {
    Event { at_ms, kind: EventKind::RunFinished { outcome } }
}
