//! The workflows that a file runs as sub-runs: from an id to a complete plan.
//!
//! A plan is complete: what its sub-runs carry out is in it, and what those run in turn is in them. The caller reads the
//! files ([`crate::references`] tells it which), so nothing here touches a disk.
//!
//! - A workflow never runs itself, directly or not, and sub-runs nest at most [`MAX_WORKFLOW_DEPTH`] deep.
//! - One plan holds at most [`MAX_WORKFLOWS`] workflows, each counted as often as it stands there: a few files that each run
//!   the next one twice could else become thousands of plans.
//! - What is wrong within a workflow is one error at the place that names it; linting that file shows the rest, and its
//!   warnings.

use crate::{Catalogue, Diagnostic, Loaded, Severity, Source, codes, diagnostic::Report, dialect, plan::Plan, yaml};
use std::{cell::Cell, collections::BTreeMap, ops::Range};

/// How deep sub-runs may nest: 8. Deeper ones are a mistake, or a program written as pipelines.
pub const MAX_WORKFLOW_DEPTH: usize = 8;
/// How many workflows a plan may hold in all: 100. Each is stored with every run.
pub const MAX_WORKFLOWS: usize = 100;

/// The workflows that the caller has read, by the id that the YAML writes.
#[derive(Debug, Clone, Default)]
pub struct Workflows {
    found: BTreeMap<String, Source>,
    missing: BTreeMap<String, String>,
}

impl Workflows {
    /// Adds one that was found.
    pub fn insert(&mut self, id: impl Into<String>, source: Source) {
        self.found.insert(id.into(), source);
    }

    /// Tells where one was looked for in vain, such as `deploy.yaml and .windlass/deploy.yaml`: a diagnostic says so.
    pub fn missing(&mut self, id: impl Into<String>, looked_for: impl Into<String>) {
        self.missing.insert(id.into(), looked_for.into());
    }

    /// The one called `id`, if it was found.
    pub fn get(&self, id: &str) -> Option<&Source> {
        self.found.get(id)
    }

    /// Whether it is known of `id` if there is such a workflow: a caller that follows references asks once for each.
    pub fn knows(&self, id: &str) -> bool {
        self.found.contains_key(id) || self.missing.contains_key(id)
    }
}

impl From<BTreeMap<String, Source>> for Workflows {
    fn from(found: BTreeMap<String, Source>) -> Self {
        Workflows { found, missing: BTreeMap::new() }
    }
}

/// What a file is loaded with.
#[derive(Debug, Clone, Copy)]
pub struct Loading<'a> {
    /// What is installed.
    pub catalogue: &'a Catalogue,
    /// The workflows that it may name.
    pub workflows: &'a Workflows,
    /// Which of its pipelines, where it holds several.
    pub pipeline: Option<&'a str>,
}

/// Loads a file and everything that it runs.
pub(crate) fn load(source: &Source, loading: &Loading<'_>) -> Loaded {
    load_below(source, loading, Vec::new(), &Cell::new(MAX_WORKFLOWS))
}

fn load_below<'a>(source: &'a Source, loading: &Loading<'a>, above: Vec<&'a Source>, left: &'a Cell<usize>) -> Loaded {
    let mut report = Report::new(&source.text);
    let mut chain = above;
    chain.push(source);
    let mut subs = SubWorkflows { loading: *loading, chain, left, loaded: BTreeMap::new() };
    let plan = yaml::parse(&source.text, &mut report)
        .and_then(|root| dialect::load(&root, &source.text, &mut subs, &mut report))
        .filter(|_| !report.has_errors())
        .map(|plan| Plan { workflows: subs.into_plans(), ..plan });
    Loaded { plan, diagnostics: report.finish() }
}

/// The workflows that one file names, each loaded when it is first required. The front ends ask for them, and leave
/// [`Plan::workflows`] empty: it is filled in at the end.
pub(crate) struct SubWorkflows<'a> {
    loading: Loading<'a>,
    /// The files from the one that was asked for down to this one.
    chain: Vec<&'a Source>,
    /// How many workflows the whole plan may still take.
    left: &'a Cell<usize>,
    /// `None`: it was not sound, and that is reported.
    loaded: BTreeMap<String, Option<Plan>>,
}

impl<'a> SubWorkflows<'a> {
    /// What is installed.
    pub(crate) fn catalogue(&self) -> &'a Catalogue {
        self.loading.catalogue
    }

    /// Which pipeline of this file was chosen.
    pub(crate) fn pipeline(&self) -> Option<&'a str> {
        self.loading.pipeline
    }

    /// Whether this file is one that another runs.
    pub(crate) fn is_sub_run(&self) -> bool {
        self.chain.len() > 1
    }

    /// Puts the workflow `id`, which is named at `span`, into the plan, and gives it; or reports why it cannot be.
    pub(crate) fn require(&mut self, id: &str, span: Range<usize>, report: &mut Report<'_>) -> Option<&Plan> {
        if !self.loaded.contains_key(id) {
            let plan = self.load(id, span, report);
            self.loaded.insert(id.to_owned(), plan);
        }
        self.loaded.get(id)?.as_ref()
    }

    fn load(&self, id: &str, span: Range<usize>, report: &mut Report<'_>) -> Option<Plan> {
        let Some(source) = self.loading.workflows.get(id) else {
            let near = report.did_you_mean(id, self.loading.workflows.found.keys().map(String::as_str));
            let message = match self.loading.workflows.missing.get(id) {
                Some(places) => format!("there is no workflow `{id}`: it was looked for as {places}"),
                None => format!("there is no workflow `{id}`"),
            };
            let help = near.or_else(|| Some("give its id, or the path of its file".to_owned()));
            report.error(codes::UNKNOWN_WORKFLOW, span, message, help);
            return None;
        };
        let names = |to: &Source| {
            let names = self.chain.iter().map(|source| source.name.as_str()).chain([to.name.as_str()]);
            names.collect::<Vec<_>>().join(" → ")
        };
        if self.chain.contains(&source) {
            let help = Some("take one of these references out; what repeats is a loop of states".to_owned());
            let message = format!("`{id}` would run itself: {}", names(source));
            report.error(codes::WORKFLOW_CYCLE, span, message, help);
            return None;
        }
        if self.chain.len() > MAX_WORKFLOW_DEPTH {
            let message =
                format!("sub-runs nest at most {MAX_WORKFLOW_DEPTH} deep, and here are more: {}", names(source));
            report.error(codes::TOO_LARGE, span, message, Some("run what is deeper from higher up".to_owned()));
            return None;
        }
        if self.left.get() == 0 {
            let message =
                format!("one run holds at most {MAX_WORKFLOWS} workflows, counted as often as they are named");
            report.error(codes::TOO_LARGE, span, message, Some("start some of them as runs of their own".to_owned()));
            return None;
        }
        self.left.set(self.left.get() - 1);
        let loading = Loading { pipeline: None, ..self.loading };
        let loaded = load_below(source, &loading, self.chain.clone(), self.left);
        if let Some(plan) = loaded.plan {
            return Some(plan);
        }
        let errors: Vec<&Diagnostic> =
            loaded.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect();
        let first = errors
            .first()
            .map(|first| format!("{}:{}:{}: {} {}", source.name, first.line, first.col, first.code, first.message));
        let more = match errors.len().saturating_sub(1) {
            0 => String::new(),
            1 => ", and one more error".to_owned(),
            more => format!(", and {more} more errors"),
        };
        let message = format!("the workflow `{id}` cannot run: {}{more}", first.unwrap_or_else(|| source.name.clone()));
        let help = errors.first().and_then(|first| first.help.clone());
        report.error(codes::BAD_WORKFLOW, span, message, help.or_else(|| Some("lint that file".to_owned())));
        None
    }

    fn into_plans(self) -> BTreeMap<String, Plan> {
        self.loaded.into_iter().filter_map(|(id, plan)| Some((id, plan?))).collect()
    }
}
