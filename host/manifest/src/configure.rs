//! What a step asks of its plugin: its configuration against the plugin's schema, with the pipeline's `env` merged in, and
//! how each string in it is rendered. Every front end comes through here.
//!
//! Not here: what the schema itself says (`annotations`), and how its violations are explained (`config`).

use crate::{
    catalogue::Entry as InstalledEntry,
    codes, config,
    diagnostic::Report,
    expression::Known,
    pieces::is_template,
    plan::{PluginWork, Treatment},
    shell::{Script, script},
    text::{SecretUse, check_secret, check_templates, duration_ms, place, secret_use},
    yaml::{Entry, Kind, Node},
};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, ops::Range};

/// How many bytes the pipeline's `env` may come to once it is merged into every step that takes one: 16 MiB. A file of
/// 1 MiB could else become a plan of gigabytes.
pub const MAX_MERGED_ENV_BYTES: usize = 16 * 1024 * 1024;

/// What the steps of a file share.
pub(crate) struct Shared<'p> {
    /// The text of the file.
    pub(crate) source: &'p str,
    /// The pipeline's `env`.
    pub(crate) env: &'p BTreeMap<String, String>,
    env_bytes: usize,
    env_entry: Option<&'p Entry>,
    /// How many steps took it.
    taking_env: usize,
}

impl<'p> Shared<'p> {
    pub(crate) fn new(source: &'p str, env: &'p BTreeMap<String, String>, env_entry: Option<&'p Entry>) -> Self {
        let env_bytes = env.iter().map(|(name, text)| name.len() + text.len()).sum();
        Shared { source, env, env_bytes, env_entry, taking_env: 0 }
    }

    /// Once every step was asked: whether the `env` went where it can go.
    pub(crate) fn finish(&self, report: &mut Report<'_>) {
        let Some(entry) = self.env_entry else { return };
        if self.env_bytes.saturating_mul(self.taking_env) > MAX_MERGED_ENV_BYTES {
            let message = format!(
                "`env` has {} bytes and goes to {} steps: more than {MAX_MERGED_ENV_BYTES} bytes together",
                self.env_bytes, self.taking_env
            );
            let help = Some("give the long values to the steps that need them".to_owned());
            report.error(codes::TOO_LARGE, entry.key_span.clone(), message, help);
        } else if !self.env.is_empty() && self.taking_env == 0 && !report.has_errors() {
            let help = "step types that take one say `env` in their schema; templates can read env.NAME".to_owned();
            report.warning(codes::NO_EFFECT, entry.key_span.clone(), "no step here takes an `env`", Some(help));
        }
    }
}

/// A step's configuration as it was written.
pub(crate) struct Given<'n> {
    pub(crate) config: Option<&'n Entry>,
    /// Where the step is shown.
    pub(crate) span: Range<usize>,
    /// Whether the step has a timeout outside its configuration.
    pub(crate) has_timeout: bool,
}

/// What came of it.
pub(crate) struct Asked {
    pub(crate) work: PluginWork,
    /// The timeout that stands in the configuration.
    pub(crate) timeout_ms: Option<u64>,
}

/// Checks a configuration. `None` where nothing can be said: a schema that is none, a configuration that is no mapping,
/// both of which are reported elsewhere.
pub(crate) fn ask(
    installed: &InstalledEntry,
    given: &Given<'_>,
    known: &Known<'_>,
    shared: &mut Shared<'_>,
    report: &mut Report<'_>,
) -> Option<Asked> {
    let schema = installed.schema().ok()?;
    let node = given.config.map(|entry| &entry.value);
    let mut config = match node {
        Some(node) if matches!(node.kind, Kind::Map(_)) => node.to_json(),
        Some(_) => return None,
        None => Value::Object(Map::new()),
    };
    if !shared.env.is_empty() && schema.takes_env() {
        shared.taking_env += 1;
        if shared.taking_env.saturating_mul(shared.env_bytes) <= MAX_MERGED_ENV_BYTES {
            merge_env(&mut config, shared.env);
        }
    }
    let places = config::Places {
        config: node,
        whole: given.config.map_or_else(|| given.span.clone(), |entry| entry.key_span.clone()),
        env: shared.env_entry.map(|entry| &entry.value),
        source: shared.source,
    };
    config::check(&config, &installed.installed, schema, &places, report);
    node.into_iter().for_each(|node| no_templates_in_keys(node, report));

    let mut treatment = BTreeMap::new();
    let mut typed = BTreeMap::new();
    let mut timeout_ms = None;
    schema.scalars(&config, &mut |pointer, value, facts| {
        let Some((node, inherited)) = places.node(pointer) else { return };
        if facts.timeout && !value.is_null() {
            config_timeout(pointer, value, node, given.has_timeout, &mut timeout_ms, report);
            return;
        }
        let Value::String(text) = value else { return };
        if facts.image {
            mutable_tag(text, node, report);
        }
        // The pipeline's `env` was checked once, but for what only the step type can say.
        if !inherited || matches!(secret_use(text), SecretUse::Reference) {
            check_secret(shared.source, node, text, facts.secret, report);
        }
        if !is_template(text) {
            return;
        }
        if facts.template == Treatment::Never || is_shell_text(&config, pointer) {
            not_here(text, node, shared.source, report);
        } else {
            let scalars = facts.scalars();
            if !inherited {
                check_templates(shared.source, node, text, known, scalars.is_none(), report);
            }
            treatment.insert(pointer.to_owned(), facts.template);
            if let Some(scalars) = scalars {
                typed.insert(pointer.to_owned(), scalars);
            }
        }
    });
    let installed = &installed.installed;
    let work = PluginWork {
        plugin: installed.plugin.clone(),
        step_type: installed.step.name.clone(),
        effect: installed.step.effect,
        config,
        treatment,
        typed,
    };
    Some(Asked { work, timeout_ms })
}

/// Warns of an image that may be another one tomorrow. A template in it is not guessed at.
fn mutable_tag(image: &str, node: &Node, report: &mut Report<'_>) {
    if is_template(image) || image.contains('@') || image.is_empty() {
        return;
    }
    let name = image.rsplit('/').next().unwrap_or_default();
    let message = match name.split_once(':') {
        None => format!("`{image}` has no tag, which means `latest`: it may be another image tomorrow"),
        Some((_, "latest")) => format!("`{image}` may be another image tomorrow"),
        Some(_) => return,
    };
    let help = Some("name a version, or a digest: NAME@sha256:…".to_owned());
    report.warning(codes::MUTABLE_TAG, node.span.clone(), message, help);
}

/// Whether a word of a list is what a shell reads that the words before it start: `[sh, -c, HERE]`.
fn is_shell_text(config: &Value, pointer: &str) -> bool {
    let Some((list, at)) = pointer.rsplit_once('/') else { return false };
    let Some(Value::Array(words)) = config.pointer(list) else { return false };
    let words: Option<Vec<String>> = words.iter().map(|word| word.as_str().map(str::to_owned)).collect();
    words.is_some_and(|words| match script(&words) {
        Script::At(text) | Script::Behind(text) => at.parse() == Ok(text),
        Script::None => false,
    })
}

fn not_here(text: &str, node: &Node, source: &str, report: &mut Report<'_>) {
    report.error(
        codes::TEMPLATE_NOT_HERE,
        place(source, node, text, template_span(text)),
        "no template may stand here: a value is never spliced into shell text",
        Some("pass the value through `env` and write \"$NAME\"".to_owned()),
    );
}

/// A key is passed on as it is written: a template in one would be passed on unrendered.
pub(crate) fn no_templates_in_keys(node: &Node, report: &mut Report<'_>) {
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
