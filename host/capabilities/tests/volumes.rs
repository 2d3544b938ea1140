//! Volumes: of a run and of a pipeline, mounted, filled, copied and cleared away, on a real Docker engine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod support;

use std::collections::BTreeMap;
use support::{World, sh};
use windlass_capabilities::{EngineError, Keep, PersistentVolume, Trouble, VolumePlace};
use windlass_contract::{
    RunId,
    capability::{ArtifactError, ContainerError, ContainerSpec, Output, VolumeMount},
};

fn volumes(declared: &[(&str, VolumePlace)]) -> BTreeMap<String, VolumePlace> {
    declared.iter().map(|(name, place)| ((*name).to_owned(), place.clone())).collect()
}

fn with(spec: ContainerSpec, mounts: &[(&str, &str, bool)]) -> ContainerSpec {
    let mount = |(name, path, read_only): &(&str, &str, bool)| VolumeMount {
        name: (*name).to_owned(),
        path: (*path).to_owned(),
        read_only: *read_only,
    };
    ContainerSpec { volumes: Some(mounts.iter().map(mount).collect()), ..spec }
}

/// The exit code and standard output of a container of the step.
async fn run(world: &World, step: &str, spec: ContainerSpec) -> Result<(i32, String), ContainerError> {
    let containers = world.step(step, serde_json::json!({})).capabilities().containers.unwrap();
    let container = containers.start(spec).await?;
    let exit = container.wait().await?;
    Ok((exit.code, container.captured(Output::Stdout).await))
}

fn another_run(world: &World, run: &str) -> World {
    World {
        docker: world.docker.clone(),
        toolbox: world.toolbox.clone(),
        run: run.parse().unwrap(),
        log: Default::default(),
        records: Default::default(),
        masker: windlass_capabilities::Masker::new(),
        permissions: world.permissions.clone(),
        environment: None,
        created_before: Vec::new(),
        volumes: world.volumes.clone(),
        deadline: world.deadline,
        dir: world.dir.clone(),
    }
}

#[tokio::test]
async fn a_container_gets_the_volumes_that_it_asks_for_and_no_other() {
    let mut world = World::new("vmounts").await;
    world.volumes = volumes(&[("cache", VolumePlace::Run)]);
    let script = "pwd; ls -d /workspace /cache 2>/dev/null; true";
    let seen = async |spec| run(&world, "seen", spec).await.unwrap().1;
    assert_eq!(seen(sh(script)).await, "/workspace\n/workspace\n", "without a word, the workspace");
    world.remove("windlass-rtest-vmounts-seen-1-1").await;
    assert_eq!(seen(with(sh(script), &[])).await, "/\n", "asked for none: none, and the image's own folder");
    world.remove("windlass-rtest-vmounts-seen-1-1").await;
    assert_eq!(seen(with(sh(script), &[("cache", "/cache", false)])).await, "/\n/cache\n");
    // Written by one, read by another, also by a user who is not root, and not written where it is read-only.
    let writer = ContainerSpec { user: Some("1000".to_owned()), ..sh("echo kept > /c/x; echo w > /w/y; id -u") };
    let writer = with(writer, &[("cache", "/c", false), ("workspace", "/w", false)]);
    assert_eq!(run(&world, "writer", writer).await.unwrap(), (0, "1000\n".to_owned()));
    let reader = sh("cat /deep/c/x /deep/y; echo no 2>/dev/null > /deep/c/x || echo refused");
    let reader = with(reader, &[("workspace", "/deep", false), ("cache", "/deep/c", true)]);
    assert_eq!(run(&world, "reader", reader).await.unwrap(), (0, "kept\nw\nrefused\n".to_owned()));
    let error = run(&world, "other", with(sh("true"), &[("other", "/o", false)])).await.unwrap_err();
    insta::assert_snapshot!(error, @r#"volume "other" is not one of this pipeline (cache, workspace); declare it in the pipeline's `volumes`"#);
    world.end().await;
}

#[tokio::test]
async fn files_in_and_out_of_each_volume() {
    let mut world = World::new("vfiles").await;
    world.volumes = volumes(&[("cache", VolumePlace::Run)]);
    let fill = with(sh("echo hello > /c/x"), &[("cache", "/c", false)]);
    run(&world, "fill", fill).await.unwrap();
    let tools = world.step("files", serde_json::json!({}));
    let artifacts = tools.capabilities().artifacts.unwrap();
    let file = artifacts.from_workspace("/volumes/cache/x".to_owned(), "x".to_owned()).await.unwrap();
    assert_eq!(file.size(), 6);
    artifacts.to_workspace(file.clone(), "/volumes/cache/deep/y".to_owned()).await.unwrap();
    // A file never takes the place of a folder, which would be gone with all that is in it.
    let error = artifacts.to_workspace(file.clone(), "/volumes/cache/deep".to_owned()).await.err();
    assert!(matches!(error, Some(ArtifactError::Invalid(_))), "{error:?}");
    for path in ["/volumes/other/x", "/volumes", "/volumes/cachex/x", "/c/x"] {
        let error = artifacts.to_workspace(file.clone(), path.to_owned()).await.err();
        assert!(matches!(error, Some(ArtifactError::Invalid(_))), "{path}: {error:?}");
    }
    tools.remove().await.unwrap();
    // Into a running container's volume, under a root that is read-only.
    let containers = world.step("load", serde_json::json!({})).capabilities().containers.unwrap();
    let spec =
        ContainerSpec { read_only_root: true, ..sh("until [ -e /c/in ]; do sleep 0.05; done; cat /c/in /c/deep/y") };
    let reader = containers.start(with(spec, &[("cache", "/c", false)])).await.unwrap();
    reader.load(file, "/c/in".to_owned()).await.unwrap();
    assert_eq!(reader.wait().await.unwrap().code, 0);
    assert_eq!(reader.captured(Output::Stdout).await, "hello\nhello\n");
    world.end().await;
}

#[tokio::test]
async fn a_volume_of_the_pipeline_outlives_the_run() {
    let mut world = World::new("vpersist").await;
    let place = VolumePlace::Pipeline("an app".to_owned());
    world.toolbox.remove_persistent("an app").await.unwrap();
    world.volumes = volumes(&[("cache", place.clone()), ("workspace", place.clone())]);
    // The pipeline's folder is laid over what the last run left.
    let archive = world.dir.path().join("folder.tar");
    let mut folder = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(4);
    folder.append_data(&mut header, "source", &b"new\n"[..]).unwrap();
    folder.into_inner().unwrap();

    let mounts: &[_] = &[("cache", "/cache", false), ("workspace", "/w", false)];
    let first = with(sh("echo old > /w/source; echo built > /w/output; echo warm > /cache/x"), mounts);
    run(&world, "first", first).await.unwrap();
    world.toolbox.remove_run(&world.run, Keep::Nothing).await.unwrap();
    world.toolbox.sweep(|_| Keep::Nothing).await.unwrap();
    let next = another_run(&world, "rtest-vpersist-2");
    next.toolbox.fill_workspace(&next.run, &place, &archive).await.unwrap();
    let read = with(sh("cat /w/source /w/output /cache/x"), mounts);
    assert_eq!(run(&next, "read", read).await.unwrap(), (0, "new\nbuilt\nwarm\n".to_owned()));
    // Another pipeline, and another owner, have their own.
    let mut other = another_run(&world, "rtest-vpersist-3");
    other.volumes = volumes(&[("cache", VolumePlace::Pipeline("other".to_owned()))]);
    assert_eq!(run(&other, "read", with(sh("ls /cache"), &[("cache", "/cache", false)])).await.unwrap().1, "");
    for world in [next, other] {
        world.end().await;
    }
    let found = world.toolbox.persistent_volumes().await.unwrap();
    let persistent =
        |pipeline: &str, name: &str| PersistentVolume { pipeline: pipeline.to_owned(), name: name.to_owned() };
    assert_eq!(found, [persistent("an app", "cache"), persistent("an app", "workspace"), persistent("other", "cache")]);
    assert_eq!(world.toolbox.remove_persistent("an app").await.unwrap(), 2);
    assert_eq!(world.toolbox.remove_persistent("other").await.unwrap(), 1);
    assert_eq!(world.toolbox.persistent_volumes().await.unwrap(), []);
}

#[tokio::test]
async fn a_rerun_begins_with_a_copy() {
    let mut world = World::new("vcopy").await;
    world.volumes = volumes(&[("cache", VolumePlace::Run)]);
    let script = "mkdir -p /w/a; echo x > /w/a/x; chown 1000:7 /w/a/x; chmod 640 /w/a/x; ln -s a/x /w/l; ln /w/a/x /w/h; \
                  head -c 30000000 /dev/zero > /c/large; echo z > /c/z";
    let mounts: &[_] = &[("workspace", "/w", false), ("cache", "/c", false)];
    run(&world, "fill", with(sh(script), mounts)).await.unwrap();
    // What a failed run leaves: its volumes, and no container.
    world.toolbox.remove_run(&world.run, Keep::Volumes).await.unwrap();
    assert_eq!(world.left().await, 0);
    world.toolbox.sweep(|run| if *run == world.run { Keep::Volumes } else { Keep::Nothing }).await.unwrap();

    let rerun = another_run(&world, "rtest-vcopy-2");
    let names = ["workspace", "cache"].map(str::to_owned);
    // Twice, as after a crash in the middle.
    for _ in 0..2 {
        world.toolbox.copy_volumes(&world.run, &rerun.run, &names).await.unwrap();
    }
    assert_eq!(rerun.left().await, 0);
    let script = "stat -c '%u:%g %a' /w/a/x; cat /w/l /w/h /c/z; stat -c %s /c/large; echo more > /w/a/more";
    let (code, out) = run(&rerun, "look", with(sh(script), mounts)).await.unwrap();
    assert_eq!((code, out.as_str()), (0, "1000:7 640\nx\nx\nz\n30000000\n"));
    let untouched = with(sh("ls /w/a"), mounts);
    assert_eq!(run(&world, "old", untouched).await.unwrap().1, "x\n", "the old run's volume is as it was");
    rerun.end().await;

    let gone: RunId = "rtest-vcopy-9".parse().unwrap();
    let error = world.toolbox.copy_volumes(&gone, &world.run, &names).await.unwrap_err();
    assert!(matches!(error, EngineError::VolumeGone { .. }));
    insta::assert_snapshot!(error, @"volume workspace of run rtest-vcopy-9 is no longer there; start a new run instead");
    world.end().await;
}

/// A mount that the engine cannot make is told apart from everything else that keeps a container from starting.
#[tokio::test]
async fn a_mount_that_fails() {
    let world = World::new("vfail").await;
    // The mount's place is a file of the image, and below one.
    for (step, path) in [("file", "/bin/busybox"), ("below", "/bin/busybox/x")] {
        let tools = world.step(step, serde_json::json!({}));
        let spec = with(sh("true"), &[("workspace", path, false)]);
        let error = tools.capabilities().containers.unwrap().start(spec).await.err().unwrap();
        assert!(matches!(error, ContainerError::VolumeMountFailed(_)), "{error:?}");
        assert_eq!(tools.seen().trouble, Some(Trouble::VolumeMountFailed));
    }
    world.end().await;
}
