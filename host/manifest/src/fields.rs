//! Reading single fields of the tree: each function reports what is wrong, and gives what is right.

use crate::{
    codes, config,
    diagnostic::Report,
    text::duration_ms,
    yaml::{Entry, Kind, Node},
};
use std::ops::Range;
use windlass_contract::NameError;

pub(crate) fn wrong_type(node: &Node, what: &str, wanted: &str, report: &mut Report<'_>) {
    let what = if what.contains(' ') { what.to_owned() } else { format!("`{what}`") };
    let help = match &node.kind {
        Kind::String(text) if wanted.starts_with("a boolean") => config::boolean_help(text),
        Kind::Number(_) | Kind::Bool(_) if wanted == "text" => Some("put it in quotes".to_owned()),
        _ => None,
    };
    report.error(
        codes::WRONG_TYPE,
        node.span.clone(),
        format!("{what} must be {wanted}, and this is {}", node.type_name()),
        help,
    );
}

pub(crate) fn mapping<'n>(node: &'n Node, what: &str, report: &mut Report<'_>) -> Option<&'n [Entry]> {
    match &node.kind {
        Kind::Map(entries) => Some(entries),
        _ => {
            wrong_type(node, what, "a mapping", report);
            None
        }
    }
}

pub(crate) fn text(node: &Node, what: &str, report: &mut Report<'_>) -> Option<String> {
    match &node.kind {
        Kind::String(text) => Some(text.clone()),
        _ => {
            wrong_type(node, what, "text", report);
            None
        }
    }
}

pub(crate) fn flag(node: &Node, what: &str, report: &mut Report<'_>) -> Option<bool> {
    match &node.kind {
        Kind::Bool(flag) => Some(*flag),
        _ => {
            wrong_type(node, what, "a boolean", report);
            None
        }
    }
}

pub(crate) fn duration(node: &Node, what: &str, report: &mut Report<'_>) -> Option<u64> {
    match &node.kind {
        Kind::String(text) => match duration_ms(text) {
            Ok(millis) => Some(millis),
            Err(help) => {
                report.error(codes::BAD_DURATION, node.span.clone(), format!("`{text}` is no duration"), Some(help));
                None
            }
        },
        Kind::Number(number) => {
            let help = Some(format!("write the unit too: {number}s"));
            report.error(codes::BAD_DURATION, node.span.clone(), format!("`{what}` must be a duration"), help);
            None
        }
        _ => {
            wrong_type(node, what, "a duration", report);
            None
        }
    }
}

/// A whole number within `range`, which is told in words.
pub(crate) fn whole_number(
    node: &Node,
    what: &str,
    range: std::ops::RangeInclusive<u32>,
    report: &mut Report<'_>,
) -> Option<u32> {
    let Kind::Number(number) = &node.kind else {
        wrong_type(node, what, "a number", report);
        return None;
    };
    let found = number.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| range.contains(number));
    if found.is_none() {
        let message = format!("`{what}` is from {} to {}, and this is {number}", range.start(), range.end());
        report.error(codes::BAD_VALUE, node.span.clone(), message, None);
    }
    found
}

/// A list of text, each not empty and there once; `what` is in the singular, for what is said of one.
pub(crate) fn texts<'n>(
    node: &'n Node,
    key: &str,
    what: &str,
    max: usize,
    report: &mut Report<'_>,
) -> Vec<(String, &'n Node)> {
    let Kind::List(items) = &node.kind else {
        wrong_type(node, key, "a list", report);
        return Vec::new();
    };
    if items.len() > max {
        let message = format!("`{key}` has {} entries; at most {max} are read", items.len());
        report.error(codes::TOO_LARGE, node.span.clone(), message, None);
        return Vec::new();
    }
    let mut found: Vec<(String, &Node)> = Vec::new();
    for item in items {
        let Some(text) = text(item, what, report) else { continue };
        if text.trim().is_empty() {
            report.error(codes::BAD_VALUE, item.span.clone(), format!("{what} is empty"), None);
        } else if found.iter().any(|(known, _)| *known == text) {
            let help = Some("keep one".to_owned());
            report.error(codes::DUPLICATE_NAME, item.span.clone(), format!("`{text}` stands here twice"), help);
        } else {
            found.push((text, item));
        }
    }
    found
}

pub(crate) fn choice<T: Copy>(node: &Node, what: &str, choices: &[(&str, T)], report: &mut Report<'_>) -> Option<T> {
    let written = text(node, what, report)?;
    if let Some((_, value)) = choices.iter().find(|(name, _)| *name == written) {
        return Some(*value);
    }
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let message = format!("`{what}` must be one of {}, and this is `{written}`", names.join(", "));
    let help = report.did_you_mean(&written, names);
    report.error(codes::BAD_VALUE, node.span.clone(), message, help);
    None
}

pub(crate) fn known_keys(node: &Node, known: &[&str], what: &str, report: &mut Report<'_>) {
    let Kind::Map(entries) = &node.kind else { return };
    for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
        let help = unknown_key_help(&entry.key, known, report);
        report.error(codes::UNKNOWN_KEY, entry.key_span.clone(), format!("{what} has no key `{}`", entry.key), help);
    }
}

pub(crate) fn unknown_key_help(key: &str, known: &[&str], report: &Report<'_>) -> Option<String> {
    report.did_you_mean(key, known.iter().copied()).or_else(|| Some(format!("known keys are {}", known.join(", "))))
}

pub(crate) fn bad_name(error: NameError, span: Range<usize>, report: &mut Report<'_>) {
    let message = format!("{:?} cannot be a {}", error.value, error.what);
    report.error(codes::BAD_NAME, span, message, Some(error.rule.to_owned()));
}

/// What `inputs.NAME` can be written with.
pub(crate) fn is_identifier(text: &str) -> bool {
    const MAX_INPUT_NAME: usize = 63;
    text.len() <= MAX_INPUT_NAME
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
