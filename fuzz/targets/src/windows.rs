//! When a scheduled gate opens: always, once, and never earlier for one who asks later.

use windlass_engine::fuzzing::next_open;
use windlass_manifest::plan::{Schedule, Window};

/// Zones whose clocks change at odd hours, by odd amounts, or that left out a day.
const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "Asia/Tehran",
    "Antarctica/Troll",
    "Pacific/Kiritimati",
];
/// 1970 to 2100.
const SPAN_MS: u64 = 130 * 365 * 24 * 3_600_000;
const WEEK_MS: u64 = 8 * 24 * 3_600_000;

/// The first bytes are a time, a pause and a zone, and each three that follow a window.
pub(crate) fn windows(input: &[u8]) {
    let Some((head, rest)) = input.split_first_chunk::<13>() else { return };
    let time: [u8; 8] = std::array::from_fn(|at| head[at]);
    let pause: [u8; 4] = std::array::from_fn(|at| head[8 + at]);
    let now = u64::from_le_bytes(time) % SPAN_MS;
    let later = now + u64::from(u32::from_le_bytes(pause));
    let (chunks, _) = rest.as_chunks::<3>();
    let window = |[days, start, end]: &[u8; 3]| Window {
        weekdays: (1..=7).filter(|day| days & (1 << day) != 0).collect(),
        start_hour: start % 24,
        end_hour: end % 25,
    };
    // A gate whose window is empty is refused before it is a plan.
    let windows: Vec<Window> =
        chunks.iter().map(window).filter(|window| window.start_hour != window.end_hour).collect();
    let timezone = ZONES[usize::from(head[12]) % ZONES.len()].to_owned();
    let schedule = Schedule { windows, timezone };
    let open = |at: u64| next_open(&schedule, at).unwrap_or_else(|why| panic!("{schedule:?} at {at}: {why}"));
    let Some(first) = open(now) else {
        assert!(schedule.windows.is_empty(), "{schedule:?} never opens after {now}");
        return;
    };
    assert!(first >= now, "{schedule:?} opened before it was asked: {first} < {now}");
    // A day that a zone leaves out costs a second week.
    assert!(first - now <= 2 * WEEK_MS, "{schedule:?} at {now} opens only at {first}");
    assert_eq!(open(first), Some(first), "{schedule:?} is not open when it opens");
    let second = open(later);
    assert!(second >= Some(first), "{schedule:?}: {later} opens at {second:?}, before {first}");
    if later <= first {
        assert_eq!(second, Some(first), "{schedule:?}: nothing opens between {now} and {first}");
    }
}
