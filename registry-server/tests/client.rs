//! The client against a real registry: publish → search → install → lock → warm, and every way to tamper between.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

mod common;

use common::{Author, DESCRIPTOR, GROUP, STATE, World, component, files, runtime, words};
use windlass_contract::Digest;
use windlass_package::{
    Consent, PackageError, install::Options, installed, installed::Health, release::index_line, release::parse_index,
};

fn echo(version: &str) -> Author {
    Author::new("acme:echo", version, "{state: true}", component(DESCRIPTOR, STATE, version))
}

/// A refusal for want of a token comes before the body was read, and no connection takes this much into its buffers: so the
/// token must be known before the body is sent.
#[tokio::test]
async fn a_big_component_is_published() {
    const BYTES: usize = 16 << 20;
    let world = World::new().await;
    let mut author = echo("0.1.0");
    // A custom section: id 0, its length in LEB128, the length of its name, the name.
    let mut length = BYTES;
    author.wasm.push(0);
    while length >= 0x80 {
        author.wasm.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    author.wasm.push(length as u8);
    author.wasm.extend([3, b'b', b'i', b'g']);
    author.wasm.extend(std::iter::repeat_n(7, BYTES - 4));
    author.write("plugin.wasm", &author.wasm);
    let release = world.publish(&author).await;
    assert_eq!(release.size, author.wasm.len() as u64);
    assert_eq!(world.challenges(), 1, "the first upload, before its body");
}

#[tokio::test]
async fn from_publish_to_a_warm_install() {
    let world = World::new().await;
    let release = world.publish(&echo("0.1.0")).await;
    assert_eq!(release.steps, ["step.echo"]);
    let again = world.publish(&echo("0.1.0")).await;
    assert_eq!(again, release, "publishing the same again changes nothing");

    let home = world.home("user");
    let found = common::search(&home, "echo").await;
    assert!(matches!(found.as_slice(), [card] if card.name == release.name && card.steps == release.steps));
    assert!(common::search(&home, "nothing-like-it").await.is_empty());

    // Nobody to ask: refused, with the command.
    let error = world.install(&home, "acme:echo", Consent::Nobody).await.unwrap_err();
    insta::assert_snapshot!(words(&world, &error), @"
    WL0817 acme:echo@0.1.0 asks for permissions that were not granted:
    acme:echo 0.1.0, signed by ed25519:… (a publisher not seen before), wants to:
      - keep a small store of its own between runs

    to grant them: windlass plugin install acme:echo@=0.1.0 --grant
    ");
    assert!(files(&world.project()).is_empty() && files(&home.root().join("plugins")) == [".lock"], "nothing was kept");

    let mut asked = Vec::new();
    let mut ask = |question: &windlass_package::ConsentRequest| {
        asked.push(question.words());
        true
    };
    let outcomes = world.install(&home, "acme:echo@^0.1", Consent::Ask(&mut ask)).await.unwrap();
    assert!(outcomes[0].fetched);
    assert_eq!(asked.len(), 1);
    assert_eq!(files(&world.project()), ["windlass.grants.yaml", "windlass.lock"]);

    // Warm: not one request, and fast.
    world.requests();
    let began = std::time::Instant::now();
    let outcomes = world.install(&home, "acme:echo", Consent::Nobody).await.unwrap();
    let plugins = installed(&home, &world.project()).unwrap();
    let took = began.elapsed();
    assert_eq!(world.requests(), 0, "a warm install asks nobody");
    assert!(!outcomes[0].fetched);
    assert!(took < std::time::Duration::from_millis(50), "{took:?}"); // a debug build on a busy machine
    assert_eq!(plugins[0].descriptor.steps[0].name, "step.echo");
    assert!(plugins[0].effective.state && plugins[0].granted.state);
    assert_eq!(std::fs::read(&plugins[0].wasm_path).unwrap(), echo("0.1.0").wasm);

    // Another machine with the same project: fetched by the lock, not asked again.
    let other = world.home("other");
    let error = installed(&other, &world.project()).unwrap_err();
    insta::assert_snapshot!(words(&world, &error), @"
    WL0820 acme:echo@0.1.0 is in windlass.lock, but its component is not on this machine
    run `windlass plugin install --locked`
    ");
    let before = std::fs::read(world.project().join("windlass.lock")).unwrap();
    let options = Options { locked: true, ..Options::default() };
    world.install_with(&other, "acme:echo", options, Consent::Nobody).await.unwrap();
    assert_eq!(std::fs::read(world.project().join("windlass.lock")).unwrap(), before);
    assert_eq!(installed(&other, &world.project()).unwrap().len(), 1);

    // A newer version does not come by itself; it comes when asked for.
    world.publish(&echo("0.2.0")).await;
    assert!(!world.install(&home, "acme:echo", Consent::Nobody).await.unwrap()[0].fetched);
    let error = world.install_with(&home, "acme:echo@^0.2", options, Consent::Nobody).await.unwrap_err();
    insta::assert_snapshot!(words(&world, &error), @"
    WL0818 windlass.lock would have to change: acme:echo ^0.2 is not in it
    run it once without --locked and commit windlass.lock
    ");
    let outcomes = world.install(&home, "acme:echo@^0.2", Consent::Nobody).await.unwrap();
    assert_eq!(outcomes[0].replaced.as_ref().map(ToString::to_string).as_deref(), Some("0.1.0"));

    let name = "acme:echo".parse().unwrap();
    let info = windlass_package::installed::info(&home, &world.project(), &name).await.unwrap();
    assert_eq!(info.releases.len(), 2);
    let gone = windlass_package::removal::remove(&world.project(), &name, &Default::default(), false).unwrap();
    assert_eq!(gone, [name]);
    assert!(installed(&home, &world.project()).unwrap().is_empty());
}

#[tokio::test]
async fn a_wider_version_is_asked_about_and_the_difference_shown() {
    let world = World::new().await;
    let home = world.home("user");
    world.publish(&Author::new("acme:echo", "0.1.0", "{}", component(DESCRIPTOR, GROUP, "1"))).await;
    let wide = "{state: true, secrets: [acme/*]}";
    world.publish(&Author::new("acme:echo", "0.1.1", wide, component(DESCRIPTOR, STATE, "2"))).await;
    world.install(&home, "acme:echo@=0.1.0", Consent::Nobody).await.expect("it asks for nothing");
    let before = std::fs::read(world.project().join("windlass.lock")).unwrap();
    let error = world.install(&home, "acme:echo@=0.1.1", Consent::Nobody).await.unwrap_err();
    insta::assert_snapshot!(words(&world, &error), @"
    WL0817 acme:echo@0.1.1 asks for permissions that were not granted:
    acme:echo 0.1.1, signed by ed25519:… (known), wants to:
      + use secrets without seeing them: acme/* (new)
      + keep a small store of its own between runs (new)

    to grant them: windlass plugin install acme:echo@=0.1.1 --grant
    ");
    assert_eq!(std::fs::read(world.project().join("windlass.lock")).unwrap(), before, "the lock is as it was");
    world.install(&home, "acme:echo@=0.1.1", Consent::Given).await.unwrap();
}

#[tokio::test]
async fn components_that_were_swapped_are_found() {
    let world = World::new().await;
    let home = world.home("user");
    let author = echo("0.1.0");
    world.publish(&author).await;
    world.install(&home, "acme:echo", Consent::Given).await.unwrap();

    // On the user's disk.
    let path = installed(&home, &world.project()).unwrap().remove(0).wasm_path;
    let mut bytes = author.wasm.clone();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let health = installed::verify(&home, &world.project()).unwrap().remove(0).1;
    assert_eq!(health, Health::Damaged { found: Digest::of(&bytes) });
    std::fs::write(&path, &author.wasm).unwrap();
    assert_eq!(installed::verify(&home, &world.project()).unwrap().remove(0).1, Health::Sound);

    // In the lock file: permissions that nobody signed.
    let lock = world.project().join("windlass.lock");
    let text = std::fs::read_to_string(&lock).unwrap();
    std::fs::write(&lock, text.replace("state = true", "state = true\nsecrets-reveal = true")).unwrap();
    let health = installed::verify(&home, &world.project()).unwrap().remove(0).1;
    assert!(matches!(health, Health::BadSignature { .. }), "{health:?}");
    std::fs::write(&lock, &text).unwrap();

    // On the registry's disk: the same size, other bytes.
    let hex = Digest::of(&author.wasm).hex();
    std::fs::write(world.data().join("blobs/sha256").join(&hex[..2]).join(&hex), &bytes).unwrap();
    let error = world.install(&world.home("fresh"), "acme:echo", Consent::Given).await.unwrap_err();
    insta::assert_snapshot!(words(&world, &error), @"
    WL0812 acme:echo@0.1.0: the component that the registry sent should have the digest sha256:… and has sha256:…
    do not use it; `windlass plugin verify` names every damaged plugin, and `windlass plugin install` fetches it anew
    ");
    assert_eq!(files(&world.home("fresh").root().join("plugins")), [".lock"], "nothing was kept");
}

/// What a registry that was taken over may serve: each change of the index, and what a client that has never been there
/// and one that has say to it.
#[tokio::test]
async fn an_index_that_was_tampered_with() {
    let world = World::new().await;
    world.publish(&echo("0.1.0")).await;
    world.publish(&echo("0.2.0")).await;
    let name = "acme:echo".parse().unwrap();
    let sound = world.index("acme:echo").await;
    let releases = parse_index(&name, &sound).unwrap();
    let knows = world.home("knows");
    world.install(&knows, "acme:echo@=0.2.0", Consent::Given).await.unwrap();

    let mut all = Vec::new();
    let mut check =
        async |what: &str, change: &dyn Fn(&mut Vec<windlass_package::release::Release>), key_known: bool| {
            let mut changed = releases.clone();
            change(&mut changed);
            let body: String = changed.iter().map(index_line).collect();
            let evil = evil_index(body, &world.address).await;
            let home = match key_known {
                true => knows.clone().with_registry(&evil),
                false => world.home(&what.replace(' ', "-")).with_registry(&evil),
            };
            if key_known {
                // The same registry as before, as far as the client can see: its cache is carried over.
                let cache = |url: &str| {
                    use std::fmt::Write as _;
                    let hash = Digest::of(url.as_bytes()).hex();
                    let mut name = String::new();
                    let _ = write!(name, "cache/index/{}", &hash[..16]);
                    knows.root().join(name)
                };
                std::fs::rename(cache(&world.address), cache(&evil)).unwrap();
                let error = install_elsewhere(&world, &home).await;
                std::fs::rename(cache(&evil), cache(&world.address)).unwrap();
                all.push(format!("{what}, known: {}", error.replace(&evil, "REGISTRY")));
            } else {
                let error = install_elsewhere(&world, &home).await;
                all.push(format!("{what}: {}", error.replace(&evil, "REGISTRY")));
            }
        };
    let other = Digest::of(b"other");
    check("digest changed", &|r| r[1].digest = other, false).await;
    check("digest changed", &|r| r[1].digest = other, true).await;
    check("signature stripped", &|r| r[1].signature = None, false).await;
    check("signature stripped", &|r| r[1].signature = None, true).await;
    check("signature replayed from another version", &|r| r[1].signature = r[0].signature.clone(), false).await;
    check("permissions widened", &|r| r[1].permissions.secrets_reveal = true, false).await;
    check("version taken back", &|r| drop(r.pop()), true).await;
    check("another plugin's line", &|r| r[1].name = "acme:other".parse().unwrap(), false).await;
    let other_key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let resign = |r: &mut Vec<windlass_package::release::Release>| {
        let mut new = windlass_package::release::Release { version: "0.3.0".parse().unwrap(), ..r[1].clone() };
        new.signature = Some(new.statement().sign(&other_key));
        r.push(new);
    };
    check("a new version by another key", &resign, true).await;
    insta::assert_snapshot!(all.join("\n"), @"
    digest changed: WL0815 acme:echo@0.2.0 must not be installed: the signature by ed25519:… is not over this name, version, content and these permissions
    digest changed, known: WL0814 the registry REGISTRY went back on what it had published of acme:echo: version 0.2.0 had the digest sha256:… and now has sha256:…
    signature stripped: WL0816 acme:echo@0.2.0 is not signed
    signature stripped, known: WL0814 the registry REGISTRY went back on what it had published of acme:echo: version 0.2.0 has another signature, other permissions or other dependencies than before
    signature replayed from another version: WL0815 acme:echo@0.2.0 must not be installed: the signature by ed25519:… is not over this name, version, content and these permissions
    permissions widened: WL0815 acme:echo@0.2.0 must not be installed: the signature by ed25519:… is not over this name, version, content and these permissions
    version taken back, known: WL0814 the registry REGISTRY went back on what it had published of acme:echo: version 0.2.0 is gone
    another plugin's line: WL0809 the registry REGISTRY sent something unusable for the index of acme:echo: line 2 is about acme:other, not acme:echo
    a new version by another key, known: WL0815 acme:echo@0.3.0 must not be installed: it is signed by ed25519:…, and acme is known by ed25519:…
    ");
}

/// Installs into a project of its own, and gives the error's words.
async fn install_elsewhere(world: &World, home: &windlass_package::Home) -> String {
    let project = tempfile::tempdir().unwrap();
    let requests = ["acme:echo".parse().unwrap()];
    let done =
        windlass_package::install(home, project.path(), runtime(), &requests, Options::default(), Consent::Given).await;
    assert!(files(project.path()).is_empty(), "a project was changed");
    match done {
        Ok(_) => "INSTALLED".to_owned(),
        Err(error) => words(world, &error).lines().next().unwrap().to_owned(),
    }
}

/// A registry whose index says `body`, and whose bytes are those of the sound one.
async fn evil_index(body: String, sound: &str) -> String {
    use axum::{Json, Router, routing::get};
    let host = sound.trim_start_matches("http://").to_owned();
    let known = serde_json::json!({"preferredProtocol": "oci", "oci": {"registry": host, "namespacePrefix": ""}});
    let router = Router::new()
        .route("/index/acme/echo", get(move || async move { body }))
        .route("/.well-known/wasm-pkg/registry.json", get(move || async move { Json(known) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn the_registry_and_the_lock_disagree() {
    let world = World::new().await;
    let home = world.home("user");
    world.publish(&echo("0.1.0")).await;
    world.install(&home, "acme:echo", Consent::Given).await.unwrap();
    let lock = world.project().join("windlass.lock");
    let text = std::fs::read_to_string(&lock).unwrap();
    std::fs::write(&lock, text.replace(&Digest::of(&echo("0.1.0").wasm).hex(), &Digest::of(b"x").hex())).unwrap();
    let error = world.install(&home, "acme:echo", Consent::Given).await.unwrap_err();
    assert!(matches!(error, PackageError::LockDisagrees { .. }));
    insta::assert_snapshot!(words(&world, &error), @"
    WL0813 acme:echo@0.1.0: windlass.lock says sha256:…, the registry REGISTRY says sha256:…; a published version never changes, so one of them was tampered with
    find out which is right before anything else; `windlass plugin remove acme:echo` forgets the locked digest
    ");
}
