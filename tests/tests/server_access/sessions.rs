//! Sessions: how they begin, what carries them, and what ends them.

use crate::http::{PASSWORD, Server, signed_in};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::time::{Duration, Instant, SystemTime};
use windlass_store::{
    Records,
    records::{accounts::NewSession, audit::AuditEntry},
};
use windlass_tests::files_with;

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[test]
fn a_session_and_what_ends_it() {
    let server = Server::start();
    server.person("ada", "operator");
    let answer = server.sign_in("ada", PASSWORD).is(200);
    for cookie in answer.cookies() {
        let hidden = cookie.starts_with("windlass_session=");
        assert!(cookie.contains("; Path=/; ") && cookie.contains("; SameSite=Lax"), "{cookie}");
        assert_eq!(cookie.contains("; HttpOnly"), hidden, "{cookie}");
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let (first, _) = signed_in(&answer);
    let shown = server.cookie(&first, "GET /api/v1/session").is(200).body;
    assert_eq!(
        (&shown["user"]["name"], &shown["role"], &shown["via"]),
        (&json!("ada"), &json!("operator"), &json!("session"))
    );
    assert_eq!(shown["csrf_token"], answer.body["csrf_token"]);

    // A key that is shown counts alone.
    let both = [("cookie", first.as_str()), ("x-api-key", "wlk_not-a-key")];
    server.send("GET /api/v1/session", &both, None).refused(401, "WL1501");

    // A new sign-in ends the one before, so that a cookie that somebody planted is worth nothing afterwards.
    let body = json!({ "name": "ada", "password": PASSWORD });
    let second = server.send("POST /api/v1/session", &[("cookie", &first)], Some(&body)).is(200);
    let (second, token) = signed_in(&second);
    assert_ne!(first, second);
    server.cookie(&first, "GET /api/v1/session").refused(401, "WL1501");

    // Signing out.
    let headers = [("cookie", second.as_str()), ("x-csrf-token", token.as_str())];
    let out = server.send("DELETE /api/v1/session", &headers, None).is(204);
    assert!(out.cookies().all(|cookie| cookie.contains("=; ") && cookie.contains("Max-Age=0")), "{out:?}");
    server.cookie(&second, "GET /api/v1/session").refused(401, "WL1501");

    // A new password ends every session, and needs the one before.
    let (here, token) = server.session("ada", PASSWORD);
    let (there, _) = server.session("ada", PASSWORD);
    let headers = [("cookie", here.as_str()), ("x-csrf-token", token.as_str())];
    let put = |current: &str, password: &str| {
        let body = json!({ "current": current, "password": password });
        server.send("PUT /api/v1/users/ada/password", &headers, Some(&body))
    };
    put("not the one", "another horse battery").refused(400, "WL1500");
    put(PASSWORD, "short").refused(400, "WL1500");
    put(PASSWORD, "another horse battery").is(204);
    for cookie in [&here, &there] {
        server.cookie(cookie, "GET /api/v1/session").refused(401, "WL1501");
    }
    server.sign_in("ada", PASSWORD).refused(401, "WL1501");
    let (now, _) = server.session("ada", "another horse battery");
    // It survives a crash, and nothing of it is in the files.
    let server = server.again();
    server.cookie(&now, "GET /api/v1/session").is(200);
    let value = now.split_once('=').unwrap().1;
    for secret in [PASSWORD, "another horse battery", value, &server.admin] {
        assert_eq!(files_with(server.project.home(), secret), Vec::<String>::new(), "{secret}");
    }
}

#[test]
fn who_is_disabled_or_revoked_loses_all_at_once() {
    let server = Server::start();
    server.person("ada", "operator");
    let (cookie, _) = server.session("ada", PASSWORD);
    let (id, key) = server.key_of("ada", "viewer");
    let with_key = server.send("POST /api/v1/session", &[], Some(&json!({ "key": key }))).is(200);
    assert_eq!(with_key.body["role"], "viewer", "the session may what the key may");
    let (by_key, _) = signed_in(&with_key);
    server.cookie(&by_key, "GET /api/v1/session").is(200);
    server.key(&key, "GET /api/v1/session", None).is(200);

    // The key goes, and the session that was begun with it; the other one stays.
    server.admin(&format!("DELETE /api/v1/tokens/{id}"), None).is(204);
    server.key(&key, "GET /api/v1/session", None).refused(401, "WL1501");
    server.cookie(&by_key, "GET /api/v1/session").refused(401, "WL1501");
    server.cookie(&cookie, "GET /api/v1/session").is(200);

    let (_, key) = server.key_of("ada", "viewer");
    let disable = |disabled: bool| server.admin("PATCH /api/v1/users/ada", Some(&json!({ "disabled": disabled })));
    disable(true).is(200);
    server.cookie(&cookie, "GET /api/v1/session").refused(401, "WL1501");
    server.key(&key, "GET /api/v1/session", None).refused(401, "WL1501");
    server.sign_in("ada", PASSWORD).refused(401, "WL1501");
    // Back again: the key is good, the session was ended.
    disable(false).is(200);
    server.cookie(&cookie, "GET /api/v1/session").refused(401, "WL1501");
    server.key(&key, "GET /api/v1/session", None).is(200);

    // A role that is taken away is gone with the next request.
    let (_, key) = server.key_of("ada", "operator");
    server.admin("PATCH /api/v1/users/ada", Some(&json!({ "role": "viewer" }))).is(200);
    assert_eq!(server.key(&key, "GET /api/v1/session", None).is(200).body["role"], "viewer");

    // Deleted: nothing is left but the name, which nobody gets.
    server.admin("DELETE /api/v1/users/ada", None).is(204);
    server.key(&key, "GET /api/v1/session", None).refused(401, "WL1501");
    server.admin("GET /api/v1/users/ada", None).refused(404, "WL1503");
    let again = json!({ "name": "ADA", "role": "viewer" });
    server.admin("POST /api/v1/users", Some(&again)).refused(409, "WL1504");
}

/// A session of the first administrator that was begun and last used in the past: a row like those that the server writes, as old as
/// the test wants it. Its `Cookie` header.
fn old_session(records: &Records, runtime: &tokio::runtime::Runtime, n: u8, began: u64, expires: u64) -> String {
    // 32 bytes in base64, without a sign that cookies would mind.
    let token = format!("{}A", char::from(b'a' + n).to_string().repeat(42));
    let hash = Sha256::digest(&token).into();
    let new = NewSession { user: 1, key: None, hash, at_ms: began, expires_at_ms: expires, max: 100 };
    let entry = AuditEntry {
        at_ms: began,
        actor: "admin".to_owned(),
        via: "password".to_owned(),
        action: "session.begin".to_owned(),
        target: "admin".to_owned(),
        detail: "{}".to_owned(),
        request_id: None,
        address: None,
    };
    runtime.block_on(async {
        let mut change = records.change().await.unwrap();
        change.begin_session(&new, None).await.unwrap();
        change.commit(&entry).await.unwrap();
    });
    format!("windlass_session={token}")
}

#[test]
fn a_session_ends_when_it_is_not_used_and_after_seven_days() {
    let server = Server::start();
    server.person("ada", "viewer");
    let begun = server.sign_in("ada", PASSWORD).is(200);
    let lasts = begun.body["expires_at_ms"].as_u64().unwrap() - now_ms();
    assert!(12 * HOUR - 60 * SECOND < lasts && lasts <= 12 * HOUR, "{lasts} ms");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let records = runtime.block_on(Records::open_beside(server.project.home())).unwrap();
    let session = |n, began, expires| old_session(&records, &runtime, n, began, expires);
    let is = |cookie: &str, status: u16| server.cookie(cookie, "GET /api/v1/session").is(status);
    let expires = |cookie: &str| is(cookie, 200).body["expires_at_ms"].as_u64().unwrap();
    let now = now_ms();

    // Last used twelve hours ago, and a moment less. The second is used, and lasts: it is noted aside from the answer.
    let unused = session(0, now - DAY, now - 1);
    let used = session(1, now - DAY, now + 60 * SECOND);
    is(&unused, 401).refused(401, "WL1501");
    is(&used, 200);
    let end = Instant::now() + Duration::from_secs(20);
    while expires(&used) < now + 12 * HOUR {
        assert!(Instant::now() < end, "a session that is used is extended");
        std::thread::sleep(Duration::from_millis(20));
    }
    is(&unused, 401);

    // Seven days old but for some seconds: used all the time, and over all the same.
    let oldest = session(2, now_ms() - 7 * DAY + 5 * SECOND, now_ms() + 5 * SECOND);
    let last = expires(&oldest);
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = server.cookie(&oldest, "GET /api/v1/session");
        if answer.status == 401 {
            break;
        }
        // In its last moment, it may end between who asks and what is told of it.
        let told = answer.is(200).body["expires_at_ms"].as_u64();
        assert!(told == Some(last) || told.is_none() && now_ms() >= last, "extended to {told:?}");
        assert!(Instant::now() < end, "a session goes on after seven days");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(now_ms() >= last, "not before its time");
    runtime.block_on(records.close());
}
