//! What a step is asked to do. Pure: it reads text and makes values.
//!
//! `descriptor.json` holds the schema, which the host checks first; this module says the same in types, and checks what a
//! schema cannot say. A value that is still a template (`{{ … }}`) is left alone until it is rendered.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use windlass_plugin::{
    Diagnostic, Severity, diagnostic,
    fields::{decimal, is_template, refused},
};

pub use windlass_plugin::fields::{EnvValue, PullPolicy, User};

/// Mebibytes in a gibibyte.
const MIB_PER_GIB: f64 = 1024.0;
/// The least memory that container engines accept, in MiB.
const MIN_MEMORY_MIB: u32 = 6;
/// Thousandths of a processor in a processor.
const MILLIS_PER_CPU: f64 = 1000.0;
/// The least share of a processor that makes sense, in thousandths: one per cent.
const MIN_CPU_MILLIS: u32 = 10;

/// The configuration of `step.shell_exec`; each field is described in `descriptor.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each field is documented in descriptor.json")]
pub struct Config {
    pub image: String,
    pub commands: Vec<String>,
    #[serde(default = "default_work_dir")]
    pub work_dir: String,
    /// Enforced by the host, as the step's timeout (`x-windlass-timeout`); here only so that the key is known.
    #[serde(default, rename = "timeout")]
    pub _timeout: Option<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub artifacts_out: ArtifactsOut,
    #[serde(default)]
    pub memory: Option<Memory>,
    #[serde(default)]
    pub cpu: Option<Cpu>,
    #[serde(default)]
    pub user: Option<User>,
    #[serde(default = "default_network")]
    pub network: bool,
    #[serde(default)]
    pub read_only: bool,
    #[serde(default)]
    pub image_pull_policy: PullPolicy,
    #[serde(default = "default_shell")]
    pub shell: String,
}

fn default_work_dir() -> String {
    "/workspace".to_owned()
}
fn default_network() -> bool {
    true
}
fn default_shell() -> String {
    "sh".to_owned()
}

/// One file or folder to keep.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactOut {
    /// The artifact's key in the run.
    pub key: String,
    /// Where it lies in the container: absolute, or relative to `work_dir`.
    pub path: String,
}

impl ArtifactOut {
    /// The path, absolute.
    pub fn path_in(&self, work_dir: &str) -> String {
        if self.path.starts_with('/') {
            self.path.clone()
        } else {
            format!("{}/{}", work_dir.trim_end_matches('/'), self.path)
        }
    }
}

/// One artifact or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ArtifactsOut {
    /// A list.
    Many(Vec<ArtifactOut>),
    /// A single one, written without a list.
    One(ArtifactOut),
}

impl Default for ArtifactsOut {
    fn default() -> Self {
        ArtifactsOut::Many(Vec::new())
    }
}

impl ArtifactsOut {
    /// The artifacts in written order.
    pub fn iter(&self) -> impl Iterator<Item = &ArtifactOut> {
        match self {
            ArtifactsOut::Many(all) => all.as_slice(),
            ArtifactsOut::One(one) => std::slice::from_ref(one),
        }
        .iter()
    }
}

/// A size that may be written as a number or as text with a unit.
#[derive(Deserialize)]
#[serde(untagged)]
enum Quantity {
    Number(f64),
    Text(String),
}

/// A memory ceiling: a number of MiB, or with a unit as in `512Mi` and `1.5Gi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Quantity")]
pub struct Memory(u32);

impl Memory {
    /// In MiB.
    pub fn mib(self) -> u32 {
        self.0
    }
}

impl TryFrom<Quantity> for Memory {
    type Error = String;
    fn try_from(quantity: Quantity) -> Result<Self, String> {
        const HELP: &str = "write a whole number of MiB, or text such as 512Mi or 4Gi";
        let mib = match &quantity {
            Quantity::Number(mib) => Some(*mib),
            Quantity::Text(text) => match (text.strip_suffix("Gi"), text.strip_suffix("Mi")) {
                (Some(gib), _) => decimal(gib).map(|gib| gib * MIB_PER_GIB),
                (_, Some(mib)) => decimal(mib),
                // A template gives text also where it stands for a number.
                _ => decimal(text),
            },
        };
        whole(mib, MIN_MEMORY_MIB)
            .map(Memory)
            .ok_or_else(|| format!("memory {quantity} is not an amount of at least {MIN_MEMORY_MIB} MiB; {HELP}"))
    }
}

/// A processor ceiling: a number of processors, or thousandths as text such as `500m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Quantity")]
pub struct Cpu(u32);

impl Cpu {
    /// In thousandths of a processor.
    pub fn millis(self) -> u32 {
        self.0
    }
}

impl TryFrom<Quantity> for Cpu {
    type Error = String;
    fn try_from(quantity: Quantity) -> Result<Self, String> {
        const HELP: &str = "write a number of processors such as 2 or 0.5, or thousandths such as 500m";
        let millis = match &quantity {
            Quantity::Number(cpus) => Some(cpus * MILLIS_PER_CPU),
            Quantity::Text(text) => match text.strip_suffix('m') {
                Some(millis) => decimal(millis),
                None => decimal(text).map(|cpus| cpus * MILLIS_PER_CPU),
            },
        };
        whole(millis, MIN_CPU_MILLIS)
            .map(Cpu)
            .ok_or_else(|| format!("cpu {quantity} is not an amount of at least {MIN_CPU_MILLIS}m; {HELP}"))
    }
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Quantity::Number(number) => write!(f, "{number}"),
            Quantity::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// The whole number that `amount` is, if it is one of at least `least` that fits.
fn whole(amount: Option<f64>, least: u32) -> Option<u32> {
    let amount = amount.filter(|a| a.is_finite() && *a >= f64::from(least) && *a <= f64::from(u32::MAX))?;
    // In range, so the conversion cannot lose more than the fraction, which must be none.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let rounded = amount.round() as u32;
    ((f64::from(rounded) - amount).abs() < 1e-6).then_some(rounded)
}

/// What can be said of a configuration before it runs, beyond its schema.
pub fn check(json: &str) -> Vec<Diagnostic> {
    let Ok(config) = serde_json::from_str::<serde_json::Value>(json) else {
        return vec![diagnostic(Severity::Error, "", "the configuration is not JSON", "")];
    };
    let mut found = Vec::new();
    if let Some(message) = refused::<Memory>(config.get("memory")) {
        found.push(diagnostic(Severity::Error, "/memory", message, ""));
    }
    if let Some(message) = refused::<Cpu>(config.get("cpu")) {
        found.push(diagnostic(Severity::Error, "/cpu", message, ""));
    }
    if let Some(Ok(artifacts)) = config.get("artifacts_out").map(ArtifactsOut::deserialize) {
        check_artifacts(&artifacts, &mut found);
    }
    found
}

fn check_artifacts(artifacts: &ArtifactsOut, found: &mut Vec<Diagnostic>) {
    let mut keys = BTreeSet::new();
    for (index, artifact) in artifacts.iter().enumerate() {
        if !is_template(&artifact.key) && !keys.insert(artifact.key.as_str()) {
            let pointer = match artifacts {
                ArtifactsOut::Many(_) => format!("/artifacts_out/{index}/key"),
                ArtifactsOut::One(_) => "/artifacts_out/key".to_owned(),
            };
            let message = format!("the key {} is there twice, and the later one would win", artifact.key);
            found.push(diagnostic(Severity::Error, pointer, message, "give each artifact a key of its own"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(config: serde_json::Value) -> Result<Config, String> {
        serde_json::from_value(config).map_err(|error| error.to_string())
    }

    #[test]
    fn the_least_configuration() {
        let config = parse(json!({"image": "busybox", "commands": ["true"]})).expect("it is sound");
        assert_eq!((config.work_dir.as_str(), config.shell.as_str()), ("/workspace", "sh"));
        assert!(config.network && !config.read_only);
        assert_eq!(config.image_pull_policy, PullPolicy::IfNotPresent);
        assert_eq!(config.artifacts_out.iter().count(), 0);
    }

    #[test]
    fn a_key_that_nobody_reads_is_refused() {
        let error = parse(json!({"image": "a", "commands": ["b"], "privileged": true})).expect_err("an unknown key");
        assert!(error.contains("privileged"), "{error}");
    }

    /// Every key of the schema is read, and every key that is read is in the schema: nothing is parsed and dropped.
    #[test]
    fn schema_and_type_have_the_same_keys() {
        let descriptor: serde_json::Value = serde_json::from_str(include_str!("descriptor.json")).expect("it is JSON");
        let schema = &descriptor["steps"][0]["config_schema"]["properties"];
        let every_key = json!({
            "image": "a", "commands": ["b"], "work_dir": "/c", "timeout": "1m", "env": {"D": "e"}, "artifacts_out": [],
            "memory": 64, "cpu": 1, "user": "f", "network": false, "read_only": true, "image_pull_policy": "Never",
            "shell": "bash",
        });
        let keys = |value: &serde_json::Value| value.as_object().map(|o| o.keys().cloned().collect::<BTreeSet<_>>());
        assert_eq!(keys(schema), keys(&every_key));
        parse(every_key).expect("each key is read");
    }

    #[test]
    fn memory() {
        let check = |value: serde_json::Value, expect: Option<u32>| {
            assert_eq!(Memory::deserialize(&value).ok().map(Memory::mib), expect, "{value}");
        };
        check(json!(512), Some(512));
        check(json!("512Mi"), Some(512));
        check(json!("4Gi"), Some(4096));
        check(json!("1.5Gi"), Some(1536));
        check(json!(6), Some(6));
        check(json!(5), None);
        check(json!(0), None);
        check(json!(-1), None);
        check(json!(0.5), None);
        check(json!("512"), Some(512));
        check(json!("4GB"), None);
        check(json!("512m"), None);
        check(json!("Gi"), None);
        check(json!("-1Gi"), None);
        check(json!("1e3Gi"), None);
        check(json!("infGi"), None);
        check(json!("99999999999Gi"), None);
        check(json!("1.0001Gi"), None);
    }

    #[test]
    fn cpu() {
        let check = |value: serde_json::Value, expect: Option<u32>| {
            assert_eq!(Cpu::deserialize(&value).ok().map(Cpu::millis), expect, "{value}");
        };
        check(json!(2), Some(2000));
        check(json!(0.5), Some(500));
        check(json!("500m"), Some(500));
        check(json!("1.5"), Some(1500));
        check(json!(0), None);
        check(json!("9m"), None);
        check(json!("m"), None);
        check(json!("1.5m"), None);
        check(json!("two"), None);
    }

    #[test]
    fn users_by_name_and_by_number() {
        let check = |value: serde_json::Value, expect: Option<&str>| {
            let user = User::deserialize(&value).ok();
            assert_eq!(user.as_ref().map(User::as_str), expect, "{value}");
        };
        check(json!(1000), Some("1000"));
        check(json!("1000:1000"), Some("1000:1000"));
        check(json!("nobody"), Some("nobody"));
        check(json!(-1), None);
        check(json!(1.5), None);
    }

    #[test]
    fn artifacts_as_a_list_and_alone() {
        let check = |value: serde_json::Value, expect: &[(&str, &str)]| {
            let config = parse(json!({"image": "a", "commands": ["b"], "work_dir": "/src/", "artifacts_out": value}));
            let config = config.expect("it is sound");
            let paths: Vec<_> =
                config.artifacts_out.iter().map(|a| (a.key.clone(), a.path_in(&config.work_dir))).collect();
            let paths: Vec<_> = paths.iter().map(|(key, path)| (key.as_str(), path.as_str())).collect();
            assert_eq!(paths, expect);
        };
        check(json!({"key": "a", "path": "target/a"}), &[("a", "/src/target/a")]);
        check(json!([{"key": "a", "path": "/b"}, {"key": "c", "path": "d"}]), &[("a", "/b"), ("c", "/src/d")]);
        check(json!([]), &[]);
    }

    #[test]
    fn only_a_whole_value_is_a_secret() {
        assert_eq!(EnvValue::of("secret:vault/token"), EnvValue::Secret("secret:vault/token"));
        assert_eq!(EnvValue::of("my secret:vault/token"), EnvValue::Text("my secret:vault/token"));
        assert_eq!(EnvValue::of(""), EnvValue::Text(""));
    }

    #[test]
    fn what_lint_says() {
        let check = |config: serde_json::Value, expect: &[&str]| {
            let found: Vec<_> =
                check(&config.to_string()).into_iter().map(|d| format!("{}: {}", d.path, d.message)).collect();
            assert_eq!(found, expect);
        };
        check(json!({"image": "a", "commands": ["b"]}), &[]);
        check(json!({"memory": "{{ memory }}", "cpu": "{{ cpu }}"}), &[]);
        check(
            json!({"memory": "4GB", "cpu": "fast"}),
            &[
                "/memory: memory \"4GB\" is not an amount of at least 6 MiB; write a whole number of MiB, or text such as 512Mi or 4Gi",
                "/cpu: cpu \"fast\" is not an amount of at least 10m; write a number of processors such as 2 or 0.5, or thousandths such as 500m",
            ],
        );
        check(
            json!({"artifacts_out": [{"key": "a", "path": "b"}, {"key": "a", "path": "c"}]}),
            &["/artifacts_out/1/key: the key a is there twice, and the later one would win"],
        );
        check(json!({"artifacts_out": [{"key": "{{ k }}", "path": "b"}, {"key": "{{ k }}", "path": "c"}]}), &[]);
    }
}
