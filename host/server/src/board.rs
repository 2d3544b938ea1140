//! What has changed among all runs: for lists, and for runs that this server does not carry out itself.
//!
//! One task looks after commits, of this process or another, compares with what it saw last, and tells the difference. It is there as long as
//! somebody listens. Who listens looks for itself first: what is told is only that something is not as it was.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::broadcast;
use windlass_contract::RunId;
use windlass_store::{RunStands, Store, StoreError};

/// How long commits are gathered before the next look: a hundred commits a second are ten looks.
const PACE: Duration = Duration::from_millis(100);
/// How many changes wait for a listener. One that has more behind it is told to look for itself.
const BACKLOG: usize = 1_024;
/// Runs that were created so long before the last look are looked at although they have ended, in milliseconds: they may have come and gone
/// between two looks, and clocks of processes differ.
const RECENT_MS: u64 = 60_000;

/// What has changed.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A run has more events.
    Run {
        /// How it stands now.
        stands: Arc<RunStands>,
        /// It is new, or its status or outcome is another one.
        otherwise: bool,
    },
    /// A gate was opened, or is over.
    Gate {
        /// The run.
        run: RunId,
        /// The step.
        step: String,
        /// Whether it is open now.
        open: bool,
        /// How many are open in all.
        open_gates: usize,
    },
    /// Anything may have changed.
    Anything,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Board(Arc<Parts>);

struct Parts {
    store: Store,
    changes: broadcast::Sender<Change>,
    /// Whether the task is there.
    looking: Mutex<bool>,
}

impl Board {
    pub(crate) fn new(store: Store) -> Board {
        Board(Arc::new(Parts { store, changes: broadcast::Sender::new(BACKLOG), looking: Mutex::new(false) }))
    }

    /// What changes from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Change> {
        let mut looking = self.0.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = self.0.changes.subscribe();
        if !*looking {
            *looking = true;
            tokio::spawn(look_on(self.clone()));
        }
        listener
    }

    /// Whether there is still somebody to tell; if not, the task is taken as gone.
    fn goes_on(&self) -> bool {
        let mut looking = self.0.looking.lock().unwrap_or_else(PoisonError::into_inner);
        *looking = self.0.changes.receiver_count() > 0;
        *looking
    }
}

#[derive(Default)]
struct Seen {
    at_ms: u64,
    runs: HashMap<RunId, Arc<RunStands>>,
    gates: HashSet<(RunId, String)>,
}

async fn look_on(board: Board) {
    let mut commits = match board.0.store.commits() {
        Ok(commits) => commits,
        Err(error) => {
            tracing::error!("lists cannot be followed: {error}");
            *board.0.looking.lock().unwrap_or_else(PoisonError::into_inner) = false;
            return;
        }
    };
    let mut seen: Option<Seen> = None;
    loop {
        match look(&board.0.store, seen.as_ref()).await {
            Ok(now) => {
                // Nobody is there to be told: the next look says so.
                let tell = |change| drop(board.0.changes.send(change));
                match &seen {
                    Some(before) => changes(before, &now).into_iter().for_each(tell),
                    // Whoever came before this first look may have missed something.
                    None => tell(Change::Anything),
                }
                seen = Some(now);
            }
            Err(error) => tracing::warn!("cannot see how the runs stand: {error}"),
        }
        if !board.goes_on() {
            return;
        }
        tokio::time::sleep(PACE).await;
        commits.changed().await;
    }
}

async fn look(store: &Store, before: Option<&Seen>) -> Result<Seen, StoreError> {
    let at_ms = crate::clock::now_ms();
    let unfinished = |stands: &&Arc<RunStands>| stands.outcome.is_none();
    let known: Option<Vec<RunId>> =
        before.map(|seen| seen.runs.values().filter(unfinished).map(|stands| stands.run.clone()).collect());
    let since = before.map_or(at_ms, |seen| seen.at_ms).saturating_sub(RECENT_MS);
    let runs = store.standings(since, &known.unwrap_or_default()).await?;
    let gates = store.gate_places().await?;
    Ok(Seen {
        at_ms,
        runs: runs.into_iter().map(|stands| (stands.run.clone(), Arc::new(stands))).collect(),
        gates: gates.into_iter().collect(),
    })
}

/// What is not as it was.
fn changes(before: &Seen, now: &Seen) -> Vec<Change> {
    let mut changes = Vec::new();
    for (run, stands) in &now.runs {
        let was = before.runs.get(run);
        if was == Some(stands) {
            continue;
        }
        let otherwise = was.is_none_or(|was| (&was.status, &was.outcome) != (&stands.status, &stands.outcome));
        changes.push(Change::Run { stands: Arc::clone(stands), otherwise });
    }
    let open_gates = now.gates.len();
    let gate =
        |(run, step): &(RunId, String), open| Change::Gate { run: run.clone(), step: step.clone(), open, open_gates };
    changes.extend(now.gates.difference(&before.gates).map(|key| gate(key, true)));
    changes.extend(before.gates.difference(&now.gates).map(|key| gate(key, false)));
    changes
}
