//! Stable error codes.

use std::fmt;

/// A stable code such as `WL0123`: what a reader can search for and a script can match on.
///
/// The ranges are owned by crates so that two never collide: 00xx manifest, 01xx templates and expressions, 02xx
/// engine, 03xx runtime, 04xx containers, 05xx artifacts, 06xx secrets, 07xx http, 08xx package, 09xx registry,
/// 10xx store, 11xx driver, 12xx command line,
/// 13xx report, 14xx recorded sessions (from 1400) and plugin authors (from 1420).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WL{:04}", self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What every error of ours can tell: its code, and what the reader should do next.
pub trait CodedError: std::error::Error {
    /// The stable code.
    fn code(&self) -> Code;
    /// What to do next, as one sentence; `None` only where the message says it already.
    fn help(&self) -> Option<String> {
        None
    }
    /// Whether the same request may succeed later without anybody changing anything.
    fn retryable(&self) -> bool {
        false
    }
}
