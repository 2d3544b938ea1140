//! Who published a release: ed25519 over a payload that binds its name, version, digest and permissions.
//!
//! The payload starts with a domain, and each part with its length, so that no other signature of the same key, and no
//! other division of the same bytes, can be passed off as one. The permissions are part of it, so that a registry can
//! neither widen nor narrow what the publisher asked for.
//!
//! Not here: whether a key is the right one. That is the registry's rule at publish, and [`crate::home::Home`]'s memory
//! of keys at install.

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
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

/// What is signed.
pub fn payload(name: &PluginName, version: &Version, digest: &Digest, permissions: &Permissions) -> Vec<u8> {
    // Permissions hold only sorted sets, texts and numbers, so their JSON is canonical and cannot fail.
    let permissions = serde_json::to_vec(permissions).unwrap_or_default();
    let mut payload = Vec::with_capacity(512);
    for part in [
        DOMAIN,
        name.to_string().as_bytes(),
        version.to_string().as_bytes(),
        digest.to_string().as_bytes(),
        &permissions,
    ] {
        payload.extend_from_slice(&(part.len() as u64).to_be_bytes());
        payload.extend_from_slice(part);
    }
    payload
}

/// Signs a release.
pub fn sign(
    key: &SigningKey,
    name: &PluginName,
    version: &Version,
    digest: &Digest,
    permissions: &Permissions,
) -> Signature {
    let signature = key.sign(&payload(name, version, digest, permissions));
    Signature { key: PublisherKey::of(key), signature: hex::encode(signature.to_bytes()) }
}

impl Signature {
    /// Whether the signature was made by its key over exactly these.
    pub fn holds(&self, name: &PluginName, version: &Version, digest: &Digest, permissions: &Permissions) -> bool {
        let mut bytes = [0; 64];
        if hex::decode_to_slice(&self.signature, &mut bytes).is_err() {
            return false;
        }
        let Ok(key) = VerifyingKey::from_bytes(&self.key.0) else { return false };
        key.verify_strict(&payload(name, version, digest, permissions), &ed25519_dalek::Signature::from_bytes(&bytes))
            .is_ok()
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
        let asked = Permissions { state: true, ..Permissions::default() };
        let signature = sign(&key(1), &name, &version, &digest, &asked);
        assert!(signature.holds(&name, &version, &digest, &asked));

        assert!(!signature.holds(&"acme:slick".parse().unwrap(), &version, &digest, &asked), "another plugin");
        assert!(!signature.holds(&name, &Version::new(1, 2, 4), &digest, &asked), "another version");
        assert!(!signature.holds(&name, &version, &Digest::of(b"other"), &asked), "other bytes");
        assert!(!signature.holds(&name, &version, &digest, &Permissions::default()), "other permissions");
        let stolen = Signature { key: PublisherKey::of(&key(2)), ..signature.clone() };
        assert!(!stolen.holds(&name, &version, &digest, &asked), "another key");
        let cut = Signature { signature: signature.signature[2..].to_owned(), ..signature };
        assert!(!cut.holds(&name, &version, &digest, &asked), "a cut signature");
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
                payload(&name.parse().unwrap(), &Version::new(version, 0, 0), &Digest::of(b""), &Permissions::default())
            };
            prop_assert_eq!(of(&a, v) == of(&b, w), a == b && v == w);
        }
    }
}
