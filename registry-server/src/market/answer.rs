//! Answers of the market: JSON with a validator.

use crate::api::is_known;
use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use windlass_contract::Digest;

/// How long anybody may keep an answer: a minute after a publication everybody sees it.
const CACHE: &str = "public, max-age=60";

/// An answer that any cache may keep, or "not modified".
pub(super) fn json(headers: &HeaderMap, answer: &impl Serialize) -> Response {
    // Texts, numbers, lists and maps with text keys: their JSON cannot fail.
    text(headers, "application/json", serde_json::to_string(answer).unwrap_or_default())
}

/// A text that any cache may keep, or "not modified".
pub(super) fn text(headers: &HeaderMap, media_type: &'static str, body: String) -> Response {
    let etag = format!("\"{}\"", Digest::of(body.as_bytes()).short());
    let common = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, CACHE.to_owned())];
    if is_known(headers, &etag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(header::CONTENT_TYPE, media_type)], body).into_response()
}
