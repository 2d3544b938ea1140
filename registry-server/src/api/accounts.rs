//! Tokens, namespaces, owners, keys, trusted publishers.

use super::{Answer, Body};
use crate::{
    Registry,
    accounts::{Action, DEFAULT_DAYS, Namespace, NewToken, RESERVED, Scope, Token, User, UserName, create_token},
    auth::{Caller, Client},
    database::{By, NamespaceKey},
    error::{ApiError, OciError, RegistryError},
    limits::{Limited, Who},
    names,
    status::Reason,
    trusted::{self, Distrusted, TOKEN_LIFE},
};
use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::IntoResponse,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use windlass_package::signature::PublisherKey;

fn bad(why: String) -> ApiError {
    RegistryError::BadRequest(why).into()
}

fn namespace(text: &str) -> Result<Namespace, ApiError> {
    text.parse().map_err(bad)
}

/// A user who may change accounts.
async fn user(registry: &Registry, client: &Client) -> Result<(Caller, User), ApiError> {
    let caller = registry.caller(client).await?.ok_or_else(|| registry.challenge(None))?;
    match &caller.token.user {
        Some(user) if caller.token.scope.covers(Action::Claim, None) => {
            let user = user.clone();
            Ok((caller, user))
        }
        _ => {
            let message = "this needs a user's token for the action claim, bound to no namespace";
            Err(OciError::new(StatusCode::FORBIDDEN, "DENIED", message).into())
        }
    }
}

/// An owner of a namespace who may change it.
async fn owner(registry: &Registry, client: &Client, namespace: &Namespace) -> Result<Caller, ApiError> {
    let caller = registry.permit(client, Action::Owners, namespace, None).await?;
    registry.0.limits.check(Limited::AccountChange, Some(caller.who()))?;
    Ok(caller)
}

/// A token without its secret.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct TokenRow {
    /// Finds it.
    id: String,
    /// What it is called.
    name: String,
    /// What it is for.
    actions: BTreeSet<Action>,
    /// Where; nothing: in every namespace of its user.
    #[schema(value_type = Option<Vec<String>>)]
    namespaces: Option<BTreeSet<Namespace>>,
    #[schema(value_type = String)]
    created: Timestamp,
    #[schema(value_type = String)]
    expires: Timestamp,
    /// To the minute.
    #[schema(value_type = Option<String>)]
    last_used: Option<Timestamp>,
}

fn row(token: Token) -> TokenRow {
    TokenRow {
        id: token.id.as_str().to_owned(),
        name: token.name,
        actions: token.scope.actions,
        namespaces: token.scope.namespaces,
        created: token.created,
        expires: token.expires,
        last_used: token.last_used,
    }
}

/// Lists the tokens of the user whose token is sent.
#[utoipa::path(get, path = "/api/v1/tokens", responses((status = 200, body = Vec<TokenRow>)))]
pub(crate) async fn tokens(State(registry): State<Registry>, client: Client) -> Answer {
    let (_, user) = user(&registry, &client).await?;
    let rows: Vec<TokenRow> = registry.0.database.tokens(Some(&user)).await?.into_iter().map(row).collect();
    Ok(Json(rows).into_response())
}

/// A token that is asked for.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRequest {
    /// What to call it.
    name: String,
    /// What it is for.
    actions: BTreeSet<Action>,
    /// Where; nothing: in every namespace of the user.
    #[schema(value_type = Option<Vec<String>>)]
    namespaces: Option<BTreeSet<Namespace>>,
    /// How many days it lives.
    #[serde(default = "default_days")]
    days: u32,
}

fn default_days() -> u32 {
    DEFAULT_DAYS
}

/// Makes a token that may do no more than the one that is sent. Its text is in the answer, and nowhere else.
#[utoipa::path(post, path = "/api/v1/tokens", request_body = TokenRequest,
    responses((status = 201, description = "The token"), (status = 403, description = "It would do more")))]
pub(crate) async fn token_create(
    State(registry): State<Registry>,
    client: Client,
    Body(wanted): Body<TokenRequest>,
) -> Answer {
    let (caller, user) = user(&registry, &client).await?;
    registry.0.limits.check(Limited::AccountChange, Some(caller.who()))?;
    if !wanted.actions.is_subset(&caller.token.scope.actions) {
        let message = "a token makes no token that may do more than itself";
        return Err(OciError::new(StatusCode::FORBIDDEN, "DENIED", message).into());
    }
    let scope = Scope { actions: wanted.actions, namespaces: wanted.namespaces };
    let new = NewToken::for_days(&wanted.name, scope, wanted.days)?;
    let (text, token) = create_token(registry.0.database.as_ref(), Some(user), new, &caller.by).await?;
    let body = json!({"token": text, "id": token.id.as_str(), "expires": token.expires});
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// Ends a token of the user's.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", params(("id" = String, Path)),
    responses((status = 204, description = "It does not work any more"), (status = 404, description = "There is none")))]
pub(crate) async fn token_revoke(State(registry): State<Registry>, Path(id): Path<String>, client: Client) -> Answer {
    let (caller, user) = user(&registry, &client).await?;
    let id = id.parse().map_err(bad)?;
    registry.0.database.revoke_token(&id, Some(&user), &caller.by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A namespace that is asked for.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamespaceRequest {
    /// Its name.
    #[schema(value_type = String)]
    name: Namespace,
}

/// Takes a namespace that nobody has.
#[utoipa::path(post, path = "/api/v1/namespaces", request_body = NamespaceRequest,
    responses((status = 201, description = "It is the user's"), (status = 409, description = "It has an owner, is reserved, or too like another")))]
pub(crate) async fn claim(
    State(registry): State<Registry>,
    client: Client,
    Body(wanted): Body<NamespaceRequest>,
) -> Answer {
    let (caller, user) = user(&registry, &client).await?;
    registry.0.limits.check(Limited::NewPackage, Some(caller.who()))?;
    let name = wanted.name;
    let conflict = |why: String| ApiError::from(RegistryError::Conflict(why));
    if RESERVED.contains(&name.as_str()) {
        return Err(conflict(format!("the namespace {name} is reserved; the registry's operator gives it away")));
    }
    let _door = registry.0.door.lock().await;
    let mut others = Vec::new();
    for other in registry.0.database.namespaces().await? {
        if other != name && !registry.0.database.owns(&user, &other).await? {
            others.push(other);
        }
    }
    if let Some(other) = names::namespace_too_like(&name, &others) {
        return Err(conflict(format!("the namespace {name} is too like {other}, which is there already")));
    }
    registry.0.database.claim(&name, &user, false, &caller.by).await?;
    Ok((StatusCode::CREATED, Json(json!({"name": name, "owners": [user.name]}))).into_response())
}

/// Adds an owner.
#[utoipa::path(put, path = "/api/v1/namespaces/{namespace}/owners/{user}",
    params(("namespace" = String, Path), ("user" = String, Path)),
    responses((status = 204, description = "The user owns it too"), (status = 404, description = "There is no such user")))]
pub(crate) async fn owner_add(
    State(registry): State<Registry>,
    Path((name, new)): Path<(String, String)>,
    client: Client,
) -> Answer {
    let (name, new): (_, UserName) = (namespace(&name)?, new.parse().map_err(bad)?);
    let caller = owner(&registry, &client, &name).await?;
    registry.0.database.add_owner(&name, &new, &caller.by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Removes an owner; never the last one.
#[utoipa::path(delete, path = "/api/v1/namespaces/{namespace}/owners/{user}",
    params(("namespace" = String, Path), ("user" = String, Path)),
    responses((status = 204, description = "The user does not own it any more"), (status = 409, description = "It is the last owner")))]
pub(crate) async fn owner_remove(
    State(registry): State<Registry>,
    Path((name, old)): Path<(String, String)>,
    client: Client,
) -> Answer {
    let (name, old): (_, UserName) = (namespace(&name)?, old.parse().map_err(bad)?);
    let caller = owner(&registry, &client, &name).await?;
    registry.0.database.remove_owner(&name, &old, &caller.by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A key of a namespace, as it is listed.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct KeyRow {
    /// `ed25519:` and 64 hex digits.
    key: String,
    #[schema(value_type = String)]
    added: Timestamp,
    /// Since when it is not accepted any more.
    #[schema(value_type = Option<String>)]
    revoked: Option<Timestamp>,
    /// Why not.
    reason: Option<String>,
}

/// Lists the keys that may sign a namespace's releases, and those that might.
#[utoipa::path(get, path = "/api/v1/namespaces/{namespace}/keys", params(("namespace" = String, Path)),
    responses((status = 200, body = Vec<KeyRow>)))]
pub(crate) async fn keys(State(registry): State<Registry>, Path(name): Path<String>) -> Answer {
    let keys = registry.0.database.keys(&namespace(&name)?).await?;
    let rows: Vec<KeyRow> = keys
        .into_iter()
        .map(|NamespaceKey { key, added, revoked }| {
            let (revoked, reason) = revoked.unzip();
            KeyRow { key: key.to_string(), added, revoked, reason }
        })
        .collect();
    Ok(Json(rows).into_response())
}

/// A key that is added.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRequest {
    /// `ed25519:` and 64 hex digits.
    #[schema(value_type = String)]
    key: PublisherKey,
}

/// Adds a key.
#[utoipa::path(post, path = "/api/v1/namespaces/{namespace}/keys", params(("namespace" = String, Path)), request_body = KeyRequest,
    responses((status = 204, description = "It may sign"), (status = 409, description = "It was revoked")))]
pub(crate) async fn key_add(
    State(registry): State<Registry>,
    Path(name): Path<String>,
    client: Client,
    Body(new): Body<KeyRequest>,
) -> Answer {
    let name = namespace(&name)?;
    let caller = owner(&registry, &client, &name).await?;
    registry.0.database.add_key(&name, &new.key, &caller.by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Why a key is revoked.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revocation {
    /// In words: one line of at most 500 characters.
    #[serde(deserialize_with = "super::parsed")]
    #[schema(value_type = String)]
    reason: Reason,
}

/// Revokes a key: it signs no new release. What it has signed stays.
#[utoipa::path(delete, path = "/api/v1/namespaces/{namespace}/keys/{key}", request_body = Revocation,
    params(("namespace" = String, Path), ("key" = String, Path)),
    responses((status = 204, description = "It may not sign any more"), (status = 404, description = "It is none of the namespace's")))]
pub(crate) async fn key_revoke(
    State(registry): State<Registry>,
    Path((name, key)): Path<(String, String)>,
    client: Client,
    Body(why): Body<Revocation>,
) -> Answer {
    let (name, key): (_, PublisherKey) = (namespace(&name)?, key.parse().map_err(bad)?);
    let caller = owner(&registry, &client, &name).await?;
    registry.0.database.revoke_key(&name, &key, why.reason.as_str(), &caller.by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A trusted publisher.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct PublisherRow {
    /// Its number.
    id: i64,
    /// Who vouches for it.
    issuer: String,
    /// What the issuer must say of it.
    claims: BTreeMap<String, String>,
}

/// Lists who may publish to a namespace by an issuer's word. For its owners.
#[utoipa::path(get, path = "/api/v1/namespaces/{namespace}/trusted-publishers", params(("namespace" = String, Path)),
    responses((status = 200, body = Vec<PublisherRow>)))]
pub(crate) async fn publishers(State(registry): State<Registry>, Path(name): Path<String>, client: Client) -> Answer {
    let name = namespace(&name)?;
    registry.permit(&client, Action::Owners, &name, None).await?;
    let all = registry.0.database.trusted_publishers(&name).await?.into_iter();
    let rows: Vec<_> = all.map(|each| PublisherRow { id: each.id, issuer: each.issuer, claims: each.claims }).collect();
    Ok(Json(rows).into_response())
}

/// A trusted publisher that is added.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublisherRequest {
    /// One that the registry believes.
    issuer: String,
    /// What its token must say, such as `repository`, `workflow_ref`, `environment`.
    claims: BTreeMap<String, String>,
}

/// Lets a workload publish to a namespace.
#[utoipa::path(post, path = "/api/v1/namespaces/{namespace}/trusted-publishers", params(("namespace" = String, Path)),
    request_body = PublisherRequest,
    responses((status = 201, body = PublisherRow), (status = 400, description = "No such issuer, or the claims tell nothing")))]
pub(crate) async fn publisher_add(
    State(registry): State<Registry>,
    Path(name): Path<String>,
    client: Client,
    Body(new): Body<PublisherRequest>,
) -> Answer {
    let name = namespace(&name)?;
    let caller = owner(&registry, &client, &name).await?;
    if !registry.0.issuers.knows(&new.issuer) {
        return Err(bad(format!("{:?} is not an issuer that this registry believes", new.issuer)));
    }
    trusted::check_claims(&new.claims).map_err(bad)?;
    let id = registry.0.database.add_trusted_publisher(&name, &new.issuer, &new.claims, &caller.by).await?;
    let row = PublisherRow { id, issuer: new.issuer, claims: new.claims };
    Ok((StatusCode::CREATED, Json(row)).into_response())
}

/// Takes that back.
#[utoipa::path(delete, path = "/api/v1/namespaces/{namespace}/trusted-publishers/{id}",
    params(("namespace" = String, Path), ("id" = i64, Path)),
    responses((status = 204, description = "It may not publish any more"), (status = 404, description = "There is none")))]
pub(crate) async fn publisher_remove(
    State(registry): State<Registry>,
    Path((name, id)): Path<(String, i64)>,
    client: Client,
) -> Answer {
    let name = namespace(&name)?;
    let caller = owner(&registry, &client, &name).await?;
    registry.0.database.remove_trusted_publisher(&name, id, &caller.by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A token of an issuer's, to be exchanged.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exchange {
    /// The issuer's token.
    token: String,
    /// Where to publish.
    #[schema(value_type = String)]
    namespace: Namespace,
}

/// Exchanges an issuer's token for one of the registry's, which may publish to that namespace for a quarter of an hour.
#[utoipa::path(post, path = "/api/v1/trusted-publishing/token", request_body = Exchange,
    responses((status = 200, description = "The token"), (status = 401, description = "It is not believed"), (status = 503, description = "The issuer does not say its keys")))]
pub(crate) async fn exchange(State(registry): State<Registry>, client: Client, Body(sent): Body<Exchange>) -> Answer {
    registry.0.limits.check(Limited::Exchange, Who::of(client.ip))?;
    let distrusted = |error: &Distrusted| {
        tracing::info!(%error, namespace = %sent.namespace, "a token was not exchanged");
        let status = match error {
            Distrusted::Keys { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        };
        ApiError::new(status, error)
    };
    let vouched = registry.0.issuers.verify(&sent.token).await.map_err(|error| distrusted(&error))?;
    let publishers = registry.0.database.trusted_publishers(&sent.namespace).await?;
    if !publishers.iter().any(|publisher| vouched.is(publisher)) {
        return Err(distrusted(&Distrusted::NotTrusted(sent.namespace.to_string())));
    }
    let until = Timestamp::from_second(vouched.until).unwrap_or(Timestamp::MAX);
    if !registry.0.database.use_jti(&vouched.issuer, &vouched.jti, until).await? {
        return Err(distrusted(&Distrusted::Replayed));
    }
    let name = format!("{} {}", vouched.issuer, vouched.subject);
    let scope = Scope { actions: [Action::Publish].into(), namespaces: Some([sent.namespace].into()) };
    let new = NewToken { name: name.clone(), scope, life: TOKEN_LIFE };
    let by = By { actor: name, token: None, ip: client.ip };
    let (text, token) = create_token(registry.0.database.as_ref(), None, new, &by).await?;
    let body = json!({"token": text, "expires": token.expires});
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}
