//! Environments on the bundled provider `local`, with a real container engine.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use windlass_tests::{Client, IMAGE, Project, Registry, Server, files_with, root};

const ALL: &str = "/api/v1/admin/environments";

/// A server that has the bundled provider, and nothing else, from a registry that has ended since.
fn start() -> Server {
    let registry = Registry::start();
    let mut project = Project::empty();
    project.set_env("WINDLASS_REGISTRY", registry.url());
    project.set_env("WINDLASS_REGISTRY_TOKEN", &registry.token("windlass"));
    let plugin = root().join("plugins/local");
    project.windlass(["plugin".as_ref(), "publish".as_ref(), plugin.as_os_str()]).ok();
    project.windlass(["plugin", "install", "windlass:local", "--grant"]).ok();
    Server::with(project, &[])
}

/// A program that goes on, and is known to be well at once.
fn config() -> Value {
    json!({ "command": ["sleep", "1000"], "grace_seconds": 0, "stop_seconds": 0 })
}

fn make(admin: &Client, name: &str, config: Value) -> String {
    let made = admin.post(ALL, json!({ "name": name, "provider": "local", "workflow_id": "ci", "config": config }));
    made.expect(201).body["id"].as_str().unwrap().to_owned()
}

fn deploy(admin: &Client, id: &str, image: &str) -> Value {
    admin.post(&format!("{ALL}/{id}/deployments"), json!({ "image": image })).expect(201).body
}

/// Made, read, changed, listed, deleted: the documented shapes, and what is refused.
#[test]
fn environments_are_kept() {
    let server = start();
    let admin = server.admin();
    let providers = admin.get("/api/v1/providers").expect(200).body;
    assert_eq!((&providers[0]["name"], &providers[0]["title"]), (&json!("local"), &json!("This machine")));
    assert_eq!(providers[0]["config_schema"]["properties"]["registry_credentials"]["format"], "password");

    let value = "hunter2-and-more";
    let made = admin.post(
        ALL,
        json!({
            "name": "staging", "provider": "local", "workflow_id": "ci",
            "config": { "env": { "TOKEN": "secret:./TOKEN" } },
            "secrets": { "TOKEN": value, "registry_credentials": "{\"username\":\"a\",\"password\":\"b\"}" },
        }),
    );
    let made = made.expect(201).body;
    let id = made["id"].as_str().unwrap();
    let keys: Vec<_> =
        ["id", "workflow_id", "name", "provider", "region", "config", "secrets", "status", "created_at", "updated_at"]
            .into_iter()
            .filter(|key| made.get(key).is_none())
            .collect();
    assert!(keys.is_empty(), "{keys:?} are missing");
    assert_eq!(
        (&made["status"], &made["secrets"]),
        (&json!("provisioning"), &json!({ "TOKEN": "set", "registry_credentials": "set" }))
    );
    assert_eq!(files_with(server.home(), value), Vec::<String>::new());
    assert_eq!(admin.get("/api/v1/secrets").expect(200).body, json!([]), "they are nobody else's");
    assert_eq!(admin.get(&format!("{ALL}/{id}")).expect(200).body, made);

    // What is refused, at the place that is wrong.
    let wrong = |input: Value, status: u16, pointer: &str| {
        let mut whole = json!({ "name": "other", "provider": "local" });
        whole.as_object_mut().unwrap().extend(input.as_object().unwrap().clone());
        let problem = admin.post(ALL, whole).expect(status).body;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    };
    wrong(json!({ "name": null }), 400, "/name");
    wrong(json!({ "name": "../x" }), 400, "/name");
    wrong(json!({ "name": "Staging" }), 409, "/name");
    wrong(json!({ "provider": null }), 400, "/provider");
    wrong(json!({ "provider": "moon" }), 409, "/provider");
    wrong(json!({ "status": "fine" }), 400, "/status");
    wrong(json!({ "config": { "port": "http" } }), 400, "/config/port");
    wrong(json!({ "config": { "unknown": 1 } }), 400, "/config");
    wrong(json!({ "config": { "env": { "T": "secret:./T" } } }), 400, "/secrets");
    let foreign = format!("secret:environments/{id}/TOKEN");
    wrong(json!({ "config": { "env": { "T": foreign } } }), 400, "/config");
    let check = json!({ "health": { "path": "/" } });
    let problem = admin.post(ALL, json!({ "name": "other", "provider": "local", "config": check })).expect(400).body;
    assert!(
        problem["errors"][0]["pointer"].as_str().unwrap().starts_with("/config"),
        "the provider's own word: {problem}"
    );

    // A patch changes what it names.
    let at = format!("{ALL}/{id}");
    let patched =
        admin.put(&at, json!({ "name": "Stage", "secrets": { "registry_credentials": "" } })).expect(200).body;
    assert_eq!(
        (&patched["name"], &patched["config"], &patched["workflow_id"]),
        (&json!("Stage"), &made["config"], &json!("ci"))
    );
    assert_eq!(patched["secrets"], json!({ "TOKEN": "set" }));
    let problem = admin.put(&at, json!({ "secrets": { "TOKEN": "" } })).expect(400).body;
    assert_eq!(problem["errors"][0]["pointer"], "/secrets", "the configuration needs it");
    assert_eq!(admin.get(&at).expect(200).body["secrets"], json!({ "TOKEN": "set" }));

    make(&admin, "production", json!({}));
    let names = |query: &str| -> Vec<Value> {
        let found = admin.get(&format!("{ALL}{query}")).expect(200).body;
        found.as_array().unwrap().iter().map(|each| each["name"].clone()).collect()
    };
    assert_eq!(names(""), ["production", "Stage"]);
    assert_eq!(names("?workflow_id=ci&provider=local&status=provisioning"), ["production", "Stage"]);
    assert!(names("?status=active").is_empty() && names("?provider=moon").is_empty());

    let used = admin.delete("/api/v1/plugins/windlass/local").expect(409).body;
    assert_eq!(used["blockers"], json!(["environment Stage uses it", "environment production uses it"]));
    assert_eq!(admin.delete(&at).expect(200).body, json!({ "status": "deleted" }));
    admin.delete(&at).expect(404);
    for path in ["", "/status", "/deployments"] {
        admin.get(&format!("{at}{path}")).expect(404);
    }
    let vault = files_with(server.home(), &format!("environments/{id}"));
    assert!(
        vault.iter().all(|path| path.ends_with("server.db") || path.contains("server.db-")),
        "its secrets are gone: {vault:?}"
    );
}

/// Deployed, looked at, deployed again, gone back: and each is told as it was.
#[test]
fn deployments() {
    let server = start();
    let admin = server.admin();
    let id = make(&admin, "staging", config());
    let at = format!("{ALL}/{id}");
    let test = admin.post(&format!("{at}/test"), json!({})).expect(200).body;
    assert_eq!((&test["success"], test["latency"].as_u64() > Some(0)), (&json!(true), true), "{test}");
    let tested = admin.get(&at).expect(200).body;
    assert_eq!((&tested["status"], &tested["last_test"]), (&json!("active"), &test));
    let nothing = admin.get(&format!("{at}/status")).expect(200).body;
    assert_eq!((&nothing["message"], &nothing["deployment"]), (&json!("nothing is deployed"), &Value::Null));
    admin.post(&format!("{at}/rollback"), json!({})).expect(409);

    let first = deploy(&admin, &id, IMAGE);
    assert_eq!(
        (&first["status"], &first["kind"], &first["by"]),
        (&json!("succeeded"), &json!("deploy"), &json!("admin")),
        "{first}"
    );
    assert_eq!(server.project().containers().len(), 1);
    let status = admin.get(&format!("{at}/status")).expect(200).body;
    assert_eq!((&status["instances"][0]["status"], &status["progress"]), (&json!("running"), &json!(100)), "{status}");
    let second = deploy(&admin, &id, IMAGE);
    assert_ne!(second["deploy_id"], first["deploy_id"]);

    // One that does not come up leaves what was there.
    let bad = deploy(&admin, &id, "windlass-test/there-is-none:1");
    assert_eq!(bad["status"], "failed", "{bad}");
    assert!(!bad["message"].as_str().unwrap().is_empty());
    assert_eq!(admin.get(&at).expect(200).body["current"]["deploy_id"], second["deploy_id"]);
    for wrong in
        [json!({ "image": "" }), json!({ "image": "a b" }), json!({ "image": IMAGE, "config": { "previous": "x" } })]
    {
        admin.post(&format!("{at}/deployments"), wrong).expect(400);
    }
    let foreign = json!({ "image": IMAGE, "config": { "x": "secret:environments/env-0/T" } });
    admin.post(&format!("{at}/deployments"), foreign).expect(400);

    let back = admin.post(&format!("{at}/rollback"), json!({})).expect(200).body;
    assert_eq!(
        (&back["status"], &back["kind"], &back["deploy_id"], &back["image"]),
        (&json!("succeeded"), &json!("rollback"), &first["deploy_id"], &json!(IMAGE)),
        "{back}"
    );
    let rows = admin.get(&format!("{at}/deployments")).expect(200).body;
    let told: Vec<_> = rows["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {}", row["kind"].as_str().unwrap(), row["status"].as_str().unwrap()))
        .collect();
    assert_eq!(told, ["rollback succeeded", "deploy failed", "deploy rolled_back", "deploy succeeded"]);
    let page = admin.get(&format!("{at}/deployments?limit=3")).expect(200).body;
    let next = page["next_cursor"].as_str().unwrap();
    let last = admin.get(&format!("{at}/deployments?limit=3&cursor={next}")).expect(200).body;
    assert_eq!((last["items"].as_array().unwrap().len(), last.get("next_cursor")), (1, None));

    admin.put(&at, json!({ "status": "decommissioned" })).expect(200);
    admin.post(&format!("{at}/deployments"), json!({ "image": IMAGE })).expect(409);
    admin.put(&at, json!({ "provider": "moon" })).expect(409);
}

/// One change at a time; and what a crash interrupts is found out by the next look.
#[test]
fn a_crash_in_the_middle_of_a_deployment() {
    let mut server = start();
    let admin = server.admin();
    let id = make(&admin, "staging", config());
    let first = deploy(&admin, &id, IMAGE);
    assert_eq!(first["status"], "succeeded", "{first}");
    // The next one is not known to be well for a long time.
    let slow = json!({ "command": ["sleep", "1000"], "grace_seconds": 120, "stop_seconds": 0 });
    admin.put(&format!("{ALL}/{id}"), json!({ "config": slow })).expect(200);
    let (other, path) = (admin.clone(), format!("{ALL}/{id}/deployments"));
    // Nobody hears its answer: the server dies before.
    std::thread::spawn(move || {
        let _ = std::panic::catch_unwind(|| other.post(&path, json!({ "image": IMAGE })));
    });
    let end = Instant::now() + Duration::from_secs(30);
    while server.project().containers().len() < 2 {
        assert!(Instant::now() < end, "the second container does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
    let busy = admin.post(&format!("{ALL}/{id}/deployments"), json!({ "image": IMAGE })).expect(409);
    assert_eq!(busy.header("retry-after"), Some("5"));
    admin.delete(&format!("{ALL}/{id}")).expect(409);
    let rows = admin.get(&format!("{ALL}/{id}/deployments")).expect(200).body;
    assert_eq!(rows["items"][0]["status"], "in_progress");

    server.kill();
    server.restart();
    let admin = server.admin();
    let rows = admin.get(&format!("{ALL}/{id}/deployments")).expect(200).body;
    assert_eq!(rows["items"][0]["status"], "in_progress", "nobody has looked yet");
    let status = admin.get(&format!("{ALL}/{id}/status")).expect(200).body;
    assert_eq!(status["deployment"]["deploy_id"], first["deploy_id"], "{status}");
    let rows = admin.get(&format!("{ALL}/{id}/deployments")).expect(200).body;
    assert_eq!(rows["items"][0]["status"], "failed", "{rows}");
    admin.put(&format!("{ALL}/{id}"), json!({ "config": config() })).expect(200);
    assert_eq!(deploy(&admin, &id, IMAGE)["status"], "succeeded");
    assert_eq!(server.project().containers().len(), 2, "what the crash left is removed; the one before is kept");
}

/// The server dies when the provider has done what it was asked, before that is written down: a first deployment, one in the place of
/// another, and one gone back to. Nothing is lost or there twice, and the next look says what is in place.
#[test]
fn a_crash_between_the_container_and_its_row() {
    let mut server = start();
    let id = make(&server.admin(), "staging", config());
    let at = format!("{ALL}/{id}");
    let mut before: Option<Value> = None;
    for (what, kind, containers) in
        [("deployments", "deploy", 1), ("deployments", "deploy", 2), ("rollback", "rollback", 2)]
    {
        server.end();
        server.project_mut().set_env("FAILPOINTS", "records::before-settle=return");
        server.restart();
        let body = if kind == "deploy" { json!({ "image": IMAGE }) } else { json!({}) };
        let (admin, path) = (server.admin(), format!("{at}/{what}"));
        let answer = std::panic::catch_unwind(move || admin.post(&path, body));
        assert!(answer.is_err(), "the server dies before it answers: {answer:?}");
        server.kill();
        let there = server.project().containers();
        assert_eq!(there.len(), containers, "{what}: {there:?}");

        server.project_mut().set_env("FAILPOINTS", "");
        server.restart();
        let admin = server.admin();
        let row = |n: usize| admin.get(&format!("{at}/deployments")).expect(200).body["items"][n].clone();
        assert_eq!(
            (&row(0)["kind"], &row(0)["status"]),
            (&json!(kind), &json!("in_progress")),
            "nobody has looked yet"
        );
        let status = admin.get(&format!("{at}/status")).expect(200).body;
        assert_eq!(
            (&status["progress"], &status["instances"][0]["status"]),
            (&json!(100), &json!("running")),
            "{status}"
        );
        assert_eq!(status["instances"].as_array().unwrap().len(), 1, "{status}");
        let now = row(0);
        assert_eq!((&now["status"], &now["kind"], &now["image"]), (&json!("succeeded"), &json!(kind), &json!(IMAGE)));
        assert_eq!(status["deployment"]["id"], now["id"], "{status}");
        assert_eq!(admin.get(&at).expect(200).body["current"]["id"], now["id"]);
        if let Some(before) = &before {
            let is_back = kind == "rollback";
            assert_ne!(now["deploy_id"], before["deploy_id"]);
            assert_eq!(row(1)["status"], if is_back { "rolled_back" } else { "succeeded" });
            assert_eq!(now["deploy_id"] == row(2)["deploy_id"], is_back, "gone back to the first");
        }
        assert_eq!(server.project().containers(), there, "looking changes nothing");
        before = Some(now);
    }
    // It goes on from there as if nothing had happened.
    assert_eq!(deploy(&server.admin(), &id, IMAGE)["status"], "succeeded");
}
