//! One published version: the line of the sparse index, and the request that asks the gate for it.
//!
//! `GET /index/<namespace>/<name>` answers with one [`Release`] as JSON a line, oldest first. Lines are only ever added; of
//! an existing line nothing changes but `status`. A line of a later format (`v`) is skipped by a client that does not
//! know it; within one format, keys may be added, and readers ignore those they do not know.

use crate::signature::{Signature, Statement};
use jiff::Timestamp;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use windlass_contract::{Digest, Interface, Permissions, PluginKind, PluginName, ProviderName};

/// The format of the lines that this version writes.
pub const LINE_FORMAT: u32 = 1;

/// One version of a plugin, as the index lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Format of this line.
    pub v: u32,
    /// The plugin.
    pub name: PluginName,
    /// The version.
    pub version: Version,
    /// Digest of the component's bytes.
    pub digest: Digest,
    /// Size of the component in bytes.
    pub size: u64,
    /// Digest of the OCI manifest.
    pub manifest: Digest,
    /// What it is for.
    pub kinds: BTreeSet<PluginKind>,
    /// The step types that it provides.
    pub steps: Vec<String>,
    /// The provider that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderName>,
    /// The version of the contract that it was built against.
    pub contract: Version,
    /// What the component imports.
    pub imports: BTreeSet<Interface>,
    /// What its manifest asks for, with scopes.
    pub permissions: Permissions,
    /// The plugins that it calls, and in which versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dependencies: BTreeMap<PluginName, VersionReq>,
    /// The versions of Windlass that it runs on; none: every one that offers its contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<VersionReq>,
    /// One line.
    pub summary: String,
    /// Words that it may be found by.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub keywords: BTreeSet<String>,
    /// SPDX expression.
    pub licence: String,
    /// Where its source is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When it was published.
    pub published: Timestamp,
    /// Who signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// Whether it may be used.
    #[serde(default, skip_serializing_if = "Status::is_ok")]
    pub status: Status,
}

impl Release {
    /// What its publisher signs.
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

/// Whether a release may be used. The only part of a line that changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Status {
    /// It may.
    #[default]
    Ok,
    /// It is not chosen any more; those who have it locked keep it. By its owner, who can take it back.
    Yanked(Notice),
    /// Neither chosen nor installed from a lock, while the registry looks into it. By the registry.
    Quarantined(Notice),
    /// Its bytes are gone, for good. By the registry.
    Removed(Notice),
}

/// Why a release has a status other than ok.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// In words; for whoever meets it.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

impl Status {
    /// Whether it is [`Status::Ok`].
    pub fn is_ok(&self) -> bool {
        *self == Status::Ok
    }

    /// The state as the index writes it, and why; none when it is ok.
    pub fn notice(&self) -> Option<(&'static str, &Notice)> {
        match self {
            Status::Ok => None,
            Status::Yanked(notice) => Some(("yanked", notice)),
            Status::Quarantined(notice) => Some(("quarantined", notice)),
            Status::Removed(notice) => Some(("removed", notice)),
        }
    }
}

/// Reads an index document.
///
/// # Errors
/// When a line of our format is broken, names another plugin, or repeats a version; with the line's number.
pub fn parse_index(name: &PluginName, text: &str) -> Result<Vec<Release>, String> {
    #[derive(Deserialize)]
    struct Format {
        v: u32,
    }
    let mut seen = BTreeSet::new();
    let mut releases = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = number + 1;
        let format: Format = serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))?;
        if format.v > LINE_FORMAT {
            continue;
        }
        let release: Release = serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))?;
        if release.name != *name {
            return Err(format!("line {number} is about {}, not {name}", release.name));
        }
        if !seen.insert(release.version.clone()) {
            return Err(format!("line {number} repeats version {}", release.version));
        }
        releases.push(release);
    }
    Ok(releases)
}

/// The line of a release, with its newline.
pub fn index_line(release: &Release) -> String {
    // Every map key in a release is a string, so this cannot fail.
    let mut line = serde_json::to_string(release).unwrap_or_default();
    line.push('\n');
    line
}

/// The newest release that satisfies `requirement` and is not withdrawn, by Cargo's rules: a pre-release only when the
/// requirement names one of the same version.
pub fn newest<'a>(releases: &'a [Release], requirement: &VersionReq) -> Option<&'a Release> {
    releases
        .iter()
        .filter(|release| release.status.is_ok() && requirement.matches(&release.version))
        .max_by(|a, b| a.version.cmp_precedence(&b.version).then(a.version.cmp(&b.version)))
}

/// What an index that was seen before may not lose. `Err` says what is missing or changed.
pub fn only_grew(before: &[Release], now: &[Release]) -> Result<(), String> {
    let now: BTreeMap<_, _> = now.iter().map(|release| (&release.version, release)).collect();
    for old in before {
        match now.get(&old.version) {
            None => return Err(format!("version {} is gone", old.version)),
            Some(new) if new.digest != old.digest => {
                return Err(format!(
                    "version {} had the digest {} and now has {}",
                    old.version, old.digest, new.digest
                ));
            }
            // What was signed cannot become unsigned or somebody else's.
            Some(new)
                if new.signature != old.signature
                    || new.permissions != old.permissions
                    || new.dependencies != old.dependencies =>
            {
                return Err(format!(
                    "version {} has another signature, other permissions or other dependencies than before",
                    old.version
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// `/.well-known/wasm-pkg/registry.json`: where a package's bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WellKnown {
    /// Always `oci` with us.
    pub preferred_protocol: String,
    /// The OCI registry.
    pub oci: WellKnownOci,
}

/// The OCI part of [`WellKnown`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WellKnownOci {
    /// `host:port`.
    pub registry: String,
    /// What stands before `namespace/name` in a repository's name; empty, or ending in `/`.
    #[serde(default)]
    pub namespace_prefix: String,
}

/// `POST /api/v1/publish`: all blobs and the OCI manifest are there; make it a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PublishRequest {
    /// The plugin.
    pub name: String,
    /// The version.
    pub version: String,
    /// The OCI manifest, by digest.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub manifest: Digest,
    /// The blob that is `plugin.yaml`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub plugin: Digest,
    /// The blob that is the README.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub readme: Option<Digest>,
    /// The blobs that are the example pipelines, in the order of `plugin.yaml`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub examples: Vec<Digest>,
    /// The signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub signature: Option<Signature>,
}

/// What the market API answers when something was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Refusals {
    /// At least one.
    pub errors: Vec<Refusal>,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Refusal {
    /// Such as `WL0905`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn release(version: &str) -> Release {
        Release {
            v: LINE_FORMAT,
            name: "acme:slack".parse().unwrap(),
            version: version.parse().unwrap(),
            digest: Digest::of(version.as_bytes()),
            size: 7,
            manifest: Digest::of(b"manifest"),
            kinds: [PluginKind::Step].into(),
            steps: vec!["step.slack".to_owned()],
            provider: None,
            contract: Version::new(0, 1, 0),
            imports: [Interface::Log].into(),
            permissions: Permissions::default(),
            dependencies: BTreeMap::new(),
            engine: None,
            keywords: BTreeSet::new(),
            summary: "Tell a channel".to_owned(),
            licence: "Apache-2.0".to_owned(),
            source: None,
            published: "2026-11-20T12:00:00Z".parse().unwrap(),
            signature: None,
            status: Status::Ok,
        }
    }

    pub(crate) fn yanked(reason: &str) -> Status {
        Status::Yanked(Notice { reason: reason.to_owned(), since: "2026-11-21T12:00:00Z".parse().unwrap() })
    }

    #[test]
    fn the_line() {
        insta::assert_snapshot!(index_line(&release("1.0.0")), @r#"{"v":1,"name":"acme:slack","version":"1.0.0","digest":"sha256:92521fc3cbd964bdc9f584a991b89fddaa5754ed1cc96d6d42445338669c1305","size":7,"manifest":"sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f","kinds":["step"],"steps":["step.slack"],"contract":"0.1.0","imports":["log"],"permissions":{},"summary":"Tell a channel","licence":"Apache-2.0","published":"2026-11-20T12:00:00Z"}"#);
    }

    #[test]
    fn the_line_of_a_withdrawn_release() {
        let release = Release { status: yanked("leaks"), ..release("1.0.0") };
        let line = index_line(&release);
        assert!(
            line.contains(r#""status":{"state":"yanked","reason":"leaks","since":"2026-11-21T12:00:00Z"}"#),
            "{line}"
        );
        assert_eq!(serde_json::from_str::<Release>(&line).unwrap(), release);
    }

    #[test]
    fn reading_an_index() {
        let name = "acme:slack".parse().unwrap();
        let good = index_line(&release("1.0.0")) + &index_line(&release("1.1.0"));
        let check = |text: &str, expect: Result<usize, &str>| {
            let got = parse_index(&name, text);
            match (got, expect) {
                (Ok(got), Ok(expect)) => assert_eq!(got.len(), expect),
                (Err(got), Err(expect)) => assert!(got.contains(expect), "{got}"),
                (got, expect) => panic!("{got:?}, expected {expect:?}"),
            }
        };
        check(&good, Ok(2));
        check(&(good.clone() + "{\"v\":2,\"new\":true}\n"), Ok(2));
        check(&good.replace("\"size\":7", "\"size\":7,\"later\":1"), Ok(2));
        check(&(good.clone() + "{\"v\":1}\n"), Err("line 3: missing field `name`"));
        check("not json", Err("line 1"));
        check(&good.replace("acme:slack", "acme:other"), Err("is about acme:other"));
        check(&good.replace("1.1.0", "1.0.0"), Err("repeats version 1.0.0"));
        check(&good.replace("acme:slack", "../slack"), Err("plugin name"));
    }

    #[test]
    fn choosing() {
        let mut all: Vec<_> = ["0.9.0", "1.0.0", "1.2.0", "1.10.0", "2.0.0-rc.1"].map(release).into();
        let check = |requirement: &str, expect: Option<&str>| {
            let got = newest(&all, &requirement.parse().unwrap()).map(|r| r.version.to_string());
            assert_eq!(got.as_deref(), expect, "{requirement}");
        };
        check("*", Some("1.10.0"));
        check("^1", Some("1.10.0"));
        check("~1.2", Some("1.2.0"));
        check("^0.9", Some("0.9.0"));
        check("^2", None);
        check("2.0.0-rc.1", Some("2.0.0-rc.1"));
        all[3].status = yanked("leaks");
        assert_eq!(newest(&all, &VersionReq::STAR).map(|r| r.version.to_string()).as_deref(), Some("1.2.0"));
    }

    #[test]
    fn an_index_only_grows() {
        let before = ["1.0.0", "1.1.0"].map(release);
        let mut grown = ["1.0.0", "1.1.0", "1.2.0"].map(release);
        grown[0].status = yanked("broken");
        assert_eq!(only_grew(&before, &grown), Ok(()));
        assert!(only_grew(&before, &before[..1]).unwrap_err().contains("1.1.0 is gone"));
        let mut changed = before.clone();
        changed[1].digest = Digest::of(b"other");
        assert!(only_grew(&before, &changed).unwrap_err().contains("now has"));
        let mut widened = before.clone();
        widened[1].permissions.state = true;
        assert!(only_grew(&before, &widened).unwrap_err().contains("other permissions"));
    }
}
