//! The pipelines of a project: the YAML files below its folder, as far as they use plugins.
//!
//! Asked by what changes the project's plugins: what may not be removed, what an update must satisfy, and what it would
//! break. A file that cannot be read as a pipeline is none.

use crate::catalogue;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use windlass_contract::PluginName;
use windlass_manifest::{Catalogue, Loading, MAX_FILE_BYTES, Severity, Source, Workflows};
use windlass_package::{
    installed::Listed,
    lock::Lock,
    removal::Uses,
    resolve::{AskedBy, Root},
};

/// How many folders deep a pipeline may lie.
const MAX_DEPTH: usize = 8;
/// How many YAML files are looked at: a project has some, a tree that was put below by mistake has many.
const MAX_FILES: usize = 2000;
/// Folders that hold what others wrote.
const NOT_OURS: &[&str] = &["node_modules", "target", "vendor", "dist"];

/// A file that holds a pipeline, or something that looks like one.
pub struct Pipeline {
    /// Its text, under the name that people know it by.
    pub source: Source,
    /// What it runs as sub-runs.
    pub workflows: Workflows,
}

/// The pipelines of a project, in the order of their names.
pub fn pipelines(project: &Path) -> Vec<Pipeline> {
    let mut files = Vec::new();
    let mut open = vec![(project.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // A link may lead anywhere, and back.
            let Ok(kind) = path.symlink_metadata() else { continue };
            let is_hidden = name.starts_with('.') && !matches!(name.as_str(), ".windlass" | ".github");
            if kind.is_dir() && depth < MAX_DEPTH && !is_hidden && !NOT_OURS.contains(&name.as_str()) {
                open.push((path, depth + 1));
            } else if kind.is_file()
                && kind.len() <= MAX_FILE_BYTES as u64
                && path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
            {
                files.push(path);
            }
        }
        if files.len() > MAX_FILES {
            break;
        }
    }
    files.sort();
    files.into_iter().filter_map(|path| read(project, path)).collect()
}

fn read(project: &Path, path: PathBuf) -> Option<Pipeline> {
    let text = std::fs::read_to_string(&path).ok()?;
    let workflows = beside(&Source { name: path.display().to_string(), text: text.clone() }).ok()?;
    let name = path.strip_prefix(project).unwrap_or(&path).display().to_string();
    Some(Pipeline { source: Source { name, text }, workflows })
}

/// The workflows that a file runs, and those that they run in turn: files beside the first one, by path or by name.
///
/// # Errors
/// When one that is there cannot be read.
pub fn beside(source: &Source) -> std::io::Result<Workflows> {
    let folder = Path::new(&source.name).parent().map_or_else(PathBuf::new, Path::to_owned);
    let mut known = Workflows::default();
    let mut open = windlass_manifest::references(source);
    while let Some(id) = open.pop() {
        if known.knows(&id) {
            continue;
        }
        let candidates = match Path::new(&id).extension() {
            Some(_) => vec![folder.join(&id)],
            None => vec![folder.join(format!("{id}.yaml")), folder.join(format!("{id}.yml"))],
        };
        match candidates.iter().find(|path| path.is_file()) {
            Some(path) => {
                let text = std::fs::read_to_string(path)?;
                let found = Source { name: path.display().to_string(), text };
                open.extend(windlass_manifest::references(&found));
                known.insert(id, found);
            }
            None => {
                let looked: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
                known.missing(id, looked.join(" and "));
            }
        }
    }
    Ok(known)
}

impl Pipeline {
    /// What is wrong with it where `catalogue` is installed; a line each.
    pub fn faults(&self, catalogue: &Catalogue) -> BTreeSet<String> {
        let loading = Loading { catalogue, workflows: &self.workflows, pipeline: None };
        let found = windlass_manifest::load_with(&self.source, &loading).diagnostics;
        let errors = found.into_iter().filter(|each| each.severity == Severity::Error);
        errors.map(|each| format!("{}:{}: {}", self.source.name, each.line, each.message)).collect()
    }

    /// Whether its text names one of these step types, by itself or with the plugin before it.
    fn names(&self, steps: &[String]) -> bool {
        let is_between = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '{' | '}' | '[' | ']');
        let is_it = |word: &str, step: &String| {
            word.strip_suffix(step.as_str()).is_some_and(|before| before.is_empty() || before.ends_with(['/', ':']))
        };
        self.source.text.split(is_between).any(|word| steps.iter().any(|step| is_it(word, step)))
    }
}

/// Which pipelines use which of the plugins that are listed: those that name them in `plugins:`, and those that name one of
/// their step types anywhere: better one too many than one that cannot run any more.
pub fn uses(pipelines: &[Pipeline], listed: &[Listed]) -> Uses {
    let mut uses = Uses::new();
    for pipeline in pipelines {
        let named = windlass_manifest::requirements(&pipeline.source).plugins;
        let by_type = listed.iter().filter(|each| pipeline.names(&each.steps)).map(|each| &each.locked.name);
        for name in named.keys().chain(by_type) {
            uses.entry(name.clone()).or_default().insert(pipeline.source.name.clone());
        }
    }
    uses
}

/// What the project asks for of what it has locked: what its pipelines say of it, and else whatever stands by itself.
pub fn roots(pipelines: &[Pipeline], lock: &Lock) -> Vec<Root> {
    let mut roots = Vec::new();
    for pipeline in pipelines {
        for (name, asked) in windlass_manifest::requirements(&pipeline.source).plugins {
            if lock.plugins.contains_key(&name) {
                let by = AskedBy::Pipeline(pipeline.source.name.clone());
                roots.push(Root { name, requirement: asked.version, by });
            }
        }
    }
    for locked in lock.roots() {
        if !roots.iter().any(|root| root.name == locked.name) {
            roots.push(Root { name: locked.name.clone(), requirement: Default::default(), by: AskedBy::Lock });
        }
    }
    roots
}

/// What pipelines are wrong with other step types that were right with those that are installed.
pub fn broken(
    pipelines: &[Pipeline],
    now: &[windlass_package::Installed],
    then: &BTreeMap<PluginName, windlass_package::Installed>,
) -> Vec<String> {
    let mut changed: BTreeMap<_, _> = now.iter().map(|each| (each.plugin.name.clone(), each.clone())).collect();
    changed.extend(then.clone());
    let (before, after) = (catalogue(now), catalogue(&changed.into_values().collect::<Vec<_>>()));
    let new_faults = |pipeline: &Pipeline| {
        let known = pipeline.faults(&before);
        pipeline.faults(&after).into_iter().filter(move |fault| !known.contains(fault)).collect::<Vec<_>>()
    };
    pipelines.iter().flat_map(new_faults).collect()
}
