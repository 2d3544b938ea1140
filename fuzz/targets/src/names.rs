//! Short texts: names, ids of items, references, durations. What is read has one spelling, or reads the same again.

use crate::texts;
use std::{fmt::Display, str::FromStr};
use windlass_contract::{ArtifactKey, Digest, Interface, PluginName, RunId, SecretReference, StepName};
use windlass_manifest::{MAX_DURATION_MS, fuzzing::duration_ms};
use windlass_report::{EventId, words};

/// A text that is read as a `T` is written as it was.
fn one_spelling<T: FromStr + Display>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        assert_eq!(read.to_string(), text);
    }
}

/// Every name of the contract, and the places that readers come back with.
pub(crate) fn names(input: &[u8]) {
    let Some([text]) = texts(input) else { return };
    one_spelling::<ArtifactKey>(text);
    one_spelling::<Digest>(text);
    one_spelling::<Interface>(text);
    one_spelling::<PluginName>(text);
    one_spelling::<RunId>(text);
    one_spelling::<SecretReference>(text);
    one_spelling::<StepName>(text);
    one_spelling::<EventId>(text);
    if let Err(error) = text.parse::<EventId>() {
        assert!(error.to_string().len() < 1024, "a message of {} bytes", error.to_string().len());
    }
    // An artifact's key and a reference are parts of paths.
    if text.parse::<ArtifactKey>().is_ok() {
        assert!(!text.starts_with('/') && text.split('/').all(|part| !matches!(part, "" | "." | "..")), "{text:?}");
    }
    // What a terminal shows of a line holds nothing that moves its cursor; without colours, no control character at all.
    assert!(!words::shown(text).chars().any(|c| c.is_control() && !matches!(c, '\t' | '\u{1b}')), "{text:?}");
    assert!(!words::bare(text).chars().any(|c| c.is_control() && c != '\t'), "{text:?}");
}

/// Durations: at least 1 ms, and as long as they say.
pub(crate) fn durations(input: &[u8]) {
    let Some([text]) = texts(input) else { return };
    match duration_ms(text) {
        Ok(ms) => {
            assert!((1..=MAX_DURATION_MS).contains(&ms), "{text:?} is {ms} ms");
            for again in [format!("{ms}ms"), format!("{}s {}ms", ms / 1000, ms % 1000)] {
                assert_eq!(duration_ms(&again), Ok(ms), "{again}");
            }
            words::duration(ms);
        }
        Err(help) => assert!(help.len() < 100 + text.len() && !help.is_empty(), "{help:?}"),
    }
}
