//! Connections: how many there are at once, and how long one may keep a server waiting.
//!
//! What a request may take is bounded around its route; what comes before a request is bounded here. Who opens a connection and
//! says nothing, or says it letter by letter, is cut off after [`HEADER_PATIENCE`], and so is one that rests between two requests;
//! who opens very many waits in the kernel's queue. Each of them costs an open file and some memory, which are what runs out.

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
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
/// How long to wait after a connection could not be taken, in seconds: what is missing (an open file) does not come back at once.
const REST: Duration = Duration::from_secs(1);

/// What a server bounds.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once; more wait.
    pub connections: usize,
    /// How long answers that were begun may take after the stop; without it, as long as they do. Streams have no end of their own.
    pub grace: Option<Duration>,
}

/// Serves until `stop` comes, and then until every request that was begun has been answered, or the grace is over.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, stop: impl Future<Output = ()>) {
    let room = Arc::new(Semaphore::new(bounds.connections));
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
    let ended = stopping.closed();
    match bounds.grace {
        Some(grace) => drop(tokio::time::timeout(grace, ended).await),
        None => ended.await,
    }
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
