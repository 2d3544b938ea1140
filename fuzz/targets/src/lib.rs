//! What the fuzz targets do with a text, and what must hold of it.
//!
//! **Purpose.** Each target is a function of bytes that returns, or panics because something does not hold. libFuzzer calls it
//! millions of times (`make fuzz`); the test `corpus` calls it once for each input that is kept.
//!
//! **Input.** Bytes that are no UTF-8 are no input. Where a target wants several texts they are joined by a NUL byte,
//! which none of them can have of itself.
//!
//! **Not here.** `sizes` (`fuzz/sizes.rs`): its subject is a plugin, which is in another workspace.

mod events;
mod expressions;
mod names;
mod shell;
mod templates;
mod windows;
mod yaml;

/// A target: its name, which is its corpus's too, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("durations", names::durations),
    ("events", events::events),
    ("expressions", expressions::expressions),
    ("names", names::names),
    ("shell", shell::shell),
    ("templates", templates::templates),
    ("windows", windows::windows),
    ("yaml", yaml::yaml),
];

/// Runs the target of this name on one input.
///
/// # Panics
/// When there is none, and when something does not hold: that is what a target is for.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let Some((_, target)) = target else { panic!("there is no target {name:?}") };
    target(input);
}

/// The texts of an input, joined by NUL bytes; those that are not given are empty.
fn texts<const N: usize>(input: &[u8]) -> Option<[&str; N]> {
    let mut parts = std::str::from_utf8(input).ok()?.splitn(N, '\0');
    Some(std::array::from_fn(|_| parts.next().unwrap_or_default()))
}
