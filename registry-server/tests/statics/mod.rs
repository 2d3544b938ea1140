//! A registry that is nothing but files on a loopback port, which is a supported way to run one, and which can be made to
//! behave as a registry that was taken over, or a line that is bad.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, reason = "shared by several test programs")]

use crate::common::{Author, runtime};
use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, Response, StatusCode, header},
};
use ed25519_dalek::SigningKey;
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use windlass_contract::{Digest, PluginName};
use windlass_package::{
    Home,
    publish::{self, Prepared},
    release::{LINE_FORMAT, Release, Status, index_line},
    snapshot::{BinId, SNAPSHOT_FORMAT, SignedSnapshot, Snapshot, bin_text},
};

/// What a path answers with instead of its file: the request's headers, and how often it was asked before.
type Behaviour = Arc<dyn Fn(&HeaderMap, usize, Option<&[u8]>) -> Response<Body> + Send + Sync>;

/// One request that came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub authorization: Option<String>,
}

/// Everything that a registry says at one moment.
#[derive(Clone, Default)]
pub struct State {
    pub files: BTreeMap<String, Vec<u8>>,
    pub releases: BTreeMap<PluginName, Vec<Release>>,
    pub serial: u64,
}

#[derive(Default)]
struct Shared {
    state: State,
    behaviours: BTreeMap<String, Behaviour>,
    asked: Vec<Asked>,
}

pub struct StaticRegistry {
    pub address: String,
    pub key: SigningKey,
    shared: Arc<Mutex<Shared>>,
    /// The publisher's home.
    publisher: tempfile::TempDir,
}

impl StaticRegistry {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let serving = shared.clone();
        let router = axum::Router::new().fallback(move |request: Request| {
            let shared = serving.clone();
            async move { answer(&shared, &request) }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        let registry = StaticRegistry {
            address: format!("http://{host}"),
            key: SigningKey::from_bytes(&[5; 32]),
            shared,
            publisher: tempfile::tempdir().unwrap(),
        };
        let known = serde_json::json!({"preferredProtocol": "oci", "oci": {"registry": host, "namespacePrefix": ""}});
        registry.put("/.well-known/wasm-pkg/registry.json", known.to_string());
        registry
    }

    /// A home whose default registry is this.
    pub fn home(&self, folder: &std::path::Path) -> Home {
        Home::new(folder.to_owned()).with_registry(&self.address)
    }

    pub fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.shared.lock().unwrap().state.files.insert(path.to_owned(), bytes.into());
    }

    pub fn take(&self, path: &str) {
        self.shared.lock().unwrap().state.files.remove(path);
    }

    pub fn state(&self) -> State {
        self.shared.lock().unwrap().state.clone()
    }

    pub fn set_state(&self, state: State) {
        self.shared.lock().unwrap().state = state;
    }

    /// From now on the path answers so.
    pub fn behave(
        &self,
        path: &str,
        behaviour: impl Fn(&HeaderMap, usize, Option<&[u8]>) -> Response<Body> + Send + Sync + 'static,
    ) {
        self.shared.lock().unwrap().behaviours.insert(path.to_owned(), Arc::new(behaviour));
    }

    pub fn behave_again(&self) {
        self.shared.lock().unwrap().behaviours.clear();
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.lock().unwrap().asked)
    }

    pub fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.path).collect()
    }

    pub async fn prepare(&self, author: &Author) -> Prepared {
        let home = Home::new(self.publisher.path().to_owned());
        publish::prepare(&home, author.folder.path(), runtime(), false).await.expect("a sound plugin")
    }

    /// Publishes as a registry does: blobs, manifests, a line in the index, a new snapshot.
    pub async fn publish(&self, author: &Author) -> Release {
        let prepared = self.prepare(author).await;
        let manifest = &prepared.manifest;
        let repository = manifest.name.repository();
        for blob in &prepared.package.blobs {
            self.put(&format!("/v2/{repository}/blobs/{}", Digest::of(blob)), blob.clone());
        }
        let image = &prepared.package.manifest;
        self.put(&format!("/v2/{repository}/manifests/{}", Digest::of(image)), image.clone());
        self.put(
            &format!("/v2/{repository}/referrers/{}", Digest::of(image)),
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
        );
        let release = Release {
            v: LINE_FORMAT,
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            digest: prepared.plugin.digest,
            size: prepared.size,
            manifest: Digest::of(image),
            kinds: prepared.facts.kinds.clone(),
            steps: prepared.descriptor.steps.iter().map(|step| step.name.clone()).collect(),
            provider: prepared.descriptor.provider.as_ref().map(|provider| provider.name.clone()),
            contract: prepared.facts.contract.clone(),
            imports: prepared.facts.imports.clone(),
            permissions: manifest.permissions.clone(),
            dependencies: manifest.dependencies.clone(),
            engine: manifest.engine.clone(),
            summary: manifest.summary.clone(),
            keywords: manifest.keywords.clone(),
            licence: manifest.licence.clone(),
            source: manifest.source.clone(),
            published: Timestamp::now(),
            signature: prepared.request.signature.clone(),
            status: Status::Ok,
        };
        self.list(release.clone());
        release
    }

    /// Puts a line into the index, or in place of the one of its version, and signs a new snapshot.
    pub fn list(&self, release: Release) {
        let mut shared = self.shared.lock().unwrap();
        let lines = shared.state.releases.entry(release.name.clone()).or_default();
        lines.retain(|known| known.version != release.version);
        lines.push(release);
        drop(shared);
        self.write_index();
        self.sign();
    }

    /// Writes the documents of the index, without a new snapshot.
    pub fn write_index(&self) {
        for (name, lines) in self.state().releases {
            let document: String = lines.iter().map(index_line).collect();
            self.put(&format!("/index/{}", name.repository()), document);
        }
    }

    /// Signs a snapshot of the index as it is, for a week.
    pub fn sign(&self) {
        self.sign_as(&self.key, SignedDuration::ZERO, SignedDuration::from_hours(7 * 24));
    }

    /// Signs one that was made at `created` from now and is over at `expires` from now.
    pub fn sign_as(&self, key: &SigningKey, created: SignedDuration, expires: SignedDuration) {
        let mut state = self.state();
        let mut bins: BTreeMap<BinId, BTreeMap<PluginName, Digest>> = BTreeMap::new();
        for name in state.releases.keys() {
            let document = &state.files[&format!("/index/{}", name.repository())];
            bins.entry(BinId::of(name)).or_default().insert(name.clone(), Digest::of(document));
        }
        let texts: BTreeMap<_, _> = bins.into_iter().map(|(bin, documents)| (bin, bin_text(&documents))).collect();
        state.serial += 1;
        let snapshot = Snapshot {
            format: SNAPSHOT_FORMAT,
            serial: state.serial,
            created: Timestamp::now() + created,
            expires: Timestamp::now() + expires,
            bins: texts.iter().map(|(bin, text)| (*bin, Digest::of(text.as_bytes()))).collect(),
        };
        for text in texts.into_values() {
            state.files.insert(format!("/snapshot/bins/{}", Digest::of(text.as_bytes())), text.into_bytes());
        }
        let signed = serde_json::to_vec(&SignedSnapshot::sign(&snapshot, key)).unwrap();
        state.files.insert("/snapshot.json".to_owned(), signed);
        self.set_state(state);
    }
}

fn answer(shared: &Mutex<Shared>, request: &Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let headers = request.headers();
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    let (behaviour, file, before) = {
        let mut shared = shared.lock().unwrap();
        let before = shared.asked.iter().filter(|asked| asked.path == path).count();
        shared.asked.push(Asked { path: path.clone(), authorization });
        (shared.behaviours.get(&path).cloned(), shared.state.files.get(&path).cloned(), before)
    };
    match (behaviour, file) {
        (Some(behaviour), file) => behaviour(headers, before, file.as_deref()),
        (None, Some(bytes)) => {
            let etag = format!("\"{}\"", Digest::of(&bytes).short());
            if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == etag.as_str()) {
                return status(StatusCode::NOT_MODIFIED);
            }
            let mut response = Response::new(Body::from(bytes));
            response.headers_mut().insert(header::ETAG, etag.parse().unwrap());
            response
        }
        (None, None) => status(StatusCode::NOT_FOUND),
    }
}

pub fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

pub fn with(mut response: Response<Body>, name: header::HeaderName, value: &str) -> Response<Body> {
    response.headers_mut().insert(name, value.parse().unwrap());
    response
}

/// `bytes`, of which the connection breaks after `sent`.
pub fn cut(bytes: &[u8], sent: usize) -> Response<Body> {
    let first = Bytes::copy_from_slice(&bytes[..sent]);
    let breaks = async {
        // What was sent must be on its way first, and there is no event for that.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    };
    let parts = futures::stream::iter([Ok(first)]).chain(futures::stream::once(breaks));
    with(Response::new(Body::from_stream(parts)), header::CONTENT_LENGTH, &bytes.len().to_string())
}
