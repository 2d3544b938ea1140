//! Which front end reads a file: the file says it by its keys.
//!
//! A mapping with `apiVersion` or `kind` is a workflow of states, one with `pipelines` is a configuration of pipelines, and
//! every other one is a pipeline of steps. All give the same [`Plan`]. What a dialect's keys mean is none of this module's
//! business.

use crate::{
    Requirement, codes,
    diagnostic::Report,
    plan::Plan,
    states,
    steps::{self, Schedule},
    workflows::SubWorkflows,
    yaml::{Entry, Kind, Node},
};
use std::collections::BTreeMap;
use windlass_contract::PluginName;

/// The step type that waits.
pub(crate) const GATE_STEP: &str = "step.gate";
/// The step type that runs another workflow.
pub(crate) const WORKFLOW_STEP: &str = "step.workflow";

/// A way to write a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `steps:`, our own.
    Steps,
    /// `kind: Workflow` with `spec.states`.
    States,
    /// `pipelines.<name>.steps`.
    Config,
}

impl Dialect {
    /// The dialect of a file, by its keys alone.
    pub(crate) fn of(root: &Node) -> Dialect {
        if root.get("apiVersion").or_else(|| root.get("kind")).is_some() {
            Dialect::States
        } else if root.get("pipelines").is_some() && root.get("steps").is_none() {
            Dialect::Config
        } else {
            Dialect::Steps
        }
    }
}

/// Reads a file in its own dialect.
pub(crate) fn load(root: &Node, source: &str, subs: &mut SubWorkflows<'_>, report: &mut Report<'_>) -> Option<Plan> {
    let dialect = Dialect::of(root);
    if let Some(asked) = subs.pipeline().filter(|_| dialect != Dialect::Config) {
        let message = format!("the file is one pipeline, and `{asked}` cannot be chosen from it");
        report.error(codes::WHICH_PIPELINE, 0..0, message, Some("leave the choice out".to_owned()));
    }
    match dialect {
        Dialect::Steps => steps::load(root, source, subs, report),
        Dialect::States => states::load(root, source, subs, report),
        Dialect::Config => steps::pipelines::load(root, source, subs, report),
    }
}

/// What a file asks to be installed.
pub(crate) fn requirements(root: &Node, report: &mut Report<'_>) -> BTreeMap<PluginName, Requirement> {
    match Dialect::of(root) {
        Dialect::States => states::requirements(root, report),
        Dialect::Steps | Dialect::Config => steps::plugins(root, report),
    }
}

/// The steps that a file holds, as they are written, wherever its dialect puts them.
pub(crate) fn written_steps(root: &Node) -> Vec<&Node> {
    let lists: Vec<&Entry> = match Dialect::of(root) {
        Dialect::Steps => root.get("steps").into_iter().collect(),
        Dialect::States => Vec::new(),
        Dialect::Config => entries(root.get("pipelines"))
            .iter()
            .flat_map(|pipeline| ["steps", "compensation"].map(|key| pipeline.value.get(key)))
            .flatten()
            .collect(),
    };
    lists
        .into_iter()
        .flat_map(|entry| match &entry.value.kind {
            Kind::List(items) => items.as_slice(),
            _ => &[],
        })
        .collect()
}

/// The names of the pipelines that a file holds where it may hold several.
pub(crate) fn pipeline_names(root: &Node) -> Vec<String> {
    match Dialect::of(root) {
        Dialect::Config => entries(root.get("pipelines")).iter().map(|entry| entry.key.clone()).collect(),
        Dialect::Steps | Dialect::States => Vec::new(),
    }
}

/// The name that a file gives the pipeline that is chosen of it, as it is written.
pub(crate) fn written_name<'n>(root: &'n Node, chosen: Option<&str>) -> Option<&'n str> {
    let text = |entry: &'n Entry| match &entry.value.kind {
        Kind::String(text) => Some(text.as_str()),
        _ => None,
    };
    match Dialect::of(root) {
        Dialect::Steps => root.get("name").and_then(text),
        Dialect::States => root.get("metadata")?.value.get("name").and_then(text),
        Dialect::Config => match (entries(root.get("pipelines")), chosen) {
            ([only], None) => Some(&only.key),
            (all, chosen) => all.iter().map(|entry| entry.key.as_str()).find(|name| Some(*name) == chosen),
        },
    }
}

/// The times at which the pipeline that is chosen of a file is to be run.
pub(crate) fn schedule(root: &Node, chosen: Option<&str>) -> Option<Schedule> {
    if Dialect::of(root) != Dialect::Config {
        return None;
    }
    let name = written_name(root, chosen)?;
    let pipeline = entries(root.get("pipelines")).iter().find(|entry| entry.key == name)?;
    Schedule::of(&pipeline.value.get("trigger")?.value)
}

/// The ids of the workflows that a file names, each once, in the order of the file.
pub(crate) fn references(root: &Node) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    let mut add = |entry: Option<&Entry>| {
        if let Some(Kind::String(id)) = entry.map(|entry| &entry.value.kind)
            && !ids.contains(id)
        {
            ids.push(id.clone());
        }
    };
    let is = |node: &Node, key: &str, value: &str| {
        node.get(key).is_some_and(|entry| matches!(&entry.value.kind, Kind::String(text) if text == value))
    };
    for step in written_steps(root).into_iter().filter(|step| is(step, "type", WORKFLOW_STEP)) {
        add(step.get("config").and_then(|config| config.value.get("workflow")));
    }
    if Dialect::of(root) == Dialect::States {
        let states = root.get("spec").and_then(|spec| spec.value.get("states"));
        for state in entries(states).iter().filter(|state| is(&state.value, "kind", "Subworkflow")) {
            add(state.value.get("workflow_id"));
        }
    }
    ids
}

fn entries(entry: Option<&Entry>) -> &[Entry] {
    match entry.map(|entry| &entry.value.kind) {
        Some(Kind::Map(entries)) => entries,
        _ => &[],
    }
}
