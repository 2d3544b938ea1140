//! A real registry on a loopback port, real components made from text, and a home for the client.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by several test programs")]

pub mod http;

use axum::{extract::Request, http::StatusCode, middleware::Next};
use reqwest::{Client, Method};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};
use windlass_contract::{CodedError as _, Digest, SecretValue};
use windlass_package::{
    Components, Consent, Home, Outcome, PackageError, install,
    install::Options,
    market::{Hit, PluginCard, SearchQuery},
    publish::{self, Prepared},
    release::Release,
};
use windlass_registry_server::{
    Registry, Settings,
    accounts::{self, Action, Namespace, NewToken, Scope, UserName},
    config::Config,
    database::{Accounts as _, By, Packages as _, Sqlite},
};
use windlass_runtime::Runtime;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// The sandbox that all tests of a program share, with its compiler: this crate's own binary as a child process.
pub static RUNTIME: LazyLock<(tempfile::TempDir, Runtime)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = windlass_runtime::Settings {
        cache_dir: folder.path().join("compiled"),
        compiler: env!("CARGO_BIN_EXE_registry-server").into(),
        concurrency: 2,
    };
    let runtime = Runtime::new(settings).expect("a runtime");
    (folder, runtime)
});

pub fn runtime() -> &'static Runtime {
    &RUNTIME.1
}

/// Imports of a core module, each of which becomes an import of the component.
pub const STATE: &str = r#"(import "windlass:plugin/state@0.1.0" "delete" (func (param i32 i32 i32)))"#;
pub const GROUP: &str = r#"(import "windlass:plugin/log@0.1.0" "group-end" (func))"#;
pub const ELSEWHERE: &str = r#"(import "other:place/thing@1.0.0" "go" (func))"#;

/// A step plugin that describes itself as `descriptor` and imports `imports`. `salt` makes its bytes its own.
pub fn component(descriptor: &str, imports: &str, salt: &str) -> Vec<u8> {
    const WORLDS: &str = "package test:guest;
        package other:place@1.0.0 { interface thing { go: func(); } }
        world guest { include windlass:plugin/step-plugin@0.1.0; import other:place/thing@1.0.0; }";
    let mut resolve = wit_parser::Resolve::default();
    resolve.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../wit")).expect("the contract");
    let package = resolve.push_str("test.wit", WORLDS).expect("the test's world");
    let world = resolve.select_world(&[package], Some("guest")).expect("a world");
    let text = descriptor.replace('\\', "\\\\").replace('"', "\\\"");
    let core = format!(
        r#"(module {imports}
            (memory (export "memory") 2)
            (global $heap (mut i32) (i32.const 65536))
            (data (i32.const 512) "{text}") (data (i32.const 60000) "{salt}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
                (global.set $heap (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            (func (export "windlass:plugin/step@0.1.0#describe") (result i32)
                (i32.store (i32.const 32) (i32.const 512)) (i32.store (i32.const 36) (i32.const {length}))
                (i32.const 32))
            (func (export "windlass:plugin/step@0.1.0#validate") (param i32 i32 i32 i32) (result i32) (i32.const 64))
            (func (export "windlass:plugin/step@0.1.0#run") (param i32 i32) (result i32) (i32.const 64))
            (func (export "windlass:plugin/step@0.1.0#recover") (param i32 i32) (result i32) (i32.const 0)))"#,
        length = descriptor.len()
    );
    let mut module = wat::parse_str(core).expect("a module");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    ComponentEncoder::default().validate(true).module(&module).expect("a module").encode().expect("a component")
}

pub const DESCRIPTOR: &str =
    r#"{"steps":[{"name":"step.echo","summary":"Say it again.","effect":"pure","config_schema":{"type":"object"}}]}"#;

/// A plugin's folder, as an author has it.
pub struct Author {
    pub folder: tempfile::TempDir,
    pub wasm: Vec<u8>,
}

impl Author {
    pub fn new(name: &str, version: &str, permissions: &str, wasm: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let author = Author { folder, wasm };
        author.write("plugin.wasm", &author.wasm);
        author.write("README.md", b"# Echo\nSays it again.\n");
        let yaml = format!(
            "name: {name}\nversion: {version}\nsummary: Say it again\nlicence: Apache-2.0\nreadme: README.md\ncomponent: plugin.wasm\npermissions: {permissions}\n"
        );
        author.write("plugin.yaml", yaml.as_bytes());
        author
    }

    pub fn manifest(&self) -> windlass_package::manifest::Manifest {
        windlass_package::manifest::Manifest::load(self.folder.path()).expect("a sound plugin.yaml").0
    }

    pub fn write(&self, file: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(file), bytes).expect("a file");
    }
}

/// A registry that listens, with what a client needs to use it.
pub struct World {
    pub folder: tempfile::TempDir,
    pub address: String,
    /// Owns the namespaces `acme` and `windlass`.
    pub token: String,
    pub registry: Registry,
    requests: Arc<AtomicUsize>,
    challenges: Arc<AtomicUsize>,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Arc::new(runtime().clone())).await
    }

    pub async fn with(components: Arc<dyn Components>) -> Self {
        Self::configured(components, Config::default()).await
    }

    pub async fn configured(components: Arc<dyn Components>, config: Config) -> Self {
        // Fails when a provider is there already, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let data = folder.path().join("registry");
        let public = address.parse().expect("a URL");
        let settings = Settings { data: data.clone(), public, components, config };
        let registry = Registry::open(settings).await.expect("a registry");
        let token = token(&data, &["acme", "windlass"], &[Action::Publish, Action::Yank, Action::Delete]).await;
        let (requests, challenges) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (count, count_challenges) = (requests.clone(), challenges.clone());
        let router = registry.clone().router().layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            count.fetch_add(1, Ordering::SeqCst);
            let challenges = count_challenges.clone();
            async move {
                let response = next.run(request).await;
                let is_challenge = response.status() == StatusCode::UNAUTHORIZED;
                challenges.fetch_add(usize::from(is_challenge), Ordering::SeqCst);
                response
            }
        }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        World { folder, address, token, registry, requests, challenges }
    }

    /// How many requests came since the last time.
    pub fn requests(&self) -> usize {
        self.requests.swap(0, Ordering::SeqCst)
    }

    /// How many requests were answered that they need a token.
    pub fn challenges(&self) -> usize {
        self.challenges.load(Ordering::SeqCst)
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("registry")
    }

    pub fn project(&self) -> PathBuf {
        let project = self.folder.path().join("project");
        std::fs::create_dir_all(&project).expect("a folder");
        project
    }

    /// The publisher's home.
    pub fn publisher(&self) -> Home {
        Home::new(self.folder.path().join("publisher")).with_registry(&self.address)
    }

    /// A user's home.
    pub fn home(&self, name: &str) -> Home {
        Home::new(self.folder.path().join(name)).with_registry(&self.address)
    }

    pub fn secret(&self) -> Option<SecretValue> {
        Some(SecretValue::new(self.token.clone().into_bytes()))
    }

    pub async fn prepare(&self, author: &Author) -> Prepared {
        publish::prepare(&self.publisher(), author.folder.path(), runtime(), false).await.expect("a sound plugin")
    }

    pub async fn push(&self, prepared: &Prepared) -> Result<Release, PackageError> {
        publish::push(&self.publisher(), prepared, self.secret()).await
    }

    pub async fn publish(&self, author: &Author) -> Release {
        self.push(&self.prepare(author).await).await.expect("published")
    }

    pub async fn install(&self, home: &Home, what: &str, consent: Consent<'_>) -> Result<Vec<Outcome>, PackageError> {
        self.install_with(home, what, Options::default(), consent).await
    }

    /// The plugin's document of the index.
    pub async fn index(&self, plugin: &str) -> String {
        let database = Sqlite::open(&self.data()).await.expect("the database");
        let document = database.document(&plugin.parse().expect("a name")).await.expect("the index");
        String::from_utf8(document.expect("a document").body.to_vec()).expect("text")
    }

    pub async fn install_with(
        &self,
        home: &Home,
        what: &str,
        options: Options,
        consent: Consent<'_>,
    ) -> Result<Vec<Outcome>, PackageError> {
        let requests = [what.parse().expect("a request")];
        install(home, &self.project(), runtime(), &requests, options, consent).await
    }
}

/// What speaks plain HTTP with a registry.
pub struct Plain<'a> {
    pub world: &'a World,
    pub http: Client,
}

impl<'a> Plain<'a> {
    pub fn new(world: &'a World) -> Self {
        // reqwest is built without a TLS provider of its own; the client under test installs it.
        let home = world.home("plain");
        windlass_package::client::Registry::new(&home, world.address.parse().expect("a URL"), None).expect("a client");
        Plain { world, http: Client::builder().no_proxy().build().expect("a client") }
    }

    pub async fn send(&self, method: Method, path: &str, token: Option<&str>, body: Vec<u8>) -> reqwest::Response {
        let mut request = self.http.request(method, format!("{}{path}", self.world.address)).body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.expect("an answer")
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.send(Method::GET, path, None, Vec::new()).await
    }

    pub async fn check(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: &[u8],
        expect: (reqwest::StatusCode, &str),
    ) {
        let answer = self.send(method.clone(), path, token, body.to_vec()).await;
        let status = answer.status();
        let body: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).unwrap_or_default();
        let code = body["errors"][0]["code"].as_str().unwrap_or_default();
        assert_eq!((status, code), expect, "{method} {path}: {body}");
    }

    /// A call of the registry's own API: the status, and the body or the one error.
    pub async fn api(&self, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}/api/v1/{path}", self.world.address));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).unwrap_or_default();
        (status, body)
    }

    /// The same, as one line: the status and what went wrong.
    pub async fn words(&self, method: Method, path: &str, token: &str, body: Value) -> String {
        let (status, body) = self.api(method, path, token, body).await;
        let error = &body["errors"][0];
        match error["code"].as_str() {
            Some(code) => format!("{status} {code} {}", error["message"].as_str().unwrap_or_default()),
            None => status.to_string(),
        }
    }
}

/// A user's token for all of its namespaces, as the operator makes it.
pub async fn user(data: &Path, name: &str, admin: bool, actions: &[Action]) -> String {
    let database = Sqlite::open(data).await.expect("the database");
    let name: UserName = name.parse().expect("a user");
    let user = match database.user(&name).await.expect("the users") {
        Some(user) => user,
        None => database.add_user(&name, admin, &By::operator()).await.expect("a user"),
    };
    let scope = Scope { actions: actions.iter().copied().collect(), namespaces: None };
    let new = NewToken::for_days("test", scope, 1).expect("a token");
    accounts::create_token(&database, Some(user), new, &By::operator()).await.expect("a token").0
}

/// What a user's search finds: the plugins of the first page.
pub async fn search(home: &Home, words: &str) -> Vec<PluginCard> {
    let query = SearchQuery { q: words.to_owned(), ..SearchQuery::default() };
    let found = windlass_package::installed::search(home, &query).await.expect("an answer");
    let plugin = |hit| match hit {
        Hit::Plugin(card) => Some(card),
        Hit::Native(_) => None,
    };
    found.hits.into_iter().filter_map(plugin).collect()
}

/// A token of the operator's, as `registry-server token create` makes it beside the server.
pub async fn token(data: &Path, namespaces: &[&str], actions: &[Action]) -> String {
    let namespaces: Vec<Namespace> = namespaces.iter().map(|text| text.parse().expect("a namespace")).collect();
    let database = Sqlite::open(data).await.expect("the database");
    let actions = actions.iter().copied().collect();
    accounts::create_operator_token(&database, "ci", &namespaces, actions, 1).await.expect("a token")
}

/// An error as a person reads it, with what differs from run to run replaced.
pub fn words(world: &World, error: &PackageError) -> String {
    let mut text =
        format!("{} {error}\n{}", error.code(), error.help().unwrap_or_default()).replace(&world.address, "REGISTRY");
    for prefix in ["ed25519:", "sha256:"] {
        let parts: Vec<String> = text
            .split(prefix)
            .enumerate()
            .map(|(i, part)| match i {
                0 => part.to_owned(),
                _ => part.trim_start_matches(|c: char| c.is_ascii_hexdigit()).to_owned(),
            })
            .collect();
        text = parts.join(&format!("{prefix}…"));
    }
    text
}

pub fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|e| e.expect("an entry").file_name().display().to_string()).collect();
    names.sort();
    names
}

pub fn digest(bytes: &[u8]) -> Digest {
    Digest::of(bytes)
}
