//! What was measured, and how it is shown.

use serde::Serialize;
use std::time::Duration;

/// Samples of one thing.
#[derive(Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Adds a duration, in seconds.
    pub(crate) fn time(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64());
    }

    /// Adds a value in whatever unit the figure will have.
    pub(crate) fn value(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The value that this share of all samples does not exceed: one of them, nothing in between.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a count is a count"
        )]
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    /// The middle one.
    pub(crate) fn p50(&self) -> f64 {
        self.at(0.5)
    }
}

/// What a figure is counted in.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Seconds,
    Bytes,
    BytesPerSecond,
    PerSecond,
    /// A plain number.
    Count,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Unit::Seconds if value < 1e-3 => format!("{:.1} µs", value * 1e6),
            Unit::Seconds if value < 1.0 => format!("{:.2} ms", value * 1e3),
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Bytes if value < 1e3 => format!("{value:.0} B"),
            Unit::Bytes if value < 1e6 => format!("{:.0} kB", value / 1e3),
            Unit::Bytes => format!("{:.1} MB", value / 1e6),
            Unit::BytesPerSecond => format!("{:.0} MB/s", value / 1e6),
            Unit::PerSecond => format!("{value:.0}/s"),
            Unit::Count => format!("{value:.2}"),
        }
    }

    /// Of a rate the low end is the bad one.
    fn is_rate(self) -> bool {
        matches!(self, Unit::BytesPerSecond | Unit::PerSecond)
    }

    /// What nineteen of twenty samples are no worse than.
    fn p95(self, samples: &Samples) -> f64 {
        samples.at(if self.is_rate() { 0.05 } else { 0.95 })
    }
}

/// One figure, with its floor and its target where it has them.
#[derive(Serialize)]
pub(crate) struct Figure {
    group: &'static str,
    what: String,
    unit: Unit,
    samples: usize,
    p50: f64,
    p95: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<Floor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// The same work without Windlass, from the same run.
#[derive(Serialize)]
struct Floor {
    what: String,
    p50: f64,
    p95: f64,
    /// Ours over the floor, of the middle ones.
    ratio: f64,
}

#[derive(Serialize)]
struct Target {
    words: String,
    holds: bool,
}

/// From this many samples on a p99 says something.
const SAMPLES_FOR_P99: usize = 100;

impl Figure {
    pub(crate) fn new(group: &'static str, what: impl Into<String>, unit: Unit, samples: &Samples) -> Self {
        let count = samples.0.len();
        Figure {
            group,
            what: what.into(),
            unit,
            samples: count,
            p50: samples.p50(),
            p95: unit.p95(samples),
            p99: (count >= SAMPLES_FOR_P99 && !unit.is_rate()).then(|| samples.at(0.99)),
            floor: None,
            target: None,
            note: None,
        }
    }

    /// Something that was counted, and has no spread.
    pub(crate) fn counted(group: &'static str, what: impl Into<String>, unit: Unit, value: f64) -> Self {
        Figure::new(group, what, unit, &Samples(vec![value]))
    }

    pub(crate) fn over(mut self, what: &str, floor: &Samples) -> Self {
        let (p50, p95) = (floor.p50(), self.unit.p95(floor));
        self.floor = Some(Floor { what: what.to_owned(), p50, p95, ratio: self.p50 / p50 });
        self
    }

    pub(crate) fn target(mut self, words: &str, holds: bool) -> Self {
        self.target = Some(Target { words: words.to_owned(), holds });
        self
    }

    pub(crate) fn note(mut self, words: impl Into<String>) -> Self {
        self.note = Some(words.into());
        self
    }

    fn print(&self) {
        let show = |value| self.unit.show(value);
        let spread = |p50, p95| match self.samples {
            1 => format!("{:>12}  {:>16}", show(p50), ""),
            _ => format!("{:>12}  p95 {:>12}", show(p50), show(p95)),
        };
        let target = self.target.as_ref().map_or(String::new(), |target| {
            format!("  target {}: {}", target.words, if target.holds { "holds" } else { "MISSED" })
        });
        let p99 = self.p99.map_or(String::new(), |p99| format!("  p99 {}", show(p99)));
        println!("  {:<58}{}  n={:<5}{p99}{target}", self.what, spread(self.p50, self.p95), self.samples);
        if let Some(floor) = &self.floor {
            println!("    bare: {:<50}{}  {:.2} ×", floor.what, spread(floor.p50, floor.p95), floor.ratio);
        }
        if let Some(note) = &self.note {
            println!("    {note}");
        }
    }
}

/// All that was measured. Prints each figure as it comes.
#[derive(Serialize)]
pub(crate) struct Report {
    machine: Vec<(String, String)>,
    figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn begin() -> Self {
        let machine = machine();
        for (what, is) in &machine {
            println!("{what:<12}{is}");
        }
        println!("{:<60}{:>12}", "", "p50");
        Report { machine, figures: Vec::new() }
    }

    pub(crate) fn add(&mut self, figure: Figure) {
        if self.figures.last().is_none_or(|last| last.group != figure.group) {
            println!("{}", figure.group);
        }
        figure.print();
        self.figures.push(figure);
    }

    pub(crate) fn end(&self) {
        let targets = || self.figures.iter().filter_map(|figure| figure.target.as_ref().map(|target| (figure, target)));
        let missed: Vec<_> = targets().filter(|(_, target)| !target.holds).collect();
        println!("\n{} targets, {} missed", targets().count(), missed.len());
        for (figure, target) in missed {
            println!("  {}, {}: {} (target {})", figure.group, figure.what, figure.unit.show(figure.p50), target.words);
        }
    }
}

/// What the figures depend on.
fn machine() -> Vec<(String, String)> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let facts = [
        ("processor", format!("{processors} × {}", value(&read("/proc/cpuinfo"), "model name"))),
        ("memory", value(&read("/proc/meminfo"), "MemTotal")),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("load", read("/proc/loadavg").trim().to_owned()),
    ];
    facts.map(|(what, is)| (what.to_owned(), is)).into()
}
