//! Names that can only be made by parsing.
//!
//! Each of these ends up in a path, a container label, a URL or a lock file. Parsing once, here, is what makes `../` in
//! any of them unrepresentable further in.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {rule}")]
pub struct NameError {
    /// What kind of name it was to be.
    pub what: &'static str,
    /// The text as given, cut to 80 characters.
    pub value: String,
    /// The rule it broke, in words.
    pub rule: &'static str,
}

fn refuse(what: &'static str, value: &str, rule: &'static str) -> NameError {
    NameError { what, value: value.chars().take(80).collect(), rule }
}

/// `a-z 0-9`, single hyphens inside, at most `max` characters.
fn is_kebab(text: &str, max: usize) -> bool {
    !text.is_empty()
        && text.len() <= max
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.as_bytes()[0].is_ascii_lowercase()
        && !text.ends_with('-')
        && !text.contains("--")
}

macro_rules! string_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// `namespace:name`, each part kebab-case of at most 64 characters that starts with a letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginName {
    namespace: String,
    name: String,
}

impl PluginName {
    /// The part before the colon. A namespace maps to exactly one registry.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
    /// The part after the colon.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// `namespace/name`: its repository in an OCI registry and its path in the index.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl FromStr for PluginName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        const RULE: &str = "write namespace:name, each part lower-case letters, digits and single hyphens, starting with a letter, at most 64 characters";
        let (namespace, name) = text.split_once(':').ok_or_else(|| refuse("plugin name", text, RULE))?;
        if !is_kebab(namespace, 64) || !is_kebab(name, 64) {
            return Err(refuse("plugin name", text, RULE));
        }
        Ok(PluginName { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.namespace, self.name)
    }
}
string_serde!(PluginName);

/// A SHA-256 digest, written `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }
    /// From 32 raw bytes that were computed elsewhere, while streaming.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }
    /// The 32 raw bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// The 64 hex digits without the algorithm: a file name in a content-addressed folder.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
    /// The first twelve hex digits, for people.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl FromStr for Digest {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        const RULE: &str = "write sha256: and 64 lower-case hex digits";
        let digits = text.strip_prefix("sha256:").ok_or_else(|| refuse("digest", text, RULE))?;
        let mut bytes = [0; 32];
        if digits.bytes().any(|b| b.is_ascii_uppercase()) || hex::decode_to_slice(digits, &mut bytes).is_err() {
            return Err(refuse("digest", text, RULE));
        }
        Ok(Digest(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
string_serde!(Digest);

/// A plugin at one version with the digest of its component: what a lock file pins and what errors name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PluginRef {
    /// `namespace:name`.
    pub name: PluginName,
    /// Its semantic version.
    pub version: semver::Version,
    /// The digest of the component's bytes.
    pub digest: Digest,
}

impl fmt::Display for PluginRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// What a plugin is for; a component may be several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginKind {
    /// Exports `step`.
    Step,
    /// Exports `provider`.
    Provider,
    /// Exports `scanner`.
    Scanner,
}

/// A run's id: `r` and 1 to 40 lower-case letters, digits and hyphens. Part of container names, labels and paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(String);

impl RunId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let rest = text.strip_prefix('r').unwrap_or_default();
        let sound = !rest.is_empty()
            && rest.len() <= 40
            && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !sound {
            return Err(refuse("run id", text, "it begins with r, then 1 to 40 lower-case letters, digits or hyphens"));
        }
        Ok(RunId(text.to_owned()))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
string_serde!(RunId);

/// A step's name: 1 to 63 letters, digits, `-` and `_`, starting with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepName(String);

impl StepName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StepName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let sound = (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && text.as_bytes()[0].is_ascii_alphanumeric();
        if !sound {
            return Err(refuse(
                "step name",
                text,
                "use 1 to 63 letters, digits, hyphens and underscores, starting with a letter or digit",
            ));
        }
        Ok(StepName(text.to_owned()))
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
string_serde!(StepName);

/// A name that is kebab-case: 1 to 63 lower-case letters, digits and single hyphens, starting with a letter.
macro_rules! kebab_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                if !is_kebab(text, 63) {
                    let rule = "use 1 to 63 lower-case letters, digits and single hyphens, starting with a letter";
                    return Err(refuse($what, text, rule));
                }
                Ok($name(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        string_serde!($name);
    };
}

kebab_name!(
    /// What a provider is called, such as `local`: 1 to 63 lower-case letters, digits and single hyphens, starting with a
    /// letter.
    ProviderName,
    "provider's name"
);
kebab_name!(
    /// What a detached container is called within its environment: 1 to 63 lower-case letters, digits and single hyphens,
    /// starting with a letter. Part of a container's name.
    DetachedName,
    "name of a detached container"
);

/// An environment's name: 1 to 63 letters, digits, `-`, `_` and `.`, starting with a letter or digit. A label's value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnvironmentName(String);

impl EnvironmentName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EnvironmentName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let sound = (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && text.as_bytes()[0].is_ascii_alphanumeric();
        if !sound {
            let rule = "use 1 to 63 letters, digits, '-', '_' and '.', starting with a letter or digit";
            return Err(refuse("environment's name", text, rule));
        }
        Ok(EnvironmentName(text.to_owned()))
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
string_serde!(EnvironmentName);

/// The key of an artifact within its run: segments of letters, digits and `. _ -` joined by `/`.
///
/// At most 255 bytes; no empty segment, none that is only dots, so a key can never leave the folder it is put in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArtifactKey(String);

impl ArtifactKey {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ArtifactKey {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let sound = !text.is_empty()
            && text.len() <= 255
            && text.split('/').all(|segment| {
                !segment.is_empty()
                    && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
                    && segment.bytes().any(|b| b != b'.')
            });
        if !sound {
            return Err(refuse(
                "artifact key",
                text,
                "use letters, digits, '.', '_' and '-' in segments joined by '/', at most 255 bytes, and no '.' or '..' segment",
            ));
        }
        Ok(ArtifactKey(text.to_owned()))
    }
}

impl fmt::Display for ArtifactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
string_serde!(ArtifactKey);

/// `engine/path`: where a secret is kept. In a pipeline it is written `secret:engine/path`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretReference(String);

impl SecretReference {
    /// The text, without the `secret:` prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The reference in a string that is exactly `secret:engine/path`, if it begins so.
    ///
    /// # Errors
    /// When it begins with `secret:` and what follows is not a reference.
    pub fn in_text(text: &str) -> Option<Result<Self, NameError>> {
        text.strip_prefix("secret:").map(str::parse)
    }
}

impl FromStr for SecretReference {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let segments = text.split('/').count();
        if segments < 2 || ArtifactKey::from_str(text).is_err() {
            return Err(refuse(
                "secret reference",
                text,
                "write engine/path: letters, digits, '.', '_' and '-' in two or more segments joined by '/'",
            ));
        }
        Ok(SecretReference(text.to_owned()))
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
string_serde!(SecretReference);

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr<Err = NameError> + fmt::Display>(accepted: &[&str], refused: &[&str]) {
        for text in accepted {
            let parsed = text.parse::<T>().map(|name| name.to_string());
            assert_eq!(parsed.as_deref(), Ok(*text));
        }
        for text in refused {
            assert!(text.parse::<T>().is_err(), "{text:?} should be refused");
        }
    }

    #[test]
    fn plugin_names() {
        check::<PluginName>(
            &["windlass:shell", "acme:deploy-2"],
            &["shell", "a:b:c", "Acme:x", "a:../x", "a:", ":b", "a:-b", "a:b--c", "a:b-", "ас:b", "1a:b", "a:b/c"],
        );
    }

    #[test]
    fn artifact_keys_cannot_leave_their_folder() {
        check::<ArtifactKey>(
            &["ui-dist", "a/b.tar.gz", "..x", "x.."],
            &[
                "",
                "..",
                "../x",
                "a/../b",
                "/a",
                "a/",
                "a//b",
                ".",
                "a/./b",
                "C:\\x",
                "a\0b",
                "a b",
                "é",
                &"x".repeat(256),
            ],
        );
    }

    #[test]
    fn secret_references() {
        check::<SecretReference>(&["cloud/do-token", "a/b/c"], &["token", "/x", "a/../b", "a/", "secret:a/b"]);
        assert_eq!(SecretReference::in_text("plain").map(|r| r.is_ok()), None);
        assert_eq!(SecretReference::in_text("secret:a/b").map(|r| r.is_ok()), Some(true));
        assert_eq!(SecretReference::in_text("secret:../b").map(|r| r.is_ok()), Some(false));
    }

    #[test]
    fn run_ids_step_names_digests() {
        check::<RunId>(&["r1", "r0192-ab"], &["", "r", "x1", "r/..", "rA", &format!("r{}", "a".repeat(41))]);
        check::<StepName>(&["build", "unit-tests", "a_b", "1"], &["", "-a", "a b", "../x", "é", &"a".repeat(64)]);
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        check::<Digest>(&[empty], &["sha256:", "md5:00", &empty.to_uppercase(), &empty[..70]]);
        assert_eq!(Digest::of(b"").to_string(), empty);
    }
}
