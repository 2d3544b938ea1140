//! Places where a test can end the process: `FAILPOINTS="package::before-rename=2*off->return"` ends it at the third file.
//!
//! Every durable step of an install, an update, a publication or a removal is one rename here ([`crate::files`]) or one request
//! there ([`crate::http`]); so three places, counted, are all of them, those that are added later too.

/// A file is written and synced, and does not have its name yet.
pub(crate) const BEFORE_RENAME: &str = "package::before-rename";
/// It has its name, for good, and nothing else has followed.
pub(crate) const AFTER_RENAME: &str = "package::after-rename";
/// A registry has done what it was asked for, and the answer is not looked at yet.
pub(crate) const AFTER_ANSWER: &str = "package::after-answer";

/// Ends the process here, as `kill -9` would, if a test asked for `return`; does whatever else it asked for; and is nothing
/// without the feature `failpoints`.
pub(crate) fn crash_point(name: &str) {
    let _ = name;
    fail::fail_point!(name, |_| std::process::abort());
}
