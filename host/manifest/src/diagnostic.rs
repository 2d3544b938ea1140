//! Diagnostics: what is wrong, where, and what to write instead; and the four forms they are printed in.

use crate::Source;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;
use serde_json::{Value, json};
use std::ops::Range;
use windlass_contract::Code;

/// How many diagnostics are kept for one file: enough to see every real mistake, and a bound on what a hostile file can
/// make us print. One more says that there are more.
pub const MAX_DIAGNOSTICS: usize = 1_000;
/// For how many diagnostics the nearest known name is searched. The search is linear in the names, and a file of 10,000
/// steps that all misspell one would make it quadratic.
const MAX_SUGGESTIONS: usize = 100;
/// How many columns a printed source line is cut to.
const RENDER_WIDTH: usize = 120;
/// How many characters of a message are printed; a message may quote what the author wrote.
const MAX_MESSAGE_CHARS: usize = 600;

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The pipeline cannot run.
    Error,
    /// It can run, but probably not as meant.
    Warning,
}

/// One finding about a pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its stable code; see [`crate::codes`].
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence without the place.
    pub message: String,
    /// Where, in bytes of the source; `None` is the file as a whole.
    pub span: Option<Range<usize>>,
    /// The line of the span's start, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub col: usize,
    /// What to write instead, or do next.
    pub help: Option<String>,
}

/// Collects the diagnostics of one file.
pub(crate) struct Report<'a> {
    lines: LineIndex<'a>,
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    dropped: usize,
}

impl<'a> Report<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Report { lines: LineIndex::new(text), diagnostics: Vec::new(), errors: 0, dropped: 0 }
    }

    pub(crate) fn error(&mut self, code: Code, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        self.errors += 1;
        self.push(code, Severity::Error, Some(span), message.into(), help);
    }

    pub(crate) fn warning(&mut self, code: Code, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        self.push(code, Severity::Warning, Some(span), message.into(), help);
    }

    fn push(
        &mut self,
        code: Code,
        severity: Severity,
        span: Option<Range<usize>>,
        message: String,
        help: Option<String>,
    ) {
        if self.diagnostics.len() >= MAX_DIAGNOSTICS {
            self.dropped += 1;
            return;
        }
        let (line, col) = span.as_ref().map_or((1, 1), |span| self.lines.position(span.start));
        self.diagnostics.push(Diagnostic { code, severity, message, span, line, col, help });
    }

    /// The line of a byte offset, from 1.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.lines.position(offset).0
    }

    /// How many errors there are so far.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether the nearest known name may still be searched.
    pub(crate) fn may_suggest(&self) -> bool {
        self.diagnostics.len() < MAX_SUGGESTIONS
    }

    /// "did you mean `x`?", where a known name is near.
    pub(crate) fn did_you_mean<'n>(&self, written: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
        if !self.may_suggest() {
            return None;
        }
        nearest(written, known).map(|name| format!("did you mean `{name}`?"))
    }

    /// The diagnostics in the order of the file.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span.as_ref().map_or(0, |span| span.start));
        // What several places share is checked for each of them.
        self.diagnostics.dedup();
        if self.dropped > 0 {
            let message = format!("{} more problems are not shown; mend these first", self.dropped);
            self.diagnostics.push(Diagnostic {
                code: crate::codes::TOO_MANY,
                severity: Severity::Warning,
                message,
                span: None,
                line: 1,
                col: 1,
                help: None,
            });
        }
        self.diagnostics
    }
}

/// Byte offset to line and column.
struct LineIndex<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> LineIndex<'a> {
    fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        LineIndex { text, starts }
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts[line - 1];
        // A long line is counted only so far: a file of one line would make the count quadratic.
        const MAX_COUNTED: usize = 64 * 1024;
        let before = &self.text.as_bytes()[start..offset.min(self.text.len()).max(start)];
        let col = if before.len() > MAX_COUNTED {
            before.len()
        } else {
            before.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
        };
        (line, col + 1)
    }
}

/// The known name that was probably meant: at most a third of its characters differ.
pub(crate) fn nearest<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    const MAX_NAME_CHARS: usize = 80;
    let length = written.chars().count();
    if length > MAX_NAME_CHARS {
        return None;
    }
    let folded = written.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .filter(|name| name.len() <= 2 * MAX_NAME_CHARS && *name != written)
        .map(|name| {
            let candidate = name.to_lowercase().replace('-', "_");
            (strsim::damerau_levenshtein(&folded, &candidate), name)
        })
        .filter(|(distance, name)| *distance <= (length.max(name.chars().count()) / 3).max(1) && *distance < length)
        .min_by(|a, b| a.cmp(b))
        .map(|(_, name)| name.to_owned())
}

/// The diagnostics for a person: for each the place, the line with a caret, the code and what to write instead, and a
/// closing count. Control characters in what is quoted are made visible, so a file cannot steer the terminal.
pub fn render(diagnostics: &[Diagnostic], source: &Source, color: bool) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() }.term_width(RENDER_WIDTH);
    let lines = LineIndex::new(&source.text);
    let mut out = String::new();
    for diagnostic in diagnostics {
        let code = diagnostic.code.to_string();
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(printable(&diagnostic.message)).id(code);
        let mut group = match &diagnostic.span {
            None => Group::with_title(title),
            Some(span) => {
                let (first, snippet, span) = excerpt(&lines, span);
                title.element(
                    Snippet::source(snippet)
                        .line_start(first)
                        .path(printable(&source.name))
                        .annotation(AnnotationKind::Primary.span(span)),
                )
            }
        };
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(printable(help)));
        }
        out.push_str(&renderer.render(&[group]));
        out.push_str("\n\n");
    }
    let count = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    out.push_str(&printable(&source.name));
    out.push_str(": ");
    let counts: Vec<String> = [(count(Severity::Error), "error"), (count(Severity::Warning), "warning")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }))
        .collect();
    out.push_str(&counts.join(", "));
    out.push('\n');
    out
}

/// The line that a span begins in, and the part of the span that lies in it. Only that line is handed to the renderer,
/// which else reads the whole file again for each diagnostic.
fn excerpt<'a>(lines: &LineIndex<'a>, span: &Range<usize>) -> (usize, &'a str, Range<usize>) {
    let (line, _) = lines.position(span.start);
    let start = lines.starts[line - 1];
    let end = lines.starts.get(line).map_or(lines.text.len(), |next| *next);
    let text = lines.text[start..end].trim_end_matches(['\n', '\r']);
    let from = (span.start - start).min(text.len());
    let to = (span.end.saturating_sub(start)).clamp(from, text.len());
    (line, text, from..to)
}

/// Cut to a length that can be read, control characters made visible.
fn printable(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(MAX_MESSAGE_CHARS)
        .map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(MAX_MESSAGE_CHARS).is_some() {
        out.push('…');
    }
    out
}

/// Where each diagnostic ends in the text that they were found in: the line, and the column after its last character, both from 1.
pub fn ends(diagnostics: &[Diagnostic], text: &str) -> Vec<(usize, usize)> {
    let lines = LineIndex::new(text);
    let end = |found: &Diagnostic| match &found.span {
        Some(span) => lines.position(span.end.max(span.start)),
        None => (found.line, found.col),
    };
    diagnostics.iter().map(end).collect()
}

/// The diagnostics as a JSON array.
pub fn to_json(diagnostics: &[Diagnostic], source: &Source) -> Value {
    diagnostics
        .iter()
        .map(|diagnostic| {
            json!({
                "code": diagnostic.code.to_string(),
                "severity": diagnostic.severity,
                "message": diagnostic.message,
                "file": source.name,
                "line": diagnostic.line,
                "col": diagnostic.col,
                "span": diagnostic.span.as_ref().map(|span| [span.start, span.end]),
                "help": diagnostic.help,
            })
        })
        .collect()
}

/// The diagnostics as a SARIF 2.1.0 log, for code scanning.
pub fn to_sarif(diagnostics: &[Diagnostic], source: &Source) -> Value {
    let rules: std::collections::BTreeSet<String> = diagnostics.iter().map(|d| d.code.to_string()).collect();
    let results: Vec<Value> = diagnostics
        .iter()
        .map(|diagnostic| {
            let text = match &diagnostic.help {
                Some(help) => format!("{}\n{help}", diagnostic.message),
                None => diagnostic.message.clone(),
            };
            json!({
                "ruleId": diagnostic.code.to_string(),
                "level": diagnostic.severity,
                "message": { "text": text },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": source.name },
                    "region": { "startLine": diagnostic.line, "startColumn": diagnostic.col },
                }}],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "windlass lint",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// The diagnostics as workflow commands, which GitHub shows beside the lines. One line each; what is quoted cannot
/// begin a command of its own.
pub fn to_github(diagnostics: &[Diagnostic], source: &Source) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    diagnostics
        .iter()
        .map(|diagnostic| {
            let level = match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let help = diagnostic.help.as_ref().map(|help| format!("\n{help}")).unwrap_or_default();
            format!(
                "::{level} file={},line={},col={},title={}::{}\n",
                property(&source.name),
                diagnostic.line,
                diagnostic.col,
                diagnostic.code,
                data(&format!("{}{help}", diagnostic.message)),
            )
        })
        .collect()
}
