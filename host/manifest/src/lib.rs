//! Pipeline YAML to [`plan::Plan`]: pure, no I/O, no clock.
//!
//! **Purpose.** [`load_with`] reads a pipeline file in any dialect, resolves its step types against a [`Catalogue`] of what is installed,
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
//! **Layers.** `yaml` (text to a tree with places) → `dialect`, which tells the front end: `steps` (our own), `states`
//! (`kind: Workflow`) or `steps::pipelines` (`pipelines.<name>`) → `plan`. The front ends share `configure`, `config` and
//! `annotations` (the plugin's schema), `graph` (`needs`), `expression` (one language for templates and conditions) and
//! `workflows` (what a file runs as sub-runs). [`sequence`] makes plans of stored templates, without a file.
//!
//! **Not here.** Finding, fetching and granting plugins (`package`), and carrying a plan out (`engine`, `driver`).

mod annotations;
mod catalogue;
pub mod codes;
mod config;
mod configure;
mod diagnostic;
mod dialect;
mod editor;
mod environment;
pub mod event;
mod expression;
mod fields;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod graph;
mod inputs;
mod pieces;
pub mod plan;
pub mod sequence;
mod shell;
mod states;
mod steps;
pub mod template;
mod text;
mod workflows;
mod yaml;

pub use catalogue::{Catalogue, InstalledStep};
pub use configure::MAX_MERGED_ENV_BYTES;
pub use diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Severity, ends, render, to_github, to_json, to_sarif};
pub use editor::{editor_schema, engine_steps};
pub use environment::{Fault, check_environment};
pub use expression::{MAX_EXPRESSION_BYTES, MAX_EXPRESSION_DEPTH};
pub use inputs::{Given, InputError, MAX_INPUT_BYTES, MAX_INPUTS, bind_given, bind_inputs, bind_json};
pub use states::{MAX_AGENTS, MAX_STATES, MAX_WAYS};
pub use steps::{
    MAX_APPROVERS, MAX_ATTEMPTS, MAX_CONCURRENT_RUNS, MAX_CONDITIONS, MAX_NAME_CHARS, MAX_STEPS, MAX_VOLUMES,
    MAX_WINDOWS, Schedule,
};
pub use text::MAX_DURATION_MS;
pub use workflows::{Loading, MAX_WORKFLOW_DEPTH, MAX_WORKFLOWS, Workflows};
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

/// Reads and checks a pipeline that runs no other workflow and is the only one of its file: the short form of [`load_with`].
pub fn load(source: &Source, catalogue: &Catalogue) -> Loaded {
    load_with(source, &Loading { catalogue, workflows: &Workflows::default(), pipeline: None })
}

/// Reads and checks a file in any dialect, with the workflows that it runs.
pub fn load_with(source: &Source, loading: &Loading<'_>) -> Loaded {
    workflows::load(source, loading)
}

/// The ids of the workflows that a file names, each once, in the order of the file. What is wrong with the file is not told:
/// loading it does that.
pub fn references(source: &Source) -> Vec<String> {
    let mut quiet = Report::new(&source.text);
    yaml::parse(&source.text, &mut quiet).map(|root| dialect::references(&root)).unwrap_or_default()
}

/// The name that a text gives its pipeline; of several in one file, that of the one that is chosen. It is as it is written: whether it can
/// be a name is told when the text is loaded.
pub fn written_name(text: &str, chosen: Option<&str>) -> Option<String> {
    let mut quiet = Report::new(text);
    let root = yaml::parse(text, &mut quiet)?;
    dialect::written_name(&root, chosen).map(str::to_owned)
}

/// The times at which a text's pipeline is to be run, where it says so; of several in one file, those of the one that is chosen.
pub fn schedule(text: &str, chosen: Option<&str>) -> Option<Schedule> {
    let mut quiet = Report::new(text);
    dialect::schedule(&yaml::parse(text, &mut quiet)?, chosen)
}

/// An error in a text that its reader has found: one who acts on what this crate only reads.
pub fn found_wrong(text: &str, span: Range<usize>, message: String) -> Vec<Diagnostic> {
    let mut report = Report::new(text);
    report.error(codes::BAD_VALUE, span, message, None);
    report.finish()
}

/// In which dialect a text is written, by its keys alone: `steps`, `workflow` (states) or `pipelines`. What cannot be read is `steps`.
pub fn dialect_name(text: &str) -> &'static str {
    let mut quiet = Report::new(text);
    match yaml::parse(text, &mut quiet).map(|root| dialect::Dialect::of(&root)) {
        Some(dialect::Dialect::States) => "workflow",
        Some(dialect::Dialect::Config) => "pipelines",
        Some(dialect::Dialect::Steps) | None => "steps",
    }
}

/// The names of the pipelines of a file that holds several; none of one that holds one.
pub fn pipeline_names(source: &Source) -> Vec<String> {
    let mut quiet = Report::new(&source.text);
    yaml::parse(&source.text, &mut quiet).map(|root| dialect::pipeline_names(&root)).unwrap_or_default()
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
        let is_it = |node: &&yaml::Node| {
            node.get("name").is_some_and(|name| name.value.to_json().as_str() == Some(step.as_str()))
        };
        let step = match dialect::Dialect::of(&root) {
            dialect::Dialect::States => {
                return Some(states::written_step(&root, step.as_str())?.at_pointer(pointer).span.clone());
            }
            _ => dialect::written_steps(&root).into_iter().find(is_it)?,
        };
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
    let plugins = root.map(|root| dialect::requirements(&root, &mut report)).unwrap_or_default();
    Requirements { plugins, diagnostics: report.finish() }
}
