//! The home that every test starts from: all plugins published to a real registry, installed from it, granted, locked and
//! compiled. Done once for each build of the programs and plugins; nextest runs each test in a process of its own, so a
//! file lock decides who does it.
//!
//! ```text
//! target/e2e/template/
//!   lock        held exclusively while it is made, shared while it is copied
//!   stamp       what it was made from
//!   home/       a WINDLASS_HOME
//!   project/    windlass.lock, windlass.grants.yaml: the scripted agent answers for agents
//!   model/      the same, but the bundled agent does, which asks a model
//!   registry/   the data folder of a registry that holds the same plugins
//! ```

use crate::{Output, Registry, process, root, scratch, windlass};
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Who may answer for an agent. Both provide `step.agent`, so a project has one of them.
const SCRIPTED: &str = "examples:scripted-agent";
const MODEL: &str = "windlass:agent";

/// The plugins by name, with their folder.
const PLUGINS: &[(&str, &str)] = &[
    ("windlass:shell", "plugins/shell"),
    ("windlass:artifact", "plugins/artifact"),
    ("windlass:container", "plugins/container"),
    ("windlass:local", "plugins/local"),
    (SCRIPTED, "examples/plugins/scripted-agent"),
    (MODEL, "plugins/agent"),
    ("examples:greet-rust", "examples/plugins/rust"),
    ("examples:greet-js", "examples/plugins/js"),
    ("examples:greet-python", "examples/plugins/python"),
    ("examples:greet-c", "examples/plugins/c"),
];

/// The step types of the example plugins, one for each language.
pub const EXAMPLES: &[&str] = &["step.greet_rust", "step.greet_js", "step.greet_python", "step.greet_c"];

/// Files from this size on are linked, not copied: the Python component and its machine code are 100 MB together.
const LINK_BYTES: u64 = 256 << 10;

/// Which plugin is an agent in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agents {
    /// `examples:scripted-agent`, which does what its profile says.
    Scripted,
    /// `windlass:agent`, which asks a model.
    Model,
}

impl Agents {
    /// The template's folder, and the plugin that is not in it.
    fn project(self) -> (&'static str, &'static str) {
        match self {
            Agents::Scripted => ("project", MODEL),
            Agents::Model => ("model", SCRIPTED),
        }
    }
}

/// Copies the home and the project's lock and grants.
pub(crate) fn copy(home: &Path, project: &Path, agents: Agents) {
    let _shared = ready();
    copy_tree(&folder().join("home"), home);
    copy_tree(&folder().join(agents.project().0), project);
}

/// Copies the registry's data folder.
pub(crate) fn copy_registry(data: &Path) {
    let _shared = ready();
    copy_tree(&folder().join("registry"), data);
}

fn folder() -> PathBuf {
    scratch().join("template")
}

/// Makes it if it is not there, or made from something else. Nobody changes it while the answer is held.
fn ready() -> File {
    fs::create_dir_all(folder()).unwrap();
    let lock = File::create(folder().join("lock")).unwrap();
    let stamp = stamp();
    let is_current = || fs::read_to_string(folder().join("stamp")).is_ok_and(|found| found == stamp);
    lock.lock_shared().unwrap();
    if is_current() {
        return lock;
    }
    lock.unlock().unwrap();
    lock.lock().unwrap();
    if !is_current() {
        make();
        fs::write(folder().join("stamp"), &stamp).unwrap();
    }
    lock
}

/// The component of a plugin, as its manifest names it.
fn component(plugin: &Path) -> PathBuf {
    let manifest = fs::read_to_string(plugin.join("plugin.yaml")).expect("plugin.yaml");
    let line = manifest.lines().find_map(|line| line.strip_prefix("component:")).expect("it names its component");
    let path = plugin.join(line.trim());
    assert!(path.is_file(), "{} is not there. Run: scripts/build-plugins.sh --all", path.display());
    path
}

/// Everything that decides what is in the template.
fn stamp() -> String {
    let mut hash = Sha256::new();
    for (_, plugin) in PLUGINS {
        let plugin = root().join(plugin);
        hash.update(fs::read(component(&plugin)).unwrap());
        hash.update(fs::read(plugin.join("plugin.yaml")).unwrap());
    }
    for program in [windlass(), crate::registry_server()] {
        let found = fs::metadata(program).unwrap();
        // Hundreds of megabytes with debug information: when it was built says as much as its hash.
        hash.update(format!("{} {:?}", found.len(), found.modified().unwrap()));
    }
    hex::encode(hash.finalize())
}

fn make() {
    let home = folder().join("home");
    let project = |agents: Agents| folder().join(agents.project().0);
    // Machine code is kept from one build to the next: the cache itself knows what it may still use.
    let (compiled, kept) = (home.join("cache/compiled"), folder().join("compiled"));
    let _ = fs::remove_file(folder().join("stamp"));
    if compiled.is_dir() && !kept.exists() {
        fs::rename(&compiled, &kept).unwrap();
    }
    for old in [&home, &project(Agents::Scripted), &project(Agents::Model), &folder().join("registry")] {
        let _ = fs::remove_dir_all(old);
    }
    for agents in [Agents::Scripted, Agents::Model] {
        fs::create_dir_all(project(agents)).unwrap();
    }
    if kept.exists() {
        fs::create_dir_all(home.join("cache")).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        fs::rename(&kept, &compiled).unwrap();
    }

    let registry = Registry::serve(&folder().join("registry"));
    let run = |args: &[&str], token: &str, agents: Agents| -> Output {
        let mut command = Command::new(windlass());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("WINDLASS_HOME", &home).env("WINDLASS_REGISTRY", registry.url()).env("NO_COLOR", "1");
        command.env("WINDLASS_REGISTRY_TOKEN", token).args(args).current_dir(project(agents));
        process::finish(command, "").ok()
    };
    let tokens = [registry.token("windlass"), registry.token("examples")];
    for (name, plugin) in PLUGINS {
        let token = &tokens[usize::from(name.starts_with("examples:"))];
        run(&["plugin", "publish", &root().join(plugin).display().to_string()], token, Agents::Scripted);
    }
    for agents in [Agents::Scripted, Agents::Model] {
        let mut install = vec!["plugin", "install", "--grant"];
        install.extend(PLUGINS.iter().map(|(name, _)| *name).filter(|name| *name != agents.project().1));
        run(&install, "", agents);
    }
    registry.stop();
}

/// Copies a folder with its permissions. Big files are linked: nothing here writes into a file in place, see
/// [`crate::Project::tamper`].
fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let found = entry.metadata().unwrap();
        let is_fixed = path.extension().is_some_and(|ending| ending == "wasm" || ending == "cwasm");
        if found.is_dir() {
            copy_tree(&path, &target);
        } else if is_fixed && found.len() >= LINK_BYTES {
            fs::hard_link(&path, &target).unwrap();
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
