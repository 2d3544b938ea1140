//! Sound files and what becomes of them.

use crate::{plan, source, work};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use windlass_manifest::{
    Severity, bind_inputs, bind_json, load,
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
    assert!(plan.volumes["workspace"].persistent && !plan.strict);

    let build = named(&plan, "build");
    assert_eq!(work(build).plugin.to_string(), "windlass:shell@0.1.3");
    assert_eq!((build.timeout_ms, build.retry.max_attempts, build.retry.backoff_ms), (1_200_000, 3, 10_000));
    assert_eq!(build.retry.on, BTreeSet::from([RetryOn::Infrastructure, RetryOn::NonZeroExit]));
    assert_eq!(
        work(build).config["env"],
        json!({ "OWN": "step", "TOKEN": "secret:cloud/token", "CI": "true", "VERSION": "{{ inputs.version }}" })
    );
    assert_eq!(
        work(build).treatment,
        BTreeMap::from([
            ("/artifacts_out/0/path".to_owned(), Treatment::Lenient),
            ("/env/VERSION".to_owned(), Treatment::Lenient),
            ("/memory_mib".to_owned(), Treatment::Lenient),
        ])
    );
    assert_eq!(work(build).typed, BTreeMap::from([("/memory_mib".to_owned(), BTreeSet::from([Scalar::Integer]))]));
    assert!(build.needs.is_empty());

    let sast = named(&plan, "sast");
    assert_eq!((sast.timeout_ms, work(sast).treatment["/image"]), (5_400_000, Treatment::Strict));
    assert_eq!(work(sast).config["timeout"], "1h 30m", "it stays in the configuration");

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
    assert_eq!(work(&plan(taken).0.states[0].steps[0]).config["env"]["T"], "secret:a/b");
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
    assert_eq!(work(&loaded.plan.expect("a plan").states[0].steps[0]).plugin.version.to_string(), "0.2.0");
}

#[test]
fn no_code_means_two_things() {
    let codes: BTreeSet<_> = windlass_manifest::codes::ALL.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes.len(), windlass_manifest::codes::ALL.len());
}

/// A pipeline of one step, with this before it and these keys in the step.
fn with(root: &str, step: &str) -> String {
    format!("name: x\ninputs: {{ v: {{ type: string }} }}\n{root}\nsteps:\n  - name: a\n    type: step.gate\n{step}")
}

#[test]
fn concurrency_volumes_and_jitter() {
    let check = |root: &str, expect: serde_json::Value| {
        let (plan, diagnostics) = plan(&with(root, ""));
        assert!(diagnostics.iter().all(|d| d.message.contains("takes an `env`")), "{root}");
        assert_eq!(json!({ "group": plan.concurrency, "volumes": plan.volumes }), expect, "{root}");
    };
    let workspace = json!({ "workspace": { "persistent": false } });
    check("", json!({ "group": null, "volumes": workspace }));
    check("concurrency: deploy", json!({ "group": { "group": "deploy", "limit": 1 }, "volumes": workspace }));
    check(
        "concurrency: { group: 'deploy-{{ inputs.v }}-{{ env.E }}-{{ run.id }}', limit: 1000 }\nenv: { E: '1' }",
        json!({ "group": { "group": "deploy-{{ inputs.v }}-{{ env.E }}-{{ run.id }}", "limit": 1000 }, "volumes": workspace }),
    );
    check(
        "workspace: { persistent: true }\nvolumes: { cache: { persistent: true }, tmp: , a_1-b: {} }",
        json!({ "group": null, "volumes": {
            "a_1-b": { "persistent": false }, "cache": { "persistent": true }, "tmp": { "persistent": false },
            "workspace": { "persistent": true },
        }}),
    );
    let retry = |text: &str| {
        let text = "name: x\nsteps: [{ name: a, type: step.artifact_pull, config: { key: k }, retry: { max_attempts: 2"
            .to_owned()
            + text
            + " } }]";
        plan(&text).0.states[0].steps[0].retry.jitter
    };
    assert!(retry(", jitter: true") && !retry(", jitter: false") && !retry(""));
}

#[test]
fn what_is_wrong_with_concurrency_volumes_and_jitter() {
    let many = format!(
        "volumes: {{ {} }}",
        (0..=windlass_manifest::MAX_VOLUMES).map(|n| format!("v{n}: ")).collect::<Vec<_>>().join(", ")
    );
    let long = format!("volumes: {{ {}: }}", "v".repeat(64));
    let mut shown = String::new();
    for (root, step) in [
        ("concurrency: 1", ""),
        ("concurrency: ''", ""),
        ("concurrency: {}", ""),
        ("concurrency: { group: 1, limit: 0, limt: 1 }", ""),
        ("concurrency: { group: x, limit: 1001 }", ""),
        ("concurrency: { group: 'secret:a/b {{ steps.a.outcome }} {{ inputs.w }}', limit: many }", ""),
        ("volumes: []", ""),
        ("volumes: { cache: 1, tmp: { persistant: true }, x: { persistent: 'yes' } }", ""),
        ("volumes: { workspace: {}, Cache: , '-a': , '': }", ""),
        (many.as_str(), ""),
        (long.as_str(), ""),
        ("", "    retry: { max_attempts: 2, jitter: 'on', jiter: true }\n"),
    ] {
        let loaded = load(&source(&with(root, step)), &crate::catalogue());
        assert!(loaded.plan.is_none(), "{root}{step}");
        shown += &format!(
            "{}{}\n{}\n",
            root.chars().take(100).collect::<String>(),
            step.trim_end(),
            crate::said(&loaded.diagnostics)
        );
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn inputs_may_be_json() {
    let (mut plan, _) = plan(
        "name: x\ninputs:\n  s: { type: string }\n  n: { type: number, default: 2 }\n  b: { type: boolean, required: false }\nsteps: [{ name: a, type: step.gate }]",
    );
    let check = |plan: &Plan, given: serde_json::Value, expect: Result<serde_json::Value, &[&str]>| {
        let given = given.as_object().cloned().expect("an object");
        let bound = bind_json(plan, given).map(serde_json::Value::Object);
        let bound = bound.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(bound, expect.map_err(|errors| errors.iter().map(|error| (*error).to_owned()).collect()));
    };
    check(&plan, json!({ "s": "x" }), Ok(json!({ "n": 2, "s": "x" })));
    check(&plan, json!({ "s": "", "n": 1.5, "b": true }), Ok(json!({ "b": true, "n": 1.5, "s": "" })));
    check(
        &plan,
        json!({ "ss": [], "s": 1, "n": "1", "b": null }),
        Err(&[
            "the pipeline has no input `ss`",
            "the input `b` is a boolean, and \"null\" is none",
            "the input `n` is a number, and \"\\\"1\\\"\" is none",
            "the input `s` is text, and \"1\" is none",
        ]),
    );
    plan.open_inputs = true;
    check(
        &plan,
        json!({ "s": "x", "list": [1, { "a": null }] }),
        Ok(json!({ "list": [1, { "a": null }], "n": 2, "s": "x" })),
    );
    check(&plan, json!({ "s": "x", "a b": 1 }), Err(&["\"a b\" cannot be an input's name"]));
    let long = "x".repeat(windlass_manifest::MAX_INPUT_BYTES);
    check(&plan, json!({ "s": "x", "l": [long] }), Err(&["the input `l` has 65540 bytes; at most 65536 are taken"]));
    let many: serde_json::Map<_, _> =
        (0..=windlass_manifest::MAX_INPUTS).map(|n| (format!("i{n}"), json!(n))).collect();
    check(&plan, many.into(), Err(&["1001 inputs are given; at most 1000 are taken"]));

    let text = BTreeMap::from([("s".to_owned(), "x".to_owned()), ("other".to_owned(), "1".to_owned())]);
    assert_eq!(bind_inputs(&plan, &text).map(serde_json::Value::Object), Ok(json!({ "n": 2, "other": "1", "s": "x" })));
}
