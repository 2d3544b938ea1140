//! The full manifests of the first seed, as they stand. Their text is not ours, so it is read from beside the repository.

use crate::{catalogue, installed};
use std::{fs, path::Path};
use windlass_manifest::{Catalogue, Severity, Source, load, plan::Work, render};

/// The manifests of the seed: from `apiVersion:` to the prose that follows.
fn manifests() -> Option<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/seeds/000-cicd-pipelines.txt");
    // Worktrees of the repository stand one folder deeper.
    let found = fs::read_to_string(&path).or_else(|_| {
        fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/seeds/000-cicd-pipelines.txt"),
        )
    });
    let text = found.ok()?;
    let mut manifests: Vec<String> = Vec::new();
    let mut within = false;
    for line in text.lines() {
        if line.starts_with("apiVersion:") {
            within = true;
            manifests.push(String::new());
        }
        let of_yaml = line.is_empty() || line.starts_with(' ') || line.trim_end().ends_with(':') || line.contains(": ");
        within &= of_yaml && !line.starts_with("Deploy and run");
        if let Some(manifest) = manifests.last_mut().filter(|_| within) {
            manifest.push_str(line);
            manifest.push('\n');
        }
    }
    Some(manifests)
}

#[test]
fn the_seeds_manifests_load_as_they_stand() {
    let Some(manifests) = manifests() else {
        println!("skipped: shared/seeds/000-cicd-pipelines.txt is not beside the repository");
        return;
    };
    assert_eq!(manifests.len(), 2);
    let without_agents: Vec<_> = installed().into_iter().filter(|step| step.step.name != "step.agent").collect();
    for (manifest, states) in manifests.into_iter().zip([5, 10]) {
        let source = Source { name: "seed.yaml".to_owned(), text: manifest };
        let loaded = load(&source, &catalogue());
        let shown = render(&loaded.diagnostics, &source, false);
        println!("{shown}");
        let plan = loaded.plan.unwrap_or_else(|| panic!("{shown}"));
        assert_eq!(crate::editor::refuses(&source.text), None);
        assert_eq!(plan.states.len(), states);
        assert!(plan.plugin_steps().count() == plan.steps().count());

        // What runs the agents need not be there.
        let loaded = load(&source, &Catalogue::new(without_agents.clone()));
        assert!(loaded.diagnostics.iter().all(|diagnostic| diagnostic.severity == Severity::Warning));
        let plan = loaded.plan.expect("a plan");
        assert_eq!(plan.absent().into_keys().collect::<Vec<_>>(), ["step.agent"]);
        assert!(plan.steps().any(|step| matches!(step.work, Work::Absent { .. })));
    }
}
