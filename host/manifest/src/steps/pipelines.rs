//! The config dialect: `pipelines.<name>` with `steps` that run one after the other.
//!
//! - A pipeline of steps is one state. With `on_error: compensate` there are two more: one whose steps run after a failure,
//!   the last one written first and whatever becomes of the others, and fail the run; and an empty one for success.
//! - With `on_error: skip` a step that fails is passed over, but for gates: who rejects means to stop. A gate is passed over
//!   where it says `skip` itself.
//! - Inputs need not be declared: `{{ .Version }}` is one. `inputs` and `env` of a pipeline are ours.
//! - The file may hold much that a host of services acts on and we do not. None of it is dropped silently: it is an error
//!   where leaving it out changes which steps run, and else a warning.
//!
//! Only the pipeline that is chosen is checked.

use super::{
    check_name,
    declarations::{check_requirement, env, inputs, plugins},
    draft::{Draft, StepKind, draft, items, written},
    step::{Scope, compile},
    trigger,
};
use crate::{
    catalogue::Catalogue,
    codes,
    configure::Shared,
    diagnostic::Report,
    expression::States,
    fields::{choice, duration, flag, mapping, unknown_key_help},
    plan::{Condition, DEFAULT_TRANSITIONS, MAIN_STATE, OnFailure, Plan, State, Transition, Volume, WORKSPACE_VOLUME},
    workflows::SubWorkflows,
    yaml::{Entry, Kind, Node},
};
use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet};

/// The state whose steps undo what was done.
const COMPENSATION_STATE: &str = "compensation";
/// The state in which a run that went well ends, where there is a compensation.
const DONE_STATE: &str = "done";

/// What a file of this dialect may hold beside `pipelines` and `plugins`: whether leaving it out is an error, and why.
const ROOT: &[(&str, bool, &str)] = &[
    ("imports", true, "other files are not read: put what this pipeline needs into this file"),
    ("requires", false, "say which plugins are needed under `plugins:`, such as windlass:shell: \"^0.1\""),
    ("modules", false, "no services are started: the steps run without them"),
    ("workflows", false, "only `pipelines` are run"),
    ("triggers", false, "a pipeline's own `trigger` may be a schedule; webhooks are made at a server"),
    ("platform", false, "steps run where their plugins run them"),
    ("ci", false, "only `pipelines` are run"),
    ("environments", false, "an environment is what a step's configuration says of it"),
    ("secrets", false, "secrets are kept with `windlass secret set`, and read as secret:NAME"),
    ("infra", false, "nothing is provisioned before the steps run"),
];

/// The keys that are told of and no error, and what is said.
pub(crate) fn told_of() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROOT.iter().filter(|(_, is_error, _)| !is_error).map(|(key, _, why)| (*key, *why))
}

const PIPELINE_KEYS: &[&str] =
    &["trigger", "inputs", "env", "steps", "on_error", "timeout", "compensation", "outputs", "strict_templates"];

const STEP_KEYS: &[&str] = &["name", "type", "config", "if", "skip_if", "on_error", "timeout", "retry", "error_status"];
const COMPENSATION_KEYS: &[&str] = &["name", "type", "config", "if", "skip_if", "timeout", "retry", "error_status"];

/// What a pipeline does when a step fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnError {
    Stop,
    Skip,
    Compensate,
}

pub(crate) fn load(root: &Node, source: &str, subs: &mut SubWorkflows<'_>, report: &mut Report<'_>) -> Option<Plan> {
    root_keys(root, report);
    for (name, requirement) in plugins(root, report) {
        check_requirement(&name, &requirement, subs.catalogue(), report);
    }
    let chosen = choose(root, subs, report)?;
    let node = &chosen.value;
    let entries = mapping(node, "a pipeline", report)?;
    check_name(&chosen.key, &chosen.key_span, report);
    for entry in entries.iter().filter(|entry| !PIPELINE_KEYS.contains(&entry.key.as_str())) {
        let help = unknown_key_help(&entry.key, PIPELINE_KEYS, report);
        let message = format!("a pipeline has no key `{}`", entry.key);
        report.error(codes::UNKNOWN_KEY, entry.key_span.clone(), message, help);
    }
    let value = |key: &str| node.get(key).map(|entry| &entry.value);
    value("trigger").into_iter().for_each(|node| trigger::check(node, report));
    if let Some(entry) = node.get("outputs") {
        let help = Some("what the steps give is kept with each of them; read it there".to_owned());
        report.warning(codes::NO_EFFECT, entry.key_span.clone(), "a run has no outputs of its own", help);
    }
    let strict = value("strict_templates").and_then(|node| flag(node, "strict_templates", report)).unwrap_or_default();
    let choices = [("stop", OnError::Stop), ("skip", OnError::Skip), ("compensate", OnError::Compensate)];
    let on_error =
        value("on_error").and_then(|node| choice(node, "on_error", &choices, report)).unwrap_or(OnError::Stop);
    let inputs = value("inputs").map(|node| inputs(node, source, report)).unwrap_or_default();
    let env = value("env").map(|node| env(node, &inputs, true, source, report)).unwrap_or_default();

    let Some(steps) = node.get("steps") else {
        let help = Some("add `steps:`".to_owned());
        report.error(codes::MISSING_KEY, chosen.key_span.clone(), "the pipeline has no steps", help);
        return None;
    };
    let default = if on_error == OnError::Skip { OnFailure::Continue } else { OnFailure::Stop };
    let catalogue = subs.catalogue();
    let drafts: Vec<Draft<'_>> =
        items(steps, report)?.iter().map(|node| step(node, default, catalogue, report)).collect();
    let undo = compensation(node, on_error, chosen, catalogue, report);
    unique_names(&drafts, undo.as_deref().unwrap_or_default(), report);

    let mut shared = Shared::new(source, &env, node.get("env"));
    let scope = Scope { inputs: &inputs, open_inputs: true, states: None, braces: true };
    let mut main = compile(&drafts, &scope, &mut shared, subs, report);
    if let Some(limit) = timeout(node, report) {
        main.iter_mut().for_each(|step| step.timeout_ms = step.timeout_ms.min(limit));
    }
    let mut states = vec![State::of(MAIN_STATE, main)];
    if let Some(undo) = undo {
        let ended = Ended(drafts.iter().filter_map(|draft| draft.name.as_ref()).map(|name| name.as_str()).collect());
        let scope = Scope { states: Some(&ended), ..scope };
        let steps = compile(&undo, &scope, &mut shared, subs, report);
        let to = |condition: Condition, target: usize| Transition { condition, target, feedback: None };
        states[0].transitions = vec![to(Condition::OnSuccess, 2), to(Condition::Always, 1)];
        states.push(State { fails: true, ..State::of(COMPENSATION_STATE, steps) });
        states.push(State::of(DONE_STATE, Vec::new()));
    }
    shared.finish(report);
    Some(Plan {
        name: chosen.key.clone(),
        inputs,
        open_inputs: true,
        env,
        blackboard: Map::new(),
        volumes: BTreeMap::from([(WORKSPACE_VOLUME.to_owned(), Volume::default())]),
        states,
        initial: 0,
        max_transitions: DEFAULT_TRANSITIONS,
        concurrency: None,
        workflows: BTreeMap::new(),
        strict,
    })
}

/// Tells of every key of the file that is not acted on.
fn root_keys(root: &Node, report: &mut Report<'_>) {
    let Kind::Map(entries) = &root.kind else { return };
    for entry in entries.iter().filter(|entry| entry.key != "pipelines" && entry.key != "plugins") {
        match ROOT.iter().find(|(key, ..)| *key == entry.key) {
            Some((key, is_error, help)) => {
                let (message, help) = (format!("`{key}` is not acted on"), Some((*help).to_owned()));
                if *is_error {
                    report.error(codes::NO_EFFECT, entry.key_span.clone(), message, help);
                } else {
                    report.warning(codes::NO_EFFECT, entry.key_span.clone(), message, help);
                }
            }
            None => {
                let known: Vec<&str> =
                    ["pipelines", "plugins"].into_iter().chain(ROOT.iter().map(|(key, ..)| *key)).collect();
                let help = unknown_key_help(&entry.key, &known, report);
                let message = format!("a configuration has no key `{}`", entry.key);
                report.error(codes::UNKNOWN_KEY, entry.key_span.clone(), message, help);
            }
        }
    }
}

/// The pipeline that is to run: the one that was asked for, or the only one.
fn choose<'n>(root: &'n Node, subs: &SubWorkflows<'_>, report: &mut Report<'_>) -> Option<&'n Entry> {
    let pipelines = root.get("pipelines")?;
    let entries = mapping(&pipelines.value, "pipelines", report)?;
    let names = || entries.iter().map(|entry| entry.key.as_str());
    let list = || names().collect::<Vec<_>>().join(", ");
    let span = pipelines.key_span.clone();
    match (subs.pipeline(), entries) {
        (_, []) => {
            let help = Some("give one a name, and `steps:`".to_owned());
            report.error(codes::MISSING_KEY, span, "the file holds no pipeline", help);
            None
        }
        (Some(asked), entries) => {
            let found = entries.iter().find(|entry| entry.key == asked);
            if found.is_none() {
                let help = report.did_you_mean(asked, names()).or_else(|| Some(format!("there are {}", list())));
                report.error(codes::WHICH_PIPELINE, span, format!("there is no pipeline `{asked}` here"), help);
            }
            found
        }
        (None, [only]) => Some(only),
        (None, several) => {
            let message = format!("the file holds {} pipelines: {}", several.len(), list());
            let help = match subs.is_sub_run() {
                true => "a sub-run cannot choose: put its pipeline into a file of its own",
                false => "say which one is meant: --pipeline NAME",
            };
            let help = Some(help.to_owned());
            report.error(codes::WHICH_PIPELINE, span, message, help);
            None
        }
    }
}

/// A step; `default` is what its failure does where it does not say.
fn step<'n>(node: &'n Node, default: OnFailure, catalogue: &'n Catalogue, report: &mut Report<'_>) -> Draft<'n> {
    let mut draft = common(node, STEP_KEYS, catalogue, report);
    // What `skip` means for all steps is not that a rejection lets everything pass.
    draft.on_failure = if matches!(draft.kind, Some(StepKind::Gate)) { OnFailure::Stop } else { default };
    let Some(entry) = node.get("on_error") else { return draft };
    if matches!(&entry.value.kind, Kind::String(text) if text == "compensate") {
        let help = Some("write it for the pipeline; a step is `stop` or `skip`".to_owned());
        report.error(codes::BAD_VALUE, entry.value.span.clone(), "a step has no compensation of its own", help);
    } else {
        let choices = [("stop", OnFailure::Stop), ("skip", OnFailure::Continue)];
        draft.on_failure = choice(&entry.value, "on_error", &choices, report).unwrap_or(default);
    }
    draft
}

fn common<'n>(node: &'n Node, keys: &[&str], catalogue: &'n Catalogue, report: &mut Report<'_>) -> Draft<'n> {
    let mut draft = draft(node, keys, catalogue, report);
    draft.conditions.extend(node.get("skip_if").and_then(|entry| written(entry, true, report)));
    if let Some(entry) = node.get("error_status") {
        let help = Some("leave it out; a step's outcome and reason tell how it failed".to_owned());
        report.warning(
            codes::NO_EFFECT,
            entry.key_span.clone(),
            "a run answers no request that could have a status",
            help,
        );
    }
    draft
}

/// The steps that undo what was done, in the order in which they run; each goes on whatever became of those before it.
fn compensation<'n>(
    pipeline: &'n Node,
    on_error: OnError,
    chosen: &Entry,
    catalogue: &'n Catalogue,
    report: &mut Report<'_>,
) -> Option<Vec<Draft<'n>>> {
    let Some(entry) = pipeline.get("compensation") else {
        if on_error == OnError::Compensate {
            let span = pipeline.get("on_error").map_or(chosen.key_span.clone(), |entry| entry.value.span.clone());
            let help = Some("add `compensation:`, a list of steps; the last one runs first".to_owned());
            report.error(codes::MISSING_KEY, span, "there is no compensation", help);
        }
        return None;
    };
    if on_error != OnError::Compensate {
        let help = Some("write on_error: compensate, or leave the steps out".to_owned());
        report.error(codes::NO_EFFECT, entry.key_span.clone(), "these steps would never run", help);
    }
    let mut drafts: Vec<Draft<'_>> =
        items(entry, report)?.iter().map(|node| common(node, COMPENSATION_KEYS, catalogue, report)).collect();
    drafts.iter_mut().for_each(|draft| draft.on_failure = OnFailure::Continue);
    drafts.reverse();
    Some(drafts)
}

/// A step's name is its own in the whole plan.
fn unique_names(main: &[Draft<'_>], undo: &[Draft<'_>], report: &mut Report<'_>) {
    let names: BTreeSet<_> = main.iter().filter_map(|draft| draft.name.as_ref()).collect();
    for draft in undo {
        if let Some(name) = draft.name.as_ref().filter(|name| names.contains(name)) {
            let message = format!("`{name}` is one of the pipeline's steps, too");
            let help = Some("give each its own name".to_owned());
            report.error(codes::DUPLICATE_NAME, draft.span.clone(), message, help);
        }
    }
}

/// The pipeline's `timeout`, to which each of its steps is held.
fn timeout(pipeline: &Node, report: &mut Report<'_>) -> Option<u64> {
    let entry = pipeline.get("timeout")?;
    let limit = duration(&entry.value, "timeout", report)?;
    let help = Some("give the steps timeouts of their own".to_owned());
    let message = "no step takes longer than this, but all of them together may";
    report.warning(codes::NO_EFFECT, entry.key_span.clone(), message, help);
    Some(limit)
}

/// What compensating steps can read of the steps before them: as ever, `{{ steps.NAME.outputs.… }}`.
struct Ended<'n>(BTreeSet<&'n str>);

impl States for Ended<'_> {
    fn names(&self) -> Vec<&str> {
        Vec::new()
    }
    fn exists(&self, _: &str) -> bool {
        false
    }
    fn may_have_ended(&self, _: &str) -> bool {
        false
    }
    fn results(&self, _: &str) -> Option<Vec<&str>> {
        None
    }
    fn has_feedback(&self) -> bool {
        false
    }
    fn puts(&self, _: &str) -> bool {
        false
    }
    fn had_step(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}
