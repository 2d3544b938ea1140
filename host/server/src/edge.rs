//! What every request passes on its way in.

use std::net::IpAddr;

/// Which request it is, and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct RequestInfo {
    /// Its id: in the answer's `x-request-id`, the log and the audit.
    pub(crate) id: String,
    /// The client's address.
    pub(crate) address: IpAddr,
}

tokio::task_local! {
    /// The request that this task answers.
    pub(crate) static REQUEST: RequestInfo;
}

/// The request that is being answered; none outside of one.
pub(crate) fn current() -> Option<RequestInfo> {
    REQUEST.try_with(Clone::clone).ok()
}
