//! Sequences of templates.

use crate::installed;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use windlass_manifest::{
    Catalogue, InstalledStep,
    plan::{DEFAULT_TIMEOUT_MS, DEFAULT_WAIT_MS, Gate, OnFailure, Plan, Work},
    sequence::{Sequence, SequenceError, Template, check_sequence, check_template, to_plan},
    template::{Context, render_text},
};

fn agent(plugin: &str) -> InstalledStep {
    let schema = json!({ "type": "object", "required": ["agent", "input"], "properties": {
        "agent": { "type": "string" }, "input": { "type": "string" },
        "profile": { "type": "object", "required": ["model"], "additionalProperties": false, "properties": {
            "model": { "type": "string" }, "base_url": { "type": "string" }, "temperature": { "type": "number" },
            "max_tokens": { "type": "integer" },
        }},
    }});
    crate::step(plugin, "step.agent", schema, Value::Null)
}

fn catalogue() -> Catalogue {
    let others = installed().into_iter().filter(|installed| installed.step.name != "step.agent");
    Catalogue::new(others.chain([agent("windlass:agent")]).collect())
}

fn template(value: Value) -> Template {
    serde_json::from_value(value).expect("a template")
}

fn templates(list: &[Value]) -> BTreeMap<u64, Template> {
    list.iter().map(|value| template(value.clone())).map(|template| (template.id, template)).collect()
}

fn sequence(value: Value) -> Sequence {
    serde_json::from_value(value).expect("a sequence")
}

fn told(errors: &[SequenceError]) -> String {
    let line = |error: &SequenceError| {
        let help = error.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{} {error}{help}\n", error.code)
    };
    errors.iter().map(line).collect()
}

fn sound() -> BTreeMap<u64, Template> {
    templates(&[
        json!({ "id": 1, "name": "Run Tests!", "model": "opus", "prompt": "Run the tests", "parameters": { "temperature": 0.2, "max_tokens": 4000 } }),
        json!({ "id": 2, "name": "Look at it", "task_prompt": "Is {{ this }} well? {% x %}", "manual": true }),
        json!({ "id": 3, "name": "Größe", "task_prompt": "measure", "agent_role": "measurer", "timeout_seconds": 600, "tags": ["a"], "description": "d" }),
    ])
}

#[test]
fn a_sequence_becomes_a_chain() {
    let sequence = sequence(json!({ "name": "Deploy to Production", "description": "Full deployment", "steps": [
        { "template_id": 1, "template_name": "Run Tests!", "on_failure": "stop" },
        { "template_id": 2 },
        { "template_id": 3, "on_failure": "continue" },
        { "template_id": 1 },
    ]}));
    let profile =
        json!({ "base_url": "http://localhost:1", "model": "other" }).as_object().cloned().expect("an object");
    let profiles = BTreeMap::from([("measurer".to_owned(), profile)]);
    let plan = to_plan(&sequence, &sound(), &profiles, &catalogue()).map_err(|errors| told(&errors)).expect("a plan");
    let steps = &plan.states[0].steps;
    let names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["0-run-tests", "1-look-at-it", "2-gr-e", "3-run-tests"]);
    let needs: Vec<Vec<&str>> =
        steps.iter().map(|step| step.needs.iter().map(|need| need.as_str()).collect()).collect();
    assert_eq!(needs, [vec![], vec!["0-run-tests"], vec!["1-look-at-it"], vec!["2-gr-e"]]);
    let timeouts: Vec<_> = steps.iter().map(|step| step.timeout_ms).collect();
    assert_eq!(timeouts, [DEFAULT_TIMEOUT_MS, DEFAULT_WAIT_MS, 600_000, DEFAULT_TIMEOUT_MS]);
    let fates: Vec<_> = steps.iter().map(|step| step.on_failure).collect();
    assert_eq!(fates, [OnFailure::Stop, OnFailure::Stop, OnFailure::Continue, OnFailure::Stop]);
    assert_eq!(
        crate::work(&steps[0]).config,
        json!({ "agent": "opus", "input": "Run the tests", "profile": { "model": "opus", "temperature": 0.2, "max_tokens": 4000 } })
    );
    assert_eq!(
        crate::work(&steps[2]).config,
        json!({ "agent": "measurer", "input": "measure", "profile": { "base_url": "http://localhost:1", "model": "sonnet" } })
    );
    assert!(crate::work(&steps[0]).treatment.is_empty(), "a prompt is no template");
    let Work::Gate(Gate::Manual(gate)) = &steps[1].work else { panic!("a gate") };
    assert!(gate.self_approval && gate.approvers.is_empty() && gate.quorum == 1);
    let shown = render_text(gate.prompt.as_deref().expect("a prompt"), &plan, &Context::default(), "prompt");
    assert_eq!(shown.expect("a text").0, "Is {{ this }} well? {% x %}");
    let stored = serde_json::to_string(&plan).expect("a plan as JSON");
    assert_eq!(serde_json::from_str::<Plan>(&stored).expect("the same plan"), plan);
}

#[test]
fn json_names_are_those_of_the_documented_interface() {
    let template = template(json!({ "name": "n", "task_prompt": "p" }));
    assert_eq!(
        serde_json::to_value(&template).expect("JSON"),
        json!({ "id": 0, "name": "n", "task_prompt": "p", "description": null, "model": "sonnet", "agent_role": null, "tags": [], "manual": false })
    );
    let sequence = sequence(json!({ "name": "n", "steps": [{ "template_id": 1 }] }));
    assert_eq!(
        serde_json::to_value(&sequence).expect("JSON"),
        json!({ "id": 0, "name": "n", "description": null, "steps": [{ "template_id": 1, "on_failure": "stop" }] })
    );
    assert!(serde_json::from_value::<Sequence>(json!({ "name": "n", "steps": [], "stpes": 1 })).is_err());
    assert!(serde_json::from_value::<Template>(json!({ "name": "n", "task_prompt": "p", "modle": 1 })).is_err());
    assert!(
        serde_json::from_value::<Sequence>(
            json!({ "name": "n", "steps": [{ "template_id": 1, "on_failure": "skip" }] })
        )
        .is_err()
    );
}

#[test]
fn what_is_wrong_with_a_template() {
    let base = json!({ "name": "n", "task_prompt": "p" });
    let check = |key: &str, value: Value, expect: &str| {
        let mut object = base.as_object().cloned().expect("an object");
        object.insert(key.to_owned(), value);
        assert_eq!(told(&check_template(&template(Value::Object(object)))).trim_end(), expect, "{key}");
    };
    check("name", json!("x".repeat(200)), "");
    check("name", json!("x".repeat(201)), "WL0070 /name: this has 201 characters, and 1 to 200 are wanted");
    check("name", json!(""), "WL0070 /name: this has 0 characters, and 1 to 200 are wanted");
    check("name", json!("  "), "WL0070 /name: this is only white space");
    check("name", json!("a\nb"), "WL0070 /name: there is a control character in this (write one line)");
    check("task_prompt", json!("ä".repeat(10_000)), "");
    check(
        "task_prompt",
        json!("x".repeat(10_001)),
        "WL0070 /task_prompt: this has 10001 characters, and 1 to 10000 are wanted",
    );
    check(
        "task_prompt",
        json!("use secret:a/b"),
        "WL0040 /task_prompt: a secret may not stand in a prompt (a prompt goes to a model; give the agent its secrets in its own settings)",
    );
    check(
        "description",
        json!("x".repeat(5_001)),
        "WL0070 /description: this has 5001 characters, and at most 5000 are taken",
    );
    check("model", json!(""), "WL0070 /model: this has 0 characters, and 1 to 100 are wanted");
    check("agent_role", json!("x".repeat(101)), "WL0070 /agent_role: this has 101 characters, and 1 to 100 are wanted");
    check("timeout_seconds", json!(10), "");
    check("timeout_seconds", json!(3600), "");
    check("timeout_seconds", json!(9), "WL0070 /timeout_seconds: this is 9, and 10 to 3600 are wanted");
    check("timeout_seconds", json!(3601), "WL0070 /timeout_seconds: this is 3601, and 10 to 3600 are wanted");
    check("tags", json!(vec!["t"; 51]), "WL0070 /tags: there are 51 tags, and at most 50 are taken");
    check("tags", json!(["a", ""]), "WL0070 /tags/1: this has 0 characters, and 1 to 100 are wanted");
    check("parameters", json!({ "temperature": 2.1 }), "WL0070 /parameters/temperature: a temperature is from 0 to 2");
    check("parameters", json!({ "max_tokens": 0 }), "WL0070 /parameters/max_tokens: an answer has at least one token");
}

#[test]
fn what_is_wrong_with_a_sequence() {
    let step = |id: u64| json!({ "template_id": id });
    let check = |value: Value, expect: &str| {
        assert_eq!(told(&check_sequence(&sequence(value), &sound())).trim_end(), expect);
    };
    check(json!({ "name": "n", "steps": [step(1), step(2)] }), "");
    check(json!({ "name": "n", "steps": vec![step(1); 50] }), "");
    check(json!({ "name": "n", "steps": [step(1)] }), "WL0070 /steps: there are 1 steps, and 2 to 50 are wanted");
    check(
        json!({ "name": "n", "steps": vec![step(1); 51] }),
        "WL0070 /steps: there are 51 steps, and 2 to 50 are wanted",
    );
    check(
        json!({ "name": "", "description": "x".repeat(5_001), "steps": [step(9), { "template_id": 8, "template_name": "Run Test!" }, { "template_id": 1, "template_name": "Größe" }] }),
        "WL0070 /name: this has 0 characters, and 1 to 200 are wanted\n\
         WL0070 /description: this has 5001 characters, and at most 5000 are taken\n\
         WL0070 /steps/0/template_id: there is no template 9 (create the template first)\n\
         WL0070 /steps/1/template_id: there is no template 8 (is it 1, `Run Tests!`?)\n\
         WL0070 /steps/2/template_name: the template 1 is called `Run Tests!`, and not `Größe` (mend the id, or leave `template_name` out)",
    );
}

#[test]
fn what_is_wrong_with_the_plugins() {
    let sequence = sequence(json!({ "name": "n", "steps": [{ "template_id": 1 }, { "template_id": 2 }] }));
    let check = |installed: Vec<InstalledStep>, profiles: BTreeMap<String, Map<String, Value>>, expect: &str| {
        let errors = to_plan(&sequence, &sound(), &profiles, &Catalogue::new(installed)).expect_err("no plan");
        assert_eq!(told(&errors).trim_end(), expect);
    };
    check(
        vec![],
        BTreeMap::new(),
        "WL0021 /steps/0: no installed plugin provides agents (install one, such as windlass:agent)",
    );
    check(
        vec![agent("windlass:agent"), agent("acme:agent")],
        BTreeMap::new(),
        "WL0021 /steps/0: several installed plugins provide agents (keep one of them installed)",
    );
    let profile = json!({ "nonsense": 1 }).as_object().cloned().expect("an object");
    check(
        vec![agent("windlass:agent")],
        BTreeMap::from([("opus".to_owned(), profile)]),
        "WL0025 /steps/0: windlass:agent@0.1.3 refuses this: Additional properties are not allowed ('nonsense' was unexpected) (see to the settings of the agent `opus`)",
    );
    let mut broken = agent("windlass:agent");
    broken.step.config_schema = json!({ "type": "nonsense" });
    let errors = to_plan(&sequence, &sound(), &BTreeMap::new(), &Catalogue::new(vec![broken])).expect_err("no plan");
    assert_eq!(errors[0].code.to_string(), "WL0024");
}

proptest! {
    #[test]
    fn a_prompt_reaches_a_person_as_it_was_written(prompt in "[{}%' a-z\\\\\"é]{1,40}") {
        prop_assume!(!prompt.trim().is_empty());
        let mut templates = sound();
        templates.get_mut(&2).expect("the manual one").task_prompt = prompt.clone();
        let sequence = sequence(json!({ "name": "n", "steps": [{ "template_id": 2 }, { "template_id": 2 }] }));
        let plan = to_plan(&sequence, &templates, &BTreeMap::new(), &catalogue()).expect("a plan");
        let Work::Gate(Gate::Manual(gate)) = &plan.states[0].steps[0].work else { panic!("a gate") };
        let shown = render_text(gate.prompt.as_deref().expect("a prompt"), &plan, &Context::default(), "prompt");
        prop_assert_eq!(shown.expect("a text").0, prompt);
    }
}
