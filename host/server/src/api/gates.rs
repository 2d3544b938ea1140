//! What waits for people.

use super::runs::{MAX_GATES, answer_fits, run_id, step_name};
use crate::{
    App, Problem,
    access::{Operator, Viewer},
    extract::{Json, Path},
    views,
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use windlass_driver::{Asked, Request};

/// How long a comment may be, in characters.
const MAX_COMMENT_CHARS: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(gates)).routes(routes!(vote))
}

/// A gate that is open.
#[derive(Serialize, ToSchema)]
pub(crate) struct GateRow {
    /// The run.
    pub run: String,
    /// The pipeline's name.
    pub workflow: String,
    /// The step.
    pub step: String,
    /// The attempt.
    pub attempt: u32,
    /// `manual`, `question` or `scheduled`.
    pub kind: String,
    /// What people are asked.
    pub prompt: Option<String>,
    /// Who may decide; empty: anybody who may run things.
    pub approvers: Vec<String>,
    /// How many must approve.
    pub quorum: u32,
    /// Since when it has been open.
    pub opened_ms: u64,
    /// When its time is over.
    pub expires_ms: u64,
    /// When it goes on by itself, where that is earlier.
    pub due_ms: u64,
    /// What counts when its time is over, in words.
    pub otherwise: Option<String>,
    /// The votes so far.
    pub votes: Vec<VoteRow>,
    /// Whether who asks may approve it, or answer its question.
    pub may_decide: bool,
    /// Whether who asks may reject it: who began the run may, even where approving is for others. Never true of a question.
    pub may_reject: bool,
    /// Why `may_decide` is false, in words.
    pub why_not: Option<String>,
}

/// A vote.
#[derive(Serialize, ToSchema)]
pub(crate) struct VoteRow {
    /// Who.
    pub by: String,
    /// `approve`, `reject`, or the answer.
    pub vote: String,
    /// Why, in words.
    pub comment: Option<String>,
    /// When.
    pub at_ms: u64,
}

/// What is said at a gate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vote {
    /// What.
    pub decision: GateDecision,
    /// The answer, with `answer`.
    pub answer: Option<String>,
    /// Why, in words, at most 1000 characters.
    pub comment: Option<String>,
}

/// See [`Vote`].
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GateDecision {
    /// Yes.
    Approve,
    /// No.
    Reject,
    /// To a question.
    Answer,
}

/// The gates that are open, those that have been so for the longest time first, at most 1000.
#[utoipa::path(get, path = "/api/v1/gates", tag = "gates", responses((status = 200, body = Vec<GateRow>)))]
async fn gates(State(app): State<App>, Viewer(caller): Viewer) -> Result<Json<Vec<GateRow>>, Problem> {
    let open = app.host().store().open_gates(None, MAX_GATES).await?;
    let email = app.records().email_of(caller.user).await?;
    Ok(Json(open.into_iter().map(|gate| views::gate(gate, &caller, email.as_deref())).collect()))
}

/// Decide at a gate, as who has signed in. It is recorded when this answers.
#[utoipa::path(post, path = "/api/v1/gates/{run}/{step}", tag = "gates", params(("run" = String, Path), ("step" = String, Path)), request_body = Vote, responses((status = 202)))]
async fn vote(
    State(app): State<App>,
    Operator(caller): Operator,
    Path((run, step)): Path<(String, String)>,
    Json(body): Json<Vote>,
) -> Result<StatusCode, Problem> {
    let run = run_id(&run)?;
    let step = step_name("", &step).map_err(|_| Problem::not_found(format!("gate {step:?} of the run {run}")))?;
    let comment = body.comment.filter(|comment| !comment.trim().is_empty());
    if comment.as_ref().is_some_and(|comment| comment.chars().count() > MAX_COMMENT_CHARS) {
        return Err(Problem::field("/comment", format!("a comment has at most {MAX_COMMENT_CHARS} characters")));
    }
    let (vote, word) = match (body.decision, body.answer) {
        (GateDecision::Approve, None) => (windlass_engine::Vote::Approve, "approve"),
        (GateDecision::Reject, None) => (windlass_engine::Vote::Reject, "reject"),
        (GateDecision::Answer, Some(answer)) => {
            answer_fits("/answer", &answer)?;
            (windlass_engine::Vote::Answer(answer), "answer")
        }
        (GateDecision::Answer, None) => return Err(Problem::field("/answer", "give the answer")),
        (_, Some(_)) => return Err(Problem::field("/answer", "an answer goes with `decision: answer` only")),
    };
    let email = app.records().email_of(caller.user).await?;
    let detail = json!({ "step": step, "decision": word });
    let request = Request::Vote { step, vote, comment, email };
    app.runs().ask(&run, Asked { request, by: caller.name.clone() }).await?;
    app.audit(&caller, "gate.vote", run.as_str(), detail).await?;
    Ok(StatusCode::ACCEPTED)
}
