//! The one shape of errors: problem details (RFC 9457) with our stable codes.

use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use windlass_contract::{Code, CodedError};
use windlass_driver::DriverError;
use windlass_store::StoreError;

/// What went wrong, for people and programs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// A URI that names the kind of problem: `urn:windlass:WL1503`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What kind of problem it is, in words that do not change from one time to the next.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The stable code, such as `WL1503`.
    pub code: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Which request it was: in the answer's `x-request-id` and in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What is wrong with which field of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// What stands in the way, where it is a list: the pipelines that use a plugin, for instance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<String>,
    /// When to try again, in seconds.
    #[serde(skip)]
    #[schema(ignore)]
    pub retry_after_s: Option<u64>,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FieldError {
    /// A JSON pointer into the request's body, or `?name` for a parameter.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// The kinds of problems that are the server's own. The codes 15xx are its.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request cannot be read or is not valid.
    Invalid,
    /// Nobody has signed in, or the key is not valid.
    Unauthenticated,
    /// Who has signed in may not.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// It does not go together with what there is.
    Conflict,
    /// What was asked for has been used with another request.
    KeyReused,
    /// The body is too large.
    TooLarge,
    /// The body is of a type that is not read here.
    UnsupportedMedia,
    /// Too many requests.
    TooMany,
    /// The server has no room for more at the moment.
    Busy,
    /// Another system did not do its part.
    Upstream,
    /// A defect of ours, or a broken disk.
    Internal,
    /// No such method.
    Method,
    /// It was there, and what is wanted of it is not any more.
    Gone,
    /// It took too long.
    Timeout,
    /// A change with a cookie that our own pages did not ask for.
    Csrf,
    /// An identity provider vouches for somebody who may not come in.
    NotAdmitted,
    /// The sign-in at an identity provider is not one that this browser began, or its time is over.
    StrangeSignIn,
    /// The same request is being carried out.
    UnderWay,
    /// The same request was begun, and its answer is not there.
    OutcomeUnknown,
    /// Nobody would be left who may manage people.
    LastAdmin,
    /// As many streams as there may be.
    Streams,
    /// Bytes that are not there.
    Range,
    /// A webhook that is not signed with its trigger's secret, or whose trigger is not there: which of them is not told.
    Unsigned,
    /// A webhook that was signed too long ago, or ahead.
    Stale,
    /// What would be installed is not what was agreed to.
    PlanChanged,
    /// The environment's provider is not there, or did not do what was asked.
    Provider,
}

impl Kind {
    fn facts(self) -> (u16, StatusCode, &'static str) {
        match self {
            Kind::Invalid => (1500, StatusCode::BAD_REQUEST, "The request is not valid"),
            Kind::Unauthenticated => (1501, StatusCode::UNAUTHORIZED, "Not signed in"),
            Kind::Forbidden => (1502, StatusCode::FORBIDDEN, "Not allowed"),
            Kind::NotFound => (1503, StatusCode::NOT_FOUND, "Not found"),
            Kind::Conflict => (1504, StatusCode::CONFLICT, "In conflict with what there is"),
            Kind::KeyReused => (1505, StatusCode::UNPROCESSABLE_ENTITY, "Idempotency key of another request"),
            Kind::TooLarge => (1506, StatusCode::PAYLOAD_TOO_LARGE, "Too large"),
            Kind::UnsupportedMedia => (1507, StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not a type that is read here"),
            Kind::TooMany => (1508, StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
            Kind::Busy => (1509, StatusCode::SERVICE_UNAVAILABLE, "No room at the moment"),
            Kind::Upstream => (1510, StatusCode::BAD_GATEWAY, "Another system did not do its part"),
            Kind::Internal => (1511, StatusCode::INTERNAL_SERVER_ERROR, "The server failed"),
            Kind::Method => (1512, StatusCode::METHOD_NOT_ALLOWED, "No such method here"),
            Kind::Gone => (1513, StatusCode::GONE, "Not there any more"),
            Kind::Streams => (1540, StatusCode::TOO_MANY_REQUESTS, "Too many streams"),
            Kind::Range => (1541, StatusCode::RANGE_NOT_SATISFIABLE, "Bytes that are not there"),
            Kind::Timeout => (1514, StatusCode::SERVICE_UNAVAILABLE, "It took too long"),
            Kind::Csrf => (1520, StatusCode::FORBIDDEN, "Not asked for by this server's own pages"),
            Kind::NotAdmitted => (1521, StatusCode::FORBIDDEN, "Known elsewhere, and not admitted here"),
            Kind::StrangeSignIn => (1522, StatusCode::BAD_REQUEST, "Not a sign-in that this browser began"),
            Kind::UnderWay => (1523, StatusCode::CONFLICT, "The same request is under way"),
            Kind::OutcomeUnknown => (1524, StatusCode::CONFLICT, "What came of the same request is not known"),
            Kind::LastAdmin => (1525, StatusCode::CONFLICT, "The last administrator"),
            Kind::Unsigned => (1550, StatusCode::UNAUTHORIZED, "Not signed for a trigger here"),
            Kind::Stale => (1551, StatusCode::UNAUTHORIZED, "Signed at another time"),
            Kind::PlanChanged => (1560, StatusCode::CONFLICT, "Not what was agreed to"),
            Kind::Provider => (1561, StatusCode::CONFLICT, "The provider cannot do that"),
        }
    }
}

impl Problem {
    /// A problem of the server's own.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        let (code, status, title) = kind.facts();
        Problem::coded(Code(code), status, title, detail.into())
    }

    fn coded(code: Code, status: StatusCode, title: &str, detail: String) -> Problem {
        Problem {
            kind: format!("urn:windlass:{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail,
            code: code.to_string(),
            help: None,
            request_id: None,
            errors: Vec::new(),
            blockers: Vec::new(),
            retry_after_s: None,
        }
    }

    /// A problem that a crate below has told, under its own code.
    pub(crate) fn told(kind: Kind, error: &impl CodedError) -> Problem {
        let (_, status, title) = kind.facts();
        Problem { help: error.help(), ..Problem::coded(error.code(), status, title, error.to_string()) }
    }

    /// With what to do next.
    pub(crate) fn help(self, help: impl Into<String>) -> Problem {
        Problem { help: Some(help.into()), ..self }
    }

    /// About a field of the request.
    pub(crate) fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Problem {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// A field that is not valid.
    pub(crate) fn field(pointer: &str, detail: impl Into<String>) -> Problem {
        let detail = detail.into();
        Problem::new(Kind::Invalid, detail.clone()).at(pointer, detail)
    }

    /// Whether it is only that there is no room at the moment.
    pub(crate) fn is_busy(&self) -> bool {
        self.code == Code(Kind::Busy.facts().0).to_string()
    }

    /// There is no such thing.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Problem {
        Problem::new(Kind::NotFound, format!("there is no {what}"))
    }

    /// Something that must not happen. What happened is in the log and not in the answer: it may tell an attacker too much.
    pub(crate) fn internal(error: impl std::fmt::Display) -> Problem {
        tracing::error!("a request failed: {error}");
        Problem::new(Kind::Internal, "the server could not do this; its log says why, under the request's id")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry = self.retry_after_s;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::UnknownRun { .. } => Problem::told(Kind::NotFound, &error),
            StoreError::Owned { .. } | StoreError::RunOwned { .. } | StoreError::Conflict { .. } => {
                Problem::told(Kind::Conflict, &error)
            }
            _ => Problem::internal(error),
        }
    }
}

impl From<DriverError> for Problem {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::Store(error) => error.into(),
            DriverError::Finished { .. }
            | DriverError::NothingToDecide { .. }
            | DriverError::Refused(_)
            | DriverError::VolumesGone { .. }
            | DriverError::SubRunBusy { .. }
            | DriverError::EnvironmentBusy { .. } => Problem::told(Kind::Conflict, &error),
            error => Problem::internal(error),
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let kind = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Kind::UnsupportedMedia,
            _ => Kind::Invalid,
        };
        Problem::new(kind, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Problem::new(Kind::Invalid, rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Problem::new(Kind::Invalid, rejection.body_text())
    }
}
