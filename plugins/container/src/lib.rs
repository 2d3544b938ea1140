//! `windlass:container`: the step type `step.container_run`, which runs one program in a container.
//!
//! - [`config`]: what a step is asked to do, and what can be wrong with it. Pure.
//! - this file: the calls of the host.

pub mod config;

use config::{Config, EnvValue, NetworkMode, PullPolicy};
use windlass_plugin::{Diagnostic, Guest, Recovery, StepError, containers, output, process, secrets};

/// The step type's name.
const STEP_TYPE: &str = "step.container_run";

/// The plugin.
pub struct Container;

// Only in a component: the names of its exports are none that a linker for this machine would take.
#[cfg(target_family = "wasm")]
windlass_plugin::export!(Container);

impl Guest for Container {
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
        output("image", &config.image)?;
        output("exit_code", &exit.code)?;
        output("out_of_memory", &exit.out_of_memory)?;
        output("timed_out", &exit.timed_out)?;
        output("stdout", &process::fit(&container.captured(containers::Output::Stdout)))?;
        output("stderr", &process::fit(&container.captured(containers::Output::Stderr)))?;
        process::failure("the command", exit.into()).map_or(Ok(()), |message| Err(StepError::Failed(message)))
    }

    fn recover(_step_type: String) -> Recovery {
        Recovery::Rerun
    }
}

/// The container that `config` asks for.
fn spec(config: &Config) -> Result<containers::ContainerSpec, StepError> {
    let spec = containers::ContainerSpec::new(&config.image);
    spec.command(&config.command);
    if let Some(workdir) = &config.workdir {
        spec.workdir(workdir);
    }
    spec.no_workspace();
    for volume in &config.volumes {
        spec.volume(&volume.name, &volume.mount_path, volume.read_only);
    }
    spec.network(config.network_mode == NetworkMode::Bridge);
    spec.read_only_root(config.read_only_root_filesystem);
    spec.pull(match config.image_pull_policy {
        PullPolicy::IfNotPresent => containers::PullPolicy::IfNotPresent,
        PullPolicy::Always => containers::PullPolicy::Always,
        PullPolicy::Never => containers::PullPolicy::Never,
    });
    if let Some(memory) = config.memory {
        spec.memory_mib(memory.mib());
    }
    if let Some(millis) = config.cpu {
        spec.cpu_millis(millis);
    }
    if let Some(user) = &config.run_as_user {
        spec.user(user.as_str());
    }
    if let Some(reference) = &config.registry_credentials {
        spec.registry_auth(&secrets::get(reference.as_str())?);
    }
    for (name, value) in &config.env {
        match EnvValue::of(value) {
            EnvValue::Text(text) => spec.env(name, text),
            EnvValue::Secret(reference) => spec.env_secret(name, &secrets::get(reference)?),
        }
    }
    Ok(spec)
}
