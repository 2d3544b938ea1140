//! `config.toml`: where plugins come from, and on what terms. Written by the user, read by us.
//!
//! ```toml
//! [registries]
//! default = "https://plugins.example.com"
//! vendor = "vendor"                         # take everything from this folder, and use no network
//! [registries.namespaces]
//! acme = "https://plugins.acme.example"
//! team = { oci = "https://oci.acme.example", prefix = "plugins" }
//! [registries.keys]
//! "https://plugins.example.com" = "ed25519:…"
//! [registries.mirrors]
//! "https://plugins.example.com" = ["https://mirror.acme.example"]
//! [publishers]
//! acme = "ed25519:…"
//! [install]
//! cool-down = "24h"
//! [http]
//! ca-file = "/etc/ssl/acme.pem"
//! [verification.acme]
//! require = "both"
//! cosign-key = "cosign.pub"
//! ```

use crate::{PackageError, home::is_loopback, signature::PublisherKey};
use jiff::{SignedDuration, SpanRelativeTo};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr};
use url::Url;
use windlass_contract::{ArtifactKey, PluginName};

/// A registry's address: `https://host[:port]`, or `http://` on this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RegistryUrl(Url);

impl RegistryUrl {
    /// Whether it is on this machine: unsigned plugins and plain HTTP are for such only.
    pub fn is_local(&self) -> bool {
        is_loopback(&self.0)
    }
    /// The URL of a path below it, which begins with `/`.
    pub(crate) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }
    pub(crate) fn url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for RegistryUrl {
    type Err = PackageError;
    fn from_str(text: &str) -> Result<Self, PackageError> {
        let refuse = |why| Err(PackageError::BadRegistry { address: text.chars().take(200).collect(), why });
        let Ok(url) = Url::parse(text) else { return refuse("it is not a URL") };
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("it holds a user; tokens belong into credentials.toml");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || url.host().is_none() {
            return refuse("it is only a scheme, a host and a port");
        }
        match url.scheme() {
            "https" => Ok(RegistryUrl(url)),
            "http" if is_loopback(&url) => Ok(RegistryUrl(url)),
            "http" => refuse("plain http is for registries on this machine; others need https"),
            _ => refuse("its scheme is neither http nor https"),
        }
    }
}

impl fmt::Display for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// Where a namespace's plugins come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A registry of plugins: it has an index.
    Registry(RegistryUrl),
    /// Any OCI registry: the versions are its tags.
    Oci {
        /// Its address.
        url: RegistryUrl,
        /// What stands before `namespace/name` in a repository's name; empty, or ending in `/`.
        prefix: String,
        /// Another origin that may see its credentials: where it exchanges them for tokens.
        realm: Option<Url>,
    },
}

impl Origin {
    /// Its address.
    pub fn url(&self) -> &RegistryUrl {
        match self {
            Origin::Registry(url) | Origin::Oci { url, .. } => url,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Registry(url) => url.fmt(f),
            Origin::Oci { url, prefix, .. } => write!(f, "oci+{url}/{}", prefix.trim_end_matches('/')),
        }
    }
}

/// `config.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where plugins come from.
    #[serde(default)]
    pub registries: Registries,
    /// Publishers' keys by namespace, pinned by the user.
    #[serde(default)]
    pub publishers: BTreeMap<String, PublisherKey>,
    /// How versions are chosen.
    #[serde(default)]
    pub install: InstallConfig,
    /// How registries are reached.
    #[serde(default)]
    pub http: HttpConfig,
    /// What must be shown of who made a plugin, by namespace.
    #[serde(default)]
    pub verification: BTreeMap<String, Policy>,
}

/// Which namespace comes from which registry: exactly one each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registries {
    /// For namespaces that are not named.
    #[serde(default)]
    pub default: Option<String>,
    /// By namespace.
    #[serde(default)]
    pub namespaces: BTreeMap<String, NamespaceOrigin>,
    /// The key that signs a registry's snapshots, by its address.
    #[serde(default)]
    pub keys: BTreeMap<String, PublisherKey>,
    /// What is asked before a registry, by its address. Trusted with nothing.
    #[serde(default)]
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// A folder that `windlass vendor` wrote: everything comes from there.
    #[serde(default)]
    pub vendor: Option<PathBuf>,
}

/// The origin of a namespace, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a registry's address, or { oci = \"https://host\", prefix = \"…\" }")]
pub enum NamespaceOrigin {
    /// A registry of plugins.
    Registry(String),
    /// Any OCI registry.
    Oci(OciOrigin),
}

/// An OCI registry, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OciOrigin {
    /// Its address.
    pub oci: String,
    /// What stands before `namespace/name`.
    #[serde(default)]
    pub prefix: String,
    /// Another origin that may see its credentials.
    #[serde(default)]
    pub realm: Option<Url>,
}

impl NamespaceOrigin {
    pub(crate) fn parse(&self) -> Result<Origin, PackageError> {
        match self {
            NamespaceOrigin::Registry(address) => address.parse().map(Origin::Registry),
            NamespaceOrigin::Oci(OciOrigin { oci, prefix, realm }) => {
                let url = oci.parse()?;
                let prefix = prefix.trim_end_matches('/');
                if !prefix.is_empty() && prefix.parse::<ArtifactKey>().is_err() {
                    let why = "its prefix is not the beginning of a repository's name, such as team/plugins";
                    return Err(PackageError::BadRegistry { address: oci.chars().take(200).collect(), why });
                }
                let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
                Ok(Origin::Oci { url, prefix, realm: realm.clone() })
            }
        }
    }
}

/// How versions are chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InstallConfig {
    /// How old a version must be to be chosen when it was not asked for by its exact number: off where it is not given.
    #[serde(default, deserialize_with = "duration")]
    pub cool_down: Option<SignedDuration>,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SignedDuration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let span: Result<jiff::Span, _> = text.parse();
    span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .ok()
        .filter(|duration| !duration.is_negative())
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("{text:?} is not a length of time such as \"24h\" or \"3d\"")))
}

/// How registries are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HttpConfig {
    /// A file of certificates (PEM) that are trusted beside the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// What must be shown of who made a namespace's plugins.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// Which signatures; both where it is not said.
    #[serde(default)]
    pub require: Required,
    /// A file that holds cosign's public key.
    #[serde(default)]
    pub cosign_key: Option<PathBuf>,
    /// Who signed without a key of their own: the certificate's identity, …
    #[serde(default)]
    pub cosign_identity: Option<String>,
    /// … and who vouched for it.
    #[serde(default)]
    pub issuer: Option<String>,
    /// A file that holds Sigstore's trusted root (authorities and logs). With a key: the log is checked, too.
    #[serde(default)]
    pub trusted_root: Option<PathBuf>,
}

/// Which signatures a release must have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Required {
    /// The publisher's, as `plugin publish` makes it.
    Ed25519,
    /// A Sigstore bundle.
    Cosign,
    /// Both.
    #[default]
    Both,
}

impl Policy {
    /// What is wrong with it.
    fn fault(&self) -> Option<&'static str> {
        let keyless = self.cosign_identity.is_some() || self.issuer.is_some();
        match (&self.cosign_key, keyless) {
            (Some(_), true) => Some("write cosign-key, or cosign-identity and issuer, not both"),
            (None, true) if self.cosign_identity.is_none() || self.issuer.is_none() || self.trusted_root.is_none() => {
                Some("cosign-identity needs issuer and trusted-root")
            }
            (None, false) if self.require != Required::Ed25519 => {
                Some("it requires a Sigstore bundle and says nothing of whose; write cosign-key = \"cosign.pub\"")
            }
            _ => None,
        }
    }
}

impl Config {
    /// What the types cannot say.
    pub(crate) fn check(&self) -> Result<(), PackageError> {
        let registries = &self.registries;
        let namespaces = registries.namespaces.keys().chain(self.publishers.keys()).chain(self.verification.keys());
        for namespace in namespaces {
            format!("{namespace}:x").parse::<PluginName>()?;
        }
        for address in registries.mirrors.iter().flat_map(|(of, mirrors)| std::iter::once(of).chain(mirrors)) {
            address.parse::<RegistryUrl>()?;
        }
        for address in registries.keys.keys() {
            address.parse::<RegistryUrl>()?;
        }
        for (namespace, policy) in &self.verification {
            if let Some(fault) = policy.fault() {
                let message = format!("[verification.{namespace}]: {fault}");
                return Err(PackageError::Malformed { file: "config.toml".to_owned(), line: 0, column: 0, message });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |text: &str, expect: Result<&str, &str>| match (text.parse::<RegistryUrl>(), expect) {
            (Ok(url), Ok(expect)) => assert_eq!(url.to_string(), expect),
            (Err(error), Err(expect)) => assert!(error.to_string().contains(expect), "{error}"),
            (got, expect) => panic!("{text}: {got:?}, expected {expect:?}"),
        };
        check("http://127.0.0.1:7420", Ok("http://127.0.0.1:7420"));
        check("http://[::1]:7420/", Ok("http://[::1]:7420"));
        check("http://localhost:7420", Ok("http://localhost:7420"));
        check("https://plugins.example.com", Ok("https://plugins.example.com"));
        check("http://plugins.example.com", Err("plain http"));
        check("http://localhost.evil.example", Err("plain http"));
        check("http://127.0.0.1.evil.example", Err("plain http"));
        check("https://user:pw@example.com", Err("holds a user"));
        check("https://example.com/path", Err("only a scheme"));
        check("file:///etc/passwd", Err("only a scheme"));
        check("ftp://example.com", Err("neither http nor https"));
        check("example.com", Err("not a URL"));
    }

    #[test]
    fn what_is_read_and_what_is_refused() {
        let check = |text: &str, expect: &str| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("config.toml"), text).unwrap();
            let home = crate::Home::new(folder.path().to_owned());
            let got = match home.config() {
                Ok(config) => match config.registries.namespaces.get("acme").map(NamespaceOrigin::parse) {
                    Some(Ok(origin)) => origin.to_string(),
                    Some(Err(error)) => error.to_string(),
                    None => format!("{:?} {:?}", config.install.cool_down, config.registries.vendor),
                },
                Err(error) => error.to_string(),
            };
            assert_eq!(got, expect, "{text}");
        };
        let namespaces = |line: &str| format!("[registries.namespaces]\nacme = {line}\n");
        check(&namespaces("\"https://a.example\""), "https://a.example");
        check(&namespaces("{ oci = \"https://a.example\" }"), "oci+https://a.example/");
        check(
            &namespaces("{ oci = \"http://127.0.0.1:5000\", prefix = \"team/x/\" }"),
            "oci+http://127.0.0.1:5000/team/x",
        );
        check(
            &namespaces("{ oci = \"https://a.example\", prefix = \"../x\" }"),
            "https://a.example cannot be a registry's address: its prefix is not the beginning of a repository's name, such as team/plugins",
        );
        check(
            &namespaces("{ uri = \"x\" }"),
            "config.toml is not valid (line 2, column 8): a registry's address, or { oci = \"https://host\", prefix = \"…\" }",
        );
        check("[install]\ncool-down = \"24h\"\n", "Some(24h) None");
        check("[install]\ncool-down = \"2d\"\n[registries]\nvendor = \"v\"\n", "Some(48h) Some(\"v\")");
        check(
            "[install]\ncool-down = \"soon\"\n",
            "config.toml is not valid (line 2, column 13): \"soon\" is not a length of time such as \"24h\" or \"3d\"",
        );
        check(
            "[verification.acme]\n",
            "config.toml is not valid: [verification.acme]: it requires a Sigstore bundle and says nothing of whose; write cosign-key = \"cosign.pub\"",
        );
        check(
            "[verification.acme]\ncosign-identity = \"a\"\nissuer = \"b\"\n",
            "config.toml is not valid: [verification.acme]: cosign-identity needs issuer and trusted-root",
        );
        check(
            "[registries.mirrors]\n\"https://a.example\" = [\"http://b.example\"]\n",
            "http://b.example cannot be a registry's address: plain http is for registries on this machine; others need https",
        );
    }
}
