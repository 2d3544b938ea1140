//! The states as they are written, before they know of each other: their kinds, and the keys that all kinds share.

use super::{
    mounts,
    transitions::{Bounds, Way, fraction_of, ways},
};
use crate::{
    catalogue::{Catalogue, Entry as InstalledEntry, Unresolved},
    codes,
    diagnostic::Report,
    expression::{ROOTS, WORDS},
    fields::{bad_name, choice, duration, known_keys, mapping, text, whole_number},
    plan::{MAX_STATE_VISITS, Volume},
    steps::report_unresolved,
    yaml::{Entry, Kind, Node},
};
use std::collections::{BTreeMap, HashMap};
use windlass_contract::{NameError, PluginName, StepName};

/// The step type of a container.
pub(super) const CONTAINER: &str = "step.container_run";
/// The plugin that is known to provide it.
pub(super) const CONTAINER_PLUGIN: &str = "windlass:container";
/// The step type of an agent.
pub(super) const AGENT: &str = "step.agent";
/// The plugin that is known to provide it.
pub(super) const AGENT_PLUGIN: &str = "windlass:agent";

/// What a state does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StateKind {
    ContainerRun,
    ParallelContainerRun,
    Agent,
    ParallelAgents,
    System,
    Human,
    Subworkflow,
}

impl StateKind {
    pub(super) const ALL: [(&'static str, StateKind); 7] = [
        ("ContainerRun", StateKind::ContainerRun),
        ("ParallelContainerRun", StateKind::ParallelContainerRun),
        ("Agent", StateKind::Agent),
        ("ParallelAgents", StateKind::ParallelAgents),
        ("System", StateKind::System),
        ("Human", StateKind::Human),
        ("Subworkflow", StateKind::Subworkflow),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// A state of this kind, in words.
    pub(super) fn one(self) -> String {
        let article = if matches!(self, StateKind::Agent) { "an" } else { "a" };
        format!("{article} {} state", self.name())
    }

    /// The step type that carries it out; `None` for what the engine does itself.
    pub(super) fn step_type(self) -> Option<&'static str> {
        match self {
            StateKind::ContainerRun | StateKind::ParallelContainerRun | StateKind::System => Some(CONTAINER),
            StateKind::Agent | StateKind::ParallelAgents => Some(AGENT),
            StateKind::Human | StateKind::Subworkflow => None,
        }
    }

    /// Whether containers carry it out.
    pub(super) fn is_container(self) -> bool {
        self.step_type() == Some(CONTAINER)
    }

    /// The keys that only this kind has.
    pub(super) fn keys(self) -> Vec<&'static str> {
        let own: &[&str] = match self {
            StateKind::ContainerRun => super::container::KEYS,
            StateKind::ParallelContainerRun => &["steps", "completion"],
            StateKind::Agent => &["agent", "input", "max_iterations"],
            StateKind::ParallelAgents => &["agents", "consensus"],
            StateKind::System => &["command", "env", "workdir", "image"],
            StateKind::Human => &["prompt", "default_response"],
            StateKind::Subworkflow => &["workflow_id", "mode", "result_key", "input"],
        };
        let shared = ["kind", "transitions", "timeout", "max_state_visits", "name", "volumes", "outcome"];
        let with_type = self.step_type().map(|_| "type");
        own.iter().copied().chain(shared).chain(with_type).collect()
    }
}

/// The kind of a state that says one, quietly.
pub(super) fn kind_of(state: &Node) -> Option<StateKind> {
    let Kind::String(written) = &state.get("kind")?.value.kind else { return None };
    StateKind::ALL.iter().find(|(name, _)| name == written).map(|(_, kind)| *kind)
}

/// What carries a state's steps out.
#[derive(Clone, Copy)]
pub(super) enum Provider<'n> {
    Installed(&'n InstalledEntry),
    /// Nobody, and the workflow can be looked at all the same.
    Absent(&'static str),
    /// The engine, or nobody, which is reported.
    None,
}

/// A state as it is written.
pub(super) struct Draft<'n> {
    pub(super) entry: &'n Entry,
    pub(super) name: Option<StepName>,
    pub(super) kind: Option<StateKind>,
    pub(super) provider: Provider<'n>,
    pub(super) title: Option<String>,
    pub(super) timeout: Option<u64>,
    /// Its mounts, where they are sound.
    pub(super) volumes: Option<&'n Entry>,
    pub(super) max_visits: Option<u32>,
    /// What `outcome` says.
    pub(super) fails: Option<bool>,
    /// `None` where they could not be read.
    pub(super) ways: Option<Vec<Way<'n>>>,
}

impl Draft<'_> {
    /// Whether the run ends here.
    pub(super) fn is_terminal(&self) -> bool {
        self.ways.as_ref().is_some_and(Vec::is_empty)
    }
}

/// Every state of a workflow, each as far as it could be read.
pub(super) fn drafts<'n>(
    entries: &'n [Entry],
    index: &HashMap<&str, usize>,
    volumes: &BTreeMap<String, Volume>,
    catalogue: &'n Catalogue,
    report: &mut Report<'_>,
) -> Vec<Draft<'n>> {
    let mut providers = Providers { catalogue, told: Vec::new() };
    entries.iter().map(|entry| draft(entry, index, volumes, &mut providers, report)).collect()
}

fn draft<'n>(
    entry: &'n Entry,
    index: &HashMap<&str, usize>,
    volumes: &BTreeMap<String, Volume>,
    providers: &mut Providers<'n>,
    report: &mut Report<'_>,
) -> Draft<'n> {
    let node = &entry.value;
    let mut draft = Draft {
        entry,
        name: name(entry, report),
        kind: None,
        provider: Provider::None,
        title: None,
        timeout: None,
        volumes: None,
        max_visits: None,
        fails: None,
        ways: None,
    };
    if mapping(node, &entry.key, report).is_none() {
        return draft;
    }
    let value = |key: &str| node.get(key).map(|entry| &entry.value);
    draft.kind = match value("kind") {
        Some(node) => choice(node, "kind", &StateKind::ALL, report),
        None => {
            let names: Vec<&str> = StateKind::ALL.iter().map(|(name, _)| *name).collect();
            let help = Some(format!("add `kind:`, one of {}", names.join(", ")));
            report.error(codes::MISSING_KEY, entry.key_span.clone(), "this state has no `kind`", help);
            None
        }
    };
    if let Some(kind) = draft.kind {
        known_keys(node, &kind.keys(), &kind.one(), report);
        draft.provider = providers.find(kind, node, entry, report);
    }
    draft.title = node.get("name").and_then(|_| mounts::required_text(node, "name", "this state", report));
    draft.timeout = value("timeout").and_then(|node| duration(node, "timeout", report));
    draft.max_visits =
        value("max_state_visits").and_then(|node| whole_number(node, "max_state_visits", 1..=MAX_STATE_VISITS, report));
    if let Some(mounted) = node.get("volumes") {
        draft.volumes = Some(mounted).filter(|_| mounts::check(&mounted.value, volumes, report));
        if let Some(kind) = draft.kind.filter(|kind| kind.step_type().is_none()) {
            let message = format!("{} mounts nothing", kind.one());
            let help = Some("take it out".to_owned());
            report.warning(codes::NO_EFFECT, mounted.key_span.clone(), message, help);
        }
    }
    draft.ways = match node.get("transitions") {
        Some(entry) => ways(entry, index, bounds(node), report),
        None => {
            let help = Some("add `transitions:`; where the run ends here, `transitions: []`".to_owned());
            report.error(codes::MISSING_KEY, entry.key_span.clone(), "this state has no `transitions`", help);
            None
        }
    };
    draft.fails =
        value("outcome").and_then(|node| choice(node, "outcome", &[("succeeded", false), ("failed", true)], report));
    if let (Some(outcome), Some([_, ..])) = (node.get("outcome"), draft.ways.as_deref()) {
        let help = Some("put it on the state that the run ends in".to_owned());
        report.error(codes::NO_EFFECT, outcome.key_span.clone(), "the run does not end in this state", help);
    }
    draft
}

/// A state's name is its step's, too.
fn name(entry: &Entry, report: &mut Report<'_>) -> Option<StepName> {
    let word = entry.key.as_str();
    if ROOTS.contains(&word) || WORDS.contains(&word) {
        let message =
            format!("a state called `{word}` could not be read in templates, where the word means something else");
        report.error(codes::BAD_NAME, entry.key_span.clone(), message, Some("give it another name".to_owned()));
        return None;
    }
    let named = word.parse::<StepName>().map_err(|error| NameError { what: "state name", ..error });
    named.map_err(|error| bad_name(error, entry.key_span.clone(), report)).ok()
}

/// What `consensus:` says for the conditions of the same state; what is wrong with it is told where it is read.
fn bounds(state: &Node) -> Bounds {
    let number = |key: &str| fraction_of(&state.get("consensus")?.value.get(key)?.value);
    Bounds { threshold: number("threshold"), agreement: number("agreement") }
}

/// The step types that states ask for. What is not installed is told of once.
struct Providers<'n> {
    catalogue: &'n Catalogue,
    told: Vec<String>,
}

impl<'n> Providers<'n> {
    fn find(&mut self, kind: StateKind, node: &Node, entry: &Entry, report: &mut Report<'_>) -> Provider<'n> {
        let Some(step_type) = kind.step_type() else { return Provider::None };
        let (written, span) = match node.get("type") {
            None => {
                (step_type.to_owned(), node.get("kind").map_or(entry.key_span.clone(), |kind| kind.value.span.clone()))
            }
            Some(entry) => match text(&entry.value, "type", report) {
                Some(written) if written.split('/').next_back() == Some(step_type) => {
                    (written, entry.value.span.clone())
                }
                Some(written) => {
                    let message = format!("{} is carried out by `{step_type}`, and not by `{written}`", kind.one());
                    let help = Some(format!("write NAMESPACE:NAME/{step_type}, to choose between two plugins"));
                    report.error(codes::BAD_VALUE, entry.value.span.clone(), message, help);
                    return Provider::None;
                }
                None => return Provider::None,
            },
        };
        let error = match self.catalogue.resolve(&written) {
            Ok(found) => {
                return match found.schema() {
                    Ok(_) => Provider::Installed(found),
                    Err(why) => {
                        if self.first(&written) {
                            let message = format!("the schema of {} is not valid: {why}", found.installed.plugin);
                            let help = Some("install another version of it, and tell its author".to_owned());
                            report.error(codes::BAD_PLUGIN, span, message, help);
                        }
                        Provider::None
                    }
                };
            }
            Err(error) => error,
        };
        let first = self.first(&written);
        let absent = matches!(error, Unresolved::Unknown { .. } | Unresolved::NotInstalled(_));
        if absent && step_type == AGENT {
            if first {
                let message =
                    format!("no installed plugin provides `{written}`: this workflow can be looked at, and not run");
                let plugin = match &error {
                    Unresolved::NotInstalled(plugins) => plugins.first().map(ToString::to_string),
                    _ => None,
                };
                let help =
                    format!("run `windlass plugin install {}`", plugin.unwrap_or_else(|| AGENT_PLUGIN.to_owned()));
                report.warning(codes::NOT_INSTALLED, span, message, Some(help));
            }
            return Provider::Absent(AGENT);
        }
        if first {
            // Which plugin has it is known here, whatever the registry told.
            let error = match (error, CONTAINER_PLUGIN.parse::<PluginName>()) {
                (Unresolved::Unknown { .. }, Ok(plugin)) => Unresolved::NotInstalled(vec![plugin]),
                (error, _) => error,
            };
            report_unresolved(&written, error, &span, report);
        }
        Provider::None
    }

    fn first(&mut self, written: &str) -> bool {
        let first = !self.told.iter().any(|told| told == written);
        if first {
            self.told.push(written.to_owned());
        }
        first
    }
}
