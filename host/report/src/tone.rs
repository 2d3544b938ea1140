//! What a piece of text means to the eye. Whoever has a screen says what that looks like.

use serde::Serialize;

/// The meaning of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// Text.
    Plain,
    /// It went well.
    Good,
    /// It failed.
    Bad,
    /// It wants attention.
    Warning,
    /// What to do, or what to type.
    Help,
    /// It stands out.
    Strong,
    /// It stands back.
    Faint,
    /// The n-th step of the plan: for telling steps apart.
    Step(usize),
}

/// Gives text its look.
pub trait Paint {
    /// The text in this tone, with whatever escape codes that takes. Its width on the screen must stay what it is.
    fn paint(&self, tone: Tone, text: &str) -> String;
}

/// No look at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plain;

impl Paint for Plain {
    fn paint(&self, _: Tone, text: &str) -> String {
        text.to_owned()
    }
}

/// The tone of how something ended.
pub(crate) fn of(outcome: windlass_engine::Outcome) -> Tone {
    use windlass_engine::Outcome;
    match outcome {
        Outcome::Succeeded => Tone::Good,
        Outcome::Skipped => Tone::Faint,
        Outcome::Cancelled => Tone::Warning,
        _ => Tone::Bad,
    }
}
