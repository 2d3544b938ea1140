//! The web UI's files, which are in the program.
//!
//! - An address that no route and no file has is the UI's own: it gets the page, whose router knows what to show.
//! - Files whose name has a hash never change; the page is asked for each time.
//! - What was compressed at build time is sent so.

use crate::{Problem, problem::Kind};
use axum::{
    body::Body,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use include_dir::{Dir, File, include_dir};
use sha2::{Digest as _, Sha256};

static FILES: Dir<'_> = include_dir!("$OUT_DIR/ui");
const PAGE: &str = "index.html";
/// Where the build puts files whose name has a hash.
const HASHED: &str = "assets/";
const FOREVER: &str = "public, max-age=31536000, immutable";
/// What is never the UI's, so that a wrong address of the API is an error and no page.
const NOT_PAGES: [&str; 6] = ["api", "v1", "hooks", "health", "metrics", "assets"];

/// What no route has.
pub(crate) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    let file = FILES.get_file(path).filter(|file| !is_packed(file));
    let file = match file {
        Some(file) => Some(file),
        None if NOT_PAGES.contains(&first) => None,
        None => FILES.get_file(PAGE),
    };
    let Some(file) = file else {
        return Problem::new(Kind::NotFound, "there is nothing at this address").into_response();
    };
    if method != Method::GET && method != Method::HEAD {
        return Problem::new(Kind::Method, "this address does not take this method").into_response();
    }
    answer(file, &headers)
}

fn is_packed(file: &File<'_>) -> bool {
    file.path().extension().is_some_and(|ending| ending == "br" || ending == "gz")
}

fn answer(file: &'static File<'static>, headers: &HeaderMap) -> Response {
    let path = file.path().to_string_lossy();
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let packed = [("br", "br"), ("gzip", "gz")].into_iter().find_map(|(name, ending)| {
        let is_accepted =
            accepted.split(',').any(|each| each.split(';').next().is_some_and(|each| each.trim() == name));
        let file = FILES.get_file(format!("{path}.{ending}")).filter(|_| is_accepted)?;
        Some((name, file))
    });
    let bytes = packed.map_or(file.contents(), |(_, file)| file.contents());
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..16]));
    let keep = if path.starts_with(HASHED) { FOREVER } else { "no-cache" };
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, content_type(&path))
        .header(header::CACHE_CONTROL, keep)
        .header(header::ETAG, &tag)
        .header(header::VARY, "accept-encoding");
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        response = response.status(StatusCode::NOT_MODIFIED);
        return response.body(Body::empty()).unwrap_or_default();
    }
    if let Some((name, _)) = packed {
        response = response.header(header::CONTENT_ENCODING, name);
    }
    response.body(Body::from(bytes)).unwrap_or_default()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "webmanifest" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
