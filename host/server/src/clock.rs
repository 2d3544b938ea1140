//! The time.

/// Now, in milliseconds since 1970 (UTC).
pub(crate) fn now_ms() -> u64 {
    jiff::Timestamp::now().as_millisecond().unsigned_abs()
}
