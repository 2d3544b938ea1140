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
