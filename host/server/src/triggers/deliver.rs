//! The tasks behind triggers: writing deliveries, beginning their runs, and waking at times.

use super::{
    Judged, Live, Triggers, delivery, judge_time,
    schedule::{Before, GRACE_MS, Times, Verdict, judge},
    spec::{Missed, Overlap, TriggerSpec},
};
use crate::{App, Problem, clock::now_ms, workflows::Begun};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use windlass_contract::RunId;
use windlass_driver::{Asked, Request};
use windlass_store::{
    Records, StoreError,
    records::triggers::{DeliveryRow, NewDelivery, PendingDelivery, Settled},
};

/// How many deliveries one commit takes: all that could come during one.
const MAX_BATCH: usize = 256;
/// How many may wait for the next commit. Over that, their senders wait.
const QUEUE: usize = 1_024;
/// How many deliveries are looked at together when runs are begun, and settled in one commit.
const BEGIN_BATCH: u32 = 64;
/// How many of them are begun at once: enough to share the event log's commits.
const BEGIN_AT_ONCE: usize = 16;
/// How long the clock is not looked at, at most, while a schedule waits: a minute. Timers do not count the time that a machine sleeps, and know
/// nothing of a clock that is set.
const MAX_SLEEP_MS: u64 = 60_000;
/// How long bodies of requests are kept, so that they can be taken once more: 7 days.
pub(super) const KEEP_BODIES_MS: u64 = 7 * DAY_MS;
/// How much of a trigger's bodies is kept: 256 MiB, the newest of them.
const KEEP_BODY_BYTES: u64 = 256 << 20;
/// How many deliveries of a trigger are kept: 100,000, which is what guards against requests that are sent again.
const KEEP_DELIVERIES: u32 = 100_000;
/// When what could not be begun is tried again, in seconds: what was accepted must not wait for the next request, where a disk was full for a
/// moment.
const TRY_AGAIN: Duration = Duration::from_secs(10);
const DAY_MS: u64 = 86_400_000;
/// How often what is old is forgotten.
const HOUR_MS: u64 = 3_600_000;
/// How long the reason of a failure may be, in characters.
const MAX_REASON_CHARS: usize = 1_000;

type Answer = Result<Option<(DeliveryRow, bool)>, Problem>;

/// Where deliveries are put to be written.
pub(super) struct Inbox(mpsc::Sender<(NewDelivery, oneshot::Sender<Answer>)>);

impl Inbox {
    /// Begins to write. It ends when the inbox is dropped.
    pub(super) fn open(records: Records) -> Inbox {
        let (inbox, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(write_all(records, waiting));
        Inbox(inbox)
    }

    /// Writes a delivery; it is durable when this returns. Once it is called, dropping the future does not take it back.
    pub(super) async fn put(&self, new: NewDelivery) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.0.send((new, reply)).await.map_err(Problem::internal)?;
        answer.await.map_err(Problem::internal)?
    }
}

/// Writes what waits, all of it in one commit: with a disk that takes 5 ms for one, hundreds of requests in a second are no more work.
async fn write_all(records: Records, mut waiting: mpsc::Receiver<(NewDelivery, oneshot::Sender<Answer>)>) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while waiting.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let (new, replies): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        match records.accept(&new).await {
            Ok(rows) => {
                for (reply, row) in replies.into_iter().zip(rows) {
                    let _ = reply.send(Ok(row));
                }
            }
            Err(error) => {
                let problem = Problem::from(error);
                for reply in replies {
                    let _ = reply.send(Err(problem.clone()));
                }
            }
        }
    }
}

/// Begins the tasks.
pub(crate) fn start(app: &App) {
    let tasks = &app.triggers().0.tasks;
    tasks.spawn(begin_all(app.clone()));
    tasks.spawn(watch_times(app.clone()));
    tasks.spawn(keep_house(app.clone()));
}

/// Begins the runs of what was accepted, for as long as the server is there.
async fn begin_all(app: App) {
    let Triggers(parts) = app.triggers();
    for held in app.records().held().await.unwrap_or_default() {
        // The server may have ended between the record and the request.
        let overlap = app.triggers().get(&held.trigger).map(|live| live.spec.clone());
        if let (Some(TriggerSpec::Schedule { overlap: Overlap::CancelPrevious, .. }), Some(run)) =
            (overlap, &held.after_run)
        {
            parts.tasks.spawn(cancel(app.clone(), held.trigger.clone(), run.clone()));
        }
    }
    let mut ended = app.host().ended();
    while !parts.stop.is_cancelled() {
        ended.mark_unchanged();
        match begin_some(&app).await {
            Ok(Round::Idle { held }) => {
                let run_has_ended = async {
                    if !held || ended.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::select! {
                    () = parts.stop.cancelled() => {}
                    () = parts.work.notified() => {}
                    () = run_has_ended => {}
                }
            }
            Ok(Round::More) => {}
            Ok(Round::Busy) => {
                tokio::select! {
                    () = parts.stop.cancelled() => {}
                    () = app.runs().wait_for_room() => {}
                }
            }
            Err(problem) => {
                tracing::error!("runs of triggers cannot be begun, and are tried again: {}", problem.detail);
                tokio::select! {
                    () = parts.stop.cancelled() => {}
                    () = parts.work.notified() => {}
                    () = tokio::time::sleep(TRY_AGAIN) => {}
                }
            }
        }
    }
}

/// What there is to do after some runs were begun.
enum Round {
    /// Nothing before something changes; `held`: some wait for another run's end.
    Idle { held: bool },
    /// More.
    More,
    /// There is no room for more runs.
    Busy,
}

async fn begin_some(app: &App) -> Result<Round, Problem> {
    let mut held = false;
    let mut free = Vec::new();
    for waiting in app.records().held().await? {
        match &waiting.after_run {
            Some(run) if goes_on(app, run, "started").await? => held = true,
            _ => free.push(waiting.id),
        }
    }
    if !free.is_empty() {
        app.records().let_go(&free).await?;
    }
    let rows = app.records().to_begin(BEGIN_BATCH).await?;
    if rows.is_empty() {
        return Ok(Round::Idle { held });
    }
    let begun: Vec<_> = stream::iter(rows).map(|row| begin(app, row)).buffer_unordered(BEGIN_AT_ONCE).collect().await;
    let settled: Vec<Settled> = begun.iter().flatten().cloned().collect();
    app.records().settle(&settled).await?;
    settled.iter().for_each(|each| app.metrics().delivery(&each.status));
    Ok(if settled.len() < begun.len() { Round::Busy } else { Round::More })
}

/// Begins a delivery's run; `None` where there is no room at the moment.
async fn begin(app: &App, row: PendingDelivery) -> Option<Settled> {
    let failed = |reason: String| {
        Some(Settled {
            id: row.id,
            status: "failed".to_owned(),
            reason: Some(reason.chars().take(MAX_REASON_CHARS).collect()),
        })
    };
    let Ok(run) = row.run.parse::<RunId>() else { return failed(format!("{:?} is no run's id", row.run)) };
    let inputs: Map<String, Value> = match serde_json::from_str(row.inputs.as_deref().unwrap_or("{}")) {
        Ok(inputs) => inputs,
        Err(error) => return failed(format!("the inputs cannot be read: {error}")),
    };
    let by_time = app.triggers().get(&row.trigger).is_some_and(|live| !live.spec.is_hook());
    let trigger = if by_time { "schedule" } else { "webhook" };
    let origin = Begun { by: actor(&row.trigger), trigger, title: row.title.clone(), run_id: Some(run) };
    match app.begin_run(&row.workflow, None, inputs, Map::new(), origin).await {
        Ok(_) => Some(Settled { id: row.id, status: "started".to_owned(), reason: None }),
        Err(problem) if problem.is_busy() => None,
        Err(problem) => {
            let more = problem.errors.iter().map(|error| format!("; {}: {}", error.pointer, error.detail));
            failed(std::iter::once(problem.detail.clone()).chain(more).collect())
        }
    }
}

/// Who does what a trigger does.
fn actor(trigger: &str) -> String {
    format!("trigger:{trigger}")
}

/// Whether a run goes on. `status` is that of the delivery that it is of: one that was accepted is about to begin it.
async fn goes_on(app: &App, run: &str, status: &str) -> Result<bool, Problem> {
    let Ok(run) = run.parse::<RunId>() else { return Ok(false) };
    match app.host().store().run(&run).await {
        Ok(summary) => Ok(summary.outcome.is_none()),
        Err(StoreError::UnknownRun { .. }) => Ok(status == "accepted"),
        Err(error) => Err(error.into()),
    }
}

async fn cancel(app: App, trigger: String, run: String) {
    let Ok(run) = run.parse::<RunId>() else { return };
    let request = Request::Cancel { reason: "the next time of its schedule has come".to_owned() };
    if let Err(problem) = app.runs().ask(&run, Asked { request, by: actor(&trigger) }).await {
        // It may have ended meanwhile.
        tracing::info!(%run, "a run was not cancelled by its schedule: {}", problem.detail);
    }
}

/// Wakes at each schedule's time, for as long as the server is there. It sleeps until the next one, or [`MAX_SLEEP_MS`].
async fn watch_times(app: App) {
    let Triggers(parts) = app.triggers();
    loop {
        let next = match fire_due(&app, now_ms()).await {
            Ok(next) => next,
            Err(problem) => {
                tracing::error!("schedules cannot be looked at: {}", problem.detail);
                Some(now_ms() + MAX_SLEEP_MS)
            }
        };
        let time = async {
            match next {
                Some(at) => {
                    let away = at.saturating_sub(now_ms()).min(MAX_SLEEP_MS);
                    tokio::time::sleep(Duration::from_millis(away)).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = parts.stop.cancelled() => return,
            () = parts.times.notified() => {}
            () = time => {}
        }
    }
}

/// Records what comes of each time that has come; gives the next one.
async fn fire_due(app: &App, now: u64) -> Result<Option<u64>, Problem> {
    let triggers = app.triggers();
    let mut failed = false;
    for (id, time) in app.records().due_triggers(now).await? {
        let _alone = triggers.0.changing.lock().await;
        let Some(live) = triggers.get(&id).filter(|live| live.row.next_ms == Some(time)) else { continue };
        if let Err(problem) = fire(app, &live, time, now).await {
            tracing::error!(trigger = id, "a schedule's time is not recorded: {}", problem.detail);
            failed = true;
        }
    }
    // What has failed is due still, and is not tried again at once.
    if failed { Ok(Some(now + MAX_SLEEP_MS)) } else { Ok(app.records().next_due().await?) }
}

async fn fire(app: &App, live: &Live, time: u64, now: u64) -> Result<(), Problem> {
    let TriggerSpec::Schedule { cron, time_zone, overlap, missed, .. } = &live.spec else { return Ok(()) };
    let times = Times::parse(cron, time_zone).map_err(|(field, why)| Problem::internal(format!("{field}: {why}")))?;
    let moment =
        |ms: u64| Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)).map_err(Problem::internal);
    let late = now.saturating_sub(time) > GRACE_MS;
    let (at, count) = if late { times.missed(moment(time)?, moment(now)?) } else { (moment(time)?, 1) };
    let next = times.next_after(moment(now.max(time))?).and_then(|next| u64::try_from(next.as_millisecond()).ok());

    let id = &live.row.id;
    let waiting: Vec<_> = app.records().held().await?.into_iter().filter(|held| held.trigger == *id).collect();
    let last = app.records().last_begun(id).await?;
    let run = match last.as_ref().and_then(|last| Some((last.run.as_deref()?, last.status.as_str()))) {
        Some((run, status)) if goes_on(app, run, status).await? => Some(run),
        _ => None,
    };
    let before = match (run, waiting.first().and_then(|held| held.after_run.as_deref())) {
        (Some(run), Some(_)) | (None, Some(run)) => Before::AndOneWaits(run),
        (Some(run), None) => Before::GoesOn(run),
        (None, None) => Before::Over,
    };
    let verdict = judge(*overlap, *missed, late.then_some(count), before);
    let (mut after_run, mut cancelled, mut superseded) = (None, None, Vec::new());
    let judged = match verdict {
        Verdict::Nothing(why) => {
            Judged { event: "time".to_owned(), status: "skipped", reason: Some(why), title: None, inputs: None }
        }
        Verdict::Begin => judge_time(&live.spec, &at.to_string()),
        Verdict::After { run, cancel, supersede } => {
            cancelled = cancel.then(|| run.clone());
            after_run = Some(run);
            if supersede {
                superseded = waiting.iter().map(|held| held.id).collect();
            }
            judge_time(&live.spec, &at.to_string())
        }
    };
    let judged = match (late, *missed) {
        (true, Missed::RunOnce) if judged.reason.is_none() => {
            let words = format!("for {count} times that have passed while no server was there");
            Judged { reason: Some(words), ..judged }
        }
        _ => judged,
    };
    let (begins, status) = (judged.status == "accepted", judged.status);
    let superseded: Vec<Settled> = superseded
        .into_iter()
        .filter(|_| begins)
        .map(|id| Settled { id, status: "skipped".to_owned(), reason: Some("a later time has come".to_owned()) })
        .collect();
    let new =
        NewDelivery { at_ms: now, after_run: after_run.filter(|_| begins), ..delivery(live, at.to_string(), judged) };
    app.records().schedule_came(time, next, &new, &superseded).await?;
    let triggers = app.triggers();
    triggers.put(Live::new(windlass_store::records::triggers::TriggerRow { next_ms: next, ..live.row.clone() })?);
    match begins {
        true => triggers.0.work.notify_one(),
        false => app.metrics().delivery(status),
    }
    superseded.iter().for_each(|each| app.metrics().delivery(&each.status));
    if let Some(run) = cancelled.filter(|_| begins) {
        triggers.0.tasks.spawn(cancel(app.clone(), id.clone(), run));
    }
    Ok(())
}

/// Forgets what is old, once an hour.
async fn keep_house(app: App) {
    let Triggers(parts) = app.triggers();
    if let Err(problem) = app.sweep_secrets().await {
        tracing::warn!("secrets of triggers that are gone are still in the vault: {}", problem.detail);
    }
    while !parts.stop.is_cancelled() {
        let before = now_ms().saturating_sub(KEEP_BODIES_MS);
        if let Err(error) = app.records().prune_deliveries(before, KEEP_BODY_BYTES, KEEP_DELIVERIES).await {
            tracing::warn!("old deliveries are not forgotten: {error}");
        }
        tokio::select! {
            () = parts.stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(HOUR_MS)) => {}
        }
    }
}
