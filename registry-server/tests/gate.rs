//! The publish gate: each refusal with its code and reason.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

mod common;

use common::{Author, DESCRIPTOR, ELSEWHERE, GROUP, STATE, World, component, runtime};
use serde_json::{Value, json};
use windlass_contract::Digest;
use windlass_package::{
    PackageError, manifest::Manifest, oci, publish::Prepared, release::PublishRequest, signature::Signature,
};

const NONE: &str = "{}";

/// Packs what a hostile or mistaken client might, without the checks of ours.
fn forge(name: &str, version: &str, permissions: &str, wasm: Vec<u8>, home: &windlass_package::Home) -> Forged {
    let author = Author::new("acme:echo", "0.1.0", permissions, wasm.clone());
    let yaml = std::fs::read_to_string(author.folder.path().join("plugin.yaml"))
        .unwrap()
        .replace("acme:echo", name)
        .replace("0.1.0", version)
        .replace("readme: README.md\n", "");
    let key = home.make_signing_key("acme").unwrap();
    let manifest = Manifest::parse(&yaml).ok();
    let digest = Digest::of(&wasm);
    let sound = Author::new("acme:echo", "0.1.0", "{}", wasm.clone()).manifest();
    let signature = manifest.as_ref().unwrap_or(&sound).statement(&digest).sign(&key);
    let any = component(DESCRIPTOR, "", "any");
    let facts = windlass_runtime::inspect(&any).unwrap();
    let mut for_packing = author.manifest();
    for_packing.permissions = manifest.map(|manifest| manifest.permissions).unwrap_or_default();
    let package = oci::package(&for_packing, &yaml, &facts, wasm, None, &[], &signature);
    let request = PublishRequest {
        name: name.to_owned(),
        version: version.to_owned(),
        manifest: Digest::of(&package.manifest),
        plugin: Digest::of(yaml.as_bytes()),
        readme: None,
        examples: Vec::new(),
        signature: Some(signature),
    };
    Forged { package, request }
}

struct Forged {
    package: oci::Package,
    request: PublishRequest,
}

async fn publish(world: &World, forged: &Forged) -> String {
    let home = world.publisher();
    let url = world.address.parse().unwrap();
    let registry = windlass_package::client::Registry::new(&home, url, world.secret()).unwrap();
    let repository = forged.request.name.parse().unwrap_or_else(|_| "acme:echo".parse().unwrap());
    match registry.publish(&repository, &forged.package, &forged.request).await {
        Ok(release) => format!("PUBLISHED {}@{}", release.name, release.version),
        Err(PackageError::Refused { reasons, .. }) => clean(&reasons.join("; ")),
        Err(error) => clean(&error.to_string().replace(&world.address, "REGISTRY")),
    }
}

/// Keys and digests differ from run to run.
fn clean(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive([' ', ',', ';']) {
        match word.split_once("ed25519:").or_else(|| word.split_once("sha256:")) {
            Some((before, after)) => {
                out.push_str(before);
                out.push('…');
                out.push_str(after.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
            }
            None => out.push_str(word),
        }
    }
    out
}

#[tokio::test]
async fn each_refusal() {
    let world = World::new().await;
    let home = world.publisher();
    let forge =
        |name: &str, version: &str, permissions: &str, wasm: Vec<u8>| forge(name, version, permissions, wasm, &home);
    let sound = || component(DESCRIPTOR, GROUP, "sound");
    let descriptor = |text: &str| component(text, "", "d");
    let mut all = Vec::new();
    let mut case = async |what: &str, forged: Forged| all.push(format!("{what}: {}", publish(&world, &forged).await));

    case("sound", forge("acme:echo", "0.1.0", NONE, sound())).await;
    case("the same again", forge("acme:echo", "0.1.0", NONE, sound())).await;
    case("other bytes", forge("acme:echo", "0.1.0", NONE, component(DESCRIPTOR, GROUP, "other"))).await;
    case("other permissions", forge("acme:echo", "0.1.0", "{state: true}", sound())).await;

    case("traversal in the name", forge("acme:../echo", "0.2.0", NONE, sound())).await;
    case("not a version", forge("acme:echo", "1.0", NONE, sound())).await;
    case("traversal in the version", forge("acme:echo", "../../x", NONE, sound())).await;
    case("build metadata", forge("acme:echo", "1.0.0+x", NONE, sound())).await;
    case("not its namespace", forge("other:echo", "0.1.0", NONE, sound())).await;
    case("too like another", forge("acme:e-cho", "0.1.0", NONE, sound())).await;

    case("not WebAssembly", forge("acme:echo", "0.2.0", NONE, b"not wasm at all".to_vec())).await;
    case("a core module", forge("acme:echo", "0.2.0", NONE, wat::parse_str("(module)").unwrap())).await;
    case("another world", forge("acme:echo", "0.2.0", NONE, wat::parse_str("(component)").unwrap())).await;
    case("an unknown import", forge("acme:echo", "0.2.0", NONE, component(DESCRIPTOR, ELSEWHERE, "e"))).await;
    case("an undeclared import", forge("acme:echo", "0.2.0", NONE, component(DESCRIPTOR, STATE, "s"))).await;

    case("describes nothing", forge("acme:echo", "0.2.0", NONE, descriptor(r#"{"steps":[]}"#))).await;
    case("describes no JSON", forge("acme:echo", "0.2.0", NONE, descriptor("oops"))).await;
    let unknown = DESCRIPTOR.replace("\"effect\"", "\"efect\":1,\"effect\"");
    case("an unknown key", forge("acme:echo", "0.2.0", NONE, descriptor(&unknown))).await;
    let name = DESCRIPTOR.replace("step.echo", "step.../../x");
    case("a bad step type", forge("acme:echo", "0.2.0", NONE, descriptor(&name))).await;
    let schema = DESCRIPTOR.replace("\"object\"", "\"objekt\"");
    case("a bad schema", forge("acme:echo", "0.2.0", NONE, descriptor(&schema))).await;

    let mut unsigned = forge("acme:echo", "0.2.0", NONE, sound());
    unsigned.request.signature = None;
    case("unsigned", unsigned).await;
    let mut replayed = forge("acme:echo", "0.2.0", NONE, sound());
    replayed.request.signature = forge("acme:echo", "0.1.0", NONE, sound()).request.signature;
    case("a replayed signature", replayed).await;
    let mut stranger = forge("acme:echo", "0.2.0", NONE, sound());
    let key = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
    let manifest = Author::new("acme:echo", "0.2.0", NONE, sound()).manifest();
    stranger.request.signature = Some(manifest.statement(&Digest::of(&sound())).sign(&key));
    case("a stranger's key", stranger).await;
    let mut garbage = forge("acme:echo", "0.2.0", NONE, sound());
    let honest = garbage.request.signature.take().unwrap();
    garbage.request.signature = Some(Signature { signature: "zz".to_owned(), ..honest });
    case("a signature that is none", garbage).await;

    let mut other_yaml = forge("acme:echo", "0.2.0", NONE, sound());
    other_yaml.request.plugin = forge("acme:echo", "0.2.0", "{state: true}", sound()).request.plugin;
    case("another plugin.yaml", other_yaml).await;
    let mut absent = forge("acme:echo", "0.2.0", NONE, sound());
    absent.request.manifest = Digest::of(b"nothing");
    case("a manifest that was not pushed", absent).await;
    let mut version = forge("acme:echo", "0.2.0", NONE, sound());
    version.request.version = "0.3.0".to_owned();
    case("plugin.yaml of another version", version).await;
    insta::assert_snapshot!(all.join("\n"), @r#"
    sound: PUBLISHED acme:echo@0.1.0
    the same again: PUBLISHED acme:echo@0.1.0
    other bytes: WL0908 acme:echo@0.1.0 is published with other content, and a version never changes (raise the version in plugin.yaml)
    other permissions: WL0908 acme:echo@0.1.0 is published with other content, and a version never changes (raise the version in plugin.yaml)
    traversal in the name: WL0902 plugin name "acme:../echo" is not valid: write namespace:name, each part lower-case letters, digits and single hyphens, starting with a letter, at most 64 characters (correct plugin.yaml)
    not a version: WL0903 "1.0" is not a semantic version such as 1.2.3, without build metadata (correct plugin.yaml)
    traversal in the version: WL0903 "../../x" is not a semantic version such as 1.2.3, without build metadata (correct plugin.yaml)
    build metadata: WL0903 "1.0.0+x" is not a semantic version such as 1.2.3, without build metadata (correct plugin.yaml)
    not its namespace: the registry REGISTRY answered 403 to POST /v2/other/echo/blobs/uploads/: this token does not own the namespace other
    too like another: the registry REGISTRY answered 403 to PUT /v2/acme/e-cho/manifests/…: the name acme:e-cho is too like acme:echo, which is there already: choose a name that nobody takes for the other
    not WebAssembly: WL0906 acme:echo@0.2.0: the component cannot be used: it is not WebAssembly: it does not begin as such a file does (look at it with `windlass plugin inspect FILE`)
    a core module: WL0906 acme:echo@0.2.0: the component cannot be used: it is a core module, not a component (look at it with `windlass plugin inspect FILE`)
    another world: WL0906 acme:echo@0.2.0: the component cannot be used: it is a component, but not a plugin: it exports nothing (look at it with `windlass plugin inspect FILE`)
    an unknown import: WL0906 acme:echo@0.2.0: the component cannot be used: it imports `other:place/thing@1.0.0`: a plugin imports interfaces of the contract and of WASI only (look at it with `windlass plugin inspect FILE`)
    an undeclared import: WL0907 acme:echo@0.2.0: the component imports state, and its permissions do not ask for that (ask for it under `permissions` in plugin.yaml, with its scope)
    describes nothing: WL0914 its description cannot be used: a plugin provides 1 to 100 step types, this one 0 (correct what the plugin's `describe` returns; wit/step.wit says what it is)
    describes no JSON: WL0914 its description cannot be used: acme:echo@0.2.0 in `describe` does not keep to the plugin contract: its descriptor is not valid: expected value at line 1 column 1 (correct what the plugin's `describe` returns; wit/step.wit says what it is)
    an unknown key: WL0914 its description cannot be used: acme:echo@0.2.0 in `describe` does not keep to the plugin contract: its descriptor is not valid: unknown field `efect`, expected one of `name`, `summary`, `docs`, `effect`, `config_schema`, `output_schema` at line 1 column 63 (correct what the plugin's `describe` returns; wit/step.wit says what it is)
    a bad step type: WL0914 its description cannot be used: "step.../../x" is not the name of a step type: write step. and then lower-case letters, digits and underscores (correct what the plugin's `describe` returns; wit/step.wit says what it is)
    a bad schema: WL0914 its description cannot be used: the config_schema of step.echo is not a JSON Schema: "objekt" is not valid under any of the schemas listed in the 'anyOf' keyword (correct what the plugin's `describe` returns; wit/step.wit says what it is)
    unsigned: WL0912 acme:echo@0.2.0 is not signed (publish with `windlass plugin publish`, which signs)
    a replayed signature: WL0912 the signature by … is not over acme:echo@0.2.0 with this component and these permissions (publish with `windlass plugin publish`, which signs)
    a stranger's key: WL0913 it is signed by …, and the namespace acme belongs to … (publish from where the namespace's key is kept, keys/ in WINDLASS_HOME)
    a signature that is none: WL0912 the signature by … is not over acme:echo@0.2.0 with this component and these permissions (publish with `windlass plugin publish`, which signs)
    another plugin.yaml: WL0904 the OCI manifest … cannot be a plugin: its annotations dev.windlass.plugin and dev.windlass.readme do not name the plugin.yaml and the README of the request (publish with `windlass plugin publish`)
    a manifest that was not pushed: WL0904 the OCI manifest … cannot be a plugin: it was not pushed to acme/echo (publish with `windlass plugin publish`)
    plugin.yaml of another version: WL0905 plugin.yaml is of acme:echo@0.2.0, and acme:echo@0.3.0 is to be published (correct plugin.yaml)
    "#);
}

/// An OCI manifest of another shape, with all else in order.
#[tokio::test]
async fn packaging() {
    let world = World::new().await;
    let author = Author::new("acme:echo", "0.1.0", "{state: true}", component(DESCRIPTOR, STATE, "p"));
    let mut all = Vec::new();
    let mut case = async |what: &str, change: &dyn Fn(&mut Value)| {
        let Prepared { package: oci::Package { blobs, manifest, .. }, mut request, .. } = world.prepare(&author).await;
        let mut changed: Value = serde_json::from_slice(&manifest).unwrap();
        change(&mut changed);
        let manifest = serde_json::to_vec(&changed).unwrap();
        request.manifest = Digest::of(&manifest);
        let forged = Forged { package: oci::Package { blobs, manifest, referrers: Vec::new() }, request };
        all.push(format!("{what}: {}", publish(&world, &forged).await));
    };
    case("two layers", &|m| {
        let layer = m["layers"][0].clone();
        m["layers"].as_array_mut().unwrap().push(layer);
    })
    .await;
    case("no layer", &|m| m["layers"] = json!([])).await;
    case("another type of layer", &|m| m["layers"][0]["mediaType"] = json!("text/plain")).await;
    case("another type of config", &|m| m["config"]["mediaType"] = json!("text/plain")).await;
    case("plugin.yaml not bound", &|m| m["annotations"] = json!({})).await;
    insta::assert_snapshot!(all.join("\n"), @"
    two layers: WL0904 the OCI manifest … cannot be a plugin: it has 2 layers, not one (publish with `windlass plugin publish`)
    no layer: WL0904 the OCI manifest … cannot be a plugin: it has 0 layers, not one (publish with `windlass plugin publish`)
    another type of layer: WL0904 the OCI manifest … cannot be a plugin: its layer is text/plain, not application/wasm (publish with `windlass plugin publish`)
    another type of config: WL0904 the OCI manifest … cannot be a plugin: its config is text/plain, not application/vnd.wasm.config.v0+json (publish with `windlass plugin publish`)
    plugin.yaml not bound: WL0904 the OCI manifest … cannot be a plugin: its annotations dev.windlass.plugin and dev.windlass.readme do not name the plugin.yaml and the README of the request (publish with `windlass plugin publish`)
    ");
}

#[tokio::test]
async fn readme_limits() {
    let world = World::new().await;
    let mut all = Vec::new();
    let mut case = async |readme: &[u8]| {
        let author = Author::new("acme:echo", "0.1.0", "{state: true}", component(DESCRIPTOR, STATE, "r"));
        let key = world.publisher().make_signing_key("acme").unwrap();
        let yaml = std::fs::read_to_string(author.folder.path().join("plugin.yaml")).unwrap();
        let manifest = Manifest::parse(&yaml).unwrap();
        let facts = windlass_runtime::inspect(&author.wasm).unwrap();
        let digest = Digest::of(&author.wasm);
        let signature = manifest.statement(&digest).sign(&key);
        // The packing takes text; bytes that are none are put in by hand.
        let mut package = oci::package(&manifest, &yaml, &facts, author.wasm.clone(), Some("PLACE"), &[], &signature);
        package.blobs.push(readme.to_vec());
        package.referrers.clear();
        let text = String::from_utf8(package.manifest).unwrap();
        let text = text.replace(&Digest::of(b"PLACE").to_string(), &Digest::of(readme).to_string());
        package.manifest = text.into_bytes();
        let request = PublishRequest {
            name: "acme:echo".to_owned(),
            version: "0.1.0".to_owned(),
            manifest: Digest::of(&package.manifest),
            plugin: Digest::of(yaml.as_bytes()),
            readme: Some(Digest::of(readme)),
            examples: Vec::new(),
            signature: Some(signature),
        };
        all.push(publish(&world, &Forged { package, request }).await);
    };
    case(&vec![b'x'; 512 * 1024 + 1]).await;
    case(&[0xff, 0xfe]).await;
    case(b"\x1b[2J").await;
    case("# Echo\n\ttabs and newlines are fine \u{1F468}\u{200d}\u{1F469}\n".as_bytes()).await;
    insta::assert_snapshot!(all.join("\n"), @"
    WL0910 the README has 524289 bytes, the limit is 524288 (make it smaller, as UTF-8 text where it is text)
    WL0911 the README cannot be used: it is not UTF-8 (make it smaller, as UTF-8 text where it is text)
    WL0911 the README cannot be used: it holds control characters, or such as turn the text around (make it smaller, as UTF-8 text where it is text)
    PUBLISHED acme:echo@0.1.0
    ");
}

/// Publishes as an author does; gives how it went.
async fn offer(world: &World, author: &Author) -> String {
    let prepared = windlass_package::publish::prepare(&world.publisher(), author.folder.path(), runtime(), false).await;
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return format!("not sent: {error}"),
    };
    match world.push(&prepared).await {
        Ok(release) => format!("PUBLISHED {}@{}", release.name, release.version),
        Err(PackageError::Refused { reasons, .. }) => clean(&reasons.join("; ")),
        Err(error) => clean(&error.to_string().replace(&world.address, "REGISTRY")),
    }
}

/// A plugin with one more line in its plugin.yaml.
fn with_line(name: &str, version: &str, line: &str, wasm: Vec<u8>) -> Author {
    let author = Author::new(name, version, NONE, wasm);
    let yaml = std::fs::read_to_string(author.folder.path().join("plugin.yaml")).unwrap();
    author.write("plugin.yaml", format!("{yaml}{line}\n").as_bytes());
    author
}

fn describes(steps: Value) -> Vec<u8> {
    component(&json!({"steps": steps}).to_string(), GROUP, "d")
}

fn step(name: &str, config: Value) -> Value {
    json!({"name": name, "summary": "Say it.", "effect": "pure", "config_schema": config})
}

/// A version that is compatible by its number keeps what worked.
#[tokio::test]
async fn compatible_versions() {
    let world = World::new().await;
    let mut all = Vec::new();
    let mut case = async |what: &str, version: &str, steps: Value| {
        let author = Author::new("acme:echo", version, NONE, describes(steps));
        all.push(format!("{what}: {}", offer(&world, &author).await));
    };
    let config = || json!({"type": "object", "properties": {"text": {"type": "string"}}});
    let mut strict = config();
    strict["required"] = json!(["text"]);
    case("the first", "1.0.0", json!([step("step.echo", config()), step("step.shout", config())])).await;
    case("a step is gone", "1.1.0", json!([step("step.echo", config())])).await;
    case("a key is required", "1.1.0", json!([step("step.echo", strict.clone()), step("step.shout", config())])).await;
    case("the same in a pre-release", "1.1.0-rc.1", json!([step("step.echo", strict.clone())])).await;
    case(
        "more",
        "1.1.0",
        json!([step("step.echo", config()), step("step.shout", config()), step("step.new", strict.clone())]),
    )
    .await;
    case("held against the last", "1.1.1", json!([step("step.echo", config()), step("step.shout", config())])).await;
    case("a new major version", "2.0.0", json!([step("step.echo", strict.clone())])).await;
    case("a backport", "1.0.1", json!([step("step.echo", config()), step("step.shout", config())])).await;
    case("before 1.0", "0.1.0", json!([step("step.echo", config())])).await;
    case("another minor one", "0.2.0", json!([step("step.echo", strict)])).await;
    insta::assert_snapshot!(all.join("\n"), @"
    the first: PUBLISHED acme:echo@1.0.0
    a step is gone: WL0917 1.1.0 is compatible with 1.0.0 by its number, and breaks what worked with it: step.shout is gone (raise the major version (before 1.0: the minor one), or keep what worked)
    a key is required: WL0917 1.1.0 is compatible with 1.0.0 by its number, and breaks what worked with it: the config of step.echo: text is required (raise the major version (before 1.0: the minor one), or keep what worked)
    the same in a pre-release: PUBLISHED acme:echo@1.1.0-rc.1
    more: PUBLISHED acme:echo@1.1.0
    held against the last: WL0917 1.1.1 is compatible with 1.1.0 by its number, and breaks what worked with it: step.new is gone (raise the major version (before 1.0: the minor one), or keep what worked)
    a new major version: PUBLISHED acme:echo@2.0.0
    a backport: PUBLISHED acme:echo@1.0.1
    before 1.0: PUBLISHED acme:echo@0.1.0
    another minor one: PUBLISHED acme:echo@0.2.0
    ");
}

#[tokio::test]
async fn dependencies_and_engine() {
    let world = World::new().await;
    let wasm = |salt: &str| component(DESCRIPTOR, GROUP, salt);
    world.publish(&Author::new("acme:http", "1.2.0", NONE, wasm("http"))).await;
    let mut all = Vec::new();
    let mut case = async |what: &str, line: &str| {
        let author = with_line("acme:echo", "0.1.0", line, wasm("echo"));
        all.push(format!("{what}: {}", offer(&world, &author).await));
    };
    case("itself", "dependencies: {'acme:echo': '^0.1'}").await;
    case("nowhere", "dependencies: {'acme:none': '^1'}").await;
    case("no such version", "dependencies: {'acme:http': '^2'}").await;
    case("an engine of no version", "engine: '>2, <1'").await;
    case("sound", "dependencies: {'acme:http': '^1.1'}\nengine: '>=0.1, <0.3'").await;
    insta::assert_snapshot!(all.join("\n"), @"
    itself: WL0915 it depends on acme:echo ^0.1, which is itself (correct `dependencies` in plugin.yaml, or publish that one first)
    nowhere: WL0915 it depends on acme:none ^1, and there is no such plugin in this registry (correct `dependencies` in plugin.yaml, or publish that one first)
    no such version: WL0915 it depends on acme:http ^2, and no release that may be used is in that range (correct `dependencies` in plugin.yaml, or publish that one first)
    an engine of no version: WL0916 its engine >2, <1 names no version at all (write a range such as >=0.1, <0.3 under `engine` in plugin.yaml)
    sound: PUBLISHED acme:echo@0.1.0
    ");
    let line = world.index("acme:echo").await;
    assert!(line.contains(r#""dependencies":{"acme:http":"^1.1"},"engine":">=0.1, <0.3""#), "{line}");
}

#[tokio::test]
async fn example_pipelines() {
    let world = World::new().await;
    let shout = json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": false});
    let wasm = || describes(json!([step("step.shout", shout.clone())]));
    world.publish(&Author::new("acme:other", "1.0.0", NONE, component(DESCRIPTOR, GROUP, "other"))).await;
    let mut all = Vec::new();
    let mut case = async |what: &str, lines: &str, text: &[u8]| {
        let author = with_line("acme:echo", "0.1.0", &format!("examples: [example.yaml]\n{lines}"), wasm());
        author.write("example.yaml", text);
        all.push(format!("{what}: {}", offer(&world, &author).await));
    };
    let pipeline = |step: &str, config: &str| {
        format!("name: example\nsteps:\n  - name: one\n    type: {step}\n    config: {config}\n")
    };
    case("no YAML", "", b"[").await;
    case("a config that does not fit", "", pipeline("step.shout", "{}").as_bytes()).await;
    case("a step type of somebody else", "", pipeline("step.echo", "{}").as_bytes()).await;
    case("too large", "", &vec![b' '; 64 * 1024 + 1]).await;
    case("sound", "dependencies: {'acme:other': '^1'}", pipeline("step.echo", "{}").as_bytes()).await;
    let author = with_line("acme:echo", "0.1.1", "examples: [example.yaml]", wasm());
    author.write("example.yaml", pipeline("step.shout", "{text: hello}").as_bytes());
    let mut prepared = world.prepare(&author).await;
    prepared.request.examples.clear();
    let error = world.push(&prepared).await.unwrap_err().to_string();
    all.push(format!("not said in the request: {}", clean(&error.replace(&world.address, "REGISTRY"))));
    all.push(format!("its own: {}", offer(&world, &author).await));
    insta::assert_snapshot!(all.join("\n"), @"
    no YAML: WL0918 the example example.yaml cannot be used: line 1: WL0001 this is not YAML: unclosed bracket '[' (correct the file that `examples` in plugin.yaml names, or leave it out)
    a config that does not fit: WL0918 the example example.yaml cannot be used: line 5: WL0012 `step.shout` needs `text` in its configuration (correct the file that `examples` in plugin.yaml names, or leave it out)
    a step type of somebody else: WL0918 the example example.yaml cannot be used: line 4: WL0020 no plugin provides `step.echo` (correct the file that `examples` in plugin.yaml names, or leave it out)
    too large: not sent: an example is 65537 bytes, the limit is 65536
    sound: PUBLISHED acme:echo@0.1.0
    not said in the request: the registry refused acme:echo@0.1.1: WL0904 the OCI manifest … cannot be a plugin: its annotation dev.windlass.examples does not name the examples of the request (publish with `windlass plugin publish`)
    its own: PUBLISHED acme:echo@0.1.1
    ");
}

/// The client sees what it can before anything is sent.
#[tokio::test]
async fn dry_run() {
    let world = World::new().await;
    let home = world.publisher();
    let author = Author::new("acme:echo", "0.1.0", "{}", component(DESCRIPTOR, STATE, "dry"));
    let prepare = || windlass_package::publish::prepare(&home, author.folder.path(), runtime(), true);
    let error = prepare().await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "acme:echo@0.1.0: the component imports state, and its permissions do not ask for that"
    );
    author.write("plugin.yaml", b"name: acme:echo\nversion: 0.1.0\nsummary: x\nlicence: MIT\ncomponent: plugin.wasm\npermissions: {state: true}\n");
    assert_eq!(prepare().await.unwrap().descriptor.steps[0].name, "step.echo");
    assert_eq!(world.requests(), 0, "a dry run sends nothing");
    assert!(!home.root().join("keys").exists(), "a dry run makes no key");
}
