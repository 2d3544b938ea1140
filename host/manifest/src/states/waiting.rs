//! States that the engine carries out itself: `Human` waits for a person's answer, `Subworkflow` for another run.

use super::{Body, Workflow, draft::Draft, mounts::required_text};
use crate::{
    codes,
    diagnostic::Report,
    fields::{choice, is_identifier, text},
    pieces::is_template,
    plan::{Completion, DEFAULT_WAIT_MS, Gate, OnFailure, Question, ResultShape, Retry, Step, SubRun, Work},
    text::{check_secret, check_templates},
    workflows::SubWorkflows,
    yaml::{Kind, Node},
};
use serde_json::Map;

/// How long a person has when the state does not say: an hour.
const HUMAN_TIMEOUT_MS: u64 = 3_600_000;

/// A `Human` state.
pub(super) fn human(draft: &Draft<'_>, workflow: &mut Workflow<'_, '_>, report: &mut Report<'_>) -> Option<Body> {
    let node = &draft.entry.value;
    let prompt = required_text(node, "prompt", "this state", report);
    if let (Some(prompt), Some(entry)) = (&prompt, node.get("prompt")) {
        template(prompt, &entry.value, draft, workflow, report);
    }
    let default_response = node.get("default_response").and_then(|entry| {
        let text = text(&entry.value, "default_response", report)?;
        literal(&text, &entry.value, "an answer", report);
        check_secret(workflow.source, &entry.value, &text, false, report);
        Some(text)
    });
    let work = Work::Gate(Gate::Question(Question { prompt: prompt?, default_response }));
    single(draft, work, HUMAN_TIMEOUT_MS, workflow, report)
}

/// A `Subworkflow` state.
pub(super) fn sub_run(
    draft: &Draft<'_>,
    workflow: &mut Workflow<'_, '_>,
    subs: &mut SubWorkflows<'_>,
    report: &mut Report<'_>,
) -> Option<Body> {
    let node = &draft.entry.value;
    let id = required_text(node, "workflow_id", "this state", report);
    let found = match (&id, node.get("workflow_id")) {
        (Some(id), Some(entry)) => {
            literal(id, &entry.value, "a workflow's id", report)
                && subs.require(id, entry.value.span.clone(), report).is_some()
        }
        _ => false,
    };
    let wait = match node.get("mode") {
        Some(entry) => choice(&entry.value, "mode", &[("blocking", true), ("fire_and_forget", false)], report),
        None => {
            let help = Some("add `mode:`, blocking or fire_and_forget".to_owned());
            report.error(codes::MISSING_KEY, draft.entry.key_span.clone(), "this state has no `mode`", help);
            None
        }
    };
    if let (Some(timeout), Some(false)) = (node.get("timeout"), wait) {
        let message = "a workflow that is not waited for has no use for `timeout`";
        let help = Some("take it out, or write mode: blocking".to_owned());
        report.error(codes::NO_EFFECT, timeout.key_span.clone(), message, help);
    }
    let result_key = result_key(node).map(str::to_owned);
    match (node.get("result_key"), wait) {
        (None, Some(true)) => {
            let help = Some("add `result_key:`, under which the blackboard keeps the result".to_owned());
            let span = draft.entry.key_span.clone();
            report.error(codes::MISSING_KEY, span, "a blocking Subworkflow needs a `result_key`", help);
        }
        (Some(entry), Some(false)) => {
            let help = Some("take it out, or write mode: blocking".to_owned());
            let message = "a workflow that is not waited for has no result here";
            report.error(codes::NO_EFFECT, entry.key_span.clone(), message, help);
        }
        (Some(entry), _) if text(&entry.value, "result_key", report).is_some_and(|key| !is_identifier(&key)) => {
            let help = "use letters, digits, hyphens and underscores, starting with a letter".to_owned();
            report.error(codes::BAD_NAME, entry.value.span.clone(), "this cannot be a key", Some(help));
        }
        _ => {}
    }
    let input = node.get("input").and_then(|entry| {
        let text = text(&entry.value, "input", report)?;
        template(&text, &entry.value, draft, workflow, report);
        Some(text)
    });
    let (workflow_id, wait) = (id.filter(|_| found)?, wait?);
    let work = Work::SubRun(SubRun { workflow: workflow_id, wait, inputs: Map::new(), input, result_key });
    single(draft, work, DEFAULT_WAIT_MS, workflow, report)
}

/// Under which key a state's result is kept, quietly.
pub(super) fn result_key(state: &Node) -> Option<&str> {
    match &state.get("result_key")?.value.kind {
        Kind::String(key) => Some(key),
        _ => None,
    }
}

fn single(
    draft: &Draft<'_>,
    work: Work,
    timeout_ms: u64,
    workflow: &mut Workflow<'_, '_>,
    report: &mut Report<'_>,
) -> Option<Body> {
    let span = draft.entry.key_span.clone();
    let step = Step {
        name: workflow.claim(draft.name.as_ref()?.as_str(), &span, report)?,
        work,
        needs: Vec::new(),
        condition: None,
        timeout_ms: draft.timeout.unwrap_or(timeout_ms),
        retry: Retry::default(),
        on_failure: OnFailure::Stop,
    };
    Some(Body { steps: vec![step], completion: Completion::AllSucceed, result: ResultShape::Single })
}

fn template(text: &str, node: &Node, draft: &Draft<'_>, workflow: &Workflow<'_, '_>, report: &mut Report<'_>) {
    let Some(view) = workflow.view(draft, false) else { return };
    check_secret(workflow.source, node, text, false, report);
    check_templates(workflow.source, node, text, &workflow.known(&view, report), true, report);
}

fn literal(text: &str, node: &Node, what: &str, report: &mut Report<'_>) -> bool {
    let literal = !is_template(text);
    if !literal {
        let help = Some("write it out".to_owned());
        report.error(codes::TEMPLATE_NOT_HERE, node.span.clone(), format!("{what} is no template"), help);
    }
    literal
}
