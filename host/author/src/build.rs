//! Building a plugin with its own tools, and looking at what came of it.

use crate::AuthorError;
use std::{
    collections::BTreeSet,
    fs,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use windlass_contract::{Digest, Interface};
use windlass_package::manifest::{MAX_COMPONENT, Manifest};
use windlass_runtime::{InspectError, Inspection};

/// Runs the build commands in `folder`, one after the other. What they print goes to standard error as it comes.
///
/// # Errors
/// When the manifest has none, a program is not there, or a command fails.
pub async fn run(folder: &Path, manifest: &Manifest) -> Result<Duration, AuthorError> {
    if manifest.build.is_empty() {
        return Err(AuthorError::NoBuild);
    }
    let began = Instant::now();
    for command in &manifest.build {
        run_one(folder, command).await?;
    }
    Ok(began.elapsed())
}

async fn run_one(folder: &Path, command: &[String]) -> Result<(), AuthorError> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let folder = folder.canonicalize().map_err(|error| AuthorError::io("open the folder", folder, error))?;
    // A program in the plugin's folder, such as .venv/bin/componentize-py; any other is looked for on the PATH.
    let found = if program.contains('/') { folder.join(program) } else { PathBuf::from(program) };
    let printed = std::io::stderr().as_fd().try_clone_to_owned();
    let printed = printed.map_err(|error| AuthorError::io("write to", "standard error", error))?;
    let mut child = tokio::process::Command::new(found);
    child.args(arguments).current_dir(&folder).stdin(Stdio::null()).stdout(printed).kill_on_drop(true);
    let status = child.status().await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => AuthorError::NoTool { program: program.clone() },
        _ => AuthorError::io("run", program, error),
    })?;
    if status.success() {
        return Ok(());
    }
    Err(AuthorError::BuildFailed { command: command.join(" "), status: status.to_string() })
}

/// A component that was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// Where it is.
    pub path: PathBuf,
    /// Its digest.
    pub digest: Digest,
    /// What it is.
    pub facts: Inspection,
    /// What it imports and the manifest does not ask for: it could not be published.
    pub undeclared: BTreeSet<Interface>,
    /// What the manifest asks for and it does not import: users would be asked for nothing.
    pub unused: BTreeSet<Interface>,
}

/// Looks at the component that the manifest names.
///
/// # Errors
/// When it is not there, or not a plugin.
pub fn look(folder: &Path, manifest: &Manifest) -> Result<Built, AuthorError> {
    let path = folder.join(&manifest.component);
    let size = match fs::metadata(&path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(AuthorError::NoComponent { path }),
        Err(error) => return Err(AuthorError::io("read", path, error)),
    };
    if size > MAX_COMPONENT {
        return Err(InspectError::TooLarge(size).into());
    }
    let wasm = fs::read(&path).map_err(|error| AuthorError::io("read", &path, error))?;
    let facts = windlass_runtime::inspect(&wasm)?;
    let asked = manifest.permissions.interfaces();
    let imported: BTreeSet<_> = facts.imports.iter().copied().filter(|each| !each.always_granted()).collect();
    Ok(Built {
        path,
        digest: Digest::of(&wasm),
        undeclared: imported.difference(&asked).copied().collect(),
        unused: asked.difference(&imported).copied().collect(),
        facts,
    })
}

/// The line under `permissions` in plugin.yaml that asks for an interface, with a narrow scope to begin with.
pub fn permission_line(interface: Interface) -> &'static str {
    match interface {
        Interface::Containers => "containers: { images: [from-config] }",
        Interface::Artifacts => "artifacts: { read: true, write: true }",
        Interface::Secrets => "secrets: [from-config]",
        Interface::SecretsReveal => "secrets-reveal: true",
        Interface::Http => "http: { hosts: [from-config], methods: [GET] }",
        Interface::State => "state: true",
        Interface::Log | Interface::Inputs | Interface::Outputs => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_line_asks_for_its_interface() {
        for interface in Interface::ALL.into_iter().filter(|each| !each.always_granted()) {
            let line = permission_line(interface);
            // The values of secrets are those of `secrets`, so that is asked for as well.
            let also = if interface == Interface::SecretsReveal { "\n  secrets: [from-config]" } else { "" };
            let text = format!(
                "name: a:b\nversion: 0.1.0\nsummary: x\nlicence: MIT\ncomponent: x.wasm\npermissions:\n  {line}{also}\n"
            );
            let manifest = Manifest::parse(&text).unwrap();
            assert!(manifest.permissions.interfaces().contains(&interface), "{line}");
        }
    }

    fn manifest(build: &str) -> Manifest {
        let text = format!("name: a:b\nversion: 0.1.0\nsummary: x\nlicence: MIT\ncomponent: x.wasm\nbuild: {build}\n");
        Manifest::parse(&text).unwrap()
    }

    #[tokio::test]
    async fn commands_run_in_the_folder_without_a_shell() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &manifest("[[touch, 'a b', '$HOME'], [mv, 'a b', c]]")).await.unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["$HOME", "c"]);
    }

    #[tokio::test]
    async fn what_fails_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut all = Vec::new();
        for build in ["[windlass-no-such-tool]", "[.venv/bin/componentize-py, x]", "['false', '1']"] {
            let error = run(folder.path(), &manifest(build)).await.unwrap_err();
            let help = windlass_contract::CodedError::help(&error).unwrap();
            all.push(format!("{error}\n  help: {help}"));
        }
        let error = look(folder.path(), &manifest("[make]")).unwrap_err().to_string();
        all.push(error.replace(&folder.path().display().to_string(), "FOLDER"));
        insta::assert_snapshot!(all.join("\n"), @r"
        `windlass-no-such-tool` is not on this machine, and `build` in plugin.yaml runs it
          help: install it, or change `build` in plugin.yaml
        `.venv/bin/componentize-py` is not on this machine, and `build` in plugin.yaml runs it
          help: run `python3 -m venv .venv && .venv/bin/pip install -r requirements.txt` in the plugin's folder
        `false 1` ended with exit status: 1
          help: what it printed says why; the README of the plugin says what is installed once before the first build
        there is no component at FOLDER/x.wasm
        ");
    }
}
