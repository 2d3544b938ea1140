//! Connections: how many there are at once, and how long one may keep the server waiting.
//!
//! What a request may take is bounded around its route; what comes before a request is bounded here. Who opens a connection and
//! says nothing, or says it letter by letter, is cut off after [`HEADER_PATIENCE`], and so is one that rests between two requests;
//! who opens very many waits in the kernel's queue. Each of them costs an open file and some memory, which are what runs out.

use crate::error::OciError;
use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{Request, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use hyper::{body::Incoming, server::conn::http1::Builder};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tower::{ServiceExt as _, service_fn};

/// How long a client may take to say what it wants, in seconds: a head is a few hundred bytes.
pub const HEADER_PATIENCE: Duration = Duration::from_secs(10);
/// Connections at once; more wait. The program raises its own limit of open files as far as it may, which usually is four times as much
/// and more.
pub const MAX_CONNECTIONS: usize = 4096;
/// How long to wait after a connection could not be taken, in seconds: what is missing (an open file) does not come back at once.
const REST: Duration = Duration::from_secs(1);

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

/// Serves until `stop` comes, and then until every request that was begun has been answered.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (stopping, stopped) = watch::channel(false);
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let permit = room.clone().acquire_owned().await.ok();
            (listener.accept().await, permit)
        };
        tokio::select! {
            () = &mut stop => break,
            (accepted, permit) = next => match accepted {
                Ok((stream, peer)) => {
                    tokio::spawn(connection(stream, peer, router.clone(), stopped.clone(), permit));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(REST).await;
                }
            },
        }
    }
    drop((listener, stopped));
    let _ = stopping.send(true);
    // Every connection holds a receiver.
    stopping.closed().await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    _permit: Option<OwnedSemaphorePermit>,
) {
    // Answers are whole when they are sent: nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    // HTTP/1.1 alone: to find out which version a client speaks would be to wait for its first bytes without end. HTTP/2 is what the
    // proxy speaks that ends TLS.
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_PATIENCE);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
    let stop = async { drop(stopped.wait_for(|stopped| *stopped).await) };
    let early = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stop => None,
    };
    let ended = match early {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection broke off");
    }
}
