//! 5,000 signed webhooks: how soon they are answered, which is when they are durable, and how soon their runs are begun.

use super::{
    figures::{Figure, Report, Samples, Unit},
    streams::Served,
};
use anyhow::{Context as _, ensure};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

const GROUP: &str = "server: webhooks";
const REQUESTS: usize = 5_000;
const CONNECTIONS: usize = 64;
/// As large as a push with some commits.
const PADDING: usize = 8 << 10;
/// What the server has to keep up with.
const PROMISED: Duration = Duration::from_secs(10);
/// It ends at once and needs no container.
const PIPELINE: &str = "name: hooked
inputs:
  n: { type: number, required: true }
steps:
  - { name: never, type: step.gate, if: \"inputs.n < 0\", config: { prompt: Never } }
";

/// Measures all of it.
pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let served = tokio::task::block_in_place(Served::start)?;
    served.post("/api/v1/workflows", json!({ "yaml": PIPELINE })).await?;
    let spec = json!({ "kind": "webhook", "filter": "event.body.n >= 0", "inputs": { "n": "{{ event.body.n }}" } });
    let made = served.post("/api/v1/workflows/hooked/triggers", json!({ "name": "bench", "spec": spec })).await?;
    let text = |pointer: &str| made.pointer(pointer).and_then(Value::as_str).map(str::to_owned).context("a trigger");
    let (id, secret) = (text("/trigger/id")?, text("/secret")?);

    let began = Instant::now();
    let mut senders = JoinSet::new();
    for sender in 0..CONNECTIONS {
        let (url, secret) = (format!("{}/hooks/{id}", served.url), secret.clone());
        senders.spawn(async move {
            let http = reqwest::Client::builder().no_proxy().build()?;
            let mut times = Vec::new();
            for n in (sender..REQUESTS).step_by(CONNECTIONS) {
                let body = json!({ "n": n, "padding": "x".repeat(PADDING) }).to_string();
                let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
                let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
                mac.update(format!("{time}.{body}").as_bytes());
                let signature = format!("t={time},v1={}", hex::encode(mac.finalize().into_bytes()));
                let sent = Instant::now();
                let request = http.post(&url).header("content-type", "application/json");
                let request = request.header("x-windlass-signature", signature);
                let answer = request.header("x-windlass-delivery", format!("n{n}")).body(body).send().await?;
                ensure!(answer.status() == 202, "{}", answer.text().await?);
                answer.bytes().await?;
                times.push(sent.elapsed());
            }
            Ok(times)
        });
    }
    let mut latencies = Samples::default();
    while let Some(times) = senders.join_next().await {
        times??.into_iter().for_each(|time| latencies.time(time));
    }
    let took = began.elapsed();
    // Each look costs the server something, too: seldom.
    loop {
        let page = served.http.get(format!("{}/api/v1/triggers/{id}/deliveries?limit=1", served.url)).send().await?;
        let page: Value = page.json().await?;
        if page.pointer("/items/0/status").and_then(Value::as_str) == Some("started") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
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
