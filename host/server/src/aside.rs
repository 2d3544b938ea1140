//! Work that holds a thread (files, hashes, compilers, the vault), and work that nobody's going away may end.

use crate::{
    Problem,
    edge::{self, REQUEST},
};
use std::future::Future;
use tokio::{runtime::Handle, task::JoinHandle};

/// Does work on a thread that nobody else waits for. It goes on when nobody waits for it any more. In the audit it is still part of its
/// request.
pub(crate) async fn aside<T, W>(work: impl FnOnce() -> W + Send + 'static) -> Result<T, Problem>
where
    T: Send + 'static,
    W: Future<Output = T>,
{
    let (handle, request) = (Handle::current(), edge::current());
    let work = move || {
        handle.block_on(async {
            match request {
                Some(request) => REQUEST.scope(request, work()).await,
                None => work().await,
            }
        })
    };
    tokio::task::spawn_blocking(work).await.map_err(Problem::internal)
}

/// Begins work that goes on when nobody waits for it any more. In the audit it is still part of its request.
pub(crate) fn detached<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    match edge::current() {
        Some(request) => tokio::spawn(REQUEST.scope(request, work)),
        None => tokio::spawn(work),
    }
}
