//! Who asks, and what they may.

mod key;

pub(crate) use key::{Key, first_admin};

use crate::{App, Problem, clock::now_ms, problem::Kind};
use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use utoipa::ToSchema;

/// What somebody may: each role may what the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything but people, keys and the audit.
    Viewer,
    /// Run, cancel, approve, deploy, write pipelines, and set secrets.
    Operator,
    /// Install plugins, grant, manage people, and read the audit.
    Admin,
}

impl Role {
    /// Its stored form.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Role> {
        [Role::Viewer, Role::Operator, Role::Admin].into_iter().find(|role| role.name() == text)
    }
}

/// Who asks: an identity that was proved.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The user's number.
    pub(crate) user: i64,
    /// The user's name: what is written into runs, gates and the audit.
    pub(crate) name: String,
    /// What they may with what they have shown.
    pub(crate) role: Role,
    /// With what they have shown it, for the audit: `session`, or `key:PREFIX`.
    pub(crate) via: String,
}

/// Somebody who may at least look.
pub(crate) struct Viewer(pub(crate) Caller);
/// Somebody who may run things.
pub(crate) struct Operator(pub(crate) Caller);
/// Somebody who may change what everybody has.
pub(crate) struct Admin(pub(crate) Caller);

async fn caller(app: &App, headers: &HeaderMap) -> Result<Caller, Problem> {
    let shown = headers.get("x-api-key").and_then(|key| key.to_str().ok()).or_else(|| {
        let bearer = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = bearer.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let unknown = || {
        Problem::new(Kind::Unauthenticated, "this needs somebody who has signed in, or a key that is valid")
            .help("sign in, or send a key as `Authorization: Bearer KEY` or `x-api-key: KEY`")
    };
    let key = shown.and_then(Key::parse).ok_or_else(unknown)?;
    let account = app.records().account_of_key(&key.hash(), now_ms()).await?.ok_or_else(unknown)?;
    let role = Role::parse(&account.role).min(Role::parse(&account.key_role)).ok_or_else(unknown)?;
    let via = format!("key:{}", account.key_prefix.unwrap_or_default());
    Ok(Caller { user: account.id, name: account.name, role, via })
}

async fn at_least(role: Role, app: &App, parts: &Parts) -> Result<Caller, Problem> {
    let caller = caller(app, &parts.headers).await?;
    if caller.role < role {
        let words = format!("this needs the role {}, and {} has {}", role.name(), caller.name, caller.role.name());
        return Err(Problem::new(Kind::Forbidden, words));
    }
    Ok(caller)
}

macro_rules! extracted {
    ($who:ident, $role:expr) => {
        impl FromRequestParts<App> for $who {
            type Rejection = Problem;
            async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
                at_least($role, app, parts).await.map($who)
            }
        }
    };
}

extracted!(Viewer, Role::Viewer);
extracted!(Operator, Role::Operator);
extracted!(Admin, Role::Admin);

impl OptionalFromRequestParts<App> for Viewer {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, Infallible> {
        Ok(at_least(Role::Viewer, app, parts).await.ok().map(Viewer))
    }
}
