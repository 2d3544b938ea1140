//! `windlass.lock`: exactly which bytes a project runs, and who vouched for them.
//!
//! Sorted by name, one version a plugin. It lives in version control; a run reads it and never the registry.

use crate::{
    PackageError,
    files::{Mode, read_text, write_atomic},
    resolve::{AskedBy, Root, exactly},
    signature::{Signature, Statement},
};
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use windlass_contract::{Digest, Permissions, PluginName, PluginRef};

/// The file's name.
pub const FILE: &str = "windlass.lock";

const HEADING: &str = "# Written by `windlass plugin install`. Keep it in version control; do not edit it.\n";
/// The format that this version writes and reads.
const FORMAT: u32 = 1;

/// A project's lock file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// By name.
    pub plugins: BTreeMap<PluginName, Locked>,
}

/// One locked plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// `namespace:name`.
    pub name: PluginName,
    /// Its version.
    pub version: Version,
    /// The digest of its component.
    pub digest: Digest,
    /// Where it came from.
    pub registry: String,
    /// The contract it was built against.
    pub contract: Version,
    /// A person asked for it by name: it stays although no pipeline and no other plugin needs it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub requested: bool,
    /// Who vouched for it by a Sigstore bundle when it was installed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosign: Option<String>,
    /// Who signed it; none, and nobody vouched: it was installed with `--allow-unsigned`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// The plugins that it calls, and in which versions; covered by the signature.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dependencies: BTreeMap<PluginName, VersionReq>,
    /// What it asks for; covered by the signature.
    #[serde(default)]
    pub permissions: Permissions,
}

impl Locked {
    /// Whether anybody vouched for it.
    pub fn is_signed(&self) -> bool {
        self.signature.is_some() || self.cosign.is_some()
    }

    /// It, as it is locked, asked for.
    pub(crate) fn root(&self) -> Root {
        Root { name: self.name.clone(), requirement: exactly(&self.version), by: AskedBy::Lock }
    }

    /// The plugin as errors and calls name it.
    pub fn plugin(&self) -> PluginRef {
        PluginRef { name: self.name.clone(), version: self.version.clone(), digest: self.digest }
    }

    /// What its publisher signed.
    pub fn statement(&self) -> Statement<'_> {
        Statement {
            name: &self.name,
            version: &self.version,
            digest: &self.digest,
            permissions: &self.permissions,
            dependencies: &self.dependencies,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default)]
    plugin: Vec<Locked>,
}

impl Lock {
    /// Reads a project's lock; empty where there is no file.
    ///
    /// # Errors
    /// [`PackageError::Malformed`].
    pub fn load(project: &Path) -> Result<Self, PackageError> {
        match read_text(&project.join(FILE))? {
            Some(text) => Self::parse(&text),
            None => Ok(Lock::default()),
        }
    }

    /// Reads the text of a lock file.
    ///
    /// # Errors
    /// As [`Lock::load`].
    pub fn parse(text: &str) -> Result<Self, PackageError> {
        let bad = |line, column, message| PackageError::Malformed { file: FILE.to_owned(), line, column, message };
        let document: Document = toml::from_str(text).map_err(|error| {
            let (line, column) = error.span().map_or((0, 0), |span| place(text, span.start));
            bad(line, column, error.message().to_owned())
        })?;
        if document.version != FORMAT {
            return Err(bad(
                1,
                1,
                format!("it has the format {}, this version of Windlass reads {FORMAT}", document.version),
            ));
        }
        let mut plugins = BTreeMap::new();
        for locked in document.plugin {
            let name = locked.name.clone();
            if plugins.insert(name.clone(), locked).is_some() {
                return Err(bad(0, 0, format!("{name} is locked twice (a merge that was not finished?)")));
            }
        }
        Ok(Lock { plugins })
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let document = Document { version: FORMAT, plugin: self.plugins.values().cloned().collect() };
        // Tables with string keys: serialisation cannot fail.
        HEADING.to_owned() + &toml::to_string(&document).unwrap_or_default()
    }

    /// Writes it; leaves the file alone when nothing changed.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, project: &Path) -> Result<(), PackageError> {
        let path = project.join(FILE);
        let text = self.text();
        if read_text(&path)?.as_deref() == Some(&text) {
            return Ok(());
        }
        write_atomic(&path, text.as_bytes(), Mode::Shared)
    }

    /// A plugin and those that it calls, as far as they are locked.
    pub fn closure(&self, name: &PluginName) -> BTreeSet<PluginName> {
        let mut reached = BTreeSet::new();
        let mut open = vec![name.clone()];
        while let Some(name) = open.pop() {
            if let Some(locked) = self.plugins.get(&name).filter(|locked| !reached.contains(&locked.name)) {
                open.extend(locked.dependencies.keys().cloned());
                reached.insert(name);
            }
        }
        reached
    }

    /// The locked plugins that another one calls.
    pub fn needed_by<'a>(&'a self, name: &'a PluginName) -> impl Iterator<Item = &'a Locked> {
        self.plugins.values().filter(move |other| other.name != *name && other.dependencies.contains_key(name))
    }

    /// What stands by itself: asked for by name, or called by no other.
    pub fn roots(&self) -> impl Iterator<Item = &Locked> {
        self.plugins.values().filter(|locked| locked.requested || self.needed_by(&locked.name).next().is_none())
    }

    /// The locked plugin that satisfies a requirement.
    ///
    /// # Errors
    /// [`PackageError::NotInstalled`], with the version that is locked, if one is.
    pub fn get(&self, name: &PluginName, requirement: &VersionReq) -> Result<&Locked, PackageError> {
        let locked = self.plugins.get(name);
        // What is locked by an exact pre-release stays usable under `*`: the lock is the decision.
        match locked {
            Some(locked) if *requirement == VersionReq::STAR || requirement.matches(&locked.version) => Ok(locked),
            other => Err(PackageError::NotInstalled {
                name: name.clone(),
                requirement: requirement.to_string(),
                have: other.map(|locked| locked.version.clone()),
            }),
        }
    }
}

/// Line and column, from 1, of a byte in a text.
pub(crate) fn place(text: &str, byte: usize) -> (u64, u64) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line as u64, column as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{manifest::read_yaml, signature::PublisherKey};

    fn lock() -> Lock {
        let asked = "containers: {images: [from-config], network: true}\nsecrets: [cloud/*]\nstate: true";
        let locked = Locked {
            name: "windlass:shell".parse().unwrap(),
            version: Version::new(0, 1, 0),
            digest: Digest::of(b""),
            registry: "http://127.0.0.1:7420".to_owned(),
            contract: Version::new(0, 1, 0),
            requested: true,
            cosign: None,
            signature: Some(Signature {
                key: PublisherKey::of(&ed25519_dalek::SigningKey::from_bytes(&[1; 32])),
                signature: "00".to_owned(),
            }),
            dependencies: [("windlass:log".parse().unwrap(), "^0.1".parse().unwrap())].into(),
            permissions: read_yaml("x", asked).unwrap(),
        };
        Lock { plugins: [(locked.name.clone(), locked)].into() }
    }

    #[test]
    fn round_trip() {
        insta::assert_snapshot!(lock().text(), @r#"
        # Written by `windlass plugin install`. Keep it in version control; do not edit it.
        version = 1

        [[plugin]]
        name = "windlass:shell"
        version = "0.1.0"
        digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        registry = "http://127.0.0.1:7420"
        contract = "0.1.0"
        requested = true

        [plugin.signature]
        key = "ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
        signature = "00"

        [plugin.dependencies]
        "windlass:log" = "^0.1"

        [plugin.permissions]
        secrets = ["cloud/*"]
        state = true

        [plugin.permissions.containers]
        images = ["from-config"]
        network = true
        memory-mib = 4096
        cpu-millis = 2000
        "#);
        assert_eq!(Lock::parse(&lock().text()).unwrap(), lock());
    }

    #[test]
    fn what_is_refused() {
        let text = lock().text();
        let check = |text: &str| match Lock::parse(text) {
            Ok(lock) => format!("{} plugins", lock.plugins.len()),
            Err(error) => error.to_string(),
        };
        let entry = text.split_once("[[plugin]]").unwrap().1;
        let all = [
            check("version = 1"),
            check(""),
            check("version = 2"),
            check(&text.replace("windlass:shell", "windlass:../shell")),
            check(&text.replace("sha256:", "md5:")),
            check(&text.replace("registry =", "registri =")),
            check(&format!("{text}\n[[plugin]]{entry}")),
            check("<<<<<<< HEAD\n"),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        0 plugins
        windlass.lock is not valid (line 1, column 1): missing field `version`
        windlass.lock is not valid (line 1, column 1): it has the format 2, this version of Windlass reads 1
        windlass.lock is not valid (line 5, column 8): plugin name "windlass:../shell" is not valid: write namespace:name, each part lower-case letters, digits and single hyphens, starting with a letter, at most 64 characters
        windlass.lock is not valid (line 7, column 10): digest "md5:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" is not valid: write sha256: and 64 lower-case hex digits
        windlass.lock is not valid (line 8, column 1): unknown field `registri`, expected one of `name`, `version`, `digest`, `registry`, `contract`, `requested`, `cosign`, `signature`, `dependencies`, `permissions`
        windlass.lock is not valid: windlass:shell is locked twice (a merge that was not finished?)
        windlass.lock is not valid (line 1, column 9): key with no value, expected `=`
        "#);
    }

    #[test]
    fn requirements() {
        let lock = lock();
        let name = "windlass:shell".parse().unwrap();
        assert!(lock.get(&name, &VersionReq::STAR).is_ok());
        assert!(lock.get(&name, &"^0.1".parse().unwrap()).is_ok());
        let error = lock.get(&name, &"^0.2".parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "windlass:shell ^0.2 is not installed in this project (windlass.lock has 0.1.0)");
        let other = "windlass:deploy".parse().unwrap();
        let error = lock.get(&other, &VersionReq::STAR).unwrap_err();
        assert_eq!(error.to_string(), "windlass:deploy * is not installed in this project");
    }
}
