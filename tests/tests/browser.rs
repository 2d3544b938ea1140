//! Days in a real browser against a real server, registry and container engine: `ui/e2e` has what is done, here is what it needs.
//! Pictures of what was seen are kept in `target/browser`, for people.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use windlass_tests::{IMAGE, Project, Registry, Server, root};

/// A plugin as its author has it: the C example under another name, with one line of its manifest changed.
fn author(place: &Path, version: &str, (from, to): (&str, &str)) -> PathBuf {
    let folder = place.join("..").join(format!("acme-greet-{version}"));
    fs::create_dir_all(&folder).unwrap();
    let source = root().join("examples/plugins/c");
    let manifest = fs::read_to_string(source.join("plugin.yaml")).unwrap();
    assert!(manifest.contains(from), "{from} in {manifest}");
    let component = manifest.lines().find_map(|line| line.strip_prefix("component: ")).unwrap();
    fs::copy(source.join(component), folder.join("plugin.wasm")).unwrap();
    fs::write(folder.join("README.md"), "# Greets\n\nSays hello to somebody, from anywhere.\n").unwrap();
    let kept = |line: &&str| !["name:", "version:", "component:", "readme:"].iter().any(|key| line.starts_with(key));
    let manifest = manifest.replace(from, to);
    let rest: Vec<&str> = manifest.lines().filter(kept).collect();
    let head = format!("name: acme:greet\nversion: {version}\ncomponent: plugin.wasm\nreadme: README.md\n");
    fs::write(folder.join("plugin.yaml"), head + &rest.join("\n")).unwrap();
    folder
}

#[test]
fn a_newcomers_day() {
    let registry = Registry::filled();
    let project = Project::empty();
    fs::create_dir_all(project.home()).unwrap();
    fs::write(project.home().join("config.toml"), format!("[registries]\ndefault = \"{}\"\n", registry.url())).unwrap();
    project.windlass_with(["plugin", "login"], &registry.token("acme")).ok();
    for (version, change) in [("1.0.0", ("", "")), ("1.1.0", ("methods: [GET]", "methods: [GET, POST]"))] {
        let folder = author(project.folder(), version, change);
        project.windlass(["plugin".as_ref(), "publish".as_ref(), folder.as_os_str()]).ok();
    }
    browse("day", &Server::with(project, &[]));
}

#[test]
fn a_working_day() {
    browse("work", &Server::start());
}

/// Plays one of the scripts in `ui/e2e`.
fn browse(script: &str, server: &Server) {
    let pictures = root().join("target/browser").join(script);
    let _ = fs::remove_dir_all(&pictures);
    let status = Command::new("node")
        .arg(root().join(format!("ui/e2e/{script}.mjs")))
        .env("WINDLASS_URL", server.url())
        .env("WINDLASS_KEY", server.key())
        .env("IMAGE", IMAGE)
        .env("PICTURES", &pictures)
        .status()
        .expect("node starts; scripts/setup-node.sh says what is needed");
    assert!(
        status.success(),
        "{script}.mjs went wrong; what it printed is above, and pictures are in {}",
        pictures.display()
    );
}
