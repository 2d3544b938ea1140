//! Expressions: read, checked, evaluated and explained. What was checked with every type known does not fail for a type.

use crate::texts;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::OnceLock};
use windlass_manifest::{
    fuzzing::{check_expression, is_syntax, is_type, type_name},
    plan::{InputDecl, InputType, Plan, State},
    template::{
        Context, MAX_EXPLAINED_CHARS, Status, StepContext, evaluate_condition, evaluate_expression, explain,
        mentions_status, render_value,
    },
};

/// A plan of nothing: what renders wants one for its `strict`.
pub(crate) fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| Plan {
        name: "fuzz".to_owned(),
        inputs: BTreeMap::new(),
        open_inputs: false,
        env: BTreeMap::new(),
        blackboard: Map::new(),
        volumes: BTreeMap::new(),
        states: vec![State::of("main", Vec::new())],
        initial: 0,
        max_transitions: 1,
        concurrency: None,
        workflows: BTreeMap::new(),
        strict: false,
    })
}

/// What every kind of path can read; `text` is the only value that somebody else chose.
pub(crate) fn context(text: &str) -> Context {
    let outputs = json!({ "stdout": text, "code": 3, "list": [text, "b", 1], "object": { "a": text }, "none": null });
    let outputs = outputs.as_object().cloned().unwrap_or_default();
    let state = json!({ "status": "succeeded", "output": { "stdout": text, "score": 0.5 } });
    Context {
        inputs: [("v".to_owned(), json!(text)), ("n".to_owned(), json!(-1.5)), ("b".to_owned(), json!(true))]
            .into_iter()
            .collect(),
        env: BTreeMap::from([("E".to_owned(), text.to_owned())]),
        steps: BTreeMap::from([("build".to_owned(), StepContext { outcome: "succeeded".to_owned(), outputs })]),
        states: Map::from_iter([("BUILD".to_owned(), state)]),
        blackboard: Map::from_iter([("kept".to_owned(), json!([text]))]),
        feedback: Some(text.to_owned()),
        ..Context::default()
    }
}

fn inputs() -> &'static BTreeMap<String, InputDecl> {
    static INPUTS: OnceLock<BTreeMap<String, InputDecl>> = OnceLock::new();
    INPUTS.get_or_init(|| {
        let input = |name: &str, kind| {
            let decl = InputDecl { kind, required: true, default: None, description: String::new() };
            (name.to_owned(), decl)
        };
        BTreeMap::from([input("v", InputType::String), input("n", InputType::Number), input("b", InputType::Boolean)])
    })
}

/// An expression, and a text that it can read.
pub(crate) fn expressions(input: &[u8]) {
    let Some([text, value]) = texts(input) else { return };
    let context = context(value);
    for (all_needs_ok, any_failed, cancelled) in [(true, false, false), (false, true, false), (false, false, true)] {
        let _ = evaluate_condition(text, &context, Status { all_needs_ok, any_failed, cancelled });
    }
    let condition = evaluate_expression(text, &context);
    for (path, shown) in explain(text, &context) {
        let short = shown.as_str().is_none_or(|shown| shown.chars().count() <= MAX_EXPLAINED_CHARS + 1);
        assert!(short && !path.is_empty(), "{path} is explained at length");
    }
    let env = BTreeMap::from([("E".to_owned(), String::new())]);
    let Some(checked) = check_expression(text, inputs(), &env) else {
        assert!(condition.is_err(), "what cannot be parsed has no value");
        assert!(!mentions_status(text));
        return;
    };
    for fault in &checked.faults {
        assert!(text.get(fault.clone()).is_some(), "{fault:?} is no part of {text:?}");
    }
    let value = match render_value(&format!("{{{{ {text} }}}}"), plan(), &context, "here") {
        Ok(value) => value,
        Err(error) => {
            assert!(!is_syntax(error.code), "{text:?} can be read as a condition and not in a template: {error}");
            assert!(!(checked.certain && is_type(error.code)), "{text:?} was checked: {error}");
            return;
        }
    };
    if let (true, Some(kind)) = (checked.certain, checked.kind) {
        assert_eq!(type_name(&value), kind, "{text:?} gave {value}");
    }
    match (&value, condition) {
        (Value::Bool(flag), given) => assert_eq!(given.ok(), Some(*flag), "{text:?}"),
        (_, given) => assert!(given.is_err(), "{text:?} is no boolean and was taken for one"),
    }
}
