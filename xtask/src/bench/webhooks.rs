//! 5,000 signed webhooks: how soon they are answered, which is when they are durable, and how soon their runs are begun.

use super::{
    figures::{Figure, Report, Samples, Unit},
    streams::Served,
};
use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const GROUP: &str = "server: webhooks";
const REQUESTS: i64 = 5_000;
const CONNECTIONS: usize = 64;
/// As large as a push with some commits.
const PADDING: usize = 8 << 10;
/// What the server has to keep up with.
const PROMISED: Duration = Duration::from_secs(10);
/// Such a one ends at once and needs no container.
const STEPS: &str = "inputs:
  n: { type: number, required: true }
steps:
  - { name: never, type: step.gate, if: \"inputs.n < 0\", config: { prompt: Never } }
";

/// A pipeline that webhooks begin.
pub(super) struct Hook {
    id: String,
    secret: String,
    url: String,
}

impl Hook {
    /// Deploys a pipeline of this name that takes `n`, and makes the webhook.
    pub(super) async fn deploy(served: &Served, name: &str, steps: &str) -> anyhow::Result<Hook> {
        served.post("/api/v1/workflows", json!({ "yaml": format!("name: {name}\n{steps}") })).await?;
        let inputs = json!({ "n": "{{ event.body.n }}" });
        let spec = json!({ "kind": "webhook", "filter": "event.body.n != 0", "inputs": inputs });
        let path = format!("/api/v1/workflows/{name}/triggers");
        let made = served.post(&path, json!({ "name": "bench", "spec": spec })).await?;
        let text = |pointer: &str| made.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let id = text("/trigger/id").context("a trigger has an id")?;
        let secret = text("/secret").context("a webhook has a secret")?;
        let url = format!("{}/hooks/{id}", served.url);
        Ok(Hook { id, secret, url })
    }

    /// Sends a delivery of each of these, 64 at once; how long each answer took. An answer means that it is durable.
    pub(super) async fn send(&self, numbers: impl Iterator<Item = i64>) -> anyhow::Result<Samples> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let answers = futures::stream::iter(numbers).map(|n| {
            let (http, url, secret) = (http.clone(), self.url.clone(), self.secret.clone());
            let task = tokio::spawn(async move { deliver(&http, &url, &secret, n).await });
            async move { task.await? }
        });
        let times: Vec<Duration> = answers.buffer_unordered(CONNECTIONS).try_collect().await?;
        let mut latencies = Samples::default();
        times.into_iter().for_each(|time| latencies.time(time));
        Ok(latencies)
    }

    /// Waits until the last delivery's run is begun.
    pub(super) async fn begun(&self, served: &Served) -> anyhow::Result<()> {
        loop {
            let path = format!("/api/v1/triggers/{}/deliveries?limit=1", self.id);
            let page: Value = served.http.get(format!("{}{path}", served.url)).send().await?.json().await?;
            if page.pointer("/items/0/status").and_then(Value::as_str) == Some("started") {
                return Ok(());
            }
            // Each look costs the server something, too: seldom.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

async fn deliver(http: &reqwest::Client, url: &str, secret: &str, n: i64) -> anyhow::Result<Duration> {
    let body = json!({ "n": n, "padding": "x".repeat(PADDING) }).to_string();
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(format!("{time}.{body}").as_bytes());
    let signature = format!("t={time},v1={}", hex::encode(mac.finalize().into_bytes()));
    let sent = Instant::now();
    let request = http.post(url).header("content-type", "application/json");
    let request = request.header("x-windlass-signature", signature);
    let answer = request.header("x-windlass-delivery", format!("n{n}")).body(body).send().await?;
    ensure!(answer.status() == 202, "{}", answer.text().await?);
    answer.bytes().await?;
    Ok(sent.elapsed())
}

/// Measures all of it.
pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let served = tokio::task::block_in_place(Served::start)?;
    let hook = Hook::deploy(&served, "hooked", STEPS).await?;
    let began = Instant::now();
    let latencies = hook.send(1..=REQUESTS).await?;
    let took = began.elapsed();
    hook.begun(&served).await?;
    let begun = began.elapsed();
    let [mut all, mut rate, mut runs]: [Samples; 3] = Default::default();
    all.time(took);
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let count = REQUESTS as f64;
    rate.value(count / took.as_secs_f64());
    runs.time(begun);
    let holds = took <= PROMISED;
    report.add(Figure::new(GROUP, "5,000 answered, each durable", Unit::Seconds, &all).target("≤ 10 s", holds));
    report.add(Figure::new(GROUP, "answers", Unit::PerSecond, &rate));
    report.add(Figure::new(GROUP, "an answer", Unit::Seconds, &latencies));
    report.add(Figure::new(GROUP, "until the last one's run is begun", Unit::Seconds, &runs));
    Ok(())
}
