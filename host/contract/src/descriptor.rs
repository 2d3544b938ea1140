//! What a plugin says of itself: the document that `describe` returns.

use crate::ProviderDescriptor;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The WIT package of the contract.
pub const CONTRACT_PACKAGE: &str = "windlass:plugin";
/// The contract's version that this host offers.
pub const CONTRACT_VERSION: &str = "0.1.0";

/// What a plugin says of itself: the documents that the `describe` of each kind that it exports returns, as one.
///
/// A JSON document and not a WIT record, because it will grow and a record cannot: adding a field to a record breaks
/// every compiled plugin. Keys that this host does not know are refused at publish, so a typing mistake is not lost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    /// The step types that the plugin provides: at least one where it exports `step`.
    #[serde(default)]
    pub steps: Vec<StepType>,
    /// The provider that it is, where it exports `provider`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderDescriptor>,
}

impl Descriptor {
    /// What the plugin provides, by name: for one line of a list.
    pub fn provides(&self) -> Vec<String> {
        let provider = self.provider.iter().map(|provider| format!("provider {}", provider.name));
        self.steps.iter().map(|step| step.name.clone()).chain(provider).collect()
    }
}

/// One step type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepType {
    /// Such as `step.shell_exec`: `step.`, then lower-case letters, digits and underscores.
    pub name: String,
    /// One line.
    pub summary: String,
    /// Markdown, for the plugin's page.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub docs: String,
    /// What may be done with an attempt that was in flight when the host died.
    pub effect: EffectClass,
    /// JSON Schema (2020-12) of `config`. Besides the standard keywords, these say how a value is treated before the
    /// plugin sees it: `"x-windlass-template": "lenient" | "strict" | "never"` (a missing value is empty text, an error;
    /// templates are refused, which is what shell text must say), `"x-windlass-secret": true` (a `secret:engine/path`
    /// reference is legal here), `"x-windlass-timeout": true` (this duration is the step's timeout), `"x-windlass-image": true`
    /// (this is the reference of a container image).
    pub config_schema: Value,
    /// JSON Schema of the outputs object.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output_schema: Value,
}

/// What a step does to the world, and so what a restarted host may do with an attempt that was in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectClass {
    /// Nothing outside the run: rerun freely.
    Pure,
    /// Safe to repeat with the same idempotency key. Containers are adopted, never started twice.
    Idempotent,
    /// Must not be repeated blindly: the plugin's `recover` is asked, and a person where it cannot tell.
    AtMostOnce,
}

/// What `recover` answers about an attempt that was in flight when the host died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recovery {
    /// Nothing took effect, or repeating is safe: run it again with the same key.
    Rerun,
    /// It took full effect: count it as succeeded.
    Succeeded,
    /// It took effect in part and cannot go on: count it as failed.
    Failed,
    /// It cannot tell: a person decides.
    Unknown,
}
