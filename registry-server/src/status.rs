//! How the status of a release changes, and who may change it so.
//!
//! ```text
//! ok ⇄ yanked             by an owner
//! ok, yanked → quarantined → ok    by an administrator
//! any → removed           by an administrator, for good
//! ```

use jiff::Timestamp;
use windlass_package::{
    manifest::is_deceptive,
    release::{Notice, Status},
};

/// Longest reason, in characters: a few sentences, which the index carries with every line.
pub const MAX_REASON: usize = 500;

/// Why something is withdrawn, in words for whoever meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl std::str::FromStr for Reason {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let length = text.chars().count();
        if !(1..=MAX_REASON).contains(&length) || text.chars().any(is_deceptive) {
            return Err(format!(
                "a reason is one line of 1 to {MAX_REASON} characters, without control characters; this one has {length}"
            ));
        }
        Ok(Reason(text.to_owned()))
    }
}

impl Reason {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A change of status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is not to be chosen any more.
    Yank(Reason),
    /// It may be chosen again.
    Unyank,
    /// It is not handed out while the registry looks into it.
    Quarantine(Reason),
    /// Nothing was wrong with it.
    Release,
    /// Its bytes go.
    Remove(Reason),
}

impl Change {
    /// What the audit log calls it.
    pub fn action(&self) -> &'static str {
        match self {
            Change::Yank(_) => "yank",
            Change::Unyank => "unyank",
            Change::Quarantine(_) => "quarantine",
            Change::Release => "release",
            Change::Remove(_) => "remove",
        }
    }

    /// Why; nothing where it is taken back.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Change::Yank(reason) | Change::Quarantine(reason) | Change::Remove(reason) => Some(reason.as_str()),
            Change::Unyank | Change::Release => None,
        }
    }

    /// The status after it.
    ///
    /// # Errors
    /// In words, when it cannot follow on `from`.
    pub fn apply(&self, from: &Status, now: Timestamp) -> Result<Status, String> {
        let notice = |reason: &Reason| Notice { reason: reason.as_str().to_owned(), since: now };
        match (self, from) {
            (Change::Yank(reason), Status::Ok) => Ok(Status::Yanked(notice(reason))),
            (Change::Unyank, Status::Yanked(_)) | (Change::Release, Status::Quarantined(_)) => Ok(Status::Ok),
            (Change::Quarantine(reason), Status::Ok | Status::Yanked(_)) => Ok(Status::Quarantined(notice(reason))),
            (Change::Remove(reason), Status::Ok | Status::Yanked(_) | Status::Quarantined(_)) => {
                Ok(Status::Removed(notice(reason)))
            }
            (change, from) => {
                let state = from.notice().map_or("ok", |(state, _)| state);
                Err(format!("it is {state}, and {} does not follow on that", change.action()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_on_what() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let why = || "it leaks".parse::<Reason>().unwrap();
        let notice = || Notice { reason: "it leaks".to_owned(), since: now };
        let states = [Status::Ok, Status::Yanked(notice()), Status::Quarantined(notice()), Status::Removed(notice())];
        let changes =
            [Change::Yank(why()), Change::Unyank, Change::Quarantine(why()), Change::Release, Change::Remove(why())];
        let table: Vec<String> = states
            .iter()
            .flat_map(|from| {
                changes.iter().map(move |change| {
                    let name = |status: &Status| status.notice().map_or("ok", |(state, _)| state);
                    let to = change.apply(from, now);
                    format!("{} + {} = {}", name(from), change.action(), to.as_ref().map_or("refused", name))
                })
            })
            .filter(|line| !line.ends_with("refused"))
            .collect();
        insta::assert_snapshot!(table.join("\n"), @"
        ok + yank = yanked
        ok + quarantine = quarantined
        ok + remove = removed
        yanked + unyank = ok
        yanked + quarantine = quarantined
        yanked + remove = removed
        quarantined + release = ok
        quarantined + remove = removed
        ");
    }

    #[test]
    fn reasons() {
        for (text, sound) in [
            ("it leaks", true),
            (" ", false),
            ("two\nlines", false),
            ("\u{202e}turned", false),
            (&"x".repeat(MAX_REASON), true),
            (&"x".repeat(MAX_REASON + 1), false),
        ] {
            assert_eq!(text.parse::<Reason>().is_ok(), sound, "{text:?}");
        }
    }
}
