//! Each file in `tests/broken/` has one kind of mistake; its snapshot is what an author sees.

use crate::{catalogue, source};
use std::{fs, path::Path};
use windlass_manifest::{Severity, Source, load, render, to_github, to_json, to_sarif};

#[test]
fn each_broken_file_says_what_to_write_instead() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("the folder of broken files")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    assert!(names.len() >= 20, "only {names:?}");
    for name in names {
        let text = fs::read_to_string(folder.join(&name)).expect("a broken file");
        let source = Source { name: name.clone(), text };
        let loaded = load(&source, &catalogue());
        assert!(loaded.plan.is_none(), "{name} is not broken");
        assert!(loaded.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error));
        insta::assert_snapshot!(name.trim_end_matches(".yaml"), render(&loaded.diagnostics, &source, false));
    }
}

#[test]
fn a_plan_and_an_error_exclude_each_other() {
    let loaded = load(&source("name: x\nsteps: [{name: a, type: step.notify2}]"), &catalogue());
    assert!(loaded.plan.is_none());
    let loaded = load(&source("name: x\nsteps: [{name: a, type: 'acme:slack/step.notify'}]"), &catalogue());
    assert!(loaded.plan.is_some() && loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
}

const TWO_MISTAKES: &str = "name: x\nsteps:\n  - name: ä, b\n    type: step.notfy\n";

#[test]
fn forms_for_machines() {
    let source = source(TWO_MISTAKES);
    let diagnostics = load(&source, &catalogue()).diagnostics;
    insta::assert_snapshot!("github", to_github(&diagnostics, &source));
    insta::assert_json_snapshot!("json", to_json(&diagnostics, &source));
    let sarif = to_sarif(&diagnostics, &source);
    assert_eq!(sarif["runs"][0]["results"].as_array().map(Vec::len), Some(diagnostics.len()));
    assert_eq!(sarif["runs"][0]["results"][1]["locations"][0]["physicalLocation"]["region"]["startLine"], 4);
}

#[test]
fn a_github_annotation_stays_on_its_line() {
    let source = source("name: \"x\\n::error::injected\"\n'a\n\n  ::warning::b': 1\nsteps: []\n");
    let github = to_github(&load(&source, &catalogue()).diagnostics, &source);
    assert!(github.lines().all(|line| line.starts_with("::error file=windlass.yaml,line=")), "{github}");
}

#[test]
fn a_file_cannot_steer_the_terminal() {
    let source = source("name: x\n\"\\e[2Jkey\": 1\nsteps: []\n");
    let shown = render(&load(&source, &catalogue()).diagnostics, &source, false);
    assert!(shown.contains("WL0010") && !shown.contains('\u{1b}'), "{shown:?}");
}
