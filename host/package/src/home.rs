//! The user's folder: configuration, keys, tokens, what was learned of publishers, and the store.
//!
//! ```text
//! ~/.windlass/               or WINDLASS_HOME
//!   config.toml              written by the user: registries, pinned publishers
//!   credentials.toml         written by `plugin login` or the user, 0600: a token per registry
//!   publishers.toml          written by us: the key that each namespace was first seen with
//!   registries.toml          written by us: the key and the highest serial of each registry's snapshots
//!   keys/<namespace>.pem     written by us, 0600: our own signing keys
//!   plugins/                 the store of components
//!   cache/index/             index answers with their ETags, and snapshots
//! ```

pub use crate::config::{Config, NamespaceOrigin, Origin, Registries, RegistryUrl};

use crate::{
    PackageError,
    files::{Mode, create_dir, read_text, write_atomic},
    lock::place,
    signature::PublisherKey,
    store::Store,
};
use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};
use url::{Host, Url};
use windlass_contract::PluginName;

/// The environment variable that names the default registry, over `config.toml`.
pub const REGISTRY_ENV: &str = "WINDLASS_REGISTRY";
/// The environment variable that names a file of certificates (PEM) that are trusted beside the system's, over `config.toml`.
pub const CA_FILE_ENV: &str = "WINDLASS_CA_FILE";
/// The environment variable that names a folder that `windlass vendor` wrote, over `config.toml`.
pub const VENDOR_ENV: &str = "WINDLASS_VENDOR";
/// The environment variable that holds the token for publishing.
pub const TOKEN_ENV: &str = "WINDLASS_REGISTRY_TOKEN";

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Publishers {
    #[serde(default)]
    publishers: BTreeMap<String, PublisherKey>,
}

/// What was seen of each registry.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    #[serde(default)]
    registries: BTreeMap<String, SeenRegistry>,
}

/// What was seen of a registry: it may not fall behind that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeenRegistry {
    /// The key of its snapshots.
    pub(crate) key: PublisherKey,
    /// The highest serial.
    pub(crate) serial: u64,
}

/// The user's folder.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
    registry: Option<String>,
    ca_file: Option<PathBuf>,
    vendor: Option<PathBuf>,
}

impl Home {
    /// The folder `root`, whose default registry is what `config.toml` says.
    pub fn new(root: PathBuf) -> Self {
        Home { root, registry: None, ca_file: None, vendor: None }
    }

    /// The folder given, else `~/.windlass`, with `WINDLASS_REGISTRY` as the default registry if it is set.
    ///
    /// # Errors
    /// When no folder is given and there is no home directory.
    pub fn from_env(root: Option<PathBuf>) -> Result<Self, PackageError> {
        let root = match root {
            Some(root) => root,
            None => std::env::home_dir()
                .ok_or_else(|| {
                    PackageError::io(
                        "find the home directory for",
                        Path::new(".windlass"),
                        std::io::ErrorKind::NotFound.into(),
                    )
                })?
                .join(".windlass"),
        };
        let path = |name| {
            std::env::var_os(name).filter(|path| !path.is_empty()).and_then(|path| std::path::absolute(path).ok())
        };
        Ok(Home {
            root,
            registry: std::env::var(REGISTRY_ENV).ok().filter(|url| !url.is_empty()),
            ca_file: path(CA_FILE_ENV).or_else(|| path("SSL_CERT_FILE")),
            vendor: path(VENDOR_ENV),
        })
    }

    /// The same folder with another default registry.
    #[must_use]
    pub fn with_registry(self, registry: &str) -> Self {
        Home { registry: Some(registry.to_owned()), ..self }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The store of components.
    pub fn store(&self) -> Store {
        Store::new(self.root.join("plugins"))
    }

    pub(crate) fn index_cache(&self) -> PathBuf {
        self.root.join("cache/index")
    }

    pub(crate) fn read_toml<T: DeserializeOwned + Default>(&self, file: &str) -> Result<T, PackageError> {
        let Some(text) = read_text(&self.root.join(file))? else { return Ok(T::default()) };
        toml::from_str(&text).map_err(|error| {
            let (line, column) = error.span().map_or((0, 0), |span| place(&text, span.start));
            PackageError::Malformed { file: file.to_owned(), line, column, message: error.message().to_owned() }
        })
    }

    /// `config.toml`.
    ///
    /// # Errors
    /// [`PackageError::Malformed`] with line and column.
    pub fn config(&self) -> Result<Config, PackageError> {
        let mut config: Config = self.read_toml("config.toml")?;
        config.check()?;
        if let Some(registry) = &self.registry {
            config.registries.default = Some(registry.clone());
        }
        Ok(config)
    }

    /// Where a namespace's plugins come from: the one place.
    ///
    /// # Errors
    /// When none is configured, or its address is not one.
    pub fn origin_of(&self, namespace: &str) -> Result<Origin, PackageError> {
        let registries = self.config()?.registries;
        match (registries.namespaces.get(namespace), &registries.default) {
            (Some(origin), _) => origin.parse(),
            (None, Some(address)) => address.parse().map(Origin::Registry),
            (None, None) => Err(PackageError::NoRegistry { namespace: namespace.to_owned() }),
        }
    }

    /// The one registry of a namespace.
    ///
    /// # Errors
    /// As [`Home::origin_of`], and [`PackageError::PlainOci`] where it is an OCI registry, which has no index.
    pub fn registry_of(&self, namespace: &str) -> Result<RegistryUrl, PackageError> {
        match self.origin_of(namespace)? {
            Origin::Registry(url) => Ok(url),
            origin @ Origin::Oci { .. } => Err(PackageError::PlainOci { origin: origin.to_string() }),
        }
    }

    /// What is asked before a registry, in this order.
    pub(crate) fn mirrors_of(&self, url: &RegistryUrl) -> Result<Vec<RegistryUrl>, PackageError> {
        let mirrors = self.config()?.registries.mirrors;
        let own = mirrors.into_iter().filter(|(of, _)| of.parse().is_ok_and(|of: RegistryUrl| of == *url));
        own.flat_map(|(_, mirrors)| mirrors).map(|address| address.parse()).collect()
    }

    /// The folder that everything comes from, where there is one.
    pub(crate) fn vendor(&self) -> Result<Option<PathBuf>, PackageError> {
        let configured = || Ok::<_, PackageError>(self.config()?.registries.vendor);
        Ok(self.vendor.clone().map_or_else(configured, |path| Ok(Some(path)))?.map(|path| self.root.join(path)))
    }

    /// The same folder, taking everything from what `windlass vendor` wrote.
    #[must_use]
    pub fn with_vendor(self, folder: PathBuf) -> Self {
        Home { vendor: Some(folder), ..self }
    }

    /// The certificates that are trusted beside the system's.
    pub(crate) fn ca_file(&self) -> Result<Option<PathBuf>, PackageError> {
        let path = match &self.ca_file {
            Some(path) => Some(path.clone()),
            None => self.config()?.http.ca_file,
        };
        Ok(path.map(|path| self.root.join(path)))
    }

    /// What was seen of a registry, with the key that the user pinned over the one that it was first seen with.
    pub(crate) fn seen(&self, registry: &str) -> Result<Option<SeenRegistry>, PackageError> {
        let pinned = self.config()?.registries.keys;
        let is_it = |address: &str| address.parse().is_ok_and(|url: RegistryUrl| url.to_string() == registry);
        let pinned = pinned.into_iter().find(|(address, _)| is_it(address)).map(|(_, key)| key);
        let seen = self.read_toml::<Seen>("registries.toml")?.registries.get(registry).copied();
        Ok(match (pinned, seen) {
            (Some(key), seen) => Some(SeenRegistry { key, serial: seen.map_or(0, |seen| seen.serial) }),
            (None, seen) => seen,
        })
    }

    /// Remembers what was seen of a registry.
    pub(crate) fn saw(&self, registry: &str, now: SeenRegistry) -> Result<(), PackageError> {
        // Two registries may be seen at once.
        static WRITING: Mutex<()> = Mutex::new(());
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen: Seen = self.read_toml("registries.toml")?;
        if seen.registries.insert(registry.to_owned(), now) == Some(now) {
            return Ok(());
        }
        let text = format!(
            "# The key of each registry's snapshots, and the highest serial that was seen. Pin keys in config.toml instead of\n# editing this.\n{}",
            toml::to_string(&seen).unwrap_or_default()
        );
        write_atomic(&self.root.join("registries.toml"), text.as_bytes(), Mode::Shared)
    }

    /// Every configured registry, the default first.
    ///
    /// # Errors
    /// As [`Home::registry_of`].
    pub fn registries(&self) -> Result<Vec<RegistryUrl>, PackageError> {
        let registries = self.config()?.registries;
        let mut all: Vec<RegistryUrl> = Vec::new();
        let default = registries.default.iter().map(|address| address.parse().map(Origin::Registry));
        for origin in default.chain(registries.namespaces.values().map(NamespaceOrigin::parse)) {
            match origin? {
                Origin::Registry(url) if !all.contains(&url) => all.push(url),
                _ => {}
            }
        }
        if all.is_empty() { Err(PackageError::NoRegistry { namespace: "default".to_owned() }) } else { Ok(all) }
    }

    /// The key that a namespace's releases must be signed with: the pinned one, else the one it was first seen with.
    ///
    /// # Errors
    /// When a file is not valid.
    pub fn publisher(&self, namespace: &str) -> Result<Option<PublisherKey>, PackageError> {
        if let Some(key) = self.config()?.publishers.get(namespace) {
            return Ok(Some(*key));
        }
        Ok(self.read_toml::<Publishers>("publishers.toml")?.publishers.get(namespace).copied())
    }

    /// Remembers the key that a namespace was first seen with. A key that is known already is never replaced.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember_publisher(&self, namespace: &str, key: PublisherKey) -> Result<(), PackageError> {
        let mut known: Publishers = self.read_toml("publishers.toml")?;
        if known.publishers.contains_key(namespace) {
            return Ok(());
        }
        known.publishers.insert(namespace.to_owned(), key);
        let text = format!(
            "# The key that each namespace was first seen with. Pin keys in config.toml instead of editing this.\n{}",
            toml::to_string(&known).unwrap_or_default()
        );
        write_atomic(&self.root.join("publishers.toml"), text.as_bytes(), Mode::Shared)
    }

    /// Our signing key for a namespace, if there is one.
    ///
    /// # Errors
    /// When it cannot be read or is not a key.
    pub fn signing_key(&self, namespace: &str) -> Result<Option<SigningKey>, PackageError> {
        let path = self.key_file(namespace)?;
        let Some(pem) = read_text(&path)? else { return Ok(None) };
        SigningKey::from_pkcs8_pem(&pem).map(Some).map_err(|_| PackageError::Malformed {
            file: path.display().to_string(),
            line: 0,
            column: 0,
            message: "it is not an ed25519 key in PKCS #8".to_owned(),
        })
    }

    /// Our signing key for a namespace, made on first use.
    ///
    /// # Errors
    /// As [`Home::signing_key`], or when it cannot be written.
    pub fn make_signing_key(&self, namespace: &str) -> Result<SigningKey, PackageError> {
        if let Some(key) = self.signing_key(namespace)? {
            return Ok(key);
        }
        let path = self.key_file(namespace)?;
        let folder = self.root.join("keys");
        create_dir(&folder)?;
        let key = SigningKey::generate(&mut rand::rngs::OsRng);
        let unusable = |why: &str| PackageError::io("write", &path, std::io::Error::other(why.to_owned()));
        let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| unusable(&error.to_string()))?;
        write_atomic(&path, pem.as_bytes(), Mode::Private)?;
        Ok(key)
    }

    fn key_file(&self, namespace: &str) -> Result<PathBuf, PackageError> {
        // Parsing is what keeps `../` out of the path.
        let name: PluginName = format!("{namespace}:x").parse()?;
        Ok(self.root.join("keys").join(format!("{}.pem", name.namespace())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_exactly_one_registry() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().to_owned());
        assert_eq!(
            home.registry_of("acme").unwrap_err().to_string(),
            "no registry is configured for the namespace acme"
        );
        let config =
            "[registries]\ndefault = \"http://127.0.0.1:1\"\nnamespaces = { acme = \"https://acme.example\" }\n";
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        assert_eq!(home.registry_of("acme").unwrap().to_string(), "https://acme.example");
        assert_eq!(home.registry_of("other").unwrap().to_string(), "http://127.0.0.1:1");
        let home = home.with_registry("http://127.0.0.1:2");
        assert_eq!(home.registry_of("other").unwrap().to_string(), "http://127.0.0.1:2");
        assert_eq!(
            home.registry_of("acme").unwrap().to_string(),
            "https://acme.example",
            "a mapping is not overridden"
        );
        std::fs::write(folder.path().join("config.toml"), "[registry]\n").unwrap();
        let error = home.config().unwrap_err().to_string();
        assert!(error.starts_with("config.toml is not valid (line 1, column 2): unknown field `registry`"), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn keys_are_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().to_owned());
        assert!(home.signing_key("acme").unwrap().is_none());
        let key = home.make_signing_key("acme").unwrap();
        assert_eq!(home.make_signing_key("acme").unwrap().to_bytes(), key.to_bytes(), "made once");
        let mode = std::fs::metadata(folder.path().join("keys/acme.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(home.make_signing_key("../acme").is_err());
    }

    #[test]
    fn a_publisher_is_remembered_once_and_pinned_over_that() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().to_owned());
        let [a, b] = [1, 2].map(|seed| PublisherKey::of(&SigningKey::from_bytes(&[seed; 32])));
        home.remember_publisher("acme", a).unwrap();
        home.remember_publisher("acme", b).unwrap();
        assert_eq!(home.publisher("acme").unwrap(), Some(a));
        std::fs::write(folder.path().join("config.toml"), format!("[publishers]\nacme = \"{b}\"\n")).unwrap();
        assert_eq!(home.publisher("acme").unwrap(), Some(b));
    }
}
