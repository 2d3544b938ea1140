//! Input made to do harm.

use crate::{catalogue, plan, source, work};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use windlass_contract::CodedError;
use windlass_manifest::{
    Diagnostic, Loading, MAX_DEPTH, MAX_DIAGNOSTICS, MAX_EXPRESSION_BYTES, MAX_FILE_BYTES, MAX_STEPS, Workflows, load,
    load_with,
    plan::{Plan, Work},
    render,
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

/// What makes YAML dangerous, in a file of each dialect: nothing of it is expanded, resolved or kept, and each is refused in its words.
#[test]
fn bombs_are_refused_in_every_dialect() {
    let laughs = (1..=8).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]".to_owned(), |text, depth| {
        format!("{text}, a{depth}: &a{depth} [{}]", vec![format!("*a{}", depth - 1); 9].join(", "))
    });
    let text = "x".repeat(600_000);
    let repeated = ["*t"; 8].join(", ");
    let keys: String = (0..2 * MAX_DIAGNOSTICS).fold(String::new(), |text, key| text + &format!("k{key}: 1\n"));
    // Each is the value of an additional key of the file, in the flow style that is the same in each dialect.
    let bombs = [
        ("aliases that multiply", format!("{{ {laughs} }}"), "WL0002", "aliases"),
        ("a text that aliases multiply", format!("{{ t: &t {text}, all: [{repeated}] }}"), "WL0002", "aliases"),
        ("an alias to what it stands in", "&a [*a]".to_owned(), "WL0001", ""),
        ("an alias to nothing", "[*nobody]".to_owned(), "WL0001", ""),
        ("lists in lists", "[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1), "WL0001", ""),
        ("mappings in mappings", "{ a: ".repeat(MAX_DEPTH + 1) + "1" + &" }".repeat(MAX_DEPTH + 1), "WL0002", "deep"),
        ("half a million brackets", "[".repeat(500_000), "WL0001", ""),
        ("a scalar larger than a file", "y".repeat(MAX_FILE_BYTES), "WL0002", "bytes"),
        ("a merge key", "{ base: &b { x: 1 }, all: { <<: *b } }".to_owned(), "WL0006", "merge keys"),
        ("a key twice", "{ a: 1, a: 2 }".to_owned(), "WL0004", "`a` stands here twice"),
        ("a key that is a list", "{ [a]: 1 }".to_owned(), "WL0006", "a key must be text"),
        ("a tag", "!!python/object:os.system x".to_owned(), "WL0005", "tags"),
        ("a second document", "1\n---\nx: 1".to_owned(), "WL0003", "second document"),
        ("many unknown keys", format!("1\n{keys}"), "WL0010", "`k0`"),
    ];
    let dialects = [
        ("native", "name: x\nsteps: [{ name: a, type: step.gate }]\nbomb: "),
        ("config", "pipelines: { p: { steps: [{ name: a, type: step.gate }] } }\nbomb: "),
        (
            "states",
            "apiVersion: 100monkeys.ai/v1\nkind: Workflow\nmetadata: { name: x }\nspec: { initial_state: A, states: { A: { kind: System, command: c, transitions: [] } } }\nbomb: ",
        ),
    ];
    let mut table = String::new();
    for (dialect, before) in dialects {
        assert!(load(&source(before.trim_end_matches("bomb: ")), &catalogue()).plan.is_some(), "{dialect} is sound");
        for (what, bomb, code, word) in &bombs {
            let began = std::time::Instant::now();
            let loaded = load(&source(&format!("{before}{bomb}\n")), &catalogue());
            assert_eq!(loaded.plan, None, "{dialect}: {what}");
            let is_it = |d: &Diagnostic| d.code.to_string() == *code && d.message.contains(word);
            if !loaded.diagnostics.iter().any(is_it) || loaded.diagnostics.len() > MAX_DIAGNOSTICS + 1 {
                let _ = writeln!(
                    table,
                    "{dialect}: {what}:\n{}",
                    crate::said(&loaded.diagnostics[..2.min(loaded.diagnostics.len())])
                );
            }
            assert!(began.elapsed().as_secs() < 5, "{dialect}: {what} takes {:?}", began.elapsed());
        }
    }
    assert!(table.is_empty(), "{table}");
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
    let error = render_config(work(&plan.states[0].steps[0]), &plan, &Context { inputs, ..Context::default() })
        .expect_err("too much");
    assert_eq!(error.code().to_string(), "WL0107");

    let (mut plan, _) =
        crate::plan("name: x\nsteps: [{ name: a, type: 'acme:slack/step.notify', config: { text: \"{{ 'x' }}\" } }]");
    let Work::Plugin(asked) = &mut plan.states[0].steps[0].work else { panic!("a step of a plugin") };
    asked.config["text"] = json!("{{ inputs.a }}".repeat(70));
    let inputs: Map<String, Value> = [("a".to_owned(), json!("a".repeat(64 * 1024)))].into_iter().collect();
    let error = render_config(work(&plan.states[0].steps[0]), &plan, &Context { inputs, ..Context::default() })
        .expect_err("too long");
    assert!(error.message.contains("longer than 4194304 bytes"), "{error}");
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
        let (config, _) = render_config(work(&plan.states[0].steps[0]), &plan, &Context { inputs, ..Context::default() }).expect("text");
        prop_assert_eq!(&config["text"], &json!(format!("<{value}>{value}")));
    }
}

/// A mapping of some of these keys.
fn some_of(pairs: Vec<(&'static str, Value)>, most: usize) -> impl Strategy<Value = Map<String, Value>> {
    let all = pairs.len().min(most);
    proptest::sample::subsequence(pairs, 0..=all)
        .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// What may stand in a gate's or a sub-run's configuration, and some of what may not.
fn engine_config() -> impl Strategy<Value = Map<String, Value>> {
    some_of(
        vec![
            ("type", json!("manual")),
            ("type", json!("automated")),
            ("type", json!("scheduled")),
            ("prompt", json!("{{ .A }} {{ steps.s0.outputs.x }}")),
            ("approvers", json!(["ann", "bob"])),
            ("approvers", json!([])),
            ("quorum", json!(2)),
            ("quorum", json!(3)),
            ("self_approval", json!(true)),
            ("conditions", json!(["true", ".A == 'x'"])),
            ("auto_approve_conditions", json!(["s0.passed"])),
            ("on_timeout", json!("approve")),
            ("timeout", json!("1h")),
            ("schedule", json!({ "weekdays": ["Mon"], "start_hour": 22, "end_hour": 6, "timezone": "UTC" })),
            ("schedule", json!({ "start_hour": 6, "end_hour": 6 })),
            ("windows", json!([{}, { "end_hour": 12 }])),
            ("workflow", json!("w")),
            ("wait", json!(false)),
            ("inputs", json!({ "a": "{{ .A }}", "b": [1, { "c": null }] })),
            ("key", json!(1)),
        ],
        4,
    )
}

/// Keys of a step in the config dialect and in our own.
fn step_keys() -> impl Strategy<Value = Map<String, Value>> {
    some_of(
        vec![
            ("if", json!("{{ .A }}")),
            ("if", json!("inputs.A == 'x'")),
            ("skip_if", json!("steps.s0.outputs.x == 1")),
            ("skip_if", json!(true)),
            ("on_error", json!("skip")),
            ("on_error", json!("compensate")),
            ("on_failure", json!("continue")),
            ("timeout", json!("5m")),
            ("timeout", json!(5)),
            ("retry", json!({ "max_attempts": 2, "backoff": "1s", "jitter": true })),
            ("needs", json!([])),
            ("needs", json!(["s0"])),
            ("error_status", json!(500)),
        ],
        3,
    )
}

/// Mostly sound steps, so that many of the files load; what stands in them by chance is for those that do not.
fn steps(prefix: &'static str, sound_keys: Vec<(&'static str, Value)>) -> impl Strategy<Value = Value> {
    let sound = proptest::sample::select(vec![
        (
            "step.gate",
            json!({ "prompt": "{{ inputs.A }}", "approvers": ["ann", "bob"], "quorum": 2, "on_timeout": "approve" }),
        ),
        ("step.gate", json!({ "auto_approve_conditions": ["inputs.A == 'x'"], "self_approval": true })),
        ("step.gate", json!({ "type": "automated", "conditions": ["inputs.A == 'x'", "true"] })),
        ("step.gate", json!({ "type": "scheduled", "windows": [{ "weekdays": ["SUN"], "start_hour": 5 }, {}] })),
        ("step.workflow", json!({ "workflow": "w", "inputs": { "a": "{{ inputs.A }}" } })),
        ("step.artifact_pull", json!({ "key": "{{ .A }}" })),
    ]);
    let types = proptest::sample::select(vec!["step.gate", "step.workflow", "step.none"]);
    let step = prop_oneof![
        12 => (sound, some_of(sound_keys, 2)).prop_map(|((kind, config), keys)| (kind, config, keys)),
        1 => (types, engine_config(), step_keys()).prop_map(|(kind, config, keys)| (kind, Value::Object(config), keys)),
    ];
    proptest::collection::vec(step, 1..4).prop_map(move |steps| {
        let named = |(at, (kind, config, keys)): (usize, (&str, Value, Map<String, Value>))| {
            let mut step = json!({ "name": format!("{prefix}{at}"), "type": kind, "config": config });
            step.as_object_mut().expect("an object").extend(keys);
            step
        };
        steps.into_iter().enumerate().map(named).collect()
    })
}

fn files() -> impl Strategy<Value = Value> {
    let pipeline = some_of(
        vec![
            ("on_error", json!("skip")),
            ("on_error", json!("compensate")),
            ("timeout", json!("1h")),
            ("trigger", json!({ "type": "webhook", "config": { "path": "/x" } })),
            ("trigger", json!({ "type": "cron", "config": { "cron": "x" } })),
            ("env", json!({ "E": "{{ .A }}" })),
            ("inputs", json!({ "n": { "type": "number", "default": 1 } })),
            ("outputs", json!({})),
            ("strict_templates", json!(true)),
            ("nonsense", json!(1)),
        ],
        3,
    );
    let root =
        some_of(vec![("modules", json!([])), ("imports", json!([])), ("plugins", json!({})), ("steps", json!([]))], 1);
    let keys = || {
        vec![
            ("if", json!("{{ .A }}")),
            ("skip_if", json!("inputs.A == 'x'")),
            ("skip_if", json!(false)),
            ("on_error", json!("skip")),
        ]
    };
    let config = (pipeline, root, steps("s", keys()), steps("u", keys()[..3].to_vec())).prop_map(
        |(mut pipeline, mut root, steps, undo)| {
            pipeline.insert("steps".to_owned(), steps);
            if pipeline.get("on_error") == Some(&json!("compensate")) {
                pipeline.insert("compensation".to_owned(), undo);
            }
            root.insert("pipelines".to_owned(), json!({ "p": pipeline }));
            Value::Object(root)
        },
    );
    let root = some_of(
        vec![
            ("concurrency", json!("g-{{ inputs.A }}")),
            ("concurrency", json!({ "group": "g", "limit": 0 })),
            ("volumes", json!({ "cache": null, "tmp": { "persistent": true } })),
            ("workspace", json!({ "persistent": true })),
            ("strict", json!(true)),
        ],
        2,
    );
    let keys = vec![("if", json!("inputs.A == 'x'")), ("needs", json!([])), ("on_failure", json!("continue"))];
    let native = (root, steps("s", keys)).prop_map(|(mut root, steps)| {
        root.insert("name".to_owned(), json!("x"));
        root.insert("inputs".to_owned(), json!({ "A": { "type": "string" } }));
        root.insert("steps".to_owned(), steps);
        Value::Object(root)
    });
    prop_oneof![config, native]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// A file is a plan or has an error; a plan survives being stored, and what loads is what the editor's schema takes.
    #[test]
    fn every_file_is_a_plan_or_is_refused(file in files()) {
        let text = file.to_string();
        let mut workflows = Workflows::default();
        workflows.insert("w", source("name: w\ninputs: { a: { type: string } }\nsteps: [{ name: a, type: step.gate }]"));
        let catalogue = catalogue();
        let source = source(&text);
        let loaded = load_with(&source, &Loading { catalogue: &catalogue, workflows: &workflows, pipeline: None });
        let has_error = loaded.diagnostics.iter().any(|d| d.severity == windlass_manifest::Severity::Error);
        prop_assert_eq!(loaded.plan.is_none(), has_error);
        for diagnostic in &loaded.diagnostics {
            let span = diagnostic.span.clone().unwrap_or(0..0);
            prop_assert!(text.get(span).is_some(), "{:?} in {}", diagnostic, text);
        }
        if let Some(plan) = loaded.plan {
            prop_assert_eq!(crate::editor::refuses(&text), None, "{}", text);
            let stored = serde_json::to_string(&plan).expect("a plan as JSON");
            prop_assert_eq!(serde_json::from_str::<Plan>(&stored).expect("the same plan"), plan);
        }
    }
}
