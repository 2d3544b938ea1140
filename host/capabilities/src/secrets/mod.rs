//! Secrets: kept in a [`Vault`], used by handle, masked everywhere by a [`Masker`].
//!
//! A plugin gets a handle. What it can do with it is what the host does on its behalf: put the value into a container's
//! environment or a request's header, sign, and compute a MAC. For libraries that insist on a string there is a
//! placeholder, made anew for each call and known to that call alone.

mod mask;
mod vault;

pub use mask::{MASK, MIN_VALUE, MaskStream, Masker};
pub use vault::{KEY_VARIABLE, KeySource, MAX_VALUE, SecretInfo, Vault, VaultError};

use crate::log::{LogSink, system_line};
use async_trait::async_trait;
use hmac::{Hmac, Mac as _};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use sha2::Sha256;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};
use windlass_contract::{
    SecretReference, SecretValue,
    capability::{Secret, SecretError, Secrets},
    permissions::Pattern,
};

/// What a placeholder begins with.
pub(crate) const PLACEHOLDER_PREFIX: &str = "wlph_";

/// How many random bytes a placeholder holds: enough that none is guessed or met twice.
const PLACEHOLDER_BYTES: usize = 16;

/// The characters of a whole placeholder.
pub(crate) const PLACEHOLDER_LEN: usize = PLACEHOLDER_PREFIX.len() + 2 * PLACEHOLDER_BYTES;

/// A secret that one call holds.
pub(crate) struct Held {
    reference: SecretReference,
    value: SecretValue,
    placeholder: String,
    /// The hosts that it may be sent to.
    pub(crate) hosts: Vec<Pattern>,
}

impl Held {
    /// Whether the secret may be sent to this host, as it stands in the parsed URL (with the port where it is not the
    /// scheme's).
    pub(crate) fn bound_to(&self, host: &str) -> bool {
        self.hosts.iter().any(|pattern| pattern.matches(host, &['.'], &BTreeSet::new()))
    }

    pub(crate) fn reference(&self) -> &SecretReference {
        &self.reference
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.value.expose()
    }
}

impl Secret for Held {
    fn placeholder(&self) -> String {
        self.placeholder.clone()
    }

    fn hmac_sha256(&self, data: &[u8]) -> Result<Vec<u8>, SecretError> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.bytes())
            .map_err(|_| SecretError::Invalid(format!("secret {} cannot be a key for HMAC-SHA-256", self.reference)))?;
        mac.update(data);
        Ok(mac.finalize().into_bytes().to_vec())
    }

    fn sign_rs256(&self, data: &[u8]) -> Result<Vec<u8>, SecretError> {
        let refuse = |why: &str| {
            SecretError::Invalid(format!(
                "secret {} is not an RSA private key in PKCS #8, PEM ({why}); convert one with `openssl pkcs8 -topk8 -nocrypt`",
                self.reference
            ))
        };
        let der = pkcs8_der(self.bytes()).ok_or_else(|| refuse("no PRIVATE KEY block"))?;
        let key = RsaKeyPair::from_pkcs8(&der).map_err(|error| refuse(&error.to_string()))?;
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), data, &mut signature)
            .map_err(|_| SecretError::Other(format!("signing with secret {} failed", self.reference)))?;
        Ok(signature)
    }

    fn value(&self) -> SecretValue {
        self.value.clone()
    }
}

/// The DER bytes of the first `PRIVATE KEY` block.
fn pkcs8_der(pem: &[u8]) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    use base64::Engine as _;
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (body, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let body: zeroize::Zeroizing<String> = body.chars().filter(|c| !c.is_whitespace()).collect::<String>().into();
    base64::engine::general_purpose::STANDARD.decode(body.as_bytes()).ok().map(Into::into)
}

/// The secrets that one call holds: what `http` looks placeholders up in.
#[derive(Default)]
pub(crate) struct Book(Mutex<Vec<Arc<Held>>>);

impl Book {
    pub(crate) fn held(&self) -> Vec<Arc<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn by_placeholder(&self, placeholder: &str) -> Option<Arc<Held>> {
        self.held().into_iter().find(|held| held.placeholder == placeholder)
    }

    fn by_reference(&self, reference: &SecretReference) -> Option<Arc<Held>> {
        self.held().into_iter().find(|held| held.reference == *reference)
    }
}

/// What the host keeps for itself in the vault: the secrets of webhooks, and those of environments, by their id.
const OWN_ENGINES: [&str; 2] = ["triggers", "environments"];

/// [`Secrets`] for one attempt of one step, or one call of a provider.
pub(crate) struct StepSecrets {
    /// The environment that a provider is called for: its secrets are for that call alone.
    pub(crate) environment: Option<String>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) granted: BTreeSet<Pattern>,
    /// The strings of the step's configuration.
    pub(crate) named: Arc<BTreeSet<String>>,
    pub(crate) masker: Masker,
    pub(crate) sink: Arc<dyn LogSink>,
    pub(crate) book: Arc<Book>,
}

impl StepSecrets {
    /// Whether a secret is kept from this call, whatever was granted and however its name was put together: what the host keeps for
    /// itself, unless it is the secret of the very environment that a provider is called for.
    fn is_kept_back(&self, reference: &SecretReference) -> bool {
        let (engine, path) = reference.as_str().split_once('/').unwrap_or_default();
        let own = self
            .environment
            .as_deref()
            .and_then(|own| path.strip_prefix(own))
            .is_some_and(|rest| rest.starts_with('/'));
        OWN_ENGINES.contains(&engine) && !(engine == "environments" && own)
    }

    fn is_granted(&self, reference: &SecretReference) -> bool {
        self.granted.iter().any(|pattern| match pattern {
            Pattern::FromConfig => self.named.contains(&format!("secret:{reference}")),
            Pattern::Text(_) => pattern.matches(reference.as_str(), &['/'], &self.named),
        })
    }
}

#[async_trait]
impl Secrets for StepSecrets {
    async fn get(&self, reference: String) -> Result<Arc<dyn Secret>, SecretError> {
        let reference: SecretReference = reference
            .strip_prefix("secret:")
            .unwrap_or(&reference)
            .parse()
            .map_err(|error| SecretError::Invalid(format!("{error}")))?;
        if self.is_kept_back(&reference) {
            return Err(SecretError::NotGranted(format!(
                "secret {reference} is the host's own: an environment's secrets are for its provider, and no pipeline may name them"
            )));
        }
        if !self.is_granted(&reference) {
            return Err(SecretError::NotGranted(format!(
                "secret {reference} is not granted; name it in the step's configuration as secret:{reference}, or grant \
                 `secrets: [{reference}]`"
            )));
        }
        if let Some(held) = self.book.by_reference(&reference) {
            return Ok(held);
        }
        let (vault, wanted) = (self.vault.clone(), reference.clone());
        let found = tokio::task::spawn_blocking(move || vault.get(&wanted))
            .await
            .map_err(|_| SecretError::Unavailable("reading the vault was interrupted".to_owned()))?;
        let (value, hosts) = match found {
            Ok(found) => found,
            Err(error @ VaultError::NotFound { .. }) => return Err(SecretError::NotFound(error.to_string())),
            Err(error) => return Err(SecretError::Unavailable(error.to_string())),
        };
        // Known to the masker before anything else can hold it.
        if !self.masker.add(&value) {
            let text = format!(
                "warning: secret {reference} is shorter than {MIN_VALUE} bytes and cannot be masked in logs; make it longer"
            );
            system_line(&*self.sink, &self.masker, &text);
        }
        let random: [u8; PLACEHOLDER_BYTES] = rand::random();
        let placeholder = format!("{PLACEHOLDER_PREFIX}{}", hex::encode(random));
        let held = Arc::new(Held { reference, value, placeholder, hosts });
        self.book.0.lock().unwrap_or_else(PoisonError::into_inner).push(held.clone());
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests_support::Kept;

    fn secrets(granted: &[&str], config: &[&str]) -> (tempfile::TempDir, StepSecrets, Arc<Kept>) {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path().join("vault.json"), KeySource::File(dir.path().join("vault.key")));
        let set = |name: &str, value: &str| {
            vault
                .set(&name.parse().unwrap(), &SecretValue::new(value.as_bytes().to_vec()), &["a.test".to_owned()])
                .unwrap();
        };
        set("cloud/token", "value-of-token");
        set("cloud/deep/token", "value-of-deep");
        set("cloud/pin", "123");
        set("environments/env-1/token", "value-of-env-1");
        set("triggers/t1", "value-of-t1");
        let sink = Arc::new(Kept::default());
        let secrets = StepSecrets {
            environment: None,
            vault: Arc::new(vault),
            granted: granted.iter().map(|text| text.parse().unwrap()).collect(),
            named: Arc::new(config.iter().map(|text| (*text).to_owned()).collect()),
            masker: Masker::new(),
            sink: sink.clone(),
            book: Arc::default(),
        };
        (dir, secrets, sink)
    }

    #[tokio::test]
    async fn grants() {
        let check = async |granted: &[&str], config: &[&str], reference: &str, expect: &str| {
            let (_dir, secrets, _) = secrets(granted, config);
            let found = match secrets.get(reference.to_owned()).await {
                Ok(_) => "ok".to_owned(),
                Err(error) => format!("{error:?}"),
            };
            assert!(found.starts_with(expect), "{reference} with {granted:?}: {found}");
        };
        check(&["cloud/*"], &[], "cloud/token", "ok").await;
        check(&["cloud/*"], &[], "secret:cloud/token", "ok").await;
        check(&["cloud/*"], &[], "cloud/deep/token", "NotGranted").await;
        check(&["from-config"], &["secret:cloud/token"], "cloud/token", "ok").await;
        check(&["from-config"], &["cloud/token"], "cloud/token", "NotGranted").await;
        check(&[], &["secret:cloud/token"], "cloud/token", "NotGranted").await;
        check(&["cloud/*"], &[], "cloud/none", "NotFound").await;
        check(&["cloud/*"], &[], "cloud/../x", "Invalid").await;
    }

    /// Whatever is granted, and however a pipeline puts the name together.
    #[tokio::test]
    async fn what_the_host_keeps_for_itself() {
        let check = async |environment: Option<&str>, reference: &str, expect: bool| {
            let granted = ["environments/*/*", "triggers/*", "cloud/*", "from-config"];
            let (_dir, mut secrets, _) = secrets(&granted, &[&format!("secret:{reference}")]);
            secrets.environment = environment.map(str::to_owned);
            let found = secrets.get(reference.to_owned()).await;
            let refused = matches!(&found, Err(SecretError::NotGranted(words)) if words.contains("the host's own"));
            assert_eq!((found.is_ok(), refused), (expect, !expect), "{reference} for {environment:?}");
        };
        check(None, "cloud/token", true).await;
        check(None, "environments/env-1/token", false).await;
        check(None, "triggers/t1", false).await;
        check(Some("env-1"), "environments/env-1/token", true).await;
        check(Some("env-1"), "cloud/token", true).await;
        check(Some("env-1"), "triggers/t1", false).await;
        check(Some("env-2"), "environments/env-1/token", false).await;
        check(Some("env"), "environments/env-1/token", false).await;
    }

    #[tokio::test]
    async fn a_handle_is_masked_before_it_is_given_and_unique_to_the_call() {
        let (_dir, one, sink) = secrets(&["cloud/*"], &[]);
        let held = one.get("cloud/token".to_owned()).await.unwrap();
        assert_eq!(one.masker.mask("x value-of-token"), "x ***");
        assert_eq!(held.placeholder(), one.get("secret:cloud/token".to_owned()).await.unwrap().placeholder());
        assert_eq!(held.placeholder().len(), PLACEHOLDER_LEN);
        let (_dir2, other, _) = secrets(&["cloud/*"], &[]);
        assert_ne!(held.placeholder(), other.get("cloud/token".to_owned()).await.unwrap().placeholder());
        one.get("cloud/pin".to_owned()).await.unwrap();
        assert!(sink.text().contains("secret cloud/pin is shorter than 4 bytes"), "{}", sink.text());
    }

    #[tokio::test]
    async fn signing_without_seeing() {
        let (_dir, secrets, _) = secrets(&["cloud/*"], &[]);
        let held = secrets.get("cloud/token".to_owned()).await.unwrap();
        let mac = hex::encode(held.hmac_sha256(b"data").unwrap());
        assert_eq!(mac.len(), 64);
        let known = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"value-of-token");
        assert_eq!(mac, hex::encode(ring::hmac::sign(&known, b"data")));
        let Err(SecretError::Invalid(words)) = held.sign_rs256(b"data") else { panic!("a token is no key") };
        assert!(words.contains("openssl pkcs8"), "{words}");
    }
}
