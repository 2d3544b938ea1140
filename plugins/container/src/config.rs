//! What a step is asked to do. Pure: it reads text and makes values.
//!
//! `descriptor.json` holds the schema, which the host checks first; this module says the same in types, and checks what a
//! schema cannot say. A value that is still a template (`{{ … }}`) is left alone until it is rendered.

use serde::Deserialize;
use std::collections::BTreeMap;
use windlass_plugin::{
    Diagnostic, Severity, diagnostic,
    fields::{decimal, refused},
    files::{Mounts, VolumeMount},
};

pub use windlass_plugin::fields::{EnvValue, PullPolicy, User};

/// The least memory that container engines accept, in MiB.
const MIN_MEMORY_MIB: u32 = 6;

/// The most that can be asked for, in MiB: 16 TiB, more than any machine has.
const MAX_MEMORY_MIB: u32 = 16_777_216;

/// The configuration of `step.container_run`; each field is described in `descriptor.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each field is documented in descriptor.json")]
pub struct Config {
    pub image: String,
    pub command: Vec<String>,
    #[serde(default)]
    pub workdir: Option<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub volumes: Vec<VolumeMount>,
    /// In thousandths of a processor.
    #[serde(default)]
    pub cpu: Option<u32>,
    #[serde(default)]
    pub memory: Option<Memory>,
    #[serde(default)]
    pub registry_credentials: Option<Reference>,
    #[serde(default)]
    pub image_pull_policy: PullPolicy,
    #[serde(default)]
    pub network_mode: NetworkMode,
    #[serde(default)]
    pub run_as_user: Option<User>,
    #[serde(default)]
    pub read_only_root_filesystem: bool,
}

/// What of a network the container has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum NetworkMode {
    /// One of its own, with a way out.
    #[default]
    Bridge,
    /// None.
    None,
}

impl TryFrom<String> for NetworkMode {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let why = match text.as_str() {
            "bridge" => return Ok(NetworkMode::Bridge),
            "none" => return Ok(NetworkMode::None),
            "host" => "a container never shares the host's network",
            text if text.starts_with("container:") => "a container never shares another one's network",
            _ => "there is no such network",
        };
        Err(format!("network_mode {text:?} is refused: {why}; write bridge or none"))
    }
}

/// The reference of a secret, with its `secret:`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Reference(String);

impl Reference {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Reference {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        // The text itself is not shown: whoever writes a password here should not find it in a log.
        let help = "registry_credentials is not the reference of a secret; store the login in the vault, and write \
                    secret:engine/path";
        if text.starts_with("secret:") { Ok(Reference(text)) } else { Err(help.to_owned()) }
    }
}

/// A memory ceiling with its unit, such as `512Mi`, `4g` or `1.5GB`. All units are powers of 1024, as container engines read them;
/// what is not a whole number of MiB is rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Amount")]
pub struct Memory(u32);

/// What may stand for an amount of memory.
#[derive(Deserialize)]
#[serde(untagged)]
enum Amount {
    Number(f64),
    Text(String),
}

impl Memory {
    /// In MiB.
    pub fn mib(self) -> u32 {
        self.0
    }
}

impl TryFrom<Amount> for Memory {
    type Error = String;
    fn try_from(amount: Amount) -> Result<Self, String> {
        const HELP: &str = "write a number with its unit, such as 512Mi or 4Gi";
        let text = match amount {
            Amount::Number(number) => return Err(format!("memory {number} has no unit; {HELP}")),
            Amount::Text(text) => text,
        };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        // How many times larger than a MiB the unit is.
        let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
            "k" | "ki" | "kb" => 1.0 / 1024.0,
            "m" | "mi" | "mb" => 1.0,
            "g" | "gi" | "gb" => 1024.0,
            "" => return Err(format!("memory {text:?} has no unit; {HELP}")),
            _ => return Err(format!("memory {text:?} has a unit that is none; {HELP}")),
        };
        let mib = decimal(digits).map(|number| (number * unit).ceil());
        let mib = mib.filter(|mib| *mib >= f64::from(MIN_MEMORY_MIB) && *mib <= f64::from(MAX_MEMORY_MIB));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and within bounds")]
        mib.map(|mib| Memory(mib as u32))
            .ok_or_else(|| format!("memory {text:?} is not an amount of at least {MIN_MEMORY_MIB} MiB; {HELP}"))
    }
}

/// What can be said of a configuration before it runs, beyond its schema.
pub fn check(json: &str) -> Vec<Diagnostic> {
    let Ok(config) = serde_json::from_str::<serde_json::Value>(json) else {
        return vec![diagnostic(Severity::Error, "", "the configuration is not JSON", "")];
    };
    let refused = [
        ("/memory", refused::<Memory>(config.get("memory"))),
        ("/network_mode", refused::<NetworkMode>(config.get("network_mode"))),
        ("/registry_credentials", refused::<Reference>(config.get("registry_credentials"))),
    ];
    let refused = refused.into_iter().filter_map(|(path, message)| Some((path.to_owned(), message?)));
    let volumes = config.get("volumes").and_then(|volumes| Vec::<VolumeMount>::deserialize(volumes).ok());
    let mounts = volumes.and_then(|volumes| Mounts::new(Some(volumes)).err());
    let mounts = mounts.map(|(index, message)| (format!("/volumes/{index}/mount_path"), message));
    refused.chain(mounts).map(|(path, message)| diagnostic(Severity::Error, path, message, "")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn parse(config: serde_json::Value) -> Result<Config, String> {
        serde_json::from_value(config).map_err(|error| error.to_string())
    }

    #[test]
    fn the_least_configuration() {
        let config = parse(json!({"image": "busybox", "command": ["true"]})).expect("it is sound");
        assert_eq!((config.network_mode, config.image_pull_policy), (NetworkMode::Bridge, PullPolicy::IfNotPresent));
        assert!(config.volumes.is_empty() && !config.read_only_root_filesystem && config.workdir.is_none());
    }

    /// Every key of the schema is read, and every key that is read is in the schema: nothing is parsed and dropped.
    #[test]
    fn schema_and_type_have_the_same_keys() {
        let descriptor: serde_json::Value = serde_json::from_str(include_str!("descriptor.json")).expect("it is JSON");
        let schema = &descriptor["steps"][0]["config_schema"]["properties"];
        let every_key = json!({
            "image": "a", "command": ["b"], "workdir": "/c", "env": {"D": "e"},
            "volumes": [{"name": "cache", "mount_path": "/f", "read_only": true}], "cpu": 500, "memory": "64Mi",
            "registry_credentials": "secret:cicd/registry", "image_pull_policy": "Never", "network_mode": "none",
            "run_as_user": 1000, "read_only_root_filesystem": true,
        });
        let keys = |value: &serde_json::Value| value.as_object().map(|o| o.keys().cloned().collect::<BTreeSet<_>>());
        assert_eq!(keys(schema), keys(&every_key));
        let volume = &schema["volumes"]["items"]["properties"];
        assert_eq!(keys(volume), keys(&every_key["volumes"][0]));
        parse(every_key).expect("each key is read");
        let error = parse(json!({"image": "a", "command": ["b"], "privileged": true})).expect_err("an unknown key");
        assert!(error.contains("privileged"), "{error}");
    }

    #[test]
    fn memory() {
        let check = |value: serde_json::Value, expect: Option<u32>| {
            assert_eq!(Memory::deserialize(&value).ok().map(Memory::mib), expect, "{value}");
        };
        check(json!("512Mi"), Some(512));
        check(json!("512m"), Some(512));
        check(json!("512MB"), Some(512));
        check(json!("4Gi"), Some(4096));
        check(json!("4g"), Some(4096));
        check(json!("4GB"), Some(4096));
        check(json!("1.5G"), Some(1536));
        check(json!("65536Ki"), Some(64));
        check(json!("65537k"), Some(65));
        check(json!("6m"), Some(6));
        check(json!("5m"), None);
        check(json!("100k"), None);
        check(json!(536_870_912), None);
        check(json!("512"), None);
        check(json!("512b"), None);
        check(json!("4T"), None);
        check(json!("Gi"), None);
        check(json!("-1Gi"), None);
        check(json!("1e3Gi"), None);
        check(json!("1.2.3Gi"), None);
        check(json!("4 Gi"), None);
        check(json!("99999999999Gi"), None);
        check(json!("é"), None);
    }

    #[test]
    fn what_lint_says() {
        let check = |config: serde_json::Value, expect: &[&str]| {
            let found: Vec<_> =
                check(&config.to_string()).into_iter().map(|d| format!("{}: {}", d.path, d.message)).collect();
            assert_eq!(found, expect);
        };
        check(json!({"image": "a", "command": ["b"]}), &[]);
        check(json!({"memory": "{{ m }}", "network_mode": "{{ n }}", "registry_credentials": "{{ r }}"}), &[]);
        check(
            json!({"memory": 4096, "network_mode": "host", "registry_credentials": "ci:hunter2"}),
            &[
                "/memory: memory 4096 has no unit; write a number with its unit, such as 512Mi or 4Gi",
                "/network_mode: network_mode \"host\" is refused: a container never shares the host's network; write bridge or none",
                "/registry_credentials: registry_credentials is not the reference of a secret; store the login in the vault, and write secret:engine/path",
            ],
        );
        check(
            json!({"network_mode": "container:abc", "volumes": [{"name": "a", "mount_path": "/a"}, {"name": "b", "mount_path": "/a"}]}),
            &[
                "/network_mode: network_mode \"container:abc\" is refused: a container never shares another one's network; write bridge or none",
                "/volumes/1/mount_path: two volumes are to be mounted at /a; give each its own path",
            ],
        );
    }

    proptest! {
        #[test]
        fn an_amount_is_itself_in_every_unit(mib in MIN_MEMORY_MIB..=MAX_MEMORY_MIB, upper in any::<bool>()) {
            for (factor, units) in [(1024, ["k", "ki", "kb"]), (1, ["m", "mi", "mb"])] {
                for unit in units {
                    let unit = if upper { unit.to_uppercase() } else { unit.to_owned() };
                    let text = format!("{}{unit}", u64::from(mib) * factor);
                    prop_assert_eq!(Memory::deserialize(&json!(text)).map(Memory::mib).ok(), Some(mib));
                }
            }
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,20}") {
            if let Ok(memory) = Memory::deserialize(&json!(text)) {
                prop_assert!((MIN_MEMORY_MIB..=MAX_MEMORY_MIB).contains(&memory.mib()));
            }
        }
    }
}
