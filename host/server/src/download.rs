//! Downloads: parts of a thing, and what a client has already (RFC 9110).
//!
//! What is served here was written by somebody's build. So it is never of a type that a browser runs: `application/octet-stream` or plain text,
//! not to be guessed (`nosniff`), in a sandbox without an origin.

use crate::{Problem, problem::Kind};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use std::{io, ops::Range};

/// How much is read at once, in bytes (256 KiB).
pub(crate) const PIECE_BYTES: usize = 256 * 1024;

/// What is served.
pub(crate) struct Thing<'a> {
    /// How many bytes it has.
    pub size: u64,
    /// What changes with its bytes, if that is known.
    pub etag: Option<String>,
    /// Whether it is text.
    pub text: bool,
    /// Whether browsers show it, or keep it as a file.
    pub inline: bool,
    /// The file's name: letters, digits, `.`, `_`, `-`, as names of steps and keys of artifacts have, so no quoting is needed.
    pub name: &'a str,
}

/// Which part of a thing is wanted.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    NotThere,
}

/// The part that `Range` names. Units and lists of ranges that are not served are passed over, as a server may.
fn wanted(range: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = range.and_then(|range| range.strip_prefix("bytes=")) else { return Wanted::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // One that is too large for us is past every end.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last && first < size => {
            Wanted::Part(first..last.saturating_add(1).min(size))
        }
        (Some(first), Some(last)) if first > last => Wanted::Whole,
        (Some(first), None) if last.is_empty() && first < size => Wanted::Part(first..size),
        (Some(_), _) if last.is_empty() || number(last).is_some() => Wanted::NotThere,
        (None, Some(count)) if first.is_empty() && count > 0 && size > 0 => {
            Wanted::Part(size.saturating_sub(count)..size)
        }
        (None, Some(_)) if first.is_empty() => Wanted::NotThere,
        _ => Wanted::Whole,
    }
}

/// Answers with a thing or a part of it. `read` gives the bytes from one place on; as many as are wanted are taken.
pub(crate) fn respond<S>(
    thing: &Thing<'_>,
    headers: &HeaderMap,
    read: impl FnOnce(Range<u64>) -> Result<S, Problem>,
) -> Result<Response, Problem>
where
    S: futures::Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let known = |list: &str| {
        let each = || list.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
        thing.etag.as_deref().is_some_and(|etag| each().any(|tag| tag == etag || tag == "*"))
    };
    if text(header::IF_NONE_MATCH).is_some_and(known) {
        return Ok(with_headers(StatusCode::NOT_MODIFIED.into_response(), thing));
    }
    // A part of something else than what the client has the rest of would be damage: it gets the whole.
    let same = text(header::IF_RANGE).is_none_or(|tag| thing.etag.as_deref() == Some(tag));
    let range = text(header::RANGE).filter(|_| same);
    let (status, part) = match wanted(range, thing.size) {
        Wanted::Whole => (StatusCode::OK, 0..thing.size),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Wanted::NotThere => {
            let problem =
                Problem::new(Kind::Range, format!("it has {} bytes, and none of those that are wanted", thing.size));
            let mut response = problem.help("ask for bytes that it has, or leave `Range` away").into_response();
            response.headers_mut().insert(header::CONTENT_RANGE, value(format!("bytes */{}", thing.size)));
            return Ok(response);
        }
    };
    let length = part.end - part.start;
    let content_range = format!("bytes {}-{}/{}", part.start, part.end.saturating_sub(1), thing.size);
    let body = Body::from_stream(exactly(read(part)?, length));
    let mut response = with_headers((status, body).into_response(), thing);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if status == StatusCode::PARTIAL_CONTENT {
        headers.insert(header::CONTENT_RANGE, value(content_range));
    }
    Ok(response)
}

fn with_headers(mut response: Response, thing: &Thing<'_>) -> Response {
    let headers = response.headers_mut();
    let kind = if thing.text { "text/plain; charset=utf-8" } else { "application/octet-stream" };
    let place = if thing.inline { "inline" } else { "attachment" };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, value(format!("{place}; filename=\"{}\"", thing.name)));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    if let Some(etag) = &thing.etag {
        headers.insert(header::ETAG, value(etag.clone()));
    }
    response
}

/// Names and numbers are ASCII; were one not, the header would be missing a name and nothing worse.
fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// As many bytes of a stream as were promised: more are dropped, too few are an error, so that the client does not take it for the whole. The last
/// piece waits for what the reader says after it: that the whole is what it was, for instance.
fn exactly<S>(pieces: S, length: u64) -> impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static
where
    S: futures::Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    futures::stream::try_unfold((Box::pin(pieces), length), |(mut pieces, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let Some(piece) = futures::TryStreamExt::try_next(&mut pieces).await? else {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "there is less than there was"));
        };
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        let left = left - taken as u64;
        if left == 0 {
            futures::TryStreamExt::try_next(&mut pieces).await?;
        }
        Ok(Some((piece.slice(..taken), (pieces, left))))
    })
}

/// What blocks, as a stream: each piece is read on a thread that may block, when the connection takes it.
pub(crate) fn blocking<T: Send + 'static>(
    of: T,
    next: impl Fn(&mut T) -> io::Result<Option<Bytes>> + Clone + Send + 'static,
) -> impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures::stream::try_unfold(of, move |mut of| {
        let next = next.clone();
        async move {
            let read = tokio::task::spawn_blocking(move || next(&mut of).map(|piece| piece.map(|piece| (piece, of))));
            read.await.map_err(io::Error::other)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let part = |first, end| Wanted::Part(first..end);
        let cases = [
            (None, Wanted::Whole),
            (Some("bytes=0-0"), part(0, 1)),
            (Some("bytes=0-9"), part(0, 10)),
            (Some("bytes=3-"), part(3, 10)),
            (Some("bytes=3-99"), part(3, 10)),
            (Some("bytes=-4"), part(6, 10)),
            (Some("bytes=-99"), part(0, 10)),
            (Some("bytes=9-18446744073709551615"), part(9, 10)),
            (Some("bytes=9-99999999999999999999999"), part(9, 10)),
            (Some("bytes=10-"), Wanted::NotThere),
            (Some("bytes=10-12"), Wanted::NotThere),
            (Some("bytes=99999999999999999999999-"), Wanted::NotThere),
            (Some("bytes=-0"), Wanted::NotThere),
            // What is not understood, or not served, is passed over.
            (Some("bytes=5-3"), Wanted::Whole),
            (Some("bytes=0-1,4-5"), Wanted::Whole),
            (Some("bytes=+1-2"), Wanted::Whole),
            (Some("bytes=a-b"), Wanted::Whole),
            (Some("bytes=-"), Wanted::Whole),
            (Some("bytes="), Wanted::Whole),
            (Some("lines=1-2"), Wanted::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(wanted(range, 10), expected, "{range:?}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::NotThere);
        assert_eq!(wanted(Some("bytes=-1"), 0), Wanted::NotThere);
    }
}
