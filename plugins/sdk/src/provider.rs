//! What providers share: the bindings of `provider`, requests and answers as typed values, refusals as provider errors.
//!
//! A plugin implements [`Guest`] and says [`export!`](crate::provider::export). The capabilities are those of the crate's root.

use crate::{containers, http, secrets, state};
use serde::{Serialize, de::DeserializeOwned};

/// What is generated from `wit/`. Public for the macro that makes a component's exports; plugins use the names below.
#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, reason = "generated; wit/ documents every item")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "provider-plugin",
        pub_export_macro: true,
        export_macro_name: "export_provider",
        default_bindings_module: "windlass_plugin::provider::bindings",
        with: {
            "windlass:plugin/types@0.1.0": crate::bindings::windlass::plugin::types,
            "windlass:plugin/log@0.1.0": crate::bindings::windlass::plugin::log,
            "windlass:plugin/inputs@0.1.0": crate::bindings::windlass::plugin::inputs,
            "windlass:plugin/outputs@0.1.0": crate::bindings::windlass::plugin::outputs,
            "windlass:plugin/containers@0.1.0": crate::bindings::windlass::plugin::containers,
            "windlass:plugin/artifacts@0.1.0": crate::bindings::windlass::plugin::artifacts,
            "windlass:plugin/secrets@0.1.0": crate::bindings::windlass::plugin::secrets,
            "windlass:plugin/secrets-reveal@0.1.0": crate::bindings::windlass::plugin::secrets_reveal,
            "windlass:plugin/http@0.1.0": crate::bindings::windlass::plugin::http,
            "windlass:plugin/state@0.1.0": crate::bindings::windlass::plugin::state,
        },
    });
}

/// Makes the component's exports from a type that implements [`Guest`].
pub use bindings::export_provider as export;
pub use bindings::exports::windlass::plugin::provider::{Guest, ProviderError};

/// A request as a typed value. Keys that `T` does not have are passed over: later hosts may say more.
///
/// # Errors
/// [`ProviderError::InvalidConfig`] where it is not what `T` expects.
pub fn request<T: DeserializeOwned>(json: &str) -> Result<T, ProviderError> {
    serde_json::from_str(json).map_err(|error| ProviderError::InvalidConfig(format!("the request: {error}")))
}

/// An answer as JSON.
///
/// # Errors
/// [`ProviderError::Other`] where it cannot be written as such.
pub fn answer(value: &impl Serialize) -> Result<String, ProviderError> {
    serde_json::to_string(value).map_err(|error| ProviderError::Other(format!("the answer: {error}")))
}

// One rule for all capabilities: refused by the grant is `unauthorized`; wrong as asked is `invalid-config`; whatever `wit/` says a
// retry may help with is `unavailable`.

impl From<containers::ContainerError> for ProviderError {
    fn from(error: containers::ContainerError) -> Self {
        use containers::ContainerError as E;
        match error {
            E::NotGranted(text) => ProviderError::Unauthorized(text),
            E::Invalid(text) => ProviderError::InvalidConfig(text),
            E::NotFound(text) | E::Lost(text) => ProviderError::NotFound(text),
            E::ImagePullFailed(text)
            | E::VolumeMountFailed(text)
            | E::ResourceExhausted(text)
            | E::EngineUnavailable(text) => ProviderError::Unavailable(text),
            E::Cancelled => ProviderError::Other("it stopped because it was asked to".to_owned()),
            E::TooLarge(text) | E::Other(text) => ProviderError::Other(text),
        }
    }
}

impl From<secrets::SecretError> for ProviderError {
    fn from(error: secrets::SecretError) -> Self {
        use secrets::SecretError as E;
        match error {
            E::NotGranted(text) => ProviderError::Unauthorized(text),
            E::Invalid(text) | E::NotFound(text) => ProviderError::InvalidConfig(text),
            E::Unavailable(text) => ProviderError::Unavailable(text),
            E::Other(text) => ProviderError::Other(text),
        }
    }
}

impl From<http::HttpError> for ProviderError {
    fn from(error: http::HttpError) -> Self {
        use http::HttpError as E;
        match error {
            E::NotGranted(text) | E::Denied(text) => ProviderError::Unauthorized(text),
            E::Invalid(text) => ProviderError::InvalidConfig(text),
            E::Unreachable(text) | E::TimedOut(text) => ProviderError::Unavailable(text),
            E::TooLarge(text) | E::Other(text) => ProviderError::Other(text),
        }
    }
}

impl From<state::StateError> for ProviderError {
    fn from(error: state::StateError) -> Self {
        use state::StateError as E;
        match error {
            E::Conflict => {
                ProviderError::Conflict("another call has changed what is kept of the environment".to_owned())
            }
            E::Unavailable(text) => ProviderError::Unavailable(text),
            E::TooLarge(text) | E::Other(text) => ProviderError::Other(text),
        }
    }
}
