//! A test case: what a plugin is called with, and what is expected of it.

use crate::AuthorError;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Component as Segment, Path, PathBuf},
};
use windlass_contract::SecretReference;
use windlass_package::{PackageError, manifest::read_yaml};
use windlass_rehearse::Difference;
use windlass_runtime::StepErrorKind;

/// The folder of the cases, in the plugin's.
pub const FOLDER: &str = "tests";
/// Largest case, in bytes: its configuration has 4 MiB at the most in a run, and a test is read by people.
pub const MAX_CASE: u64 = 256 * 1024;
/// Most cases of a plugin.
pub const MAX_CASES: usize = 1000;

/// A test case.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Which step type; may be left out where the plugin has one only.
    #[serde(default)]
    pub step: Option<String>,
    /// The step's configuration, as it is after templates were rendered.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// Which attempt it is.
    #[serde(default = "first")]
    pub attempt: u32,
    /// What `secrets-reveal` gives in a replay. Made-up values: they stand in a file that everybody reads.
    #[serde(default)]
    pub secrets: BTreeMap<SecretReference, String>,
    /// The recorded calls, a file beside the case.
    #[serde(default, deserialize_with = "beside")]
    pub session: Option<PathBuf>,
    /// What is to come of it.
    #[serde(default)]
    pub expect: Expected,
}

/// What is expected; what is left out may be anything.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// How it ends.
    #[serde(default)]
    pub outcome: Outcome,
    /// A part of the error's text.
    #[serde(default)]
    pub error: Option<String>,
    /// Exactly these results.
    #[serde(default)]
    pub outputs: Option<Map<String, Value>>,
    /// Texts that stand in the plugin's log, in this order.
    #[serde(default)]
    pub log: Vec<String>,
    /// Texts that stand in what `validate` says of the configuration, each in another of its diagnostics. Without it, `validate` has
    /// no error to tell.
    #[serde(default)]
    pub diagnostics: Option<Vec<String>>,
}

/// How a call ends: success, a case of `step-error`, or what is no answer at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the cases of `step-error` are documented in wit/step.wit")]
pub enum Outcome {
    #[default]
    Succeeded,
    InvalidConfig,
    Failed,
    Denied,
    Unavailable,
    Cancelled,
    Other,
    /// It trapped, hit a limit, or did not keep to the contract: a defect of the plugin.
    Trapped,
    /// It did not end in time.
    TimedOut,
}

impl Outcome {
    /// The outcome that a `step-error` is.
    pub fn of(kind: StepErrorKind) -> Self {
        match kind {
            StepErrorKind::InvalidConfig => Outcome::InvalidConfig,
            StepErrorKind::Failed => Outcome::Failed,
            StepErrorKind::Denied => Outcome::Denied,
            StepErrorKind::Unavailable => Outcome::Unavailable,
            StepErrorKind::Cancelled => Outcome::Cancelled,
            StepErrorKind::Other => Outcome::Other,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Succeeded => "succeeded",
            Outcome::InvalidConfig => "invalid-config",
            Outcome::Failed => "failed",
            Outcome::Denied => "denied",
            Outcome::Unavailable => "unavailable",
            Outcome::Cancelled => "cancelled",
            Outcome::Other => "other",
            Outcome::Trapped => "trapped",
            Outcome::TimedOut => "timed-out",
        })
    }
}

fn first() -> u32 {
    1
}

fn beside<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    let inside = path.components().all(|segment| matches!(segment, Segment::Normal(_)));
    if inside && path.file_name().is_some() {
        Ok(Some(path))
    } else {
        Err(D::Error::custom("session is a file beside the case"))
    }
}

/// A case and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its file's name without ending.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    /// The case.
    pub case: Case,
}

impl Found {
    /// The file of its session: the one that it names, else the one that a recording makes.
    pub fn session_file(&self) -> PathBuf {
        let beside = self.case.session.clone().unwrap_or_else(|| format!("{}.session", self.name).into());
        self.file.parent().unwrap_or(Path::new(".")).join(beside)
    }
}

/// The cases of the plugin in `folder`, sorted by name; only the one called `only` where that is given.
///
/// # Errors
/// When there is none, or one is not valid.
pub fn find(folder: &Path, only: Option<&str>) -> Result<Vec<Found>, AuthorError> {
    let tests = folder.join(FOLDER);
    let looked = || match only {
        Some(name) => format!("called {name:?} in {}", tests.display()),
        None => format!("in {}", tests.display()),
    };
    let entries = match fs::read_dir(&tests) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(AuthorError::NoCases { looked: looked() });
        }
        Err(error) => return Err(AuthorError::io("read the folder", tests, error)),
    };
    let mut cases = Vec::new();
    for entry in entries {
        let file = entry.map_err(|error| AuthorError::io("read the folder", &tests, error))?.path();
        let is_case = file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        let Some(name) = file.file_stem().and_then(|name| name.to_str()).filter(|_| is_case) else { continue };
        if only.is_some_and(|only| only != name) {
            continue;
        }
        if cases.len() == MAX_CASES {
            let why = format!("there are more than {MAX_CASES} cases");
            return Err(AuthorError::BadCase { file: tests, why });
        }
        cases.push(Found { name: name.to_owned(), case: read(&file)?, file });
    }
    if cases.is_empty() {
        return Err(AuthorError::NoCases { looked: looked() });
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

fn read(file: &Path) -> Result<Case, AuthorError> {
    let size = fs::metadata(file).map_err(|error| AuthorError::io("read", file, error))?.len();
    if size > MAX_CASE {
        let why = format!("it has {size} bytes, more than the {MAX_CASE} that a case may have");
        return Err(AuthorError::BadCase { file: file.to_owned(), why });
    }
    let text = fs::read_to_string(file).map_err(|error| AuthorError::io("read", file, error))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    read_yaml(&name, &text).map_err(|error| {
        let why = match error {
            PackageError::Malformed { line, column, message, .. } if line > 0 => {
                format!("line {line}, column {column}: {message}")
            }
            other => other.to_string(),
        };
        AuthorError::BadCase { file: file.to_owned(), why }
    })
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// How it ended.
    pub outcome: Outcome,
    /// The error's text; empty after success.
    pub error: String,
    /// The results, also of a failure.
    pub outputs: Map<String, Value>,
    /// The plugin's own lines.
    pub log: String,
    /// What `validate` said, errors marked.
    pub diagnostics: Vec<(bool, String)>,
    /// Where the configuration or the results do not satisfy the plugin's schemas.
    pub schema: Vec<String>,
    /// How the calls differ from the session.
    pub difference: Option<Difference>,
}

impl Ran {
    /// Whether the plugin asked for something that only a recording can answer, and there is none.
    pub fn is_unrecorded(&self) -> bool {
        matches!(self.difference, Some(Difference::NoSession { .. }))
    }
}

/// One thing that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What: `calls`, `schema`, `diagnostics`, `outcome`, `error`, `outputs`, `log`.
    pub what: &'static str,
    /// In words; several lines, those with `-` expected and those with `+` found.
    pub words: String,
}

/// Compares what came of a case with what was expected; nothing where it is all as expected.
pub fn judge(expected: &Expected, ran: &Ran) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |what, words: String| findings.push(Finding { what, words });
    // After a difference the plugin was refused everything: what else came of it says nothing.
    if let Some(difference) = &ran.difference {
        find("calls", difference.to_string());
        return findings;
    }
    for words in &ran.schema {
        find("schema", words.clone());
    }
    diagnostics(expected.diagnostics.as_deref(), &ran.diagnostics)
        .into_iter()
        .for_each(|words| find("diagnostics", words));
    if expected.outcome != ran.outcome {
        let why = if ran.error.is_empty() { String::new() } else { format!(": {}", ran.error) };
        find("outcome", format!("- {}\n+ {}{why}", expected.outcome, ran.outcome));
    } else if let Some(part) = expected.error.as_ref().filter(|part| !ran.error.contains(*part)) {
        find("error", format!("- …{part}…\n+ {}", ran.error));
    }
    if let Some(outputs) = &expected.outputs {
        let lines = outputs_difference(outputs, &ran.outputs);
        if !lines.is_empty() {
            find("outputs", lines.join("\n"));
        }
    }
    let mut rest = ran.log.as_str();
    for part in &expected.log {
        match rest.find(part.as_str()) {
            Some(at) => rest = &rest[at + part.len()..],
            None => {
                let shown = if rest.trim().is_empty() { "+ nothing more" } else { rest.trim_end() };
                find("log", format!("- {part}\n{}", shown.replace('\n', "\n  ")));
                break;
            }
        }
    }
    findings
}

fn diagnostics(expected: Option<&[String]>, found: &[(bool, String)]) -> Option<String> {
    let Some(expected) = expected else {
        let errors: Vec<_> = found.iter().filter(|(error, _)| *error).map(|(_, text)| format!("+ {text}")).collect();
        return (!errors.is_empty()).then(|| errors.join("\n"));
    };
    let mut left: Vec<&String> = found.iter().map(|(_, text)| text).collect();
    let mut lines = Vec::new();
    for part in expected {
        match left.iter().position(|text| text.contains(part)) {
            Some(at) => drop(left.remove(at)),
            None => lines.push(format!("- …{part}…")),
        }
    }
    lines.extend(left.iter().map(|text| format!("+ {text}")));
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn outputs_difference(expected: &Map<String, Value>, found: &Map<String, Value>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in expected {
        match found.get(name) {
            Some(other) if other == value => {}
            other => {
                lines.push(format!("- {name}: {value}"));
                lines.extend(other.map(|other| format!("+ {name}: {other}")));
            }
        }
    }
    lines.extend(
        found
            .iter()
            .filter(|(name, _)| !expected.contains_key(*name))
            .map(|(name, value)| format!("+ {name}: {value}")),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(text: &str) -> (tempfile::TempDir, Result<Vec<Found>, AuthorError>) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        fs::write(folder.path().join(FOLDER).join("a.yaml"), text).unwrap();
        let found = find(folder.path(), None);
        (folder, found)
    }

    #[test]
    fn what_is_no_case() {
        let check = |text: &str| {
            let (folder, found) = written(text);
            found.expect_err(text).to_string().replace(&folder.path().display().to_string(), "FOLDER")
        };
        let large = format!("# {}", "x".repeat(MAX_CASE as usize));
        let all = [
            check("step: [a]"),
            check("stap: step.a"),
            check("expect: {outcome: fine}"),
            check("session: ../../etc/passwd"),
            check("secrets: {token: x}"),
            check(&large),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        FOLDER/tests/a.yaml: line 1, column 7: expected string scalar
        FOLDER/tests/a.yaml: line 1, column 1: unknown field `stap`, expected one of step, config, attempt, secrets, session, expect
        FOLDER/tests/a.yaml: line 1, column 19: unknown variant `fine`, expected one of succeeded, invalid-config, failed, denied, unavailable, cancelled, other, trapped, timed-out
        FOLDER/tests/a.yaml: line 1, column 10: session is a file beside the case
        FOLDER/tests/a.yaml: line 1, column 11: secret reference "token" is not valid: write engine/path: letters, digits, '.', '_' and '-' in two or more segments joined by '/'
        FOLDER/tests/a.yaml: it has 262146 bytes, more than the 262144 that a case may have
        "#);
    }

    #[test]
    fn one_is_found_by_name() {
        let (folder, found) = written("step: step.a");
        let found = found.unwrap().remove(0);
        assert_eq!((found.name.as_str(), found.case.attempt), ("a", 1));
        assert_eq!(found.session_file(), folder.path().join("tests/a.session"));
        assert_eq!(find(folder.path(), Some("a")).unwrap().len(), 1);
        assert!(matches!(find(folder.path(), Some("b")), Err(AuthorError::NoCases { .. })));
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(find(empty.path(), None), Err(AuthorError::NoCases { .. })));
    }

    #[test]
    fn a_thousand_cases_and_no_more() {
        let (folder, _) = written("step: step.a");
        for n in 0..MAX_CASES {
            fs::write(folder.path().join(FOLDER).join(format!("{n}.yaml")), "step: step.a").unwrap();
        }
        assert!(matches!(find(folder.path(), None), Err(AuthorError::BadCase { .. })));
    }

    #[test]
    fn judgements() {
        let map = |value: Value| value.as_object().cloned().unwrap();
        let ran = Ran {
            outcome: Outcome::Succeeded,
            error: String::new(),
            outputs: map(json!({ "greeting": "hello Ada", "n": 1 })),
            log: "hello Ada\nbye\n".to_owned(),
            diagnostics: vec![(false, "/who: nobody".to_owned())],
            schema: Vec::new(),
            difference: None,
        };
        let check = |expected: Expected, ran: &Ran| {
            let each = judge(&expected, ran).into_iter().map(|each| format!("{}:\n{}", each.what, each.words));
            each.collect::<Vec<_>>().join("\n")
        };
        assert_eq!(check(Expected::default(), &ran), "");
        let right = Expected {
            outputs: Some(ran.outputs.clone()),
            log: vec!["hello".to_owned(), "bye".to_owned()],
            diagnostics: Some(vec!["nobody".to_owned()]),
            ..Expected::default()
        };
        assert_eq!(check(right, &ran), "");
        let wrong = Expected {
            outcome: Outcome::Failed,
            error: None,
            outputs: Some(map(json!({ "greeting": "hello Eva", "m": 2 }))),
            log: vec!["bye".to_owned(), "hello".to_owned()],
            diagnostics: Some(vec!["somebody else".to_owned()]),
        };
        insta::assert_snapshot!(check(wrong, &ran), @r#"
        diagnostics:
        - …somebody else…
        + /who: nobody
        outcome:
        - failed
        + succeeded
        outputs:
        - greeting: "hello Eva"
        + greeting: "hello Ada"
        - m: 2
        + n: 1
        log:
        - hello
        + nothing more
        "#);
        let failed = Ran { outcome: Outcome::Failed, error: "exit code 3".to_owned(), ..ran };
        let expected = Expected { outcome: Outcome::Failed, error: Some("code 4".to_owned()), ..Expected::default() };
        assert_eq!(check(expected, &failed), "error:\n- …code 4…\n+ exit code 3");
        assert_eq!(check(Expected::default(), &failed), "outcome:\n- succeeded\n+ failed: exit code 3");
    }
}
