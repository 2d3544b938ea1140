//! The user's folder: configuration, keys, tokens, what was learned of publishers, and the store.
//!
//! ```text
//! ~/.windlass/               or WINDLASS_HOME
//!   config.toml              written by the user: registries, pinned publishers
//!   credentials.toml         written by the user, 0600: a token per registry
//!   publishers.toml          written by us: the key that each namespace was first seen with
//!   keys/<namespace>.pem     written by us, 0600: our own signing keys
//!   plugins/                 the store of components
//!   cache/index/             index answers with their ETags
//! ```

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
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};
use url::{Host, Url};
use windlass_contract::{PluginName, SecretValue};

/// The environment variable that names the default registry, over `config.toml`.
pub const REGISTRY_ENV: &str = "WINDLASS_REGISTRY";
/// The environment variable that holds the token for publishing.
pub const TOKEN_ENV: &str = "WINDLASS_REGISTRY_TOKEN";

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

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
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
    pub namespaces: BTreeMap<String, String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Publishers {
    #[serde(default)]
    publishers: BTreeMap<String, PublisherKey>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    #[serde(default)]
    tokens: BTreeMap<String, String>,
}

/// The user's folder.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
    registry: Option<String>,
}

impl Home {
    /// The folder `root`, whose default registry is what `config.toml` says.
    pub fn new(root: PathBuf) -> Self {
        Home { root, registry: None }
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
        Ok(Home { root, registry: std::env::var(REGISTRY_ENV).ok().filter(|url| !url.is_empty()) })
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

    fn read_toml<T: DeserializeOwned + Default>(&self, file: &str) -> Result<T, PackageError> {
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
        for namespace in config.registries.namespaces.keys().chain(config.publishers.keys()) {
            format!("{namespace}:x").parse::<PluginName>()?;
        }
        if let Some(registry) = &self.registry {
            config.registries.default = Some(registry.clone());
        }
        Ok(config)
    }

    /// The one registry of a namespace.
    ///
    /// # Errors
    /// When none is configured, or its address is not one.
    pub fn registry_of(&self, namespace: &str) -> Result<RegistryUrl, PackageError> {
        let registries = self.config()?.registries;
        registries
            .namespaces
            .get(namespace)
            .or(registries.default.as_ref())
            .ok_or_else(|| PackageError::NoRegistry { namespace: namespace.to_owned() })?
            .parse()
    }

    /// Every configured registry, the default first.
    ///
    /// # Errors
    /// As [`Home::registry_of`].
    pub fn registries(&self) -> Result<Vec<RegistryUrl>, PackageError> {
        let registries = self.config()?.registries;
        let mut all: Vec<RegistryUrl> = Vec::new();
        for address in registries.default.iter().chain(registries.namespaces.values()) {
            let url = address.parse()?;
            if !all.contains(&url) {
                all.push(url);
            }
        }
        if all.is_empty() { Err(PackageError::NoRegistry { namespace: "default".to_owned() }) } else { Ok(all) }
    }

    /// The token for a registry in `credentials.toml`: `[tokens] "http://127.0.0.1:7420" = "…"`.
    ///
    /// # Errors
    /// When the file is not valid, or others than the owner may read it.
    pub fn token(&self, registry: &RegistryUrl) -> Result<Option<SecretValue>, PackageError> {
        let path = self.root.join("credentials.toml");
        #[cfg(unix)]
        if let Ok(file) = std::fs::metadata(&path) {
            use std::os::unix::fs::PermissionsExt;
            if file.permissions().mode() & 0o077 != 0 {
                return Err(PackageError::io(
                    "use (make it yours alone: chmod 600)",
                    &path,
                    std::io::ErrorKind::PermissionDenied.into(),
                ));
            }
        }
        let mut credentials: Credentials = self.read_toml("credentials.toml").map_err(|error| match error {
            // The parser quotes what it could not read, and that may be a token.
            PackageError::Malformed { file, line, column, .. } => {
                PackageError::Malformed { file, line, column, message: "it is not as it should be".to_owned() }
            }
            other => other,
        })?;
        Ok(credentials.tokens.remove(&registry.to_string()).map(|token| SecretValue::new(token.into_bytes())))
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
    fn keys_and_tokens_are_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().to_owned());
        assert!(home.signing_key("acme").unwrap().is_none());
        let key = home.make_signing_key("acme").unwrap();
        assert_eq!(home.make_signing_key("acme").unwrap().to_bytes(), key.to_bytes(), "made once");
        let mode = std::fs::metadata(folder.path().join("keys/acme.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(home.make_signing_key("../acme").is_err());

        let registry = "http://127.0.0.1:1".parse().unwrap();
        let path = folder.path().join("credentials.toml");
        std::fs::write(&path, "[tokens]\n\"http://127.0.0.1:1\" = \"s3cr3t\"\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(home.token(&registry).err().unwrap().to_string().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(home.token(&registry).unwrap().unwrap().expose(), b"s3cr3t");
        std::fs::write(&path, "tokens = s3cr3t\n").unwrap();
        let error = home.token(&registry).err().unwrap().to_string();
        assert!(!error.contains("s3cr3t"), "{error}");
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
