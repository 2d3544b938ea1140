//! What an environment is configured to, and what is asked for it. Pure: it reads text and makes values.
//!
//! `descriptor.json` holds the schema, which the host checks first; this module says the same in types, and checks what a schema
//! cannot say.

use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};
use windlass_plugin::{Diagnostic, Severity, diagnostic};

/// How long `wget` may take, in seconds: a service that needs longer is not healthy. By `timeout`, since the option of its own
/// for that kills some builds of it.
const PATH_TIMEOUT_SECONDS: &str = "5";

/// The configuration of an environment; each field is described in `descriptor.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each field is documented in descriptor.json")]
pub struct Config {
    #[serde(default)]
    pub command: Option<Vec<String>>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default)]
    network: Option<bool>,
    #[serde(default)]
    health: Option<Health>,
    #[serde(default = "grace_seconds")]
    grace_seconds: u32,
    #[serde(default = "stop_seconds")]
    stop_seconds: u32,
    #[serde(default)]
    pub memory_mib: Option<u32>,
    #[serde(default)]
    pub cpu_millis: Option<u32>,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub read_only_root: bool,
    #[serde(default)]
    pub registry_credentials: Option<String>,
}

fn grace_seconds() -> u32 {
    3
}
fn stop_seconds() -> u32 {
    10
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Health {
    #[serde(default)]
    command: Option<Vec<String>>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default = "interval_seconds")]
    interval_seconds: u32,
    #[serde(default = "timeout_seconds")]
    timeout_seconds: u32,
}

fn interval_seconds() -> u32 {
    2
}
fn timeout_seconds() -> u32 {
    60
}

/// How it is seen that a container works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What it is about, for people.
    pub program: String,
    /// What is run in it; exit code 0 is well.
    pub argv: Vec<String>,
    /// Between two of them, in milliseconds.
    pub interval_ms: u32,
    /// How long it may take until one is well.
    pub timeout: Duration,
}

impl Config {
    /// Whether the container has a network.
    pub fn network(&self) -> bool {
        self.network.unwrap_or(self.port.is_some())
    }

    /// How long it must have run, in milliseconds.
    pub fn grace_ms(&self) -> u32 {
        self.grace_seconds.saturating_mul(1000)
    }

    /// How long it may take to end, in milliseconds.
    pub fn stop_ms(&self) -> u32 {
        self.stop_seconds.saturating_mul(1000)
    }

    /// The health check, if there is one.
    ///
    /// # Errors
    /// In words, when it is not one.
    pub fn check(&self) -> Result<Option<Check>, String> {
        let Some(health) = &self.health else { return Ok(None) };
        let argv = match (&health.command, &health.path, self.port) {
            (Some(command), None, _) => command.clone(),
            (None, Some(path), Some(port)) => {
                let url = format!("http://127.0.0.1:{port}{path}");
                ["timeout", PATH_TIMEOUT_SECONDS, "wget", "-q", "-O", "/dev/null", &url].map(str::to_owned).to_vec()
            }
            (None, Some(_), None) => return Err("a health check by path needs a `port`; name it".to_owned()),
            _ => return Err("a health check is a `command` or a `path`; write one of the two".to_owned()),
        };
        let program = if health.path.is_some() { Some("wget".to_owned()) } else { argv.first().cloned() };
        Ok(Some(Check {
            program: program.unwrap_or_default(),
            argv,
            interval_ms: health.interval_seconds.saturating_mul(1000),
            timeout: Duration::from_secs(health.timeout_seconds.into()),
        }))
    }

    fn wrong(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        if let Err(message) = self.check() {
            found.push(diagnostic(Severity::Error, "/health", message, ""));
        }
        if self.port.is_some() && self.network == Some(false) {
            let message = "a port needs a network; leave `network` out, or the port";
            found.push(diagnostic(Severity::Error, "/network", message, ""));
        }
        if self.registry_credentials.as_ref().is_some_and(|text| !text.starts_with("secret:")) {
            // The text itself is not shown: whoever writes a password here should not find it in a log.
            let message =
                "this is not the reference of a secret; store the login in the vault, and write secret:engine/path";
            found.push(diagnostic(Severity::Error, "/registry_credentials", message, ""));
        }
        found
    }
}

/// What can be said of a configuration beyond its schema.
pub fn check(json: &str) -> Vec<Diagnostic> {
    match serde_json::from_str::<Config>(json) {
        Ok(config) => config.wrong(),
        Err(error) => vec![diagnostic(Severity::Error, "", format!("the configuration: {error}"), "")],
    }
}

/// What every request says.
#[derive(Debug, Deserialize)]
pub struct About {
    /// The environment's name.
    pub environment: String,
    /// Its configuration.
    pub config: Config,
    /// Which deployment is meant; the one in place, without it. A revision of this provider is a deployment.
    #[serde(default, alias = "revision")]
    pub deploy_id: Option<String>,
}

/// What `deploy` takes.
#[derive(Debug, Deserialize)]
pub struct Deploy {
    /// The environment's name.
    pub environment: String,
    /// Its configuration.
    pub config: Config,
    /// What is to be deployed.
    pub image: String,
    /// What the caller believes to be in place.
    #[serde(default)]
    pub previous: Option<String>,
}

/// What `retire` takes. A configuration that is wrong by now must not keep anybody from removing what there is.
#[derive(Debug, Deserialize)]
pub struct Retire {
    /// The environment's name.
    pub environment: String,
    /// Which deployment; all, without it.
    #[serde(default)]
    pub revision: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn parse(config: Value) -> Result<Config, String> {
        serde_json::from_value(config).map_err(|error| error.to_string())
    }

    #[test]
    fn the_least_configuration() {
        let config = parse(json!({})).expect("it is sound");
        assert!(!config.network() && config.check() == Ok(None));
        assert_eq!((config.grace_ms(), config.stop_ms()), (3000, 10_000));
        assert!(parse(json!({"port": 80})).expect("it is sound").network());
    }

    /// Every key of the schema is read, and every key that is read is in the schema; defaults are the same.
    #[test]
    fn schema_and_type_have_the_same_keys() {
        let descriptor: Value = serde_json::from_str(include_str!("descriptor.json")).expect("it is JSON");
        let schema = &descriptor["provider"]["config_schema"]["properties"];
        let every_key = json!({
            "command": ["a"], "env": {"B": "c"}, "port": 80, "network": true,
            "health": {"command": ["d"], "path": "/", "interval_seconds": 1, "timeout_seconds": 1},
            "grace_seconds": 1, "stop_seconds": 1, "memory_mib": 64, "cpu_millis": 100, "user": "1000",
            "read_only_root": true, "registry_credentials": "secret:cicd/registry",
        });
        let keys = |value: &Value| value.as_object().map(|o| o.keys().cloned().collect::<BTreeSet<_>>());
        assert_eq!(keys(schema), keys(&every_key));
        assert_eq!(keys(&schema["health"]["properties"]), keys(&every_key["health"]));
        parse(every_key).expect("each key is read");
        for unknown in [json!({"privileged": true}), json!({"health": {"volumes": []}})] {
            assert!(parse(unknown).expect_err("an unknown key").contains("unknown field"));
        }
        let least = parse(json!({"health": {"command": ["a"]}})).expect("it is sound");
        let seconds = |of: &Value, key: &str| of[key]["default"].as_u64();
        let check = least.check().expect("a check").expect("a check");
        assert_eq!(seconds(schema, "grace_seconds"), Some(u64::from(least.grace_ms()) / 1000));
        assert_eq!(seconds(schema, "stop_seconds"), Some(u64::from(least.stop_ms()) / 1000));
        let health = &schema["health"]["properties"];
        assert_eq!(seconds(health, "interval_seconds"), Some(u64::from(check.interval_ms) / 1000));
        assert_eq!(seconds(health, "timeout_seconds"), Some(check.timeout.as_secs()));
    }

    #[test]
    fn health_checks() {
        let check = |config: Value, expect: Result<&[&str], &str>| {
            let found = parse(config).expect("it is sound").check();
            let found = found.as_ref().map(|check| check.as_ref().map(|check| check.argv.clone()).unwrap_or_default());
            match (found, expect) {
                (Ok(found), Ok(expect)) => assert_eq!(found, expect),
                (Err(found), Err(expect)) => assert!(found.contains(expect), "{found}"),
                other => panic!("{other:?}"),
            }
        };
        check(json!({"health": {"command": ["pg_isready"]}}), Ok(&["pg_isready"]));
        check(
            json!({"port": 8080, "health": {"path": "/x?y=$(id)"}}),
            Ok(&["timeout", "5", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/x?y=$(id)"]),
        );
        check(json!({"health": {"path": "/"}}), Err("needs a `port`"));
        check(json!({"port": 1, "health": {"path": "/", "command": ["a"]}}), Err("one of the two"));
        check(json!({"health": {}}), Err("one of the two"));
    }

    #[test]
    fn what_validate_says() {
        let check = |config: Value, expect: &[&str]| {
            let found = check(&config.to_string());
            let found: Vec<_> = found.into_iter().map(|d| format!("{}: {}", d.path, d.message)).collect();
            assert_eq!(found, expect);
        };
        check(json!({"port": 80, "health": {"path": "/"}, "registry_credentials": "secret:a/b"}), &[]);
        check(
            json!({"port": 80, "network": false, "health": {}, "registry_credentials": "hunter2"}),
            &[
                "/health: a health check is a `command` or a `path`; write one of the two",
                "/network: a port needs a network; leave `network` out, or the port",
                "/registry_credentials: this is not the reference of a secret; store the login in the vault, and write secret:engine/path",
            ],
        );
        let wrong = super::check(r#"{"port": 70000}"#);
        assert!(wrong[0].message.contains("70000"), "{}", wrong[0].message);
    }
}
