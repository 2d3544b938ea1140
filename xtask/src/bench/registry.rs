//! Our registry beside Debian's docker-registry, with the same blobs in the same run, and beside a bare server.
//!
//! All of them and the client share the processors of one machine, so the rate that a client sees says as much of the client as of
//! the server. What is compared is therefore how many requests a server answers with one second of a processor's time.

use super::{
    figures::{Figure, Report, Samples, Unit},
    home::runtime,
    plugins::component,
    served::{Asked, Served, registry_program, shell_folder},
};
use anyhow::{Context as _, ensure};
use serde_json::json;
use std::{path::Path, process::Command};
use windlass_contract::{Digest, SecretValue};
use windlass_package::{Home, publish};

const GROUP: &str = "registry: requests for each second of a processor's time of the server, 32 connections";
const ROUNDS: usize = 5;
/// What the design promises of the index, for each processor.
const PROMISED: f64 = 10_000.0;
const MIB: usize = 1024 * 1024;

/// A registry with one release of the shell plugin, and the blobs that were pushed beside it.
struct Ours {
    served: Served,
    token: String,
    _folder: tempfile::TempDir,
}

/// A token that may publish to the namespaces of the benchmarks.
pub(crate) fn token(data: &Path) -> anyhow::Result<String> {
    let mut command = Command::new(registry_program()?);
    command.args(["token", "create", "--name", "bench", "--namespace", "windlass", "--namespace", "bench", "--data"]);
    let output = command.arg(data).output()?;
    ensure!(output.status.success(), "no token: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Publishes the shell plugin.
pub(crate) async fn publish_shell(home: &Home, token: &str, cache: &Path) -> anyhow::Result<()> {
    let components = runtime(cache.to_owned())?;
    let prepared = publish::prepare(home, &shell_folder(), &components, false).await?;
    publish::push(home, &prepared, Some(SecretValue::new(token.as_bytes().to_vec()))).await?;
    Ok(())
}

async fn ours() -> anyhow::Result<Ours> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let token = token(&data)?;
    let served = Served::ours(&data)?;
    let home = Home::new(folder.path().join("home")).with_registry(&served.address);
    publish_shell(&home, &token, &folder.path().join("cache")).await?;
    Ok(Ours { served, token, _folder: folder })
}

/// Pushes blobs and a manifest that names them, as any tool does; gives the paths of the blobs and of the manifest.
async fn push(address: &str, token: Option<&str>, blobs: &[Vec<u8>]) -> anyhow::Result<(Vec<String>, String)> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let authorised = |request: reqwest::RequestBuilder| match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let (mut paths, mut layers) = (Vec::new(), Vec::new());
    for blob in blobs {
        let begun = authorised(http.post(format!("{address}/v2/bench/blobs/blobs/uploads/"))).send().await?;
        let place = begun.headers().get("location").context("a place to upload to")?.to_str()?.to_owned();
        let place = if place.starts_with("http") { place } else { format!("{address}{place}") };
        let digest = Digest::of(blob);
        let with = if place.contains('?') { '&' } else { '?' };
        let put = authorised(http.put(format!("{place}{with}digest={digest}")))
            .header("content-type", "application/octet-stream");
        let kept = put.body(blob.clone()).send().await?;
        ensure!(kept.status() == 201, "{address} answered {} to a blob", kept.status());
        paths.push(format!("/v2/bench/blobs/blobs/{digest}"));
        layers.push(json!({"mediaType": "application/octet-stream", "digest": digest, "size": blob.len()}));
    }
    let media = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": media, "config": layers[0], "layers": layers});
    let manifest = serde_json::to_vec(&manifest)?;
    let put = authorised(http.put(format!("{address}/v2/bench/blobs/manifests/stable"))).header("content-type", media);
    let digest = Digest::of(&manifest);
    let kept = put.body(manifest).send().await?;
    ensure!(kept.status() == 201, "{address} answered {} to a manifest", kept.status());
    Ok((paths, format!("/v2/bench/blobs/manifests/{digest}")))
}

/// What each of several servers did in all rounds, asked in turns.
struct Turns {
    of_a_core: Samples,
    rate: Samples,
    bytes: f64,
}

async fn turns<const N: usize>(servers: [(&Served, Vec<String>, Option<String>); N]) -> anyhow::Result<[Turns; N]> {
    let mut done =
        std::array::from_fn(|_| Turns { of_a_core: Samples::default(), rate: Samples::default(), bytes: 0.0 });
    // The first round warms all of them up.
    for round in 0..=ROUNDS {
        for ((served, paths, known), turns) in servers.iter().zip(&mut done) {
            let Asked { rate, of_a_core, bytes } = tokio::task::block_in_place(|| served.ask(paths, known.as_deref()))?;
            if round > 0 {
                turns.of_a_core.value(of_a_core);
                turns.rate.value(rate);
                turns.bytes = bytes;
            }
        }
    }
    Ok(done)
}

fn figure(what: &str, ours: &Turns, others: &[(&str, &Turns)]) -> Figure {
    let seen: Vec<String> = others.iter().map(|(name, turns)| format!("{name} {:.0}/s", turns.rate.p50())).collect();
    let figure = Figure::new(GROUP, what, Unit::PerSecond, &ours.of_a_core);
    figure.note(format!(
        "as the client saw it: ours {:.0}/s, {}; {:.0} bytes an answer",
        ours.rate.p50(),
        seen.join(", "),
        ours.bytes
    ))
}

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let (ours, docker) = (ours().await?, Served::docker()?);
    index(report, &ours).await?;

    let shell = component("plugins/target/wasm32-wasip2/release/windlass_shell.wasm")?;
    let blobs = [vec![b'x'; 4096], shell, vec![b'y'; 4 * MIB]];
    let (our_paths, our_manifest) = push(&ours.served.address, Some(&ours.token), &blobs).await?;
    let (their_paths, their_manifest) = push(&docker.address, None, &blobs).await?;
    let bare = Served::bare(&blobs[0])?;
    let [a, b, floor] = turns([
        (&ours.served, vec![our_manifest], None),
        (&docker, vec![their_manifest], None),
        (&bare, vec!["/".to_owned()], None),
    ])
    .await?;
    report.add(
        figure("a manifest by digest", &a, &[("docker-registry", &b), ("bare", &floor)])
            .over("docker-registry", &b.of_a_core),
    );
    for (at, what) in ["a blob of 4 kB", "the shell plugin's component", "a blob of 4 MiB"].into_iter().enumerate() {
        let bare = Served::bare(&blobs[at])?;
        let [a, b, floor] = turns([
            (&ours.served, vec![our_paths[at].clone()], None),
            (&docker, vec![their_paths[at].clone()], None),
            (&bare, vec!["/".to_owned()], None),
        ])
        .await?;
        report
            .add(figure(what, &a, &[("docker-registry", &b), ("bare", &floor)]).over("docker-registry", &b.of_a_core));
    }
    Ok(())
}

/// The index document of a plugin, fetched anew and asked for again.
async fn index(report: &mut Report, ours: &Ours) -> anyhow::Result<()> {
    let path = "/index/windlass/shell".to_owned();
    let http = reqwest::Client::builder().no_proxy().build()?;
    let document = http.get(format!("{}{path}", ours.served.address)).send().await?;
    let known = document.headers().get("etag").context("an ETag")?.to_str()?.to_owned();
    let document = document.bytes().await?;
    for (what, known, answer) in [
        ("an index document", None, document.as_ref()),
        ("an index document that has not changed (304)", Some(known), b"".as_slice()),
    ] {
        let bare = Served::bare(answer)?;
        let [a, floor] =
            turns([(&ours.served, vec![path.clone()], known), (&bare, vec!["/".to_owned()], None)]).await?;
        let holds = a.of_a_core.p50() >= PROMISED;
        let figure = figure(what, &a, &[("bare", &floor)]).over("a bare server with the same bytes", &floor.of_a_core);
        report.add(figure.target("≥ 10,000/s p50", holds));
    }
    Ok(())
}
