//! Pipeline YAML to [`plan::Plan`]: pure, no I/O, no clock.
//!
//! **Purpose.** [`load`] reads a pipeline file, resolves its step types against a [`Catalogue`] of what is installed,
//! checks everything that can be known before a run, and gives a plan or every problem at once as [`Diagnostic`]s.
//! [`template`] renders configurations and evaluates conditions while the run goes on, and [`bind_inputs`] reads what a
//! run is started with.
//!
//! **Invariants.**
//! - Every key that is accepted has an effect, or is refused with a diagnostic; nothing is parsed and dropped.
//! - The same text and catalogue give the same plan and diagnostics, on any machine.
//! - A value is never spliced into shell text, a rendered value is never rendered again, and neither can become a
//!   secret's reference.
//! - Work is bounded by the size of the file: every limit is a constant here, and no input makes the loader panic.
//!
//! **Layers.** `yaml` (text to a tree with places) → `steps` (the native dialect) with `config` and `annotations`
//! (the plugin's schema), `graph` (`needs`) and `expression` (one language for templates and conditions) → `plan`.
//! The workflow dialect (`apiVersion`, `kind: Workflow`) and sequences of templates will be two more front ends beside
//! `steps` that give the same plan; until then a file in one of them is refused by name.
//!
//! **Not here.** Finding, fetching and granting plugins (`package`), and carrying a plan out (`engine`, `driver`).

mod annotations;
mod catalogue;
pub mod codes;
mod config;
mod diagnostic;
mod editor;
mod expression;
mod fields;
mod graph;
mod inputs;
pub mod plan;
mod steps;
pub mod template;
mod text;
mod yaml;

pub use catalogue::{Catalogue, InstalledStep};
pub use diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Severity, render, to_github, to_json, to_sarif};
pub use editor::editor_schema;
pub use expression::{MAX_EXPRESSION_BYTES, MAX_EXPRESSION_DEPTH};
pub use inputs::{InputError, MAX_INPUT_BYTES, bind_inputs};
pub use steps::{MAX_ATTEMPTS, MAX_MERGED_ENV_BYTES, MAX_NAME_CHARS, MAX_STEPS};
pub use yaml::{MAX_ALIAS_BYTES, MAX_ALIAS_NODES, MAX_DEPTH, MAX_FILE_BYTES};

use diagnostic::Report;
use semver::VersionReq;
use std::{collections::BTreeMap, ops::Range};
use windlass_contract::{PluginName, StepName};

/// A pipeline file that was read by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// How diagnostics call it, such as `windlass.yaml`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What came of loading a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The plan; `None` if and only if one of the diagnostics is an error.
    pub plan: Option<plan::Plan>,
    /// Everything that was found, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads and checks a pipeline.
pub fn load(source: &Source, catalogue: &Catalogue) -> Loaded {
    let mut report = Report::new(&source.text);
    let plan = yaml::parse(&source.text, &mut report)
        .and_then(|root| steps::load(&root, &source.text, catalogue, &mut report))
        .filter(|_| !report.has_errors());
    Loaded { plan, diagnostics: report.finish() }
}

/// What a plugin says about a step's configuration, at the place in the file that it speaks of: `pointer` is a JSON pointer
/// into the step's `config`, and the nearest thing that the author wrote there is marked.
pub fn plugin_diagnostic(
    source: &Source,
    step: &StepName,
    pointer: &str,
    severity: Severity,
    message: String,
    help: Option<String>,
) -> Vec<Diagnostic> {
    // Found again from the text: a plan has no places, and a plugin has nearly never anything to say.
    let mut quiet = Report::new(&source.text);
    let place = yaml::parse(&source.text, &mut quiet).and_then(|root| {
        let steps = &root.get("steps")?.value;
        let yaml::Kind::List(steps) = &steps.kind else { return None };
        let is_it = |node: &&yaml::Node| {
            node.get("name").is_some_and(|name| name.value.to_json().as_str() == Some(step.as_str()))
        };
        let step = steps.iter().find(is_it)?;
        Some(step.get("config").map_or(step, |config| config.value.at_pointer(pointer)).span.clone())
    });
    let mut report = Report::new(&source.text);
    let span = place.unwrap_or(0..0);
    match severity {
        Severity::Error => report.error(codes::PLUGIN_SAYS, span, message, help),
        Severity::Warning => report.warning(codes::PLUGIN_SAYS, span, message, help),
    }
    report.finish()
}

/// What a pipeline asks to be installed.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirements {
    /// Its `plugins:` map. An entry that is wrong is not in it.
    pub plugins: BTreeMap<PluginName, Requirement>,
    /// What is wrong with the map, or with the file so that it could not be read.
    pub diagnostics: Vec<Diagnostic>,
}

/// One entry of the `plugins:` map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Which versions will do.
    pub version: VersionReq,
    /// Where it was written, in bytes of the source.
    pub span: Range<usize>,
}

/// Reads only the `plugins:` map: what can be known before anything is installed.
pub fn requirements(source: &Source) -> Requirements {
    let mut report = Report::new(&source.text);
    let root = yaml::parse(&source.text, &mut report);
    let plugins = root.map(|root| steps::plugins(&root, &mut report)).unwrap_or_default();
    Requirements { plugins, diagnostics: report.finish() }
}
