//! A project: its pipelines, loaded against the plugins that it has installed.
//!
//! **Purpose.** What the command line and the server both do with a pipeline before it becomes a run: the catalogue and the grants of what is
//! installed, the file's diagnostics with what the plugins themselves say, which pipelines use which plugins, and what an update
//! would break.
//!
//! **Not here.** Where pipelines are kept (files of a folder, or the server's records), fetching plugins (`package`), and runs (`driver`).

mod pipelines;

pub use pipelines::{Pipeline, beside, broken, pipelines, roots, uses};

use std::sync::Arc;
use windlass_contract::{
    Code, CodedError,
    capability::{Log, LogEntry},
};
use windlass_driver::Grants;
use windlass_manifest::{
    Catalogue, Diagnostic, InstalledStep, Loaded, Loading, Severity, Source, Workflows, plan::Plan,
};
use windlass_package::Installed;
use windlass_runtime::{CallError, Runtime, RuntimeError};

/// The step types of what is installed, for the pipeline's loader.
pub fn catalogue(installed: &[Installed]) -> Catalogue {
    let steps = installed.iter().flat_map(|each| {
        let plugin = each.plugin.clone();
        each.descriptor.steps.iter().map(move |step| InstalledStep { plugin: plugin.clone(), step: step.clone() })
    });
    Catalogue::new(steps.collect())
}

/// What each installed plugin may do.
pub fn grants(installed: &[Installed]) -> Grants {
    installed.iter().map(|each| (each.plugin.digest, each.effective.clone())).collect()
}

/// Why the plugins of a pipeline could not be asked about it.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// One could not be loaded.
    #[error(transparent)]
    Load(#[from] RuntimeError),
    /// One did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl CodedError for CheckError {
    fn code(&self) -> Code {
        match self {
            CheckError::Load(error) => error.code(),
            CheckError::Call(error) => error.code(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            CheckError::Load(error) => error.help(),
            CheckError::Call(error) => error.help(),
        }
    }
}

/// Loads a pipeline against what is installed, with the workflows that it runs, and adds what the plugins say about their
/// configurations. There is a plan if and only if nothing that was found is an error.
///
/// # Errors
/// When a plugin cannot be asked.
pub async fn load(
    runtime: &Runtime,
    installed: &[Installed],
    source: &Source,
    workflows: &Workflows,
    pipeline: Option<&str>,
) -> Result<Loaded, CheckError> {
    let catalogue = catalogue(installed);
    let mut loaded = windlass_manifest::load_with(source, &Loading { catalogue: &catalogue, workflows, pipeline });
    if let Some(plan) = &loaded.plan {
        ask_plugins(runtime, plan, source, &mut loaded.diagnostics).await?;
    }
    if loaded.diagnostics.iter().any(|found| found.severity == Severity::Error) {
        loaded.plan = None;
    }
    Ok(loaded)
}

/// Calls each step's `validate` and adds what it says, at the place in the file that it speaks of.
async fn ask_plugins(
    runtime: &Runtime,
    plan: &Plan,
    source: &Source,
    found: &mut Vec<Diagnostic>,
) -> Result<(), CheckError> {
    struct Nowhere;
    impl Log for Nowhere {
        fn write(&self, _: LogEntry) {}
    }
    for (step, work) in plan.plugin_steps() {
        let plugin = runtime.load(work.plugin.clone())?;
        let said = runtime.validate(&plugin, &work.step_type, &work.config, Arc::new(Nowhere)).await?;
        for each in said {
            let severity = match each.severity {
                windlass_runtime::Severity::Error => Severity::Error,
                windlass_runtime::Severity::Warning | windlass_runtime::Severity::Info => Severity::Warning,
            };
            found.extend(windlass_manifest::plugin_diagnostic(
                source,
                &step.name,
                &each.path,
                severity,
                format!("{} ({})", each.message, work.plugin),
                each.help,
            ));
        }
    }
    Ok(())
}
