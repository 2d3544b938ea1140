//! The times of schedules.
//!
//! Five fields of cron in a time zone of the IANA's database. Where clocks are changed:
//! - A time that does not exist on that day is the first moment after the gap, for a schedule with a fixed hour and minute; one with a
//!   `*` or a step in hour or minute goes on as if there were no gap.
//! - A time that comes twice is the first of the two for a schedule with a fixed hour and minute, and both for one with a `*` or a step.
//!
//! That is what croner does, and what cron itself has always done.

use super::spec::{Missed, Overlap};
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, tz::TimeZone};

/// How late a time may be noticed and still count as on time: a minute, the finest that a schedule can say. A server that was started
/// again within it has missed nothing.
pub(super) const GRACE_MS: u64 = 60_000;
/// How many missed times are counted: over that, it is said that there were more.
pub(super) const MAX_COUNTED: usize = 1_000;
/// How long a schedule's text may be, in bytes.
const MAX_CRON_BYTES: usize = 200;

/// The times of a schedule.
#[derive(Debug, Clone)]
pub(super) struct Times {
    cron: Cron,
    zone: TimeZone,
}

impl Times {
    /// Reads a schedule; else which field is wrong, and why.
    pub(super) fn parse(cron: &str, zone: &str) -> Result<Times, (&'static str, String)> {
        let fields = cron.split_ascii_whitespace().count();
        if cron.len() > MAX_CRON_BYTES || (fields != 5 && !cron.trim_start().starts_with('@')) {
            let words = "write minute, hour, day, month and weekday, such as `0 3 * * 1-5`";
            return Err(("cron", words.to_owned()));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(cron).map_err(|error| ("cron", error.to_string()))?;
        let zone = TimeZone::get(zone).map_err(|_| {
            ("time_zone", format!("there is no time zone {zone:?}; write its name, such as Europe/Berlin"))
        })?;
        Ok(Times { cron, zone })
    }

    /// The first time after `now`.
    pub(super) fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&now.to_zoned(self.zone.clone()), false).ok()?.timestamp();
        // Not `now` again, whatever the zone does: nothing may come of that but a loop.
        (next > now).then_some(next)
    }

    /// The last of the times from `first` on that are not after `now`, and how many there are, at most [`MAX_COUNTED`].
    pub(super) fn missed(&self, first: Timestamp, now: Timestamp) -> (Timestamp, usize) {
        let (mut last, mut count) = (first, 1);
        while count < MAX_COUNTED {
            match self.next_after(last) {
                Some(next) if next <= now => (last, count) = (next, count + 1),
                _ => break,
            }
        }
        (last, count)
    }
}

/// Where the trigger's run before stands, when its next time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before<'r> {
    /// It has ended, or there was none.
    Over,
    /// It goes on, or is about to.
    GoesOn(&'r str),
    /// It goes on, and another one waits for its end already.
    AndOneWaits(&'r str),
}

/// What is done about a time that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A run is begun.
    Begin,
    /// A run is begun when that one has ended; what waited for it is dropped, where it is said.
    After { run: String, cancel: bool, supersede: bool },
    /// Nothing, for this reason.
    Nothing(String),
}

/// What is done about a time that has come. `late` are how many times were missed, where they were.
pub(super) fn judge(overlap: Overlap, missed: Missed, late: Option<usize>, before: Before<'_>) -> Verdict {
    if let (Some(count), Missed::Skip) = (late, missed) {
        let times = match count {
            1 => "this time has".to_owned(),
            MAX_COUNTED => format!("{MAX_COUNTED} times or more have"),
            count => format!("{count} times have"),
        };
        return Verdict::Nothing(format!("{times} passed while no server was there"));
    }
    match (overlap, before) {
        (_, Before::Over) | (Overlap::Allow, _) => Verdict::Begin,
        (Overlap::Skip, Before::GoesOn(run) | Before::AndOneWaits(run)) => {
            Verdict::Nothing(format!("the run before, {run}, still goes on"))
        }
        (Overlap::Queue, Before::GoesOn(run)) => {
            Verdict::After { run: run.to_owned(), cancel: false, supersede: false }
        }
        (Overlap::Queue, Before::AndOneWaits(run)) => {
            Verdict::Nothing(format!("a run waits for the end of {run} already"))
        }
        (Overlap::CancelPrevious, Before::GoesOn(run)) => {
            Verdict::After { run: run.to_owned(), cancel: true, supersede: false }
        }
        (Overlap::CancelPrevious, Before::AndOneWaits(run)) => {
            Verdict::After { run: run.to_owned(), cancel: true, supersede: true }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let times = Times::parse(cron, zone).unwrap();
        let mut at: Timestamp = from.parse().unwrap();
        std::iter::from_fn(|| {
            at = times.next_after(at)?;
            Some(at.to_string())
        })
        .take(count)
        .collect()
    }

    #[test]
    fn times_are_those_of_the_zone() {
        assert_eq!(
            times("0 9 * * 1-5", "Europe/Berlin", "2026-03-27T12:00:00Z", 2),
            ["2026-03-30T07:00:00Z", "2026-03-31T07:00:00Z"],
        );
        assert_eq!(
            times("*/15 * * * *", "UTC", "2026-01-01T00:00:00Z", 2),
            ["2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"]
        );
        assert_eq!(times("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 1), ["2028-02-29T00:00:00Z"]);
        assert_eq!(times("30 9 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", 1), ["2026-01-01T04:00:00Z"]);
    }

    /// Berlin, 2026-03-29: 02:00 to 03:00 does not exist.
    #[test]
    fn a_time_that_does_not_exist_is_the_first_moment_after() {
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
        );
        assert_eq!(
            times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3),
            ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"],
            "a schedule with a step goes on",
        );
    }

    /// Berlin, 2026-10-25: 02:00 to 03:00 comes twice.
    #[test]
    fn a_time_that_comes_twice_is_the_first_or_both() {
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
        );
        assert_eq!(
            times("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 4),
            ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"],
            "a schedule with a step goes on",
        );
    }

    #[test]
    fn what_is_no_schedule_is_told() {
        let check = |cron: &str, zone: &str, field: &str| {
            assert_eq!(Times::parse(cron, zone).map(|_| ()).map_err(|(field, _)| field), Err(field), "{cron} {zone}");
        };
        check("* * * *", "UTC", "cron");
        check("* * * * * *", "UTC", "cron");
        check("61 * * * *", "UTC", "cron");
        check("", "UTC", "cron");
        check(&format!("{} * * * *", "1,".repeat(200)), "UTC", "cron");
        check("0 9 * * *", "Mars/Olympus", "time_zone");
        let never =
            Times::parse("0 0 30 2 *", "UTC").map(|times| times.next_after("2026-01-01T00:00:00Z".parse().unwrap()));
        assert!(matches!(never, Ok(None) | Err(_)), "the 30th of February: {never:?}");
    }

    #[test]
    fn missed_times_are_counted_to_a_bound() {
        let times = Times::parse("* * * * *", "UTC").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(
            times.missed(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:05:30Z")),
            (at("2026-01-01T00:05:00Z"), 6)
        );
        assert_eq!(times.missed(at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z")).1, MAX_COUNTED);
    }

    #[test]
    fn verdicts() {
        use {Missed as M, Overlap as O};
        let after = |cancel, supersede| Verdict::After { run: "r1".to_owned(), cancel, supersede };
        let begins = |overlap, before| judge(overlap, M::Skip, None, before);
        for overlap in [O::Skip, O::Queue, O::Allow, O::CancelPrevious] {
            assert_eq!(begins(overlap, Before::Over), Verdict::Begin);
        }
        assert!(matches!(begins(O::Skip, Before::GoesOn("r1")), Verdict::Nothing(_)));
        assert_eq!(begins(O::Allow, Before::AndOneWaits("r1")), Verdict::Begin);
        assert_eq!(begins(O::Queue, Before::GoesOn("r1")), after(false, false));
        assert!(matches!(begins(O::Queue, Before::AndOneWaits("r1")), Verdict::Nothing(_)));
        assert_eq!(begins(O::CancelPrevious, Before::GoesOn("r1")), after(true, false));
        assert_eq!(begins(O::CancelPrevious, Before::AndOneWaits("r1")), after(true, true));
        assert!(
            matches!(judge(O::Allow, M::Skip, Some(3), Before::Over), Verdict::Nothing(why) if why.starts_with("3 times"))
        );
        assert_eq!(judge(O::Skip, M::RunOnce, Some(3), Before::Over), Verdict::Begin);
    }
}
