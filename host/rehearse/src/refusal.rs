//! The errors of the capabilities as they stand in a session: the case's name in `wit/`, and its text.

use serde::{Deserialize, Serialize};
use windlass_contract::capability::{ArtifactError, ContainerError, HttpError, SecretError};

/// A capability's error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Which case, as `wit/` calls it.
    pub case: String,
    /// Its text; empty where the case has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// An error that can be written into a session and read from it.
pub(crate) trait Refused: Sized {
    /// As it is written.
    fn refusal(&self) -> Refusal;
    /// From what is written; a case that this version does not know is `other`, as for a guest.
    fn from_refusal(refusal: Refusal) -> Self;
}

macro_rules! refused {
    ($error:ident: $($case:ident = $name:literal),*; $($bare:ident = $bare_name:literal)?) => {
        impl Refused for $error {
            fn refusal(&self) -> Refusal {
                let (case, text) = match self {
                    $($error::$case(text) => ($name, text.as_str()),)*
                    $($error::$bare => ($bare_name, ""),)?
                    $error::Other(text) => ("other", text.as_str()),
                };
                Refusal { case: case.to_owned(), text: text.to_owned() }
            }
            fn from_refusal(refusal: Refusal) -> Self {
                match refusal.case.as_str() {
                    $($name => $error::$case(refusal.text),)*
                    $($bare_name => $error::$bare,)?
                    _ => $error::Other(refusal.text),
                }
            }
        }
    };
}

refused!(ContainerError: NotGranted = "not-granted", Invalid = "invalid", ImagePullFailed = "image-pull-failed",
    VolumeMountFailed = "volume-mount-failed", ResourceExhausted = "resource-exhausted",
    EngineUnavailable = "engine-unavailable", Lost = "lost", NotFound = "not-found", TooLarge = "too-large";
    Cancelled = "cancelled");
refused!(ArtifactError: NotGranted = "not-granted", NotFound = "not-found", Invalid = "invalid", TooLarge = "too-large",
    Unavailable = "unavailable";);
refused!(SecretError: NotGranted = "not-granted", NotFound = "not-found", Unavailable = "unavailable", Invalid = "invalid";);
refused!(HttpError: NotGranted = "not-granted", Denied = "denied", Invalid = "invalid", Unreachable = "unreachable",
    TimedOut = "timed-out", TooLarge = "too-large";);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_comes_back_as_it_went() {
        let check = |error: ContainerError| assert_eq!(ContainerError::from_refusal(error.refusal()), error);
        let text = || "why".to_owned();
        for error in [
            ContainerError::NotGranted(text()),
            ContainerError::Invalid(text()),
            ContainerError::ImagePullFailed(text()),
            ContainerError::VolumeMountFailed(text()),
            ContainerError::ResourceExhausted(text()),
            ContainerError::EngineUnavailable(text()),
            ContainerError::Lost(text()),
            ContainerError::Cancelled,
            ContainerError::NotFound(text()),
            ContainerError::TooLarge(text()),
            ContainerError::Other(text()),
        ] {
            check(error);
        }
        let unknown = Refusal { case: "of-a-later-version".to_owned(), text: text() };
        assert_eq!(HttpError::from_refusal(unknown), HttpError::Other(text()));
    }
}
