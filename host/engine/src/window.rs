//! When a scheduled gate is open.
//!
//! Hours and weekdays are read in the schedule's time zone, by the tz database that is compiled in: the answer depends on
//! nothing but the schedule and the time that is asked about. An hour that a change of the clocks leaves out begins when the
//! clocks go on; one that comes twice is open both times.

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use windlass_manifest::plan::{Schedule, Window};

/// How many days ahead an opening is looked for: every weekday comes within a week, and the window that began yesterday may
/// still be open.
const DAYS: i32 = 8;

/// The first moment, not before `now_ms`, at which a window is open; `now_ms` itself where one is. `None` where there is none,
/// which a checked schedule does not give.
///
/// # Errors
/// When the time zone is not known, or the time is beyond what calendars hold; in words.
pub(crate) fn next_open(schedule: &Schedule, now_ms: u64) -> Result<Option<u64>, String> {
    let zone = jiff::tz::TimeZoneDatabase::bundled().get(&schedule.timezone).map_err(|_| {
        format!("the time zone {:?} is not known; write one such as Europe/Berlin, or UTC", schedule.timezone)
    })?;
    let beyond = || "the gate's time is beyond the calendar".to_owned();
    let now = i64::try_from(now_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).ok_or_else(beyond)?;
    let today = now.to_zoned(zone.clone()).date();
    let mut first: Option<u64> = None;
    for offset in -1..DAYS {
        let Ok(day) = today.checked_add(offset.days()) else { continue };
        for window in schedule.windows.iter().filter(|window| begins_on(window, day)) {
            let Some((start, end)) = interval(window, day, &zone) else { continue };
            if end <= now {
                continue;
            }
            let open = u64::try_from(start.max(now).as_millisecond()).unwrap_or(0);
            first = Some(first.map_or(open, |known| known.min(open)));
        }
    }
    Ok(first)
}

fn begins_on(window: &Window, day: Date) -> bool {
    let weekday = u8::try_from(day.weekday().to_monday_one_offset()).unwrap_or(0);
    window.weekdays.is_empty() || window.weekdays.contains(&weekday)
}

/// The window that begins on this day.
fn interval(window: &Window, day: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
    let at = |day: Date, hour: u8| {
        let (day, hour) = if hour >= 24 { (day.tomorrow().ok()?, 0) } else { (day, i8::try_from(hour).ok()?) };
        zone.to_timestamp(day.at(hour, 0, 0, 0)).ok()
    };
    let start = at(day, window.start_hour)?;
    let end_day = if window.end_hour > window.start_hour { day } else { day.tomorrow().ok()? };
    Some((start, at(end_day, window.end_hour)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows such as `mon-fri 9-17`, `sat`, `22-6`, joined by `;`.
    fn schedule(text: &str, timezone: &str) -> Schedule {
        const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let number = |name: &str| DAYS.iter().position(|day| *day == name).map(|at| at as u8 + 1);
        let one = |text: &str| {
            let mut window = Window { weekdays: Default::default(), start_hour: 0, end_hour: 24 };
            for word in text.split_whitespace() {
                let (from, to) = word.split_once('-').unwrap_or((word, word));
                match (number(from), number(to)) {
                    (Some(from), Some(to)) => window.weekdays = (from..=to).collect(),
                    _ => (window.start_hour, window.end_hour) = (from.parse().unwrap(), to.parse().unwrap()),
                }
            }
            window
        };
        Schedule { windows: text.split(';').map(one).collect(), timezone: timezone.to_owned() }
    }

    #[track_caller]
    fn check(windows: &str, zone: &str, now: &str, expect: &str) {
        let ms = |text: &str| u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap();
        let open = next_open(&schedule(windows, zone), ms(now)).unwrap().expect("it opens");
        let found = Timestamp::from_millisecond(i64::try_from(open).unwrap()).unwrap().to_string();
        assert_eq!(found, expect, "{windows} in {zone} at {now}");
    }

    #[test]
    fn weekdays_and_hours() {
        // 2026-11-24 is a Tuesday.
        check("mon-fri 9-17", "UTC", "2026-11-24T08:00:00Z", "2026-11-24T09:00:00Z");
        check("mon-fri 9-17", "UTC", "2026-11-24T09:00:00Z", "2026-11-24T09:00:00Z");
        check("mon-fri 9-17", "UTC", "2026-11-24T16:59:59Z", "2026-11-24T16:59:59Z");
        check("mon-fri 9-17", "UTC", "2026-11-24T17:00:00Z", "2026-11-25T09:00:00Z");
        check("mon-fri 9-17", "UTC", "2026-11-27T17:00:00Z", "2026-11-30T09:00:00Z");
        check("tue 9-17", "UTC", "2026-11-24T17:00:00Z", "2026-12-01T09:00:00Z");
        check("9-17", "UTC", "2026-11-28T20:00:00Z", "2026-11-29T09:00:00Z");
        check("sat 10-11; sun 8-9", "UTC", "2026-11-28T11:00:00Z", "2026-11-29T08:00:00Z");
    }

    #[test]
    fn weekdays_without_hours_are_whole_days() {
        check("tue", "UTC", "2026-11-24T00:00:00Z", "2026-11-24T00:00:00Z");
        check("tue", "UTC", "2026-11-24T23:59:59Z", "2026-11-24T23:59:59Z");
        check("tue", "UTC", "2026-11-25T00:00:00Z", "2026-12-01T00:00:00Z");
    }

    #[test]
    fn over_midnight_the_weekday_is_that_of_the_beginning() {
        check("fri 22-6", "UTC", "2026-11-27T23:00:00Z", "2026-11-27T23:00:00Z");
        check("fri 22-6", "UTC", "2026-11-28T05:59:00Z", "2026-11-28T05:59:00Z");
        check("fri 22-6", "UTC", "2026-11-28T06:00:00Z", "2026-12-04T22:00:00Z");
        check("fri 22-6", "UTC", "2026-11-27T05:00:00Z", "2026-11-27T22:00:00Z");
    }

    #[test]
    fn hours_are_those_of_the_zone() {
        check("mon-fri 9-17", "Europe/Berlin", "2026-11-24T07:00:00Z", "2026-11-24T08:00:00Z");
        check("mon-fri 9-17", "Europe/Berlin", "2026-07-01T06:00:00Z", "2026-07-01T07:00:00Z");
        check("mon 0-1", "Asia/Tokyo", "2026-11-29T12:00:00Z", "2026-11-29T15:00:00Z");
        // The clocks go on from 2 to 3 on 2026-03-29: what begins at 2 begins at 3.
        check("sun 2-4", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z");
    }

    #[test]
    fn a_zone_that_nobody_knows() {
        let error = next_open(&schedule("9-17", "Mars/Olympus"), 0).unwrap_err();
        assert_eq!(error, "the time zone \"Mars/Olympus\" is not known; write one such as Europe/Berlin, or UTC");
    }
}
