//! `trigger:` of a pipeline in the config dialect: read and checked, and told of where it is not acted on.

use crate::{
    codes,
    diagnostic::Report,
    fields::{choice, known_keys, mapping, text},
    yaml::Node,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Manual,
    Http,
    Schedule,
    Event,
}

const TYPES: &[(&str, Type)] = &[
    ("manual", Type::Manual),
    ("http", Type::Http),
    ("webhook", Type::Http),
    ("schedule", Type::Schedule),
    ("cron", Type::Schedule),
    ("event", Type::Event),
    ("eventbus", Type::Event),
];

/// The types that a trigger may have.
pub(crate) fn trigger_types() -> Vec<&'static str> {
    TYPES.iter().map(|(name, _)| *name).collect()
}

const METHODS: &[(&str, ())] =
    &[("GET", ()), ("POST", ()), ("PUT", ()), ("PATCH", ()), ("DELETE", ()), ("HEAD", ()), ("OPTIONS", ())];

/// Checks a trigger. What a plugin of that format adds to its `config` is not known here, and is left alone.
pub(super) fn check(node: &Node, report: &mut Report<'_>) {
    if mapping(node, "trigger", report).is_none() {
        return;
    }
    known_keys(node, &["type", "config"], "`trigger`", report);
    let Some(entry) = node.get("type") else {
        let help = Some("add `type:`, such as manual or webhook".to_owned());
        report.error(codes::MISSING_KEY, node.span.clone(), "the trigger has no `type`", help);
        return;
    };
    let Some(kind) = choice(&entry.value, "type", TYPES, report) else { return };
    let config = node.get("config");
    if let Some(config) = config.filter(|config| mapping(&config.value, "config", report).is_some()) {
        match kind {
            Type::Manual => {
                let help = Some("leave it out; a run is given its inputs when it is started".to_owned());
                let message = "a run that is started by hand has no use for a trigger's configuration";
                report.warning(codes::NO_EFFECT, config.key_span.clone(), message, help);
            }
            Type::Http => {
                if let Some(path) = config.value.get("path").map(|entry| &entry.value)
                    && let Some(text) = text(path, "path", report)
                    && !text.starts_with('/')
                {
                    let help = Some(format!("write /{text}"));
                    report.error(codes::BAD_VALUE, path.span.clone(), "a path begins with `/`", help);
                }
                if let Some(method) = config.value.get("method") {
                    choice(&method.value, "method", METHODS, report);
                }
            }
            Type::Schedule => {
                for key in ["cron", "schedule"] {
                    config.value.get(key).into_iter().for_each(|entry| cron(&entry.value, key, report));
                }
            }
            Type::Event => {}
        }
    }
    if kind != Type::Manual {
        let help = Some("runs are started by hand for now: windlass run".to_owned());
        report.warning(codes::NO_EFFECT, entry.value.span.clone(), "this trigger starts no run", help);
    }
}

/// That a schedule has the shape of one: five fields, or six with seconds, or `@daily` and the like.
fn cron(node: &Node, key: &str, report: &mut Report<'_>) {
    let Some(written) = text(node, key, report) else { return };
    let field = |field: &str| field.bytes().all(|b| b.is_ascii_alphanumeric() || b"*/,-?#".contains(&b));
    let fields: Vec<&str> = written.split_ascii_whitespace().collect();
    let sound = match fields.as_slice() {
        [one] => one.strip_prefix('@').is_some_and(|word| !word.is_empty() && field(word)),
        ["@every", _] => true,
        several => matches!(several.len(), 5 | 6) && several.iter().all(|part| field(part)),
    };
    if !sound {
        let help = Some("write minute, hour, day, month and weekday, such as \"0 3 * * 1-5\"".to_owned());
        report.error(codes::BAD_VALUE, node.span.clone(), format!("`{written}` is no schedule"), help);
    }
}
