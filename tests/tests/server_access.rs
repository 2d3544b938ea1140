//! Who may what at a server: sessions, keys, people, identity providers, and requests that are sent again; over HTTP, as an attacker would.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};
use windlass_tests::{Project, Running, files_with, root};

const PASSWORD: &str = "correct horse battery";

/// A real server on a home of its own.
struct Server {
    project: Project,
    running: Running,
    at: String,
    /// The first administrator's key; empty where there was one before.
    admin: String,
}

impl Server {
    fn start() -> Server {
        Server::on(Project::empty())
    }

    fn on(project: Project) -> Server {
        let is_new = !project.home().join("server.db").exists();
        let mut running = project.spawn(["server", "--listen", "127.0.0.1:0"]);
        let line = running.wait_for("http://");
        let at = line.split("http://").nth(1).unwrap().trim().to_owned();
        let admin = match is_new {
            true => running.wait_for("the first administrator's key").rsplit(' ').next().unwrap().to_owned(),
            false => String::new(),
        };
        Server { project, running, at, admin }
    }

    /// Kills it, as a crash does, and starts it again with what it has.
    fn again(mut self) -> Server {
        self.running.kill();
        let admin = self.admin;
        Server { admin, ..Server::on(self.project) }
    }

    /// `line` is the method and the target, such as `GET /api/v1/session`.
    #[track_caller]
    fn send(&self, line: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        try_send(&self.at, line, headers, body.map(|body| ("application/json", body.to_string())))
            .unwrap_or_else(|| panic!("{line}: no answer"))
    }

    #[track_caller]
    fn key(&self, key: &str, line: &str, body: Option<&Value>) -> Answer {
        self.send(line, &[("x-api-key", key)], body)
    }

    /// As the first administrator.
    #[track_caller]
    fn admin(&self, line: &str, body: Option<&Value>) -> Answer {
        self.key(&self.admin, line, body)
    }

    /// Makes a user with [`PASSWORD`].
    #[track_caller]
    fn person(&self, name: &str, role: &str) {
        let body = json!({ "name": name, "role": role, "password": PASSWORD });
        self.admin("POST /api/v1/users", Some(&body)).is(201);
    }

    /// A key of somebody, made by the administrator.
    #[track_caller]
    fn key_of(&self, name: &str, role: &str) -> (i64, String) {
        let body = json!({ "name": "a test's", "role": role, "user": name });
        let made = self.admin("POST /api/v1/tokens", Some(&body)).is(201).body;
        (made["row"]["id"].as_i64().unwrap(), made["key"].as_str().unwrap().to_owned())
    }

    #[track_caller]
    fn sign_in(&self, name: &str, password: &str) -> Answer {
        self.send("POST /api/v1/session", &[], Some(&json!({ "name": name, "password": password })))
    }

    /// A session: the `Cookie` header, and the token for changes.
    #[track_caller]
    fn session(&self, name: &str, password: &str) -> (String, String) {
        signed_in(&self.sign_in(name, password).is(200))
    }

    /// With a cookie.
    #[track_caller]
    fn cookie(&self, cookie: &str, line: &str) -> Answer {
        self.send(line, &[("cookie", cookie)], None)
    }
}

/// The `Cookie` header and the token of an answer that began a session.
fn signed_in(answer: &Answer) -> (String, String) {
    let cookie = answer.cookies().find(|each| each.starts_with("windlass_session=")).expect("a session");
    (cookie.split(';').next().unwrap().to_owned(), answer.body["csrf_token"].as_str().unwrap().to_owned())
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    text: String,
    body: Value,
}

impl Answer {
    #[track_caller]
    fn is(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Refused with this status and this code.
    #[track_caller]
    fn refused(self, status: u16, code: &str) -> Answer {
        let answer = self.is(status);
        assert_eq!(answer.body["code"], code, "{}", answer.text);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        answer
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    fn cookies(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value.as_str())
    }
}

/// One request on a connection of its own; none when the server goes away before it answers.
fn try_send(at: &str, line: &str, headers: &[(&str, &str)], body: Option<(&str, String)>) -> Option<Answer> {
    let mut stream = TcpStream::connect(at).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut text = format!("{line} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let (kind, body) = body.map_or((String::new(), String::new()), |(kind, body)| {
        (format!("content-type: {kind}\r\ncontent-length: {}\r\n", body.len()), body)
    });
    stream.write_all(format!("{text}{kind}\r\n{body}").as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let all = String::from_utf8_lossy(&bytes).into_owned();
    let (head, text) = all.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let body = serde_json::from_str(text).unwrap_or_default();
    Some(Answer { status, headers, text: text.to_owned(), body })
}

/// Which role each operation needs; `public` needs nobody. An operation that is not here fails the test: decide, and write it down.
const WHO: &[(&str, &[&str])] = &[
    (
        "public",
        &[
            "POST /api/v1/session",
            "GET /api/v1/session/ways",
            "GET /api/v1/session/oidc/{id}/start",
            "GET /api/v1/session/oidc/{id}/callback",
            "GET /health",
            "GET /health/live",
            "GET /health/ready",
            "POST /hooks/{id}",
        ],
    ),
    (
        "viewer",
        &[
            "GET /api/pipelines",
            "GET /api/pipelines/run",
            "GET /api/v1/about",
            "GET /api/v1/admin/environments",
            "GET /api/v1/admin/environments/{id}",
            "GET /api/v1/admin/environments/{id}/deployments",
            "GET /api/v1/admin/plugins",
            "GET /api/v1/admin/plugins/registry/search",
            "GET /api/v1/editor-schema",
            "GET /api/v1/gates",
            "POST /api/v1/lint",
            "GET /api/v1/market",
            "GET /api/v1/market/{namespace}/{name}",
            "GET /api/v1/module-schemas",
            "GET /api/v1/plugins",
            "GET /api/v1/plugins/{namespace}/{name}",
            "GET /api/v1/plugins/{namespace}/{name}/grants",
            "GET /api/v1/providers",
            "GET /api/v1/registries",
            "GET /api/v1/runs",
            "GET /api/v1/runs/{id}",
            "GET /api/v1/runs/{id}/artifacts",
            "GET /api/v1/runs/{id}/artifacts/{key}",
            "GET /api/v1/runs/{id}/events",
            "GET /api/v1/runs/{id}/findings",
            "GET /api/v1/runs/{id}/history",
            "GET /api/v1/runs/{id}/logs/{step}/{attempt}",
            "GET /api/v1/runs/{id}/logs/{step}/{attempt}/raw",
            "GET /api/v1/runs/{id}/logs/{step}/{attempt}/search",
            "GET /api/v1/runs/{id}/logs/{step}/{attempt}/stream",
            "GET /api/v1/runs/{id}/tests",
            "GET /api/v1/secrets",
            "DELETE /api/v1/session",
            "GET /api/v1/session",
            "GET /api/v1/tokens",
            "POST /api/v1/tokens",
            "DELETE /api/v1/tokens/{id}",
            "GET /api/v1/triggers/{id}",
            "GET /api/v1/triggers/{id}/deliveries",
            "GET /api/v1/users/{name}",
            "PUT /api/v1/users/{name}/password",
            "GET /api/v1/workflows",
            "GET /api/v1/workflows/{name}",
            "GET /api/v1/workflows/{name}/triggers",
            "GET /api/v1/workflows/{name}/versions",
            "GET /api/v1/workflows/{name}/versions/{version}",
            "GET /api/workflows",
            "GET /metrics",
            "GET /v1/workflows/executions/{id}",
        ],
    ),
    (
        "operator",
        &[
            "DELETE /api/pipelines",
            "POST /api/pipelines",
            "PUT /api/pipelines",
            "POST /api/pipelines/run",
            "POST /api/v1/admin/environments/{id}/deployments",
            "POST /api/v1/admin/environments/{id}/rollback",
            "POST /api/v1/admin/environments/{id}/test",
            "POST /api/v1/gates/{run}/{step}",
            "POST /api/v1/runs/{id}/cancel",
            "POST /api/v1/runs/{id}/decide",
            "POST /api/v1/runs/{id}/rerun",
            "POST /api/v1/runs/{id}/signal",
            "DELETE /api/v1/secrets/{engine}/{path}",
            "PUT /api/v1/secrets/{engine}/{path}",
            "DELETE /api/v1/triggers/{id}",
            "PATCH /api/v1/triggers/{id}",
            "POST /api/v1/triggers/{id}/deliveries/{delivery}/redeliver",
            "POST /api/v1/triggers/{id}/rotate",
            "POST /api/v1/workflows",
            "POST /api/v1/workflows/{name}/runs",
            "POST /api/v1/workflows/{name}/triggers",
            "DELETE /api/workflows",
            "POST /api/workflows",
            "PUT /api/workflows",
        ],
    ),
    (
        "admin",
        &[
            "POST /api/v1/admin/environments",
            "DELETE /api/v1/admin/environments/{id}",
            "PUT /api/v1/admin/environments/{id}",
            "POST /api/v1/admin/plugins/registry/install",
            "DELETE /api/v1/admin/plugins/{name}",
            "GET /api/v1/audit",
            "POST /api/v1/plugins",
            "POST /api/v1/plugins/plan",
            "DELETE /api/v1/plugins/{namespace}/{name}",
            "PUT /api/v1/plugins/{namespace}/{name}/grants",
            "GET /api/v1/users",
            "POST /api/v1/users",
            "DELETE /api/v1/users/{name}",
            "PATCH /api/v1/users/{name}",
            "DELETE /api/v1/workflows/{name}",
        ],
    ),
];

/// The operations of the document that the server itself gives.
fn operations(server: &Server) -> BTreeSet<String> {
    let document = server.send("GET /api/v1/openapi.json", &[], None).is(200).body;
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    all.collect()
}

/// The operation on things that are not there.
fn target(operation: &str) -> String {
    let parts = operation.split('/').map(|part| match part {
        "{attempt}" | "{version}" | "{delivery}" => "9999",
        part if part.starts_with('{') => "nobody-has-this",
        part => part,
    });
    let target = parts.collect::<Vec<_>>().join("/");
    // A key's id is a number.
    target.replace("tokens/nobody-has-this", "tokens/999999")
}

#[test]
fn every_operation_asks_for_its_role() {
    let server = Server::start();
    let listed: BTreeSet<String> =
        WHO.iter().flat_map(|(_, operations)| *operations).map(|each| (*each).to_owned()).collect();
    assert_eq!(
        operations(&server),
        listed,
        "an operation without an entry in this table, or an entry without an operation"
    );

    let ranks = ["public", "viewer", "operator", "admin"];
    let keys = ["viewer", "operator", "admin"].map(|role| {
        let body = json!({ "name": role, "role": role });
        server.admin("POST /api/v1/tokens", Some(&body)).is(201).body["key"].as_str().unwrap().to_owned()
    });
    let rank = |role: &str| ranks.iter().position(|each| *each == role).unwrap();
    for (needed, operations) in WHO {
        for operation in *operations {
            let line = target(operation);
            // Of what needs nobody, webhooks prove themselves in another way.
            if *needed == "public" && *operation == "POST /hooks/{id}" {
                continue;
            }
            let body = json!({});
            let body = (!line.starts_with("GET") && !line.starts_with("DELETE")).then_some(&body);
            let anonymous = server.send(&line, &[], body);
            assert_eq!(anonymous.status == 401, *needed != "public", "{line} as nobody: {}", anonymous.text);
            for (role, key) in ranks.iter().skip(1).zip(&keys) {
                let answer = server.key(key, &line, body);
                let is_refused = answer.status == 403 && answer.body["code"] == "WL1502";
                assert_eq!(
                    is_refused,
                    rank(role) < rank(needed),
                    "{line} as {role}: {} {}",
                    answer.status,
                    answer.text
                );
                assert_ne!(answer.status, 401, "{line} as {role}");
            }
        }
    }
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
fn a_change_with_a_cookie_comes_from_our_own_pages() {
    let server = Server::start();
    server.person("ada", "admin");
    server.person("bob", "admin");
    let (cookie, token) = server.session("ada", PASSWORD);
    let (_, others) = server.session("bob", PASSWORD);
    let ours = format!("http://{}", server.at);
    let mut n = 0;
    let mut attempt = |more: &[(&str, &str)]| {
        n += 1;
        let headers = [&[("cookie", cookie.as_str())], more].concat();
        server.send("POST /api/v1/users", &headers, Some(&json!({ "name": format!("u{n}"), "role": "viewer" })))
    };
    attempt(&[]).refused(403, "WL1520");
    attempt(&[("x-csrf-token", "")]).refused(403, "WL1520");
    attempt(&[("x-csrf-token", &others)]).refused(403, "WL1520");
    attempt(&[("x-csrf-token", &token), ("origin", "https://evil.example")]).refused(403, "WL1520");
    attempt(&[("x-csrf-token", &token), ("origin", "null")]).refused(403, "WL1520");
    attempt(&[("x-csrf-token", &token), ("sec-fetch-site", "cross-site")]).refused(403, "WL1520");
    attempt(&[("x-csrf-token", &token), ("sec-fetch-site", "same-site")]).refused(403, "WL1520");
    // A form of another site cannot send JSON, and what it can send is not read.
    let form = ("application/x-www-form-urlencoded", "name=x&role=admin".to_owned());
    let headers = [("cookie", cookie.as_str()), ("x-csrf-token", token.as_str())];
    let answer = try_send(&server.at, "POST /api/v1/users", &headers, Some(form)).unwrap();
    answer.refused(415, "WL1507");
    attempt(&[("x-csrf-token", &token)]).is(201);
    attempt(&[("x-csrf-token", &token), ("origin", &ours), ("sec-fetch-site", "same-origin")]).is(201);
    let made = server.admin("GET /api/v1/users", None).is(200).body["items"].as_array().unwrap().len();
    assert_eq!(made, 5, "the administrator, ada, bob, and two");
    // Nobody is signed in from another site, either: that would be somebody else's account in this browser.
    let body = json!({ "name": "ada", "password": PASSWORD });
    let evil = [("origin", "https://evil.example")];
    server.send("POST /api/v1/session", &evil, Some(&body)).refused(403, "WL1520");
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

#[test]
fn the_last_administrator_stays_and_a_lost_key_is_made_anew() {
    let server = Server::start();
    for (line, body) in [
        ("DELETE /api/v1/users/admin", None),
        ("PATCH /api/v1/users/admin", Some(json!({ "disabled": true }))),
        ("PATCH /api/v1/users/admin", Some(json!({ "role": "operator" }))),
    ] {
        server.admin(line, body.as_ref()).refused(409, "WL1525");
    }
    // One who is disabled does not count.
    server.person("ada", "admin");
    server.admin("PATCH /api/v1/users/ada", Some(&json!({ "disabled": true }))).is(200);
    server.admin("DELETE /api/v1/users/admin", None).refused(409, "WL1525");
    server.admin("PATCH /api/v1/users/ada", Some(&json!({ "disabled": false }))).is(200);
    server.admin("PATCH /api/v1/users/admin", Some(&json!({ "disabled": true }))).is(200);

    let refused = server.project.windlass(["server", "reset-admin"]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("is in use by"), "{}", refused.stderr);
    let Server { project, mut running, .. } = server;
    running.kill();
    let printed = project.windlass(["server", "reset-admin"]).ok().stdout;
    let key = printed.trim().rsplit(' ').next().unwrap();
    assert!(printed.starts_with("the key of admin"), "{printed}");
    let server = Server::on(project);
    assert_eq!(server.key(key, "GET /api/v1/session", None).is(200).body["role"], "admin");
    let audit = server.key(key, "GET /api/v1/audit?action=user.restore", None).is(200).body;
    assert_eq!(audit["items"][0]["target"], "admin");
}

#[test]
fn what_somebody_may_not_see_is_not_there() {
    let server = Server::start();
    server.person("ada", "operator");
    server.person("bob", "operator");
    server.person("eve", "admin");
    let (bobs, _) = server.key_of("bob", "viewer");
    let (_, ada) = server.key_of("ada", "operator");
    let nobody = server.key(&ada, "GET /api/v1/users/nobody-at-all", None).refused(404, "WL1503").text;
    let somebody = server.key(&ada, "GET /api/v1/users/bob", None).refused(404, "WL1503").text;
    assert_eq!(nobody.replace("nobody-at-all", "bob"), somebody, "the answer tells nothing");
    server.key(&ada, "GET /api/v1/users/ADA", None).is(200);
    let password = json!({ "password": "another horse battery" });
    server.key(&ada, "PUT /api/v1/users/bob/password", Some(&password)).refused(404, "WL1503");
    server.key(&ada, "PUT /api/v1/users/ada/password", Some(&password)).refused(400, "WL1500");
    server.key(&ada, &format!("DELETE /api/v1/tokens/{bobs}"), None).refused(404, "WL1503");
    server.key(&ada, "GET /api/v1/tokens?all=true", None).refused(403, "WL1502");
    let own = server.key(&ada, "GET /api/v1/tokens", None).is(200).body;
    assert!(own.as_array().unwrap().iter().all(|key| key["user"] == "ada"), "{own}");
    let make = |key: &str, body: Value| server.key(key, "POST /api/v1/tokens", Some(&body));
    make(&ada, json!({ "name": "x", "role": "viewer", "user": "bob" })).refused(404, "WL1503");
    make(&ada, json!({ "name": "x", "role": "admin" })).refused(400, "WL1500");
    make(&server.admin, json!({ "name": "x", "role": "admin", "user": "bob" })).refused(400, "WL1500");
    for days in [0, 367] {
        make(&ada, json!({ "name": "x", "role": "viewer", "days": days })).refused(400, "WL1500");
    }
    make(&ada, json!({ "name": "x", "role": "viewer", "days": 366 })).is(201);

    // A key with a smaller role than its user's changes nothing of the account: neither a password nor other keys.
    let (_, small) = server.key_of("eve", "viewer");
    server.key(&small, "GET /api/v1/users", None).refused(403, "WL1502");
    make(&small, json!({ "name": "x", "role": "viewer" })).refused(403, "WL1502");
    let change = json!({ "current": PASSWORD, "password": "another horse battery" });
    server.key(&small, "PUT /api/v1/users/eve/password", Some(&change)).refused(403, "WL1502");
    server.sign_in("eve", PASSWORD).is(200);

    // No name breaks out of where it stands.
    for name in ["", "a b", "../x", "<img src=x>", "x\r\nSet-Cookie: a=b", "trigger:1", "system", &"x".repeat(65)] {
        let body = json!({ "name": name, "role": "viewer" });
        server.admin("POST /api/v1/users", Some(&body)).refused(400, "WL1500");
    }
    let unknown = json!({ "name": "x", "role": "viewer", "admin": true });
    server.admin("POST /api/v1/users", Some(&unknown)).refused(400, "WL1500");
}

#[test]
fn wrong_passwords_make_one_wait() {
    let server = Server::start();
    server.person("ada", "viewer");
    server.person("bob", "viewer");
    let wrong = server.sign_in("ada", "not the password").refused(401, "WL1501").text;
    let nobody = server.sign_in("not-a-user", "not the password").refused(401, "WL1501").text;
    assert_eq!(wrong, nobody, "the answer does not tell who is there");
    for _ in 0..4 {
        server.sign_in("Ada", "not the password").refused(401, "WL1501");
    }
    let waits = server.sign_in("ada", PASSWORD).refused(429, "WL1508");
    let seconds: u64 = waits.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
    server.sign_in("bob", PASSWORD).is(200);
    // Whoever waits for so long gets in, and begins anew.
    std::thread::sleep(Duration::from_secs(seconds));
    server.sign_in("ada", PASSWORD).is(200);
    server.sign_in("ada", "not the password").refused(401, "WL1501");

    let audit = server.admin("GET /api/v1/audit?action=session.refused", None).is(200);
    let targets: Vec<&str> =
        audit.body["items"].as_array().unwrap().iter().map(|row| row["target"].as_str().unwrap()).collect();
    assert_eq!(targets.iter().filter(|target| **target == "ada").count(), 6, "{targets:?}");
    assert!(!audit.text.contains("not-a-user"), "what was typed as a name may be a password");
    for body in [json!({}), json!({ "name": "ada" }), json!({ "name": "ada", "password": "x", "key": "y" })] {
        server.send("POST /api/v1/session", &[], Some(&body)).refused(400, "WL1500");
    }
}

#[test]
fn a_request_that_is_sent_again_has_its_effect_once() {
    let server = Server::start();
    let post = |server: &Server, key: &str, name: &str| {
        let headers = [("x-api-key", server.admin.as_str()), ("idempotency-key", key)];
        server.send("POST /api/v1/users", &headers, Some(&json!({ "name": name, "role": "viewer" })))
    };
    let first = post(&server, "k1", "ada").is(201);
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = post(&server, "k1", "ada").is(201);
    assert_eq!((again.header("idempotency-replayed"), &again.text), (Some("true"), &first.text));
    assert_eq!(again.header("content-type"), first.header("content-type"));
    post(&server, "k1", "bob").refused(422, "WL1505");
    // A refusal is an answer, too.
    let taken = post(&server, "k2", "ada").refused(409, "WL1504").text;
    assert_eq!(post(&server, "k2", "ada").refused(409, "WL1504").text, taken);
    post(&server, &"x".repeat(256), "bob").refused(400, "WL1500");
    post(&server, "", "bob").refused(400, "WL1500");
    let nobody = [("idempotency-key", "k1")];
    let body = json!({ "name": "ada", "role": "viewer" });
    server.send("POST /api/v1/users", &nobody, Some(&body)).refused(401, "WL1501");
    // Another person's key is another key.
    server.person("eve", "admin");
    let (_, eve) = server.key_of("eve", "admin");
    let headers = [("x-api-key", eve.as_str()), ("idempotency-key", "k1")];
    server.send("POST /api/v1/users", &headers, Some(&json!({ "name": "zoe", "role": "viewer" }))).is(201);

    // What is secret is not kept: where an answer has one, the header has no effect.
    let token = |key| {
        let headers = [("x-api-key", server.admin.as_str()), ("idempotency-key", key)];
        let made =
            server.send("POST /api/v1/tokens", &headers, Some(&json!({ "name": "x", "role": "viewer" }))).is(201);
        made.body["key"].as_str().unwrap().to_owned()
    };
    let tokens = [token("k3"), token("k3")];
    assert_ne!(tokens[0], tokens[1]);

    // The same ones at once: one of them is carried out.
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let each: Vec<_> = (0..8).map(|_| scope.spawn(|| post(&server, "k4", "ivy").status)).collect();
        each.into_iter().map(|each| each.join().unwrap()).collect()
    });
    assert!(statuses.contains(&201) && statuses.iter().all(|status| [201, 409].contains(status)), "{statuses:?}");
    assert_eq!(post(&server, "k4", "ivy").is(201).header("idempotency-replayed"), Some("true"));

    // Over a restart.
    let mut server = server.again();
    assert_eq!(post(&server, "k1", "ada").is(201).text, first.text);
    for key in &tokens {
        assert_eq!(files_with(server.project.home(), key), Vec::<String>::new());
    }

    // A crash between effect and answer: nobody guesses.
    server.running.kill();
    server.project.set_env("FAILPOINTS", "records::before-answer=return");
    let mut server = server.again();
    let headers = [("x-api-key", server.admin.as_str()), ("idempotency-key", "k5")];
    let body = json!({ "name": "kim", "role": "viewer" });
    let lost = try_send(&server.at, "POST /api/v1/users", &headers, Some(("application/json", body.to_string())));
    assert!(lost.is_none(), "{lost:?}");
    server.running.end();
    server.project.set_env("FAILPOINTS", "");
    let server = server.again();
    post(&server, "k5", "kim").refused(409, "WL1524");
    server.admin("GET /api/v1/users/kim", None).is(200);
}

#[test]
fn every_change_is_in_the_audit() {
    let server = Server::start();
    server.person("ada", "operator");
    server.admin("PATCH /api/v1/users/ada", Some(&json!({ "role": "admin" }))).is(200);
    let (id, key) = server.key_of("ada", "admin");
    server
        .key(
            &key,
            "PUT /api/v1/users/ada/password",
            Some(&json!({ "current": PASSWORD, "password": "another horse battery" })),
        )
        .is(204);
    server.admin(&format!("DELETE /api/v1/tokens/{id}"), None).is(204);
    server.admin("DELETE /api/v1/users/ada", None).is(204);

    let list = |query: &str| server.admin(&format!("GET /api/v1/audit{query}"), None).is(200);
    let all = list("");
    let rows: Vec<(&str, &str, &str)> = all.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["actor"].as_str().unwrap(), row["action"].as_str().unwrap(), row["target"].as_str().unwrap()))
        .collect();
    let id = id.to_string();
    let expected = [
        ("admin", "user.delete", "ada"),
        ("admin", "key.delete", &id),
        ("ada", "user.set-password", "ada"),
        ("admin", "key.create", &id),
        ("admin", "user.change", "ada"),
        ("admin", "user.create", "ada"),
    ];
    assert_eq!(rows, expected);
    assert!(!all.text.contains("horse") && !all.text.contains(&key), "no secrets: {}", all.text);

    // Pages, and what is looked for.
    let (mut seen, mut cursor) = (0, String::new());
    loop {
        let page = list(&format!("?limit=4{cursor}"));
        seen += page.body["items"].as_array().unwrap().len();
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, expected.len());
    for (query, count) in
        [("?action=user.", 4), ("?action=key.create", 1), ("?actor=ada", 1), ("?target=ada", 4), ("?actor=x", 0)]
    {
        assert_eq!(list(query).body["items"].as_array().unwrap().len(), count, "{query}");
    }
    for query in ["?limit=0", "?limit=201", "?cursor=x"] {
        server.admin(&format!("GET /api/v1/audit{query}"), None).refused(400, "WL1500");
    }
}

/// A provider of OpenID Connect; ended when it is dropped.
struct Provider(Child);

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Provider {
    fn start(port: u16, redirect: &str, people: &std::path::Path) -> Provider {
        let folder = root().join("tests/oidc");
        assert!(folder.join("node_modules").is_dir(), "the provider is not there. Run: make setup-tests");
        let mut command = Command::new("node");
        command.arg("provider.mjs").arg(port.to_string()).arg(redirect).arg(people).current_dir(folder);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("node starts");
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        assert!(line.contains("the provider listens"), "{line}");
        Provider(child)
    }
}

/// What of a browser a sign-in needs: cookies by host and path, and redirects.
#[derive(Default)]
struct Browser {
    /// Name, path, value. Hosts are one: cookies know no ports.
    jar: Vec<(String, String, String)>,
}

impl Browser {
    /// Goes to an address, and wherever it leads, but no further than where `until` stands in it; the last answer and its address.
    fn go(&mut self, url: &str, form: Option<&str>, until: &str) -> (String, Answer) {
        let (mut url, mut form) = (url.to_owned(), form.map(str::to_owned));
        for _ in 0..10 {
            let rest = url.strip_prefix("http://").unwrap();
            let (host, path) =
                rest.split_once('/').map_or((rest, "/".to_owned()), |(host, path)| (host, format!("/{path}")));
            let cookies: Vec<String> = self
                .jar
                .iter()
                .filter(|(_, at, _)| path.starts_with(at.as_str()))
                .map(|(name, _, value)| format!("{name}={value}"))
                .collect();
            let cookies = cookies.join("; ");
            let headers = [("cookie", cookies.as_str()), ("accept", "text/html")];
            let line = format!("{} {path}", if form.is_some() { "POST" } else { "GET" });
            let body = form.take().map(|form| ("application/x-www-form-urlencoded", form));
            let answer = try_send(host, &line, &headers, body).expect("an answer");
            for cookie in answer.cookies() {
                let (pair, facts) = cookie.split_once(';').unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                let path = facts.split("ath=").nth(1).unwrap().split(';').next().unwrap();
                self.jar.retain(|(each, at, _)| (each.as_str(), at.as_str()) != (name, path));
                if !value.is_empty() {
                    self.jar.push((name.to_owned(), path.to_owned(), value.to_owned()));
                }
            }
            let Some(next) = answer.header("location").filter(|_| answer.status == 303) else { return (url, answer) };
            let next = if next.starts_with('/') { format!("http://{host}{next}") } else { next.to_owned() };
            if next.contains(until) {
                return (next, answer);
            }
            url = next;
        }
        panic!("it leads in a circle: {url}");
    }

    /// Signs in as `who` at the provider; where that leads back to.
    fn sign_in(&mut self, start: &str, who: &str) -> (String, Answer) {
        let (login, page) = self.go(start, None, "/callback");
        assert!(page.status == 200 && login.contains("/interaction/"), "{login}: {}", page.text);
        let (consent, page) = self.go(&login, Some(&format!("prompt=login&login={who}&password=x")), "/callback");
        assert!(page.status == 200 && consent.contains("/interaction/"), "{consent}: {}", page.text);
        self.go(&consent, Some("prompt=consent"), "/callback")
    }
}

#[test]
fn a_person_of_an_identity_provider() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = Project::empty();
    std::fs::create_dir_all(project.home()).unwrap();
    let config = format!(
        "[oidc.acme]\nlabel = 'Acme'\nissuer = 'http://127.0.0.1:{port}'\nclient_id = 'windlass'\nclient_secret_file = 'acme.secret'\n\
         role_claim = 'groups'\nroles = {{ ci-admins = 'admin', ci = 'operator' }}\nallowed_domains = ['example.com']\n"
    );
    std::fs::write(project.home().join("server.toml"), config).unwrap();
    std::fs::write(project.home().join("acme.secret"), "a secret of the tests\n").unwrap();
    let server = Server::on(project);
    let people = server.project.folder().join("people.json");
    let say = |groups: Value, verified: bool| {
        let person = |name: &str| json!({ "name": name, "groups": groups, "email": "ada@example.com", "email_verified": verified });
        let all =
            json!({ "ada": person("Ada Lovelace"), "admin": person("Not the administrator"), "<b>": person("Markup") });
        std::fs::write(&people, all.to_string()).unwrap();
    };
    say(json!(["ci", "others"]), true);
    let here = format!("http://{}", server.at);
    let callback = format!("{here}/api/v1/session/oidc/acme/callback");
    // Before the provider is there.
    server.send("GET /api/v1/session/oidc/acme/start", &[], None).refused(502, "WL1510");
    let _provider = Provider::start(port, &callback, &people);

    let ways = server.send("GET /api/v1/session/ways", &[], None).is(200).body;
    let start = format!("{here}{}", ways["oidc"][0]["url"].as_str().unwrap());
    assert_eq!(ways["oidc"][0]["label"], "Acme");

    // Nowhere else than here.
    for place in [
        "//evil.example",
        "/%5Cevil.example",
        "https:%2F%2Fevil.example",
        "javascript:alert(1)",
        "%2F%09%2Fevil.example",
    ] {
        let line = format!("GET /api/v1/session/oidc/acme/start?return_to={place}");
        server.send(&line, &[], None).refused(400, "WL1500");
    }
    server.send("GET /api/v1/session/oidc/other/start", &[], None).refused(404, "WL1503");

    let mut browser = Browser::default();
    let (back, _) = browser.sign_in(&format!("{start}?return_to=/runs%3Fmine"), "ada");
    assert!(back.starts_with(&callback), "{back}");
    // The answer is of use in this browser alone, and for this sign-in alone.
    let (strange, answer) = Browser::default().go(&back, None, "/sign-in");
    assert!(strange.ends_with("/sign-in?error=WL1522"), "{strange}");
    assert_eq!(answer.cookies().count(), 0, "no session");
    let forged = back.replace("state=", "state=x");
    let (strange, _) = browser.go(&forged, None, "/sign-in");
    assert!(strange.ends_with("/sign-in?error=WL1522"), "{strange}");
    let (place, answer) = browser.go(&back, None, "/runs");
    assert_eq!(place, format!("{here}/runs?mine"), "{}", answer.text);
    let (_, shown) = browser.go(&format!("{here}/api/v1/session"), None, "/sign-in");
    let shown = shown.is(200).body;
    assert_eq!((&shown["user"]["name"], &shown["role"]), (&json!("ada"), &json!("operator")));
    assert_eq!(
        (&shown["user"]["display_name"], &shown["user"]["has_password"]),
        (&json!("Ada Lovelace"), &json!(false))
    );
    // The code was used.
    let (strange, _) = browser.go(&back, None, "/sign-in");
    assert!(strange.contains("/sign-in?error=WL15"), "{strange}");

    // What the provider says counts at each sign-in, and the person stays one.
    let sign_in = |who: &str| {
        let mut browser = Browser::default();
        let (back, _) = browser.sign_in(&start, who);
        let (place, _) = browser.go(&back, None, "\0");
        let (_, shown) = browser.go(&format!("{here}/api/v1/session"), None, "\0");
        (place, shown.body["user"]["name"].clone(), shown.body["role"].clone())
    };
    say(json!("ci-admins"), true);
    assert_eq!(sign_in("ada"), (format!("{here}/"), json!("ada"), json!("admin")));
    // A name is not an identity: whoever is called as somebody here is somebody else.
    assert_eq!(sign_in("admin").1, json!("admin-2"));
    assert_eq!(sign_in("%3Cb%3E").1, json!("b"));
    // No role, no verified address, disabled: not admitted.
    say(json!(["others"]), true);
    assert!(sign_in("ada").0.ends_with("/sign-in?error=WL1521"));
    say(json!(["ci"]), false);
    assert!(sign_in("ada").0.ends_with("/sign-in?error=WL1521"));
    say(json!(["ci"]), true);
    server.admin("PATCH /api/v1/users/ada", Some(&json!({ "disabled": true }))).is(200);
    assert!(sign_in("ada").0.ends_with("/sign-in?error=WL1521"));
    // A deleted one is a new person, with a new name.
    server.admin("DELETE /api/v1/users/ada", None).is(204);
    assert_eq!(sign_in("ada").1, json!("ada-2"));
    let audit = server.admin("GET /api/v1/audit?action=session.begin&actor=ada-2", None).is(200).body;
    assert_eq!(audit["items"][0]["detail"]["with"], "oidc:acme");
}
