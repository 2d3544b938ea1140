//! The JSON Schema that an editor checks a pipeline file with.

use crate::catalogue::Catalogue;
use serde_json::{Map, Value, json};

/// The JSON Schema of the steps dialect, with the configuration of each installed step type merged in: what
/// `windlass schema` prints.
pub fn editor_schema(catalogue: &Catalogue) -> Value {
    let mut definitions = Map::new();
    let mut names = Vec::new();
    let mut cases = Vec::new();
    for installed in catalogue.installed() {
        let qualified = format!("{}/{}", installed.plugin.name, installed.step.name);
        // A definition's name stands in JSON pointers: without `/`, nothing in it has to be escaped.
        let definition = qualified.replace('/', ".");
        let mut config = installed.step.config_schema.clone();
        embed(&mut config, &format!("#/$defs/{definition}"));
        definitions.insert(definition.clone(), config);
        let mut accepted = vec![qualified];
        let short = catalogue.written_name(installed);
        if short == installed.step.name {
            accepted.push(short);
        }
        names.extend(accepted.iter().map(|name| json!({ "const": name, "description": installed.step.summary })));
        cases.push(json!({
            "if": { "properties": { "type": { "enum": accepted } }, "required": ["type"] },
            "then": { "properties": { "config": { "$ref": format!("#/$defs/{definition}") } } },
        }));
    }
    let duration = json!({ "type": "string", "examples": ["90s", "20m", "1h 30m"] });
    let mut step = json!({
        "type": "object",
        "required": ["name", "type"],
        "additionalProperties": false,
        "properties": {
            "name": { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$" },
            "type": if names.is_empty() { json!({ "type": "string" }) } else { json!({ "anyOf": names }) },
            "config": { "type": "object" },
            "needs": { "type": "array", "items": { "type": "string" }, "uniqueItems": true,
                "description": "steps to wait for; without it a step follows the one before it, and [] starts at once" },
            "if": { "type": ["string", "boolean"], "description": "an expression such as inputs.version != ''" },
            "timeout": duration,
            "retry": { "type": "object", "additionalProperties": false, "required": ["max_attempts"], "properties": {
                "max_attempts": { "type": "integer", "minimum": 1, "maximum": crate::steps::MAX_ATTEMPTS,
                    "description": "attempts in total" },
                "backoff": { "type": "string", "description": "before the second attempt; doubles each time" },
                "on": { "type": "array", "items": { "enum": ["infrastructure", "non_zero_exit"] } },
            }},
            "on_failure": { "enum": ["stop", "continue"] },
        },
    });
    if !cases.is_empty() {
        step["allOf"] = Value::Array(cases);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Windlass pipeline",
        "type": "object",
        "required": ["name", "steps"],
        "additionalProperties": false,
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": crate::steps::MAX_NAME_CHARS },
            "inputs": { "type": "object", "additionalProperties": {
                "type": "object", "additionalProperties": false, "properties": {
                    "type": { "enum": ["string", "number", "boolean"] },
                    "default": { "type": ["string", "number", "boolean"] },
                    "required": { "type": "boolean" },
                    "description": { "type": "string" },
                },
            }},
            "plugins": { "type": "object", "additionalProperties": { "type": "string" },
                "description": "plugin name to version requirement, such as windlass:shell: \"^0.1\"" },
            "workspace": { "type": "object", "additionalProperties": false,
                "properties": { "persistent": { "type": "boolean" } } },
            "env": { "type": "object", "additionalProperties": { "type": "string" } },
            "strict": { "type": "boolean" },
            "steps": { "type": "array", "minItems": 1, "items": step },
        },
        "$defs": definitions,
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
