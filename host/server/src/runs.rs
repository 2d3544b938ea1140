//! The runs that this server carries out.
//!
//! **Invariants.**
//! - A run is durable before its id is given to anybody.
//! - At most [`MAX_ACTIVE`] runs are carried out at once; the others wait in the order in which they were begun.
//! - A run that waits for people or a time is left, and taken up by whoever decides, or when its time comes.
//! - When the server ends, runs are let go of as they stand: their containers go on, and the next start adopts them.

use crate::{Problem, clock::now_ms, plugins::Plugins, problem::Kind};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::task::TaskTracker;
use windlass_contract::RunId;
use windlass_driver::{Asked, Claim, DriverError, Ending, Host, NewRun, Notice, Stop, Terms, Workspace, carry_out};
use windlass_engine::RerunFrom;
use windlass_store::StoreError;

/// How many runs are carried out at once. A run that only waits is not among them. Each holds some kilobytes and one open file; what
/// steps may hold is bounded by the sandbox's places.
pub(crate) const MAX_ACTIVE: usize = 1_000;
/// How many more may have begun and wait for a place. Over that the server says that it is busy, which is better than to promise.
pub(crate) const MAX_QUEUED: usize = 10_000;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Runs(Arc<Parts>);

struct Parts {
    host: Host,
    plugins: Arc<Plugins>,
    places: Semaphore,
    queue: Arc<Semaphore>,
    /// The runs that have a place or wait for one.
    active: Mutex<HashMap<RunId, Active>>,
    tasks: TaskTracker,
    /// Wakes whoever waits for the time of a gate, when there is an earlier one.
    due: watch::Sender<()>,
}

struct Active {
    stop: Stop,
    /// The number of the last event that is durable; it changes when one becomes so.
    recorded: watch::Sender<u64>,
}

impl Runs {
    pub(crate) fn new(host: Host, plugins: Arc<Plugins>) -> Runs {
        let (due, _) = watch::channel(());
        Runs(Arc::new(Parts {
            host,
            plugins,
            places: Semaphore::new(MAX_ACTIVE),
            queue: Arc::new(Semaphore::new(MAX_ACTIVE + MAX_QUEUED)),
            active: Mutex::default(),
            tasks: TaskTracker::new(),
            due,
        }))
    }

    /// Begins a run. It is durable when this returns.
    pub(crate) async fn begin(&self, new: NewRun) -> Result<RunId, Problem> {
        let room = self.room()?;
        let claim = self.0.host.create(new).await?;
        Ok(self.carry(claim, Vec::new(), room))
    }

    /// Begins a run that repeats another one.
    pub(crate) async fn rerun(&self, of: &RunId, from: &RerunFrom, by: String) -> Result<RunId, Problem> {
        let room = self.room()?;
        let claim = self.0.host.rerun(of, from, Some(by), Workspace::Empty).await?;
        Ok(self.carry(claim, Vec::new(), room))
    }

    /// Asks something of a run, whoever carries it out; it is done or refused when this returns.
    pub(crate) async fn ask(&self, run: &RunId, asked: Asked) -> Result<(), Problem> {
        let host = &self.0.host;
        loop {
            match host.take_up(run).await {
                Ok(claim) => {
                    let room = self.room()?;
                    // Written down first, so that the answer is the same whoever carries the run out.
                    let mut commits = host.store().commits()?;
                    let request = host.ask(run, &asked).await?;
                    self.carry(claim, Vec::new(), room);
                    return self.answer(run, request, &mut commits).await;
                }
                Err(DriverError::Store(StoreError::RunOwned { .. })) => {
                    let mut commits = host.store().commits()?;
                    let request = host.ask(run, &asked).await?;
                    return self.answer(run, request, &mut commits).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn answer(&self, run: &RunId, request: i64, commits: &mut windlass_store::Watch) -> Result<(), Problem> {
        let host = &self.0.host;
        loop {
            match host.store().answer(request).await? {
                Some(None) => return Ok(()),
                Some(Some(why)) => return Err(Problem::new(Kind::Conflict, why)),
                None if !host.is_claimed(run) => {
                    // Whoever carried it out has left it meanwhile: taking it up answers what was asked.
                    let claim = host.take_up(run).await?;
                    self.carry(claim, Vec::new(), self.room()?);
                }
                None => {}
            }
            commits.changed().await;
        }
    }

    /// Takes up what an earlier server left: called once, at the start.
    pub(crate) async fn take_up_all(&self) -> Result<usize, Problem> {
        let mut taken = 0;
        for run in self.0.host.store().unfinished_runs().await? {
            let summary = self.0.host.store().run(&run).await?;
            if summary.status == windlass_engine::RunStatus::Waiting {
                continue;
            }
            if self.take_up(&run).await {
                taken += 1;
            }
        }
        tokio::spawn(wake_gates(self.clone()));
        Ok(taken)
    }

    /// Takes a run up, unless somebody else has it or it cannot be.
    async fn take_up(&self, run: &RunId) -> bool {
        let Ok(room) = self.room() else { return false };
        match self.0.host.take_up(run).await {
            Ok(claim) => {
                self.carry(claim, Vec::new(), room);
                true
            }
            Err(DriverError::Store(StoreError::RunOwned { .. }) | DriverError::Finished { .. }) => false,
            Err(error) => {
                tracing::error!(%run, "the run cannot be taken up: {error}");
                false
            }
        }
    }

    /// Wakes at each event of a run that this server carries out; `None` for any other run.
    pub(crate) fn recorded(&self, run: &RunId) -> Option<watch::Receiver<u64>> {
        let active = self.0.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.get(run).map(|active| active.recorded.subscribe())
    }

    /// How many runs have a place or wait for one.
    pub(crate) fn active(&self) -> usize {
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn room(&self) -> Result<tokio::sync::OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.0.queue).try_acquire_owned().map_err(|_| {
            let words = format!("{} runs wait for a place already", MAX_QUEUED);
            Problem { retry_after_s: Some(10), ..Problem::new(Kind::Busy, words) }
        })
    }

    fn carry(&self, claim: Claim, asked: Vec<Asked>, room: tokio::sync::OwnedSemaphorePermit) -> RunId {
        let run = claim.run().id().clone();
        let stop = Stop::default();
        let (recorded, _) = watch::channel(claim.next_seq().saturating_sub(1));
        let active = Active { stop: stop.clone(), recorded };
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner).insert(run.clone(), active);
        let (runs, id) = (self.clone(), run.clone());
        self.0.tasks.spawn(async move {
            let _room = room;
            let Ok(_place) = runs.0.places.acquire().await else { return };
            let ending = runs.carry_to_its_end(claim, asked, stop).await;
            runs.0.active.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            match ending {
                Ok(Ending::Waiting(_)) => runs.0.due.send_replace(()),
                Ok(Ending::Finished(_)) => {}
                Err(error) => tracing::error!(run = %id, "the run cannot be carried on: {error}"),
            }
            match runs.0.host.parent_to_wake(&id).await {
                Ok(Some(parent)) => drop(runs.take_up(&parent).await),
                Ok(None) => {}
                Err(error) => tracing::error!(run = %id, "cannot look for who waits for it: {error}"),
            }
        });
        run
    }

    async fn carry_to_its_end(&self, claim: Claim, asked: Vec<Asked>, stop: Stop) -> Result<Ending, DriverError> {
        let installed = self.0.plugins.installed().map_err(|problem| DriverError::Panicked(problem.detail))?;
        let (notices, told) = mpsc::unbounded_channel();
        let terms = Terms { grants: windlass_project::grants(&installed), asked, stop, wait: false, notices };
        let watching = tokio::spawn(note(self.clone(), told));
        let ending = carry_out(&self.0.host, claim, terms).await;
        let _ = watching.await;
        ending
    }
}

/// Tells whoever follows a run that there is more.
async fn note(runs: Runs, mut told: mpsc::UnboundedReceiver<Notice>) {
    while let Some(notice) = told.recv().await {
        if let Notice::Recorded { run, seq, .. } = notice {
            let active = runs.0.active.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(active) = active.get(&run) {
                active.recorded.send_replace(seq);
            }
        }
    }
}

/// Takes up each run whose gate's time has come, for as long as the server is there.
async fn wake_gates(runs: Runs) {
    let mut changed = runs.0.due.subscribe();
    loop {
        changed.mark_unchanged();
        let gates = runs.0.host.store().gates(None).await.unwrap_or_else(|error| {
            tracing::error!("cannot read the open gates: {error}");
            Vec::new()
        });
        let now = now_ms();
        let mut next = None;
        for gate in gates {
            if gate.due_ms <= now {
                runs.take_up(&gate.run).await;
            } else {
                next = Some(next.map_or(gate.due_ms, |next: u64| next.min(gate.due_ms)));
            }
        }
        let time = async {
            match next {
                Some(at) => tokio::time::sleep(Duration::from_millis(at.saturating_sub(now_ms()))).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time => {}
            changed = changed.changed() => if changed.is_err() { return },
        }
    }
}
