//! The audit.

use crate::{
    App, Page, Paging, Problem,
    access::Admin,
    extract::{Json, Query},
};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use windlass_store::records::audit::{AuditEntry, AuditFilter};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(audit))
}

/// Something that was changed.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditRow {
    /// Its number.
    pub id: i64,
    /// When.
    pub at_ms: u64,
    /// Who.
    pub actor: String,
    /// With what: `session`, `key:PREFIX`, or empty.
    pub via: String,
    /// What, as `thing.verb`.
    pub action: String,
    /// To what.
    pub target: String,
    /// More.
    #[schema(value_type = Object)]
    pub detail: Value,
    /// The request.
    pub request_id: Option<String>,
    /// The address that it came from.
    pub address: Option<String>,
}

/// Which changes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// By this user.
    pub actor: Option<String>,
    /// Of this kind, such as `plugin.install`, or `plugin.` for all of a thing.
    pub action: Option<String>,
    /// To this thing.
    pub target: Option<String>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// How many, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
}

/// What was changed, the newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "system", params(AuditQuery), responses((status = 200, body = Page<AuditRow>)))]
async fn audit(
    State(app): State<App>,
    _: Admin,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Page<AuditRow>>, Problem> {
    let AuditQuery { actor, action, target, cursor, limit } = query;
    let paging = Paging { cursor, limit };
    let limit = paging.limit()?;
    let filter = AuditFilter {
        actor: actor.as_deref(),
        action: action.as_deref(),
        target: target.as_deref(),
        before: paging.after()?,
    };
    let entries = app.records().audit(filter, limit + 1).await?;
    Ok(Json(Page::of(entries.into_iter().map(AuditRow::from).collect(), limit, |row: &AuditRow| row.id)))
}

impl From<(i64, AuditEntry)> for AuditRow {
    fn from((id, entry): (i64, AuditEntry)) -> Self {
        let AuditEntry { at_ms, actor, via, action, target, detail, request_id, address } = entry;
        // It was JSON when it was written.
        let detail = serde_json::from_str(&detail).unwrap_or_default();
        AuditRow { id, at_ms, actor, via, action, target, detail, request_id, address }
    }
}
