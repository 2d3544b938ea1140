//! A workflow of states.
//!
//! Which keys each kind of state takes is asked of the loader; only what they hold is said here.

use super::{reference, step_name, volume_name};
use crate::{
    plan::{MAX_STATE_VISITS, MAX_TRANSITIONS},
    states::{CONDITIONS, CONTAINER_KEYS, MAX_STATES, SPEC_KEYS, kinds},
    steps::MAX_VOLUMES,
};
use serde_json::{Map, Value, json};

pub(super) fn file() -> Value {
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    json!({
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": { "const": "100monkeys.ai/v1" },
            "kind": { "const": "Workflow" },
            "metadata": { "type": "object", "required": ["name"], "additionalProperties": false, "properties": {
                "name": { "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" },
                "version": { "type": "string" },
                "description": { "type": "string" },
                "labels": texts,
                "annotations": texts,
            }},
            "spec": { "type": "object", "required": ["initial_state", "states"], "additionalProperties": false,
                "properties": properties(SPEC_KEYS.iter().copied(), spec_key) },
        },
    })
}

/// Each key with what it holds.
fn properties<'k>(keys: impl Iterator<Item = &'k str>, holds: impl Fn(&str) -> Value) -> Map<String, Value> {
    keys.map(|key| (key.to_owned(), holds(key))).collect()
}

fn spec_key(key: &str) -> Value {
    match key {
        "initial_state" => step_name(),
        "states" => json!({ "type": "object", "minProperties": 1, "maxProperties": MAX_STATES,
            "propertyNames": step_name(), "additionalProperties": state() }),
        "volumes" => json!({ "type": "array", "maxItems": MAX_VOLUMES, "items": {
            "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": { "name": volume_name(), "persistent": { "type": "boolean" } },
        }}),
        "context" => json!({ "type": "object", "description": "what the blackboard holds from the beginning" }),
        "max_total_transitions" => json!({ "type": "integer", "minimum": 1, "maximum": MAX_TRANSITIONS }),
        "agents" => json!({ "type": "object", "additionalProperties": { "type": "object" },
            "description": "what each agent is set up with, by its name" }),
        "plugins" | "concurrency" | "env" => reference(key),
        "strict" => json!({ "type": "boolean" }),
        _ => json!(true),
    }
}

fn state() -> Value {
    let cases = kinds().map(|(kind, keys)| {
        let required: &[&str] = match kind {
            "ContainerRun" => &["image", "command"],
            "ParallelContainerRun" => &["steps"],
            "Agent" => &["agent", "input"],
            "ParallelAgents" => &["agents", "consensus"],
            "System" => &["command"],
            "Human" => &["prompt"],
            "Subworkflow" => &["workflow_id", "mode"],
            _ => &[],
        };
        json!({
            "if": { "properties": { "kind": { "const": kind } }, "required": ["kind"] },
            "then": {
                "required": required,
                "additionalProperties": false,
                "properties": properties(keys.into_iter(), |key| state_key(kind, key)),
            },
        })
    });
    json!({
        "type": "object",
        "required": ["kind", "transitions"],
        "properties": { "kind": { "enum": kinds().map(|(kind, _)| kind).collect::<Vec<_>>() } },
        "allOf": cases.collect::<Vec<_>>(),
    })
}

fn state_key(kind: &str, key: &str) -> Value {
    match (kind, key) {
        ("System", "command") => json!({ "type": "string", "minLength": 1 }),
        (_, "kind") => json!(true),
        (_, "transitions") => json!({ "type": "array", "items": transition(),
            "description": "the first that matches is taken; [] ends the run" }),
        (_, "timeout") => reference("duration"),
        (_, "max_state_visits") => json!({ "type": "integer", "minimum": 1, "maximum": MAX_STATE_VISITS }),
        (_, "outcome") => json!({ "enum": ["succeeded", "failed"] }),
        (_, "completion") => json!({ "enum": ["all_succeed", "any_succeed", "best_effort"] }),
        (_, "mode") => json!({ "enum": ["blocking", "fire_and_forget"] }),
        (_, "max_iterations") => json!({ "type": "integer", "minimum": 1 }),
        (_, "steps") => {
            let keys = CONTAINER_KEYS.iter().copied().chain(["name", "volumes"]);
            json!({ "type": "array", "minItems": 1, "items": {
                "type": "object", "required": ["name", "image", "command"], "additionalProperties": false,
                "properties": properties(keys, container_key),
            }})
        }
        (_, "agents") => json!({ "type": "array", "minItems": 1, "items": {
            "type": "object", "required": ["agent", "input"], "additionalProperties": false, "properties": {
                "agent": { "type": "string" },
                "input": { "type": "string" },
                "weight": { "type": "number", "minimum": 0 },
                "timeout_seconds": { "type": "integer", "minimum": 1 },
            },
        }}),
        (_, "consensus") => consensus(),
        (_, key) => container_key(key),
    }
}

/// What a key of a container holds; every other key is text.
fn container_key(key: &str) -> Value {
    match key {
        "command" => json!({ "type": "array", "minItems": 1, "items": { "type": "string" } }),
        "shell" | "read_only_root_filesystem" => or_template(json!({ "type": "boolean" })),
        "env" => reference("env"),
        "retry" => reference("retry"),
        "image_pull_policy" => json!({ "type": "string", "examples": ["Always", "IfNotPresent", "Never"] }),
        "run_as_user" => json!({ "type": ["string", "integer"] }),
        "resources" => json!({ "type": "object", "additionalProperties": false, "properties": {
            "cpu": or_template(json!({ "type": "integer", "minimum": 1, "description": "millicores: 1000 is one processor" })),
            "memory": { "type": "string", "examples": ["512Mi", "4Gi"] },
            "timeout": reference("duration"),
        }}),
        "volumes" => json!({ "type": "array", "maxItems": MAX_VOLUMES, "items": {
            "type": "object", "required": ["name", "mount_path"], "additionalProperties": false, "properties": {
                "name": volume_name(),
                "mount_path": { "type": "string", "pattern": "^/" },
                "read_only": { "type": "boolean" },
            },
        }}),
        _ => json!({ "type": "string" }),
    }
}

/// A number or boolean, or a template that gives one.
fn or_template(value: Value) -> Value {
    json!({ "anyOf": [value, { "type": "string", "pattern": "\\{\\{.*\\}\\}" }] })
}

fn consensus() -> Value {
    let fraction = json!({ "type": "number", "minimum": 0, "maximum": 1 });
    json!({ "type": "object", "required": ["strategy"], "additionalProperties": false, "properties": {
        "strategy": { "enum": ["weighted_average", "majority", "unanimous", "best_of_n"] },
        "threshold": fraction,
        "agreement": fraction,
        "n": { "type": "integer", "minimum": 1 },
        "min_judges_required": { "type": "integer", "minimum": 1 },
        "confidence_weighting": { "type": "object", "additionalProperties": false, "properties": {
            "agreement_factor": fraction,
            "self_confidence_factor": fraction,
        }},
    }})
}

fn transition() -> Value {
    let without = json!({ "title": "always", "additionalProperties": false,
        "properties": { "target": true, "feedback": true } });
    let cases = CONDITIONS.iter().map(|(name, arguments)| {
        let mut case = json!({ "title": name, "required": ["condition"], "additionalProperties": false,
            "properties": { "condition": { "const": name }, "target": true, "feedback": true } });
        for argument in *arguments {
            case["properties"][*argument] = match (*name, *argument) {
                ("exit_code", _) => json!({ "type": "integer", "minimum": 0, "maximum": 255 }),
                (_, "value") => json!({ "type": "string" }),
                (_, "expression") => json!({ "type": ["string", "boolean"] }),
                _ => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
            };
        }
        case
    });
    json!({
        "type": "object",
        "required": ["target"],
        "properties": { "target": step_name(), "feedback": { "type": "string" } },
        "oneOf": cases.chain([without]).collect::<Vec<_>>(),
    })
}
