//! `windlass:shell`: the step type `step.shell_exec`, which runs commands in a container.
//!
//! All commands of a step run in **one** shell in **one** container, so they share its file system, working directory
//! and variables. The first that fails ends the step with its exit code.
//!
//! The commands are arguments of a fixed script ([`runner`]) and are never put together to a text; values reach them by
//! environment. That is the guarantee on which `x-windlass-template: never` in the schema rests.
//!
//! - [`config`]: what a step is asked to do, and what can be wrong with it. Pure.
//! - [`runner`]: the script, and reading what it reported. Pure.
//! - this file: the calls of the host.

pub mod config;
pub mod runner;

use config::{Config, EnvValue, PullPolicy};
use serde_json::{Map, Value};
use windlass_plugin::{Diagnostic, Guest, Recovery, StepError, containers, log, output, secrets};

/// The step type's name.
const STEP_TYPE: &str = "step.shell_exec";

/// The plugin.
pub struct Shell;

// Only in a component: the names of its exports are none that a linker for this machine would take.
#[cfg(target_family = "wasm")]
windlass_plugin::export!(Shell);

impl Guest for Shell {
    fn describe() -> String {
        include_str!("descriptor.json").to_owned()
    }

    fn validate(step_type: String, config: String) -> Vec<Diagnostic> {
        if step_type == STEP_TYPE { config::check(&config) } else { Vec::new() }
    }

    fn run(step_type: String) -> Result<(), StepError> {
        if step_type != STEP_TYPE {
            return Err(windlass_plugin::unknown_step_type(&step_type));
        }
        let config: Config = windlass_plugin::config()?;
        let container = containers::start(spec(&config)?)?;
        let exit = container.wait()?;
        let stdout = container.captured(containers::Output::Stdout);
        let stderr = container.captured(containers::Output::Stderr);
        let report = runner::report(&config.commands, &stdout, &stderr);

        output("image", &config.image)?;
        output("exit_code", &exit.code)?;
        output("out_of_memory", &exit.out_of_memory)?;
        output("timed_out", &exit.timed_out)?;
        output("stdout", &report.stdout)?;
        output("stderr", &report.stderr)?;

        if let Some(message) = runner::failure(exit.into(), &report, config.commands.len()) {
            if let Some(command) = report.stopped_at.and_then(|number| config.commands.get(number - 1)) {
                output("failed_command", command)?;
            }
            return Err(StepError::Failed(message));
        }
        if let Some(number) = report.stopped_at {
            log::write(
                log::Level::Warn,
                &format!("command {number} of {} called exit 0; those after it were not run", config.commands.len()),
                &[],
            );
        }
        save_artifacts(&config, &container)
    }

    fn recover(_step_type: String) -> Recovery {
        Recovery::Rerun
    }
}

/// The container that `config` asks for.
fn spec(config: &Config) -> Result<containers::ContainerSpec, StepError> {
    let spec = containers::ContainerSpec::new(&config.image);
    // As entry point, because an image's own would otherwise be put before the shell.
    spec.entrypoint(std::slice::from_ref(&config.shell));
    spec.command(&runner::arguments(&config.commands));
    spec.workdir(&config.work_dir);
    spec.network(config.network);
    spec.read_only_root(config.read_only);
    spec.pull(match config.image_pull_policy {
        PullPolicy::IfNotPresent => containers::PullPolicy::IfNotPresent,
        PullPolicy::Always => containers::PullPolicy::Always,
        PullPolicy::Never => containers::PullPolicy::Never,
    });
    if let Some(memory) = config.memory {
        spec.memory_mib(memory.mib());
    }
    if let Some(cpu) = config.cpu {
        spec.cpu_millis(cpu.millis());
    }
    if let Some(user) = &config.user {
        spec.user(user.as_str());
    }
    for (name, value) in &config.env {
        match EnvValue::of(value) {
            EnvValue::Text(text) => spec.env(name, text),
            EnvValue::Secret(reference) => spec.env_secret(name, &secrets::get(reference)?),
        }
    }
    Ok(spec)
}

/// Keeps what `artifacts_out` names, after all commands have succeeded.
fn save_artifacts(config: &Config, container: &containers::Container) -> Result<(), StepError> {
    let mut digests = Map::new();
    for wanted in config.artifacts_out.iter() {
        let artifact = container.save(&wanted.path_in(&config.work_dir), &wanted.key).map_err(|error| match error {
            // The commands did not make what they were to make: their failure, not the configuration's.
            containers::ContainerError::NotFound(text) => {
                StepError::Failed(format!("the commands succeeded, but artifacts_out cannot be kept: {text}"))
            }
            error => error.into(),
        })?;
        let (digest, size) = (artifact.digest(), artifact.size());
        log::write(
            log::Level::Info,
            &format!("kept {} as artifact {}", wanted.path, wanted.key),
            &[("digest".to_owned(), digest.clone()), ("size".to_owned(), size.to_string())],
        );
        digests.insert(wanted.key.clone(), Value::String(digest));
    }
    output("artifacts", &digests)
}
