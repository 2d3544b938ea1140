//! How far downloads are: bars on a terminal, a line for each that is done elsewhere.

use crate::style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    sync::{Mutex, PoisonError},
};
use windlass_package::Progress;

/// Shows downloads on standard error.
pub(super) struct Downloads {
    bars: Option<MultiProgress>,
    open: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Downloads {
    pub(super) fn new() -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        Downloads { bars, open: Mutex::default() }
    }

    /// Does something that prints or asks, with the bars out of its way.
    pub(super) fn aside<T>(&self, what: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(what),
            None => what(),
        }
    }
}

impl Progress for Downloads {
    fn fetched(&self, what: &str, done: u64, total: u64) {
        let Some(bars) = &self.bars else {
            if done == total {
                anstream::eprintln!("fetched {what} ({})", style::size(total));
            }
            return;
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = open.entry(what.to_owned()).or_insert_with(|| {
            let shape = ProgressStyle::with_template("  {msg} {bar:20} {bytes}/{total_bytes}");
            let shape = shape.unwrap_or_else(|_| ProgressStyle::default_bar());
            bars.add(ProgressBar::new(total).with_style(shape).with_message(what.to_owned()))
        });
        bar.set_position(done);
        if done == total {
            bar.finish_and_clear();
            open.remove(what);
        }
    }
}
