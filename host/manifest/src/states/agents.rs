//! States of agents: `Agent` and `ParallelAgents`. Each agent is a step of `step.agent`; how their scores become one is the
//! plan's [`Consensus`], and the engine's work.

use super::{
    Body, Workflow,
    draft::{Draft, Provider, StateKind},
    mounts::required_text,
    transitions::fraction,
};
use crate::{
    codes,
    configure::{Given, ask},
    diagnostic::Report,
    fields::{choice, known_keys, mapping, whole_number, wrong_type},
    plan::{
        Completion, Condition, ConfidenceWeighting, Consensus, ConsensusStrategy, DEFAULT_TIMEOUT_MS, OnFailure,
        ResultShape, Retry, Step, Work,
    },
    text::{check_secret, check_templates},
    yaml::{Entry, Kind, Node},
};
use std::ops::Range;
use windlass_contract::StepName;

/// How many agents a state may have: 100. Each asks a model, and a person reads what they say.
pub const MAX_AGENTS: usize = 100;
/// How long an agent of several may take when it does not say: 60 seconds.
const AGENT_TIMEOUT_S: u32 = 60;
/// The longest that `timeout_seconds` may say: a week.
const MAX_AGENT_TIMEOUT_S: u32 = 7 * 24 * 3600;
/// The most iterations that an agent may be given: 1,000.
const MAX_ITERATIONS: u32 = 1_000;
/// The score from which on an agent approves, where a rule of votes does not say.
const VOTE_THRESHOLD: f64 = 0.7;
/// The same, where a rule of means does not say.
const MEAN_THRESHOLD: f64 = 0.8;

/// The steps of a state of agents.
pub(super) fn body(
    draft: &Draft<'_>,
    kind: StateKind,
    workflow: &mut Workflow<'_, '_>,
    report: &mut Report<'_>,
) -> Option<Body> {
    let node = &draft.entry.value;
    let span = draft.entry.key_span.clone();
    if kind == StateKind::Agent {
        if let Some(entry) = node.get("max_iterations") {
            whole_number(&entry.value, "max_iterations", 1..=MAX_ITERATIONS, report);
        }
        let name = draft.name.as_ref().and_then(|name| workflow.claim(name.as_str(), &span, report));
        let timeout_ms = draft.timeout.unwrap_or(DEFAULT_TIMEOUT_MS);
        let step = agent(draft, node, "this state", name, timeout_ms, span, workflow, report)?;
        return Some(Body { steps: vec![step], completion: Completion::AllSucceed, result: ResultShape::Single });
    }
    let Some(entry) = node.get("agents") else {
        let help = Some("add `agents:`, a list of agents".to_owned());
        report.error(codes::MISSING_KEY, span, "this state has no `agents`", help);
        return None;
    };
    let Kind::List(items) = &entry.value.kind else {
        wrong_type(&entry.value, "agents", "a list of agents", report);
        return None;
    };
    if items.is_empty() || items.len() > MAX_AGENTS || !workflow.takes(items.len()) {
        let message = format!("there are {} agents; a state has 1 to {MAX_AGENTS}", items.len());
        let code = if items.is_empty() { codes::BAD_VALUE } else { codes::TOO_LARGE };
        report.error(code, entry.key_span.clone(), message, None);
        return None;
    }
    let mut steps = Vec::with_capacity(items.len());
    let mut weights = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        if mapping(item, "an agent", report).is_none() {
            continue;
        }
        known_keys(item, &["agent", "input", "weight", "timeout_seconds"], "an agent", report);
        weights.push(weight(item, report));
        let seconds = item
            .get("timeout_seconds")
            .and_then(|entry| whole_number(&entry.value, "timeout_seconds", 1..=MAX_AGENT_TIMEOUT_S, report));
        let timeout_ms = match (seconds, draft.timeout) {
            (None, Some(state)) => state,
            (seconds, _) => u64::from(seconds.unwrap_or(AGENT_TIMEOUT_S)) * 1000,
        };
        let span = item.get("agent").map_or(item.span.clone(), |entry| entry.value.span.clone());
        let name = draft.name.as_ref().and_then(|state| workflow.claim_within(state, &at.to_string(), &span, report));
        steps.extend(agent(draft, item, "this agent", name, timeout_ms, span, workflow, report));
    }
    if weights.len() == items.len() && weights.iter().sum::<f64>() <= 0.0 {
        let help = Some("give at least one agent a weight above 0".to_owned());
        report.error(codes::BAD_VALUE, entry.key_span.clone(), "no agent has any weight", help);
    }
    let Some(consensus) = node.get("consensus") else {
        let help = Some("add `consensus:` with a `strategy`".to_owned());
        report.error(codes::MISSING_KEY, span, "this state has no `consensus`", help);
        return None;
    };
    unread_agreement(draft, consensus, report);
    let result = ResultShape::Agents(self::consensus(consensus, weights, report)?);
    // What an agent that failed means is the consensus's to say: it counts how many have given a score.
    Some(Body { steps, completion: Completion::BestEffort, result })
}

fn weight(item: &Node, report: &mut Report<'_>) -> f64 {
    let Some(entry) = item.get("weight") else { return 1.0 };
    match &entry.value.kind {
        Kind::Number(number) => match number.as_f64().filter(|weight| weight.is_finite() && *weight >= 0.0) {
            Some(weight) => return weight,
            None => {
                let message = format!("`weight` is 0 or more, and this is {number}");
                report.error(codes::BAD_VALUE, entry.value.span.clone(), message, None);
            }
        },
        _ => wrong_type(&entry.value, "weight", "a number", report),
    }
    1.0
}

/// One agent. `None` where it is not sound, which is reported.
#[allow(clippy::too_many_arguments, reason = "an agent stands in two kinds of states, which differ in all of these")]
fn agent(
    draft: &Draft<'_>,
    node: &Node,
    what: &str,
    name: Option<StepName>,
    timeout_ms: u64,
    span: Range<usize>,
    workflow: &mut Workflow<'_, '_>,
    report: &mut Report<'_>,
) -> Option<Step> {
    let (agent, input) = (required_text(node, "agent", what, report), required_text(node, "input", what, report));
    let agent = agent.filter(|_| input.is_some())?;
    let mut entries: Vec<Entry> =
        ["agent", "input", "max_iterations"].iter().filter_map(|key| node.get(key)).cloned().collect();
    entries.extend(draft.volumes.cloned());
    if let Some(profile) = workflow.profile(&agent) {
        entries.push(Entry { key: "profile".to_owned(), ..profile.clone() });
    }
    let view = workflow.view(draft, false)?;
    let known = workflow.known(&view, report);
    let work = match draft.provider {
        Provider::Installed(installed) => {
            let value = Node { kind: Kind::Map(entries), span: node.span.clone() };
            let config = Entry { key: "config".to_owned(), key_span: span.clone(), value };
            let given = Given { config: Some(&config), span, has_timeout: true };
            Work::Plugin(ask(installed, &given, &known, &mut workflow.shared, report)?.work)
        }
        Provider::Absent(step_type) => {
            // No schema says what is text; these two are in any.
            for entry in entries.iter().filter(|entry| entry.key == "agent" || entry.key == "input") {
                if let Kind::String(text) = &entry.value.kind {
                    check_secret(workflow.source, &entry.value, text, false, report);
                    check_templates(workflow.source, &entry.value, text, &known, true, report);
                }
            }
            Work::Absent { step_type: step_type.to_owned() }
        }
        Provider::None => return None,
    };
    Some(Step {
        name: name?,
        work,
        needs: Vec::new(),
        condition: None,
        timeout_ms,
        retry: Retry::default(),
        on_failure: OnFailure::Stop,
    })
}

fn consensus(entry: &Entry, weights: Vec<f64>, report: &mut Report<'_>) -> Option<Consensus> {
    const RULES: [(&str, &str); 4] = [
        ("weighted_average", "weighted_average"),
        ("majority", "majority"),
        ("unanimous", "unanimous"),
        ("best_of_n", "best_of_n"),
    ];
    const FIELDS: &[&str] = &["strategy", "threshold", "agreement", "n", "min_judges_required", "confidence_weighting"];
    let node = &entry.value;
    mapping(node, "consensus", report)?;
    known_keys(node, FIELDS, "`consensus`", report);
    let agents = u32::try_from(weights.len()).unwrap_or(u32::MAX).max(1);
    let value = |key: &str| node.get(key).map(|entry| &entry.value);
    let rule = match value("strategy") {
        Some(node) => choice(node, "strategy", &RULES, report),
        None => {
            let help = Some("add `strategy:`, one of weighted_average, majority, unanimous, best_of_n".to_owned());
            report.error(codes::MISSING_KEY, entry.key_span.clone(), "`consensus` has no `strategy`", help);
            None
        }
    };
    let threshold = value("threshold").map(|node| fraction(node, "threshold", report));
    if let Some(node) = value("agreement") {
        fraction(node, "agreement", report);
    }
    let min_judges = value("min_judges_required")
        .map_or(Some(1), |node| whole_number(node, "min_judges_required", 1..=agents, report));
    let n = value("n").map(|node| whole_number(node, "n", 1..=agents, report));
    let weighting = node.get("confidence_weighting").map(|entry| confidence_weighting(&entry.value, report));
    let rule = rule?;
    let no_effect = |key: &str, on: &str, report: &mut Report<'_>| {
        if let Some(entry) = node.get(key) {
            let message = format!("`{key}` has an effect with {on} only, and this is {rule}");
            report.error(codes::NO_EFFECT, entry.key_span.clone(), message, Some("take it out".to_owned()));
        }
    };
    if rule != "best_of_n" {
        no_effect("n", "best_of_n", report);
    }
    if rule != "weighted_average" {
        no_effect("confidence_weighting", "weighted_average", report);
    }
    let strategy = match rule {
        "majority" => ConsensusStrategy::Majority,
        "unanimous" => ConsensusStrategy::Unanimous,
        "best_of_n" => match n {
            Some(n) => ConsensusStrategy::BestOfN { n: n? },
            None => {
                let help = Some("add `n:`, how many of the best count".to_owned());
                report.error(codes::MISSING_KEY, entry.key_span.clone(), "best_of_n needs `n`", help);
                return None;
            }
        },
        _ => ConsensusStrategy::WeightedAverage,
    };
    let votes = matches!(strategy, ConsensusStrategy::Majority | ConsensusStrategy::Unanimous);
    Some(Consensus {
        strategy,
        weights,
        threshold: threshold.unwrap_or(Some(if votes { VOTE_THRESHOLD } else { MEAN_THRESHOLD }))?,
        min_judges: min_judges?,
        confidence_weighting: weighting.unwrap_or_else(|| Some(ConfidenceWeighting::default()))?,
    })
}

fn confidence_weighting(node: &Node, report: &mut Report<'_>) -> Option<ConfidenceWeighting> {
    /// How far the two parts may be from 1 together, for what decimal fractions cannot say.
    const TOLERANCE: f64 = 0.01;
    mapping(node, "confidence_weighting", report)?;
    known_keys(node, &["agreement_factor", "self_confidence_factor"], "`confidence_weighting`", report);
    let default = ConfidenceWeighting::default();
    let mut part =
        |key: &str, otherwise: f64| node.get(key).map_or(Some(otherwise), |entry| fraction(&entry.value, key, report));
    let agreement_factor = part("agreement_factor", default.agreement_factor);
    let self_confidence_factor = part("self_confidence_factor", default.self_confidence_factor);
    let weighting =
        ConfidenceWeighting { agreement_factor: agreement_factor?, self_confidence_factor: self_confidence_factor? };
    let sum = weighting.agreement_factor + weighting.self_confidence_factor;
    if (sum - 1.0).abs() > TOLERANCE {
        let message = format!("the two parts are 1 together, and these are {sum}");
        report.error(codes::BAD_VALUE, node.span.clone(), message, None);
        return None;
    }
    Some(weighting)
}

/// `agreement` is what conditions of the type `consensus` take where they say nothing themselves.
fn unread_agreement(draft: &Draft<'_>, consensus: &Entry, report: &mut Report<'_>) {
    let Some(agreement) = consensus.value.get("agreement") else { return };
    let read = draft
        .ways
        .iter()
        .flatten()
        .any(|way| matches!(way.condition, Condition::Consensus { .. }) && way.node.get("agreement").is_none());
    if !read {
        let message =
            "no transition reads this `agreement`: it is for conditions of the type `consensus` that have none";
        let help = Some("write it on the transition".to_owned());
        report.warning(codes::NO_EFFECT, agreement.key_span.clone(), message, help);
    }
}
