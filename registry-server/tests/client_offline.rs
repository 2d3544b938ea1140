//! Plugins where no registry can be reached: vendored in a folder, or carried in a file. What is in either is verified as if
//! the registry had sent it.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

mod common;
mod statics;

use common::{Author, DESCRIPTOR, GROUP, STATE, component, files, runtime};
use jiff::SignedDuration;
use statics::{State, StaticRegistry};
use std::{
    fs,
    path::{Path, PathBuf},
};
use windlass_contract::Digest;
use windlass_package::{
    Consent, Home, PackageError, Silent, archive, install,
    install::{Options, Verification},
    installed, vendor,
};

const LOCKED: Options = Options { locked: true, allow_unsigned: false };

/// A registry with a plugin that calls another, and a project that has both locked.
struct World {
    registry: StaticRegistry,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let registry = StaticRegistry::start().await;
        let caller = Author::new("acme:caller", "1.0.0", "{}", component(DESCRIPTOR, GROUP, "caller"));
        let yaml = fs::read_to_string(caller.folder.path().join("plugin.yaml")).unwrap();
        caller.write("plugin.yaml", format!("{yaml}dependencies: {{'acme:called': '^1'}}\n").as_bytes());
        registry.publish(&caller).await;
        registry
            .publish(&Author::new("acme:called", "1.0.0", "{state: true}", component(DESCRIPTOR, STATE, "c")))
            .await;
        registry.publish(&Author::new("acme:other", "1.0.0", "{}", component(DESCRIPTOR, GROUP, "o"))).await;
        let world = World { registry, folder: tempfile::tempdir().unwrap() };
        world.install(&world.home("first"), Options::default()).await.unwrap();
        world
    }

    fn home(&self, name: &str) -> Home {
        self.registry.home(&self.folder.path().join(name))
    }

    fn project(&self) -> PathBuf {
        let project = self.folder.path().join("project");
        fs::create_dir_all(&project).unwrap();
        project
    }

    async fn install(&self, home: &Home, options: Options) -> Result<usize, PackageError> {
        let requests = ["acme:caller".parse().unwrap()];
        let done = install(home, &self.project(), runtime(), &requests, options, Consent::Given).await?;
        Ok(done.len())
    }

    /// From now on the registry has nothing.
    fn unplug(&self) {
        self.registry.set_state(State::default());
        self.registry.asked();
    }

    fn words(&self, error: &PackageError) -> String {
        let text = error.to_string().replace(&self.registry.address, "REGISTRY");
        hidden(&hidden(&text, "sha256:"), "ed25519:")
    }
}

/// A text without the digits after a prefix.
fn hidden(text: &str, prefix: &str) -> String {
    let mut parts = text.split(prefix);
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.trim_start_matches(|c: char| c.is_ascii_hexdigit()).to_owned());
    std::iter::once(first).chain(rest).collect::<Vec<_>>().join(&format!("{prefix}…"))
}

fn only_folder(root: &Path) -> PathBuf {
    let mut folders = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let found = folders.next().unwrap();
    assert!(folders.next().is_none());
    found
}

#[tokio::test]
async fn a_vendored_folder_is_enough() {
    let world = World::new().await;
    let folder = world.folder.path().join("vendored");
    let kept = vendor::vendor(&world.home("first"), &world.project(), &folder, &Silent).await.unwrap();
    assert_eq!(kept.iter().map(ToString::to_string).collect::<Vec<_>>(), ["acme:called@1.0.0", "acme:caller@1.0.0"]);
    assert_eq!(files(&only_folder(&folder)), ["blobs", "index", "snapshot", "snapshot.json"]);
    assert!(!folder.join("index/acme/other").exists(), "only what is locked");
    // Again, in place of itself.
    vendor::vendor(&world.home("first"), &world.project(), &folder, &Silent).await.unwrap();

    world.unplug();
    let home = |name: &str| world.home(name).with_vendor(folder.clone());
    assert_eq!(world.install(&home("second"), LOCKED).await.unwrap(), 2);
    assert_eq!(installed(&home("second"), &world.project()).unwrap().len(), 2);
    assert_eq!(world.registry.paths(), Vec::<String>::new(), "nobody was asked");

    // Its snapshot may be old: it is of that moment.
    let root = only_folder(&folder);
    let sound = fs::read(root.join("snapshot.json")).unwrap();
    let again = World::new().await;
    again.registry.sign_as(&again.registry.key, SignedDuration::from_hours(-100), SignedDuration::from_hours(-50));
    let expired = again.home("late");
    let error = again.install(&expired, LOCKED).await.unwrap_err();
    assert!(matches!(error, PackageError::Stale { .. }), "from the registry it would be refused: {error}");

    // What is changed in it is found.
    let mut all = Vec::new();
    let mut check = async |what: &str, path: &Path, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let before = fs::read(path).unwrap();
        fs::write(path, change(before.clone())).unwrap();
        let home = home(&what.replace(' ', "-"));
        let error = world.install(&home, LOCKED).await.unwrap_err();
        all.push(format!("{what}: {}", world.words(&error)));
        assert!(files(&home.root().join("plugins")).iter().all(|file| file == ".lock" || !file.ends_with(".json")));
        fs::write(path, before).unwrap();
    };
    let lock = windlass_package::lock::Lock::load(&world.project()).unwrap();
    let called = lock.plugins[&"acme:called".parse().unwrap()].digest;
    let flip = |mut bytes: Vec<u8>| {
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    check("a component", &root.join("blobs/sha256").join(called.hex()), &flip).await;
    let widen = |bytes: Vec<u8>| {
        String::from_utf8(bytes).unwrap().replace("\"state\":true", "\"secrets-reveal\":true").into_bytes()
    };
    check("an index", &root.join("index/acme/called"), &widen).await;
    check("the snapshot", &root.join("snapshot.json"), &|bytes| {
        String::from_utf8(bytes).unwrap().replace("serial", "cereal").into_bytes()
    })
    .await;
    insta::assert_snapshot!(all.join("\n"), @"
    a component: acme:called@1.0.0: the component that the registry sent should have the digest sha256:… and has sha256:…
    an index: the registry REGISTRY shows documents that do not belong together: /index/acme/called should have the digest sha256:…, by its snapshot, and has sha256:…
    the snapshot: the registry REGISTRY cannot be believed: the signature of its snapshot by ed25519:… does not hold
    ");
    assert_eq!(fs::read(root.join("snapshot.json")).unwrap(), sound);

    // A folder of somebody else's is not replaced.
    let theirs = world.folder.path().join("theirs");
    fs::create_dir_all(&theirs).unwrap();
    fs::write(theirs.join("thesis.txt"), "years").unwrap();
    let error = vendor::vendor(&home("second"), &world.project(), &theirs, &Silent).await.unwrap_err();
    assert!(error.to_string().contains("it holds something that `windlass vendor` did not write"), "{error}");
    assert_eq!(files(&theirs), ["thesis.txt"]);
}

#[tokio::test]
async fn an_archive_is_carried_over() {
    let world = World::new().await;
    let [one, other] = ["one.tar", "other.tar"].map(|name| world.folder.path().join(name));
    archive::export(&world.home("first"), &world.project(), &one).await.unwrap();
    archive::export(&world.home("first"), &world.project(), &other).await.unwrap();
    assert_eq!(fs::read(&one).unwrap(), fs::read(&other).unwrap(), "the same lock gives the same archive");

    world.unplug();
    let home = world.home("island");
    let done = archive::import(&home, runtime(), &one, Options::default()).await.unwrap();
    let words: Vec<_> = done
        .iter()
        .map(|(plugin, seen)| (plugin.to_string(), matches!(seen, Verification::Verified { first_seen: true, .. })))
        .collect();
    assert_eq!(words, [("acme:called@1.0.0".to_owned(), true), ("acme:caller@1.0.0".to_owned(), true)]);
    assert!(home.publisher("acme").unwrap().is_some(), "the publisher is known from now on");
    assert_eq!(world.install(&home, LOCKED).await.unwrap(), 2);
    assert_eq!(world.registry.paths(), Vec::<String>::new(), "nobody was asked");

    let mut all = Vec::new();
    let mut check = async |what: &str, home: Home, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(&one).unwrap();
        change(&mut bytes);
        fs::write(&other, bytes).unwrap();
        let error = archive::import(&home, runtime(), &other, Options::default()).await.unwrap_err();
        all.push(format!("{what}: {}", world.words(&error).replace(&other.display().to_string(), "FILE")));
        let kept = files(&home.root().join("plugins"));
        assert!(kept.is_empty() || kept == [".lock"], "{what}: {kept:?}");
        assert!(files(home.root()).iter().all(|file| !file.starts_with(".tmp")), "something was left over");
    };
    let place = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).position(|part| part == text).unwrap();
    let lock = windlass_package::lock::Lock::load(&world.project()).unwrap();
    let called = lock.plugins[&"acme:called".parse().unwrap()].digest;
    let component = fs::read(world.home("first").store().wasm(&called)).unwrap();
    assert_eq!(Digest::of(&component), called);
    let flip = |bytes: &mut Vec<u8>| {
        let at = place(bytes, &component) + 100;
        bytes[at] ^= 1;
    };
    check("a component that was changed", world.home("a"), &flip).await;
    check("cut", world.home("b"), &|bytes| bytes.truncate(5000)).await;
    let elsewhere = Home::new(world.folder.path().join("c")).with_registry("http://127.0.0.1:9");
    check("for another registry", elsewhere, &|_| {}).await;
    let knows = world.home("d");
    let key = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
    knows.remember_publisher("acme", windlass_package::signature::PublisherKey::of(&key)).unwrap();
    check("by another publisher than is known", knows, &|_| {}).await;
    insta::assert_snapshot!(all.join("\n"), @"
    a component that was changed: acme:called@1.0.0: the component that the registry sent should have the digest sha256:… and has sha256:…
    cut: FILE cannot be imported: unexpected EOF during skip
    for another registry: windlass.lock would have to change: acme:called was locked from REGISTRY, and its namespace is now mapped to http://127.0.0.1:9
    by another publisher than is known: acme:called@1.0.0 must not be installed: it is signed by ed25519:…, and acme is known by ed25519:…
    ");
}
