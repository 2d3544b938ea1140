//! What was done: notices to owners, and the audit log for administrators.

use super::Answer;
use crate::{
    Registry,
    accounts::Namespace,
    auth::Client,
    error::{OciError, RegistryError},
};
use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
    response::IntoResponse,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Most lines of one answer: a page.
pub(crate) const MAX_LINES: usize = 200;

/// Which lines are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    before: Option<i64>,
    namespace: Option<String>,
}

/// A notice.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct NoticeRow {
    /// Its number; they grow.
    id: i64,
    #[schema(value_type = String)]
    at: Timestamp,
    /// Such as `publish`, `yank`, `key add`, `owner remove`.
    kind: String,
    /// To what it was done.
    subject: String,
    /// In words.
    words: String,
}

/// The newest notices to the user whose token is sent, before the one with the number `before`.
#[utoipa::path(get, path = "/api/v1/notices", params(("before" = Option<i64>, Query)),
    responses((status = 200, body = Vec<NoticeRow>)))]
pub(crate) async fn notices(State(registry): State<Registry>, Query(page): Query<Page>, client: Client) -> Answer {
    let caller = registry.caller(&client).await?.ok_or_else(|| registry.challenge(None))?;
    let user = caller.token.user.as_ref().ok_or_else(|| {
        OciError::new(
            StatusCode::FORBIDDEN,
            "DENIED",
            "this token belongs to no user, and so there are no notices to it",
        )
    })?;
    let all = registry.0.database.notices(user, page.before, MAX_LINES).await?;
    let rows: Vec<_> = all
        .into_iter()
        .map(|notice| NoticeRow {
            id: notice.id,
            at: notice.at,
            kind: notice.kind,
            subject: notice.subject,
            words: notice.words,
        })
        .collect();
    Ok(Json(rows).into_response())
}

/// A line of the audit log.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct AuditRow {
    /// Its number; they grow.
    id: i64,
    #[schema(value_type = String)]
    at: Timestamp,
    /// Who.
    actor: String,
    /// The id of the token.
    token: Option<String>,
    /// From where.
    ip: Option<String>,
    /// What was done.
    action: String,
    /// In which namespace.
    namespace: Option<String>,
    /// To what.
    subject: String,
    /// More, in words.
    detail: String,
}

/// The newest lines of the audit log, of one namespace or all, before the one with the number `before`. For administrators.
#[utoipa::path(get, path = "/api/v1/audit", params(("before" = Option<i64>, Query), ("namespace" = Option<String>, Query)),
    responses((status = 200, body = Vec<AuditRow>), (status = 403, description = "Not an administrator")))]
pub(crate) async fn audit(State(registry): State<Registry>, Query(page): Query<Page>, client: Client) -> Answer {
    registry.administrator(&client).await?;
    let namespace: Option<Namespace> =
        page.namespace.map(|text| text.parse()).transpose().map_err(RegistryError::BadRequest)?;
    let all = registry.0.database.audit(namespace.as_ref(), page.before, MAX_LINES).await?;
    let rows: Vec<_> = all
        .into_iter()
        .map(|line| AuditRow {
            id: line.id,
            at: line.at,
            actor: line.actor,
            token: line.token,
            ip: line.ip,
            action: line.action,
            namespace: line.namespace,
            subject: line.subject,
            detail: line.detail,
        })
        .collect();
    Ok(Json(rows).into_response())
}
