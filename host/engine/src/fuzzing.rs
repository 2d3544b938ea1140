//! What the fuzz targets need of this crate and nobody else. Only there with the feature `fuzzing`.

use windlass_manifest::plan::Schedule;

/// The first moment, not before `now_ms`, at which a window is open, in milliseconds since 1970.
///
/// # Errors
/// In words, when the time zone is not known or the time is beyond what calendars hold.
pub fn next_open(schedule: &Schedule, now_ms: u64) -> Result<Option<u64>, String> {
    crate::window::next_open(schedule, now_ms)
}
