//! Workflow templates and pipelines of them, at the addresses of the documented interface and with its own requests.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use serde_json::{Value, json};
use std::{
    process::Command,
    time::{Duration, Instant},
};
use windlass_tests::{Client, Reply, Server};

/// Runs one of the documentation's commands, with this server's address and key in place of its own.
fn curl(server: &Server, command: &str) -> Value {
    let command = command.replace("http://localhost:3000", server.url()).replace("YOUR_API_KEY", server.key());
    let output = Command::new("sh").arg("-c").arg(format!("{command} --silent --show-error")).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn manual(client: &Client, name: &str) -> u64 {
    let body = json!({ "name": name, "task_prompt": format!("Do {name}"), "manual": true });
    client.post("/api/workflows", body).expect(201).body["template"]["id"].as_u64().unwrap()
}

fn pipeline(client: &Client, name: &str, steps: &[(u64, &str)]) -> u64 {
    let steps: Vec<Value> =
        steps.iter().map(|(id, on_failure)| json!({ "template_id": id, "on_failure": on_failure })).collect();
    let body = json!({ "name": name, "description": "d", "steps": steps });
    client.post("/api/pipelines", body).expect(201).body["pipeline"]["id"].as_u64().unwrap()
}

fn act(client: &Client, body: Value) -> Reply {
    client.post("/api/pipelines/run", body)
}

fn start(client: &Client, pipeline: u64) -> Value {
    act(client, json!({ "action": "start", "pipeline_id": pipeline })).expect(201).body["run"].clone()
}

/// The run, once it stands so.
fn stands(client: &Client, run: &Value, what: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = client.get(&format!("/api/pipelines/run?id={run}")).expect(200).body;
        let found = &answer["runs"][0];
        if what(found) {
            return found.clone();
        }
        assert!(Instant::now() < end, "it does not come to this: {found}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

fn statuses(run: &Value) -> Vec<&str> {
    run["steps_snapshot"].as_array().unwrap().iter().map(|step| step["status"].as_str().unwrap()).collect()
}

/// The documentation's commands, word for word.
#[test]
fn the_documented_commands() {
    let server = Server::start();
    let made = curl(
        &server,
        r#"curl -X POST "http://localhost:3000/api/workflows" \
-H "x-api-key: YOUR_API_KEY" \
-H "Content-Type: application/json" \
-d '{
"name": "Run Tests",
"model": "claude-3-5-sonnet-20241022",
"prompt": "Run the test suite and report results",
"parameters": {
"temperature": 0.2,
"max_tokens": 4000
}
}'"#,
    );
    let template = &made["template"];
    assert_eq!((template["id"].as_u64(), template["name"].as_str()), (Some(1), Some("Run Tests")), "{made}");
    assert_eq!(template["task_prompt"], "Run the test suite and report results");
    assert_eq!(template["parameters"], json!({ "temperature": 0.2, "max_tokens": 4000 }));
    let client = server.admin();
    assert_eq!((manual(&client, "Build"), manual(&client, "Deploy")), (2, 3));

    let made = curl(
        &server,
        r#"curl -X POST "http://localhost:3000/api/pipelines" \
-H "x-api-key: YOUR_API_KEY" \
-H "Content-Type: application/json" \
-d '{
"name": "Deploy to Production",
"description": "Full deployment pipeline with testing",
"steps": [
{ "template_id": 1, "on_failure": "stop" },
{ "template_id": 2, "on_failure": "stop" },
{ "template_id": 3, "on_failure": "continue" }
]
}'"#,
    );
    let steps = made["pipeline"]["steps"].as_array().unwrap();
    assert_eq!(steps[2], json!({ "template_id": 3, "template_name": "Deploy", "on_failure": "continue" }));
    let list = curl(&server, r#"curl "http://localhost:3000/api/pipelines" -H "x-api-key: YOUR_API_KEY""#);
    assert_eq!(list["pipelines"][0]["runs"], json!({ "total": 0, "completed": 0, "failed": 0, "running": 0 }));

    // The numbers of the documentation's other commands are 5 and 42.
    let mut five = 0;
    while five < 5 {
        five = pipeline(&client, "manual", &[(2, "stop"), (3, "stop")]);
    }
    let started = curl(
        &server,
        r#"curl -X POST "http://localhost:3000/api/pipelines/run" \
-H "x-api-key: YOUR_API_KEY" \
-H "Content-Type: application/json" \
-d '{
"action": "start",
"pipeline_id": 5
}'"#,
    );
    let run = &started["run"];
    assert_eq!((run["pipeline_id"].as_u64(), run["triggered_by"].as_str()), (Some(5), Some("admin")), "{started}");
    while start(&client, 5)["id"].as_u64().unwrap() < 42 {}
    stands(&client, &json!(42), |run| run["status"] == "running" && run["steps_snapshot"][0]["status"] == "running");
    let advanced = curl(
        &server,
        r#"curl -X POST "http://localhost:3000/api/pipelines/run" \
-H "x-api-key: YOUR_API_KEY" \
-H "Content-Type: application/json" \
-d '{
"action": "advance",
"run_id": 42,
"success": true
}'"#,
    );
    assert_eq!(statuses(&advanced["run"])[0], "completed", "{advanced}");
    let cancelled = curl(
        &server,
        r#"curl -X POST "http://localhost:3000/api/pipelines/run" \
-H "x-api-key: YOUR_API_KEY" \
-H "Content-Type: application/json" \
-d '{
"action": "cancel",
"run_id": 42
}'"#,
    );
    assert_eq!(cancelled["run"]["status"], "cancelled", "{cancelled}");
    assert_eq!(statuses(&cancelled["run"]), ["completed", "skipped"]);
    let twenty = client.get("/api/pipelines/run").expect(200).body;
    assert_eq!(twenty["runs"].as_array().unwrap().len(), 20);
    assert_eq!(twenty["runs"][0]["id"], 42, "the newest first");
    let all = client.get("/api/pipelines/run?limit=200&pipeline_id=5").expect(200).body;
    assert_eq!(all["runs"].as_array().unwrap().len(), 42);
    for limit in ["0", "201", "x"] {
        client.get(&format!("/api/pipelines/run?limit={limit}")).expect(400);
    }
    let list = client.get("/api/pipelines").expect(200).body;
    let used = &list["pipelines"][0];
    assert_eq!((used["id"].as_u64(), used["use_count"].as_u64()), (Some(5), Some(42)), "the most used first");
    assert!(
        used["last_used_at"].as_u64().unwrap() > 1_700_000_000
            && used["last_used_at"].as_u64().unwrap() < 10_000_000_000,
        "seconds"
    );
    assert_eq!(used["runs"], json!({ "total": 42, "completed": 0, "failed": 0, "running": 41 }));
}

#[test]
fn a_run_is_moved_on_by_hand() {
    let mut server = Server::start();
    let client = server.admin();
    let [one, two, three] = ["One", "Two", "Three"].map(|name| manual(&client, name));

    // To its end, past a step that may fail.
    let id = pipeline(&client, "goes on", &[(one, "stop"), (two, "continue"), (three, "stop")]);
    let run = start(&client, id);
    let run_id = run["id"].clone();
    let first = stands(&client, &run_id, |run| run["steps_snapshot"][0]["status"] == "running");
    assert_eq!(statuses(&first), ["running", "pending", "pending"]);
    assert_eq!(first["current_step"], 0);
    let spawn = first["steps_snapshot"][0]["spawn_id"].as_str().unwrap();
    assert!(spawn.starts_with(run["run"].as_str().unwrap()), "{spawn}");
    assert_eq!(first["steps_snapshot"][1]["spawn_id"], Value::Null);
    act(&client, json!({ "action": "advance", "run_id": run_id })).expect(200);
    // A run outlives its server, and waits for a person meanwhile.
    server.kill();
    server.restart();
    let client = server.admin();
    stands(&client, &run_id, |run| run["steps_snapshot"][1]["status"] == "running");
    let failed = json!({ "action": "advance", "run_id": run_id, "success": false, "error": "no network" });
    act(&client, failed).expect(200);
    stands(&client, &run_id, |run| run["steps_snapshot"][2]["status"] == "running");
    act(&client, json!({ "action": "advance", "run_id": run_id, "success": true })).expect(200);
    let done = stands(&client, &run_id, |run| run["status"] == "completed");
    assert_eq!(statuses(&done), ["completed", "failed", "completed"]);
    assert_eq!(done["failed_steps"], 1);
    assert!(done["steps_snapshot"][1]["error"].as_str().unwrap().contains("no network"), "{done}");
    assert!(done["completed_at"].as_u64() >= done["started_at"].as_u64());
    act(&client, json!({ "action": "advance", "run_id": run_id })).expect(409);
    act(&client, json!({ "action": "cancel", "run_id": run_id })).expect(409);

    // Stopped by a step that fails.
    let id = pipeline(&client, "stops", &[(one, "stop"), (two, "stop")]);
    let run_id = start(&client, id)["id"].clone();
    stands(&client, &run_id, |run| run["steps_snapshot"][0]["status"] == "running");
    act(&client, json!({ "action": "advance", "run_id": run_id, "success": false })).expect(200);
    let failed = stands(&client, &run_id, |run| run["status"] == "failed");
    assert_eq!(statuses(&failed), ["failed", "skipped"]);

    // Two at once: each step is decided by one of them.
    let id = pipeline(&client, "raced", &[(one, "stop"), (two, "stop")]);
    for _ in 0..5 {
        let run_id = start(&client, id)["id"].clone();
        stands(&client, &run_id, |run| run["steps_snapshot"][0]["status"] == "running");
        let replies: Vec<u16> = std::thread::scope(|scope| {
            let advance = || act(&server.admin(), json!({ "action": "advance", "run_id": run_id })).status;
            let both = [scope.spawn(advance), scope.spawn(advance)];
            both.into_iter().map(|each| each.join().unwrap()).collect()
        });
        let won = replies.iter().filter(|status| **status == 200).count();
        assert!(won >= 1 && replies.iter().all(|status| matches!(status, 200 | 409)), "{replies:?}");
        let after = stands(&client, &run_id, |run| run["steps_snapshot"][0]["status"] == "completed");
        let completed = || statuses(&after).iter().filter(|status| **status == "completed").count();
        assert!(completed() <= won, "{won} advances, and {after}");
        if won == 1 {
            assert_eq!(statuses(&after)[0], "completed");
            assert_ne!(statuses(&after)[1], "completed", "one advance moves on by one step");
            act(&client, json!({ "action": "cancel", "run_id": run_id })).expect(200);
        }
    }
}

#[test]
fn what_is_refused() {
    let server = Server::start();
    let client = server.admin();
    let (one, two) = (manual(&client, "One"), manual(&client, "Two"));
    let at = |reply: Reply, status: u16, pointer: &str| {
        let problem = reply.expect(status).body;
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        assert!(errors.iter().any(|error| error["pointer"] == pointer), "{pointer}: {problem}");
    };
    let new = |steps: Value| client.post("/api/pipelines", json!({ "name": "p", "steps": steps }));
    at(new(json!([{ "template_id": one }])), 400, "/steps");
    at(new(json!(vec![json!({ "template_id": one }); 51])), 400, "/steps");
    new(json!(vec![json!({ "template_id": one }); 50])).expect(201);
    at(new(json!([{ "template_id": one }, { "template_id": 999 }])), 400, "/steps/1/template_id");
    at(new(json!([{ "template_id": one }, { "template_id": two, "on_failure": "retry" }])), 400, "/steps/1/on_failure");
    at(client.post("/api/pipelines", json!({ "name": "", "steps": [] })), 400, "/name");
    at(client.post("/api/pipelines", json!({ "name": "x".repeat(201), "steps": [] })), 400, "/name");
    at(
        client.post("/api/pipelines", json!({ "name": "x", "description": "x".repeat(5001), "steps": [] })),
        400,
        "/description",
    );
    client.post("/api/pipelines", json!({ "name": "x", "steps": [], "extra": 1 })).expect(400);
    let template = |more: Value| {
        let mut body = json!({ "name": "t", "prompt": "p" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.post("/api/workflows", body)
    };
    at(template(json!({ "timeout_seconds": 9 })), 400, "/timeout_seconds");
    at(template(json!({ "prompt": "x".repeat(10_001) })), 400, "/task_prompt");
    at(template(json!({ "prompt": "use secret:cloud/token" })), 400, "/task_prompt");
    at(template(json!({ "parameters": { "temperature": 3 } })), 400, "/parameters/temperature");
    at(template(json!({ "id": 1 })), 400, "/id");
    at(client.put("/api/workflows", json!({ "name": "t", "prompt": "p" })), 400, "/id");
    client.put("/api/workflows", json!({ "id": 999, "name": "t", "prompt": "p" })).expect(404);
    client
        .put(
            "/api/pipelines",
            json!({ "id": 999, "name": "t", "steps": [{ "template_id": one }, { "template_id": two }] }),
        )
        .expect(404);
    at(act(&client, json!({ "action": "start" })), 400, "/pipeline_id");
    at(act(&client, json!({ "action": "advance" })), 400, "/run_id");
    act(&client, json!({ "action": "explode" })).expect(400);
    act(&client, json!({ "action": "start", "pipeline_id": 999 })).expect(404);
    act(&client, json!({ "action": "cancel", "run_id": u64::MAX })).expect(404);
    act(&server.nobody(), json!({ "action": "start", "pipeline_id": 1 })).expect(401);

    // A template that is used stays; a pipeline goes, and its runs do not.
    let id = pipeline(&client, "kept", &[(one, "stop"), (two, "stop")]);
    let used = client.send_json("DELETE", "/api/workflows", &json!({ "id": one })).expect(409).body;
    assert!(used["blockers"].as_array().unwrap().contains(&json!("kept")), "{used}");
    let run = start(&client, id);
    let renamed = json!({ "id": one, "name": "Uno", "prompt": "Do it", "manual": true });
    client.put("/api/workflows", renamed).expect(200);
    client
        .put(
            "/api/pipelines",
            json!({ "id": id, "name": "kept", "steps": [{ "template_id": two }, { "template_id": two }] }),
        )
        .expect(200);
    client.send_json("DELETE", "/api/pipelines", &json!({ "id": id })).expect(200);
    client.send_json("DELETE", "/api/pipelines", &json!({ "id": id })).expect(404);
    let shown = stands(&client, &run["id"], |run| run["status"] == "running");
    assert_eq!(shown["pipeline_name"], "Deleted Pipeline");
    assert_eq!(shown["steps_snapshot"][0]["template_name"], "One", "as it was when the run was started");
    act(&client, json!({ "action": "cancel", "run_id": run["id"] })).expect(200);

    let free = manual(&client, "Free");
    client.send_json("DELETE", "/api/workflows", &json!({ "id": free })).expect(200);
    client.send_json("DELETE", "/api/workflows", &json!({ "id": free })).expect(404);
    let names: Vec<String> = client.get("/api/workflows").expect(200).body["templates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| each["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["Two", "Uno"]);
}
