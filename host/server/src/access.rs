//! Who asks, and what they may.
//!
//! **Invariants.**
//! - An identity is proved by a key or by a session, and by nothing else that a request says. A key that is shown counts alone: where it is
//!   not valid, a cookie beside it does not help.
//! - What is revoked, disabled or deleted has no effect from that moment: each request asks the records, nothing is remembered.
//! - A request that changes something and is carried by a cookie comes from our own pages ([`csrf`]).
//! - With a key, or a session that was begun with one, one may at most what the key may.
//!
//! **Not here.** What each role is needed for: the handlers' types say it.

pub(crate) mod csrf;
mod desk;
mod key;
pub(crate) mod oidc;
pub(crate) mod password;
pub(crate) mod people;
pub(crate) mod session;

pub use desk::Desk;
pub(crate) use key::{Key, first_admin};

use crate::{
    App, Problem,
    clock::now_ms,
    edge,
    problem::Kind,
    throttle::{Rates, SignIns},
};
use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{HeaderMap, Method, header, request::Parts},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};
use utoipa::ToSchema;
use windlass_store::records::accounts::Account;

/// How exact the times are at which users and keys were last there, in milliseconds: a minute. Each is a write.
const SEEN_MS: u64 = 60_000;
/// How many users and keys are remembered to have been noted within that time. Over that, some are noted more often.
const MAX_SEEN: usize = 10_000;

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

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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

/// What proving identities needs beside the records.
pub(crate) struct Access {
    pub(crate) passwords: password::Passwords,
    pub(crate) sign_ins: SignIns,
    pub(crate) rates: Rates,
    pub(crate) oidc: oidc::Providers,
    seen: Mutex<HashMap<(i64, Option<i64>), u64>>,
}

impl Access {
    pub(crate) fn new(oidc: oidc::Providers) -> Access {
        Access {
            passwords: password::Passwords::new(),
            sign_ins: SignIns::default(),
            rates: Rates::new(),
            oidc,
            seen: Mutex::default(),
        }
    }

    /// Whether it is time to note that somebody was there.
    fn is_news(&self, who: (i64, Option<i64>), now_ms: u64) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get(&who) {
            Some(noted) if now_ms.saturating_sub(*noted) < SEEN_MS => false,
            _ => {
                if seen.len() >= MAX_SEEN {
                    seen.clear();
                }
                seen.insert(who, now_ms);
                true
            }
        }
    }
}

/// The key that a request shows, in either way, if it shows one.
fn shown_key(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-api-key").map(|key| key.to_str().unwrap_or_default()).or_else(|| {
        let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    })
}

fn unknown() -> Problem {
    Problem::new(Kind::Unauthenticated, "this needs somebody who has signed in, or a key that is valid")
        .help("sign in, or send a key as `Authorization: Bearer KEY` or `x-api-key: KEY`")
}

/// The address that the request came from, where it is known.
pub(crate) fn address() -> Option<IpAddr> {
    edge::current().map(|request| request.address)
}

/// Whether a request with this method changes something.
pub(crate) fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Who asks. Found once for a request, and kept with it.
pub(crate) async fn caller(app: &App, parts: &mut Parts) -> Result<Caller, Problem> {
    if let Some(known) = parts.extensions.get::<Caller>() {
        return Ok(known.clone());
    }
    let found = find(app, parts).await?;
    let rates = &app.access().rates;
    let Some(caller) = found else {
        rates.failed(address())?;
        return Err(unknown());
    };
    rates.count(caller.user, changes(&parts.method))?;
    parts.extensions.insert(caller.clone());
    Ok(caller)
}

async fn find(app: &App, parts: &Parts) -> Result<Option<Caller>, Problem> {
    let now = now_ms();
    let (account, via) = match shown_key(&parts.headers) {
        Some(shown) => {
            let Some(key) = Key::parse(shown) else { return Ok(None) };
            let Some(account) = app.records().account_of_key(&key.hash(), now).await? else { return Ok(None) };
            let via = format!("key:{}", account.key_prefix.as_deref().unwrap_or_default());
            (account, via)
        }
        None => {
            let Some((token, session)) = session::of(app, &parts.headers).await? else { return Ok(None) };
            if changes(&parts.method) {
                csrf::check(app.public_url(), &parts.headers, &token)?;
            }
            session::keep(app, &token, &session, now);
            (session.account, "session".to_owned())
        }
    };
    if app.access().is_news((account.id, account.key), now) {
        let (records, user, key) = (app.records().clone(), account.id, account.key);
        tokio::spawn(async move {
            if let Err(error) = records.note_use(user, key, now).await {
                tracing::warn!("cannot note who was there: {error}");
            }
        });
    }
    Ok(role_of(&account).map(|role| Caller { user: account.id, name: account.name, role, via }))
}

/// What somebody may with what they have shown.
pub(crate) fn role_of(account: &Account) -> Option<Role> {
    let (of_user, of_key) = (Role::parse(&account.role)?, Role::parse(&account.key_role)?);
    Some(of_user.min(of_key))
}

async fn at_least(role: Role, app: &App, parts: &mut Parts) -> Result<Caller, Problem> {
    let caller = caller(app, parts).await?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, path::Path};

    #[test]
    fn being_there_is_noted_once_a_minute_and_by_so_many() {
        let access = Access::new(oidc::Providers::new(BTreeMap::new(), Path::new("/")).unwrap());
        let seen = || access.seen.lock().unwrap().len();
        assert!(access.is_news((1, None), 0));
        assert!(!access.is_news((1, None), SEEN_MS - 1));
        assert!(access.is_news((1, Some(7)), SEEN_MS - 1), "with a key is another");
        assert!(access.is_news((1, None), SEEN_MS));
        assert!(!access.is_news((1, None), SEEN_MS + 1));
        (2..MAX_SEEN as i64 * 2).for_each(|user| {
            assert!(access.is_news((user, None), SEEN_MS));
            assert!(seen() <= MAX_SEEN);
        });
        assert!(seen() > 1, "not forgotten at each");
    }
}
