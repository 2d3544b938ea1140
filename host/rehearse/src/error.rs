//! Why a session cannot be read or written.

use std::path::PathBuf;
use windlass_contract::{Code, CodedError};

/// Why a session cannot be read or written. Codes WL1400 to WL1419.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A file or folder.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A line that is not a call.
    #[error("{} is not a session (line {line}): {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// Over a limit.
    #[error("the session {} has more than {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Which limit.
        limit: String,
    },
    /// A data file that is not what the session says.
    #[error("{} is not the data that its session was recorded with", path.display())]
    Data {
        /// The file.
        path: PathBuf,
    },
}

impl CodedError for SessionError {
    fn code(&self) -> Code {
        Code(match self {
            SessionError::Io { .. } => 1400,
            SessionError::Malformed { .. } => 1401,
            SessionError::TooLarge { .. } => 1402,
            SessionError::Data { .. } => 1403,
        })
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            SessionError::Io { .. } => {
                "see whether the file is there and may be used, or record the session anew".into()
            }
            SessionError::Malformed { .. } | SessionError::Data { .. } => {
                "record the session anew with `windlass plugin test --record`; it is not meant to be edited".into()
            }
            SessionError::TooLarge { .. } => "let the case do less: a session is a test, not a load".into(),
        })
    }
}
