//! For tools that show tests: JUnit's XML.
//!
//! One `<testsuites>` for the run, a `<testsuite>` for each visit of a state, a `<testcase>` for each step: `name` is the step's,
//! `classname` is `PIPELINE.STATE`, `time` is that of its attempts together, without the pauses between them.
//! - `failed` and `rejected` are a `<failure>`, what could not be done (`error`, `timed-out`, `lost`, `cancelled`) an `<error>`. What failed
//!   and may is `<skipped>`, for the format has no word for it and a red mark would be wrong.
//! - Attempts before the last are `<flakyFailure>` where the last one succeeded, else `<rerunFailure>`, as Surefire has it.
//! - A run that failed although no step of its last visit did (no way out of a state, a limit) has a case of its own, called `run`.
//! - A failure that a later visit repaired stays a failure of its own visit.
//!
//! The same items give the same document, byte for byte. Characters that XML cannot have are left away.

use crate::{Ended, Item, LogLine, Stream, Told, words};
use std::collections::HashMap;
use std::fmt::Write as _;
use windlass_contract::StepName;
use windlass_engine::{Outcome, Reason};

/// The most bytes of a step's output, for each of standard output and error: the last ones, where failures are told. Tools that take
/// reports refuse large ones, and the log has the whole.
const MAX_OUTPUT_BYTES: usize = 64 * 1024;

#[derive(Default)]
struct Suite {
    name: String,
    state: String,
    cases: Vec<Case>,
}

#[derive(Default)]
struct Case {
    name: String,
    took_ms: u64,
    /// Attempts that were followed by another one.
    earlier: Vec<(Outcome, Option<Reason>)>,
    verdict: Option<Verdict>,
    out: Output,
    err: Output,
}

/// How a case ended; none is a step that has not.
enum Verdict {
    Passed,
    Failed(Outcome, Option<Reason>),
    Skipped(String),
}

/// The end of what was printed.
#[derive(Default)]
struct Output {
    text: String,
    cut: bool,
}

impl Output {
    fn push(&mut self, line: &str) {
        self.text.push_str(&words::bare(line));
        self.text.push('\n');
        // Cut only when twice as much is there, so that each byte is moved once.
        if self.text.len() > 2 * MAX_OUTPUT_BYTES {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.text.len() > MAX_OUTPUT_BYTES {
            let from = (self.text.len() - MAX_OUTPUT_BYTES..).find(|at| self.text.is_char_boundary(*at));
            self.text.drain(..from.unwrap_or(self.text.len()));
            self.cut = true;
        }
    }
}

/// What is known so far.
#[derive(Default)]
struct Report {
    pipeline: String,
    took_ms: u64,
    suites: Vec<Suite>,
    /// Where the lines of an attempt belong, by suite and case.
    places: HashMap<(StepName, u32), (usize, usize)>,
}

/// The document of a run, from what it told from its beginning on; lines of logs among it are the cases' output.
pub fn render<'a>(told: impl IntoIterator<Item = &'a Told>) -> String {
    let mut report = Report::default();
    for told in told {
        report.take(told);
    }
    report.write()
}

impl Report {
    fn take(&mut self, told: &Told) {
        match &told.item {
            Item::RunStarted { name, .. } => self.pipeline.clone_from(name),
            Item::StateEntered { state, visit, .. } => {
                let again = if *visit > 1 { format!(" (visit {visit})") } else { String::new() };
                let name = format!("{state}{again}");
                self.suites.push(Suite { name, state: state.clone(), cases: Vec::new() });
            }
            Item::StepSkipped { step, sentence, .. } => {
                let verdict = Verdict::Skipped(sentence.clone());
                if let Some(case) = self.case(step) {
                    case.verdict = Some(verdict);
                }
            }
            Item::StepCarried { step, from, .. } => {
                let verdict = Verdict::Skipped(format!("taken over from {from}"));
                if let Some(case) = self.case(step) {
                    case.verdict = Some(verdict);
                }
            }
            Item::Log(LogLine { step, attempt, stream, text, .. }) => {
                let Some((suite, case)) = self.places.get(&(step.clone(), *attempt)).copied() else { return };
                let case = &mut self.suites[suite].cases[case];
                let output = if *stream == Stream::Stderr { &mut case.err } else { &mut case.out };
                output.push(text);
            }
            Item::RunEnded { outcome, reason, took_ms, .. } => {
                self.took_ms = *took_ms;
                let failed = |case: &Case| matches!(case.verdict, Some(Verdict::Failed(..)));
                let told = self.suites.last().is_some_and(|suite| suite.cases.iter().any(failed));
                if outcome.is_failure() && !told {
                    let verdict = Some(Verdict::Failed(*outcome, reason.clone()));
                    let case = Case { name: "run".to_owned(), verdict, ..Case::default() };
                    match self.suites.last_mut() {
                        Some(suite) => suite.cases.push(case),
                        None => {
                            self.suites.push(Suite { name: "run".to_owned(), cases: vec![case], ..Suite::default() });
                        }
                    }
                }
            }
            item => {
                if let Some((step, attempt)) = item.began() {
                    self.case(step);
                    if let Some(place) = self.place(step) {
                        self.places.insert((step.clone(), attempt), place);
                    }
                }
                if let Some(ended) = item.ended() {
                    self.end(ended);
                }
            }
        }
    }

    /// Where a step's case is in the present suite.
    fn place(&self, step: &StepName) -> Option<(usize, usize)> {
        let suite = self.suites.len().checked_sub(1)?;
        // Looked for from the end: it is mostly among the last ones.
        Some((suite, self.suites[suite].cases.iter().rposition(|case| case.name == step.as_str())?))
    }

    /// The step's case in the present suite; `None` where what was told does not begin at the run's beginning.
    fn case(&mut self, step: &StepName) -> Option<&mut Case> {
        let place = self.place(step);
        let cases = &mut self.suites.last_mut()?.cases;
        match place {
            Some((_, at)) => cases.get_mut(at),
            None => {
                cases.push(Case { name: step.to_string(), ..Case::default() });
                cases.last_mut()
            }
        }
    }

    fn end(&mut self, ended: Ended<'_>) {
        let Some(case) = self.case(ended.step) else { return };
        case.took_ms = case.took_ms.saturating_add(ended.took_ms);
        let reason = ended.reason.cloned();
        if ended.retry_ms.is_some() {
            case.earlier.push((ended.outcome, reason));
            return;
        }
        case.verdict = Some(match ended.outcome {
            outcome if !outcome.is_failure() => Verdict::Passed,
            outcome if ended.allowed => {
                let first = reason.map(|reason| format!(": {}", first_line(&reason.message))).unwrap_or_default();
                Verdict::Skipped(format!("{outcome}, and may{first}"))
            }
            outcome => Verdict::Failed(outcome, reason),
        });
    }

    fn write(mut self) -> String {
        for case in self.suites.iter_mut().flat_map(|suite| &mut suite.cases) {
            case.out.cut();
            case.err.cut();
        }
        let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        let all: Vec<&Case> = self.suites.iter().flat_map(|suite| &suite.cases).collect();
        open(&mut out, "<testsuites", &self.pipeline, &all, self.took_ms);
        for suite in &self.suites {
            let cases: Vec<&Case> = suite.cases.iter().collect();
            let took_ms = cases.iter().fold(0_u64, |sum, case| sum.saturating_add(case.took_ms));
            open(&mut out, "  <testsuite", &suite.name, &cases, took_ms);
            let class = format!("{}.{}", self.pipeline, suite.state);
            cases.iter().for_each(|case| write_case(&mut out, case, &class));
            out.push_str("  </testsuite>\n");
        }
        out.push_str("</testsuites>\n");
        out
    }
}

fn open(out: &mut String, tag: &str, name: &str, cases: &[&Case], took_ms: u64) {
    let number = |wanted: &str| cases.iter().filter(|case| element(case) == Some(wanted)).count();
    let (failures, errors, skipped) = (number("failure"), number("error"), number("skipped"));
    out.push_str(tag);
    attribute(out, "name", name);
    for (name, number) in [("tests", cases.len()), ("failures", failures), ("errors", errors), ("skipped", skipped)] {
        attribute(out, name, &number.to_string());
    }
    attribute(out, "time", &seconds(took_ms));
    out.push_str(">\n");
}

/// What a case that did not pass has in it.
fn element(case: &Case) -> Option<&'static str> {
    match &case.verdict {
        Some(Verdict::Passed) => None,
        Some(Verdict::Failed(outcome, _)) => Some(if is_failure(*outcome) { "failure" } else { "error" }),
        Some(Verdict::Skipped(_)) | None => Some("skipped"),
    }
}

/// Whether the work was done and its result is bad, and not that it could not be done.
fn is_failure(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Failed | Outcome::Rejected)
}

fn write_case(out: &mut String, case: &Case, class: &str) {
    out.push_str("    <testcase");
    attribute(out, "name", &case.name);
    attribute(out, "classname", class);
    attribute(out, "time", &seconds(case.took_ms));
    let body = out.len();
    out.push_str(">\n");
    let begun = out.len();
    match &case.verdict {
        Some(Verdict::Passed) => {}
        Some(Verdict::Failed(outcome, reason)) => {
            let tag = if is_failure(*outcome) { "failure" } else { "error" };
            write_reason(out, tag, *outcome, reason.as_ref());
        }
        Some(Verdict::Skipped(why)) => {
            out.push_str("      <skipped");
            attribute(out, "message", why);
            out.push_str("/>\n");
        }
        None => out.push_str("      <skipped message=\"it has not ended\"/>\n"),
    }
    let passed = matches!(case.verdict, Some(Verdict::Passed));
    for (outcome, reason) in &case.earlier {
        let tag = match (passed, is_failure(*outcome)) {
            (true, true) => "flakyFailure",
            (true, false) => "flakyError",
            (false, true) => "rerunFailure",
            (false, false) => "rerunError",
        };
        write_reason(out, tag, *outcome, reason.as_ref());
    }
    for (tag, output) in [("system-out", &case.out), ("system-err", &case.err)] {
        if !output.text.is_empty() {
            let mark = if output.cut { "… (the log has what was before)\n" } else { "" };
            let _ = write!(out, "      <{tag}>{mark}");
            escape(out, &output.text, false);
            let _ = writeln!(out, "</{tag}>");
        }
    }
    if out.len() == begun {
        out.truncate(body);
        out.push_str("/>\n");
    } else {
        out.push_str("    </testcase>\n");
    }
}

fn write_reason(out: &mut String, tag: &str, outcome: Outcome, reason: Option<&Reason>) {
    let message = reason.map_or(outcome.name(), |reason| &reason.message);
    let _ = write!(out, "      <{tag}");
    attribute(out, "message", first_line(message));
    attribute(out, "type", reason.map_or(outcome.name(), |reason| reason.kind.name()));
    out.push('>');
    if let Some(code) = reason.and_then(|reason| reason.code.as_ref()) {
        escape(out, code, false);
        out.push_str(": ");
    }
    escape(out, message, false);
    let _ = writeln!(out, "</{tag}>");
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn attribute(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, " {name}=\"");
    escape(out, value, true);
    out.push('"');
}

/// Text as XML 1.0 may have it. In attributes line breaks and tabs are references, for a reader would make spaces of them.
fn escape(out: &mut String, text: &str, in_attribute: bool) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            // `]]>` may not stand in text.
            '>' => out.push_str("&gt;"),
            '"' if in_attribute => out.push_str("&quot;"),
            '\n' | '\t' if in_attribute => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            // A reader would make a line feed of it.
            '\r' => out.push_str("&#13;"),
            '\n' | '\t' => out.push(c),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped() {
        let check = |text: &str, in_attribute: bool, expect: &str| {
            let mut out = String::new();
            escape(&mut out, text, in_attribute);
            assert_eq!(out, expect, "{text:?}");
        };
        check("a<b>&\"c'", true, "a&lt;b&gt;&amp;&quot;c'");
        check("]]> \"", false, "]]&gt; \"");
        check("a\n\tb\r", true, "a&#10;&#9;b&#13;");
        check("a\n\tb\r", false, "a\n\tb&#13;");
        check("\u{0}\u{1b}[31m\u{fffe}\u{ffff}ä\u{1f600}", false, "[31mä\u{1f600}");
    }

    #[test]
    fn the_end_of_long_output_is_kept() {
        let mut output = Output::default();
        output.push(&"a".repeat(MAX_OUTPUT_BYTES - 1));
        output.cut();
        assert!(!output.cut, "as much as may be");
        for _ in 0..40 {
            output.push(&"ä".repeat(5000));
        }
        output.cut();
        assert!(output.cut && output.text.len() <= MAX_OUTPUT_BYTES && output.text.len() > MAX_OUTPUT_BYTES - 4);
        assert!(output.text.ends_with("ä\n") && !output.text.contains('a'));
    }
}
