//! The built-in vault: one file in which each value is sealed on its own.
//!
//! XChaCha20-Poly1305 with a fresh random nonce for each write; a secret's name and the hosts that it is bound to are
//! authenticated with it, so that nobody who can write the file can rename a secret or widen where it may be sent. A
//! sealed check word tells a wrong key from a damaged file. The key is 32 bytes from a file that only its owner may read
//! (made on first use), or from the environment.
//!
//! Writers take a lock file and replace the vault by an atomic rename; readers need no lock.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};
use windlass_contract::{Code, CodedError, SecretReference, SecretValue, permissions::Pattern};
use zeroize::Zeroizing;

/// The environment variable of [`KeySource::Env`].
pub const KEY_VARIABLE: &str = "WINDLASS_VAULT_KEY";

/// A value may have this many bytes: keys and certificates fit, archives belong into artifacts.
pub const MAX_VALUE: usize = 64 << 10;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const FORMAT: u32 = 1;
const CHECK_WORD: &[u8] = b"windlass vault";

/// Where the vault's key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file of 64 hex digits, made with mode 0600 when the first secret is set.
    File(PathBuf),
    /// `WINDLASS_VAULT_KEY`: 64 hex digits, or base64 of 32 bytes.
    Env,
}

/// What may be told of a secret: everything but its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretInfo {
    /// `engine/path`.
    pub name: String,
    /// The hosts that it may be sent to; none means: containers and signatures only.
    pub hosts: Vec<String>,
    /// When it was set, in seconds since 1970.
    pub set_at: u64,
}

/// Why the vault did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum VaultError {
    #[error("there is no secret {name}; set it with `windlass secret set {name}`")]
    NotFound { name: String },
    #[error(
        "the vault {path} was sealed with another key than the one from {source_of_key}; give the key that it was made with"
    )]
    WrongKey { path: PathBuf, source_of_key: String },
    #[error("the vault's key from {source_of_key} is not usable: {why}; it is 64 hex digits, or base64 of 32 bytes")]
    BadKey { source_of_key: String, why: String },
    #[error("the vault {path} is damaged ({why}); restore it from a backup, or remove it and set the secrets anew")]
    Damaged { path: PathBuf, why: String },
    #[error("{0}")]
    Invalid(String),
    #[error("cannot access {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl CodedError for VaultError {
    fn code(&self) -> Code {
        Code(match self {
            VaultError::NotFound { .. } => 601,
            VaultError::WrongKey { .. } => 602,
            VaultError::BadKey { .. } => 603,
            VaultError::Damaged { .. } => 604,
            VaultError::Invalid(_) => 605,
            VaultError::Io { .. } => 606,
        })
    }
    fn retryable(&self) -> bool {
        matches!(self, VaultError::Io { .. })
    }
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    nonce: String,
    sealed: String,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    hosts: Vec<String>,
    set_at: u64,
    #[serde(flatten)]
    sealed: Sealed,
}

#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    check: Sealed,
    secrets: BTreeMap<String, Entry>,
}

/// The built-in vault. Holds paths only; the key is read when it is needed and wiped after.
#[derive(Debug)]
pub struct Vault {
    path: PathBuf,
    key: KeySource,
}

impl Vault {
    /// A vault at `path`. Touches nothing until it is used.
    pub fn open(path: PathBuf, key: KeySource) -> Self {
        Vault { path, key }
    }

    /// Sets the secret `name`, bound to `hosts` (patterns such as `api.example.com` or `*.example.com`).
    ///
    /// # Errors
    /// When the value is empty or over [`MAX_VALUE`], a host is no pattern, the key does not fit, or the file system fails.
    pub fn set(&self, name: &SecretReference, value: &SecretValue, hosts: &[String]) -> Result<(), VaultError> {
        let size = value.expose().len();
        if size == 0 || size > MAX_VALUE {
            return Err(VaultError::Invalid(format!(
                "the value of {name} has {size} bytes; it must have 1 to {MAX_VALUE}"
            )));
        }
        for host in hosts {
            match host.parse() {
                Ok(Pattern::Text(_)) if !host.contains('/') => {}
                _ => {
                    return Err(VaultError::Invalid(format!(
                        "{name} cannot be bound to {host:?}; write a host such as api.example.com, *.example.com or example.com:8443"
                    )));
                }
            }
        }
        let _lock = self.lock()?;
        let key = self.key(true)?;
        let mut file = self.read()?.unwrap_or_else(|| File {
            format: FORMAT,
            check: seal(&key, b"check", CHECK_WORD),
            secrets: BTreeMap::new(),
        });
        self.check(&key, &file)?;
        let sealed = seal(&key, &associated(name.as_str(), hosts), value.expose());
        let set_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        file.secrets.insert(name.as_str().to_owned(), Entry { hosts: hosts.to_vec(), set_at, sealed });
        self.write(&file)
    }

    /// The value of `name`, and the hosts that it is bound to.
    ///
    /// # Errors
    /// When there is none, the key is not the right one, or the file is damaged.
    pub fn get(&self, name: &SecretReference) -> Result<(SecretValue, Vec<Pattern>), VaultError> {
        let missing = || VaultError::NotFound { name: name.to_string() };
        let file = self.read()?.ok_or_else(missing)?;
        let entry = file.secrets.get(name.as_str()).ok_or_else(missing)?;
        let key = self.key(false)?;
        self.check(&key, &file)?;
        let value = unseal(&key, &associated(name.as_str(), &entry.hosts), &entry.sealed)
            .ok_or_else(|| self.damaged(format!("{name} does not open, although the key is the right one")))?;
        let hosts = entry.hosts.iter().filter_map(|host| host.parse().ok()).collect();
        Ok((SecretValue::new(value), hosts))
    }

    /// What secrets there are, by name. Needs no key.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn list(&self) -> Result<Vec<SecretInfo>, VaultError> {
        let secrets = self.read()?.map(|file| file.secrets).unwrap_or_default();
        let info = |(name, entry): (String, Entry)| SecretInfo { name, hosts: entry.hosts, set_at: entry.set_at };
        Ok(secrets.into_iter().map(info).collect())
    }

    /// Removes `name`. Needs no key.
    ///
    /// # Errors
    /// When there is none, or the file system fails.
    pub fn remove(&self, name: &SecretReference) -> Result<(), VaultError> {
        let _lock = self.lock()?;
        let missing = || VaultError::NotFound { name: name.to_string() };
        let mut file = self.read()?.ok_or_else(missing)?;
        file.secrets.remove(name.as_str()).ok_or_else(missing)?;
        self.write(&file)
    }

    fn read(&self) -> Result<Option<File>, VaultError> {
        let bytes = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| self.io(source))?,
        };
        let file: File = serde_json::from_slice(&bytes).map_err(|error| self.damaged(error.to_string()))?;
        if file.format != FORMAT {
            return Err(self.damaged(format!("it has format {}, this version knows {FORMAT}", file.format)));
        }
        Ok(Some(file))
    }

    fn write(&self, file: &File) -> Result<(), VaultError> {
        let bytes = serde_json::to_vec_pretty(file).map_err(|error| self.damaged(error.to_string()))?;
        crate::artifacts::replace_file(&self.path, &bytes).map_err(|source| self.io(source))
    }

    /// Held for a change, so that two processes do not lose each other's.
    fn lock(&self) -> Result<fs::File, VaultError> {
        let take = || {
            if let Some(parent) = self.path.parent() {
                fs::create_dir_all(parent)?;
            }
            let path = self.path.with_extension("lock");
            let file = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
            file.lock()?;
            Ok(file)
        };
        take().map_err(|source| self.io(source))
    }

    fn check(&self, key: &Key, file: &File) -> Result<(), VaultError> {
        match unseal(key, b"check", &file.check) {
            Some(word) if word == CHECK_WORD => Ok(()),
            _ => Err(VaultError::WrongKey { path: self.path.clone(), source_of_key: self.source_of_key() }),
        }
    }

    fn key(&self, create: bool) -> Result<Key, VaultError> {
        let bad = |why: String| VaultError::BadKey { source_of_key: self.source_of_key(), why };
        let text: Zeroizing<String> = match &self.key {
            KeySource::Env => std::env::var(KEY_VARIABLE).map_err(|_| bad("it is not set".to_owned()))?.into(),
            KeySource::File(path) => match fs::read_to_string(path) {
                Ok(text) => text.into(),
                Err(error) if error.kind() == io::ErrorKind::NotFound && create && !self.path.exists() => {
                    create_key(path).map_err(|source| VaultError::Io { path: path.clone(), source })?
                }
                Err(error) => return Err(bad(error.to_string())),
            },
        };
        let text = text.trim();
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if hex::decode_to_slice(text, &mut *key).is_ok() {
            return Ok(key);
        }
        let bytes = Zeroizing::new(STANDARD.decode(text).unwrap_or_default());
        if bytes.len() != KEY_BYTES {
            return Err(bad("it has another form".to_owned()));
        }
        key.copy_from_slice(&bytes);
        Ok(key)
    }

    fn source_of_key(&self) -> String {
        match &self.key {
            KeySource::Env => format!("the environment variable {KEY_VARIABLE}"),
            KeySource::File(path) => path.display().to_string(),
        }
    }

    fn io(&self, source: io::Error) -> VaultError {
        VaultError::Io { path: self.path.clone(), source }
    }

    fn damaged(&self, why: String) -> VaultError {
        VaultError::Damaged { path: self.path.clone(), why }
    }
}

type Key = Zeroizing<[u8; KEY_BYTES]>;

/// Makes a key file that is complete or not there, and that nobody else could ever read.
fn create_key(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut key: Key = Zeroizing::new([0; KEY_BYTES]);
    rand::rngs::OsRng.fill_bytes(&mut *key);
    let text = Zeroizing::new(hex::encode(*key));
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    // A temporary file has mode 0600 from its beginning.
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => fs::File::open(parent)?.sync_all().map(|()| text),
        // Somebody else was first: theirs counts.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => fs::read_to_string(path).map(Into::into),
        Err(error) => Err(error.error),
    }
}

/// What is authenticated along with a value. JSON, because it cannot be read in two ways.
fn associated(name: &str, hosts: &[String]) -> Vec<u8> {
    serde_json::json!(["windlass-vault", FORMAT, name, hosts]).to_string().into_bytes()
}

fn seal(key: &Key, associated: &[u8], value: &[u8]) -> Sealed {
    let mut nonce = [0; NONCE_BYTES];
    rand::rngs::OsRng.fill_bytes(&mut nonce);
    let cipher = XChaCha20Poly1305::new((&**key).into());
    // Fails only for messages of more than 256 GiB; a value has at most 64 KiB.
    let sealed =
        cipher.encrypt(XNonce::from_slice(&nonce), Payload { msg: value, aad: associated }).unwrap_or_default();
    Sealed { nonce: STANDARD.encode(nonce), sealed: STANDARD.encode(sealed) }
}

fn unseal(key: &Key, associated: &[u8], sealed: &Sealed) -> Option<Vec<u8>> {
    let nonce = STANDARD.decode(&sealed.nonce).ok().filter(|nonce| nonce.len() == NONCE_BYTES)?;
    let message = STANDARD.decode(&sealed.sealed).ok()?;
    let cipher = XChaCha20Poly1305::new((&**key).into());
    cipher.decrypt(XNonce::from_slice(&nonce), Payload { msg: &message, aad: associated }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn vault(dir: &Path, key: &str) -> Vault {
        Vault::open(dir.join("vault.json"), KeySource::File(dir.join(key)))
    }
    fn name(text: &str) -> SecretReference {
        text.parse().unwrap()
    }
    fn value(text: &str) -> SecretValue {
        SecretValue::new(text.as_bytes().to_vec())
    }
    fn read(vault: &Vault, of: &str) -> Result<String, u16> {
        match vault.get(&name(of)) {
            Ok((value, _)) => Ok(String::from_utf8(value.expose().to_vec()).unwrap()),
            Err(error) => Err(error.code().0),
        }
    }

    #[test]
    fn set_list_get_remove() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(dir.path(), "key");
        assert_eq!(read(&vault, "cloud/token"), Err(601));
        assert_eq!(vault.list().unwrap(), []);
        vault.set(&name("cloud/token"), &value("one"), &["api.a.test".to_owned()]).unwrap();
        vault.set(&name("cloud/token"), &value("two"), &["api.a.test".to_owned()]).unwrap();
        vault.set(&name("b/other"), &value("three"), &[]).unwrap();
        assert_eq!(read(&vault, "cloud/token").as_deref(), Ok("two"));
        let listed: Vec<_> = vault.list().unwrap().into_iter().map(|info| (info.name, info.hosts)).collect();
        assert_eq!(listed, [("b/other".to_owned(), vec![]), ("cloud/token".to_owned(), vec!["api.a.test".to_owned()])]);
        vault.remove(&name("b/other")).unwrap();
        assert_eq!(read(&vault, "b/other"), Err(601));
        for file in ["key", "vault.json"] {
            let mode = fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        assert!(!fs::read_to_string(dir.path().join("vault.json")).unwrap().contains("two"));
    }

    #[test]
    fn a_wrong_key_is_told_apart_from_a_damaged_file() {
        let dir = tempfile::tempdir().unwrap();
        vault(dir.path(), "key").set(&name("a/b"), &value("one"), &[]).unwrap();
        fs::write(dir.path().join("other"), "11".repeat(32)).unwrap();
        assert_eq!(read(&vault(dir.path(), "other"), "a/b"), Err(602));
        assert_eq!(vault(dir.path(), "other").set(&name("a/c"), &value("x"), &[]).unwrap_err().code().0, 602);
        fs::write(dir.path().join("short"), "abc").unwrap();
        assert_eq!(read(&vault(dir.path(), "short"), "a/b"), Err(603));
        // A lost key is not replaced by a new one that opens nothing.
        assert_eq!(read(&vault(dir.path(), "gone"), "a/b"), Err(603));
        assert_eq!(vault(dir.path(), "gone").set(&name("a/c"), &value("x"), &[]).unwrap_err().code().0, 603);
        fs::write(dir.path().join("vault.json"), "{").unwrap();
        assert_eq!(read(&vault(dir.path(), "key"), "a/b"), Err(604));
    }

    #[test]
    fn names_and_hosts_are_sealed_too() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(dir.path(), "key");
        vault.set(&name("a/b"), &value("one"), &["good.test".to_owned()]).unwrap();
        let path = dir.path().join("vault.json");
        let text = fs::read_to_string(&path).unwrap();
        for (from, to) in [("good.test", "evil.test"), ("a/b", "a/c")] {
            fs::write(&path, text.replace(from, to)).unwrap();
            assert_eq!(read(&vault, if from == "a/b" { "a/c" } else { "a/b" }), Err(604), "{from} became {to}");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(dir.path(), "key");
        let check = |text: &str, hosts: &[&str]| {
            let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
            assert_eq!(vault.set(&name("a/b"), &value(text), &hosts).unwrap_err().code().0, 605, "{hosts:?}");
        };
        check("", &[]);
        check(&"x".repeat(MAX_VALUE + 1), &[]);
        for host in ["*", "*.*", "", "https://a.test", "from-config", "a b"] {
            check("value", &[host]);
        }
    }

    #[test]
    fn writers_do_not_lose_each_other() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for n in 0..8 {
                let dir = dir.path();
                scope.spawn(move || vault(dir, "key").set(&name(&format!("a/s{n}")), &value("v"), &[]).unwrap());
            }
        });
        assert_eq!(vault(dir.path(), "key").list().unwrap().len(), 8);
    }
}
