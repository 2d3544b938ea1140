//! What begins runs by itself.

use crate::{
    App, Page, Paging, Problem,
    access::{Operator, Viewer},
    extract::{Json, Path, Query},
    triggers::{Live, TriggerSpec},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use windlass_store::records::triggers as stored;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(triggers, create))
        .routes(routes!(trigger, change, delete))
        .routes(routes!(rotate))
        .routes(routes!(deliveries))
        .routes(routes!(redeliver))
}

/// A trigger.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Trigger {
    /// Its id.
    pub id: String,
    /// The pipeline that it begins.
    pub workflow: String,
    /// For people.
    pub name: String,
    /// How it works.
    pub spec: TriggerSpec,
    /// Whether it does.
    pub enabled: bool,
    /// Whether it is the `trigger` in the pipeline's own text: it changes with that, and only `enabled` can be changed here.
    pub managed: bool,
    /// Where requests go, of a webhook.
    pub url: Option<String>,
    /// When it comes next, of a schedule.
    pub next_ms: Option<u64>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at_ms: u64,
    /// What it did last.
    pub last: Option<DeliveryRow>,
}

/// A trigger to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTrigger {
    /// For people, 1 to 100 characters.
    pub name: String,
    /// How it works.
    pub spec: TriggerSpec,
}

/// What is to change of a trigger; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TriggerChange {
    /// For people.
    pub name: Option<String>,
    /// How it works. The kind cannot change.
    pub spec: Option<TriggerSpec>,
    /// Whether it does.
    pub enabled: Option<bool>,
}

/// A trigger that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeTrigger {
    /// The trigger.
    pub trigger: Trigger,
    /// What requests are signed with, of a webhook: the only time that it is seen.
    pub secret: Option<String>,
}

/// What came of a request, or of a schedule's time.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DeliveryRow {
    /// Its number.
    pub id: i64,
    /// When it came.
    pub at_ms: u64,
    /// Its sender's id for it, or the time that it was for.
    pub key: String,
    /// What kind of event it was.
    pub event: String,
    /// `accepted` (the run is to begin), `started`, `filtered`, `skipped`, `refused` or `failed`.
    pub status: String,
    /// Why no run was begun, or what else is to be known, in words.
    pub reason: Option<String>,
    /// The run that it began, or is to begin.
    pub run: Option<String>,
}

impl From<stored::DeliveryRow> for DeliveryRow {
    fn from(row: stored::DeliveryRow) -> Self {
        let stored::DeliveryRow { id, trigger: _, at_ms, key, event, status, reason, run } = row;
        DeliveryRow { id, at_ms, key, event, status, reason, run }
    }
}

/// A trigger as it is shown.
fn view(app: &App, live: &Live, last: Option<stored::DeliveryRow>) -> Trigger {
    let row = &live.row;
    Trigger {
        id: row.id.clone(),
        workflow: row.workflow.clone(),
        name: row.name.clone(),
        spec: live.spec.clone(),
        enabled: row.enabled,
        managed: row.managed,
        url: live.spec.is_hook().then(|| format!("{}/hooks/{}", app.public_url(), row.id)),
        next_ms: row.next_ms,
        created_by: row.created_by.clone(),
        created_at_ms: row.created_at_ms,
        last: last.map(Into::into),
    }
}

/// The same, with what it did last.
async fn view_now(app: &App, live: &Live) -> Result<Trigger, Problem> {
    let last = app.records().deliveries(&live.row.id, None, 1).await?.into_iter().next();
    Ok(view(app, live, last))
}

/// The triggers of a pipeline.
#[utoipa::path(get, path = "/api/v1/workflows/{name}/triggers", tag = "triggers", params(("name" = String, Path)), responses((status = 200, body = Vec<Trigger>)))]
async fn triggers(State(app): State<App>, _: Viewer, Path(name): Path<String>) -> Result<Json<Vec<Trigger>>, Problem> {
    let of = app.triggers().of(&name);
    if of.is_empty() && app.records().workflow(&name).await?.is_none() {
        return Err(Problem::not_found(format!("pipeline {name:?}")));
    }
    let last = app.records().last_deliveries(&name).await?;
    let last_of = |live: &Live| last.iter().find(|last| last.trigger == live.row.id).cloned();
    Ok(Json(of.iter().map(|live| view(&app, live, last_of(live))).collect()))
}

/// Make a trigger.
#[utoipa::path(post, path = "/api/v1/workflows/{name}/triggers", tag = "triggers", params(("name" = String, Path)), request_body = NewTrigger, responses((status = 201, body = MadeTrigger)))]
async fn create(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(name): Path<String>,
    Json(body): Json<NewTrigger>,
) -> Result<(StatusCode, Json<MadeTrigger>), Problem> {
    let (live, secret) = app.create_trigger(&caller, &name, &body.name, body.spec).await?;
    Ok((StatusCode::CREATED, Json(MadeTrigger { trigger: view(&app, &live, None), secret })))
}

/// One trigger.
#[utoipa::path(get, path = "/api/v1/triggers/{id}", tag = "triggers", params(("id" = String, Path)), responses((status = 200, body = Trigger)))]
async fn trigger(State(app): State<App>, _: Viewer, Path(id): Path<String>) -> Result<Json<Trigger>, Problem> {
    let live = app.triggers().one(&id)?;
    Ok(Json(view_now(&app, &live).await?))
}

/// Change a trigger.
#[utoipa::path(patch, path = "/api/v1/triggers/{id}", tag = "triggers", params(("id" = String, Path)), request_body = TriggerChange, responses((status = 200, body = Trigger)))]
async fn change(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(id): Path<String>,
    Json(body): Json<TriggerChange>,
) -> Result<Json<Trigger>, Problem> {
    let live = app.change_trigger(&caller, &id, body.name, body.spec, body.enabled).await?;
    Ok(Json(view_now(&app, &live).await?))
}

/// Delete a trigger, with what has come of it. Its runs stay.
#[utoipa::path(delete, path = "/api/v1/triggers/{id}", tag = "triggers", params(("id" = String, Path)), responses((status = 204)))]
async fn delete(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    app.delete_trigger(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a webhook a new secret. The one before goes on being taken for an hour.
#[utoipa::path(post, path = "/api/v1/triggers/{id}/rotate", tag = "triggers", params(("id" = String, Path)), responses((status = 200, body = MadeTrigger)))]
async fn rotate(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(id): Path<String>,
) -> Result<Json<MadeTrigger>, Problem> {
    let (live, secret) = app.rotate_trigger(&caller, &id).await?;
    Ok(Json(MadeTrigger { trigger: view_now(&app, &live).await?, secret: Some(secret) }))
}

/// What has come of a trigger, the newest first.
#[utoipa::path(get, path = "/api/v1/triggers/{id}/deliveries", tag = "triggers", params(("id" = String, Path), Paging), responses((status = 200, body = Page<DeliveryRow>)))]
async fn deliveries(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<String>,
    Query(page): Query<Paging>,
) -> Result<Json<Page<DeliveryRow>>, Problem> {
    let live = app.triggers().one(&id)?;
    let limit = page.limit()?;
    let rows = app.records().deliveries(&live.row.id, page.after()?, limit + 1).await?;
    Ok(Json(Page::of(rows.into_iter().map(DeliveryRow::from).collect(), limit, |row| row.id)))
}

/// Treat a request as if it came once more.
#[utoipa::path(post, path = "/api/v1/triggers/{id}/deliveries/{delivery}/redeliver", tag = "triggers", params(("id" = String, Path), ("delivery" = i64, Path)), responses((status = 202, body = DeliveryRow)))]
async fn redeliver(
    State(app): State<App>,
    Operator(caller): Operator,
    Path((id, delivery)): Path<(String, i64)>,
) -> Result<(StatusCode, Json<DeliveryRow>), Problem> {
    let row = app.redeliver(&caller, &id, delivery).await?;
    Ok((StatusCode::ACCEPTED, Json(row.into())))
}
