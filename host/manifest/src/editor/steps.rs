//! A pipeline of steps, and the steps that the engine carries out itself.

use super::{StepTypes, reference, volume_name};
use crate::steps::{MAX_APPROVERS, MAX_CONDITIONS, MAX_NAME_CHARS, MAX_VOLUMES, MAX_WINDOWS};
use serde_json::{Value, json};

pub(super) fn file(types: &StepTypes) -> Value {
    let step = types.step(json!({
        "needs": { "type": "array", "items": { "type": "string" }, "uniqueItems": true,
            "description": "steps to wait for; without it a step follows the one before it, and [] starts at once" },
        "if": { "type": ["string", "boolean"], "description": "an expression such as inputs.version != ''" },
        "timeout": reference("duration"),
        "retry": reference("retry"),
        "on_failure": { "enum": ["stop", "continue"] },
    }));
    let volume = json!({ "type": "object", "additionalProperties": false,
        "properties": { "persistent": { "type": "boolean" } } });
    let mut declared = volume.clone();
    declared["type"] = json!(["object", "null"]);
    json!({
        "type": "object",
        "required": ["name", "steps"],
        "additionalProperties": false,
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS },
            "inputs": reference("inputs"),
            "plugins": reference("plugins"),
            "workspace": volume,
            "volumes": { "type": "object", "maxProperties": MAX_VOLUMES, "propertyNames": volume_name(),
                "additionalProperties": declared, "description": "folders that the steps share beside the workspace" },
            "env": reference("env"),
            "concurrency": reference("concurrency"),
            "strict": { "type": "boolean" },
            "steps": { "type": "array", "minItems": 1, "items": step },
        },
    })
}

/// The configuration of `step.gate`.
pub(super) fn gate() -> Value {
    let conditions = |least: usize| {
        json!({ "type": "array", "minItems": least, "maxItems": MAX_CONDITIONS, "uniqueItems": true,
            "items": { "type": "string", "minLength": 1 } })
    };
    let window = json!({ "type": "object", "additionalProperties": false, "properties": {
        "weekdays": { "type": "array", "minItems": 1, "items": { "type": "string", "pattern": WEEKDAY } },
        "start_hour": { "type": "integer", "minimum": 0, "maximum": 23 },
        "end_hour": { "type": "integer", "minimum": 0, "maximum": 24 },
        "timezone": { "type": "string", "examples": ["UTC", "Europe/Berlin"] },
    }});
    json!({ "type": "object", "oneOf": [
        { "title": "people decide", "additionalProperties": false, "properties": {
            "type": { "const": "manual" },
            "prompt": { "type": "string" },
            "approvers": { "type": "array", "minItems": 1, "maxItems": MAX_APPROVERS, "uniqueItems": true,
                "items": { "type": "string", "minLength": 1 } },
            "quorum": { "type": "integer", "minimum": 1, "maximum": MAX_APPROVERS },
            "self_approval": { "type": "boolean" },
            "auto_approve_conditions": conditions(0),
            "timeout": reference("duration"),
            "on_timeout": { "enum": ["approve", "reject"] },
        }},
        { "title": "conditions decide", "additionalProperties": false, "required": ["type"], "properties": {
            "type": { "const": "automated" },
            "conditions": conditions(1),
            "auto_approve_conditions": conditions(1),
        }},
        { "title": "a time decides", "additionalProperties": false, "required": ["type"], "properties": {
            "type": { "const": "scheduled" },
            "schedule": window,
            "windows": { "type": "array", "minItems": 1, "maxItems": MAX_WINDOWS, "items": window },
            "timeout": reference("duration"),
        }},
    ]})
}

/// A day of the week, whole or by its first three letters, in any case.
const WEEKDAY: &str = "^([mM][oO][nN]([dD][aA][yY])?|[tT][uU][eE]([sS][dD][aA][yY])?|[wW][eE][dD]([nN][eE][sS][dD][aA][yY])?\
|[tT][hH][uU]([rR][sS][dD][aA][yY])?|[fF][rR][iI]([dD][aA][yY])?|[sS][aA][tT]([uU][rR][dD][aA][yY])?\
|[sS][uU][nN]([dD][aA][yY])?)$";

/// The configuration of `step.workflow`.
pub(super) fn workflow() -> Value {
    json!({ "type": "object", "additionalProperties": false, "required": ["workflow"], "properties": {
        "workflow": { "type": "string", "description": "its id, or the path of its file" },
        "wait": { "type": "boolean", "default": true },
        "inputs": { "type": "object" },
    }})
}
