//! A toolbox on the real engine, an image to run, and a log and a journal to look into.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of functions that are marked as such")]

use bollard::{
    API_DEFAULT_VERSION, Docker,
    query_parameters::{CreateImageOptions, ListContainersOptions, RemoveContainerOptions},
};
use futures::StreamExt as _;
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use windlass_capabilities::{
    DockerSettings, EgressPolicy, Journal, Keep, KeySource, LogSink, LogStream, Masker, StepScope, StepTools, Toolbox,
    ToolboxSettings, VolumePlace,
};
use windlass_contract::{
    Digest, EnvironmentName, Permissions, PluginRef, RunId, StepCall,
    capability::{Container, ContainerError, ContainerSpec, Containers},
};

pub(crate) const IMAGE: &str = "windlass-test/capabilities:1";

/// Keeps what was logged, by stream.
#[derive(Default)]
pub(crate) struct Log(Mutex<HashMap<LogStream, Vec<u8>>>, Mutex<Vec<Instant>>);

impl Log {
    pub(crate) fn bytes(&self, stream: LogStream) -> Vec<u8> {
        self.0.lock().unwrap().get(&stream).cloned().unwrap_or_default()
    }
    pub(crate) fn text(&self, stream: LogStream) -> String {
        String::from_utf8_lossy(&self.bytes(stream)).into_owned()
    }
    /// When output came, each time.
    pub(crate) fn times(&self) -> Vec<Instant> {
        self.1.lock().unwrap().clone()
    }
}

impl LogSink for Log {
    fn append(&self, stream: LogStream, bytes: &[u8]) {
        self.0.lock().unwrap().entry(stream).or_default().extend_from_slice(bytes);
        self.1.lock().unwrap().push(Instant::now());
    }
}

/// Remembers what was recorded, and can be told to fail.
#[derive(Default)]
pub(crate) struct Records {
    pub made: Mutex<Vec<(u32, String)>>,
    pub broken: bool,
}

#[async_trait::async_trait]
impl Journal for Records {
    async fn container_created(&self, index: u32, name: &str) -> Result<(), String> {
        if self.broken {
            return Err("disk full".to_owned());
        }
        self.made.lock().unwrap().push((index, name.to_owned()));
        Ok(())
    }
}

/// The engine, bare; a clear message where there is none.
pub(crate) async fn docker() -> Docker {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let docker = Docker::connect_with_unix(host.trim_start_matches("unix://"), 120, API_DEFAULT_VERSION);
    match docker {
        Ok(docker) => docker.negotiate_version().await.unwrap_or_else(|error| {
            panic!("these tests need a Docker engine, and none answers at {host} ({error}); `make test` starts one")
        }),
        Err(error) => {
            panic!("these tests need a Docker engine, and none is at {host} ({error}); `make test` starts one")
        }
    }
}

/// Makes the test image from the machine's static busybox, once.
pub(crate) async fn image(docker: &Docker) {
    static MADE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    MADE.get_or_init(|| async {
        if docker.inspect_image(IMAGE).await.is_ok() {
            return;
        }
        let busybox = Path::new("/bin/busybox");
        assert!(busybox.exists(), "these tests need /bin/busybox; install the package busybox-static");
        let applets = std::process::Command::new(busybox).arg("--list").output().unwrap().stdout;
        let mut archive = tar::Builder::new(Vec::new());
        let mut entry = |kind, path: &str, mode, data: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_size(data.len() as u64);
            archive.append_data(&mut header, path, data).unwrap();
        };
        entry(tar::EntryType::Directory, "tmp/", 0o1777, b"");
        entry(tar::EntryType::Directory, "root/", 0o700, b"");
        entry(
            tar::EntryType::Regular,
            "etc/passwd",
            0o644,
            b"root:x:0:0:root:/root:/bin/sh\nbuilder:x:1000:1000::/:/bin/sh\n",
        );
        entry(tar::EntryType::Regular, "bin/busybox", 0o755, &std::fs::read(busybox).unwrap());
        for applet in String::from_utf8(applets).unwrap().lines().filter(|applet| *applet != "busybox") {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            header.set_mode(0o777);
            archive.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
        }
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some("windlass-test/capabilities".to_owned()),
            tag: Some("1".to_owned()),
            changes: vec!["ENV PATH=/bin".to_owned(), "CMD [\"/bin/sh\"]".to_owned()],
            ..CreateImageOptions::default()
        };
        let body = bollard::body_full(archive.into_inner().unwrap().into());
        let mut answers = std::pin::pin!(docker.create_image(Some(options), Some(body), None));
        while let Some(answer) = answers.next().await {
            answer.unwrap();
        }
    })
    .await;
}

/// One run on one host. Everything of it is removed by [`World::end`], also when the test panics half-way: by the next
/// run's sweep of the same owner.
pub(crate) struct World {
    pub docker: Docker,
    pub toolbox: Toolbox,
    pub run: RunId,
    pub log: Arc<Log>,
    pub records: Arc<Records>,
    pub masker: Masker,
    pub permissions: Permissions,
    pub created_before: Vec<(u32, String)>,
    pub volumes: BTreeMap<String, VolumePlace>,
    pub deadline: Duration,
    /// Set, the tools are those of a call of a provider.
    pub environment: Option<EnvironmentName>,
    pub dir: Arc<tempfile::TempDir>,
}

pub(crate) const PERMISSIONS: &str = r#"{
    "containers": {"images": ["windlass-test/*", "from-config"], "memory-mib": 512, "cpu-millis": 2000},
    "artifacts": {"read": true, "write": true},
    "secrets": ["cloud/*"]
}"#;

impl World {
    pub(crate) async fn new(name: &str) -> World {
        let docker = docker().await;
        image(&docker).await;
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let owner = format!("test-{name}");
        let toolbox = toolbox(dir.path(), &owner);
        toolbox.sweep(|_| Keep::Nothing).await.unwrap();
        World {
            docker,
            toolbox,
            run: format!("rtest-{name}").parse().unwrap(),
            log: Arc::default(),
            records: Arc::default(),
            masker: Masker::new(),
            permissions: serde_json::from_str(PERMISSIONS).unwrap(),
            created_before: Vec::new(),
            volumes: BTreeMap::new(),
            deadline: Duration::from_secs(60),
            environment: None,
            dir,
        }
    }

    /// The host after a crash: the same data and engine, nothing else, and what was recorded.
    pub(crate) async fn after_crash(&self) -> World {
        let owner = format!("test-{}", self.run.as_str().trim_start_matches("rtest-"));
        World {
            docker: docker().await,
            toolbox: toolbox(self.dir.path(), &owner),
            run: self.run.clone(),
            log: Arc::default(),
            records: Arc::default(),
            masker: Masker::new(),
            permissions: self.permissions.clone(),
            created_before: self.records.made.lock().unwrap().clone(),
            volumes: self.volumes.clone(),
            deadline: self.deadline,
            environment: self.environment.clone(),
            dir: self.dir.clone(),
        }
    }

    pub(crate) fn step(&self, step: &str, config: serde_json::Value) -> StepTools {
        self.step_of("acme:test", step, config)
    }

    pub(crate) fn step_of(&self, plugin: &str, step: &str, config: serde_json::Value) -> StepTools {
        let plugin =
            PluginRef { name: plugin.parse().unwrap(), version: "0.1.0".parse().unwrap(), digest: Digest::of(b"") };
        let call = StepCall {
            plugin,
            step_type: "step.test".to_owned(),
            run: self.run.clone(),
            step: step.parse().unwrap(),
            attempt: 1,
            config,
        };
        let own = format!("windlass-{}-{step}-", self.run);
        self.toolbox.for_step(StepScope {
            call,
            permissions: self.permissions.clone(),
            log: self.log.clone(),
            journal: self.records.clone(),
            masker: self.masker.clone(),
            state: None,
            deadline: Instant::now() + self.deadline,
            created_before: self.created_before.iter().filter(|(_, name)| name.starts_with(&own)).cloned().collect(),
            volumes: self.volumes.clone(),
            previous_run: None,
            environment: self.environment.clone(),
        })
    }

    pub(crate) fn containers(&self) -> Arc<dyn Containers> {
        self.step("build", serde_json::json!({})).capabilities().containers.unwrap()
    }

    pub(crate) async fn start(&self, spec: ContainerSpec) -> Result<Arc<dyn Container>, ContainerError> {
        self.containers().start(spec).await
    }

    /// What is left of this run on the engine.
    pub(crate) async fn left(&self) -> usize {
        let filters = HashMap::from([("label".to_owned(), vec![format!("dev.windlass.run={}", self.run)])]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
        self.docker.list_containers(Some(options)).await.unwrap().len()
    }

    pub(crate) async fn remove(&self, name: &str) {
        let options = RemoveContainerOptions { force: true, ..RemoveContainerOptions::default() };
        self.docker.remove_container(name, Some(options)).await.unwrap();
    }

    pub(crate) async fn end(self) {
        self.toolbox.remove_run(&self.run, Keep::Nothing).await.unwrap();
        assert_eq!(self.left().await, 0);
    }
}

pub(crate) fn toolbox(dir: &Path, owner: &str) -> Toolbox {
    Toolbox::new(ToolboxSettings {
        data_dir: dir.to_owned(),
        vault_key: KeySource::File(dir.join("vault.key")),
        docker: DockerSettings::default(),
        egress: EgressPolicy::default(),
        owner: owner.to_owned(),
    })
    .unwrap()
}

/// A specification that runs `script` in a shell.
pub(crate) fn sh(script: &str) -> ContainerSpec {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    ContainerSpec { image: IMAGE.to_owned(), command: Some(command), ..ContainerSpec::default() }
}
