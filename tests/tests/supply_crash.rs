//! `kill -9` in the supply chain: the registry and its client die at each durable step of a publication and of an install, one
//! after the other, and start again. There are no half entries, nothing is served that was not committed, and the same command
//! given once more does what it says.
//!
//! A durable step is a rename (a file or a blob gets its name) or a commit of the registry's database; a failpoint stands before
//! and after each. The client dies after each answer of the registry, too. The steps are counted, not listed: a step that is added later is in the test by itself.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use windlass_tests::{Output, Project, Registry, get, root};

/// 128 + SIGABRT.
const DIED: i32 = 134;
/// No command has as many steps of one kind.
const STEPS: usize = 60;
/// The test shows less than it says if fewer processes died.
const SERVER_CRASHES: usize = 20;
const CLIENT_CRASHES: usize = 10;

const SERVER: [&str; 4] = [
    "registry::before-blob-rename",
    "registry::after-blob-rename",
    "registry::before-commit",
    "registry::after-commit",
];
const CLIENT: [&str; 3] = ["package::before-rename", "package::after-rename", "package::after-answer"];

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Writes a plugin's folder: the bundled shell plugin under another name. Its README makes each version's content its own.
fn author(project: &Project, version: &str) {
    let from = root().join("plugins/shell");
    let manifest = fs::read_to_string(from.join("plugin.yaml")).unwrap();
    let component = root().join("plugins/target/wasm32-wasip2/release/windlass_shell.wasm");
    let lines = manifest.lines().map(|line| match line.split(':').next().unwrap() {
        "name" => "name: acme:crashed".to_owned(),
        "version" => format!("version: {version}"),
        "component" => "component: plugin.wasm".to_owned(),
        "readme" => "readme: README.md".to_owned(),
        _ => line.to_owned(),
    });
    project.file("plugin/plugin.yaml", &lines.collect::<Vec<_>>().join("\n"));
    project.file("plugin/README.md", &format!("# Crashed {version}\n"));
    fs::copy(component, project.folder().join("plugin/plugin.wasm")).unwrap();
}

fn publish(project: &mut Project, registry: &Registry, token: &str, failpoints: &str) -> Output {
    project.set_env("WINDLASS_REGISTRY", registry.url());
    project.set_env("WINDLASS_REGISTRY_TOKEN", token);
    project.set_env("FAILPOINTS", failpoints);
    let output = project.windlass(["plugin", "publish", "plugin"]);
    project.set_env("FAILPOINTS", "");
    output
}

/// What the registry says there is agrees in every place where it says it, and the bytes of all of it are there. Gives the versions.
#[track_caller]
fn sound(registry: &Registry, context: &str) -> BTreeSet<String> {
    let fetch = |path: &str| get(&format!("{}{path}", registry.url()), &[]);
    let index = fetch("/index/acme/crashed");
    assert!(matches!(index.status, 200 | 404), "{context}: the index answers {}", index.status);
    let lines = String::from_utf8(if index.status == 200 { index.body.clone() } else { Vec::new() }).unwrap();
    let mut versions = BTreeSet::new();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{context}: {error}: {line}"));
        let version = line["version"].as_str().unwrap().to_owned();
        let manifest = fetch(&format!("/v2/acme/crashed/manifests/{version}"));
        assert_eq!(
            (manifest.status, digest(&manifest.body)),
            (200, line["manifest"].as_str().unwrap().to_owned()),
            "{context}"
        );
        let referrers = fetch(&format!("/v2/acme/crashed/referrers/{}", line["manifest"].as_str().unwrap())).json();
        let referrers = referrers["manifests"].as_array().unwrap();
        let mut manifests = vec![manifest.json()];
        for referrer in referrers {
            let found = fetch(&format!("/v2/acme/crashed/manifests/{}", referrer["digest"].as_str().unwrap()));
            assert_eq!(
                (found.status, digest(&found.body).as_str()),
                (200, referrer["digest"].as_str().unwrap()),
                "{context}"
            );
            manifests.push(found.json());
        }
        for content in
            manifests.iter().flat_map(|each| std::iter::once(&each["config"]).chain(each["layers"].as_array().unwrap()))
        {
            let blob = fetch(&format!("/v2/acme/crashed/blobs/{}", content["digest"].as_str().unwrap()));
            assert_eq!(
                (blob.status, digest(&blob.body).as_str()),
                (200, content["digest"].as_str().unwrap()),
                "{context}"
            );
        }
        versions.insert(version);
    }

    let tags = fetch("/v2/acme/crashed/tags/list").json();
    let tags = tags["tags"].as_array().cloned().unwrap_or_default();
    let tags: BTreeSet<String> = tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
    assert_eq!(tags, versions, "{context}: tags and index");

    let found = fetch("/api/v1/search?q=crashed");
    let found = String::from_utf8(found.body).unwrap();
    assert_eq!(found.contains("acme:crashed"), !versions.is_empty(), "{context}: search and index: {found}");

    snapshot_agrees(registry, (!versions.is_empty()).then_some(index.body.as_slice()), context);
    versions
}

/// The signed snapshot names this very document, or none.
#[track_caller]
fn snapshot_agrees(registry: &Registry, document: Option<&[u8]>, context: &str) {
    let snapshot = get(&format!("{}/snapshot.json", registry.url()), &[]);
    assert_eq!(snapshot.status, 200, "{context}: the snapshot");
    let mut named = None;
    for bin in digests_in(&String::from_utf8(snapshot.body).unwrap()) {
        let found = get(&format!("{}/snapshot/bins/{bin}", registry.url()), &[]);
        if found.status != 200 {
            continue; // a digest of something else than a bin
        }
        assert_eq!(digest(&found.body), bin, "{context}: a bin");
        let text = String::from_utf8(found.body).unwrap();
        if let Some(at) = text.find("acme:crashed") {
            named = digests_in(&text[at..]).into_iter().next();
        }
    }
    assert_eq!(named, document.map(digest), "{context}: snapshot and index");
}

fn digests_in(text: &str) -> Vec<String> {
    let hex = |part: &str| part.chars().take_while(char::is_ascii_hexdigit).collect::<String>();
    text.split("sha256:").skip(1).map(hex).filter(|hex| hex.len() == 64).map(|hex| format!("sha256:{hex}")).collect()
}

#[test]
fn the_registry_is_killed_at_each_step_of_a_publication() {
    let mut project = Project::empty();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let token = Registry::serve(&data).token("acme");
    let (mut crashes, mut expect, mut number) = (0, BTreeSet::new(), 0);
    for point in SERVER {
        for step in 0..STEPS {
            let version = format!("0.1.{number}");
            number += 1;
            author(&project, &version);
            let mut registry = Registry::serve_until(&data, &format!("{point}={step}*off->return"));
            let context = format!("{version}, {point}, step {step}");
            let output = publish(&mut project, &registry, &token, "");
            let ended = (output.code != 0).then(|| registry.end());
            drop(registry);

            let registry = Registry::serve(&data);
            let versions = sound(&registry, &context);
            let Some(code) = ended else {
                output.ok();
                expect.insert(version);
                assert_eq!(versions, expect, "{context}");
                assert!(step > 0, "{point} is never passed: was registry-server built with its failpoints?");
                break;
            };
            assert_eq!(code, DIED, "{context}");
            assert!(step < STEPS - 1, "{point} has more than {STEPS} steps");
            crashes += 1;
            // It is there as a whole, or not at all.
            let whole: BTreeSet<String> = expect.iter().cloned().chain([version.clone()]).collect();
            assert!(versions == expect || versions == whole, "{context}: {versions:?}, not {expect:?}");
            publish(&mut project, &registry, &token, "").ok();
            expect = whole;
            assert_eq!(sound(&registry, &context), expect, "{context}, published again");
        }
    }
    println!("{crashes} crashes of the registry in {number} publications: no half entry, nothing lost");
    assert!(crashes >= SERVER_CRASHES, "only {crashes} crashes");
    nothing_unfinished(&data);
}

/// No temporary file is left that nobody clears away: what crashes left behind is in the folder of uploads, which ages.
#[track_caller]
fn nothing_unfinished(data: &Path) {
    let found = files_below(&data.join("blobs"));
    let strange: Vec<_> = found.iter().filter(|path| path.file_name().is_some_and(|name| name.len() != 64)).collect();
    assert!(strange.is_empty(), "{strange:?}");
    for path in found {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(digest(&fs::read(&path).unwrap()), format!("sha256:{name}"), "a blob is what its name says");
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn the_client_is_killed_at_each_step_of_a_publication() {
    let (mut crashes, mut number) = (0, 0);
    for point in CLIENT {
        // A publisher's key is made once, and the registry knows it from then on.
        let registry = Registry::start();
        let token = registry.token("acme");
        let (mut project, mut expect) = (Project::empty(), BTreeSet::new());
        for step in 0..STEPS {
            let version = format!("0.1.{number}");
            number += 1;
            author(&project, &version);
            let output = publish(&mut project, &registry, &token, &format!("{point}={step}*off->return"));
            let context = format!("{version}, {point}, step {step}");
            let versions = sound(&registry, &context);
            if output.code != DIED {
                output.ok();
                expect.insert(version);
                assert_eq!(versions, expect, "{context}");
                break;
            }
            crashes += 1;
            publish(&mut project, &registry, &token, "").ok();
            expect.insert(version);
            assert_eq!(sound(&registry, &context), expect, "{context}, published again");
        }
    }
    println!("{crashes} crashes of the client in {number} publications: the registry never saw half of one");
    assert!(
        crashes >= CLIENT.len(),
        "only {crashes} crashes: was windlass built with --features windlass-cli/failpoints?"
    );
}

#[test]
fn the_client_is_killed_at_each_step_of_an_install() {
    let registry = Registry::start();
    let token = registry.token("acme");
    let mut publisher = Project::empty();
    author(&publisher, "0.1.0");
    publish(&mut publisher, &registry, &token, "").ok();

    let mut crashes = 0;
    for point in CLIENT {
        for step in 0..STEPS {
            let context = format!("{point}, step {step}");
            // Somebody who has nothing: every step is taken.
            let mut user = Project::empty();
            user.set_env("WINDLASS_REGISTRY", registry.url());
            user.set_env("FAILPOINTS", &format!("{point}={step}*off->return"));
            let output = user.windlass(["plugin", "install", "--grant", "acme:crashed"]);
            user.set_env("FAILPOINTS", "");
            let died = output.code == DIED;
            if died {
                crashes += 1;
                installed_or_not(&user, &context);
                user.windlass(["plugin", "install", "--grant", "acme:crashed"]).ok();
            } else {
                output.ok();
            }
            assert!(installed_or_not(&user, &context), "{context}: installed");
            user.windlass(["plugin", "verify"]).ok();
            user.windlass(["plugin", "install", "--locked"]).ok();
            if !died {
                break;
            }
        }
    }
    println!("{crashes} crashes of the client in installs: nothing half installed, and the next install was whole");
    assert!(
        crashes >= CLIENT_CRASHES,
        "only {crashes} crashes: was windlass built with --features windlass-cli/failpoints?"
    );
}

/// The list can be read at any time, and what is locked is granted: a crash leaves permissions for what is not locked, never the
/// reverse. Gives whether it is locked.
#[track_caller]
fn installed_or_not(user: &Project, context: &str) -> bool {
    user.windlass(["plugin", "list", "--json"]).ok();
    let locked = fs::read_to_string(user.folder().join("windlass.lock")).unwrap_or_default().contains("crashed");
    let granted =
        fs::read_to_string(user.folder().join("windlass.grants.yaml")).unwrap_or_default().contains("crashed");
    assert!(granted || !locked, "{context}: locked without permissions");
    locked
}
