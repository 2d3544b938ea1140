//! Crashes: the host is killed at any moment, and the run is taken up again where it was. Nothing is lost, nothing runs twice.

use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};
use windlass_tests::{Output, Project, files_with};

/// Counts to 20 in two seconds, each number in the log and in a file; then another container shows the file.
const COUNT: &str = r#"
name: count
steps:
  - name: count
    type: step.shell_exec
    config:
      image: IMAGE
      commands:
        - 'i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo "number $i"; echo $i >> witness; sleep 0.1; done'
  - name: show
    type: step.shell_exec
    config: { image: IMAGE, commands: ['tr "\n" " " < witness'] }
"#;
const TO_20: &str = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20";

/// What `docker` prints.
fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect("the docker client is there");
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

/// How often the engine created and started each container of a project, but for the one that fills the workspace.
fn created_and_started(project: &Project) -> BTreeMap<String, (usize, usize)> {
    let label = format!("label=dev.windlass.owner={}", project.owner());
    let (format, until) = ("{{.Action}} {{.Actor.Attributes.name}}", docker(&["info", "--format={{.SystemTime}}"]));
    let args =
        ["events", "--since=30m", "--until", &until, "--filter", &label, "--filter=type=container", "--format", format];
    let mut found = BTreeMap::<String, (usize, usize)>::new();
    for (action, name) in docker(&args).lines().filter_map(|line| line.split_once(' ')) {
        let (created, started) = found.entry(name.to_owned()).or_default();
        *created += usize::from(action == "create");
        *started += usize::from(action == "start");
    }
    found.retain(|name, _| !name.ends_with("-fill"));
    found
}

/// One container for each of these steps, created once and started once.
#[track_caller]
fn each_once(project: &Project, steps: &[&str]) {
    let found = created_and_started(project);
    let run = project.runs()[0]["id"].as_str().expect("an id").to_owned();
    let expect = steps.iter().map(|step| (format!("windlass-{run}-{step}-1-1"), (1, 1))).collect();
    assert_eq!(found, expect);
}

/// What the containers of a step have printed: its own lines.
fn printed(project: &Project, step: &str) -> Vec<String> {
    let raw = project.windlass(["logs", "last", step, "--raw"]).ok().stdout;
    raw.lines().filter(|line| line.starts_with("number ")).map(str::to_owned).collect()
}

#[track_caller]
fn counted_once(project: &Project) {
    assert_eq!(project.step("last", "show")["outputs"]["stdout"], TO_20, "the workspace's witness");
    let expect: Vec<String> = (1..=20).map(|n| format!("number {n}")).collect();
    assert_eq!(printed(project, "count"), expect, "the log");
    each_once(project, &["count", "show"]);
    project.nothing_left();
}

#[test]
fn killed_during_a_container_step() {
    let project = Project::new();
    project.pipeline(COUNT);
    let mut run = project.spawn(["run", "windlass.yaml"]);
    run.wait_for("number 3");
    run.kill();
    assert_eq!(project.containers().len(), 1, "it runs on");

    let resumed = project.windlass(["resume"]).ok();
    assert!(resumed.stdout.contains("still there, adopted"), "{}", resumed.stdout);
    assert!(resumed.stdout.contains("attempt 1, taken up again"), "{}", resumed.stdout);
    // Who looks on sees each line once too: nothing of the dead host's log is shown before it.
    assert_eq!(resumed.stdout.matches("│ number 2\n").count(), 1, "{}", resumed.stdout);
    counted_once(&project);
}

#[test]
fn killed_twice() {
    let project = Project::new();
    project.pipeline(COUNT);
    let mut run = project.spawn(["run", "windlass.yaml"]);
    run.wait_for("number 3");
    run.kill();
    let mut resumed = project.spawn(["resume"]);
    resumed.wait_for("number 8");
    resumed.kill();
    project.windlass(["resume"]).ok();
    counted_once(&project);
}

#[test]
fn the_container_ends_while_no_host_is_there() {
    let project = Project::new();
    project.pipeline(COUNT);
    let mut run = project.spawn(["run", "windlass.yaml"]);
    run.wait_for("number 2");
    run.kill();
    let names = project.containers();
    assert_eq!(docker(&["wait", &names[0]]), "0");
    project.windlass(["resume"]).ok();
    counted_once(&project);
}

#[test]
fn the_container_is_removed_while_no_host_is_there() {
    let project = Project::new();
    project.pipeline(COUNT);
    let mut run = project.spawn(["run", "windlass.yaml"]);
    run.wait_for("number 2");
    run.kill();
    docker(&["rm", "--force", &project.containers()[0]]);

    let resumed = project.windlass(["resume"]).expect(6);
    assert!(resumed.stdout.contains("is gone; what it did is not known"), "{}", resumed.stdout);
    assert!(resumed.stdout.contains("not started a second time"), "{}", resumed.stdout);
    assert_eq!(project.step("last", "count")["outcome"], "lost");
    assert_eq!(project.step("last", "show")["outcome"], "skipped");
    assert_eq!(project.runs()[0]["outcome"], "lost");
    each_once(&project, &["count"]);
    project.nothing_left();
}

#[test]
fn killed_while_it_waits_between_two_attempts() {
    let project = Project::new();
    project.pipeline(
        r#"
name: flaky
steps:
  - name: flaky
    type: step.shell_exec
    config: { image: IMAGE, commands: ['echo x >> tries; test $(wc -l < tries) -eq 2'] }
    retry: { max_attempts: 2, backoff: 2s, on: [non_zero_exit] }
"#,
    );
    let mut run = project.spawn(["run", "windlass.yaml"]);
    run.wait_for("tried again in");
    run.kill();
    project.windlass(["resume"]).ok();
    let attempts = &project.step("last", "flaky")["attempts"];
    assert_eq!(attempts.as_array().map(Vec::len), Some(2), "{attempts}");
    let waited = attempts[1]["started_ms"].as_u64().zip(attempts[0]["finished_ms"].as_u64());
    assert!(waited.is_some_and(|(began, ended)| began - ended >= 2000), "the pause is kept: {attempts}");
    project.nothing_left();
}

#[test]
fn one_run_is_carried_out_by_one_host() {
    let project = Project::new();
    project.pipeline(COUNT);
    let mut run = project.spawn(["run", "windlass.yaml"]);
    run.wait_for("number 2");
    let id = project.runs()[0]["id"].as_str().expect("an id").to_owned();
    let refused = project.windlass(["resume", &id]).expect(6);
    assert!(
        refused.stderr.contains(&id) && refused.stderr.contains(&format!("process {}", run.id())),
        "{}",
        refused.stderr
    );
    let refused = project.windlass(["resume"]).expect(2);
    assert!(refused.stderr.contains("no run is left unfinished"), "{}", refused.stderr);
    run.wait().ok();
    counted_once(&project);

    let refused = project.windlass(["resume", &id]).expect(6);
    assert!(refused.stderr.contains("has ended already: succeeded"), "{}", refused.stderr);
}

#[test]
fn two_runs_at_once_in_one_home() {
    let project = Project::new();
    project.pipeline(COUNT);
    let runs = [project.spawn(["run", "windlass.yaml"]), project.spawn(["run", "windlass.yaml"])];
    for run in runs {
        run.wait().ok();
    }
    for run in project.runs() {
        assert_eq!(project.step(run["id"].as_str().expect("an id"), "show")["outputs"]["stdout"], TO_20);
    }
    project.nothing_left();
}

/// A secret that only an earlier step has used is masked after a resume as well.
#[test]
fn secrets_of_earlier_steps_stay_masked() {
    const SECRET: &str = "s3cret-of-the-crash-test";
    let project = Project::new();
    project.secret("vault/token", SECRET, &["a.test"]);
    project.pipeline(
        r#"
name: secrets
steps:
  - name: keep
    type: step.shell_exec
    config: { image: IMAGE, env: { TOKEN: 'secret:vault/token' }, commands: ['echo "$TOKEN" > kept'] }
  - name: print
    type: step.shell_exec
    config: { image: IMAGE, commands: ['echo number 1; sleep 1; cat kept'] }
"#,
    );
    let mut run = project.spawn(["run", "windlass.yaml"]);
    run.wait_for("│ number 1");
    run.kill();
    let resumed = project.windlass(["resume"]).ok();
    assert!(resumed.stdout.contains("***") && !resumed.stdout.contains(SECRET), "{}", resumed.stdout);
    assert_eq!(project.step("last", "print")["outputs"]["stdout"], "number 1\n***");
    assert_eq!(files_with(&project.home().join("runs"), SECRET), Vec::<String>::new());
}

/// Where a host is made to die: at which commit, counted from 0, and on which side of it.
#[derive(Debug, Clone, Copy)]
struct Crash {
    commit: usize,
    after: bool,
}

/// The exit code of a process that was made to die: 128 + SIGABRT.
const DIED: i32 = 134;

/// How many times a run may be made to die before it is left alone.
const PATIENCE: usize = 40;

fn until_crash(project: &mut Project, args: &[&str], crash: Option<Crash>) -> Output {
    let points = crash.map_or(String::new(), |Crash { commit, after }| {
        format!("store::{}-commit={commit}*off->return", if after { "after" } else { "before" })
    });
    project.set_env("FAILPOINTS", &points);
    let output = project.windlass(args);
    project.set_env("FAILPOINTS", "");
    assert!(matches!(output.code, 0 | DIED), "{crash:?}: exit code {}\n{}", output.code, output.all());
    output
}

/// Numbers that look random and are the same in every test run (xorshift).
struct Seed(u64);

impl Seed {
    fn below(&mut self, limit: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit).expect("a small number")
    }
}

/// Dies at `first`, is taken up and dies again where the seed says, and so on; is then taken up for good. Gives how often it
/// died, and whether there was a run at all.
fn die_and_finish(project: &mut Project, first: Crash, seed: &mut Seed, reach: u64) -> (usize, bool) {
    let known = project.runs().len();
    let mut died =
        usize::from(until_crash(project, &["run", "windlass.yaml", "--no-workspace"], Some(first)).code == DIED);
    let exists = project.runs().len() > known;
    assert_eq!(exists, first.commit > 0 || first.after, "a run exists when its creation is committed: {first:?}");
    if !exists || died == 0 {
        return (died, exists);
    }
    for _ in 0..PATIENCE {
        if project.runs()[0]["outcome"] != Value::Null {
            return (died, true);
        }
        let crash = Crash { commit: seed.below(reach), after: seed.below(2) == 1 };
        let output = until_crash(project, &["resume"], Some(crash));
        died += usize::from(output.code == DIED);
    }
    until_crash(project, &["resume"], None);
    (died, true)
}

/// How many commits a run of the pipeline takes.
fn commits(project: &mut Project) -> usize {
    let lives = |project: &mut Project, commit| {
        until_crash(project, &["run", "windlass.yaml", "--no-workspace"], Some(Crash { commit, after: false })).code
            == 0
    };
    let found = (0..100).find(|commit| lives(project, *commit)).expect("a short pipeline");
    assert!(
        found > 0,
        "the programs were built without failpoints. Run: cargo build --workspace --bins --features windlass-cli/failpoints"
    );
    // Those that died are not what the test is about.
    while project.windlass(["runs", "--json"]).ok().json().as_array().is_some_and(|runs| runs.iter().any(unfinished)) {
        let runs = project.runs();
        let run = runs.iter().find(|run| unfinished(run)).expect("one");
        project.windlass(["resume", run["id"].as_str().expect("an id")]).ok();
    }
    found
}

fn unfinished(run: &Value) -> bool {
    run["outcome"] == Value::Null
}

/// Runs the cases in as many threads as there are processors, each with a project of its own.
fn in_threads(
    cases: Vec<(Crash, u64)>,
    prepare: impl Fn() -> Project + Sync,
    case: impl Fn(&mut Project, Crash, &mut Seed) + Sync,
) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut project = prepare();
                while let Some((crash, seed)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    case(&mut project, *crash, &mut Seed(*seed));
                }
            });
        }
    });
}

/// Every commit of a run, before and after, with each of the seeds.
fn every_commit(commits: usize, seeds: u64) -> Vec<(Crash, u64)> {
    let crashes = (0..commits).flat_map(|commit| [false, true].map(|after| Crash { commit, after }));
    crashes.flat_map(|crash| (1..=seeds).map(move |seed| (crash, seed * 7919 + crash.commit as u64))).collect()
}

/// Steps that do their work in the sandbox alone: in sequence, beside each other, skipped, retried, allowed to fail. Those
/// beside each other are of two plugins, because each plugin keeps its greeting as an artifact of one name.
const SANDBOXED: &str = r#"
name: failpoints
steps:
  - { name: one, type: step.greet_rust, config: { name: Ada } }
  - { name: two, type: step.greet_c, config: { name: '{{ steps.one.outputs.greeting }}' } }
  - name: refused
    needs: [one]
    type: step.greet_rust
    config: { name: Bob, url: 'http://127.0.0.1:1/' }
    retry: { max_attempts: 2, backoff: 1ms }
    on_failure: continue
  - { name: never, needs: [one], type: step.greet_rust, if: "steps.one.outputs.greeting == 'no'", config: { name: Eve } }
  - { name: last, needs: [two, refused, never], type: step.greet_rust, config: { name: '{{ steps.two.outputs.greeting }}' } }
"#;

#[test]
fn hundreds_of_crashes_and_no_run_is_lost() {
    let prepare = || {
        let mut project = Project::new();
        project.set_env("WINDLASS_EGRESS_OPEN", "127.0.0.0/8");
        project.pipeline(SANDBOXED);
        project
    };
    let cases = every_commit(commits(&mut prepare()), 8);
    let (crashes, runs) = (AtomicUsize::new(0), AtomicUsize::new(0));
    in_threads(cases, prepare, |project, first, seed| {
        let (died, exists) = die_and_finish(project, first, seed, 2);
        crashes.fetch_add(died, Ordering::Relaxed);
        if !exists {
            return;
        }
        runs.fetch_add(1, Ordering::Relaxed);
        let shown = project.shown("last");
        assert_eq!(
            (&shown["status"], &shown["outcome"]),
            (&"finished".into(), &"succeeded".into()),
            "{first:?} {shown:#}"
        );
        let steps: Vec<_> = shown["steps"].as_array().expect("steps").iter().map(finished_once).collect();
        let expect = [
            "one succeeded 1 hello Ada from rust",
            "two succeeded 1 hello hello Ada from rust from c",
            "refused error 2 hello Bob from rust",
            "never skipped 0 ",
            "last succeeded 1 hello hello hello Ada from rust from c from rust",
        ];
        assert_eq!(steps, expect, "{first:?}");
    });
    let (crashes, runs) = (crashes.into_inner(), runs.into_inner());
    assert!(crashes >= 300, "only {crashes} crashes in {runs} runs: the test shows less than it says");
}

/// `NAME OUTCOME ATTEMPTS GREETING`, of a step of which every attempt has ended. The event log takes one end of an attempt and
/// no second one: replaying it, which is what `windlass runs` does, would fail.
fn finished_once(step: &Value) -> String {
    let attempts = step["attempts"].as_array().expect("attempts");
    assert!(attempts.iter().all(|attempt| attempt["finished_ms"].is_u64()), "{step:#}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!(
        "{} {} {} {}",
        text(&step["name"]),
        text(&step["outcome"]),
        attempts.len(),
        text(&step["outputs"]["greeting"])
    )
}

/// Steps that each leave a mark in the workspace when their command runs; the last one shows the marks.
const CONTAINERS: &str = r#"
name: failpoints
steps:
  - { name: one, type: step.shell_exec, config: { image: IMAGE, commands: ['echo one >> witness'] } }
  - { name: two, type: step.shell_exec, config: { image: IMAGE, commands: ['echo two >> witness'] } }
  - { name: show, type: step.shell_exec, config: { image: IMAGE, commands: ['echo show >> witness', 'tr "\n" " " < witness'] } }
"#;

#[test]
fn crashes_around_containers_run_no_command_twice() {
    let prepare = || {
        let project = Project::new();
        project.pipeline(CONTAINERS);
        project
    };
    // Created with the first step's intent; then for each step its container, and its end with the next one's intent.
    const COMMITS: usize = 7;
    let crashes = AtomicUsize::new(0);
    in_threads(every_commit(COMMITS, 1), prepare, |project, first, seed| {
        let (died, exists) = die_and_finish(project, first, seed, 5);
        crashes.fetch_add(died, Ordering::Relaxed);
        if exists {
            assert_eq!(project.runs()[0]["outcome"], "succeeded", "{first:?}");
            assert_eq!(project.step("last", "show")["outputs"]["stdout"], "one two show", "{first:?}");
        }
        // A host that died after the end of its run has left its containers; the next host removes them.
        project.windlass(["resume"]).expect(2);
        project.nothing_left();
    });
    let crashes = crashes.into_inner();
    assert!(crashes >= 20, "only {crashes} crashes: the test shows less than it says");
}

/// A host that dies while it creates a run leaves no run, and nothing of it stays.
#[test]
fn a_run_that_was_never_created_leaves_nothing() {
    let mut project = Project::new();
    project.pipeline(SANDBOXED);
    until_crash(&mut project, &["run", "windlass.yaml"], Some(Crash { commit: 0, after: false }));
    assert_eq!(project.runs(), Vec::<Value>::new());
    let folders = |project: &Project| -> Vec<PathBuf> {
        project.home().join("runs").read_dir().expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
    };
    assert_eq!(folders(&project).len(), 1, "the snapshot that was made for it");
    project.windlass(["resume"]).expect(2);
    assert_eq!(folders(&project), Vec::<PathBuf>::new());
    project.nothing_left();
}
