//! Who published a release: ed25519 over a [`Statement`] that binds its name, version, digest, permissions and dependencies.
//!
//! The payload starts with a domain, and each part with its length, so that no other signature of the same key, and no
//! other division of the same bytes, can be passed off as one. Permissions and dependencies are part of it, so that a
//! registry can neither change what the publisher asked for nor slip in a plugin of somebody else's.
//!
//! Not here: whether a key is the right one. That is the registry's rule at publish, and [`crate::home::Home`]'s memory
//! of keys at install.

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};
use windlass_contract::{Digest, Permissions, PluginName};

/// Separates these signatures from all others.
const DOMAIN: &[u8] = b"windlass plugin release v1";

/// A publisher's public key, written `ed25519:` and 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublisherKey([u8; 32]);

impl PublisherKey {
    /// The public half of a signing key.
    pub fn of(key: &SigningKey) -> Self {
        PublisherKey(key.verifying_key().to_bytes())
    }
}

impl fmt::Display for PublisherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", hex::encode(self.0))
    }
}

impl FromStr for PublisherKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        const RULE: &str = "a publisher's key is written ed25519: and 64 hex digits";
        let mut bytes = [0; 32];
        let digits = text.strip_prefix("ed25519:").ok_or(RULE)?;
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| RULE)?;
        // A point that is not on the curve, or of small order, could sign anything.
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(PublisherKey(bytes)),
            _ => Err("this is not an ed25519 public key".to_owned()),
        }
    }
}

impl Serialize for PublisherKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for PublisherKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A signature together with the key that is said to have made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Whose.
    pub key: PublisherKey,
    /// 128 hex digits.
    pub signature: String,
}

/// What is signed of a release.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// The plugin.
    pub name: &'a PluginName,
    /// Its version.
    pub version: &'a Version,
    /// The digest of its component.
    pub digest: &'a Digest,
    /// What it asks for.
    pub permissions: &'a Permissions,
    /// The plugins that it calls.
    pub dependencies: &'a BTreeMap<PluginName, VersionReq>,
}

impl Statement<'_> {
    /// The bytes that are signed.
    pub fn payload(&self) -> Vec<u8> {
        // Both hold only sorted sets, texts and numbers, so their JSON is canonical and cannot fail.
        let permissions = serde_json::to_vec(self.permissions).unwrap_or_default();
        let dependencies = serde_json::to_vec(self.dependencies).unwrap_or_default();
        let (name, version, digest) = (self.name.to_string(), self.version.to_string(), self.digest.to_string());
        framed(&[DOMAIN, name.as_bytes(), version.as_bytes(), digest.as_bytes(), &permissions, &dependencies])
    }

    /// Signs it.
    pub fn sign(&self, key: &SigningKey) -> Signature {
        Signature::over(key, &self.payload())
    }
}

/// The parts in one text, each after its length, so that no two divisions of the same bytes are the same text.
pub(crate) fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part);
    }
    text
}

impl Signature {
    /// A signature over any text of ours that begins with a domain of its own.
    pub(crate) fn over(key: &SigningKey, text: &[u8]) -> Self {
        Signature { key: PublisherKey::of(key), signature: hex::encode(key.sign(text).to_bytes()) }
    }

    /// Whether its key made it over exactly this text.
    pub(crate) fn is_over(&self, text: &[u8]) -> bool {
        let mut bytes = [0; 64];
        if hex::decode_to_slice(&self.signature, &mut bytes).is_err() {
            return false;
        }
        let Ok(key) = VerifyingKey::from_bytes(&self.key.0) else { return false };
        key.verify_strict(text, &ed25519_dalek::Signature::from_bytes(&bytes)).is_ok()
    }

    /// Whether it was made by its key over exactly this statement.
    pub fn holds(&self, statement: Statement<'_>) -> bool {
        self.is_over(&statement.payload())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    #[test]
    fn it_binds_all_that_it_names() {
        let (name, version, digest) = ("acme:slack".parse().unwrap(), Version::new(1, 2, 3), Digest::of(b"component"));
        let permissions = Permissions { state: true, ..Permissions::default() };
        let dependencies = [("acme:http".parse().unwrap(), "^1".parse().unwrap())].into();
        let statement = Statement {
            name: &name,
            version: &version,
            digest: &digest,
            permissions: &permissions,
            dependencies: &dependencies,
        };
        let signature = statement.sign(&key(1));
        assert!(signature.holds(statement));

        let other = "acme:slick".parse().unwrap();
        assert!(!signature.holds(Statement { name: &other, ..statement }), "another plugin");
        assert!(!signature.holds(Statement { version: &Version::new(1, 2, 4), ..statement }), "another version");
        assert!(!signature.holds(Statement { digest: &Digest::of(b"other"), ..statement }), "other bytes");
        assert!(!signature.holds(Statement { permissions: &Permissions::default(), ..statement }), "other permissions");
        assert!(!signature.holds(Statement { dependencies: &BTreeMap::new(), ..statement }), "other dependencies");
        let stolen = Signature { key: PublisherKey::of(&key(2)), ..signature.clone() };
        assert!(!stolen.holds(statement), "another key");
        let cut = Signature { signature: signature.signature[2..].to_owned(), ..signature };
        assert!(!cut.holds(statement), "a cut signature");
    }

    #[test]
    fn weak_and_malformed_keys_are_refused() {
        let zero = format!("ed25519:{}", "00".repeat(32));
        let identity = format!("ed25519:01{}", "00".repeat(31));
        for text in ["", "ed25519:", "rsa:00", "ed25519:zz", &zero, &identity] {
            assert!(text.parse::<PublisherKey>().is_err(), "{text:?} should be refused");
        }
        let sound = PublisherKey::of(&key(7));
        assert_eq!(sound.to_string().parse(), Ok(sound));
    }

    proptest! {
        /// No two different releases have one payload: the length prefixes leave no second way to divide it.
        #[test]
        fn payloads_are_injective(a in "[a-z]{1,6}:[a-z]{1,6}", b in "[a-z]{1,6}:[a-z]{1,6}", v in 0u64..30, w in 0u64..30) {
            let of = |name: &str, version| {
                Statement {
                    name: &name.parse().unwrap(),
                    version: &Version::new(version, 0, 0),
                    digest: &Digest::of(b""),
                    permissions: &Permissions::default(),
                    dependencies: &BTreeMap::new(),
                }
                .payload()
            };
            prop_assert_eq!(of(&a, v) == of(&b, w), a == b && v == w);
        }
    }
}
