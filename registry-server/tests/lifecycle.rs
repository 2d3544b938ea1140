//! What becomes of a release after it was published, what the snapshot says of it, and what is done without anybody asking.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

mod common;

use common::{Author, DESCRIPTOR, GROUP, Plain, World, component, token, user};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use windlass_contract::{Digest, PluginName};
use windlass_package::{
    Consent,
    release::{Release, parse_index},
    snapshot::{BinId, SignedSnapshot, Snapshot, parse_bin},
};
use windlass_registry_server::{
    accounts::Action,
    database::{By, Packages as _, Sqlite},
    snapshot::{Key, SNAPSHOT_LIFE},
    status::Change,
    storage::BLOB_REST,
};

fn echo(version: &str) -> Author {
    Author::new("acme:echo", version, "{}", component(DESCRIPTOR, GROUP, version))
}

async fn releases(plain: &Plain<'_>) -> Vec<Release> {
    let body = plain.get("/index/acme/echo").await.text().await.unwrap();
    parse_index(&"acme:echo".parse().unwrap(), &body).unwrap()
}

/// Reads the snapshot as a client does: its signature, its bins, and each plugin's document.
async fn snapshot(world: &World, plain: &Plain<'_>) -> (Snapshot, BTreeMap<PluginName, Digest>) {
    let key = Key::open(&world.data()).unwrap().public();
    let signed: SignedSnapshot = plain.get("/snapshot.json").await.json().await.unwrap();
    let snapshot = signed.open(Some(key), Timestamp::now()).unwrap();
    let mut documents = BTreeMap::new();
    for (bin, digest) in &snapshot.bins {
        let body = plain.get(&format!("/snapshot/bins/{digest}")).await.text().await.unwrap();
        assert_eq!(Digest::of(body.as_bytes()), *digest);
        documents.extend(parse_bin(*bin, &body).unwrap());
    }
    for (name, digest) in &documents {
        let body = plain.get(&format!("/index/{}", name.repository())).await.bytes().await.unwrap();
        assert_eq!(Digest::of(&body), *digest, "{name}");
    }
    (snapshot, documents)
}

#[tokio::test]
async fn yanked_and_taken_back() {
    let world = World::new().await;
    let plain = Plain::new(&world);
    world.publish(&echo("1.0.0")).await;
    world.publish(&echo("1.1.0")).await;
    let path = "plugins/acme/echo/1.1.0/yank";
    let mut all = Vec::new();
    let mut case = async |what: &str, method: Method, path: &str, token: &str, body: Value| {
        all.push(format!("{what}: {}", plain.words(method, path, token, body).await));
    };
    let why = || json!({"reason": "it says things twice"});
    let only_publish = token(&world.data(), &["acme"], &[Action::Publish]).await;
    case("without a token", Method::PUT, path, "", why()).await;
    case("not for that", Method::PUT, path, &only_publish, why()).await;
    case("no reason", Method::PUT, path, &world.token, json!({"reason": ""})).await;
    case("not yanked", Method::DELETE, path, &world.token, Value::Null).await;
    case("yanked", Method::PUT, path, &world.token, why()).await;
    case("again", Method::PUT, path, &world.token, why()).await;
    case("no such version", Method::PUT, "plugins/acme/echo/9.0.0/yank", &world.token, why()).await;
    case("no version", Method::PUT, "plugins/acme/echo/x/yank", &world.token, why()).await;
    insta::assert_snapshot!(all.join("\n"), @r#"
    without a token: 401 WL0930 this needs a token of the registry
    not for that: 403 WL0901 this token is not for the action yank
    no reason: 400 WL0958 the request's body cannot be used: reason: a reason is one line of 1 to 500 characters, without control characters; this one has 0 at line 1 column 13
    not yanked: 409 WL0957 acme:echo@1.1.0: it is ok, and unyank does not follow on that
    yanked: 200
    again: 409 WL0957 acme:echo@1.1.0: it is yanked, and yank does not follow on that
    no such version: 404 WL0956 there is no release acme:echo@9.0.0
    no version: 400 WL0958 "x" is not a semantic version such as 1.2.3
    "#);

    let (state, notice) =
        releases(&plain).await[1].status.notice().map(|(state, n)| (state, n.reason.clone())).unwrap();
    assert_eq!((state, notice.as_str()), ("yanked", "it says things twice"));
    let home = world.home("user");
    world.install(&home, "acme:echo", Consent::Given).await.unwrap();
    let lock = std::fs::read_to_string(world.project().join("windlass.lock")).unwrap();
    assert!(lock.contains("1.0.0") && !lock.contains("1.1.0"), "{lock}");
    let found = common::search(&home, "echo").await;
    assert_eq!(found[0].version.to_string(), "1.0.0");

    let (status, line) = plain.api(Method::DELETE, path, &world.token, Value::Null).await;
    assert_eq!((status, line.get("status")), (200, None), "{line}");
    assert!(releases(&plain).await[1].status.is_ok());
    let (_, notices) = plain.api(Method::GET, "notices", &world.token, Value::Null).await;
    let kinds: Vec<_> = notices.as_array().unwrap().iter().map(|notice| notice["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["unyank", "yank", "publish", "publish"]);
}

#[tokio::test]
async fn quarantined_and_removed() {
    let world = World::new().await;
    let plain = Plain::new(&world);
    let release = world.publish(&echo("1.0.0")).await;
    let admin = user(&world.data(), "root", true, &[Action::Admin]).await;
    let path = "plugins/acme/echo/1.0.0/quarantine";
    let why = || json!({"reason": "somebody says that it steals"});
    assert_eq!(plain.api(Method::PUT, path, &world.token, why()).await.0, 403, "not an administrator's token");
    assert_eq!(plain.api(Method::PUT, path, &admin, why()).await.0, 200);
    let blob = format!("/v2/acme/echo/blobs/{}", release.digest);
    let by_tag = "/v2/acme/echo/manifests/1.0.0";
    let by_digest = format!("/v2/acme/echo/manifests/{}", release.manifest);
    for path in [blob.as_str(), by_tag, &by_digest] {
        plain.check(Method::GET, path, None, b"", (StatusCode::FORBIDDEN, "DENIED")).await;
    }
    let home = world.home("user");
    assert!(world.install(&home, "acme:echo", Consent::Given).await.is_err());
    assert!(common::search(&home, "echo").await.is_empty());
    // The same component under another name or version.
    let again = Author::new("acme:other", "1.0.0", "{}", echo("1.0.0").wasm);
    let error = world.push(&world.prepare(&again).await).await.unwrap_err();
    assert!(error.to_string().contains("WL0919"), "{error}");

    assert_eq!(plain.api(Method::DELETE, path, &admin, Value::Null).await.0, 200);
    assert_eq!(plain.get(&blob).await.status(), StatusCode::OK);

    let (status, _) = plain.api(Method::DELETE, "plugins/acme/echo/1.0.0", &admin, why()).await;
    assert_eq!(status, 200);
    plain.check(Method::GET, &blob, None, b"", (StatusCode::FORBIDDEN, "DENIED")).await;
    assert_eq!(releases(&plain).await[0].status.notice().unwrap().0, "removed", "its line stays");
    let error = world.push(&world.prepare(&echo("1.0.0")).await).await;
    assert!(!error.is_ok_and(|release| release.status.is_ok()), "its version is not free");
    // Its bytes go when they have had their rest.
    let file = world.data().join("blobs/sha256").join(&release.digest.hex()[..2]).join(release.digest.hex());
    assert!(file.is_file());
    let old = std::time::SystemTime::now() - BLOB_REST - std::time::Duration::from_secs(1);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
    let work = tokio::spawn(world.registry.clone().work());
    while file.is_file() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    work.abort();
}

#[tokio::test]
async fn the_snapshot_goes_along() {
    let world = World::new().await;
    let plain = Plain::new(&world);
    let (empty, none) = snapshot(&world, &plain).await;
    assert!(none.is_empty());
    world.publish(&echo("1.0.0")).await;
    let (first, documents) = snapshot(&world, &plain).await;
    let name: PluginName = "acme:echo".parse().unwrap();
    assert!(first.serial > empty.serial && documents.contains_key(&name));
    world.publish(&echo("1.1.0")).await;
    let (second, _) = snapshot(&world, &plain).await;
    assert_eq!(second.serial, first.serial + 1);
    // Who has begun to read the one before can go on.
    let bin = BinId::of(&name);
    assert_ne!(first.bins[&bin], second.bins[&bin]);
    let old = plain.get(&format!("/snapshot/bins/{}", first.bins[&bin])).await;
    assert_eq!(old.headers()["cache-control"], "public, max-age=31536000, immutable");

    let answer = plain.get("/snapshot.json").await;
    let etag = answer.headers()["etag"].clone();
    let again = plain.http.get(format!("{}/snapshot.json", world.address)).header("if-none-match", etag);
    assert_eq!(again.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
    let absent = format!("/snapshot/bins/{}", Digest::of(b"absent"));
    assert_eq!(plain.get(&absent).await.status(), StatusCode::NOT_FOUND);
}

/// What the operator's command does in another process is seen, all of it at once.
#[tokio::test]
async fn what_another_process_changed() {
    let world = World::new().await;
    let plain = Plain::new(&world);
    let release = world.publish(&echo("1.0.0")).await;
    let blob = format!("/v2/acme/echo/blobs/{}", release.digest);
    assert!(releases(&plain).await[0].status.is_ok(), "it is in the cache");
    let (before, _) = snapshot(&world, &plain).await;
    let database = Sqlite::open(&world.data()).await.unwrap();
    let change = Change::Quarantine("looked into".parse().unwrap());
    database.change_status(&release.name, &release.version, &change, &By::operator()).await.unwrap();
    world.registry.work_once(Timestamp::now()).await.unwrap();
    assert!(!releases(&plain).await[0].status.is_ok());
    assert_eq!(plain.get(&blob).await.status(), StatusCode::FORBIDDEN);
    let (after, _) = snapshot(&world, &plain).await;
    assert_eq!(after.serial, before.serial + 1);
}

#[tokio::test]
async fn the_snapshot_is_signed_anew_before_its_time_is_over() {
    let world = World::new().await;
    let plain = Plain::new(&world);
    world.publish(&echo("1.0.0")).await;
    let (first, _) = snapshot(&world, &plain).await;
    let work = tokio::spawn(world.registry.clone().work());
    // Its jobs are asked for now; this test is their time.
    let soon = Timestamp::now() + SignedDuration::from_hours(2);
    let later = Timestamp::now() + SNAPSHOT_LIFE / 2 + SignedDuration::from_hours(2);
    while world.registry.work_once(soon).await.unwrap() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    work.abort();
    let (same, _) = snapshot(&world, &plain).await;
    assert_eq!(same.serial, first.serial, "not yet");
    assert!(world.registry.work_once(later).await.unwrap() > 0);
    let signed: SignedSnapshot = plain.get("/snapshot.json").await.json().await.unwrap();
    let renewed = signed.open(None, later).unwrap();
    assert_eq!((renewed.serial, &renewed.bins), (first.serial + 1, &first.bins));
    assert!(renewed.expires > first.expires);
}

/// A job whose doer died is done by the next one.
#[tokio::test]
async fn a_job_is_taken_again() {
    use windlass_registry_server::database::Jobs as _;
    let folder = tempfile::tempdir().unwrap();
    let database = Sqlite::open(folder.path()).await.unwrap();
    let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let minutes = SignedDuration::from_mins;
    assert_eq!(database.take(now, now).await.unwrap(), None);
    database.schedule("sweep", "a", now).await.unwrap();
    database.schedule("sweep", "a", now + minutes(5)).await.unwrap();
    let job = database.take(now, now + minutes(10)).await.unwrap().unwrap();
    assert_eq!((job.kind.as_str(), job.payload.as_str(), job.attempts), ("sweep", "a", 1));
    assert_eq!(database.take(now + minutes(9), now).await.unwrap(), None, "somebody does it");
    let job = database.take(now + minutes(10), now + minutes(20)).await.unwrap().unwrap();
    assert_eq!(job.attempts, 2, "who did it is dead");
    database.failed(&job, "no disk", now + minutes(30)).await.unwrap();
    assert_eq!(database.take(now + minutes(29), now).await.unwrap(), None);
    let job = database.take(now + minutes(30), now + minutes(40)).await.unwrap().unwrap();
    database.done(&job, Some(now + minutes(60))).await.unwrap();
    let job = database.take(now + minutes(60), now + minutes(70)).await.unwrap().unwrap();
    assert_eq!(job.attempts, 1, "a new round");
    database.done(&job, None).await.unwrap();
    assert_eq!(database.take(now + minutes(500), now).await.unwrap(), None);
}
