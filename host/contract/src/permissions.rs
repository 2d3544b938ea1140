//! What a plugin asks for, and what it was granted: the same vocabulary for both.
//!
//! A plugin's manifest states the scope it asks for, a grants file states the scope that was given, and a call gets the
//! narrower of the two. Unset means none. There is no wildcard that means everything; `from-config` means "what the
//! pipeline's author wrote into this step's configuration", which lets a shell step run any image that the author
//! names, and a compromised plugin none that the author did not.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// One capability interface of the contract; a component's imports are a set of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interface {
    /// `log`: always granted.
    Log,
    /// `inputs`: always granted.
    Inputs,
    /// `outputs`: always granted.
    Outputs,
    /// `containers`.
    Containers,
    /// `artifacts`.
    Artifacts,
    /// `secrets`.
    Secrets,
    /// `secrets-reveal`: its own trust level.
    SecretsReveal,
    /// `http`.
    Http,
    /// `state`.
    State,
}

impl Interface {
    /// Every interface, in the order of `wit/`.
    pub const ALL: [Interface; 9] = [
        Interface::Log,
        Interface::Inputs,
        Interface::Outputs,
        Interface::Containers,
        Interface::Artifacts,
        Interface::Secrets,
        Interface::SecretsReveal,
        Interface::Http,
        Interface::State,
    ];

    /// Its name in `wit/`, which is its key in a manifest and a grants file too.
    pub fn name(self) -> &'static str {
        match self {
            Interface::Log => "log",
            Interface::Inputs => "inputs",
            Interface::Outputs => "outputs",
            Interface::Containers => "containers",
            Interface::Artifacts => "artifacts",
            Interface::Secrets => "secrets",
            Interface::SecretsReveal => "secrets-reveal",
            Interface::Http => "http",
            Interface::State => "state",
        }
    }

    /// Whether every plugin has it without a grant.
    pub fn always_granted(self) -> bool {
        matches!(self, Interface::Log | Interface::Inputs | Interface::Outputs)
    }

    /// What it lets a plugin do, in plain words: the sentence of the consent dialog.
    pub fn in_words(self) -> &'static str {
        match self {
            Interface::Log => "write to the step's log",
            Interface::Inputs => "read the step's own configuration",
            Interface::Outputs => "set the step's results",
            Interface::Containers => "start containers",
            Interface::Artifacts => "read or write the run's artifacts and workspace",
            Interface::Secrets => "use secrets without seeing their values",
            Interface::SecretsReveal => "READ THE VALUES OF SECRETS",
            Interface::Http => "send HTTP requests",
            Interface::State => "keep a small store of its own between runs",
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Interface {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Interface::ALL
            .into_iter()
            .find(|interface| interface.name() == text)
            .ok_or_else(|| format!("no capability is called {text:?}"))
    }
}

/// A pattern over names: literal text with `*` for any run of characters, or `from-config`.
///
/// What `*` may span is decided where the pattern is matched (an image name, a secret reference, a host). A pattern that
/// is only `*` is refused: nothing is granted without being named.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pattern {
    /// Whatever the pipeline's author wrote into this step's configuration, and nothing else.
    FromConfig,
    /// Text with `*`, never only of `*`, `.`, `/` and `:`.
    Text(String),
}

impl FromStr for Pattern {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "from-config" {
            return Ok(Pattern::FromConfig);
        }
        if text.is_empty() || text.len() > 255 {
            return Err("a pattern has 1 to 255 characters".to_owned());
        }
        if text.chars().all(|c| matches!(c, '*' | '.' | '/' | ':' | '?')) {
            return Err(format!(
                "the pattern {text:?} would grant everything; name what is meant, or write from-config"
            ));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(format!("the pattern {text:?} holds white space or control characters"));
        }
        Ok(Pattern::Text(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::FromConfig => f.write_str("from-config"),
            Pattern::Text(text) => f.write_str(text),
        }
    }
}

impl Serialize for Pattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Pattern {
    /// Whether `name` matches, where `*` spans any characters but those in `bounds`, and `named` are the strings of the
    /// step's configuration.
    pub fn matches(&self, name: &str, bounds: &[char], named: &BTreeSet<String>) -> bool {
        match self {
            Pattern::FromConfig => named.contains(name),
            Pattern::Text(pattern) => glob(pattern, name, bounds),
        }
    }
}

/// Linear-time glob with one backtrack point; `*` does not cross `bounds`.
fn glob(pattern: &str, text: &str, bounds: &[char]) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) if !bounds.contains(&text[from]) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                _ => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The permissions of a plugin, asked for or granted. Unset is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Permissions {
    /// Starting containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<ContainersScope>,
    /// Artifacts and the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<ArtifactsScope>,
    /// Secrets by handle: reference patterns, in which `*` does not cross `/`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub secrets: BTreeSet<Pattern>,
    /// The bytes of those secrets.
    #[serde(default, skip_serializing_if = "is_false")]
    pub secrets_reveal: bool,
    /// HTTP requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpScope>,
    /// The plugin's own store.
    #[serde(default, skip_serializing_if = "is_false")]
    pub state: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// The scope of `containers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ContainersScope {
    /// Image patterns, in which `*` does not cross `/`.
    pub images: BTreeSet<Pattern>,
    /// Whether a container may have a network.
    #[serde(default, skip_serializing_if = "is_false")]
    pub network: bool,
    /// Whether a provider's containers may outlive its calls.
    #[serde(default, skip_serializing_if = "is_false")]
    pub detached: bool,
    /// Whether those may be reached at ports of the engine's machine, on its loopback address.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ports: bool,
    /// Memory ceiling in MiB; default 4,096.
    #[serde(default = "default_memory_mib")]
    pub memory_mib: u32,
    /// Processor ceiling in thousandths; default 2,000.
    #[serde(default = "default_cpu_millis")]
    pub cpu_millis: u32,
}

fn default_memory_mib() -> u32 {
    4096
}
fn default_cpu_millis() -> u32 {
    2000
}

/// The scope of `artifacts`. At least one is true, or it would not be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ArtifactsScope {
    /// Reading artifacts and the workspace.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read: bool,
    /// Making artifacts and writing to the workspace.
    #[serde(default, skip_serializing_if = "is_false")]
    pub write: bool,
}

/// The scope of `http`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HttpScope {
    /// Host patterns such as `api.example.com`, `*.example.com` (`*` does not cross `.`), with `:port` where it is not the scheme's.
    pub hosts: BTreeSet<Pattern>,
    /// Methods in upper case.
    pub methods: BTreeSet<String>,
}

impl Permissions {
    /// The interfaces that these permissions let a component import, without those that are always granted.
    pub fn interfaces(&self) -> BTreeSet<Interface> {
        let held = [
            (self.containers.is_some(), Interface::Containers),
            (self.artifacts.is_some(), Interface::Artifacts),
            (!self.secrets.is_empty(), Interface::Secrets),
            (self.secrets_reveal, Interface::SecretsReveal),
            (self.http.is_some(), Interface::Http),
            (self.state, Interface::State),
        ];
        held.into_iter().filter_map(|(held, interface)| held.then_some(interface)).collect()
    }

    /// The narrower of the two: what both allow. Patterns are compared as text, so a grant names what was asked, or less.
    #[must_use]
    pub fn intersect(&self, other: &Permissions) -> Permissions {
        let both = |a: &BTreeSet<Pattern>, b: &BTreeSet<Pattern>| a.intersection(b).cloned().collect::<BTreeSet<_>>();
        Permissions {
            containers: self.containers.as_ref().zip(other.containers.as_ref()).and_then(|(a, b)| {
                let images = both(&a.images, &b.images);
                (!images.is_empty()).then(|| ContainersScope {
                    images,
                    network: a.network && b.network,
                    detached: a.detached && b.detached,
                    ports: a.ports && b.ports,
                    memory_mib: a.memory_mib.min(b.memory_mib),
                    cpu_millis: a.cpu_millis.min(b.cpu_millis),
                })
            }),
            artifacts: self.artifacts.zip(other.artifacts).and_then(|(a, b)| {
                let scope = ArtifactsScope { read: a.read && b.read, write: a.write && b.write };
                (scope.read || scope.write).then_some(scope)
            }),
            secrets: both(&self.secrets, &other.secrets),
            secrets_reveal: self.secrets_reveal && other.secrets_reveal,
            http: self.http.as_ref().zip(other.http.as_ref()).and_then(|(a, b)| {
                let hosts = both(&a.hosts, &b.hosts);
                let methods: BTreeSet<_> = a.methods.intersection(&b.methods).cloned().collect();
                (!hosts.is_empty() && !methods.is_empty()).then_some(HttpScope { hosts, methods })
            }),
            state: self.state && other.state,
        }
    }

    /// Whether everything in these permissions is in `other` too.
    pub fn within(&self, other: &Permissions) -> bool {
        self.intersect(other) == *self
    }

    /// The permissions as sentences, one each, in a fixed order: for the consent dialog and `plugin info`.
    pub fn in_words(&self) -> Vec<(Interface, String)> {
        let list = |patterns: &BTreeSet<Pattern>, own: &str| {
            patterns
                .iter()
                .map(|pattern| match pattern {
                    Pattern::FromConfig => own.to_owned(),
                    Pattern::Text(text) => text.clone(),
                })
                .collect::<Vec<_>>()
                .join(", ")
        };
        let mut words = Vec::new();
        if let Some(scope) = &self.containers {
            let beyond = match (scope.detached, scope.ports) {
                (false, _) => "",
                (true, false) => "; WHICH GO ON when it is done, until they are removed",
                (true, true) => {
                    "; WHICH GO ON when it is done, until they are removed, and can be reached at ports of this machine (127.0.0.1)"
                }
            };
            words.push((
                Interface::Containers,
                format!(
                    "start containers from {}; {}; at most {} MiB of memory and {} processors each{beyond}",
                    list(&scope.images, "the images that your pipeline names"),
                    if scope.network { "with a network" } else { "without a network" },
                    scope.memory_mib,
                    f64::from(scope.cpu_millis) / 1000.0,
                ),
            ));
        }
        if let Some(scope) = self.artifacts {
            let verb = match (scope.read, scope.write) {
                (true, true) => "read and write",
                (true, false) => "read",
                _ => "write",
            };
            words.push((Interface::Artifacts, format!("{verb} the run's artifacts and workspace")));
        }
        if !self.secrets.is_empty() {
            let which = list(&self.secrets, "the ones that your pipeline names");
            words.push((Interface::Secrets, format!("use secrets without seeing them: {which}")));
        }
        if self.secrets_reveal {
            words.push((Interface::SecretsReveal, "READ THE VALUES of those secrets".to_owned()));
        }
        if let Some(scope) = &self.http {
            let methods = scope.methods.iter().cloned().collect::<Vec<_>>().join(", ");
            let hosts = list(&scope.hosts, "the hosts that your pipeline names");
            words.push((Interface::Http, format!("send {methods} requests to {hosts}")));
        }
        if self.state {
            words.push((Interface::State, Interface::State.in_words().to_owned()));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().expect("a sound pattern")
    }

    #[test]
    fn nothing_is_granted_without_being_named() {
        for text in ["*", "**", "*/*", "*.*", "*:*", "", " ", "a b"] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?} should be refused");
        }
    }

    #[test]
    fn globs() {
        let check = |pattern: &str, name: &str, bounds: &[char], expect: bool| {
            assert_eq!(glob(pattern, name, bounds), expect, "{pattern} against {name}");
        };
        check("ghcr.io/acme/*", "ghcr.io/acme/tool:1", &['/'], true);
        check("ghcr.io/acme/*", "ghcr.io/acme/x/tool:1", &['/'], false);
        check("ghcr.io/acme*", "ghcr.io/acme-malicious/tool", &['/'], false);
        check("*.example.com", "api.example.com", &['.'], true);
        check("*.example.com", "a.b.example.com", &['.'], false);
        check("*.example.com", "example.com", &['.'], false);
        check("rust:*", "rust:1-slim", &['/'], true);
        check("a*b*c", "axxbyybc", &[], true);
        check("a*b*c", "axxbyyb", &[], false);
    }

    #[test]
    fn from_config_is_what_the_author_wrote() {
        let named = BTreeSet::from(["alpine:3.19".to_owned()]);
        assert!(Pattern::FromConfig.matches("alpine:3.19", &['/'], &named));
        assert!(!Pattern::FromConfig.matches("alpine:3.20", &['/'], &named));
    }

    #[test]
    fn a_call_gets_what_both_allow() {
        let asked = Permissions {
            containers: Some(ContainersScope {
                images: [pattern("from-config"), pattern("acme/*")].into(),
                network: true,
                detached: true,
                ports: true,
                memory_mib: 8192,
                cpu_millis: 4000,
            }),
            secrets: [pattern("cloud/*")].into(),
            secrets_reveal: true,
            state: true,
            ..Permissions::default()
        };
        let granted = Permissions {
            containers: Some(ContainersScope {
                images: [pattern("from-config")].into(),
                network: false,
                detached: true,
                ports: false,
                memory_mib: 1024,
                cpu_millis: 4000,
            }),
            secrets: [pattern("other/*")].into(),
            ..asked.clone()
        };
        let both = asked.intersect(&granted);
        insta::assert_json_snapshot!(both, @r#"
        {
          "containers": {
            "images": [
              "from-config"
            ],
            "detached": true,
            "memory-mib": 1024,
            "cpu-millis": 4000
          },
          "secrets-reveal": true,
          "state": true
        }
        "#);
        assert!(both.within(&asked) && both.within(&granted) && !asked.within(&granted));
        let words = |permissions: &Permissions| permissions.in_words().remove(0).1;
        insta::assert_snapshot!(words(&asked), @"");
        insta::assert_snapshot!(words(&granted), @"");
    }
}
