//! Places where a test can end the process: `FAILPOINTS="registry::before-commit=5*off->return"` ends it at the sixth commit.
//!
//! A build of the whole workspace with `windlass-cli/failpoints`, as the tests' is, has them too: the library is one.

/// An upload's bytes are whole and synced, and have no name as a blob yet.
pub const BEFORE_BLOB_RENAME: &str = "registry::before-blob-rename";
/// The blob has its name, and nobody has been told.
pub const AFTER_BLOB_RENAME: &str = "registry::after-blob-rename";
/// Everything of a transaction is written, and nothing is committed.
pub const BEFORE_COMMIT: &str = "registry::before-commit";
/// Everything is committed, and nobody has been told.
pub const AFTER_COMMIT: &str = "registry::after-commit";

/// Ends the process here, as `kill -9` would, if a test asked for `return`; does whatever else it asked for; and is nothing
/// without the feature `failpoints`.
pub(crate) fn crash_point(name: &str) {
    let _ = name;
    fail::fail_point!(name, |_| std::process::abort());
}
