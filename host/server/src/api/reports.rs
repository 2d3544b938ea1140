//! What tests and scanners said in a run: the reports among its artifacts.

use super::events::run_id;
use crate::{
    App, Problem,
    access::Viewer,
    extract::{Json, Path},
    problem::Kind,
    reports::{
        self, Format, Reports,
        junit::{JUNIT, Status, Test},
        sarif::{Findings, SARIF},
    },
};
use axum::extract::State;
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use windlass_capabilities::StoreError;
use windlass_contract::RunId;

/// How many tests or findings are given. More are counted.
const MAX_ROWS: usize = 5_000;
/// How many runs before this one are looked at for one with reports to compare with.
const RUNS_BEFORE: u32 = 10;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(tests)).routes(routes!(findings))
}

/// What tests said in a run: the JUnit reports among its artifacts.
#[derive(Serialize, ToSchema)]
pub(crate) struct TestsView {
    /// How many tests.
    pub total: u32,
    /// How many failed, errors among them.
    pub failed: u32,
    /// How many were skipped.
    pub skipped: u32,
    /// How many failed first and passed then.
    pub flaky: u32,
    /// How long all took, in milliseconds.
    pub took_ms: u64,
    /// The tests: those that failed first, then by how long they took; at most 5000.
    pub tests: Vec<TestRow>,
    /// Reports that could not be read, with the reason.
    pub unreadable: Vec<String>,
}

/// A test.
#[derive(Serialize, ToSchema)]
pub(crate) struct TestRow {
    /// The artifact that it is told in.
    pub report: String,
    /// Its suite.
    pub suite: String,
    /// Its name.
    pub name: String,
    /// `passed`, `failed`, `error`, `skipped` or `flaky`.
    pub status: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What it said.
    pub message: Option<String>,
    /// It passed in the last run of the pipeline before.
    pub new_failure: bool,
}

/// What scanners found in a run: the SARIF reports among its artifacts.
#[derive(Serialize, ToSchema)]
pub(crate) struct FindingsView {
    /// The findings, the worst first; at most 5000.
    pub findings: Vec<FindingRow>,
    /// How many of each severity, and how many were `suppressed`, which are not among the findings.
    pub counts: BTreeMap<String, u32>,
    /// Reports that could not be read, with the reason.
    pub unreadable: Vec<String>,
}

/// A finding.
#[derive(Serialize, ToSchema)]
pub(crate) struct FindingRow {
    /// The artifact that it is told in.
    pub report: String,
    /// The scanner.
    pub tool: String,
    /// Its rule.
    pub rule: String,
    /// `critical`, `high`, `medium`, `low` or `info`.
    pub severity: String,
    /// What it found.
    pub message: String,
    /// The file.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u64>,
    /// `new` where the last run of the pipeline before did not have it, else `existing`.
    pub since: String,
}

fn told(error: StoreError) -> Problem {
    match error {
        StoreError::NotFound { .. } => Problem::told(Kind::NotFound, &error),
        error => Problem::internal(error),
    }
}

/// The reports of a run, and those of the last run before it, of the same pipeline, that has some.
async fn with_before<T: Send + 'static>(
    app: &App,
    run: &RunId,
    format: fn() -> Format<T>,
) -> Result<(Reports<T>, Vec<(String, T)>), Problem> {
    let (store, artifacts) = (app.host().store(), app.host().toolbox().artifacts());
    let before = store.earlier_runs(run, RUNS_BEFORE).await?;
    let reports = reports::of_run(artifacts, run, format()).await.map_err(told)?;
    if !reports.read.is_empty() {
        for run in before {
            let earlier = reports::of_run(artifacts, &run, format()).await.map_err(told)?;
            if !earlier.read.is_empty() {
                return Ok((reports, earlier.read));
            }
        }
    }
    Ok((reports, Vec::new()))
}

/// What tests said: the JUnit reports among the run's artifacts, compared with the last run of the pipeline before it that has some.
#[utoipa::path(get, path = "/api/v1/runs/{id}/tests", tag = "runs", params(("id" = String, Path)), responses((status = 200, body = TestsView)))]
async fn tests(State(app): State<App>, _: Viewer, Path(id): Path<String>) -> Result<Json<TestsView>, Problem> {
    let run = run_id(&id)?;
    app.host().store().run(&run).await?;
    let (reports, before) = with_before(&app, &run, || JUNIT).await?;
    Ok(Json(tests_view(reports, &before)))
}

fn tests_view(reports: Reports<Vec<Test>>, before: &[(String, Vec<Test>)]) -> TestsView {
    let passed: HashSet<(&str, &str)> = before
        .iter()
        .flat_map(|(_, tests)| tests)
        .filter(|test| matches!(test.status, Status::Passed | Status::Flaky))
        .map(|test| (test.suite.as_str(), test.name.as_str()))
        .collect();
    let all = || reports.read.iter().flat_map(|(_, tests)| tests);
    let count =
        |is: fn(Status) -> bool| u32::try_from(all().filter(|test| is(test.status)).count()).unwrap_or(u32::MAX);
    let mut view = TestsView {
        total: count(|_| true),
        failed: count(Status::is_bad),
        skipped: count(|status| status == Status::Skipped),
        flaky: count(|status| status == Status::Flaky),
        took_ms: all().map(|test| test.took_ms).sum(),
        tests: Vec::new(),
        unreadable: reports.unreadable,
    };
    let mut tests: Vec<(String, Test)> = (reports.read.into_iter())
        .flat_map(|(report, tests)| tests.into_iter().map(move |test| (report.clone(), test)))
        .collect();
    tests.sort_by_key(|(_, test)| (!test.status.is_bad(), Reverse(test.took_ms)));
    tests.truncate(MAX_ROWS);
    let row = |(report, test): (String, Test)| TestRow {
        new_failure: test.status.is_bad() && passed.contains(&(test.suite.as_str(), test.name.as_str())),
        report,
        suite: test.suite,
        name: test.name,
        status: test.status.name().to_owned(),
        took_ms: test.took_ms,
        message: test.message,
    };
    view.tests = tests.into_iter().map(row).collect();
    view
}

/// What scanners found: the SARIF reports among the run's artifacts, compared with the last run of the pipeline before it that has some.
#[utoipa::path(get, path = "/api/v1/runs/{id}/findings", tag = "runs", params(("id" = String, Path)), responses((status = 200, body = FindingsView)))]
async fn findings(State(app): State<App>, _: Viewer, Path(id): Path<String>) -> Result<Json<FindingsView>, Problem> {
    let run = run_id(&id)?;
    app.host().store().run(&run).await?;
    let (reports, before) = with_before(&app, &run, || SARIF).await?;
    Ok(Json(findings_view(reports, &before)))
}

fn findings_view(reports: Reports<Findings>, before: &[(String, Findings)]) -> FindingsView {
    let known: HashSet<&str> =
        (before.iter()).flat_map(|(_, found)| &found.findings).map(|finding| finding.identity.as_str()).collect();
    let mut counts = BTreeMap::new();
    let mut rows = Vec::new();
    for (report, found) in reports.read {
        if found.suppressed > 0 {
            *counts.entry("suppressed".to_owned()).or_default() += found.suppressed;
        }
        for finding in found.findings {
            *counts.entry(finding.severity.name().to_owned()).or_default() += 1;
            rows.push((report.clone(), finding));
        }
    }
    rows.sort_by_key(|(_, finding)| finding.severity);
    rows.truncate(MAX_ROWS);
    let findings = rows.into_iter().map(|(report, finding)| FindingRow {
        report,
        since: if known.contains(finding.identity.as_str()) { "existing" } else { "new" }.to_owned(),
        tool: finding.tool,
        rule: finding.rule,
        severity: finding.severity.name().to_owned(),
        message: finding.message,
        file: finding.file,
        line: finding.line,
    });
    FindingsView { findings: findings.collect(), counts, unreadable: reports.unreadable }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::sarif::Severity;

    #[test]
    fn so_many_are_given_and_all_are_counted() {
        let test = |n: usize| Test {
            suite: "s".to_owned(),
            name: n.to_string(),
            // The worst is last, and is among those that are given.
            status: if n == MAX_ROWS { Status::Failed } else { Status::Passed },
            took_ms: 1,
            message: None,
        };
        let read = vec![("r.xml".to_owned(), (0..=MAX_ROWS).map(test).collect())];
        let view = tests_view(Reports { read, unreadable: Vec::new() }, &[]);
        assert_eq!((view.tests.len(), view.total as usize, view.failed), (MAX_ROWS, MAX_ROWS + 1, 1));
        assert_eq!(view.tests[0].name, MAX_ROWS.to_string());

        let finding = |n: usize| crate::reports::sarif::Finding {
            tool: "t".to_owned(),
            rule: n.to_string(),
            severity: Severity::Low,
            message: String::new(),
            file: None,
            line: None,
            identity: n.to_string(),
        };
        let found = Findings { findings: (0..=MAX_ROWS).map(finding).collect(), suppressed: 0 };
        let view = findings_view(Reports { read: vec![("r.sarif".to_owned(), found)], unreadable: Vec::new() }, &[]);
        assert_eq!((view.findings.len(), view.counts["low"] as usize), (MAX_ROWS, MAX_ROWS + 1));
    }
}
