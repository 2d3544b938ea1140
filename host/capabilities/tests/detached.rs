//! Containers that outlive the call, on a real Docker engine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod support;

use bollard::{
    models::ContainerCreateBody,
    query_parameters::{CreateContainerOptions, InspectContainerOptions},
};
use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};
use support::{IMAGE, World, sh};
use windlass_capabilities::{Keep, LogStream};
use windlass_contract::capability::{Container, ContainerError, ContainerSpec, Containers, Output, VolumeMount};

const GRANTED: &str = r#"{
    "containers": {
        "images": ["windlass-test/*"], "network": true, "detached": true, "ports": true, "memory-mib": 512, "cpu-millis": 2000
    },
    "artifacts": {"read": true, "write": true}
}"#;

/// A world in which a provider is called for an environment.
async fn world(name: &str) -> World {
    let mut world = World::new(name).await;
    world.permissions = serde_json::from_str(GRANTED).unwrap();
    world.environment = Some("staging".parse().unwrap());
    world.toolbox.remove_detached(world.environment.as_ref().unwrap()).await.unwrap();
    world
}

async fn end(world: World) {
    for each in world.toolbox.detached(None).await.unwrap() {
        world.toolbox.remove_detached(&each.environment).await.unwrap();
    }
    world.end().await;
}

fn detached(name: &str, script: &str) -> ContainerSpec {
    ContainerSpec { detach: Some(name.to_owned()), ..sh(script) }
}

async fn find(containers: &Arc<dyn Containers>, name: &str) -> Option<Arc<dyn Container>> {
    containers.find(name.to_owned()).await.unwrap()
}

async fn state(container: &Arc<dyn Container>) -> serde_json::Value {
    serde_json::from_str(&container.state().await.unwrap()).unwrap()
}

fn shown(world: &[windlass_capabilities::Detached]) -> Vec<String> {
    let one = |each: &windlass_capabilities::Detached| {
        format!("{} {} {} {}", each.environment, each.plugin, each.name, if each.running { "runs" } else { "ended" })
    };
    world.iter().map(one).collect()
}

#[tokio::test]
async fn a_container_lives_on_and_is_found_again() {
    let world = world("detached").await;
    let tools = world.step("deploy", serde_json::json!({}));
    let containers = tools.capabilities().containers.unwrap();
    assert!(find(&containers, "web").await.is_none());
    let script = "trap 'echo bye; exit 5' TERM; echo hello; echo oops >&2; while :; do sleep 1; done";
    let made = containers.start(detached("web", script)).await.unwrap();
    assert_eq!(made.wait_for(300).await.unwrap(), None, "it runs");
    assert_eq!(made.exec(vec!["true".to_owned()]).await.unwrap().code, 0);
    assert_eq!(made.exec(["sh", "-c", "exit 4"].map(str::to_owned).to_vec()).await.unwrap().code, 4);
    let passing = containers.start(sh("sleep 60")).await.unwrap();
    assert_eq!(passing.wait_for(10).await.unwrap(), None);
    drop((made, passing, containers));

    // The call ends: everything of it goes, and what was detached stays. So it does when what nobody needs any more is cleared away.
    tools.stop(Duration::ZERO).await;
    world.toolbox.remove_run(&world.run, Keep::Nothing).await.unwrap();
    assert_eq!(world.left().await, 0);
    world.toolbox.sweep(|_| Keep::Nothing).await.unwrap();
    assert_eq!(shown(&world.toolbox.detached(None).await.unwrap()), ["staging acme:test web runs"]);

    // A later call, of another process.
    let later = world.after_crash().await;
    let containers = later.containers();
    let again = find(&containers, "web").await.expect("it is there");
    let seen = state(&again).await;
    assert_eq!((&seen["running"], &seen["image"]), (&true.into(), &IMAGE.into()));
    assert!(seen.get("exit_code").is_none() && seen["started_at"].as_str().unwrap().contains('T'), "{seen}");
    assert_eq!(again.captured(Output::Stdout).await, "hello\n");
    assert_eq!(again.captured(Output::Stderr).await, "oops\n");
    assert_eq!(later.log.text(LogStream::Stdout), "hello\n");

    let asked = Instant::now();
    again.stop(20_000).await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(15), "it ends by itself");
    assert_eq!(again.wait().await.unwrap().code, 5);
    assert_eq!(again.wait_for(0).await.unwrap().map(|exit| exit.code), None, "nothing is waited for");
    assert_eq!(state(&again).await["exit_code"], 5);
    again.stop(0).await.unwrap();
    again.start_again().await.unwrap();
    assert_eq!(state(&again).await["running"], true);
    again.start_again().await.unwrap();

    again.remove().await.unwrap();
    assert!(find(&containers, "web").await.is_none());
    for gone in [again.start_again().await, again.state().await.map(drop), again.stop(0).await] {
        assert!(matches!(gone, Err(ContainerError::Lost(_))), "{gone:?}");
    }
    end(world).await;
}

#[tokio::test]
async fn a_port_is_published_on_the_loopback_address_alone() {
    let world = world("ports").await;
    let spec = ContainerSpec {
        network: true,
        publish: vec![8080, 8080],
        ..detached("web", "mkdir /www && echo here > /www/index.html && exec httpd -f -p 8080 -h /www")
    };
    let web = world.start(spec).await.unwrap();
    assert_eq!(web.wait_for(500).await.unwrap(), None);
    let address = state(&web).await["ports"]["8080"].as_str().unwrap().to_owned();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("here\n"), "{answer}");

    let name = world.docker.list_containers(None).await.unwrap();
    let name =
        name.into_iter().filter_map(|found| found.names?.pop()).find(|name| name.contains("test-ports")).unwrap();
    let found = world.docker.inspect_container(name.trim_start_matches('/'), None::<InspectContainerOptions>).await;
    let bound = found.unwrap().network_settings.unwrap().ports.unwrap();
    let hosts: Vec<_> = bound.into_values().flatten().flatten().map(|bound| bound.host_ip.unwrap()).collect();
    assert_eq!(hosts, ["127.0.0.1"]);
    end(world).await;
}

/// What of the request decides is what the grant and the call allow, whatever the plugin asks for.
#[tokio::test]
async fn what_is_refused() {
    let mut world = world("refusals").await;
    let check = async |world: &World, spec: ContainerSpec, expect: &str| {
        let error = world.start(spec).await.err().unwrap_or_else(|| panic!("it should be refused: {expect}"));
        let told = format!("{error:?}");
        assert!(told.contains(expect), "{told}, not {expect}");
    };
    let web = || detached("web", "sleep 60");
    for name in ["", "Web", "a/b", "../x", "a b", "a--b", "-a", "a.b", &"x".repeat(64)] {
        check(&world, detached(name, ""), "Invalid").await;
    }
    check(&world, ContainerSpec { timeout_ms: Some(1000), ..web() }, "has no timeout").await;
    check(&world, ContainerSpec { workspace: Some(("/w".to_owned(), true)), ..web() }, "there is no volume").await;
    let volume = VolumeMount { name: "docker".to_owned(), path: "/x".to_owned(), read_only: true };
    check(&world, ContainerSpec { volumes: Some(vec![volume]), ..web() }, "there is no volume").await;
    check(&world, ContainerSpec { publish: vec![80], ..web() }, "a detached container with a network has ports").await;
    check(&world, ContainerSpec { publish: vec![80], network: true, ..sh("") }, "a detached container").await;
    check(&world, ContainerSpec { publish: vec![0], network: true, ..web() }, "from 1 to 65535").await;
    check(&world, ContainerSpec { publish: (1..=17).collect(), network: true, ..web() }, "has 1 to 16 ports").await;
    check(&world, ContainerSpec { image: "debian:12".to_owned(), ..web() }, "NotGranted").await;

    let scope = |world: &mut World, change: &dyn Fn(&mut windlass_contract::permissions::ContainersScope)| {
        change(world.permissions.containers.as_mut().unwrap());
    };
    scope(&mut world, &|scope| scope.ports = false);
    check(&world, ContainerSpec { publish: vec![80], network: true, ..web() }, "containers: { ports: true }").await;
    scope(&mut world, &|scope| scope.network = false);
    check(&world, ContainerSpec { network: true, ..web() }, "containers: { network: true }").await;
    scope(&mut world, &|scope| scope.detached = false);
    check(&world, web(), "containers: { detached: true }").await;
    let error = world.containers().find("web".to_owned()).await.err().unwrap();
    assert!(matches!(error, ContainerError::NotGranted(_)), "{error:?}");

    // In a step of a run, the grant does not help.
    scope(&mut world, &|scope| scope.detached = true);
    world.environment = None;
    check(&world, web(), "containers outlive only the calls of providers").await;
    let error = world.containers().find("web".to_owned()).await.err().unwrap();
    assert!(matches!(error, ContainerError::Invalid(_)), "{error:?}");
    let step = world.start(sh("true")).await.unwrap();
    for refused in [step.state().await.map(drop), step.start_again().await, step.remove().await] {
        assert!(matches!(refused, Err(ContainerError::Invalid(_))), "{refused:?}");
    }
    step.wait().await.unwrap();
    assert!(world.toolbox.detached(None).await.unwrap().is_empty());
    end(world).await;
}

#[tokio::test]
async fn what_others_have_is_not_found() {
    let mut world = world("foreign").await;
    let mine = world.start(detached("web", "sleep 60")).await.unwrap();
    let again = world.start(detached("web", "sleep 60")).await.err().unwrap();
    assert!(again.to_string().contains("there is a detached container web already"), "{again}");

    // The same name for another environment, by the same plugin; and by another plugin for the same environment.
    world.environment = Some("production".parse().unwrap());
    assert!(find(&world.containers(), "web").await.is_none());
    world.start(detached("web", "sleep 60")).await.unwrap();
    world.environment = Some("staging".parse().unwrap());
    let other = world.step_of("acme:other", "deploy", serde_json::json!({})).capabilities().containers.unwrap();
    assert!(find(&other, "web").await.is_none());
    other.start(detached("web", "exit 0")).await.unwrap().wait().await.unwrap();
    assert_eq!(
        shown(&world.toolbox.detached(None).await.unwrap()),
        ["production acme:test web runs", "staging acme:other web ended", "staging acme:test web runs"]
    );
    let staging = world.toolbox.detached(Some(&"staging".parse().unwrap())).await.unwrap();
    assert_eq!(shown(&staging), ["staging acme:other web ended", "staging acme:test web runs"]);

    // Somebody puts a container of his own where ours was: by its name it would be ours.
    let names = world.docker.list_containers(None).await.unwrap();
    let is_mine = |labels: &HashMap<String, String>| {
        labels.get("dev.windlass.owner").is_some_and(|owner| owner == "test-foreign")
            && labels.get("dev.windlass.environment").is_some_and(|environment| environment == "staging")
    };
    let found = names.into_iter().find(|found| found.labels.as_ref().is_some_and(is_mine)).unwrap();
    let name = found.names.unwrap().pop().unwrap().trim_start_matches('/').to_owned();
    mine.remove().await.unwrap();
    let options = CreateContainerOptions { name: Some(name.clone()), ..CreateContainerOptions::default() };
    let body = ContainerCreateBody { image: Some(IMAGE.to_owned()), ..ContainerCreateBody::default() };
    world.docker.create_container(Some(options), body).await.unwrap();
    assert!(find(&world.containers(), "web").await.is_none());
    let refused = world.start(detached("web", "sleep 60")).await.err().unwrap();
    assert!(matches!(refused, ContainerError::Invalid(_)), "{refused:?}");
    // The handle of the one that was removed does not lead to the other.
    assert!(matches!(mine.start_again().await, Err(ContainerError::Lost(_))));
    world.remove(&name).await;

    assert_eq!(world.toolbox.remove_detached(&"staging".parse().unwrap()).await.unwrap(), 1);
    assert_eq!(shown(&world.toolbox.detached(None).await.unwrap()), ["production acme:test web runs"]);
    end(world).await;
}

#[tokio::test]
async fn only_so_many_in_an_environment() {
    let world = world("many").await;
    for n in 0..10 {
        world.start(detached(&format!("c{n}"), "true")).await.unwrap();
    }
    let error = world.start(detached("more", "true")).await.err().unwrap();
    let ContainerError::ResourceExhausted(words) = error else { panic!("{error:?}") };
    assert_eq!(words, "this environment has 10 detached containers already; remove some of them first");
    find(&world.containers(), "c3").await.unwrap().remove().await.unwrap();
    world.start(detached("more", "true")).await.unwrap();
    end(world).await;
}

#[tokio::test]
async fn one_that_does_not_start_is_not_left_behind() {
    let world = world("startless").await;
    let spec = ContainerSpec { workdir: Some("/etc/passwd".to_owned()), ..detached("web", "true") };
    world.start(spec).await.err().unwrap();
    assert!(world.toolbox.detached(None).await.unwrap().is_empty());
    end(world).await;
}

/// Whoever waits is woken when the call is to stop; what was detached goes on.
#[tokio::test]
async fn a_call_that_is_to_stop() {
    let world = world("stopping").await;
    let tools = world.step("deploy", serde_json::json!({}));
    let made = tools.capabilities().containers.unwrap().start(detached("web", "sleep 60")).await.unwrap();
    let waiting = tokio::spawn({
        let made = made.clone();
        async move { (made.wait().await, made.exec(vec!["true".to_owned()]).await) }
    });
    tokio::task::yield_now().await;
    tools.stop(Duration::ZERO).await;
    let (waited, executed) = waiting.await.unwrap();
    assert_eq!(
        (waited, executed.map(|exit| exit.code)),
        (Err(ContainerError::Cancelled), Err(ContainerError::Cancelled))
    );
    assert_eq!(shown(&world.toolbox.detached(None).await.unwrap()), ["staging acme:test web runs"]);
    end(world).await;
}
