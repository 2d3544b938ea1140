//! Words that more than one renderer uses, and text of others made safe to show.

use serde_json::Value;
use windlass_contract::{RunId, StepName};
use windlass_engine::Outcome;
use windlass_manifest::plan::Condition;

/// The most characters of a value that stand in a sentence: enough to recognise it.
const MAX_VALUE_CHARS: usize = 80;

/// A duration for people: `0.4 s`, `12.3 s`, `3 min 20 s`, `1 h 00 min`, `2 d 04 h`.
pub fn duration(ms: u64) -> String {
    match ms {
        0..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        60_000..3_600_000 => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1000),
        3_600_000..172_800_000 => format!("{} h {:02} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
        _ => format!("{} d {:02} h", ms / 86_400_000, ms % 86_400_000 / 3_600_000),
    }
}

/// A number with its noun: `1 run`, `2 runs`.
pub(crate) fn count(n: impl Into<u64>, noun: &str) -> String {
    let n = n.into();
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// A value as JSON, cut to what a sentence can hold.
pub(crate) fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A line as a terminal may be given it: what `\r` would have overwritten is gone, colours are kept, and every other control
/// character is shown and not obeyed. What others wrote must not move the cursor, retitle the window, or turn around the order in
/// which it is read.
pub fn shown(line: &str) -> String {
    cleaned(line, true)
}

/// The same without colours.
pub fn bare(line: &str) -> String {
    cleaned(line, false)
}

fn cleaned(line: &str, colours: bool) -> String {
    let line = line.trim_end_matches(['\r', '\n']);
    let mut rest = line.rsplit('\r').next().unwrap_or_default();
    let mut out = String::with_capacity(rest.len());
    while let Some(at) = rest.find(|c: char| (c.is_control() && c != '\t') || turns_around(c)) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let colour = colour(rest);
        if colour > 0 {
            out.push_str(if colours { &rest[..colour] } else { "" });
            rest = &rest[colour..];
        } else if let Some(c) = rest.chars().next() {
            out.extend(c.escape_unicode());
            rest = &rest[c.len_utf8()..];
        }
    }
    out.push_str(rest);
    out
}

/// How long the colour sequence is that a text begins with, in bytes; 0 for none.
fn colour(text: &str) -> usize {
    let Some(body) = text.strip_prefix("\u{1b}[") else { return 0 };
    let digits = body.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b';' | b':')).count();
    if body.as_bytes().get(digits) == Some(&b'm') { digits + 3 } else { 0 }
}

/// Characters that turn around the order in which others are read.
fn turns_around(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// What to type about a gate that asks for yes or no.
pub(crate) fn gate_commands(run: &RunId, step: &StepName) -> Vec<String> {
    vec![format!("windlass approve {run} {step}"), format!("windlass reject {run} {step}")]
}

/// What to type about a gate that asks for an answer.
pub(crate) fn question_commands(run: &RunId, step: &StepName) -> Vec<String> {
    vec![format!("windlass answer {run} {step} ANSWER")]
}

/// What to type about an attempt whose fate is unknown.
pub(crate) fn fate_commands(run: &RunId, step: &StepName) -> Vec<String> {
    ["rerun", "succeeded", "failed"].map(|fate| format!("windlass resume {run} --decide {step}={fate}")).to_vec()
}

/// A sign for how something ended.
pub(crate) fn sign(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "✔",
        Outcome::Skipped => "○",
        Outcome::Cancelled => "■",
        _ => "✘",
    }
}

/// A transition's condition as its author would write it, on one line.
pub fn condition(condition: &Condition) -> String {
    match condition {
        Condition::Always => "always".to_owned(),
        Condition::OnSuccess => "on_success".to_owned(),
        Condition::OnFailure => "on_failure".to_owned(),
        Condition::OnError => "on_error".to_owned(),
        Condition::OnTimeout => "on_timeout".to_owned(),
        Condition::ExitCodeZero => "exit_code_zero".to_owned(),
        Condition::ExitCodeNonZero => "exit_code_non_zero".to_owned(),
        Condition::ExitCode { value } => format!("exit_code {value}"),
        Condition::ScoreAbove { threshold } => format!("score_above {threshold}"),
        Condition::ScoreBelow { threshold } => format!("score_below {threshold}"),
        Condition::ScoreBetween { min, max } => format!("score_between {min} and {max}"),
        Condition::ConfidenceAbove { threshold } => format!("confidence_above {threshold}"),
        Condition::ScoreAndConfidenceAbove { threshold } => format!("score_and_confidence_above {threshold}"),
        Condition::Consensus { threshold, agreement } => format!("consensus {threshold}, agreement {agreement}"),
        Condition::AllApproved => "all_approved".to_owned(),
        Condition::AnyRejected => "any_rejected".to_owned(),
        Condition::InputEquals { value } => format!("input_equals {}", short(&Value::from(value.as_str()))),
        Condition::InputEqualsYes => "input_equals_yes".to_owned(),
        Condition::InputEqualsNo => "input_equals_no".to_owned(),
        Condition::Custom { expression } => format!("custom {}", bare(expression)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let table = [
            (0, "0.0 s"),
            (59_999, "59.9 s"),
            (200_000, "3 min 20 s"),
            (3_600_000, "1 h 00 min"),
            (172_799_999, "47 h 59 min"),
            (172_800_000, "2 d 00 h"),
        ];
        for (ms, words) in table {
            assert_eq!(duration(ms), words);
        }
        assert!(duration(u64::MAX).ends_with(" h"));
    }

    #[test]
    fn values_are_cut() {
        assert_eq!(short(&"dev".into()), "\"dev\"");
        let long = short(&"ä".repeat(1000).into());
        assert_eq!((long.chars().count(), long.chars().last()), (MAX_VALUE_CHARS + 1, Some('…')));
    }

    #[test]
    fn what_a_terminal_may_be_sent() {
        let table = [
            ("plain\ttext ä", "plain\ttext ä"),
            ("10 %\r50 %\r100 %\r\n", "100 %"),
            ("\u{1b}[1;31mred\u{1b}[0m", "\u{1b}[1;31mred\u{1b}[0m"),
            ("a\u{1b}[2Jb\u{1b}[31", r"a\u{1b}[2Jb\u{1b}[31"),
            ("a\u{1b}]0;title\u{7}b", r"a\u{1b}]0;title\u{7}b"),
            ("\u{9b}31m\u{8}\0", r"\u{9b}31m\u{8}\u{0}"),
            ("approve \u{202e}eve", r"approve \u{202e}eve"),
        ];
        for (text, expect) in table {
            assert_eq!(shown(text), expect, "{text:?}");
            assert!(!bare(text).contains('\u{1b}'), "{text:?}");
        }
    }
}
