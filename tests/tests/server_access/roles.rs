//! Who may what: each operation's role, and what somebody may not see.

use crate::http::{PASSWORD, Server};
use serde_json::{Value, json};
use std::collections::BTreeSet;

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
            "GET /api/v1/admin/environments/{id}/status",
            "GET /api/v1/admin/plugins",
            "GET /api/v1/admin/plugins/registry/search",
            "GET /api/v1/editor-schema",
            "GET /api/v1/events",
            "GET /api/v1/gates",
            "POST /api/v1/lint",
            "GET /api/v1/events",
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
        server.person(&format!("a-{role}"), role);
        server.key_of(&format!("a-{role}"), role).1
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
fn what_somebody_may_not_see_is_not_there() {
    let server = Server::start();
    server.person("ada", "operator");
    server.person("bob", "operator");
    server.person("eve", "admin");
    let (bobs, _) = server.key_of("bob", "viewer");
    let (_, ada) = server.key_of("ada", "operator");
    let nobody = server.key(&ada, "GET /api/v1/users/nobody-at-all", None).refused(404, "WL1503").said();
    let somebody = server.key(&ada, "GET /api/v1/users/bob", None).refused(404, "WL1503").said();
    assert_eq!(nobody.to_string().replace("nobody-at-all", "bob"), somebody.to_string(), "the answer tells nothing");
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
