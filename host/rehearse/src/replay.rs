//! The answers of a session, given again.

use crate::{
    form,
    refusal::{Refusal, Refused},
    session::{Answer, Call, Session, piece},
    veil::{Redactor, Veil, stand_in},
};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use windlass_contract::{
    ArtifactKey, Capabilities, Digest, Interface, SecretValue,
    capability::{
        Artifact, ArtifactError, ArtifactReader, ArtifactWriter, Artifacts, Container, ContainerError, ContainerSpec,
        Containers, Exit, Http, HttpError, HttpRequest, HttpResponse, Output, Secret, SecretError, Secrets,
    },
};

/// How what a plugin did differs from its session.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// It called a capability, and there is no session.
    NoSession {
        /// The call.
        made: Made,
    },
    /// It made another call than the session has next.
    Other {
        /// The call's number in the session, from 1.
        at: usize,
        /// What the session has.
        expected: Box<Call>,
        /// What it did.
        made: Made,
    },
    /// It made a call after the session's last one.
    More {
        /// The call.
        made: Made,
    },
    /// It ended before the session did.
    Unmade {
        /// How many calls it made.
        made: usize,
        /// The calls that it left out.
        left: Vec<Call>,
    },
    /// An answer of the session is not what the call gives.
    Unreadable {
        /// The call's number, from 1.
        at: usize,
        /// The call.
        call: String,
    },
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// Interface or resource, and function.
    pub call: String,
    /// The resource.
    pub on: Option<String>,
    /// Its arguments.
    pub with: Map<String, Value>,
}

impl Made {
    fn of(call: &Call) -> Self {
        Made { call: call.call.clone(), on: call.on.clone(), with: call.with.clone() }
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.call)?;
        if let Some(on) = &self.on {
            write!(f, " on {on}")?;
        }
        for (name, value) in &self.with {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::NoSession { made } => write!(f, "this case has no session, and the plugin called:\n  {made}"),
            Difference::Other { at, expected, made } => {
                let expected = Made::of(expected);
                write!(f, "call {at} is another one than was recorded:\n- {expected}\n+ {made}")?;
                if (&expected.call, &expected.on) == (&made.call, &made.on) {
                    let names: BTreeSet<&String> = expected.with.keys().chain(made.with.keys()).collect();
                    let differ = |name: &&&String| expected.with.get(**name) != made.with.get(**name);
                    let names: Vec<&str> = names.iter().filter(differ).map(|name| name.as_str()).collect();
                    write!(f, "\nwhat differs: {}", names.join(", "))?;
                }
                Ok(())
            }
            Difference::More { made } => write!(f, "one call more than was recorded:\n+ {made}"),
            Difference::Unmade { made, left } => {
                let (count, first) = (left.len(), left.first().map(Made::of));
                write!(f, "{made} calls were made and {count} of those recorded were not")?;
                first.map_or(Ok(()), |first| write!(f, "; the first:\n- {first}"))
            }
            Difference::Unreadable { at, call } => {
                write!(f, "the session's answer to call {at}, {call}, is not one that this call gives")
            }
        }
    }
}

/// Gives a session's answers to the calls that they were given to.
pub struct Replayer(Arc<Script>);

struct Script {
    /// `None`: there is none, and every call is a difference.
    session: Option<Session>,
    veil: Veil,
    /// What `secrets-reveal` gives for each secret.
    values: BTreeMap<String, SecretValue>,
    place: Mutex<Place>,
}

#[derive(Default)]
struct Place {
    next: usize,
    difference: Option<Difference>,
}

impl Replayer {
    /// Of a session, or of none. `values` is what `secrets-reveal` gives for a secret; for one that is not there, its
    /// placeholder.
    pub fn new(session: Option<Session>, redactor: Arc<dyn Redactor>, values: BTreeMap<String, SecretValue>) -> Self {
        Replayer(Arc::new(Script { session, veil: Veil::new(redactor), values, place: Mutex::default() }))
    }

    /// These interfaces, answered from the session; what else `real` has stays.
    #[must_use]
    pub fn stand_in(&self, interfaces: &BTreeSet<Interface>, real: Capabilities) -> Capabilities {
        let has = |interface| interfaces.contains(&interface);
        let script = || Replayed(self.0.clone());
        Capabilities {
            containers: has(Interface::Containers).then(|| Arc::new(script()) as _),
            artifacts: has(Interface::Artifacts).then(|| Arc::new(script()) as _),
            secrets: has(Interface::Secrets).then(|| Arc::new(script()) as _),
            secrets_reveal: has(Interface::SecretsReveal),
            http: has(Interface::Http).then(|| Arc::new(script()) as _),
            ..real
        }
    }

    /// How what was done differs from the session, after the plugin has ended.
    pub fn difference(&self) -> Option<Difference> {
        let place = self.0.place();
        if place.difference.is_some() {
            return place.difference.clone();
        }
        let left = self.0.session.as_ref().map_or(&[][..], |session| &session.calls[place.next..]);
        (!left.is_empty()).then(|| Difference::Unmade { made: place.next, left: left.to_vec() })
    }
}

impl Script {
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session's answer to a call.
    fn answer(&self, call: &str, on: Option<&str>, with: Map<String, Value>) -> Result<Value, Refusal> {
        let with = match self.veil.value(Value::Object(with)) {
            Value::Object(with) => with,
            _ => Map::new(),
        };
        let made = Made { call: call.to_owned(), on: on.map(str::to_owned), with };
        let mut place = self.place();
        if place.difference.is_some() {
            return Err(went_another_way());
        }
        let difference = match &self.session {
            None => Difference::NoSession { made },
            Some(session) => match session.calls.get(place.next) {
                None => Difference::More { made },
                Some(expected) if Made::of(expected) == made => {
                    place.next += 1;
                    return match &expected.gives {
                        Answer::Ok(value) => Ok(value.clone()),
                        Answer::Error(refusal) => Err(refusal.clone()),
                    };
                }
                Some(expected) => Difference::Other { at: place.next + 1, expected: Box::new(expected.clone()), made },
            },
        };
        place.difference = Some(difference);
        Err(went_another_way())
    }

    /// The answer to a call, read as what the call gives.
    fn read<T, E: Refused>(
        &self,
        call: &str,
        on: Option<&str>,
        with: Map<String, Value>,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, E> {
        let answer = self.answer(call, on, with).map_err(E::from_refusal)?;
        read(&answer).ok_or_else(|| {
            let mut place = self.place();
            place.difference = Some(Difference::Unreadable { at: place.next, call: call.to_owned() });
            E::from_refusal(went_another_way())
        })
    }

    fn bytes(&self, piece: &Value) -> Option<Bytes> {
        self.session.as_ref()?.bytes(piece)
    }

    fn piece(&self, bytes: &[u8]) -> Value {
        piece(&self.veil.bytes(bytes), |_| {})
    }
}

fn went_another_way() -> Refusal {
    let text = "the rehearsal ends here: the plugin did something else than its session".to_owned();
    Refusal { case: "other".to_owned(), text }
}

fn nothing(answer: &Value) -> Option<()> {
    answer.is_null().then_some(())
}

fn exit(answer: &Value) -> Option<Exit> {
    let flag = |name: &str| answer.get(name).and_then(Value::as_bool).unwrap_or(false);
    let code = i32::try_from(answer.get("code")?.as_i64()?).ok()?;
    Some(Exit { code, out_of_memory: flag("out-of-memory"), timed_out: flag("timed-out") })
}

fn name(answer: &Value, kind: &str) -> Option<String> {
    answer.get(kind)?.as_str().map(str::to_owned)
}

/// A capability of a script.
struct Replayed(Arc<Script>);

/// A resource of a script, by its name.
struct Thing {
    script: Arc<Script>,
    name: String,
}

#[async_trait]
impl Containers for Replayed {
    async fn start(&self, spec: ContainerSpec) -> Result<Arc<dyn Container>, ContainerError> {
        let with = form::start(&spec);
        let name = self.0.read("containers.start", None, with, |answer| name(answer, "container"))?;
        Ok(Arc::new(Thing { script: self.0.clone(), name }))
    }
}

#[async_trait]
impl Container for Thing {
    async fn wait(&self) -> Result<Exit, ContainerError> {
        self.script.read("container.wait", Some(&self.name), Map::new(), exit)
    }

    async fn captured(&self, output: Output) -> String {
        let with = form::arguments(json!({ "output": form::output(output) }));
        let text: Result<_, ContainerError> =
            self.script.read("container.captured", Some(&self.name), with, |answer| self.script.bytes(answer));
        // A function without errors: after a difference it gives nothing.
        text.map_or_else(|_| String::new(), |text| String::from_utf8_lossy(&text).into_owned())
    }

    async fn exec(&self, argv: Vec<String>) -> Result<Exit, ContainerError> {
        self.script.read("container.exec", Some(&self.name), form::arguments(json!({ "argv": argv })), exit)
    }

    async fn save(&self, path: String, key: String) -> Result<Arc<dyn Artifact>, ContainerError> {
        let with = form::arguments(json!({ "path": path, "key": key }));
        self.script.read("container.save", Some(&self.name), with, |answer| Kept::read(&self.script, answer))
    }

    async fn load(&self, artifact: Arc<dyn Artifact>, path: String) -> Result<(), ContainerError> {
        let with = form::arguments(json!({ "artifact": form::artifact(&*artifact), "path": path }));
        self.script.read("container.load", Some(&self.name), with, nothing)
    }

    async fn stop(&self, grace_ms: u32) -> Result<(), ContainerError> {
        self.script.read("container.stop", Some(&self.name), form::arguments(json!({ "grace-ms": grace_ms })), nothing)
    }

    async fn wait_for(&self, ms: u32) -> Result<Option<Exit>, ContainerError> {
        let with = form::arguments(json!({ "ms": ms }));
        let perhaps = |answer: &Value| if answer.is_null() { Some(None) } else { exit(answer).map(Some) };
        self.script.read("container.wait-for", Some(&self.name), with, perhaps)
    }
}

impl Replayed {
    fn artifact(&self, call: &str, with: Value) -> Result<Arc<dyn Artifact>, ArtifactError> {
        self.0.read(call, None, form::arguments(with), |answer| Kept::read(&self.0, answer))
    }
}

#[async_trait]
impl Artifacts for Replayed {
    async fn get(&self, key: String) -> Result<Arc<dyn Artifact>, ArtifactError> {
        self.artifact("artifacts.get", json!({ "key": key }))
    }

    async fn get_from(&self, run: String, key: String) -> Result<Arc<dyn Artifact>, ArtifactError> {
        self.artifact("artifacts.get-from", json!({ "run": run, "key": key }))
    }

    async fn keys(&self) -> Result<Vec<String>, ArtifactError> {
        let keys = |answer: &Value| {
            let each = answer.as_array()?.iter();
            each.map(|key| key.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        self.0.read("artifacts.keys", None, Map::new(), keys)
    }

    async fn create(&self, key: String) -> Result<Box<dyn ArtifactWriter>, ArtifactError> {
        let with = form::arguments(json!({ "key": key }));
        let name = self.0.read("artifacts.create", None, with, |answer| name(answer, "writer"))?;
        Ok(Box::new(Thing { script: self.0.clone(), name }))
    }

    async fn from_workspace(&self, path: String, key: String) -> Result<Arc<dyn Artifact>, ArtifactError> {
        self.artifact("artifacts.from-workspace", json!({ "path": path, "key": key }))
    }

    async fn to_workspace(&self, artifact: Arc<dyn Artifact>, path: String) -> Result<(), ArtifactError> {
        let with = form::arguments(json!({ "artifact": form::artifact(&*artifact), "path": path }));
        self.0.read("artifacts.to-workspace", None, with, nothing)
    }
}

/// An artifact of a session.
struct Kept {
    script: Arc<Script>,
    key: ArtifactKey,
    digest: Digest,
    size: u64,
    media_type: String,
}

impl Kept {
    fn read(script: &Arc<Script>, answer: &Value) -> Option<Arc<dyn Artifact>> {
        Some(Arc::new(Kept {
            script: script.clone(),
            key: answer.get("key")?.as_str()?.parse().ok()?,
            digest: answer.get("digest")?.as_str()?.parse().ok()?,
            size: answer.get("size")?.as_u64()?,
            media_type: answer.get("media-type")?.as_str()?.to_owned(),
        }))
    }
}

#[async_trait]
impl Artifact for Kept {
    fn key(&self) -> &ArtifactKey {
        &self.key
    }
    fn digest(&self) -> Digest {
        self.digest
    }
    fn size(&self) -> u64 {
        self.size
    }
    fn media_type(&self) -> &str {
        &self.media_type
    }
    async fn open(&self) -> Result<Box<dyn ArtifactReader>, ArtifactError> {
        let on = Some(self.key.as_str());
        let name = self.script.read("artifact.open", on, Map::new(), |answer| name(answer, "reader"))?;
        Ok(Box::new(Thing { script: self.script.clone(), name }))
    }
}

#[async_trait]
impl ArtifactReader for Thing {
    async fn read(&mut self, max: usize) -> Result<Bytes, ArtifactError> {
        let with = form::arguments(json!({ "max": max }));
        self.script.read("reader.read", Some(&self.name), with, |answer| self.script.bytes(answer))
    }
}

#[async_trait]
impl ArtifactWriter for Thing {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ArtifactError> {
        let with = form::arguments(json!({ "bytes": self.script.piece(&bytes) }));
        self.script.read("writer.write", Some(&self.name), with, nothing)
    }

    async fn finish(self: Box<Self>) -> Result<Arc<dyn Artifact>, ArtifactError> {
        self.script.read("writer.finish", Some(&self.name), Map::new(), |answer| Kept::read(&self.script, answer))
    }
}

#[async_trait]
impl Secrets for Replayed {
    async fn get(&self, reference: String) -> Result<Arc<dyn Secret>, SecretError> {
        let plain = reference.strip_prefix("secret:").unwrap_or(&reference);
        let with = form::arguments(json!({ "reference": plain }));
        let name = self.0.read("secrets.get", None, with, |answer| name(answer, "secret"))?;
        if let Some(value) = self.0.values.get(&name) {
            self.0.veil.learn(value);
        }
        Ok(Arc::new(Thing { script: self.0.clone(), name }))
    }
}

impl Thing {
    fn signed(&self, call: &str, data: &[u8]) -> Result<Vec<u8>, SecretError> {
        let with = form::arguments(json!({ "data": self.script.piece(data) }));
        let signed = self.script.read(call, Some(&self.name), with, |answer| self.script.bytes(answer))?;
        Ok(signed.to_vec())
    }
}

impl Secret for Thing {
    fn placeholder(&self) -> String {
        stand_in(&self.name)
    }
    fn hmac_sha256(&self, data: &[u8]) -> Result<Vec<u8>, SecretError> {
        self.signed("secret.hmac-sha256", data)
    }
    fn sign_rs256(&self, data: &[u8]) -> Result<Vec<u8>, SecretError> {
        self.signed("secret.sign-rs256", data)
    }
    fn value(&self) -> SecretValue {
        let value = self.script.values.get(&self.name).cloned();
        value.unwrap_or_else(|| SecretValue::new(self.placeholder().into_bytes()))
    }
}

#[async_trait]
impl Http for Replayed {
    async fn send(&self, request: HttpRequest) -> Result<Box<dyn HttpResponse>, HttpError> {
        let with = form::send(&request, |body| self.0.piece(body));
        let response = self.0.read("http.send", None, with, |answer| {
            let each = answer.get("headers")?.as_array()?.iter();
            let headers = each.map(|pair| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned())));
            Some(Answered {
                thing: Thing { script: self.0.clone(), name: name(answer, "response")? },
                status: u16::try_from(answer.get("status")?.as_u64()?).ok()?,
                headers: headers.collect::<Option<_>>()?,
            })
        })?;
        Ok(Box::new(response))
    }
}

/// A response of a session.
struct Answered {
    thing: Thing,
    status: u16,
    headers: Vec<(String, String)>,
}

#[async_trait]
impl HttpResponse for Answered {
    fn status(&self) -> u16 {
        self.status
    }
    fn headers(&self) -> Vec<(String, String)> {
        self.headers.clone()
    }
    async fn read(&mut self, max: usize) -> Result<Bytes, HttpError> {
        let Thing { script, name } = &self.thing;
        script.read("response.read", Some(name), form::arguments(json!({ "max": max })), |answer| script.bytes(answer))
    }
}
