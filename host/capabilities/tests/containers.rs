//! Containers, on a real Docker engine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use support::{IMAGE, Records, World, sh, toolbox};
use windlass_capabilities::{DockerSettings, EgressPolicy, Keep, KeySource, LogStream, Toolbox, ToolboxSettings};
use windlass_contract::{
    SecretValue,
    capability::{ArtifactError, ContainerError, ContainerSpec, Exit, Output, PullPolicy},
};

async fn run(world: &World, step: &str, spec: ContainerSpec) -> Result<(Exit, String), ContainerError> {
    let containers = world.step(step, serde_json::json!({})).capabilities().containers.unwrap();
    let container = containers.start(spec).await?;
    let exit = container.wait().await?;
    Ok((exit, container.captured(Output::Stdout).await))
}

#[tokio::test]
async fn exit_codes_output_and_defaults() {
    let world = World::new("exits").await;
    let (exit, out) = run(&world, "ok", sh("echo out; echo err >&2; pwd; id -u; ls -d /workspace")).await.unwrap();
    assert_eq!(exit, Exit { code: 0, out_of_memory: false, timed_out: false });
    assert_eq!(out, "out\n/workspace\n0\n/workspace\n");
    assert_eq!(world.log.text(LogStream::Stdout), out);
    assert_eq!(world.log.text(LogStream::Stderr), "err\n");
    assert_eq!(run(&world, "three", sh("exit 3")).await.unwrap().0.code, 3);
    assert_eq!(run(&world, "killed", sh("kill -9 $$")).await.unwrap().0.code, 137);
    let recorded = world.records.made.lock().unwrap().clone();
    assert_eq!(recorded[0], (1, "windlass-rtest-exits-ok-1-1".to_owned()));
    world.end().await;
}

#[tokio::test]
async fn what_a_container_can_and_cannot_do() {
    let world = World::new("walls").await;
    let script = "grep -E 'NoNewPrivs|CapEff' /proc/self/status; ip -o link | wc -l; cat /proc/1/comm; \
                  mount -t tmpfs x /mnt 2>&1 | head -1; mknod /tmp/d b 8 0 2>&1; ls /var/run/docker.sock 2>&1; \
                  touch /workspace/x && chown 1000 /workspace/x && echo owned; env | sort";
    // The canary must not be found in a container: nothing of the host's environment is passed on.
    assert!(std::env::var("PATH").is_ok());
    let (_, out) = run(&world, "walls", sh(script)).await.unwrap();
    let out = out.lines().filter(|line| !line.starts_with("HOSTNAME=")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(out, @r#"
    CapEff:	00000000000004fb
    NoNewPrivs:	1
    1
    docker-init
    mount: permission denied (are you root?)
    mknod: /tmp/d: Operation not permitted
    ls: /var/run/docker.sock: No such file or directory
    owned
    HOME=/root
    PATH=/bin
    PWD=/workspace
    SHLVL=1
    "#);
    world.end().await;
}

#[tokio::test]
async fn limits_user_and_read_only_root() {
    let world = World::new("limits").await;
    let bounded = ContainerSpec {
        memory_mib: Some(32),
        cpu_millis: Some(500),
        pids: Some(20),
        user: Some("builder".to_owned()),
        read_only_root: true,
        env: vec![("GREETING".to_owned(), "it's $HOME".to_owned())],
        workdir: Some("/tmp".to_owned()),
        ..sh("id -u; pwd; echo \"$GREETING\"; touch /x 2>&1; touch /tmp/y && touch /workspace/z && echo written; \
              i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done 2>&1 | grep -c fork; true")
    };
    let (exit, out) = run(&world, "bounded", bounded).await.unwrap();
    assert!(out.starts_with("1000\n/tmp\nit's $HOME\ntouch: /x: Read-only file system\nwritten\n"), "{out}");
    assert!(exit.code == 0 || out.contains("fork"), "{exit:?} {out}");
    let oom = ContainerSpec { memory_mib: Some(16), ..sh("x=a; while true; do x=$x$x; done") };
    let (exit, _) = run(&world, "oom", oom).await.unwrap();
    assert!(exit.out_of_memory && exit.code == 137, "{exit:?}");
    // Only a child died of it: the code is the script's, and it is still told.
    let child = ContainerSpec { memory_mib: Some(16), ..sh("sh -c 'x=a; while true; do x=$x$x; done'; exit 9") };
    let (exit, _) = run(&world, "child", child).await.unwrap();
    assert!(exit.out_of_memory && exit.code == 9, "{exit:?}");
    world.end().await;
}

#[tokio::test]
async fn refused_before_anything_is_asked_of_the_engine() {
    let mut world = World::new("refused").await;
    let check = async |world: &World, spec: ContainerSpec, expect: &str| {
        let error = world.start(spec).await.err().unwrap_or_else(|| panic!("it should be refused: {expect}"));
        assert!(format!("{error:?}").starts_with(expect), "{error:?}, not {expect}");
    };
    check(&world, ContainerSpec { image: "debian:12".to_owned(), ..sh("") }, "NotGranted").await;
    check(&world, ContainerSpec { image: "--privileged".to_owned(), ..sh("") }, "Invalid").await;
    check(&world, ContainerSpec { network: true, ..sh("") }, "NotGranted").await;
    check(&world, ContainerSpec { memory_mib: Some(1 << 20), ..sh("") }, "NotGranted").await;
    check(&world, ContainerSpec { workspace: Some(("/var/run/../..".to_owned(), false)), ..sh("") }, "Invalid").await;
    assert!(world.records.made.lock().unwrap().is_empty());
    // The author of the pipeline names an image; the plugin may use that one.
    let named = world.step("named", serde_json::json!({"deep": [{"image": "nowhere.invalid/x:1"}]}));
    let spec = ContainerSpec { image: "nowhere.invalid/x:1".to_owned(), ..sh("") };
    let pulled = named.capabilities().containers.unwrap().start(spec.clone()).await.err();
    assert!(matches!(pulled, Some(ContainerError::ImagePullFailed(_))), "{pulled:?}");
    assert!(world.log.text(LogStream::System).contains("pulling image nowhere.invalid/x:1"));
    let never = ContainerSpec { image: "windlass-test/none:1".to_owned(), pull: PullPolicy::Never, ..spec };
    check(&world, never, "ImagePullFailed").await;
    // The init in front of it starts, and says in the log what it could not find.
    let absent = ContainerSpec { command: Some(vec!["no-such-program".to_owned()]), ..sh("") };
    assert_eq!(run(&world, "absent", absent).await.unwrap().0.code, 127);
    assert!(world.log.text(LogStream::Stderr).contains("no-such-program"));
    world.permissions.containers = None;
    assert!(world.step("none", serde_json::json!({})).capabilities().containers.is_none());
    world.end().await;
}

#[tokio::test]
async fn an_engine_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let toolbox = Toolbox::new(ToolboxSettings {
        data_dir: dir.path().to_owned(),
        vault_key: KeySource::Env,
        docker: DockerSettings { host: Some("unix:///nonexistent/docker.sock".to_owned()) },
        egress: EgressPolicy::default(),
        owner: "test-absent".to_owned(),
    })
    .unwrap();
    let world = World { toolbox, ..World::new("absent").await };
    let error = world.start(sh("true")).await.err().unwrap();
    let ContainerError::EngineUnavailable(words) = &error else { panic!("{error:?}") };
    assert!(words.contains("/nonexistent/docker.sock") && words.contains("start Docker"), "{words}");
}

#[tokio::test]
async fn two_containers_share_the_workspace_and_the_next_step_too() {
    let world = World::new("share").await;
    let containers = world.containers();
    let writer = containers.start(sh("echo hello > x; until [ -e y ]; do sleep 0.05; done; cat y")).await.unwrap();
    let elsewhere = ContainerSpec {
        workspace: Some(("/src".to_owned(), false)),
        ..sh("until [ -e /src/x ]; do sleep 0.05; done; pwd; cat x; echo back > y")
    };
    let reader = containers.start(elsewhere).await.unwrap();
    assert_eq!((reader.wait().await.unwrap().code, writer.wait().await.unwrap().code), (0, 0));
    assert_eq!(reader.captured(Output::Stdout).await, "/src\nhello\n");
    assert_eq!(writer.captured(Output::Stdout).await, "back\n");
    let read_only = ContainerSpec { workspace: Some(("/workspace".to_owned(), true)), ..sh("cat x y; echo z > z") };
    let (exit, out) = run(&world, "later", read_only).await.unwrap();
    assert_eq!((exit.code, out.as_str()), (1, "hello\nback\n"));
    world.end().await;
}

#[tokio::test]
async fn a_timeout_lets_it_tidy_up_and_ends_it() {
    let mut world = World::new("timeout").await;
    let polite =
        ContainerSpec { timeout_ms: Some(500), ..sh("trap 'echo tidy; exit 5' TERM; while :; do sleep 0.1; done") };
    let (exit, out) = run(&world, "polite", polite).await.unwrap();
    assert_eq!((exit, out.as_str()), (Exit { code: 5, out_of_memory: false, timed_out: true }, "tidy\n"));
    // A shell without a trap, as process 1, would ignore SIGTERM; there is an init in front of it.
    let plain = ContainerSpec { timeout_ms: Some(300), ..sh("sleep 60") };
    let begun = Instant::now();
    let (exit, _) = run(&world, "plain", plain).await.unwrap();
    assert!(exit.code == 143 && exit.timed_out && begun.elapsed() < Duration::from_secs(8), "{exit:?}");
    // The step's own deadline counts too, and a deaf process is killed.
    world.deadline = Duration::from_millis(500);
    let begun = Instant::now();
    let (exit, _) = run(&world, "deaf", sh("trap '' TERM; while :; do sleep 0.1; done")).await.unwrap();
    assert!(exit.code == 137 && exit.timed_out, "{exit:?}");
    assert!(begun.elapsed() >= Duration::from_secs(10) && begun.elapsed() < Duration::from_secs(20));
    world.end().await;
}

#[tokio::test]
async fn a_step_that_is_stopped_leaves_nothing_behind() {
    let world = World::new("stop").await;
    let tools = world.step("build", serde_json::json!({}));
    let capabilities = tools.capabilities();
    let containers = capabilities.containers.unwrap();
    let polite =
        containers.start(sh("trap 'echo tidy; exit 0' TERM; echo up; while :; do sleep 0.1; done")).await.unwrap();
    let deaf = containers.start(sh("trap '' TERM; while :; do sleep 0.1; done")).await.unwrap();
    let waiting = tokio::spawn({
        let deaf = deaf.clone();
        async move { deaf.wait().await }
    });
    let begun = Instant::now();
    tools.stop(Duration::from_secs(1)).await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(capabilities.cancelled.load(std::sync::atomic::Ordering::SeqCst));
    assert_eq!(waiting.await.unwrap(), Err(ContainerError::Cancelled));
    assert_eq!(polite.wait().await.unwrap().code, 0);
    assert!(world.log.text(LogStream::Stdout).contains("tidy"), "the log is complete when stop returns");
    assert!(matches!(containers.start(sh("true")).await.err(), Some(ContainerError::Cancelled)));
    assert_eq!(world.left().await, 2);
    tools.remove().await.unwrap();
    assert_eq!(world.left().await, 0);
    world.end().await;
}

#[tokio::test]
async fn a_handle_stops_its_container() {
    let world = World::new("handle").await;
    let container = world.start(sh("trap 'exit 4' TERM; while :; do sleep 0.1; done")).await.unwrap();
    container.stop(5000).await.unwrap();
    assert_eq!(container.wait().await.unwrap(), Exit { code: 4, out_of_memory: false, timed_out: false });
    container.stop(0).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_running_container_is_adopted_after_a_crash() {
    let world = World::new("adopt").await;
    let script = "echo run >> /workspace/runs; echo first; until [ -e /workspace/go ]; do sleep 0.05; done; echo last; cat /workspace/runs";
    let container = world.start(sh(script)).await.unwrap();
    // The host goes away: tasks and handles are dropped without a word to the engine.
    drop(container);
    let after = world.after_crash().await;
    let adopted = after.start(sh(script)).await.unwrap();
    run(&after, "other", sh("touch /workspace/go")).await.ok();
    assert_eq!(adopted.wait().await.unwrap().code, 0);
    assert_eq!(
        adopted.captured(Output::Stdout).await,
        "first\nlast\nrun\n",
        "complete from its beginning, and run once"
    );
    assert!(after.log.text(LogStream::System).contains("adopted"));
    assert!(after.records.made.lock().unwrap().iter().all(|(_, name)| !name.ends_with("build-1-1")), "recorded once");

    // It may also have ended meanwhile.
    let ended = after.after_crash().await;
    let ended = World { created_before: world.records.made.lock().unwrap().clone(), ..ended };
    let adopted = ended.start(sh(script)).await.unwrap();
    assert_eq!(adopted.wait().await.unwrap().code, 0);
    assert_eq!(ended.log.text(LogStream::Stdout), "first\nlast\nrun\n");

    // Another request for the same place is not answered with it.
    let error = ended.after_crash().await;
    let error = World { created_before: world.records.made.lock().unwrap().clone(), ..error };
    let error = error.start(sh("something else")).await.err().unwrap();
    assert!(matches!(&error, ContainerError::Other(words) if words.contains("made for another request")), "{error:?}");
    world.end().await;
}

#[tokio::test]
async fn every_place_at_which_a_start_can_be_cut_off() {
    let world = World::new("cut").await;
    // Created, but the record failed: nothing was started.
    let broken =
        World { records: Arc::new(Records { broken: true, ..Records::default() }), ..world.after_crash().await };
    let error = broken.start(sh("echo once >> /workspace/n; cat /workspace/n")).await.err().unwrap();
    assert!(matches!(&error, ContainerError::Other(words) if words.contains("disk full")), "{error:?}");
    assert_eq!(broken.left().await, 1);
    // The next execution finds it unrecorded and not started: recorded and started now.
    let next = world.after_crash().await;
    let container = next.start(sh("echo once >> /workspace/n; cat /workspace/n")).await.unwrap();
    assert_eq!(container.wait().await.unwrap().code, 0);
    assert_eq!(container.captured(Output::Stdout).await, "once\n");
    assert_eq!(next.records.made.lock().unwrap().len(), 1);
    // Recorded, and gone: lost, and not started again.
    next.remove("windlass-rtest-cut-build-1-1").await;
    let lost = next.after_crash().await;
    let error = lost.start(sh("echo once >> /workspace/n; cat /workspace/n")).await.err().unwrap();
    assert!(matches!(error, ContainerError::Lost(_)), "{error:?}");
    assert_eq!(lost.left().await, 0);
    world.end().await;
}

#[tokio::test]
async fn somebody_elses_container_of_the_same_name_is_left_alone() {
    let world = World::new("foreign").await;
    let container = world.start(sh("sleep 60")).await.unwrap();
    let other = World { toolbox: toolbox(world.dir.path(), "test-someone-else"), ..world.after_crash().await };
    let other = World { created_before: Vec::new(), ..other };
    let tools = other.step("build", serde_json::json!({}));
    let error = tools.capabilities().containers.unwrap().start(sh("sleep 60")).await.err().unwrap();
    assert!(matches!(&error, ContainerError::Other(words) if words.contains("not of this step")), "{error:?}");
    tools.remove().await.unwrap();
    other.toolbox.sweep(|_| Keep::Nothing).await.unwrap();
    other.toolbox.remove_run(&world.run, Keep::Nothing).await.unwrap();
    assert_eq!(world.left().await, 1);
    container.stop(0).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_container_that_is_removed_under_our_hands_is_lost() {
    let world = World::new("removed").await;
    let container = world.start(sh("sleep 60")).await.unwrap();
    world.remove("windlass-rtest-removed-build-1-1").await;
    let ended = container.wait().await;
    assert!(matches!(ended, Err(ContainerError::Lost(_)) | Ok(Exit { code: 137, .. })), "{ended:?}");
    world.end().await;
}

#[tokio::test]
async fn a_secret_in_the_environment_is_used_and_not_seen() {
    let world = World::new("secret").await;
    let value = SecretValue::new(b"s3cr3t-of-the-cloud".to_vec());
    world.toolbox.vault().set(&"cloud/token".parse().unwrap(), &value, &[]).unwrap();
    let tools = world.step("build", serde_json::json!({}));
    let capabilities = tools.capabilities();
    assert!(!capabilities.secrets_reveal);
    let secret = capabilities.secrets.unwrap().get("cloud/token".to_owned()).await.unwrap();
    let script = "echo \"plain $TOKEN\"; echo -n $TOKEN | base64; echo -n \"x$TOKEN\" | base64 >&2; echo -n $TOKEN | xxd -p; \
                  printf s3cr3t-of; sleep 0.2; echo -the-cloud; echo -n $TOKEN | wc -c";
    let spec = ContainerSpec { env_secret: vec![("TOKEN".to_owned(), secret)], ..sh(script) };
    let container = capabilities.containers.unwrap().start(spec).await.unwrap();
    assert_eq!(container.wait().await.unwrap().code, 0);
    let out = container.captured(Output::Stdout).await;
    assert_eq!(
        out,
        "plain ***\n***==\n***\n***\n19\n".replace("***==", "***A=="),
        "the last character is shared with the padding"
    );
    assert_eq!(world.log.text(LogStream::Stdout), out);
    assert!(!world.log.text(LogStream::Stderr).contains("zM2NyM3"), "{}", world.log.text(LogStream::Stderr));
    let name = "windlass-rtest-secret-build-1-1";
    let labels = world
        .docker
        .inspect_container(name, None::<bollard::query_parameters::InspectContainerOptions>)
        .await
        .unwrap()
        .config
        .unwrap()
        .labels
        .unwrap();
    assert!(labels.values().all(|value| !value.contains("s3cr3t")));
    world.end().await;
}

#[tokio::test]
async fn files_in_and_out() {
    let world = World::new("files").await;
    let tools = world.step("build", serde_json::json!({}));
    let capabilities = tools.capabilities();
    let (containers, artifacts) = (capabilities.containers.unwrap(), capabilities.artifacts.unwrap());
    let script = "mkdir -p dist/bin && echo elf > dist/bin/tool && chmod 755 dist/bin/tool && ln -s bin/tool dist/latest; echo out > /tmp/out";
    let container = containers.start(sh(script)).await.unwrap();
    assert_eq!(container.wait().await.unwrap().code, 0);
    // Out of a container that has ended: a file, and a folder.
    let file = container.save("/tmp/out".to_owned(), "out".to_owned()).await.unwrap();
    assert_eq!((file.size(), file.media_type()), (4, "application/octet-stream"));
    assert_eq!(&file.open().await.unwrap().read(100).await.unwrap()[..], b"out\n");
    let folder = container.save("/workspace/dist".to_owned(), "ui/dist".to_owned()).await.unwrap();
    assert_eq!(folder.media_type(), "application/x-tar");
    // The same folder out of the workspace is the same artifact.
    let same = artifacts.from_workspace("/workspace/dist".to_owned(), "again".to_owned()).await.unwrap();
    assert_eq!(same.digest(), folder.digest());
    assert_eq!(artifacts.keys().await.unwrap(), ["again", "out", "ui/dist"]);
    // Into the workspace, and into a container with a read-only root that runs.
    artifacts.to_workspace(folder.clone(), "/workspace/copy/deep".to_owned()).await.unwrap();
    artifacts.to_workspace(file.clone(), "/workspace/file.txt".to_owned()).await.unwrap();
    let spec = ContainerSpec {
        read_only_root: true,
        ..sh(
            "until [ -e go/bin/tool ]; do sleep 0.05; done; cat copy/deep/latest file.txt go/latest; ls -l copy/deep/bin/tool | cut -c1-10",
        )
    };
    let reader = containers.start(spec).await.unwrap();
    reader.load(folder.clone(), "/workspace/go".to_owned()).await.unwrap();
    assert_eq!(reader.wait().await.unwrap().code, 0);
    assert_eq!(reader.captured(Output::Stdout).await, "elf\nout\nelf\n-rwxr-xr-x\n");
    // And into a container outside of its workspace, where the modes of what is there stay.
    let plain = containers
        .start(sh("until [ -e /tmp/in/latest ]; do sleep 0.05; done; ls -ld /tmp | cut -c1-10"))
        .await
        .unwrap();
    plain.load(folder, "/tmp/in".to_owned()).await.unwrap();
    plain.wait().await.unwrap();
    assert_eq!(plain.captured(Output::Stdout).await, "drwxrwxrwt\n");

    let refused = async |path: &str, key: &str| container.save(path.to_owned(), key.to_owned()).await.err();
    assert!(matches!(refused("/tmp/none", "k").await, Some(ContainerError::NotFound(_))));
    assert!(matches!(refused("tmp/out", "k").await, Some(ContainerError::Invalid(_))));
    assert!(matches!(refused("/tmp/../etc/passwd", "k").await, Some(ContainerError::Invalid(_))));
    for key in ["../up", "/abs", "a/../b", "a//b", "", "C:\\x", "a\0b"] {
        assert!(matches!(refused("/tmp/out", key).await, Some(ContainerError::Invalid(_))), "{key:?}");
        assert!(matches!(artifacts.create(key.to_owned()).await.err(), Some(ArtifactError::Invalid(_))), "{key:?}");
        assert!(matches!(artifacts.get(key.to_owned()).await.err(), Some(ArtifactError::Invalid(_))), "{key:?}");
    }
    let error = artifacts.create("windlass/log/build/1".to_owned()).await.err();
    assert!(matches!(error, Some(ArtifactError::Invalid(_))), "the host's own: {error:?}");
    for path in ["/etc/passwd", "/workspace/../etc", "/workspaces/x", "x"] {
        let error = artifacts.from_workspace(path.to_owned(), "k".to_owned()).await.err();
        assert!(matches!(error, Some(ArtifactError::Invalid(_))), "{path}: {error:?}");
        let error = artifacts.to_workspace(file.clone(), path.to_owned()).await.err();
        assert!(matches!(error, Some(ArtifactError::Invalid(_))), "{path}: {error:?}");
    }
    let missing = artifacts.from_workspace("/workspace/none".to_owned(), "k".to_owned()).await.err();
    assert!(matches!(missing, Some(ArtifactError::NotFound(_))), "{missing:?}");
    tools.remove().await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn links_that_lead_out_of_a_container_do_not() {
    let world = World::new("links").await;
    let tools = world.step("build", serde_json::json!({}));
    let capabilities = tools.capabilities();
    let script =
        "mkdir a b c d; ln -s /etc/shadow a/l; ln -s ../../../etc b/l; mkfifo c/p; ln -s /etc d/etc; ln -s /etc etc";
    let container = capabilities.containers.unwrap().start(sh(script)).await.unwrap();
    assert_eq!(container.wait().await.unwrap().code, 0);
    for path in ["a", "a/l", "b", "c", "d"] {
        let error = container.save(format!("/workspace/{path}"), "k".to_owned()).await.err();
        assert!(matches!(error, Some(ContainerError::Invalid(_))), "{path}: {error:?}");
    }
    // Through a link in the workspace: what is read is the container's own file system, never the host's.
    let artifacts = capabilities.artifacts.unwrap();
    let host = std::fs::read("/etc/passwd").unwrap();
    let through = artifacts.from_workspace("/workspace/etc/passwd".to_owned(), "k".to_owned()).await;
    match through {
        Err(ArtifactError::NotFound(_)) => {}
        Err(error) => panic!("{error:?}"),
        Ok(artifact) => assert_ne!(&artifact.open().await.unwrap().read(1 << 20).await.unwrap()[..], &host[..]),
    }
    let writer = artifacts.create("evil".to_owned()).await.unwrap();
    let evil = writer.finish().await.unwrap();
    artifacts.to_workspace(evil, "/workspace/etc/windlass-evil".to_owned()).await.ok();
    assert!(!std::path::Path::new("/etc/windlass-evil").exists());
    world.end().await;
}

#[tokio::test]
async fn another_process_in_the_same_container() {
    let world = World::new("exec").await;
    let container = world.start(sh("sleep 60")).await.unwrap();
    let argv = |script: &str| ["sh", "-c", script].map(str::to_owned).to_vec();
    assert_eq!(container.exec(argv("echo a > /tmp/a; echo from exec; exit 7")).await.unwrap().code, 7);
    assert_eq!(container.exec(argv("cat /tmp/a; pwd >&2")).await.unwrap().code, 0);
    assert_eq!(world.log.text(LogStream::Stdout), "from exec\na\n");
    assert_eq!(world.log.text(LogStream::Stderr), "/workspace\n");
    assert!(matches!(container.exec(vec![]).await, Err(ContainerError::Invalid(_))));
    let absent = container.exec(vec!["no-such-program".to_owned()]).await;
    assert!(matches!(&absent, Ok(Exit { code: 126 | 127, .. }) | Err(ContainerError::Invalid(_))), "{absent:?}");
    container.stop(0).await.unwrap();
    assert!(matches!(container.exec(argv("true")).await, Err(ContainerError::Invalid(_))));
    world.end().await;
}

/// Output comes while the process runs, all of it, in order; and a flood neither fills memory nor gets lost.
#[tokio::test]
async fn live_and_complete() {
    let world = World::new("live").await;
    let spec = sh("echo start; sleep 1; seq 1 400000; printf end");
    let container = world.start(spec).await.unwrap();
    let exit = container.wait().await.unwrap();
    assert_eq!(exit.code, 0);
    let expect: String = format!("start\n{}end", (1..=400_000).map(|n| format!("{n}\n")).collect::<String>());
    assert_eq!(world.log.bytes(LogStream::Stdout), expect.as_bytes());
    let (first, last) = (world.log.times()[0], *world.log.times().last().unwrap());
    assert!(last - first > Duration::from_millis(700), "the first line came before the rest");
    let captured = container.captured(Output::Stdout).await;
    assert!(
        captured.len() <= (1 << 20) + 100 && captured.starts_with("start\n1\n") && captured.ends_with("\n400000\nend")
    );
    assert!(captured.contains("bytes left out"));
    world.end().await;
}

#[tokio::test]
async fn a_finished_run_keeps_its_workspace_only_when_asked_and_orphans_are_swept() {
    let world = World::new("sweep").await;
    run(&world, "one", sh("echo kept > x")).await.unwrap();
    world.toolbox.remove_run(&world.run, Keep::Volumes).await.unwrap();
    assert_eq!(world.left().await, 0);
    assert_eq!(run(&world, "two", sh("cat x")).await.unwrap().1, "kept\n");
    assert_eq!(
        world.toolbox.sweep(|run| if *run == world.run { Keep::Everything } else { Keep::Nothing }).await.unwrap(),
        0
    );
    assert_eq!(world.left().await, 1);
    assert_eq!(world.toolbox.sweep(|_| Keep::Nothing).await.unwrap(), 2, "a container and a workspace");
    assert_eq!(run(&world, "three", sh("cat x 2>&1")).await.unwrap().0.code, 1);
    world.end().await;
}

#[tokio::test]
async fn a_guest_that_starts_too_many_is_stopped() {
    let world = World::new("many").await;
    let containers = world.containers();
    for _ in 0..100 {
        assert!(matches!(
            containers.start(ContainerSpec { image: "-x".to_owned(), ..sh("") }).await.err(),
            Some(ContainerError::Invalid(_))
        ));
    }
    let error = containers.start(ContainerSpec { image: IMAGE.to_owned(), ..sh("true") }).await.err();
    assert!(matches!(error, Some(ContainerError::ResourceExhausted(_))), "{error:?}");
    world.end().await;
}
