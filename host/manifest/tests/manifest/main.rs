//! What the crate promises, through its public functions: broken files and their diagnostics (`broken`), sound files and
//! their plans (`plans`), gates (`gates`), sub-runs (`sub_runs`), the config dialect (`config_dialect`), the states dialect
//! (`states`, `seeds`, and `shells` with real ones), sequences of templates (`sequences`), the editor's schema (`editor`), rendering and conditions
//! (`rendering`), and input made to do harm (`hostile`).

mod broken;
mod config_dialect;
mod editor;
mod gates;
mod hostile;
mod plans;
mod rendering;
mod seeds;
mod sequences;
mod shells;
mod states;
mod sub_runs;

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

fn volumes() -> Value {
    json!({ "type": "array", "items": { "type": "object", "required": ["name", "mount_path"], "additionalProperties": false,
    "properties": {
        "name": { "type": "string", "x-windlass-template": "never" },
        "mount_path": { "type": "string", "pattern": "^/", "x-windlass-template": "never" },
        "read_only": { "type": "boolean" },
    }}})
}

/// `step.container_run`, as the states dialect asks for it.
fn container() -> Value {
    json!({
        "type": "object",
        "required": ["image", "command"],
        "properties": {
            "image": { "type": "string", "minLength": 1, "x-windlass-template": "strict", "x-windlass-image": true },
            "command": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            "workdir": { "type": "string", "pattern": "^/" },
            "env": { "type": "object", "additionalProperties": { "type": "string", "x-windlass-secret": true } },
            "volumes": volumes(),
            "cpu": { "type": "integer", "minimum": 1 },
            "memory": { "type": "string", "pattern": "^[0-9]+([kKmMgG]([iI]|[bB])?)$" },
            "registry_credentials": { "type": "string", "x-windlass-template": "strict", "x-windlass-secret": true },
            "image_pull_policy": { "enum": ["Always", "IfNotPresent", "Never"] },
            "network_mode": { "enum": ["bridge", "none"] },
            "run_as_user": { "type": ["string", "integer"] },
            "read_only_root_filesystem": { "type": "boolean" },
        },
    })
}

/// `step.agent`, as the states dialect asks for it.
fn agent() -> Value {
    json!({
        "type": "object",
        "required": ["agent", "input"],
        "properties": {
            "agent": { "type": "string", "minLength": 1 },
            "input": { "type": "string" },
            "max_iterations": { "type": "integer", "minimum": 1 },
            "volumes": volumes(),
            "profile": { "type": "object", "required": ["model"], "additionalProperties": false, "properties": {
                "base_url": { "type": "string" }, "model": { "type": "string" }, "temperature": { "type": "number" },
                "api_key": { "type": "string", "x-windlass-secret": true },
            }},
        },
    })
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
    let container_outputs = json!({ "type": "object", "additionalProperties": false, "properties": {
        "image": { "type": "string" }, "exit_code": { "type": "integer" }, "stdout": { "type": "string" },
        "stderr": { "type": "string" }, "out_of_memory": { "type": "boolean" }, "timed_out": { "type": "boolean" },
    }});
    vec![
        step("windlass:shell", "step.shell_exec", shell, shell_outputs),
        step("windlass:artifacts", "step.artifact_pull", pull, Value::Null),
        step("acme:slack", "step.notify", json!({ "properties": { "text": { "type": "string" } } }), Value::Null),
        step("acme:teams", "step.notify", json!({ "properties": { "text": { "type": "string" } } }), Value::Null),
        step("acme:broken", "step.broken", json!({ "type": "nonsense" }), Value::Null),
        step("windlass:container", "step.container_run", container(), container_outputs),
        step("windlass:agent", "step.agent", agent(), Value::Null),
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
    let plan = plan.unwrap_or_else(|| panic!("{}", render(&diagnostics, &source, false)));
    assert_eq!(editor::refuses(text), None, "{text}");
    (plan, diagnostics)
}

/// What a step asks of its plugin.
fn work(step: &windlass_manifest::plan::Step) -> &windlass_manifest::plan::PluginWork {
    step.plugin().expect("a step of a plugin")
}

/// What is said of a file, each problem in one line: severity, code, place, message, and what to do.
fn said(diagnostics: &[Diagnostic]) -> String {
    let line = |d: &Diagnostic| {
        let help = d.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{:?} {} {}:{} {}{help}\n", d.severity, d.code, d.line, d.col, d.message)
    };
    diagnostics.iter().map(line).collect()
}
