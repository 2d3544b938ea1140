//! What an environment may be given by people. Pure.

use super::secrets::OWN;
use crate::{Problem, api::environments::EnvironmentInput, secrets::reserved_in};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use windlass_contract::SecretValue;

/// Characters of an environment's name: it stands in lists and in addresses.
const MAX_NAME: usize = 64;

/// Bytes of a configuration as JSON: a form that people fill in.
const MAX_CONFIG: usize = 64 * 1024;

/// Secrets of one environment.
const MAX_SECRETS: usize = 64;

/// How an environment may stand.
const STANDINGS: [&str; 4] = ["active", "provisioning", "error", "decommissioned"];

/// What an input says, each part of it sound.
pub(super) struct Input {
    pub(super) name: Option<String>,
    pub(super) workflow_id: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) region: Option<String>,
    pub(super) config: Option<Map<String, Value>>,
    pub(super) secrets: BTreeMap<String, SecretValue>,
    /// Those to be removed.
    pub(super) forgotten: BTreeSet<String>,
    pub(super) status: Option<String>,
}

pub(super) fn read(input: EnvironmentInput) -> Result<Input, Problem> {
    let word = |text: &str| {
        (1..=MAX_NAME).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    let rule = "write 1 to 64 letters, digits, `_` and `-`";
    if input.name.as_deref().is_some_and(|name| !word(name)) {
        return Err(Problem::field("/name", rule));
    }
    for (pointer, text) in [("/workflow_id", &input.workflow_id), ("/region", &input.region)] {
        let is_odd = |text: &String| text.chars().count() > 200 || text.chars().any(char::is_control);
        if text.as_ref().is_some_and(is_odd) {
            return Err(Problem::field(pointer, "write at most 200 characters, none of them a control character"));
        }
    }
    if input.status.as_deref().is_some_and(|status| !STANDINGS.contains(&status)) {
        return Err(Problem::field("/status", format!("a status is one of: {}", STANDINGS.join(", "))));
    }
    if let Some(config) = &input.config {
        let config = Value::Object(config.clone());
        if config.to_string().len() > MAX_CONFIG {
            return Err(Problem::field("/config", format!("a configuration has at most {MAX_CONFIG} bytes as JSON")));
        }
        if let Some(name) = reserved_in(&config) {
            let words = format!("secret:{name} is the server's own; write {OWN}NAME for a secret of this environment");
            return Err(Problem::field("/config", words));
        }
    }
    let (mut secrets, mut forgotten) = (BTreeMap::new(), BTreeSet::new());
    for (name, value) in input.secrets.unwrap_or_default() {
        let size = value.len();
        if !word(&name) {
            return Err(Problem::field(&format!("/secrets/{}", pointer_part(&name)), rule));
        }
        if size > windlass_capabilities::MAX_SECRET {
            let words = format!("a secret has at most {} bytes", windlass_capabilities::MAX_SECRET);
            return Err(Problem::field(&format!("/secrets/{name}"), words));
        }
        match size {
            0 => drop(forgotten.insert(name)),
            _ => drop(secrets.insert(name, SecretValue::new(value.into_bytes()))),
        }
    }
    Ok(Input {
        name: input.name,
        workflow_id: input.workflow_id,
        provider: input.provider,
        region: input.region,
        config: input.config,
        secrets,
        forgotten,
        status: input.status,
    })
}

/// A key as a part of a JSON pointer.
fn pointer_part(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

pub(super) fn check_count(secrets: usize) -> Result<(), Problem> {
    if secrets <= MAX_SECRETS {
        return Ok(());
    }
    Err(Problem::field("/secrets", format!("an environment has at most {MAX_SECRETS} secrets")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_an_input_may_say() {
        let pointer = |input: Value| {
            let input = serde_json::from_value(input).unwrap();
            read(input).err().map(|problem| problem.errors[0].pointer.clone())
        };
        assert_eq!(pointer(json!({ "name": "a_B-9", "secrets": { "TOKEN": "x", "OLD": "" } })), None);
        assert_eq!(pointer(json!({ "name": "x".repeat(MAX_NAME) })), None);
        for name in ["", "a b", "../x", "ü", &"x".repeat(MAX_NAME + 1)] {
            assert_eq!(pointer(json!({ "name": name })).as_deref(), Some("/name"), "{name}");
        }
        assert_eq!(pointer(json!({ "status": "fine" })).as_deref(), Some("/status"));
        assert_eq!(pointer(json!({ "secrets": { "a/b": "x" } })).as_deref(), Some("/secrets/a~1b"));
        assert_eq!(pointer(json!({ "secrets": { "T": "x".repeat(65_537) } })).as_deref(), Some("/secrets/T"));
        assert_eq!(pointer(json!({ "config": { "x": "x".repeat(MAX_CONFIG) } })).as_deref(), Some("/config"));
        let foreign = json!({ "config": { "env": { "T": "secret:environments/env-2/T" } } });
        assert_eq!(pointer(foreign).as_deref(), Some("/config"));
        let too_many = MAX_SECRETS + 1;
        assert!(check_count(MAX_SECRETS).is_ok() && check_count(too_many).is_err());
    }
}
