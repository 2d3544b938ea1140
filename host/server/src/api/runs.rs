//! Runs: lists, one run, following, logs, and what can be asked of them.

use super::unfinished;
use crate::{
    App, Page, Problem,
    access::{Operator, Viewer},
    extract::{Json, Path, Query},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(runs))
        .routes(routes!(run))
        .routes(routes!(execution))
        .routes(routes!(events))
        .routes(routes!(history))
        .routes(routes!(log))
        .routes(routes!(raw_log))
        .routes(routes!(follow_log))
        .routes(routes!(search_log))
        .routes(routes!(cancel))
        .routes(routes!(rerun))
        .routes(routes!(signal))
        .routes(routes!(decide))
        .routes(routes!(tests))
        .routes(routes!(findings))
}

/// A run in a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct RunRow {
    /// Its id.
    pub id: String,
    /// The pipeline's name.
    pub workflow: String,
    /// The pipeline's version, where it was begun from one that is deployed here.
    pub version: Option<u32>,
    /// `queued`, `running`, `waiting`, `cancelling` or `finished`.
    pub status: String,
    /// How it ended: `succeeded`, `failed`, `error`, `timed-out`, `cancelled`, `lost`, `rejected`.
    pub outcome: Option<String>,
    /// Who began it: a user's name, or `trigger:…`.
    pub by: Option<String>,
    /// What began it: `manual`, `webhook`, `schedule`, `rerun`, `sequence`, `sub-run` or `cli`.
    pub trigger: String,
    /// What it was begun for, in a few words: a branch and a commit's first line, for instance.
    pub title: Option<String>,
    /// The run that it is a sub-run of.
    pub parent: Option<String>,
    /// When it was created.
    pub created_at_ms: u64,
    /// When its end was recorded.
    pub finished_at_ms: Option<u64>,
}

/// Which runs.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RunsQuery {
    /// Of this pipeline.
    pub workflow: Option<String>,
    /// That stand so; several with commas.
    pub status: Option<String>,
    /// That ended so; several with commas.
    pub outcome: Option<String>,
    /// That this user or trigger began.
    pub by: Option<String>,
    /// That were begun so: see `trigger` of a run.
    pub trigger: Option<String>,
    /// Created at or after this time.
    pub since_ms: Option<u64>,
    /// Created before this time.
    pub until_ms: Option<u64>,
    /// With sub-runs; without them otherwise.
    #[serde(default)]
    pub sub_runs: bool,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// How many, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
}

/// A run as it stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunView {
    /// What the list has.
    #[serde(flatten)]
    pub row: RunRow,
    /// Why it did not succeed.
    pub reason: Option<ReasonView>,
    /// The first step that made it fail, with the last lines of its log.
    pub culprit: Option<Culprit>,
    /// Its inputs.
    #[schema(value_type = Object)]
    pub inputs: Map<String, Value>,
    /// The run that it repeats.
    pub rerun_of: Option<String>,
    /// The runs that repeat it.
    pub reruns: Vec<String>,
    /// Its sub-runs.
    pub sub_runs: Vec<String>,
    /// What was odd about the pipeline's environment.
    pub warnings: Vec<String>,
    /// Where it waits for its turn.
    pub queue: Option<QueueView>,
    /// The state that it is in.
    pub state: String,
    /// Its states and steps.
    pub graph: Graph,
    /// Its stays in states, with the steps of each; a pipeline of steps has one.
    pub visits: Vec<Visit>,
    /// Its open gates.
    pub gates: Vec<super::gates::GateRow>,
    /// What who asks may ask of it now: `cancel`, `rerun`, `rerun-failed`, `signal`.
    pub actions: Vec<String>,
    /// The event after which this view is: what to follow from.
    pub last_event_id: String,
}

/// A run's place in a concurrency group.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueueView {
    /// The group.
    pub group: String,
    /// How many may go on at once.
    pub limit: u32,
    /// The runs before it.
    pub behind: Vec<String>,
}

/// Why something did not succeed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ReasonView {
    /// `non-zero-exit`, `out-of-memory`, `timeout-expired`, …
    pub kind: String,
    /// The exit code, where it is one.
    pub exit_code: Option<i32>,
    /// The stable code of the error.
    pub code: Option<String>,
    /// What happened and what to do next.
    pub message: String,
}

/// The step that made a run fail.
#[derive(Serialize, ToSchema)]
pub(crate) struct Culprit {
    /// The step.
    pub step: String,
    /// Its last attempt.
    pub attempt: u32,
    /// One sentence: which step, and how it failed.
    pub sentence: String,
    /// The number of the first of the lines, from 1.
    pub first_line: u64,
    /// The last lines of its log, at most 20.
    pub lines: Vec<String>,
}

/// The states and steps of a plan.
#[derive(Serialize, ToSchema)]
pub(crate) struct Graph {
    /// The name of the first state.
    pub initial: String,
    /// The states.
    pub states: Vec<GraphState>,
}

/// A state of a plan.
#[derive(Serialize, ToSchema)]
pub(crate) struct GraphState {
    /// Its name; `main` is the only one of a pipeline of steps.
    pub name: String,
    /// Its steps.
    pub steps: Vec<GraphStep>,
    /// The ways out of it, in their order.
    pub transitions: Vec<GraphTransition>,
}

/// A step of a plan.
#[derive(Serialize, ToSchema)]
pub(crate) struct GraphStep {
    /// Its name.
    pub name: String,
    /// `plugin`, `gate`, `sub-run` or `absent`.
    pub kind: String,
    /// Its step type.
    pub step_type: String,
    /// The plugin with its version.
    pub plugin: Option<String>,
    /// The steps that it waits for.
    pub needs: Vec<String>,
    /// Its condition.
    pub condition: Option<String>,
    /// Whether the run goes on after its failure.
    pub continues: bool,
}

/// A way out of a state.
#[derive(Serialize, ToSchema)]
pub(crate) struct GraphTransition {
    /// The state that it leads to.
    pub to: String,
    /// When it is taken, in words.
    pub when: String,
}

/// A stay in a state.
#[derive(Serialize, ToSchema)]
pub(crate) struct Visit {
    /// The state.
    pub state: String,
    /// When it was entered.
    pub entered_ms: u64,
    /// When its last step was settled.
    pub ended_ms: Option<u64>,
    /// How it went.
    pub outcome: Option<String>,
    /// Where the run went from here, and why, in words.
    pub left_for: Option<String>,
    /// Why.
    pub because: Option<String>,
    /// With which feedback it was entered.
    pub feedback: Option<String>,
    /// Its steps, in the plan's order.
    pub steps: Vec<StepView>,
}

/// A step as it stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct StepView {
    /// Its name.
    pub name: String,
    /// One word: `pending`, `running`, `retrying`, `blocked` (at a gate), `undecided`, or its outcome when it is over.
    pub status: String,
    /// How it ended.
    pub outcome: Option<String>,
    /// Why it did not succeed.
    pub reason: Option<ReasonView>,
    /// Why it was skipped, or for what it waits, in one sentence.
    pub sentence: Option<String>,
    /// It failed, and the run went on.
    pub allowed_failure: bool,
    /// It was taken over from the run that this one repeats.
    pub carried: bool,
    /// What it gave.
    #[schema(value_type = Option<Object>)]
    pub outputs: Option<Map<String, Value>>,
    /// When its first attempt began.
    pub started_ms: Option<u64>,
    /// When it was settled.
    pub finished_ms: Option<u64>,
    /// When the next attempt begins, or a gate goes on by itself.
    pub due_ms: Option<u64>,
    /// Its attempts.
    pub attempts: Vec<AttemptView>,
}

/// An attempt of a step.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptView {
    /// Its number, from 1.
    pub attempt: u32,
    /// When it began.
    pub started_ms: u64,
    /// When it ended.
    pub finished_ms: Option<u64>,
    /// How.
    pub outcome: Option<String>,
    /// Why it did not succeed.
    pub reason: Option<ReasonView>,
    /// The run that it began.
    pub sub_run: Option<String>,
    /// Whether it has printed anything.
    pub has_log: bool,
}

/// A piece of a log.
#[derive(Serialize, ToSchema)]
pub(crate) struct LogPage {
    /// The number of the first line, from 1.
    pub first: u64,
    /// The lines.
    pub lines: Vec<LogLineRow>,
    /// How many lines there are so far.
    pub total_lines: u64,
    /// How many bytes its text has so far.
    pub total_bytes: u64,
    /// Whether nothing more will come.
    pub complete: bool,
}

/// A line of a log.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct LogLineRow {
    /// Its number, from 1.
    pub n: u64,
    /// When.
    pub at_ms: u64,
    /// `stdout`, `stderr`, `plugin` or `system`.
    pub stream: String,
    /// The line, masked, with its ANSI codes and without its end. At most 64 KiB are sent.
    pub text: String,
}

/// Which lines.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// The first line, from 1; below 0 it counts from the end.
    pub from: Option<i64>,
    /// How many, 1 to 5000.
    #[param(minimum = 1, maximum = 5000)]
    pub limit: Option<u32>,
}

/// From where a log is followed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FollowQuery {
    /// The first line, from 1.
    pub from: Option<u64>,
}

/// What is looked for in a log.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchQuery {
    /// The text, 1 to 200 characters; small and capital letters are the same.
    pub q: String,
    /// Begin after this line.
    #[serde(default)]
    pub after: u64,
}

/// Where a text is in a log.
#[derive(Serialize, ToSchema)]
pub(crate) struct LogMatches {
    /// The lines that have it, at most 1000.
    pub lines: Vec<u64>,
    /// Whether there may be more.
    pub more: bool,
}

/// From where a run is followed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// The id of the last event that the reader has, as the header `Last-Event-ID`, which goes before it.
    pub after: Option<String>,
}

/// An event as it is stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct HistoryRow {
    /// Its number, from 1.
    pub seq: u64,
    /// When.
    pub at_ms: u64,
    /// Its kind.
    pub kind: String,
    /// The whole event.
    #[schema(value_type = Object)]
    pub event: Value,
}

/// Why a run is to stop.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CancelRequest {
    /// In words, at most 500 characters.
    pub reason: Option<String>,
}

/// From where a run is repeated.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RerunRequest {
    /// `all` (the default), `failed`, or `step`.
    pub from: RerunFrom,
    /// Which step or state, with `step`.
    pub step: Option<String>,
}

/// See [`RerunRequest`].
#[derive(Default, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RerunFrom {
    /// From the beginning.
    #[default]
    All,
    /// What failed, and what comes after it.
    Failed,
    /// A step, and what comes after it.
    Step,
}

/// An answer to the question that a run waits with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignalRequest {
    /// The answer.
    pub response: String,
    /// Which gate, where several are open.
    pub step: Option<String>,
}

/// What became of a step that nobody could tell about after a crash.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecideRequest {
    /// The step.
    pub step: String,
    /// `rerun`, `succeeded` or `failed`.
    pub decision: String,
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

/// The runs, the newest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", params(RunsQuery), responses((status = 200, body = Page<RunRow>)))]
async fn runs(
    State(_app): State<App>,
    _: Viewer,
    Query(_query): Query<RunsQuery>,
) -> Result<Json<Page<RunRow>>, Problem> {
    unfinished()
}

/// One run as it stands.
#[utoipa::path(get, path = "/api/v1/runs/{id}", tag = "runs", params(("id" = String, Path)), responses((status = 200, body = RunView)))]
async fn run(
    State(_app): State<App>,
    Viewer(_caller): Viewer,
    Path(_id): Path<String>,
) -> Result<Json<RunView>, Problem> {
    unfinished()
}

/// The same, under the address of the documented interface.
#[utoipa::path(get, path = "/v1/workflows/executions/{id}", tag = "runs", params(("id" = String, Path)), responses((status = 200, body = RunView)))]
async fn execution(
    State(_app): State<App>,
    Viewer(_caller): Viewer,
    Path(_id): Path<String>,
) -> Result<Json<RunView>, Problem> {
    unfinished()
}

/// What a run tells, as server-sent events: the items of `windlass run --json`, without the lines of logs. Each has an id; a reader that was cut off
/// goes on after the last one that it has.
#[utoipa::path(get, path = "/api/v1/runs/{id}/events", tag = "runs", params(("id" = String, Path), EventsQuery), responses((status = 200, content_type = "text/event-stream", body = String)))]
async fn events(
    State(_app): State<App>,
    _: Viewer,
    Path(_id): Path<String>,
    Query(_query): Query<EventsQuery>,
    _headers: HeaderMap,
) -> Result<Response, Problem> {
    unfinished()
}

/// The stored events of a run, in their order.
#[utoipa::path(get, path = "/api/v1/runs/{id}/history", tag = "runs", params(("id" = String, Path), crate::Paging), responses((status = 200, body = Page<HistoryRow>)))]
async fn history(
    State(_app): State<App>,
    _: Viewer,
    Path(_id): Path<String>,
    Query(_page): Query<crate::Paging>,
) -> Result<Json<Page<HistoryRow>>, Problem> {
    unfinished()
}

/// Lines of an attempt's log.
#[utoipa::path(get, path = "/api/v1/runs/{id}/logs/{step}/{attempt}", tag = "runs", params(("id" = String, Path), ("step" = String, Path), ("attempt" = u32, Path), LogQuery), responses((status = 200, body = LogPage)))]
async fn log(
    State(_app): State<App>,
    _: Viewer,
    Path(_place): Path<(String, String, u32)>,
    Query(_query): Query<LogQuery>,
) -> Result<Json<LogPage>, Problem> {
    unfinished()
}

/// An attempt's log as text, whole.
#[utoipa::path(get, path = "/api/v1/runs/{id}/logs/{step}/{attempt}/raw", tag = "runs", params(("id" = String, Path), ("step" = String, Path), ("attempt" = u32, Path)), responses((status = 200, content_type = "text/plain", body = String)))]
async fn raw_log(
    State(_app): State<App>,
    _: Viewer,
    Path(_place): Path<(String, String, u32)>,
) -> Result<Response, Problem> {
    unfinished()
}

/// An attempt's log as it is written, as server-sent events: `lines` with an array of lines, `restarted`, and `end`. The id is the number of the last line.
#[utoipa::path(get, path = "/api/v1/runs/{id}/logs/{step}/{attempt}/stream", tag = "runs", params(("id" = String, Path), ("step" = String, Path), ("attempt" = u32, Path), FollowQuery), responses((status = 200, content_type = "text/event-stream", body = String)))]
async fn follow_log(
    State(_app): State<App>,
    _: Viewer,
    Path(_place): Path<(String, String, u32)>,
    Query(_query): Query<FollowQuery>,
    _headers: HeaderMap,
) -> Result<Response, Problem> {
    unfinished()
}

/// Lines of an attempt's log that have a text.
#[utoipa::path(get, path = "/api/v1/runs/{id}/logs/{step}/{attempt}/search", tag = "runs", params(("id" = String, Path), ("step" = String, Path), ("attempt" = u32, Path), SearchQuery), responses((status = 200, body = LogMatches)))]
async fn search_log(
    State(_app): State<App>,
    _: Viewer,
    Path(_place): Path<(String, String, u32)>,
    Query(_query): Query<SearchQuery>,
) -> Result<Json<LogMatches>, Problem> {
    unfinished()
}

/// Ask a run to stop; a second time, at once.
#[utoipa::path(post, path = "/api/v1/runs/{id}/cancel", tag = "runs", params(("id" = String, Path)), request_body = CancelRequest, responses((status = 202)))]
async fn cancel(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Path(_id): Path<String>,
    Json(_body): Json<CancelRequest>,
) -> Result<StatusCode, Problem> {
    unfinished()
}

/// Repeat a run that has ended.
#[utoipa::path(post, path = "/api/v1/runs/{id}/rerun", tag = "runs", params(("id" = String, Path)), request_body = RerunRequest, responses((status = 201, body = RunRow)))]
async fn rerun(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Path(_id): Path<String>,
    Json(_body): Json<RerunRequest>,
) -> Result<(StatusCode, Json<RunRow>), Problem> {
    unfinished()
}

/// Answer the question that a run waits with.
#[utoipa::path(post, path = "/api/v1/runs/{id}/signal", tag = "runs", params(("id" = String, Path)), request_body = SignalRequest, responses((status = 202)))]
async fn signal(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Path(_id): Path<String>,
    Json(_body): Json<SignalRequest>,
) -> Result<StatusCode, Problem> {
    unfinished()
}

/// Say what became of a step that nobody could tell about.
#[utoipa::path(post, path = "/api/v1/runs/{id}/decide", tag = "runs", params(("id" = String, Path)), request_body = DecideRequest, responses((status = 202)))]
async fn decide(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Path(_id): Path<String>,
    Json(_body): Json<DecideRequest>,
) -> Result<StatusCode, Problem> {
    unfinished()
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
