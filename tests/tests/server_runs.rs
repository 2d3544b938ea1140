//! Deployed pipelines, their runs and gates, over the server's interface; and what a crash under load leaves.

use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use windlass_tests::{Client, IMAGE, Project, Server};

/// How long a run of these tests may take: far more than any does.
const PATIENCE: Duration = Duration::from_secs(120);

/// One with nothing installed: gates and sub-runs are the engine's own.
fn bare() -> Server {
    Server::with(Project::empty(), &[])
}

/// A gate that asks nobody: a run of it needs no container.
const QUICK: &str = "
name: quick
inputs:
  n: { type: number, default: 1 }
steps:
  - { name: check, type: step.gate, config: { type: automated, conditions: [inputs.n >= 0] } }
";

/// A question to a person.
const ASK: &str = r#"
apiVersion: 100monkeys.ai/v1
kind: Workflow
metadata: { name: ask }
spec:
  initial_state: ASK
  states:
    ASK: { kind: Human, prompt: "Well?", transitions: [] }
"#;

fn gate(name: &str, config: &str) -> String {
    format!("name: {name}\nsteps:\n  - {{ name: ok, type: step.gate, config: {{ {config} }} }}\n")
}

fn shell(name: &str, command: &str) -> String {
    format!(
        "name: {name}\nsteps:\n  - {{ name: work, type: step.shell_exec, config: {{ image: \"{IMAGE}\", commands: [\"{command}\"] }} }}\n"
    )
}

#[track_caller]
fn deploy(client: &Client, yaml: &str) -> Value {
    client.post("/api/v1/workflows", json!({ "yaml": yaml })).expect(201).body
}

#[track_caller]
fn begin(client: &Client, name: &str, body: Value) -> String {
    let row = client.post(&format!("/api/v1/workflows/{name}/runs"), body).expect(201).body;
    row["id"].as_str().expect("an id").to_owned()
}

#[track_caller]
fn shown(client: &Client, run: &str) -> Value {
    client.get(&format!("/api/v1/runs/{run}")).expect(200).body
}

/// The run once it stands so.
#[track_caller]
fn wait(client: &Client, run: &str, status: &str) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let now = shown(client, run);
        if now["status"] == status {
            return now;
        }
        assert!(Instant::now() < end, "{run} is not {status}: {now:#}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn says(problem: &Value, status: u16, words: &str) {
    assert_eq!(problem["status"], status, "{problem:#}");
    assert!(problem.to_string().contains(words), "{words:?} is not in {problem:#}");
    assert!(problem["code"].as_str().is_some_and(|code| code.starts_with("WL")), "{problem:#}");
}

#[test]
fn a_pipeline_is_deployed_in_versions() {
    let server = bare();
    let admin = server.admin();
    let first = deploy(&admin, QUICK);
    assert_eq!((&first["name"], &first["version"], &first["changed"]), (&json!("quick"), &json!(1), &json!(true)));
    let same = admin.post("/api/v1/workflows", json!({ "yaml": QUICK })).expect(200).body;
    assert_eq!((&same["version"], &same["changed"]), (&json!(1), &json!(false)));

    let changed = QUICK.replace("default: 1", "default: 2");
    let stale = json!({ "yaml": changed, "base_version": 7 });
    says(&admin.post("/api/v1/workflows", stale).expect(409).body, 409, "version 1");
    let second = json!({ "yaml": changed, "base_version": 1, "message": "two" });
    assert_eq!(admin.post("/api/v1/workflows", second).expect(201).body["version"], 2);

    let versions = admin.get("/api/v1/workflows/quick/versions?limit=1").expect(200).body;
    assert_eq!((&versions["items"][0]["version"], &versions["items"][0]["message"]), (&json!(2), &json!("two")));
    let cursor = versions["next_cursor"].as_str().expect("a page more").to_owned();
    let rest = admin.get(&format!("/api/v1/workflows/quick/versions?cursor={cursor}")).expect(200).body;
    assert_eq!((&rest["items"][0]["version"], &rest["next_cursor"]), (&json!(1), &Value::Null));
    assert_eq!(admin.get("/api/v1/workflows/quick/versions/1").expect(200).body["yaml"], QUICK);
    says(&admin.get("/api/v1/workflows/quick/versions/3").expect(404).body, 404, "version 3");

    let whole = admin.get("/api/v1/workflows/quick").expect(200).body;
    assert_eq!(whole["input_schema"]["properties"]["n"], json!({ "type": "number", "default": 2 }));
    assert_eq!(whole["graph"]["states"][0]["steps"][0]["kind"], "gate");

    let list = admin.get("/api/v1/workflows?q=UIC").expect(200).body;
    assert_eq!((&list["items"][0]["name"], &list["items"][0]["dialect"]), (&json!("quick"), &json!("steps")));
    admin.delete("/api/v1/workflows/quick").expect(204);
    says(&admin.get("/api/v1/workflows/quick").expect(404).body, 404, "quick");
    // What a run tells as its version is never another text.
    assert_eq!(deploy(&admin, QUICK)["version"], 3);
}

#[test]
fn what_cannot_run_is_refused_at_its_place() {
    let server = Server::start();
    let admin = server.admin();
    let odd = "name: odd\nsteps:\n  - { name: a, type: step.shell_exc, config: {} }\n";
    let refused = admin.post("/api/v1/workflows", json!({ "yaml": odd })).expect(400).body;
    says(&refused, 400, "3:");
    assert_eq!(refused["errors"][0]["pointer"], "/yaml");
    says(&admin.get("/api/v1/workflows/odd").expect(404).body, 404, "odd");

    let lint = admin.post("/api/v1/lint", json!({ "yaml": odd })).expect(200).body;
    let found = &lint["diagnostics"][0];
    assert_eq!((&found["severity"], &found["line"]), (&json!("error"), &json!(3)), "{lint:#}");
    let text = odd.lines().nth(2).expect("a line");
    let marked: String = text
        .chars()
        .skip(found["column"].as_u64().expect("a column") as usize - 1)
        .take((found["end_column"].as_u64().unwrap() - found["column"].as_u64().unwrap()) as usize)
        .collect();
    assert_eq!(marked, "step.shell_exc");
    assert_eq!((&lint["graph"], &lint["name"]), (&Value::Null, &Value::Null));

    let sound = admin.post("/api/v1/lint", json!({ "yaml": shell("ci", "echo hi") })).expect(200).body;
    assert_eq!(sound["name"], "ci", "{sound:#}");
    let plugin = sound["permissions"][0]["plugin"].as_str().expect("a plugin");
    assert!(plugin.starts_with("windlass:shell@"), "{plugin}");

    let several = "pipelines:\n  a: { steps: [] }\n  b: { steps: [] }\n";
    let lint = admin.post("/api/v1/lint", json!({ "yaml": several })).expect(200).body;
    assert_eq!(lint["pipelines"], json!(["a", "b"]));

    let schema = admin.get("/api/v1/editor-schema").expect(200).body;
    assert!(schema.to_string().contains("step.shell_exec"), "{schema}");

    // A pipeline that would run itself, through one that is deployed already.
    let runs = |name: &str, other: &str| {
        format!("name: {name}\nsteps:\n  - {{ name: go, type: step.workflow, config: {{ workflow: {other} }} }}\n")
    };
    says(&admin.post("/api/v1/workflows", json!({ "yaml": runs("x", "y") })).expect(400).body, 400, "deployed here");
    deploy(&admin, &gate("y", "type: automated, conditions: [\"run.id != ''\"]"));
    deploy(&admin, &runs("x", "y"));
    says(&admin.post("/api/v1/workflows", json!({ "yaml": runs("y", "x") })).expect(400).body, 400, "would run itself");
}

#[test]
fn a_run_from_its_beginning_to_its_end() {
    let server = bare();
    let admin = server.admin();
    deploy(&admin, QUICK);
    // What an input may be.
    let table = [
        (json!({ "inputs": { "n": "many" } }), "/inputs/n"),
        (json!({ "inputs": { "m": 1 } }), "/inputs/m"),
        (json!({ "imputs": {} }), "imputs"),
        (json!({ "version": 9 }), "version 9"),
    ];
    for (body, words) in table {
        let refused = admin.post("/api/v1/workflows/quick/runs", body.clone()).body;
        assert!(refused["status"].as_u64().is_some_and(|status| (400..500).contains(&status)), "{body}: {refused:#}");
        assert!(refused.to_string().contains(words), "{words}: {refused:#}");
    }
    says(&admin.post("/api/v1/workflows/none/runs", json!({})).expect(404).body, 404, "none");

    // Text is read as the input's type, as on the command line.
    let run = begin(&admin, "quick", json!({ "inputs": { "n": "5" } }));
    let over = wait(&admin, &run, "finished");
    assert_eq!(over["inputs"], json!({ "n": 5 }));
    assert_eq!(
        (&over["outcome"], &over["version"], &over["trigger"]),
        (&json!("succeeded"), &json!(1), &json!("manual"))
    );
    assert_eq!((&over["by"], &over["actions"]), (&json!("admin"), &json!(["rerun"])));
    assert_eq!(over["visits"][0]["steps"][0]["status"], "succeeded");
    assert_eq!(admin.get(&format!("/v1/workflows/executions/{run}")).expect(200).body, over);

    let history = admin.get(&format!("/api/v1/runs/{run}/history?limit=2")).expect(200).body;
    assert_eq!(history["items"][0]["kind"], "run-created");
    let cursor = history["next_cursor"].as_str().expect("more").to_owned();
    let rest = admin.get(&format!("/api/v1/runs/{run}/history?cursor={cursor}")).expect(200).body;
    assert_eq!(rest["items"].as_array().and_then(|all| all.last()).expect("events")["kind"], "run-finished");
    let last = rest["items"].as_array().and_then(|all| all.last()).expect("events")["seq"].as_u64().expect("a number");
    let id = over["last_event_id"].as_str().expect("an id");
    assert!(id.starts_with(&format!("{run}:{last}.")), "{id}");

    let no = begin(&admin, "quick", json!({ "inputs": { "n": -1 } }));
    let failed = wait(&admin, &no, "finished");
    assert_eq!((&failed["outcome"], &failed["actions"]), (&json!("rejected"), &json!(["rerun", "rerun-failed"])));
    assert_eq!(failed["culprit"]["step"], "check");
    assert!(failed["culprit"]["sentence"].as_str().is_some_and(|words| words.contains("does not hold")), "{failed:#}");

    let row = &admin.get("/api/v1/workflows").expect(200).body["items"][0];
    assert_eq!((&row["success_rate"], row["recent"].as_array().map(Vec::len)), (&json!(0.5), Some(2)), "{row:#}");
    assert!(row["median_ms"].is_u64() && row["p95_ms"].is_u64());

    let about = admin.get("/api/v1/about").expect(200).body;
    assert_eq!((&about["open_gates"], &about["active_runs"]), (&json!(0), &json!(0)));
}

#[test]
fn a_list_of_runs_in_pages() {
    let server = bare();
    let admin = server.admin();
    deploy(&admin, QUICK);
    deploy(&admin, ASK);
    let mut all: Vec<String> = (0..7).map(|_| begin(&admin, "quick", json!({}))).collect();
    all.push(begin(&admin, "ask", json!({})));
    all.push(begin(&admin, "quick", json!({ "inputs": { "n": -1 } })));
    for run in &all[..7] {
        wait(&admin, run, "finished");
    }
    wait(&admin, &all[7], "blocked");
    wait(&admin, &all[8], "finished");
    all.reverse();

    let pages = |query: &str| {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = admin.get(&format!("/api/v1/runs?limit=3&{query}{cursor}")).expect(200).body;
            let items = page["items"].as_array().expect("a list");
            assert!(items.len() <= 3);
            found.extend(items.iter().map(|row| row["id"].as_str().expect("an id").to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    };
    let table: [(&str, &[String]); 9] = [
        ("", &all),
        ("workflow=ask", &all[1..2]),
        ("status=waiting,queued", &all[1..2]),
        ("outcome=rejected", &all[..1]),
        ("outcome=rejected,failed&workflow=quick", &all[..1]),
        ("by=admin&trigger=manual", &all),
        ("by=nobody", &[]),
        ("trigger=webhook", &[]),
        ("until_ms=1", &[]),
    ];
    for (query, expect) in table {
        assert_eq!(pages(query), expect, "{query}");
    }
    for query in ["status=asleep", "outcome=fine", "limit=0", "limit=201", "cursor=x", "since_ms=a"] {
        let refused = admin.get(&format!("/api/v1/runs?{query}")).expect(400).body;
        says(&refused, 400, query.split('=').next().expect("a name"));
    }
    for address in ["/api/v1/runs/r0", "/api/v1/runs/NO", "/api/v1/runs/r0/history", "/v1/workflows/executions/r0"] {
        admin.get(address).expect(404);
    }
}

#[test]
fn gates_are_decided_once() {
    let server = bare();
    let admin = server.admin();
    deploy(&admin, &gate("own", "prompt: 'Ship it?', self_approval: true"));
    deploy(&admin, &gate("other", "prompt: 'Ship it?'"));
    deploy(&admin, &gate("named", "approvers: [ada, 'Bob@example.com'], self_approval: true"));
    deploy(&admin, &gate("upper", "approvers: [ADMIN], self_approval: true"));

    // Two at once: one decides, the other is told that nothing waits.
    let run = begin(&admin, "own", json!({}));
    wait(&admin, &run, "blocked");
    let address = format!("/api/v1/gates/{run}/ok");
    let votes: Vec<_> = ["approve", "reject"]
        .map(|decision| {
            let (client, address) = (server.admin(), address.clone());
            std::thread::spawn(move || client.post(&address, json!({ "decision": decision, "comment": "now" })))
        })
        .into_iter()
        .map(|vote| vote.join().expect("an answer"))
        .collect();
    let mut statuses: Vec<u16> = votes.iter().map(|vote| vote.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409], "{votes:?}");
    wait(&admin, &run, "finished");
    says(&admin.post(&address, json!({ "decision": "approve" })).expect(409).body, 409, "ended");

    // What is shown agrees with what is refused.
    let table = [
        ("other", false, true, "who began a run may not approve it"),
        ("named", false, false, "it may be decided by ada, Bob@example.com"),
        ("upper", true, true, ""),
    ];
    for (pipeline, may, may_reject, why) in table {
        let run = begin(&admin, pipeline, json!({}));
        wait(&admin, &run, "blocked");
        let gates = admin.get("/api/v1/gates").expect(200).body;
        let gate = gates.as_array().and_then(|all| all.iter().find(|gate| gate["run"] == run)).expect("a gate");
        assert_eq!((&gate["may_decide"], &gate["workflow"]), (&json!(may), &json!(pipeline)), "{gate:#}");
        assert_eq!(shown(&admin, &run)["gates"][0], *gate);
        assert_eq!(gate["otherwise"], "it counts as rejected");
        let answer = admin.post(&format!("/api/v1/gates/{run}/ok"), json!({ "decision": "approve" }));
        if may {
            answer.expect(202);
            assert_eq!(wait(&admin, &run, "finished")["outcome"], "succeeded");
        } else {
            says(&answer.expect(409).body, 409, why);
            assert!(gate["why_not"].as_str().is_some_and(|words| words.starts_with(why)), "{gate:#}");
            assert_eq!(gate["may_reject"], may_reject, "{gate:#}");
            let answer = admin.post(&format!("/api/v1/gates/{run}/ok"), json!({ "decision": "reject" }));
            answer.expect(if may_reject { 202 } else { 409 });
        }
    }

    let run = begin(&admin, "own", json!({}));
    wait(&admin, &run, "blocked");
    let address = format!("/api/v1/gates/{run}/ok");
    let bad = [
        json!({ "decision": "maybe" }),
        json!({ "decision": "answer" }),
        json!({ "decision": "approve", "answer": "x" }),
        json!({ "decision": "approve", "comment": "x".repeat(1001) }),
        json!({ "decision": "approve", "by": "ada" }),
        json!({}),
    ];
    for body in bad {
        let refused = admin.post(&address, body.clone());
        assert_eq!(refused.status, 400, "{body}: {}", refused.text());
    }
    says(&admin.post(&address, json!({ "decision": "answer", "answer": "x" })).expect(409).body, 409, "yes or no");
    admin.post(&format!("/api/v1/gates/{run}/other"), json!({ "decision": "approve" })).expect(409);
    admin.post("/api/v1/gates/r0/ok", json!({ "decision": "approve" })).expect(404);
    server.nobody().post(&address, json!({ "decision": "approve" })).expect(401);
}

#[test]
fn a_question_is_answered() {
    let server = bare();
    let admin = server.admin();
    deploy(&admin, ASK);
    let run = begin(&admin, "ask", json!({}));
    assert_eq!(wait(&admin, &run, "blocked")["actions"], json!(["cancel", "signal"]));
    let address = format!("/api/v1/runs/{run}/signal");
    says(&admin.post(&address, json!({ "response": "x".repeat(65_537) })).expect(400).body, 400, "/response");
    admin.post(&address, json!({ "response": "yes", "step": "no step" })).expect(400);
    admin.post(&address, json!({ "response": "yes" })).expect(202);
    let over = wait(&admin, &run, "finished");
    assert_eq!(over["visits"][0]["steps"][0]["outputs"]["response"], "yes");
    says(&admin.post(&address, json!({ "response": "yes" })).expect(409).body, 409, "asks nothing");
    says(&admin.post("/api/v1/runs/r0/signal", json!({ "response": "x" })).expect(404).body, 404, "r0");
}

#[test]
fn a_run_is_stopped_and_repeated() {
    let server = Server::start();
    let admin = server.admin();
    let deaf = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    deploy(&admin, &shell("deaf", deaf));
    let run = begin(&admin, "deaf", json!({}));
    let end = Instant::now() + PATIENCE;
    while shown(&admin, &run)["visits"][0]["steps"][0]["attempts"][0]["has_log"] != true {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(50));
    }
    let address = format!("/api/v1/runs/{run}/cancel");
    admin.post(&format!("/api/v1/runs/{run}/rerun"), json!({})).expect(409);
    admin.post(&address, json!({ "reason": "x".repeat(501) })).expect(400);
    admin.post(&address, json!({ "reason": "enough" })).expect(202);
    // It does not hear, and has ten seconds; asked again, it has none.
    let asked = Instant::now();
    admin.post(&address, json!({})).expect(202);
    let over = wait(&admin, &run, "finished");
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    assert_eq!(over["outcome"], "cancelled");
    says(&admin.post(&address, json!({})).expect(409).body, 409, "ended already");

    deploy(&admin, &shell("fails", "for i in $(seq 30); do echo line $i; done; exit 3"));
    let run = begin(&admin, "fails", json!({}));
    let over = wait(&admin, &run, "finished");
    assert_eq!(
        (&over["reason"]["kind"], &over["reason"]["exit_code"]),
        (&json!("non-zero-exit"), &json!(3)),
        "{over:#}"
    );
    let culprit = &over["culprit"];
    assert_eq!(
        (&culprit["first_line"], culprit["lines"].as_array().map(Vec::len)),
        // The plugin says what it runs before them, and how it ended behind them.
        (&json!(13), Some(20)),
        "{culprit:#}"
    );
    assert!(culprit["lines"].as_array().is_some_and(|lines| lines.contains(&json!("line 30"))), "{culprit:#}");

    let again = |body: Value| admin.post(&format!("/api/v1/runs/{run}/rerun"), body);
    let row = again(json!({})).expect(201).body;
    assert_eq!((&row["trigger"], &row["version"]), (&json!("rerun"), &json!(1)));
    let second = row["id"].as_str().expect("an id").to_owned();
    assert_eq!(wait(&admin, &second, "finished")["rerun_of"], run);
    assert_eq!(shown(&admin, &run)["reruns"], json!([second]));
    let from = admin.post(&format!("/api/v1/runs/{second}/rerun"), json!({ "from": "failed" })).expect(201).body;
    wait(&admin, from["id"].as_str().expect("an id"), "finished");
    for body in [json!({ "from": "step" }), json!({ "from": "all", "step": "work" }), json!({ "from": "middle" })] {
        let refused = again(body.clone());
        assert_eq!(refused.status, 400, "{body}: {}", refused.text());
    }
    says(&again(json!({ "from": "step", "step": "none" })).expect(409).body, 409, "never came to");
}

/// A run whose sub-run waits for a person goes on when that one has ended, also after another start.
#[test]
fn a_parent_goes_on_after_its_sub_run() {
    let mut server = bare();
    let admin = server.admin();
    deploy(&admin, &gate("inner", "prompt: 'Well?', self_approval: true"));
    let outer = "name: outer\nsteps:\n  - { name: go, type: step.workflow, config: { workflow: inner } }\n";
    deploy(&admin, outer);
    for restarted in [false, true] {
        let run = begin(&admin, "outer", json!({}));
        let end = Instant::now() + PATIENCE;
        let sub = loop {
            if let Some(sub) = shown(&admin, &run)["sub_runs"][0].as_str() {
                break sub.to_owned();
            }
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(20));
        };
        wait(&admin, &sub, "blocked");
        if restarted {
            assert_eq!(server.end(), 0);
            server.restart();
        }
        let gates = admin.get("/api/v1/gates").expect(200).body;
        assert!(gates.as_array().is_some_and(|all| all.iter().any(|gate| gate["run"] == sub)), "{gates:#}");
        admin.post(&format!("/api/v1/gates/{sub}/ok"), json!({ "decision": "approve" })).expect(202);
        assert_eq!(wait(&admin, &run, "finished")["outcome"], "succeeded");
        assert_eq!(shown(&admin, &sub)["parent"], run);
        let listed = admin.get("/api/v1/runs?workflow=inner").expect(200).body;
        assert_eq!(listed["items"], json!([]), "sub-runs are listed where they are asked for");
        let listed = admin.get("/api/v1/runs?workflow=inner&sub_runs=true").expect(200).body;
        assert_eq!(listed["items"][0]["trigger"], "sub-run");
    }
}

/// What goes on beside a gate goes on after a crash too, and a parent hears of its sub-run's end while something else of it is under way.
#[test]
fn what_is_under_way_beside_what_waits() {
    let mut server = Server::start();
    let admin = server.admin();
    deploy(&admin, &gate("inner", "prompt: 'Well?', self_approval: true"));
    let work = |seconds: u32| {
        format!(
            "{{ name: beside, needs: [], type: step.shell_exec, config: {{ image: \"{IMAGE}\", commands: [\"sleep {seconds}\"] }} }}"
        )
    };
    let outer = "{ name: go, needs: [], type: step.workflow, config: { workflow: inner } }";
    deploy(&admin, &format!("name: outer\nsteps:\n  - {outer}\n  - {}\n", work(20)));
    let waits = "{ name: ok, needs: [], type: step.gate, config: { self_approval: true } }";
    deploy(&admin, &format!("name: gated\nsteps:\n  - {waits}\n  - {}\n", work(4)));
    let step = |run: &str, name: &str, status: &str| {
        let end = Instant::now() + PATIENCE;
        loop {
            let now = shown(&admin, run);
            let steps = now["visits"][0]["steps"].as_array().expect("steps").clone();
            if steps.iter().any(|step| step["name"] == name && step["status"] == status) {
                return now;
            }
            assert!(Instant::now() < end, "{name} of {run} is not {status}: {now:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };

    let gated = begin(&admin, "gated", json!({}));
    step(&gated, "beside", "running");
    assert_eq!(shown(&admin, &gated)["status"], "blocked");
    server.kill();
    server.restart();
    let now = step(&gated, "beside", "succeeded");
    assert_eq!(now["status"], "blocked");
    admin.post(&format!("/api/v1/gates/{gated}/ok"), json!({ "decision": "approve" })).expect(202);
    wait(&admin, &gated, "finished");

    let run = begin(&admin, "outer", json!({}));
    step(&run, "beside", "running");
    let sub = shown(&admin, &run)["sub_runs"][0].as_str().expect("a sub-run").to_owned();
    wait(&admin, &sub, "blocked");
    admin.post(&format!("/api/v1/gates/{sub}/ok"), json!({ "decision": "approve" })).expect(202);
    let now = step(&run, "go", "succeeded");
    assert!(now["visits"][0]["steps"].as_array().is_some_and(|all| all[1]["status"] == "running"), "{now:#}");
    admin.post(&format!("/api/v1/runs/{run}/cancel"), json!({})).expect(202);
    wait(&admin, &run, "finished");
}

/// Runs of one group take turns, however many wait, and one that is stopped while it waits is gone.
#[test]
fn turns_in_a_group() {
    let server = bare();
    let admin = server.admin();
    let turn = "
name: turn
concurrency: { group: one, limit: 1 }
steps:
  - { name: ok, type: step.gate, config: { self_approval: true } }
";
    deploy(&admin, turn);
    let runs: Vec<String> = (0..4).map(|_| begin(&admin, "turn", json!({}))).collect();
    wait(&admin, &runs[0], "blocked");
    let queued = wait(&admin, &runs[2], "queued");
    assert_eq!((&queued["queue"]["group"], &queued["queue"]["behind"]), (&json!("one"), &json!(runs[..2])));
    admin.post(&format!("/api/v1/runs/{}/cancel", runs[1]), json!({})).expect(202);
    wait(&admin, &runs[1], "finished");
    for run in [&runs[0], &runs[2], &runs[3]] {
        wait(&admin, run, "blocked");
        admin.post(&format!("/api/v1/gates/{run}/ok"), json!({ "decision": "approve" })).expect(202);
        wait(&admin, run, "finished");
    }
}

/// `kill -9` while runs are begun: each one whose id was told is there and ends, and none is there twice.
#[test]
fn nothing_is_lost_when_the_server_is_killed() {
    const ROUNDS: usize = 3;
    const CLIENTS: usize = 8;
    let mut server = bare();
    let admin = server.admin();
    deploy(&admin, QUICK);
    let outer = "
name: outer
steps:
  - { name: first, type: step.workflow, config: { workflow: quick } }
  - { name: second, type: step.gate, config: { type: automated, conditions: [steps.first.outputs.outcome == 'succeeded'] } }
";
    deploy(&admin, outer);
    let mut told: Vec<String> = Vec::new();
    let sent = AtomicUsize::new(0);
    for _ in 0..ROUNDS {
        let (stop, enough) = (AtomicBool::new(false), AtomicUsize::new(0));
        let (url, key) = (format!("{}/api/v1/workflows/outer/runs", server.url()), server.key().to_owned());
        let begin_until_stopped = || {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut ids = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                sent.fetch_add(1, Ordering::Relaxed);
                let request = agent.post(&url).header("x-api-key", &key).header("content-type", "application/json");
                let Ok(mut answer) = request.send("{}") else { continue };
                // The end may come in the middle of an answer: then nothing was told.
                let Ok(text) = answer.body_mut().read_to_string() else { continue };
                if answer.status() == 201 {
                    let row: Value = serde_json::from_str(&text).expect("a run");
                    ids.push(row["id"].as_str().expect("an id").to_owned());
                    enough.fetch_add(1, Ordering::Relaxed);
                }
            }
            ids
        };
        let ids: Vec<String> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(begin_until_stopped)).collect();
            let end = Instant::now() + PATIENCE;
            while enough.load(Ordering::Relaxed) < 40 {
                assert!(Instant::now() < end, "{enough:?} runs");
                std::thread::sleep(Duration::from_millis(5));
            }
            server.kill();
            stop.store(true, Ordering::Relaxed);
            clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
        });
        told.extend(ids);
        server.restart();
    }
    let unique: BTreeSet<&String> = told.iter().collect();
    assert_eq!(unique.len(), told.len());
    for run in &told {
        assert_eq!(wait(&admin, run, "finished")["outcome"], "succeeded", "{run}");
    }
    // Those that were not told may be there, and end as well; more than were asked for may not.
    let mut all = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let page = admin.get(&format!("/api/v1/runs?limit=200&workflow=outer{cursor}")).expect(200).body;
        for row in page["items"].as_array().expect("a list") {
            let run = row["id"].as_str().expect("an id").to_owned();
            assert_eq!(wait(&admin, &run, "finished")["sub_runs"].as_array().map(Vec::len), Some(1), "{run}");
            assert!(all.insert(run), "twice in the list");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(told.iter().all(|run| all.contains(run)));
    assert!(all.len() <= sent.load(Ordering::Relaxed), "{} runs of {sent:?}", all.len());
}
