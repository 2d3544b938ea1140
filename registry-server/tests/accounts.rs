//! Who may do what: tokens and their scopes, namespaces and their owners, keys; and that all of it is written down.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

mod common;

use common::{Author, DESCRIPTOR, GROUP, Plain, World, component, runtime, user};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use windlass_package::signature::PublisherKey;
use windlass_registry_server::{
    accounts::Action,
    config::Config,
    limits::{Rate, Rates},
};

const ALL: &[Action] = &[Action::Publish, Action::Yank, Action::Delete, Action::Owners, Action::Claim];

fn key(seed: u8) -> String {
    PublisherKey::of(&ed25519_dalek::SigningKey::from_bytes(&[seed; 32])).to_string()
}

#[tokio::test]
async fn namespaces_and_their_owners() {
    let world = World::new().await;
    let plain = Plain::new(&world);
    let ada = user(&world.data(), "ada", false, ALL).await;
    let bob = user(&world.data(), "bob", false, ALL).await;
    let mut all = Vec::new();
    let mut case = async |what: &str, method: Method, path: &str, token: &str, body: Value| {
        all.push(format!("{what}: {}", plain.words(method, path, token, body).await));
    };
    let name = |text: &str| json!({"name": text});
    let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
    case("nobody claims", post.clone(), "namespaces", "", name("ada")).await;
    case("ada claims", post.clone(), "namespaces", &ada, name("ada-tools")).await;
    case("it is taken", post.clone(), "namespaces", &bob, name("ada-tools")).await;
    case("too like", post.clone(), "namespaces", &bob, name("adatools")).await;
    case("her own may be like it", post.clone(), "namespaces", &ada, name("adatools")).await;
    case("reserved", post.clone(), "namespaces", &ada, name("official")).await;
    case("no name", post.clone(), "namespaces", &ada, name("../x")).await;
    case("a stranger adds himself", put.clone(), "namespaces/ada-tools/owners/bob", &bob, Value::Null).await;
    case("the last owner", delete.clone(), "namespaces/ada-tools/owners/ada", &ada, Value::Null).await;
    case("no such user", put.clone(), "namespaces/ada-tools/owners/eve", &ada, Value::Null).await;
    case("ada adds bob", put.clone(), "namespaces/ada-tools/owners/bob", &ada, Value::Null).await;
    case("bob removes ada", delete.clone(), "namespaces/ada-tools/owners/ada", &bob, Value::Null).await;
    case("ada is out", put.clone(), "namespaces/ada-tools/owners/ada", &ada, Value::Null).await;
    case("bob adds a key", post.clone(), "namespaces/ada-tools/keys", &bob, json!({"key": key(1)})).await;
    case("no key", post.clone(), "namespaces/ada-tools/keys", &bob, json!({"key": "ed25519:00"})).await;
    let path = format!("namespaces/ada-tools/keys/{}", key(1));
    case("revoked without a reason", delete.clone(), &path, &bob, json!({"reason": " "})).await;
    case("revoked", delete.clone(), &path, &bob, json!({"reason": "the laptop is gone"})).await;
    case("not again", post.clone(), "namespaces/ada-tools/keys", &bob, json!({"key": key(1)})).await;
    case("the log is not for all", get.clone(), "audit", &bob, Value::Null).await;
    insta::assert_snapshot!(all.join("\n").replace(&key(1), "KEY"), @r#"
    nobody claims: 401 WL0930 this needs a token of the registry
    ada claims: 201
    it is taken: 409 WL0957 the namespace ada-tools has an owner
    too like: 409 WL0957 the namespace adatools is too like ada-tools, which is there already
    her own may be like it: 201
    reserved: 409 WL0957 the namespace official is reserved; the registry's operator gives it away
    no name: 400 WL0958 the request's body cannot be used: name: "../x" is not a namespace: write lower-case letters, digits and single hyphens, starting with a letter, at most 64 characters at line 1 column 15
    a stranger adds himself: 403 WL0901 this token does not own the namespace ada-tools
    the last owner: 409 WL0957 ada is the last owner of ada-tools; add another one first
    no such user: 404 WL0956 there is no user eve
    ada adds bob: 204
    bob removes ada: 204
    ada is out: 403 WL0901 this token does not own the namespace ada-tools
    bob adds a key: 204
    no key: 400 WL0958 the request's body cannot be used: key: a publisher's key is written ed25519: and 64 hex digits at line 1 column 20
    revoked without a reason: 400 WL0958 the request's body cannot be used: reason: a reason is one line of 1 to 500 characters, without control characters; this one has 0 at line 1 column 14
    revoked: 204
    not again: 409 WL0957 the key KEY of ada-tools was revoked; make a new one
    the log is not for all: 403 WL0901 this needs an administrator's token for the action admin
    "#);

    // Those who lose something hear of it.
    let (_, notices) = plain.api(Method::GET, "notices", &ada, Value::Null).await;
    let words: Vec<_> = notices.as_array().unwrap().iter().map(|notice| notice["words"].as_str().unwrap()).collect();
    insta::assert_debug_snapshot!(words, @r#"
    [
        "ada does not own ada-tools any more, by bob",
        "bob owns ada-tools too, by ada",
    ]
    "#);
    let root = user(&world.data(), "root", true, &[Action::Admin]).await;
    let (_, audit) = plain.api(Method::GET, "audit?namespace=ada-tools", &root, Value::Null).await;
    let line = |line: &Value| {
        let [actor, action, subject, detail] =
            ["actor", "action", "subject", "detail"].map(|key| line[key].as_str().unwrap());
        assert!(line["token"].is_string(), "{line}");
        format!("{actor}: {action} {subject} {detail}").replace(&key(1), "KEY").trim_end().to_owned()
    };
    insta::assert_snapshot!(audit.as_array().unwrap().iter().map(line).collect::<Vec<_>>().join("\n"), @"
    bob: key revoke KEY the laptop is gone
    bob: key add KEY
    bob: owner remove ada
    ada: owner add bob
    ada: claim ada
    ");
}

#[tokio::test]
async fn tokens_make_no_more_than_themselves() {
    let world = World::new().await;
    let plain = Plain::new(&world);
    let ada = user(&world.data(), "ada", false, &[Action::Publish, Action::Claim]).await;
    let bob = user(&world.data(), "bob", false, ALL).await;
    let create = async |token: &str, body: Value| plain.api(Method::POST, "tokens", token, body).await;
    assert_eq!(plain.api(Method::POST, "namespaces", &ada, json!({"name": "ada"})).await.0, 201);

    let (status, made) =
        create(&ada, json!({"name": "ci", "actions": ["publish"], "namespaces": ["ada"], "days": 7})).await;
    assert_eq!(status, 201);
    let (text, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    for (what, body) in [
        ("more than she may", json!({"name": "x", "actions": ["publish", "yank"]})),
        ("an administrator's", json!({"name": "x", "actions": ["admin"]})),
    ] {
        assert_eq!(create(&ada, body).await.0, 403, "{what}");
    }
    for (what, body) in [
        ("for ever", json!({"name": "x", "actions": ["publish"], "days": 10_000})),
        ("for nothing", json!({"name": "x", "actions": []})),
        ("without a name", json!({"name": "", "actions": ["publish"]})),
    ] {
        assert_eq!(create(&ada, body).await.0, 400, "{what}");
    }
    // It is bound to its namespace: it makes no tokens, and claims nothing.
    assert_eq!(create(text, json!({"name": "x", "actions": ["publish"]})).await.0, 403);
    assert_eq!(plain.api(Method::POST, "namespaces", text, json!({"name": "more"})).await.0, 403);

    let upload = |namespace: &str| format!("/v2/{namespace}/x/blobs/uploads/");
    assert_eq!(plain.send(Method::POST, &upload("ada"), Some(text), Vec::new()).await.status(), 202);
    assert_eq!(plain.send(Method::POST, &upload("acme"), Some(text), Vec::new()).await.status(), 403);
    let (_, listed) = plain.api(Method::GET, "tokens", &ada, Value::Null).await;
    let listed = listed.as_array().unwrap().iter().find(|token| token["id"] == id).unwrap();
    assert!(listed["last_used"].is_string(), "{listed}");
    let secret = text.rsplit('_').next().unwrap();
    assert!(!listed.to_string().contains(secret));

    // What is on the disk is no secret that works.
    let files = std::fs::read_dir(world.data()).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|path| path.is_file()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{}", file.display());
    }

    let path = format!("tokens/{id}");
    assert_eq!(plain.api(Method::DELETE, &path, &bob, Value::Null).await.0, 404, "not his");
    assert_eq!(plain.api(Method::DELETE, &path, &ada, Value::Null).await.0, 204);
    assert_eq!(plain.send(Method::POST, &upload("ada"), Some(text), Vec::new()).await.status(), 401);
    // Who loses a namespace loses it with all tokens.
    assert_eq!(plain.api(Method::PUT, "namespaces/ada/owners/bob", &ada, Value::Null).await.0, 403, "not for that");
}

/// A namespace may have several keys; a revoked one signs nothing new.
#[tokio::test]
async fn keys_of_a_namespace() {
    let world = World::new().await;
    let plain = Plain::new(&world);
    let author = |version: &str| Author::new("acme:echo", version, "{}", component(DESCRIPTOR, GROUP, version));
    let bound = world.publish(&author("1.0.0")).await.signature.unwrap().key;
    let token = common::token(&world.data(), &["acme"], &[Action::Owners]).await;
    let other = world.home("other");
    let publish = async |version: &str| {
        let author = author(version);
        let prepared =
            windlass_package::publish::prepare(&other, author.folder.path(), runtime(), false).await.unwrap();
        windlass_package::publish::push(&other, &prepared, world.secret()).await.map_err(|error| error.to_string())
    };
    let refused = publish("1.0.1").await.unwrap_err();
    assert!(refused.contains("WL0913"), "{refused}");
    let own = PublisherKey::of(&other.make_signing_key("acme").unwrap());
    let add = plain.api(Method::POST, "namespaces/acme/keys", &token, json!({"key": own})).await;
    assert_eq!(add.0, 204, "{add:?}");
    publish("1.0.1").await.unwrap();
    let path = format!("namespaces/acme/keys/{own}");
    assert_eq!(plain.api(Method::DELETE, &path, &token, json!({"reason": "lost"})).await.0, 204);
    assert!(publish("1.0.2").await.unwrap_err().contains("WL0913"));
    let (_, listed) = plain.api(Method::GET, "namespaces/acme/keys", "", Value::Null).await;
    let listed: Vec<_> =
        listed.as_array().unwrap().iter().map(|key| (key["key"].clone(), key["reason"].clone())).collect();
    assert_eq!(listed, [(json!(bound), Value::Null), (json!(own), json!("lost"))]);
}

#[tokio::test]
async fn limits() {
    let one = Rate { per_minute: 0.001, burst: 1 };
    let limits = Rates { new_packages: one, failed_tokens: one, reads: one, ..Rates::default() };
    let config = Config { behind_proxy: true, limits, ..Config::default() };
    let world = World::configured(Arc::new(runtime().clone()), config).await;
    let plain = Plain::new(&world);
    let get = async |path: &str, from: &str, token: Option<&str>| {
        let mut request = plain.http.get(format!("{}{path}", world.address)).header("x-forwarded-for", from);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.headers().contains_key("retry-after"))
    };
    let index = "/index/acme/none";
    assert_eq!(get(index, "192.0.2.1", None).await, (404, false));
    assert_eq!(get(index, "192.0.2.1", None).await, (429, true));
    assert_eq!(
        get(index, "203.0.113.9, 192.0.2.1", None).await,
        (429, true),
        "what the client wrote counts for nothing"
    );
    assert_eq!(get(index, "192.0.2.2", None).await, (404, false), "another");
    assert_eq!(get(index, "127.0.0.1", None).await, (404, false));
    assert_eq!(get(index, "127.0.0.1", None).await, (404, false), "this machine itself");
    // Guessing.
    assert_eq!(get("/v2/", "192.0.2.3", Some("wlr_guess")).await, (401, false));
    assert_eq!(get("/v2/", "192.0.2.3", Some("wlr_guess")).await, (429, true));
    assert_eq!(get("/v2/", "192.0.2.3", Some(&world.token)).await, (200, false), "a token that works does");
    // Names.
    let ada = user(&world.data(), "ada", false, ALL).await;
    assert_eq!(plain.api(Method::POST, "namespaces", &ada, json!({"name": "ada"})).await.0, 201);
    let (status, body) = plain.api(Method::POST, "namespaces", &ada, json!({"name": "more"})).await;
    assert_eq!((status, &body["errors"][0]["code"]), (429, &json!("WL0931")), "{body}");
}
