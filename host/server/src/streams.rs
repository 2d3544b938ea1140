//! Server-sent events: how many streams there may be, how long one goes on, and how it ends.
//!
//! **Invariants.**
//! - A piece is made when the connection takes it: who reads slowly has no queue, and holds nobody up.
//! - A stream says something every [`HEARTBEAT`], so that proxies keep it open and a reader that has vanished is noticed.
//! - No stream outlives [`MAX_AGE`]: who is still there comes back with `Last-Event-ID`, and is asked anew who it is.
//! - All streams end when the server does.

use crate::{Problem, access::Caller, problem::Kind};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// How many streams there are at once (5,000). Each holds a connection and some kilobytes; a team of hundreds has one or two a tab.
pub(crate) const MAX_STREAMS: usize = 5_000;
/// How many of them one user may have (1,500): nobody's script shuts the others out.
pub(crate) const MAX_STREAMS_OF_ONE: usize = 1_500;
/// How long a stream is silent at most: well below the minute after which proxies give up.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a stream goes on (an hour): that long a key that was revoked may still read what it was reading.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(3600);
/// How much is gathered into one event or one piece, in bytes (64 KiB): large enough to be cheap, small enough to be seen at once.
pub(crate) const BATCH_BYTES: usize = 64 * 1024;

/// What a stream begins with: when to come back after it was cut off, in milliseconds, a little for everybody not to come at once.
const BEGINNING: &str = "retry: 2000\n: windlass\n\n";

/// The streams there are. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Parts>);

#[derive(Default)]
struct Parts {
    /// How many each user has.
    of: Mutex<HashMap<i64, usize>>,
    stopping: CancellationToken,
}

/// One stream's place among them, given back when it is dropped.
pub(crate) struct Place {
    streams: Streams,
    user: i64,
}

impl Streams {
    /// A place for one more.
    pub(crate) fn enter(&self, caller: &Caller) -> Result<Place, Problem> {
        let mut of = self.0.of.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = of.values().sum();
        let own = of.entry(caller.user).or_default();
        let (full, whose) = match (*own >= MAX_STREAMS_OF_ONE, all >= MAX_STREAMS) {
            (true, _) => (MAX_STREAMS_OF_ONE, format!("{} has", caller.name)),
            (_, true) => (MAX_STREAMS, "there are".to_owned()),
            _ => {
                *own += 1;
                return Ok(Place { streams: self.clone(), user: caller.user });
            }
        };
        let problem = Problem::new(Kind::Streams, format!("{whose} {full} streams already"));
        let problem = problem.help("close some of them, or read lists and logs without following them");
        Err(Problem { retry_after_s: Some(10), ..problem })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.of.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// Ends all, and those that begin later at once.
    pub(crate) fn stop(&self) {
        self.0.stopping.cancel();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut of = self.streams.0.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = of.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                of.remove(&self.user);
            }
        }
    }
}

/// Where a stream's events come from.
pub(crate) trait Source: Send + 'static {
    /// The next piece, which is whole events; `None` at the end. May be dropped while it waits, and nothing is lost.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// Answers with a stream.
pub(crate) fn respond(place: Place, source: impl Source) -> Response {
    respond_until(place, source, Instant::now() + MAX_AGE)
}

fn respond_until(place: Place, source: impl Source, end: Instant) -> Response {
    let beginning = futures::stream::iter([Ok(Bytes::from_static(BEGINNING.as_bytes()))]);
    let pieces = futures::stream::unfold((place, source), move |(place, mut source)| async move {
        let stopping = &place.streams.0.stopping;
        let piece = tokio::select! {
            biased;
            () = stopping.cancelled() => None,
            () = sleep_until(end) => None,
            next = timeout(HEARTBEAT, source.next()) => match next {
                Ok(next) => next,
                Err(_) => Some(Bytes::from_static(windlass_report::sse::HEARTBEAT.as_bytes())),
            },
        }?;
        Some((Ok::<_, std::convert::Infallible>(piece), (place, source)))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx would gather what must be seen at once.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(futures::StreamExt::chain(beginning, pieces))).into_response()
}

/// An event with a JSON document.
pub(crate) fn event(name: &str, id: Option<u64>, data: &impl serde::Serialize) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    // Keys are texts and numbers finite: cannot fail. JSON has no line breaks outside of its texts, where they are escaped.
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("{id}event: {name}\ndata: {data}\n\n"))
}

/// What the reader says that it has: the header `Last-Event-ID`, which browsers send by themselves, goes before the parameter.
pub(crate) fn last_event_id(headers: &HeaderMap, parameter: Option<&str>) -> Result<Option<String>, Problem> {
    let unreadable = |_| Problem::new(Kind::Invalid, "the header Last-Event-ID is no text");
    let header = headers.get("last-event-id").map(HeaderValue::to_str).transpose().map_err(unreadable)?;
    Ok(header.filter(|id| !id.is_empty()).or(parameter).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    fn caller(user: i64) -> Caller {
        Caller { user, name: format!("u{user}"), role: Role::Viewer, via: "session".to_owned() }
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let streams = Streams::default();
        let own: Vec<Place> = (0..MAX_STREAMS_OF_ONE).map(|_| streams.enter(&caller(1)).expect("a place")).collect();
        let full = streams.enter(&caller(1)).err().expect("no place");
        assert_eq!((full.status, full.code.as_str(), full.retry_after_s), (429, "WL1540", Some(10)));
        let mut others = Vec::new();
        for user in 2.. {
            while let Ok(place) = streams.enter(&caller(user)) {
                others.push(place);
            }
            if streams.count() == MAX_STREAMS {
                break;
            }
        }
        let full = streams.enter(&caller(1_000)).err().expect("no place");
        assert!(full.detail.contains("5000"), "{}", full.detail);
        drop((own, others));
        assert_eq!(streams.count(), 0);
        assert!(streams.enter(&caller(1)).is_ok());
    }

    /// Something new at every look.
    struct Endless;

    impl Source for Endless {
        async fn next(&mut self) -> Option<Bytes> {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some(Bytes::from_static(b"data: more\n\n"))
        }
    }

    #[tokio::test]
    async fn no_stream_outlives_its_end_and_each_gives_its_place_back() {
        let streams = Streams::default();
        let end = Instant::now() + Duration::from_millis(200);
        let response = respond_until(streams.enter(&caller(1)).unwrap(), Endless, end);
        assert_eq!(streams.count(), 1);
        let whole = timeout(Duration::from_secs(20), axum::body::to_bytes(response.into_body(), usize::MAX));
        let body = String::from_utf8(whole.await.expect("it ends").unwrap().to_vec()).unwrap();
        assert!(Instant::now() >= end, "not before its time");
        assert!(body.starts_with(BEGINNING) && body.contains("data: more"), "{body}");
        assert_eq!(streams.count(), 0);
        // Whoever is asked anew after an hour is: no longer may a revoked key read.
        assert_eq!(MAX_AGE, Duration::from_secs(3_600));
    }
}
