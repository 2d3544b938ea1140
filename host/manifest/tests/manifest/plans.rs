//! Sound files and what becomes of them.

use crate::{plan, source};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use windlass_manifest::{
    Severity, bind_inputs, load,
    plan::{Plan, RetryOn, Scalar, Step, Treatment},
    requirements,
};

const RELEASE: &str = r#"
name: release
inputs:
  version: { type: string, default: "0.1.0", description: "what to tag" }
  memory: { type: number, default: 64 }
plugins:
  windlass:shell: "^0.1"
workspace: { persistent: true }
env: { CI: "true", VERSION: "{{ inputs.version }}", OWN: pipeline }
steps:
  - name: build
    type: step.shell_exec
    config:
      image: rust:1-slim
      commands: ["cargo build --release"]
      artifacts_out: [{ key: server, path: "target/{{ .Version }}/server" }]
      env: { OWN: step, TOKEN: secret:cloud/token }
      memory_mib: "{{ inputs.memory }}"
    timeout: 20m
    retry: { max_attempts: 3, backoff: 10s, on: [infrastructure, non_zero_exit] }
  - name: sast
    type: windlass:shell/step.shell_exec
    needs: []
    config: { image: "scan:{{ env.VERSION }}", commands: [scan], timeout: 1h 30m }
    on_failure: continue
  - name: image
    type: step.artifact_pull
    needs: [build, sast]
    if: inputs.version != '' and steps.sast.outcome == 'succeeded'
    config: { key: "{{ .steps.build.output.stdout | first_line }}" }
  - name: last
    type: step.artifact_pull
    config: { key: "{{ steps.build.outputs.exit_code }}" }
"#;

fn named<'p>(plan: &'p Plan, name: &str) -> &'p Step {
    plan.states[plan.initial].steps.iter().find(|step| step.name.as_str() == name).expect("the step")
}

#[test]
fn a_steps_pipeline_is_a_workflow_of_one_state() {
    let (plan, diagnostics) = plan(RELEASE);
    assert_eq!(diagnostics, []);
    assert_eq!((plan.states.len(), plan.states[0].name.as_str(), plan.initial), (1, "main", 0));
    assert!(plan.workspace.persistent && !plan.strict);

    let build = named(&plan, "build");
    assert_eq!(build.plugin.to_string(), "windlass:shell@0.1.3");
    assert_eq!((build.timeout_ms, build.retry.max_attempts, build.retry.backoff_ms), (1_200_000, 3, 10_000));
    assert_eq!(build.retry.on, BTreeSet::from([RetryOn::Infrastructure, RetryOn::NonZeroExit]));
    assert_eq!(
        build.config["env"],
        json!({ "OWN": "step", "TOKEN": "secret:cloud/token", "CI": "true", "VERSION": "{{ inputs.version }}" })
    );
    assert_eq!(
        build.treatment,
        BTreeMap::from([
            ("/artifacts_out/0/path".to_owned(), Treatment::Lenient),
            ("/env/VERSION".to_owned(), Treatment::Lenient),
            ("/memory_mib".to_owned(), Treatment::Lenient),
        ])
    );
    assert_eq!(build.typed, BTreeMap::from([("/memory_mib".to_owned(), BTreeSet::from([Scalar::Integer]))]));
    assert!(build.needs.is_empty());

    let sast = named(&plan, "sast");
    assert_eq!((sast.timeout_ms, sast.treatment["/image"]), (5_400_000, Treatment::Strict));
    assert_eq!(sast.config["timeout"], "1h 30m", "it stays in the configuration");

    let needs = |name| named(&plan, name).needs.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        (needs("image"), needs("last")),
        (vec!["build".to_owned(), "sast".to_owned()], vec!["image".to_owned()])
    );
    assert_eq!(named(&plan, "last").timeout_ms, windlass_manifest::plan::DEFAULT_TIMEOUT_MS);
}

#[test]
fn a_plan_survives_being_stored() {
    let (plan, _) = plan(RELEASE);
    let stored = serde_json::to_string(&plan).expect("a plan as JSON");
    assert_eq!(serde_json::from_str::<Plan>(&stored).expect("the same plan"), plan);
}

#[test]
fn requirements_are_read_before_anything_is_installed() {
    let found = requirements(&source(RELEASE));
    assert_eq!(found.diagnostics, []);
    let (name, requirement) = found.plugins.first_key_value().expect("a requirement");
    assert_eq!((name.to_string(), requirement.version.to_string()), ("windlass:shell".to_owned(), "^0.1".to_owned()));
    assert_eq!(&RELEASE[requirement.span.clone()], "\"^0.1\"");
    assert_eq!(requirements(&source("plugins: { x: '1' }")).diagnostics.len(), 1);
    assert_eq!(requirements(&source("name: [")).diagnostics.len(), 1);
}

#[test]
fn an_env_that_nobody_takes_is_told_of() {
    let (_, diagnostics) =
        plan("name: x\nenv: { A: b }\nsteps: [{ name: a, type: step.artifact_pull, config: { key: k } }]");
    let found: Vec<_> = diagnostics.iter().map(|d| (d.severity, d.code.to_string(), d.line)).collect();
    assert_eq!(found, [(Severity::Warning, "WL0018".to_owned(), 2)]);
}

#[test]
fn a_secret_in_the_pipelines_env_goes_only_where_secrets_may() {
    let taken = "name: x\nenv: { T: 'secret:a/b' }\nsteps: [{ name: a, type: step.shell_exec, config: { image: i, commands: [c] } }]";
    assert_eq!(plan(taken).0.states[0].steps[0].config["env"]["T"], "secret:a/b");
    let mut steps = crate::installed();
    steps[0].step.config_schema["properties"]["env"]["additionalProperties"] = json!({ "type": "string" });
    let loaded = load(&source(taken), &windlass_manifest::Catalogue::new(steps));
    assert_eq!(loaded.diagnostics[0].code.to_string(), "WL0040");
}

#[test]
fn inputs_are_read_as_their_type() {
    let (plan, _) = plan(
        "name: x\ninputs:\n  s: { type: string }\n  n: { type: number, default: 2 }\n  b: { type: boolean, required: false }\nsteps: [{ name: a, type: 'acme:slack/step.notify' }]",
    );
    let check = |given: &[(&str, &str)], expect: Result<serde_json::Value, &[&str]>| {
        let given = given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let bound = bind_inputs(&plan, &given).map(serde_json::Value::Object);
        let bound = bound.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(bound, expect.map_err(|errors| errors.iter().map(|error| (*error).to_owned()).collect()));
    };
    check(&[("s", "")], Ok(json!({ "n": 2, "s": "" })));
    check(&[("s", "1"), ("n", "1.5"), ("b", "false")], Ok(json!({ "b": false, "n": 1.5, "s": "1" })));
    check(
        &[("ss", "1"), ("n", "much"), ("b", "yes")],
        Err(&[
            "the pipeline has no input `ss`",
            "the input `b` is a boolean, and \"yes\" is none",
            "the input `n` is a number, and \"much\" is none",
            "the input `s` is required",
        ]),
    );
    check(&[("s", &"x".repeat(windlass_manifest::MAX_INPUT_BYTES))], Ok(json!({ "n": 2, "s": "x".repeat(64 * 1024) })));
    check(
        &[("s", &"x".repeat(windlass_manifest::MAX_INPUT_BYTES + 1))],
        Err(&["the input `s` has 65537 bytes; at most 65536 are taken"]),
    );
}

#[test]
fn the_higher_of_two_versions_counts() {
    let mut steps = crate::installed();
    let mut newer = steps[0].clone();
    newer.plugin.version = "0.2.0".parse().expect("a version");
    steps.insert(0, newer);
    let loaded = load(
        &source("name: x\nsteps: [{ name: a, type: step.shell_exec, config: { image: i, commands: [c] } }]"),
        &windlass_manifest::Catalogue::new(steps),
    );
    assert_eq!(loaded.plan.expect("a plan").states[0].steps[0].plugin.version.to_string(), "0.2.0");
}

#[test]
fn no_code_means_two_things() {
    let codes: BTreeSet<_> = windlass_manifest::codes::ALL.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes.len(), windlass_manifest::codes::ALL.len());
}
