//! What waits for people.

use super::unfinished;
use crate::{
    App, Problem,
    access::{Operator, Viewer},
    extract::{Json, Path},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

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
    /// Whether who asks may decide it.
    pub may_decide: bool,
    /// Why not, in words.
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

/// The gates that are open, those that have been so for the longest time first.
#[utoipa::path(get, path = "/api/v1/gates", tag = "gates", responses((status = 200, body = Vec<GateRow>)))]
async fn gates(State(_app): State<App>, Viewer(_caller): Viewer) -> Result<Json<Vec<GateRow>>, Problem> {
    unfinished()
}

/// Decide at a gate, as who has signed in. It is recorded when this answers.
#[utoipa::path(post, path = "/api/v1/gates/{run}/{step}", tag = "gates", params(("run" = String, Path), ("step" = String, Path)), request_body = Vote, responses((status = 202)))]
async fn vote(
    State(_app): State<App>,
    Operator(_caller): Operator,
    Path(_place): Path<(String, String)>,
    Json(_body): Json<Vote>,
) -> Result<StatusCode, Problem> {
    unfinished()
}
