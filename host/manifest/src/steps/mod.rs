//! The native dialect: `steps:` with `inputs`, `plugins`, `workspace`, `env` and `strict`.
//!
//! Loading goes over the file three times: the steps as they are written, then how they are wired (names, `needs`,
//! cycles), and last what they say of each other (configurations, templates, conditions), for which the wiring must be
//! known. A problem in one step hides none in another.

mod draft;
mod wiring;

use crate::{
    Requirement,
    catalogue::Catalogue,
    codes, config,
    diagnostic::Report,
    expression::{Known, boolean, parse},
    fields::{bad_name, choice, flag, is_identifier, known_keys, mapping, text, wrong_type},
    plan::{DEFAULT_TIMEOUT_MS, InputDecl, InputType, MAIN_STATE, Plan, State, Step, Treatment, Workspace},
    template::is_template,
    text::{SecretUse, check_secret, check_templates, duration_ms, place, report_fault, secret_use},
    yaml::{Kind, Node},
};
use draft::{Draft, drafts};
use serde_json::{Map, Value};
use std::{cell::RefCell, collections::BTreeMap, ops::Range};
use windlass_contract::PluginName;
use wiring::{View, Wiring};

/// How many steps a pipeline may have: 10,000, two orders of magnitude over what people write; what a generator makes of
/// a matrix still fits.
pub const MAX_STEPS: usize = 10_000;
/// How many attempts a step may have in total: 100. Together with a doubling backoff, more never end.
pub const MAX_ATTEMPTS: u32 = 100;
/// How long a pipeline's name may be: 100 characters, a line in a list.
pub const MAX_NAME_CHARS: usize = 100;

/// How many bytes the pipeline's `env` may come to once it is merged into every step that takes one: 16 MiB. A file of
/// 1 MiB could else become a plan of gigabytes.
pub const MAX_MERGED_ENV_BYTES: usize = 16 * 1024 * 1024;

const ROOT_KEYS: &[&str] = &["name", "inputs", "plugins", "workspace", "env", "strict", "steps"];

pub(crate) fn load<'n>(
    root: &'n Node,
    source: &str,
    catalogue: &'n Catalogue,
    report: &mut Report<'_>,
) -> Option<Plan> {
    let Kind::Map(_) = root.kind else {
        let help = "a pipeline begins with `name:` and `steps:`".to_owned();
        let message = format!("a pipeline is a mapping, and this is {}", root.type_name());
        report.error(codes::WRONG_TYPE, root.span.clone(), message, Some(help));
        return None;
    };
    if let Some(other) = ["apiVersion", "kind", "pipelines"].iter().find_map(|key| root.get(key)) {
        let message = "this dialect is not read by this version: write a pipeline of `steps:`";
        report.error(codes::DIALECT, other.key_span.clone(), message, None);
        return None;
    }
    known_keys(root, ROOT_KEYS, "a pipeline", report);

    let name = match root.get("name") {
        Some(entry) => text(&entry.value, "name", report).unwrap_or_default(),
        None => {
            let first = root.span.start..root.span.start;
            report.error(codes::MISSING_KEY, first, "the pipeline has no name", Some("add `name:`".to_owned()));
            String::new()
        }
    };
    if let Some(entry) = root.get("name")
        && matches!(entry.value.kind, Kind::String(_))
        && (name.trim().is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control))
    {
        let message = format!("a pipeline's name has 1 to {MAX_NAME_CHARS} printable characters");
        report.error(codes::BAD_NAME, entry.value.span.clone(), message, None);
    }
    if let Some(entry) = root.get("name").filter(|_| is_template(&name)) {
        let help = Some("a pipeline keeps its name from run to run".to_owned());
        report.error(codes::TEMPLATE_NOT_HERE, entry.value.span.clone(), "the name is no template", help);
    }
    let inputs = root.get("inputs").map(|entry| inputs(&entry.value, source, report)).unwrap_or_default();
    let strict = root.get("strict").and_then(|entry| flag(&entry.value, "strict", report)).unwrap_or_default();
    let persistent = root.get("workspace").and_then(|entry| {
        mapping(&entry.value, "workspace", report)?;
        known_keys(&entry.value, &["persistent"], "`workspace`", report);
        flag(&entry.value.get("persistent")?.value, "persistent", report)
    });
    for (name, requirement) in plugins(root, report) {
        check_requirement(&name, &requirement, catalogue, report);
    }
    let env = root.get("env").map(|entry| env(&entry.value, &inputs, source, report)).unwrap_or_default();

    let drafts = drafts(root, catalogue, report)?;
    let wiring = Wiring::new(&drafts, report);
    let env_bytes = env.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>();
    let pipeline =
        Pipeline { source, inputs: &inputs, env: &env, env_bytes, env_node: root.get("env").map(|entry| &entry.value) };
    let mut taking_env = 0;
    let mut steps = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        steps.extend(step(index, draft, &wiring, &pipeline, &mut taking_env, report));
    }
    if let Some(entry) = root.get("env").filter(|_| env_bytes.saturating_mul(taking_env) > MAX_MERGED_ENV_BYTES) {
        let message = format!(
            "`env` has {env_bytes} bytes and goes to {taking_env} steps: more than {MAX_MERGED_ENV_BYTES} bytes together"
        );
        let help = Some("give the long values to the steps that need them".to_owned());
        report.error(codes::TOO_LARGE, entry.key_span.clone(), message, help);
    }
    if let Some(entry) = root.get("env").filter(|_| !env.is_empty() && taking_env == 0 && !report.has_errors()) {
        let help = "step types that take one say `env` in their schema; templates can read env.NAME".to_owned();
        report.warning(codes::NO_EFFECT, entry.key_span.clone(), "no step here takes an `env`", Some(help));
    }
    Some(Plan {
        name,
        inputs,
        env,
        workspace: Workspace { persistent: persistent.unwrap_or_default() },
        states: vec![State { name: MAIN_STATE.to_owned(), steps }],
        initial: 0,
        strict,
    })
}

/// The `plugins:` map. What is wrong with it is reported, and left out.
pub(crate) fn plugins(root: &Node, report: &mut Report<'_>) -> BTreeMap<PluginName, Requirement> {
    let mut found = BTreeMap::new();
    let Some(entries) = root.get("plugins").and_then(|entry| mapping(&entry.value, "plugins", report)) else {
        return found;
    };
    for entry in entries {
        let name = entry.key.parse::<PluginName>().map_err(|error| bad_name(error, entry.key_span.clone(), report));
        let Some(version) = text(&entry.value, &entry.key, report) else { continue };
        match version.parse() {
            Ok(version) => {
                if let Ok(name) = name {
                    found.insert(name, Requirement { version, span: entry.value.span.clone() });
                }
            }
            Err(error) => {
                let message = format!("`{version}` is no version requirement: {error}");
                let help = Some("write \"^0.1\", \"~1.2.3\" or \"=1.2.3\"".to_owned());
                report.error(codes::BAD_VALUE, entry.value.span.clone(), message, help);
            }
        }
    }
    found
}

fn check_requirement(name: &PluginName, wanted: &Requirement, catalogue: &Catalogue, report: &mut Report<'_>) {
    let install = |what: String| Some(format!("run `windlass plugin install {what}`"));
    match catalogue.plugin(name) {
        None => {
            let message = format!("the plugin {name} is not installed");
            report.error(codes::NOT_INSTALLED, wanted.span.clone(), message, install(name.to_string()));
        }
        Some(plugin) if !wanted.version.matches(&plugin.version) => {
            let message = format!("{plugin} is installed, and {} is asked for", wanted.version);
            let help = install(format!("'{name}@{}'", wanted.version));
            report.error(codes::WRONG_VERSION, wanted.span.clone(), message, help);
        }
        Some(_) => {}
    }
}

fn inputs(node: &Node, source: &str, report: &mut Report<'_>) -> BTreeMap<String, InputDecl> {
    let mut declared = BTreeMap::new();
    for entry in mapping(node, "inputs", report).into_iter().flatten() {
        if !is_identifier(&entry.key) {
            let message = format!("`{}` cannot be an input's name", entry.key);
            let help = "use letters, digits, hyphens and underscores, starting with a letter".to_owned();
            report.error(codes::BAD_NAME, entry.key_span.clone(), message, Some(help));
        }
        // What is declared wrongly is still declared: a template that reads it is no further problem.
        let mut decl =
            InputDecl { kind: InputType::String, default: None, required: false, description: String::new() };
        if let Some(fields) = mapping(&entry.value, &entry.key, report).map(|_| &entry.value) {
            known_keys(fields, &["type", "default", "required", "description"], "an input", report);
            let value = |key: &str| fields.get(key).map(|entry| &entry.value);
            if let Some(node) = value("type") {
                let kinds =
                    [("string", InputType::String), ("number", InputType::Number), ("boolean", InputType::Boolean)];
                decl.kind = choice(node, "type", &kinds, report).unwrap_or(InputType::String);
            }
            decl.description =
                value("description").and_then(|node| text(node, "description", report)).unwrap_or_default();
            let required = value("required").and_then(|node| flag(node, "required", report));
            if let Some(node) = value("default") {
                let sound = match decl.kind {
                    InputType::String => matches!(node.kind, Kind::String(_)),
                    InputType::Number => matches!(node.kind, Kind::Number(_)),
                    InputType::Boolean => matches!(node.kind, Kind::Bool(_)),
                };
                if !sound {
                    let wanted = match decl.kind {
                        InputType::String => "text",
                        InputType::Number => "a number",
                        InputType::Boolean => "a boolean",
                    };
                    wrong_type(node, "default", wanted, report);
                }
                if let Kind::String(text) = &node.kind {
                    check_secret(source, node, text, false, report);
                    if is_template(text) {
                        let help = "use the template where the input is read".to_owned();
                        report.error(
                            codes::TEMPLATE_NOT_HERE,
                            node.span.clone(),
                            "a default is no template",
                            Some(help),
                        );
                    }
                }
                if required == Some(true) {
                    let help = "leave one of the two out".to_owned();
                    let message = "a required input never takes its default";
                    report.error(codes::NO_EFFECT, node.span.clone(), message, Some(help));
                }
                decl.default = Some(node.to_json());
            }
            decl.required = required.unwrap_or(decl.default.is_none());
        }
        declared.insert(entry.key.clone(), decl);
    }
    declared
}

/// The pipeline's `env`: text or numbers and booleans as they are written.
fn env(
    node: &Node,
    inputs: &BTreeMap<String, InputDecl>,
    source: &str,
    report: &mut Report<'_>,
) -> BTreeMap<String, String> {
    let known = Known { inputs, env: None, steps: None, status: false, suggest: report.may_suggest() };
    let mut env = BTreeMap::new();
    for entry in mapping(node, "env", report).into_iter().flatten() {
        let sound = !entry.key.is_empty() && !entry.key.contains(['=', '\0']);
        if !sound {
            let message = format!("`{}` cannot be the name of a variable", entry.key);
            report.error(codes::BAD_NAME, entry.key_span.clone(), message, None);
        }
        let Some(text) = text(&entry.value, &entry.key, report) else { continue };
        check_secret(source, &entry.value, &text, true, report);
        check_templates(source, &entry.value, &text, &known, true, report);
        env.insert(entry.key.clone(), text);
    }
    env
}

/// What the steps share.
struct Pipeline<'p> {
    source: &'p str,
    inputs: &'p BTreeMap<String, InputDecl>,
    env: &'p BTreeMap<String, String>,
    env_bytes: usize,
    env_node: Option<&'p Node>,
}

/// Checks what a step says, and makes it a step of the plan where it is sound enough.
fn step(
    at: usize,
    draft: &Draft<'_>,
    wiring: &Wiring<'_>,
    pipeline: &Pipeline<'_>,
    taking_env: &mut usize,
    report: &mut Report<'_>,
) -> Option<Step> {
    let view = View { wiring, at };
    let mut known = Known {
        inputs: pipeline.inputs,
        env: Some(pipeline.env),
        steps: Some(&view),
        status: true,
        suggest: report.may_suggest(),
    };
    if let Some((text, node)) = &draft.condition {
        check_condition(text, node, pipeline.source, &known, report);
    }
    known.status = false;
    let installed = draft.installed?;
    let schema = installed.schema().ok()?;
    let mut config = match draft.config.map(|entry| &entry.value) {
        Some(node) if matches!(node.kind, Kind::Map(_)) => node.to_json(),
        Some(_) => return None,
        None => Value::Object(Map::new()),
    };
    if !pipeline.env.is_empty() && schema.takes_env() {
        *taking_env += 1;
        if taking_env.saturating_mul(pipeline.env_bytes) <= MAX_MERGED_ENV_BYTES {
            merge_env(&mut config, pipeline.env);
        }
    }
    let places = config::Places {
        config: draft.config.map(|entry| &entry.value),
        whole: draft.config.map_or_else(|| draft.span.clone(), |entry| entry.key_span.clone()),
        env: pipeline.env_node,
        source: pipeline.source,
    };
    config::check(&config, &installed.installed, schema, &places, report);
    places.config.into_iter().for_each(|node| no_templates_in_keys(node, report));

    let mut treatment = BTreeMap::new();
    let mut typed = BTreeMap::new();
    let timeout = RefCell::new(draft.timeout.as_ref().map(|(millis, _)| *millis));
    schema.scalars(&config, &mut |pointer, value, facts| {
        let Some((node, inherited)) = places.node(pointer) else { return };
        if facts.timeout && !value.is_null() {
            config_timeout(pointer, value, node, draft.timeout.is_some(), &mut timeout.borrow_mut(), report);
            return;
        }
        let Value::String(text) = value else { return };
        // The pipeline's `env` was checked once, but for what only the step type can say.
        if !inherited || matches!(secret_use(text), SecretUse::Reference) {
            check_secret(pipeline.source, node, text, facts.secret, report);
        }
        if !is_template(text) {
            return;
        }
        if facts.template == Treatment::Never {
            report.error(
                codes::TEMPLATE_NOT_HERE,
                place(pipeline.source, node, text, template_span(text)),
                "no template may stand here: a value is never spliced into shell text",
                Some("pass the value through `env` and write \"$NAME\"".to_owned()),
            );
            return;
        }
        let scalars = facts.scalars();
        if !inherited {
            check_templates(pipeline.source, node, text, &known, scalars.is_none(), report);
        }
        treatment.insert(pointer.to_owned(), facts.template);
        if let Some(scalars) = scalars {
            typed.insert(pointer.to_owned(), scalars);
        }
    });
    let needs = match &draft.needs {
        Some(written) => written.iter().map(|(name, _)| name.clone()).collect(),
        None => at.checked_sub(1).and_then(|before| wiring.names[before].cloned()).into_iter().collect(),
    };
    Some(Step {
        name: draft.name.clone()?,
        plugin: installed.installed.plugin.clone(),
        step_type: installed.installed.step.name.clone(),
        effect: installed.installed.step.effect,
        needs,
        condition: draft.condition.as_ref().map(|(text, _)| text.clone()),
        config,
        treatment,
        typed,
        timeout_ms: timeout.into_inner().unwrap_or(DEFAULT_TIMEOUT_MS),
        retry: draft.retry.clone(),
        on_failure: draft.on_failure,
    })
}

/// A key is passed on as it is written: a template in one would be passed on unrendered.
fn no_templates_in_keys(node: &Node, report: &mut Report<'_>) {
    match &node.kind {
        Kind::List(items) => items.iter().for_each(|item| no_templates_in_keys(item, report)),
        Kind::Map(entries) => {
            for entry in entries {
                if is_template(&entry.key) {
                    let help = Some("only values are templates".to_owned());
                    report.error(codes::TEMPLATE_NOT_HERE, entry.key_span.clone(), "a key is no template", help);
                }
                no_templates_in_keys(&entry.value, report);
            }
        }
        _ => {}
    }
}

fn check_condition(text: &str, node: &Node, source: &str, known: &Known<'_>, report: &mut Report<'_>) {
    check_secret(source, node, text, false, report);
    if is_template(text) {
        let inner = text.trim().trim_start_matches("${{").trim_start_matches("{{").trim_end_matches("}}").trim();
        let message = "a condition is an expression already, and takes no braces";
        report.error(codes::SYNTAX, node.span.clone(), message, Some(format!("write if: {inner}")));
        return;
    }
    let mut faults = Vec::new();
    match parse(text) {
        Ok(expr) => boolean(&expr, known, &mut faults),
        Err(fault) => faults.push(fault),
    }
    faults.into_iter().for_each(|fault| report_fault(fault, source, node, text, report));
}

fn config_timeout(
    pointer: &str,
    value: &Value,
    node: &Node,
    given: bool,
    timeout: &mut Option<u64>,
    report: &mut Report<'_>,
) {
    let key = pointer.rsplit('/').next().unwrap_or_default();
    match value {
        _ if given => {
            let message = format!("the step's `timeout` is given already, and `{key}` would be another");
            report.error(codes::TWO_TIMEOUTS, node.span.clone(), message, Some("keep one of the two".to_owned()));
        }
        Value::String(text) if is_template(text) => {
            let help = Some("write the duration itself".to_owned());
            report.error(codes::TEMPLATE_NOT_HERE, node.span.clone(), "a timeout must be known before the run", help);
        }
        Value::String(text) => match duration_ms(text) {
            Ok(millis) => *timeout = Some(millis),
            Err(help) => {
                report.error(codes::BAD_DURATION, node.span.clone(), format!("`{text}` is no duration"), Some(help));
            }
        },
        other => {
            let help = other.is_number().then(|| format!("write the unit too: {other}s"));
            report.error(codes::BAD_DURATION, node.span.clone(), format!("`{key}` must be a duration"), help);
        }
    }
}

/// Puts the pipeline's variables under those that the step has itself.
fn merge_env(config: &mut Value, env: &BTreeMap<String, String>) {
    let Value::Object(config) = config else { return };
    let own = config.entry("env").or_insert_with(|| Value::Object(Map::new()));
    if own.is_null() {
        *own = Value::Object(Map::new());
    }
    if let Value::Object(own) = own {
        for (name, text) in env {
            own.entry(name.clone()).or_insert_with(|| Value::String(text.clone()));
        }
    }
}

/// The first `{{ … }}` of a text.
fn template_span(text: &str) -> Range<usize> {
    let start = text.find("{{").unwrap_or(0);
    let end = text[start..].find("}}").map_or(text.len(), |end| start + end + 2);
    start..end
}
