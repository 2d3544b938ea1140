//! The place of an item in what a run tells, as a reader says it when it comes back.
//!
//! Written `RUN:SEQ.PART`, such as `r1:12.0`; `seq` and `part` are decimal numbers without sign or leading zeros. Ids of a run are in the
//! order in which it told them.

use serde_json::Value;
use std::{fmt, str::FromStr};
use windlass_contract::{Code, CodedError, RunId};

/// The place of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    /// The run that told it.
    pub run: RunId,
    /// The number of the event that it follows from, from 1.
    pub seq: u64,
    /// Which of that event's items, from 0.
    pub part: u32,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}.{}", self.run, self.seq, self.part)
    }
}

/// A text that is no id of an item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not the id of an item")]
pub struct BadEventId {
    /// The text as a JSON string, cut to what a sentence can hold.
    text: String,
}

impl CodedError for BadEventId {
    fn code(&self) -> Code {
        Code(1300)
    }

    fn help(&self) -> Option<String> {
        Some("give it as it was told, such as `r1:12.0`, or leave it away to read from the beginning".to_owned())
    }
}

impl FromStr for EventId {
    type Err = BadEventId;

    fn from_str(text: &str) -> Result<Self, BadEventId> {
        let parse = || {
            let (run, place) = text.split_once(':')?;
            let (seq, part) = place.split_once('.')?;
            let id = EventId { run: run.parse().ok()?, seq: seq.parse().ok()?, part: part.parse().ok()? };
            // Numbers have other spellings, `+1` and `01`; an id has one.
            (id.to_string() == text && id.seq > 0).then_some(id)
        };
        parse().ok_or_else(|| BadEventId { text: crate::words::short(&Value::from(text)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        for text in ["r1:1.0", "r1:18446744073709551615.4294967295"] {
            assert_eq!(text.parse::<EventId>().map(|id| id.to_string()), Ok(text.to_owned()));
        }
        let wrong = [
            "",
            "r1",
            "r1:1",
            "1.0",
            "r1:0.0",
            "r1:+1.0",
            "r1:01.0",
            "r1:1.-1",
            "r1:1.0 ",
            "x:1.0",
            "r1:1.4294967296",
            "r1:1.0.0",
            "R1:1.0",
        ];
        for text in wrong {
            let error = text.parse::<EventId>().expect_err(text);
            assert_eq!(error.code().to_string(), "WL1300");
        }
        let long = "x".repeat(10_000).parse::<EventId>().expect_err("too long");
        assert!(long.to_string().len() < 200, "{long}");
    }

    #[test]
    fn in_order() {
        let ids = ["r1:2.0", "r1:2.1", "r1:2.10", "r1:10.0"].map(|text| text.parse::<EventId>().expect("an id"));
        assert!(ids.is_sorted());
    }
}
