//! Ways out of a state, as they are written: conditions with their arguments and bounds, targets, feedback.

use crate::{
    codes,
    diagnostic::Report,
    fields::{choice, known_keys, mapping, text, unknown_key_help, wrong_type},
    plan::Condition,
    yaml::{Entry, Kind, Node},
};
use std::collections::HashMap;

/// How many ways out a state may have: 100. The first that matches is taken; nobody reads on to the hundredth.
pub const MAX_WAYS: usize = 100;

/// A way out of a state.
pub(super) struct Way<'n> {
    pub(super) condition: Condition,
    /// `None`: the state does not exist, which is reported.
    pub(super) target: Option<usize>,
    pub(super) feedback: Option<(String, &'n Node)>,
    /// The whole transition.
    pub(super) node: &'n Node,
}

impl<'n> Way<'n> {
    /// Where it is shown: its condition, or its first key.
    pub(super) fn span(&self) -> std::ops::Range<usize> {
        let shown = self.node.get("condition").map(|entry| entry.value.span.clone());
        shown.unwrap_or_else(|| match &self.node.kind {
            Kind::Map(entries) => entries.first().map_or(self.node.span.clone(), |entry| entry.key_span.clone()),
            _ => self.node.span.clone(),
        })
    }

    /// The expression of `custom`, and where it stands.
    pub(super) fn expression(&self) -> Option<(&str, &'n Node)> {
        match &self.condition {
            Condition::Custom { expression } => Some((expression, &self.node.get("expression")?.value)),
            _ => None,
        }
    }
}

/// What a state's `consensus:` says, where a `consensus` condition says nothing itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bounds {
    pub(super) threshold: Option<f64>,
    pub(super) agreement: Option<f64>,
}

/// Each condition, and the arguments that it takes.
pub(crate) const CONDITIONS: &[(&str, &[&str])] = &[
    ("always", &[]),
    ("on_success", &[]),
    ("on_failure", &[]),
    ("on_error", &[]),
    ("on_timeout", &[]),
    ("exit_code_zero", &[]),
    ("exit_code_non_zero", &[]),
    ("exit_code", &["value"]),
    ("score_above", &["threshold"]),
    ("score_below", &["threshold"]),
    ("score_between", &["min", "max"]),
    ("confidence_above", &["threshold"]),
    ("score_and_confidence_above", &["threshold"]),
    ("consensus", &["threshold", "agreement"]),
    ("all_approved", &[]),
    ("any_rejected", &[]),
    ("input_equals", &["value"]),
    ("input_equals_yes", &[]),
    ("input_equals_no", &[]),
    ("custom", &["expression"]),
];

/// Reads `transitions:`. `None` where it is no list of a size that is read.
pub(super) fn ways<'n>(
    entry: &'n Entry,
    states: &HashMap<&str, usize>,
    bounds: Bounds,
    report: &mut Report<'_>,
) -> Option<Vec<Way<'n>>> {
    let Kind::List(items) = &entry.value.kind else {
        wrong_type(&entry.value, "transitions", "a list", report);
        return None;
    };
    if items.len() > MAX_WAYS {
        let message = format!("the state has {} transitions; at most {MAX_WAYS} are read", items.len());
        report.error(codes::TOO_LARGE, entry.key_span.clone(), message, None);
        return None;
    }
    Some(items.iter().filter_map(|node| way(node, states, bounds, report)).collect())
}

fn way<'n>(node: &'n Node, states: &HashMap<&str, usize>, bounds: Bounds, report: &mut Report<'_>) -> Option<Way<'n>> {
    let entries = mapping(node, "a transition", report)?;
    let condition = condition(node, bounds, report);
    let target = match node.get("target") {
        Some(entry) => text(&entry.value, "target", report).and_then(|name| {
            let found = states.get(name.as_str()).copied();
            if found.is_none() {
                let help = report.did_you_mean(&name, states.keys().copied());
                report.error(
                    codes::UNKNOWN_STATE,
                    entry.value.span.clone(),
                    format!("there is no state `{name}`"),
                    help.or_else(|| Some("name a state of this workflow".to_owned())),
                );
            }
            found
        }),
        None => {
            let span = entries.first().map_or(node.span.clone(), |entry| entry.key_span.clone());
            let help = Some("add `target:`, the state that it leads to".to_owned());
            report.error(codes::MISSING_KEY, span, "this transition has no `target`", help);
            None
        }
    };
    let feedback =
        node.get("feedback").and_then(|entry| text(&entry.value, "feedback", report).map(|text| (text, &entry.value)));
    Some(Way { condition: condition?, target, feedback, node })
}

fn condition(node: &Node, bounds: Bounds, report: &mut Report<'_>) -> Option<Condition> {
    let Some(entry) = node.get("condition") else {
        known_keys(node, &["condition", "target", "feedback"], "a transition without a condition", report);
        return Some(Condition::Always);
    };
    let names: Vec<(&str, (&str, &[&str]))> =
        CONDITIONS.iter().map(|(name, arguments)| (*name, (*name, *arguments))).collect();
    let (name, arguments) = choice(&entry.value, "condition", &names, report)?;
    if let Kind::Map(entries) = &node.kind {
        let known: Vec<&str> = ["condition", "target", "feedback"].iter().chain(arguments).copied().collect();
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let help = unknown_key_help(&entry.key, &known, report);
            let message = format!("`{name}` takes no `{}`", entry.key);
            report.error(codes::UNKNOWN_KEY, entry.key_span.clone(), message, help);
        }
    }
    let missing = |key: &str, report: &mut Report<'_>| {
        let message = format!("`{name}` needs `{key}`");
        report.error(codes::MISSING_KEY, entry.value.span.clone(), message, Some(format!("add `{key}:` beside it")));
    };
    let value = |key: &str| node.get(key).map(|entry| &entry.value);
    let mut number = |key: &str, otherwise: Option<f64>| match value(key) {
        Some(node) => fraction(node, key, report),
        None => {
            if otherwise.is_none() {
                missing(key, report);
            }
            otherwise
        }
    };
    Some(match name {
        "always" => Condition::Always,
        "on_success" => Condition::OnSuccess,
        "on_failure" => Condition::OnFailure,
        "on_error" => Condition::OnError,
        "on_timeout" => Condition::OnTimeout,
        "exit_code_zero" => Condition::ExitCodeZero,
        "exit_code_non_zero" => Condition::ExitCodeNonZero,
        "score_above" => Condition::ScoreAbove { threshold: number("threshold", None)? },
        "score_below" => Condition::ScoreBelow { threshold: number("threshold", None)? },
        "confidence_above" => Condition::ConfidenceAbove { threshold: number("threshold", None)? },
        "score_and_confidence_above" => Condition::ScoreAndConfidenceAbove { threshold: number("threshold", None)? },
        "consensus" => {
            let (threshold, agreement) = (
                number("threshold", bounds.threshold),
                number("agreement", Some(bounds.agreement.unwrap_or_default())),
            );
            Condition::Consensus { threshold: threshold?, agreement: agreement? }
        }
        "score_between" => {
            let (min, max) = (number("min", None), number("max", None));
            let (min, max) = (min?, max?);
            if min > max {
                let message = format!("no score is between {min} and {max}");
                report.error(codes::BAD_VALUE, entry.value.span.clone(), message, Some("exchange the two".to_owned()));
                return None;
            }
            Condition::ScoreBetween { min, max }
        }
        "all_approved" => Condition::AllApproved,
        "any_rejected" => Condition::AnyRejected,
        "input_equals_yes" => Condition::InputEqualsYes,
        "input_equals_no" => Condition::InputEqualsNo,
        "input_equals" => match value("value") {
            Some(node) => Condition::InputEquals { value: text(node, "value", report)? },
            None => {
                missing("value", report);
                return None;
            }
        },
        "exit_code" => match value("value").map(|node| (&node.kind, node)) {
            Some((Kind::Number(number), node)) => match number.as_i64().filter(|code| (0..=255).contains(code)) {
                Some(value) => Condition::ExitCode { value },
                None => {
                    let message = format!("an exit code is from 0 to 255, and this is {number}");
                    report.error(codes::BAD_VALUE, node.span.clone(), message, None);
                    return None;
                }
            },
            Some((_, node)) => {
                wrong_type(node, "value", "a number", report);
                return None;
            }
            None => {
                missing("value", report);
                return None;
            }
        },
        _ => match value("expression") {
            Some(node) => Condition::Custom {
                expression: match &node.kind {
                    Kind::Bool(flag) => flag.to_string(),
                    _ => text(node, "expression", report)?,
                },
            },
            None => {
                missing("expression", report);
                return None;
            }
        },
    })
}

/// A number from 0 to 1, quietly.
pub(super) fn fraction_of(node: &Node) -> Option<f64> {
    let Kind::Number(number) = &node.kind else { return None };
    number.as_f64().filter(|number| (0.0..=1.0).contains(number))
}

/// A number from 0 to 1.
pub(super) fn fraction(node: &Node, what: &str, report: &mut Report<'_>) -> Option<f64> {
    let Kind::Number(number) = &node.kind else {
        wrong_type(node, what, "a number", report);
        return None;
    };
    let found = fraction_of(node);
    if found.is_none() {
        let message = format!("`{what}` is from 0 to 1, and this is {number}");
        report.error(codes::BAD_VALUE, node.span.clone(), message, None);
    }
    found
}
