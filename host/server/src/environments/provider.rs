//! The providers that are installed, and one call of one.

use crate::{
    App, Problem,
    api::{environments::ProviderRow, schemas::with_passwords},
    problem::{FieldError, Kind},
};
use serde_json::{Map, Value};
use std::time::Duration;
use windlass_contract::{ProviderCall, ProviderDescriptor, Verb};
use windlass_driver::ProviderReport;
use windlass_package::Installed;
use windlass_runtime::Severity;

/// How long a provider may take to be reached, and to tell how something stands. People wait for it.
pub(super) const LOOK_DEADLINE: Duration = Duration::from_secs(30);

/// The providers that installed plugins offer.
pub(crate) fn providers(app: &App) -> Result<Vec<ProviderRow>, Problem> {
    let row = |plugin: &Installed| {
        let provider = plugin.descriptor.provider.as_ref()?;
        Some(ProviderRow {
            name: provider.name.to_string(),
            title: provider.title.clone(),
            description: provider.docs.clone(),
            plugin: plugin.plugin.to_string(),
            config_schema: with_passwords(&provider.config_schema),
            regions: provider.regions.clone(),
            verbs: provider.verbs.iter().map(ToString::to_string).collect(),
        })
    };
    Ok(app.plugins().installed()?.iter().filter_map(row).collect())
}

/// A provider that is installed.
pub(super) struct Provider {
    plugin: Installed,
    pub(super) descriptor: ProviderDescriptor,
}

pub(super) fn provider(app: &App, name: &str) -> Result<Provider, Problem> {
    let installed = app.plugins().installed()?;
    let all = installed.iter().filter_map(|plugin| Some((plugin, plugin.descriptor.provider.as_ref()?)));
    let found = all.clone().find(|(_, provider)| provider.name.as_str() == name);
    found.map(|(plugin, descriptor)| Provider { plugin: plugin.clone(), descriptor: descriptor.clone() }).ok_or_else(
        || {
            let names: Vec<_> = all.map(|(_, provider)| provider.name.as_str()).collect();
            let there =
                if names.is_empty() { "there is none".to_owned() } else { format!("there are: {}", names.join(", ")) };
            let words = format!("no plugin that is installed is the provider {name:?}; {there}");
            Problem::new(Kind::Provider, words.clone())
                .at("/provider", words)
                .help("install its plugin from the marketplace")
        },
    )
}

impl Provider {
    /// Asks it something about an environment, with the configuration that it is to have.
    pub(super) async fn ask(
        &self,
        app: &App,
        id: &str,
        config: Map<String, Value>,
        verb: Verb,
        arguments: Map<String, Value>,
        deadline: Duration,
    ) -> Result<ProviderReport, Problem> {
        if !self.descriptor.verbs.contains(&verb) {
            let words = format!("the provider {} has no {verb}", self.descriptor.name);
            return Err(Problem::new(Kind::Provider, words));
        }
        let call = ProviderCall {
            plugin: self.plugin.plugin.clone(),
            verb,
            environment: id.parse().map_err(Problem::internal)?,
            config: Value::Object(config),
            arguments,
        };
        Ok(app.host().call_provider(call, self.plugin.effective.clone(), deadline).await?)
    }

    /// Holds a configuration, with what stands for its own secrets, against the provider's schema and its own word.
    pub(super) async fn check(&self, app: &App, config: &Map<String, Value>) -> Result<(), Problem> {
        let config = Value::Object(config.clone());
        let mut errors = violations(&self.descriptor.config_schema, &config);
        if errors.is_empty() {
            let said = app.host().validate_environment(self.plugin.plugin.clone(), &config).await?;
            let said = said.map_err(|error| Problem::told(Kind::Provider, &error))?;
            errors.extend(said.into_iter().filter(|each| each.severity == Severity::Error).map(|each| FieldError {
                pointer: format!("/config{}", each.path),
                detail: each.help.map_or(each.message.clone(), |help| format!("{}; {help}", each.message)),
            }));
        }
        if errors.is_empty() {
            return Ok(());
        }
        let words = format!("the provider {} does not take this configuration", self.descriptor.name);
        Err(Problem { errors, ..Problem::new(Kind::Invalid, words) })
    }
}

/// What of a configuration is not as the schema says. Keys that the schema says nothing of are refused, as those of a step are.
fn violations(schema: &Value, config: &Value) -> Vec<FieldError> {
    let fault = |pointer: &str, detail: String| FieldError { pointer: format!("/config{pointer}"), detail };
    match windlass_manifest::check_environment(schema, config) {
        Ok(faults) => faults.into_iter().map(|each| fault(&each.pointer, each.message)).collect(),
        Err(error) => vec![fault("", format!("the provider's schema is not one: {error}"))],
    }
}

pub(super) fn check_region(provider: &Provider, region: &str) -> Result<(), Problem> {
    let regions = &provider.descriptor.regions;
    if region.is_empty() || regions.is_empty() || regions.iter().any(|known| known == region) {
        return Ok(());
    }
    Err(Problem::field("/region", format!("{} has the regions {}", provider.descriptor.name, regions.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn violations_name_the_place() {
        let schema = json!({ "type": "object", "properties": { "a": { "type": "object", "properties": { "b": { "type": "number" } } } } });
        let check = |config: Value, expect: &[&str]| {
            let found = violations(&schema, &config).into_iter().map(|each| each.pointer).collect::<Vec<_>>();
            assert_eq!(found, expect, "{config}");
        };
        check(json!({ "a": { "b": 1 } }), &[]);
        check(json!({ "a": { "b": "x" } }), &["/config/a/b"]);
        check(json!({ "z": 1 }), &["/config"]);
        assert_eq!(violations(&json!({ "type": 1 }), &json!({}))[0].pointer, "/config");
    }
}
