//! Pipeline files in every dialect: a plan or an error, told at places that are in the text, in every format.

use crate::texts;
use serde_json::{Map, Value};
use std::sync::OnceLock;
use windlass_contract::{Descriptor, Digest, PluginRef};
use windlass_engine::{EngineError, Event, EventKind, Origin, Run};
use windlass_manifest::{
    Catalogue, InstalledStep, Loading, MAX_FILE_BYTES, Severity, Source, Workflows, bind_json, editor_schema,
    load_with,
    plan::{InputType, Plan},
    references, render, requirements, to_github, to_json, to_sarif,
};

/// The bundled plugins, and one of the examples, as they describe themselves.
const PLUGINS: &[(&str, &str)] = &[
    ("windlass:shell", include_str!("../../../plugins/shell/src/descriptor.json")),
    ("windlass:artifacts", include_str!("../../../plugins/artifact/src/descriptor.json")),
    ("windlass:container", include_str!("../../../plugins/container/src/descriptor.json")),
    ("windlass:agent", include_str!("../../../plugins/agent/src/descriptor.json")),
    (
        "acme:slack",
        r#"{"steps":[{"name":"step.notify","summary":"","effect":"at-most-once","config_schema":{"properties":{"text":{"type":"string"}}}}]}"#,
    ),
];

struct World {
    catalogue: Catalogue,
    workflows: Workflows,
    editor: jsonschema::Validator,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let steps = PLUGINS.iter().flat_map(|(name, descriptor)| {
            let plugin = PluginRef {
                name: name.parse().expect("a name"),
                version: "0.1.0".parse().expect("a version"),
                digest: Digest::of(name.as_bytes()),
            };
            let descriptor: Descriptor = serde_json::from_str(descriptor).expect("a descriptor");
            descriptor.steps.into_iter().map(move |step| InstalledStep { plugin: plugin.clone(), step })
        });
        let catalogue =
            Catalogue::new(steps.collect()).with_hint("step.scan", "windlass:scan".parse().expect("a name"));
        let mut workflows = Workflows::default();
        let child = "name: w\ninputs: { a: { type: string, default: x } }\nsteps: [{ name: a, type: step.gate }]";
        workflows.insert("w", source(child));
        workflows.insert("broken", source("name: [\n"));
        workflows.missing("nowhere", "nowhere.yaml");
        let editor = jsonschema::validator_for(&editor_schema(&catalogue)).expect("a sound schema");
        World { catalogue, workflows, editor }
    })
}

fn source(text: &str) -> Source {
    Source { name: "windlass.yaml".to_owned(), text: text.to_owned() }
}

/// A pipeline's file, and which of its pipelines is meant.
pub(crate) fn yaml(input: &[u8]) {
    let Some([text, pipeline]) = texts(input) else { return };
    let World { catalogue, workflows, editor } = world();
    let source = source(text);
    let pipeline = (!pipeline.is_empty()).then_some(pipeline);
    let loaded = load_with(&source, &Loading { catalogue, workflows, pipeline });
    let has_error = loaded.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(loaded.plan.is_none(), has_error, "{:?}", loaded.diagnostics);
    for diagnostic in loaded.diagnostics.iter().chain(&requirements(&source).diagnostics) {
        let span = diagnostic.span.clone().unwrap_or(0..0);
        assert!(text.get(span).is_some(), "{diagnostic:?} is not in the text");
        assert!(!diagnostic.message.is_empty());
    }
    references(&source);
    for colour in [false, true] {
        render(&loaded.diagnostics, &source, colour);
    }
    let json = to_json(&loaded.diagnostics, &source);
    assert!(serde_json::from_str::<Value>(&json.to_string()).is_ok());
    to_sarif(&loaded.diagnostics, &source);
    let annotations = to_github(&loaded.diagnostics, &source);
    assert_eq!(annotations.lines().count(), loaded.diagnostics.len(), "one line each: {annotations:?}");
    if let Some(plan) = loaded.plan {
        sound(plan, text, editor);
    }
}

/// What loads can be stored and started, and the editor takes it too.
fn sound(plan: Plan, text: &str, editor: &jsonschema::Validator) {
    let stored = serde_json::to_string(&plan).expect("a plan as JSON");
    assert_eq!(serde_json::from_str::<Plan>(&stored).expect("the same plan"), plan, "{stored}");
    let kind = EventKind::RunCreated {
        run: "r1".parse().expect("a run's id"),
        plan: Box::new(plan.clone()),
        inputs: given(&plan),
        previous: None,
        file: None,
        origin: Origin::default(),
    };
    match Run::create(&Event { at_ms: 0, kind }) {
        // Inputs that a plan does not declare are known only as it begins.
        Ok(_) | Err(EngineError::Absent { .. } | EngineError::Environment { .. }) => {}
        Err(error) => panic!("a plan that cannot be run: {error}"),
    }
    assert!(text.len() <= MAX_FILE_BYTES);
    let options = serde_saphyr::options! { strict_booleans: true };
    if let Ok(file) = serde_saphyr::from_str_with_options::<Value>(text, options) {
        let refused = editor.iter_errors(&file).next().map(|error| format!("{}: {error}", error.instance_path()));
        assert_eq!(refused, None, "the editor's schema refuses what loads");
    }
}

/// A value for each input that a plan declares.
fn given(plan: &Plan) -> Map<String, Value> {
    let value = |kind: InputType| match kind {
        InputType::String => Value::from("x"),
        InputType::Number => Value::from(1),
        InputType::Boolean => Value::from(true),
    };
    let given = plan.inputs.iter().map(|(name, decl)| (name.clone(), value(decl.kind))).collect();
    bind_json(plan, given).unwrap_or_else(|errors| panic!("a value of the declared type is refused: {errors:?}"))
}
