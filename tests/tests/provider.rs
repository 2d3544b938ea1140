//! The bundled provider `local`, published, installed and granted as a user does it, and called as the server will: on a real
//! registry and a real container engine.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use serde_json::{Map, Value, json};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};
use windlass_capabilities::{DockerSettings, EgressPolicy, KeySource, ToolboxSettings};
use windlass_contract::{CodedError, EnvironmentName, Permissions, ProviderCall, Verb, permissions::Pattern};
use windlass_driver::{Host, HostSettings, ProviderFailure, ProviderReport};
use windlass_package::{Home, Installed, installed};
use windlass_runtime::{ProviderErrorKind, Runtime, Settings};
use windlass_tests::{IMAGE, Project, Registry, root, windlass};

/// A project with the provider installed, and what calls it.
struct World {
    host: Host,
    local: Installed,
    config: Value,
    environment: EnvironmentName,
    // The last to be dropped: it removes what is left on the engine.
    project: Project,
}

impl World {
    async fn new() -> World {
        let registry = Registry::start();
        let mut project = Project::empty();
        project.set_env("WINDLASS_REGISTRY", registry.url());
        project.set_env("WINDLASS_REGISTRY_TOKEN", &registry.token("windlass"));
        let plugin = root().join("plugins/local");
        let published = project.windlass(["plugin", "publish", plugin.to_str().unwrap()]).ok();
        assert!(published.all().contains("provider local"), "{}", published.all());
        let consent = project.windlass(["plugin", "install", "windlass:local", "--grant"]).ok();
        assert!(consent.all().contains("windlass:local"), "{}", consent.all());
        let listed = project.windlass(["plugin", "list"]).ok();
        assert!(listed.stdout.contains("provider local"), "{}", listed.stdout);
        let asks = project.windlass(["plugin", "info", "windlass:local"]).ok().stdout;
        assert!(asks.contains("WHICH GO ON") && asks.contains("127.0.0.1"), "{asks}");

        let home = Home::from_env(Some(project.home().to_owned())).unwrap();
        let local = installed(&home, project.folder()).unwrap().remove(0);
        let (host, environment) = (host(&project).await, "staging".parse().unwrap());
        World { host, local, config: json!({}), environment, project }
    }

    async fn report(&self, verb: Verb, arguments: Value) -> ProviderReport {
        self.within(verb, arguments, &self.local.effective, Duration::from_secs(120)).await
    }

    async fn within(
        &self,
        verb: Verb,
        arguments: Value,
        permissions: &Permissions,
        deadline: Duration,
    ) -> ProviderReport {
        let Value::Object(arguments) = arguments else { panic!("an object") };
        let (plugin, environment) = (self.local.plugin.clone(), self.environment.clone());
        let call = ProviderCall { plugin, verb, environment, config: self.config.clone(), arguments };
        self.host.call_provider(call, permissions.clone(), deadline).await.unwrap()
    }

    #[track_caller]
    fn answer(report: ProviderReport) -> Map<String, Value> {
        match report.result {
            Ok(answer) => answer,
            Err(error) => panic!("{} {error}\n{}", error.code(), report.log.join("\n")),
        }
    }

    async fn ask(&self, verb: Verb, arguments: Value) -> Map<String, Value> {
        World::answer(self.report(verb, arguments).await)
    }

    async fn refused(&self, verb: Verb, arguments: Value) -> ProviderFailure {
        let report = self.report(verb, arguments).await;
        report.result.expect_err("it should be refused")
    }

    async fn deploy(&self) -> Map<String, Value> {
        self.ask(Verb::Deploy, json!({ "image": IMAGE })).await
    }

    /// What is deployed, each with whether it runs.
    async fn deployed(&self) -> Vec<String> {
        let found = self.host.deployments(Some(&self.environment)).await.unwrap();
        found.iter().map(|each| format!("{} {}", each.name, if each.running { "runs" } else { "stopped" })).collect()
    }
}

async fn host(project: &Project) -> Host {
    let home = project.home();
    let settings = Settings { cache_dir: home.join("cache/compiled"), compiler: windlass(), concurrency: 4 };
    let toolbox = ToolboxSettings {
        data_dir: home.to_owned(),
        vault_key: KeySource::File(home.join("vault.key")),
        docker: DockerSettings::default(),
        egress: EgressPolicy::default(),
        owner: project.owner(),
    };
    Host::open(HostSettings { home: home.to_owned(), toolbox }, Runtime::new(settings).unwrap()).await.unwrap()
}

/// A small web server that says `what`.
fn serves(what: &str) -> Value {
    let script = format!("mkdir -p /www && echo {what} > /www/index.html && exec httpd -f -p 8080 -h /www");
    json!({
        "command": ["sh", "-c", script], "port": 8080, "grace_seconds": 0, "stop_seconds": 1,
        "health": { "path": "/index.html", "interval_seconds": 1, "timeout_seconds": 30 },
    })
}

/// What is served at an address.
fn served(at: &Value) -> String {
    let mut stream = TcpStream::connect(at.as_str().expect("an address")).unwrap();
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().last().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_service_is_deployed_replaced_and_gone_back_from() {
    let mut world = World::new().await;
    let provider = world.local.descriptor.provider.clone().expect("a provider");
    assert_eq!((provider.name.as_str(), world.local.descriptor.steps.len()), ("local", 0));
    assert_eq!(provider.config_schema["properties"]["port"]["type"], "integer");
    let reached = world.ask(Verb::TestConnection, json!({})).await;
    assert_eq!((&reached["success"], &reached["message"]), (&json!(true), &json!("the container engine answers")));
    let nothing = world.refused(Verb::Status, json!({})).await;
    assert_eq!(
        (nothing.kind, nothing.message.as_str()),
        (Some(ProviderErrorKind::NotFound), "nothing is deployed yet")
    );

    world.config = serves("one");
    assert_eq!(windlass_manifest::check_environment(&provider.config_schema, &world.config), Ok(Vec::new()));
    let first = world.deploy().await;
    assert_eq!((&first["deploy_id"], &first["status"]), (&json!("d1"), &json!("succeeded")), "{first:?}");
    assert!(first["endpoint"].as_str().unwrap().starts_with("127.0.0.1:") && first["started_at"].is_string());
    assert_eq!(served(&first["endpoint"]), "one");
    let status = world.ask(Verb::Status, json!({})).await;
    let instance = json!({"id": "d1", "status": "running", "health": "healthy", "address": first["endpoint"]});
    assert_eq!((&status["status"], &status["instances"][0]), (&json!("succeeded"), &instance));

    world.config = serves("two");
    let second = world.ask(Verb::Deploy, json!({ "image": IMAGE, "previous": "d1" })).await;
    assert_eq!(served(&second["endpoint"]), "two");
    assert_eq!(world.deployed().await, ["d1 stopped", "d2 runs"]);

    // One that does not come up changes nothing, and says why.
    world.config = json!({"command": ["sh", "-c", "echo no database; exit 3"]});
    let third = world.deploy().await;
    assert_eq!((&third["deploy_id"], &third["status"]), (&json!("d3"), &json!("failed")));
    assert_eq!(third["message"], "it has ended with exit code 3; it printed last:\nno database");
    world.config = serves("four");
    world.config["health"] = json!({"command": ["false"], "interval_seconds": 1, "timeout_seconds": 1});
    let fourth = world.deploy().await;
    assert!(fourth["message"].as_str().unwrap().starts_with("its health check fails: false exits 1"), "{fourth:?}");
    world.config["health"] = json!({"command": ["no-such-program"], "timeout_seconds": 1});
    let fifth = world.deploy().await;
    assert!(fifth["message"].as_str().unwrap().contains("there is no no-such-program in the image"), "{fifth:?}");
    assert_eq!(world.deployed().await, ["d1 stopped", "d2 runs"]);
    assert_eq!(served(&second["endpoint"]), "two");

    // Another process, and what it clears away at its start.
    world.host = host(&world.project).await;
    world.host.sweep().await;
    world.config = serves("whatever: what is there was made with its own");
    let stale = world.refused(Verb::Deploy, json!({ "image": IMAGE, "previous": "d1" })).await;
    assert_eq!(
        (stale.kind, stale.message.as_str()),
        (Some(ProviderErrorKind::Conflict), "d1 is not in place any more: d2 is")
    );
    let back = world.ask(Verb::Rollback, json!({ "deploy_id": "d2" })).await;
    assert_eq!((&back["deploy_id"], &back["status"]), (&json!("d1"), &json!("succeeded")), "{back:?}");
    assert_eq!(served(&back["endpoint"]), "one");
    assert_eq!(world.deployed().await, ["d1 runs", "d2 stopped"]);
    let again = world.refused(Verb::Rollback, json!({ "deploy_id": "d2" })).await;
    assert_eq!(again.kind, Some(ProviderErrorKind::Conflict), "asked twice, it is done once");
    let forth = world.ask(Verb::Rollback, json!({})).await;
    assert_eq!((&forth["deploy_id"], served(&forth["endpoint"]).as_str()), (&json!("d2"), "two"));
    let old = world.ask(Verb::Status, json!({ "deploy_id": "d1" })).await;
    assert_eq!(old["instances"][0]["status"], "stopped");

    // What has ended by itself is seen.
    assert_eq!(world.ask(Verb::Health, json!({})).await["health"], "healthy");
    let owner = format!("--filter=label=dev.windlass.owner={}", world.project.owner());
    let running = std::process::Command::new("docker").args(["ps", "-q", &owner]).output().unwrap().stdout;
    let killed =
        std::process::Command::new("docker").arg("kill").arg(String::from_utf8(running).unwrap().trim()).output();
    assert!(killed.unwrap().status.success());
    let status = world.ask(Verb::Status, json!({})).await;
    assert_eq!((&status["status"], &status["message"]), (&json!("failed"), &json!("it has ended with exit code 137")));
    assert_eq!(world.ask(Verb::Health, json!({})).await["health"], "unhealthy");

    world.ask(Verb::Retire, json!({ "revision": "d1" })).await;
    assert_eq!(world.deployed().await, ["d2 stopped"]);
    let none = world.refused(Verb::Rollback, json!({})).await;
    assert_eq!(none.message, "there is nothing before d2 to go back to");
    world.config = json!("no configuration any more");
    world.ask(Verb::Retire, json!({})).await;
    world.ask(Verb::Retire, json!({})).await;
    assert!(world.deployed().await.is_empty());
    world.project.nothing_left();
}

/// What it may not do, and what becomes of calls that do not end.
#[tokio::test]
async fn what_it_may_not_do() {
    let mut world = World::new().await;
    world.config = json!({"command": ["sleep", "600"], "grace_seconds": 0, "stop_seconds": 0});
    let deadline = Duration::from_secs(60);
    let deploy = || json!({ "image": IMAGE });
    let narrowed = |change: &dyn Fn(&mut Permissions)| {
        let mut permissions = world.local.effective.clone();
        change(&mut permissions);
        permissions
    };
    let check = async |config: Value, change: &dyn Fn(&mut Permissions), expect: &str| {
        let permissions = narrowed(change);
        let call = ProviderCall {
            plugin: world.local.plugin.clone(),
            verb: Verb::Deploy,
            environment: world.environment.clone(),
            config,
            arguments: deploy().as_object().unwrap().clone(),
        };
        let report = world.host.call_provider(call, permissions, deadline).await.unwrap();
        let error = report.result.expect_err("it should be refused");
        assert!(error.to_string().contains(expect), "{error}");
    };
    let keep = |_: &mut Permissions| {};
    // There is no key for what no container gets; and the plugin has no way to ask for it.
    for key in ["privileged", "volumes", "devices", "network_mode", "cap_add", "pid", "ports"] {
        check(json!({ key: true }), &keep, &format!("unknown field `{key}`")).await;
    }
    check(json!({"network": "host"}), &keep, "expected a boolean").await;
    check(json!({"memory_mib": 1 << 20}), &keep, "is granted").await;
    check(json!({"user": "0:0:0"}), &keep, "is not a user").await;
    check(json!({"env": {"A": "secret:cicd/none"}}), &keep, "cicd/none").await;
    let scope = |change: fn(&mut windlass_contract::permissions::ContainersScope)| {
        move |permissions: &mut Permissions| change(permissions.containers.as_mut().unwrap())
    };
    check(json!({"port": 80}), &scope(|scope| scope.ports = false), "ports: true").await;
    check(json!({"network": true}), &scope(|scope| scope.network = false), "network: true").await;
    check(json!({}), &scope(|scope| scope.detached = false), "detached: true").await;
    let other: Pattern = "acme/*".parse().unwrap();
    let images = move |permissions: &mut Permissions| {
        permissions.containers.as_mut().unwrap().images = [other.clone()].into();
    };
    check(json!({}), &images, "is not granted").await;
    check(json!({}), &|permissions| permissions.state = false, "wants to keep a small store").await;
    assert!(world.deployed().await.is_empty());

    // An image that nobody has is a deployment that failed.
    let absent = world.ask(Verb::Deploy, json!({ "image": "nowhere.invalid/x:1" })).await;
    assert_eq!(absent["status"], "failed");
    assert!(absent["message"].as_str().unwrap().starts_with("the image could not be pulled"), "{absent:?}");

    // A health check that never ends meets the deadline. What it was about is cleared away by the next change.
    world.config["health"] = json!({"command": ["sleep", "600"]});
    let hung = world.within(Verb::Deploy, deploy(), &world.local.effective, Duration::from_secs(3)).await;
    let error = hung.result.expect_err("it does not end");
    assert_eq!(error.code().to_string(), "WL0323");
    assert!(hung.log.iter().any(|line| line.contains("starting d")), "{:?}", hung.log);
    let left = world.deployed().await;
    assert_eq!(left.len(), 1, "{left:?}");
    let under_way = world.ask(Verb::Status, json!({})).await;
    assert_eq!(under_way["status"], "in_progress");
    world.config["health"] = json!({"command": ["true"]});
    let sound = world.deploy().await;
    assert_eq!(sound["status"], "succeeded");
    assert_eq!(world.deployed().await, [format!("{} runs", sound["deploy_id"].as_str().unwrap())]);

    // Nobody waits for the answer any more: the deployment goes on all the same, and another one has to wait for its end.
    world.config["grace_seconds"] = json!(4);
    let abandoned = tokio::time::timeout(Duration::from_millis(300), world.report(Verb::Deploy, deploy())).await;
    assert!(abandoned.is_err());
    let call = ProviderCall {
        plugin: world.local.plugin.clone(),
        verb: Verb::Retire,
        environment: world.environment.clone(),
        config: json!({}),
        arguments: Map::new(),
    };
    let busy = world.host.call_provider(call, world.local.effective.clone(), deadline).await.err().unwrap();
    assert_eq!((busy.code().to_string(), busy.to_string().contains("staging")), ("WL1120".to_owned(), true), "{busy}");
    // Another process that begins meanwhile clears nothing away of it.
    host(&world.project).await.sweep().await;
    assert_eq!(std::fs::read_dir(world.project.home().join("open")).unwrap().count(), 1);
    let before = sound["deploy_id"].as_str().unwrap();
    let done = async {
        while world.deployed().await != [format!("{before} stopped"), format!("d{} runs", number(before) + 1)] {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(deadline, done).await.expect("it goes on");

    assert_eq!(world.host.remove_deployments(&world.environment).await.unwrap(), 2);
    let lost = world.ask(Verb::Status, json!({})).await;
    assert_eq!(
        (&lost["status"], &lost["message"]),
        (&json!("failed"), &json!("its container was removed from the container engine"))
    );
    world.project.nothing_left();
}

fn number(id: &str) -> u32 {
    id.trim_start_matches('d').parse().unwrap()
}

/// A secret reaches the container, and nobody who reads what is told of it.
#[tokio::test]
async fn secrets_stay_secret() {
    let mut world = World::new().await;
    world.project.secret("staging/database", "hunter2-and-more", &[]);
    world.config = json!({
        "env": {"DATABASE": "secret:staging/database"}, "grace_seconds": 1,
        "command": ["sh", "-c", "echo \"it is $DATABASE\"; [ \"$DATABASE\" = hunter2-and-more ] && exit 7"],
    });
    let report = world.report(Verb::Deploy, json!({ "image": IMAGE })).await;
    let (log, answer) = (report.log.join("\n"), World::answer(report));
    assert!(
        answer["message"].as_str().unwrap().starts_with("it has ended with exit code 7; it printed last:\nit is ***"),
        "{answer:?}"
    );
    assert!(!log.contains("hunter2") && log.contains("it is ***"), "{log}");
    assert_eq!(windlass_tests::files_with(world.project.home(), "hunter2"), Vec::<String>::new());
    world.project.nothing_left();
}
