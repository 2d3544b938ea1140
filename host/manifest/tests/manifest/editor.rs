//! The editor's schema. Every sound file of these tests is checked against it too: see [`refuses`].

use crate::{catalogue, installed};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};
use windlass_contract::Descriptor;
use windlass_manifest::{Catalogue, InstalledStep, editor_schema};

fn validator() -> &'static jsonschema::Validator {
    static VALIDATOR: OnceLock<jsonschema::Validator> = OnceLock::new();
    VALIDATOR.get_or_init(|| {
        let sound = installed().into_iter().filter(|step| step.plugin.name.name() != "broken").collect();
        jsonschema::validator_for(&editor_schema(&Catalogue::new(sound))).expect("a sound schema")
    })
}

/// Reads YAML as the loader does, after 1.2: `yes` is text.
fn yaml(text: &str) -> Value {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).expect("YAML")
}

/// What the schema says against a file that the loader takes, and should not.
pub(crate) fn refuses(text: &str) -> Option<String> {
    /// Longer files are many steps of one kind, and a debug build validates slowly.
    const MAX_BYTES: usize = 64 * 1024;
    if text.len() > MAX_BYTES {
        return None;
    }
    let file = yaml(text);
    let errors: Vec<String> =
        validator().iter_errors(&file).map(|error| format!("{}: {error}", error.instance_path())).collect();
    (!errors.is_empty()).then(|| errors.join("\n"))
}

fn check(file: &str, expect: bool) {
    let refused = refuses(file);
    assert_eq!(refused.is_none(), expect, "{file}\n{refused:?}");
}

#[test]
fn each_step_type_has_its_configuration() {
    let broken = editor_schema(&catalogue());
    // The broken plugin's schema stays as it is: the editor says so too.
    assert!(jsonschema::validator_for(&broken).is_err());
    let step = |step: &str, expect: bool| check(&format!("name: x\nsteps: [{step}]"), expect);
    let shell =
        |config: &str, expect: bool| step(&format!("{{ name: a, type: step.shell_exec, config: {config} }}"), expect);
    shell("{ image: x, commands: [c], artifacts_out: [{ key: k }] }", true);
    shell("{ image: x, commands: [c], memory_mib: '{{ inputs.m }}' }", true);
    shell("{ image: x, commands: [c], memory_mib: much }", false);
    shell("{ image: x, commands: [c], artifacts_out: [{ kee: k }] }", false);
    step("{ name: a, type: step.notify }", false);
    step("{ name: a, type: acme:slack/step.notify }", true);
    step("{ name: a, type: step.gate }", true);
    step("{ name: a, type: step.workflow, config: { workflow: w, inputs: { a: 1 } } }", true);
    step("{ name: a, type: step.workflow, config: {} }", false);
    step("{ name: a, type: step.workflow, config: { workflow: w, wait: 'no' } }", false);
    step("{ name: a, type: step.artifact_pull, config: { key: k }, retry: { max_attempts: 2, jitter: true } }", true);
    step("{ name: a, type: step.artifact_pull, config: { key: k }, retry: { max_attempts: 2, jiter: true } }", false);
}

#[test]
fn gates() {
    let gate = |config: &str, expect: bool| {
        check(&format!("name: x\nsteps: [{{ name: a, type: step.gate, config: {config} }}]"), expect);
    };
    gate("{ approvers: [ann], quorum: 1, on_timeout: approve }", true);
    gate("{ approvers: [] }", false);
    gate("{ quorum: 0 }", false);
    gate("{ type: automated, conditions: ['true'] }", true);
    gate("{ type: automated, conditions: [] }", false);
    gate("{ type: automated, approvers: [ann] }", false);
    gate("{ type: scheduled, schedule: { weekdays: [MON, tuesday], start_hour: 9, timezone: UTC } }", true);
    gate("{ type: scheduled, windows: [{ weekdays: [tusday] }] }", false);
    gate("{ type: scheduled, schedule: { start_hour: 24 } }", false);
}

#[test]
fn what_is_declared_before_the_steps() {
    let root =
        |root: &str, expect: bool| check(&format!("name: x\n{root}\nsteps: [{{ name: a, type: step.gate }}]"), expect);
    root("concurrency: deploy", true);
    root("concurrency: { group: deploy, limit: 2 }", true);
    root("concurrency: { limit: 2 }", false);
    root("concurrency: { group: deploy, limit: 0 }", false);
    root("volumes: { cache: { persistent: true }, tmp: }", true);
    root("volumes: { Cache: {} }", false);
    root("volumes: { cache: { persistant: true } }", false);
    root("pipelines: {}", false);
}

#[test]
fn the_dialect_is_told_by_the_keys() {
    check("pipelines: { p: { steps: [{ name: a, type: step.gate, skip_if: 'x' }] } }", true);
    check("pipelines: { p: { steps: [{ name: a, type: step.gate, needs: [] }] } }", false);
    check("pipelines: { p: { trigger: { type: htp }, steps: [{ name: a, type: step.gate }] } }", false);
    check("modules: []\npipelines: { p: { steps: [{ name: a, type: step.gate }] } }", true);
    check("imports: []\npipelines: { p: { steps: [{ name: a, type: step.gate }] } }", false);
    check("pipelines: { p: { on_error: compensate, steps: [{ name: a, type: step.gate }] } }", false);
    check(
        "pipelines: { p: { compensation: [{ name: b, type: step.gate }], steps: [{ name: a, type: step.gate }] } }",
        false,
    );
    let states = |state: &str, expect: bool| {
        check(
            &format!(
                "apiVersion: 100monkeys.ai/v1\nkind: Workflow\nmetadata: {{ name: w }}\nspec: {{ initial_state: A, states: {{ A: {state} }} }}"
            ),
            expect,
        );
    };
    states("{ kind: ContainerRun, image: i, command: [c], transitions: [] }", true);
    states("{ kind: ContainerRun, image: i, command: c, transitions: [] }", false);
    states("{ kind: System, command: c, transitions: [] }", true);
    states("{ kind: ContainerRun, image: i, command: [c] }", false);
    states("{ kind: ContainerRun, command: [c], transitions: [] }", false);
    states("{ kind: ContainerRn, transitions: [] }", false);
    states("{ kind: Human, prompt: p, image: i, transitions: [] }", false);
    states(
        "{ kind: Human, prompt: p, transitions: [{ condition: input_equals, value: x, target: A }, { target: A }] }",
        true,
    );
    states("{ kind: Human, prompt: p, transitions: [{ condition: score_above, value: x, target: A }] }", false);
    states("{ kind: Human, prompt: p, transitions: [{ condition: sometimes, target: A }] }", false);
}

#[test]
fn it_is_small_enough_for_an_editor() {
    let bytes = serde_json::to_vec(&editor_schema(&catalogue())).expect("JSON").len();
    assert!(bytes < 64 * 1024, "{bytes}");
    assert_eq!(editor_schema(&catalogue())["$schema"], json!("https://json-schema.org/draft/2020-12/schema"));
}

/// The files below a folder, without what is built there.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some("target" | "node_modules") => {}
            _ if path.is_dir() => files_below(&path, found),
            _ => found.push(path),
        }
    }
}

/// The step types that the examples are written for, as their descriptors say: those of the bundled plugins, but of the two that are an
/// agent the scripted one.
fn of_examples(root: &Path) -> Catalogue {
    let folders = fs::read_dir(root.join("plugins")).expect("the plugins").map(|entry| entry.expect("an entry").path());
    let scripted = root.join("examples/plugins/scripted-agent");
    let mut steps = Vec::new();
    for folder in folders.filter(|folder| !folder.ends_with("agent")).chain([scripted]) {
        let Ok(text) = fs::read_to_string(folder.join("src/descriptor.json")) else { continue };
        let descriptor: Descriptor = serde_json::from_str(&text).expect("a descriptor");
        let name = format!("windlass:{}", folder.file_name().and_then(|name| name.to_str()).expect("a name"));
        let plugin = crate::plugin(&name, "0.1.0");
        steps.extend(descriptor.steps.into_iter().map(|step| InstalledStep { plugin: plugin.clone(), step }));
    }
    assert!(steps.len() >= 3, "the descriptors are not where they were");
    Catalogue::new(steps)
}

#[test]
fn the_examples_are_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let schema = jsonschema::validator_for(&editor_schema(&of_examples(&root))).expect("a sound schema");
    let mut files = Vec::new();
    files_below(&root.join("examples"), &mut files);
    let mut seen = 0;
    for path in files.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "yaml")) {
        let text = fs::read_to_string(&path).expect("a file");
        let file = yaml(&text);
        if ["steps", "pipelines", "apiVersion"].iter().any(|key| file.get(key).is_some()) {
            let errors: Vec<String> =
                schema.iter_errors(&file).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 1, "no example was found");
}
