//! The states dialect: `apiVersion: 100monkeys.ai/v1`, `kind: Workflow`.
//!
//! A state is one step, or several that start at once; kinds are sugar for installed step types (`step.container_run`,
//! `step.agent`) and for what the engine does itself. Loading goes over the file three times: the states as they are written
//! ([`draft`]), then how they hang together ([`mod@graph`]), and last what they ask of their step types and read of each other
//! ([`container`], [`agents`], [`waiting`]), for which the graph must be known. What is legal and probably not meant is told at
//! the end ([`lints`]).
//!
//! - Diagnostics stand at the author's own keys: a step type's configuration is put together from the nodes of the file.
//! - A workflow declares no inputs, so it takes any; which names are inputs is not known before the run.
//! - A value never becomes part of shell text ([`crate::shell`]).
//!
//! Not here: what transitions, consensus and guards do in a run (`engine`).

mod agents;
mod container;
mod draft;
mod gaps;
mod graph;
mod lints;
mod mounts;
mod transitions;
mod waiting;

pub use agents::MAX_AGENTS;
pub use transitions::MAX_WAYS;

use crate::{
    Requirement, codes,
    configure::Shared,
    diagnostic::Report,
    expression::{Known, boolean, parse},
    fields::{bad_name, flag, known_keys, mapping, text, whole_number},
    pieces::is_template,
    plan::{
        Completion, DEFAULT_STATE_VISITS, DEFAULT_TRANSITIONS, InputDecl, MAX_TRANSITIONS, Plan, ResultShape, State,
        Step, Transition, Volume,
    },
    steps::{self, MAX_STEPS},
    text::{check_secret, check_templates, report_fault},
    workflows::SubWorkflows,
    yaml::{Entry, Kind, Node},
};
use draft::{CONTAINER_PLUGIN, Draft, StateKind, drafts, kind_of};
use graph::{Graph, View};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
};
use windlass_contract::{PluginName, StepName};

/// Takes the templates at these places out of a shell text: for the fuzz targets.
#[cfg(feature = "fuzzing")]
pub(crate) fn hoist(text: &str, spans: &[Range<usize>]) -> Option<(String, Vec<usize>)> {
    let templates: Vec<_> = spans.iter().map(|span| crate::shell::Template::at(text, span.clone())).collect();
    crate::shell::hoist(text, &templates, &mut Vec::new()).ok().map(|hoisted| (hoisted.text, hoisted.numbers))
}

/// What `apiVersion` must be.
const API_VERSION: &str = "100monkeys.ai/v1";
/// How many states a workflow may have: 1,000. A run takes at most 100 transitions, so more are never seen.
pub const MAX_STATES: usize = 1_000;
/// Which versions of the container plugin a workflow asks for that names none.
const CONTAINER_VERSIONS: &str = "^0.1";

/// The keys of `spec`.
pub(crate) const SPEC_KEYS: &[&str] = &[
    "initial_state",
    "states",
    "volumes",
    "context",
    "max_total_transitions",
    "agents",
    "plugins",
    "concurrency",
    "strict",
    "env",
];

pub(crate) use container::KEYS as CONTAINER_KEYS;
pub(crate) use transitions::CONDITIONS;

/// Each kind of state, and the keys that it takes.
pub(crate) fn kinds() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    StateKind::ALL.into_iter().map(|(name, kind)| (name, kind.keys()))
}

/// What becomes of a state.
struct Body {
    steps: Vec<Step>,
    completion: Completion,
    result: ResultShape,
}

/// What the states of a workflow share while they are checked.
struct Workflow<'w, 'n> {
    source: &'w str,
    inputs: &'w BTreeMap<String, InputDecl>,
    volumes: &'w BTreeMap<String, Volume>,
    shared: Shared<'w>,
    graph: &'w Graph<'n>,
    profiles: &'n [Entry],
    used_profiles: BTreeSet<String>,
    /// The names of the steps so far, and where each stands.
    names: HashMap<String, usize>,
    steps: usize,
}

impl<'w, 'n> Workflow<'w, 'n> {
    /// What can be read in a state, or once it has ended.
    fn view(&self, draft: &Draft<'_>, ended: bool) -> Option<View<'w, 'n>> {
        Some(View { graph: self.graph, at: *self.graph.index.get(draft.entry.key.as_str())?, ended })
    }

    fn known<'k>(&self, view: &'k View<'w, 'n>, report: &Report<'_>) -> Known<'k> {
        Known {
            inputs: self.inputs,
            open_inputs: true,
            env: Some(self.shared.env),
            steps: None,
            states: Some(view),
            status: false,
            suggest: report.may_suggest(),
        }
    }

    /// Whether so many steps more can be taken.
    fn takes(&mut self, steps: usize) -> bool {
        self.steps += steps;
        self.steps <= MAX_STEPS
    }

    /// Takes a step's name, which must be free.
    fn claim(&mut self, name: &str, span: &Range<usize>, report: &mut Report<'_>) -> Option<StepName> {
        let parsed = name.parse().map_err(|error| bad_name(error, span.clone(), report)).ok()?;
        if let Some(first) = self.names.insert(name.to_owned(), span.start) {
            let message =
                format!("there are two steps called `{name}`; the first is on line {}", report.line_of(first));
            report.error(codes::DUPLICATE_NAME, span.clone(), message, Some("give each its own name".to_owned()));
            return None;
        }
        Some(parsed)
    }

    /// Takes the name of a step of a parallel state: `STATE-short`.
    fn claim_within(
        &mut self,
        state: &StepName,
        short: &str,
        span: &Range<usize>,
        report: &mut Report<'_>,
    ) -> Option<StepName> {
        short.parse::<StepName>().map_err(|error| bad_name(error, span.clone(), report)).ok()?;
        self.claim(&format!("{state}-{short}"), span, report)
    }

    /// The profile of an agent, where the workflow has one.
    fn profile(&mut self, agent: &str) -> Option<&'n Entry> {
        let found = self.profiles.iter().find(|entry| entry.key == agent)?;
        self.used_profiles.insert(agent.to_owned());
        Some(found)
    }
}

/// Reads a workflow.
pub(crate) fn load(root: &Node, source: &str, subs: &mut SubWorkflows<'_>, report: &mut Report<'_>) -> Option<Plan> {
    if !is_workflow(root, report) {
        return None;
    }
    known_keys(root, &["apiVersion", "kind", "metadata", "spec"], "a workflow", report);
    let name = metadata(root, report);
    let spec_entry = required(root, "spec", "the workflow", report)?;
    let spec = &spec_entry.value;
    mapping(spec, "spec", report)?;
    known_keys(spec, SPEC_KEYS, "`spec`", report);
    let value = |key: &str| spec.get(key).map(|entry| &entry.value);

    let inputs = BTreeMap::new();
    let volumes = mounts::declared(spec.get("volumes"), report);
    let context = spec.get("context");
    let blackboard = context.map(|entry| blackboard(&entry.value, source, report)).unwrap_or_default();
    let max_transitions = value("max_total_transitions")
        .and_then(|node| whole_number(node, "max_total_transitions", 1..=MAX_TRANSITIONS, report))
        .unwrap_or(DEFAULT_TRANSITIONS);
    let strict = value("strict").and_then(|node| flag(node, "strict", report)).unwrap_or_default();
    for (name, requirement) in steps::plugins(spec, report) {
        steps::check_requirement(&name, &requirement, subs.catalogue(), report);
    }
    let env = value("env").map(|node| steps::env(node, &inputs, true, source, report)).unwrap_or_default();
    container::own_variables(spec.get("env"), report);
    let concurrency = value("concurrency").and_then(|node| {
        let known = Known {
            inputs: &inputs,
            open_inputs: true,
            env: Some(&env),
            steps: None,
            states: None,
            status: false,
            suggest: report.may_suggest(),
        };
        steps::concurrency(node, &known, source, report)
    });
    let profiles: &[Entry] =
        spec.get("agents").and_then(|entry| mapping(&entry.value, "agents", report)).unwrap_or_default();
    profiles.iter().for_each(|entry| {
        mapping(&entry.value, &entry.key, report);
    });

    let entries = states(spec, spec_entry, report)?;
    let index: HashMap<&str, usize> = entries.iter().enumerate().map(|(at, entry)| (entry.key.as_str(), at)).collect();
    let initial = initial(spec, spec_entry, &index, report);
    let drafts = drafts(entries, &index, &volumes, subs.catalogue(), report);
    let graph = graph(index, &drafts, context);
    let mut workflow = Workflow {
        source,
        inputs: &inputs,
        volumes: &volumes,
        shared: Shared::new(source, &env, spec.get("env")),
        graph: &graph,
        profiles,
        used_profiles: BTreeSet::new(),
        names: HashMap::new(),
        steps: 0,
    };
    let mut states = Vec::with_capacity(drafts.len());
    for draft in &drafts {
        let body = body(draft, &mut workflow, subs, report);
        check_ways(draft, &workflow, report);
        states.extend(body.and_then(|body| state(draft, body)));
    }
    workflow.shared.finish(report);
    for unused in profiles.iter().filter(|entry| !workflow.used_profiles.contains(&entry.key)) {
        let message = format!("no state names the agent `{}`", unused.key);
        report.warning(codes::NO_EFFECT, unused.key_span.clone(), message, Some("take it out".to_owned()));
    }
    let initial = initial?;
    if states.len() == drafts.len() {
        lints::lint(&drafts, &graph, initial, report);
    }
    Some(Plan {
        name: name?,
        inputs,
        open_inputs: true,
        env,
        blackboard,
        volumes,
        states,
        initial,
        max_transitions,
        concurrency,
        workflows: BTreeMap::new(),
        strict,
    })
}

/// Whether the file is of this dialect at all: nothing in it would be understood otherwise.
fn is_workflow(root: &Node, report: &mut Report<'_>) -> bool {
    let mut sound = true;
    for (key, wanted) in [("apiVersion", API_VERSION), ("kind", "Workflow")] {
        let (span, message) = match root.get(key) {
            Some(entry) if matches!(&entry.value.kind, Kind::String(text) if text == wanted) => continue,
            Some(entry) => (entry.value.span.clone(), format!("this `{key}` is not known")),
            None => (root.span.start..root.span.start, format!("the workflow has no `{key}`")),
        };
        sound = false;
        let help = format!("write {key}: {wanted}; a pipeline of `steps:` has no such key");
        report.error(codes::DIALECT, span, message, Some(help));
    }
    sound
}

fn required<'n>(node: &'n Node, key: &str, what: &str, report: &mut Report<'_>) -> Option<&'n Entry> {
    let found = node.get(key);
    if found.is_none() {
        let span = node.span.start..node.span.start;
        report.error(codes::MISSING_KEY, span, format!("{what} has no `{key}`"), Some(format!("add `{key}:`")));
    }
    found
}

/// Checks `metadata`, and gives the workflow's name.
fn metadata(root: &Node, report: &mut Report<'_>) -> Option<String> {
    const MAX_WORKFLOW_NAME: usize = 63;
    let metadata = &required(root, "metadata", "the workflow", report)?.value;
    mapping(metadata, "metadata", report)?;
    known_keys(metadata, &["name", "version", "description", "labels", "annotations"], "`metadata`", report);
    for key in ["version", "description"] {
        if let Some(entry) = metadata.get(key) {
            text(&entry.value, key, report);
        }
    }
    for key in ["labels", "annotations"] {
        let entries = metadata.get(key).and_then(|entry| mapping(&entry.value, key, report));
        entries.into_iter().flatten().for_each(|entry| {
            text(&entry.value, &entry.key, report);
        });
    }
    let entry = required(metadata, "name", "`metadata`", report)?;
    let name = text(&entry.value, "name", report)?;
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let sound = name.len() <= MAX_WORKFLOW_NAME
        && ends(name.chars().next())
        && ends(name.chars().next_back())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !sound {
        let message = format!("`{name}` cannot be a workflow's name");
        let help = "use 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends";
        report.error(codes::BAD_NAME, entry.value.span.clone(), message, Some(help.to_owned()));
    }
    sound.then_some(name)
}

/// Reads `context`: what the blackboard holds from the beginning, as it is written.
fn blackboard(node: &Node, source: &str, report: &mut Report<'_>) -> Map<String, Value> {
    fn plain(node: &Node, source: &str, report: &mut Report<'_>) {
        match &node.kind {
            Kind::String(text) => {
                check_secret(source, node, text, false, report);
                if is_template(text) {
                    let help = Some("use the template where the value is read".to_owned());
                    let message = "the context is set before the run begins, and is no template";
                    report.error(codes::TEMPLATE_NOT_HERE, node.span.clone(), message, help);
                }
            }
            Kind::List(items) => items.iter().for_each(|item| plain(item, source, report)),
            Kind::Map(entries) => entries.iter().for_each(|entry| plain(&entry.value, source, report)),
            _ => {}
        }
    }
    if mapping(node, "context", report).is_none() {
        return Map::new();
    }
    plain(node, source, report);
    match node.to_json() {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The entries of `spec.states`.
fn states<'n>(spec: &'n Node, spec_entry: &Entry, report: &mut Report<'_>) -> Option<&'n [Entry]> {
    let Some(entry) = spec.get("states") else {
        let help = Some("add `states:`, a mapping of names to states".to_owned());
        report.error(codes::MISSING_KEY, spec_entry.key_span.clone(), "`spec` has no `states`", help);
        return None;
    };
    let entries = mapping(&entry.value, "states", report)?;
    if entries.is_empty() {
        report.error(codes::BAD_VALUE, entry.value.span.clone(), "there must be at least one state", None);
        return None;
    }
    if entries.len() > MAX_STATES {
        let message = format!("there are {} states; at most {MAX_STATES} are read", entries.len());
        report.error(codes::TOO_LARGE, entry.key_span.clone(), message, None);
        return None;
    }
    Some(entries)
}

fn initial(spec: &Node, spec_entry: &Entry, index: &HashMap<&str, usize>, report: &mut Report<'_>) -> Option<usize> {
    let Some(entry) = spec.get("initial_state") else {
        let help = Some("add `initial_state:`, the state that a run begins in".to_owned());
        report.error(codes::MISSING_KEY, spec_entry.key_span.clone(), "`spec` has no `initial_state`", help);
        return None;
    };
    let name = text(&entry.value, "initial_state", report)?;
    let found = index.get(name.as_str()).copied();
    if found.is_none() {
        let help = report.did_you_mean(&name, index.keys().copied());
        report.error(codes::UNKNOWN_STATE, entry.value.span.clone(), format!("there is no state `{name}`"), help);
    }
    found
}

/// How the states hang together, and what each gives.
fn graph<'n>(index: HashMap<&'n str, usize>, drafts: &[Draft<'n>], context: Option<&'n Entry>) -> Graph<'n> {
    let ways = |draft: &Draft<'n>| draft.ways.iter().flatten().filter_map(|way| way.target).collect();
    let mut graph = Graph::new(index, drafts.iter().map(ways).collect());
    for (at, draft) in drafts.iter().enumerate() {
        for way in draft.ways.iter().flatten().filter(|way| way.feedback.is_some()) {
            if let Some(target) = way.target {
                graph.feedback[target] = true;
            }
        }
        graph.results[at] = draft.kind.and_then(|kind| results(kind, draft));
        graph.puts.extend(waiting::result_key(&draft.entry.value));
    }
    if let Some(Kind::Map(entries)) = context.map(|entry| &entry.value.kind) {
        graph.puts.extend(entries.iter().map(|entry| entry.key.as_str()));
    }
    graph
}

/// The names that may follow a state's own in a template, where that is certain.
fn results(kind: StateKind, draft: &Draft<'_>) -> Option<Vec<String>> {
    // What the engine says of any state.
    let always = ["outcome", "status", "reason", "message", "attempts", "duration_ms"].map(str::to_owned);
    let own: Vec<String> = match kind {
        StateKind::ContainerRun | StateKind::System => {
            let draft::Provider::Installed(installed) = draft.provider else { return None };
            installed.outputs()?.into_iter().map(str::to_owned).collect()
        }
        StateKind::ParallelContainerRun => {
            let counts = ["overall_success", "completion", "succeeded", "failed"].map(str::to_owned);
            container::step_names(&draft.entry.value)?.into_iter().chain(counts).collect()
        }
        StateKind::ParallelAgents => {
            let names = ["consensus", "agents", "score", "confidence", "agreement", "individual_scores"];
            names.map(str::to_owned).to_vec()
        }
        StateKind::Agent | StateKind::Human | StateKind::Subworkflow => return None,
    };
    Some(own.into_iter().chain(always).collect())
}

fn body(
    draft: &Draft<'_>,
    workflow: &mut Workflow<'_, '_>,
    subs: &mut SubWorkflows<'_>,
    report: &mut Report<'_>,
) -> Option<Body> {
    let kind = draft.kind?;
    match kind {
        StateKind::ContainerRun | StateKind::ParallelContainerRun | StateKind::System => {
            container::body(draft, kind, workflow, report)
        }
        StateKind::Agent | StateKind::ParallelAgents => agents::body(draft, kind, workflow, report),
        StateKind::Human => waiting::human(draft, workflow, report),
        StateKind::Subworkflow => waiting::sub_run(draft, workflow, subs, report),
    }
}

/// Checks what the ways out of a state read.
fn check_ways(draft: &Draft<'_>, workflow: &Workflow<'_, '_>, report: &mut Report<'_>) {
    let Some(view) = workflow.view(draft, true) else { return };
    for way in draft.ways.iter().flatten() {
        let known = workflow.known(&view, report);
        if let Some((text, node)) = &way.feedback {
            check_secret(workflow.source, node, text, false, report);
            check_templates(workflow.source, node, text, &known, true, report);
        }
        let Some((text, node)) = way.expression() else { continue };
        check_secret(workflow.source, node, text, false, report);
        if is_template(text) {
            let inner = text.trim().trim_start_matches("{{").trim_end_matches("}}").trim();
            let message = "this is an expression already, and takes no braces";
            report.error(codes::SYNTAX, node.span.clone(), message, Some(format!("write expression: {inner}")));
            continue;
        }
        let mut faults = Vec::new();
        match parse(text) {
            Ok(expr) => boolean(&expr, &known, &mut faults),
            Err(fault) => faults.push(fault),
        }
        faults.into_iter().for_each(|fault| report_fault(fault, workflow.source, node, text, report));
    }
}

fn state(draft: &Draft<'_>, body: Body) -> Option<State> {
    let transitions = draft.ways.as_ref()?.iter().map(|way| {
        let feedback = way.feedback.as_ref().map(|(text, _)| text.clone());
        Some(Transition { condition: way.condition.clone(), target: way.target?, feedback })
    });
    Some(State {
        name: draft.name.as_ref()?.to_string(),
        title: draft.title.clone(),
        steps: body.steps,
        completion: body.completion,
        result: body.result,
        transitions: transitions.collect::<Option<_>>()?,
        fails: draft.fails.unwrap_or_default(),
        max_visits: draft.max_visits.unwrap_or(DEFAULT_STATE_VISITS),
    })
}

/// What a workflow asks to be installed: its `plugins`, and the one that runs containers where a state is one.
pub(crate) fn requirements(root: &Node, report: &mut Report<'_>) -> BTreeMap<PluginName, Requirement> {
    let Some(spec) = root.get("spec").map(|entry| &entry.value) else { return BTreeMap::new() };
    let mut found = steps::plugins(spec, report);
    let states = match spec.get("states").map(|entry| &entry.value.kind) {
        Some(Kind::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    let container = states
        .iter()
        .find(|entry| kind_of(&entry.value).is_some_and(StateKind::is_container) && entry.value.get("type").is_none());
    if let (Some(container), Ok(name), Ok(version)) =
        (container, CONTAINER_PLUGIN.parse::<PluginName>(), CONTAINER_VERSIONS.parse())
    {
        let span = container.value.get("kind").map_or(container.key_span.clone(), |kind| kind.value.span.clone());
        found.entry(name).or_insert(Requirement { version, span });
    }
    found
}

/// Where a step of the plan was written, as a mapping whose keys are those of its configuration or near them.
pub(crate) fn written_step<'n>(root: &'n Node, step: &str) -> Option<&'n Node> {
    let Kind::Map(states) = &root.get("spec")?.value.get("states")?.value.kind else { return None };
    if let Some(state) = states.iter().find(|entry| entry.key == step) {
        return Some(&state.value);
    }
    states.iter().find_map(|state| {
        let short = step.strip_prefix(state.key.as_str())?.strip_prefix('-')?;
        let list = |key: &str| match &state.value.get(key)?.value.kind {
            Kind::List(items) => Some(items.as_slice()),
            _ => None,
        };
        match kind_of(&state.value)? {
            StateKind::ParallelAgents => list("agents")?.get(short.parse::<usize>().ok()?),
            _ => list("steps")?.iter().find(|item| {
                item.get("name").is_some_and(|name| matches!(&name.value.kind, Kind::String(name) if name == short))
            }),
        }
    })
}
