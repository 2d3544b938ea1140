//! A secret's value, as the host holds it.

use std::sync::Arc;
use zeroize::Zeroizing;

/// The bytes of a secret. Has neither `Debug`, `Display` nor `Serialize`; wiped when the last clone is dropped.
#[derive(Clone)]
pub struct SecretValue(Arc<Zeroizing<Vec<u8>>>);

impl SecretValue {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        SecretValue(Arc::new(Zeroizing::new(bytes)))
    }

    /// The bytes themselves. Each call is a place to look at in a review: they may go to a container's environment, a
    /// request bound for a host that the secret is bound to, a registry login, a signature, or the masker; nowhere else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}
