//! Which artifacts are reports of tests and scanners, by their names.
//!
//! What a report says is shown to people, so the values of the run's secrets are masked in it, as they are in a log. That is done when a
//! step keeps it: whoever reads it later cannot know what the values were then. Every other artifact is kept byte by byte.

/// How the names of JUnit reports end.
pub const JUNIT: &[&str] = &[".xml"];

/// How the names of SARIF reports end.
pub const SARIF: &[&str] = &[".sarif", ".sarif.json"];

/// How large one report may be, in bytes (20 MiB): twice what code hosts take. What is larger is an artifact like any other: it is not
/// shown as a report.
pub const MAX_REPORT_BYTES: u64 = 20 << 20;

/// Whether a file's name has one of these endings, in any case.
pub fn is_named(name: &str, endings: &[&str]) -> bool {
    let name = name.to_ascii_lowercase();
    endings.iter().any(|ending| name.ends_with(ending))
}

/// Whether a file is a report, by its name.
pub(crate) fn is_report(name: &str) -> bool {
    is_named(name, JUNIT) || is_named(name, SARIF)
}
