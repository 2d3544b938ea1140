//! Signing in, people, and keys.

use super::unfinished;
use crate::{
    App, Page, Paging, Problem,
    access::{Admin, Role, Viewer},
    extract::{Json, Path, Query},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(session, sign_in, sign_out))
        .routes(routes!(ways_to_sign_in))
        .routes(routes!(users, create_user))
        .routes(routes!(user, change_user, delete_user))
        .routes(routes!(set_password))
        .routes(routes!(keys, create_key))
        .routes(routes!(delete_key))
}

/// Who has signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    /// The user.
    pub user: User,
    /// What they may with what they have shown.
    pub role: Role,
    /// `session` or `key:PREFIX`.
    pub via: String,
    /// To be sent as `x-csrf-token` with every request that changes something, where the session is a cookie's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csrf_token: Option<String>,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
}

/// A person.
#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    /// The name: what is written into runs, gates and the audit.
    pub name: String,
    /// How they want to be called.
    pub display_name: Option<String>,
    /// Their address.
    pub email: Option<String>,
    /// What they may.
    pub role: Role,
    /// Whether they sign in with a password.
    pub has_password: bool,
    /// The identity provider that they sign in at.
    pub oidc_issuer: Option<String>,
    /// They may nothing at the moment.
    pub disabled: bool,
    /// When they were made.
    pub created_at_ms: u64,
    /// When they last did something.
    pub seen_at_ms: Option<u64>,
}

/// How to sign in.
#[derive(Serialize, ToSchema)]
pub(crate) struct WaysToSignIn {
    /// With name and password, or with a key.
    pub password: bool,
    /// At an identity provider.
    pub oidc: Vec<IdentityProvider>,
}

/// An identity provider.
#[derive(Serialize, ToSchema)]
pub(crate) struct IdentityProvider {
    /// Its name in addresses.
    pub id: String,
    /// What the button says.
    pub label: String,
    /// Where the browser is sent; with `?return_to=/path` it comes back there.
    pub url: String,
}

/// What is signed in with: name and password, or a key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// The user's name.
    pub name: Option<String>,
    /// Their password.
    pub password: Option<String>,
    /// A key instead.
    pub key: Option<String>,
}

/// A user to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    /// The name: 1 to 64 letters, digits, `.`, `_`, `-` and `@`.
    pub name: String,
    /// How they want to be called.
    pub display_name: Option<String>,
    /// Their address.
    pub email: Option<String>,
    /// What they may.
    pub role: Role,
    /// The first password, at least 12 characters; without it they sign in at an identity provider or by key.
    pub password: Option<String>,
}

/// What is to change of a user; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChange {
    /// How they want to be called.
    pub display_name: Option<String>,
    /// Their address.
    pub email: Option<String>,
    /// What they may.
    pub role: Option<Role>,
    /// Whether they may nothing.
    pub disabled: Option<bool>,
}

/// A password to be set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    /// The one before, when people change their own.
    pub current: Option<String>,
    /// The new one, at least 12 characters.
    pub password: String,
}

/// A key without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyRow {
    /// Its number.
    pub id: i64,
    /// Whose.
    pub user: String,
    /// For what.
    pub name: String,
    /// What it begins with.
    pub prefix: String,
    /// The most that it may.
    pub role: Role,
    /// When it was made.
    pub created_at_ms: u64,
    /// When it ends.
    pub expires_at_ms: Option<u64>,
    /// When it was last used, to the minute.
    pub used_at_ms: Option<u64>,
}

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// For what, 1 to 100 characters.
    pub name: String,
    /// The most that it may; at most what its user may.
    pub role: Role,
    /// How many days it is valid, 1 to 366; for ever without.
    #[schema(minimum = 1, maximum = 366)]
    pub days: Option<u32>,
    /// Whose, by an administrator for somebody else.
    pub user: Option<String>,
}

/// A key that was made: the only time that it is seen.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeKey {
    /// The key.
    pub key: String,
    /// What the list shows of it.
    pub row: KeyRow,
}

/// Whose keys.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct KeysQuery {
    /// Everybody's, for administrators.
    #[serde(default)]
    pub all: bool,
}

/// Who has signed in.
#[utoipa::path(get, path = "/api/v1/session", tag = "session", responses((status = 200, body = Session)))]
async fn session(State(_app): State<App>, Viewer(_caller): Viewer) -> Result<Json<Session>, Problem> {
    unfinished()
}

/// Sign in: the answer sets the session's cookie.
#[utoipa::path(post, path = "/api/v1/session", tag = "session", security(()), request_body = SignIn, responses((status = 200, body = Session)))]
async fn sign_in(State(_app): State<App>, Json(_body): Json<SignIn>) -> Result<Json<Session>, Problem> {
    unfinished()
}

/// Sign out.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", responses((status = 204)))]
async fn sign_out(State(_app): State<App>, Viewer(_caller): Viewer) -> Result<StatusCode, Problem> {
    unfinished()
}

/// How to sign in here.
#[utoipa::path(get, path = "/api/v1/session/ways", tag = "session", security(()), responses((status = 200, body = WaysToSignIn)))]
async fn ways_to_sign_in(State(_app): State<App>) -> Result<Json<WaysToSignIn>, Problem> {
    unfinished()
}

/// The users.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", params(Paging), responses((status = 200, body = Page<User>)))]
async fn users(State(_app): State<App>, _: Admin, Query(_page): Query<Paging>) -> Result<Json<Page<User>>, Problem> {
    unfinished()
}

/// Make a user.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = NewUser, responses((status = 201, body = User)))]
async fn create_user(
    State(_app): State<App>,
    Admin(_caller): Admin,
    Json(_body): Json<NewUser>,
) -> Result<(StatusCode, Json<User>), Problem> {
    unfinished()
}

/// One user: oneself, or anybody for administrators.
#[utoipa::path(get, path = "/api/v1/users/{name}", tag = "users", params(("name" = String, Path)), responses((status = 200, body = User)))]
async fn user(
    State(_app): State<App>,
    Viewer(_caller): Viewer,
    Path(_name): Path<String>,
) -> Result<Json<User>, Problem> {
    unfinished()
}

/// Change a user.
#[utoipa::path(patch, path = "/api/v1/users/{name}", tag = "users", params(("name" = String, Path)), request_body = UserChange, responses((status = 200, body = User)))]
async fn change_user(
    State(_app): State<App>,
    Admin(_caller): Admin,
    Path(_name): Path<String>,
    Json(_body): Json<UserChange>,
) -> Result<Json<User>, Problem> {
    unfinished()
}

/// Delete a user with their keys and sessions. The name is never given again.
#[utoipa::path(delete, path = "/api/v1/users/{name}", tag = "users", params(("name" = String, Path)), responses((status = 204)))]
async fn delete_user(
    State(_app): State<App>,
    Admin(_caller): Admin,
    Path(_name): Path<String>,
) -> Result<StatusCode, Problem> {
    unfinished()
}

/// Set a password: one's own with the one before, or anybody's for administrators. Ends the user's sessions.
#[utoipa::path(put, path = "/api/v1/users/{name}/password", tag = "users", params(("name" = String, Path)), request_body = NewPassword, responses((status = 204)))]
async fn set_password(
    State(_app): State<App>,
    Viewer(_caller): Viewer,
    Path(_name): Path<String>,
    Json(_body): Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    unfinished()
}

/// One's keys, or everybody's.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "users", params(KeysQuery), responses((status = 200, body = Vec<KeyRow>)))]
async fn keys(
    State(_app): State<App>,
    Viewer(_caller): Viewer,
    Query(_query): Query<KeysQuery>,
) -> Result<Json<Vec<KeyRow>>, Problem> {
    unfinished()
}

/// Make a key. The answer is the only place where it is seen.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "users", request_body = NewKey, responses((status = 201, body = MadeKey)))]
async fn create_key(
    State(_app): State<App>,
    Viewer(_caller): Viewer,
    Json(_body): Json<NewKey>,
) -> Result<(StatusCode, Json<MadeKey>), Problem> {
    unfinished()
}

/// End a key.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "users", params(("id" = i64, Path)), responses((status = 204)))]
async fn delete_key(
    State(_app): State<App>,
    Viewer(_caller): Viewer,
    Path(_id): Path<i64>,
) -> Result<StatusCode, Problem> {
    unfinished()
}
