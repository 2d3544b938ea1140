//! `windlass:artifact`: the step types `step.artifact_push` and `step.artifact_pull`.
//!
//! The bytes do not pass this plugin: the host moves them between the workspace and its store.
//!
//! - [`config`]: what a step is asked to do, and what can be wrong with it. Pure.
//! - this file: the calls of the host.

pub mod config;

use config::{PULL, PUSH, Pull, Push, Source};
use windlass_plugin::{Diagnostic, Guest, Recovery, StepError, artifacts, log, output};

/// The plugin.
pub struct Artifact;

// Only in a component: the names of its exports are none that a linker for this machine would take.
#[cfg(target_family = "wasm")]
windlass_plugin::export!(Artifact);

impl Guest for Artifact {
    fn describe() -> String {
        include_str!("descriptor.json").to_owned()
    }

    fn validate(step_type: String, config: String) -> Vec<Diagnostic> {
        config::check(&step_type, &config)
    }

    fn run(step_type: String) -> Result<(), StepError> {
        match step_type.as_str() {
            PUSH => push(&windlass_plugin::config()?),
            PULL => pull(&windlass_plugin::config()?),
            _ => Err(windlass_plugin::unknown_step_type(&step_type)),
        }
    }

    fn recover(_step_type: String) -> Recovery {
        Recovery::Rerun
    }
}

fn push(push: &Push) -> Result<(), StepError> {
    let source =
        config::workspace_path(&push.source_path).map_err(|why| invalid("source_path", &push.source_path, why))?;
    let artifact = artifacts::from_workspace(&source, &push.key)?;
    describe(&artifact, &format!("kept {source} as artifact {}", push.key))?;
    output("dest", &"artifact_store")
}

fn pull(pull: &Pull) -> Result<(), StepError> {
    let dest = config::workspace_path(&pull.dest).map_err(|why| invalid("dest", &pull.dest, why))?;
    let artifact = match pull.source {
        Source::CurrentExecution => artifacts::get(&pull.key),
        Source::PreviousExecution => artifacts::get_from(pull.run(), &pull.key),
    }?;
    artifacts::to_workspace(&artifact, &dest)?;
    describe(&artifact, &format!("put artifact {} to {dest}", pull.key))?;
    output("source", &pull.source)?;
    output("dest", &dest)?;
    output("bytes_written", &artifact.size())
}

/// Sets what both step types say of their artifact, and logs it.
fn describe(artifact: &artifacts::Artifact, message: &str) -> Result<(), StepError> {
    let (digest, size) = (artifact.digest(), artifact.size());
    let fields = [("digest".to_owned(), digest.clone()), ("size".to_owned(), size.to_string())];
    log::write(log::Level::Info, message, &fields);
    output("key", &artifact.key())?;
    output("size", &size)?;
    output("checksum", &digest.trim_start_matches("sha256:"))?;
    output("digest", &digest)
}

fn invalid(field: &str, value: &str, why: &str) -> StepError {
    StepError::InvalidConfig(format!("{field} {value:?}: {why}"))
}
