//! Runs: lists, one run, its history, and what can be asked of them. Following, logs and reports are in `events`, `logs` and `reports`.

use crate::{
    App, Page, Paging, Problem,
    access::{Caller, Operator, Viewer},
    extract::{Json, Path, Query},
    problem::Kind,
    views::{self, Seen},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use windlass_contract::{RunId, StepName};
use windlass_driver::{Asked, Request};
use windlass_engine::{Decision, Outcome, RunStatus, Vote};
use windlass_store::RunQuery;

/// How long the reason of a cancel may be, in characters.
const MAX_REASON_CHARS: usize = 500;
/// How long an answer to a question may be, in bytes: as long as an input. It goes into the event log, and into every template that reads it.
pub(crate) const MAX_ANSWER_BYTES: usize = windlass_manifest::MAX_INPUT_BYTES;
/// How many gates a run shows: more are open in none that a person can look at.
pub(crate) const MAX_GATES: u32 = 1_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(runs))
        .routes(routes!(run))
        .routes(routes!(execution))
        .routes(routes!(history))
        .routes(routes!(cancel))
        .routes(routes!(rerun))
        .routes(routes!(signal))
        .routes(routes!(decide))
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
    /// `queued` (for its turn), `running`, `blocked` (a person is asked), `waiting` (for a gate's time), `cancelling` or `finished`.
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
    /// What who asks may ask of it now: `cancel`, `rerun`, `rerun-failed`, `signal`, `decide`.
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
    /// The pipeline that a sub-run runs.
    pub workflow: Option<String>,
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
    /// One word: `pending`, `running`, `retrying`, `blocked` (a gate asks people), `waiting` (for a gate's time), `undecided`, or its outcome when it is over.
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

/// A list of words with commas, each of a closed list.
fn words<T>(parameter: &str, given: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Problem> {
    let each = given.into_iter().flat_map(|given| given.split(',')).map(str::trim).filter(|word| !word.is_empty());
    let refused = |word: &str| Problem::field(&format!("?{parameter}"), format!("{word:?} is none of its values"));
    each.map(|word| parse(word).ok_or_else(|| refused(word))).collect()
}

/// A run's id out of an address. One that cannot be is one that is not there.
pub(crate) fn run_id(text: &str) -> Result<RunId, Problem> {
    text.parse().map_err(|_| Problem::not_found(format!("run {text:?}")))
}

/// A step's name out of a request.
pub(crate) fn step_name(pointer: &str, text: &str) -> Result<StepName, Problem> {
    text.parse().map_err(|error: windlass_contract::NameError| Problem::field(pointer, error.to_string()))
}

/// The runs, the newest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", params(RunsQuery), responses((status = 200, body = Page<RunRow>)))]
async fn runs(
    State(app): State<App>,
    _: Viewer,
    Query(query): Query<RunsQuery>,
) -> Result<Json<Page<RunRow>>, Problem> {
    let paging = Paging { cursor: query.cursor, limit: query.limit };
    let limit = paging.limit()?;
    let status = |word: &str| RunStatus::ALL.into_iter().find(|status| status.name() == word);
    let wanted = RunQuery {
        name: query.workflow,
        statuses: words("status", query.status.as_deref(), status)?,
        outcomes: words("outcome", query.outcome.as_deref(), |word| word.parse::<Outcome>().ok())?,
        started_by: query.by,
        trigger: query.trigger,
        since_ms: query.since_ms,
        until_ms: query.until_ms,
        sub_runs: query.sub_runs,
        after: paging.after()?,
        limit: limit + 1,
    };
    let found = app.host().store().page(&wanted).await?;
    let page = Page::of(found, limit, |run| (run.created_at_ms, run.id.clone()));
    Ok(Json(Page { items: page.items.into_iter().map(RunRow::from).collect(), next_cursor: page.next_cursor }))
}

/// One run as it stands.
#[utoipa::path(get, path = "/api/v1/runs/{id}", tag = "runs", params(("id" = String, Path)), responses((status = 200, body = RunView)))]
async fn run(State(app): State<App>, Viewer(caller): Viewer, Path(id): Path<String>) -> Result<Json<RunView>, Problem> {
    view(&app, &caller, &id).await.map(Json)
}

/// The same, under the address of the documented interface.
#[utoipa::path(get, path = "/v1/workflows/executions/{id}", tag = "runs", params(("id" = String, Path)), responses((status = 200, body = RunView)))]
async fn execution(
    State(app): State<App>,
    Viewer(caller): Viewer,
    Path(id): Path<String>,
) -> Result<Json<RunView>, Problem> {
    view(&app, &caller, &id).await.map(Json)
}

async fn view(app: &App, caller: &Caller, id: &str) -> Result<RunView, Problem> {
    let id = run_id(id)?;
    let (store, logs) = (app.host().store(), app.host().logs().clone());
    let row = store.run(&id).await?;
    let events = store.events(&id).await?;
    let (reruns, sub_runs) = (store.reruns(&id).await?, store.sub_runs(&id).await?);
    let email = app.records().email_of(caller.user).await?;
    let gates = store.open_gates(Some(&id), MAX_GATES).await?;
    let behind = match row.status {
        RunStatus::Queued => store.runs_ahead(&id).await?,
        _ => Vec::new(),
    };
    let rerun_of = row.rerun_of.clone();
    let (caller, row) = (caller.clone(), RunRow::from(row));
    // Replaying ten thousand steps and reading a log takes a while.
    let made = tokio::task::spawn_blocking(move || {
        let seen = Seen::of(&events)?;
        let run = seen.run();
        let texts = |ids: Vec<RunId>| ids.into_iter().map(|id| id.to_string()).collect::<Vec<_>>();
        let rerun_of = rerun_of.or_else(|| run.origin().rerun.as_ref().map(|rerun| rerun.of.clone()));
        Ok(RunView {
            reason: run.reason().filter(|_| run.finished_ms().is_some()).map(views::reason),
            culprit: seen.culprit().map(|found| views::culprit(&logs, &id, found)),
            inputs: run.inputs().clone(),
            rerun_of: rerun_of.map(|of| of.to_string()),
            reruns: texts(reruns),
            sub_runs: texts(sub_runs),
            warnings: run.warnings().to_vec(),
            queue: run.queued_in().map(|group| QueueView {
                group: group.name.clone(),
                limit: group.limit,
                behind: texts(behind),
            }),
            state: run.state_name().to_owned(),
            graph: views::graph(run.plan()),
            visits: seen.visits(&logs.attempts(&id)?),
            gates: gates.into_iter().map(|gate| views::gate(gate, &caller, email.as_deref())).collect(),
            actions: seen.actions(caller.role),
            last_event_id: seen.last_event_id(),
            row,
        })
    });
    made.await.map_err(Problem::internal)?
}

/// The stored events of a run, in their order.
#[utoipa::path(get, path = "/api/v1/runs/{id}/history", tag = "runs", params(("id" = String, Path), crate::Paging), responses((status = 200, body = Page<HistoryRow>)))]
async fn history(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<String>,
    Query(page): Query<Paging>,
) -> Result<Json<Page<HistoryRow>>, Problem> {
    let (limit, after) = (page.limit()?, page.after()?.unwrap_or(0));
    let id = run_id(&id)?;
    app.host().store().run(&id).await?;
    let stored = app.host().store().stored_events(&id, after, limit + 1).await?;
    let row = |(seq, body): (u64, String)| {
        let event: Value = serde_json::from_str(&body).map_err(Problem::internal)?;
        let kind = event["event"]["type"].as_str().unwrap_or_default().to_owned();
        Ok(HistoryRow { seq, at_ms: event["at_ms"].as_u64().unwrap_or_default(), kind, event })
    };
    let rows = stored.into_iter().map(row).collect::<Result<Vec<_>, Problem>>()?;
    Ok(Json(Page::of(rows, limit, |row| row.seq)))
}

/// Ask a run to stop; a second time, at once.
#[utoipa::path(post, path = "/api/v1/runs/{id}/cancel", tag = "runs", params(("id" = String, Path)), request_body = CancelRequest, responses((status = 202)))]
async fn cancel(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(id): Path<String>,
    Json(body): Json<CancelRequest>,
) -> Result<StatusCode, Problem> {
    let reason = body.reason.filter(|reason| !reason.trim().is_empty());
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > MAX_REASON_CHARS) {
        return Err(Problem::field("/reason", format!("a reason has at most {MAX_REASON_CHARS} characters")));
    }
    let detail = json!({ "reason": reason });
    let request = Request::Cancel { reason: reason.unwrap_or_else(|| "cancelled".to_owned()) };
    ask(&app, &caller, &id, request, "run.cancel", detail).await
}

/// Asks something of a run, and writes it into the audit.
async fn ask(
    app: &App,
    caller: &Caller,
    id: &str,
    request: Request,
    action: &str,
    detail: Value,
) -> Result<StatusCode, Problem> {
    let run = run_id(id)?;
    app.runs().ask(&run, Asked { request, by: caller.name.clone() }).await?;
    app.audit(caller, action, run.as_str(), detail).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Repeat a run that has ended.
#[utoipa::path(post, path = "/api/v1/runs/{id}/rerun", tag = "runs", params(("id" = String, Path)), request_body = RerunRequest, responses((status = 201, body = RunRow)))]
async fn rerun(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(id): Path<String>,
    Json(body): Json<RerunRequest>,
) -> Result<(StatusCode, Json<RunRow>), Problem> {
    let of = run_id(&id)?;
    let from = match (body.from, body.step) {
        (RerunFrom::All, None) => windlass_engine::RerunFrom::Start,
        (RerunFrom::Failed, None) => windlass_engine::RerunFrom::Failed,
        (RerunFrom::Step, Some(step)) => windlass_engine::RerunFrom::Step(step),
        (RerunFrom::Step, None) => return Err(Problem::field("/step", "name the step or state to repeat it from")),
        (_, Some(_)) => return Err(Problem::field("/step", "a step goes with `from: step` only")),
    };
    let run = app.runs().rerun(&of, &from, caller.name.clone()).await?;
    let row = RunRow::from(app.host().store().run(&run).await?);
    app.audit(&caller, "run.rerun", &row.id, json!({ "of": of })).await?;
    Ok((StatusCode::CREATED, Json(row)))
}

/// Answer the question that a run waits with.
#[utoipa::path(post, path = "/api/v1/runs/{id}/signal", tag = "runs", params(("id" = String, Path)), request_body = SignalRequest, responses((status = 202)))]
async fn signal(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(id): Path<String>,
    Json(body): Json<SignalRequest>,
) -> Result<StatusCode, Problem> {
    let run = run_id(&id)?;
    answer_fits("/response", &body.response)?;
    app.host().store().run(&run).await?;
    let step = match &body.step {
        Some(step) => step_name("/step", step)?,
        None => {
            let open = app.host().store().open_gates(Some(&run), MAX_GATES).await?;
            let mut asking = open.into_iter().filter(|open| open.gate.kind == "question").map(|open| open.gate.step);
            match (asking.next(), asking.next()) {
                (Some(only), None) => only,
                (None, _) => return Err(Problem::new(Kind::Conflict, format!("the run {run} asks nothing now"))),
                (Some(_), Some(_)) => {
                    return Err(Problem::field("/step", "the run waits with several questions: name the step"));
                }
            }
        }
    };
    let detail = json!({ "step": step });
    let request = Request::Vote { step, vote: Vote::Answer(body.response), comment: None, email: None };
    ask(&app, &caller, &id, request, "gate.answer", detail).await
}

/// Whether an answer can be kept.
pub(crate) fn answer_fits(pointer: &str, answer: &str) -> Result<(), Problem> {
    if answer.len() > MAX_ANSWER_BYTES {
        return Err(Problem::field(pointer, format!("an answer has at most {MAX_ANSWER_BYTES} bytes")));
    }
    Ok(())
}

/// Say what became of a step that nobody could tell about.
#[utoipa::path(post, path = "/api/v1/runs/{id}/decide", tag = "runs", params(("id" = String, Path)), request_body = DecideRequest, responses((status = 202)))]
async fn decide(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(id): Path<String>,
    Json(body): Json<DecideRequest>,
) -> Result<StatusCode, Problem> {
    let step = step_name("/step", &body.step)?;
    let decision = match body.decision.as_str() {
        "rerun" => Decision::Rerun,
        "succeeded" => Decision::Succeeded,
        "failed" => Decision::Failed,
        _ => return Err(Problem::field("/decision", "a decision is rerun, succeeded or failed")),
    };
    let detail = json!({ "step": step, "decision": body.decision });
    ask(&app, &caller, &id, Request::Decide { step, decision }, "run.decide", detail).await
}
