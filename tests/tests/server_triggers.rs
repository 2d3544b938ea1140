//! What begins runs by itself, through a real server: signed requests, repositories' events, and times.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use windlass_tests::{Client, Reply, Server};

/// A pipeline that waits for a person at once, and needs no container.
const WAITS: &str = "name: waits
inputs:
  what: { type: string, default: nothing }
steps:
  - { name: ok, type: step.gate, config: { prompt: 'What about {{ inputs.what }}?', self_approval: true } }
";

/// One that ends at once, and needs no container.
const ENDS: &str = "name: ends
inputs:
  n: { type: number, required: true }
steps:
  - { name: never, type: step.gate, if: \"inputs.n < 0\", config: { prompt: 'Never' } }
";

fn hmac(secret: &str, signed: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed);
    hex::encode(mac.finalize().into_bytes())
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A webhook with its secret, and who sends to it.
struct Hook {
    id: String,
    secret: String,
    sender: Client,
}

impl Hook {
    fn make(server: &Server, workflow: &str, spec: Value) -> Hook {
        let made = server
            .admin()
            .post(&format!("/api/v1/workflows/{workflow}/triggers"), json!({ "name": "a hook", "spec": spec }))
            .expect(201)
            .body;
        let text = |pointer: &str| made.pointer(pointer).and_then(Value::as_str).expect(pointer).to_owned();
        assert!(text("/trigger/url").ends_with(&format!("/hooks/{}", text("/trigger/id"))));
        Hook { id: text("/trigger/id"), secret: text("/secret"), sender: server.nobody() }
    }

    fn path(&self) -> String {
        format!("/hooks/{}", self.id)
    }

    /// A request as our own senders make it.
    fn send(&self, delivery: &str, body: &Value) -> Reply {
        self.send_at(seconds(), delivery, body.to_string().as_bytes())
    }

    fn send_at(&self, time: u64, delivery: &str, body: &[u8]) -> Reply {
        let signed = [format!("{time}.").as_bytes(), body].concat();
        let signature = format!("t={time},v1={}", hmac(&self.secret, &signed));
        self.sender
            .with("x-windlass-signature", &signature)
            .with("x-windlass-delivery", delivery)
            .with("content-type", "application/json")
            .send("POST", &self.path(), Some(body.to_vec()))
    }

    /// A request as GitHub makes it.
    fn github(&self, event: &str, delivery: &str, body: &Value) -> Reply {
        let body = body.to_string().into_bytes();
        self.sender
            .with("x-hub-signature-256", &format!("sha256={}", hmac(&self.secret, &body)))
            .with("x-github-event", event)
            .with("x-github-delivery", delivery)
            .with("content-type", "application/json")
            .send("POST", &self.path(), Some(body))
    }
}

fn deploy(server: &Server, yaml: &str) {
    server.admin().post("/api/v1/workflows", json!({ "yaml": yaml })).expect(201);
}

/// Looks until something is so. What is looked for comes by itself; the pause only keeps the test from asking all the time.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} does not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn deliveries(server: &Server, trigger: &str) -> Vec<Value> {
    let page = server.admin().get(&format!("/api/v1/triggers/{trigger}/deliveries?limit=200")).expect(200).body;
    page["items"].as_array().unwrap().clone()
}

/// Waits until nothing of the trigger is about to begin; its deliveries, the newest first.
fn settled(server: &Server, trigger: &str) -> Vec<Value> {
    until("the beginning of every run", || {
        let all = deliveries(server, trigger);
        all.iter().all(|each| each["status"] != "accepted").then_some(all)
    })
}

fn runs_of(server: &Server, by: &str) -> Vec<Value> {
    let (mut runs, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.admin().get(&format!("/api/v1/runs?limit=200&by={by}{cursor}")).expect(200).body;
        runs.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return runs,
        }
    }
}

#[test]
fn a_signed_request_begins_a_run() {
    let server = Server::start();
    deploy(&server, WAITS);
    let spec = json!({
        "kind": "webhook",
        "filter": "event.body.action == 'published'",
        "inputs": { "what": "{{ event.body.release.name }} by {{ event.headers.user-agent }}" },
    });
    let hook = Hook::make(&server, "waits", spec);
    let body = json!({ "action": "published", "release": { "name": "$(id); {{ inputs.what }}" } });
    let answer = hook.send("first", &body).expect(202).body;
    let run = answer["run"].as_str().unwrap().to_owned();
    assert!(matches!(answer["status"].as_str(), Some("accepted" | "started")), "{answer}");

    let settled_rows = settled(&server, &hook.id);
    assert_eq!(settled_rows[0]["status"], "started");
    let row = until("the run", || {
        let found = server.admin().get(&format!("/api/v1/runs/{run}"));
        (found.status == 200 && found.body["status"] == "blocked").then_some(found.body)
    });
    assert_eq!(row["by"], format!("trigger:{}", hook.id));
    assert_eq!(row["trigger"], "webhook");
    let what = row["inputs"]["what"].as_str().unwrap();
    assert!(what.starts_with("$(id); {{ inputs.what }} by "), "what strangers write stays a value: {what}");

    // The same delivery is the same, under its id and under another one.
    assert_eq!(hook.send("first", &body).expect(202).body["id"], answer["id"]);
    let now = seconds();
    let again = json!({ "action": "published", "n": 2 }).to_string();
    let one = hook.send_at(now, "a", again.as_bytes()).expect(202).body;
    assert_eq!(hook.send_at(now, "b", again.as_bytes()).expect(202).body["id"], one["id"], "an id is not signed");

    let other = hook.send("other", &json!({ "action": "deleted" })).expect(202).body;
    assert_eq!((other["status"].as_str(), other["run"].as_str()), (Some("filtered"), None), "{other}");
    let odd = hook.send("odd", &json!({ "action": 5 })).expect(202).body;
    assert_eq!(odd["status"], "refused", "a filter that cannot be asked is told: {odd}");

    settled(&server, &hook.id);
    assert_eq!(runs_of(&server, &format!("trigger:{}", hook.id)).len(), 2);
}

#[test]
fn what_is_not_signed_is_nothing() {
    let server = Server::start();
    deploy(&server, WAITS);
    let hook = Hook::make(&server, "waits", json!({ "kind": "webhook" }));
    let github = Hook::make(&server, "waits", json!({ "kind": "github", "events": ["push"] }));
    let unknown = Hook { id: "0".repeat(32), secret: hook.secret.clone(), sender: server.nobody() };
    let wrong = Hook { id: hook.id.clone(), secret: "whsec_other".to_owned(), sender: server.nobody() };
    let crossed = Hook { id: github.id.clone(), secret: hook.secret.clone(), sender: server.nobody() };
    let body = json!({ "ref": "refs/heads/main" });
    let told = |reply: Reply| {
        let reply = reply.expect(401);
        assert_eq!(reply.body["code"], "WL1550");
        let mut body = reply.body;
        body.as_object_mut().unwrap().remove("request_id");
        body
    };
    // Whether there is such a trigger is not told.
    let answer = told(wrong.send("d", &body));
    assert_eq!(told(unknown.send("d", &body)), answer);
    assert_eq!(told(unknown.github("push", "d", &body)), answer);
    assert_eq!(told(crossed.github("push", "d", &body)), answer);
    assert_eq!(told(hook.github("push", "d", &body)), answer, "another scheme");
    assert_eq!(told(server.nobody().post(&hook.path(), body.clone())), answer);
    // A key is no signature.
    assert_eq!(told(server.admin().post(&hook.path(), body.clone())), answer);
    assert_eq!(told(server.nobody().post("/hooks/..%2f..%2fetc", body.clone())), answer);

    let stale = hook.send_at(seconds() - 301, "d", b"{}").expect(401);
    assert_eq!(stale.body["code"], "WL1551");
    hook.send_at(seconds() + 400, "d", b"{}").expect(401);

    assert_eq!(hook.send_at(seconds(), "d", b"{\"a\":").expect(400).body["code"], "WL1500");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    hook.send_at(seconds(), "d", deep.as_bytes()).expect(400);
    hook.send_at(seconds(), "d", b"\xff\xfe").expect(400);
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    assert_eq!(hook.send_at(seconds(), "d", large.as_bytes()).expect(413).body["code"], "WL1506");
    let fits = format!("\"{}\"", "x".repeat((1 << 20) - 2));
    hook.send_at(seconds(), "fits", fits.as_bytes()).expect(202);
    let form = github.sender.with("content-type", "application/x-www-form-urlencoded");
    let text = b"payload=%7B%7D".to_vec();
    let signature = format!("sha256={}", hmac(&github.secret, &text));
    form.with("x-hub-signature-256", &signature).send("POST", &github.path(), Some(text)).expect(415);

    assert_eq!(deliveries(&server, &hook.id).len(), 1, "nothing else was kept");
    assert!(deliveries(&server, &github.id).is_empty());
}

#[test]
fn events_of_a_repository() {
    let server = Server::start();
    deploy(&server, WAITS);
    let spec = json!({
        "kind": "github", "events": ["push", "tag", "pull_request"],
        "branches": ["main", "release/**"], "tags": ["v*"], "paths": ["src/**"],
        "inputs": { "what": "{{ event.github.sha }} of {{ event.github.repository }}" },
    });
    let hook = Hook::make(&server, "waits", spec);
    let push = |reference: &str, file: &str, message: &str| {
        json!({
            "ref": reference, "before": "a", "after": "b", "created": false, "forced": false, "deleted": false,
            "repository": { "full_name": "acme/shop" }, "sender": { "login": "ann" },
            "head_commit": { "message": message }, "commits": [{ "modified": [file] }],
        })
    };
    let pull = |action: &str, from: &str| {
        json!({
            "action": action, "number": 3, "repository": { "full_name": "acme/shop" },
            "pull_request": {
                "title": "Line\r\nX-Evil: yes", "base": { "ref": "main", "repo": { "full_name": "acme/shop" } },
                "head": { "ref": "fix", "sha": "c", "repo": { "full_name": from } },
            },
        })
    };
    let cases = [
        ("ping", json!({ "zen": "Design for failure." }), "skipped", "connection works"),
        ("push", push("refs/heads/main", "src/a.rs", "Mend"), "begins", ""),
        ("push", push("refs/heads/main", "docs/a.md", "Mend"), "filtered", "paths"),
        ("push", push("refs/heads/other", "src/a.rs", "Mend"), "filtered", "branch other"),
        ("push", push("refs/heads/main", "src/b.rs", "Mend [skip ci]"), "filtered", "[skip ci]"),
        ("push", push("refs/tags/v1", "docs/a.md", "Mend"), "begins", ""),
        ("push", push("refs/tags/x1", "src/a.rs", "Mend"), "filtered", "tag x1"),
        ("pull_request", pull("opened", "acme/shop"), "begins", "path filter"),
        ("pull_request", pull("labeled", "acme/shop"), "filtered", "action labeled"),
        ("pull_request", pull("opened", "eve/shop"), "filtered", "fork"),
        ("issues", json!({ "action": "opened" }), "filtered", "issues"),
    ];
    for (index, (event, body, status, words)) in cases.into_iter().enumerate() {
        let row = hook.github(event, &format!("d{index}"), &body).expect(202).body;
        let begins = matches!(row["status"].as_str(), Some("accepted" | "started"));
        assert_eq!(begins, status == "begins", "{event} {body}: {row}");
        assert!(begins || row["status"] == status, "{event} {body}: {row}");
        assert!(row["reason"].as_str().unwrap_or_default().contains(words), "{event} {body}: {row}");
    }
    settled(&server, &hook.id);
    let runs = runs_of(&server, &format!("trigger:{}", hook.id));
    let titles: BTreeSet<_> = runs.iter().map(|run| run["title"].as_str().unwrap()).collect();
    assert_eq!(titles, BTreeSet::from(["main: Mend", "v1: Mend", "#3 LineX-Evil: yes"]));

    // A delivery may be taken once more, as if it came.
    let first = deliveries(&server, &hook.id).into_iter().find(|each| each["key"] == "d1").unwrap();
    let path = format!("/api/v1/triggers/{}/deliveries/{}/redeliver", hook.id, first["id"]);
    let again = server.admin().post(&path, json!({})).expect(202).body;
    assert_ne!(again["run"], first["run"]);
    settled(&server, &hook.id);
    assert_eq!(runs_of(&server, &format!("trigger:{}", hook.id)).len(), 4);
    server.admin().post(&format!("/api/v1/triggers/{}/deliveries/999999/redeliver", hook.id), json!({})).expect(404);
}

#[test]
fn triggers_are_made_changed_and_deleted() {
    let mut server = Server::start();
    deploy(&server, WAITS);
    let admin = server.admin();
    let make = |spec: Value| admin.post("/api/v1/workflows/waits/triggers", json!({ "name": "t", "spec": spec }));
    let wrong = [
        (json!({ "kind": "webhook", "filter": "event.bdy.a == 'x'" }), "/spec/filter", "column 1"),
        (json!({ "kind": "webhook", "filter": "event.github.ref == 'x'" }), "/spec/filter", "no `github`"),
        (json!({ "kind": "webhook", "inputs": { "what": "{{ run.id }}" } }), "/spec/inputs/what", "column 4"),
        (json!({ "kind": "github", "events": [] }), "/spec/events", "at least one"),
        (json!({ "kind": "github", "events": ["push"], "paths": ["ok", "[x"] }), "/spec/paths/1", ""),
        (json!({ "kind": "schedule", "cron": "61 * * * *" }), "/spec/cron", ""),
        (json!({ "kind": "schedule", "cron": "* * * * * *" }), "/spec/cron", "minute, hour"),
        (json!({ "kind": "schedule", "cron": "0 0 30 2 *" }), "/spec/cron", ""),
        (json!({ "kind": "schedule", "cron": "0 9 * * *", "time_zone": "Mars/Base" }), "/spec/time_zone", "Mars"),
    ];
    for (spec, pointer, words) in wrong {
        let problem = make(spec.clone()).expect(400).body;
        let said = problem["errors"].as_array().unwrap().iter().find(|error| error["pointer"] == pointer);
        let said = said.unwrap_or_else(|| panic!("{spec}: {problem}"));
        assert!(said["detail"].as_str().unwrap().contains(words), "{spec}: {problem}");
    }
    make(json!({ "kind": "webhook", "secret": "x" })).expect(400);
    admin.post("/api/v1/workflows/none/triggers", json!({ "name": "t", "spec": { "kind": "webhook" } })).expect(404);
    admin.post("/api/v1/workflows/waits/triggers", json!({ "name": " ", "spec": { "kind": "webhook" } })).expect(400);

    let hook = Hook::make(&server, "waits", json!({ "kind": "webhook" }));
    assert_eq!((hook.id.len(), hook.secret.len()), (32, 70));
    let shown = admin.get(&format!("/api/v1/triggers/{}", hook.id)).expect(200);
    assert!(!shown.text().contains(&hook.secret), "a secret is shown once");
    let database = std::fs::read(server.home().join("server.db")).unwrap();
    let wal = std::fs::read(server.home().join("server.db-wal")).unwrap_or_default();
    let holds = |bytes: &[u8]| bytes.windows(hook.secret.len()).any(|part| part == hook.secret.as_bytes());
    assert!(!holds(&database) && !holds(&wal), "no secret in the database");

    let path = format!("/api/v1/triggers/{}", hook.id);
    admin.patch(&path, json!({ "spec": { "kind": "schedule", "cron": "0 9 * * *" } })).expect(400);
    admin.patch(&path, json!({ "enabled": false, "name": "off" })).expect(200);
    assert_eq!(hook.send("off", &json!({})).expect(202).body["status"], "skipped");
    admin.patch(&path, json!({ "enabled": true })).expect(200);

    // Two secrets are taken for a while, also by the next server.
    let rotated = admin.post(&format!("{path}/rotate"), json!({})).expect(200).body;
    let new =
        Hook { id: hook.id.clone(), secret: rotated["secret"].as_str().unwrap().to_owned(), sender: server.nobody() };
    assert_ne!(new.secret, hook.secret);
    hook.send("old", &json!({ "n": 1 })).expect(202);
    new.send("new", &json!({ "n": 2 })).expect(202);
    settled(&server, &hook.id);
    server.kill();
    server.restart();
    let (hook, new) = (Hook { sender: server.nobody(), ..hook }, Hook { sender: server.nobody(), ..new });
    hook.send("old2", &json!({ "n": 3 })).expect(202);
    new.send("new2", &json!({ "n": 4 })).expect(202);
    let admin = server.admin();
    admin.post(&format!("{path}/rotate"), json!({})).expect(200);
    hook.send("old3", &json!({ "n": 5 })).expect(401);
    new.send("new3", &json!({ "n": 6 })).expect(202);

    admin.delete(&path).expect(204);
    admin.get(&path).expect(404);
    admin.delete(&path).expect(404);
    new.send("gone", &json!({ "n": 7 })).expect(401);
    let list = server.windlass(&["secret", "list"]).ok().all();
    assert!(!list.contains(&hook.id), "its secrets are gone: {list}");

    for _ in 0..50 {
        admin
            .post(
                "/api/v1/workflows/waits/triggers",
                json!({ "name": "t", "spec": { "kind": "schedule", "cron": "0 9 * * *" } }),
            )
            .expect(201);
    }
    let full = admin.post("/api/v1/workflows/waits/triggers", json!({ "name": "t", "spec": { "kind": "webhook" } }));
    assert_eq!(full.expect(409).body["code"], "WL1504");
    admin.delete("/api/v1/workflows/waits").expect(204);
    admin.get("/api/v1/workflows/waits/triggers").expect(404);
}

/// Requests while the server dies again and again: what was answered is begun, each once.
#[test]
fn no_delivery_is_lost_or_begun_twice() {
    const ROUNDS: usize = 4;
    const SENDERS: usize = 8;
    const ANSWERS: usize = 40;
    let mut server = Server::start();
    deploy(&server, ENDS);
    let spec = json!({ "kind": "webhook", "inputs": { "n": "{{ event.body.n }}" } });
    let hook = Hook::make(&server, "ends", spec);
    let mut answered = BTreeSet::new();
    for round in 0..ROUNDS {
        // It is killed in the middle of them, however fast the machine is.
        let count = AtomicUsize::new(0);
        let ids: Vec<String> = std::thread::scope(|scope| {
            let send = |sender: usize| {
                let (hook, count) = (&hook, &count);
                scope.spawn(move || {
                    let mut ids = Vec::new();
                    for n in 0.. {
                        let body = json!({ "n": n, "sender": sender, "round": round });
                        let sent = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                            hook.send(&format!("{round}-{sender}-{n}"), &body)
                        }));
                        match sent {
                            Ok(reply) if reply.status == 202 => {
                                ids.push(reply.body["run"].as_str().unwrap().to_owned());
                                count.fetch_add(1, Ordering::Relaxed);
                            }
                            _ => break,
                        }
                    }
                    ids
                })
            };
            let senders: Vec<_> = (0..SENDERS).map(send).collect();
            until("enough answers", || (count.load(Ordering::Relaxed) >= ANSWERS).then_some(()));
            server.kill();
            senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
        });
        answered.extend(ids);
        server.restart();
    }
    println!("{} requests were answered while the server was killed {ROUNDS} times", answered.len());
    let mut rows = Vec::new();
    let mut cursor = String::new();
    until("the beginning of every run", || {
        rows.clear();
        cursor.clear();
        loop {
            let path = format!("/api/v1/triggers/{}/deliveries?limit=200{cursor}", hook.id);
            let page = server.admin().get(&path).expect(200).body;
            rows.extend(page["items"].as_array().unwrap().clone());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows.iter().all(|row| row["status"] == "started").then_some(()),
            }
        }
    });
    let begun: BTreeSet<String> = rows.iter().map(|row| row["run"].as_str().unwrap().to_owned()).collect();
    assert_eq!(begun.len(), rows.len(), "each its own run");
    assert!(answered.is_subset(&begun), "what was answered is there");
    let runs = until("the end of every run", || {
        let runs = runs_of(&server, &format!("trigger:{}", hook.id));
        runs.iter().all(|run| run["status"] == "finished").then_some(runs)
    });
    let there: BTreeSet<String> = runs.iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(there, begun, "no run but those, and none is missing");
}

/// A schedule through a minute: its time begins a run once, also when the server is killed then; and what each overlap does.
#[test]
fn a_schedule_begins_runs_at_its_times() {
    let mut server = Server::start();
    deploy(&server, WAITS);
    let make = |name: &str, more: Value| {
        let mut spec = json!({ "kind": "schedule", "cron": "* * * * *", "inputs": { "what": "{{ event.time }}" } });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = json!({ "name": name, "spec": spec });
        let made = server.admin().post("/api/v1/workflows/waits/triggers", body).expect(201).body;
        assert_eq!(made["secret"], Value::Null);
        made["trigger"]["id"].as_str().unwrap().to_owned()
    };
    let overlaps = ["skip", "queue", "allow", "cancel-previous"];
    let ids = overlaps.map(|overlap| make(overlap, json!({ "overlap": overlap })));
    let off = make("off", json!({}));
    server.admin().patch(&format!("/api/v1/triggers/{off}"), json!({ "enabled": false })).expect(200);
    let past = |count: usize| {
        let end = Instant::now() + Duration::from_secs(90);
        while ids.iter().any(|id| deliveries(&server, id).len() < count) {
            assert!(Instant::now() < end, "the time does not come");
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    past(1);
    let first: Vec<Value> = ids.iter().map(|id| settled(&server, id)[0].clone()).collect();
    for row in &first {
        assert_eq!((row["status"].as_str(), row["event"].as_str()), (Some("started"), Some("time")), "{row}");
    }
    let run = first[0]["run"].as_str().unwrap();
    let shown = server.admin().get(&format!("/api/v1/runs/{run}")).expect(200).body;
    assert_eq!(shown["trigger"], "schedule");
    assert_eq!(shown["inputs"]["what"], first[0]["key"], "the time is the run's input");
    server.kill();
    server.restart();
    for id in &ids {
        assert_eq!(deliveries(&server, id).len(), 1, "a time is taken once");
    }

    let end = Instant::now() + Duration::from_secs(90);
    while ids.iter().any(|id| deliveries(&server, id).len() < 2) {
        assert!(Instant::now() < end, "the next time does not come");
        std::thread::sleep(Duration::from_millis(200));
    }
    let newest = |id: &str| deliveries(&server, id)[0].clone();
    let skipped = newest(&ids[0]);
    assert_eq!(skipped["status"], "skipped");
    assert!(skipped["reason"].as_str().unwrap().contains(run), "{skipped}");
    assert_eq!(newest(&ids[1])["status"], "accepted", "it waits for the run before");
    until("the run beside", || (newest(&ids[2])["status"] == "started").then_some(()));
    until("the run after the one that was cancelled", || (newest(&ids[3])["status"] == "started").then_some(()));
    let cancelled = first[3]["run"].as_str().unwrap();
    assert_eq!(server.admin().get(&format!("/api/v1/runs/{cancelled}")).expect(200).body["outcome"], "cancelled");

    // The one that waits begins when the one before it ends.
    let before = first[1]["run"].as_str().unwrap();
    server.admin().post(&format!("/api/v1/runs/{before}/cancel"), json!({})).expect(202);
    let waited = deliveries(&server, &ids[1]).into_iter().find(|row| row["id"] != first[1]["id"]).unwrap();
    until("the run that waited", || {
        let rows = deliveries(&server, &ids[1]);
        rows.iter().any(|row| row["id"] == waited["id"] && row["status"] == "started").then_some(())
    });
    assert!(deliveries(&server, &off).is_empty(), "what is switched off does nothing");
}

/// Runs of one group that webhooks begin take turns.
#[test]
fn runs_of_a_group_take_turns() {
    let server = Server::start();
    let grouped =
        format!("concurrency: {{ group: 'deploy-{{{{ inputs.what }}}}' }}\n{}", WAITS.replace("waits", "grouped"));
    deploy(&server, &grouped);
    let hook = Hook::make(&server, "grouped", json!({ "kind": "webhook", "inputs": { "what": "prod" } }));
    for n in 0..3 {
        hook.send(&format!("d{n}"), &json!({ "n": n })).expect(202);
    }
    settled(&server, &hook.id);
    let by = format!("trigger:{}", hook.id);
    let states = || {
        let mut states: Vec<String> =
            runs_of(&server, &by).iter().map(|run| run["status"].as_str().unwrap().to_owned()).collect();
        states.sort();
        states
    };
    until("one at the gate and two behind it", || (states() == ["blocked", "queued", "queued"]).then_some(()));
    let first = runs_of(&server, &by).into_iter().find(|run| run["status"] == "blocked").unwrap();
    server.admin().post(&format!("/api/v1/runs/{}/cancel", first["id"].as_str().unwrap()), json!({})).expect(202);
    until("the next one's turn", || (states() == ["blocked", "finished", "queued"]).then_some(()));
}
