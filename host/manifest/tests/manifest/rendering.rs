//! Templates and conditions while a run goes on.

use crate::{plan, work};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use windlass_contract::CodedError;
use windlass_manifest::template::{
    Context, MAX_EXPLAINED_CHARS, RunContext, Status, StepContext, evaluate_condition, evaluate_expression, explain,
    mentions_status, render_config, render_env, render_text, render_value,
};

const OK: Status = Status { all_needs_ok: true, any_failed: false, cancelled: false };

fn map(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn context() -> Context {
    let outputs = json!({ "stdout": "first\nsecond", "exit_code": 0, "files": ["a", "b"], "odd-name": { "0": "zero" }, "none": null });
    Context {
        inputs: map(
            json!({ "version": "1.2", "count": 3, "go": true, "html": "<a & 'b'>", "again": "{{ inputs.version }}" }),
        ),
        env: BTreeMap::from([("CI".to_owned(), "true".to_owned())]),
        run: RunContext { id: "r1".to_owned(), previous: Some("r0".to_owned()) },
        steps: BTreeMap::from([(
            "unit-tests".to_owned(),
            StepContext { outcome: "succeeded".to_owned(), outputs: map(outputs) },
        )]),
        ..Context::default()
    }
}

/// Renders `text` as the text of a step that comes after `unit-tests`; a fault as its code and message.
fn rendered(text: &str, strict: bool) -> Result<(Value, usize), String> {
    let (mut plan, _) =
        plan("name: x\nsteps: [{ name: a, type: 'acme:slack/step.notify', config: { text: \"{{ 'x' }}\" } }]");
    plan.strict = strict;
    let mut step = work(&plan.states[0].steps[0]).clone();
    step.config["text"] = Value::from(text);
    render_config(&step, &plan, &context())
        .map(|(config, warnings)| (config["text"].clone(), warnings.len()))
        .map_err(|error| format!("{} {}", error.code(), error.message))
}

#[test]
fn templates() {
    let check = |text: &str, expect: &str| assert_eq!(rendered(text, true), Ok((json!(expect), 0)), "{text}");
    check("plain", "plain");
    check("v{{ inputs.version }}!", "v1.2!");
    check("{{.Version}} {{ .VERSION }} {{ input.version }} {{workflow.version}}", "1.2 1.2 1.2 1.2");
    check(
        "{{ .Env.CI }} {{ env.CI }} {{ .PreviousExecutionID }} {{ run.previous }} {{ run.id }}",
        "true true r0 r0 r1",
    );
    check("{{ steps.unit-tests.outputs.exit_code }} {{ .steps.unit-tests.output.stdout | first_line }}", "0 first");
    check("{{ steps.unit-tests.outcome | upper }} {{ steps['unit-tests'].outputs.files[1] }}", "SUCCEEDED b");
    check("{{ steps.unit-tests.outputs.odd-name.0 }} {{ steps.unit-tests.outputs.files.0 }}", "zero a");
    check("{{ inputs.html }}", "<a & 'b'>");
    check("{{ inputs.again }}", "{{ inputs.version }}");
    check("{{ '{{' }} {{ \"it's\" }} {{ 'a\\'b\\n' | trim }}", "{{ it's a'b");
    check(
        "{{ steps.unit-tests.outputs.files | join(' + ') }} {{ inputs.version | split('.') | json }}",
        "a + b [\"1\",\"2\"]",
    );
    check(
        "{{ steps.unit-tests.outputs.odd-name | keys | join }} {{ 'äb' | length }} {{ steps.unit-tests.outputs.files | length }}",
        "0 2 2",
    );
    check("{{ inputs.missing | default('d') }}{{ steps.gone.outputs.x | lower | default(inputs.version) }}", "d1.2");
    check("{{ inputs.count }} {{ inputs.go }} {{ inputs.count > 2 }}", "3 true true");
    check("${#array[@]} {# kept #} { % }", "${#array[@]} {# kept #} { % }");
}

#[test]
fn a_missing_value_is_empty_text_with_a_warning_or_an_error() {
    for text in [
        "{{ inputs.nothing }}",
        "{{ steps.unit-tests.outputs.none | upper }}",
        "{{ .Nothing }}",
        "{{ steps.gone.outcome }}",
    ] {
        assert_eq!(rendered(text, false), Ok((json!(""), 1)), "{text}");
        assert!(rendered(text, true).is_err_and(|error| error.starts_with("WL0105")), "{text}");
    }
}

#[test]
fn what_cannot_be_rendered() {
    let check = |text: &str, expect: &str| assert_eq!(rendered(text, false), Err(expect.to_owned()), "{text}");
    check("{{ steps.unit-tests.outputs.files }}", "WL0106 a list is no text");
    check("{{ steps.unit-tests.outputs }}", "WL0106 an object is no text");
    check("{{ inputs.count | upper }}", "WL0104 `upper` wants text, and this is a number");
    check("{{ inputs.version == 1 }}", "WL0104 text is compared with a number");
    check("{{ inputs.version | split('') }}", "WL0104 `split` wants a separator that is not empty");
    check("{{ success() }}", "WL0101 `success()` is known in `if` only");
    check("secret:{{ 'cloud/root' }}", "WL0108 a rendered value begins with `secret:`");
    check("{{ 'secret:cloud/root' }}", "WL0108 a rendered value begins with `secret:`");
}

#[test]
fn conditions() {
    let check = |text: &str, expect: bool| assert_eq!(evaluate_condition(text, &context(), OK), Ok(expect), "{text}");
    check("inputs.version == '1.2'", true);
    check("inputs.version != '' and inputs.count >= 3", true);
    check("inputs.go && !(inputs.count < 3) || false", true);
    check("inputs.nothing == null", true);
    check("inputs.nothing != ''", true);
    check("steps.unit-tests.outputs.exit_code == 0", true);
    check("contains(steps.unit-tests.outputs.files, 'a') and contains(inputs.version, '.')", true);
    check("startsWith(inputs.version, '1.') and endsWith(inputs.version, '.3')", false);
    check("inputs.count == 3.0 and 9007199254740993 != 9007199254740992", true);
    check("'a' < 'b' and not false", true);
    check("inputs.version | length == 3", true);
    check("false and inputs.version", false);

    let fails = |text: &str, expect: &str| {
        let error = evaluate_condition(text, &context(), OK).expect_err(text);
        assert_eq!((error.code().to_string().as_str(), error.place.as_str()), (expect, "if"), "{error}");
    };
    fails("inputs.version", "WL0104");
    fails("inputs.version == 1.2", "WL0104");
    fails("inputs.nothing and true", "WL0104");
    fails("inputs.go < true", "WL0104");
    fails("inputs.nothing < 1", "WL0104");
    fails("1 == 1 == true", "WL0100");
    fails("'open", "WL0100");
    fails("", "WL0100");
}

#[test]
fn a_condition_is_joined_to_success_unless_it_asks_for_the_status() {
    let failed = Status { all_needs_ok: false, any_failed: true, cancelled: false };
    let cancelled = Status { all_needs_ok: true, any_failed: true, cancelled: true };
    let check = |text: &str, expect: [bool; 3]| {
        let given = [OK, failed, cancelled].map(|status| evaluate_condition(text, &context(), status));
        assert_eq!(given, expect.map(Ok), "{text}");
    };
    check("true", [true, false, false]);
    check("success()", [true, false, false]);
    check("failure()", [false, true, false]);
    check("cancelled()", [false, false, true]);
    check("always() and inputs.go", [true, true, true]);
    // What was not reached is not read, wrong type or not.
    assert_eq!(evaluate_condition("inputs.version", &context(), failed), Ok(false));
    assert_eq!(
        ["always()", "a | default(failure())", "'always()'", "(("].map(mentions_status),
        [true, true, false, false]
    );
}

#[test]
fn a_typed_value_stays_one() {
    let file = |value: &str| {
        format!(
            "name: x\ninputs: {{ n: {{ type: number, required: false }}, s: {{ type: string, default: x }} }}\nsteps: [{{ name: a, type: step.shell_exec, config: {{ image: i, commands: [c], memory_mib: \"{value}\" }} }}]"
        )
    };
    let check = |value: &str, n: Value, expect: Result<Value, &str>| {
        let (plan, _) = plan(&file(value));
        let context = Context { inputs: map(json!({ "n": n, "s": "x" })), ..Context::default() };
        let given = render_config(work(&plan.states[0].steps[0]), &plan, &context)
            .map(|(config, _)| config["memory_mib"].clone());
        assert_eq!(given.map_err(|error| error.message), expect.map_err(str::to_owned), "{value}");
    };
    check("{{ inputs.n }}", json!(64), Ok(json!(64)));
    check(" {{ inputs.n | default(32) }} ", Value::Null, Ok(json!(32)));
    check("{{ inputs.n }}", json!(1.5), Err("an integer is wanted, and this is a number"));
    check("{{ inputs.n }}", Value::Null, Err("`inputs.n` has no value, and an integer is wanted"));
    check("{{ inputs.s }}", Value::Null, Err("an integer is wanted, and this is text"));
}

#[test]
fn the_pipelines_env_is_rendered_without_its_secrets() {
    let (plan, _) = plan(
        "name: x\ninputs: { v: { type: string, default: '1' } }\nenv: { V: 'v{{ inputs.v }}', T: secret:a/b }\nsteps: [{ name: a, type: step.shell_exec, config: { image: \"i:{{ env.V }}\", commands: [c] } }]",
    );
    let mut context = Context { inputs: map(json!({ "v": "2" })), ..Context::default() };
    context.env = render_env(&plan, &context).expect("an environment").0;
    assert_eq!(context.env, BTreeMap::from([("V".to_owned(), "v2".to_owned())]));
    let (config, _) = render_config(work(&plan.states[0].steps[0]), &plan, &context).expect("a configuration");
    assert_eq!(config, json!({ "image": "i:v2", "commands": ["c"], "env": { "V": "v2", "T": "secret:a/b" } }));
}

/// As the engine has it when a state is entered for the second time.
fn in_a_workflow() -> Context {
    Context {
        inputs: map(json!({ "task": "count lines", "requirements": "fast", "BUILD": "an input" })),
        states: map(json!({
            "BUILD": { "exit_code": 101, "stderr": "error: `x`\n<b> & \"q\"", "stdout": "", "outcome": "failed" },
            "TEST": { "unit-tests": { "stdout": "ok", "exit_code": 0 }, "lint": { "stderr": "warn" } },
            "REVIEW": { "consensus": { "score": 0.8 }, "agents": [{ "output": "fine" }, { "output": { "score": 1 } }] },
            "CODE": { "output": { "files": ["a.rs"] }, "status": "completed" },
            "ASK": { "response": "yes" },
        })),
        blackboard: map(
            json!({ "registry": "r.example", "TEST": "put there", "nothing": null, "scan": { "passed": true } }),
        ),
        steps: BTreeMap::from([(
            "deploy".to_owned(),
            StepContext { outcome: "succeeded".to_owned(), outputs: map(json!({ "url": "u", "outcome": "own" })) },
        )]),
        feedback: Some("Build failed:\n{{ x }}".to_owned()),
        ..Context::default()
    }
}

fn empty_plan() -> windlass_manifest::plan::Plan {
    plan("name: x\nsteps: [{ name: a, type: 'acme:slack/step.notify' }]").0
}

#[test]
fn states_the_blackboard_and_feedback() {
    let (plan, context) = (empty_plan(), in_a_workflow());
    let check = |text: &str, expect: &str| {
        let rendered = render_text(text, &plan, &context, "feedback");
        assert_eq!(rendered, Ok((expect.to_owned(), Vec::new())), "{text}");
    };
    check("{{BUILD.output.exit_code}} {{ BUILD.exit_code }} {{ BUILD.outputs.exit_code }}", "101 101 101");
    check("{{BUILD.output.stderr}}", "error: `x`\n<b> & \"q\"");
    check("{{TEST.output.unit-tests.stdout}} {{ TEST.lint.stderr }} {{ TEST['unit-tests'].exit_code }}", "ok warn 0");
    check("{{REVIEW.consensus.score}} {{REVIEW.agents.0.output}} {{ REVIEW.agents[1].output.score }}", "0.8 fine 1");
    check(
        "{{ CODE.output.files.0 }} {{ CODE.output.status }} {{ CODE.status }} {{ CODE.output | json }}",
        "a.rs completed completed {\"files\":[\"a.rs\"]}",
    );
    check("{{ ASK.response }} {{ ASK.output.response }}", "yes yes");
    check("{{state.feedback}}", "Build failed:\n{{ x }}");
    check("{{ blackboard.registry }} {{ registry }} {{ blackboard.TEST }}", "r.example r.example put there");
    check(
        "{{ blackboard.ASK.response }} {{ blackboard.task }} {{ blackboard.requirements }} {{ requirements }}",
        "yes count lines fast fast",
    );
    check(
        "{{ workflow.task }} {{ input.task }} {{ inputs.task }} {{ inputs.BUILD }}",
        "count lines count lines count lines an input",
    );
    check("{{ deploy.url }} {{ deploy.outputs.url }} {{ deploy.output.url }} {{ deploy.outcome }}", "u u u succeeded");
    check("{{ BUILD.output | keys | length }} {{ BUILD.output.nothing | default('d') }}", "4 d");

    let warned = |text: &str, expect: usize| {
        let (rendered, warnings) = render_text(text, &plan, &context, "feedback").expect("text");
        assert_eq!((rendered.as_str(), warnings.len()), ("", expect), "{text}");
        let strict = windlass_manifest::plan::Plan { strict: true, ..plan.clone() };
        let error = render_text(text, &strict, &context, "feedback").expect_err(text);
        assert_eq!((error.code().to_string().as_str(), error.place.as_str()), ("WL0105", "feedback"));
    };
    warned("{{ GONE.output.stdout }}", 1);
    warned("{{ BUILD.output.stdout.deeper }}{{ TEST.output.fmt.stdout }}", 2);
    warned("{{ REVIEW.agents.9.output }}{{ blackboard.nothing }}{{ blackboard.gone }}", 3);

    let fails = |text: &str, expect: &str| {
        let error = render_text(text, &plan, &context, "prompt").expect_err(text);
        assert_eq!(format!("{} {}", error.code(), error.message), expect);
    };
    fails("{{ BUILD.output }}", "WL0106 an object is no text");
    fails("{{ REVIEW.agents }}", "WL0106 a list is no text");
    fails("{{ blackboard.scan }}", "WL0106 an object is no text");
    fails("secret:{{ registry }}", "WL0108 a rendered value begins with `secret:`");
}

#[test]
fn a_value_keeps_its_type_where_it_is_a_single_expression() {
    let (plan, context) = (empty_plan(), in_a_workflow());
    let check =
        |text: &str, expect: Value| assert_eq!(render_value(text, &plan, &context, "input"), Ok(expect), "{text}");
    check("{{ BUILD.exit_code }}", json!(101));
    check(" {{ blackboard.scan }} ", json!({ "passed": true }));
    check("{{ REVIEW.agents }}", json!([{ "output": "fine" }, { "output": { "score": 1 } }]));
    check("{{ BUILD.exit_code == 101 }}", json!(true));
    check("code {{ BUILD.exit_code }}", json!("code 101"));
    check("plain", json!("plain"));
    check("{{ gone }}", Value::Null);
    let strict = windlass_manifest::plan::Plan { strict: true, ..plan.clone() };
    assert_eq!(
        render_value("{{ gone }}", &strict, &context, "input").expect_err("missing").code().to_string(),
        "WL0105"
    );
    let hidden = Context { blackboard: map(json!({ "x": [{ "k": "secret:a/b" }] })), ..Context::default() };
    assert_eq!(render_value("{{ x }}", &plan, &hidden, "input").expect_err("a secret").code().to_string(), "WL0108");
}

#[test]
fn expressions_of_transitions_and_gates() {
    let context = in_a_workflow();
    let check = |text: &str, expect: bool| assert_eq!(evaluate_expression(text, &context), Ok(expect), "{text}");
    check("scan.passed == true", true);
    check("BUILD.output.exit_code != 0 and REVIEW.consensus.score >= 0.8", true);
    check("gone.passed == true", false);
    check("contains(BUILD.output.stderr, 'error') && ASK.response == 'no'", false);
    let fails = |text: &str, expect: &str| {
        assert_eq!(evaluate_expression(text, &context).expect_err(text).code().to_string(), expect);
    };
    fails("success()", "WL0101");
    fails("BUILD.output.exit_code", "WL0104");
    fails("BUILD.output.exit_code == '101'", "WL0104");
    fails("{{ BUILD }}", "WL0100");
}

#[test]
fn an_expression_is_explained_by_its_values() {
    let context = in_a_workflow();
    let check = |text: &str, expect: Value| {
        let found: Vec<Value> = explain(text, &context).into_iter().map(|(path, value)| json!([path, value])).collect();
        assert_eq!(Value::Array(found), expect, "{text}");
    };
    check(
        "success() and BUILD.output.exit_code == 0 or (.Task == 'x' and BUILD.output.exit_code < 3) and gone.x | default(registry) == ''",
        json!([["BUILD.output.exit_code", 101], [".Task", "count lines"], ["gone.x", null], ["registry", "r.example"]]),
    );
    check("scan.passed and blackboard.scan", json!([["scan.passed", true], ["blackboard.scan", { "passed": true }]]));
    check("'x' == 1", json!([]));
    check("((", json!([]));
    let long = Context {
        blackboard: map(json!({ "text": "é".repeat(1000), "list": vec!["x"; 1000] })),
        ..Context::default()
    };
    let found = explain("text == '' and list == null", &long);
    assert_eq!(found[0].1.as_str().map(|text| text.chars().count()), Some(MAX_EXPLAINED_CHARS + 1));
    assert_eq!(found[1].1, json!("a list of 2001 bytes"));
}

#[test]
fn both_streams_of_a_step_fit_into_a_text() {
    let stream = "x".repeat(1024 * 1024);
    let context =
        Context { states: map(json!({ "BUILD": { "stdout": stream, "stderr": stream } })), ..Context::default() };
    let (text, _) = render_text(
        "out:\n{{ BUILD.output.stdout }}\nerr:\n{{ BUILD.output.stderr }}\n",
        &empty_plan(),
        &context,
        "feedback",
    )
    .expect("both streams");
    assert_eq!(text.len(), 2 * stream.len() + 12);
    let error =
        render_text(&"{{ BUILD.stdout }}".repeat(5), &empty_plan(), &context, "feedback").expect_err("too long");
    assert!(error.message.contains("longer than 4194304 bytes"), "{error}");
}
