//! Following runs and logs of a server: how soon a byte of a container is with who follows, and what a thousand who follow cost.
//!
//! Stamps are made in the container, by `ts`, and read here: both are this machine's clock.

use super::figures::{Figure, Report, Samples, Unit};
use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use windlass_tests::{Project, Running};

const GROUP: &str = "server: following";
const TICKS: usize = 500;
/// What the design promises of a byte, from the container to who follows.
const PROMISED: Duration = Duration::from_millis(50);
const CLIENTS: usize = 1_000;
/// Of those, so many stop reading, and so many vanish in the middle.
const SLOW: usize = 50;
const VANISHING: usize = 50;
const STEPS: usize = 200;
/// 100 MB in lines of 100 bytes.
const LINES: usize = 1_000_000;
/// So many secrets the step is given; the first of them is in each hundredth line.
const SECRETS: usize = 50;
/// What the design promises of such a log, in bytes a second.
const PROMISED_RATE: f64 = 25e6;

pub(super) struct Served {
    pub(super) project: Project,
    running: Running,
    pub(super) url: String,
    pub(super) http: reqwest::Client,
}

impl Served {
    pub(super) fn start() -> anyhow::Result<Served> {
        let project = Project::new();
        let folder = project.folder().display().to_string();
        let mut running = project.spawn(["--project", &folder, "server", "--listen", "127.0.0.1:0"]);
        let word = |line: String, begins: &str| line[line.find(begins).unwrap_or_default()..].trim().to_owned();
        let url = word(running.wait_for("http://"), "http://");
        let key = word(running.wait_for("wlk_"), "wlk_");
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("x-api-key", key.parse()?);
        let http = reqwest::Client::builder().no_proxy().default_headers(headers).build()?;
        Ok(Served { project, running, url, http })
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let answer = self.http.post(format!("{}{path}", self.url)).json(&body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path} answered {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Begins a run of this pipeline.
    async fn begin(&self, name: &str, steps: &str) -> anyhow::Result<String> {
        let yaml = format!("name: {name}\nsteps:\n{steps}").replace("IMAGE", windlass_tests::IMAGE);
        self.post("/api/v1/workflows", json!({ "yaml": yaml })).await?;
        let run = self.post(&format!("/api/v1/workflows/{name}/runs"), json!({ "inputs": {} })).await?;
        Ok(run["id"].as_str().context("a run has an id")?.to_owned())
    }

    async fn stream(&self, path: &str) -> anyhow::Result<Events> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await?;
        ensure!(answer.status() == 200, "{path} answered {}", answer.status());
        Ok(Events { pieces: Box::pin(answer.bytes_stream()), held: Vec::new() })
    }

    /// How much memory the server has, in bytes, and how much processor time it has used, in seconds.
    fn cost(&self) -> anyhow::Result<(f64, f64)> {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", self.running.id()));
        let (status, stat) = (read("status")?, read("stat")?);
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let memory: f64 = memory.trim().trim_end_matches(" kB").parse()?;
        let fields: Vec<&str> = stat.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
        // utime and stime, in hundredths of a second.
        Ok((memory * 1024.0, (fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0))
    }
}

/// A stream of events, one after the other.
struct Events {
    pieces: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<axum::body::Bytes>> + Send>>,
    held: Vec<u8>,
}

impl Events {
    /// The next event's name, data, and bytes; `None` at the end.
    async fn next(&mut self) -> anyhow::Result<Option<(String, String)>> {
        loop {
            while let Some(end) = self.held.windows(2).position(|pair| pair == b"\n\n") {
                let rest = self.held.split_off(end + 2);
                let event = String::from_utf8(std::mem::replace(&mut self.held, rest))?;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                if let (Some(name), Some(data)) = (field("event: "), field("data: ")) {
                    return Ok(Some((name.to_owned(), data.to_owned())));
                }
            }
            match self.pieces.next().await {
                Some(piece) => self.held.extend_from_slice(&piece?),
                None => return Ok(None),
            }
        }
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Measures all of it.
pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let served = tokio::task::block_in_place(Served::start)?;
    ticks(&served, report).await.context("a tick after the other")?;
    large(&served, report).await.context("100 MB")?;
    thousand(&served, report).await.context("1,000 who follow")
}

/// A line after the other, each with the time at which the container wrote it.
async fn ticks(served: &Served, report: &mut Report) -> anyhow::Result<()> {
    let steps = format!(
        "  - name: say\n    type: step.shell_exec\n    config: {{ image: IMAGE, commands: ['for i in $(seq {TICKS}); do echo t | ts \"%.s\"; done'] }}\n"
    );
    let run = served.begin("ticks", &steps).await?;
    let mut stream = served.stream(&format!("/api/v1/runs/{run}/logs/say/1/stream")).await?;
    let mut samples = Samples::default();
    while let Some((name, data)) = stream.next().await? {
        let at = now();
        if name == "lines" {
            let lines: Vec<Value> = serde_json::from_str(&data)?;
            for line in lines {
                let stamp = line["text"].as_str().and_then(|text| text.strip_suffix(" t")?.parse::<f64>().ok());
                if let Some(stamp) = stamp {
                    samples.value((at - stamp).max(0.0));
                }
            }
        }
    }
    let p99 = samples.at(0.99);
    let what = "a line, from the container to who follows";
    let figure = Figure::new(GROUP, what, Unit::Seconds, &samples);
    report.add(figure.target("p99 ≤ 50 ms", p99 <= PROMISED.as_secs_f64()));
    Ok(())
}

/// 100 MB as they are printed, with secrets masked: nothing is lost, nothing is told, and how fast they come.
async fn large(served: &Served, report: &mut Report) -> anyhow::Result<()> {
    let secret = |n: usize| format!("correct-horse-{n:04}-battery-staple");
    let mut env = String::new();
    for n in 0..SECRETS {
        tokio::task::block_in_place(|| served.project.secret(&format!("bench/s{n}"), &secret(n), &[]));
        env += &format!("S{n}: 'secret:bench/s{n}', ");
    }
    let pad = "x".repeat(94);
    let command = format!(r#"seq {LINES} | sed -e "s/\$/{pad}/" -e "s/00x.*/00 $S0/""#);
    let steps = format!(
        "  - {{ name: say, type: step.shell_exec, config: {{ image: IMAGE, env: {{ {env} }}, commands: ['{command}'] }} }}\n"
    );
    let floor = printed_bare(&command.replace("$S0", &secret(0))).await?;
    let before = served.cost()?.1;
    let begun = Instant::now();
    let run = served.begin("large", &steps).await?;
    let log = format!("/api/v1/runs/{run}/logs/say/1");
    let mut stream = served.stream(&format!("{log}/stream")).await?;
    let (mut hash, mut bytes, mut masked) = (Sha256::new(), 0_usize, 0_usize);
    while let Some((name, data)) = stream.next().await? {
        ensure!(!data.contains("correct-horse"), "a secret was told");
        if name == "lines" {
            let lines: Vec<Value> = serde_json::from_str(&data)?;
            for line in &lines {
                let text = line["text"].as_str().unwrap_or_default();
                hash.update(text);
                hash.update("\n");
                bytes += text.len() + 1;
                masked += usize::from(text.ends_with("***"));
            }
        }
    }
    let took = begun.elapsed();
    let processor = served.cost()?.1 - before;
    ensure!(masked == LINES / 100, "{masked} lines were masked");
    let raw = served.http.get(format!("{}{log}/raw", served.url)).send().await?.bytes().await?;
    let same = hash.finalize() == Sha256::digest(&raw);
    ensure!(same, "what was followed is not what is kept");
    let [mut ours, mut bare]: [Samples; 2] = Default::default();
    let rate = bytes as f64 / took.as_secs_f64();
    ours.value(rate);
    bare.value(100.0 * LINES as f64 / floor.as_secs_f64());
    let what = format!("a log of 100 MB, {SECRETS} secrets masked, followed while it is printed");
    let figure = Figure::new(GROUP, what, Unit::BytesPerSecond, &ours).over("`docker run` of the same", &bare);
    let note = format!(
        "{bytes} bytes, sha256 equal, with the container's start; {processor:.1} s of the server's processor time"
    );
    report.add(figure.target("≥ 25 MB/s", rate >= PROMISED_RATE).note(note));
    let begun = Instant::now();
    let page = format!("{}{log}?from=500000&limit=100", served.url);
    ensure!(served.http.get(page).send().await?.status() == 200, "a page in the middle");
    let mut samples = Samples::default();
    samples.time(begun.elapsed());
    report.add(Figure::new(GROUP, "100 lines in the middle of it", Unit::Seconds, &samples));
    Ok(())
}

/// How long the engine's own client takes for a container that prints the same.
async fn printed_bare(command: &str) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut docker = tokio::process::Command::new("docker");
    docker.args(["run", "--rm", windlass_tests::IMAGE, "sh", "-c", command]).stdout(std::process::Stdio::piped());
    let mut child = docker.spawn().context("cannot start docker")?;
    let mut output = child.stdout.take().context("its output is read")?;
    let bytes = tokio::io::copy(&mut output, &mut tokio::io::sink()).await?;
    ensure!(child.wait().await?.success() && bytes >= 99 * LINES as u64, "docker printed {bytes} bytes");
    Ok(begun.elapsed())
}

/// What one of the thousand has seen.
struct Saw {
    hash: Vec<u8>,
    /// How long after the run's end was recorded, in seconds.
    late: f64,
}

async fn follow(mut stream: Events, vanish: bool) -> anyhow::Result<Option<Saw>> {
    let (mut hash, mut late, mut count) = (Sha256::new(), 0.0, 0);
    while let Some((name, data)) = stream.next().await? {
        count += 1;
        if vanish && count > STEPS / 2 {
            return Ok(None);
        }
        if name == "run-ended" {
            let told: Value = serde_json::from_str(&data)?;
            late = now() - told["at_ms"].as_f64().unwrap_or_default() / 1e3;
        }
        hash.update(&data);
    }
    Ok(Some(Saw { hash: hash.finalize().to_vec(), late: late.max(0.0) }))
}

/// A thousand who follow one run, some of them badly.
async fn thousand(served: &Served, report: &mut Report) -> anyhow::Result<()> {
    let mut steps = "  - { name: ok, type: step.gate, config: { self_approval: true, prompt: go } }\n".to_owned();
    for n in 0..STEPS {
        let needs = if n == 0 { "ok".to_owned() } else { format!("s{}", n - 1) };
        steps += &format!(
            "  - {{ name: s{n}, type: step.gate, needs: [{needs}], config: {{ type: automated, conditions: ['1 == 1'] }} }}\n"
        );
    }
    let run = served.begin("thousand", &steps).await?;
    let path = format!("/api/v1/runs/{run}/events");
    let before = served.cost()?;
    let (mut slow, mut others) = (Vec::new(), JoinSet::new());
    for n in 0..CLIENTS {
        let mut stream = served.stream(&path).await?;
        // It is there, and has read something.
        stream.next().await?;
        if n < SLOW {
            slow.push(stream);
        } else {
            others.spawn(follow(stream, n < SLOW + VANISHING));
        }
    }
    let there = served.cost()?;
    let approved = tokio::task::block_in_place(|| served.project.windlass(["approve", &run, "ok"]));
    ensure!(approved.code == 0, "{}", approved.stderr);
    let (mut lates, mut hashes) = (Samples::default(), std::collections::HashSet::new());
    let mut whole = 0;
    while let Some(saw) = others.join_next().await {
        if let Some(saw) = saw?? {
            whole += 1;
            lates.value(saw.late);
            hashes.insert(saw.hash);
        }
    }
    let after = served.cost()?;
    let right = whole == CLIENTS - SLOW - VANISHING && hashes.len() == 1;
    let what = format!("the end of a run of {STEPS} steps, with each of 1,000 who follow");
    let note = format!("{SLOW} of them do not read, {VANISHING} vanish; {whole} saw {} story", hashes.len());
    report.add(Figure::new(GROUP, what, Unit::Seconds, &lates).target("all see the same", right).note(note));
    let each = (there.0 - before.0) / CLIENTS as f64;
    report.add(Figure::counted(GROUP, "memory of the server for each who follows", Unit::Bytes, each));
    report.add(Figure::counted(GROUP, "processor time for all of it", Unit::Seconds, after.1 - there.1));
    drop(slow);
    Ok(())
}
