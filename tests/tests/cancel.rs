//! Stopping: by Ctrl-C, by SIGTERM, by a timeout. What runs is asked first and ended then; nothing of it is left.

use rustix::process::Signal;
use std::time::{Duration, Instant};
use windlass_tests::{Output, Project, Running};

/// Says when it is asked to stop, and stops.
const POLITE: &str = "trap 'echo asked to stop; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
/// Does not hear.
const DEAF: &str = "trap '' TERM; echo ready; while :; do sleep 0.05; done";

/// The pipeline of a step that works, one that needs it, and one that runs whatever happens.
fn pipeline(work: &str, timeout: &str) -> String {
    format!(
        r#"
name: cancel
steps:
  - name: work
    type: step.shell_exec
    config: {{ image: IMAGE, commands: ["{work}"] }}
    timeout: {timeout}
  - {{ name: later, type: step.shell_exec, config: {{ image: IMAGE, commands: ["echo later"] }} }}
  - {{ name: cleanup, if: always(), type: step.shell_exec, config: {{ image: IMAGE, commands: ["echo cleaned up"] }} }}
"#
    )
}

fn working(project: &Project, work: &str) -> Running {
    project.pipeline(&pipeline(work, "5m"));
    let mut run = project.spawn(["run", "windlass.yaml"]);
    run.wait_for("│ ready");
    run
}

/// `STEP OUTCOME …` of the newest run, and the run's own.
fn outcomes(project: &Project) -> String {
    let shown = project.shown("last");
    let word = |value: &serde_json::Value| value.as_str().unwrap_or("none").to_owned();
    let steps = shown["steps"].as_array().expect("steps");
    let steps: Vec<String> =
        steps.iter().map(|step| format!("{} {}", word(&step["name"]), word(&step["outcome"]))).collect();
    format!("{} = {}", steps.join(", "), word(&shown["outcome"]))
}

fn asked(output: &Output) -> usize {
    output.stdout.matches("│ asked to stop\n").count()
}

#[test]
fn ctrl_c_asks_what_runs_to_stop() {
    let project = Project::new();
    let run = working(&project, POLITE);
    run.signal(Signal::INT);
    let output = run.wait().expect(130);
    assert_eq!(asked(&output), 1, "{}", output.stdout);
    assert_eq!(outcomes(&project), "work cancelled, later skipped, cleanup succeeded = cancelled");
    assert!(output.stdout.contains("cleaned up"), "{}", output.stdout);
    project.nothing_left();
}

#[test]
fn ctrl_c_twice_stops_at_once() {
    let project = Project::new();
    let mut run = working(&project, DEAF);
    run.signal(Signal::INT);
    run.wait_for("stopping what runs");
    let began = Instant::now();
    run.signal(Signal::INT);
    run.wait().expect(130);
    assert!(began.elapsed() < Duration::from_secs(6), "it waited for the grace of ten seconds: {:?}", began.elapsed());
    assert_eq!(outcomes(&project), "work cancelled, later skipped, cleanup skipped = cancelled");
    project.nothing_left();
}

#[test]
fn sigterm_stops_it_too() {
    let project = Project::new();
    let run = working(&project, POLITE);
    run.signal(Signal::TERM);
    let output = run.wait().expect(3);
    assert_eq!(asked(&output), 1, "{}", output.stdout);
    assert_eq!(outcomes(&project), "work cancelled, later skipped, cleanup succeeded = cancelled");
    project.nothing_left();
}

#[test]
fn every_step_that_runs_is_stopped() {
    let project = Project::new();
    let step = |name: &str| {
        format!(
            "  - {{ name: {name}, needs: [], type: step.shell_exec, config: {{ image: IMAGE, commands: [\"{POLITE}\"] }} }}\n"
        )
    };
    project.pipeline(&format!("name: three\nsteps:\n{}{}{}", step("a"), step("b"), step("c")));
    let mut run = project.spawn(["run", "windlass.yaml"]);
    for _ in 0..3 {
        run.wait_for("│ ready");
    }
    run.signal(Signal::INT);
    let output = run.wait().expect(130);
    assert_eq!(asked(&output), 3, "{}", output.stdout);
    assert_eq!(outcomes(&project), "a cancelled, b cancelled, c cancelled = cancelled");
    project.nothing_left();
}

#[test]
fn a_timeout_asks_first() {
    let project = Project::new();
    let output = project.run(&pipeline(POLITE, "2s")).expect(4);
    assert_eq!(asked(&output), 1, "{}", output.stdout);
    assert!(output.stdout.contains("the step took longer than its timeout of 2 s"), "{}", output.stdout);
    assert_eq!(outcomes(&project), "work timed-out, later skipped, cleanup succeeded = timed-out");
    project.nothing_left();
}

#[test]
fn a_timeout_ends_what_does_not_hear() {
    let project = Project::new();
    let began = Instant::now();
    project.run(&pipeline(DEAF, "1s")).expect(4);
    let took = began.elapsed();
    assert!(
        (Duration::from_secs(11)..Duration::from_secs(40)).contains(&took),
        "one second and a grace of ten: {took:?}"
    );
    assert_eq!(outcomes(&project), "work timed-out, later skipped, cleanup succeeded = timed-out");
    project.nothing_left();
}

/// The host dies in the middle of stopping; what it had asked to stop is still stopped by the next one.
#[test]
fn a_cancel_survives_a_crash() {
    let project = Project::new();
    let mut run = working(&project, DEAF);
    run.signal(Signal::INT);
    run.wait_for("stopping what runs");
    run.kill();
    assert_eq!(project.runs()[0]["status"], "cancelling");
    project.windlass(["resume"]).expect(3);
    assert_eq!(outcomes(&project), "work cancelled, later skipped, cleanup succeeded = cancelled");
    project.nothing_left();
}
