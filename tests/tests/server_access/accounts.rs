//! People and their keys: the last administrator, and the audit of it all.

use crate::http::{PASSWORD, Server};
use serde_json::json;
use windlass_tests::Project;

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

    // Beside the server, and with it stopped.
    let restored = |project: &Project| {
        let printed = project.windlass(["server", "reset-admin"]).ok().stdout;
        assert!(printed.starts_with("the key of admin"), "{printed}");
        printed.trim().rsplit(' ').next().unwrap().to_owned()
    };
    let key = restored(&server.project);
    assert_eq!(server.key(&key, "GET /api/v1/session", None).is(200).body["role"], "admin");
    let Server { project, mut running, .. } = server;
    running.kill();
    let key = &restored(&project);
    let server = Server::on(project);
    assert_eq!(server.key(key, "GET /api/v1/session", None).is(200).body["role"], "admin");
    let audit = server.key(key, "GET /api/v1/audit?action=user.restore", None).is(200).body;
    assert_eq!(audit["items"][0]["target"], "admin");
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
        ("system", "user.create", "admin"),
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
        [("?action=user.", 5), ("?action=key.create", 1), ("?actor=ada", 1), ("?target=ada", 4), ("?actor=x", 0)]
    {
        assert_eq!(list(query).body["items"].as_array().unwrap().len(), count, "{query}");
    }
    for query in ["?limit=0", "?limit=201", "?cursor=x"] {
        server.admin(&format!("GET /api/v1/audit{query}"), None).refused(400, "WL1500");
    }
}
