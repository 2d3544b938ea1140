//! Plans and events, briefly written.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use serde_json::{Map, json};
use std::collections::{BTreeMap, BTreeSet};
use windlass_contract::{Digest, EffectClass, PluginRef, StepName};
use windlass_engine::{Event, EventKind, Outcome, Reason, ReasonKind, Run};
use windlass_manifest::plan::{OnFailure, Plan, Retry, RetryOn, State, Step, Treatment, Workspace};

pub(crate) fn name(text: &str) -> StepName {
    text.parse().expect("a sound step name")
}

pub(crate) fn step(text: &str, needs: &[&str]) -> Step {
    Step {
        name: name(text),
        plugin: PluginRef {
            name: "windlass:shell".parse().expect("a sound plugin name"),
            version: "0.1.0".parse().expect("a sound version"),
            digest: Digest::of(b"shell"),
        },
        step_type: "step.shell_exec".to_owned(),
        effect: EffectClass::Idempotent,
        needs: needs.iter().map(|need| name(need)).collect(),
        condition: None,
        config: json!({ "script": "true" }),
        treatment: BTreeMap::new(),
        typed: BTreeMap::new(),
        timeout_ms: 300_000,
        retry: Retry { max_attempts: 1, backoff_ms: 0, on: BTreeSet::from([RetryOn::Infrastructure]) },
        on_failure: OnFailure::Stop,
    }
}

/// A step whose configuration cannot be rendered.
pub(crate) fn broken(mut step: Step) -> Step {
    step.config = json!({ "script": "{{ steps.nobody.x }}" });
    step.treatment = BTreeMap::from([("/script".to_owned(), Treatment::Strict)]);
    step
}

pub(crate) fn plan(steps: Vec<Step>) -> Plan {
    Plan {
        name: "demo".to_owned(),
        inputs: BTreeMap::new(),
        env: BTreeMap::new(),
        workspace: Workspace { persistent: false },
        states: vec![State { name: "main".to_owned(), steps }],
        initial: 0,
        strict: false,
    }
}

/// Steps from lines such as `b: needs a, if failure(), retry 3, backoff 1000, on exit, continue, broken`.
pub(crate) fn plan_of(lines: &str) -> Plan {
    let parse = |line: &str| {
        let (own, rest) = line.split_once(':').expect("name: properties");
        let mut made = step(own.trim(), &[]);
        for property in rest.split(',').map(str::trim).filter(|property| !property.is_empty()) {
            match property.split_once(' ') {
                Some(("needs", needs)) => made.needs = needs.split('+').map(name).collect(),
                Some(("if", condition)) => made.condition = Some(condition.to_owned()),
                Some(("retry", total)) => made.retry.max_attempts = total.parse().expect("a number"),
                Some(("backoff", ms)) => made.retry.backoff_ms = ms.parse().expect("a number"),
                Some(("on", _)) => drop(made.retry.on.insert(RetryOn::NonZeroExit)),
                None if property == "continue" => made.on_failure = OnFailure::Continue,
                None if property == "broken" => made = broken(made),
                _ => panic!("{property:?} is not a property"),
            }
        }
        made
    };
    plan(lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(parse).collect())
}

pub(crate) fn created(plan: Plan) -> Event {
    Event {
        at_ms: 1000,
        kind: EventKind::RunCreated {
            run: "r1".parse().expect("a sound run id"),
            plan: Box::new(plan),
            inputs: Map::new(),
            previous: None,
            file: Some("windlass.yaml".to_owned()),
        },
    }
}

/// An end of an attempt by its short name.
pub(crate) fn end(text: &str) -> (Outcome, Option<Reason>) {
    let (outcome, kind) = match text {
        "ok" => return (Outcome::Succeeded, None),
        "fail" => (Outcome::Failed, ReasonKind::Other),
        "exit" => (Outcome::Failed, ReasonKind::NonZeroExit { code: 7 }),
        "pull" => (Outcome::Error, ReasonKind::ImagePullFailed),
        "denied" => (Outcome::Error, ReasonKind::Denied),
        "timeout" => (Outcome::TimedOut, ReasonKind::TimeoutExpired),
        "lost" => (Outcome::Lost, ReasonKind::Lost),
        "rejected" => (Outcome::Rejected, ReasonKind::Other),
        "cancelled" => (Outcome::Cancelled, ReasonKind::Cancelled),
        _ => panic!("{text:?} is not an end"),
    };
    (outcome, Some(Reason { kind, code: None, message: text.to_owned() }))
}

/// One line for each step, in which all that a user would ask about is said.
pub(crate) fn summary(run: &Run) -> String {
    let mut lines = Vec::new();
    for step in run.steps() {
        let mut line = format!("{} ", step.name);
        match step.outcome {
            Some(outcome) => line += outcome.name(),
            None => line += &format!("{:?}", step.state).to_lowercase(),
        }
        if let Some(skip) = step.skipped {
            line += &match skip {
                windlass_engine::Skip::Condition => " (condition)".to_owned(),
                windlass_engine::Skip::RunFailed { by } => format!(" (run failed by {by})"),
                windlass_engine::Skip::RunCancelled => " (run cancelled)".to_owned(),
            };
        }
        if step.allowed_failure {
            line += " (allowed)";
        }
        if step.attempts.len() > 1 {
            line += &format!(" x{}", step.attempts.len());
        }
        lines.push(line);
    }
    lines.push(match run.outcome() {
        Some(outcome) => format!("= {outcome}"),
        None => format!("= {}", run.status()),
    });
    lines.join("; ")
}
