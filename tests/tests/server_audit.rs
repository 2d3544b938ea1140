//! Changes and their entries in the audit, over a server that dies between the two.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use serde_json::{Value, json};
use windlass_tests::{Project, Server};

const PIPELINE: &str = "name: ci\nsteps:\n  - { name: ask, type: step.gate, config: { type: manual } }\n";

/// The details of the entries of an action, the newest first.
fn entries(server: &Server, action: &str) -> Vec<Value> {
    let page = server.admin().get(&format!("/api/v1/audit?action={action}")).expect(200).body;
    page["items"].as_array().unwrap().iter().map(|entry| entry["detail"].clone()).collect()
}

/// What is seen there; nothing where there is none.
fn look(server: &Server, path: &str) -> Option<Value> {
    let answer = server.admin().get(path);
    (answer.status == 200).then_some(answer.body)
}

/// Starts the server again, so that it dies at this place; nowhere, where it has no name.
fn again(server: &mut Server, place: &str) {
    server.end();
    let failpoints = if place.is_empty() { String::new() } else { format!("{place}=return") };
    server.project_mut().set_env("FAILPOINTS", &failpoints);
    server.restart();
}

/// Wherever the server dies: what is changed in the records is there with its entry, or neither is.
#[test]
fn a_change_of_the_records_and_its_entry_are_one() {
    let mut server = Server::with(Project::empty(), &[]);
    // What is asked, what it is audited as, and where what it makes is seen.
    let changes = [
        ("POST", "/api/v1/users", json!({ "name": "ada", "role": "viewer" }), "user.create", "/api/v1/users/ada"),
        ("POST", "/api/v1/workflows", json!({ "yaml": PIPELINE }), "workflow.deploy", "/api/v1/workflows/ci"),
        (
            "POST",
            "/api/v1/workflows/ci/triggers",
            json!({ "name": "nightly", "spec": { "kind": "schedule", "cron": "0 3 * * *" } }),
            "trigger.create",
            "/api/v1/workflows/ci/triggers",
        ),
        ("DELETE", "/api/v1/workflows/ci", json!({}), "workflow.delete", "/api/v1/workflows/ci"),
        ("DELETE", "/api/v1/users/ada", json!({}), "user.delete", "/api/v1/users/ada"),
    ];
    for (method, path, body, action, seen) in changes {
        let before = look(&server, seen);
        for (place, is_made) in [("records::changed", false), ("records::audited", false), ("records::committed", true)]
        {
            let entries_before = entries(&server, action).len();
            again(&mut server, place);
            server.admin().loses(method, path, &body);
            again(&mut server, "");
            let more = entries(&server, action).len() - entries_before;
            assert_eq!(more, usize::from(is_made), "{action}, {place}");
            let now = look(&server, seen);
            assert_eq!(now != before, is_made, "{action}, {place}: {now:?}");
        }
    }
}

/// What is changed in the vault has its entry first; what fails has another one that says so.
#[test]
fn what_is_changed_elsewhere_is_never_without_an_entry() {
    let mut server = Server::with(Project::empty(), &[]);
    again(&mut server, "records::intended");
    server.admin().loses("PUT", "/api/v1/secrets/cicd/token", &json!({ "value": "hunter2-and-more" }));
    again(&mut server, "");
    assert_eq!(entries(&server, "secret.set"), [json!({ "hosts": [] })]);
    assert_eq!(server.admin().get("/api/v1/secrets").expect(200).body, json!([]));

    server.admin().delete("/api/v1/secrets/cicd/token").expect(404);
    let told = entries(&server, "secret.remove");
    assert!(told.len() == 2 && told[0]["failed"].is_string() && told[1] == json!({}), "{told:?}");
    server.admin().put("/api/v1/secrets/cicd/token", json!({ "value": "hunter2-and-more" })).expect(204);
    server.admin().delete("/api/v1/secrets/cicd/token").expect(204);
    assert_eq!((entries(&server, "secret.set").len(), entries(&server, "secret.remove").len()), (2, 3));
}
