//! A step of the plan, of what was written and how it is wired.

use super::{
    draft::{Draft, StepKind, Written},
    gate, sub_run,
    wiring::{View, Wiring},
};
use crate::{
    catalogue::Entry as InstalledEntry,
    codes,
    configure::{Asked, Given, Shared, ask},
    diagnostic::Report,
    expression::{Known, States, boolean, parse},
    pieces::is_template,
    plan::{DEFAULT_TIMEOUT_MS, InputDecl, Step, Work},
    text::{check_secret, report_fault},
    workflows::SubWorkflows,
    yaml::Node,
};
use std::collections::BTreeMap;

/// What the steps of one list may read, and how their conditions are written.
pub(super) struct Scope<'p> {
    pub(super) inputs: &'p BTreeMap<String, InputDecl>,
    pub(super) open_inputs: bool,
    /// The states that have ended before these steps, where there can be some.
    pub(super) states: Option<&'p dyn States>,
    /// Whether a condition may stand in one pair of braces.
    pub(super) braces: bool,
}

/// Checks what the steps say, now that it is known how they hang together, and makes those that are sound steps of the plan.
pub(super) fn compile(
    drafts: &[Draft<'_>],
    scope: &Scope<'_>,
    shared: &mut Shared<'_>,
    subs: &mut SubWorkflows<'_>,
    report: &mut Report<'_>,
) -> Vec<Step> {
    let wiring = Wiring::new(drafts, report);
    let mut steps = Vec::with_capacity(drafts.len());
    for (at, draft) in drafts.iter().enumerate() {
        let view = View { wiring: &wiring, at };
        let known = Known {
            inputs: scope.inputs,
            open_inputs: scope.open_inputs,
            env: Some(shared.env),
            steps: Some(&view),
            states: scope.states,
            status: false,
            suggest: report.may_suggest(),
        };
        let place = Place { known: &known, source: shared.source, braces: scope.braces };
        let condition = condition(draft, &place, report);
        let work = draft.kind.and_then(|kind| match kind {
            StepKind::Plugin(installed) => plugin_work(draft, installed, &known, shared, report),
            StepKind::Gate => gate::work(draft, &place, report),
            StepKind::SubRun => sub_run::work(draft, &place, subs, report),
        });
        let (Some((work, timeout_ms)), Some(name)) = (work, draft.name.clone()) else { continue };
        let needs = match &draft.needs {
            Some(written) => written.iter().map(|(name, _)| name.clone()).collect(),
            None => at.checked_sub(1).and_then(|before| wiring.names[before].cloned()).into_iter().collect(),
        };
        steps.push(Step {
            name,
            work,
            needs,
            condition,
            timeout_ms,
            retry: draft.retry.as_ref().map(|(retry, _)| retry.clone()).unwrap_or_default(),
            on_failure: draft.on_failure,
        });
    }
    steps
}

/// Where expressions and templates stand, and what they may read there.
pub(super) struct Place<'p> {
    pub(super) known: &'p Known<'p>,
    /// The text of the file.
    pub(super) source: &'p str,
    /// As [`Scope::braces`].
    pub(super) braces: bool,
}

/// What a step asks of its plugin, and its timeout.
fn plugin_work(
    draft: &Draft<'_>,
    installed: &InstalledEntry,
    known: &Known<'_>,
    shared: &mut Shared<'_>,
    report: &mut Report<'_>,
) -> Option<(Work, u64)> {
    let given = Given { config: draft.config, span: draft.span.clone(), has_timeout: draft.timeout.is_some() };
    let Asked { work, timeout_ms } = ask(installed, &given, known, shared, report)?;
    let timeout = draft.timeout.as_ref().map(|(millis, _)| *millis).or(timeout_ms);
    Some((Work::Plugin(work), timeout.unwrap_or(DEFAULT_TIMEOUT_MS)))
}

/// What must hold for a step to run, as one expression.
fn condition(draft: &Draft<'_>, place: &Place<'_>, report: &mut Report<'_>) -> Option<String> {
    let known = Known { status: true, ..*place.known };
    let place = Place { known: &known, ..*place };
    let mut texts = Vec::with_capacity(draft.conditions.len());
    for Written { text, node, negated } in &draft.conditions {
        let text = expression(text, node, &place, report)?;
        texts.push(if *negated { format!("not ({text})") } else { text.to_owned() });
    }
    match texts.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        several => Some(several.iter().map(|text| format!("({text})")).collect::<Vec<_>>().join(" and ")),
    }
    .filter(|whole| {
        // Each part may be as long and as deep as an expression gets, and the whole is one too.
        let fault = if draft.conditions.len() + usize::from(draft.conditions.iter().any(|c| c.negated)) > 1 {
            parse(whole).err()
        } else {
            None
        };
        if let (Some(fault), Some(first)) = (&fault, draft.conditions.first()) {
            let help = Some("shorten it".to_owned());
            let message = format!("this step's conditions together: {}", fault.message);
            report.error(fault.code, first.node.span.clone(), message, help);
        }
        fault.is_none()
    })
}

/// Checks an expression that gives a boolean, and gives its text, where it can be read.
pub(super) fn expression<'t>(
    text: &'t str,
    node: &Node,
    place: &Place<'_>,
    report: &mut Report<'_>,
) -> Option<&'t str> {
    check_secret(place.source, node, text, false, report);
    let inner = in_braces(text);
    let text = match inner {
        Some(inner) if place.braces => inner,
        _ if is_template(text) => {
            // `${{ … }}` is what another system writes.
            let inner = inner.or_else(|| in_braces(text.trim().strip_prefix('$')?));
            let (message, help) = match inner {
                Some(inner) => ("a condition is an expression already, and takes no braces", format!("write {inner}")),
                None if place.braces => (
                    "a condition is one expression: one pair of braces around it, or none",
                    "compare values within it, as in .Version != '' and .Branch == 'main'".to_owned(),
                ),
                None => (
                    "a condition is one expression, and takes no braces",
                    "write it without, as in inputs.version != ''".to_owned(),
                ),
            };
            report.error(codes::SYNTAX, node.span.clone(), message, Some(help));
            return None;
        }
        _ => text,
    };
    let mut faults = Vec::new();
    let parsed = parse(text);
    let sound = parsed.is_ok();
    match parsed {
        Ok(expr) => boolean(&expr, place.known, &mut faults),
        Err(fault) => faults.push(fault),
    }
    faults.into_iter().for_each(|fault| report_fault(fault, place.source, node, text, report));
    sound.then_some(text)
}

/// What stands within the one pair of braces that is around all of a text.
fn in_braces(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!is_template(inner) && !inner.contains("}}")).then(|| inner.trim())
}
