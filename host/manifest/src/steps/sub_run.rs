//! `step.workflow`: a step that runs another workflow, as a run of its own.
//!
//! Its inputs are checked against what the other workflow declares: one that is missing or unknown is told of here, and not
//! when the sub-run is to begin in the middle of the night.

use super::{draft::Draft, step::Place};
use crate::{
    codes,
    configure::no_templates_in_keys,
    diagnostic::Report,
    fields::{flag, known_keys, mapping, text},
    pieces::is_template,
    plan::{DEFAULT_TIMEOUT_MS, DEFAULT_WAIT_MS, InputType, Plan, SubRun, Work},
    text::{check_secret, check_templates},
    workflows::SubWorkflows,
    yaml::{Entry, Kind, Node},
};
use serde_json::Map;

/// The keys of its configuration.
pub(super) const KEYS: &[&str] = &["workflow", "wait", "inputs"];

/// What it runs, and how long it may take in milliseconds.
pub(super) fn work(
    draft: &Draft<'_>,
    place: &Place<'_>,
    subs: &mut SubWorkflows<'_>,
    report: &mut Report<'_>,
) -> Option<(Work, u64)> {
    let config = draft.config.map(|entry| &entry.value);
    if config.is_some_and(|node| !matches!(node.kind, Kind::Map(_))) {
        return None;
    }
    let Some(entry) = config.and_then(|node| node.get("workflow")) else {
        let help = Some("add `workflow:` under `config:`, its id or the path of its file".to_owned());
        let message = "`step.workflow` needs `workflow` in its configuration";
        report.error(codes::MISSING_KEY, draft.span.clone(), message, help);
        return None;
    };
    let config = config?;
    known_keys(config, KEYS, "`step.workflow`", report);
    let wait = config.get("wait").and_then(|entry| flag(&entry.value, "wait", report)).unwrap_or(true);
    for (what, span) in draft
        .timeout
        .iter()
        .map(|(_, span)| ("timeout", span))
        .chain(draft.retry.iter().map(|(_, span)| ("retry", span)))
        .filter(|_| !wait)
    {
        let message = format!("a step that does not wait for its workflow has no use for `{what}`");
        report.error(codes::NO_EFFECT, span.clone(), message, Some("leave it out, or write wait: true".to_owned()));
    }
    let written = config.get("inputs");
    let mut inputs = Map::new();
    for entry in written.and_then(|entry| mapping(&entry.value, "inputs", report)).into_iter().flatten() {
        value(&entry.value, place, report);
        inputs.insert(entry.key.clone(), entry.value.to_json());
    }
    if let Some(entry) = written {
        no_templates_in_keys(&entry.value, report);
    }
    let id = text(&entry.value, "workflow", report)?;
    if is_template(&id) {
        let help = Some("write the id out; let `if:` choose between two steps".to_owned());
        let message = "what is run must be known before the run";
        report.error(codes::TEMPLATE_NOT_HERE, entry.value.span.clone(), message, help);
        return None;
    }
    let plan = subs.require(&id, entry.value.span.clone(), report)?;
    check_inputs(&id, plan, written, entry, report);
    let default = if wait { DEFAULT_WAIT_MS } else { DEFAULT_TIMEOUT_MS };
    let timeout = draft.timeout.as_ref().map_or(default, |(millis, _)| *millis);
    Some((Work::SubRun(SubRun { workflow: id, wait, inputs, input: None, result_key: None }), timeout))
}

/// Checks a value that is given: text may be a template, and what is within a list or mapping is not.
fn value(node: &Node, place: &Place<'_>, report: &mut Report<'_>) {
    match &node.kind {
        Kind::String(text) => {
            check_secret(place.source, node, text, false, report);
            check_templates(place.source, node, text, place.known, false, report);
        }
        Kind::List(items) => items.iter().for_each(|item| literal(item, place, report)),
        Kind::Map(entries) => entries.iter().for_each(|entry| literal(&entry.value, place, report)),
        _ => {}
    }
}

fn literal(node: &Node, place: &Place<'_>, report: &mut Report<'_>) {
    match &node.kind {
        Kind::String(text) => {
            check_secret(place.source, node, text, false, report);
            if is_template(text) {
                let help = Some("give it an input of its own".to_owned());
                let message = "a template may be an input, and not a part of one";
                report.error(codes::TEMPLATE_NOT_HERE, node.span.clone(), message, help);
            }
        }
        Kind::List(items) => items.iter().for_each(|item| literal(item, place, report)),
        Kind::Map(entries) => entries.iter().for_each(|entry| literal(&entry.value, place, report)),
        _ => {}
    }
}

/// Checks what is given against what the workflow declares.
fn check_inputs(id: &str, plan: &Plan, written: Option<&Entry>, reference: &Entry, report: &mut Report<'_>) {
    let given: &[Entry] = match written.map(|entry| &entry.value.kind) {
        Some(Kind::Map(entries)) => entries,
        _ => &[],
    };
    for entry in given {
        let Some(decl) = plan.inputs.get(&entry.key) else {
            if !plan.open_inputs {
                let names = plan.inputs.keys().map(String::as_str);
                let help = report.did_you_mean(&entry.key, names.clone()).or_else(|| match plan.inputs.len() {
                    0 => Some("it takes none".to_owned()),
                    _ => Some(format!("it takes {}", names.collect::<Vec<_>>().join(", "))),
                });
                let message = format!("the workflow `{id}` has no input `{}`", entry.key);
                report.error(codes::INPUT, entry.key_span.clone(), message, help);
            }
            continue;
        };
        let (sound, wanted) = match (&entry.value.kind, decl.kind) {
            (Kind::String(text), _) if is_template(text) => (true, ""),
            (kind, InputType::String) => (matches!(kind, Kind::String(_)), "text"),
            (kind, InputType::Number) => (matches!(kind, Kind::Number(_)), "a number"),
            (kind, InputType::Boolean) => (matches!(kind, Kind::Bool(_)), "a boolean"),
        };
        if !sound {
            let message =
                format!("the input `{}` of `{id}` is {wanted}, and this is {}", entry.key, entry.value.type_name());
            report.error(codes::INPUT, entry.value.span.clone(), message, None);
        }
    }
    for (name, _) in plan.inputs.iter().filter(|(_, decl)| decl.required) {
        if !given.iter().any(|entry| entry.key == *name) {
            let span = written.map_or(reference.value.span.clone(), |entry| entry.key_span.clone());
            let message = format!("the workflow `{id}` needs the input `{name}`");
            report.error(codes::INPUT, span, message, Some(format!("add `{name}:` under `inputs:`")));
        }
    }
}
