//! Plans and events, briefly written.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use windlass_contract::{Digest, EffectClass, PluginRef, StepName};
use windlass_engine::{Event, EventKind, Origin, Outcome, Reason, ReasonKind, Run};
use windlass_manifest::plan::{
    DEFAULT_TRANSITIONS, OnFailure, Plan, PluginWork, Retry, RetryOn, State, Step, Treatment, Volume, Work,
};

pub(crate) fn name(text: &str) -> StepName {
    text.parse().expect("a sound step name")
}

pub(crate) fn step(text: &str, needs: &[&str]) -> Step {
    Step {
        name: name(text),
        work: Work::Plugin(PluginWork {
            plugin: PluginRef {
                name: "windlass:shell".parse().expect("a sound plugin name"),
                version: "0.1.0".parse().expect("a sound version"),
                digest: Digest::of(b"shell"),
            },
            step_type: "step.shell_exec".to_owned(),
            effect: EffectClass::Idempotent,
            config: json!({ "script": "true" }),
            treatment: BTreeMap::new(),
            typed: BTreeMap::new(),
        }),
        needs: needs.iter().map(|need| name(need)).collect(),
        condition: None,
        timeout_ms: 300_000,
        retry: Retry::default(),
        on_failure: OnFailure::Stop,
    }
}

/// A step whose configuration cannot be rendered.
pub(crate) fn broken(step: Step) -> Step {
    configured(step, json!({ "script": "{{ steps.nobody.x }}" }), Treatment::Strict)
}

/// A step of this configuration, whose `script` is a template.
pub(crate) fn configured(mut step: Step, config: Value, treatment: Treatment) -> Step {
    let Work::Plugin(work) = &mut step.work else { panic!("a step of a plugin") };
    work.config = config;
    work.treatment = BTreeMap::from([("/script".to_owned(), treatment)]);
    step
}

pub(crate) fn plan(steps: Vec<Step>) -> Plan {
    states(vec![State::of("main", steps)])
}

pub(crate) fn states(states: Vec<State>) -> Plan {
    Plan {
        name: "demo".to_owned(),
        inputs: BTreeMap::new(),
        open_inputs: false,
        env: BTreeMap::new(),
        blackboard: Map::new(),
        volumes: BTreeMap::from([("workspace".to_owned(), Volume { persistent: false })]),
        states,
        initial: 0,
        max_transitions: DEFAULT_TRANSITIONS,
        concurrency: None,
        workflows: BTreeMap::new(),
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
                None if property == "jitter" => made.retry.jitter = true,
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
    created_by(plan, Origin::default())
}

pub(crate) fn created_by(plan: Plan, origin: Origin) -> Event {
    Event {
        at_ms: 1000,
        kind: EventKind::RunCreated {
            run: "r1".parse().expect("a sound run id"),
            plan: Box::new(plan),
            inputs: Map::new(),
            previous: None,
            file: Some("windlass.yaml".to_owned()),
            origin,
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
                windlass_engine::Skip::Condition { .. } => " (condition)".to_owned(),
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
