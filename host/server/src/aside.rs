//! Work that holds a thread: files, hashes, compilers, the vault.

use crate::Problem;
use std::future::Future;
use tokio::runtime::Handle;

/// Does work on a thread that nobody else waits for. It goes on when nobody waits for it any more.
pub(crate) async fn aside<T, W>(work: impl FnOnce() -> W + Send + 'static) -> Result<T, Problem>
where
    T: Send + 'static,
    W: Future<Output = T>,
{
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || handle.block_on(work())).await.map_err(Problem::internal)
}
