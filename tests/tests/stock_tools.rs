//! The registry is an ordinary one: what it serves, tools that know nothing of Windlass can pull.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use sha2::{Digest as _, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use windlass_tests::{Registry, get, root};

/// A folder with `wkg` and `wasm-tools`, for where they are not on `PATH`.
const TOOLS: &str = "WINDLASS_STOCK_TOOLS";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn component() -> Vec<u8> {
    fs::read(root().join("plugins/target/wasm32-wasip2/release/windlass_shell.wasm")).unwrap()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// The OCI distribution specification, call by call: by tag, by digest, the tags, the referrers, a part of a blob.
#[test]
fn plain_distribution_calls_pull_a_bundled_plugin() {
    let registry = Registry::filled();
    let url = |path: &str| format!("{}/v2/windlass/shell/{path}", registry.url());
    let accept = &[("accept", MANIFEST)];

    let by_tag = get(&url("manifests/0.1.0"), accept);
    assert_eq!((by_tag.status, by_tag.header("content-type")), (200, Some(MANIFEST)));
    let manifest_digest = by_tag.header("docker-content-digest").unwrap().to_owned();
    assert_eq!(manifest_digest, digest(&by_tag.body));
    let by_digest = get(&url(&format!("manifests/{manifest_digest}")), accept);
    assert_eq!((by_digest.status, &by_digest.body), (200, &by_tag.body));

    let manifest = by_tag.json();
    let layers = manifest["layers"].as_array().unwrap();
    let wasm = layers.iter().find(|layer| layer["mediaType"] == "application/wasm").expect("a layer of wasm");
    let blob = url(&format!("blobs/{}", wasm["digest"].as_str().unwrap()));
    let whole = get(&blob, &[]);
    assert_eq!((whole.status, digest(&whole.body)), (200, digest(&component())));
    let part = get(&blob, &[("range", "bytes=4-7")]);
    assert_eq!((part.status, part.body.as_slice()), (206, &component()[4..8]));

    assert_eq!(get(&url("tags/list"), &[]).json()["tags"], serde_json::json!(["0.1.0"]));
    let referrers = get(&url(&format!("referrers/{manifest_digest}")), &[]).json();
    let kinds = referrers["manifests"].as_array().unwrap().iter().map(|each| each["artifactType"].as_str().unwrap());
    let mut kinds: Vec<&str> = kinds.collect();
    kinds.sort_unstable();
    insta::assert_debug_snapshot!(kinds, @r#"
    [
        "application/vnd.windlass.plugin.v1+yaml",
        "application/vnd.windlass.readme.v1+markdown",
        "application/vnd.windlass.signature.v1+json",
    ]
    "#);

    for (path, status) in [("manifests/9.9.9", 404), ("manifests/sha256:00", 400), ("blobs/../../../etc/passwd", 404)] {
        assert_eq!(get(&url(path), accept).status, status, "{path}");
    }
}

fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::var_os(TOOLS).map(PathBuf::from).into_iter().chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn run(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program:?} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `wkg` finds the plugin by its name, through the well-known document, and `wasm-tools` shows its world.
///
/// The one test that may leave something out: no Debian package has these tools, so `make test` cannot install them. It says
/// so when it does. `cargo install --locked wkg wasm-tools` brings them.
#[test]
fn wkg_gets_a_plugin_by_name() {
    let Some(wkg) = tool("wkg") else {
        println!("LEFT OUT: wkg is neither on PATH nor in the folder that {TOOLS} names");
        return;
    };
    let registry = Registry::filled();
    let folder = tempfile::tempdir().unwrap();
    let host = registry.url().trim_start_matches("http://");
    let config = folder.path().join("config.toml");
    fs::write(
        &config,
        format!("[namespace_registries]\nwindlass = \"{host}\"\n[registry.\"{host}\".oci]\nprotocol = \"http\"\n"),
    )
    .unwrap();
    let target = folder.path().join("shell.wasm");
    let (config, place) = (config.to_str().unwrap(), target.to_str().unwrap());
    // Its own cache knows a release by name and version: what another registry on this machine had under them is another thing.
    let cache = folder.path().join("cache");
    let cache = cache.to_str().unwrap();
    let began = std::time::Instant::now();
    run(&wkg, &["get", "--config", config, "--cache", cache, "windlass:shell@0.1.0", "-o", place]);
    println!("{}: windlass:shell@0.1.0 in {:?}", run(&wkg, &["--version"]).trim(), began.elapsed());
    let got = fs::read(&target).unwrap();
    assert_eq!(digest(&got), digest(&component()));

    let Some(wasm_tools) = tool("wasm-tools") else {
        println!("LEFT OUT: wasm-tools is neither on PATH nor in the folder that {TOOLS} names");
        return;
    };
    let wit = run(&wasm_tools, &["component", "wit", place]);
    println!("{}: {} bytes, {} lines of WIT", run(&wasm_tools, &["--version"]).trim(), got.len(), wit.lines().count());
    for part in ["export windlass:plugin/step@0.1.0;", "import windlass:plugin/containers@0.1.0;"] {
        assert!(wit.contains(part), "no {part:?} in:\n{wit}");
    }
    assert!(!wit.contains("secrets-reveal") && !wit.contains("wasi:http"), "{wit}");
}
