//! Nobody runs what was not verified, granted and locked.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use std::{fs, path::PathBuf};
use windlass_tests::{Output, Project, Registry};

const GREET: &str = "name: greet
steps:
  - { name: greet, type: step.greet_c, config: { name: Ada } }
";

/// The component of a plugin in this project's home.
fn component(project: &Project, plugin: &str) -> PathBuf {
    let listed = project.windlass(["plugin", "list", "--json"]).ok().json();
    let found = listed.as_array().unwrap().iter().find(|each| each["name"] == plugin).unwrap();
    let digest = found["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    project.home().join("plugins").join(format!("{digest}.wasm"))
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.code, code, "{}", output.all());
    for part in words {
        assert!(output.all().contains(part), "no {part:?} in:\n{}", output.all());
    }
    assert!(!output.all().contains("panicked"), "{}", output.all());
}

#[test]
fn installing_without_a_grant_names_the_command_that_grants() {
    let registry = Registry::filled();
    let mut project = Project::empty();
    project.set_env("WINDLASS_REGISTRY", registry.url());

    let output = project.windlass(["plugin", "install", "windlass:shell"]);
    let command = "windlass plugin install windlass:shell@=0.1.0 --grant";
    refused(&output, 6, &["windlass:shell", "start containers from the images", command]);
    assert!(!project.folder().join("windlass.lock").exists(), "nothing was locked");

    let args: Vec<&str> = command.split(' ').skip(1).collect();
    project.windlass(args).ok();
    let listed = project.windlass(["plugin", "list"]).ok();
    assert!(listed.stdout.contains("step.shell_exec"), "{}", listed.stdout);
}

#[test]
fn a_plugin_gets_no_more_than_the_grants_file_says() {
    let project = Project::new();
    let grants = project.folder().join("windlass.grants.yaml");
    let without = |interface: &str| {
        let text = fs::read_to_string(&grants).unwrap();
        let mut kept = String::new();
        let (mut in_plugin, mut in_interface) = (false, false);
        for line in text.lines() {
            if !line.starts_with("    ") {
                in_plugin = line.contains("examples:greet-c");
            }
            if line.starts_with("    ") && !line.starts_with("     ") && !line.starts_with("    -") {
                in_interface = line.trim_start().starts_with(interface);
            }
            if !(in_plugin && in_interface && line.starts_with("    ")) {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        assert_ne!(kept, text);
        kept
    };
    let narrowed = without("http");
    fs::write(&grants, narrowed).unwrap();
    let output = project.run(GREET);
    let command = "windlass plugin install examples:greet-c --grant";
    refused(&output, 6, &["examples:greet-c@0.1.0 was not called", "(`http`)", command]);
    assert!(project.containers().is_empty());
    // What it says helps, without a registry.
    let args: Vec<&str> = command.split(' ').skip(1).collect();
    project.windlass(args).ok();
    project.run(GREET).ok();

    fs::remove_file(&grants).unwrap();
    refused(&project.run(GREET), 6, &["examples:greet-c", "grant"]);
}

#[test]
fn a_component_that_was_changed_does_not_run() {
    let mut project = Project::new();
    project.tamper(&component(&project, "examples:greet-c"), |mut bytes| {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        bytes
    });
    let output = project.windlass(["plugin", "verify"]);
    refused(&output, 6, &["examples:greet-c@0.1.0 DAMAGED", "windlass:shell@0.1.0 sound"]);
    // Without machine code of the sound bytes there is nothing to run: the changed ones are not compiled.
    let digest = component(&project, "examples:greet-c").file_stem().unwrap().to_str().unwrap().to_owned();
    for entry in fs::read_dir(project.home().join("cache/compiled")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with(&digest) {
            fs::remove_file(path).unwrap();
        }
    }
    refused(&project.run(GREET), 6, &["examples:greet-c@0.1.0 is not ready to run"]);
    assert!(project.runs().is_empty(), "no run was begun");

    // An install mends it from the registry that the lock names.
    let registry = Registry::filled();
    project.set_env("WINDLASS_REGISTRY", registry.url());
    project.tamper(&project.folder().join("windlass.lock"), |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        let place = |line: &str| match line.starts_with("registry = ") {
            true => format!("registry = \"{}\"\n", registry.url()),
            false => format!("{line}\n"),
        };
        text.lines().map(place).collect::<String>().into_bytes()
    });
    project.windlass(["plugin", "install", "--locked"]).ok();
    project.windlass(["plugin", "verify"]).ok();
    project.run(GREET).ok();
}

/// Machine code that was changed is never run. It is made again from the component, which needs no network.
#[test]
fn compiled_code_that_was_changed_is_not_used() {
    let project = Project::new();
    let component = component(&project, "examples:greet-c");
    let digest = component.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut entries = fs::read_dir(project.home().join("cache/compiled")).unwrap().map(|entry| entry.unwrap().path());
    let is_code = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(&digest) && name.ends_with(".cwasm")
    };
    let compiled = entries.find(is_code).expect("its machine code");
    project.tamper(&compiled, |mut bytes| {
        let middle = bytes.len() / 2;
        bytes[middle..middle + 64].fill(0xcc);
        bytes
    });
    refused(
        &project.run(GREET),
        6,
        &["its compiled form was changed", "windlass plugin install examples:greet-c@0.1.0"],
    );
    assert!(project.runs().is_empty(), "no run was begun");
    project.windlass(["plugin", "install", "examples:greet-c@0.1.0"]).ok();
    project.run(GREET).ok();
}

#[test]
fn a_lock_file_that_was_changed_is_noticed() {
    let check = |mark: &str, written: &str, command: &[&str], words: &[&str]| {
        let project = Project::new();
        project.pipeline(GREET);
        project.tamper(&project.folder().join("windlass.lock"), |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            let plugin = text.find("name = \"examples:greet-c\"").unwrap();
            let at = plugin + text[plugin..].find(mark).unwrap() + mark.len();
            format!("{}{written}{}", &text[..at], &text[at + written.len()..]).into_bytes()
        });
        refused(&project.windlass(command), 6, words);
        assert!(project.runs().is_empty(), "no run was begun");
    };
    let run = &["run", "windlass.yaml"];
    check("digest = \"", "md5000:", run, &["windlass.lock is not valid (line 7, column 10)"]);
    check("version = \"", "0.one", run, &["windlass.lock is not valid (line 6"]);
    check("[plugin.permissions.", "containment", run, &["windlass.lock is not valid"]);
    check("digest = \"sha256:", &"0".repeat(64), run, &["examples:greet-c@0.1.0", "not on this machine"]);
    // The digest decides what runs; that somebody signed for it is looked at when it is installed, and here.
    check("signature = \"", "0123456789", &["plugin", "verify"], &["examples:greet-c@0.1.0 BAD SIGNATURE"]);
}

/// What is locked and here runs without any network: the registry of the lock has long ended.
#[test]
fn a_locked_run_asks_no_registry() {
    let mut project = Project::new();
    project.set_env("WINDLASS_REGISTRY", "http://127.0.0.1:1");
    let pipeline = project.pipeline(&format!("{GREET}plugins: {{ \"examples:greet-c\": \"^0.1\" }}\n"));
    project.windlass(["run".as_ref(), pipeline.as_os_str(), "--locked".as_ref()]).ok();
    project.windlass(["plugin", "install", "--locked"]).ok();

    // What is not in the lock is not fetched behind one's back.
    let pipeline = project.pipeline(&format!("{GREET}plugins: {{ \"examples:greet-c\": \"^9\" }}\n"));
    let output = project.windlass(["run".as_ref(), pipeline.as_os_str(), "--locked".as_ref()]);
    refused(&output, 6, &["examples:greet-c", "^9"]);
}
