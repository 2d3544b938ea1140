//! SARIF 2.1.0: what scanners found.
//!
//! Severity is that of the rule's `security-severity` where it has one, as code hosts read it, else of the level. What somebody has suppressed is
//! counted and not shown. A finding's identity leaves its line out, so that code above it does not make it new.

use super::{Format, cut};
use serde::Deserialize;
use std::collections::HashMap;
use windlass_capabilities::artifacts::reports;

/// How many runs a report has at most, how many rules, and how many findings, as code hosts have it.
const MAX_RUNS: usize = 20;
/// See [`MAX_RUNS`].
const MAX_RESULTS: usize = 25_000;
/// How much of a finding's text is kept, in bytes.
const MAX_MESSAGE_BYTES: usize = 1_000;
/// How much of a name or path is kept, in bytes.
const MAX_NAME_BYTES: usize = 500;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// `security-severity` of 9 and more.
    Critical,
    /// Of 7 and more; level `error`.
    High,
    /// Of 4 and more; level `warning`.
    Medium,
    /// Over 0; level `note`.
    Low,
    /// Everything else.
    Info,
}

impl Severity {
    /// Its name in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::High => "high",
            Severity::Medium => "medium",
            Severity::Low => "low",
            Severity::Info => "info",
        }
    }

    fn of_score(score: f64) -> Severity {
        match score {
            9.0.. => Severity::Critical,
            7.0.. => Severity::High,
            4.0.. => Severity::Medium,
            _ if score > 0.0 => Severity::Low,
            _ => Severity::Info,
        }
    }

    fn of_level(level: &str) -> Severity {
        match level {
            "error" => Severity::High,
            "note" => Severity::Low,
            "none" => Severity::Info,
            _ => Severity::Medium,
        }
    }
}

/// What a scanner found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The scanner.
    pub tool: String,
    /// Its rule.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it found.
    pub message: String,
    /// Where.
    pub file: Option<String>,
    /// In which line.
    pub line: Option<u64>,
    /// What it is the same finding by in another run.
    pub identity: String,
}

/// What a report says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub findings: Vec<Finding>,
    /// How many somebody has suppressed.
    pub suppressed: u32,
}

/// Reports of scanners.
pub(crate) const SARIF: Format<Findings> = Format { endings: reports::SARIF, read };

#[derive(Deserialize)]
struct Log {
    version: Option<String>,
    runs: Option<Vec<Run>>,
}

#[derive(Deserialize)]
struct Run {
    tool: Tool,
    results: Option<Vec<Outcome>>,
}

#[derive(Deserialize)]
struct Tool {
    driver: Component,
    #[serde(default)]
    extensions: Vec<Component>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Component {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    #[serde(default)]
    properties: Properties,
    default_configuration: Option<Configuration>,
    short_description: Option<Text>,
    #[serde(default)]
    message_strings: HashMap<String, Text>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Properties {
    #[serde(rename = "security-severity")]
    security_severity: Option<serde_json::Value>,
}

impl Properties {
    fn score(&self) -> Option<f64> {
        match self.security_severity.as_ref()? {
            serde_json::Value::Number(score) => score.as_f64(),
            serde_json::Value::String(score) => score.trim().parse().ok(),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Configuration {
    level: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Text {
    text: Option<String>,
    markdown: Option<String>,
    id: Option<String>,
}

/// A `result`; the name would hide Rust's own.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    rule_id: Option<String>,
    rule_index: Option<usize>,
    rule: Option<Reference>,
    level: Option<String>,
    kind: Option<String>,
    #[serde(default)]
    message: Text,
    #[serde(default)]
    locations: Vec<Location>,
    #[serde(default)]
    suppressions: Option<Vec<Suppression>>,
    #[serde(default)]
    partial_fingerprints: HashMap<String, String>,
    #[serde(default)]
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    id: Option<String>,
    index: Option<usize>,
    tool_component: Option<At>,
}

#[derive(Deserialize)]
struct At {
    index: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Option<Physical>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Option<ArtifactLocation>,
    region: Option<Region>,
}

#[derive(Deserialize)]
struct ArtifactLocation {
    uri: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: Option<u64>,
}

#[derive(Deserialize)]
struct Suppression {
    status: Option<String>,
}

fn read(text: &str) -> Result<Option<Findings>, String> {
    let log: Log = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let version = log.version.unwrap_or_default();
    if !version.starts_with("2.") {
        return Err(format!("it has the version {:?}, and 2.1.0 is read", cut(&version, 20)));
    }
    let runs = log.runs.unwrap_or_default();
    if runs.len() > MAX_RUNS {
        return Err(format!("it has {} runs, and {MAX_RUNS} are read", runs.len()));
    }
    let mut findings = Findings::default();
    for run in runs {
        let results = run.results.unwrap_or_default();
        if results.len() > MAX_RESULTS {
            return Err(format!("a run of it has {} findings, and {MAX_RESULTS} are read", results.len()));
        }
        let rules = Rules::of(&run.tool);
        for result in results {
            if is_suppressed(&result) {
                findings.suppressed += 1;
            } else if !matches!(result.kind.as_deref(), Some("pass" | "notApplicable")) {
                findings.findings.push(finding(&run.tool, &rules, result));
            }
        }
    }
    Ok(Some(findings))
}

/// The rules of a tool: by id, since the order says nothing where an index is left out.
struct Rules<'a> {
    tool: &'a Tool,
    by_id: HashMap<&'a str, &'a Rule>,
}

impl<'a> Rules<'a> {
    fn of(tool: &'a Tool) -> Rules<'a> {
        let all = tool.extensions.iter().chain([&tool.driver]).flat_map(|component| &component.rules);
        Rules { tool, by_id: all.map(|rule| (rule.id.as_str(), rule)).collect() }
    }

    fn find(&self, result: &Outcome) -> Option<&'a Rule> {
        let reference = result.rule.as_ref();
        let id = result.rule_id.as_deref().or(reference.and_then(|rule| rule.id.as_deref()));
        let index = result.rule_index.or(reference.and_then(|rule| rule.index));
        let extension = reference.and_then(|rule| rule.tool_component.as_ref()).and_then(|at| at.index);
        let component = extension.map_or(Some(&self.tool.driver), |at| self.tool.extensions.get(at));
        let indexed = || component?.rules.get(index?);
        // `rule/part` is a part of a rule.
        let named = |id: &str| self.by_id.get(id).or_else(|| self.by_id.get(id.split('/').next()?)).copied();
        indexed().or_else(|| named(id?))
    }
}

fn is_suppressed(result: &Outcome) -> bool {
    let accepted = |one: &Suppression| one.status.as_deref().is_none_or(|status| status == "accepted");
    result.suppressions.as_ref().is_some_and(|all| !all.is_empty() && all.iter().all(accepted))
}

fn finding(tool: &Tool, rules: &Rules<'_>, result: Outcome) -> Finding {
    let rule = rules.find(&result);
    let level = || {
        let of_rule = rule.and_then(|rule| rule.default_configuration.as_ref()).and_then(|own| own.level.as_deref());
        result.level.as_deref().or(of_rule).unwrap_or("warning")
    };
    let score = result.properties.score().or_else(|| rule.and_then(|rule| rule.properties.score()));
    let severity = match (result.kind.as_deref(), score) {
        (None | Some("fail"), Some(score)) => Severity::of_score(score),
        (None | Some("fail"), None) => Severity::of_level(level()),
        // It says something, and not that anything is wrong.
        _ => Severity::Info,
    };
    let id = result.rule_id.as_deref().or(rule.map(|rule| rule.id.as_str())).unwrap_or("(no rule)");
    let standing = |id: &String| rule.and_then(|rule| rule.message_strings.get(id)).and_then(|text| text.text.as_ref());
    let said = (result.message.text.as_ref())
        .or(result.message.markdown.as_ref())
        .or_else(|| result.message.id.as_ref().and_then(standing))
        .or_else(|| rule.and_then(|rule| rule.short_description.as_ref()).and_then(|text| text.text.as_ref()));
    let physical = result.locations.first().and_then(|location| location.physical_location.as_ref());
    let uri = physical.and_then(|at| at.artifact_location.as_ref()).and_then(|at| at.uri.as_deref());
    let file = uri.map(|uri| cut(uri.trim_start_matches("file://"), MAX_NAME_BYTES));
    let message = cut(said.map_or("", String::as_str).trim(), MAX_MESSAGE_BYTES);
    let print = result.partial_fingerprints.get("primaryLocationLineHash").map_or(message.as_str(), String::as_str);
    let (tool, rule) = (cut(&tool.driver.name, MAX_NAME_BYTES), cut(id, MAX_NAME_BYTES));
    // None of these has a line break that another could imitate: it is a key within one server, and no more.
    let identity =
        format!("{tool}\n{rule}\n{}\n{}", file.as_deref().unwrap_or_default(), cut(print, MAX_MESSAGE_BYTES));
    let line = physical.and_then(|at| at.region.as_ref()).and_then(|region| region.start_line);
    Finding { tool, rule, severity, message, file, line, identity }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(results: serde_json::Value) -> Findings {
        let rules = json!([
            { "id": "critical", "properties": { "security-severity": "9.0" } },
            { "id": "high", "properties": { "security-severity": 7.5 } },
            { "id": "medium", "properties": { "security-severity": "6.9" }, "defaultConfiguration": { "level": "error" } },
            { "id": "low", "properties": { "security-severity": "0.1" } },
            { "id": "info", "properties": { "security-severity": "0.0" } },
            { "id": "by-level", "defaultConfiguration": { "level": "note" }, "shortDescription": { "text": "the rule's own words" } },
            { "id": "plain", "messageStrings": { "default": { "text": "by its id" } } },
        ]);
        let log = json!({ "version": "2.1.0", "runs": [{ "tool": { "driver": { "name": "tool", "rules": rules } }, "results": results }] });
        read(&log.to_string()).expect("a report").expect("of a scanner")
    }

    #[test]
    fn severities() {
        let cases = [
            (json!({ "ruleId": "critical" }), "critical"),
            (json!({ "ruleIndex": 1 }), "high"),
            (json!({ "rule": { "index": 2 } }), "medium"),
            (json!({ "ruleId": "low/part" }), "low"),
            (json!({ "ruleId": "info" }), "info"),
            (json!({ "ruleId": "by-level" }), "low"),
            (json!({ "ruleId": "by-level", "level": "error" }), "high"),
            (json!({ "ruleId": "plain" }), "medium"),
            (json!({ "ruleId": "plain", "level": "none" }), "info"),
            (json!({ "ruleId": "unknown" }), "medium"),
            (json!({}), "medium"),
            (json!({ "ruleIndex": 99 }), "medium"),
            (json!({ "ruleId": "plain", "properties": { "security-severity": "9.8" } }), "critical"),
            (json!({ "ruleId": "plain", "properties": { "security-severity": "bad" } }), "medium"),
            (json!({ "ruleId": "critical", "kind": "informational" }), "info"),
        ];
        for (result, expected) in cases {
            let findings = report(json!([result])).findings;
            assert_eq!(findings[0].severity.name(), expected, "{result}");
        }
    }

    #[test]
    fn what_is_suppressed_is_counted_and_what_passed_is_not_there() {
        let of = |suppressions: serde_json::Value| json!({ "ruleId": "low", "suppressions": suppressions });
        let found = report(json!([
            of(json!([{ "kind": "inSource" }])),
            of(json!([{ "kind": "external", "status": "accepted" }])),
            of(json!([{ "kind": "external", "status": "underReview" }])),
            of(json!([])),
            { "ruleId": "low", "kind": "pass" },
        ]));
        assert_eq!((found.findings.len(), found.suppressed), (2, 2));
    }

    #[test]
    fn words_places_and_identity() {
        let at = |line: u64, message: serde_json::Value| {
            json!({ "ruleId": "plain", "message": message, "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": "src/a.rs" }, "region": { "startLine": line } } }] })
        };
        let found = report(json!([
            at(1, json!({ "text": "one" })),
            at(9, json!({ "text": "one" })),
            at(1, json!({ "text": "two" })),
            at(1, json!({ "id": "default" })),
            { "ruleId": "by-level" },
        ]))
        .findings;
        assert_eq!((found[0].file.as_deref(), found[0].line), (Some("src/a.rs"), Some(1)));
        assert_eq!(found[0].identity, found[1].identity, "a line is no part of it");
        assert_ne!(found[0].identity, found[2].identity);
        assert_eq!((found[3].message.as_str(), found[4].message.as_str()), ("by its id", "the rule's own words"));
    }

    #[test]
    fn what_is_broken_or_too_large_is_refused_with_the_reason() {
        let runs =
            json!({ "version": "2.1.0", "runs": vec![json!({ "tool": { "driver": { "name": "t" } } }); MAX_RUNS + 1] });
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        let of_tool = |rest: &str| {
            format!("{{\"version\":\"2.1.0\",\"runs\":[{{\"tool\":{{\"driver\":{{\"name\":\"t\"}}}},{rest}}}]}}")
        };
        let ignored = of_tool(&format!("\"x\":{deep}"));
        assert_eq!(read(&ignored), Ok(Some(Findings::default())), "what is not read may be as deep as it likes");
        let deep = of_tool(&format!("\"results\":[{{\"properties\":{{\"security-severity\":{deep}}}}}]"));
        let cases = [
            (String::new(), "EOF"),
            ("[]".to_owned(), "invalid"),
            ("{}".to_owned(), "version"),
            (json!({ "version": "1.0.0" }).to_string(), "1.0.0"),
            (runs.to_string(), "runs"),
            (deep, "recursion"),
            (json!({ "version": "2.1.0", "runs": [{}] }).to_string(), "tool"),
        ];
        for (text, why) in cases {
            let error = read(&text).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }
}
