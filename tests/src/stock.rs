//! The tools that everybody has, which know nothing of Windlass: wkg, oras, cosign.

use crate::{Output, process, root};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A user of those tools, with a home and credentials of its own.
pub struct Stock {
    folder: TempDir,
}

impl Stock {
    /// Somebody who is logged in nowhere.
    #[allow(clippy::new_without_default, reason = "it makes a folder: no default")]
    pub fn new() -> Stock {
        let stock = Stock { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(stock.path("home")).unwrap();
        stock
    }

    /// A place in the user's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file there.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs a tool in the user's folder to its end, with this text on its standard input.
    pub fn run_with<A: AsRef<OsStr>>(&self, tool: &str, args: impl IntoIterator<Item = A>, input: &str) -> Output {
        let program = root().join("tools/stock/bin").join(tool);
        assert!(program.is_file(), "{} is not there. Run: scripts/setup-stock-tools.sh", program.display());
        let mut command = Command::new(program);
        // An empty password is what cosign's keys of a test have.
        command.env_clear().env("HOME", self.path("home")).env("COSIGN_PASSWORD", "").env("NO_COLOR", "1");
        command.env("DOCKER_CONFIG", self.path("home")).current_dir(self.folder.path()).args(args);
        process::finish(command, input)
    }

    /// The same, without input.
    pub fn run<A: AsRef<OsStr>>(&self, tool: &str, args: impl IntoIterator<Item = A>) -> Output {
        self.run_with(tool, args, "")
    }

    /// Logs in at a registry, as for `docker`: oras and cosign read the same file.
    #[track_caller]
    pub fn login(&self, host: &str, user: &str, password: &str) -> Output {
        self.run_with("oras", ["login", "--plain-http", "-u", user, "--password-stdin", host], password)
    }

    /// Writes wkg's configuration for the namespaces of a registry that speaks plain HTTP; gives the arguments that name it.
    pub fn wkg_config(&self, host: &str, namespaces: &[&str], credentials: Option<(&str, &str)>) -> Vec<String> {
        let mut text = String::from("[namespace_registries]\n");
        for namespace in namespaces {
            text.push_str(&format!("{namespace} = \"{host}\"\n"));
        }
        text.push_str(&format!("[registry.\"{host}\".oci]\nprotocol = \"http\"\n"));
        if let Some((user, password)) = credentials {
            text.push_str(&format!("auth = {{ username = \"{user}\", password = \"{password}\" }}\n"));
        }
        let config = self.file("wkg-config.toml", text);
        // Its own cache knows a release by name and version: what another registry of this machine had under them is another thing.
        let text = |path: &Path| path.display().to_string();
        vec!["--config".to_owned(), text(&config), "--cache".to_owned(), text(&self.path("wkg-cache"))]
    }
}
