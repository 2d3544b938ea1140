//! What keeps secrets out of sessions.

use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_contract::{Digest, SecretValue};

/// Knows the secrets of a call, and takes them out of bytes. The host's masker is one.
pub trait Redactor: Send + Sync {
    /// Learns a value.
    fn learn(&self, value: &SecretValue);
    /// The bytes without any value that is known.
    fn redact(&self, bytes: &[u8]) -> Vec<u8>;
}

/// A redactor, and the stand-ins for placeholders.
pub(crate) struct Veil {
    redactor: Arc<dyn Redactor>,
    /// Each placeholder of this run, with its stand-in.
    placeholders: Mutex<Vec<(String, String)>>,
}

impl Veil {
    pub(crate) fn new(redactor: Arc<dyn Redactor>) -> Self {
        Veil { redactor, placeholders: Mutex::default() }
    }

    /// From now on, `placeholder` is written as the stand-in of this secret.
    pub(crate) fn stands_for(&self, placeholder: String, reference: &str) {
        let mut known = self.placeholders.lock().unwrap_or_else(PoisonError::into_inner);
        known.push((placeholder, stand_in(reference)));
    }

    pub(crate) fn learn(&self, value: &SecretValue) {
        self.redactor.learn(value);
    }

    pub(crate) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = self.redactor.redact(bytes);
        for (placeholder, stand_in) in self.placeholders.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            bytes = replaced(bytes, placeholder.as_bytes(), stand_in.as_bytes());
        }
        bytes
    }

    pub(crate) fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// Every text in a value, names included.
    pub(crate) fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, value)| (self.text(&name), self.value(value))).collect()
            }
            other => other,
        }
    }
}

/// What stands for a secret's placeholder in a session, and is its placeholder in a replay: the same each time, readable,
/// and different for different secrets.
pub(crate) fn stand_in(reference: &str) -> String {
    let readable: String =
        reference.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    format!("wlph_{readable}_{}", &Digest::of(reference.as_bytes()).short()[..8])
}

fn replaced(bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    if from.is_empty() || !bytes.windows(from.len()).any(|window| window == from) {
        return bytes;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_tell_secrets_apart() {
        assert_eq!(stand_in("vault/token"), stand_in("vault/token"));
        assert_ne!(stand_in("vault/a/b"), stand_in("vault/a_b"));
        assert!(stand_in("vault/token").starts_with("wlph_vault_token_"));
    }

    #[test]
    fn parts_are_replaced_wherever_they_stand() {
        let check = |text: &str, expect: &str| {
            let found = replaced(text.as_bytes().to_vec(), b"aa", b"x");
            assert_eq!(String::from_utf8(found).unwrap(), expect, "{text}");
        };
        check("", "");
        check("a", "a");
        check("aa", "x");
        check("aaa", "xa");
        check("baab aa", "bxb x");
    }
}
