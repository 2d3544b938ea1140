//! Sigstore bundles, as `cosign` makes them: verified without any network, against what the user's configuration trusts.
//!
//! A bundle is about the release's OCI manifest, which binds the component and `plugin.yaml` by digest. It is either over
//! the manifest's bytes (`cosign sign-blob`) or an in-toto statement about its digest (`cosign sign`); a statement that says
//! something else of the manifest than that it was signed (a scan, a bill of materials) is no release.
//!
//! Trust is a public key, or an identity with its issuer under a trusted root that the user keeps. With a key, the
//! transparency log is looked at where a trusted root is given.

use crate::{Home, PackageError, config::Policy as Configured};
use serde::Deserialize;
use sigstore_verify::{
    Policy, PublicKeyVerificationPolicy, VerificationPolicy, Verifier,
    crypto::{KeyAlgorithm, VerificationKey},
    trust_root::TrustedRoot,
    types::{Bundle, DerPublicKey, SignatureContent},
};
use std::{collections::BTreeMap, fs, path::Path};
use windlass_contract::Digest;

/// What `cosign sign` states of an image.
const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
/// The type of a statement.
const STATEMENT: &str = "application/vnd.in-toto+json";

/// Whom a namespace's bundles must be by.
pub(crate) struct Trust {
    by: By,
    who: String,
}

enum By {
    /// A key, and nothing else: the library wants a log or a time stamp in every bundle, which a key can do without.
    Key(VerificationKey),
    /// A key or an identity, with logs and authorities that are trusted.
    Root(Box<Verifier>, Box<dyn Policy>),
}

impl Trust {
    /// Reads what the configuration names; `None` where it names nobody.
    pub(crate) fn load(home: &Home, configured: &Configured) -> Result<Option<Self>, PackageError> {
        let read = |path: &Path| {
            let path = home.root().join(path);
            let text = fs::read_to_string(&path).map_err(|error| PackageError::io("read", &path, error))?;
            Ok::<_, PackageError>((path, text))
        };
        let unusable = |path: &Path, why: String| PackageError::io("use", path, std::io::Error::other(why));
        let verifier = match &configured.trusted_root {
            Some(path) => {
                let (path, text) = read(path)?;
                let root = TrustedRoot::from_json(&text).map_err(|error| unusable(&path, error.to_string()))?;
                Some(Box::new(Verifier::new(&root).map_err(|error| unusable(&path, error.to_string()))?))
            }
            None => None,
        };
        if let Some(path) = &configured.cosign_key {
            let (path, text) = read(path)?;
            let key = DerPublicKey::from_pem(&text).map_err(|error| unusable(&path, error.to_string()))?;
            let who = format!("the cosign key {}", Digest::of(key.as_bytes()));
            let by = match verifier {
                Some(verifier) => By::Root(verifier, Box::new(PublicKeyVerificationPolicy::new(key))),
                None => By::Key(plain_key(&key).map_err(|why| unusable(&path, why))?),
            };
            return Ok(Some(Trust { by, who }));
        }
        match (verifier, &configured.cosign_identity, &configured.issuer) {
            (Some(verifier), Some(identity), Some(issuer)) => {
                let policy = VerificationPolicy::new(identity.as_str(), issuer.as_str());
                let who = format!("{identity}, as {issuer} says");
                Ok(Some(Trust { by: By::Root(verifier, Box::new(policy)), who }))
            }
            _ => Ok(None),
        }
    }

    /// Who vouches for a manifest by one of these bundles; `None` where there is no bundle. The error says why none holds.
    pub(crate) fn judge(&self, manifest: &[u8], bundles: &[Vec<u8>]) -> Result<Option<String>, String> {
        let mut why = None;
        for bundle in bundles {
            match self.holds(manifest, bundle) {
                Ok(()) => return Ok(Some(self.who.clone())),
                Err(error) => why = Some(error),
            }
        }
        why.map_or(Ok(None), Err)
    }

    fn holds(&self, manifest: &[u8], bundle: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(bundle).map_err(|_| "it is not UTF-8".to_owned())?;
        let bundle = Bundle::from_json(text).map_err(|error| error.to_string())?;
        if let SignatureContent::DsseEnvelope(envelope) = &bundle.content {
            is_about(&envelope.payload_type, envelope.payload.as_bytes(), manifest)?;
        }
        match &self.by {
            By::Root(verifier, policy) => {
                verifier.verify(manifest, &bundle, policy.as_ref()).map(|_| ()).map_err(|error| error.to_string())
            }
            By::Key(key) => {
                let verified = match &bundle.content {
                    SignatureContent::MessageSignature(message) => key.verify(manifest, &message.signature),
                    SignatureContent::DsseEnvelope(envelope) => key.verify(envelope.pae(), &envelope.signature.sig),
                    _ => return Err("it holds no signature that can be read".to_owned()),
                };
                verified.map_err(|_| "it is not by this key over this manifest".to_owned())
            }
        }
    }
}

/// A key as cosign makes and reads it.
fn plain_key(key: &DerPublicKey) -> Result<VerificationKey, String> {
    let algorithm = KeyAlgorithm::from_spki(key).map_err(|error| error.to_string())?;
    VerificationKey::from_spki_with_scheme(key, algorithm.default_signing_scheme()).map_err(|error| error.to_string())
}

/// Whether a statement says of a manifest that it was signed.
fn is_about(kind: &str, payload: &[u8], manifest: &[u8]) -> Result<(), String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Statement {
        predicate_type: String,
        subject: Vec<Subject>,
    }
    #[derive(Deserialize)]
    struct Subject {
        digest: BTreeMap<String, String>,
    }
    if kind != STATEMENT {
        return Err(format!("it holds a {kind:?}, which is no statement"));
    }
    let statement: Statement =
        serde_json::from_slice(payload).map_err(|error| format!("its statement cannot be read: {error}"))?;
    if statement.predicate_type != SIGNED {
        return Err(format!("its statement is {:?}, and not that it was signed", statement.predicate_type));
    }
    let digest = Digest::of(manifest).hex();
    if statement.subject.iter().any(|subject| subject.digest.get("sha256") == Some(&digest)) {
        return Ok(());
    }
    Err("its statement is about something else".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Required;
    use sigstore_verify::crypto::parse_certificate_info;

    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/sigstore");

    fn fixture(name: &str) -> Vec<u8> {
        fs::read(Path::new(FIXTURES).join(name)).unwrap()
    }

    fn policy() -> Configured {
        Configured {
            require: Required::Both,
            cosign_key: None,
            cosign_identity: None,
            issuer: None,
            trusted_root: None,
        }
    }

    fn judge(policy: &Configured, manifest: &[u8], bundles: &[&str]) -> String {
        let bundles: Vec<_> = bundles.iter().map(|name| fixture(name)).collect();
        let trust = Trust::load(&Home::new(FIXTURES.into()), policy).unwrap().unwrap();
        match trust.judge(manifest, &bundles) {
            Ok(Some(_)) => "holds".to_owned(),
            Ok(None) => "no bundle".to_owned(),
            Err(why) => why,
        }
    }

    /// Made by `cosign` 2.5 with a key and without a log: `sign-blob`, and `attest-blob` with the statement of `cosign sign` and
    /// with another.
    #[test]
    fn with_a_key() {
        let by = |key: &str| Configured { cosign_key: Some(key.into()), ..policy() };
        let manifest = fixture("manifest.json");
        let all = [
            judge(&by("cosign.pub"), &manifest, &["signed.json"]),
            judge(&by("cosign.pub"), &manifest, &["stated.json"]),
            judge(&by("cosign.pub"), &manifest, &[]),
            judge(&by("cosign.pub"), &manifest, &["scanned.json"]),
            judge(&by("cosign.pub"), &manifest, &["scanned.json", "signed.json"]),
            judge(&by("other.pub"), &manifest, &["signed.json"]),
            judge(&by("other.pub"), &manifest, &["stated.json"]),
            judge(&by("cosign.pub"), b"another manifest", &["signed.json"]),
            judge(&by("cosign.pub"), b"another manifest", &["stated.json"]),
            judge(&by("cosign.pub"), &manifest, &["manifest.json"]),
            judge(&by("cosign.pub"), &manifest, &["keyless.json"]),
            // With a trusted root, the log is looked at, and there is none.
            judge(
                &Configured { trusted_root: Some("trusted_root.json".into()), ..by("cosign.pub") },
                &manifest,
                &["signed.json"],
            ),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        holds
        holds
        no bundle
        its statement is "https://cosign.sigstore.dev/attestation/vuln/v1", and not that it was signed
        holds
        it is not by this key over this manifest
        it is not by this key over this manifest
        it is not by this key over this manifest
        its statement is about something else
        JSON error: missing field `verificationMaterial` at line 1 column 92
        it is not by this key over this manifest
        Bundle error: application/vnd.dev.sigstore.bundle.v0.3+json bundle must have an inclusion proof
        "#);
    }

    /// Made by `cosign` 3 with a certificate of an identity, a log and a time stamp; the root is the public one.
    #[test]
    fn with_an_identity() {
        let bundle = Bundle::from_json(std::str::from_utf8(&fixture("keyless.json")).unwrap()).unwrap();
        let certificate = parse_certificate_info(bundle.signing_certificate().unwrap()).unwrap();
        let (identity, issuer) = (certificate.identity.unwrap().as_str().to_owned(), certificate.issuer.unwrap());
        let by = |identity: &str, issuer: &str| Configured {
            cosign_identity: Some(identity.to_owned()),
            issuer: Some(issuer.to_owned()),
            trusted_root: Some("trusted_root.json".into()),
            ..policy()
        };
        let signed = fixture("keyless.txt");
        let all = [
            judge(&by(&identity, &issuer), &signed, &["keyless.json"]),
            judge(&by("somebody@example.com", &issuer), &signed, &["keyless.json"]).replace(&identity, "IDENTITY"),
            judge(&by(&identity, "https://issuer.example"), &signed, &["keyless.json"]),
            judge(&by(&identity, &issuer), b"another manifest", &["keyless.json"]),
            judge(&by(&identity, &issuer), &fixture("manifest.json"), &["signed.json"]),
        ];
        insta::assert_snapshot!(all.join("\n"), @"
        holds
        identity mismatch: expected somebody@example.com, got IDENTITY
        issuer mismatch: expected https://issuer.example, got https://github.com/login/oauth
        artifact mismatch: message digest in bundle does not match artifact hash
        Bundle error: application/vnd.dev.sigstore.bundle.v0.3+json bundle must have an inclusion proof
        ");
    }

    #[test]
    fn what_cannot_be_trusted() {
        let check = |policy: Configured| match Trust::load(&Home::new(FIXTURES.into()), &policy) {
            Ok(trust) => format!("{}", trust.is_some()),
            Err(error) => error.to_string().replace(FIXTURES, "HOME"),
        };
        let all = [
            check(policy()),
            check(Configured { cosign_key: Some("missing.pub".into()), ..policy() }),
            check(Configured { cosign_key: Some("manifest.json".into()), ..policy() }),
            check(Configured {
                trusted_root: Some("manifest.json".into()),
                cosign_key: Some("cosign.pub".into()),
                ..policy()
            }),
        ];
        insta::assert_snapshot!(all.join("\n"), @"
        false
        cannot read HOME/missing.pub: No such file or directory (os error 2)
        cannot use HOME/manifest.json: Invalid encoding: failed to parse PEM: malformedframing
        cannot use HOME/manifest.json: failed to parse JSON: missing field `mediaType` at line 1 column 92
        ");
    }
}
