//! The steps as they are written, before they know of each other.

use super::{MAX_ATTEMPTS, MAX_STEPS};
use crate::{
    catalogue::{Catalogue, Entry as InstalledEntry, Unresolved},
    codes,
    diagnostic::Report,
    dialect::{GATE_STEP, WORKFLOW_STEP},
    fields::{bad_name, choice, duration, flag, known_keys, mapping, text, unknown_key_help, wrong_type},
    plan::{OnFailure, Retry, RetryOn},
    yaml::{Entry, Kind, Node},
};
use std::{collections::BTreeSet, ops::Range};
use windlass_contract::{PluginName, StepName};

const STEP_KEYS: &[&str] = &["name", "type", "config", "needs", "if", "timeout", "retry", "on_failure"];

/// A step as it is written.
pub(super) struct Draft<'n> {
    pub(super) name: Option<StepName>,
    /// Where the step is shown: its name, or its first line.
    pub(super) span: Range<usize>,
    pub(super) kind: Option<StepKind<'n>>,
    pub(super) needs: Option<Vec<(StepName, Range<usize>)>>,
    /// What must hold, all of it: `if`, and not `skip_if`.
    pub(super) conditions: Vec<Written<'n>>,
    pub(super) config: Option<&'n Entry>,
    pub(super) timeout: Option<(u64, Range<usize>)>,
    pub(super) retry: Option<(Retry, Range<usize>)>,
    pub(super) on_failure: OnFailure,
}

/// What carries a step out.
#[derive(Clone, Copy)]
pub(super) enum StepKind<'n> {
    /// An installed plugin.
    Plugin(&'n InstalledEntry),
    /// The engine, which waits.
    Gate,
    /// The engine, which runs another workflow.
    SubRun,
}

impl<'n> StepKind<'n> {
    pub(super) fn installed(self) -> Option<&'n InstalledEntry> {
        match self {
            StepKind::Plugin(entry) => Some(entry),
            StepKind::Gate | StepKind::SubRun => None,
        }
    }
}

/// A condition as it is written.
pub(super) struct Written<'n> {
    pub(super) text: String,
    pub(super) node: &'n Node,
    /// It must not hold.
    pub(super) negated: bool,
}

/// Every step of the file, each as far as it could be read.
pub(super) fn drafts<'n>(root: &'n Node, catalogue: &'n Catalogue, report: &mut Report<'_>) -> Option<Vec<Draft<'n>>> {
    let Some(entry) = root.get("steps") else {
        let first = root.span.start..root.span.start;
        report.error(codes::MISSING_KEY, first, "the pipeline has no steps", Some("add `steps:`".to_owned()));
        return None;
    };
    let items = items(entry, report)?;
    Some(items.iter().map(|node| native(node, catalogue, report)).collect())
}

/// The steps of a list: at least one, and not too many.
pub(super) fn items<'n>(entry: &'n Entry, report: &mut Report<'_>) -> Option<&'n [Node]> {
    let Kind::List(items) = &entry.value.kind else {
        wrong_type(&entry.value, &entry.key, "a list of steps", report);
        return None;
    };
    if items.is_empty() {
        report.error(codes::BAD_VALUE, entry.value.span.clone(), "there must be at least one step", None);
    }
    if items.len() > MAX_STEPS {
        let message = format!("there are {} steps; at most {MAX_STEPS} are read", items.len());
        report.error(codes::TOO_LARGE, entry.key_span.clone(), message, None);
        return None;
    }
    Some(items)
}

/// What the dialects' steps have in common: `name`, `type`, `config`, `if`, `timeout` and `retry`. Any other key but `keys` is
/// refused.
pub(super) fn draft<'n>(node: &'n Node, keys: &[&str], catalogue: &'n Catalogue, report: &mut Report<'_>) -> Draft<'n> {
    let mut draft = Draft {
        name: None,
        span: node.span.clone(),
        kind: None,
        needs: None,
        conditions: Vec::new(),
        config: None,
        timeout: None,
        retry: None,
        on_failure: OnFailure::Stop,
    };
    let Kind::Map(entries) = &node.kind else {
        wrong_type(node, "a step", "a mapping with `name` and `type`", report);
        return draft;
    };
    let missing = |key: &str, report: &mut Report<'_>| {
        // The step's first key stands for it.
        let span = entries.first().map_or(node.span.clone(), |entry| entry.key_span.clone());
        report.error(codes::MISSING_KEY, span, format!("this step has no `{key}`"), Some(format!("add `{key}:`")));
    };
    match node.get("name") {
        None => missing("name", report),
        Some(entry) => {
            draft.span = entry.value.span.clone();
            if let Some(text) = text(&entry.value, "name", report) {
                draft.name = text.parse().map_err(|error| bad_name(error, entry.value.span.clone(), report)).ok();
            }
        }
    }
    match node.get("type") {
        None => missing("type", report),
        Some(entry) => {
            if let Some(written) = text(&entry.value, "type", report) {
                draft.kind = kind(&written, &entry.value.span, catalogue, report);
            }
        }
    }
    let own = draft.kind.and_then(StepKind::installed).and_then(|installed| installed.schema().ok());
    for entry in entries.iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
        let is_own = match draft.kind {
            Some(StepKind::Gate) => super::gate::KEYS.contains(&entry.key.as_str()),
            Some(StepKind::SubRun) => super::sub_run::KEYS.contains(&entry.key.as_str()),
            _ => own.is_some_and(|schema| schema.keys().any(|key| key == entry.key)),
        };
        let help = if is_own {
            Some(format!("write `{}` under `config:`", entry.key))
        } else {
            unknown_key_help(&entry.key, keys, report)
        };
        let message = format!("a step has no key `{}`", entry.key);
        report.error(codes::UNKNOWN_KEY, entry.key_span.clone(), message, help);
    }
    if let Some(entry) = node.get("config") {
        mapping(&entry.value, "config", report);
        draft.config = Some(entry);
    }
    draft.conditions.extend(node.get("if").and_then(|entry| written(entry, false, report)));
    draft.timeout = node
        .get("timeout")
        .and_then(|entry| duration(&entry.value, "timeout", report).map(|millis| (millis, entry.value.span.clone())));
    draft.retry = node.get("retry").map(|entry| (retry(entry, report), entry.key_span.clone()));
    draft
}

/// A condition of a step: text, or a boolean for one that always or never runs.
pub(super) fn written<'n>(entry: &'n Entry, negated: bool, report: &mut Report<'_>) -> Option<Written<'n>> {
    let text = match &entry.value.kind {
        Kind::Bool(flag) => flag.to_string(),
        _ => text(&entry.value, &entry.key, report)?,
    };
    Some(Written { text, node: &entry.value, negated })
}

/// A step of our own dialect.
fn native<'n>(node: &'n Node, catalogue: &'n Catalogue, report: &mut Report<'_>) -> Draft<'n> {
    let mut draft = draft(node, STEP_KEYS, catalogue, report);
    draft.needs = node.get("needs").map(|entry| needs(&entry.value, report));
    if let Some(entry) = node.get("on_failure") {
        let choices = [("stop", OnFailure::Stop), ("continue", OnFailure::Continue)];
        draft.on_failure = choice(&entry.value, "on_failure", &choices, report).unwrap_or_default();
    }
    draft
}

/// What carries out steps of a type. The engine's own types are no plugin's, whatever a plugin claims.
fn kind<'n>(
    written: &str,
    span: &Range<usize>,
    catalogue: &'n Catalogue,
    report: &mut Report<'_>,
) -> Option<StepKind<'n>> {
    match written {
        GATE_STEP => Some(StepKind::Gate),
        WORKFLOW_STEP => Some(StepKind::SubRun),
        _ => resolve(written, span, catalogue, report).map(StepKind::Plugin),
    }
}

fn resolve<'n>(
    written: &str,
    span: &Range<usize>,
    catalogue: &'n Catalogue,
    report: &mut Report<'_>,
) -> Option<&'n InstalledEntry> {
    let error = match catalogue.resolve(written) {
        Ok(entry) => {
            if let Err(why) = entry.schema() {
                let message = format!("the schema of {} is not valid: {why}", entry.installed.plugin);
                let help = Some("install another version of it, and tell its author".to_owned());
                report.error(codes::BAD_PLUGIN, span.clone(), message, help);
            }
            return Some(entry);
        }
        Err(error) => error,
    };
    report_unresolved(written, error, span, report);
    None
}

/// Reports a step type that is not there.
pub(crate) fn report_unresolved(written: &str, error: Unresolved, span: &Range<usize>, report: &mut Report<'_>) {
    let list = |names: &[PluginName], join| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(join);
    let (code, message, help) = match error {
        Unresolved::Unknown { nearest } => (
            codes::UNKNOWN_STEP_TYPE,
            format!("no plugin provides `{written}`"),
            match (nearest, written.trim_start_matches("step.")) {
                (Some(name), _) => format!("did you mean `{name}`?"),
                // The command will be copied into a shell: only what means nothing there is put into it.
                (None, word) if !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                    format!("look for one with `windlass plugin search {word}`")
                }
                (None, _) => "look for one with `windlass plugin search`".to_owned(),
            },
        ),
        Unresolved::NotInstalled(plugins) => (
            codes::NOT_INSTALLED,
            match plugins.as_slice() {
                [one] => format!("`{written}` needs the plugin {one}, which is not installed"),
                several => format!("`{written}` is provided by {}, of which none is installed", list(several, " and ")),
            },
            format!("run `windlass plugin install {}`", plugins.first().map(ToString::to_string).unwrap_or_default()),
        ),
        Unresolved::NotInPlugin { plugin, provides } => (
            codes::UNKNOWN_STEP_TYPE,
            format!("{plugin} does not provide `{}`", written.split_once('/').map_or(written, |(_, step)| step)),
            format!("it provides {}", provides.join(", ")),
        ),
        Unresolved::Ambiguous(plugins) => (
            codes::AMBIGUOUS_STEP_TYPE,
            format!("`{written}` is claimed by {}", list(&plugins, " and ")),
            format!("write {}", list(&plugins, &format!("/{written} or ")) + "/" + written),
        ),
        Unresolved::BadName(error) => (codes::BAD_NAME, error, "write namespace:name/step.x".to_owned()),
    };
    report.error(code, span.clone(), message, Some(help));
}

fn needs(node: &Node, report: &mut Report<'_>) -> Vec<(StepName, Range<usize>)> {
    let Kind::List(items) = &node.kind else {
        let help = match &node.kind {
            Kind::String(name) => Some(format!("write needs: [{name}]")),
            _ => None,
        };
        let message = format!("`needs` must be a list of step names, and this is {}", node.type_name());
        report.error(codes::WRONG_TYPE, node.span.clone(), message, help);
        return Vec::new();
    };
    let mut seen = BTreeSet::new();
    let mut needs = Vec::new();
    for item in items {
        let Some(name) = text(item, "a need", report) else { continue };
        if !seen.insert(name.clone()) {
            let message = format!("`{name}` is needed twice");
            report.error(codes::DUPLICATE_NAME, item.span.clone(), message, Some("keep one".to_owned()));
        } else if let Ok(name) = name.parse().map_err(|error| bad_name(error, item.span.clone(), report)) {
            needs.push((name, item.span.clone()));
        }
    }
    needs
}

pub(crate) fn retry(entry: &Entry, report: &mut Report<'_>) -> Retry {
    let mut retry = Retry::default();
    let node = &entry.value;
    if mapping(node, "retry", report).is_none() {
        return retry;
    }
    known_keys(node, &["max_attempts", "backoff", "jitter", "on"], "`retry`", report);
    match node.get("max_attempts").map(|entry| &entry.value) {
        None => {
            let help = "add `max_attempts:`, the attempts in total".to_owned();
            report.error(codes::MISSING_KEY, entry.key_span.clone(), "`retry` has no `max_attempts`", Some(help));
        }
        Some(node) => match &node.kind {
            Kind::Number(number) => match number.as_u64().and_then(|n| u32::try_from(n).ok()) {
                Some(attempts @ 1..=MAX_ATTEMPTS) => retry.max_attempts = attempts,
                _ => {
                    let message =
                        format!("`max_attempts` is from 1 (no retry) to {MAX_ATTEMPTS}, and this is {number}");
                    report.error(codes::BAD_VALUE, node.span.clone(), message, None);
                }
            },
            _ => wrong_type(node, "max_attempts", "a number", report),
        },
    }
    if let Some(entry) = node.get("jitter") {
        retry.jitter = flag(&entry.value, "jitter", report).unwrap_or_default();
    }
    if let Some(entry) = node.get("backoff") {
        retry.backoff_ms = duration(&entry.value, "backoff", report).unwrap_or_default();
    }
    if let Some(entry) = node.get("on") {
        let choices = [("infrastructure", RetryOn::Infrastructure), ("non_zero_exit", RetryOn::NonZeroExit)];
        match &entry.value.kind {
            Kind::List(items) if !items.is_empty() => {
                retry.on = items.iter().filter_map(|item| choice(item, "on", &choices, report)).collect();
            }
            Kind::List(_) => {
                report.error(codes::BAD_VALUE, entry.value.span.clone(), "`on` names nothing to retry", None);
            }
            _ => wrong_type(&entry.value, "on", "a list", report),
        }
    }
    retry
}
