//! Places where a test can end the process: `FAILPOINTS="store::before-commit=5*off->return"` ends it at the sixth commit.

/// Everything is written, and nothing is committed.
pub const BEFORE_COMMIT: &str = "store::before-commit";
/// Everything is committed, and nobody has been told.
pub const AFTER_COMMIT: &str = "store::after-commit";
/// What somebody changes of the records is written, its entry in the audit is not, and nothing is committed.
pub(crate) const CHANGED: &str = "records::changed";
/// Its entry is written, too.
pub(crate) const AUDITED: &str = "records::audited";
/// Both are committed, and nobody has been told.
pub(crate) const COMMITTED: &str = "records::committed";
/// The entry of what is changed elsewhere is committed, and that is not begun.
pub(crate) const INTENDED: &str = "records::intended";
/// A request with an idempotency key has had its effect, and its answer is not kept.
pub(crate) const BEFORE_ANSWER: &str = "records::before-answer";
/// A deployment has come to its end at the provider, and its row does not say so.
pub(crate) const BEFORE_SETTLE: &str = "records::before-settle";

/// Ends the process here, as `kill -9` would, if a test asked for `return`; does whatever else it asked for; and is nothing
/// without the feature `failpoints`.
pub(crate) fn crash_point(name: &str) {
    let _ = name;
    fail::fail_point!(name, |_| std::process::abort());
}
