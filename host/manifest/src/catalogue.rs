//! What is installed, as the loader sees it.

use crate::{annotations::Schema, diagnostic::nearest};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};
use windlass_contract::{PluginName, PluginRef, StepType};

/// One step type of one installed plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct InstalledStep {
    /// The plugin, pinned.
    pub plugin: PluginRef,
    /// What it says of the step type.
    pub step: StepType,
}

/// The installed step types, and hints where others could be had. The loader asks nothing else about plugins.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// By step type; several where several plugins claim it. Sorted by plugin name.
    steps: BTreeMap<String, Vec<Entry>>,
    hints: BTreeMap<String, BTreeSet<PluginName>>,
}

/// An installed step type with its schema, which is compiled when it is first used.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) installed: InstalledStep,
    schema: OnceLock<Result<Schema, String>>,
}

impl Entry {
    /// The compiled schema, or why the plugin's schema is none.
    pub(crate) fn schema(&self) -> Result<&Schema, &str> {
        self.schema.get_or_init(|| Schema::compile(&self.installed.step.config_schema)).as_ref().map_err(String::as_str)
    }

    /// The names of its outputs, where its schema closes the list.
    pub(crate) fn outputs(&self) -> Option<Vec<&str>> {
        let schema = &self.installed.step.output_schema;
        if schema.get("additionalProperties") != Some(&serde_json::Value::Bool(false)) {
            return None;
        }
        Some(schema.get("properties")?.as_object()?.keys().map(String::as_str).collect())
    }
}

/// Why a step type is not there.
#[derive(Debug)]
pub(crate) enum Unresolved {
    /// Nobody is known to provide it.
    Unknown { nearest: Option<String> },
    /// These are known to provide it; none is installed.
    NotInstalled(Vec<PluginName>),
    /// The plugin is installed and does not provide it.
    NotInPlugin { plugin: String, provides: Vec<String> },
    /// Several installed plugins claim it.
    Ambiguous(Vec<PluginName>),
    /// What stands before the `/` is no plugin name.
    BadName(String),
}

impl Catalogue {
    /// From what is installed. Where a plugin is given in two versions, the higher one counts.
    pub fn new(installed: Vec<InstalledStep>) -> Self {
        let mut steps: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for installed in installed {
            let claims = steps.entry(installed.step.name.clone()).or_default();
            let entry = Entry { installed, schema: OnceLock::new() };
            match claims.iter_mut().find(|claim| claim.installed.plugin.name == entry.installed.plugin.name) {
                Some(same) if same.installed.plugin.version < entry.installed.plugin.version => *same = entry,
                Some(_) => {}
                None => claims.push(entry),
            }
        }
        for claims in steps.values_mut() {
            claims.sort_by(|a, b| a.installed.plugin.name.cmp(&b.installed.plugin.name));
        }
        Catalogue { steps, hints: BTreeMap::new() }
    }

    /// Tells that `plugin`, which may not be installed, provides `step_type`: so that a diagnostic can name it.
    #[must_use]
    pub fn with_hint(mut self, step_type: &str, plugin: PluginName) -> Self {
        self.hints.entry(step_type.to_owned()).or_default().insert(plugin);
        self
    }

    /// The installed step types, by name and then by plugin.
    pub fn installed(&self) -> impl Iterator<Item = &InstalledStep> {
        self.steps.values().flatten().map(|entry| &entry.installed)
    }

    /// How `step` is named where one name is enough, or qualified where two plugins claim it.
    pub fn written_name(&self, step: &InstalledStep) -> String {
        match self.steps.get(&step.step.name) {
            Some(claims) if claims.len() > 1 => format!("{}/{}", step.plugin.name, step.step.name),
            _ => step.step.name.clone(),
        }
    }

    /// The plugin called `name`, if any of its step types is installed.
    pub(crate) fn plugin(&self, name: &PluginName) -> Option<&PluginRef> {
        self.installed().map(|installed| &installed.plugin).find(|plugin| plugin.name == *name)
    }

    /// Finds `step.x` or `namespace:name/step.x`.
    pub(crate) fn resolve(&self, written: &str) -> Result<&Entry, Unresolved> {
        let Some((plugin, step_type)) = written.split_once('/') else {
            return match self.steps.get(written).map(Vec::as_slice) {
                Some([one]) => Ok(one),
                Some(several) if !several.is_empty() => Err(Unresolved::Ambiguous(
                    several.iter().map(|entry| entry.installed.plugin.name.clone()).collect(),
                )),
                _ => Err(match self.hints.get(written) {
                    Some(plugins) => Unresolved::NotInstalled(plugins.iter().cloned().collect()),
                    None => {
                        let known = self.steps.keys().chain(self.hints.keys()).map(String::as_str);
                        Unresolved::Unknown { nearest: nearest(written, known) }
                    }
                }),
            };
        };
        let name: PluginName =
            plugin.parse().map_err(|error: windlass_contract::NameError| Unresolved::BadName(error.to_string()))?;
        let claims = self.steps.get(step_type).into_iter().flatten();
        match claims.into_iter().find(|entry| entry.installed.plugin.name == name) {
            Some(entry) => Ok(entry),
            None => Err(match self.plugin(&name) {
                Some(plugin) => Unresolved::NotInPlugin {
                    plugin: plugin.to_string(),
                    provides: self
                        .installed()
                        .filter(|installed| installed.plugin.name == name)
                        .map(|installed| installed.step.name.clone())
                        .collect(),
                },
                None => Unresolved::NotInstalled(vec![name]),
            }),
        }
    }
}
