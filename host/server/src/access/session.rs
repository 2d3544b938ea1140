//! Sessions of browsers: a cookie with 256 bits of chance, of which a hash is kept.
//!
//! **Invariants.**
//! - Each sign-in has a token of its own, and the one that the browser had before ends with it.
//! - A session ends [`IDLE_MS`] after it was last used, and [`LONGEST_MS`] after it was begun, whatever is done with it.
//! - The cookie is for this host alone, and no script reads it.

use super::{Access, Caller, Key, csrf, role_of};
use crate::{App, Problem, clock::now_ms, problem::Kind};
use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rand::RngCore as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use windlass_store::records::accounts::{Account, NewSession, SessionOf};

/// How long a session lasts without being used, in milliseconds: 12 hours, a working day.
pub(crate) const IDLE_MS: u64 = 12 * 3_600_000;
/// How long a session lasts at most, in milliseconds: 7 days.
pub(crate) const LONGEST_MS: u64 = 7 * 24 * 3_600_000;
/// How much of its time a session has used when it is extended, in milliseconds: 5 minutes. Each extension is a write.
const EXTEND_AFTER_MS: u64 = 300_000;
/// How many sessions a user has at most: 20, more than browsers that one person uses. The oldest go.
const MAX_SESSIONS: u32 = 20;
/// What the cookie is called without TLS, where browsers refuse the other name.
const PLAIN: &str = "windlass_session";
/// What the cookie is called with TLS: a browser takes this name only from this host, with `Secure` and for all paths.
const BOUND: &str = "__Host-windlass_session";

/// What the cookie has. Never kept in the clear.
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn new() -> Token {
        let mut bytes = [0; 32];
        rand::thread_rng().fill_bytes(&mut bytes);
        Token(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    fn parse(text: &str) -> Option<Token> {
        let is_one = BASE64_URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32);
        is_one.then(|| Token(text.to_owned()))
    }

    /// What is kept of it.
    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

/// A session that was begun, with the cookies for the browser.
pub(crate) struct Begun {
    /// Who.
    pub(crate) caller: Caller,
    /// Its token, for the one that belongs to it.
    pub(crate) token: Token,
    /// When it ends by itself, in milliseconds since 1970 (UTC).
    pub(crate) expires_at_ms: u64,
    /// `Set-Cookie`.
    pub(crate) cookies: Vec<HeaderValue>,
}

/// Whether browsers reach this server by TLS.
pub(crate) fn is_secure(app: &App) -> bool {
    app.public_url().starts_with("https://")
}

/// The value of a cookie; the first, where it was sent twice.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

/// A cookie for the browser: `seconds` of life, none to take it away.
pub(crate) fn set_cookie(name: &str, value: &str, path: &str, seconds: u64, secure: bool, hidden: bool) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    let hidden = if hidden { "; HttpOnly" } else { "" };
    let text = format!("{name}={value}; Path={path}; Max-Age={seconds}; SameSite=Lax{secure}{hidden}");
    // Names are constants, values base64: cannot fail.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn name(app: &App) -> &'static str {
    if is_secure(app) { BOUND } else { PLAIN }
}

fn token_of(app: &App, headers: &HeaderMap) -> Option<Token> {
    cookie(headers, name(app)).and_then(Token::parse)
}

/// The session that a request carries, while it is valid.
pub(crate) async fn of(app: &App, headers: &HeaderMap) -> Result<Option<(Token, SessionOf)>, Problem> {
    let Some(token) = token_of(app, headers) else { return Ok(None) };
    let session = app.records().account_of_session(&token.hash(), now_ms()).await?;
    Ok(session.map(|session| (token, session)))
}

/// When a session that is used `now` ends from then on, in milliseconds since 1970 (UTC); none where that is not worth a write.
fn extended(created_at_ms: u64, expires_at_ms: u64, now: u64) -> Option<u64> {
    let until = (now + IDLE_MS).min(created_at_ms + LONGEST_MS);
    (until >= expires_at_ms + EXTEND_AFTER_MS).then_some(until)
}

/// Extends a session that is used, aside from the request.
pub(crate) fn keep(app: &App, token: &Token, session: &SessionOf, now: u64) {
    let Some(until) = extended(session.created_at_ms, session.expires_at_ms, now) else { return };
    let (records, hash) = (app.records().clone(), token.hash());
    tokio::spawn(async move {
        if let Err(error) = records.extend_session(&hash, until).await {
            tracing::warn!("cannot extend a session: {error}");
        }
    });
}

/// Begins a session for somebody who has proved who they are; `how` is for the audit.
pub(crate) async fn begin(app: &App, headers: &HeaderMap, account: &Account, how: &str) -> Result<Begun, Problem> {
    let role = role_of(account).ok_or_else(|| Problem::internal(format!("{} has no role", account.name)))?;
    let (token, now) = (Token::new(), now_ms());
    let expires_at_ms = now + IDLE_MS;
    let new = NewSession {
        user: account.id,
        key: account.key,
        hash: token.hash(),
        at_ms: now,
        expires_at_ms,
        max: MAX_SESSIONS,
    };
    let before = token_of(app, headers).map(|token| token.hash());
    let caller = Caller { user: account.id, name: account.name.clone(), role, via: "session".to_owned() };
    let mut change = app.records().change().await?;
    change.begin_session(&new, before.as_ref()).await?;
    change.commit(&caller.did("session.begin", &account.name, json!({ "with": how }))).await?;
    let secure = is_secure(app);
    let seconds = LONGEST_MS / 1000;
    let cookies = vec![
        set_cookie(name(app), token.reveal(), "/", seconds, secure, true),
        set_cookie(csrf::COOKIE, &csrf::token(&token), "/", seconds, secure, false),
    ];
    Ok(Begun { caller, token, expires_at_ms, cookies })
}

/// Ends the session that a request carries; the cookies that take the browser's away.
pub(crate) async fn end(app: &App, headers: &HeaderMap, caller: &Caller) -> Result<Vec<HeaderValue>, Problem> {
    if let Some(token) = token_of(app, headers) {
        let mut change = app.records().change().await?;
        change.end_session(&token.hash()).await?;
        change.commit(&caller.did("session.end", &caller.name, json!({}))).await?;
    }
    let secure = is_secure(app);
    Ok(vec![set_cookie(name(app), "", "/", 0, secure, true), set_cookie(csrf::COOKIE, "", "/", 0, secure, false)])
}

/// Signs in by name and password. Who has no password, is disabled, or is nobody costs the same time and gets the same answer.
pub(crate) async fn by_password(app: &App, headers: &HeaderMap, user: &str, password: &str) -> Result<Begun, Problem> {
    csrf::same_origin(app.public_url(), headers)?;
    let Access { passwords, sign_ins, .. } = app.access();
    let address = super::address();
    sign_ins.begin(user, address, now_ms())?;
    let known = app.records().user(user).await?;
    let kept = known.as_ref().filter(|user| !user.disabled).and_then(|user| user.password.clone());
    let is_right = passwords.verify(password, kept).await?;
    match known {
        Some(known) if is_right && !known.disabled => {
            sign_ins.succeeded(user, address);
            let account = Account {
                id: known.id,
                name: known.name,
                key_role: known.role.clone(),
                role: known.role,
                key: None,
                key_prefix: None,
            };
            begin(app, headers, &account, "password").await
        }
        known => {
            sign_ins.failed(user, address, now_ms());
            // What was typed as a name may be a password, so it is written down only where it is a name.
            refused(app, known.as_ref().map(|user| user.name.as_str()), "password").await?;
            Err(wrong("the name or the password is not right"))
        }
    }
}

/// Signs in by key: the session may what the key may, and ends with it.
pub(crate) async fn by_key(app: &App, headers: &HeaderMap, key: &str) -> Result<Begun, Problem> {
    csrf::same_origin(app.public_url(), headers)?;
    let account = match Key::parse(key) {
        Some(key) => app.records().account_of_key(&key.hash(), now_ms()).await?,
        None => None,
    };
    match account {
        Some(account) => begin(app, headers, &account, "key").await,
        None => {
            app.access().rates.failed(super::address())?;
            refused(app, None, "key").await?;
            Err(wrong("the key is not valid"))
        }
    }
}

fn wrong(words: &str) -> Problem {
    Problem::new(Kind::Unauthenticated, words)
        .help("try again; an administrator can set a new password, and `windlass server reset-admin` makes an administrator's key")
}

/// Writes a refused sign-in down.
async fn refused(app: &App, name: Option<&str>, with: &str) -> Result<(), Problem> {
    let nobody = Caller::system(String::new());
    app.audit(&nobody.did("session.refused", name.unwrap_or("nobody who is known"), json!({ "with": with }))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read_exactly() {
        let headers: HeaderMap =
            [(header::COOKIE, HeaderValue::from_static("a=1; windlass_session=abc; xwindlass_session=no"))]
                .into_iter()
                .collect();
        assert_eq!(cookie(&headers, PLAIN), Some("abc"));
        assert_eq!(cookie(&headers, "session"), None);
        assert_eq!(cookie(&HeaderMap::new(), PLAIN), None);
    }

    #[test]
    fn what_a_browser_is_told() {
        let told = |secure, hidden| set_cookie(PLAIN, "v", "/", 60, secure, hidden);
        assert_eq!(told(false, true), "windlass_session=v; Path=/; Max-Age=60; SameSite=Lax; HttpOnly");
        assert_eq!(told(true, false), "windlass_session=v; Path=/; Max-Age=60; SameSite=Lax; Secure");
    }

    #[test]
    fn a_session_that_is_used_is_extended_and_not_over_its_longest() {
        const BEGAN: u64 = 1_000_000_000_000;
        let last = BEGAN + LONGEST_MS;
        for (expires_at_ms, now, until) in [
            // Just begun, and used for less than is worth a write.
            (BEGAN + IDLE_MS, BEGAN, None),
            (BEGAN + IDLE_MS, BEGAN + EXTEND_AFTER_MS - 1, None),
            (BEGAN + IDLE_MS, BEGAN + EXTEND_AFTER_MS, Some(BEGAN + EXTEND_AFTER_MS + IDLE_MS)),
            // At its last moment.
            (BEGAN + IDLE_MS, BEGAN + IDLE_MS - 1, Some(BEGAN + 2 * IDLE_MS - 1)),
            // Towards the end of its days: no further than that, and then not at all.
            (last - IDLE_MS, last - IDLE_MS - 1, Some(last - 1)),
            (last - IDLE_MS, last - IDLE_MS / 2, Some(last)),
            (last, last - 1, None),
        ] {
            assert_eq!(extended(BEGAN, expires_at_ms, now), until, "{expires_at_ms} {now}");
        }
    }

    #[test]
    fn only_what_was_made_here_is_a_token() {
        let token = Token::new();
        assert!(Token::parse(token.reveal()).is_some());
        for text in ["", "abc", &format!("{}=", token.reveal()), &format!("{}AA", token.reveal())] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }
}
