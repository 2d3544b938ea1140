//! What begins runs by itself: signed requests of other systems, and times.
//!
//! **Invariants.**
//! - A delivery is durable, with the id of the run that it is to begin, before its sender is answered. After a crash it is begun once:
//!   under that id, which is there already or is not.
//! - Nothing of a request is looked at before its signature fits. Whether a trigger exists is not told to who cannot sign for it.
//! - What was signed once is taken once; sent again, it gets the answer that stands.
//! - Secrets are in the vault (`triggers/ID`), and nowhere else on the disk.
//! - A time of a schedule has one delivery at most, and moves on in the commit that records it.
//!
//! **Layers.** `signature`, `github`, `globs`, `schedule` and `spec` are pure. `deliver` has the tasks: one that writes deliveries in
//! groups, one that begins their runs, one that sleeps until the next time. Changes of triggers are made one at a time; what is in memory is what
//! is in the records, since no other process has them.
//!
//! **Not here.** Beginning a run (`workflows`), and SQL (`store::records::triggers`).

mod deliver;
mod github;
mod globs;
pub(crate) mod own;
mod schedule;
mod signature;
mod spec;

pub(crate) use deliver::start;
pub(crate) use spec::TriggerSpec;

use crate::{App, Problem, access::Caller, clock::now_ms, problem::Kind, secrets};
use axum::http::HeaderMap;
use deliver::Inbox;
use github::{Filters, Meant};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use signature::{Refusal, Scheme, Secrets};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::{Notify, OnceCell};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use windlass_capabilities::{Vault, VaultError};
use windlass_contract::{SecretReference, SecretValue};
use windlass_driver::new_run_id;
use windlass_manifest::event;
use windlass_store::{
    Records,
    records::triggers::{DeliveryRow, NewDelivery, TriggerRow},
};

/// How large a request may be, in bytes: 1 MiB, as much as a pipeline's file. GitHub's are some tens of kilobytes.
pub(crate) const MAX_BODY: usize = 1 << 20;
/// How many triggers a pipeline may have: 50.
pub(crate) const MAX_OF_WORKFLOW: usize = 50;
/// How many triggers there may be at all: 10,000. They are in memory, some kilobytes each.
const MAX_TRIGGERS: usize = 10_000;
/// How long a trigger's name may be, in characters.
const MAX_NAME_CHARS: usize = 100;
/// How long a secret that was changed is still taken: an hour, to bring the new one to where it is used.
pub(crate) const BEFORE_MS: u64 = 3_600_000;
/// How long the sender's id of a delivery may be, in bytes; of one that is longer, what was signed is the id.
const MAX_KEY_BYTES: usize = 200;
/// How long a header may be that is kept, in bytes; a longer one is left out.
const MAX_HEADER_BYTES: usize = 1_024;
/// The headers that filters and inputs may read, and that are kept. None of them is a secret.
const HEADERS: &[&str] = &[
    "content-type",
    "user-agent",
    "x-github-delivery",
    "x-github-event",
    "x-github-hook-id",
    "x-request-id",
    "x-windlass-delivery",
    "x-windlass-event",
];

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Triggers(Arc<Parts>);

struct Parts {
    known: RwLock<HashMap<String, Arc<Live>>>,
    /// Held by whoever changes one.
    changing: tokio::sync::Mutex<()>,
    inbox: Inbox,
    /// There may be runs to begin.
    work: Notify,
    /// The next time may be another one.
    times: Notify,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A trigger, ready to be used.
pub(crate) struct Live {
    pub(crate) row: TriggerRow,
    pub(crate) spec: TriggerSpec,
    filters: Option<Filters>,
    secrets: OnceCell<Secrets>,
}

impl Live {
    fn new(row: TriggerRow) -> Result<Live, Problem> {
        let spec: TriggerSpec = serde_json::from_str(&row.spec)
            .map_err(|error| Problem::internal(format!("the stored trigger {}: {error}", row.id)))?;
        Ok(Live { filters: Filters::of(&spec), row, spec, secrets: OnceCell::new() })
    }

    fn scheme(&self) -> Scheme {
        match self.spec {
            TriggerSpec::Github { .. } => Scheme::Github,
            _ => Scheme::Ours,
        }
    }
}

/// What is done about a request.
struct Judged {
    event: String,
    status: &'static str,
    reason: Option<String>,
    title: Option<String>,
    inputs: Option<String>,
}

impl Triggers {
    /// Reads what triggers there are.
    pub(crate) async fn open(records: &Records) -> Result<Triggers, Problem> {
        let mut known = HashMap::new();
        for row in records.triggers().await? {
            known.insert(row.id.clone(), Arc::new(Live::new(row)?));
        }
        Ok(Triggers(Arc::new(Parts {
            known: RwLock::new(known),
            changing: tokio::sync::Mutex::new(()),
            inbox: Inbox::open(records.clone()),
            work: Notify::new(),
            times: Notify::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })))
    }

    /// The trigger of that id.
    fn get(&self, id: &str) -> Option<Arc<Live>> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// The same; else a problem.
    pub(crate) fn one(&self, id: &str) -> Result<Arc<Live>, Problem> {
        self.get(id).ok_or_else(|| Problem::not_found("such trigger"))
    }

    /// The triggers of a pipeline, the oldest first.
    pub(crate) fn of(&self, workflow: &str) -> Vec<Arc<Live>> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut of: Vec<_> = known.values().filter(|live| live.row.workflow == workflow).cloned().collect();
        of.sort_by(|a, b| (a.row.created_at_ms, &a.row.id).cmp(&(b.row.created_at_ms, &b.row.id)));
        of
    }

    fn put(&self, live: Live) -> Arc<Live> {
        let live = Arc::new(live);
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(live.row.id.clone(), Arc::clone(&live));
        live
    }

    /// Keeps others from changing triggers for as long as it is held.
    pub(crate) async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.changing.lock().await
    }

    fn forget(&self, id: &str) {
        self.0.known.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Ends what goes on, and waits for it: nothing is half done after it. What is accepted is begun by the next start.
    pub(crate) async fn end(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

/// The name of a trigger's secret in the vault; of the one before.
fn secret_names(id: &str) -> Result<(SecretReference, SecretReference), Problem> {
    let name = |text: String| text.parse::<SecretReference>().map_err(Problem::internal);
    Ok((name(format!("triggers/{id}"))?, name(format!("triggers/{id}.before"))?))
}

/// 128 bits of chance, as text.
fn new_id() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// 256 bits of chance, as text that says what it is.
fn new_secret() -> String {
    format!("whsec_{}", hex::encode(rand::random::<[u8; 32]>()))
}

fn next_ms(spec: &TriggerSpec, enabled: bool) -> Option<u64> {
    let next = spec.next_after(Timestamp::now()).filter(|_| enabled)?;
    u64::try_from(next.as_millisecond()).ok()
}

fn check_name(name: &str) -> Result<(), Problem> {
    let count = name.chars().count();
    if name.trim().is_empty() || count > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        return Err(Problem::field("/name", format!("a name is one line of 1 to {MAX_NAME_CHARS} characters")));
    }
    Ok(())
}

/// Why nobody changes a pipeline's own schedule by hand.
fn managed(row: &TriggerRow, why: &str) -> Problem {
    let words = format!("this is the `trigger` in the text of {}: {why}", row.workflow);
    Problem::new(Kind::Conflict, words)
        .help("change the text and deploy it, or switch the trigger off with `enabled: false`")
}

fn stored_spec(spec: &TriggerSpec) -> Result<String, Problem> {
    serde_json::to_string(spec).map_err(Problem::internal)
}

impl App {
    /// Makes a trigger; with what its requests are to be signed with, where it takes any.
    pub(crate) async fn create_trigger(
        &self,
        caller: &Caller,
        workflow: &str,
        name: &str,
        spec: TriggerSpec,
    ) -> Result<(Arc<Live>, Option<String>), Problem> {
        check_name(name)?;
        spec.check()?;
        let triggers = self.triggers();
        let _alone = triggers.alone().await;
        if self.records().workflow(workflow).await?.is_none() {
            return Err(Problem::not_found(format!("pipeline {workflow:?}")));
        }
        let all = triggers.0.known.read().unwrap_or_else(PoisonError::into_inner).len();
        if triggers.of(workflow).len() >= MAX_OF_WORKFLOW || all >= MAX_TRIGGERS {
            let words = format!("a pipeline has at most {MAX_OF_WORKFLOW} triggers, and a server {MAX_TRIGGERS}");
            return Err(Problem::new(Kind::Conflict, words).help("delete one that is not used any more"));
        }
        let row = TriggerRow {
            id: new_id(),
            workflow: workflow.to_owned(),
            name: name.to_owned(),
            spec: stored_spec(&spec)?,
            enabled: true,
            managed: false,
            next_ms: next_ms(&spec, true),
            before_until_ms: None,
            created_by: caller.name.clone(),
            created_at_ms: now_ms(),
        };
        let secret = spec.is_hook().then(new_secret);
        if let Some(secret) = &secret {
            // Before the trigger: one without a secret would refuse everything. A secret without a trigger goes at the next start.
            let (name, _) = secret_names(&row.id)?;
            let value = SecretValue::new(secret.clone().into_bytes());
            secrets::vault(self, move |vault| vault.set(&name, &value, &[])).await?;
        }
        let detail = json!({ "workflow": workflow, "name": name, "spec": spec });
        let mut change = self.records().change().await?;
        change.insert_trigger(&row).await?;
        change.commit(&caller.did("trigger.create", &row.id, detail)).await?;
        let live = triggers.put(Live::new(row)?);
        triggers.0.times.notify_one();
        Ok((live, secret))
    }

    /// Changes a trigger.
    pub(crate) async fn change_trigger(
        &self,
        caller: &Caller,
        id: &str,
        name: Option<String>,
        spec: Option<TriggerSpec>,
        enabled: Option<bool>,
    ) -> Result<Arc<Live>, Problem> {
        let triggers = self.triggers();
        let _alone = triggers.alone().await;
        let live = triggers.one(id)?;
        if live.row.managed && (name.is_some() || spec.is_some()) {
            return Err(managed(&live.row, "what it does is said in that text"));
        }
        let mut row = live.row.clone();
        if let Some(name) = name {
            check_name(&name)?;
            row.name = name;
        }
        let timed = spec.is_some() || enabled.is_some_and(|enabled| enabled != row.enabled);
        if let Some(spec) = spec {
            if spec.kind() != live.spec.kind() {
                let words = format!("this trigger is a {}, and stays one; make another one", live.spec.kind());
                return Err(Problem::field("/spec/kind", words));
            }
            spec.check()?;
            row.spec = stored_spec(&spec)?;
        }
        row.enabled = enabled.unwrap_or(row.enabled);
        let changed = Live::new(row.clone())?;
        if timed {
            row.next_ms = next_ms(&changed.spec, row.enabled);
        }
        let mut change = self.records().change().await?;
        if !change.update_trigger(&row).await? {
            return Err(Problem::not_found("such trigger"));
        }
        let detail = json!({ "name": row.name, "enabled": row.enabled, "spec": changed.spec });
        change.commit(&caller.did("trigger.change", id, detail)).await?;
        let live = triggers.put(Live::new(row)?);
        triggers.0.times.notify_one();
        Ok(live)
    }

    /// Deletes a trigger with its secret and its deliveries. Its runs stay.
    pub(crate) async fn delete_trigger(&self, caller: &Caller, id: &str) -> Result<(), Problem> {
        let triggers = self.triggers();
        let _alone = triggers.alone().await;
        let live = triggers.one(id)?;
        if live.row.managed {
            return Err(managed(&live.row, "it goes with that text"));
        }
        let mut change = self.records().change().await?;
        change.delete_trigger(id).await?;
        let detail = json!({ "workflow": live.row.workflow, "name": live.row.name });
        change.commit(&caller.did("trigger.delete", id, detail)).await?;
        self.forget_triggers(&[live]).await
    }

    /// Lets go of triggers that the records have no more.
    pub(crate) async fn forget_triggers(&self, gone: &[Arc<Live>]) -> Result<(), Problem> {
        gone.iter().for_each(|live| self.triggers().forget(&live.row.id));
        let hooks = gone.iter().filter(|live| live.spec.is_hook());
        self.remove_secrets(hooks.map(|live| live.row.id.clone()).collect()).await
    }

    async fn remove_secrets(&self, ids: Vec<String>) -> Result<(), Problem> {
        if ids.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = ids.iter().map(|id| secret_names(id)).collect::<Result<_, _>>()?;
        secrets::vault(self, move |vault| {
            for name in names.iter().flat_map(|(present, before)| [present, before]) {
                match vault.remove(name) {
                    Ok(()) | Err(VaultError::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
        .await
    }

    /// Removes the secrets of triggers that are not there: of one that was being made or deleted when the server ended.
    async fn sweep_secrets(&self) -> Result<(), Problem> {
        let kept = secrets::vault(self, Vault::list).await?;
        let mut ids: Vec<String> = kept
            .iter()
            .filter_map(|secret| secret.name.strip_prefix("triggers/"))
            .map(|name| name.strip_suffix(".before").unwrap_or(name).to_owned())
            // What somebody has named so by hand is theirs.
            .filter(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .filter(|id| self.triggers().get(id).is_none())
            .collect();
        ids.dedup();
        self.remove_secrets(ids).await
    }

    /// Gives a trigger a new secret. The one before is taken for [`BEFORE_MS`] more.
    pub(crate) async fn rotate_trigger(&self, caller: &Caller, id: &str) -> Result<(Arc<Live>, String), Problem> {
        let triggers = self.triggers();
        let _alone = triggers.alone().await;
        let live = triggers.one(id)?;
        if !live.spec.is_hook() {
            return Err(Problem::new(Kind::Conflict, "a schedule has no secret"));
        }
        let secret = new_secret();
        let (present, before) = secret_names(id)?;
        let row = TriggerRow { before_until_ms: Some(now_ms() + BEFORE_MS), ..live.row.clone() };
        let kept = present.clone();
        secrets::vault(self, move |vault| {
            let (value, _) = vault.get(&kept)?;
            vault.set(&before, &value, &[])
        })
        .await?;
        // In this order: at no moment is the secret refused that the sender has.
        let mut change = self.records().change().await?;
        change.update_trigger(&row).await?;
        change.commit(&caller.did("trigger.rotate", id, json!({}))).await?;
        let value = SecretValue::new(secret.clone().into_bytes());
        secrets::vault(self, move |vault| vault.set(&present, &value, &[])).await?;
        Ok((triggers.put(Live::new(row)?), secret))
    }

    async fn secrets_of<'l>(&self, live: &'l Live) -> Result<&'l Secrets, Problem> {
        live.secrets
            .get_or_try_init(|| async {
                let (present, before) = secret_names(&live.row.id)?;
                let until_ms = live.row.before_until_ms.filter(|until_ms| now_ms() < *until_ms);
                secrets::vault(self, move |vault| {
                    let (present, _) = vault.get(&present)?;
                    let before = match until_ms {
                        None => None,
                        Some(until_ms) => Some((vault.get(&before)?.0, until_ms)),
                    };
                    Ok(Secrets { present, before })
                })
                .await
                // A secret that somebody has removed is a fault here, and says nothing to who sends.
                .map_err(|problem| Problem::internal(format!("the trigger {}: {}", live.row.id, problem.detail)))
            })
            .await
    }

    /// Takes a request: what it came to is durable when this returns.
    pub(crate) async fn take_hook(&self, id: &str, headers: &HeaderMap, body: &[u8]) -> Result<DeliveryRow, Problem> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let live = self.triggers().get(id).filter(|live| live.spec.is_hook());
        let scheme = live.as_ref().map_or(Scheme::Github, |live| live.scheme());
        let header = match scheme {
            Scheme::Github => text("x-hub-signature-256"),
            Scheme::Ours => text("x-windlass-signature"),
        };
        let secrets = match &live {
            Some(live) => Some(self.secrets_of(live).await?),
            None => None,
        };
        let now = now_ms();
        let seal = signature::verify(scheme, header, body, secrets, now).map_err(|refusal| match refusal {
            Refusal::Unsigned => Problem::new(Kind::Unsigned, "there is no trigger here that this is signed for")
                .help("check the address and the secret, and that the body is signed as it is sent"),
            Refusal::Stale(seconds) => {
                let words = format!("the time in the signature is {seconds} s from this server's");
                Problem::new(Kind::Stale, words).help("sign each request when it is sent, and set the clock")
            }
        })?;
        let Some(live) = live else { return Err(Problem::new(Kind::Unsigned, "there is no trigger here")) };
        if text("content-type").is_some_and(|kind| !is_json(kind)) {
            return Err(Problem::new(Kind::UnsupportedMedia, "the body is no JSON")
                .help("choose application/json as the content type where the webhook is set up"));
        }
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| Problem::new(Kind::Invalid, format!("the body cannot be read as JSON: {error}")))?;
        let kept = kept_headers(headers);
        let judged = judge(&live, live.row.enabled, &kept, value);
        let key = match scheme {
            Scheme::Github => text("x-github-delivery"),
            Scheme::Ours => text("x-windlass-delivery"),
        };
        let key =
            key.filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()));
        let key = key.map_or_else(|| hex::encode(seal), str::to_owned);
        let new = NewDelivery {
            at_ms: now,
            seal: Some(seal),
            headers: Some(Value::Object(kept).to_string()),
            body: Some(body.to_vec()),
            ..delivery(&live, key, judged)
        };
        self.accept(new).await
    }

    /// Treats a request, or a time, as if it came once more.
    pub(crate) async fn redeliver(&self, caller: &Caller, id: &str, number: i64) -> Result<DeliveryRow, Problem> {
        let live = self.triggers().one(id)?;
        let kept = self.records().kept_request(id, number).await?;
        let kept = kept.ok_or_else(|| Problem::not_found(format!("delivery {number} of this trigger")))?;
        let judged = match (&live.spec, kept.body) {
            (TriggerSpec::Schedule { .. }, _) => judge_time(&live.spec, &kept.row.key),
            (_, Some(body)) => {
                let headers = kept.headers.as_deref().and_then(|text| serde_json::from_str(text).ok());
                let body = serde_json::from_slice(&body).map_err(Problem::internal)?;
                judge(&live, true, &headers.unwrap_or_default(), body)
            }
            (_, None) => {
                return Err(Problem::new(Kind::Gone, "the request is not kept any more")
                    .help("let its sender deliver it again"));
            }
        };
        // Its own key: that it comes again is what is asked for.
        let first = kept.row.key.split('~').next().unwrap_or_default();
        let key = format!("{first}~{}", new_run_id());
        let entry = caller.did("trigger.redeliver", id, json!({ "delivery": number, "as": key }));
        let new = NewDelivery { redelivery_of: Some(number), entry: Some(entry), ..delivery(&live, key, judged) };
        self.accept(new).await
    }

    async fn accept(&self, new: NewDelivery) -> Result<DeliveryRow, Problem> {
        let triggers = self.triggers();
        // `None`: it was deleted while this came.
        let (row, is_new) = triggers.0.inbox.put(new).await?.ok_or_else(|| Problem::not_found("such trigger"))?;
        match (is_new, row.status.as_str()) {
            (true, "accepted") => triggers.0.work.notify_one(),
            // What begins a run is counted when that has begun.
            (true, status) => self.metrics().delivery(status),
            (false, _) => {}
        }
        Ok(row)
    }
}

fn delivery(live: &Live, key: String, judged: Judged) -> NewDelivery {
    let begins = judged.status == "accepted";
    NewDelivery {
        trigger: live.row.id.clone(),
        at_ms: now_ms(),
        key,
        event: judged.event,
        status: judged.status.to_owned(),
        reason: judged.reason,
        run: begins.then(|| new_run_id().to_string()),
        title: judged.title,
        inputs: judged.inputs,
        ..NewDelivery::default()
    }
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn kept_headers(headers: &HeaderMap) -> Map<String, Value> {
    let kept = HEADERS.iter().filter_map(|name| {
        let value = headers.get(*name)?.to_str().ok().filter(|value| value.len() <= MAX_HEADER_BYTES)?;
        Some(((*name).to_owned(), Value::from(value)))
    });
    kept.collect()
}

/// What is done about a request whose signature fits.
fn judge(live: &Live, enabled: bool, headers: &Map<String, Value>, body: Value) -> Judged {
    let header = |name: &str| headers.get(name).and_then(Value::as_str);
    let judged = |event: &str, status, reason| Judged {
        event: event.to_owned(),
        status,
        reason: Some(reason),
        title: None,
        inputs: None,
    };
    let (event, title, note, mut parts) = match &live.filters {
        Some(filters) => {
            let read = github::read(header("x-github-event").unwrap_or("unknown"), &body);
            let note = match github::meant(&read, &body, filters) {
                Meant::Yes(note) => note,
                Meant::Ping => return judged(&read.event, "skipped", "the connection works".to_owned()),
                Meant::No(why) => return judged(&read.event, "filtered", why),
            };
            (read.event, read.title, note, json!({ "github": read.github }))
        }
        None => {
            let event = header("x-windlass-event").and_then(github::line).unwrap_or_else(|| "webhook".to_owned());
            let title = (event != "webhook").then(|| event.clone());
            (event, title, None, json!({}))
        }
    };
    if !enabled {
        return judged(&event, "skipped", "the trigger is switched off".to_owned());
    }
    parts["body"] = body;
    parts["headers"] = Value::Object(headers.clone());
    ask(&live.spec, event, title, note, parts)
}

/// What is done about a time of a schedule, which is its delivery's key.
fn judge_time(spec: &TriggerSpec, key: &str) -> Judged {
    let time = key.split('~').next().unwrap_or_default();
    let time_ms = time.parse::<Timestamp>().map_or(0, Timestamp::as_millisecond);
    ask(spec, "time".to_owned(), None, None, json!({ "time_ms": time_ms, "time": time }))
}

/// Asks the filter, and renders the inputs.
fn ask(spec: &TriggerSpec, event: String, title: Option<String>, note: Option<String>, parts: Value) -> Judged {
    let asked = event::Asked::new(parts);
    let refused =
        |event, reason: String| Judged { event, status: "refused", reason: Some(reason), title: None, inputs: None };
    match spec.filter().map_or(Ok(true), |filter| asked.passes(filter)) {
        Ok(true) => {}
        Ok(false) => {
            let reason = Some("the filter does not take it".to_owned());
            return Judged { event, status: "filtered", reason, title: None, inputs: None };
        }
        Err(error) => return refused(event, format!("the filter cannot be asked: {error}")),
    }
    match asked.inputs(spec.inputs()) {
        Ok(inputs) => {
            let inputs = Some(Value::Object(inputs).to_string());
            Judged { event, status: "accepted", reason: note, title, inputs }
        }
        Err(error) => refused(event, format!("an input cannot be set: {error}")),
    }
}
