//! Credentials of registries, against a real registry with a password.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod support;

use bollard::{
    Docker,
    auth::DockerCredentials,
    query_parameters::{
        InspectContainerOptions, ListVolumesOptions, PushImageOptions, RemoveImageOptions, TagImageOptions,
    },
};
use futures::StreamExt as _;
use std::{
    collections::HashMap,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};
use support::{IMAGE, World, sh};
use windlass_capabilities::{Keep, LogStream, Trouble};
use windlass_contract::{
    SecretValue,
    capability::{ContainerError, ContainerSpec, Output, PullPolicy},
};

const USER: &str = "ci";
const PASSWORD: &str = "s3cr3t-of-the-registry";

/// A registry that answers only to [`USER`]. It ends with the test.
struct Registry {
    child: Child,
    host: String,
    _dir: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    async fn start() -> Registry {
        let dir = tempfile::tempdir().unwrap();
        let need = "these tests need docker-registry and htpasswd (packages docker-registry, apache2-utils); `make setup-tests` installs them";
        let users = Command::new("htpasswd").args(["-Bbn", USER, PASSWORD]).output().expect(need).stdout;
        std::fs::write(dir.path().join("htpasswd"), users).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let root = dir.path().display();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\n\
             http: {{addr: {host}}}\nauth: {{htpasswd: {{realm: test, path: {root}/htpasswd}}}}\n"
        );
        std::fs::write(dir.path().join("registry.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(dir.path().join("registry.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect(need);
        let registry = Registry { child, host, _dir: dir };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(&registry.host).await.is_ok() {
                return registry;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the registry did not come up at {}", registry.host);
    }

    fn image(&self) -> String {
        format!("{}/acme/tool:1", self.host)
    }

    /// Puts the test image there, and takes it off the engine again.
    async fn publish(&self, docker: &Docker) {
        let repo = format!("{}/acme/tool", self.host);
        let options = TagImageOptions { repo: Some(repo.clone()), tag: Some("1".to_owned()) };
        docker.tag_image(IMAGE, Some(options)).await.unwrap();
        let login = DockerCredentials {
            username: Some(USER.to_owned()),
            password: Some(PASSWORD.to_owned()),
            ..DockerCredentials::default()
        };
        let options = PushImageOptions { tag: Some("1".to_owned()), ..PushImageOptions::default() };
        let mut pushed = std::pin::pin!(docker.push_image(&repo, Some(options), Some(login)));
        while let Some(step) = pushed.next().await {
            step.unwrap();
        }
        self.forget(docker).await;
    }

    async fn forget(&self, docker: &Docker) {
        let _ = docker.remove_image(&self.image(), None::<RemoveImageOptions>, None).await;
    }

    async fn is_on_engine(&self, docker: &Docker) -> bool {
        docker.inspect_image(&self.image()).await.is_ok()
    }
}

fn credentials(password: &str, server: Option<&str>) -> String {
    serde_json::json!({"username": USER, "password": password, "serveraddress": server}).to_string()
}

/// Starts `spec` in a step of its own, with the credentials that the vault has at `login`; answers what it printed.
async fn run(world: &World, step: &str, spec: ContainerSpec, login: Option<&str>) -> Result<String, ContainerError> {
    let tools = world.step(step, serde_json::json!({"image": spec.image}));
    let capabilities = tools.capabilities();
    let registry_auth = match login {
        None => None,
        Some(document) => {
            let reference = format!("cloud/{step}");
            let value = SecretValue::new(document.as_bytes().to_vec());
            world.toolbox.vault().set(&reference.parse().unwrap(), &value, &[]).unwrap();
            Some(capabilities.secrets.unwrap().get(reference).await.unwrap())
        }
    };
    let started = capabilities.containers.unwrap().start(ContainerSpec { registry_auth, ..spec }).await;
    if started.is_err() {
        let trouble = tools.seen().trouble;
        let pull = matches!(started.as_ref().err(), Some(ContainerError::ImagePullFailed(_)));
        assert_eq!(trouble == Some(Trouble::ImagePullFailed), pull, "{trouble:?}");
    }
    let container = started?;
    assert_eq!(container.wait().await?.code, 0, "{}", container.captured(Output::Stderr).await);
    Ok(container.captured(Output::Stdout).await)
}

#[tokio::test]
async fn who_may_pull_and_when_it_is_pulled() {
    let world = World::new("pull").await;
    let registry = Registry::start().await;
    registry.publish(&world.docker).await;
    assert!(!registry.is_on_engine(&world.docker).await);
    let spec = |pull| ContainerSpec { image: registry.image(), pull, ..sh("echo ran") };
    let refused = async |step: &str, pull, login: Option<String>| {
        let error = run(&world, step, spec(pull), login.as_deref()).await.unwrap_err();
        let ContainerError::ImagePullFailed(words) = error else { panic!("{error:?}") };
        assert!(!words.contains(PASSWORD) && words.contains(&registry.host), "{words}");
        words
    };
    let none = refused("none", PullPolicy::IfNotPresent, None).await;
    assert!(none.contains("no basic auth credentials") || none.contains("unauthorized"), "{none}");
    let wrong = refused("wrong", PullPolicy::IfNotPresent, Some(credentials("wrong-one", None))).await;
    assert!(wrong.contains("unauthorized"), "{wrong}");
    let never = refused("never", PullPolicy::Never, Some(credentials(PASSWORD, None))).await;
    assert!(never.contains("the pull policy is never"), "{never}");
    // Those of another registry are not shown to this one.
    refused("other", PullPolicy::IfNotPresent, Some(credentials(PASSWORD, Some("registry.example.com")))).await;
    assert!(!registry.is_on_engine(&world.docker).await);

    let right = credentials(PASSWORD, None);
    let address = credentials(PASSWORD, Some(&format!("http://{}/v2/", registry.host)));
    assert_eq!(run(&world, "right", spec(PullPolicy::IfNotPresent), Some(&right)).await.unwrap(), "ran\n");
    assert!(registry.is_on_engine(&world.docker).await);
    assert_eq!(run(&world, "again", spec(PullPolicy::Always), Some(&address)).await.unwrap(), "ran\n");
    // It is there now: only `always` asks the registry.
    assert_eq!(run(&world, "there", spec(PullPolicy::IfNotPresent), None).await.unwrap(), "ran\n");
    assert_eq!(run(&world, "there-too", spec(PullPolicy::Never), None).await.unwrap(), "ran\n");
    refused("always", PullPolicy::Always, None).await;
    let pulls = world.log.text(LogStream::System).matches("pulling image").count();
    assert_eq!(pulls, 6, "{}", world.log.text(LogStream::System));
    world.toolbox.remove_run(&world.run, Keep::Nothing).await.unwrap();
    registry.forget(&world.docker).await;
    world.end().await;
}

/// The names of the volumes that were lent to containers of the run.
async fn loans(world: &World) -> Vec<String> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("dev.windlass.run={}", world.run)])]);
    let listed = world.docker.list_volumes(Some(ListVolumesOptions { filters: Some(filters) })).await.unwrap();
    let names = listed.volumes.unwrap_or_default().into_iter().map(|volume| volume.name);
    names.filter(|name| name.ends_with("-docker")).collect()
}

#[tokio::test]
async fn a_step_finds_its_login_and_nothing_else_shows_it() {
    let world = World::new("login").await;
    let login = credentials(PASSWORD, Some("registry.example.com"));
    // Its parts one by one, since the whole would be masked.
    let script = "cd $DOCKER_CONFIG && pwd && stat -c '%u %a' . config.json && cut -c1-42 config.json && \
                  cut -d'\"' -f8 config.json && cut -d'\"' -f8 config.json | base64 -d | wc -c && env | sort && \
                  { echo x 2>/dev/null > config.json || echo read-only; }";
    let seen = async |step: &str, spec: ContainerSpec| run(&world, step, spec, Some(&login)).await.unwrap();
    let root = seen("root", sh(script)).await;
    let root = root.lines().filter(|line| !line.starts_with("HOSTNAME=")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(root, @r#"
    /run/windlass/docker
    0 500
    0 400
    {"auths":{"***":{"auth":"
    ***Q==
    25
    DOCKER_CONFIG=/run/windlass/docker
    HOME=/root
    OLDPWD=/workspace
    PATH=/bin
    PWD=/run/windlass/docker
    SHLVL=1
    read-only
    "#);
    // Its own, and nobody else's, also under a root that is read-only; by name, it is not known whose it is.
    let user = |user: &str| ContainerSpec { user: Some(user.to_owned()), read_only_root: true, ..sh(script) };
    let numbered = seen("numbered", user("1000:1000")).await;
    assert!(numbered.starts_with("/run/windlass/docker\n1000 500\n1000 400\n"), "{numbered}");
    let named = seen("named", user("builder")).await;
    assert!(named.starts_with("/run/windlass/docker\n0 555\n0 444\n"), "{named}");

    let name = "windlass-rtest-login-root-1-1";
    let found = world.docker.inspect_container(name, None::<InspectContainerOptions>).await.unwrap();
    let found = serde_json::to_string(&found).unwrap();
    for hidden in [PASSWORD, "Y2k6czNjcjN0"] {
        assert!(!found.contains(hidden), "{found}");
        let log = [LogStream::Stdout, LogStream::Stderr, LogStream::System].map(|of| world.log.text(of)).concat();
        assert!(!log.contains(hidden), "{log}");
    }
    assert_eq!(loans(&world).await.len(), 3);
    // A run whose volumes stay keeps no login.
    world.toolbox.remove_run(&world.run, Keep::Volumes).await.unwrap();
    assert_eq!(loans(&world).await, Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_login_goes_with_its_container_and_survives_a_crash() {
    let world = World::new("loan").await;
    let set = |password: &str| {
        let value = SecretValue::new(credentials(password, None).into_bytes());
        world.toolbox.vault().set(&"cloud/login".parse().unwrap(), &value, &[]).unwrap();
    };
    let start = async |world: &World| {
        let tools = world.step("build", serde_json::json!({}));
        let capabilities = tools.capabilities();
        let login = capabilities.secrets.unwrap().get("cloud/login".to_owned()).await.unwrap();
        let script = "until [ -e /workspace/go ]; do sleep 0.05; done; wc -l < $DOCKER_CONFIG/config.json";
        let spec = ContainerSpec { registry_auth: Some(login), ..sh(script) };
        (capabilities.containers.unwrap().start(spec).await, tools)
    };
    set("the-first-one");
    drop(start(&world).await.0.unwrap());
    // The host comes back, and the password was changed meanwhile: it is still the same request.
    set("the-second-one");
    let after = world.after_crash().await;
    let (adopted, tools) = start(&after).await;
    let adopted = adopted.unwrap();
    run(&after, "go", sh("touch /workspace/go"), None).await.unwrap();
    assert_eq!(adopted.wait().await.unwrap().code, 0);
    assert!(after.log.text(LogStream::System).contains("adopted"));
    assert_eq!(loans(&world).await, ["windlass-rtest-loan-build-1-1-docker"]);
    tools.remove().await.unwrap();
    assert_eq!(loans(&world).await, Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn credentials_that_are_none() {
    let world = World::new("badlogin").await;
    let error = run(&world, "shape", sh("true"), Some("ci:s3cr3t-of-the-registry")).await.unwrap_err();
    insta::assert_snapshot!(error, @r#"the secret of the registry's credentials is not such a document; store a JSON document of this shape: {"username": "…", "password": "…", "serveraddress": "registry.example.com"}, where serveraddress may be left out for the registry of the image"#);
    assert!(matches!(error, ContainerError::Invalid(_)));
    let own = ContainerSpec { env: vec![("DOCKER_CONFIG".to_owned(), "/x".to_owned())], ..sh("true") };
    let error = run(&world, "twice", own, Some(&credentials(PASSWORD, None))).await.unwrap_err();
    insta::assert_snapshot!(error, @"DOCKER_CONFIG is set, and registry credentials are given, which set it too; leave one of them out");
    assert_eq!(world.left().await, 0);
    world.end().await;
}
