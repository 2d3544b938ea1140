//! A real registry server of a test's own.

use crate::{Running, process, registry_server, scratch, template};
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A `registry-server` on a free port, with a data folder of its own; ended when this is dropped.
pub struct Registry {
    url: String,
    data: PathBuf,
    server: Running,
    _folder: Option<TempDir>,
}

impl Registry {
    /// An empty one.
    pub fn start() -> Registry {
        let folder = tempfile::Builder::new().prefix("registry-").tempdir_in(scratch()).unwrap();
        let mut registry = Registry::serve(&folder.path().join("data"));
        registry._folder = Some(folder);
        registry
    }

    /// One that holds what [`crate::Project::new`] has installed: the bundled plugins and the examples.
    pub fn filled() -> Registry {
        let folder = tempfile::Builder::new().prefix("registry-").tempdir_in(scratch()).unwrap();
        template::copy_registry(&folder.path().join("data"));
        let mut registry = Registry::serve(&folder.path().join("data"));
        registry._folder = Some(folder);
        registry
    }

    /// One on this data folder, which stays.
    pub fn serve(data: &Path) -> Registry {
        Registry::serve_until(data, "")
    }

    /// The same, and it ends itself at these failpoints, as `kill -9` would end it.
    pub fn serve_until(data: &Path, failpoints: &str) -> Registry {
        let mut command = command();
        command.env("FAILPOINTS", failpoints);
        command.arg("serve").arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]);
        let mut server = Running::start(command);
        let line = server.wait_for("registry-server listens on ");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("its address");
        let url = url.trim_end_matches([',', '/']).to_owned();
        Registry { url, data: data.to_owned(), server, _folder: None }
    }

    /// Its address, such as `http://127.0.0.1:4711`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A new token that may publish to a namespace.
    pub fn token(&self, namespace: &str) -> String {
        self.token_for(namespace, &["publish"])
    }

    /// A new token that may do these things in a namespace.
    pub fn token_for(&self, namespace: &str, actions: &[&str]) -> String {
        let mut command = command();
        command.args(["token", "create", "--name", "test", "--namespace", namespace, "--data"]).arg(&self.data);
        command.args(actions.iter().flat_map(|action| ["--action", action]));
        process::finish(command, "").ok().stdout.trim().to_owned()
    }

    /// Ends it as `kill -9` does: nothing answers at its address any more.
    pub fn stop(mut self) {
        self.server.kill();
    }

    /// Waits until it has ended by itself; gives its exit code.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        self.server.end()
    }
}

fn command() -> Command {
    let mut command = Command::new(registry_server());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("RUST_LOG", "error");
    command
}
