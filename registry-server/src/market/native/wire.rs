//! The format of an entry and of a manifest, as they are written; the index leaves some keys of the manifest out.

use super::{MAX_DESCRIPTION, MAX_ENTRY, MAX_ITEMS, MAX_TEXT};
use semver::Version;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use url::Url;
use windlass_package::{
    manifest::is_deceptive,
    market::{Category, Maturity, NativeKind, NativeName, NativePage, NativeSecret, Tier},
};

/// Keys that begin with `_` here are known and not shown: they are held to their shape, so that a misspelt one is found.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Wire {
    pub(super) name: String,
    version: String,
    author: String,
    description: String,
    r#type: NativeKind,
    tier: Tier,
    license: String,
    status: Option<Maturity>,
    category: Option<Category>,
    #[serde(default)]
    pub(super) private: bool,
    homepage: Option<String>,
    repository: Option<String>,
    min_engine_version: Option<String>,
    #[serde(default)]
    keywords: Vec<String>,
    #[serde(default)]
    dependencies: Vec<Dependency>,
    #[serde(default)]
    capabilities: Capabilities,
    #[serde(default, rename = "required_secrets")]
    required_secrets: Vec<Secret>,
    #[serde(rename = "source")]
    _source: Option<String>,
    #[serde(rename = "path")]
    _path: Option<String>,
    #[serde(rename = "iacProvider")]
    _iac_provider: Option<BTreeMap<String, Value>>,
    #[serde(rename = "checksums")]
    _checksums: Option<BTreeMap<String, String>>,
    #[serde(rename = "downloads")]
    _downloads: Option<Vec<BTreeMap<String, String>>>,
    #[serde(rename = "assets")]
    _assets: Option<BTreeMap<String, bool>>,
    #[serde(rename = "required_config")]
    _required_config: Option<Vec<BTreeMap<String, Value>>>,
    #[serde(rename = "secret_targets")]
    _secret_targets: Option<Vec<BTreeMap<String, Value>>>,
    #[serde(rename = "config_targets")]
    _config_targets: Option<Vec<BTreeMap<String, Value>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Dependency {
    name: String,
    min_version: Option<String>,
    max_version: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    name: String,
    sensitive: bool,
    description: Option<String>,
    #[serde(rename = "prompt")]
    _prompt: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Capabilities {
    module_types: Vec<String>,
    step_types: Vec<String>,
    trigger_types: Vec<String>,
    #[serde(rename = "configProvider")]
    _config_provider: bool,
    #[serde(rename = "workflowHandlers")]
    _workflow_handlers: Vec<String>,
    #[serde(rename = "wiringHooks")]
    _wiring_hooks: Vec<String>,
    #[serde(rename = "serviceMethods")]
    _service_methods: Vec<String>,
    #[serde(rename = "migrationDrivers")]
    _migration_drivers: Vec<String>,
    #[serde(rename = "iacStateBackends")]
    _iac_state_backends: Vec<String>,
    #[serde(rename = "resourceTypes")]
    _resource_types: Vec<String>,
    #[serde(rename = "iacProvider")]
    _iac_provider: Option<BTreeMap<String, Value>>,
    #[serde(rename = "cliCommands")]
    _cli_commands: Vec<BTreeMap<String, Value>>,
    #[serde(rename = "buildHooks")]
    _build_hooks: Vec<BTreeMap<String, Value>>,
}

impl Wire {
    /// A manifest's bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() as u64 > MAX_ENTRY {
            return Err(format!("it has {} bytes, at most {MAX_ENTRY} are read", bytes.len()));
        }
        Wire::of(serde_json::from_slice(bytes).map_err(|error| error.to_string())?)
    }

    /// An entry.
    pub(super) fn of(value: Value) -> Result<Self, String> {
        if !value.is_object() {
            return Err("it is not an object".to_owned());
        }
        let wire: Wire = serde_json::from_value(value).map_err(|error| shape(&error.to_string()))?;
        wire.check()?;
        Ok(wire)
    }

    fn check(&self) -> Result<(), String> {
        text("name", &self.name, MAX_TEXT)?;
        text("author", &self.author, MAX_TEXT)?;
        text("license", &self.license, MAX_TEXT)?;
        text("description", &self.description, MAX_DESCRIPTION)?;
        version("version", &self.version)?;
        self.min_engine_version.iter().try_for_each(|text| version("minEngineVersion", text))?;
        self.homepage.iter().try_for_each(|text| address("homepage", text))?;
        self.repository.iter().try_for_each(|text| address("repository", text))?;
        texts("keywords", &self.keywords)?;
        texts("stepTypes", &self.capabilities.step_types)?;
        texts("moduleTypes", &self.capabilities.module_types)?;
        texts("triggerTypes", &self.capabilities.trigger_types)?;
        few("dependencies", self.dependencies.len())?;
        for dependency in &self.dependencies {
            text("dependencies", &dependency.name, MAX_TEXT)?;
            let bounds = dependency.min_version.iter().chain(&dependency.max_version);
            bounds.map(String::as_str).try_for_each(|bound| version("dependencies", bound))?;
        }
        few("required_secrets", self.required_secrets.len())?;
        for secret in &self.required_secrets {
            text("required_secrets", &secret.name, MAX_TEXT)?;
            secret.description.iter().try_for_each(|words| text("required_secrets", words, MAX_DESCRIPTION))?;
        }
        Ok(())
    }

    /// What is kept of it, under the name that the index gives it.
    pub(super) fn page(self, name: NativeName) -> NativePage {
        let dependency = |dependency: Dependency| {
            let lower = dependency.min_version.map(|version| format!(" from {version}")).unwrap_or_default();
            let upper = dependency.max_version.map(|version| format!(" to {version}")).unwrap_or_default();
            format!("{}{lower}{upper}", dependency.name)
        };
        let secret = |secret: Secret| NativeSecret {
            name: secret.name,
            sensitive: secret.sensitive,
            description: secret.description,
        };
        NativePage {
            manifest_name: name.to_string(),
            name,
            version: self.version,
            author: self.author,
            summary: self.description,
            kind: self.r#type,
            tier: self.tier,
            status: self.status,
            category: self.category.unwrap_or(Category::Other),
            licence: self.license,
            keywords: self.keywords,
            homepage: self.homepage,
            repository: self.repository,
            min_engine: self.min_engine_version,
            steps: self.capabilities.step_types,
            modules: self.capabilities.module_types,
            triggers: self.capabilities.trigger_types,
            dependencies: self.dependencies.into_iter().map(dependency).collect(),
            secrets: self.required_secrets.into_iter().map(secret).collect(),
            conflicts: Vec::new(),
            note: String::new(),
        }
    }
}

/// What is wrong with a shape, without the list of all keys that there are.
fn shape(error: &str) -> String {
    match error.split_once(", expected one of") {
        Some((unknown, _)) if unknown.starts_with("unknown field") => {
            format!("{unknown}, which the format does not have")
        }
        _ => error.to_owned(),
    }
}

fn few(key: &str, count: usize) -> Result<(), String> {
    if count > MAX_ITEMS { Err(format!("{key} has {count} items, at most {MAX_ITEMS} are read")) } else { Ok(()) }
}

fn text(key: &str, text: &str, limit: usize) -> Result<(), String> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > limit {
        return Err(format!("{key} has {length} characters, 1 to {limit} are read"));
    }
    if text.chars().any(is_deceptive) {
        return Err(format!("{key} holds control characters, or some that turn the text around"));
    }
    Ok(())
}

fn texts(key: &str, list: &[String]) -> Result<(), String> {
    few(key, list.len())?;
    list.iter().try_for_each(|each| text(key, each, MAX_TEXT))
}

/// `x.y.z`, and whatever may follow it; a `v` before it is common in this format.
fn version(key: &str, given: &str) -> Result<(), String> {
    text(key, given, MAX_TEXT)?;
    match given.strip_prefix('v').unwrap_or(given).parse::<Version>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{key} is {given:?}, not a version such as 1.2.3")),
    }
}

fn address(key: &str, given: &str) -> Result<(), String> {
    text(key, given, MAX_TEXT)?;
    match Url::parse(given) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.username().is_empty() => Ok(()),
        _ => Err(format!("{key} is not an http or https address")),
    }
}
