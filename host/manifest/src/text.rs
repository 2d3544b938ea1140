//! What stands in a piece of text: templates, references to secrets, durations; and where within the file.

use crate::{
    codes,
    diagnostic::Report,
    expression::{Fault, Known, Type, check},
    pieces::{Piece, cut},
    yaml::Node,
};
use std::ops::Range;
use windlass_contract::SecretReference;

/// What a reference to a secret begins with.
pub(crate) const SECRET_PREFIX: &str = "secret:";

/// Where a part of a text stands in the file: exactly where the text stands there as it is, else its line, else the node.
pub(crate) fn place(source: &str, node: &Node, text: &str, part: Range<usize>) -> Range<usize> {
    let written = source.get(node.span.clone()).unwrap_or_default();
    if let Some(at) = written.find(text) {
        let start = node.span.start + at;
        return start + part.start..start + part.end;
    }
    // A block scalar: its lines stand there in order, indented.
    let mut cursor = 0;
    let mut line_start = 0;
    for line in text.split('\n') {
        let trimmed = line.trim();
        let Some(at) = written[cursor..].find(trimmed) else { break };
        let line_end = line_start + line.len();
        if part.start <= line_end {
            let indent = line.len() - line.trim_start().len();
            let within = |offset: usize| offset.saturating_sub(line_start + indent).min(trimmed.len());
            let start = node.span.start + cursor + at;
            return start + within(part.start)..start + within(part.end);
        }
        cursor += at + trimmed.len();
        line_start = line_end + 1;
    }
    node.span.clone()
}

/// Reports a fault of an expression at its place.
pub(crate) fn report_fault(fault: Fault, source: &str, node: &Node, text: &str, report: &mut Report<'_>) {
    let part = fault.span.start.min(text.len())..fault.span.end.min(text.len());
    let place = place(source, node, text, part);
    if fault.warning {
        report.warning(fault.code, place, fault.message, fault.help);
    } else {
        report.error(fault.code, place, fault.message, fault.help);
    }
}

/// Checks each template in a text; `in_text` where what it gives becomes text.
pub(crate) fn check_templates(
    source: &str,
    node: &Node,
    text: &str,
    known: &Known<'_>,
    in_text: bool,
    report: &mut Report<'_>,
) {
    let (pieces, mut faults) = cut(text);
    for piece in &pieces {
        if let Piece::Expr(expr) = piece {
            let kind = check(expr, known, &mut faults);
            if in_text && kind == Some(Type::List) {
                let fault = Fault::new(codes::NOT_TEXT, expr.span.clone(), "a list is no text");
                faults.push(fault.help("add `| join(', ')`, or `| json` to write it as JSON"));
            }
        }
    }
    for fault in faults {
        report_fault(fault, source, node, text, report);
    }
}

/// What a text says of secrets.
pub(crate) enum SecretUse {
    None,
    /// It is a reference.
    Reference,
    /// It begins as one and is none; with the rule.
    Malformed(&'static str),
    /// One stands within it.
    Within(Range<usize>),
}

pub(crate) fn secret_use(text: &str) -> SecretUse {
    if let Some(reference) = SecretReference::in_text(text) {
        return reference.map_or_else(|error| SecretUse::Malformed(error.rule), |_| SecretUse::Reference);
    }
    for (at, _) in text.match_indices(SECRET_PREFIX) {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '-' || c == '_') {
            continue;
        }
        let rest = &text[at + SECRET_PREFIX.len()..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "._-/".contains(c))).unwrap_or(rest.len());
        let reference = rest[..end].trim_end_matches(['.', '/']);
        if reference.parse::<SecretReference>().is_ok() {
            return SecretUse::Within(at..at + SECRET_PREFIX.len() + reference.len());
        }
    }
    SecretUse::None
}

/// Reports a reference to a secret where none may stand, or one that cannot be read.
pub(crate) fn check_secret(source: &str, node: &Node, text: &str, allowed: bool, report: &mut Report<'_>) {
    match secret_use(text) {
        SecretUse::None => {}
        SecretUse::Reference if allowed => {}
        SecretUse::Reference => report.error(
            codes::SECRET_NOT_HERE,
            node.span.clone(),
            "a secret may not stand here",
            Some("give it where the step type takes secrets, such as a value of `env`".to_owned()),
        ),
        SecretUse::Malformed(rule) => report.error(
            if allowed { codes::BAD_SECRET } else { codes::SECRET_NOT_HERE },
            node.span.clone(),
            "this is no reference to a secret",
            Some(if text.contains("{{") {
                "write the reference literally; a template cannot choose a secret".to_owned()
            } else {
                rule.replacen("write ", "write secret:", 1)
            }),
        ),
        SecretUse::Within(part) => report.error(
            codes::SECRET_NOT_HERE,
            place(source, node, text, part),
            "a secret is never part of a text",
            Some("put the reference alone into a value of `env`, and read it as \"$NAME\"".to_owned()),
        ),
    }
}

/// The longest duration, in milliseconds: ten years. A longer one is a slip, and added to any time it would leave the calendar.
pub const MAX_DURATION_MS: u64 = 315_576_000_000;

/// Reads a duration, in milliseconds; at least one, and at most [`MAX_DURATION_MS`].
pub(crate) fn duration_ms(text: &str) -> Result<u64, String> {
    let help = "write a number with a unit, such as 90s, 20m or 1h 30m";
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("write the unit too: {text}s"));
    }
    let duration = humantime::parse_duration(text).map_err(|_| help.to_owned())?;
    match u64::try_from(duration.as_millis()) {
        Ok(0) => Err("write at least 1ms".to_owned()),
        Ok(millis @ ..=MAX_DURATION_MS) => Ok(millis),
        _ => Err("write at most 10y".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, expect: Result<u64, &str>| {
            assert_eq!(duration_ms(text), expect.map_err(str::to_owned), "{text:?}");
        };
        check("90s", Ok(90_000));
        check("1h 30m", Ok(5_400_000));
        check("1ms", Ok(1));
        check("10y", Ok(MAX_DURATION_MS));
        check("10y 1ms", Err("write at most 10y"));
        check("99999999y", Err("write at most 10y"));
        check("0s", Err("write at least 1ms"));
        check("1us", Err("write at least 1ms"));
        check("90", Err("write the unit too: 90s"));
        check("", Err("write a number with a unit, such as 90s, 20m or 1h 30m"));
        check("99999999999999999999999s", Err("write a number with a unit, such as 90s, 20m or 1h 30m"));
    }
}
