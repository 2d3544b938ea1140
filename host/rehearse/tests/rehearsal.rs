//! A recording, and what a replay makes of it: of a plugin that does the same, of ones that do something else, and of secrets.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use async_trait::async_trait;
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};
use windlass_contract::{
    ArtifactKey, Capabilities, Digest, Interface, SecretValue,
    capability::{
        Artifact, ArtifactError, ArtifactReader, ArtifactWriter, Artifacts, Container, ContainerError, ContainerSpec,
        Containers, Exit, Http, HttpError, HttpRequest, HttpResponse, Log, LogEntry, Output, Secret, SecretError,
        Secrets,
    },
};
use windlass_rehearse::{Difference, Recorder, Redactor, Replayer, Session};

const VALUE: &str = "the-value-of-the-token";
const INTERFACES: [Interface; 5] =
    [Interface::Containers, Interface::Artifacts, Interface::Secrets, Interface::SecretsReveal, Interface::Http];

/// A world whose answers are known: every container prints what it was given, every request is answered with its own body.
struct World;

struct NoLog;
impl Log for NoLog {
    fn write(&self, _: LogEntry) {}
}

#[async_trait]
impl Containers for World {
    async fn start(&self, spec: ContainerSpec) -> Result<Arc<dyn Container>, ContainerError> {
        if spec.image == "missing" {
            return Err(ContainerError::ImagePullFailed(format!("no image {}", spec.image)));
        }
        let seen = spec.env_secret.iter().map(|(_, secret)| secret.value());
        Ok(Arc::new(Started(seen.map(|value| String::from_utf8_lossy(value.expose()).into_owned()).collect())))
    }
}

struct Started(String);
#[async_trait]
impl Container for Started {
    async fn wait(&self) -> Result<Exit, ContainerError> {
        Ok(Exit { code: 3, out_of_memory: false, timed_out: true })
    }
    async fn wait_for(&self, _: u32) -> Result<Option<Exit>, ContainerError> {
        Ok(None)
    }
    async fn captured(&self, _: Output) -> String {
        format!("printed {}", self.0)
    }
    async fn exec(&self, _: Vec<String>) -> Result<Exit, ContainerError> {
        Err(ContainerError::Cancelled)
    }
    async fn save(&self, _: String, key: String) -> Result<Arc<dyn Artifact>, ContainerError> {
        Ok(Arc::new(Blob(key.parse().unwrap(), "saved".into())))
    }
    async fn load(&self, artifact: Arc<dyn Artifact>, _: String) -> Result<(), ContainerError> {
        // What the host reads of it is no call of the plugin's.
        let mut reader = artifact.open().await.map_err(|error| ContainerError::Other(error.to_string()))?;
        reader.read(10).await.map(drop).map_err(|error| ContainerError::Other(error.to_string()))
    }
    async fn stop(&self, _: u32) -> Result<(), ContainerError> {
        Ok(())
    }
}

struct Blob(ArtifactKey, Bytes);
#[async_trait]
impl Artifact for Blob {
    fn key(&self) -> &ArtifactKey {
        &self.0
    }
    fn digest(&self) -> Digest {
        Digest::of(&self.1)
    }
    fn size(&self) -> u64 {
        self.1.len() as u64
    }
    fn media_type(&self) -> &str {
        "application/octet-stream"
    }
    async fn open(&self) -> Result<Box<dyn ArtifactReader>, ArtifactError> {
        Ok(Box::new(Reading(self.1.clone())))
    }
}

struct Reading(Bytes);
#[async_trait]
impl ArtifactReader for Reading {
    async fn read(&mut self, max: usize) -> Result<Bytes, ArtifactError> {
        Ok(self.0.split_to(max.min(self.0.len())))
    }
}

struct Writing(ArtifactKey, Vec<u8>);
#[async_trait]
impl ArtifactWriter for Writing {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ArtifactError> {
        self.1.extend_from_slice(&bytes);
        Ok(())
    }
    async fn finish(self: Box<Self>) -> Result<Arc<dyn Artifact>, ArtifactError> {
        Ok(Arc::new(Blob(self.0, self.1.into())))
    }
}

#[async_trait]
impl Artifacts for World {
    async fn get(&self, key: String) -> Result<Arc<dyn Artifact>, ArtifactError> {
        Err(ArtifactError::NotFound(format!("no artifact {key}")))
    }
    async fn get_from(&self, _: String, key: String) -> Result<Arc<dyn Artifact>, ArtifactError> {
        Artifacts::get(self, key).await
    }
    async fn keys(&self) -> Result<Vec<String>, ArtifactError> {
        Ok(vec!["a".to_owned(), "b".to_owned()])
    }
    async fn create(&self, key: String) -> Result<Box<dyn ArtifactWriter>, ArtifactError> {
        Ok(Box::new(Writing(key.parse().unwrap(), Vec::new())))
    }
    async fn from_workspace(&self, _: String, key: String) -> Result<Arc<dyn Artifact>, ArtifactError> {
        Ok(Arc::new(Blob(key.parse().unwrap(), "of the workspace".into())))
    }
    async fn to_workspace(&self, _: Arc<dyn Artifact>, _: String) -> Result<(), ArtifactError> {
        Ok(())
    }
}

struct Token;
impl Secret for Token {
    fn placeholder(&self) -> String {
        "wlph_0123456789abcdef".to_owned()
    }
    fn hmac_sha256(&self, data: &[u8]) -> Result<Vec<u8>, SecretError> {
        Ok([b"signed ", data].concat())
    }
    fn sign_rs256(&self, _: &[u8]) -> Result<Vec<u8>, SecretError> {
        Err(SecretError::Invalid("no key".to_owned()))
    }
    fn value(&self) -> SecretValue {
        SecretValue::new(VALUE.into())
    }
}

#[async_trait]
impl Secrets for World {
    async fn get(&self, _: String) -> Result<Arc<dyn Secret>, SecretError> {
        Ok(Arc::new(Token))
    }
}

struct Echo(Bytes);
#[async_trait]
impl HttpResponse for Echo {
    fn status(&self) -> u16 {
        202
    }
    fn headers(&self) -> Vec<(String, String)> {
        vec![("x-echo".to_owned(), VALUE.to_owned())]
    }
    async fn read(&mut self, max: usize) -> Result<Bytes, HttpError> {
        Ok(self.0.split_to(max.min(self.0.len())))
    }
}

#[async_trait]
impl Http for World {
    async fn send(&self, request: HttpRequest) -> Result<Box<dyn HttpResponse>, HttpError> {
        Ok(Box::new(Echo(request.body.into())))
    }
}

/// As the host's masker, of one value.
#[derive(Default)]
struct Values(Mutex<Vec<Vec<u8>>>);
impl Redactor for Values {
    fn learn(&self, value: &SecretValue) {
        self.0.lock().unwrap().push(value.expose().to_vec());
    }
    fn redact(&self, bytes: &[u8]) -> Vec<u8> {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        for value in self.0.lock().unwrap().iter() {
            text = text.replace(&*String::from_utf8_lossy(value), "***");
        }
        if text.as_bytes() == String::from_utf8_lossy(bytes).as_bytes() { bytes.to_vec() } else { text.into_bytes() }
    }
}

fn real() -> Capabilities {
    Capabilities {
        containers: Some(Arc::new(World)),
        artifacts: Some(Arc::new(World)),
        secrets: Some(Arc::new(World)),
        secrets_reveal: true,
        http: Some(Arc::new(World)),
        ..Capabilities::none(Arc::new(NoLog))
    }
}

/// What a plugin does, and what it sees: everything once. `greeting` is what differs between two of them.
async fn act(capabilities: Capabilities, greeting: &str) -> Vec<String> {
    let Capabilities { containers, artifacts, secrets, http, .. } = capabilities;
    let (containers, artifacts, secrets, http) =
        (containers.unwrap(), artifacts.unwrap(), secrets.unwrap(), http.unwrap());
    let mut seen = Vec::new();
    let mut see = |what: &str, found: String| seen.push(format!("{what}: {found}"));

    let Ok(token) = secrets.get("secret:vault/token".to_owned()).await else { return seen };
    see("hmac", format!("{:?}", token.hmac_sha256(&[0xff, 1])));
    see("rs256", format!("{:?}", token.sign_rs256(b"x")));

    let spec = ContainerSpec {
        image: "busybox".to_owned(),
        command: Some(vec!["echo".to_owned(), greeting.to_owned()]),
        env_secret: vec![("TOKEN".to_owned(), token.clone())],
        volumes: Some(Vec::new()),
        ..ContainerSpec::default()
    };
    let Ok(container) = containers.start(spec).await else { return seen };
    see("exit", format!("{:?}", container.wait().await));
    see("exec", format!("{:?}", container.exec(vec!["true".to_owned()]).await));
    container.captured(Output::Stderr).await;
    let Ok(saved) = container.save("/out".to_owned(), "out".to_owned()).await else { return seen };
    see("saved", format!("{} {} {}", saved.key(), saved.size(), saved.media_type()));
    see("loaded", format!("{:?}", container.load(saved.clone(), "/in".to_owned()).await));
    see("stopped", format!("{:?}", container.stop(5).await));
    let missing = ContainerSpec { image: "missing".to_owned(), ..ContainerSpec::default() };
    see("missing", format!("{:?}", containers.start(missing).await.map(drop)));

    see("keys", format!("{:?}", artifacts.keys().await));
    see("none", format!("{:?}", artifacts.get("none".to_owned()).await.map(drop)));
    see("from", format!("{:?}", artifacts.get_from("previous".to_owned(), "none".to_owned()).await.map(drop)));
    let Ok(mut writer) = artifacts.create("made".to_owned()).await else { return seen };
    see("wrote", format!("{:?}", writer.write(vec![7; 5000].into()).await));
    let Ok(made) = writer.finish().await else { return seen };
    let Ok(mut reader) = made.open().await else { return seen };
    see("read", format!("{:?}", reader.read(1 << 20).await.map(|bytes| bytes.len())));
    see("read", format!("{:?}", reader.read(1 << 20).await));
    let Ok(kept) = artifacts.from_workspace("/workspace/a".to_owned(), "kept".to_owned()).await else { return seen };
    see("put", format!("{:?}", artifacts.to_workspace(kept, "/workspace/b".to_owned()).await));

    let body = format!("{greeting} {}", token.placeholder());
    let request = HttpRequest {
        method: "POST".to_owned(),
        url: "https://example.com".to_owned(),
        body: body.into_bytes(),
        // What `secrets-reveal` gave, on its way out: another value in a replay, and no difference.
        headers: vec![("x-token".to_owned(), String::from_utf8_lossy(token.value().expose()).into_owned())],
        secret_headers: vec![("authorization".to_owned(), "Bearer ".to_owned(), token)],
        ..HttpRequest::default()
    };
    let Ok(mut response) = http.send(request).await else { return seen };
    see("status", response.status().to_string());
    see("body", format!("{:?}", response.read(100).await.map(|bytes| bytes.len() > 6)));
    seen
}

async fn recorded() -> (Session, Vec<String>, tempfile::TempDir) {
    let recorder = Recorder::new(Arc::new(Values::default()));
    let seen = act(recorder.wrap(real()), "hello").await;
    let folder = tempfile::tempdir().unwrap();
    recorder.session().save(&folder.path().join("a.session")).unwrap();
    (Session::load(&folder.path().join("a.session")).unwrap(), seen, folder)
}

async fn replayed(session: Option<Session>, greeting: &str) -> (Vec<String>, Option<Difference>) {
    let values = BTreeMap::from([("vault/token".to_owned(), SecretValue::new(b"made up".to_vec()))]);
    let replayer = Replayer::new(session, Arc::new(Values::default()), values);
    let capabilities = replayer.stand_in(&BTreeSet::from(INTERFACES), Capabilities::none(Arc::new(NoLog)));
    let seen = act(capabilities, greeting).await;
    (seen, replayer.difference())
}

#[tokio::test]
async fn a_plugin_that_does_the_same_sees_the_same() {
    let (session, seen, _folder) = recorded().await;
    assert!(
        seen.len() > 15 && seen.last().is_some_and(|last| last == "body: Ok(true)"),
        "it came to its end: {seen:?}"
    );
    assert_eq!(replayed(Some(session), "hello").await, (seen, None));
}

#[tokio::test]
async fn a_session_is_readable_and_holds_no_secret() {
    let (_, _, folder) = recorded().await;
    let text = std::fs::read_to_string(folder.path().join("a.session")).unwrap();
    assert!(!text.contains(VALUE) && !text.contains("0123456789abcdef"), "{text}");
    for file in std::fs::read_dir(folder.path().join("a.session.data")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(VALUE.len()).any(|part| part == VALUE.as_bytes()));
    }
    insta::assert_snapshot!(text, @r#"
    {"session":1}
    {"call":"secrets.get","with":{"reference":"vault/token"},"gives":{"ok":{"secret":"vault/token"}}}
    {"call":"secret.hmac-sha256","on":"vault/token","with":{"data":{"base64":"/wE="}},"gives":{"ok":{"base64":"c2lnbmVkIP8B"}}}
    {"call":"secret.sign-rs256","on":"vault/token","with":{"data":{"text":"x"}},"gives":{"error":{"case":"invalid","text":"no key"}}}
    {"call":"containers.start","with":{"image":"busybox","command":["echo","hello"],"env-secret":["TOKEN=wlph_vault_token_92738573"],"volumes":[]},"gives":{"ok":{"container":"container#1"}}}
    {"call":"container.wait","on":"container#1","gives":{"ok":{"code":3,"out-of-memory":false,"timed-out":true}}}
    {"call":"container.exec","on":"container#1","with":{"argv":["true"]},"gives":{"error":{"case":"cancelled"}}}
    {"call":"container.captured","on":"container#1","with":{"output":"stderr"},"gives":{"ok":{"text":"printed ***"}}}
    {"call":"container.save","on":"container#1","with":{"path":"/out","key":"out"},"gives":{"ok":{"key":"out","digest":"sha256:d81c55f49c5bb0d36bc11e3966ec4efab66f8dfefbbc1761161ca9d230e5466a","size":5,"media-type":"application/octet-stream"}}}
    {"call":"container.load","on":"container#1","with":{"artifact":{"key":"out","digest":"sha256:d81c55f49c5bb0d36bc11e3966ec4efab66f8dfefbbc1761161ca9d230e5466a","size":5,"media-type":"application/octet-stream"},"path":"/in"},"gives":{"ok":null}}
    {"call":"container.stop","on":"container#1","with":{"grace-ms":5},"gives":{"ok":null}}
    {"call":"containers.start","with":{"image":"missing"},"gives":{"error":{"case":"image-pull-failed","text":"no image missing"}}}
    {"call":"artifacts.keys","gives":{"ok":["a","b"]}}
    {"call":"artifacts.get","with":{"key":"none"},"gives":{"error":{"case":"not-found","text":"no artifact none"}}}
    {"call":"artifacts.get-from","with":{"run":"previous","key":"none"},"gives":{"error":{"case":"not-found","text":"no artifact none"}}}
    {"call":"artifacts.create","with":{"key":"made"},"gives":{"ok":{"writer":"writer#1"}}}
    {"call":"writer.write","on":"writer#1","with":{"bytes":{"sha256":"f302a3f85503eeb1a105c81a5fbea0aa461417fb3893919572949cadbfee86a7","size":5000}},"gives":{"ok":null}}
    {"call":"writer.finish","on":"writer#1","gives":{"ok":{"key":"made","digest":"sha256:f302a3f85503eeb1a105c81a5fbea0aa461417fb3893919572949cadbfee86a7","size":5000,"media-type":"application/octet-stream"}}}
    {"call":"artifact.open","on":"made","gives":{"ok":{"reader":"reader#1"}}}
    {"call":"reader.read","on":"reader#1","with":{"max":1048576},"gives":{"ok":{"sha256":"f302a3f85503eeb1a105c81a5fbea0aa461417fb3893919572949cadbfee86a7","size":5000}}}
    {"call":"reader.read","on":"reader#1","with":{"max":1048576},"gives":{"ok":{"text":""}}}
    {"call":"artifacts.from-workspace","with":{"path":"/workspace/a","key":"kept"},"gives":{"ok":{"key":"kept","digest":"sha256:b808d3d2069c42d2d7a8d603ec64d5089c3185d4cfd5f1c77534e0495c3ed783","size":16,"media-type":"application/octet-stream"}}}
    {"call":"artifacts.to-workspace","with":{"artifact":{"key":"kept","digest":"sha256:b808d3d2069c42d2d7a8d603ec64d5089c3185d4cfd5f1c77534e0495c3ed783","size":16,"media-type":"application/octet-stream"},"path":"/workspace/b"},"gives":{"ok":null}}
    {"call":"http.send","with":{"method":"POST","url":"https://example.com","headers":["x-token: ***"],"secret-headers":["authorization: Bearer wlph_vault_token_92738573"],"body":{"text":"hello wlph_vault_token_92738573"}},"gives":{"ok":{"response":"response#1","status":202,"headers":[["x-echo","***"]]}}}
    {"call":"response.read","on":"response#1","with":{"max":100},"gives":{"ok":{"text":"hello wlph_vault_token_92738573"}}}
    "#);
}

#[tokio::test]
async fn the_first_difference_is_told() {
    let (session, ..) = recorded().await;
    let told = async |session: Option<Session>, greeting: &str| {
        let (_, difference) = replayed(session, greeting).await;
        difference.expect("a difference").to_string()
    };
    let longer = |calls: &dyn Fn(&mut Vec<String>)| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.session");
        session.save(&path).unwrap();
        let mut lines: Vec<String> = std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
        calls(&mut lines);
        std::fs::write(&path, lines.join("\n")).unwrap();
        Session::load(&path).unwrap()
    };
    let last = longer(&|lines| drop(lines.pop()));
    let more = longer(&|lines| lines.push(lines[1].clone()));
    let unreadable = longer(&|lines| lines[4] = lines[4].replace("container#1", "x").replace("\"container\"", "\"c\""));
    let all = [
        told(None, "hello").await,
        told(Some(session.clone()), "goodbye").await,
        told(Some(last), "hello").await,
        told(Some(more), "hello").await,
        told(Some(unreadable), "hello").await,
    ];
    insta::assert_snapshot!(all.join("\n\n"), @r#"
    this case has no session, and the plugin called:
      secrets.get reference="vault/token"

    call 4 is another one than was recorded:
    - containers.start image="busybox" command=["echo","hello"] env-secret=["TOKEN=wlph_vault_token_92738573"] volumes=[]
    + containers.start image="busybox" command=["echo","goodbye"] env-secret=["TOKEN=wlph_vault_token_92738573"] volumes=[]
    what differs: command

    one call more than was recorded:
    + response.read on response#1 max=100

    24 calls were made and 1 of those recorded were not; the first:
    - secrets.get reference="vault/token"

    the session's answer to call 4, containers.start, is not one that this call gives
    "#);
}
