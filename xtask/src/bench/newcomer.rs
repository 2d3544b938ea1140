//! The path of somebody's first plugin, timed: new, build, test, publish, install, run; in each language.

use super::figures::{Figure, Report, Samples, Unit};
use windlass_tests::newcomer::{LANGUAGES, walk};

const GROUP: &str = "newcomer";

/// Goes the path in each language. What fails on it is a panic that says what is missing.
pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    for language in LANGUAGES {
        let times = walk(language);
        let mut total = Samples::default();
        total.time(times.iter().map(|(_, time)| *time).sum());
        let each: Vec<String> =
            times.iter().map(|(what, time)| format!("{what} {:.2} s", time.as_secs_f64())).collect();
        let what = format!("{language}: from nothing to a step that has run");
        report.add(Figure::new(GROUP, what, Unit::Seconds, &total).note(each.join(", ")));
    }
    Ok(())
}
