//! A configuration with `pipelines`.

use super::{StepTypes, reference};
use serde_json::{Map, Value, json};

pub(super) fn file(types: &StepTypes) -> Value {
    let common = json!({
        "if": { "type": ["string", "boolean"] },
        "skip_if": { "type": ["string", "boolean"] },
        "timeout": reference("duration"),
        "retry": reference("retry"),
        "error_status": true,
    });
    let mut step = common.clone();
    step["on_error"] = json!({ "enum": ["stop", "skip"] });
    let trigger = json!({ "type": "object", "additionalProperties": false, "required": ["type"], "properties": {
        "type": { "enum": crate::steps::trigger_types() },
        "config": { "type": "object" },
    }});
    let pipeline = json!({
        "type": "object",
        "required": ["steps"],
        "additionalProperties": false,
        "properties": {
            "trigger": trigger,
            "inputs": reference("inputs"),
            "env": reference("env"),
            "steps": { "type": "array", "minItems": 1, "items": types.step(step) },
            "on_error": { "enum": ["stop", "skip", "compensate"] },
            "compensation": { "type": "array", "minItems": 1, "items": types.step(common) },
            "timeout": reference("duration"),
            "outputs": true,
            "strict_templates": { "type": "boolean" },
        },
        "if": { "properties": { "on_error": { "const": "compensate" } }, "required": ["on_error"] },
        "then": { "required": ["compensation"] },
        "else": { "properties": { "compensation": false } },
    });
    let mut properties = Map::new();
    properties.insert("plugins".to_owned(), reference("plugins"));
    properties.insert(
        "pipelines".to_owned(),
        json!({ "type": "object", "minProperties": 1, "additionalProperties": pipeline }),
    );
    for (key, why) in crate::steps::pipelines::told_of() {
        properties.insert(key.to_owned(), json!({ "deprecated": true, "description": format!("not acted on: {why}") }));
    }
    json!({ "type": "object", "required": ["pipelines"], "additionalProperties": false, "properties": properties })
}
