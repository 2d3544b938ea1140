//! What a step is asked to do. Pure: it reads text and makes values.
//!
//! `descriptor.json` holds the schemas, which the host checks first; this module says the same in types, and checks what a
//! schema cannot say. A value that is still a template (`{{ … }}`) is left alone until it is rendered.
//!
//! Paths are checked here for good words and early; the host checks them again, and it is the host that keeps links and
//! archives from leading out of the workspace.

use serde::{Deserialize, Serialize};
use windlass_plugin::{Diagnostic, Severity, diagnostic};

/// Keeps a file or folder.
pub const PUSH: &str = "step.artifact_push";
/// Brings an artifact back.
pub const PULL: &str = "step.artifact_pull";

/// Where the run's workspace is.
const WORKSPACE: &str = "/workspace";
/// What `artifacts.get-from` calls the last run of the same pipeline that succeeded.
const PREVIOUS: &str = "previous";

/// The configuration of [`PUSH`].
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// The file or folder.
    pub source_path: String,
    /// The key to keep it under.
    pub key: String,
    /// Where to keep it; there is only one place.
    #[serde(default)]
    pub dest: Dest,
}

/// Where artifacts are kept.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dest {
    /// The host's store.
    #[default]
    ArtifactStore,
}

/// The configuration of [`PULL`].
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pull {
    /// Where it comes from.
    pub source: Source,
    /// The run it comes from.
    #[serde(default)]
    pub execution_id: String,
    /// Its key there.
    pub key: String,
    /// Where to put it.
    pub dest: String,
}

/// Where an artifact comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// An earlier run.
    PreviousExecution,
    /// An earlier step of this run.
    CurrentExecution,
}

impl Pull {
    /// The run to take it from, as `artifacts.get-from` wants it named. A template that found nothing is empty text.
    pub fn run(&self) -> &str {
        match self.execution_id.trim() {
            "" => PREVIOUS,
            run => run,
        }
    }
}

/// The absolute path that `path` means, which is below the workspace.
///
/// # Errors
/// What is wrong with it, in words.
pub fn workspace_path(path: &str) -> Result<String, &'static str> {
    let relative = match path.strip_prefix(WORKSPACE) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ if path.starts_with('/') => return Err("it lies outside of the workspace; name a path below /workspace"),
        _ => path,
    };
    let mut absolute = WORKSPACE.to_owned();
    for segment in relative.split('/') {
        match segment {
            "" | "." => {}
            ".." => return Err("it goes up with `..`; name the path itself"),
            segment => {
                absolute.push('/');
                absolute.push_str(segment);
            }
        }
    }
    Ok(absolute)
}

/// What can be said of a configuration before it runs, beyond its schema.
pub fn check(step_type: &str, json: &str) -> Vec<Diagnostic> {
    let Ok(config) = serde_json::from_str::<serde_json::Value>(json) else {
        return vec![diagnostic(Severity::Error, "", "the configuration is not JSON", "")];
    };
    let text = |key: &str| {
        config.get(key).and_then(serde_json::Value::as_str).filter(|text| !windlass_plugin::fields::is_template(text))
    };
    let mut found = Vec::new();
    let path = if step_type == PUSH { "source_path" } else { "dest" };
    if let Some(Err(why)) = text(path).map(workspace_path) {
        found.push(diagnostic(Severity::Error, format!("/{path}"), why, "such as /workspace/output"));
    }
    if step_type == PULL && text("source") == Some("current_execution") && config.get("execution_id").is_some() {
        found.push(diagnostic(
            Severity::Error,
            "/execution_id",
            "it names another run, but the source is this one",
            "write `source: previous_execution`, or leave execution_id out",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths() {
        let check = |path: &str, expect: Result<&str, &str>| {
            assert_eq!(workspace_path(path).as_deref(), expect.as_ref().map(|path| *path), "{path}");
        };
        let outside = Err("it lies outside of the workspace; name a path below /workspace");
        let upwards = Err("it goes up with `..`; name the path itself");
        check("/workspace/output/server", Ok("/workspace/output/server"));
        check("output/server", Ok("/workspace/output/server"));
        check("./output//server/", Ok("/workspace/output/server"));
        check("/workspace", Ok("/workspace"));
        check("/workspace/", Ok("/workspace"));
        check(".", Ok("/workspace"));
        check("/etc/passwd", outside);
        check("/workspaces/x", outside);
        check("/", outside);
        check("//workspace/x", outside);
        check("../etc/passwd", upwards);
        check("/workspace/../etc/passwd", upwards);
        check("a/../../b", upwards);
        check("..a/b..", Ok("/workspace/..a/b.."));
    }

    #[test]
    fn the_run_to_pull_from() {
        let check = |config: serde_json::Value, expect: &str| {
            let pull: Pull = serde_json::from_value(config).expect("it is sound");
            assert_eq!(pull.run(), expect);
        };
        check(json!({"source": "previous_execution", "key": "k", "dest": "d"}), "previous");
        check(json!({"source": "previous_execution", "execution_id": " ", "key": "k", "dest": "d"}), "previous");
        check(json!({"source": "previous_execution", "execution_id": "r7", "key": "k", "dest": "d"}), "r7");
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        let check = |config: serde_json::Value, expect: &str| {
            let push = serde_json::from_value::<Push>(config.clone()).err();
            let pull = serde_json::from_value::<Pull>(config.clone()).err();
            let errors: Vec<_> = [push, pull].into_iter().flatten().map(|e| e.to_string()).collect();
            assert!(errors.len() == 2 && errors.iter().any(|e| e.contains(expect)), "{config}: {errors:?}");
        };
        check(json!({"source": "s3", "key": "k", "dest": "d"}), "unknown variant `s3`");
        check(json!({"source": "url", "key": "k", "dest": "d"}), "unknown variant `url`");
        check(json!({"source_path": "a", "key": "k", "dest": "s3"}), "unknown variant `s3`");
        check(json!({"source_path": "a", "key": "k", "compress": true}), "unknown field `compress`");
    }

    #[test]
    fn what_lint_says() {
        let check = |step_type: &str, config: serde_json::Value, expect: &[&str]| {
            let found = check(step_type, &config.to_string());
            let found: Vec<_> = found.iter().map(|d| format!("{}: {}", d.path, d.message)).collect();
            assert_eq!(found, expect);
        };
        check(PUSH, json!({"source_path": "a", "key": "k"}), &[]);
        check(PUSH, json!({"source_path": "{{ inputs.path }}/../x", "key": "k"}), &[]);
        check(
            PUSH,
            json!({"source_path": "/etc", "key": "k"}),
            &["/source_path: it lies outside of the workspace; name a path below /workspace"],
        );
        check(
            PULL,
            json!({"source": "current_execution", "execution_id": "r1", "key": "k", "dest": "../x"}),
            &[
                "/dest: it goes up with `..`; name the path itself",
                "/execution_id: it names another run, but the source is this one",
            ],
        );
    }

    #[test]
    fn the_descriptor_is_json_with_both_step_types() {
        let descriptor: serde_json::Value = serde_json::from_str(include_str!("descriptor.json")).expect("it is JSON");
        let names: Vec<_> =
            descriptor["steps"].as_array().expect("a list").iter().map(|s| s["name"].as_str()).collect();
        assert_eq!(names, [Some(PUSH), Some(PULL)]);
    }
}
