//! The states dialect: what each kind becomes, what each condition is, and what is warned of. What is refused has a file each
//! in `tests/broken/states-*.yaml`.

use crate::{catalogue, plan, source, work};
use proptest::prelude::*;
use serde_json::{Value, json};
use windlass_manifest::{
    Catalogue, Loading, MAX_AGENTS, MAX_STATES, MAX_STEPS, MAX_WAYS, Severity, Source, Workflows, load, load_with,
    plan::{Completion, Condition, Gate, Plan, ResultShape, RetryOn, State, Treatment, Work},
    plugin_diagnostic, requirements,
};

/// A workflow of these states, which begins in the first; `spec` holds more keys of its own.
fn workflow(spec: &str, states: &str) -> String {
    let indented: String = states.lines().map(|line| format!("    {line}\n")).collect();
    let first = states.trim_start().split(':').next().expect("a state");
    format!(
        "apiVersion: 100monkeys.ai/v1\nkind: Workflow\nmetadata: {{ name: test }}\nspec:\n  initial_state: {first}\n{spec}  states:\n{indented}"
    )
}

/// The one workflow that others run here.
fn deploy() -> Workflows {
    let mut workflows = Workflows::default();
    workflows.insert("deploy", Source { name: "deploy.yaml".to_owned(), text: workflow("", END) });
    workflows
}

const END: &str = "END: { kind: System, command: 'true', transitions: [] }\n";

fn state(states: &str) -> (Plan, State) {
    let (plan, _) = plan(&workflow("", &format!("{states}\n{END}")));
    let state = plan.states[0].clone();
    (plan, state)
}

/// What is found in a workflow: severity, code, line of the states, message.
fn found(spec: &str, states: &str) -> Vec<String> {
    let text = workflow(spec, states);
    let before = text.split("  states:\n").next().expect("the head").lines().count() + 2;
    let loaded = load(&source(&text), &catalogue());
    loaded
        .diagnostics
        .iter()
        .map(|d| {
            format!(
                "{} {} {}: {}",
                if d.severity == Severity::Error { "E" } else { "W" },
                d.code,
                d.line.saturating_sub(before),
                d.message
            )
        })
        .collect()
}

#[test]
fn every_field_of_a_container_reaches_the_plugin() {
    let (plan, diagnostics) = plan(&workflow(
        "  volumes: [{ name: workspace, persistent: true }, { name: cache }]\n  env: { CI: 'true' }\n",
        r#"BUILD:
  kind: ContainerRun
  name: "Compile"
  image: "rust:1.75-{{ input.flavour }}"
  image_pull_policy: Always
  command: ["cargo", "build", "--profile", "{{ blackboard.profile }}"]
  workdir: /workspace
  env: { TOKEN: secret:cloud/token, WHO: "{{ run.id }}" }
  volumes:
    - { name: workspace, mount_path: /workspace }
    - { name: cache, mount_path: /root/.cargo, read_only: true }
  resources: { cpu: 2000, memory: "4Gi", timeout: 10m }
  registry_credentials: "secret:cicd/registry"
  retry: { max_attempts: 3, backoff: 10s, on: [infrastructure, non_zero_exit] }
  network_mode: none
  run_as_user: 1000
  read_only_root_filesystem: true
  timeout: 1h
  max_state_visits: 7
  transitions: []
"#,
    ));
    let codes: Vec<_> = diagnostics.iter().map(|d| (d.severity, d.code.to_string())).collect();
    assert_eq!(codes, [(Severity::Warning, "WL0017".to_owned())], "`timeout` does not count");
    let state = &plan.states[0];
    let step = &state.steps[0];
    assert_eq!(
        work(step).config,
        json!({
            "image": "rust:1.75-{{ input.flavour }}", "image_pull_policy": "Always", "workdir": "/workspace",
            "command": ["cargo", "build", "--profile", "{{ blackboard.profile }}"],
            "env": { "CI": "true", "TOKEN": "secret:cloud/token", "WHO": "{{ run.id }}" },
            "volumes": [{ "name": "workspace", "mount_path": "/workspace" }, { "name": "cache", "mount_path": "/root/.cargo", "read_only": true }],
            "cpu": 2000, "memory": "4Gi", "registry_credentials": "secret:cicd/registry", "network_mode": "none",
            "run_as_user": 1000, "read_only_root_filesystem": true,
        })
    );
    let treatment: Vec<_> = work(step).treatment.iter().map(|(pointer, how)| (pointer.as_str(), *how)).collect();
    assert_eq!(
        treatment,
        [("/command/3", Treatment::Lenient), ("/env/WHO", Treatment::Lenient), ("/image", Treatment::Strict)]
    );
    assert_eq!((state.name.as_str(), state.title.as_deref(), step.name.as_str()), ("BUILD", Some("Compile"), "BUILD"));
    assert_eq!(
        (step.timeout_ms, state.max_visits, state.fails),
        (600_000, 7, false),
        "resources.timeout counts before timeout"
    );
    assert_eq!(
        (step.retry.max_attempts, step.retry.backoff_ms, step.retry.on.contains(&RetryOn::NonZeroExit)),
        (3, 10_000, true)
    );
    assert_eq!((&state.completion, &state.result), (&Completion::AllSucceed, &ResultShape::Single));
    assert!(plan.volumes["workspace"].persistent && !plan.volumes["cache"].persistent && plan.open_inputs);
    assert_eq!((plan.name.as_str(), plan.max_transitions, plan.strict), ("test", 50, false));
}

#[test]
fn a_parallel_states_steps_start_at_once_and_are_read_by_their_short_names() {
    let (_, state) = state(
        r#"TEST:
  kind: ParallelContainerRun
  timeout: 9m
  volumes: [{ name: workspace, mount_path: /workspace }]
  completion: any_succeed
  steps:
    - { name: unit-tests, image: i:1, command: [a], retry: { max_attempts: 2 }, resources: { timeout: 3m } }
    - { name: lint, image: i:1, command: [b], run_as_user: app, volumes: [{ name: workspace, mount_path: /w, read_only: true }] }
    - { name: fmt, image: i:1, command: [c], volumes: [{ name: workspace, mount_path: /workspace, read_only: true }] }
  transitions: []"#,
    );
    let steps: Vec<_> =
        state.steps.iter().map(|s| (s.name.as_str(), s.timeout_ms, s.retry.max_attempts, s.needs.len())).collect();
    assert_eq!(steps, [("TEST-unit-tests", 180_000, 2, 0), ("TEST-lint", 540_000, 1, 0), ("TEST-fmt", 540_000, 1, 0)]);
    assert_eq!(state.result, ResultShape::ByStep(["unit-tests", "lint", "fmt"].map(str::to_owned).to_vec()));
    assert_eq!(state.completion, Completion::AnySucceed);
    let mounts = |at: usize| work(&state.steps[at]).config["volumes"].clone();
    let shared = json!({ "name": "workspace", "mount_path": "/workspace" });
    assert_eq!(mounts(0), json!([shared]));
    assert_eq!(mounts(1), json!([{ "name": "workspace", "mount_path": "/w", "read_only": true }, shared]));
    assert_eq!(mounts(2), json!([{ "name": "workspace", "mount_path": "/workspace", "read_only": true }]));
}

#[test]
fn agents_and_their_consensus() {
    let (plan, diagnostics) = plan(&workflow(
        "  agents: { coder: { model: m, api_key: secret:ai/key } }\n",
        r#"CODE:
  kind: Agent
  agent: coder
  input: "{{ workflow.task }}"
  max_iterations: 3
  volumes: [{ name: workspace, mount_path: /workspace }]
  transitions: [{ target: REVIEW }]
REVIEW:
  kind: ParallelAgents
  agents:
    - { agent: a, input: x, weight: 1.5, timeout_seconds: 300 }
    - { agent: coder, input: y }
  consensus: { strategy: best_of_n, n: 1, min_judges_required: 2, agreement: 0.5 }
  transitions:
    - { condition: consensus, target: END, threshold: 0.9 }
    - { target: CODE }
END: { kind: System, command: 'true', transitions: [] }
"#,
    ));
    assert_eq!(
        diagnostics.iter().map(|d| d.code.to_string()).collect::<Vec<_>>(),
        ["WL0073"],
        "the loop has no guard of its own"
    );
    let code = work(&plan.states[0].steps[0]);
    assert_eq!(
        (code.step_type.as_str(), &code.config),
        (
            "step.agent",
            &json!({
                "agent": "coder", "input": "{{ workflow.task }}", "max_iterations": 3,
                "volumes": [{ "name": "workspace", "mount_path": "/workspace" }], "profile": { "model": "m", "api_key": "secret:ai/key" },
            })
        )
    );
    let review = &plan.states[1];
    let steps: Vec<_> = review.steps.iter().map(|step| (step.name.as_str(), step.timeout_ms)).collect();
    assert_eq!(steps, [("REVIEW-0", 300_000), ("REVIEW-1", 60_000)]);
    assert_eq!(
        serde_json::to_value(&review.result).expect("JSON"),
        json!({ "agents": { "strategy": { "best_of_n": { "n": 1 } }, "weights": [1.5, 1.0], "threshold": 0.8, "min_judges": 2,
            "confidence_weighting": { "agreement_factor": 0.7, "self_confidence_factor": 0.3 } } })
    );
    assert_eq!(review.transitions[0].condition, Condition::Consensus { threshold: 0.9, agreement: 0.5 });

    let check = |consensus: &str, threshold: f64, agreement: f64| {
        let text = format!(
            "R:\n  kind: ParallelAgents\n  agents: [{{ agent: a, input: x }}]\n  consensus: {{ {consensus} }}\n  transitions: []"
        );
        let (_, state) = state(&text);
        let ResultShape::Agents(found) = &state.result else { panic!("agents") };
        assert_eq!(
            (found.threshold, found.confidence_weighting.agreement_factor),
            (threshold, agreement),
            "{consensus}"
        );
    };
    check("strategy: weighted_average", 0.8, 0.7);
    check(
        "strategy: weighted_average, confidence_weighting: { agreement_factor: 0.6, self_confidence_factor: 0.4 }",
        0.8,
        0.6,
    );
    check("strategy: majority", 0.7, 0.7);
    check("strategy: unanimous, threshold: 1", 1.0, 0.7);
}

#[test]
fn a_missing_agent_plugin_is_a_warning_and_a_missing_container_plugin_an_error() {
    let check = |without: &str, states: &str, expect: &[&str]| {
        let steps = crate::installed().into_iter().filter(|step| step.step.name != without).collect();
        let loaded = load(&source(&workflow("", &format!("{states}\n{END}"))), &Catalogue::new(steps));
        let found: Vec<_> = loaded
            .diagnostics
            .iter()
            .map(|d| format!("{:?} {} {} ({})", d.severity, d.code, d.message, d.help.clone().unwrap_or_default()))
            .collect();
        assert_eq!(found, expect);
        loaded.plan
    };
    let agents = "A: { kind: Agent, agent: a, input: '{{ B.output.x }}', transitions: [{ target: B }] }\nB: { kind: Agent, agent: a, input: x, transitions: [{ target: END }] }";
    let plan = check(
        "step.agent",
        agents,
        &[
            "Warning WL0021 no installed plugin provides `step.agent`: this workflow can be looked at, and not run (run `windlass plugin install windlass:agent`)",
            "Warning WL0109 the state `B` cannot have run before this one, so this is always empty (read a state that leads here, by transitions)",
        ],
    );
    assert_eq!(plan.expect("a plan").steps().filter(|step| matches!(step.work, Work::Absent { .. })).count(), 2);
    let plan = check(
        "step.container_run",
        "A: { kind: System, command: a, transitions: [{ target: END }] }",
        &[
            "Error WL0021 `step.container_run` needs the plugin windlass:container, which is not installed (run `windlass plugin install windlass:container`)",
        ],
    );
    assert_eq!(plan, None);
}

#[test]
fn a_type_chooses_between_two_plugins() {
    let mut steps = crate::installed();
    let mut other = steps.iter().find(|step| step.step.name == "step.container_run").expect("the step type").clone();
    other.plugin.name = "acme:podman".parse().expect("a name");
    steps.push(other);
    let catalogue = Catalogue::new(steps);
    let loaded = load(&source(&workflow("", END)), &catalogue);
    assert_eq!(loaded.diagnostics[0].code.to_string(), "WL0022");
    let chosen = END.replace("kind: System", "kind: System, type: 'acme:podman/step.container_run'");
    let plan = load(&source(&workflow("", &chosen)), &catalogue).plan.expect("a plan");
    assert_eq!(work(&plan.states[0].steps[0]).plugin.name.to_string(), "acme:podman");
}

#[test]
fn system_runs_in_a_container_and_human_is_a_gate() {
    let (_, system) =
        state("S: { kind: System, command: 'echo hi', workdir: /w, env: { A: b }, transitions: [], outcome: failed }");
    assert_eq!(
        work(&system.steps[0]).config,
        json!({ "workdir": "/w", "image": "alpine:3.19", "command": ["sh", "-c", "echo hi"], "env": { "A": "b" } })
    );
    assert!(system.fails);
    let (_, system) =
        state("S: { kind: System, command: 'echo hi', image: 'busybox:1', timeout: 2m, transitions: [] }");
    assert_eq!(
        (work(&system.steps[0]).config["image"].clone(), system.steps[0].timeout_ms),
        (json!("busybox:1"), 120_000)
    );

    let (_, human) = state(
        "H: { kind: Human, prompt: 'Ship {{ input.version }}?', default_response: no, transitions: [{ target: END }] }",
    );
    let Work::Gate(Gate::Question(question)) = &human.steps[0].work else { panic!("a question") };
    assert_eq!(
        (question.prompt.as_str(), question.default_response.as_deref()),
        ("Ship {{ input.version }}?", Some("no"))
    );
    assert_eq!(human.steps[0].timeout_ms, 3_600_000);
}

#[test]
fn a_subworkflow_is_part_of_the_plan() {
    let text = workflow(
        "",
        "A: { kind: Subworkflow, workflow_id: deploy, mode: blocking, result_key: deployed, input: '{{ A.output | json }}', transitions: [{ target: B }] }\nB: { kind: Subworkflow, workflow_id: deploy, mode: fire_and_forget, input: '{{ blackboard.deployed | json }}', transitions: [{ target: END }] }\nEND: { kind: System, command: 'true', transitions: [] }",
    );
    let loaded = load_with(&source(&text), &Loading { catalogue: &catalogue(), workflows: &deploy(), pipeline: None });
    let plan = loaded.plan.expect("a plan");
    assert_eq!(plan.workflows["deploy"].states[0].name, "END");
    let Work::SubRun(a) = &plan.states[0].steps[0].work else { panic!("a sub-run") };
    assert_eq!((a.wait, a.result_key.as_deref(), a.inputs.len()), (true, Some("deployed"), 0));
    let Work::SubRun(b) = &plan.states[1].steps[0].work else { panic!("a sub-run") };
    assert_eq!(
        (b.wait, b.result_key.as_deref(), b.input.as_deref()),
        (false, None, Some("{{ blackboard.deployed | json }}"))
    );
}

#[test]
fn transitions() {
    let check = |written: &str, expect: Condition| {
        let (_, state) = state(&format!(
            "A:\n  kind: Agent\n  agent: a\n  input: x\n  transitions: [{{ {written} target: END, feedback: 'f {{{{ A.output }}}}' }}]"
        ));
        let transition = &state.transitions[0];
        assert_eq!(
            (&transition.condition, transition.target, transition.feedback.as_deref()),
            (&expect, 1, Some("f {{ A.output }}")),
            "{written}"
        );
    };
    check("", Condition::Always);
    check("condition: always,", Condition::Always);
    check("condition: on_success,", Condition::OnSuccess);
    check("condition: on_failure,", Condition::OnFailure);
    check("condition: on_error,", Condition::OnError);
    check("condition: on_timeout,", Condition::OnTimeout);
    check("condition: exit_code_zero,", Condition::ExitCodeZero);
    check("condition: exit_code_non_zero,", Condition::ExitCodeNonZero);
    check("condition: exit_code, value: 255,", Condition::ExitCode { value: 255 });
    check("condition: score_above, threshold: 0.8,", Condition::ScoreAbove { threshold: 0.8 });
    check("condition: score_below, threshold: 0,", Condition::ScoreBelow { threshold: 0.0 });
    check("condition: score_between, min: 0.5, max: 0.5,", Condition::ScoreBetween { min: 0.5, max: 0.5 });
    check("condition: confidence_above, threshold: 1,", Condition::ConfidenceAbove { threshold: 1.0 });
    check(
        "condition: score_and_confidence_above, threshold: 0.1,",
        Condition::ScoreAndConfidenceAbove { threshold: 0.1 },
    );
    check(
        "condition: consensus, threshold: 0.8, agreement: 0.75,",
        Condition::Consensus { threshold: 0.8, agreement: 0.75 },
    );
    check("condition: consensus, threshold: 0.8,", Condition::Consensus { threshold: 0.8, agreement: 0.0 });
    check("condition: all_approved,", Condition::AllApproved);
    check("condition: any_rejected,", Condition::AnyRejected);
    check("condition: input_equals, value: yes,", Condition::InputEquals { value: "yes".to_owned() });
    check("condition: input_equals_yes,", Condition::InputEqualsYes);
    check("condition: input_equals_no,", Condition::InputEqualsNo);
    check(
        "condition: custom, expression: A.output.passed == true,",
        Condition::Custom { expression: "A.output.passed == true".to_owned() },
    );
    check("condition: custom, expression: false,", Condition::Custom { expression: "false".to_owned() });
}

#[test]
fn shell_text_is_freed_of_templates() {
    let check = |fields: &str, command: Value, env: Value| {
        let (_, state) = state(&format!("A: {{ {fields}, transitions: [] }}"));
        let config = &work(&state.steps[0]).config;
        assert_eq!((&config["command"], config.get("env").unwrap_or(&Value::Null)), (&command, &env), "{fields}");
        assert!(!work(&state.steps[0]).treatment.keys().any(|pointer| pointer == "/command/2"), "{fields}");
    };
    check(
        "kind: System, command: 'echo {{ a }} \"{{b}}\" {{ a }}', env: { X: y }",
        json!(["sh", "-c", "echo \"${WINDLASS_T1}\" \"${WINDLASS_T2}\" \"${WINDLASS_T1}\""]),
        json!({ "X": "y", "WINDLASS_T1": "{{ a }}", "WINDLASS_T2": "{{b}}" }),
    );
    let run = |rest: &str| format!("kind: ContainerRun, image: 'i:1', {rest}");
    check(&run("command: [make, all], shell: true"), json!(["sh", "-c", "make all"]), Value::Null);
    check(
        &run("command: [make, '{{ t }}', '&&', ls], shell: true"),
        json!(["sh", "-c", "make \"${WINDLASS_T1}\" && ls"]),
        json!({ "WINDLASS_T1": "{{ t }}" }),
    );
    check(
        &run("command: [bash, -ec, 'echo {{ t }}', '{{ argv }}'], shell: true"),
        json!(["bash", "-ec", "echo \"${WINDLASS_T1}\"", "{{ argv }}"]),
        json!({ "WINDLASS_T1": "{{ t }}" }),
    );
    check(
        &run("command: [/bin/sh, -c, 'echo {{ t }}']"),
        json!(["/bin/sh", "-c", "echo \"${WINDLASS_T1}\""]),
        json!({ "WINDLASS_T1": "{{ t }}" }),
    );
    assert_eq!(
        found("", "A: { kind: System, command: 'echo {{ a }} {{ b }}', transitions: [] }"),
        [
            "W WL0078 0: a template stands in shell text: its value is passed as $WINDLASS_T1, and the shell never reads it as commands"
        ]
    );
}

#[test]
fn what_names_mean_is_known_before_the_run() {
    // Each stands in the input of an agent that BUILD and a Human state lead to, and that leads back.
    let check = |text: &str, expect: &[&str]| {
        let states = format!(
            "BUILD: {{ kind: System, command: b, transitions: [{{ target: FIX, feedback: 'x' }}] }}\nFIX:\n  kind: Agent\n  agent: a\n  max_state_visits: 2\n  input: \"{text}\"\n  transitions: [{{ condition: on_success, target: BUILD }}, {{ target: END }}]\n{END}"
        );
        // What is said of feedback that nobody reads is another table's.
        let found: Vec<_> = found("  context: { known: { x: 1 } }\n  env: { CI: 'true' }\n", &states)
            .into_iter()
            .filter(|line| !line.contains("WL0079"))
            .map(|line| line.split_once(": ").expect("a message").1.to_owned())
            .collect();
        assert_eq!(found, expect, "{text}");
    };
    for sound in [
        "{{ workflow.task }} {{ input.x.y }} {{ inputs.z }} {{ .Version }} {{ requirements }}",
        "{{ BUILD.output.stdout }} {{ BUILD.stderr }} {{ BUILD.output | json }} {{ BUILD.outcome }}",
        "{{ FIX.output.anything }} {{ state.feedback }} {{ env.CI }} {{ run.id }}",
        "{{ blackboard.requirements }} {{ blackboard.known.x }} {{ known.x }} {{ blackboard.BUILD.exit_code }}",
        "{{ scan.passed == true }} {{ some.output }}",
    ] {
        check(sound, &[]);
    }
    check("{{ BUILD.output.stdoud }}", &["the state `BUILD` gives no `stdoud`"]);
    check("{{ blackboard.BUILD.output.stdoud }}", &["the state `BUILD` gives no `stdoud`"]);
    check("{{ BULD.output.stdout }}", &["there is no state `BULD`"]);
    check("{{ END.output.stdout }}", &["the state `END` cannot have run before this one, so this is always empty"]);
    check("{{ env.PATH }}", &["the pipeline's `env` declares no `PATH`"]);
    check("{{ steps.a.outputs.b }}", &["a workflow has no steps that could be read"]);
    check("{{ state.x }} {{ state }}", &["`state` has no `x`", "`state` is no value by itself"]);
    check("{{ success() }}", &["`success()` is known in `if` only"]);
    check("secret:a/b", &["a secret may not stand here"]);
    assert_eq!(
        found("", "A: { kind: Agent, agent: a, input: '{{ state.feedback }} {{ A.x }}', transitions: [] }"),
        [
            "W WL0109 0: no transition into this state gives feedback, so this is always empty",
            "W WL0109 0: the state `A` cannot have run before this one, so this is always empty",
        ]
    );
}

#[test]
fn lints() {
    let check = |states: &str, expect: &[&str]| assert_eq!(found("", &format!("{states}\n{END}")), expect, "{states}");
    let system = |transitions: &str| {
        format!("A: {{ kind: System, command: a, max_state_visits: 3, transitions: [{transitions}] }}")
    };
    check(&system("{ target: END }"), &[]);
    check(
        &format!(
            "{}\nB: {{ kind: System, command: b, transitions: [{{ target: C }}] }}\nC: {{ kind: System, command: c, transitions: [{{ target: END }}] }}",
            system("{ target: END }")
        ),
        &["W WL0071 1: no transition leads to the state `B`", "W WL0071 2: no transition leads to the state `C`"],
    );
    check(
        &format!(
            "{}\nB: {{ kind: System, command: b, max_state_visits: 2, transitions: [{{ target: B }}] }}",
            system("{ condition: on_success, target: END }, { target: B }")
        ),
        &["W WL0072 1: from the state `B`, no end can be reached: a limit will fail the run"],
    );
    check(
        "A: { kind: System, command: a, transitions: [{ target: B }] }\nB: { kind: System, command: b, transitions: [{ condition: on_success, target: A }, { target: END }] }",
        &["W WL0073 0: the loop of A, B ends only by the default limit of 5 visits"],
    );
    check(
        "A: { kind: System, command: a, transitions: [{ target: B }] }\nB: { kind: System, command: b, max_state_visits: 5, transitions: [{ condition: on_success, target: A }, { target: END }] }",
        &[],
    );
    check(
        &system("{ target: END }, { condition: on_failure, target: END }"),
        &["W WL0075 0: a transition before this one is always taken"],
    );
    for (name, outcome, warned) in [
        ("FAILED", "", true),
        ("NOTIFY_FAILURE", "", true),
        ("build-error", "", true),
        ("ERROR", "", true),
        ("ERRORS_FIXED", "", false),
        ("FAILED", "outcome: failed, ", false),
        ("FAILED", "outcome: succeeded, ", false),
    ] {
        let found = found("", &format!("{name}: {{ kind: System, command: a, {outcome}transitions: [] }}"));
        assert_eq!(found.iter().any(|line| line.contains("WL0076")), warned, "{name} {outcome}");
    }
    for (image, warned) in [
        ("alpine", true),
        ("alpine:latest", true),
        ("host:5000/x/alpine", true),
        ("host:5000/x/alpine:1", false),
        ("alpine@sha256:0000", false),
        ("alpine:{{ x }}", false),
    ] {
        let found = found("", &format!("A: {{ kind: System, command: a, image: '{image}', transitions: [] }}"));
        assert_eq!(found.iter().any(|line| line.contains("WL0077")), warned, "{image}: {found:?}");
    }
    check(
        &format!(
            "{}\nB: {{ kind: Agent, agent: a, input: x, transitions: [{{ target: END }}] }}",
            system("{ condition: on_success, target: END }, { target: B, feedback: unread }")
        ),
        &["W WL0079 0: the state `B` does not read `state.feedback`"],
    );
    check(
        "A: { kind: Human, prompt: p, volumes: [{ name: workspace, mount_path: /w }], transitions: [{ target: END }] }",
        &["W WL0018 0: a Human state mounts nothing"],
    );
    assert_eq!(found("  agents: { a: {} }\n", END), ["W WL0018 0: no state names the agent `a`"]);
}

#[test]
fn outcomes_that_take_no_transition_are_told_of() {
    let check = |kind: &str, conditions: &[&str], expect: &[&str]| {
        let ways: String =
            conditions.iter().map(|condition| format!("{{ condition: {condition}, target: END }}, ")).collect();
        let lines = found("", &format!("A: {{ {kind}, transitions: [{ways}] }}\n{END}"));
        let gaps: Vec<_> = lines
            .iter()
            .filter_map(|line| {
                line.strip_prefix("W WL0074 0: ")?.strip_suffix(" in `A` takes no transition: the run would fail")
            })
            .collect();
        assert_eq!(gaps, expect, "{kind} {conditions:?} {lines:?}");
    };
    let system = "kind: System, command: a";
    check(system, &["on_success"], &["a failure"]);
    check(system, &["on_failure"], &["a success"]);
    check(system, &["exit_code_zero", "exit_code_non_zero"], &[]);
    check(system, &["on_success", "exit_code, value: 3"], &["any other exit code"]);
    check(system, &["exit_code, value: 0", "on_failure"], &[]);
    check(system, &["on_error", "on_timeout"], &["a success", "a failure"]);
    check(system, &["on_success", "custom, expression: 'true'"], &[]);
    let agent = "kind: Agent, agent: a, input: x";
    check(
        agent,
        &["score_above, threshold: 0.8", "score_below, threshold: 0.8", "on_failure"],
        &["a score of exactly 0.8"],
    );
    check(
        agent,
        &["score_above, threshold: 0.8", "score_between, min: 0.2, max: 0.8", "on_failure"],
        &["a score from 0 to below 0.2"],
    );
    check(
        agent,
        &["score_above, threshold: 0.8", "score_below, threshold: 0.5", "on_failure"],
        &["a score from 0.5 to 0.8"],
    );
    check(agent, &["score_between, min: 0, max: 0.5", "on_failure"], &["a score above 0.5, up to 1"]);
    check(
        agent,
        &["score_between, min: 0, max: 0.5", "score_between, min: 0.6, max: 1", "on_failure"],
        &["a score above 0.5 and below 0.6"],
    );
    check(agent, &["score_above, threshold: 0.8", "on_success", "on_failure"], &[]);
    check(agent, &["confidence_above, threshold: 0.8", "on_failure"], &["a score from 0 to 1"]);
    let agents = "kind: ParallelAgents, agents: [{ agent: a, input: x }], consensus: { strategy: majority }";
    check(agents, &["all_approved", "any_rejected", "on_failure"], &[]);
    check(agents, &["all_approved", "on_failure"], &["a score from 0 to 1"]);
    check(
        agents,
        &["consensus, threshold: 0.8, agreement: 0.5", "score_below, threshold: 0.8"],
        &["a score from 0.8 to 1 without the agreement that is asked for", "a failure"],
    );
    check(agents, &["consensus, threshold: 0.8", "score_below, threshold: 0.8", "on_failure"], &[]);
    let human = "kind: Human, prompt: p";
    check(human, &["input_equals_yes", "input_equals_no", "on_timeout"], &["any other answer"]);
    check(human, &["on_success"], &["an answer that does not come in time"]);
    check("kind: Human, prompt: p, default_response: y", &["on_success"], &[]);
    let parallel = "kind: ParallelContainerRun, steps: [{ name: a, image: 'i:1', command: [c] }]";
    check(parallel, &["on_success"], &["a failure"]);
    check(&format!("{parallel}, completion: best_effort"), &["on_success"], &[]);
}

#[test]
fn conditions_that_cannot_hold_are_told_of() {
    let check = |kind: &str, condition: &str, expect: Option<&str>| {
        let lines = found(
            "",
            &format!(
                "A: {{ {kind}, transitions: [{{ condition: {condition}, target: END }}, {{ target: END }}] }}\n{END}"
            ),
        );
        let told: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("W WL0080 0: ")).collect();
        assert_eq!(told, expect.into_iter().collect::<Vec<_>>(), "{kind} {condition}");
    };
    let (system, human) = ("kind: System, command: a", "kind: Human, prompt: p");
    let parallel = "kind: ParallelContainerRun, steps: [{ name: a, image: 'i:1', command: [c] }]";
    let agent = "kind: Agent, agent: a, input: x";
    check(system, "exit_code_zero", None);
    check(system, "score_above, threshold: 0.5", Some("this state has no score, so this is never taken"));
    check(system, "input_equals_yes", Some("only a Human state has an answer, so this is never taken"));
    check(human, "input_equals, value: x", None);
    check(human, "exit_code_non_zero", Some("this state has no exit code, so this is never taken"));
    check(parallel, "exit_code_zero", Some("several containers have no exit code together, so this is never taken"));
    check(agent, "score_below, threshold: 0.5", None);
    check(agent, "all_approved", Some("only a ParallelAgents state has several scores, so this is never taken"));
}

#[test]
fn requirements_of_a_workflow() {
    let names = |text: &str| {
        let found = requirements(&source(text));
        assert_eq!(found.diagnostics, []);
        found.plugins.into_iter().map(|(name, wanted)| format!("{name} {}", wanted.version)).collect::<Vec<_>>()
    };
    assert_eq!(names(&workflow("", END)), ["windlass:container ^0.1"]);
    assert_eq!(
        names(&workflow("  plugins: { 'windlass:container': '^0.2', 'acme:agents': '1' }\n", END)),
        ["acme:agents ^1", "windlass:container ^0.2"]
    );
    assert_eq!(names(&workflow("", "A: { kind: Human, prompt: p, transitions: [] }")), Vec::<String>::new());
    let qualified = END.replace("kind: System", "kind: System, type: 'acme:podman/step.container_run'");
    assert_eq!(names(&workflow("", &qualified)), Vec::<String>::new());
}

#[test]
fn what_a_plugin_says_is_shown_at_the_authors_keys() {
    let text = workflow(
        "",
        "T:\n  kind: ParallelContainerRun\n  steps:\n    - name: a\n      image: i:1\n      command: [x, y]\n  transitions: []\n",
    );
    let check = |step: &str, pointer: &str, expect: &str| {
        let step = step.parse().expect("a name");
        let found = plugin_diagnostic(&source(&text), &step, pointer, Severity::Warning, "m".to_owned(), None);
        let span = found[0].span.clone().expect("a place");
        assert_eq!(&text[span], expect);
    };
    check("T-a", "/image", "i:1");
    check("T-a", "/command/1", "y");
}

#[test]
fn a_plan_of_states_survives_being_stored() {
    let text = workflow(
        "",
        &format!(
            "R:\n  kind: ParallelAgents\n  name: Review\n  agents: [{{ agent: a, input: x }}]\n  consensus: {{ strategy: best_of_n, n: 1 }}\n  transitions: [{{ condition: consensus, threshold: 0.5, target: T }}]\nT:\n  kind: ParallelContainerRun\n  steps: [{{ name: a, image: 'i:1', command: [c] }}]\n  transitions: [{{ target: END, feedback: f }}]\n{END}"
        ),
    );
    let (plan, _) = plan(&text);
    let stored = serde_json::to_string(&plan).expect("a plan as JSON");
    assert_eq!(serde_json::from_str::<Plan>(&stored).expect("the same plan"), plan);
}

fn parallel(steps: usize) -> String {
    let list: String = (0..steps)
        .map(|n| format!("      - {{name: s{n}, image: 'i:1', command: [c, '{{{{ input.x }}}}']}}\n"))
        .collect();
    format!("{}{list}", workflow("", "A:\n  kind: ParallelContainerRun\n  transitions: []\n  steps:\n"))
}

#[test]
fn limits_of_a_workflow() {
    let codes = |text: &str| {
        let loaded = load(&source(text), &catalogue());
        loaded.diagnostics.iter().map(|d| format!("{} {}", d.code, d.message)).collect::<Vec<_>>()
    };
    let states: String =
        (0..=MAX_STATES).map(|n| format!("S{n}: {{ kind: System, command: a, transitions: [] }}\n")).collect();
    assert_eq!(codes(&workflow("", &states)), ["WL0002 there are 1001 states; at most 1000 are read"]);
    let chain: String = (0..MAX_STATES)
        .map(|n| {
            format!("S{n}: {{ kind: System, command: a, transitions: [{{ target: S{} }}] }}\n", (n + 1) % MAX_STATES)
        })
        .collect();
    assert!(codes(&workflow("", &chain)).iter().any(|line| line.starts_with("WL0073 the loop of S0, S1")));

    assert_eq!(
        load(&source(&parallel(MAX_STEPS)), &catalogue()).plan.expect("a plan").states[0].steps.len(),
        MAX_STEPS
    );
    assert_eq!(codes(&parallel(MAX_STEPS + 1)), [format!("WL0002 the workflow has more than {MAX_STEPS} steps")]);

    let ways = |n: usize| {
        format!("A: {{ kind: System, command: a, transitions: [{}] }}\n{END}", "{ target: END }, ".repeat(n))
    };
    assert!(load(&source(&workflow("", &ways(MAX_WAYS))), &catalogue()).plan.is_some());
    assert_eq!(
        codes(&workflow("", &ways(MAX_WAYS + 1))),
        ["WL0002 the state has 101 transitions; at most 100 are read"]
    );

    let agents = |n: usize| {
        format!(
            "A: {{ kind: ParallelAgents, agents: [{}], consensus: {{ strategy: majority }}, transitions: [] }}",
            "{ agent: a, input: x }, ".repeat(n)
        )
    };
    assert!(load(&source(&workflow("", &agents(MAX_AGENTS))), &catalogue()).plan.is_some());
    assert_eq!(codes(&workflow("", &agents(MAX_AGENTS + 1))), ["WL0002 there are 101 agents; a state has 1 to 100"]);

    let long = format!(
        "{}: {{ kind: ParallelContainerRun, steps: [{{ name: ab, image: 'i:1', command: [c] }}], transitions: [] }}",
        "S".repeat(62)
    );
    assert_eq!(codes(&workflow("", &long))[0].split(' ').next(), Some("WL0015"), "the two names are too long together");

    let volumes: String = (0..33).map(|n| format!("{{ name: v{n} }}, ")).collect();
    assert_eq!(
        codes(&workflow(&format!("  volumes: [{volumes}]\n"), END)),
        ["WL0002 there are 33 volumes; at most 32 are made"]
    );
}

/// A workflow of every kind, for what is made of it by [`no_change_makes_the_loader_panic`].
const EVERY_KIND: &str = r#"apiVersion: 100monkeys.ai/v1
kind: Workflow
metadata: { name: every-kind, version: "1.0.0", labels: { a: b } }
spec:
  initial_state: CODE
  volumes: [{ name: workspace, persistent: true }]
  context: { registry: r.example, n: 3 }
  agents: { coder: { model: m } }
  env: { CI: "{{ input.ci }}" }
  concurrency: { group: "g-{{ input.g }}", limit: 2 }
  max_total_transitions: 20
  states:
    CODE:
      kind: Agent
      agent: coder
      input: "{{ workflow.task }} {{ state.feedback }}"
      volumes: [{ name: workspace, mount_path: /workspace }]
      transitions: [{ condition: on_success, target: BUILD }, { target: FAILED }]
    BUILD:
      kind: ContainerRun
      image: "rust:{{ input.v }}"
      command: ["make", "{{ blackboard.registry }}", "'a b'", "$(x)"]
      shell: true
      resources: { cpu: 2000, memory: "4Gi", timeout: 10m }
      retry: { max_attempts: 3, backoff: 10s, on: [non_zero_exit] }
      transitions:
        - { condition: exit_code_zero, target: TEST }
        - { condition: custom, expression: "BUILD.output.exit_code > 1", target: CODE, feedback: "{{ BUILD.output.stderr }}" }
    TEST:
      kind: ParallelContainerRun
      completion: best_effort
      steps: [{ name: unit, image: i:1, command: [c] }, { name: lint, image: i:1, command: [sh, -c, "echo {{ a }}"] }]
      transitions: [{ target: REVIEW }]
    REVIEW:
      kind: ParallelAgents
      agents: [{ agent: a, input: "{{ TEST.output.unit.stdout }}", weight: 1.5, timeout_seconds: 3 }, { agent: b, input: y }]
      consensus: { strategy: weighted_average, threshold: 0.8, min_judges_required: 2 }
      transitions:
        - { condition: consensus, threshold: 0.8, agreement: 0.75, target: ASK }
        - { condition: score_between, min: 0.1, max: 0.8, target: CODE }
    ASK: { kind: Human, prompt: "{{ REVIEW.consensus.score }}?", default_response: no, transitions: [{ condition: input_equals_yes, target: SUB }, { target: FAILED }] }
    SUB: { kind: Subworkflow, workflow_id: deploy, mode: fire_and_forget, transitions: [{ target: DONE }] }
    DONE: { kind: System, command: "echo '{{ CODE.output }}'", transitions: [] }
    FAILED: { kind: System, command: "echo 'no'", transitions: [], outcome: failed }
"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_change_makes_the_loader_panic(
        changes in prop::collection::vec(
            (
                any::<prop::sample::Index>(),
                0..12usize,
                prop::sample::select(vec![
                    "", "{", "}", "[", "]", ": ", "'", "\"", "- ", "\n", " ", "é", "{{ x }}", "{{", "}}", "0", "-1", "1e9", "null", "true",
                    "kind", "BUILD", "secret:a/b", "&a ", "*a", "#", "name: x", "[]", "{}", "$(", "`", "\\", "|", "timeout: 1m",
                ]),
            ),
            1..6,
        )
    ) {
        let mut text = EVERY_KIND.to_owned();
        for (at, length, new) in changes {
            let boundary = |at: usize, text: &str| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let from = boundary(at.index(text.len() + 1), &text);
            let to = boundary(from + length, &text).max(from);
            text.replace_range(from..to, new);
        }
        let source = source(&text);
        let catalogue = catalogue();
        let loaded = load_with(&source, &Loading { catalogue: &catalogue, workflows: &deploy(), pipeline: None });
        prop_assert_eq!(loaded.plan.is_none(), loaded.diagnostics.iter().any(|d| d.severity == Severity::Error));
        for diagnostic in &loaded.diagnostics {
            prop_assert!(text.get(diagnostic.span.clone().unwrap_or(0..0)).is_some(), "{:?} in {:?}", diagnostic, text);
        }
        // A plan is what the engine takes for granted.
        if let Some(plan) = loaded.plan {
            let mut names: Vec<_> = plan.steps().map(|step| step.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            prop_assert_eq!(names.len(), plan.steps().count());
            let targets = plan.states.iter().flat_map(|state| &state.transitions).map(|transition| transition.target);
            prop_assert!(targets.chain([plan.initial]).all(|target| target < plan.states.len()));
            prop_assert!(plan.states.iter().all(|state| !state.steps.is_empty()));
        }
        requirements(&source);
    }
}

#[test]
fn every_kind_loads() {
    let catalogue = catalogue();
    let loaded =
        load_with(&source(EVERY_KIND), &Loading { catalogue: &catalogue, workflows: &deploy(), pipeline: None });
    assert!(loaded.diagnostics.iter().all(|d| d.severity == Severity::Warning), "{:?}", loaded.diagnostics);
    assert_eq!(loaded.plan.expect("a plan").states.len(), 8);
}

#[test]
#[ignore = "a measurement: cargo test --release -p windlass-manifest -- --ignored"]
fn ten_thousand_parallel_steps_lint_in_time() {
    let (text, catalogue) = (source(&parallel(MAX_STEPS)), catalogue());
    let begin = std::time::Instant::now();
    assert!(load(&text, &catalogue).plan.is_some());
    println!("{:?}", begin.elapsed());
    assert!(begin.elapsed() < std::time::Duration::from_millis(300));
}
