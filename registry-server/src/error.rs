//! What can go wrong, as a server's error, an OCI answer, or a refusal of the gate.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use std::{io, path::Path};
use windlass_contract::{Code, CodedError};

/// Why the registry itself could not do its work. Codes WL09xx.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A file or folder.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Another server has the folder.
    #[error("the folder {0} is used by another registry-server")]
    InUse(String),
    /// An index file.
    #[error("the index file {path} is damaged: {why}")]
    DamagedIndex {
        /// Which.
        path: String,
        /// How.
        why: String,
    },
    /// A request for a token.
    #[error("{0}")]
    BadToken(String),
}

impl RegistryError {
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        RegistryError::Io { what, path: path.display().to_string(), source }
    }
}

impl CodedError for RegistryError {
    fn code(&self) -> Code {
        Code(match self {
            RegistryError::Io { .. } => 950,
            RegistryError::InUse(_) => 951,
            RegistryError::DamagedIndex { .. } => 952,
            RegistryError::BadToken(_) => 953,
        })
    }
    fn help(&self) -> Option<String> {
        Some(
            match self {
                RegistryError::Io { .. } => "check the folder given by --data: its disk, its owner",
                RegistryError::InUse(_) => "stop that one, or give another folder by --data",
                RegistryError::DamagedIndex { .. } => {
                    "put the file back from a copy; the registry does not start without it"
                }
                RegistryError::BadToken(_) => "see `registry-server token create --help`",
            }
            .to_owned(),
        )
    }
}

/// An error answer of the distribution protocol.
#[derive(Debug)]
pub(crate) struct OciError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) challenge: Option<String>,
}

impl OciError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        OciError { status, code, message: message.into(), challenge: None }
    }
}

impl From<RegistryError> for OciError {
    fn from(error: RegistryError) -> Self {
        tracing::error!(%error, code = %error.code(), "a request failed");
        // Paths of the server are its own business.
        OciError::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "the registry could not do this; its log says why")
    }
}

impl IntoResponse for OciError {
    fn into_response(self) -> Response {
        let body = json!({"errors": [{"code": self.code, "message": self.message, "detail": null}]});
        let mut response = (self.status, Json(body)).into_response();
        if let Some(challenge) = self.challenge.and_then(|text| HeaderValue::from_str(&text).ok()) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
