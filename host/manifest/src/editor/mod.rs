//! The JSON Schema that an editor checks a pipeline file with, in whichever dialect the file is.
//!
//! It says what can be said of a file without reading it whole: keys, types and bounds. Names, needs, templates and
//! expressions are for `lint`. Whatever `lint` accepts, this accepts.

mod config;
mod states;
mod steps;

use crate::catalogue::Catalogue;
use serde_json::{Map, Value, json};

/// The JSON Schema of all dialects, with the configuration of each installed step type merged in: what `windlass schema`
/// prints.
pub fn editor_schema(catalogue: &Catalogue) -> Value {
    let mut definitions = Map::new();
    let types = step_types(catalogue, &mut definitions);
    // A plugin's definition has a colon in its name, and ours have none.
    definitions.insert("duration".to_owned(), duration());
    definitions.insert("retry".to_owned(), retry());
    definitions.insert("inputs".to_owned(), inputs());
    definitions.insert("env".to_owned(), json!({ "type": "object", "additionalProperties": { "type": "string" } }));
    definitions.insert(
        "plugins".to_owned(),
        json!({ "type": "object", "additionalProperties": { "type": "string" },
        "description": "plugin name to version requirement, such as windlass:shell: \"^0.1\"" }),
    );
    definitions.insert("concurrency".to_owned(), concurrency());
    definitions.insert("gate".to_owned(), steps::gate());
    definitions.insert("workflow-step".to_owned(), steps::workflow());
    definitions.insert("steps-file".to_owned(), steps::file(&types));
    definitions.insert("config-file".to_owned(), config::file(&types));
    definitions.insert("states-file".to_owned(), states::file());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Windlass pipeline",
        "type": "object",
        "if": { "anyOf": [{ "required": ["apiVersion"] }, { "required": ["kind"] }] },
        "then": { "$ref": "#/$defs/states-file" },
        "else": {
            "if": { "required": ["pipelines"], "not": { "required": ["steps"] } },
            "then": { "$ref": "#/$defs/config-file" },
            "else": { "$ref": "#/$defs/steps-file" },
        },
        "$defs": definitions,
    })
}

/// The steps that the engine carries out itself: each one's type, what it is for, and the JSON Schema of its `config`.
pub fn engine_steps() -> [(&'static str, &'static str, Value); 2] {
    let whole = |mut schema: Value| {
        schema["$defs"] = json!({ "duration": duration() });
        schema
    };
    [
        (crate::dialect::GATE_STEP, WAITS, whole(steps::gate())),
        (crate::dialect::WORKFLOW_STEP, RUNS, whole(steps::workflow())),
    ]
}

const WAITS: &str = "waits for people, conditions or a time";
const RUNS: &str = "runs another workflow";

/// What can be said of a step by its type.
struct StepTypes {
    /// The schema of `type`.
    name: Value,
    /// For each type what its `config` is.
    cases: Vec<Value>,
}

impl StepTypes {
    /// A step of these properties.
    fn step(&self, properties: Value) -> Value {
        let mut properties = properties;
        if let Value::Object(properties) = &mut properties {
            properties.insert("name".to_owned(), step_name());
            properties.insert("type".to_owned(), self.name.clone());
            properties.insert("config".to_owned(), json!({ "type": "object" }));
        }
        json!({
            "type": "object",
            "required": ["name", "type"],
            "additionalProperties": false,
            "properties": properties,
            "allOf": self.cases,
        })
    }
}

fn step_types(catalogue: &Catalogue, definitions: &mut Map<String, Value>) -> StepTypes {
    let mut names = vec![
        json!({ "const": crate::dialect::GATE_STEP, "description": WAITS }),
        json!({ "const": crate::dialect::WORKFLOW_STEP, "description": RUNS }),
    ];
    let case = |accepted: &[String], definition: &str| {
        json!({
            "if": { "properties": { "type": { "enum": accepted } }, "required": ["type"] },
            "then": { "properties": { "config": { "$ref": format!("#/$defs/{definition}") } } },
        })
    };
    let mut cases = vec![
        case(&[crate::dialect::GATE_STEP.to_owned()], "gate"),
        case(&[crate::dialect::WORKFLOW_STEP.to_owned()], "workflow-step"),
    ];
    for installed in catalogue.installed() {
        let qualified = format!("{}/{}", installed.plugin.name, installed.step.name);
        // A definition's name stands in JSON pointers: without `/`, nothing in it has to be escaped.
        let definition = qualified.replace('/', ".");
        let mut config = installed.step.config_schema.clone();
        embed(&mut config, &format!("#/$defs/{definition}"));
        definitions.insert(definition.clone(), config);
        let mut accepted = vec![qualified];
        let short = catalogue.written_name(installed);
        let reserved = [crate::dialect::GATE_STEP, crate::dialect::WORKFLOW_STEP].contains(&short.as_str());
        if short == installed.step.name && !reserved {
            accepted.push(short);
        }
        names.extend(accepted.iter().map(|name| json!({ "const": name, "description": installed.step.summary })));
        cases.push(case(&accepted, &definition));
    }
    StepTypes { name: json!({ "anyOf": names }), cases }
}

fn reference(definition: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{definition}") })
}

fn duration() -> Value {
    json!({ "type": "string", "examples": ["90s", "20m", "1h 30m"] })
}

fn step_name() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$" })
}

fn volume_name() -> Value {
    json!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$" })
}

fn retry() -> Value {
    json!({ "type": "object", "additionalProperties": false, "required": ["max_attempts"], "properties": {
        "max_attempts": { "type": "integer", "minimum": 1, "maximum": crate::steps::MAX_ATTEMPTS,
            "description": "attempts in total" },
        "backoff": { "type": "string", "description": "before the second attempt; doubles each time" },
        "jitter": { "type": "boolean", "description": "shortens each wait by a part, so that runs do not come back together" },
        "on": { "type": "array", "minItems": 1, "items": { "enum": ["infrastructure", "non_zero_exit"] } },
    }})
}

fn inputs() -> Value {
    json!({ "type": "object", "additionalProperties": {
        "type": "object", "additionalProperties": false, "properties": {
            "type": { "enum": ["string", "number", "boolean"] },
            "default": { "type": ["string", "number", "boolean"] },
            "required": { "type": "boolean" },
            "description": { "type": "string" },
        },
    }})
}

fn concurrency() -> Value {
    json!({
        "description": "runs of one group wait for each other",
        "anyOf": [
            { "type": "string", "minLength": 1 },
            { "type": "object", "additionalProperties": false, "required": ["group"], "properties": {
                "group": { "type": "string", "minLength": 1 },
                "limit": { "type": "integer", "minimum": 1, "maximum": crate::steps::MAX_CONCURRENT_RUNS },
            }},
        ],
    })
}

/// Makes a plugin's schema fit below `at`: its own references are led there, and a template may stand for any number or
/// boolean.
fn embed(schema: &mut Value, at: &str) {
    let Value::Object(map) = schema else { return };
    map.remove("$schema");
    map.remove("$id");
    if let Some(Value::String(reference)) = map.get_mut("$ref")
        && let Some(inner) = reference.strip_prefix('#')
    {
        *reference = format!("{at}{inner}");
    }
    for keyword in [
        "items",
        "additionalProperties",
        "unevaluatedProperties",
        "not",
        "if",
        "then",
        "else",
        "propertyNames",
        "contains",
    ] {
        if let Some(inner) = map.get_mut(keyword) {
            embed(inner, at);
        }
    }
    for keyword in ["allOf", "anyOf", "oneOf", "prefixItems"] {
        map.get_mut(keyword).and_then(Value::as_array_mut).into_iter().flatten().for_each(|inner| embed(inner, at));
    }
    for keyword in ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"] {
        let inner = map.get_mut(keyword).and_then(Value::as_object_mut).into_iter().flatten();
        inner.for_each(|(_, inner)| embed(inner, at));
    }
    if matches!(map.get("type").and_then(Value::as_str), Some("integer" | "number" | "boolean")) {
        let typed = std::mem::take(map);
        *schema = json!({ "anyOf": [typed, { "type": "string", "pattern": "\\{\\{.*\\}\\}" }] });
    }
}
