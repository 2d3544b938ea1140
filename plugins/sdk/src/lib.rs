//! What Rust plugins for Windlass share: the bindings of `wit/`, the translation of refusals into step errors,
//! configuration and results as typed values.
//!
//! Everything here is thin. A plugin implements [`Guest`] and says [`export!`](crate::export); a capability is imported
//! into its component only if it is called, so what a plugin does not use is not asked to be granted.
//!
//! - [`process`]: how a container's process ended, and what of its output becomes a result.
//! - [`fields`]: fields of configurations that several plugins have.
//! - [`files`]: files of the run's volumes, below the paths at which a step has them.
//! - [`provider`]: the same for providers.
//!
//! What it does not do: it hides no capability behind an abstraction, and keeps no state.

pub mod fields;
pub mod files;
pub mod process;
pub mod provider;

/// What is generated from `wit/`. Public for the macro that makes a component's exports; plugins use the names below.
#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, reason = "generated; wit/ documents every item")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "step-plugin",
        pub_export_macro: true,
        default_bindings_module: "windlass_plugin::bindings",
    });
}

/// Makes the component's exports from a type that implements [`Guest`].
pub use bindings::export;
pub use bindings::exports::windlass::plugin::step::{Guest, StepError};
pub use bindings::windlass::plugin::types::{Diagnostic, Recovery, Severity};
pub use bindings::windlass::plugin::{
    artifacts, containers, http, inputs, log, outputs, secrets, secrets_reveal, state,
};

use serde::{Serialize, de::DeserializeOwned};

/// The configuration of this attempt.
///
/// # Errors
/// [`StepError::InvalidConfig`] where it is not what `T` expects. The host has checked it against the schema, so this
/// means that schema and `T` differ, or that a rendered template gave something else.
pub fn config<T: DeserializeOwned>() -> Result<T, StepError> {
    parse_config(&inputs::config())
}

/// A configuration in a JSON document; see [`config`].
///
/// # Errors
/// As [`config`].
pub fn parse_config<T: DeserializeOwned>(json: &str) -> Result<T, StepError> {
    serde_json::from_str(json).map_err(|error| StepError::InvalidConfig(format!("the configuration: {error}")))
}

/// Sets the result `name`.
///
/// # Errors
/// Where the host refuses it: see `outputs` in `wit/`.
pub fn output(name: &str, value: &impl Serialize) -> Result<(), StepError> {
    let json = serde_json::to_string(value).map_err(|error| StepError::Other(format!("the result {name}: {error}")))?;
    Ok(outputs::set(name, &json)?)
}

/// Writes a line without fields to the step's log.
pub fn info(message: &str) {
    log::write(log::Level::Info, message, &[]);
}

/// Writes a line without fields that the pipeline's author should look at.
pub fn warn(message: &str) {
    log::write(log::Level::Warn, message, &[]);
}

/// A diagnostic about the value at the JSON pointer `path`.
pub fn diagnostic(severity: Severity, path: impl Into<String>, message: impl Into<String>, help: &str) -> Diagnostic {
    Diagnostic {
        severity,
        path: path.into(),
        message: message.into(),
        help: (!help.is_empty()).then(|| help.to_owned()),
    }
}

/// That a plugin was called for a step type which it does not have.
pub fn unknown_step_type(step_type: &str) -> StepError {
    StepError::InvalidConfig(format!("this plugin has no step type {step_type}"))
}

// One rule for all capabilities: refused by the grant is `denied`; wrong as asked is `invalid-config`; whatever `wit/`
// says a retry may help with is `unavailable`; a lost container must not be started again, so it is `other`.

impl From<containers::ContainerError> for StepError {
    fn from(error: containers::ContainerError) -> Self {
        use containers::ContainerError as E;
        match error {
            E::NotGranted(text) => StepError::Denied(text),
            E::Invalid(text) | E::NotFound(text) => StepError::InvalidConfig(text),
            E::ImagePullFailed(text)
            | E::VolumeMountFailed(text)
            | E::ResourceExhausted(text)
            | E::EngineUnavailable(text) => StepError::Unavailable(text),
            E::Cancelled => StepError::Cancelled,
            E::Lost(text) | E::TooLarge(text) | E::Other(text) => StepError::Other(text),
        }
    }
}

impl From<artifacts::ArtifactError> for StepError {
    fn from(error: artifacts::ArtifactError) -> Self {
        use artifacts::ArtifactError as E;
        match error {
            E::NotGranted(text) => StepError::Denied(text),
            E::Invalid(text) | E::NotFound(text) => StepError::InvalidConfig(text),
            E::Unavailable(text) => StepError::Unavailable(text),
            E::TooLarge(text) | E::Other(text) => StepError::Other(text),
        }
    }
}

impl From<secrets::SecretError> for StepError {
    fn from(error: secrets::SecretError) -> Self {
        use secrets::SecretError as E;
        match error {
            E::NotGranted(text) => StepError::Denied(text),
            E::Invalid(text) | E::NotFound(text) => StepError::InvalidConfig(text),
            E::Unavailable(text) => StepError::Unavailable(text),
            E::Other(text) => StepError::Other(text),
        }
    }
}

impl From<http::HttpError> for StepError {
    fn from(error: http::HttpError) -> Self {
        use http::HttpError as E;
        match error {
            E::NotGranted(text) | E::Denied(text) => StepError::Denied(text),
            E::Invalid(text) => StepError::InvalidConfig(text),
            E::Unreachable(text) | E::TimedOut(text) => StepError::Unavailable(text),
            E::TooLarge(text) | E::Other(text) => StepError::Other(text),
        }
    }
}

impl From<outputs::OutputError> for StepError {
    fn from(error: outputs::OutputError) -> Self {
        use outputs::OutputError as E;
        match error {
            E::Invalid(text) | E::TooLarge(text) | E::Other(text) => StepError::Other(text),
        }
    }
}
