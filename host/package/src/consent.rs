//! Asking for permissions: what is asked, how it differs from before, and what was agreed to.
//!
//! A plugin is asked about once for a set of permissions, and again only when it asks for more. A person may narrow a grant
//! by hand: that is kept, and is not asked about again.

use crate::{grants::Grants, lock::Lock, verification::Verification};
use std::fmt::Write as _;
use windlass_contract::{Interface, Permissions, PluginName, PluginRef};

/// How permissions are given.
pub enum Consent<'a> {
    /// A person is asked; `true` grants.
    Ask(&'a mut (dyn FnMut(&ConsentRequest) -> bool + Send)),
    /// Granted beforehand, by `--grant`.
    Given,
    /// Nobody is there: what is not granted yet is an error that names the command to grant it.
    Nobody,
}

/// What a person is asked.
#[derive(Debug, Clone)]
pub struct ConsentRequest {
    /// The plugin.
    pub plugin: PluginRef,
    /// What it is for.
    pub summary: String,
    /// Who signed it.
    pub verification: Verification,
    /// What it asks for.
    pub asked: Permissions,
    /// What was consented to before; none on the first install.
    pub before: Option<Permissions>,
}

impl ConsentRequest {
    /// The permissions line by line, each with whether it is new.
    pub fn lines(&self) -> Vec<(Interface, String, Change)> {
        differences(self.before.as_ref(), &self.asked)
    }

    /// The question in plain text.
    pub fn words(&self) -> String {
        let mut text = format!("{} {}", self.plugin.name, self.plugin.version);
        let _ = match &self.verification {
            Verification::Verified { by, first_seen: true } => {
                writeln!(text, ", signed by {by} (a publisher not seen before), wants to:")
            }
            Verification::Verified { by, first_seen: false } => {
                writeln!(text, ", signed by {by} (known), wants to:")
            }
            _ => writeln!(text, ", NOT SIGNED, wants to:"),
        };
        for (_, words, change) in self.lines() {
            let _ = match change {
                Change::First => writeln!(text, "  - {words}"),
                Change::Same => writeln!(text, "    {words} (as before)"),
                Change::New => writeln!(text, "  + {words} (new)"),
                Change::Widened(old) => writeln!(text, "  + {words}\n    (until now: {old})"),
            };
        }
        text
    }
}

/// Permissions line by line, each with how it differs from those before; none before: it is the first time.
pub fn differences(before: Option<&Permissions>, asked: &Permissions) -> Vec<(Interface, String, Change)> {
    let before = before.map(Permissions::in_words);
    let change = |interface, words: &str| match &before {
        None => Change::First,
        Some(before) => match before.iter().find(|(other, _)| *other == interface) {
            None => Change::New,
            Some((_, old)) if old == words => Change::Same,
            Some((_, old)) => Change::Widened(old.clone()),
        },
    };
    asked
        .in_words()
        .into_iter()
        .map(|(interface, words)| {
            let change = change(interface, &words);
            (interface, words, change)
        })
        .collect()
}

/// How a permission differs from what was granted before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The plugin is installed for the first time.
    First,
    /// Granted before in the same words.
    Same,
    /// Not asked for before.
    New,
    /// Asked for before, in these words.
    Widened(String),
}

/// Whether what a plugin asks was agreed to: it is granted as a whole, or it is no more than what was locked when the
/// grant was given (which a person may have narrowed since).
pub(crate) fn consented(lock: &Lock, grants: &Grants, name: &PluginName, asked: &Permissions) -> bool {
    asked.within(&grants.of(name))
        || (grants.plugins.contains_key(name)
            && lock.plugins.get(name).is_some_and(|locked| asked.within(&locked.permissions)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lock::Locked, manifest::read_yaml, signature::PublisherKey, verification::Proof};
    use ed25519_dalek::SigningKey;

    fn permissions(yaml: &str) -> Permissions {
        read_yaml("x", yaml).unwrap()
    }

    #[test]
    fn the_question() {
        let key = PublisherKey::of(&SigningKey::from_bytes(&[1; 32]));
        let mut question = ConsentRequest {
            plugin: PluginRef {
                name: "acme:slack".parse().unwrap(),
                version: semver::Version::new(1, 2, 0),
                digest: windlass_contract::Digest::of(b""),
            },
            summary: "Tell a channel".to_owned(),
            verification: Verification::Verified { by: Proof::Key(key), first_seen: true },
            asked: permissions(
                "http: {hosts: [hooks.slack.com], methods: [POST]}\nsecrets: [from-config]\nsecrets-reveal: true",
            ),
            before: None,
        };
        insta::assert_snapshot!(question.words(), @"
        acme:slack 1.2.0, signed by ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c (a publisher not seen before), wants to:
          - use secrets without seeing them: the ones that your pipeline names
          - READ THE VALUES of those secrets
          - send POST requests to hooks.slack.com
        ");
        question.before = Some(permissions("http: {hosts: [hooks.slack.com], methods: [GET]}\nsecrets: [from-config]"));
        question.verification = Verification::Verified { by: Proof::Key(key), first_seen: false };
        insta::assert_snapshot!(question.words(), @"
        acme:slack 1.2.0, signed by ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c (known), wants to:
            use secrets without seeing them: the ones that your pipeline names (as before)
          + READ THE VALUES of those secrets (new)
          + send POST requests to hooks.slack.com
            (until now: send GET requests to hooks.slack.com)
        ");
    }

    #[test]
    fn asked_again_only_when_it_widens() {
        let name: PluginName = "acme:slack".parse().unwrap();
        let wide = permissions("secrets: [from-config]\nstate: true");
        let locked = Locked {
            name: name.clone(),
            version: semver::Version::new(1, 0, 0),
            digest: windlass_contract::Digest::of(b""),
            registry: "http://127.0.0.1:1".to_owned(),
            contract: semver::Version::new(0, 1, 0),
            signature: None,
            dependencies: Default::default(),
            cosign: None,
            requested: true,
            permissions: wide.clone(),
        };
        let lock = Lock { plugins: [(name.clone(), locked)].into() };
        let check = |lock: &Lock, granted: Option<&str>, asked: &str, expect: bool| {
            let grants = Grants { plugins: granted.map(|g| (name.clone(), permissions(g))).into_iter().collect() };
            assert_eq!(consented(lock, &grants, &name, &permissions(asked)), expect, "{granted:?}, {asked}");
        };
        check(&Lock::default(), None, "state: true", false);
        check(&Lock::default(), None, "{}", true);
        check(&Lock::default(), Some("state: true"), "state: true", true);
        check(&lock, Some("state: true"), "secrets: [from-config]\nstate: true", true); // narrowed by hand, asked the same
        check(&lock, Some("state: true"), "secrets: [other/x]\nstate: true", false);
        check(&lock, None, "state: true", false); // the grant was taken away
    }
}
