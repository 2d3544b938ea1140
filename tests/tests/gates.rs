//! Runs that wait, for people, for a time, for each other, and what is done about them from elsewhere; runs that are repeated.

use serde_json::Value;
use std::{collections::BTreeSet, fs};
use windlass_tests::{Output, Project};

/// A gate with this configuration between two steps.
fn gated(config: &str) -> String {
    format!(
        "name: gated
steps:
  - {{ name: build, type: step.shell_exec, config: {{ image: IMAGE, commands: ['echo built'] }} }}
  - {{ name: ok, type: step.gate, config: {{ {config} }} }}
  - {{ name: ship, type: step.shell_exec, config: {{ image: IMAGE, commands: ['echo shipped'] }} }}
"
    )
}

/// A gate and nothing else, which needs no container.
fn only_gate(config: &str) -> String {
    format!("name: gate\nsteps:\n  - {{ name: ok, type: step.gate, config: {{ {config} }} }}\n")
}

/// The newest run's name.
fn last(project: &Project) -> String {
    project.shown("last")["run"].as_str().expect("its name").to_owned()
}

#[track_caller]
fn says(output: &Output, words: &[&str]) {
    for part in words {
        assert!(output.all().contains(part), "{part:?} is not in\n{}", output.all());
    }
}

#[test]
fn a_gate_is_shown_and_decided() {
    let project = Project::new();
    let output = project.run(&gated("self_approval: true, prompt: 'Ship it?', timeout: 1h")).expect(5);
    let run = last(&project);
    says(
        &output,
        &[
            "│ Ship it?",
            &format!("windlass approve {run} ok"),
            &format!("windlass reject {run} ok"),
            "open for 1 h 00 min, then it counts as rejected",
        ],
    );
    assert_eq!(project.shown("last")["status"], "blocked");

    let table = project.windlass(["gates"]).ok();
    says(&table, &["RUN", "WAITS FOR", &run, "1 of anybody", "Ship it?"]);
    let gates = project.windlass(["gates", "--json"]).ok().json();
    let gate = &gates[0];
    assert_eq!(
        (gate["run"].as_str(), gate["step"].as_str(), gate["kind"].as_str()),
        (Some(run.as_str()), Some("ok"), Some("manual"))
    );
    let open_for = gate["expires_ms"].as_u64().zip(gate["opened_ms"].as_u64()).map(|(end, begin)| end - begin);
    assert_eq!(open_for, Some(3_600_000));

    says(&project.windlass(["approve", "last", "--comment", "fine"]).ok(), &["approves: fine", "│ shipped"]);
    assert_eq!(project.outcomes("last"), "build succeeded, ok succeeded, ship succeeded = succeeded");
    says(&project.windlass(["gates"]).ok(), &["nothing waits"]);
    // What is decided is decided.
    says(&project.windlass(["reject", "last"]).expect(2), &["no gate of run", "is open"]);
}

/// What is asked of a gate and refused; the gate stays open.
#[test]
fn refusals() {
    let project = Project::new();
    let check = |config: &str, args: &[&str], code: i32, words: &str| {
        project.run(&only_gate(config)).expect(5);
        let output = project.windlass(args).expect(code);
        says(&output, &[words]);
        assert_eq!(project.shown("last")["status"], "blocked", "{words}");
        project.windlass(["cancel", "last"]).expect(3);
    };
    check("approvers: [nobody-here]", &["approve", "last"], 2, "nobody-here");
    check("quorum: 1", &["approve", "last"], 2, "self_approval");
    check("self_approval: true", &["approve", "last", "other"], 2, "other");
    check("self_approval: true", &["answer", "last", "ok", "yes"], 2, "answer");
    check("self_approval: true", &["approve", "last", "no such"], 2, "no such");
}

#[test]
fn a_quorum_is_of_different_people() {
    let project = Project::new();
    project.run(&only_gate("self_approval: true, quorum: 2")).expect(5);
    says(&project.windlass(["approve", "last"]).expect(5), &["approves"]);
    says(&project.windlass(["gates"]).ok(), &["1 of anybody"]);
    // One person is one, however often.
    let again = project.windlass(["approve", "last"]);
    assert_ne!(again.code, 0, "{}", again.all());
    assert_eq!(project.shown("last")["status"], "blocked");
    project.windlass(["reject", "last"]).expect(5);
    assert_eq!(project.outcomes("last"), "ok rejected = rejected");
}

#[test]
fn who_waits_for_a_gate_is_told() {
    let project = Project::new();
    project.pipeline(&gated("self_approval: true"));
    let mut waiting = project.spawn(["run", "windlass.yaml", "--wait"]);
    waiting.wait_for("windlass reject");
    says(&project.windlass(["approve", "last"]).ok(), &["passed on to", "who carries the run out"]);
    says(&waiting.wait().ok(), &["│ shipped"]);

    let mut waiting = project.spawn(["run", "windlass.yaml", "--wait"]);
    waiting.wait_for("windlass reject");
    says(&project.windlass(["cancel", "last", "--reason", "changed our minds"]).ok(), &["passed on to"]);
    says(&waiting.wait().expect(3), &["changed our minds"]);
    assert_eq!(project.outcomes("last"), "build succeeded, ok cancelled, ship skipped = cancelled");
}

#[test]
fn a_gates_time_ends() {
    let project = Project::new();
    let check = |config: &str, code: i32, outcomes: &str| {
        project.pipeline(&only_gate(config));
        project.windlass(["run", "windlass.yaml", "--wait"]).expect(code);
        assert_eq!(project.outcomes("last"), outcomes);
    };
    check("timeout: 100ms", 5, "ok rejected = rejected");
    check("timeout: 100ms, on_timeout: approve", 0, "ok succeeded = succeeded");
    // Nobody was there when the time was over: the next one who looks after the run sees it.
    project.run(&only_gate("timeout: 1s, on_timeout: approve")).expect(5);
    project.windlass(["resume", "--wait"]).ok();
    assert_eq!(project.outcomes("last"), "ok succeeded = succeeded");
}

#[test]
fn a_run_is_cancelled_from_elsewhere() {
    let project = Project::new();
    project.pipeline(
        "name: long\nsteps:\n  - { name: work, type: step.shell_exec, config: { image: IMAGE, commands: [\"trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done\"] } }\n",
    );
    let mut run = project.spawn(["run", "windlass.yaml"]);
    run.wait_for("│ ready");
    says(&project.windlass(["cancel", "last"]).ok(), &["passed on to"]);
    run.wait().expect(3);
    assert_eq!(project.outcomes("last"), "work cancelled = cancelled");
    let again = project.windlass(["cancel", "last"]);
    assert_ne!(again.code, 0, "a run that is over: {}", again.all());
}

/// What failed is repeated on the files of the run that failed, until another failed run of the pipeline takes their place.
#[test]
fn a_failed_run_is_repeated_on_its_files() {
    let project = Project::new();
    let yaml = "name: again\nsteps:\n  - { name: build, type: step.shell_exec, config: { image: IMAGE, commands: ['echo $$-$(date +%s%N) > made; cat made'] } }\n  - { name: test, type: step.shell_exec, config: { image: IMAGE, commands: ['test -e fixed || { touch fixed; exit 1; }', cat made] } }\n";
    project.run(yaml).expect(1);
    let first = last(&project);
    let made = project.step("last", "build")["outputs"]["stdout"].clone();
    project.windlass(["rerun", "last", "--failed"]).ok();
    assert_eq!(project.outcomes("last"), "build succeeded, test succeeded = succeeded");
    assert_eq!(project.step("last", "test")["outputs"]["stdout"], made, "the file that the failed run has made");
    assert_eq!(project.step("last", "build")["carried"], true);
    assert_eq!(project.shown("last")["rerun_of"], first.as_str());
    // The volumes went to the run that repeated it.
    let output = project.windlass(["rerun", &first, "--failed"]);
    says(&output.expect(2), &["WL1107"]);

    project.run(yaml).expect(1);
    let second = last(&project);
    project.run(yaml).expect(1);
    let third = last(&project);
    says(&project.windlass(["rerun", &second, "--from", "test"]).expect(2), &["WL1107"]);
    says(&project.windlass(["rerun", &third, "--from", "nothing"]).expect(2), &["nothing"]);
    project.windlass(["rerun", &third, "--from", "test"]).ok();
    assert_eq!(project.step("last", "build")["carried"], true);
    // From its beginning it needs nothing of what was left.
    project.windlass(["rerun", &second]).expect(1);
    assert_eq!(project.step("last", "build")["carried"], false);
}

#[test]
fn a_sub_runs_gate_lets_its_parent_go_on() {
    let project = Project::new();
    project.file("child.yaml", &only_gate("self_approval: true, prompt: 'the child asks'"));
    let yaml = "name: parent\nsteps:\n  - { name: child, type: step.workflow, config: { workflow: child } }\n  - { name: after, type: step.shell_exec, config: { image: IMAGE, commands: ['echo after all'] } }\n";
    let output = project.run(yaml).expect(5);
    says(&output, &["│ the child asks", "it waits for its sub-run"]);
    let parent = project.runs().into_iter().find(|run| run["name"] == "parent").expect("the parent")["id"].clone();
    let gates = project.windlass(["gates", "--json"]).ok().json();
    let child = gates[0]["run"].as_str().expect("its run");
    assert_ne!(child, parent.as_str().expect("its name"));
    says(&project.windlass(["runs"]).ok(), &[&format!("? waits for {child}")]);
    let output = project.windlass(["approve", child]).ok();
    says(&output, &["goes on", "│ after all"]);
    assert_eq!(project.outcomes(parent.as_str().expect("its name")), "child succeeded, after succeeded = succeeded");
}

#[test]
fn a_group_is_carried_out_one_after_the_other() {
    let project = Project::new();
    project.pipeline("name: group\nconcurrency: live\nsteps:\n  - { name: work, type: step.gate, config: { self_approval: true } }\n");
    let mut first = project.spawn(["run", "windlass.yaml", "--wait"]);
    first.wait_for("windlass reject");
    let ahead = last(&project);
    let mut second = project.spawn(["run", "windlass.yaml", "--wait"]);
    let line = second.wait_for("waits for its turn");
    assert_eq!(line, format!("waits for its turn in the group `live`, behind {ahead}"));
    project.windlass(["approve", &ahead]).ok();
    first.wait().ok();
    second.wait_for("windlass reject");
    project.windlass(["approve", "last"]).ok();
    second.wait().ok();
    let outcomes: Vec<_> = project.runs().iter().map(|run| run["outcome"].clone()).collect();
    assert_eq!(outcomes, ["succeeded", "succeeded"]);
}

/// Every line is an object of a type that `host/report` documents.
#[test]
fn what_programs_read() {
    const TYPES: &[&str] = &[
        "run-started",
        "run-queued",
        "state-entered",
        "step-started",
        "step-ended",
        "step-skipped",
        "step-carried",
        "gate-opened",
        "gate-voted",
        "gate-decided",
        "sub-run-started",
        "sub-run-ended",
        "container-created",
        "step-undecided",
        "step-decided",
        "cancelling",
        "log",
        "run-ended",
    ];
    let project = Project::new();
    project.pipeline(
        "name: told\nsteps:\n  - { name: flaky, type: step.shell_exec, retry: { max_attempts: 2, on: [non_zero_exit] }, config: { image: IMAGE, commands: ['test -e x || { touch x; exit 1; }', 'echo \"<&>\"'] } }\n  - { name: off, if: 'false', type: step.shell_exec, config: { image: IMAGE, commands: ['true'] } }\n  - { name: ok, type: step.gate, config: { self_approval: true } }\n  - { name: bad, type: step.shell_exec, config: { image: IMAGE, commands: [exit 3] } }\n"
    );
    let output = project.windlass(["run", "windlass.yaml", "--json"]).expect(5);
    let more = project.windlass(["approve", "last", "--json", "--junit", "report.xml"]).expect(1);
    let lines = [output.json_lines(), more.json_lines()].concat();
    let types: BTreeSet<&str> = lines.iter().map(|line| line["type"].as_str().expect("a type")).collect();
    let unknown: Vec<_> = types.iter().filter(|each| !TYPES.contains(each)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    for expected in [
        "run-started",
        "step-started",
        "step-ended",
        "step-skipped",
        "gate-opened",
        "gate-voted",
        "gate-decided",
        "log",
        "run-ended",
    ] {
        assert!(types.contains(expected), "{expected} is not among {types:?}");
    }
    let run = last(&project);
    assert!(lines.iter().all(|line| line["run"] == run.as_str() && line["at_ms"].is_u64()));
    let said: Vec<&Value> = lines.iter().filter(|line| line["type"] == "run-ended").collect();
    assert_eq!((said.len(), said[0]["outcome"].as_str()), (1, Some("failed")));

    let report = fs::read_to_string(project.folder().join("report.xml")).expect("the report");
    for part in ["<testsuites", "name=\"flaky\"", "<flakyFailure", "<skipped", "name=\"bad\"", "<failure"] {
        assert!(report.contains(part), "{part} is not in\n{report}");
    }
    assert_eq!(report.matches("<testcase").count(), 4, "{report}");
}
