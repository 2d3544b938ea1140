//! `trigger:` of a pipeline in the config dialect: read and checked, and told of where it is not acted on. A schedule is acted on by a
//! server, to which [`Schedule::of`] tells it.

use crate::{
    codes,
    diagnostic::Report,
    fields::{choice, known_keys, mapping, text},
    yaml::{Kind, Node},
};
use std::ops::Range;

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

/// The keys of a schedule's times, and of its time zone. The first that is there counts.
const TIMES: [&str; 2] = ["cron", "schedule"];
const ZONES: [&str; 2] = ["timezone", "time_zone"];

/// The times at which a pipeline is to be run, as they are written. Only whoever acts on them knows what they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Such as `0 3 * * 1-5`.
    pub cron: String,
    /// Such as `Europe/Berlin`.
    pub time_zone: Option<String>,
    /// Where the times stand, in bytes of the text.
    pub cron_span: Range<usize>,
    /// Where the time zone stands; where the times do, without one.
    pub time_zone_span: Range<usize>,
}

impl Schedule {
    /// That of a trigger, if it is a schedule with times.
    pub(crate) fn of(trigger: &Node) -> Option<Schedule> {
        fn text(node: &Node) -> Option<&str> {
            match &node.kind {
                Kind::String(text) => Some(text),
                _ => None,
            }
        }
        let kind = text(&trigger.get("type")?.value)?;
        TYPES.iter().find(|(name, of)| *name == kind && *of == Type::Schedule)?;
        let config = &trigger.get("config")?.value;
        let first = |keys: [&str; 2]| keys.into_iter().find_map(|key| config.get(key)).map(|entry| &entry.value);
        let (cron, zone) = (first(TIMES)?, first(ZONES));
        Some(Schedule {
            cron: text(cron)?.to_owned(),
            time_zone: zone.and_then(text).map(str::to_owned),
            cron_span: cron.span.clone(),
            time_zone_span: zone.unwrap_or(cron).span.clone(),
        })
    }
}

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
                for key in TIMES {
                    config.value.get(key).into_iter().for_each(|entry| cron(&entry.value, key, report));
                }
                for key in ZONES {
                    config.value.get(key).into_iter().for_each(|entry| drop(text(&entry.value, key, report)));
                }
            }
            Type::Event => {}
        }
    }
    let (code, message, help) = match kind {
        Type::Manual => return,
        Type::Schedule if Schedule::of(node).is_some() => (
            codes::SERVER_ONLY,
            "a server that this is deployed to begins runs at these times, and nothing else does",
            "deploy it to a `windlass server`; `windlass run` begins a run now",
        ),
        Type::Schedule => (
            codes::NO_EFFECT,
            "a schedule without times begins no run",
            "write them, such as config: { cron: \"0 3 * * 1-5\" }",
        ),
        Type::Http | Type::Event => (
            codes::NO_EFFECT,
            "this trigger begins no run: who sends the request has to share a secret with a server",
            "make a webhook on the pipeline's page Triggers, or with POST /api/v1/workflows/NAME/triggers, which gives the secret",
        ),
    };
    report.warning(code, entry.value.span.clone(), message, Some(help.to_owned()));
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
