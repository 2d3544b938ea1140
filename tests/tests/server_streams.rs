//! Following runs and logs through a real server; what runs have made, and what tests and scanners said.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};
use windlass_tests::{Project, Server, files_with};

/// An event of a stream.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    id: Option<String>,
    name: String,
    data: Value,
}

/// A stream of events, as a browser reads it.
struct Stream(BufReader<TcpStream>);

impl Stream {
    #[track_caller]
    fn open(server: &Server, path: &str, last: Option<&str>) -> Stream {
        let host = server.url().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let last = last.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        // HTTP/1.0: the body comes as it is and ends with the connection.
        let key = server.key();
        write!(stream, "GET {path} HTTP/1.0\r\nhost: {host}\r\nx-api-key: {key}\r\n{last}\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while reader.read_line(&mut head).unwrap() > 2 {}
        assert!(head.starts_with("HTTP/1.0 200") && head.contains("text/event-stream"), "{head}");
        Stream(reader)
    }

    /// The next event of this name; what comes before it is passed over.
    #[track_caller]
    fn wait_for(&mut self, name: &str) -> Sent {
        self.find(|sent| sent.name == name).unwrap_or_else(|| panic!("the stream ended before {name}"))
    }
}

impl Iterator for Stream {
    type Item = Sent;

    fn next(&mut self) -> Option<Sent> {
        let mut sent = Sent { id: None, name: String::new(), data: Value::Null };
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).expect("the stream goes on or ends") == 0 {
                return None;
            }
            match line.trim_end_matches('\n').split_once(": ") {
                Some(("id", id)) => sent.id = Some(id.to_owned()),
                Some(("event", name)) => sent.name = name.to_owned(),
                Some(("data", data)) => sent.data = serde_json::from_str(data).unwrap(),
                _ if line == "\n" && !sent.name.is_empty() => return Some(sent),
                _ => {}
            }
        }
    }
}

/// A project with a run that has ended, and its id.
fn ran(pipeline: &str, code: i32) -> (Project, String) {
    let project = Project::new();
    project.run(pipeline).expect(code);
    let run = project.shown("last")["run"].as_str().unwrap().to_owned();
    (project, run)
}

const TWO: &str = "name: two
steps:
  - { name: one, type: step.shell_exec, config: { image: IMAGE, commands: ['echo 1'] } }
  - { name: other, type: step.shell_exec, config: { image: IMAGE, commands: ['echo 2; exit 3'] } }
  - { name: never, type: step.shell_exec, config: { image: IMAGE, commands: ['echo 3'] } }
";

#[test]
fn a_run_is_told_from_any_place_and_by_any_server_process() {
    let project = Project::new();
    let path = project.pipeline(TWO);
    let told = project.windlass(["run", "--json", path.to_str().unwrap()]);
    let told: Vec<Value> = told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<Value> = told.into_iter().filter(|item| item["type"] != "log").collect();
    let run = told[0]["run"].as_str().unwrap().to_owned();
    let mut server = Server::with(project, &[]);
    let events = format!("/api/v1/runs/{run}/events");

    let all: Vec<Sent> = Stream::open(&server, &events, None).collect();
    let (end, items) = all.split_last().unwrap();
    assert_eq!(end.name, "end");
    let data: Vec<Value> = items.iter().map(|sent| sent.data.clone()).collect();
    assert_eq!(data, told, "the same as the command line told it");
    for sent in items {
        let (seq, part) = (&sent.data["seq"], &sent.data["part"]);
        assert_eq!(
            (sent.id.clone().unwrap(), &sent.name),
            (format!("{run}:{seq}.{part}"), &sent.data["type"].as_str().unwrap().to_owned())
        );
    }
    // From every place, by this process and by its successor.
    for again in [false, true] {
        if again {
            assert_eq!(server.end(), 0);
            server.restart();
        }
        for (at, sent) in items.iter().enumerate() {
            let rest: Vec<Sent> = Stream::open(&server, &events, sent.id.as_deref()).collect();
            assert_eq!(rest, all[at + 1..], "after {:?}", sent.id);
        }
        let id = items[2].id.as_deref().unwrap();
        let rest: Vec<Sent> = Stream::open(&server, &format!("{events}?after={id}"), None).collect();
        assert_eq!(rest, all[3..]);
        let rest: Vec<Sent> = Stream::open(&server, &format!("{events}?after={id}"), items[3].id.as_deref()).collect();
        assert_eq!(rest, all[4..], "the header goes before the parameter");
    }
}

#[test]
fn who_asks_wrongly_is_told_so() {
    let (project, run) = ran(TWO, 1);
    let server = Server::with(project, &[]);
    let admin = server.admin();
    let log = |rest: &str| format!("/api/v1/runs/{run}/logs/other/1{rest}");
    let events = format!("/api/v1/runs/{run}/events");
    let cases = [
        (format!("{events}?after=rubbish"), 400, "WL1300"),
        (format!("{events}?after=r1:1.0"), 400, "WL1500"),
        ("/api/v1/runs/nothing/events".to_owned(), 404, ""),
        ("/api/v1/runs/%2e%2e%2f/events".to_owned(), 404, "WL1503"),
        (log("?limit=0"), 400, "WL1500"),
        (log("?limit=5001"), 400, "WL1500"),
        (log("?from=0"), 400, "WL1500"),
        (log("?from=x"), 400, "WL1500"),
        (log("/stream?from=0"), 400, "WL1500"),
        (log("/search?q="), 400, "WL1500"),
        (log(&format!("/search?q={}", "x".repeat(201))), 400, "WL1500"),
        (log("/search"), 400, "WL1500"),
        (format!("/api/v1/runs/{run}/logs/nowhere/1"), 404, "WL1503"),
        (format!("/api/v1/runs/{run}/logs/%2e%2e%2f%2e%2e/1"), 404, "WL1503"),
        (format!("/api/v1/runs/{run}/logs/one/0"), 404, "WL1503"),
        (format!("/api/v1/runs/{run}/logs/one/x"), 400, "WL1500"),
        (format!("/api/v1/runs/{run}/artifacts/nothing"), 404, ""),
        (format!("/api/v1/runs/{run}/artifacts/%2e%2e%2f%2e%2e%2fwindlass.db"), 404, "WL1503"),
        ("/api/v1/runs/nothing/tests".to_owned(), 404, ""),
    ];
    for (path, status, code) in cases {
        let reply = admin.get(&path).expect(status);
        assert!(code.is_empty() || reply.body["code"] == code, "{path}: {}", reply.text());
    }
    for path in [&events, &log(""), &log("/raw"), &log("/stream"), &log("/search?q=1"), &"/api/v1/events".to_owned()] {
        server.nobody().get(path).expect(401);
    }
    let wrong = admin.with("last-event-id", "rubbish");
    wrong.get(&log("/stream")).expect(400);
}

const PRINTS: &str = "name: prints
steps:
  - name: say
    type: step.shell_exec
    config:
      image: IMAGE
      commands:
        - for n in $(seq 1 1200); do echo \"line $n\"; done
        - printf '\\033[31mred ERROR\\033[0m\\n'; printf '10%%\\r50%%\\rdone\\n'
        - echo other >&2; sleep 0.2
        - head -c 70000 /dev/zero | tr '\\0' x; echo
        - printf 'no newline'
";

/// A text without its ANSI codes for looks.
fn bare(text: &str) -> String {
    let mut bare = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        bare.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    bare + rest
}

#[test]
fn a_log_in_pages_as_text_searched_and_followed() {
    let (project, run) = ran(PRINTS, 0);
    let plain = project.windlass(["logs", &run, "say"]).ok().stdout;
    let plain: Vec<&str> = plain.lines().collect();
    let server = Server::with(project, &[]);
    let admin = server.admin();
    let log = |rest: &str| format!("/api/v1/runs/{run}/logs/say/1{rest}");

    // Pages are what the command line shows, but for what is too long.
    let page = admin.get(&log("")).expect(200).body;
    let total = page["total_lines"].as_u64().unwrap();
    assert_eq!((total, &page["complete"], &page["first"]), (plain.len() as u64, &json!(true), &json!(1)));
    assert_eq!(page["lines"].as_array().unwrap().len(), 1_000);
    let mut lines = Vec::new();
    while (lines.len() as u64) < total {
        let page = admin.get(&log(&format!("?limit=333&from={}", lines.len() + 1))).expect(200).body;
        lines.extend(page["lines"].as_array().unwrap().clone());
    }
    for (n, (line, plain)) in lines.iter().zip(&plain).enumerate() {
        let cut = line["cut"].as_u64().unwrap_or_default();
        assert_eq!(line["n"], json!(n + 1));
        let text = line["text"].as_str().unwrap();
        // Without its looks, which the command line leaves out where nobody could see them.
        let bare = bare(text);
        assert_eq!(bare.len() as u64 + cut, plain.len() as u64, "{text:?} is not {plain:?}");
        assert!(plain.starts_with(&bare), "{text} is not {plain}");
    }
    assert!(lines.iter().any(|line| line["cut"] == json!(70_000 - 65_536)));
    assert!(lines.iter().any(|line| line["stream"] == "stderr" && line["text"] == "other"));
    assert!(lines.iter().any(|line| line["text"] == "\u{1b}[31mred ERROR\u{1b}[0m"));
    assert!(lines.iter().any(|line| line["text"] == "done"));
    let tail = admin.get(&log("?from=-2")).expect(200).body;
    assert_eq!(tail["first"], json!(total - 1));
    assert_eq!(tail["lines"].as_array().unwrap()[..], lines[lines.len() - 2..]);
    let whole = admin.get(&log("?from=-99999&limit=1")).expect(200).body;
    assert_eq!(whole["lines"].as_array().unwrap()[..], lines[..1]);
    let past = admin.get(&log(&format!("?from={}", total + 1))).expect(200).body;
    assert_eq!(past["lines"], json!([]));

    // As text, and a part of it.
    let raw = admin.get(&log("/raw")).expect(200);
    assert_eq!(raw.bytes.len() as u64, page["total_bytes"].as_u64().unwrap());
    assert!(raw.header("content-type").unwrap().starts_with("text/plain"));
    assert_eq!(raw.header("x-content-type-options"), Some("nosniff"));
    assert!(raw.header("content-disposition").unwrap().contains(&format!("filename=\"{run}.say.1.txt\"")));
    let part = admin.with("range", "bytes=5000-9000").get(&log("/raw")).expect(206);
    assert_eq!(part.bytes, raw.bytes[5_000..=9_000]);
    assert_eq!(part.header("content-range"), Some(&*format!("bytes 5000-9000/{}", raw.bytes.len())));

    // What is in it.
    let having = |text: &str| {
        let has = |line: &&Value| line["text"].as_str().unwrap().to_lowercase().contains(text);
        lines.iter().filter(has).map(|line| line["n"].clone()).collect::<Vec<_>>()
    };
    let found = admin.get(&log("/search?q=red%20error")).expect(200).body;
    assert_eq!((&found["lines"], &found["more"]), (&json!(having("red error")), &json!(false)));
    let found = admin.get(&log("/search?q=LINE")).expect(200).body;
    assert_eq!((found["lines"].as_array().unwrap().len(), &found["more"]), (1_000, &json!(true)));
    let rest = admin.get(&log(&format!("/search?q=LINE&after={}", found["looked_at"]))).expect(200).body;
    assert_eq!(
        (rest["lines"].as_array().unwrap().len(), &rest["more"]),
        (having("line").len() - 1_000, &json!(false)),
        "and the one without newline"
    );

    // Followed: the same, from wherever one was.
    let followed: Vec<Sent> = Stream::open(&server, &log("/stream"), None).collect();
    assert_eq!(followed.last().unwrap().name, "end");
    let of = |sent: &[Sent]| -> Vec<Value> {
        let batches = sent.iter().filter(|sent| sent.name == "lines");
        batches.flat_map(|sent| sent.data.as_array().unwrap().clone()).collect()
    };
    assert_eq!(of(&followed), lines);
    for after in [1, 600, total - 1, total] {
        let rest: Vec<Sent> = Stream::open(&server, &log("/stream"), Some(&after.to_string())).collect();
        assert_eq!(of(&rest), lines[after as usize..], "after {after}");
        let rest: Vec<Sent> = Stream::open(&server, &log(&format!("/stream?from={}", after + 1)), None).collect();
        assert_eq!(of(&rest), lines[after as usize..], "from {after}");
    }
    // A reader that has more than there is has read another log.
    let anew: Vec<Sent> = Stream::open(&server, &log("/stream"), Some("99999")).collect();
    assert_eq!((anew[0].name.as_str(), of(&anew)), ("restarted", lines.clone()));
    for sent in followed.iter().filter(|sent| sent.name == "lines") {
        assert_eq!(sent.id.as_deref().unwrap(), sent.data.as_array().unwrap().last().unwrap()["n"].to_string());
    }
}

/// A run of a command line is told by the server while it goes on, and one that the server itself has taken up.
#[test]
fn what_goes_on_is_told_at_once() {
    for own in [false, true] {
        let project = Project::new();
        let path = project.pipeline(
            "name: slow
steps:
  - name: say
    type: step.shell_exec
    config: { image: IMAGE, commands: ['echo begun', 'while [ ! -e /go ]; do sleep 0.1; done', 'echo over'] }
  - { name: ok, type: step.gate, config: { self_approval: true, prompt: 'Ship it?' } }
",
        );
        let mut running = project.spawn(["run", path.to_str().unwrap()]);
        running.wait_for("begun");
        let run = project.shown("last")["run"].as_str().unwrap().to_owned();
        if own {
            running.kill();
        }
        let server = Server::with(project, &[]);
        let mut events = Stream::open(&server, &format!("/api/v1/runs/{run}/events"), None);
        let mut lists = Stream::open(&server, "/api/v1/events", None);
        let mut log = Stream::open(&server, &format!("/api/v1/runs/{run}/logs/say/1/stream"), None);
        assert_eq!(lists.next().unwrap().name, "look");
        assert_eq!(events.next().unwrap().name, "run-started");
        events.wait_for("step-started");
        let mut said = String::new();
        let mut wait_for = |text: &str| {
            while !said.contains(text) {
                let sent = log.next().expect("it goes on until then");
                match sent.name.as_str() {
                    "lines" => {
                        sent.data.as_array().unwrap().iter().for_each(|line| said += line["text"].as_str().unwrap());
                    }
                    "restarted" => said.clear(),
                    other => panic!("{other} before the end"),
                }
            }
        };
        wait_for("begun");
        let container = server.project().containers().remove(0);
        let made = std::process::Command::new("docker").args(["exec", &container, "touch", "/go"]).status().unwrap();
        assert!(made.success());
        wait_for("over");
        assert_eq!(log.wait_for("end").data, json!({}));
        assert_eq!(log.next(), None, "the log's stream ends with the log");
        events.wait_for("gate-opened");
        let gate = lists.wait_for("gate").data;
        assert_eq!(gate, json!({ "run": run, "step": "ok", "open": true, "open_gates": 1 }));
        server.windlass(&["approve", &run, "ok"]).ok();
        events.wait_for("gate-decided");
        assert_eq!(events.wait_for("run-ended").data["outcome"], "succeeded");
        assert_eq!((events.next().unwrap().name.as_str(), events.next()), ("end", None));
        let ended = lists.find(|sent| sent.name == "run" && sent.data["status"] == "finished").unwrap();
        assert_eq!(ended.data, json!({ "id": run, "workflow": "slow", "status": "finished", "outcome": "succeeded" }));
    }
}

/// A server that is asked to stop does not wait for those who read.
#[test]
fn streams_end_with_the_server() {
    let (project, run) = ran("name: gate\nsteps:\n  - { name: ok, type: step.gate, config: { timeout: 1h } }\n", 5);
    let mut server = Server::with(project, &[]);
    let mut streams =
        ["events", "logs/ok/1/stream"].map(|rest| Stream::open(&server, &format!("/api/v1/runs/{run}/{rest}"), None));
    streams[0].wait_for("gate-opened");
    let begun = Instant::now();
    assert_eq!(server.end(), 0);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    for mut stream in streams {
        assert_eq!(stream.find(|sent| sent.name == "end"), None, "it is cut off, and not at an end");
    }
}

#[test]
fn artifacts_are_files_in_whole_and_in_parts() {
    let (project, run) = ran(
        "name: makes
steps:
  - name: make
    type: step.shell_exec
    config:
      image: IMAGE
      commands: ['mkdir -p out && seq 1 200000 > out/numbers && echo \"<script>alert(1)</script>\" > out/page.html']
      artifacts_out: [{ key: big/numbers, path: out/numbers }, { key: page.html, path: out/page.html }]
",
        0,
    );
    let server = Server::with(project, &[]);
    let admin = server.admin();
    let all = admin.get(&format!("/api/v1/runs/{run}/artifacts")).expect(200).body;
    let keys: Vec<_> = all.as_array().unwrap().iter().map(|each| each["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["big/numbers", "page.html"]);
    assert!(all[0]["created_at_ms"].as_u64().unwrap() > 1_600_000_000_000);
    let expected: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
    let expected = expected.as_bytes();

    let path = format!("/api/v1/runs/{run}/artifacts/big%2Fnumbers");
    let whole = admin.get(&path).expect(200);
    assert!(whole.bytes == expected);
    assert_eq!(all[0]["checksum"], hex::encode(Sha256::digest(expected)));
    assert_eq!(all[0]["size"], expected.len());
    let etag = whole.header("etag").unwrap().to_owned();
    let facts = [
        ("content-type", "application/octet-stream"),
        ("content-disposition", "attachment; filename=\"numbers\""),
        ("x-content-type-options", "nosniff"),
        ("accept-ranges", "bytes"),
        ("content-security-policy", "default-src 'none'; sandbox"),
    ];
    for (name, value) in facts {
        assert_eq!(whole.header(name), Some(value), "{name}");
    }
    let head = admin.send("HEAD", &path, None).expect(200);
    assert_eq!((head.header("content-length"), head.bytes.len()), (Some(&*expected.len().to_string()), 0));

    // Cut off after each of some bytes, and gone on with.
    for first in [0, 1, 262_143, 262_144, 262_145, expected.len() - 1] {
        let rest = admin.with("range", &format!("bytes={first}-")).with("if-range", &etag).get(&path).expect(206);
        assert!(rest.bytes == expected[first..], "from {first}");
    }
    let part = admin.with("range", "bytes=-10").get(&path).expect(206);
    assert!(part.bytes == expected[expected.len() - 10..]);
    let other = admin.with("range", "bytes=5-").with("if-range", "\"another\"").get(&path).expect(200);
    assert_eq!(other.bytes.len(), expected.len(), "of something else there is no rest");
    admin.with("if-none-match", &etag).get(&path).expect(304);
    admin.with("if-none-match", &format!("\"a\", W/{etag}")).get(&path).expect(304);
    admin.with("if-none-match", "\"another\"").get(&path).expect(200);
    let none = admin.with("range", &format!("bytes={}-", expected.len())).get(&path).expect(416);
    assert_eq!(none.header("content-range"), Some(&*format!("bytes */{}", expected.len())));

    // A page that somebody's build made is no page of ours.
    let page = admin.get(&format!("/api/v1/runs/{run}/artifacts/page.html")).expect(200);
    assert_eq!(page.header("content-type"), Some("application/octet-stream"));
    assert!(page.header("content-disposition").unwrap().starts_with("attachment"));

    // Bytes that are not those that were kept are not given out as a whole.
    let hex = all[0]["checksum"].as_str().unwrap();
    let blob = server.home().join(format!("artifacts/blobs/sha256/{}/{hex}", &hex[..2]));
    server.project().tamper(&blob, |mut bytes| {
        bytes[10] ^= 1;
        bytes
    });
    let mut stream = TcpStream::connect(server.url().strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nx-api-key: {}\r\n\r\n", server.key()).unwrap();
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    assert!(answer.len() - head - 4 < expected.len(), "the end is kept back");
}

/// What a test printed may be a secret: a report shows it no more than a log does.
#[test]
fn a_report_shows_no_secret() {
    let secret = "correct-horse-battery-staple-7";
    let project = Project::new();
    project.secret("vault/token", secret, &[]);
    let junit = "<testsuite name='unit'><testcase name='a'><failure message='got $TOKEN'/></testcase></testsuite>";
    let sarif = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"scan"}},"results":[{"ruleId":"x","level":"error","message":{"text":"got $TOKEN"}}]}]}"#;
    let commands = [
        format!("mkdir -p out/deep && printf %s \"{junit}\" | tee unit.xml > out/deep/again.xml"),
        format!("cat > scan.sarif <<END\n{sarif}\nEND"),
        "printf %s \"$TOKEN\" | wc -c".to_owned(),
    ];
    let commands: String =
        commands.iter().map(|command| format!("        - {}\n", serde_json::to_string(command).unwrap())).collect();
    project
        .run(&format!(
            "name: leaky
steps:
  - name: check
    type: step.shell_exec
    config:
      image: IMAGE
      env: {{ TOKEN: 'secret:vault/token' }}
      commands:
{commands}      artifacts_out:
        - {{ key: unit.xml, path: unit.xml }}
        - {{ key: scan.sarif, path: scan.sarif }}
        - {{ key: reports, path: out }}
"
        ))
        .ok();
    let run = project.shown("last")["run"].as_str().unwrap().to_owned();
    let server = Server::with(project, &[]);
    let get = |what: &str| server.admin().get(&format!("/api/v1/runs/{run}/{what}")).expect(200);
    let tests = get("tests");
    let said: Vec<_> = tests.body["tests"].as_array().unwrap().iter().map(|row| &row["message"]).collect();
    assert_eq!(said, [&json!("got ***"), &json!("got ***")], "{:#}", tests.body);
    assert_eq!(get("findings").body["findings"][0]["message"], "got ***");
    for answer in [tests, get("findings"), get("artifacts/unit.xml"), get("artifacts/reports")] {
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
    assert_eq!(files_with(server.home(), secret), [""; 0]);
}

/// Keeps files with these texts as artifacts.
fn reports(files: &[(&str, &str)]) -> String {
    let mut commands = String::new();
    let mut kept = String::new();
    for (key, text) in files {
        let text = serde_json::to_string(&format!("mkdir -p out && cat > out/{key} <<'END'\n{text}\nEND")).unwrap();
        commands += &format!("        - {text}\n");
        kept += &format!("        - {{ key: {key}, path: out/{key} }}\n");
    }
    format!(
        "name: reports
steps:
  - name: check
    type: step.shell_exec
    config:
      image: IMAGE
      commands:
{commands}      artifacts_out:
{kept}"
    )
}

#[test]
fn what_tests_and_scanners_said_is_compared_with_the_run_before() {
    let junit = |last: &str| {
        format!(
            "<testsuites><testsuite name='unit'><testcase name='a' time='0.5'/><testcase name='b' time='2'>{last}</testcase>\
             <testcase name='c'><skipped/></testcase><testcase name='d'><failure message='always'/></testcase></testsuite></testsuites>"
        )
    };
    let sarif = |messages: &[(&str, &str)]| {
        let results: Vec<Value> = messages
            .iter()
            .map(|(rule, text)| json!({ "ruleId": rule, "level": "error", "message": { "text": text } }))
            .collect();
        let rules = json!([{ "id": "bad", "properties": { "security-severity": "9.8" } }]);
        json!({ "version": "2.1.0", "runs": [{ "tool": { "driver": { "name": "scan", "rules": rules } }, "results": results }] })
            .to_string()
    };
    let bomb = "<!DOCTYPE a [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]><testsuite name='&b;'/>";
    let first = reports(&[("unit.xml", &junit("")), ("scan.sarif", &sarif(&[("x", "old")]))]);
    let second = reports(&[
        ("unit.xml", &junit("<failure message='new'/>")),
        ("bomb.xml", bomb),
        ("other.xml", "<project/>"),
        ("scan.sarif.json", &sarif(&[("x", "old"), ("bad", "new")])),
        ("broken.sarif", "{"),
    ]);
    let project = Project::new();
    let runs: Vec<String> = [first, second]
        .iter()
        .map(|pipeline| {
            project.run(pipeline).ok();
            project.shown("last")["run"].as_str().unwrap().to_owned()
        })
        .collect();
    let server = Server::with(project, &[]);
    let get =
        |run: usize, what: &str| server.admin().get(&format!("/api/v1/runs/{}/{what}", runs[run])).expect(200).body;

    let tests = get(0, "tests");
    let failures = |tests: &Value| -> Vec<(String, bool)> {
        let rows = tests["tests"].as_array().unwrap().iter().filter(|row| row["status"] == "failed");
        rows.map(|row| (row["name"].as_str().unwrap().to_owned(), row["new_failure"].as_bool().unwrap())).collect()
    };
    assert_eq!(failures(&tests), [("d".to_owned(), false)]);
    let tests = get(1, "tests");
    assert_eq!(failures(&tests), [("b".to_owned(), true), ("d".to_owned(), false)]);
    let counts = ["total", "failed", "skipped", "flaky", "took_ms"].map(|key| tests[key].as_u64().unwrap());
    assert_eq!(counts, [4, 2, 1, 0, 2_500]);
    let first = &tests["tests"][0];
    assert_eq!(
        (&first["report"], &first["suite"], &first["message"]),
        (&json!("unit.xml"), &json!("unit"), &json!("new"))
    );
    let unreadable = tests["unreadable"].as_array().unwrap();
    assert!(unreadable.len() == 1 && unreadable[0].as_str().unwrap().starts_with("bomb.xml: "), "{unreadable:?}");

    let found = get(0, "findings");
    assert_eq!((&found["counts"], &found["findings"][0]["since"]), (&json!({ "high": 1 }), &json!("new")));
    let found = get(1, "findings");
    assert_eq!(found["counts"], json!({ "critical": 1, "high": 1 }));
    let rows: Vec<_> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["message"], &row["since"], &row["report"]))
        .collect();
    let report = json!("scan.sarif.json");
    assert_eq!(rows, [(&json!("new"), &json!("new"), &report), (&json!("old"), &json!("existing"), &report)]);
    let unreadable = found["unreadable"].as_array().unwrap();
    assert!(unreadable.len() == 1 && unreadable[0].as_str().unwrap().starts_with("broken.sarif: "), "{unreadable:?}");
}
