//! Signing in, people, and keys.

use crate::{
    App, Page, Paging, Problem,
    access::{
        Admin, Caller, Key, Role, Viewer, csrf,
        oidc::{self, Returned},
        people::{self, People, Wanted},
        session,
    },
    clock::now_ms,
    extract::{Json, Path, Query},
    problem::Kind,
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use windlass_store::records::accounts;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(session, sign_in, sign_out))
        .routes(routes!(ways_to_sign_in))
        .routes(routes!(oidc_start))
        .routes(routes!(oidc_callback))
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
pub struct User {
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
pub struct NewUser {
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
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
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
pub struct KeyRow {
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
pub struct NewKey {
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
pub struct MadeKey {
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

/// Where the browser comes back to.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReturnQuery {
    /// A path of this server, such as `/runs`; `/` without it.
    pub return_to: Option<String>,
}

/// What an identity provider sends back with the browser.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReturnedQuery {
    /// To be exchanged for who it is.
    pub code: Option<String>,
    /// Which sign-in it is.
    pub state: Option<String>,
    /// Why it was refused.
    pub error: Option<String>,
    /// Which provider it is.
    pub iss: Option<String>,
}

impl From<accounts::User> for User {
    fn from(user: accounts::User) -> Self {
        User {
            // What a newer version has written and this one does not know may nothing more than look.
            role: Role::parse(&user.role).unwrap_or(Role::Viewer),
            name: user.name,
            display_name: user.display_name,
            email: user.email,
            has_password: user.password.is_some(),
            oidc_issuer: user.oidc_issuer,
            disabled: user.disabled,
            created_at_ms: user.created_at_ms,
            seen_at_ms: user.seen_at_ms,
        }
    }
}

impl From<accounts::KeyEntry> for KeyRow {
    fn from(key: accounts::KeyEntry) -> Self {
        KeyRow {
            id: key.id,
            user: key.user,
            name: key.name,
            prefix: key.prefix,
            role: Role::parse(&key.role).unwrap_or(Role::Viewer),
            created_at_ms: key.created_at_ms,
            expires_at_ms: key.expires_at_ms,
            used_at_ms: key.used_at_ms,
        }
    }
}

impl NewUser {
    /// As it is kept.
    pub(crate) fn row(&self) -> accounts::NewUser<'_> {
        accounts::NewUser {
            name: &self.name,
            display_name: self.display_name.as_deref().filter(|text| !text.is_empty()),
            email: self.email.as_deref().filter(|text| !text.is_empty()),
            role: self.role.name(),
            password: None,
            at_ms: now_ms(),
        }
    }
}

impl UserChange {
    /// As it is kept.
    pub(crate) fn row(&self) -> accounts::UserChange<'_> {
        accounts::UserChange {
            display_name: self.display_name.as_deref(),
            email: self.email.as_deref(),
            role: self.role.map(Role::name),
            disabled: self.disabled,
        }
    }
}

impl NewKey {
    pub(crate) fn wanted(&self) -> Wanted<'_> {
        Wanted { name: &self.name, role: self.role, days: self.days }
    }
}

impl MadeKey {
    pub(crate) fn of(key: &Key, entry: accounts::KeyEntry) -> MadeKey {
        MadeKey { key: key.reveal().to_owned(), row: entry.into() }
    }
}

async fn own(app: &App, caller: &Caller) -> Result<User, Problem> {
    let user = app.records().user(&caller.name).await?;
    user.map(User::from).ok_or_else(|| Problem::not_found(format!("user {:?}", caller.name)))
}

fn with_cookies(cookies: Vec<HeaderValue>, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Who has signed in.
#[utoipa::path(get, path = "/api/v1/session", tag = "session", responses((status = 200, body = Session)))]
async fn session(State(app): State<App>, Viewer(caller): Viewer, headers: HeaderMap) -> Result<Response, Problem> {
    let user = own(&app, &caller).await?;
    let of_cookie = match caller.via.as_str() {
        "session" => session::of(&app, &headers).await?,
        _ => None,
    };
    let (csrf_token, expires_at_ms) =
        of_cookie.map(|(token, session)| (csrf::token(&token), session.expires_at_ms)).unzip();
    let Caller { role, via, .. } = caller;
    Ok(with_cookies(Vec::new(), Json(Session { user, role, via, csrf_token, expires_at_ms })))
}

/// Sign in: the answer sets the session's cookie. An `Idempotency-Key` has no effect here.
#[utoipa::path(post, path = "/api/v1/session", tag = "session", security(()), request_body = SignIn, responses((status = 200, body = Session)))]
async fn sign_in(State(app): State<App>, headers: HeaderMap, Json(body): Json<SignIn>) -> Result<Response, Problem> {
    let begun = match (body.name, body.password, body.key) {
        (Some(name), Some(password), None) => session::by_password(&app, &headers, &name, &password).await?,
        (None, None, Some(key)) => session::by_key(&app, &headers, key.trim()).await?,
        _ => {
            return Err(Problem::new(Kind::Invalid, "this takes `name` and `password`, or `key` alone"));
        }
    };
    let user = own(&app, &begun.caller).await?;
    let answer = Session {
        user,
        role: begun.caller.role,
        via: begun.caller.via,
        csrf_token: Some(csrf::token(&begun.token)),
        expires_at_ms: Some(begun.expires_at_ms),
    };
    Ok(with_cookies(begun.cookies, Json(answer)))
}

/// Sign out.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", responses((status = 204)))]
async fn sign_out(State(app): State<App>, Viewer(caller): Viewer, headers: HeaderMap) -> Result<Response, Problem> {
    let cookies = session::end(&app, &headers, &caller).await?;
    Ok(with_cookies(cookies, StatusCode::NO_CONTENT))
}

/// How to sign in here.
#[utoipa::path(get, path = "/api/v1/session/ways", tag = "session", security(()), responses((status = 200, body = WaysToSignIn)))]
async fn ways_to_sign_in(State(app): State<App>) -> Json<WaysToSignIn> {
    let providers = app.access().oidc.list().map(|(id, label)| IdentityProvider {
        id: id.to_owned(),
        label: label.to_owned(),
        url: format!("/api/v1/session/oidc/{id}/start"),
    });
    Json(WaysToSignIn { password: true, oidc: providers.collect() })
}

/// Sign in at an identity provider: sends the browser there. A browser for which that cannot be goes to `/sign-in?error=CODE`; anybody else
/// gets the problem.
#[utoipa::path(get, path = "/api/v1/session/oidc/{id}/start", tag = "session", security(()), params(("id" = String, Path), ReturnQuery), responses((status = 303, description = "To the provider")))]
async fn oidc_start(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<ReturnQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    match oidc::start(&app, &id, query.return_to.as_deref()).await {
        Ok((url, cookie)) => Ok(with_cookies(vec![cookie], Redirect::to(&url))),
        Err(problem) => not_signed_in(&headers, problem),
    }
}

/// What becomes of a sign-in that came to nothing: a browser is shown why on a page.
fn not_signed_in(headers: &HeaderMap, problem: Problem) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if !accept.contains("text/html") {
        return Err(problem);
    }
    // Only the code: a text in an address could be anybody's.
    Ok(with_cookies(Vec::new(), Redirect::to(&format!("/sign-in?error={}", problem.code))))
}

/// Where the identity provider sends the browser back to: begins the session and goes to where the sign-in was begun. A browser whose
/// sign-in did not succeed goes to `/sign-in?error=CODE`; anybody else gets the problem.
#[utoipa::path(get, path = "/api/v1/session/oidc/{id}/callback", tag = "session", security(()), params(("id" = String, Path), ReturnedQuery), responses((status = 303, description = "To the page that was asked for")))]
async fn oidc_callback(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<ReturnedQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let ReturnedQuery { code, state, error, iss } = query;
    match oidc::finish(&app, &headers, &id, Returned { code, state, error, iss }).await {
        Ok((begun, place)) => Ok(with_cookies(begun.cookies, Redirect::to(&place))),
        Err(problem) => not_signed_in(&headers, problem),
    }
}

/// The users.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", params(Paging), responses((status = 200, body = Page<User>)))]
async fn users(State(app): State<App>, _: Admin, Query(page): Query<Paging>) -> Result<Json<Page<User>>, Problem> {
    let limit = page.limit()?;
    let after: Option<String> = page.after()?;
    let found = app.records().users(after.as_deref(), limit + 1).await?;
    Ok(Json(Page::of(found.into_iter().map(User::from).collect(), limit, |user: &User| user.name.clone())))
}

/// Make a user.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = NewUser, responses((status = 201, body = User)))]
async fn create_user(
    State(app): State<App>,
    Admin(caller): Admin,
    Json(body): Json<NewUser>,
) -> Result<(StatusCode, Json<User>), Problem> {
    let user = People::of(&app, &caller).create(body.row(), body.password.as_deref()).await?;
    Ok((StatusCode::CREATED, Json(user.into())))
}

/// One user: oneself, or anybody for administrators.
#[utoipa::path(get, path = "/api/v1/users/{name}", tag = "users", params(("name" = String, Path)), responses((status = 200, body = User)))]
async fn user(State(app): State<App>, Viewer(caller): Viewer, Path(name): Path<String>) -> Result<Json<User>, Problem> {
    Ok(Json(people::one(&app, &caller, &name).await?.into()))
}

/// Change a user. Who is disabled is signed out at once, and may nothing.
#[utoipa::path(patch, path = "/api/v1/users/{name}", tag = "users", params(("name" = String, Path)), request_body = UserChange, responses((status = 200, body = User)))]
async fn change_user(
    State(app): State<App>,
    Admin(caller): Admin,
    Path(name): Path<String>,
    Json(body): Json<UserChange>,
) -> Result<Json<User>, Problem> {
    Ok(Json(People::of(&app, &caller).change(&name, body.row()).await?.into()))
}

/// Delete a user with their keys and sessions. The name is never given again.
#[utoipa::path(delete, path = "/api/v1/users/{name}", tag = "users", params(("name" = String, Path)), responses((status = 204)))]
async fn delete_user(
    State(app): State<App>,
    Admin(caller): Admin,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    People::of(&app, &caller).delete(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Set a password: one's own with the one before, or anybody's for administrators. Ends the user's sessions.
#[utoipa::path(put, path = "/api/v1/users/{name}/password", tag = "users", params(("name" = String, Path)), request_body = NewPassword, responses((status = 204)))]
async fn set_password(
    State(app): State<App>,
    Viewer(caller): Viewer,
    Path(name): Path<String>,
    Json(body): Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    people::set_password(&app, &caller, &name, body.current.as_deref(), &body.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One's keys, or everybody's.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "users", params(KeysQuery), responses((status = 200, body = Vec<KeyRow>)))]
async fn keys(
    State(app): State<App>,
    Viewer(caller): Viewer,
    Query(query): Query<KeysQuery>,
) -> Result<Json<Vec<KeyRow>>, Problem> {
    if query.all && caller.role < Role::Admin {
        return Err(Problem::new(Kind::Forbidden, "everybody's keys are for administrators"));
    }
    let keys = app.records().keys((!query.all).then_some(caller.user)).await?;
    Ok(Json(keys.into_iter().map(KeyRow::from).collect()))
}

/// Make a key. The answer is the only place where it is seen, so an `Idempotency-Key` has no effect here.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "users", request_body = NewKey, responses((status = 201, body = MadeKey)))]
async fn create_key(
    State(app): State<App>,
    Viewer(caller): Viewer,
    Json(body): Json<NewKey>,
) -> Result<Response, Problem> {
    let (key, entry) = people::create_key(&app, &caller, body.user.as_deref(), body.wanted()).await?;
    Ok(with_cookies(Vec::new(), (StatusCode::CREATED, Json(MadeKey::of(&key, entry)))))
}

/// End a key, with the sessions that were begun with it.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "users", params(("id" = i64, Path)), responses((status = 204)))]
async fn delete_key(
    State(app): State<App>,
    Viewer(caller): Viewer,
    Path(id): Path<i64>,
) -> Result<StatusCode, Problem> {
    people::delete_key(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
