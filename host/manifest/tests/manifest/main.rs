//! What the crate promises, through its public functions: broken files and their diagnostics (`broken`), sound files and
//! their plans (`plans`), rendering and conditions (`rendering`), and input made to do harm (`hostile`).

mod broken;
mod hostile;
mod plans;
mod rendering;

use serde_json::{Value, json};
use windlass_contract::{Digest, EffectClass, PluginRef, StepType};
use windlass_manifest::{Catalogue, Diagnostic, InstalledStep, Loaded, Source, load, render};

fn plugin(name: &str, version: &str) -> PluginRef {
    PluginRef {
        name: name.parse().expect("a plugin name"),
        version: version.parse().expect("a version"),
        digest: Digest::of(name.as_bytes()),
    }
}

fn step(plugin_name: &str, step_type: &str, config_schema: Value, output_schema: Value) -> InstalledStep {
    InstalledStep {
        plugin: plugin(plugin_name, "0.1.3"),
        step: StepType {
            name: step_type.to_owned(),
            summary: format!("{step_type} for tests"),
            docs: String::new(),
            effect: EffectClass::Idempotent,
            config_schema,
            output_schema,
        },
    }
}

/// Step types like the bundled ones, with every kind of annotation.
fn installed() -> Vec<InstalledStep> {
    let artifact = json!({ "type": "object", "required": ["key"], "additionalProperties": false, "properties": {
        "key": { "type": "string", "minLength": 1 },
        "path": { "type": "string" },
    }});
    let shell = json!({
        "type": "object",
        "required": ["image", "commands"],
        "properties": {
            "image": { "type": "string", "minLength": 1, "x-windlass-template": "strict" },
            "commands": { "type": "array", "items": { "type": "string" }, "minItems": 1, "x-windlass-template": "never" },
            "work_dir": { "type": "string", "pattern": "^/" },
            "timeout": { "type": "string", "x-windlass-timeout": true },
            "env": { "type": "object", "additionalProperties": { "type": "string", "x-windlass-secret": true } },
            "artifacts_out": { "oneOf": [
                { "$ref": "#/$defs/artifact" },
                { "type": "array", "items": { "$ref": "#/$defs/artifact" } },
            ]},
            "network": { "enum": ["none", "bridge"] },
            "memory_mib": { "type": "integer", "minimum": 4 },
            "read_only": { "type": "boolean" },
        },
        "$defs": { "artifact": artifact },
    });
    let shell_outputs = json!({ "type": "object", "additionalProperties": false, "properties": {
        "exit_code": { "type": "integer" }, "stdout": { "type": "string" },
    }});
    let pull = json!({ "type": "object", "required": ["key"], "additionalProperties": false, "properties": {
        "key": { "type": "string" }, "dest": { "type": "string" }, "execution_id": { "type": "string" },
        "token": { "oneOf": [{ "type": "string", "x-windlass-secret": true }, { "type": "integer" }] },
    }});
    vec![
        step("windlass:shell", "step.shell_exec", shell, shell_outputs),
        step("windlass:artifacts", "step.artifact_pull", pull, Value::Null),
        step("acme:slack", "step.notify", json!({ "properties": { "text": { "type": "string" } } }), Value::Null),
        step("acme:teams", "step.notify", json!({ "properties": { "text": { "type": "string" } } }), Value::Null),
        step("acme:broken", "step.broken", json!({ "type": "nonsense" }), Value::Null),
    ]
}

fn catalogue() -> Catalogue {
    Catalogue::new(installed()).with_hint("step.scan_sast", "windlass:scan".parse().expect("a plugin name"))
}

fn source(text: &str) -> Source {
    Source { name: "windlass.yaml".to_owned(), text: text.to_owned() }
}

/// The plan of a sound file, with what was warned of.
fn plan(text: &str) -> (windlass_manifest::plan::Plan, Vec<Diagnostic>) {
    let source = source(text);
    let Loaded { plan, diagnostics } = load(&source, &catalogue());
    (plan.unwrap_or_else(|| panic!("{}", render(&diagnostics, &source, false))), diagnostics)
}
