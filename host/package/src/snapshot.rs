//! The signed snapshot: one statement of a registry about its whole index, against rollback, freeze and mix-and-match.
//!
//! ```text
//! GET /snapshot.json            a SignedSnapshot: serial, expiry, and a digest for each bin
//! GET /snapshot/bins/<digest>   a bin: one line `<namespace:name> <digest of its index document>` for each plugin in it
//! GET /index/<ns>/<name>        the index document
//! ```
//!
//! A plugin belongs to the bin that the first byte of its name's SHA-256 says, so that a client reads one bin of 256, and a
//! publication changes two small files. All three are files by nature: any static host can serve a copy.
//!
//! **What it guards against.** *Rollback*: a serial below one that was seen is refused. *Freeze*: so is a snapshot whose
//! time is over. *Mix-and-match*: every document has the digest that the one snapshot says.
//!
//! **Not here.** Which key is the registry's (pinned in the user's folder), and the time, which the caller brings.

use crate::signature::{PublisherKey, Signature, framed};
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};
use windlass_contract::{Digest, PluginName};

/// The format that this version writes and reads.
pub const SNAPSHOT_FORMAT: u32 = 1;
/// Separates these signatures from all others.
const DOMAIN: &[u8] = b"windlass registry snapshot v1";

/// One of 256 parts of an index, written as two hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BinId(u8);

impl BinId {
    /// The bin that a plugin belongs to.
    pub fn of(name: &PluginName) -> Self {
        BinId(Digest::of(name.to_string().as_bytes()).as_bytes()[0])
    }
}

impl fmt::Display for BinId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

impl FromStr for BinId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut byte = [0];
        let sound = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        match hex::decode_to_slice(text, &mut byte) {
            Ok(()) if sound => Ok(BinId(byte[0])),
            _ => Err(format!(
                "{:?} is not a bin: write two lower-case hex digits",
                text.chars().take(8).collect::<String>()
            )),
        }
    }
}

impl Serialize for BinId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for BinId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a registry says of its index at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SNAPSHOT_FORMAT`].
    pub format: u32,
    /// Grows with every change.
    pub serial: u64,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it must not be believed any more.
    pub expires: Timestamp,
    /// The digest of each bin that holds a plugin.
    pub bins: BTreeMap<BinId, Digest>,
}

/// A snapshot with the registry's signature. The text that was signed travels as it is, so that nobody has to write JSON
/// in the same way twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedSnapshot {
    /// A [`Snapshot`] as JSON.
    pub signed: String,
    /// By the registry.
    pub signature: Signature,
}

impl SignedSnapshot {
    /// Signs a snapshot.
    pub fn sign(snapshot: &Snapshot, key: &SigningKey) -> Self {
        // Numbers, times and digests under text keys: this cannot fail.
        let signed = serde_json::to_string(snapshot).unwrap_or_default();
        let signature = Signature::over(key, &framed(&[DOMAIN, signed.as_bytes()]));
        SignedSnapshot { signed, signature }
    }

    /// The snapshot, if its signature holds, is by `key` where one is known, and its time is not over at `now`.
    ///
    /// # Errors
    /// In words, why it must not be believed.
    pub fn open(&self, key: Option<PublisherKey>, now: Timestamp) -> Result<Snapshot, String> {
        if let Some(key) = key.filter(|key| *key != self.signature.key) {
            return Err(format!("its snapshot is signed by {}, and it is known by {key}", self.signature.key));
        }
        if !self.signature.is_over(&framed(&[DOMAIN, self.signed.as_bytes()])) {
            return Err(format!("the signature of its snapshot by {} does not hold", self.signature.key));
        }
        let snapshot: Snapshot =
            serde_json::from_str(&self.signed).map_err(|error| format!("its snapshot cannot be read: {error}"))?;
        if snapshot.format != SNAPSHOT_FORMAT {
            return Err(format!(
                "its snapshot has the format {}, this version reads {SNAPSHOT_FORMAT}",
                snapshot.format
            ));
        }
        if now >= snapshot.expires {
            return Err(format!("its snapshot of {} expired at {}", snapshot.created, snapshot.expires));
        }
        Ok(snapshot)
    }
}

/// A bin's text: the digest of each plugin's index document, by name.
pub fn bin_text(documents: &BTreeMap<PluginName, Digest>) -> String {
    documents.iter().map(|(name, digest)| format!("{name} {digest}\n")).collect()
}

/// Reads a bin's text.
///
/// # Errors
/// In words, with the line's number.
pub fn parse_bin(bin: BinId, text: &str) -> Result<BTreeMap<PluginName, Digest>, String> {
    let mut documents = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let at = |why: String| format!("line {}: {why}", number + 1);
        let (name, digest) = line.split_once(' ').ok_or_else(|| at("it has no digest".to_owned()))?;
        let name: PluginName = name.parse().map_err(|error| at(format!("{error}")))?;
        let digest: Digest = digest.parse().map_err(|error| at(format!("{error}")))?;
        if BinId::of(&name) != bin {
            return Err(at(format!("{name} does not belong to the bin {bin}")));
        }
        if documents.insert(name, digest).is_some() {
            return Err(at("it repeats a plugin".to_owned()));
        }
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        Snapshot {
            format: SNAPSHOT_FORMAT,
            serial: 7,
            created: "2026-11-20T12:00:00Z".parse().unwrap(),
            expires: "2026-11-27T12:00:00Z".parse().unwrap(),
            bins: [(BinId::of(&"acme:slack".parse().unwrap()), Digest::of(b"bin"))].into(),
        }
    }

    #[test]
    fn what_is_believed() {
        let [ours, other] = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let key = PublisherKey::of(&ours);
        let signed = SignedSnapshot::sign(&snapshot(), &ours);
        let (early, late) = ("2026-11-21T00:00:00Z".parse().unwrap(), "2026-11-27T12:00:00Z".parse().unwrap());
        assert_eq!(signed.open(Some(key), early), Ok(snapshot()));
        assert_eq!(signed.open(None, early), Ok(snapshot()));
        let check = |signed: &SignedSnapshot, now, expect: &str| {
            let why = signed.open(Some(key), now).unwrap_err();
            assert!(why.contains(expect), "{why}");
        };
        check(&signed, late, "expired at 2026-11-27T12:00:00Z");
        check(&SignedSnapshot::sign(&snapshot(), &other), early, "and it is known by");
        let altered = SignedSnapshot { signed: signed.signed.replace(":7", ":8"), ..signed.clone() };
        check(&altered, early, "does not hold");
        let newer = SignedSnapshot::sign(&Snapshot { format: 2, ..snapshot() }, &ours);
        check(&newer, early, "has the format 2");
        // A release's signature by the same key over the same text is no snapshot's.
        let foreign = Signature::over(&ours, signed.signed.as_bytes());
        check(&SignedSnapshot { signature: foreign, ..signed }, early, "does not hold");
    }

    #[test]
    fn bins() {
        let name: PluginName = "acme:slack".parse().unwrap();
        let bin = BinId::of(&name);
        let documents: BTreeMap<_, _> = [(name, Digest::of(b"document"))].into();
        let text = bin_text(&documents);
        assert_eq!(parse_bin(bin, &text), Ok(documents));
        assert_eq!(bin.to_string().parse(), Ok(bin));
        let check = |text: &str, expect: &str| {
            let why = parse_bin(bin, text).unwrap_err();
            assert!(why.contains(expect), "{why}");
        };
        check("acme:slack", "line 1: it has no digest");
        check("../x sha256:00", "line 1: plugin name");
        check("acme:slack sha256:00", "line 1: digest");
        check(&text.replace("slack", "other"), "does not belong to the bin");
        check(&format!("{text}{text}"), "line 2: it repeats");
        for text in ["", "f", "fff", "FF", "+1"] {
            assert!(text.parse::<BinId>().is_err(), "{text}");
        }
    }
}
