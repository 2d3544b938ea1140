//! Real capabilities, with each call written down.

use crate::{
    form,
    refusal::Refused,
    session::{Answer, Call, MAX_CALLS, Session, TOTAL_DATA_BYTES, piece},
    veil::{Redactor, Veil},
};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use windlass_contract::{
    ArtifactKey, Capabilities, Digest, SecretValue,
    capability::{
        Artifact, ArtifactError, ArtifactReader, ArtifactWriter, Artifacts, Container, ContainerError, ContainerSpec,
        Containers, Exit, Http, HttpError, HttpRequest, HttpResponse, Output, Secret, SecretError, Secrets,
    },
};

/// Writes down what a plugin asks of real capabilities, and what they answer.
pub struct Recorder(Arc<Tape>);

struct Tape {
    veil: Veil,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    session: Session,
    /// How many of each resource there are.
    counts: BTreeMap<&'static str, u32>,
    /// The artifacts that were handed out. A real capability that is given one must get the real one: what it reads of it is
    /// no call of the plugin's.
    artifacts: Vec<Arc<dyn Artifact>>,
}

impl Recorder {
    /// An empty one. `redactor` must learn each secret before the capabilities answer with it, as the host's masker does.
    pub fn new(redactor: Arc<dyn Redactor>) -> Self {
        Recorder(Arc::new(Tape { veil: Veil::new(redactor), taken: Mutex::default() }))
    }

    /// The capabilities, recorded. `log` and `state` are as they were: what they answer depends on nothing outside.
    #[must_use]
    pub fn wrap(&self, real: Capabilities) -> Capabilities {
        let tape = || self.0.clone();
        Capabilities {
            containers: real.containers.map(|inner| Arc::new(Recorded { tape: tape(), inner }) as _),
            artifacts: real.artifacts.map(|inner| Arc::new(Recorded { tape: tape(), inner }) as _),
            secrets: real.secrets.map(|inner| Arc::new(Recorded { tape: tape(), inner }) as _),
            http: real.http.map(|inner| Arc::new(Recorded { tape: tape(), inner }) as _),
            ..real
        }
    }

    /// What was recorded until now.
    pub fn session(&self) -> Session {
        self.0.taken().session.clone()
    }
}

impl Tape {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of the next resource of a kind: `container#1`.
    fn name(&self, kind: &'static str) -> String {
        let mut taken = self.taken();
        let count = taken.counts.entry(kind).or_default();
        *count += 1;
        format!("{kind}#{count}")
    }

    /// Data as it is written.
    fn piece(&self, bytes: &[u8]) -> Value {
        piece(&self.veil.bytes(bytes), |_| {})
    }

    /// The same, of an answer: what is too long for the session is kept beside it.
    fn kept(&self, bytes: &[u8]) -> Value {
        let veiled = self.veil.bytes(bytes);
        piece(&veiled, |name| {
            let session = &mut self.taken().session;
            // What goes beyond the limit is refused when it is saved; it need not be held until then.
            if session.data_bytes() <= TOTAL_DATA_BYTES {
                session.data.insert(name, Bytes::copy_from_slice(&veiled));
            }
        })
    }

    fn note<E: Refused>(&self, call: &str, on: Option<&str>, with: Map<String, Value>, gives: Result<Value, &E>) {
        let veil = |value| self.veil.value(value);
        let with = match veil(Value::Object(with)) {
            Value::Object(with) => with,
            _ => Map::new(),
        };
        let gives = match gives {
            Ok(value) => Answer::Ok(veil(value)),
            Err(error) => {
                let mut refusal = error.refusal();
                refusal.text = self.veil.text(&refusal.text);
                Answer::Error(refusal)
            }
        };
        let calls = &mut self.taken().session.calls;
        if calls.len() > MAX_CALLS {
            return;
        }
        calls.push(Call { call: call.to_owned(), on: on.map(str::to_owned), with, gives });
    }

    /// An artifact as the plugin gets it.
    fn artifact(self: &Arc<Self>, made: Arc<dyn Artifact>) -> Arc<dyn Artifact> {
        self.taken().artifacts.push(made.clone());
        Arc::new(Recorded { tape: self.clone(), inner: made })
    }

    /// The real artifact behind one that the plugin has.
    fn real(&self, given: Arc<dyn Artifact>) -> Arc<dyn Artifact> {
        let same = |each: &&Arc<dyn Artifact>| each.key() == given.key() && each.digest() == given.digest();
        self.taken().artifacts.iter().find(same).cloned().unwrap_or(given)
    }
}

/// A real capability, or a resource of one.
struct Recorded<T: ?Sized> {
    tape: Arc<Tape>,
    inner: Arc<T>,
}

#[async_trait]
impl Containers for Recorded<dyn Containers> {
    async fn start(&self, spec: ContainerSpec) -> Result<Arc<dyn Container>, ContainerError> {
        let with = form::start(&spec);
        let made = self.inner.start(spec).await;
        let name = self.tape.name("container");
        self.tape.note("containers.start", None, with, made.as_ref().map(|_| json!({ "container": name })));
        Ok(Arc::new(RecordedContainer { tape: self.tape.clone(), inner: made?, name }))
    }
}

struct RecordedContainer {
    tape: Arc<Tape>,
    inner: Arc<dyn Container>,
    name: String,
}

impl RecordedContainer {
    fn note(&self, call: &str, with: Value, gives: Result<Value, &ContainerError>) {
        self.tape.note(call, Some(&self.name), form::arguments(with), gives);
    }
}

#[async_trait]
impl Container for RecordedContainer {
    async fn wait(&self) -> Result<Exit, ContainerError> {
        let exit = self.inner.wait().await;
        self.note("container.wait", Value::Null, exit.as_ref().map(|exit| form::exit(*exit)));
        exit
    }

    async fn captured(&self, output: Output) -> String {
        let text = self.inner.captured(output).await;
        let gives = self.tape.kept(text.as_bytes());
        self.note("container.captured", json!({ "output": form::output(output) }), Ok(gives));
        text
    }

    async fn exec(&self, argv: Vec<String>) -> Result<Exit, ContainerError> {
        let with = json!({ "argv": argv });
        let exit = self.inner.exec(argv).await;
        self.note("container.exec", with, exit.as_ref().map(|exit| form::exit(*exit)));
        exit
    }

    async fn save(&self, path: String, key: String) -> Result<Arc<dyn Artifact>, ContainerError> {
        let with = json!({ "path": path, "key": key });
        let made = self.inner.save(path, key).await;
        self.note("container.save", with, made.as_ref().map(|made| form::artifact(&**made)));
        made.map(|made| self.tape.artifact(made))
    }

    async fn load(&self, artifact: Arc<dyn Artifact>, path: String) -> Result<(), ContainerError> {
        let with = json!({ "artifact": form::artifact(&*artifact), "path": path });
        let done = self.inner.load(self.tape.real(artifact), path).await;
        self.note("container.load", with, done.as_ref().map(|()| Value::Null));
        done
    }

    async fn stop(&self, grace_ms: u32) -> Result<(), ContainerError> {
        let done = self.inner.stop(grace_ms).await;
        self.note("container.stop", json!({ "grace-ms": grace_ms }), done.as_ref().map(|()| Value::Null));
        done
    }

    async fn wait_for(&self, ms: u32) -> Result<Option<Exit>, ContainerError> {
        let exit = self.inner.wait_for(ms).await;
        let gives = exit.as_ref().map(|exit| exit.map_or(Value::Null, form::exit));
        self.note("container.wait-for", json!({ "ms": ms }), gives);
        exit
    }
}

impl Recorded<dyn Artifacts> {
    /// Notes a call that makes or finds an artifact, and hands that on.
    fn found(
        &self,
        call: &str,
        with: Value,
        found: Result<Arc<dyn Artifact>, ArtifactError>,
    ) -> Result<Arc<dyn Artifact>, ArtifactError> {
        let gives = found.as_ref().map(|found| form::artifact(&**found));
        self.tape.note(call, None, form::arguments(with), gives);
        found.map(|found| self.tape.artifact(found))
    }
}

#[async_trait]
impl Artifacts for Recorded<dyn Artifacts> {
    async fn get(&self, key: String) -> Result<Arc<dyn Artifact>, ArtifactError> {
        let with = json!({ "key": key });
        let found = self.inner.get(key).await;
        self.found("artifacts.get", with, found)
    }

    async fn get_from(&self, run: String, key: String) -> Result<Arc<dyn Artifact>, ArtifactError> {
        let with = json!({ "run": run, "key": key });
        let found = self.inner.get_from(run, key).await;
        self.found("artifacts.get-from", with, found)
    }

    async fn keys(&self) -> Result<Vec<String>, ArtifactError> {
        let keys = self.inner.keys().await;
        self.tape.note("artifacts.keys", None, Map::new(), keys.as_ref().map(|keys| json!(keys)));
        keys
    }

    async fn create(&self, key: String) -> Result<Box<dyn ArtifactWriter>, ArtifactError> {
        let with = form::arguments(json!({ "key": key }));
        let made = self.inner.create(key).await;
        let name = self.tape.name("writer");
        self.tape.note("artifacts.create", None, with, made.as_ref().map(|_| json!({ "writer": name })));
        Ok(Box::new(RecordedWriter { tape: self.tape.clone(), inner: made?, name }))
    }

    async fn from_workspace(&self, path: String, key: String) -> Result<Arc<dyn Artifact>, ArtifactError> {
        let with = json!({ "path": path, "key": key });
        let made = self.inner.from_workspace(path, key).await;
        self.found("artifacts.from-workspace", with, made)
    }

    async fn to_workspace(&self, artifact: Arc<dyn Artifact>, path: String) -> Result<(), ArtifactError> {
        let with = form::arguments(json!({ "artifact": form::artifact(&*artifact), "path": path }));
        let done = self.inner.to_workspace(self.tape.real(artifact), path).await;
        self.tape.note("artifacts.to-workspace", None, with, done.as_ref().map(|()| Value::Null));
        done
    }
}

#[async_trait]
impl Artifact for Recorded<dyn Artifact> {
    fn key(&self) -> &ArtifactKey {
        self.inner.key()
    }
    fn digest(&self) -> Digest {
        self.inner.digest()
    }
    fn size(&self) -> u64 {
        self.inner.size()
    }
    fn media_type(&self) -> &str {
        self.inner.media_type()
    }
    async fn open(&self) -> Result<Box<dyn ArtifactReader>, ArtifactError> {
        let made = self.inner.open().await;
        let name = self.tape.name("reader");
        let on = self.inner.key().as_str();
        self.tape.note("artifact.open", Some(on), Map::new(), made.as_ref().map(|_| json!({ "reader": name })));
        Ok(Box::new(RecordedReader { tape: self.tape.clone(), inner: made?, name }))
    }
}

struct RecordedReader {
    tape: Arc<Tape>,
    inner: Box<dyn ArtifactReader>,
    name: String,
}

#[async_trait]
impl ArtifactReader for RecordedReader {
    async fn read(&mut self, max: usize) -> Result<Bytes, ArtifactError> {
        let bytes = self.inner.read(max).await;
        let gives = bytes.as_ref().map(|bytes| self.tape.kept(bytes));
        self.tape.note("reader.read", Some(&self.name), form::arguments(json!({ "max": max })), gives);
        bytes
    }
}

struct RecordedWriter {
    tape: Arc<Tape>,
    inner: Box<dyn ArtifactWriter>,
    name: String,
}

#[async_trait]
impl ArtifactWriter for RecordedWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ArtifactError> {
        let with = form::arguments(json!({ "bytes": self.tape.piece(&bytes) }));
        let done = self.inner.write(bytes).await;
        self.tape.note("writer.write", Some(&self.name), with, done.as_ref().map(|()| Value::Null));
        done
    }

    async fn finish(self: Box<Self>) -> Result<Arc<dyn Artifact>, ArtifactError> {
        let RecordedWriter { tape, inner, name } = *self;
        let made = inner.finish().await;
        let gives = made.as_ref().map(|made| form::artifact(&**made));
        tape.note("writer.finish", Some(&name), Map::new(), gives);
        made.map(|made| tape.artifact(made))
    }
}

#[async_trait]
impl Secrets for Recorded<dyn Secrets> {
    async fn get(&self, reference: String) -> Result<Arc<dyn Secret>, SecretError> {
        let plain = reference.strip_prefix("secret:").unwrap_or(&reference).to_owned();
        let with = form::arguments(json!({ "reference": plain }));
        let found = self.inner.get(reference).await;
        if let Ok(secret) = &found {
            self.tape.veil.learn(&secret.value());
            self.tape.veil.stands_for(secret.placeholder(), &plain);
        }
        self.tape.note("secrets.get", None, with, found.as_ref().map(|_| json!({ "secret": plain })));
        Ok(Arc::new(RecordedSecret { tape: self.tape.clone(), inner: found?, reference: plain }))
    }
}

struct RecordedSecret {
    tape: Arc<Tape>,
    inner: Arc<dyn Secret>,
    reference: String,
}

impl RecordedSecret {
    fn signed(&self, call: &str, data: &[u8], signed: &Result<Vec<u8>, SecretError>) {
        let with = form::arguments(json!({ "data": self.tape.piece(data) }));
        let gives = signed.as_ref().map(|signed| self.tape.kept(signed));
        self.tape.note(call, Some(&self.reference), with, gives);
    }
}

impl Secret for RecordedSecret {
    fn placeholder(&self) -> String {
        self.inner.placeholder()
    }
    fn hmac_sha256(&self, data: &[u8]) -> Result<Vec<u8>, SecretError> {
        let signed = self.inner.hmac_sha256(data);
        self.signed("secret.hmac-sha256", data, &signed);
        signed
    }
    fn sign_rs256(&self, data: &[u8]) -> Result<Vec<u8>, SecretError> {
        let signed = self.inner.sign_rs256(data);
        self.signed("secret.sign-rs256", data, &signed);
        signed
    }
    // Not a call: the edges of the host ask for it too, and what it gives is in no session.
    fn value(&self) -> SecretValue {
        self.inner.value()
    }
}

#[async_trait]
impl Http for Recorded<dyn Http> {
    async fn send(&self, request: HttpRequest) -> Result<Box<dyn HttpResponse>, HttpError> {
        let with = form::send(&request, |body| self.tape.piece(body));
        let response = self.inner.send(request).await;
        let name = self.tape.name("response");
        let gives = response
            .as_ref()
            .map(|response| json!({ "response": name, "status": response.status(), "headers": response.headers() }));
        self.tape.note("http.send", None, with, gives);
        Ok(Box::new(RecordedResponse { tape: self.tape.clone(), inner: response?, name }))
    }
}

struct RecordedResponse {
    tape: Arc<Tape>,
    inner: Box<dyn HttpResponse>,
    name: String,
}

#[async_trait]
impl HttpResponse for RecordedResponse {
    fn status(&self) -> u16 {
        self.inner.status()
    }
    fn headers(&self) -> Vec<(String, String)> {
        self.inner.headers()
    }
    async fn read(&mut self, max: usize) -> Result<Bytes, HttpError> {
        let bytes = self.inner.read(max).await;
        let gives = bytes.as_ref().map(|bytes| self.tape.kept(bytes));
        self.tape.note("response.read", Some(&self.name), form::arguments(json!({ "max": max })), gives);
        bytes
    }
}
