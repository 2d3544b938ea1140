//! Tokens for publishing: shown once, stored as a hash, bound to namespaces, expiring.
//!
//! A token is `wlr_<id>_<secret>`. The id finds the file, the secret has 256 bits from the system's generator, so a plain
//! SHA-256 of it is safe to keep. A token is its own bearer token: `GET /token` checks the credentials and hands the same
//! text back, so the server holds no sessions and restarts without anybody noticing.

use crate::{error::RegistryError, storage::write_atomic};
use jiff::{SignedDuration, Timestamp};
use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use windlass_contract::PluginName;

/// How long a token lives unless said otherwise, in days: a quarter.
pub const DEFAULT_DAYS: u32 = 90;
/// The longest life of a token, in days.
pub const MAX_DAYS: u32 = 366;

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What the operator calls it.
    pub name: String,
    /// The namespaces that it may publish to.
    pub namespaces: BTreeSet<String>,
    /// SHA-256 of the secret, in hex.
    sha256: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops working.
    pub expires: Timestamp,
}

/// The folder of tokens.
#[derive(Debug, Clone)]
pub struct Tokens {
    folder: PathBuf,
}

impl Tokens {
    /// The tokens of the registry in the folder `data`.
    pub fn new(data: &Path) -> Self {
        Tokens { folder: data.join("tokens") }
    }

    /// Makes a token. Its text is given back and kept nowhere.
    ///
    /// # Errors
    /// When a namespace is not a name, the life is too long, or the file cannot be written.
    pub fn create(&self, name: &str, namespaces: &[String], days: u32) -> Result<String, RegistryError> {
        if namespaces.is_empty() {
            return Err(RegistryError::BadToken("a token names at least one namespace".to_owned()));
        }
        for namespace in namespaces {
            format!("{namespace}:x")
                .parse::<PluginName>()
                .map_err(|error| RegistryError::BadToken(error.to_string()))?;
        }
        if name.is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
            return Err(RegistryError::BadToken("a token's name has 1 to 100 characters".to_owned()));
        }
        if days == 0 || days > MAX_DAYS {
            return Err(RegistryError::BadToken(format!("a token lives 1 to {MAX_DAYS} days")));
        }
        let (mut id, mut secret) = ([0; 8], [0; 32]);
        rand::rngs::OsRng.fill_bytes(&mut id);
        rand::rngs::OsRng.fill_bytes(&mut secret);
        let (id, secret) = (hex::encode(id), hex::encode(secret));
        let now = Timestamp::now();
        let token = Token {
            name: name.to_owned(),
            namespaces: namespaces.iter().cloned().collect(),
            sha256: hex::encode(Sha256::digest(&secret)),
            created: now,
            expires: now + SignedDuration::from_hours(24 * i64::from(days)),
        };
        write_atomic(&self.folder.join(format!("{id}.json")), &serde_json::to_vec_pretty(&token).unwrap_or_default())?;
        Ok(format!("wlr_{id}_{secret}"))
    }

    /// The token that a text is, if it is one that works at `now`.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn check(&self, text: &str, now: Timestamp) -> Result<Option<Token>, RegistryError> {
        let Some((id, secret)) = text.strip_prefix("wlr_").and_then(|rest| rest.split_once('_')) else {
            return Ok(None);
        };
        // The id becomes a file name: sixteen hex digits or nothing.
        if id.len() != 16 || !id.bytes().all(|b| b.is_ascii_hexdigit()) || secret.len() != 64 {
            return Ok(None);
        }
        let path = self.folder.join(format!("{id}.json"));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RegistryError::io("read", &path, error)),
        };
        let Ok(token) = serde_json::from_slice::<Token>(&bytes) else { return Ok(None) };
        // Hashes of a 256-bit secret are compared, so how long it takes says nothing that helps.
        let sound = token.sha256 == hex::encode(Sha256::digest(secret)) && now < token.expires;
        Ok(sound.then_some(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_hashed_and_expires() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        let text = tokens.create("ci", &["windlass".to_owned()], 1).unwrap();
        let now = Timestamp::now();
        let token = tokens.check(&text, now).unwrap().unwrap();
        assert!(token.namespaces.contains("windlass"));
        assert!(tokens.check(&text, now + SignedDuration::from_hours(25)).unwrap().is_none(), "expired");

        let secret = text.rsplit('_').next().unwrap();
        let file = fs::read_dir(folder.path().join("tokens")).unwrap().next().unwrap().unwrap().path();
        assert!(!fs::read_to_string(file).unwrap().contains(secret), "the secret is on the disk");

        let mut wrong = text.clone();
        let last = wrong.pop().unwrap();
        wrong.push(if last == '0' { '1' } else { '0' });
        let id = &text[4..20];
        let traversal = format!("wlr_../../../../etc_{}", "0".repeat(64));
        for text in [wrong, String::new(), "wlr_".to_owned(), format!("wlr_{id}_"), traversal] {
            assert!(tokens.check(&text, now).unwrap().is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, namespaces: &[&str], days| {
            let namespaces: Vec<_> = namespaces.iter().map(|&n| n.to_owned()).collect();
            Tokens::new(folder.path()).create(name, &namespaces, days).unwrap_err().to_string()
        };
        assert!(check("ci", &[], 1).contains("at least one namespace"));
        assert!(check("ci", &["../x"], 1).contains("is not valid"));
        assert!(check("", &["acme"], 1).contains("1 to 100"));
        assert!(check("ci", &["acme"], 0).contains("1 to 366 days"));
        assert!(check("ci", &["acme"], 10_000).contains("1 to 366 days"));
    }
}
