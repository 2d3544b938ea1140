//! The runs that this server carries out.
//!
//! **Invariants.**
//! - A run is durable before its id is given to anybody.
//! - At most [`MAX_ACTIVE`] runs are carried out at once; the others wait in the order in which they were begun. What is asked of one
//!   that waits for its place is not held up by that.
//! - A run that waits for people or a time is left, and taken up by whoever decides, or when its time comes.
//! - Whoever waits for something listens first and looks then, so that nothing is missed in between.
//! - However the carrying out of a run ends, by a panic too, its place is free and nobody follows it in vain.
//! - When the server ends, runs are let go of as they stand: their containers go on, and the next start adopts them.

use crate::{Problem, clock::now_ms, metrics::Metrics, plugins::Plugins, problem::Kind};
use futures::FutureExt as _;
use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use windlass_contract::RunId;
use windlass_driver::{Asked, Claim, DriverError, Ending, Host, NewRun, Notice, Stop, Terms, Workspace, carry_out};
use windlass_engine::RerunFrom;
use windlass_store::{StoreError, UnfinishedRun};

/// How many runs are carried out at once. A run that only waits is not among them. Each holds some kilobytes and one open file; what
/// steps may hold is bounded by the sandbox's places.
pub(crate) const MAX_ACTIVE: usize = 1_000;
/// How many more may have begun and wait for a place. Over that the server says that it is busy, which is better than to promise.
pub(crate) const MAX_QUEUED: usize = 10_000;
/// When a server that is busy is to be asked again, in seconds.
const BUSY_RETRY_S: u64 = 10;
/// How often a run that cannot be carried on is tried again: a disk that was full for a minute must not leave runs behind.
const TRIES: u32 = 6;
/// How long after the first time, in milliseconds; each further time waits twice as long.
const TRY_AGAIN_MS: u64 = 1_000;
/// How long is slept at most until a gate's time is looked at again, although nothing says that it has come: the system's clock may
/// be set, the machine may have slept, and the command line may have left a gate in this home.
const MAX_SLEEP: Duration = Duration::from_secs(60);
/// How long the end of the server waits for runs to be let go of.
const LET_GO: Duration = Duration::from_secs(10);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Runs(Arc<Parts>);

struct Parts {
    host: Host,
    plugins: Arc<Plugins>,
    metrics: Arc<Metrics>,
    places: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    active: Mutex<Active>,
    tasks: TaskTracker,
    /// Wakes whoever waits for the time of a gate: there may be an earlier one.
    due: watch::Sender<()>,
    ending: CancellationToken,
}

/// The runs that are carried out or wait for a place, and the sub-runs that are carried out within them.
#[derive(Default)]
struct Active {
    runs: HashMap<RunId, Entry>,
    /// Runs that wait for a place to be taken up.
    soon: HashSet<RunId>,
    /// How many times a run was taken so far.
    taken: u64,
}

struct Entry {
    /// Which taking it belongs to. The next one may have begun before this one is tidied up.
    taking: u64,
    /// The number of the last event that is durable; it changes when one becomes so, and when something that was asked is answered.
    recorded: watch::Sender<u64>,
    /// Lets the run go on without a place: somebody asks it something.
    hurry: Arc<Notify>,
}

/// One taking of a run, while it lasts.
struct Taking {
    runs: Runs,
    number: u64,
    /// The entries that were made for it.
    made: Vec<RunId>,
}

impl Taking {
    /// Makes an entry for a run, in place of one that is left from an earlier taking.
    fn enter(&mut self, run: &RunId, last: u64) -> Arc<Notify> {
        let hurry = Arc::new(Notify::new());
        let (recorded, _) = watch::channel(last);
        let entry = Entry { taking: self.number, recorded, hurry: Arc::clone(&hurry) };
        self.runs.active().runs.insert(run.clone(), entry);
        self.made.push(run.clone());
        hurry
    }

    /// A run is carried by nobody any more: a sub-run that waits may be so long before its parent is left.
    fn leave(&self, run: &RunId) {
        let mut active = self.runs.active();
        if active.runs.get(run).is_some_and(|entry| entry.taking == self.number) {
            active.runs.remove(run);
        }
    }

    /// Tells whoever follows runs that there is more.
    async fn note(&mut self, mut told: mpsc::UnboundedReceiver<Notice>) {
        while let Some(notice) = told.recv().await {
            let (run, last) = match notice {
                Notice::Recorded { run, seq, .. } => (run, Some(seq)),
                Notice::Answered { run } => (run, None),
                Notice::Left { run } => {
                    self.leave(&run);
                    continue;
                }
                Notice::Began { .. } | Notice::Queued { .. } => continue,
            };
            let known = {
                let active = self.runs.active();
                active.runs.get(&run).map(|entry| {
                    entry.recorded.send_modify(|recorded| *recorded = last.unwrap_or(*recorded));
                })
            };
            // A sub-run, which is carried out within this run.
            if let (None, Some(last)) = (known, last) {
                self.enter(&run, last);
            }
        }
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.made.iter().for_each(|run| self.leave(run));
    }
}

impl Runs {
    pub(crate) fn new(host: Host, plugins: Arc<Plugins>, metrics: Arc<Metrics>) -> Runs {
        let (due, _) = watch::channel(());
        Runs(Arc::new(Parts {
            host,
            plugins,
            metrics,
            places: Arc::new(Semaphore::new(MAX_ACTIVE)),
            queue: Arc::new(Semaphore::new(MAX_ACTIVE + MAX_QUEUED)),
            active: Mutex::default(),
            tasks: TaskTracker::new(),
            due,
            ending: CancellationToken::new(),
        }))
    }

    fn active(&self) -> MutexGuard<'_, Active> {
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a run under this id, which is durable when this returns. One that is there already is left as it is.
    pub(crate) async fn begin(&self, run: &RunId, new: NewRun) -> Result<(), Problem> {
        let room = self.room()?;
        match self.0.host.create_as(run, new).await {
            Ok(claim) => self.carry(claim, Place::None(Some(room)), 0),
            Err(DriverError::Store(StoreError::RunExists { .. })) => {}
            Err(DriverError::Store(StoreError::RunOwned { .. })) => {
                let words = format!("the run {run} is being begun at this moment");
                return Err(Problem { retry_after_s: Some(1), ..Problem::new(Kind::Busy, words) });
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Waits until another run may begin. It may be taken by somebody else before it is asked for.
    pub(crate) async fn wait_for_room(&self) {
        let _ = self.0.queue.acquire().await;
    }

    /// Begins a run that repeats another one.
    pub(crate) async fn rerun(&self, of: &RunId, from: &RerunFrom, by: String) -> Result<RunId, Problem> {
        // What it has left is put in order in the moment after its end, and only then can be taken over.
        if self.0.host.store().run(of).await?.outcome.is_some()
            && let Some(mut held) = self.recorded(of)
        {
            while held.changed().await.is_ok() {}
        }
        let room = self.room()?;
        let claim = self.0.host.rerun(of, from, Some(by), Workspace::Empty).await?;
        let run = claim.run().id().clone();
        self.carry(claim, Place::None(Some(room)), 0);
        Ok(run)
    }

    /// Asks something of a run, whoever carries it out; it is done or refused when this returns.
    pub(crate) async fn ask(&self, run: &RunId, asked: Asked) -> Result<(), Problem> {
        let host = &self.0.host;
        if let Some(outcome) = host.store().run(run).await?.outcome {
            return Err(DriverError::Finished { run: run.clone(), outcome }.into());
        }
        let mut commits = host.committed();
        // Written down first, so that the answer is the same whoever carries the run out.
        let request = host.ask(run, &asked).await?;
        let refused = |why| Err(Problem::new(Kind::Conflict, why));
        loop {
            commits.mark_unchanged();
            let followed = self.follow(run);
            match host.store().answer(request).await? {
                Some(None) => return Ok(()),
                Some(Some(why)) => return refused(why),
                None => {}
            }
            if let Some((mut recorded, hurry)) = followed {
                hurry.notify_one();
                // An error says that the run was left: then it is taken up below.
                let _ = recorded.changed().await;
                continue;
            }
            match host.take_up(run).await {
                Ok(claim) => self.carry(claim, Place::NotNeeded, 0),
                // Another process does, or this one is about to.
                Err(DriverError::Store(StoreError::RunOwned { .. })) => drop(commits.changed().await),
                Err(DriverError::Finished { run, outcome }) => match host.store().answer(request).await? {
                    Some(None) => return Ok(()),
                    Some(Some(why)) => return refused(why),
                    None => return Err(DriverError::Finished { run, outcome }.into()),
                },
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes up what an earlier server left, and from now on each run whose gate's time comes: called once, at the start. What is taken
    /// up goes on beside the start, in the order of the runs' creation.
    pub(crate) async fn take_up_all(&self) -> Result<(), Problem> {
        let left = self.0.host.store().left_runs().await?;
        let runs = self.clone();
        self.0.tasks.spawn(async move {
            // First what certainly goes on: of what waits, only a replay tells whether something is under way besides.
            let (waiting, going): (Vec<_>, Vec<_>) = left.into_iter().partition(|run| run.waits);
            for run in going.into_iter().chain(waiting) {
                if runs.is_to_be_taken_up(&run).await {
                    let Some(place) = runs.place().await else { return };
                    runs.0.tasks.spawn(runs.clone().take_up(run.id, place, 0));
                }
            }
        });
        self.0.tasks.spawn(wake_gates(self.clone()));
        Ok(())
    }

    /// Whether a run that is not over is to be taken up by itself. Where that cannot be told, taking it up says why.
    async fn is_to_be_taken_up(&self, run: &UnfinishedRun) -> bool {
        let host = &self.0.host;
        if let Some(parent) = &run.parent
            && host.is_carried_by_parent(&run.id, parent).await.unwrap_or(false)
        {
            return false;
        }
        !run.waits || host.has_work(&run.id).await.unwrap_or(true)
    }

    /// Lets go of every run as it stands.
    pub(crate) async fn end(&self) {
        self.0.ending.cancel();
        self.0.tasks.close();
        if tokio::time::timeout(LET_GO, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("{} runs were not let go of in time; the next start takes them up", self.0.tasks.len());
        }
    }

    /// A place, when there is one; none where the server ends.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            place = Arc::clone(&self.0.places).acquire_owned() => place.ok(),
            () = self.0.ending.cancelled() => None,
        }
    }

    /// Takes a run up as soon as there is a place for it.
    fn take_up_soon(&self, run: RunId, tries: u32) {
        if !self.active().soon.insert(run.clone()) {
            return;
        }
        let runs = self.clone();
        self.0.tasks.spawn(async move {
            let place = runs.place().await;
            // Before it is looked at: whoever finds a reason from now on asks again.
            runs.active().soon.remove(&run);
            if let Some(place) = place {
                runs.take_up(run, place, tries).await;
            }
        });
    }

    /// Takes a run up, unless somebody else has it or it is over.
    async fn take_up(self, run: RunId, place: OwnedSemaphorePermit, tries: u32) {
        match self.0.host.take_up(&run).await {
            Ok(claim) => self.carry(claim, Place::Taken(place), tries),
            Err(DriverError::Store(StoreError::RunOwned { .. }) | DriverError::Finished { .. }) => {}
            Err(error) => self.try_again(run, &error, tries),
        }
    }

    /// Tries again later what could not be carried on.
    fn try_again(&self, run: RunId, error: &DriverError, tries: u32) {
        if tries >= TRIES {
            tracing::error!(%run, "the run cannot be carried on, and is left as it stands: {error}");
            return;
        }
        let pause = Duration::from_millis(TRY_AGAIN_MS << tries);
        tracing::warn!(%run, "the run cannot be carried on, and is tried again in {} s: {error}", pause.as_secs());
        let runs = self.clone();
        self.0.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(pause) => runs.take_up_soon(run, tries + 1),
                () = runs.0.ending.cancelled() => {}
            }
        });
    }

    /// Wakes at each event of a run that this server carries out, and closes when the run is left; `None` for any other run.
    pub(crate) fn recorded(&self, run: &RunId) -> Option<watch::Receiver<u64>> {
        self.follow(run).map(|(recorded, _)| recorded)
    }

    fn follow(&self, run: &RunId) -> Option<(watch::Receiver<u64>, Arc<Notify>)> {
        let active = self.active();
        active.runs.get(run).map(|entry| (entry.recorded.subscribe(), Arc::clone(&entry.hurry)))
    }

    /// How many runs have a place or wait for one, sub-runs among them.
    pub(crate) fn count(&self) -> usize {
        self.active().runs.len()
    }

    fn room(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.0.queue).try_acquire_owned().map_err(|_| {
            let words = format!("{MAX_QUEUED} runs wait for a place already");
            Problem { retry_after_s: Some(BUSY_RETRY_S), ..Problem::new(Kind::Busy, words) }
        })
    }

    fn carry(&self, claim: Claim, place: Place, tries: u32) {
        let (run, created_ms) = (claim.run().id().clone(), claim.run().created_ms());
        let number = {
            let mut active = self.active();
            active.taken += 1;
            active.taken
        };
        let mut taking = Taking { runs: self.clone(), number, made: Vec::new() };
        let hurry = taking.enter(&run, claim.next_seq().saturating_sub(1));
        let runs = self.clone();
        self.0.tasks.spawn(async move {
            let ending = {
                let work = runs.carry_to_its_end(claim, place, &hurry, &mut taking);
                // Where the server ends, what is under way is dropped. It looks like a crash to the next start, which is made for that.
                tokio::select! {
                    ending = AssertUnwindSafe(work).catch_unwind() => ending,
                    () = runs.0.ending.cancelled() => return,
                }
            };
            drop(taking);
            match ending {
                Ok(Some(Ok(ending))) => {
                    if let Ending::Finished(outcome) = ending {
                        let took = Duration::from_millis(now_ms().saturating_sub(created_ms));
                        runs.0.metrics.run_ended(outcome, took);
                    }
                    runs.left(&run, &ending).await;
                }
                Ok(Some(Err(error))) => runs.try_again(run, &error, tries),
                Ok(None) => {}
                Err(_) => runs.try_again(run, &DriverError::Panicked("see the lines before".to_owned()), tries),
            }
        });
    }

    /// `None` where the server ends first.
    async fn carry_to_its_end(
        &self,
        claim: Claim,
        place: Place,
        hurry: &Notify,
        taking: &mut Taking,
    ) -> Option<Result<Ending, DriverError>> {
        let _held = match place {
            Place::Taken(place) => (Some(place), None),
            Place::NotNeeded => (None, None),
            Place::None(room) => tokio::select! {
                place = self.place() => (Some(place?), room),
                () = hurry.notified() => (None, room),
            },
        };
        let installed = match self.0.plugins.installed() {
            Ok(installed) => installed,
            Err(problem) => return Some(Err(DriverError::Panicked(problem.detail))),
        };
        let (notices, told) = mpsc::unbounded_channel();
        let grants = windlass_project::grants(&installed);
        let terms = Terms { grants, asked: Vec::new(), stop: Stop::default(), wait: false, notices };
        let (ending, ()) = tokio::join!(carry_out(&self.0.host, claim, terms), taking.note(told));
        Some(ending)
    }

    /// A run has been left: what waits for it, or it for, goes on.
    async fn left(&self, run: &RunId, ending: &Ending) {
        let host = &self.0.host;
        let failed = |error: &dyn std::fmt::Display| tracing::error!(%run, "cannot look for who waits for it: {error}");
        if let Ending::Waiting(waits) = ending {
            self.0.due.send_replace(());
            // Its time has come between the last look and now, when it could not be taken up yet.
            if waits.due_ms.is_some_and(|due| due <= now_ms()) {
                return self.take_up_soon(run.clone(), 0);
            }
            // A sub-run may have ended while its parent was still carried out for something else. Then nobody has taken the parent
            // up, and somebody has to now.
            for sub_run in &waits.sub_runs {
                match host.store().run(sub_run).await {
                    Ok(row) if row.outcome.is_some() => return self.take_up_soon(run.clone(), 0),
                    Ok(_) => {}
                    Err(error) => failed(&error),
                }
            }
        }
        match host.parent_to_wake(run).await {
            Ok(Some(parent)) => self.take_up_soon(parent, 0),
            Ok(None) => {}
            Err(error) => failed(&error),
        }
    }
}

/// With what a run is carried out.
enum Place {
    /// It has its place.
    Taken(OwnedSemaphorePermit),
    /// It waits for one, and holds its room in the queue meanwhile and then.
    None(Option<OwnedSemaphorePermit>),
    /// Somebody asks it something, and waits for the answer.
    NotNeeded,
}

/// Takes up each run whose gate's time has come, for as long as the server is there.
async fn wake_gates(runs: Runs) {
    let mut changed = runs.0.due.subscribe();
    // What was due before was seen; what could not be taken up then is somebody's.
    let mut seen = None;
    loop {
        changed.mark_unchanged();
        let now = now_ms();
        match runs.0.host.store().due_gates(seen, now).await {
            Ok((due, next)) => {
                seen = Some(now);
                for run in due {
                    runs.take_up_soon(run, 0);
                }
                let wait = next.map_or(MAX_SLEEP, |next| Duration::from_millis(next.saturating_sub(now_ms())));
                tokio::select! {
                    () = tokio::time::sleep(wait.min(MAX_SLEEP)) => if wait >= MAX_SLEEP { seen = None },
                    _ = changed.changed() => {}
                    () = runs.0.ending.cancelled() => return,
                }
            }
            Err(error) => {
                tracing::error!("cannot look for gates whose time has come: {error}");
                tokio::select! {
                    () = tokio::time::sleep(MAX_SLEEP) => seen = None,
                    () = runs.0.ending.cancelled() => return,
                }
            }
        }
    }
}
