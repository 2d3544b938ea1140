//! What a pipeline declares before its steps: `plugins`, `inputs`, `env`, `volumes` and `workspace`, `concurrency`.

use crate::{
    Requirement,
    catalogue::Catalogue,
    codes,
    diagnostic::Report,
    expression::Known,
    fields::{bad_name, choice, flag, is_identifier, known_keys, mapping, text, whole_number, wrong_type},
    pieces::is_template,
    plan::{Concurrency, InputDecl, InputType, Volume, WORKSPACE_VOLUME},
    text::{check_secret, check_templates},
    yaml::{Kind, Node},
};
use std::collections::BTreeMap;
use windlass_contract::PluginName;

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

pub(crate) fn check_requirement(
    name: &PluginName,
    wanted: &Requirement,
    catalogue: &Catalogue,
    report: &mut Report<'_>,
) {
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

/// How many volumes a pipeline may declare: 32. Each is a folder or an engine's volume that a run makes and clears away.
pub const MAX_VOLUMES: usize = 32;
/// How many runs of a group may go on at once at most: 1,000, more than one host carries out.
pub const MAX_CONCURRENT_RUNS: u32 = 1_000;

pub(crate) fn inputs(node: &Node, source: &str, report: &mut Report<'_>) -> BTreeMap<String, InputDecl> {
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
pub(crate) fn env(
    node: &Node,
    inputs: &BTreeMap<String, InputDecl>,
    open_inputs: bool,
    source: &str,
    report: &mut Report<'_>,
) -> BTreeMap<String, String> {
    let known = Known {
        inputs,
        open_inputs,
        env: None,
        steps: None,
        states: None,
        status: false,
        suggest: report.may_suggest(),
    };
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

/// `workspace:` and `volumes:`. The workspace is always there.
pub(super) fn volumes(root: &Node, report: &mut Report<'_>) -> BTreeMap<String, Volume> {
    let mut volumes = BTreeMap::from([(WORKSPACE_VOLUME.to_owned(), Volume::default())]);
    if let Some(entry) = root.get("workspace") {
        volumes.insert(WORKSPACE_VOLUME.to_owned(), volume(&entry.value, "workspace", report));
    }
    let Some(entry) = root.get("volumes") else { return volumes };
    let Some(entries) = mapping(&entry.value, "volumes", report) else { return volumes };
    if entries.len() > MAX_VOLUMES {
        let message = format!("there are {} volumes; at most {MAX_VOLUMES} are made", entries.len());
        report.error(codes::TOO_LARGE, entry.key_span.clone(), message, None);
        return volumes;
    }
    for entry in entries {
        if entry.key == WORKSPACE_VOLUME {
            let help = Some("say what it is like under `workspace:`".to_owned());
            let message = "the workspace is always there, and is no volume of its own";
            report.error(codes::BAD_NAME, entry.key_span.clone(), message, help);
        } else if !is_volume_name(&entry.key) {
            let message = format!("`{}` cannot be a volume's name", entry.key);
            let help = "use 1 to 63 lower-case letters, digits, hyphens and underscores, not beginning with one of the last two";
            report.error(codes::BAD_NAME, entry.key_span.clone(), message, Some(help.to_owned()));
        }
        let volume = match entry.value.kind {
            Kind::Null => Volume::default(),
            _ => volume(&entry.value, &entry.key, report),
        };
        if entry.key != WORKSPACE_VOLUME {
            volumes.insert(entry.key.clone(), volume);
        }
    }
    volumes
}

/// Whether a volume may be called so: what a folder and an engine's volume may be called anywhere.
pub(crate) fn is_volume_name(name: &str) -> bool {
    const MAX_VOLUME_NAME: usize = 63;
    name.len() <= MAX_VOLUME_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn volume(node: &Node, what: &str, report: &mut Report<'_>) -> Volume {
    let quoted = format!("`{what}`");
    let persistent = mapping(node, what, report).and_then(|_| {
        known_keys(node, &["persistent"], &quoted, report);
        flag(&node.get("persistent")?.value, "persistent", report)
    });
    Volume { persistent: persistent.unwrap_or_default() }
}

/// `concurrency:`, a group by its name alone or with a limit.
pub(crate) fn concurrency(
    node: &Node,
    known: &Known<'_>,
    source: &str,
    report: &mut Report<'_>,
) -> Option<Concurrency> {
    let (group, limit) = match &node.kind {
        Kind::Map(_) => {
            known_keys(node, &["group", "limit"], "`concurrency`", report);
            let limit = node
                .get("limit")
                .and_then(|entry| whole_number(&entry.value, "limit", 1..=MAX_CONCURRENT_RUNS, report));
            let Some(group) = node.get("group") else {
                let help = Some("add `group:`, under which the runs wait for each other".to_owned());
                report.error(codes::MISSING_KEY, node.span.clone(), "`concurrency` has no `group`", help);
                return None;
            };
            (&group.value, limit.unwrap_or(1))
        }
        Kind::String(_) => (node, 1),
        _ => {
            wrong_type(node, "concurrency", "a group's name, or a mapping with `group` and `limit`", report);
            return None;
        }
    };
    let name = text(group, "group", report)?;
    if name.trim().is_empty() {
        report.error(codes::BAD_VALUE, group.span.clone(), "the group has no name", None);
        return None;
    }
    check_secret(source, group, &name, false, report);
    check_templates(source, group, &name, known, true, report);
    Some(Concurrency { group: name, limit })
}
