//! The registry is an ordinary one: tools that know nothing of Windlass pull what it serves, and push what it takes.
//!
//! What each of them does is done for real, by the released program (`scripts/setup-stock-tools.sh`): wkg by name, through the
//! well-known document; oras by tag, with the login that `docker` has; cosign with a key of its own and without any network.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use windlass_tests::{DockerRegistry, Project, Registry, Stock, get, root};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn component() -> Vec<u8> {
    fs::read(root().join("plugins/target/wasm32-wasip2/release/windlass_shell.wasm")).unwrap()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn host(registry: &Registry) -> &str {
    registry.url().trim_start_matches("http://")
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

    assert_eq!(get(&url("tags/list"), &[]).json()["tags"], json!(["0.1.0"]));
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

    for (path, status) in [("manifests/9.9.9", 404), ("manifests/sha256:00", 400), ("blobs/../../../etc/passwd", 400)] {
        assert_eq!(get(&url(path), accept).status, status, "{path}");
    }
}

/// `wkg get` finds a plugin by its name alone, and what it gets is a component of our world.
#[test]
fn wkg_gets_a_plugin_by_name() {
    let (registry, stock) = (Registry::filled(), Stock::new());
    let config = stock.wkg_config(host(&registry), &["windlass"], None);
    let mut args = vec!["get", "windlass:shell@0.1.0", "-o", "./shell.wasm"];
    args.extend(config.iter().map(String::as_str));
    stock.run("wkg", &args).ok();
    let got = fs::read(stock.path("shell.wasm")).unwrap();
    assert_eq!(digest(&got), digest(&component()));

    // Without a version: the newest.
    args[1] = "windlass:shell";
    args[3] = "./newest.wasm";
    stock.run("wkg", &args).ok();
    assert_eq!(fs::read(stock.path("newest.wasm")).unwrap(), got);
    args[1] = "windlass:no-such-plugin";
    let told = stock.run("wkg", &args).expect(1).stderr;
    assert!(told.contains("not found"), "{told}");

    let decoded = wit_component::decode(&got).unwrap();
    let mut world = wit_component::WitPrinter::default();
    world.print(decoded.resolve(), decoded.package(), &[]).unwrap();
    let wit = world.output.to_string();
    for part in ["export windlass:plugin/step@0.1.0;", "import windlass:plugin/containers@0.1.0;"] {
        assert!(wit.contains(part), "no {part:?} in:\n{wit}");
    }
    assert!(!wit.contains("secrets-reveal") && !wit.contains("wasi:http"), "{wit}");
}

/// The well-known document is what wkg goes by: it says where the packages are.
#[test]
fn wkg_reads_the_well_known_document() {
    let (registry, stock) = (Registry::filled(), Stock::new());
    let before = requests(&registry, "/.well-known/wasm-pkg/registry.json");
    let config = stock.wkg_config(host(&registry), &["windlass"], None);
    let args = ["get", "windlass:artifact@0.1.0", "-o", "./artifact.wasm"].map(str::to_owned);
    stock.run("wkg", args.into_iter().chain(config)).ok();
    assert_eq!(requests(&registry, "/.well-known/wasm-pkg/registry.json") - before, 1);
}

/// How many requests of a route the registry has counted.
fn requests(registry: &Registry, route: &str) -> u64 {
    let text = String::from_utf8(get(&format!("{}/metrics", registry.url()), &[]).body).unwrap();
    let lines = text.lines().filter(|line| line.contains(&format!("\"{route}\"")) && line.contains("requests_total"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// The contract itself as a WIT package: `wkg publish` puts it there, and an author's `wkg fetch` gets it as a dependency.
#[test]
fn wkg_publishes_and_fetches_the_contract() {
    let (registry, author) = (Registry::start(), Stock::new());
    let token = registry.token("windlass");
    let config = author.wkg_config(host(&registry), &["windlass"], Some(("token", &token)));
    for entry in fs::read_dir(root().join("wit")).unwrap() {
        let path = entry.unwrap().path();
        author.file(&format!("wit/{}", path.file_name().unwrap().display()), fs::read(&path).unwrap());
    }
    let with = |args: &[&str], config: &[String]| -> Vec<String> {
        args.iter().map(|arg| (*arg).to_owned()).chain(config.iter().cloned()).collect()
    };
    author.run("wkg", with(&["build", "-o", "contract.wasm"], &config)).ok();
    author.run("wkg", with(&["publish", "contract.wasm"], &config)).ok();
    // A version never changes, and the tool knows it before it tries.
    let again = author.run("wkg", with(&["publish", "contract.wasm"], &config));
    assert!(again.code != 0 && again.stderr.contains("already exists"), "{again:?}");

    let user = Stock::new();
    let config = user.wkg_config(host(&registry), &["windlass"], None);
    user.run("wkg", with(&["get", "windlass:plugin@0.1.0", "--format", "wasm", "-o", "./contract.wasm"], &config)).ok();
    let published = fs::read(author.path("contract.wasm")).unwrap();
    assert_eq!(digest(&fs::read(user.path("contract.wasm")).unwrap()), digest(&published));
    user.file("wit/world.wit", "package acme:mine@0.1.0;\nworld mine { include windlass:plugin/step-plugin@0.1.0; }\n");
    user.run("wkg", with(&["fetch"], &config)).ok();
    let fetched: Vec<_> =
        fs::read_dir(user.path("wit/deps")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(fetched, ["windlass-plugin-0.1.0"], "the dependency");

    // Without a token nothing is published; with one of another namespace neither.
    for credentials in [None, Some(("token", "wlr_0000000000000000000000000000000000000000"))] {
        let stranger = Stock::new();
        stranger.file("contract.wasm", &published);
        let config = stranger.wkg_config(host(&registry), &["windlass"], credentials);
        let refused =
            stranger.run("wkg", with(&["publish", "contract.wasm", "--package", "windlass:another@0.1.0"], &config));
        assert_eq!(refused.code, 1, "{refused:?}");
    }
    assert_eq!(get(&format!("{}/v2/windlass/another/tags/list", registry.url()), &[]).status, 404);
}

/// A component that wkg pushes is an OCI package, but no plugin: no line of the index, until the gate has passed it.
#[test]
fn wkg_pushes_a_component_that_is_no_plugin_yet() {
    let (registry, stock) = (Registry::start(), Stock::new());
    let (host, token) = (host(&registry), registry.token("acme"));
    stock.file("shell.wasm", component());
    let place = format!("{host}/acme/shell:0.1.0");
    let login = ["--insecure", host, "-u", "token", "-p", &token];
    stock.run("wkg", ["oci", "push"].iter().chain(&login).chain(&[place.as_str(), "shell.wasm"])).ok();
    stock.run("wkg", ["oci", "pull", "--insecure", host, &place, "-o", "back.wasm"]).ok();
    assert_eq!(digest(&fs::read(stock.path("back.wasm")).unwrap()), digest(&component()));

    assert_eq!(get(&format!("{}/v2/acme/shell/tags/list", registry.url()), &[]).json()["tags"], json!(["0.1.0"]));
    assert_eq!(get(&format!("{}/index/acme/shell", registry.url()), &[]).status, 404);

    // The version has these bytes now, for every tool.
    let mut other = component();
    other.extend([0, 2, 1, b'x']); // a custom section: another component with the same meaning
    stock.file("shell.wasm", other);
    let refused = stock.run("wkg", ["oci", "push"].iter().chain(&login).chain(&[place.as_str(), "shell.wasm"]));
    assert!(refused.code != 0 && refused.stderr.contains("409"), "{refused:?}");
}

/// Push, pull, attach, discover, tag and delete, with the login that `docker` has.
#[test]
fn oras_pushes_pulls_attaches_and_discovers() {
    let (registry, stock) = (Registry::start(), Stock::new());
    let (host, token) = (host(&registry), registry.token_for("acme", &["publish", "delete"]));
    let place = format!("{host}/acme/greeting:stable");
    stock.file("hello.txt", "hello\n");
    stock.file("sbom.json", r#"{"bomFormat": "CycloneDX"}"#);
    let push =
        ["push", "--plain-http", "--artifact-type", "application/vnd.acme.greeting", &place, "hello.txt:text/plain"];

    // What oras 1.2 prints of it differs: two of its threads are refused at once, and at times it stumbles over that.
    assert_ne!(stock.run("oras", push).code, 0, "without a login");
    let refused = stock.login(host, "token", "wlr_of-nobody").expect(1).stderr;
    assert!(refused.contains("401") || refused.contains("unauthorized"), "{refused}");

    stock.login(host, "token", &token).ok();
    stock.run("oras", push).ok();
    let described = stock.run("oras", ["manifest", "fetch", "--plain-http", "--descriptor", &place]).ok().json();
    let subject = described["digest"].as_str().unwrap().to_owned();
    let attach = [
        "attach",
        "--plain-http",
        "--artifact-type",
        "application/vnd.cyclonedx+json",
        &place,
        "sbom.json:application/json",
    ];
    stock.run("oras", attach).ok();

    // Everybody may read.
    let reader = Stock::new();
    reader.run("oras", ["pull", "--plain-http", "-o", "out", &place]).ok();
    assert_eq!(fs::read_to_string(reader.path("out/hello.txt")).unwrap(), "hello\n");
    let discovered = reader.run("oras", ["discover", "--plain-http", "--format", "json", &place]).ok().json();
    let kinds: Vec<&Value> =
        discovered["manifests"].as_array().unwrap().iter().map(|each| &each["artifactType"]).collect();
    assert_eq!(kinds, ["application/vnd.cyclonedx+json"]);
    let sbom = discovered["manifests"][0]["reference"].as_str().unwrap();
    reader.run("oras", ["pull", "--plain-http", "-o", "out", sbom]).ok();
    assert_eq!(fs::read_to_string(reader.path("out/sbom.json")).unwrap(), r#"{"bomFormat": "CycloneDX"}"#);

    // A copy with what refers to it; another tag; away with it again.
    let copy = format!("{host}/acme/welcome:stable");
    stock.run("oras", ["cp", "-r", "--from-plain-http", "--to-plain-http", &place, &copy]).ok();
    let discovered = reader.run("oras", ["discover", "--plain-http", "--format", "json", &copy]).ok().json();
    assert_eq!(discovered["manifests"].as_array().map(Vec::len), Some(1));
    stock.run("oras", ["tag", "--plain-http", &copy, "latest"]).ok();
    let tags = reader.run("oras", ["repo", "tags", "--plain-http", &format!("{host}/acme/welcome")]).ok();
    assert_eq!(tags.stdout, "latest\nstable\n");
    stock
        .run("oras", ["manifest", "delete", "--plain-http", "--force", &format!("{host}/acme/welcome@{subject}")])
        .ok();
    reader.run("oras", ["pull", "--plain-http", "-o", "gone", &copy]).expect(1);
    reader.run("oras", ["pull", "--plain-http", "-o", "still", &place]).ok();
}

/// cosign signs a plugin's manifest with a key, in each way that it has to store a signature, and verifies it, offline.
#[test]
fn cosign_signs_and_verifies_with_a_key() {
    let (registry, stock) = (Registry::filled(), Stock::new());
    let (host, token) = (host(&registry), registry.token("windlass"));
    let found = get(&format!("{}/v2/windlass/shell/manifests/0.1.0", registry.url()), &[("accept", MANIFEST)]);
    let subject = found.header("docker-content-digest").unwrap();
    let place = format!("{host}/windlass/shell@{subject}");
    stock.login(host, "token", &token).ok();
    stock.run("cosign", ["generate-key-pair"]).ok();
    stock.run("cosign", ["generate-key-pair", "--output-key-prefix", "other"]).ok();
    let offline = ["--tlog-upload=false", "--allow-http-registry=true", "--yes"];
    let sign = |more: &[&str]| {
        let args = [&["sign", "--key", "cosign.key"], offline.as_slice(), more, &[place.as_str()]].concat();
        stock.run("cosign", args).ok();
    };
    let verify = |key: &str| {
        let args = ["verify", "--key", key, "--insecure-ignore-tlog=true", "--allow-http-registry=true", &place];
        stock.run("cosign", args)
    };
    let unsigned = verify("cosign.pub").expect(10).stderr;
    assert!(unsigned.contains("no signatures found"), "{unsigned}");

    // As a tag that is named after the digest.
    sign(&[]);
    let verified = verify("cosign.pub").ok().json();
    assert_eq!(verified[0]["critical"]["image"]["docker-manifest-digest"], *subject);
    let wrong = verify("other.pub");
    assert!(wrong.code != 0, "{wrong:?}");
    let tag = format!("{}.sig", subject.replace(':', "-"));
    let tags = get(&format!("{}/v2/windlass/shell/tags/list", registry.url()), &[]).json();
    assert_eq!(tags["tags"], json!(["0.1.0", tag]));

    // As a referrer, and as one that holds a Sigstore bundle: what our client verifies offline.
    let statement = stock.file("statement.json", r#"{"checked": true}"#);
    let attest = ["attest", "--new-bundle-format", "--type", "custom", "--predicate", statement.to_str().unwrap()];
    stock.run("cosign", [&attest, ["--key", "cosign.key"].as_slice(), &offline, &[place.as_str()]].concat()).ok();
    let referrers = get(&format!("{}/v2/windlass/shell/referrers/{subject}", registry.url()), &[]).json();
    let kinds = referrers["manifests"].as_array().unwrap().iter().map(|each| each["artifactType"].as_str().unwrap());
    assert_eq!(kinds.filter(|kind| kind.starts_with("application/vnd.dev.sigstore.bundle.v0.3")).count(), 1);

    // A signature is no version: the plugin is what it was.
    let index = String::from_utf8(get(&format!("{}/index/windlass/shell", registry.url()), &[]).body).unwrap();
    assert_eq!(index.lines().count(), 1);
}

/// A mirror made with nothing of ours: `oras` copies a plugin with all that refers to it to Debian's registry, and from there it is
/// installed, verified and run, although that registry knows neither an index nor referrers.
#[test]
fn oras_copies_a_plugin_to_another_registry_and_it_is_installed_from_there() {
    let (ours, theirs, stock) = (Registry::filled(), DockerRegistry::start(), Stock::new());
    stock.file("home/config.json", theirs.docker_config());
    let place = format!("{}/mirror/windlass/shell:0.1.0", theirs.host());
    let from = format!("{}/windlass/shell:0.1.0", host(&ours));
    stock.run("oras", ["cp", "-r", "--from-plain-http", "--to-plain-http", &from, &place]).ok();
    drop(ours);

    let mut project = Project::empty();
    let origin = format!("{{ oci = \"http://{}\", prefix = \"mirror\" }}", theirs.host());
    fs::create_dir_all(project.home()).unwrap();
    fs::write(project.home().join("config.toml"), format!("[registries.namespaces]\nwindlass = {origin}\n")).unwrap();
    project.set_env("DOCKER_CONFIG", stock.path("home").to_str().unwrap());
    project.windlass(["plugin", "install", "windlass:shell", "--grant"]).ok();
    project.windlass(["plugin", "verify"]).ok();
    let run = project.run("name: hello\nsteps:\n  - name: hello\n    type: step.shell_exec\n    config: { image: IMAGE, commands: ['echo from the mirror'] }\n");
    assert!(run.ok().stdout.contains("from the mirror"));
    project.nothing_left();
}
