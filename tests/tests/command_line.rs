//! What a user types, and what comes back: every command, its exit code, and its JSON.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use windlass_tests::{Project, Registry};

/// Four steps: one that another waits for, one that may fail, one that is tried again, one whose condition does not hold.
const FLOW: &str = "name: flow
inputs:
  channel: { type: string, default: dev }
steps:
  - name: first
    type: step.shell_exec
    config: { image: IMAGE, commands: [echo one] }
  - name: flaky
    needs: []
    type: step.shell_exec
    retry: { max_attempts: 3, backoff: 100ms, on: [non_zero_exit] }
    config:
      image: IMAGE
      commands: ['test -e tried || { touch tried; echo not yet; exit 9; }', echo now]
  - name: shaky
    needs: []
    type: step.shell_exec
    on_failure: continue
    config: { image: IMAGE, commands: [exit 5] }
  - name: stable
    needs: [first, flaky, shaky]
    if: inputs.channel == 'stable'
    type: step.shell_exec
    config: { image: IMAGE, commands: [echo stable] }
  - name: last
    needs: [first, flaky, shaky]
    type: step.shell_exec
    config:
      image: IMAGE
      env: { SHAKY: '{{ steps.shaky.outcome }} {{ steps.shaky.outputs.exit_code }}' }
      commands: ['echo \"shaky $SHAKY\"']
";

#[test]
fn a_flow_and_everything_that_is_told_of_it() {
    let project = Project::new();
    let output = project.run(FLOW).ok();
    assert_eq!(output.stderr, "", "nothing went wrong outside of the steps");
    let shown = project.shown("last");
    let told = |step: &str| {
        let step = shown["steps"].as_array().unwrap().iter().find(|each| each["name"] == step).unwrap();
        let attempts = step["attempts"].as_array().unwrap().len();
        format!("{} {attempts} {}", step["outcome"].as_str().unwrap(), step["outputs"]["stdout"])
    };
    assert_eq!(told("first"), "succeeded 1 \"one\"");
    assert_eq!(told("flaky"), "succeeded 2 \"now\"");
    assert_eq!(told("shaky"), "failed 1 \"\"");
    assert_eq!(told("stable"), "skipped 0 null");
    assert_eq!(told("last"), "succeeded 1 \"shaky failed 5\"");

    // Three steps that need nothing of each other run at the same time.
    let at = |step: &str, what: &str| {
        let step = shown["steps"].as_array().unwrap().iter().find(|each| each["name"] == step).unwrap();
        step[what].as_u64().unwrap()
    };
    assert!(at("flaky", "started_ms") < at("first", "finished_ms"));
    assert!(at("last", "started_ms") >= at("flaky", "finished_ms"));

    // runs
    let id = shown["run"].as_str().unwrap().to_owned();
    let listed = project.windlass(["runs"]).ok();
    assert!(listed.stdout.contains(&id) && listed.stdout.contains("✔ succeeded"), "{}", listed.stdout);
    let summary = project.windlass(["runs", &id[..8]]).ok().stdout;
    let words: Vec<&str> = summary.lines().map(str::trim).collect();
    for (at, expect) in ["✔ first", "✔ flaky", "✘ shaky", "○ stable", "✔ last", "✔ flow"].iter().enumerate()
    {
        assert!(words[at].starts_with(expect), "{expect}: {summary}");
    }
    assert!(words[1].contains("2 attempts") && words[2].contains("may fail"), "{summary}");
    assert!(
        words[3].contains("`inputs.channel == 'stable'` is false: inputs.channel is \"dev\""),
        "the values that decided: {summary}"
    );
    assert_eq!(project.runs().len(), 1);

    // logs
    let all = project.windlass(["logs", "last"]).ok().stdout;
    assert!(all.contains("flaky  │ not yet") && all.contains("flaky  │ now"), "{all}");
    let flaky = project.windlass(["logs", "last", "flaky"]).ok().stdout;
    assert!(flaky.contains("\nnow\n") && !flaky.contains("\nnot yet\n"), "the last attempt: {flaky}");
    let before = project.windlass(["logs", "last", "flaky", "--attempt", "1"]).ok().stdout;
    assert!(before.contains("not yet"), "{before}");
    for line in project.windlass(["logs", "last", "--json"]).ok().json_lines() {
        assert!(line["step"].is_string() && line["text"].is_string(), "{line}");
    }
    // of a run that is over, following prints it and ends
    assert_eq!(project.windlass(["logs", "last", "first", "--follow"]).ok().stdout.matches("one").count(), 2);

    // what does not exist
    let check = |args: &[&str], words: &str| {
        let output = project.windlass(args).expect(2);
        assert!(output.stderr.contains(words), "{args:?}: {}", output.stderr);
        assert_eq!(output.stdout, "", "{args:?}");
    };
    check(&["runs", "nosuchrun"], "no run is called \"nosuchrun\"");
    check(&["logs", "last", "nosuchstep"], "it has first, flaky, shaky, stable, last");
    check(&["run", "nosuchfile.yaml"], "cannot read the pipeline nosuchfile.yaml");
    check(&["run", "windlass.yaml", "--input", "chanel=x"], "channel");
    check(&["run"], "Usage: windlass run");
    check(&["rum"], "run");
}

#[test]
fn json_lines_of_a_run_tell_all_of_it() {
    let project = Project::new();
    project.pipeline(FLOW);
    let lines = project.windlass(["run", "windlass.yaml", "--json"]).ok().json_lines();
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).cloned().collect::<Vec<Value>>();
    assert_eq!(of("step-started").len(), 5);
    assert_eq!(of("step-ended").iter().filter(|line| line["retry_ms"].is_u64()).count(), 1);
    assert!(of("log").iter().any(|line| line["text"] == "shaky failed 5"));
    let last = lines.last().unwrap();
    assert_eq!((&last["type"], &last["outcome"]), (&"run-ended".into(), &"succeeded".into()));

    let quiet = project.windlass(["run", "windlass.yaml", "--quiet"]).ok();
    assert!(!quiet.stdout.contains("│ one") && quiet.stdout.contains("✔ flow"), "{}", quiet.stdout);
}

/// The container's bytes to the last one, whatever they are: no line ends added, nothing replaced.
#[test]
fn raw_logs_are_the_bytes_that_the_container_printed() {
    let project = Project::new();
    project
        .run(
            "name: raw
steps:
  - name: bytes
    type: step.shell_exec
    config: { image: IMAGE, commands: ['seq 1 200000', 'printf \"no newline at the end\"'] }
",
        )
        .ok();
    let raw = project.windlass(["logs", "last", "bytes", "--raw"]).ok().stdout;
    let numbers: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
    let expect = format!(
        "\u{1b}[1m$ seq 1 200000\u{1b}[0m\n{numbers}\u{1b}[1m$ printf \"no newline at the end\"\u{1b}[0m\nno newline at the end"
    );
    assert_eq!(hex::encode(Sha256::digest(&raw)), hex::encode(Sha256::digest(&expect)));
}

#[test]
fn a_run_of_another_process_can_be_followed() {
    let project = Project::new();
    project.pipeline(
        "name: slow
steps:
  - name: tick
    type: step.shell_exec
    config: { image: IMAGE, commands: ['echo begun; until test -e go; do sleep 0.1; done; echo ended'] }
  - name: tock
    needs: []
    type: step.shell_exec
    config: { image: IMAGE, commands: ['sleep 1; echo go > go'] }
",
    );
    let mut run = project.spawn(["run", "windlass.yaml"]);
    run.wait_for("begun");
    let listed = project.windlass(["runs"]).ok();
    assert!(listed.stdout.contains("▶ running"), "{}", listed.stdout);
    let mut follow = project.spawn(["logs", "last", "--follow"]);
    follow.wait_for("begun");
    follow.wait_for("ended");
    let followed = follow.wait().ok();
    run.wait().ok();
    assert!(followed.stdout.contains("tock │"), "{}", followed.stdout);
    assert_eq!(project.windlass(["logs", "last"]).ok().stdout.matches("ended").count(), 2, "the header and the line");
}

#[test]
fn exit_codes() {
    let mut project = Project::new();
    let yaml = |config: &str| {
        format!("name: code\nsteps:\n  - {{ name: it, type: step.shell_exec, config: {{ image: IMAGE, {config} }} }}\n")
    };
    project.run(&yaml("commands: ['true']")).expect(0);
    project.run(&yaml("commands: ['false']")).expect(1);
    project.run("name: code\nsteps: []\n").expect(2);
    project.run(&yaml("timeout: 1s, commands: [sleep 60]")).expect(4);
    project.windlass(["resume"]).expect(2);
    project.windlass(["--version"]).expect(0);

    project.set_env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let output = project.run(&yaml("commands: ['true']")).expect(6);
    assert!(output.all().contains("/nonexistent/docker.sock"), "{}", output.all());
}

#[test]
fn plan_lint_and_schema_execute_nothing() {
    let project = Project::new();
    project.pipeline(FLOW);
    let plan = project.windlass(["plan", "windlass.yaml", "--input", "channel=stable"]).ok().stdout;
    for part in ["channel = \"stable\"", "after first, flaky, shaky", "3 attempts", "start containers from the images"]
    {
        assert!(plan.contains(part), "no {part:?} in:\n{plan}");
    }
    assert!(!plan.contains("greet"), "only what it uses:\n{plan}");
    let plan = project.windlass(["plan", "windlass.yaml", "--json"]).ok().json();
    assert_eq!(plan["plan"]["name"], "flow");
    assert_eq!(plan["permissions"].as_object().unwrap().len(), 1);

    let sound = project.windlass(["lint", "windlass.yaml"]).ok();
    assert_eq!(sound.all(), "✔ the pipeline is sound\n");
    project.pipeline("name: flow\nsteps:\n  - name: a\n    type: step.shell_exec\n    config: { image: x, comands: [y], memory: 4GB }\n");
    let human = project.windlass(["lint", "windlass.yaml"]).expect(2);
    assert!(human.all().contains("windlass.yaml:5:25") && human.all().contains("commands"), "{}", human.all());
    let json = project.windlass(["lint", "windlass.yaml", "--format", "json"]).expect(2).json();
    let codes: Vec<&str> = json.as_array().unwrap().iter().map(|each| each["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["WL0012", "WL0010", "WL0025"]);
    let sarif = project.windlass(["lint", "windlass.yaml", "--format", "sarif"]).expect(2).json();
    assert_eq!(sarif["version"], "2.1.0");
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert!(results.iter().any(|each| {
        let region = &each["locations"][0]["physicalLocation"]["region"];
        region["startLine"] == 5 && region["startColumn"] == 25
    }));
    let github = project.windlass(["lint", "windlass.yaml", "--format", "github"]).expect(2).stdout;
    assert!(github.lines().any(|line| line.starts_with("::error file=windlass.yaml,line=5,col=25")), "{github}");

    let schema = project.windlass(["schema"]).ok().json().to_string();
    assert!(schema.contains("step.greet_python") && schema.contains("image_pull_policy"));
    assert!(project.runs().is_empty() && project.containers().is_empty());
}

#[test]
fn secrets_are_kept_and_forgotten() {
    let project = Project::new();
    let set = project.windlass_with(["secret", "set", "vault/a", "--host", "api.example.com"], "value-of-a\n").ok();
    assert!(set.stderr.contains("secret:vault/a is set (may be sent to api.example.com)"), "{}", set.stderr);
    project.secret("vault/b", "value-of-b", &[]);
    let listed = project.windlass(["secret", "list", "--json"]).ok().json();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|each| each["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["vault/a", "vault/b"]);
    project.windlass(["secret", "remove", "vault/a"]).ok();
    assert!(!project.windlass(["secret", "list"]).ok().stdout.contains("vault/a"));
    let check = |args: &[&str], input: &str, code: i32, words: &str| {
        let output = project.windlass_with(args, input).expect(code);
        assert!(output.stderr.contains(words), "{args:?}: {}", output.stderr);
    };
    check(&["secret", "remove", "vault/a"], "", 6, "vault/a");
    check(&["secret", "set", "no-path"], "x", 2, "no-path");
    check(&["secret", "set", "vault/c"], "", 2, "no value on standard input");
}

#[test]
fn plugins_are_found_shown_and_removed() {
    let registry = Registry::filled();
    let mut project = Project::new();
    project.set_env("WINDLASS_REGISTRY", registry.url());
    let found = project.windlass(["plugin", "search", "greet"]).ok().stdout;
    assert_eq!(found.matches("step.greet_").count(), 4, "{found}");
    let found = project.windlass(["plugin", "search", "--json"]).ok().json();
    assert!(found.as_array().unwrap().len() >= 6, "{found}");
    let info = project.windlass(["plugin", "info", "windlass:shell"]).ok().stdout;
    for part in ["0.1.0 is installed here", "step.shell_exec", "by ed25519:", "start containers from the images"] {
        assert!(info.contains(part), "no {part:?} in:\n{info}");
    }
    project.windlass(["plugin", "info", "windlass:shell", "--json"]).ok().json();
    let list = project.windlass(["plugin", "list"]).ok().stdout;
    assert_eq!(list.lines().count(), 10, "{list}");
    let verified = project.windlass(["plugin", "verify"]).ok().stdout;
    assert_eq!(verified.matches("sound").count(), 9, "{verified}");
    project.windlass(["plugin", "verify", "--json"]).ok().json();

    let component = windlass_tests::root().join("examples/plugins/c/dist/greet-c.wasm");
    let inspected = project.windlass(["plugin".as_ref(), "inspect".as_ref(), component.as_os_str()]).ok().stdout;
    for part in ["windlass:plugin 0.1.0", "containers", "http"] {
        assert!(inspected.contains(part), "no {part:?} in:\n{inspected}");
    }

    project.windlass(["plugin", "remove", "examples:greet-c"]).ok();
    let output = project.run("name: gone\nsteps:\n  - { name: it, type: step.greet_c, config: { name: Ada } }\n");
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("step.greet_c"), "{}", output.stderr);
    project.windlass(["plugin", "remove", "examples:greet-c"]).expect(2);
    let output = project.windlass(["plugin", "install", "examples:nothing"]).expect(6);
    assert!(output.stderr.contains("has no plugin examples:nothing"), "{}", output.stderr);
}

#[test]
fn completions_and_help() {
    let project = Project::empty();
    let script = project.windlass(["completions", "bash"]).ok().stdout;
    assert!(script.contains("_windlass()") && !script.contains("__compile"), "completions without what is hidden");
    let help = project.windlass(["--help"]).ok().stdout;
    for command in ["run", "resume", "lint", "plan", "runs", "logs", "plugin", "secret", "artifact"] {
        assert!(help.contains(&format!("\n  {command} ")), "no {command} in:\n{help}");
    }
    assert!(!project.home().exists(), "nothing was written");
}
