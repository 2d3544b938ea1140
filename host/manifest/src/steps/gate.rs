//! `step.gate`: a step that waits for people, for conditions, or for a time.
//!
//! The engine carries it out, so no plugin's schema checks its configuration: this does, key by key. A key that another type
//! of gate takes is told from one that none takes. What would leave a gate open to everyone (no conditions) or shut for ever
//! (a window without hours, a misspelt day) is an error here.

use super::{
    draft::Draft,
    step::{Place, expression},
};
use crate::{
    codes,
    diagnostic::Report,
    fields::{choice, duration, flag, known_keys, mapping, text, texts, whole_number, wrong_type},
    pieces::is_template,
    plan::{DEFAULT_SCHEDULE_WAIT_MS, DEFAULT_WAIT_MS, Gate, GateDefault, ManualGate, Schedule, Window, Work},
    text::{check_secret, check_templates},
    yaml::{Entry, Kind, Node},
};
use std::collections::BTreeSet;

/// How many approvers a gate may name: 100. More than that is a group, which an identity provider knows.
pub const MAX_APPROVERS: usize = 100;
/// How many conditions a gate may have: 100.
pub const MAX_CONDITIONS: usize = 100;
/// How many windows a scheduled gate may have: 100.
pub const MAX_WINDOWS: usize = 100;

/// The keys of its configuration, whatever its type.
pub(super) const KEYS: &[&str] = &[
    "type",
    "timeout",
    "prompt",
    "approvers",
    "quorum",
    "self_approval",
    "auto_approve_conditions",
    "on_timeout",
    "conditions",
    "schedule",
    "windows",
];

const WINDOW_KEYS: &[&str] = &["weekdays", "start_hour", "end_hour", "timezone"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Manual,
    Automated,
    Scheduled,
}

impl Type {
    const ALL: [(&'static str, Type); 3] =
        [("manual", Type::Manual), ("automated", Type::Automated), ("scheduled", Type::Scheduled)];

    /// The keys that mean something to it, beside `type`.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Type::Manual => {
                &["timeout", "prompt", "approvers", "quorum", "self_approval", "auto_approve_conditions", "on_timeout"]
            }
            Type::Automated => &["conditions", "auto_approve_conditions"],
            Type::Scheduled => &["timeout", "schedule", "windows"],
        }
    }
}

/// The gate, and how long it may wait in milliseconds.
pub(super) fn work(draft: &Draft<'_>, place: &Place<'_>, report: &mut Report<'_>) -> Option<(Work, u64)> {
    if let Some((_, span)) = &draft.retry {
        let help = Some("leave `retry` out; a gate waits as long as its `timeout`".to_owned());
        report.error(codes::NO_EFFECT, span.clone(), "a gate is not tried again", help);
    }
    let empty = Node { kind: Kind::Map(Vec::new()), span: draft.span.clone() };
    let config = draft.config.map_or(&empty, |entry| &entry.value);
    let Kind::Map(entries) = &config.kind else { return None };
    known_keys(config, KEYS, "`step.gate`", report);
    let kind = match config.get("type") {
        Some(entry) => choice(&entry.value, "type", &Type::ALL, report)?,
        None => Type::Manual,
    };
    for entry in entries.iter().filter(|entry| KEYS.contains(&entry.key.as_str()) && entry.key != "type") {
        if !kind.keys().contains(&entry.key.as_str()) {
            report_needless(entry, kind, report);
        }
    }
    let timeout = timeout(draft, config, kind, report);
    let gate = match kind {
        Type::Manual => Gate::Manual(manual(config, place, report)),
        Type::Automated => Gate::Automated { conditions: automated(draft, config, place, report)? },
        Type::Scheduled => Gate::Scheduled(scheduled(draft, config, report)?),
    };
    Some((Work::Gate(gate), timeout))
}

fn report_needless(entry: &Entry, kind: Type, report: &mut Report<'_>) {
    let name = |kind: Type| Type::ALL.iter().find(|(_, other)| *other == kind).map_or("", |(name, _)| name);
    let takers: Vec<&str> =
        Type::ALL.iter().filter(|(_, kind)| kind.keys().contains(&entry.key.as_str())).map(|(name, _)| *name).collect();
    let own = name(kind);
    let article = if kind == Type::Automated { "an" } else { "a" };
    let message = format!("`{}` does nothing for {article} {own} gate", entry.key);
    let help = format!("leave it out, or write type: {}", takers.join(" or "));
    report.error(codes::NO_EFFECT, entry.key_span.clone(), message, Some(help));
}

/// How long it waits: by the step's own `timeout`, or by that of its configuration.
fn timeout(draft: &Draft<'_>, config: &Node, kind: Type, report: &mut Report<'_>) -> u64 {
    let default = if kind == Type::Scheduled { DEFAULT_SCHEDULE_WAIT_MS } else { DEFAULT_WAIT_MS };
    match (&draft.timeout, config.get("timeout")) {
        (Some((_, span)), _) if kind == Type::Automated => {
            let message = "an automated gate decides at once, and has no use for a timeout";
            report.error(codes::NO_EFFECT, span.clone(), message, Some("leave it out".to_owned()));
            default
        }
        (Some((millis, _)), None) => *millis,
        (None, Some(entry)) => duration(&entry.value, "timeout", report).unwrap_or(default),
        (Some(_), Some(entry)) => {
            let message = "the step's `timeout` is given already, and `timeout` would be another";
            let help = Some("keep one of the two".to_owned());
            report.error(codes::TWO_TIMEOUTS, entry.value.span.clone(), message, help);
            default
        }
        (None, None) => default,
    }
}

fn manual(config: &Node, place: &Place<'_>, report: &mut Report<'_>) -> ManualGate {
    let value = |key: &str| config.get(key).map(|entry| &entry.value);
    let prompt = value("prompt").and_then(|node| {
        let prompt = text(node, "prompt", report)?;
        check_secret(place.source, node, &prompt, false, report);
        check_templates(place.source, node, &prompt, place.known, true, report);
        Some(prompt)
    });
    let written = value("approvers").map(|node| texts(node, "approvers", "an approver", MAX_APPROVERS, report));
    if let Some(node) = value("approvers").filter(|node| matches!(&node.kind, Kind::List(items) if items.is_empty())) {
        let help = Some("leave `approvers` out where anybody may decide".to_owned());
        report.error(codes::BAD_VALUE, node.span.clone(), "`approvers` names nobody", help);
    }
    let mut approvers = Vec::new();
    for (name, node) in written.unwrap_or_default() {
        check_secret(place.source, node, &name, false, report);
        if is_template(&name) {
            let help = Some("write the name out: who may decide is known before the run".to_owned());
            report.error(codes::TEMPLATE_NOT_HERE, node.span.clone(), "an approver is no template", help);
        }
        approvers.push(name);
    }
    let quorum = value("quorum").map(|node| (node, whole_number(node, "quorum", 1..=MAX_QUORUM, report)));
    if let Some((node, Some(quorum))) = quorum
        && !approvers.is_empty()
        && quorum as usize > approvers.len()
    {
        let message = format!("`quorum` is {quorum}, and {} may approve", people(approvers.len()));
        let help = Some("ask for fewer, or name more approvers".to_owned());
        report.error(codes::BAD_VALUE, node.span.clone(), message, help);
    }
    let defaults = [("approve", GateDefault::Approve), ("reject", GateDefault::Reject)];
    ManualGate {
        prompt,
        approvers,
        quorum: quorum.and_then(|(_, quorum)| quorum).unwrap_or(1),
        self_approval: value("self_approval").and_then(|node| flag(node, "self_approval", report)).unwrap_or_default(),
        auto_approve: value("auto_approve_conditions")
            .map(|node| conditions(node, "auto_approve_conditions", place, report))
            .unwrap_or_default(),
        on_timeout: value("on_timeout")
            .and_then(|node| choice(node, "on_timeout", &defaults, report))
            .unwrap_or_default(),
    }
}

/// As many as there may be approvers.
const MAX_QUORUM: u32 = MAX_APPROVERS as u32;

fn people(count: usize) -> String {
    if count == 1 { "only one person".to_owned() } else { format!("only {count} people") }
}

fn automated(draft: &Draft<'_>, config: &Node, place: &Place<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let entry = match (config.get("conditions"), config.get("auto_approve_conditions")) {
        (Some(_), Some(other)) => {
            let message = "`conditions` is given already, and `auto_approve_conditions` means the same here";
            let help = Some("keep one of the two".to_owned());
            report.error(codes::DUPLICATE_KEY, other.key_span.clone(), message, help);
            return None;
        }
        (Some(entry), None) | (None, Some(entry)) => entry,
        (None, None) => {
            let help = Some("add `conditions:`, a list of expressions that must all be true".to_owned());
            let message = "an automated gate without conditions would let everything pass";
            report.error(codes::MISSING_KEY, draft.span.clone(), message, help);
            return None;
        }
    };
    if matches!(&entry.value.kind, Kind::List(items) if items.is_empty()) {
        let help = Some("write at least one expression, or take the gate out".to_owned());
        let message = "an automated gate without conditions would let everything pass";
        report.error(codes::BAD_VALUE, entry.value.span.clone(), message, help);
        return None;
    }
    Some(conditions(&entry.value, &entry.key, place, report))
}

fn conditions(node: &Node, key: &str, place: &Place<'_>, report: &mut Report<'_>) -> Vec<String> {
    let written = texts(node, key, "a condition", MAX_CONDITIONS, report);
    written.iter().filter_map(|(text, node)| expression(text, node, place, report).map(str::to_owned)).collect()
}

fn scheduled(draft: &Draft<'_>, config: &Node, report: &mut Report<'_>) -> Option<Schedule> {
    let windows: Vec<&Node> = match (config.get("schedule"), config.get("windows")) {
        (Some(_), Some(other)) => {
            let help = Some("keep one of the two; `windows` is a list of such".to_owned());
            report.error(codes::DUPLICATE_KEY, other.key_span.clone(), "`schedule` is given already", help);
            return None;
        }
        (Some(entry), None) => vec![&entry.value],
        (None, Some(entry)) => match &entry.value.kind {
            Kind::List(items) if items.len() > MAX_WINDOWS => {
                let message = format!("`windows` has {} entries; at most {MAX_WINDOWS} are read", items.len());
                report.error(codes::TOO_LARGE, entry.value.span.clone(), message, None);
                return None;
            }
            Kind::List(items) if items.is_empty() => {
                let help = Some("write at least one window".to_owned());
                let message = "a scheduled gate without a window would never open";
                report.error(codes::BAD_VALUE, entry.value.span.clone(), message, help);
                return None;
            }
            Kind::List(items) => items.iter().collect(),
            _ => {
                wrong_type(&entry.value, "windows", "a list of windows", report);
                return None;
            }
        },
        (None, None) => {
            let help = Some("add `schedule:` with `weekdays`, `start_hour`, `end_hour` and `timezone`".to_owned());
            report.error(codes::MISSING_KEY, draft.span.clone(), "a scheduled gate needs its schedule", help);
            return None;
        }
    };
    let mut timezone: Option<String> = None;
    let mut found = Vec::with_capacity(windows.len());
    for node in windows {
        if mapping(node, "a window", report).is_none() {
            continue;
        }
        known_keys(node, WINDOW_KEYS, "a window", report);
        found.extend(window(node, report));
        let Some(entry) = node.get("timezone") else { continue };
        let Some(name) = zone(&entry.value, report) else { continue };
        match &timezone {
            Some(first) if *first != name => {
                let help = Some("give the windows of another zone a gate of their own".to_owned());
                let message = format!("a gate has one time zone, and `{first}` is given already");
                report.error(codes::BAD_VALUE, entry.value.span.clone(), message, help);
            }
            _ => timezone = Some(name),
        }
    }
    Some(Schedule { windows: found, timezone: timezone.unwrap_or_else(|| "UTC".to_owned()) })
}

fn window(node: &Node, report: &mut Report<'_>) -> Option<Window> {
    let weekdays = match node.get("weekdays").map(|entry| &entry.value) {
        None => BTreeSet::new(),
        Some(list) => match &list.kind {
            Kind::List(items) if items.is_empty() => {
                let help = Some("leave `weekdays` out for every day".to_owned());
                report.error(codes::BAD_VALUE, list.span.clone(), "`weekdays` names no day", help);
                return None;
            }
            Kind::List(items) => items.iter().filter_map(|item| weekday(item, report)).collect(),
            _ => {
                wrong_type(list, "weekdays", "a list of days", report);
                return None;
            }
        },
    };
    let mut hour = |key: &str, max: u32, default: u8| match node.get(key) {
        Some(entry) => whole_number(&entry.value, key, 0..=max, report).and_then(|hour| u8::try_from(hour).ok()),
        None => Some(default),
    };
    let (start_hour, end_hour) = (hour("start_hour", 23, 0)?, hour("end_hour", 24, 24)?);
    if start_hour == end_hour {
        let entry = node.get("end_hour").or_else(|| node.get("start_hour"));
        let span = entry.map_or(node.span.clone(), |entry| entry.value.span.clone());
        let message =
            format!("a window from {start_hour} to {end_hour} o'clock has no hour in it and would never open");
        let help = Some("leave both hours out for the whole day".to_owned());
        report.error(codes::BAD_VALUE, span, message, help);
        return None;
    }
    Some(Window { weekdays, start_hour, end_hour })
}

/// 1 for Monday to 7 for Sunday.
fn weekday(node: &Node, report: &mut Report<'_>) -> Option<u8> {
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let written = text(node, "a day", report)?;
    let folded = written.to_ascii_lowercase();
    let found = (1..).zip(DAYS).find(|(_, day)| folded == *day || folded == day[..3]);
    if found.is_none() {
        let help = report.did_you_mean(&folded, DAYS).or_else(|| Some(format!("days are {}", DAYS.join(", "))));
        report.error(codes::BAD_VALUE, node.span.clone(), format!("`{written}` is no day of the week"), help);
    }
    found.map(|(number, _)| number)
}

/// The name of a time zone, as the tz database that is compiled in spells it.
fn zone(node: &Node, report: &mut Report<'_>) -> Option<String> {
    let name = text(node, "timezone", report)?;
    let database = jiff::tz::TimeZoneDatabase::bundled();
    if database.get(&name).is_ok() {
        return Some(name);
    }
    let known: Vec<String> = database.available().map(|zone| zone.to_string()).collect();
    let help = report
        .did_you_mean(&name, known.iter().map(String::as_str))
        .or_else(|| Some("write one such as Europe/Berlin, or UTC".to_owned()));
    report.error(codes::BAD_VALUE, node.span.clone(), format!("there is no time zone `{name}`"), help);
    None
}
