//! Input made to do harm.

use crate::{catalogue, plan, source};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use windlass_contract::CodedError;
use windlass_manifest::{
    MAX_DEPTH, MAX_DIAGNOSTICS, MAX_EXPRESSION_BYTES, MAX_FILE_BYTES, MAX_STEPS, load, render,
    template::{Context, Status, evaluate_condition, render_config},
    to_github, to_json, to_sarif,
};

const OK: Status = Status { all_needs_ok: true, any_failed: false, cancelled: false };

fn first_code(text: &str) -> String {
    let loaded = load(&source(text), &catalogue());
    assert_eq!(loaded.plan, None);
    loaded.diagnostics[0].code.to_string()
}

#[test]
fn limits_of_a_file() {
    assert_eq!(first_code(&"#".repeat(MAX_FILE_BYTES + 1)), "WL0002");
    assert_eq!(first_code(&format!("name: {}x{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1))), "WL0001");
    let blocks: String = (0..MAX_DEPTH + 2).fold(String::new(), |text, depth| text + &" ".repeat(depth) + "a:\n");
    assert!(["WL0001", "WL0002"].contains(&first_code(&blocks).as_str()));
    // Aliases cannot nest deeper than what is written.
    let mut nested = "a0: &a0 [x]\n".to_owned();
    for depth in 1..=MAX_DEPTH {
        let _ = writeln!(nested, "a{depth}: &a{depth} [*a{}]", depth - 1);
    }
    assert_eq!(first_code(&nested), "WL0002");
}

fn chain(steps: usize) -> String {
    let mut text = "name: x\nsteps:\n".to_owned();
    for step in 0..steps {
        let _ = writeln!(text, "- {{name: s{step}, type: step.artifact_pull, config: {{key: k}}}}");
    }
    text
}

#[test]
fn ten_thousand_steps_in_a_row_are_a_plan_and_one_more_are_none() {
    let (plan, diagnostics) = plan(&chain(MAX_STEPS));
    assert_eq!((plan.states[0].steps.len(), diagnostics.len()), (MAX_STEPS, 0));
    assert_eq!(plan.states[0].steps[MAX_STEPS - 1].needs[0].as_str(), format!("s{}", MAX_STEPS - 2));
    let far = chain(MAX_STEPS - 1).replace(
        "s9998, type: step.artifact_pull, config: {key: k}",
        "s9998, type: step.artifact_pull, config: {key: '{{ steps.s0.outcome }}'}",
    );
    assert!(load(&source(&far), &catalogue()).plan.is_some(), "the first step has ended before the last");
    assert_eq!(first_code(&chain(MAX_STEPS + 1)), "WL0002");
}

#[test]
fn ten_thousand_mistakes_are_told_of_up_to_a_limit() {
    let broken = chain(MAX_STEPS).replace("step.artifact_pull", "step.artifact_pul").replace("config", "confi");
    let loaded = load(&source(&broken), &catalogue());
    assert_eq!(loaded.diagnostics.len(), MAX_DIAGNOSTICS + 1);
    assert!(loaded.diagnostics[MAX_DIAGNOSTICS].message.starts_with("19000 more problems"));
}

#[test]
fn an_env_is_not_multiplied_into_gigabytes() {
    let mut text = format!("name: x\nenv: {{ A: '{}' }}\nsteps:\n", "a".repeat(500_000));
    for step in 0..3_000 {
        let _ = writeln!(text, "- {{name: s{step}, type: step.shell_exec, config: {{image: i, commands: [c]}}}}");
    }
    let loaded = load(&source(&text), &catalogue());
    let found: Vec<_> = loaded.diagnostics.iter().map(|d| (d.code.to_string(), d.line)).collect();
    assert_eq!(found, [("WL0002".to_owned(), 2)]);
}

#[test]
fn expressions_are_bounded() {
    let check = |text: &str| {
        let error = evaluate_condition(text, &Context::default(), OK).expect_err("too much");
        assert_eq!(error.code().to_string(), "WL0107", "{}", error.message);
    };
    check(&"(".repeat(MAX_EXPRESSION_BYTES));
    check(&"!".repeat(MAX_EXPRESSION_BYTES));
    check(&"x".repeat(MAX_EXPRESSION_BYTES + 1));
    check(&"true and ".repeat(200));
    check(&format!("'a'{}", "|trim".repeat(500)));
    check(&"contains(".repeat(100));
}

#[test]
fn rendering_is_paid_for() {
    let (plan, _) = plan(
        "name: x\ninputs: { a: { type: string, default: '' } }\nsteps: [{ name: a, type: 'acme:slack/step.notify', config: { text: \"{{ inputs.a | split('a') | join(inputs.a) }}\" } }]",
    );
    let inputs: Map<String, Value> = [("a".to_owned(), json!("a".repeat(64 * 1024)))].into_iter().collect();
    let error = render_config(&plan.states[0].steps[0], &plan, &Context { inputs, ..Context::default() })
        .expect_err("too much");
    assert_eq!(error.code().to_string(), "WL0107");

    let (mut plan, _) =
        crate::plan("name: x\nsteps: [{ name: a, type: 'acme:slack/step.notify', config: { text: \"{{ 'x' }}\" } }]");
    plan.states[0].steps[0].config["text"] = json!("{{ inputs.a }}".repeat(20));
    let inputs: Map<String, Value> = [("a".to_owned(), json!("a".repeat(64 * 1024)))].into_iter().collect();
    let error = render_config(&plan.states[0].steps[0], &plan, &Context { inputs, ..Context::default() })
        .expect_err("too long");
    assert!(error.message.contains("longer than 1048576 bytes"), "{error}");
}

#[test]
fn a_pattern_of_a_plugin_cannot_hold_the_loader() {
    let mut steps = crate::installed();
    steps[2].step.config_schema = json!({ "properties": { "text": { "pattern": "^(a+)+$" } } });
    let text = format!(
        "name: x\nsteps: [{{ name: a, type: 'acme:slack/step.notify', config: {{ text: '{}b' }} }}]",
        "a".repeat(50_000)
    );
    let loaded = load(&source(&text), &windlass_manifest::Catalogue::new(steps));
    assert_eq!(loaded.diagnostics[0].code.to_string(), "WL0025");
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let mut steps = crate::installed();
    steps[2].step.config_schema = json!({
        "properties": { "text": { "$ref": "#/$defs/node" } },
        "$defs": { "node": { "anyOf": [{ "type": "string", "x-windlass-template": "never" }, { "$ref": "#/$defs/list" }] },
            "list": { "type": "array", "items": { "$ref": "#/$defs/node" } } },
    });
    let catalogue = windlass_manifest::Catalogue::new(steps);
    let file = |text: &str| {
        source(&format!("name: x\nsteps: [{{ name: a, type: 'acme:slack/step.notify', config: {{ text: {text} }} }}]"))
    };
    assert!(load(&file("[[a], [[b]]]"), &catalogue).plan.is_some());
    let loaded = load(&file("[[a], [[\"{{ run.id }}\"]]]"), &catalogue);
    assert_eq!(loaded.diagnostics[0].code.to_string(), "WL0103");
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in r#"(name: x\n|steps:\n|  - name: [a-c]\n|    type: step.shell_exec\n|    needs: \[[a-c]\]\n|    if: [a-z.()=!'|]{0,9}\n|    config: \{ ?|image: "?\{\{ [a-z.|('-]{0,12} ?\}\}"?|, |\}|\n|&a |\*a|!t |"|'|[\[\]{}:#|>-]| |\t|\PC|0[0-9]|é){0,40}"#) {
        let source = source(&text);
        let loaded = load(&source, &catalogue());
        prop_assert_eq!(loaded.plan.is_none(), loaded.diagnostics.iter().any(|d| d.severity == windlass_manifest::Severity::Error));
        for diagnostic in &loaded.diagnostics {
            let span = diagnostic.span.clone().unwrap_or(0..0);
            prop_assert!(text.get(span.clone()).is_some(), "{:?} in {:?}", diagnostic, text);
        }
        render(&loaded.diagnostics, &source, true);
        to_json(&loaded.diagnostics, &source);
        to_sarif(&loaded.diagnostics, &source);
        to_github(&loaded.diagnostics, &source);
    }

    #[test]
    fn no_expression_makes_the_evaluator_panic(text in r#"(inputs|\.|a|-|0|9|'|"|\\|\(|\)|\||==|<|and |or |not |!|null|true|success|length|split|join|\[|\]|,| |é){0,30}"#) {
        let _ = evaluate_condition(&text, &Context::default(), OK);
    }

    #[test]
    fn rendering_is_one_pass(value in r"[{}%'a-z. ]{0,30}") {
        prop_assume!(!value.starts_with("secret:"));
        let (plan, _) = plan("name: x\ninputs: { v: { type: string, default: '' } }\nsteps: [{ name: a, type: 'acme:slack/step.notify', config: { text: \"<{{ inputs.v }}>{{ inputs.v }}\" } }]");
        let inputs: Map<String, Value> = [("v".to_owned(), json!(value))].into_iter().collect();
        let (config, _) = render_config(&plan.states[0].steps[0], &plan, &Context { inputs, ..Context::default() }).expect("text");
        prop_assert_eq!(&config["text"], &json!(format!("<{value}>{value}")));
    }
}
