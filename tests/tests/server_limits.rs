//! How much a server takes: each limit at its edge and one over it, over HTTP. What one crate alone can show stands beside its code;
//! `docs/limits.md` has them all.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use serde_json::{Value, json};
use windlass_tests::{Client, Project, Reply, Server};

const QUICK: &str =
    "name: quick\nsteps:\n  - { name: check, type: step.gate, config: { type: automated, conditions: [1 > 0] } }\n";

fn text(length: usize) -> String {
    "x".repeat(length)
}

/// What is sent where, with something of a size in it.
struct Sized {
    what: &'static str,
    line: &'static str,
    /// The largest that is taken.
    most: usize,
    body: fn(usize) -> Value,
    /// Its status where it is taken.
    fits: u16,
    /// What the refusal points at.
    pointer: &'static str,
}

fn trigger(spec: Value) -> Value {
    json!({ "name": "t", "spec": spec })
}

fn github(more: Value) -> Value {
    let mut spec = json!({ "kind": "github", "events": ["push"] });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    trigger(spec)
}

/// Inputs of a trigger that are so many bytes as JSON: `{"n":"x…"}`.
fn inputs(bytes: usize) -> Value {
    trigger(json!({ "kind": "webhook", "inputs": { "n": text(bytes - 8) } }))
}

const TRIGGERS: &str = "POST /api/v1/workflows/quick/triggers";

const SIZED: &[Sized] = &[
    Sized {
        what: "a key's name",
        line: "POST /api/v1/tokens",
        most: 100,
        body: |n| json!({ "name": text(n), "role": "viewer" }),
        fits: 201,
        pointer: "/name",
    },
    Sized {
        what: "a key's days",
        line: "POST /api/v1/tokens",
        most: 366,
        body: |n| json!({ "name": "k", "role": "viewer", "days": n }),
        fits: 201,
        pointer: "/days",
    },
    Sized {
        what: "a user's name",
        line: "POST /api/v1/users",
        most: 64,
        body: |n| json!({ "name": text(n), "role": "viewer" }),
        fits: 201,
        pointer: "/name",
    },
    Sized {
        what: "a password",
        line: "POST /api/v1/users",
        most: 1024,
        body: |n| json!({ "name": format!("u{n}"), "role": "viewer", "password": format!("{}y", text(n - 1)) }),
        fits: 201,
        pointer: "/password",
    },
    Sized {
        what: "the message of a version",
        line: "POST /api/v1/workflows",
        most: 500,
        body: |n| json!({ "yaml": QUICK, "message": text(n) }),
        fits: 200,
        pointer: "/message",
    },
    Sized {
        what: "a trigger's name",
        line: TRIGGERS,
        most: 100,
        body: |n| json!({ "name": text(n), "spec": { "kind": "webhook" } }),
        fits: 201,
        pointer: "/name",
    },
    Sized {
        what: "globs",
        line: TRIGGERS,
        most: 100,
        body: |n| github(json!({ "branches": vec!["main"; n] })),
        fits: 201,
        pointer: "/spec/branches",
    },
    Sized {
        what: "a glob",
        line: TRIGGERS,
        most: 512,
        body: |n| github(json!({ "paths": [text(n)] })),
        fits: 201,
        pointer: "/spec/paths",
    },
    Sized {
        what: "inputs of a trigger",
        line: TRIGGERS,
        most: 64 * 1024,
        body: inputs,
        fits: 201,
        pointer: "/spec/inputs",
    },
    Sized {
        what: "how many inputs of a trigger",
        line: TRIGGERS,
        most: 100,
        body: |n| {
            let inputs: serde_json::Map<String, Value> = (0..n).map(|n| (format!("i{n}"), json!(n))).collect();
            trigger(json!({ "kind": "webhook", "inputs": inputs }))
        },
        fits: 201,
        pointer: "/spec/inputs",
    },
    Sized {
        what: "a schedule",
        line: TRIGGERS,
        most: 200,
        body: |n| trigger(json!({ "kind": "schedule", "cron": format!("0 0 1 1 *{}", " ".repeat(n - 9)) })),
        fits: 201,
        pointer: "/spec/cron",
    },
    Sized {
        what: "an image's reference",
        line: "POST /api/v1/admin/environments/env-nobody/deployments",
        most: 512,
        body: |n| json!({ "image": text(n) }),
        fits: 404,
        pointer: "/image",
    },
    Sized {
        what: "what is said of a failed step",
        line: "POST /api/pipelines/run",
        most: 2_000,
        body: |n| json!({ "action": "advance", "run_id": 999, "success": false, "error": text(n) }),
        fits: 404,
        pointer: "/error",
    },
];

fn send(client: &Client, line: &str, body: &Value) -> Reply {
    let (method, path) = line.split_once(' ').unwrap();
    client.send_json(method, path, body)
}

#[track_caller]
fn points_at(reply: &Reply, pointer: &str) {
    let errors = reply.body["errors"].as_array().cloned().unwrap_or_default();
    assert!(errors.iter().any(|error| error["pointer"] == pointer), "{pointer}: {}", reply.text());
}

#[test]
fn what_is_sent_has_a_largest_size() {
    let server = Server::with(Project::empty(), &[]);
    let admin = server.admin();
    admin.post("/api/v1/workflows", json!({ "yaml": QUICK })).expect(201);
    for Sized { what, line, most, body, fits, pointer } in SIZED {
        let taken = send(&admin, line, &body(*most));
        assert_eq!(taken.status, *fits, "{what} of {most}: {}", taken.text());
        let refused = send(&admin, line, &body(most + 1));
        assert_eq!(refused.status, 400, "{what} of {}: {}", most + 1, refused.text());
        points_at(&refused, pointer);
    }
    // Any body: 4 MiB are read, of a JSON text that means nothing here.
    for (bytes, status, code) in [(4 << 20, 400, "WL1500"), ((4 << 20) + 1, 413, "WL1506")] {
        let body = format!("{{\"x\":\"{}\"}}", text(bytes - 8)).into_bytes();
        assert_eq!(body.len(), bytes);
        let reply = admin.with("content-type", "application/json").send("POST", "/api/v1/lint", Some(body));
        assert_eq!((reply.status, &reply.body["code"]), (status, &json!(code)), "{bytes}");
    }
}

#[test]
fn so_many_keys_and_sessions_has_a_user() {
    let server = Server::with(Project::empty(), &[]);
    let admin = server.admin();
    admin.post("/api/v1/users", json!({ "name": "ada", "role": "viewer" })).expect(201);
    let key =
        |n: usize| admin.post("/api/v1/tokens", json!({ "name": format!("k{n}"), "role": "viewer", "user": "ada" }));
    let keys: Vec<Reply> = (0..100).map(|n| key(n).expect(201)).collect();
    let full = key(100).expect(409);
    assert!(full.text().contains("ada has 100 keys already"), "{}", full.text());
    // Another user's are counted apart, and there is room again when one is ended.
    admin.post("/api/v1/tokens", json!({ "name": "mine", "role": "viewer" })).expect(201);
    admin.delete(&format!("/api/v1/tokens/{}", keys[0].body["row"]["id"])).expect(204);
    key(101).expect(201);

    let secret = &keys[1].body["key"];
    let cookie = |reply: Reply| {
        let (_, cookie) = reply.headers.iter().find(|(name, _)| name == "set-cookie").unwrap().clone();
        cookie.split(';').next().unwrap().to_owned()
    };
    let begin = || cookie(server.nobody().post("/api/v1/session", json!({ "key": secret })).expect(200));
    let sessions: Vec<String> = (0..20).map(|_| begin()).collect();
    let is =
        |cookie: &String, status: u16| server.nobody().with("cookie", cookie).get("/api/v1/session").expect(status);
    sessions.iter().for_each(|cookie| drop(is(cookie, 200)));
    let newest = begin();
    is(&sessions[0], 401);
    sessions[1..].iter().chain([&newest]).for_each(|cookie| drop(is(cookie, 200)));
}

#[test]
fn lists_have_pages() {
    let server = Server::with(Project::empty(), &[]);
    let admin = server.admin();
    for n in 0..201 {
        admin.post("/api/v1/users", json!({ "name": format!("u{n}"), "role": "viewer" })).expect(201);
    }
    for (query, items) in [("", 50), ("?limit=1", 1), ("?limit=200", 200)] {
        let page = admin.get(&format!("/api/v1/users{query}")).expect(200).body;
        assert_eq!(
            (page["items"].as_array().unwrap().len(), page["next_cursor"].is_string()),
            (items, true),
            "{query}"
        );
    }
    for path in ["/api/v1/users?limit=201", "/api/v1/users?limit=0", "/api/pipelines/run?limit=201"] {
        points_at(&admin.get(path).expect(400), "?limit");
    }
    admin.get("/api/pipelines/run?limit=200").expect(200);
}

#[test]
fn an_answer_that_is_too_large_is_not_kept() {
    let server = Server::with(Project::empty(), &[]);
    let admin = server.admin();
    // Each unknown key is a problem of its own: the answer is long.
    let unknown = |count: usize| (0..count).map(|n| format!("unknown_key_{n}: 1\n")).collect::<String>();
    let post = |key: &str, count: usize| {
        let yaml = format!("{QUICK}{}", unknown(count));
        admin.with("idempotency-key", key).post("/api/v1/workflows", json!({ "yaml": yaml }))
    };
    let small = post("small", 1).expect(400);
    assert_eq!(post("small", 1).expect(400).text().len(), small.text().len());
    assert_eq!(post("small", 1).header("idempotency-replayed"), Some("true"));
    let large = post("large", 1_000).expect(400);
    assert!(large.bytes.len() > 64 * 1024, "{}", large.bytes.len());
    let again = post("large", 1_000).expect(409);
    assert_eq!(again.body["code"], "WL1524");
    assert!(again.text().contains("too large to be kept"), "{}", again.text());
}
