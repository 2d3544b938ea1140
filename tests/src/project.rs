//! A home and a project of one test's own.

use crate::{Agents, Output, Running, process, scratch, template, windlass};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;
use windlass_contract::Digest;

/// The image that the examples name: one that everybody can pull, and no test does.
const EXAMPLE_IMAGE: &str = "busybox:1.37";

/// A home with every plugin installed, granted and compiled, and a project folder with their lock and grants.
///
/// What it leaves on the container engine is removed when it is dropped, so that one failed test does not fail others.
pub struct Project {
    _folder: TempDir,
    home: PathBuf,
    folder: PathBuf,
    environment: BTreeMap<String, String>,
}

impl Project {
    /// With the bundled plugins and the examples; the scripted agent answers for agents.
    #[allow(clippy::new_without_default, reason = "it writes files and may take seconds: no default")]
    pub fn new() -> Project {
        Project::with(Agents::Scripted)
    }

    /// The same, with this one for agents.
    pub fn with(agents: Agents) -> Project {
        let project = Project::empty();
        template::copy(&project.home, &project.folder, agents);
        project
    }

    /// With nothing installed.
    pub fn empty() -> Project {
        let folder = tempfile::Builder::new().prefix("project-").tempdir_in(scratch()).unwrap();
        let place = folder.path().canonicalize().unwrap();
        let (home, project) = (place.join("home"), place.join("project"));
        fs::create_dir_all(&project).unwrap();
        Project { _folder: folder, home, folder: project, environment: BTreeMap::new() }
    }

    /// `WINDLASS_HOME`.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The folder that holds the pipeline, its lock and its grants. It is also what fills the workspace.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sets a variable of the environment of everything that is run from now on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Writes a file into the project's folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Copies one of the repository's folders, such as `examples/steps`, under its last name. The image that the examples name is
    /// [`crate::IMAGE`] there.
    pub fn copy(&self, folder: &str) {
        let from = crate::root().join(folder);
        let name = from.file_name().unwrap().to_str().unwrap().to_owned();
        for entry in fs::read_dir(&from).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap().replace(EXAMPLE_IMAGE, crate::IMAGE);
            self.file(&format!("{name}/{}", path.file_name().unwrap().display()), &text);
        }
    }

    /// Writes the pipeline, `windlass.yaml`. `IMAGE` in it stands for [`crate::IMAGE`].
    pub fn pipeline(&self, yaml: &str) -> PathBuf {
        self.file("windlass.yaml", &yaml.replace("IMAGE", crate::IMAGE))
    }

    /// The program with the project as its working directory and an environment of its own: no variable of the tests'.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(windlass());
        command.env_clear().env("WINDLASS_HOME", &self.home).env("NO_COLOR", "1").env("TZ", "UTC");
        for name in ["PATH", "DOCKER_HOST"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(&self.environment).current_dir(&self.folder).args(args);
        command
    }

    /// Runs the program to its end.
    pub fn windlass<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        process::finish(self.command(args), "")
    }

    /// The same, with text on its standard input.
    pub fn windlass_with<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>, input: &str) -> Output {
        process::finish(self.command(args), input)
    }

    /// Starts the program and goes on.
    pub fn spawn<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Running {
        Running::start(self.command(args))
    }

    /// Writes the pipeline and runs it.
    pub fn run(&self, yaml: &str) -> Output {
        let path = self.pipeline(yaml);
        self.windlass([OsStr::new("run"), path.as_os_str()])
    }

    /// A run in full, as `windlass runs RUN --json` tells it; `last` is the newest.
    #[track_caller]
    pub fn shown(&self, run: &str) -> serde_json::Value {
        self.windlass(["runs", run, "--json"]).ok().json()
    }

    /// One step of a run in full.
    #[track_caller]
    pub fn step(&self, run: &str, step: &str) -> serde_json::Value {
        let shown = self.shown(run);
        let steps = shown["steps"].as_array().unwrap();
        let found = steps.iter().find(|each| each["name"] == step);
        found.unwrap_or_else(|| panic!("no step {step}: {shown:#}")).clone()
    }

    /// How a run went, in one line: `build succeeded, test failed = failed`, or `BUILD failed > FIX succeeded = succeeded` for one
    /// of several states, in the order in which it was in them.
    #[track_caller]
    pub fn outcomes(&self, run: &str) -> String {
        let shown = self.shown(run);
        let word = |value: &serde_json::Value| value.as_str().unwrap_or("none").to_owned();
        let list = |key: &str, name: &str, between: &str| {
            let each = shown[key].as_array().unwrap().iter();
            each.map(|each| format!("{} {}", word(&each[name]), word(&each["outcome"])))
                .collect::<Vec<_>>()
                .join(between)
        };
        let is_steps = shown["visits"].as_array().unwrap().iter().all(|visit| visit["state"] == "main");
        let parts = if is_steps { list("steps", "name", ", ") } else { list("visits", "state", " > ") };
        format!("{parts} = {}", word(&shown["outcome"]))
    }

    /// Every run, newest first.
    #[track_caller]
    pub fn runs(&self) -> Vec<serde_json::Value> {
        self.windlass(["runs", "--json", "--limit", "1000"]).ok().json().as_array().unwrap().clone()
    }

    /// Keeps a secret that may be sent to these hosts.
    #[track_caller]
    pub fn secret(&self, name: &str, value: &str, hosts: &[&str]) {
        let mut args = vec!["secret", "set", name];
        args.extend(hosts.iter().flat_map(|host| ["--host", host]));
        self.windlass_with(args, value).ok();
    }

    /// Replaces a file's content. Never write into one in place: big files are shared with the other tests' homes.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        let mut beside = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
        beside.write_all(&change(fs::read(path).unwrap())).unwrap();
        fs::set_permissions(beside.path(), fs::metadata(path).unwrap().permissions()).unwrap();
        beside.persist(path).unwrap();
    }

    /// What the containers and volumes of this home are labelled with, as `dev.windlass.owner`.
    pub fn owner(&self) -> String {
        Digest::of(self.home.as_os_str().as_encoded_bytes()).short()
    }

    /// The names of this home's containers, running or not, as the engine tells them.
    #[track_caller]
    pub fn containers(&self) -> Vec<String> {
        docker(&self.listing(CONTAINERS)).expect("the container engine answers")
    }

    /// The names of this home's volumes.
    #[track_caller]
    pub fn volumes(&self) -> Vec<String> {
        docker(&self.listing(VOLUMES)).expect("the container engine answers")
    }

    /// Fails where a run has left anything behind, but for the volumes of the last run of a pipeline if that did not succeed: they
    /// are kept for a rerun.
    #[track_caller]
    pub fn nothing_left(&self) {
        let names = |folder: &str| -> Vec<PathBuf> {
            let entries = fs::read_dir(self.home.join(folder)).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path()).collect()
        };
        let kept: Vec<String> = names("kept").iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        let mut volumes = self.volumes();
        volumes.retain(|volume| !kept.iter().any(|run| volume.starts_with(&format!("windlass-{run}-"))));
        assert_eq!((self.containers(), volumes), (vec![], vec![]), "on the container engine");
        let mut open = names("open");
        open.retain(|mark| !kept.iter().any(|run| mark.ends_with(run)));
        assert!(open.is_empty(), "{open:?}");
    }

    fn listing(&self, what: &[&str]) -> Vec<String> {
        let label = format!("--filter=label=dev.windlass.owner={}", self.owner());
        what.iter().map(|word| (*word).to_owned()).chain([label]).collect()
    }
}

const CONTAINERS: &[&str] = &["ps", "--all", "--format={{.Names}}"];
const VOLUMES: &[&str] = &["volume", "ls", "--format={{.Name}}"];

/// The lines that the client prints; nothing when it failed.
fn docker(args: &[String]) -> Option<Vec<String>> {
    let output = Command::new("docker").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.lines().map(str::to_owned).collect())
}

impl Drop for Project {
    // No panic here: the test may be failing already, and a second one would hide why.
    fn drop(&mut self) {
        for (listing, remove) in [(CONTAINERS, &["rm", "--force"][..]), (VOLUMES, &["volume", "rm", "--force"])] {
            let names = docker(&self.listing(listing)).unwrap_or_default();
            if !names.is_empty() {
                let mut args: Vec<String> = remove.iter().map(|word| (*word).to_owned()).collect();
                args.extend(names);
                docker(&args);
            }
        }
    }
}
