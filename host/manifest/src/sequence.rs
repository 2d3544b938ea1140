//! Sequences of workflow templates: 2 to 50 of them, one after the other, and the plan that carries them out.
//!
//! The types have the JSON names of the documented interface. A stored sequence may be older than today's rules and a
//! template may have been deleted since, so everything is checked again when a plan is made, and every problem is told at
//! once.
//!
//! - A template is work for an agent (`step.agent`, by whichever installed plugin provides it), or, where it is `manual`, a
//!   gate that anybody may decide: advancing with success approves, advancing with failure rejects.
//! - The step at index `i` of a sequence is the step at index `i` of the plan's only state.
//! - A prompt is what its author wrote: it is no template, and no secret.
//!
//! **Not here.** Where sequences are stored, and the state of their runs (`store`, `engine`).

use crate::{
    Catalogue, codes,
    diagnostic::nearest,
    plan::{
        DEFAULT_TIMEOUT_MS, DEFAULT_TRANSITIONS, DEFAULT_WAIT_MS, Gate, GateDefault, MAIN_STATE, ManualGate, OnFailure,
        Plan, PluginWork, Retry, State, Step, Volume, WORKSPACE_VOLUME, Work,
    },
    text::{SecretUse, secret_use},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, ops::RangeInclusive};
use windlass_contract::{Code, CodedError, StepName};

/// The fewest steps of a sequence: 2, as documented. One is no sequence.
pub const MIN_SEQUENCE_STEPS: usize = 2;
/// The most steps of a sequence: 50, as documented.
pub const MAX_SEQUENCE_STEPS: usize = 50;
/// How long a sequence's or template's name may be: 200 characters, as documented.
pub const MAX_SEQUENCE_NAME_CHARS: usize = 200;
/// How long a description may be: 5,000 characters, as documented.
pub const MAX_DESCRIPTION_CHARS: usize = 5_000;
/// How long a prompt may be: 10,000 characters, as documented.
pub const MAX_PROMPT_CHARS: usize = 10_000;
/// The shortest time that a template's work may be given, in seconds: 10, as documented.
pub const MIN_TEMPLATE_SECONDS: u32 = 10;
/// The longest time that a template's work may be given, in seconds: an hour, as documented.
pub const MAX_TEMPLATE_SECONDS: u32 = 3_600;
/// How long a model's or a role's name or a tag may be: 100 characters.
pub const MAX_LABEL_CHARS: usize = 100;
/// How many tags a template may have: 50.
pub const MAX_TAGS: usize = 50;
/// The model where a template names none, as documented.
pub const DEFAULT_MODEL: &str = "sonnet";

/// The step type that agents are.
const AGENT_STEP: &str = "step.agent";

/// Work that can be put into sequences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its id; 0 before it is stored.
    #[serde(default)]
    pub id: u64,
    /// Its name, for people.
    pub name: String,
    /// What the agent is told, or a person is asked.
    #[serde(alias = "prompt")]
    pub task_prompt: String,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// Which model the agent uses.
    #[serde(default = "default_model")]
    pub model: String,
    /// How long it may take, in seconds. `None`: 5 minutes for an agent, and 24 hours for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// Which agent: the model's name where there is none.
    #[serde(default)]
    pub agent_role: Option<String>,
    /// For finding it.
    #[serde(default)]
    pub tags: Vec<String>,
    /// How the model is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
    /// Whether a person does it, and says so by advancing the run.
    #[serde(default)]
    pub manual: bool,
}

/// How a model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// How much chance there is in its answers, 0 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// How long its answer may be, in tokens; at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
}

/// Templates that run one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// Its id; 0 before it is stored.
    #[serde(default)]
    pub id: u64,
    /// Its name, for people.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// Its steps, in their order.
    pub steps: Vec<SequenceStep>,
}

/// One step of a sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceStep {
    /// Which template.
    pub template_id: u64,
    /// What the author took it to be called: checked where it is given, so that an id that was mistaken is noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_name: Option<String>,
    /// What its failure does to the run.
    #[serde(default)]
    pub on_failure: OnFailure,
}

fn default_model() -> String {
    DEFAULT_MODEL.to_owned()
}

/// Something that is wrong with a template or a sequence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct SequenceError {
    /// The stable code.
    pub code: Code,
    /// Where: a JSON pointer, such as `/steps/2/template_id`.
    pub place: String,
    /// What.
    pub message: String,
    /// What to write instead, or do next.
    pub help: Option<String>,
}

impl CodedError for SequenceError {
    fn code(&self) -> Code {
        self.code
    }
    fn help(&self) -> Option<String> {
        self.help.clone()
    }
}

/// Collects what is wrong.
#[derive(Default)]
struct Problems(Vec<SequenceError>);

impl Problems {
    fn add(&mut self, code: Code, place: impl Into<String>, message: impl Into<String>, help: Option<String>) {
        self.0.push(SequenceError { code, place: place.into(), message: message.into(), help });
    }

    fn chars(&mut self, place: &str, text: &str, range: RangeInclusive<usize>) {
        let count = text.chars().count();
        if !range.contains(&count) || (*range.start() > 0 && text.trim().is_empty()) {
            let message = match (*range.start(), count) {
                (0, _) => format!("this has {count} characters, and at most {} are taken", range.end()),
                (_, count) if range.contains(&count) => "this is only white space".to_owned(),
                (start, _) => format!("this has {count} characters, and {start} to {} are wanted", range.end()),
            };
            self.add(codes::SEQUENCE, place, message, None);
        }
    }

    fn line(&mut self, place: &str, text: &str, range: RangeInclusive<usize>) {
        self.chars(place, text, range);
        if text.chars().any(char::is_control) {
            self.add(codes::SEQUENCE, place, "there is a control character in this", Some("write one line".to_owned()));
        }
    }
}

/// What is wrong with a template.
pub fn check_template(template: &Template) -> Vec<SequenceError> {
    let mut problems = Problems::default();
    problems.line("/name", &template.name, 1..=MAX_SEQUENCE_NAME_CHARS);
    problems.chars("/task_prompt", &template.task_prompt, 1..=MAX_PROMPT_CHARS);
    if !matches!(secret_use(&template.task_prompt), SecretUse::None) {
        let help = Some("a prompt goes to a model; give the agent its secrets in its own settings".to_owned());
        problems.add(codes::SECRET_NOT_HERE, "/task_prompt", "a secret may not stand in a prompt", help);
    }
    problems.chars("/description", template.description.as_deref().unwrap_or_default(), 0..=MAX_DESCRIPTION_CHARS);
    problems.line("/model", &template.model, 1..=MAX_LABEL_CHARS);
    if let Some(role) = &template.agent_role {
        problems.line("/agent_role", role, 1..=MAX_LABEL_CHARS);
    }
    let sound = MIN_TEMPLATE_SECONDS..=MAX_TEMPLATE_SECONDS;
    if let Some(seconds) = template.timeout_seconds.filter(|seconds| !sound.contains(seconds)) {
        problems.add(
            codes::SEQUENCE,
            "/timeout_seconds",
            format!("this is {seconds}, and {MIN_TEMPLATE_SECONDS} to {MAX_TEMPLATE_SECONDS} are wanted"),
            None,
        );
    }
    if template.tags.len() > MAX_TAGS {
        let message = format!("there are {} tags, and at most {MAX_TAGS} are taken", template.tags.len());
        problems.add(codes::SEQUENCE, "/tags", message, None);
    }
    for (index, tag) in template.tags.iter().enumerate().take(MAX_TAGS) {
        problems.line(&format!("/tags/{index}"), tag, 1..=MAX_LABEL_CHARS);
    }
    if let Some(Parameters { temperature, max_tokens }) = template.parameters {
        if temperature.is_some_and(|temperature| !(0.0..=2.0).contains(&temperature)) {
            problems.add(codes::SEQUENCE, "/parameters/temperature", "a temperature is from 0 to 2", None);
        }
        if max_tokens == Some(0) {
            problems.add(codes::SEQUENCE, "/parameters/max_tokens", "an answer has at least one token", None);
        }
        if template.manual {
            let help = Some("leave `parameters` out; no model is asked".to_owned());
            problems.add(codes::NO_EFFECT, "/parameters", "a person does this", help);
        }
    }
    problems.0
}

/// What is wrong with a sequence over these templates, by id.
pub fn check_sequence(sequence: &Sequence, templates: &BTreeMap<u64, Template>) -> Vec<SequenceError> {
    let mut problems = Problems::default();
    problems.line("/name", &sequence.name, 1..=MAX_SEQUENCE_NAME_CHARS);
    problems.chars("/description", sequence.description.as_deref().unwrap_or_default(), 0..=MAX_DESCRIPTION_CHARS);
    let count = sequence.steps.len();
    if !(MIN_SEQUENCE_STEPS..=MAX_SEQUENCE_STEPS).contains(&count) {
        let message = format!("there are {count} steps, and {MIN_SEQUENCE_STEPS} to {MAX_SEQUENCE_STEPS} are wanted");
        problems.add(codes::SEQUENCE, "/steps", message, None);
    }
    for (index, step) in sequence.steps.iter().enumerate().take(MAX_SEQUENCE_STEPS) {
        let Some(template) = templates.get(&step.template_id) else {
            let named = step.template_name.as_deref().and_then(|name| {
                let near = nearest_template(name, templates)?;
                Some(format!("is it {}, `{}`?", near.id, near.name))
            });
            let message = format!("there is no template {}", step.template_id);
            let help = named.or_else(|| Some("create the template first".to_owned()));
            problems.add(codes::SEQUENCE, format!("/steps/{index}/template_id"), message, help);
            continue;
        };
        if let Some(name) = step.template_name.as_ref().filter(|name| **name != template.name) {
            let message = format!("the template {} is called `{}`, and not `{name}`", step.template_id, template.name);
            let help = Some("mend the id, or leave `template_name` out".to_owned());
            problems.add(codes::SEQUENCE, format!("/steps/{index}/template_name"), message, help);
        }
        for problem in check_template(template) {
            let message = format!("the template {}: {}: {}", template.id, problem.place, problem.message);
            problems.add(problem.code, format!("/steps/{index}"), message, problem.help);
        }
    }
    problems.0
}

fn nearest_template<'t>(name: &str, templates: &'t BTreeMap<u64, Template>) -> Option<&'t Template> {
    let same = templates.values().find(|template| template.name == name);
    same.or_else(|| {
        let near = nearest(name, templates.values().map(|template| template.name.as_str()))?;
        templates.values().find(|template| template.name == near)
    })
}

/// The plan of a sequence over these templates, by id. `profiles` holds what each agent is set up with, by the agent's name;
/// a template's `model` and `parameters` count more.
///
/// # Errors
/// Everything that is wrong with the sequence and its templates; no plugin, or several, that provide agents; and what the
/// agents' plugin refuses.
pub fn to_plan(
    sequence: &Sequence,
    templates: &BTreeMap<u64, Template>,
    profiles: &BTreeMap<String, Map<String, Value>>,
    catalogue: &Catalogue,
) -> Result<Plan, Vec<SequenceError>> {
    let mut problems = Problems(check_sequence(sequence, templates));
    let mut steps: Vec<Step> = Vec::with_capacity(sequence.steps.len());
    if problems.0.is_empty() {
        for (index, step) in sequence.steps.iter().enumerate() {
            let Some(template) = templates.get(&step.template_id) else { continue };
            let work = if template.manual {
                Some(Work::Gate(gate(template)))
            } else {
                agent(template, index, profiles, catalogue, &mut problems).map(Work::Plugin)
            };
            let (Some(work), Some(name)) = (work, step_name(index, &template.name)) else { continue };
            let default = if template.manual { DEFAULT_WAIT_MS } else { DEFAULT_TIMEOUT_MS };
            steps.push(Step {
                needs: steps.last().map(|before| before.name.clone()).into_iter().collect(),
                name,
                work,
                condition: None,
                timeout_ms: template.timeout_seconds.map_or(default, |seconds| u64::from(seconds) * 1_000),
                retry: Retry::default(),
                on_failure: step.on_failure,
            });
        }
    }
    if !problems.0.is_empty() {
        return Err(problems.0);
    }
    Ok(Plan {
        name: sequence.name.clone(),
        inputs: BTreeMap::new(),
        open_inputs: false,
        env: BTreeMap::new(),
        blackboard: Map::new(),
        volumes: BTreeMap::from([(WORKSPACE_VOLUME.to_owned(), Volume::default())]),
        states: vec![State::of(MAIN_STATE, steps)],
        initial: 0,
        max_transitions: DEFAULT_TRANSITIONS,
        concurrency: None,
        workflows: BTreeMap::new(),
        strict: false,
    })
}

/// What a step of a sequence is called: its index, which makes it unique, and as much of the template's name as a step's
/// name can hold.
fn step_name(index: usize, template: &str) -> Option<StepName> {
    const MAX_WORD_CHARS: usize = 48;
    let mut word = String::new();
    for c in template.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_alphanumeric() {
            word.push(c);
        } else if !word.is_empty() && !word.ends_with('-') {
            word.push('-');
        }
        if word.len() >= MAX_WORD_CHARS {
            break;
        }
    }
    let word = word.trim_end_matches('-');
    let name = if word.is_empty() { format!("{index}") } else { format!("{index}-{word}") };
    name.parse().ok()
}

fn gate(template: &Template) -> Gate {
    Gate::Manual(ManualGate {
        prompt: Some(literal(&template.task_prompt)),
        approvers: Vec::new(),
        quorum: 1,
        self_approval: true,
        auto_approve: Vec::new(),
        on_timeout: GateDefault::Reject,
    })
}

/// A text as a template that renders to it.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        // Each brace alone: `{{{` would be three in a row again if two were taken together.
        out.push_str("{{ '{' }}");
        rest = &from[1..];
    }
    out.push_str(rest);
    out
}

fn agent(
    template: &Template,
    index: usize,
    profiles: &BTreeMap<String, Map<String, Value>>,
    catalogue: &Catalogue,
    problems: &mut Problems,
) -> Option<PluginWork> {
    let place = format!("/steps/{index}");
    let Ok(entry) = catalogue.resolve(AGENT_STEP) else {
        let claims = catalogue.installed().filter(|installed| installed.step.name == AGENT_STEP).count();
        let (message, help) = match claims {
            0 => ("no installed plugin provides agents", "install one, such as windlass:agent"),
            _ => ("several installed plugins provide agents", "keep one of them installed"),
        };
        problems.add(codes::NOT_INSTALLED, place, message, Some(help.to_owned()));
        return None;
    };
    let agent = template.agent_role.as_ref().unwrap_or(&template.model);
    let mut profile = profiles.get(agent).cloned().unwrap_or_default();
    profile.insert("model".to_owned(), Value::from(template.model.clone()));
    if let Some(Parameters { temperature, max_tokens }) = template.parameters {
        profile.extend(temperature.map(|temperature| ("temperature".to_owned(), json!(temperature))));
        profile.extend(max_tokens.map(|max_tokens| ("max_tokens".to_owned(), json!(max_tokens))));
    }
    let config = json!({ "agent": agent, "input": template.task_prompt, "profile": profile });
    match entry.schema() {
        Ok(schema) => {
            for error in schema.validator.iter_errors(&config) {
                let message = format!("{} refuses this: {}", entry.installed.plugin, error.masked());
                let help = Some(format!("see to the settings of the agent `{agent}`"));
                problems.add(codes::CONFIG, place.clone(), message, help);
            }
        }
        Err(why) => {
            let message = format!("the schema of {} is not valid: {why}", entry.installed.plugin);
            let help = Some("install another version of it, and tell its author".to_owned());
            problems.add(codes::BAD_PLUGIN, place, message, help);
        }
    }
    Some(PluginWork {
        plugin: entry.installed.plugin.clone(),
        step_type: entry.installed.step.name.clone(),
        effect: entry.installed.step.effect,
        config,
        treatment: BTreeMap::new(),
        typed: BTreeMap::new(),
    })
}
