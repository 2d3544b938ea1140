//! Who made a release: what its signatures say, held against what is known of its namespace.
//!
//! Three results, never a boolean: unsigned and bad are different things. A namespace is known by the ed25519 key that the
//! user pinned, or that it was first seen with; `[verification.<namespace>]` in `config.toml` may require a Sigstore bundle
//! in place of that or beside it. Remote sources fail closed: `--allow-unsigned` is for what comes from this machine and has
//! no such rule.

use crate::{
    Home, PackageError,
    config::{Policy, Required},
    cosign::Trust,
    http::presentable,
    lock::Locked,
    manifest::{MAX_MANIFEST, Manifest},
    oci::ImageManifest,
    plain::plugin_in,
    release::Release,
    signature::PublisherKey,
    source::Source,
};
use std::fmt;

/// What is known of who made a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// Signed by those who may.
    Verified {
        /// Whose signatures hold.
        by: Proof,
        /// The namespace's key was not known before: it is remembered from now on.
        first_seen: bool,
    },
    /// Not signed.
    Unsigned,
    /// Must not be used.
    Bad {
        /// In words.
        why: String,
    },
}

/// Whose signatures hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The publisher's key.
    Key(PublisherKey),
    /// A Sigstore bundle, by whom it is in words.
    Cosign(String),
    /// Both.
    Both(PublisherKey, String),
}

impl Proof {
    /// The publisher's key, where it signed.
    pub fn key(&self) -> Option<PublisherKey> {
        match self {
            Proof::Key(key) | Proof::Both(key, _) => Some(*key),
            Proof::Cosign(_) => None,
        }
    }

    /// Who vouches by a Sigstore bundle, where one does.
    pub fn cosign(&self) -> Option<&str> {
        match self {
            Proof::Cosign(who) | Proof::Both(_, who) => Some(who),
            Proof::Key(_) => None,
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::Key(key) => key.fmt(f),
            Proof::Cosign(who) => f.write_str(who),
            Proof::Both(key, who) => write!(f, "{key} and by {who}"),
        }
    }
}

/// Judges a release's ed25519 signature; `known` is the key that its namespace is known by.
pub fn verify(release: &Release, known: Option<PublisherKey>) -> Verification {
    let namespace = release.name.namespace();
    match (&release.signature, known) {
        (None, None) => Verification::Unsigned,
        (None, Some(key)) => {
            Verification::Bad { why: format!("it is not signed, and the releases of {namespace} are signed by {key}") }
        }
        (Some(signature), Some(key)) if signature.key != key => {
            Verification::Bad { why: format!("it is signed by {}, and {namespace} is known by {key}", signature.key) }
        }
        (Some(signature), known) => {
            if signature.holds(release.statement()) {
                Verification::Verified { by: Proof::Key(signature.key), first_seen: known.is_none() }
            } else {
                Verification::Bad {
                    why: format!(
                        "the signature by {} is not over this name, version, content and these permissions",
                        signature.key
                    ),
                }
            }
        }
    }
}

/// Judges a release, and refuses what must not be installed: bad always, unsigned but for local work that asked for it.
pub(crate) async fn check(
    home: &Home,
    source: &Source,
    release: &Release,
    locked: Option<&Locked>,
    allow_unsigned: bool,
) -> Result<Verification, PackageError> {
    let namespace = release.name.namespace();
    let bad =
        |why: String| PackageError::BadSignature { name: release.name.clone(), version: release.version.clone(), why };
    let from_lock = locked.and_then(|locked| locked.signature.as_ref()).map(|signature| signature.key);
    let known = home.publisher(namespace)?.or(from_lock);
    let policy = home.config()?.verification.remove(namespace);
    // What only cosign must sign may be without the publisher's signature; a bad one is bad all the same.
    let signed = match verify(release, known) {
        Verification::Bad { .. } if release.signature.is_none() && is_cosign_enough(policy.as_ref()) => {
            Verification::Unsigned
        }
        other => other,
    };
    if let Verification::Bad { why } = signed {
        return Err(bad(why));
    }
    let Some(policy) = policy else {
        return match signed {
            Verification::Unsigned if !(allow_unsigned && source.is_local()) => {
                Err(PackageError::Unsigned { name: release.name.clone(), version: release.version.clone() })
            }
            signed => Ok(signed),
        };
    };
    let vouched = vouched(home, source, release, &policy).await?.map_err(bad)?;
    match (signed, vouched, policy.require) {
        (Verification::Verified { by, first_seen }, who, Required::Ed25519)
        | (Verification::Verified { by, first_seen }, who @ Some(_), _) => Ok(Verification::Verified {
            by: match (by.key(), who) {
                (Some(key), Some(who)) => Proof::Both(key, who),
                _ => by,
            },
            first_seen,
        }),
        (_, Some(who), Required::Cosign) => Ok(Verification::Verified { by: Proof::Cosign(who), first_seen: false }),
        (_, None, Required::Cosign | Required::Both) => {
            Err(bad(format!("[verification.{namespace}] requires a Sigstore bundle, and it has none")))
        }
        _ => Err(bad(format!("[verification.{namespace}] requires the publisher's signature, and it has none"))),
    }
}

fn is_cosign_enough(policy: Option<&Policy>) -> bool {
    policy.is_some_and(|policy| policy.require == Required::Cosign)
}

/// Who vouches for a release by a Sigstore bundle, and that the release is what the vouched-for manifest says. The inner
/// error is in words.
async fn vouched(
    home: &Home,
    source: &Source,
    release: &Release,
    policy: &Policy,
) -> Result<Result<Option<String>, String>, PackageError> {
    let Some(trust) = Trust::load(home, policy)? else { return Ok(Ok(None)) };
    let manifest = source.manifest(release).await?;
    let who = match trust.judge(&manifest, &source.bundles(release).await?) {
        Ok(Some(who)) => who,
        Ok(None) => return Ok(Ok(None)),
        Err(why) => return Ok(Err(format!("its Sigstore bundle does not hold: {}", presentable(&why)))),
    };
    // What was vouched for is the manifest: the index must say the same as it does.
    let image: Option<ImageManifest> = serde_json::from_slice(&manifest).ok();
    let Some((layer, yaml)) = image.as_ref().and_then(plugin_in) else {
        return Ok(Err("what its Sigstore bundle is about is not the manifest of a plugin".to_owned()));
    };
    let what = format!("plugin.yaml of {}@{}", release.name, release.version);
    let yaml = source.blob(release, &yaml, &what, MAX_MANIFEST).await?;
    let said = String::from_utf8(yaml).ok().and_then(|text| Manifest::parse(&text).ok());
    let same = said.is_some_and(|said| {
        said.name == release.name
            && said.version == release.version
            && said.permissions == release.permissions
            && said.dependencies == release.dependencies
    });
    if same && layer.digest == release.digest {
        return Ok(Ok(Some(who)));
    }
    Ok(Err("its Sigstore bundle is about another name, version, content or other permissions".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{manifest::read_yaml, release::tests::release};
    use ed25519_dalek::SigningKey;

    #[test]
    fn three_results() {
        let [ours, other] = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let key = PublisherKey::of(&ours);
        let unsigned = release("1.0.0");
        let signed_by = |signer: &SigningKey, of: &Release| {
            let signature = of.statement().sign(signer);
            Release { signature: Some(signature), ..of.clone() }
        };
        let signed = signed_by(&ours, &unsigned);
        let check = |release: &Release, known, expect: &str| {
            let got = match verify(release, known) {
                Verification::Verified { first_seen: true, .. } => "verified, first seen".to_owned(),
                Verification::Verified { .. } => "verified".to_owned(),
                Verification::Unsigned => "unsigned".to_owned(),
                Verification::Bad { why } => why.replace(&key.to_string(), "OURS"),
            };
            assert!(got.contains(expect), "{got}, expected {expect}");
        };
        check(&signed, Some(key), "verified");
        check(&signed, None, "verified, first seen");
        check(&unsigned, None, "unsigned");
        check(&unsigned, Some(key), "it is not signed, and the releases of acme are signed by OURS");
        check(&signed_by(&other, &unsigned), Some(key), "acme is known by OURS");
        let replayed = Release { signature: signed.signature.clone(), ..release("2.0.0") };
        check(&replayed, Some(key), "not over this name, version");
        let widened = Release { permissions: read_yaml("x", "state: true").unwrap(), ..signed.clone() };
        check(&widened, Some(key), "these permissions");
        let other_plugin = Release { name: "acme:other".parse().unwrap(), ..signed };
        check(&other_plugin, None, "not over this name");
    }

    /// A vendored copy of one plugin, and a home that installs from it.
    struct Copy {
        folder: tempfile::TempDir,
        release: Release,
        cosign: sigstore_verify::crypto::KeyPair,
    }

    impl Copy {
        fn new(yaml: &str, digest: windlass_contract::Digest) -> Self {
            use crate::oci::{Content, IMAGE_MANIFEST, PLUGIN_ANNOTATION, WASM_LAYER};
            let layer = Content { digest, ..Content::of(WASM_LAYER, b"") };
            let image = ImageManifest {
                schema_version: 2,
                media_type: Some(IMAGE_MANIFEST.to_owned()),
                artifact_type: None,
                config: Content::of("application/vnd.wasm.config.v0+json", b"{}"),
                layers: vec![layer],
                subject: None,
                annotations: [(
                    PLUGIN_ANNOTATION.to_owned(),
                    windlass_contract::Digest::of(yaml.as_bytes()).to_string(),
                )]
                .into(),
            };
            let image = serde_json::to_vec(&image).unwrap();
            let release = Release { manifest: windlass_contract::Digest::of(&image), ..release("1.0.0") };
            let cosign = sigstore_verify::crypto::KeyPair::generate_ecdsa_p256().unwrap();
            let copy = Copy { folder: tempfile::tempdir().unwrap(), release, cosign };
            for blob in [image.as_slice(), yaml.as_bytes()] {
                copy.write(&format!("blobs/sha256/{}", windlass_contract::Digest::of(blob).hex()), blob);
            }
            let pem = copy.cosign.public_key_der().unwrap().to_pem();
            std::fs::write(copy.folder.path().join("cosign.pub"), pem).unwrap();
            copy.vouch(&image);
            copy
        }

        fn origin() -> crate::Origin {
            crate::Origin::Registry("https://plugins.example".parse().unwrap())
        }

        fn write(&self, path: &str, bytes: &[u8]) {
            let root = self.folder.path().join("copy").join(crate::endpoint::folder_name(&Copy::origin()));
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }

        /// A bundle as `cosign sign-blob` writes it.
        fn vouch(&self, image: &[u8]) {
            use base64::{Engine as _, engine::general_purpose::STANDARD};
            let digest = STANDARD.encode(windlass_contract::Digest::of(image).as_bytes());
            let signature = STANDARD.encode(self.cosign.sign(image).unwrap().as_bytes());
            let bundle = serde_json::json!({
                "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                "verificationMaterial": {"publicKey": {"hint": ""}},
                "messageSignature": {
                    "messageDigest": {"algorithm": "SHA2_256", "digest": digest}, "signature": signature,
                },
            });
            let path = format!("bundles/{}/0.json", self.release.manifest.hex());
            self.write(&path, bundle.to_string().as_bytes());
        }

        fn without_bundle(self) -> Self {
            let root = self.folder.path().join("copy").join(crate::endpoint::folder_name(&Copy::origin()));
            std::fs::remove_dir_all(root.join("bundles")).unwrap();
            self
        }

        async fn judged(&self, release: &Release, config: &str) -> String {
            let home = Home::new(self.folder.path().to_owned()).with_vendor(self.folder.path().join("copy"));
            std::fs::write(self.folder.path().join("config.toml"), config).unwrap();
            let source = Source::at(&home, Copy::origin()).unwrap();
            match check(&home, &source, release, None, true).await {
                Ok(Verification::Verified { by: Proof::Key(_), .. }) => "by the publisher".to_owned(),
                Ok(Verification::Verified { by: Proof::Cosign(_), .. }) => "by cosign".to_owned(),
                Ok(Verification::Verified { by: Proof::Both(..), .. }) => "by both".to_owned(),
                Ok(other) => format!("{other:?}"),
                Err(error) => error.to_string(),
            }
        }
    }

    const YAML: &str = "name: acme:slack\nversion: 1.0.0\nsummary: x\nlicence: MIT\ncomponent: x.wasm\n";

    #[tokio::test]
    async fn what_a_policy_requires() {
        let digest = release("1.0.0").digest;
        let copy = Copy::new(YAML, digest);
        let bare = Copy::new(YAML, digest).without_bundle();
        let signed = |of: &Release| {
            let signature = of.statement().sign(&SigningKey::from_bytes(&[1; 32]));
            Release { signature: Some(signature), ..of.clone() }
        };
        let policy =
            |require: &str| format!("[verification.acme]\nrequire = \"{require}\"\ncosign-key = \"cosign.pub\"\n");
        let mut all = Vec::new();
        for require in ["ed25519", "cosign", "both"] {
            for (what, copy, release) in [
                ("both", &copy, signed(&copy.release)),
                ("cosign", &copy, copy.release.clone()),
                ("publisher", &bare, signed(&bare.release)),
                ("nobody", &bare, bare.release.clone()),
            ] {
                all.push(format!(
                    "{require} required, {what} signed: {}",
                    copy.judged(&release, &policy(require)).await
                ));
            }
        }
        // Without a policy, what is remote must be signed by its publisher.
        all.push(format!("no policy: {}", copy.judged(&copy.release, "").await));
        // A bundle that is about something else than what the index says.
        let policy = policy("cosign");
        let other = Copy::new(YAML, windlass_contract::Digest::of(b"other"));
        all.push(format!("another component: {}", other.judged(&other.release, &policy).await));
        let wider = Copy::new(&format!("{YAML}permissions: {{state: true}}\n"), digest);
        all.push(format!("other permissions: {}", wider.judged(&wider.release, &policy).await));
        let foreign = Copy::new(YAML, digest);
        foreign.vouch(b"something else");
        all.push(format!("a bundle of something else: {}", foreign.judged(&foreign.release, &policy).await));
        insta::assert_snapshot!(all.join("\n"), @"
        ed25519 required, both signed: by both
        ed25519 required, cosign signed: acme:slack@1.0.0 must not be installed: [verification.acme] requires the publisher's signature, and it has none
        ed25519 required, publisher signed: by the publisher
        ed25519 required, nobody signed: acme:slack@1.0.0 must not be installed: [verification.acme] requires the publisher's signature, and it has none
        cosign required, both signed: by both
        cosign required, cosign signed: by cosign
        cosign required, publisher signed: acme:slack@1.0.0 must not be installed: [verification.acme] requires a Sigstore bundle, and it has none
        cosign required, nobody signed: acme:slack@1.0.0 must not be installed: [verification.acme] requires a Sigstore bundle, and it has none
        both required, both signed: by both
        both required, cosign signed: acme:slack@1.0.0 must not be installed: [verification.acme] requires the publisher's signature, and it has none
        both required, publisher signed: acme:slack@1.0.0 must not be installed: [verification.acme] requires a Sigstore bundle, and it has none
        both required, nobody signed: acme:slack@1.0.0 must not be installed: [verification.acme] requires a Sigstore bundle, and it has none
        no policy: acme:slack@1.0.0 is not signed
        another component: acme:slack@1.0.0 must not be installed: its Sigstore bundle is about another name, version, content or other permissions
        other permissions: acme:slack@1.0.0 must not be installed: its Sigstore bundle is about another name, version, content or other permissions
        a bundle of something else: acme:slack@1.0.0 must not be installed: its Sigstore bundle does not hold: it is not by this key over this manifest
        ");
    }
}
