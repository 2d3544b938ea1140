//! Trusted publishing against a small real issuer on loopback: discovery, keys, tokens signed with generated keys.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

mod common;

use axum::{Json, Router, routing::get};
use base64::Engine as _;
use common::{Plain, World, runtime, token};
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp, jwk::Jwk};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};
use windlass_registry_server::{accounts::Action, config::Config};

const AUDIENCE: &str = "https://plugins.example.com";

/// A CI system's issuer.
struct Issuer {
    url: String,
    keys: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicUsize>,
}

/// A key of an issuer, with the half that it publishes.
struct Key {
    algorithm: Algorithm,
    id: &'static str,
    secret: EncodingKey,
    published: Value,
}

impl Key {
    fn ed25519(id: &'static str, seed: u8) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let der = key.to_pkcs8_der().unwrap();
        let x = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key.verifying_key().to_bytes());
        let published = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": id, "alg": "EdDSA"});
        Key { algorithm: Algorithm::EdDSA, id, secret: EncodingKey::from_ed_der(der.as_bytes()), published }
    }

    fn p256(id: &'static str) -> Self {
        use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
        let random = ring::rand::SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Key::of(Algorithm::ES256, id, EncodingKey::from_ec_der(der.as_ref()))
    }

    fn rsa(id: &'static str) -> Self {
        let pem = include_bytes!("data/issuer-for-tests-only.pem");
        Key::of(Algorithm::RS256, id, EncodingKey::from_rsa_pem(pem).unwrap())
    }

    fn of(algorithm: Algorithm, id: &'static str, secret: EncodingKey) -> Self {
        let mut key = Jwk::from_encoding_key(&secret, algorithm).unwrap();
        key.common.key_id = Some(id.to_owned());
        Key { algorithm, id, secret, published: serde_json::to_value(key).unwrap() }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.secret).unwrap()
    }
}

impl Issuer {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (keys, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let discovery = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        let (published, count) = (keys.clone(), asked.clone());
        let set = move || {
            count.fetch_add(1, Ordering::SeqCst);
            let set = json!({"keys": *published.lock().unwrap()});
            async move { Json(set) }
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(move || async move { Json(discovery) }))
            .route("/keys", get(set));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Issuer { url, keys, asked }
    }

    fn publish(&self, keys: &[&Key]) {
        *self.keys.lock().unwrap() = keys.iter().map(|key| key.published.clone()).collect();
    }

    fn claims(&self, jti: &str) -> Value {
        let now = get_current_timestamp();
        json!({
            "iss": self.url, "aud": AUDIENCE, "sub": "repo:acme/slack:ref:refs/heads/main", "jti": jti,
            "iat": now, "nbf": now, "exp": now + 300,
            "repository": "acme/slack", "environment": "release", "event_name": "push", "run_attempt": 1,
        })
    }
}

async fn world(issuer: &Issuer) -> World {
    let text = format!("[[issuers]]\nurl = \"{}\"\naudience = \"{AUDIENCE}\"\n", issuer.url);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    World::configured(Arc::new(runtime().clone()), Config::load(file.path()).unwrap()).await
}

async fn exchange(plain: &Plain<'_>, token: &str, namespace: &str) -> (u16, Value) {
    plain.api(Method::POST, "trusted-publishing/token", "", json!({"token": token, "namespace": namespace})).await
}

async fn trust(world: &World, plain: &Plain<'_>, issuer: &str, claims: Value) -> (u16, Value) {
    let owner = token(&world.data(), &["acme"], &[Action::Owners]).await;
    let body = json!({"issuer": issuer, "claims": claims});
    plain.api(Method::POST, "namespaces/acme/trusted-publishers", &owner, body).await
}

#[tokio::test]
async fn a_workload_publishes_for_a_quarter_of_an_hour() {
    let issuer = Issuer::start().await;
    let world = world(&issuer).await;
    let plain = Plain::new(&world);
    let key = Key::ed25519("one", 1);
    issuer.publish(&[&key]);
    assert_eq!(exchange(&plain, &key.sign(&issuer.claims("0")), "acme").await.0, 401, "nobody trusts it yet");
    let (status, added) =
        trust(&world, &plain, &issuer.url, json!({"repository": "acme/slack", "run_attempt": "1"})).await;
    assert_eq!(status, 201, "{added}");

    let (status, body) = exchange(&plain, &key.sign(&issuer.claims("1")), "acme").await;
    assert_eq!(status, 200, "{body}");
    let token = body["token"].as_str().unwrap();
    let life =
        body["expires"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().duration_since(jiff::Timestamp::now());
    assert!((14..=15).contains(&life.as_mins()), "{life}");
    let post = async |path: &str| plain.send(Method::POST, path, Some(token), Vec::new()).await.status().as_u16();
    assert_eq!(post("/v2/acme/slack/blobs/uploads/").await, 202);
    assert_eq!(post("/v2/windlass/slack/blobs/uploads/").await, 403, "that namespace and no other");
    let reason = json!({"reason": "x"});
    assert_eq!(
        plain.api(Method::PUT, "plugins/acme/slack/1.0.0/yank", token, reason).await.0,
        403,
        "nothing but publishing"
    );
    assert_eq!(plain.api(Method::GET, "tokens", token, Value::Null).await.0, 403);

    // Taken back.
    let owner = common::token(&world.data(), &["acme"], &[Action::Owners]).await;
    let (_, listed) = plain.api(Method::GET, "namespaces/acme/trusted-publishers", &owner, Value::Null).await;
    let path = format!("namespaces/acme/trusted-publishers/{}", listed[0]["id"]);
    assert_eq!(plain.api(Method::DELETE, &path, &owner, Value::Null).await.0, 204);
    assert_eq!(exchange(&plain, &key.sign(&issuer.claims("2")), "acme").await.0, 401);
}

#[tokio::test]
async fn each_algorithm() {
    let issuer = Issuer::start().await;
    let world = world(&issuer).await;
    let plain = Plain::new(&world);
    trust(&world, &plain, &issuer.url, json!({"repository": "acme/slack"})).await;
    let keys = [Key::ed25519("ed", 1), Key::p256("ec"), Key::rsa("rsa")];
    issuer.publish(&keys.iter().collect::<Vec<_>>());
    for key in &keys {
        let (status, body) = exchange(&plain, &key.sign(&issuer.claims(key.id)), "acme").await;
        assert_eq!(status, 200, "{}: {body}", key.id);
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 1, "its keys are asked for once");
}

#[tokio::test]
async fn what_is_not_believed() {
    let issuer = Issuer::start().await;
    let other = Issuer::start().await;
    let world = world(&issuer).await;
    let plain = Plain::new(&world);
    trust(&world, &plain, &issuer.url, json!({"repository": "acme/slack", "environment": "release"})).await;
    let key = Key::ed25519("one", 1);
    issuer.publish(&[&key]);
    let mut all = Vec::new();
    let mut case = async |what: &str, token: String| {
        let (status, body) = exchange(&plain, &token, "acme").await;
        let error = &body["errors"][0];
        let words = format!("{} {}", error["code"].as_str().unwrap_or("-"), error["message"].as_str().unwrap_or("-"));
        all.push(format!("{what}: {status} {}", words.replace(&other.url, "OTHER").replace(&issuer.url, "ISSUER")));
    };
    let with = |claim: &str, value: Value| {
        let mut claims = issuer.claims(claim);
        claims[claim] = value;
        key.sign(&claims)
    };
    let without = |claim: &str| {
        let mut claims = issuer.claims(claim);
        claims.as_object_mut().unwrap().remove(claim);
        key.sign(&claims)
    };
    let now = get_current_timestamp();
    case("sound", key.sign(&issuer.claims("1"))).await;
    case("replayed", key.sign(&issuer.claims("1"))).await;
    case("no token", "x".to_owned()).await;
    case("another issuer", with("iss", json!(other.url))).await;
    case("almost the issuer", with("iss", json!(format!("{}/", issuer.url)))).await;
    case("another audience", with("aud", json!("https://elsewhere.example.com"))).await;
    case("no audience", without("aud")).await;
    case("expired", with("exp", json!(now - 61))).await;
    case("expired within the leeway", with("exp", json!(now - 30))).await;
    case("not yet", with("nbf", json!(now + 120))).await;
    case("for ever", with("exp", json!(now + 30 * 24 * 3600))).await;
    case("never ends", without("exp")).await;
    case("no jti", without("jti")).await;
    case("no subject", without("sub")).await;
    case("another repository", with("repository", json!("acme/slack-evil"))).await;
    case("a claim that is a list", with("repository", json!(["acme/slack"]))).await;
    case("no environment", without("environment")).await;
    case("a stranger's change", with("event_name", json!("pull_request_target"))).await;
    case("after a stranger's change", with("event_name", json!("workflow_run"))).await;
    case("too long", with("sub", json!("x".repeat(20_000)))).await;
    // Signed by others.
    case("a stranger's key", Key::ed25519("one", 2).sign(&issuer.claims("2"))).await;
    case("a key that it does not have", Key::ed25519("two", 1).sign(&issuer.claims("3"))).await;
    case("another algorithm under that key's name", Key::p256("one").sign(&issuer.claims("4"))).await;
    let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
    let public = issuer.keys.lock().unwrap()[0].to_string();
    let secret = EncodingKey::from_secret(public.as_bytes());
    case("the public key as a secret", encode(&header, &issuer.claims("5"), &secret).unwrap()).await;
    let sound = key.sign(&issuer.claims("6"));
    let [_, claims, _] = sound.split('.').collect::<Vec<_>>()[..] else { panic!() };
    case("unsigned", format!("eyJhbGciOiJub25lIiwia2lkIjoib25lIn0.{claims}.")).await;
    // Of 64 bytes 60 are left.
    let (head, signature) = sound.rsplit_once('.').unwrap();
    case("a cut signature", format!("{head}.{}", &signature[..80])).await;
    insta::assert_snapshot!(all.join("\n"), @r#"
    sound: 200 - -
    replayed: 401 WL0943 the token was exchanged already
    no token: 401 WL0941 the token cannot be believed: it is not a signed JSON Web Token
    another issuer: 401 WL0940 the token's issuer "OTHER" is not one that this registry believes
    almost the issuer: 401 WL0940 the token's issuer "ISSUER/" is not one that this registry believes
    another audience: 401 WL0941 the token cannot be believed: it was made for another audience
    no audience: 401 WL0941 the token cannot be believed: it has no claim aud
    expired: 401 WL0941 the token cannot be believed: its time is over
    expired within the leeway: 200 - -
    not yet: 401 WL0941 the token cannot be believed: its time has not come
    for ever: 401 WL0941 the token cannot be believed: it lives for more than 86400 seconds
    never ends: 401 WL0941 the token cannot be believed: it has no claim exp
    no jti: 401 WL0941 the token cannot be believed: it has no jti of its own
    no subject: 401 WL0941 the token cannot be believed: it has no claim sub
    another repository: 401 WL0942 the token is sound, and no trusted publisher of acme is known by its claims
    a claim that is a list: 401 WL0942 the token is sound, and no trusted publisher of acme is known by its claims
    no environment: 401 WL0942 the token is sound, and no trusted publisher of acme is known by its claims
    a stranger's change: 401 WL0941 the token cannot be believed: it is of the event pull_request_target, in which strangers' changes run
    after a stranger's change: 401 WL0941 the token cannot be believed: it is of the event workflow_run, in which strangers' changes run
    too long: 401 WL0941 the token cannot be believed: it has more than 16384 bytes
    a stranger's key: 401 WL0941 the token cannot be believed: its signature does not hold
    a key that it does not have: 401 WL0941 the token cannot be believed: its issuer has no such key
    another algorithm under that key's name: 401 WL0941 the token cannot be believed: its key is for another algorithm
    the public key as a secret: 401 WL0941 the token cannot be believed: its algorithm HS256 is not RS256, ES256 or EdDSA
    unsigned: 401 WL0941 the token cannot be believed: it is not a signed JSON Web Token
    a cut signature: 401 WL0941 the token cannot be believed: its signature does not hold
    "#);

    let (status, body) = exchange(&plain, &sound, "windlass").await;
    assert_eq!((status, &body["errors"][0]["code"]), (401, &json!("WL0942")), "another namespace trusts nobody");
    let (status, body) = trust(&world, &plain, &other.url, json!({"repository": "acme/slack"})).await;
    assert_eq!(status, 400, "an issuer that is not on the list: {body}");
    let (status, body) = trust(&world, &plain, &issuer.url, json!({"event_name": "push"})).await;
    assert_eq!(status, 400, "claims that everybody has: {body}");
}

/// An issuer changes its keys: a new one is found, and who makes keys up does not make us ask for each.
#[tokio::test]
async fn keys_are_asked_for_once_in_a_while() {
    let issuer = Issuer::start().await;
    let world = world(&issuer).await;
    let plain = Plain::new(&world);
    trust(&world, &plain, &issuer.url, json!({"repository": "acme/slack"})).await;
    let (old, new) = (Key::ed25519("old", 1), Key::ed25519("new", 2));
    issuer.publish(&[&old]);
    assert_eq!(exchange(&plain, &old.sign(&issuer.claims("1")), "acme").await.0, 200);
    issuer.publish(&[&old, &new]);
    for n in 0..5 {
        let made_up = Key::ed25519("made-up", 3);
        assert_eq!(exchange(&plain, &made_up.sign(&issuer.claims(&format!("x{n}"))), "acme").await.0, 401);
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 1, "at most once a minute");
}

#[tokio::test]
async fn an_issuer_that_does_not_answer() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let issuer = Issuer { url, keys: Arc::default(), asked: Arc::default() };
    let world = world(&issuer).await;
    let plain = Plain::new(&world);
    for n in 0..2 {
        let token = Key::ed25519("one", 1).sign(&issuer.claims(&n.to_string()));
        let (status, body) = exchange(&plain, &token, "acme").await;
        assert_eq!((status, &body["errors"][0]["code"]), (503, &json!("WL0944")), "{body}");
    }
}
