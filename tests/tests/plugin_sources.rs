//! Where plugins come from, by the command line: a plain container registry, a registry that is behind a proxy, a folder, a
//! file; and what becomes of them in a project: updated, removed, pruned.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
};
use windlass_tests::{DockerRegistry, Project, Registry, root};

/// A plugin's folder as its author has it: the C example under another name.
fn author(project: &Project, name: &str, version: &str, more: &str) -> PathBuf {
    let folder = project.folder().join("..").join(name.replace(':', "-"));
    fs::create_dir_all(&folder).unwrap();
    fs::copy(root().join("examples/plugins/c/dist/greet-c.wasm"), folder.join("plugin.wasm")).unwrap();
    let example = fs::read_to_string(root().join("examples/plugins/c/plugin.yaml")).unwrap();
    let kept = |line: &&str| !["name:", "version:", "component:", "readme:"].iter().any(|key| line.starts_with(key));
    let rest: Vec<&str> = example.lines().filter(kept).collect();
    let yaml = format!("name: {name}\nversion: {version}\ncomponent: plugin.wasm\n{}\n{more}", rest.join("\n"));
    fs::write(folder.join("plugin.yaml"), yaml).unwrap();
    folder
}

fn configure(project: &Project, text: &str) {
    fs::create_dir_all(project.home()).unwrap();
    fs::write(project.home().join("config.toml"), text).unwrap();
}

fn publish(project: &Project, folder: &Path) -> windlass_tests::Output {
    project.windlass(["plugin".as_ref(), "publish".as_ref(), folder.as_os_str()])
}

/// Any OCI registry holds plugins: Debian's, which has no referrers API, and wants a login that the container tools know.
#[test]
fn a_plain_container_registry_holds_plugins() {
    let registry = DockerRegistry::start();
    let mut project = Project::empty();
    let config =
        format!("[registries.namespaces]\nacme = {{ oci = \"http://{}\", prefix = \"team\" }}\n", registry.host());
    configure(&project, &config);
    let folder = author(&project, "acme:greet", "1.0.0", "");
    let refused = publish(&project, &folder).expect(6);
    assert!(refused.stderr.contains("401"), "{}", refused.stderr);

    let login = project.home().join("docker");
    fs::create_dir_all(&login).unwrap();
    fs::write(login.join("config.json"), registry.docker_config()).unwrap();
    project.set_env("DOCKER_CONFIG", login.to_str().unwrap());
    publish(&project, &folder).ok();
    publish(&project, &folder).ok();

    let installed = project.windlass(["plugin", "install", "acme:greet", "--grant"]).ok();
    assert!(!installed.all().contains(registry.password()), "{}", installed.all());
    let lock = fs::read_to_string(project.folder().join("windlass.lock")).unwrap();
    let origin = format!("registry = \"oci+http://{}/team\"", registry.host());
    assert!(lock.contains(&origin) && lock.contains("[plugin.signature]"), "{lock}");
    project.windlass(["plugin", "verify"]).ok();
    let info = project.windlass(["plugin", "info", "acme:greet"]).ok().stdout;
    assert!(info.contains("none: a plain OCI registry"), "{info}");

    // Another version of the same number has other bytes: refused here, for nobody else would.
    let yaml = fs::read_to_string(folder.join("plugin.yaml")).unwrap();
    fs::write(folder.join("plugin.yaml"), yaml.replace("licence:", "keywords: [other]\nlicence:")).unwrap();
    let refused = publish(&project, &folder).expect(6);
    assert!(
        refused.stderr.contains("WL0808") && refused.stderr.contains("team/acme/greet:1.0.0"),
        "{}",
        refused.stderr
    );

    // A newer one is found by its tag, and a project that is vendored needs the registry no more.
    fs::write(folder.join("plugin.yaml"), yaml.replace("version: 1.0.0", "version: 1.1.0")).unwrap();
    publish(&project, &folder).ok();
    let ahead = project.windlass(["plugin", "update", "--dry-run"]).ok().stdout;
    assert!(ahead.contains("acme:greet 1.0.0 → 1.1.0"), "{ahead}");
    project.windlass(["plugin", "update"]).ok();
    project.windlass(["vendor", "kept"]).ok();
    let yank = project.windlass(["plugin", "yank", "acme:greet@1.1.0", "--reason", "x"]).expect(6);
    assert!(yank.stderr.contains("WL0829"), "{}", yank.stderr);
    drop(registry);
    fs::remove_dir_all(project.home().join("plugins")).unwrap();
    project.windlass(["plugin", "install", "--locked"]).expect(6);
    project.set_env("WINDLASS_VENDOR", "kept");
    project.windlass(["plugin", "install", "--locked"]).ok();
    project.windlass(["plugin", "verify"]).ok();
}

/// The life of plugins in a project, against the registry of ours.
#[test]
fn from_install_to_removal() {
    let registry = Registry::start();
    let mut project = Project::empty();
    configure(&project, &format!("[registries]\ndefault = \"{}\"\n", registry.url()));
    let token = registry.token_for("acme", &["publish", "yank"]);
    project.windlass_with(["plugin", "login"], &token).ok();
    let called = author(&project, "acme:called", "1.0.0", "");
    publish(&project, &called).ok();
    let caller = author(&project, "acme:caller", "1.0.0", "dependencies: {'acme:called': '^1'}\n");
    publish(&project, &caller).ok();

    let rows = project.windlass(["plugin", "install", "acme:caller", "--grant", "--json"]).ok().json();
    let rows: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| (row["name"].clone(), row["dependency"].clone())).collect();
    assert_eq!(rows, [("acme:caller".into(), false.into()), ("acme:called".into(), true.into())]);
    let current = project.windlass(["plugin", "outdated"]).ok();
    assert!(current.stderr.contains("as new as it can be"), "{}", current.all());

    // A newer version, held back by what a pipeline says, then taken.
    publish(&project, &author(&project, "acme:called", "1.1.0", "")).ok();
    publish(&project, &author(&project, "acme:called", "2.0.0", "")).ok();
    project.windlass(["plugin", "yank", "acme:called@1.0.0", "--reason", "it leaks"]).ok();
    let outdated = project.windlass(["plugin", "outdated", "--json"]).ok().json();
    let called_row = outdated.as_array().unwrap().iter().find(|row| row["name"] == "acme:called").unwrap().clone();
    assert_eq!(
        (called_row["wanted"].clone(), called_row["newest"].clone(), called_row["notice"]["reason"].clone()),
        ("1.1.0".into(), "2.0.0".into(), "it leaks".into())
    );
    project.windlass(["plugin", "update", "acme:called@^2"]).expect(6);
    let updated = project.windlass(["plugin", "update", "--json"]).ok().json();
    assert_eq!(updated["plugins"][0]["to"], "1.1.0");

    // Carried to a machine without the registry.
    project.windlass(["plugin", "export", "all.tar"]).ok();
    let island = Project::empty();
    configure(&island, &format!("[registries]\ndefault = \"{}\"\n", registry.url()));
    for file in ["all.tar", "windlass.lock", "windlass.grants.yaml"] {
        fs::copy(project.folder().join(file), island.folder().join(file)).unwrap();
    }

    // What is used is not removed.
    project.file("ci.yaml", "plugins:\n  acme:caller: '^1'\nsteps: []\n");
    let refused = project.windlass(["plugin", "remove", "acme:caller"]).expect(2);
    assert!(refused.stderr.contains("WL0831") && refused.stderr.contains("ci.yaml uses it"), "{}", refused.stderr);
    let refused = project.windlass(["plugin", "remove", "acme:called"]).expect(2);
    assert!(refused.stderr.contains("acme:caller@1.0.0 calls it"), "{}", refused.stderr);
    fs::remove_file(project.folder().join("ci.yaml")).unwrap();
    let gone = project.windlass(["plugin", "remove", "acme:caller", "--json"]).ok().json();
    assert_eq!(gone, serde_json::json!(["acme:caller", "acme:called"]));
    let nothing = project.windlass(["plugin", "prune"]).ok();
    assert!(nothing.stderr.contains("everything that is installed is used"), "{}", nothing.stderr);

    project.windlass(["plugin", "logout"]).ok();
    project.set_env("WINDLASS_REGISTRY_TOKEN", "");
    registry.stop();
    island.windlass(["plugin", "install", "--locked"]).expect(6);
    island.windlass(["plugin", "import", "all.tar"]).ok();
    island.windlass(["plugin", "install", "--locked"]).ok();
    island.windlass(["plugin", "verify"]).ok();
}

/// A registry elsewhere is reached through the proxy that the environment names, and not where it says not to.
#[test]
fn a_proxy_is_used_as_the_environment_says() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let (give, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for connection in proxy.incoming().flatten() {
            let mut line = String::new();
            let _ = BufReader::new(connection).read_line(&mut line);
            let _ = give.send(line.trim().to_owned());
        }
    });
    let mut project = Project::empty();
    configure(&project, "[registries]\ndefault = \"https://plugins.invalid\"\n");
    project.set_env("HTTPS_PROXY", &address);
    project.windlass(["plugin", "search", "x"]).expect(6);
    let asked: Vec<String> = lines.try_iter().collect();
    assert!(!asked.is_empty() && asked.iter().all(|line| line == "CONNECT plugins.invalid:443 HTTP/1.1"), "{asked:?}");
    project.set_env("NO_PROXY", "plugins.invalid");
    project.windlass(["plugin", "search", "x"]).expect(6);
    assert_eq!(lines.try_iter().collect::<Vec<_>>(), Vec::<String>::new());
}
