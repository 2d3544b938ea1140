//! What can go wrong, as a server's error, an OCI answer, or a refusal of the gate.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use std::{io, path::Path, time::Duration};
use windlass_contract::{Code, CodedError};
use windlass_package::release::{Refusal, Refusals};

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
    /// The database.
    #[error("the database could not {what}: {why}")]
    Database {
        /// What was tried.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// A later version has written the database.
    #[error("the database {path} was made by a later version of registry-server")]
    NewerDatabase {
        /// Which.
        path: String,
    },
    /// The registry's own key.
    #[error("the registry's key {path} cannot be used: {why}")]
    Key {
        /// Which file.
        path: String,
        /// Why not.
        why: String,
    },
    /// The configuration file.
    #[error("the configuration {path} cannot be used: {why}")]
    Config {
        /// Which file.
        path: String,
        /// Why not.
        why: String,
    },
    /// What was asked for is not there.
    #[error("{0}")]
    Unknown(String),
    /// What was asked for does not go together with what there is.
    #[error("{0}")]
    Conflict(String),
    /// A request that says something that cannot be.
    #[error("{0}")]
    BadRequest(String),
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
            RegistryError::Database { .. } => 952,
            RegistryError::BadToken(_) => 953,
            RegistryError::NewerDatabase { .. } => 954,
            RegistryError::Key { .. } => 955,
            RegistryError::Unknown(_) => 956,
            RegistryError::Conflict(_) => 957,
            RegistryError::BadRequest(_) => 958,
            RegistryError::Config { .. } => 959,
        })
    }
    fn help(&self) -> Option<String> {
        Some(
            match self {
                RegistryError::Io { .. } => "check the folder given by --data: its disk, its owner",
                RegistryError::InUse(_) => "stop that one, or give another folder by --data",
                RegistryError::Database { .. } => {
                    "check the disk of the folder given by --data; a damaged registry.db is put back from a copy"
                }
                RegistryError::BadToken(_) => "see `registry-server token create --help`",
                RegistryError::NewerDatabase { .. } => "start that version, or give another folder by --data",
                RegistryError::Key { .. } => {
                    "put the file back from a copy: clients that know the old key refuse a new one"
                }
                RegistryError::Config { .. } => {
                    "correct the file given by --config; docs/registry.md says what may be in it"
                }
                RegistryError::Unknown(_) | RegistryError::Conflict(_) | RegistryError::BadRequest(_) => return None,
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
    /// How long to wait before trying again.
    pub(crate) retry_after: Option<Duration>,
}

impl OciError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        OciError { status, code, message: message.into(), challenge: None, retry_after: None }
    }

    /// Too much of something.
    pub(crate) fn too_many(what: &str, retry_after: Duration) -> Self {
        let message = format!("too many {what}; try again in {} seconds", seconds(retry_after));
        let error = OciError::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message);
        OciError { retry_after: Some(retry_after), ..error }
    }
}

/// Whole seconds, so many that it is over after them.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + 1
}

fn add_headers(response: &mut Response, challenge: Option<&str>, retry_after: Option<Duration>) {
    if let Some(challenge) = challenge.and_then(|text| HeaderValue::from_str(text).ok()) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(time) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds(time)));
    }
}

/// An error answer of our own API: [`Refusals`] with one reason.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    refusal: Refusal,
    challenge: Option<String>,
    retry_after: Option<Duration>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, error: &impl CodedError) -> Self {
        let refusal = Refusal { code: error.code().to_string(), message: error.to_string(), help: error.help() };
        ApiError { status, refusal, challenge: None, retry_after: None }
    }
}

impl From<RegistryError> for ApiError {
    fn from(error: RegistryError) -> Self {
        let status = match error {
            RegistryError::Unknown(_) => StatusCode::NOT_FOUND,
            RegistryError::Conflict(_) => StatusCode::CONFLICT,
            RegistryError::BadRequest(_) | RegistryError::BadToken(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut answer = ApiError::new(status, &error);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(%error, code = %error.code(), "a request failed");
            // Paths of the server are its own business.
            answer.refusal.message = "the registry could not do this; its log says why".to_owned();
            answer.refusal.help = None;
        }
        answer
    }
}

/// What stands before both protocols: tokens and limits.
impl From<OciError> for ApiError {
    fn from(error: OciError) -> Self {
        let (code, help) = match error.status {
            StatusCode::UNAUTHORIZED => (930, Some("send a token of this registry as a bearer token")),
            StatusCode::FORBIDDEN => (901, Some("use a token that was made for this")),
            StatusCode::TOO_MANY_REQUESTS => (931, None),
            StatusCode::NOT_FOUND => (956, None),
            StatusCode::CONFLICT => (957, None),
            StatusCode::BAD_REQUEST => (958, None),
            _ => (950, None),
        };
        let refusal = Refusal { code: Code(code).to_string(), message: error.message, help: help.map(str::to_owned) };
        ApiError { status: error.status, refusal, challenge: error.challenge, retry_after: error.retry_after }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(Refusals { errors: vec![self.refusal] })).into_response();
        add_headers(&mut response, self.challenge.as_deref(), self.retry_after);
        response
    }
}

impl From<RegistryError> for OciError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Unknown(what) => OciError::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", what),
            RegistryError::Conflict(why) => OciError::new(StatusCode::CONFLICT, "DENIED", why),
            RegistryError::BadRequest(why) | RegistryError::BadToken(why) => {
                OciError::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", why)
            }
            error => {
                tracing::error!(%error, code = %error.code(), "a request failed");
                // Paths of the server are its own business.
                let message = "the registry could not do this; its log says why";
                OciError::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", message)
            }
        }
    }
}

impl IntoResponse for OciError {
    fn into_response(self) -> Response {
        let body = json!({"errors": [{"code": self.code, "message": self.message, "detail": null}]});
        let mut response = (self.status, Json(body)).into_response();
        add_headers(&mut response, self.challenge.as_deref(), self.retry_after);
        response
    }
}
