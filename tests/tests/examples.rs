//! Every file under `examples/` is sound and runs to the end that its row says. A file without a row fails the test, and so does a
//! row without a file.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use windlass_tests::{DockerRegistry, Project, root};

/// How many examples run at once: each waits for the container engine most of its time.
const AT_ONCE: usize = 3;

/// One call of the program on an example, and what must come of it.
struct Call {
    /// The command line, without the file of `run`.
    args: &'static str,
    /// The exit code.
    code: i32,
    /// How the newest run went, see [`Project::outcomes`]; not looked at where it is empty.
    outcomes: &'static str,
    /// What it must print.
    prints: &'static [&'static str],
}

const fn call(args: &'static str, code: i32, outcomes: &'static str, prints: &'static [&'static str]) -> Call {
    Call { args, code, outcomes, prints }
}

/// The file, and the calls in their order.
type Row = (&'static str, &'static [Call]);

const STEPS: &[Row] = &[
    ("retry", &[call("run", 0, "flaky succeeded = succeeded", &["attempt 1", "attempt 2", "attempt 3", "3 attempts"])]),
    (
        "timeout",
        &[call(
            "run",
            4,
            "slow timed-out, cleanup succeeded = timed-out",
            &["asked to stop", "cleaned up", "its timeout of 1 s"],
        )],
    ),
    (
        "conditions",
        &[
            call(
                "run",
                0,
                "version succeeded, sign skipped, report succeeded, alarm skipped = succeeded",
                &["inputs.channel is \"dev\"", "│ version 1.4.2, signature none, sign was skipped"],
            ),
            call(
                "run --input channel=stable",
                0,
                "version succeeded, sign succeeded, report succeeded, alarm skipped = succeeded",
                &["│ version 1.4.2, signature signed, sign was succeeded"],
            ),
        ],
    ),
    (
        "fan-out",
        &[call(
            "run",
            0,
            "prepare succeeded, lint succeeded, left succeeded, right succeeded, join succeeded = succeeded",
            &["│ sum 35"],
        )],
    ),
    ("keep-going", &[call("run", 0, "spelling failed, tell succeeded = succeeded", &["│ spelling failed with 3"])]),
    (
        "templates",
        &[
            call(
                "run",
                0,
                "data succeeded, off skipped, filters succeeded = succeeded",
                &[
                    "│ upper V0.1.0, lower loud, trim [first\nfilters │ second], first first, default nothing",
                    "│ length 9, joined two-words, json [\"two\",\"words\"], number 2 false, go 0.1.0 v0.1.0",
                    "│ keys image exit_code",
                ],
            ),
            call(
                "run --input version=1.2.3 --input words=b --input release=true --input parallel=4",
                0,
                "data succeeded, off succeeded, filters succeeded = succeeded",
                &["upper V1.2.3", "default released", "json [\"b\"], number 4 true, go 1.2.3 v1.2.3"],
            ),
        ],
    ),
    (
        "artifacts",
        &[
            call(
                "run",
                0,
                "build succeeded, fetch succeeded, report succeeded, keep succeeded = succeeded",
                &["│ server is built"],
            ),
            call("artifact get last report", 0, "", &["server is built\n"]),
        ],
    ),
    (
        "volumes",
        &[
            call("run", 0, "use succeeded, show succeeded = succeeded", &["│ runs so far: 1", "cannot be written"]),
            call("run", 0, "", &["│ runs so far: 2"]),
        ],
    ),
    (
        "container",
        &[call("run", 0, "limits succeeded = succeeded", &["│ 65534", "│ 67108864", "│ lo\n", "│ read-only"])],
    ),
    ("agent", &[call("run", 0, "write succeeded, read succeeded = succeeded", &["│ hello at 0.9, sure to 0.7"])]),
    ("concurrency", &[call("run --input target=live", 0, "deploy succeeded = succeeded", &["│ deployed to live"])]),
    (
        "gate-manual",
        &[
            call("run", 5, "", &["│ Ship 2.0?", "windlass approve r"]),
            call("gates", 0, "", &["approval  1 of anybody", "Ship 2.0?"]),
            call(
                "approve last approval --comment good",
                0,
                "build succeeded, approval succeeded, ship succeeded = succeeded",
                &["│ root approves: good", "│ shipped 2.0"],
            ),
            call(
                "run --input hotfix=true",
                0,
                "build succeeded, approval succeeded, ship succeeded = succeeded",
                &["│ shipped 2.0"],
            ),
            call("run --quiet", 5, "", &[]),
            call("reject last", 5, "build succeeded, approval rejected, ship skipped = rejected", &["root rejects"]),
        ],
    ),
    (
        "gate-automated",
        &[
            call("run", 0, "coverage succeeded, quality succeeded, release succeeded = succeeded", &["│ released"]),
            call(
                "run --input minimum=95",
                5,
                "coverage succeeded, quality rejected, release skipped = rejected",
                &["`inputs.minimum <= 91` does not hold: `inputs.minimum` is 95"],
            ),
        ],
    ),
    ("gate-scheduled", &[call("run", 0, "window succeeded, deploy succeeded = succeeded", &["│ deployed"])]),
    (
        "sub-workflow",
        &[call(
            "run",
            0,
            "",
            &["│ pushed to staging", "pushed to mirror-of-r", "│ staging succeeded", "✔ sub-workflow succeeded"],
        )],
    ),
    (
        "deploy",
        &[
            call("run", 2, "", &["target"]),
            call("run --input target=here", 0, "push succeeded = succeeded", &["│ pushed to here"]),
        ],
    ),
    (
        "rerun",
        &[
            call("run", 1, "build succeeded, test failed, publish skipped = failed", &[]),
            call(
                "rerun last --failed",
                0,
                "build succeeded, test succeeded, publish succeeded = succeeded",
                &["build   │ ✔ succeeded, taken over", "│ built at "],
            ),
            call("run", 1, "", &[]),
            call(
                "rerun last --from build",
                0,
                "build succeeded, test succeeded, publish succeeded = succeeded",
                &["│ compiling"],
            ),
        ],
    ),
];

const PIPELINES: &[Row] = &[
    (
        "several",
        &[
            call("run", 2, "", &["the file holds 2 pipelines: ci, nightly"]),
            call(
                "run --pipeline ci --input Version=1.2.3",
                0,
                "build succeeded, sign succeeded, smoke succeeded = succeeded",
                &["│ built app:1.2.3 for beta", "│ smoke test of: built app:1.2.3"],
            ),
            call(
                "run --pipeline ci",
                0,
                "build succeeded, sign skipped, smoke succeeded = succeeded",
                &["│ built app:dev"],
            ),
            call("run --pipeline nightly", 0, "sweep succeeded = succeeded", &["│ swept"]),
        ],
    ),
    (
        "on-error-skip",
        &[call("run", 1, "lint failed, audit succeeded, test failed, never skipped = failed", &["│ audited"])],
    ),
    (
        "compensate",
        &[call(
            "run",
            1,
            "main failed > compensation succeeded = failed",
            &["│ stopped\nstop-service     │ ✔ succeeded", "│ took schema-7 back\nrestore-database │ ✔ succeeded"],
        )],
    ),
];

const STATES: &[Row] = &[
    (
        "build-fix",
        &[call(
            "run --input task=say_hello",
            1,
            "WRITE failed > FAILED succeeded = failed",
            &["no reply of the script is for this input"],
        )],
    ),
    (
        "container-run",
        &[call(
            "run --input flavour=plain",
            0,
            "WRITE succeeded > READ succeeded > DONE succeeded = succeeded",
            &[
                "│ good morning, plain, CI=true, as 0",
                "│ lo\n",
                "│ root is read-only",
                "│ it said: good morning, plain",
            ],
        )],
    ),
    (
        "parallel",
        &[call(
            "run",
            0,
            "STRICT failed > ANY succeeded > EFFORT succeeded > DONE succeeded = succeeded",
            &["│ tests: 12 passed; lint: unused variable; codes: 3 and 4"],
        )],
    ),
    (
        "exit-codes",
        &[call(
            "run",
            0,
            "TEST failed > PROBE succeeded > DONE succeeded = succeeded",
            &["TEST → PROBE  its exit code is 75", "│ try again later"],
        )],
    ),
    (
        "scores",
        &[call(
            "run",
            0,
            "FIRST succeeded > SECOND succeeded > THIRD succeeded > LAST succeeded > DONE succeeded = succeeded",
            &["   no tests\n", "│ the last draft has 0.95"],
        )],
    ),
    (
        "consensus",
        &[call(
            "run",
            0,
            "AVERAGE succeeded > MAJORITY succeeded > UNANIMOUS succeeded > BEST succeeded > DONE succeeded = succeeded",
            &[
                "AVERAGE → MAJORITY  score is 0.85, agreement is 0.96",
                "   score 0.0: could be simpler\n",
                "│ best 0.9, average 0.85",
            ],
        )],
    ),
    (
        "human",
        &[
            call("run", 5, "", &["│ Deploy 2.0? (yes, no, later)", "windlass answer r"]),
            call("answer last ASK later", 5, "", &["ASK → AGAIN  the answer is \"later\""]),
            call(
                "answer last AGAIN YES",
                0,
                "ASK succeeded > AGAIN succeeded > DONE succeeded = succeeded",
                &["│ deployed 2.0"],
            ),
            call("run", 5, "", &[]),
            call("answer last ASK 0", 1, "ASK succeeded > STOPPED succeeded = failed", &["│ not deployed"]),
        ],
    ),
    (
        "guards",
        &[call("run", 1, "POLL failed > POLL failed = failed", &["the state POLL was to be entered once more"])],
    ),
    ("outcome-failed", &[call("run", 1, "TEST failed > TELL succeeded = failed", &["│ told everybody"])]),
    ("errors", &[call("run", 0, "PULL error > SLOW timed-out > DONE succeeded = succeeded", &["│ both were caught"])]),
    (
        "sub-workflow",
        &[call(
            "run",
            0,
            "",
            &["│ pushed to staging", "│ pushed to mirror", "│ deployment succeeded", "✔ sub-workflow succeeded"],
        )],
    ),
    ("deploy", &[call("run --input target=here", 0, "PUSH succeeded = succeeded", &["│ pushed to here"])]),
    (
        "system",
        &[
            call("run", 0, "HELLO succeeded = succeeded", &["│ hello from /tmp, stranger"]),
            call("run --input name=you", 0, "", &["│ hello from /tmp, you"]),
        ],
    ),
    // Its registry is made in a test of its own.
    ("registry", &[]),
];

/// The one that shows a template in shell text, of which everyone is warned.
const WARNS: &[&str] = &["states/container-run.yaml"];

#[test]
fn steps() {
    run_all("steps", STEPS);
}

#[test]
fn pipelines() {
    run_all("pipelines", PIPELINES);
}

#[test]
fn states() {
    run_all("states", STATES);
}

#[test]
fn the_demonstration_is_sound() {
    let project = Project::new();
    let file = root().join("examples/quickstart/windlass.yaml").display().to_string();
    project.windlass(["lint", &file, "--project", "."]).ok();
}

/// Runs the rows, each with a home of its own, so that `last` is the row's own run.
fn run_all(folder: &str, rows: &[Row]) {
    let files = names(&root().join("examples").join(folder));
    let expected: BTreeSet<String> = rows.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, expected, "the files of examples/{folder}, and the rows of this test");
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((name, calls)) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    failures.lock().expect("nobody panics with it").extend(run(folder, name, calls));
                }
            });
        }
    });
    let failures = failures.into_inner().expect("nobody panics with it");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What is wrong with one example, or nothing.
fn run(folder: &str, name: &str, calls: &[Call]) -> Option<String> {
    let project = Project::new();
    project.copy(&format!("examples/{folder}"));
    let file = format!("{folder}/{name}.yaml");
    let several = calls.iter().any(|call| call.args.contains("--pipeline")).then_some(["--pipeline", "ci"]);
    let lint = ["lint", &file, "--project", "."].into_iter().chain(several.into_iter().flatten());
    let linted = project.windlass(lint);
    if linted.code != 0 || linted.all().contains("warning[") != WARNS.contains(&file.as_str()) {
        return Some(format!("{file}: lint exits {}\n{}", linted.code, linted.all()));
    }
    for call in calls {
        let mut args: Vec<&str> = call.args.split(' ').collect();
        if args[0] == "run" {
            args.insert(1, &file);
        }
        args.extend(["--project", "."]);
        let output = project.windlass(&args);
        let missing: Vec<_> = call.prints.iter().filter(|part| !output.all().contains(**part)).collect();
        let went = if call.outcomes.is_empty() { String::new() } else { project.outcomes("last") };
        if output.code != call.code || went != call.outcomes || !missing.is_empty() {
            let printed = output.all();
            return Some(format!(
                "{file}: `windlass {}` exits {} and goes {went}; not printed: {missing:?}\n{printed}",
                args.join(" "),
                output.code
            ));
        }
    }
    None
}

/// The names of the pipelines in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let name = |path: std::path::PathBuf| path.file_stem().expect("a name").to_str().expect("UTF-8").to_owned();
    files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).map(name).collect()
}

/// The index names every file, and nothing else.
#[test]
fn the_index_is_complete() {
    let index = fs::read_to_string(root().join("examples/README.md")).expect("the index");
    for folder in ["steps", "pipelines", "states"] {
        let linked = |name: &String| index.contains(&format!("]({folder}/{name}.yaml)"));
        let missing: Vec<_> =
            names(&root().join("examples").join(folder)).into_iter().filter(|name| !linked(name)).collect();
        assert!(missing.is_empty(), "examples/README.md does not name {missing:?} of {folder}");
    }
}

/// A build fails, its words reach the agent, the agent mends the file in the volume, and the build passes.
#[test]
fn the_loop_that_repairs() {
    let project = Project::new();
    project.copy("examples/states");
    let args = ["run", "states/build-fix.yaml", "--project", ".", "--input", r#"{"task": "say hello"}"#];
    let output = project.windlass(args).ok();
    assert_eq!(
        project.outcomes("last"),
        "WRITE succeeded > BUILD failed > FIX succeeded > BUILD succeeded > DONE succeeded = succeeded"
    );
    let visits = project.shown("last")["visits"].clone();
    let expected = "greet.sh: line 3: syntax error: unexpected end of file (expecting \"fi\")\n";
    assert_eq!(visits[2]["feedback"], expected, "the repair is told what the build said");
    assert_eq!(visits[3]["feedback"], serde_json::Value::Null);
    // The second build runs the file that the agent wrote.
    assert_eq!(visits[3]["steps"][0]["outputs"]["stdout"], "hello world\n");
    assert!(output.stdout.contains("FIX    │ writes /workspace/greet.sh"), "{}", output.stdout);
}

/// The image comes from a registry that wants a login; the password is nowhere afterwards.
#[test]
fn credentials_of_a_registry() {
    let mut registry = DockerRegistry::start();
    registry.publish(windlass_tests::IMAGE, "tools:1");
    let project = Project::new();
    project.copy("examples/states");
    let input = format!("registry={}", registry.host());
    let run =
        |code| project.windlass(["run", "states/registry.yaml", "--project", ".", "--input", &input]).expect(code);
    project.secret("cicd/registry", &registry.login().replace(registry.password(), "wrong"), &[]);
    run(1);
    assert_eq!(project.outcomes("last"), "PULL error > FAILED succeeded = failed");

    project.secret("cicd/registry", &registry.login(), &[]);
    let output = run(0);
    assert_eq!(project.outcomes("last"), "PULL succeeded > DONE succeeded = succeeded");
    assert!(
        output.stdout.contains("/config.json\n") && output.stdout.contains("nothing in the environment"),
        "{}",
        output.stdout
    );
    assert!(!output.all().contains(registry.password()));
    assert_eq!(windlass_tests::files_with(project.home(), registry.password()), Vec::<String>::new());
}
