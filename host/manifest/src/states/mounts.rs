//! Volumes: those that a workflow declares, and where its states mount them.

use crate::{
    codes,
    diagnostic::Report,
    fields::{flag, known_keys, mapping, text, wrong_type},
    plan::{Volume, WORKSPACE_VOLUME},
    steps::{MAX_VOLUMES, is_volume_name},
    yaml::{Entry, Kind, Node},
};
use std::collections::{BTreeMap, BTreeSet};

/// Reads `spec.volumes`. The workspace is always there.
pub(super) fn declared(entry: Option<&Entry>, report: &mut Report<'_>) -> BTreeMap<String, Volume> {
    let mut volumes = BTreeMap::from([(WORKSPACE_VOLUME.to_owned(), Volume::default())]);
    let Some(entry) = entry else { return volumes };
    let Kind::List(items) = &entry.value.kind else {
        wrong_type(&entry.value, "volumes", "a list", report);
        return volumes;
    };
    if items.len() > MAX_VOLUMES {
        let message = format!("there are {} volumes; at most {MAX_VOLUMES} are made", items.len());
        report.error(codes::TOO_LARGE, entry.key_span.clone(), message, None);
        return volumes;
    }
    let mut seen = BTreeSet::new();
    for node in items {
        if mapping(node, "a volume", report).is_none() {
            continue;
        }
        known_keys(node, &["name", "persistent"], "a volume", report);
        let persistent =
            node.get("persistent").and_then(|entry| flag(&entry.value, "persistent", report)).unwrap_or_default();
        let Some(name) = required_text(node, "name", "this volume", report) else { continue };
        let span = node.get("name").map_or(node.span.clone(), |entry| entry.value.span.clone());
        if !is_volume_name(&name) {
            let message = format!("`{name}` cannot be a volume's name");
            let help =
                "use 1 to 63 lower-case letters, digits, hyphens and underscores, beginning with a letter or digit";
            report.error(codes::BAD_NAME, span, message, Some(help.to_owned()));
        } else if !seen.insert(name.clone()) {
            let message = format!("there are two volumes called `{name}`");
            report.error(codes::DUPLICATE_NAME, span, message, Some("keep one".to_owned()));
        } else {
            volumes.insert(name, Volume { persistent });
        }
    }
    volumes
}

/// Checks a list of mounts: each of a volume that is declared, at a path of its own. Gives whether nothing is wrong, so that
/// nobody needs to say it again.
pub(super) fn check(node: &Node, volumes: &BTreeMap<String, Volume>, report: &mut Report<'_>) -> bool {
    let before = report.errors();
    mounts(node, volumes, report);
    report.errors() == before
}

fn mounts(node: &Node, volumes: &BTreeMap<String, Volume>, report: &mut Report<'_>) {
    let Kind::List(items) = &node.kind else {
        wrong_type(node, "volumes", "a list", report);
        return;
    };
    if items.len() > MAX_VOLUMES {
        let message = format!("{} volumes are mounted here; at most {MAX_VOLUMES} can be", items.len());
        report.error(codes::TOO_LARGE, node.span.clone(), message, None);
        return;
    }
    let mut paths = BTreeSet::new();
    for node in items {
        if mapping(node, "a mount", report).is_none() {
            continue;
        }
        known_keys(node, &["name", "mount_path", "read_only"], "a mount", report);
        let place = |key: &str| node.get(key).map_or(node.span.clone(), |entry| entry.value.span.clone());
        if let Some(entry) = node.get("read_only") {
            flag(&entry.value, "read_only", report);
        }
        if let Some(name) = required_text(node, "name", "this mount", report).filter(|name| !volumes.contains_key(name))
        {
            let help = report
                .did_you_mean(&name, volumes.keys().map(String::as_str))
                .unwrap_or_else(|| format!("add `- name: {name}` to the workflow's `volumes`"));
            let message = format!("there is no volume `{name}`");
            report.error(codes::UNKNOWN_VOLUME, place("name"), message, Some(help));
        }
        let Some(path) = required_text(node, "mount_path", "this mount", report) else { continue };
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") || path.trim_end_matches('/').is_empty() {
            let message = format!("`{path}` is no place for a volume");
            let help = "write an absolute path without `..`, such as /workspace";
            report.error(codes::BAD_VALUE, place("mount_path"), message, Some(help.to_owned()));
        } else if !paths.insert(path.trim_end_matches('/').to_owned()) {
            let message = format!("two volumes are mounted at `{path}`");
            report.error(codes::DUPLICATE_NAME, place("mount_path"), message, Some("keep one".to_owned()));
        }
    }
}

/// The mounts of one step of several: its own, and those of the state at other paths.
pub(super) fn joined(own: Option<&Entry>, state: Option<&Entry>) -> Option<Entry> {
    let (Some(own), Some(state)) = (own, state) else { return own.or(state).cloned() };
    let (Kind::List(mounts), Kind::List(more)) = (&own.value.kind, &state.value.kind) else { return Some(own.clone()) };
    let path = |node: &Node| node.get("mount_path").map(|entry| entry.value.to_json());
    let taken: Vec<_> = mounts.iter().map(path).collect();
    let joined = mounts.iter().chain(more.iter().filter(|node| !taken.contains(&path(node)))).cloned().collect();
    Some(Entry { value: Node { kind: Kind::List(joined), span: own.value.span.clone() }, ..own.clone() })
}

/// A text that must be there, and not empty.
pub(super) fn required_text(node: &Node, key: &str, what: &str, report: &mut Report<'_>) -> Option<String> {
    let Some(entry) = node.get(key) else {
        let span = match &node.kind {
            Kind::Map(entries) => entries.first().map_or(node.span.clone(), |entry| entry.key_span.clone()),
            _ => node.span.clone(),
        };
        report.error(codes::MISSING_KEY, span, format!("{what} has no `{key}`"), Some(format!("add `{key}:`")));
        return None;
    };
    let text = text(&entry.value, key, report)?;
    if text.trim().is_empty() {
        report.error(codes::BAD_VALUE, entry.value.span.clone(), format!("`{key}` is empty"), None);
        return None;
    }
    Some(text)
}
