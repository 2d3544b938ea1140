//! Templates and conditions while a run goes on.

use crate::plan;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use windlass_contract::CodedError;
use windlass_manifest::template::{
    Context, RunContext, Status, StepContext, evaluate_condition, mentions_status, render_config, render_env,
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
    }
}

/// Renders `text` as the text of a step that comes after `unit-tests`; a fault as its code and message.
fn rendered(text: &str, strict: bool) -> Result<(Value, usize), String> {
    let (mut plan, _) =
        plan("name: x\nsteps: [{ name: a, type: 'acme:slack/step.notify', config: { text: \"{{ 'x' }}\" } }]");
    plan.strict = strict;
    let mut step = plan.states[0].steps[0].clone();
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
        let given =
            render_config(&plan.states[0].steps[0], &plan, &context).map(|(config, _)| config["memory_mib"].clone());
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
    let (config, _) = render_config(&plan.states[0].steps[0], &plan, &context).expect("a configuration");
    assert_eq!(config, json!({ "image": "i:v2", "commands": ["c"], "env": { "V": "v2", "T": "secret:a/b" } }));
}
