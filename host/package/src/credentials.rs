//! Who we are to a registry: `credentials.toml` in the home, and what the container tools of this machine know.
//!
//! A token is looked for in `credentials.toml` first; for OCI registries then in `~/.docker/config.json` and the credential
//! helpers that it names, once a registry asks. **Invariants.** The file is its owner's alone (0600), and is refused
//! otherwise; nothing of it stands in an error or a log.

use crate::{
    Home, PackageError,
    files::{Mode, write_atomic},
    home::RegistryUrl,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio::sync::OnceCell;
use windlass_contract::SecretValue;

const FILE: &str = "credentials.toml";

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    #[serde(default)]
    tokens: BTreeMap<String, String>,
}

impl Home {
    /// The token for a registry in `credentials.toml`: `[tokens] "http://127.0.0.1:7420" = "…"`.
    ///
    /// # Errors
    /// When the file is not valid, or others than the owner may read it.
    pub fn token(&self, registry: &RegistryUrl) -> Result<Option<SecretValue>, PackageError> {
        let mut credentials = self.credentials()?;
        Ok(credentials.tokens.remove(&registry.to_string()).map(|token| SecretValue::new(token.into_bytes())))
    }

    /// Keeps a token for a registry.
    ///
    /// # Errors
    /// As [`Home::token`], or when the token is not text, or it cannot be written.
    pub fn keep_token(&self, registry: &RegistryUrl, token: &SecretValue) -> Result<(), PackageError> {
        let mut credentials = self.credentials()?;
        let text = std::str::from_utf8(token.expose()).map_err(|_| PackageError::Malformed {
            file: "the token".to_owned(),
            line: 0,
            column: 0,
            message: "it is not text".to_owned(),
        })?;
        credentials.tokens.insert(registry.to_string(), text.to_owned());
        self.write_credentials(&credentials)
    }

    /// Forgets a registry's token; `false` when none was kept.
    ///
    /// # Errors
    /// As [`Home::keep_token`].
    pub fn forget_token(&self, registry: &RegistryUrl) -> Result<bool, PackageError> {
        let mut credentials = self.credentials()?;
        let known = credentials.tokens.remove(&registry.to_string()).is_some();
        if known {
            self.write_credentials(&credentials)?;
        }
        Ok(known)
    }

    fn write_credentials(&self, credentials: &Credentials) -> Result<(), PackageError> {
        // A table of texts: serialisation cannot fail.
        let text = toml::to_string(credentials).unwrap_or_default();
        write_atomic(&self.root().join(FILE), text.as_bytes(), Mode::Private)
    }

    fn credentials(&self) -> Result<Credentials, PackageError> {
        let path = self.root().join(FILE);
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
        self.read_toml(FILE).map_err(|error| match error {
            // The parser quotes what it could not read, and that may be a token.
            PackageError::Malformed { file, line, column, .. } => {
                PackageError::Malformed { file, line, column, message: "it is not as it should be".to_owned() }
            }
            other => other,
        })
    }
}

/// Where a registry's credentials come from.
pub(crate) enum Login {
    /// They are known.
    Known(Given),
    /// What the container tools know of this host, asked for when the registry asks: a helper may be slow, or show a
    /// window.
    Docker { host: String, given: OnceCell<Given> },
}

impl Login {
    /// A token, as registries of ours take it.
    pub(crate) fn token(token: Option<SecretValue>) -> Self {
        Login::Known(token.map_or(Given::Nothing, |token| Given::Password("token".to_owned(), token)))
    }

    /// What is kept for an OCI registry: `user:password` or a token in `credentials.toml`, else what the container tools
    /// know.
    pub(crate) fn of(home: &Home, url: &RegistryUrl) -> Result<Self, PackageError> {
        let Some(kept) = home.token(url)? else { return Ok(Login::docker(url)) };
        let text = String::from_utf8_lossy(kept.expose()).into_owned();
        Ok(Login::Known(match text.split_once(':') {
            Some((user, password)) => {
                Given::Password(user.to_owned(), SecretValue::new(password.to_owned().into_bytes()))
            }
            None => Given::Password("token".to_owned(), kept),
        }))
    }

    /// What the container tools know.
    pub(crate) fn docker(url: &RegistryUrl) -> Self {
        let url = url.url();
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Login::Docker { host, given: OnceCell::new() }
    }

    pub(crate) async fn given(&self) -> Result<&Given, PackageError> {
        match self {
            Login::Known(given) => Ok(given),
            Login::Docker { host, given } => given.get_or_try_init(|| ask_docker(host.clone())).await,
        }
    }
}

async fn ask_docker(host: String) -> Result<Given, PackageError> {
    use CredentialRetrievalError as E;
    let asked = host.clone();
    // A helper is a program, and this waits for it. Only a panic ends the task without an answer.
    let answer = tokio::task::spawn_blocking(move || docker_credential::get_credential(&asked)).await;
    let why = match answer {
        Ok(Ok(DockerCredential::UsernamePassword(user, password))) => {
            return Ok(Given::Password(user, SecretValue::new(password.into_bytes())));
        }
        Ok(Ok(DockerCredential::IdentityToken(token))) => {
            return Ok(Given::Identity(SecretValue::new(token.into_bytes())));
        }
        Ok(Err(E::NoCredentialConfigured | E::ConfigNotFound)) => return Ok(Given::Nothing),
        // What the helper printed may hold a secret; its name is enough.
        Ok(Err(E::HelperFailure { helper, .. })) => format!("the credential helper {helper} failed"),
        Ok(Err(other)) => other.to_string(),
        Err(error) => error.to_string(),
    };
    Err(PackageError::Credentials { host, why })
}

/// What is known.
pub(crate) enum Given {
    Nothing,
    Password(String, SecretValue),
    /// A refresh token of OAuth.
    Identity(SecretValue),
}

impl Given {
    /// The header that says it.
    pub(crate) fn basic(&self) -> Option<String> {
        let Given::Password(user, password) = self else { return None };
        let text = [user.as_bytes(), b":", password.expose()].concat();
        Some(format!("Basic {}", STANDARD.encode(text)))
    }

    pub(crate) fn refresh(&self) -> Option<String> {
        let Given::Identity(token) = self else { return None };
        Some(String::from_utf8_lossy(token.expose()).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn tokens_are_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().to_owned());
        let registry: RegistryUrl = "http://127.0.0.1:1".parse().unwrap();
        let path = folder.path().join(FILE);
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
    #[cfg(unix)]
    fn logging_in_and_out() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"));
        let [one, other]: [RegistryUrl; 2] =
            ["http://127.0.0.1:1", "https://a.example"].map(|url| url.parse().unwrap());
        home.keep_token(&one, &SecretValue::new(b"first".to_vec())).unwrap();
        home.keep_token(&other, &SecretValue::new(b"second".to_vec())).unwrap();
        assert_eq!(home.token(&one).unwrap().unwrap().expose(), b"first");
        let mode = std::fs::metadata(home.root().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(home.forget_token(&one).unwrap());
        assert!(!home.forget_token(&one).unwrap(), "it was forgotten");
        assert!(home.token(&one).unwrap().is_none());
        assert_eq!(home.token(&other).unwrap().unwrap().expose(), b"second");
    }
}
