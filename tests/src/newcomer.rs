//! The path of somebody who writes a first plugin: new, build, test, publish, install, run; in each language that there is a
//! template for, with the tools that set-up has installed.

use crate::{Project, Registry, root};
use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// The languages, as `--lang` takes them.
pub const LANGUAGES: &[&str] = &["rust", "js", "ts", "py", "c"];

/// How long each step of the path took, in the order in which they are gone.
pub type Times = Vec<(&'static str, Duration)>;

/// Goes the whole path, and fails where any of it does not give what it should.
#[track_caller]
pub fn walk(language: &str) -> Times {
    let registry = Registry::start();
    let mut project = author(&registry);
    let (name, folder) = (format!("acme:hello-{language}"), format!("hello-{language}"));
    project.set_env("WINDLASS_REGISTRY_TOKEN", &registry.token("acme"));
    let mut times = Times::new();
    let mut step = |what, args: &[&str]| {
        let began = Instant::now();
        let output = project.windlass(args).ok();
        times.push((what, began.elapsed()));
        output
    };

    step("new", &["plugin", "new", "--lang", language, &name]);
    install_tools(language, &project.folder().join(&folder));
    step("build", &["plugin", "build", &folder]);
    let tested = step("test", &["plugin", "test", &folder]);
    assert!(tested.stdout.ends_with("2 cases passed\n"), "{}", tested.stdout);
    step("publish", &["plugin", "publish", &folder]);
    step("install", &["plugin", "install", "--grant", &name]);
    let yaml = format!(
        "name: hello\nplugins: {{ \"{name}\": \"^0.1\" }}\nsteps:\n  - {{ name: hello, type: step.hello_{language}, config: {{ who: Ada }} }}\n"
    );
    let pipeline = project.file("hello.yaml", &yaml).display().to_string();
    step("run", &["run", "--no-workspace", &pipeline]);
    assert_eq!(project.step("last", "hello")["outputs"], serde_json::json!({ "greeting": "hello Ada" }));
    times
}

/// A project with nothing installed, whose commands find the tools that plugins are built with.
pub fn author(registry: &Registry) -> Project {
    let mut project = Project::empty();
    project.set_env("WINDLASS_REGISTRY", registry.url());
    let sdk = std::env::var("WASI_SDK_PATH").unwrap_or_else(|_| root().join("tools/wasi-sdk").display().to_string());
    project.set_env("WASI_SDK_PATH", &sdk);
    for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        if let Ok(value) = std::env::var(name) {
            project.set_env(name, &value);
        }
    }
    project
}

/// What the README of a new plugin says to install once: here, what set-up has installed already. For Rust, these are the build products
/// of the dependencies: the example plugin has the same in the same versions, so they are taken over from there and kept.
pub fn install_tools(language: &str, plugin: &Path) {
    let (from, name) = match language {
        "js" => ("examples/plugins/js/node_modules", "node_modules"),
        "ts" => ("tools/typescript/node_modules", "node_modules"),
        "py" => ("examples/plugins/python/.venv", ".venv"),
        "rust" => ("target/e2e/newcomer-target", "target"),
        _ => return,
    };
    let from = root().join(from);
    if language == "rust" && !from.exists() {
        let built = root().join("examples/plugins/rust/target");
        fs::create_dir_all(&built).unwrap();
        // Linked, not copied: cargo writes new files, never into old ones.
        let copied = Command::new("cp").arg("-al").args([&built, &from]).status().unwrap();
        assert!(copied.success(), "{} cannot be linked to {}", built.display(), from.display());
    }
    assert!(from.is_dir(), "{} is not there. Run: make setup-tests", from.display());
    symlink(from, plugin.join(name)).unwrap();
}
