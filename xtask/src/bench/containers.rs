//! A container step, and its log, beside the same calls of the engine made by hand.

use super::{
    figures::{Figure, Report, Samples, Unit},
    home::{Home, carry, grants, plan, step},
    masking::{noise, secret},
    plugins::{CPU_MILLIS, MEMORY_MIB, component, permissions},
    process::memory,
};
use anyhow::{Context as _, ensure};
use bollard::{
    Docker,
    models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions},
    query_parameters::{
        AttachContainerOptions, CreateContainerOptions, InspectContainerOptions, RemoveContainerOptions,
        RemoveVolumeOptions, StartContainerOptions, UploadToContainerOptions, WaitContainerOptions,
    },
};
use futures::StreamExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    io::{BufWriter, Write as _},
    path::Path,
    time::{Duration, Instant},
};
use windlass_contract::{PluginRef, SecretReference, SecretValue, StepName};
use windlass_driver::snapshot;
use windlass_store::logs::LogStream;

/// What `scripts/test-images.sh` makes.
const IMAGE: &str = "windlass-test/busybox:1";
const STEP_TYPE: &str = "step.shell_exec";
const WORKSPACE: &str = "/workspace";

/// Rounds of a container that does nothing.
const ROUNDS: usize = 20;
/// Rounds of the large log.
const LOG_ROUNDS: usize = 5;
/// Lines of 100 bytes that the large log has, beside the secrets in it.
const LINES: usize = 1_000_000;
const SECRETS: usize = 50;
/// So many of the secrets stand in the log, in turns, one in each so many lines.
const SECRETS_IN_LOG: usize = 25;
const LINES_TO_A_SECRET: usize = 1_000;

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let docker = Docker::connect_with_defaults()?.negotiate_version().await.context("no container engine answers")?;
    let inspected = docker.inspect_image(IMAGE).await;
    inspected.with_context(|| format!("there is no image {IMAGE}; run scripts/test-images.sh"))?;
    let home = Home::open().await?;
    let wasm = component("plugins/target/wasm32-wasip2/release/windlass_shell.wasm")?;
    let shell = home.install("windlass:shell", &wasm).await?;
    nothing(report, &home, &shell, &docker).await?;
    large_log(report, &home, &shell, &docker).await
}

async fn nothing(report: &mut Report, home: &Home, shell: &PluginRef, docker: &Docker) -> anyhow::Result<()> {
    const GROUP: &str = "container step: `true` in busybox, no network";
    let name: StepName = "true".parse()?;
    let config = json!({ "image": IMAGE, "commands": ["true"], "network": false });
    let [mut ours, mut floor, mut whole, mut whole_floor]: [Samples; 4] = Default::default();
    for round in 0..=ROUNDS {
        let steps = vec![step(name.as_str(), shell, STEP_TYPE, config.clone(), &[])?];
        let began = Instant::now();
        let done = carry(&home.host, plan("nothing", steps), grants(shell, permissions()), None).await?;
        let all = began.elapsed();
        let (from, to) = done.steps[&name];

        let volume = format!("windlass-bench-{}-{round}", std::process::id());
        let began = Instant::now();
        let bare = bare(docker, &volume, "true").await?;
        docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await?;
        let bare_all = began.elapsed();
        // The first round warms both up.
        if round > 0 {
            ours.time(to - from);
            floor.time(bare.ended);
            whole.time(all);
            whole_floor.time(bare_all);
        }
    }
    let more = ours.p50() - floor.p50();
    let figure = Figure::new(GROUP, "the step, until it is told", Unit::Seconds, &ours);
    let figure = figure.over("create, attach, start, wait, inspect", &floor);
    report.add(figure.target("≤ +10 ms p50", more <= 10e-3).note(format!("{:+.2} ms", more * 1e3)));
    let figure = Figure::new(GROUP, "a run of that step, cleared away", Unit::Seconds, &whole);
    let note = format!("{:+.2} ms", (whole.p50() - whole_floor.p50()) * 1e3);
    report.add(figure.over("the same, and remove container and volume", &whole_floor).note(note));
    Ok(())
}

/// What a container that was run by hand took, and printed.
struct Bare {
    /// Until it was known how it ended.
    ended: Duration,
    bytes: usize,
}

/// The calls that `capabilities` makes for a container of `windlass:shell`, with the same settings, and its removal.
async fn bare(docker: &Docker, volume: &str, command: &str) -> anyhow::Result<Bare> {
    let began = Instant::now();
    let name = create(docker, volume, command).await?;
    let options = AttachContainerOptions { stream: true, stdout: true, stderr: true, ..Default::default() };
    let mut output = docker.attach_container(&name, Some(options)).await?.output;
    docker.start_container(&name, None::<StartContainerOptions>).await?;
    let printed = async {
        let mut bytes = 0;
        while let Some(frame) = output.next().await {
            bytes += frame?.into_bytes().len();
        }
        anyhow::Ok(bytes)
    };
    let waiting = async { docker.wait_container(&name, None::<WaitContainerOptions>).next().await };
    let (bytes, exit) = tokio::join!(printed, waiting);
    docker.inspect_container(&name, None::<InspectContainerOptions>).await?;
    let ended = began.elapsed();
    remove(docker, &name).await?;
    exit.context("the engine did not say how the container ended")??;
    Ok(Bare { ended, bytes: bytes? })
}

async fn create(docker: &Docker, volume: &str, command: &str) -> anyhow::Result<String> {
    let text = |text: &str| Some(vec![text.to_owned()]);
    let memory = i64::from(MEMORY_MIB) << 20;
    let kept = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"];
    let host_config = HostConfig {
        memory: Some(memory),
        memory_swap: Some(memory),
        cpu_period: Some(100_000),
        cpu_quota: Some(i64::from(CPU_MILLIS) * 100),
        pids_limit: Some(4096),
        init: Some(true),
        cap_drop: text("ALL"),
        cap_add: Some(kept.map(str::to_owned).to_vec()),
        security_opt: text("no-new-privileges"),
        network_mode: Some("none".to_owned()),
        readonly_rootfs: Some(false),
        log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: None }),
        mounts: Some(vec![Mount {
            typ: Some(MountType::VOLUME),
            source: Some(volume.to_owned()),
            target: Some(WORKSPACE.to_owned()),
            volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
            ..Mount::default()
        }]),
        ..HostConfig::default()
    };
    let body = ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        entrypoint: text("sh"),
        cmd: Some(vec!["-c".to_owned(), command.to_owned()]),
        working_dir: Some(WORKSPACE.to_owned()),
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
    };
    Ok(docker.create_container(None::<CreateContainerOptions>, body).await?.id)
}

async fn remove(docker: &Docker, name: &str) -> anyhow::Result<()> {
    let options = RemoveContainerOptions { force: true, ..RemoveContainerOptions::default() };
    Ok(docker.remove_container(name, Some(options)).await?)
}

async fn large_log(report: &mut Report, home: &Home, shell: &PluginRef, docker: &Docker) -> anyhow::Result<()> {
    const GROUP: &str = "log of a container step: 100 MB, 50 secrets masked";
    let mut env = serde_json::Map::new();
    for n in 0..SECRETS {
        let name: SecretReference = format!("bench/s{n}").parse()?;
        home.host.toolbox().vault().set(&name, &SecretValue::new(secret(n).into_bytes()), &[])?;
        env.insert(format!("SECRET_{n}"), Value::String(format!("secret:{name}")));
    }
    let folder = tempfile::tempdir()?;
    let command = "cat big.txt";
    let header = format!("\u{1b}[1m$ {command}\u{1b}[0m\n");
    let expected = write_text(&folder.path().join("big.txt"), &header)?;

    // The same file for the bare floor, in a volume of its own.
    let volume = format!("windlass-bench-{}-log", std::process::id());
    let archive = home.path().join("big.tar");
    snapshot::write(folder.path(), &archive)?;
    let holder = create(docker, &volume, "true").await?;
    let options = UploadToContainerOptions { path: WORKSPACE.to_owned(), ..UploadToContainerOptions::default() };
    let body = bollard::body_full(std::fs::read(&archive)?.into());
    docker.upload_to_container(&holder, Some(options), body).await?;
    remove(docker, &holder).await?;

    let (first, cat): (StepName, StepName) = ("fill".parse()?, "cat".parse()?);
    let [mut ours, mut floor, mut growth]: [Samples; 3] = Default::default();
    let mut lost = 0;
    for round in 0..=LOG_ROUNDS {
        let quiet = json!({ "image": IMAGE, "commands": ["true"], "network": false });
        let loud = json!({ "image": IMAGE, "commands": [command], "network": false, "env": env });
        // The first step waits for the workspace to be filled, so that the second has only its own work.
        let steps = vec![
            step(first.as_str(), shell, STEP_TYPE, quiet, &[])?,
            step(cat.as_str(), shell, STEP_TYPE, loud, std::slice::from_ref(&first))?,
        ];
        let before = memory("VmRSS:")?;
        // From here on the peak counts anew.
        std::fs::write("/proc/self/clear_refs", "5")?;
        let workspace = Some(folder.path().to_owned());
        let done = carry(&home.host, plan("log", steps), grants(shell, permissions()), workspace).await?;
        let grown = memory("VmHWM:")?.saturating_sub(before);
        let (from, to) = done.steps[&cat];
        let (bytes, digest) = logged(home, &done.id, &cat)?;
        ensure!(bytes > 0, "the log is empty");
        lost += usize::from(digest != expected.digest);

        let bare = bare(docker, &volume, command).await?;
        ensure!(bare.bytes == expected.raw, "the engine gave {} bytes of {}", bare.bytes, expected.raw);
        if round > 0 {
            ours.value(per_second(expected.raw, to - from));
            floor.value(per_second(bare.bytes, bare.ended));
            growth.value(grown as f64);
        }
    }
    docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await?;
    let holds = ours.p50() >= 25e6;
    let figure = Figure::new(GROUP, "the step, until its log is on the disk", Unit::BytesPerSecond, &ours);
    report.add(figure.over("docker attach of the same `cat`", &floor).target("≥ 25 MB/s", holds));
    let figure = Figure::counted(GROUP, "logs whose sha256 is not that of the masked file", Unit::Count, lost as f64);
    report.add(figure.target("0", lost == 0).note(format!("of {}", LOG_ROUNDS + 1)));
    report.add(Figure::new(GROUP, "peak memory of the host over what it had before", Unit::Bytes, &growth));
    Ok(())
}

/// What a container that prints the file prints, and what of it is to be in the log.
struct Expected {
    raw: usize,
    digest: Vec<u8>,
}

/// Writes the file. `header` is what the plugin prints before it.
fn write_text(path: &Path, header: &str) -> anyhow::Result<Expected> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    let mut masked = Sha256::new_with_prefix(header);
    let mut line = noise(2);
    let mut raw = 0;
    for n in 1..=LINES {
        let text = line();
        file.write_all(&text)?;
        masked.update(text);
        raw += text.len();
        if n % LINES_TO_A_SECRET == 0 {
            let value = secret(n / LINES_TO_A_SECRET % SECRETS_IN_LOG);
            file.write_all(value.as_bytes())?;
            masked.update(b"***");
            raw += value.len();
        }
    }
    file.flush()?;
    Ok(Expected { raw, digest: masked.finalize().to_vec() })
}

/// How many bytes of standard output the log of a step has, and their SHA-256.
fn logged(home: &Home, run: &windlass_contract::RunId, step: &StepName) -> anyhow::Result<(usize, Vec<u8>)> {
    let mut reader = home.host.logs().reader(run, step, 1)?.context("the step has no log")?;
    let (mut bytes, mut hash) = (0, Sha256::new());
    while let Some(frame) = reader.next_frame()? {
        if frame.stream == LogStream::Stdout {
            bytes += frame.bytes.len();
            hash.update(&frame.bytes);
        }
    }
    Ok((bytes, hash.finalize().to_vec()))
}

fn per_second(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64()
}
