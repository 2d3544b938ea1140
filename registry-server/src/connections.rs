//! How many connections there are at once, and bodies that say beforehand that they are too large. The rest is in `windlass_serving`.

use crate::error::OciError;
use axum::{
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

/// Connections at once; more wait. The program raises its own limit of open files as far as it may, which usually is four times as much
/// and more.
pub const MAX_CONNECTIONS: usize = 4096;

/// Refuses a body that says of itself that it is larger than `LIMIT` bytes, before any of it is read. What does not say so is
/// counted where it is read.
pub(crate) async fn at_most<const LIMIT: u64>(request: axum::extract::Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > LIMIT) {
        let message = format!("the body of this request has at most {LIMIT} bytes");
        return OciError::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message).into_response();
    }
    next.run(request).await
}
