//! What tests and scanners said in a run: the reports among its artifacts.

use super::unfinished;
use crate::{
    App, Problem,
    access::Viewer,
    extract::{Json, Path},
};
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

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
    /// How many of each severity.
    pub counts: std::collections::BTreeMap<String, u32>,
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

/// What tests said.
#[utoipa::path(get, path = "/api/v1/runs/{id}/tests", tag = "runs", params(("id" = String, Path)), responses((status = 200, body = TestsView)))]
async fn tests(State(_app): State<App>, _: Viewer, Path(_id): Path<String>) -> Result<Json<TestsView>, Problem> {
    unfinished()
}

/// What scanners found.
#[utoipa::path(get, path = "/api/v1/runs/{id}/findings", tag = "runs", params(("id" = String, Path)), responses((status = 200, body = FindingsView)))]
async fn findings(State(_app): State<App>, _: Viewer, Path(_id): Path<String>) -> Result<Json<FindingsView>, Problem> {
    unfinished()
}
