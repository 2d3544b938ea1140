//! What a step is asked to do. Pure: it reads text and makes values.
//!
//! `descriptor.json` holds the schema, which the host checks first; this module says the same in types, and checks what a
//! schema cannot say. A value that is still a template (`{{ … }}`) is left alone until it is rendered.

use crate::chat::Settings;
use serde::Deserialize;
use windlass_plugin::{
    Diagnostic, Severity, diagnostic,
    files::{Mounts, VolumeMount},
};

/// How often a model is asked in one step unless the step says otherwise: enough to read some files, write some, and look again.
const DEFAULT_ITERATIONS: u32 = 10;

/// The configuration of `step.agent`; each field is described in `descriptor.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each field is documented in descriptor.json")]
pub struct Config {
    pub agent: String,
    pub input: String,
    #[serde(default = "default_iterations")]
    pub max_iterations: u32,
    pub profile: Profile,
    #[serde(default)]
    pub volumes: Option<Vec<VolumeMount>>,
}

/// Which model an agent is, and how it is to be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each field is documented in descriptor.json")]
pub struct Profile {
    pub base_url: String,
    pub model: String,
    #[serde(default)]
    pub api_key: Option<Reference>,
    #[serde(default)]
    pub system: Option<String>,
    #[serde(default)]
    pub temperature: Option<f64>,
    #[serde(default)]
    pub max_tokens: Option<u32>,
}

impl Profile {
    /// What each request says of the model.
    pub fn settings(&self) -> Settings {
        Settings { model: self.model.clone(), temperature: self.temperature, max_tokens: self.max_tokens }
    }
}

fn default_iterations() -> u32 {
    DEFAULT_ITERATIONS
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
        // The text itself is not shown: whoever writes a key here should not find it in a log.
        let help = "api_key is not the reference of a secret; store the key in the vault, and write secret:engine/path";
        if text.starts_with("secret:") { Ok(Reference(text)) } else { Err(help.to_owned()) }
    }
}

/// What can be said of a configuration before it runs, beyond its schema.
pub fn check(json: &str) -> Vec<Diagnostic> {
    let Ok(config) = serde_json::from_str::<serde_json::Value>(json) else {
        return vec![diagnostic(Severity::Error, "", "the configuration is not JSON", "")];
    };
    let key = config.pointer("/profile/api_key");
    let key = key.filter(|key| !key.as_str().is_some_and(windlass_plugin::fields::is_template));
    let key = key.and_then(|key| Reference::deserialize(key).err());
    let key = key.map(|error| ("/profile/api_key".to_owned(), error.to_string()));
    let volumes = config.get("volumes").and_then(|volumes| Vec::<VolumeMount>::deserialize(volumes).ok());
    let mounts = volumes.and_then(|volumes| Mounts::new(Some(volumes)).err());
    let mounts = mounts.map(|(index, message)| (format!("/volumes/{index}/mount_path"), message));
    key.into_iter().chain(mounts).map(|(path, message)| diagnostic(Severity::Error, path, message, "")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn the_least_configuration() {
        let config =
            json!({"agent": "coder", "input": "hello", "profile": {"base_url": "http://a.test", "model": "m"}});
        let config: Config = serde_json::from_value(config).expect("it is sound");
        assert_eq!((config.max_iterations, config.volumes, config.profile.api_key), (10, None, None));
    }

    /// Every key of the schema is read, and every key that is read is in the schema: nothing is parsed and dropped.
    #[test]
    fn schema_and_type_have_the_same_keys() {
        let descriptor: serde_json::Value = serde_json::from_str(include_str!("descriptor.json")).expect("it is JSON");
        let schema = &descriptor["steps"][0]["config_schema"]["properties"];
        let every_key = json!({
            "agent": "coder", "input": "b", "max_iterations": 3,
            "profile": {"base_url": "http://a.test", "model": "m", "api_key": "secret:llm/key", "system": "be brief",
                "temperature": 0.5, "max_tokens": 10},
            "volumes": [{"name": "workspace", "mount_path": "/w", "read_only": true}],
        });
        let keys = |value: &serde_json::Value| value.as_object().map(|o| o.keys().cloned().collect::<BTreeSet<_>>());
        assert_eq!(keys(schema), keys(&every_key));
        assert_eq!(keys(&schema["profile"]["properties"]), keys(&every_key["profile"]));
        assert_eq!(keys(&schema["volumes"]["items"]["properties"]), keys(&every_key["volumes"][0]));
        serde_json::from_value::<Config>(every_key).expect("each key is read");
    }

    #[test]
    fn what_lint_says() {
        let check = |config: serde_json::Value, expect: &[&str]| {
            let found: Vec<_> =
                check(&config.to_string()).into_iter().map(|d| format!("{}: {}", d.path, d.message)).collect();
            assert_eq!(found, expect);
        };
        check(json!({"profile": {"api_key": "secret:llm/key"}}), &[]);
        check(json!({"profile": {"api_key": "{{ inputs.key }}"}}), &[]);
        check(
            json!({"profile": {"api_key": "sk-123"}, "volumes": [{"name": "workspace", "mount_path": "/a/../b"}]}),
            &[
                "/profile/api_key: api_key is not the reference of a secret; store the key in the vault, and write secret:engine/path",
                "/volumes/0/mount_path: the mount_path \"/a/../b\" is not an absolute path without `..`",
            ],
        );
    }
}
