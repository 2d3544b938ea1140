//! What runs tell, for those who follow them.
//!
//! A run that somebody follows has one task, which reads its events out of the store once, and then each that becomes durable; what they mean is
//! rendered once, and shared by all who follow. A follower is a place in that. It is gone with the last of them.
//!
//! **Invariants.**
//! - What a follower gets is the run's items in their order, each once, beginning after the one that it says it has; whichever server
//!   process it asks, since items and their ids follow from the events alone.
//! - What is shared is bounded: of a long run, the first items fall out, and who needs them renders them from the store for itself.
//! - Runs of other processes and those that only wait are followed too: [`Board`] says when they have more.

use crate::{
    Problem,
    board::{Board, Change},
    runs::Runs,
};
use bytes::Bytes;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    task::AbortHandle,
};
use windlass_contract::{RunId, StepName};
use windlass_engine::{Event, Run, RunStatus, StepState};
use windlass_report::{Projector, Told, sse};
use windlass_store::Store;

/// How many bytes of rendered items a run keeps for its followers (4 MiB): some thousand steps.
const MAX_WINDOW_BYTES: usize = 4 << 20;
/// How many bytes all runs keep (256 MiB). Over that, each keeps [`MIN_WINDOW_BYTES`] until there is room again.
const MAX_ALL_BYTES: usize = 256 << 20;
/// See [`MAX_ALL_BYTES`]; 64 KiB.
const MIN_WINDOW_BYTES: usize = 64 << 10;
/// How many events are read at once: each has at most the results of a step, and most have some hundred bytes.
const EVENTS_AT_ONCE: u32 = 500;

/// The place of an item: the number of its event, and which of that event's.
pub(crate) type Place = (u64, u32);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Following(Arc<Parts>);

struct Parts {
    store: Store,
    runs: Runs,
    board: Board,
    followed: Mutex<HashMap<RunId, Weak<Followed>>>,
    bytes: AtomicUsize,
}

/// A run that is followed.
pub(crate) struct Followed {
    run: RunId,
    parts: Arc<Parts>,
    told: Mutex<Shared>,
    /// Changes with each item.
    news: watch::Sender<()>,
    teller: Mutex<Option<AbortHandle>>,
}

#[derive(Default)]
struct Shared {
    /// `None` before the first event was read.
    projector: Option<Projector>,
    /// Everything that was there at the first look has been read.
    ready: bool,
    window: Window,
    /// Nothing more will come: the run has ended, or cannot be read.
    over: bool,
}

/// The last of what a run tells, rendered: first items fall out where it is too much.
#[derive(Default)]
struct Window {
    items: VecDeque<(Place, Bytes)>,
    bytes: usize,
    /// The last item that has fallen out.
    fallen: Option<Place>,
}

impl Window {
    fn push(&mut self, item: (Place, Bytes)) {
        self.bytes += item.1.len();
        self.items.push_back(item);
    }

    /// Lets go of what is over so many bytes.
    fn shrink(&mut self, room: usize) {
        while self.bytes > room
            && let Some((place, bytes)) = self.items.pop_front()
        {
            self.bytes -= bytes.len();
            self.fallen = Some(place);
        }
    }

    /// The next items after a place, as much as a connection takes at once: the rest is asked for then. None where some have fallen out.
    fn after(&self, place: Option<Place>) -> Option<Vec<(Place, Bytes)>> {
        if self.fallen.is_some_and(|fallen| place.is_none_or(|place| place < fallen)) {
            return None;
        }
        let from = self.items.partition_point(|(each, _)| Some(*each) <= place);
        let mut room = crate::streams::BATCH_BYTES;
        let fits = |(_, bytes): &&(Place, Bytes)| {
            let fits = room > 0;
            room = room.saturating_sub(bytes.len());
            fits
        };
        Some(self.items.range(from..).take_while(fits).cloned().collect())
    }
}

/// How many bytes a run may keep while all others keep so many.
fn room(others: usize) -> usize {
    if others > MAX_ALL_BYTES { MIN_WINDOW_BYTES } else { MAX_WINDOW_BYTES }
}

/// What there is after a place.
enum After {
    /// These items.
    Items(Vec<(Place, Bytes)>),
    /// Some of them have fallen out.
    Fallen,
    /// Nothing yet.
    Nothing,
    /// Nothing, and nothing will come.
    Over,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Following {
    pub(crate) fn new(store: Store, runs: Runs, board: Board) -> Following {
        let (followed, bytes) = Default::default();
        Following(Arc::new(Parts { store, runs, board, followed, bytes }))
    }

    /// A run, to be followed.
    pub(crate) async fn open(&self, run: &RunId) -> Result<Arc<Followed>, Problem> {
        self.0.store.run(run).await?;
        let mut all = locked(&self.0.followed);
        if let Some(followed) = all.get(run).and_then(Weak::upgrade) {
            return Ok(followed);
        }
        let followed = Arc::new(Followed {
            run: run.clone(),
            parts: Arc::clone(&self.0),
            told: Mutex::default(),
            news: watch::Sender::new(()),
            teller: Mutex::default(),
        });
        all.insert(run.clone(), Arc::downgrade(&followed));
        let teller = tokio::spawn(tell(Arc::clone(&self.0), run.clone(), Arc::downgrade(&followed)));
        *locked(&followed.teller) = Some(teller.abort_handle());
        Ok(followed)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        if let Some(teller) = locked(&self.teller).take() {
            teller.abort();
        }
        self.parts.bytes.fetch_sub(locked(&self.told).window.bytes, Relaxed);
        let mut all = locked(&self.parts.followed);
        // Somebody may have begun to follow it again meanwhile.
        if all.get(&self.run).is_some_and(|one| one.strong_count() == 0) {
            all.remove(&self.run);
        }
    }
}

impl Followed {
    /// Wakes when there is more.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Whether nothing more will come of an attempt: it has ended, or the run has.
    pub(crate) fn is_over(&self, step: &StepName, attempt: u32) -> bool {
        let told = locked(&self.told);
        told.over || told.projector.as_ref().is_some_and(|projector| is_over(projector.run(), step, attempt))
    }

    /// Looks at the run as it stands.
    pub(crate) async fn look<T>(&self, at: impl FnOnce(&Run) -> T) -> Result<T, Problem> {
        let mut news = self.news();
        loop {
            news.borrow_and_update();
            {
                let told = locked(&self.told);
                match &told.projector {
                    Some(projector) if told.ready || told.over => return Ok(at(projector.run())),
                    None if told.over => return Err(Problem::internal(format!("run {} cannot be read", self.run))),
                    _ => {}
                }
            }
            if news.changed().await.is_err() {
                return Err(Problem::internal("a run is not read any more"));
            }
        }
    }

    fn after(&self, place: Option<Place>) -> After {
        let told = locked(&self.told);
        let Some(items) = told.window.after(place) else { return After::Fallen };
        match (items.is_empty(), told.over) {
            (false, _) => After::Items(items),
            (true, false) => After::Nothing,
            (true, true) => After::Over,
        }
    }

    /// Takes events; says whether the run goes on.
    fn take(&self, first: u64, events: &[Event]) -> bool {
        let mut told = locked(&self.told);
        let before = told.window.bytes;
        match project(&mut told.projector, first, events) {
            Ok(items) => items.into_iter().for_each(|item| told.window.push(item)),
            Err(why) => {
                tracing::error!(run = %self.run, "the run cannot be told: {why}");
                told.over = true;
            }
        }
        let ended = |projector: &Projector| projector.run().status() == RunStatus::Finished;
        told.over |= told.projector.as_ref().is_some_and(ended);
        let others = self.parts.bytes.load(Relaxed).saturating_sub(before);
        told.window.shrink(room(others));
        let after = told.window.bytes;
        self.parts.bytes.fetch_add(after, Relaxed);
        self.parts.bytes.fetch_sub(before, Relaxed);
        let over = told.over;
        drop(told);
        self.news.send_replace(());
        !over
    }

    /// Everything has been read that was there.
    fn is_ready(&self) {
        let was = std::mem::replace(&mut locked(&self.told).ready, true);
        if !was {
            self.news.send_replace(());
        }
    }

    /// It cannot be read: who follows is let go.
    fn give_up(&self) {
        locked(&self.told).over = true;
        self.news.send_replace(());
    }
}

/// What events mean, rendered.
fn project(projector: &mut Option<Projector>, first: u64, events: &[Event]) -> Result<Vec<(Place, Bytes)>, String> {
    let mut items = Vec::new();
    for (event, seq) in events.iter().zip(first..) {
        let told = match projector.as_mut() {
            Some(projector) => projector.push(seq, event),
            None => Projector::from_created(event, seq).map(|(made, told)| {
                *projector = Some(made);
                told
            }),
        };
        let told = told.map_err(|error| error.to_string())?;
        items.extend(told.iter().map(|told: &Told| ((told.seq, told.part), Bytes::from(sse::frame(told)))));
    }
    Ok(items)
}

/// Reads what a run has, and then what it gets, until it ends or nobody follows it.
async fn tell(parts: Arc<Parts>, run: RunId, followed: Weak<Followed>) {
    let mut next = windlass_store::FIRST_SEQ;
    loop {
        // Before looking: what comes after the look is then still to be seen.
        let recorded = parts.runs.recorded(&run);
        let mut changes = recorded.is_none().then(|| parts.board.listen());
        loop {
            let events = parts.store.events_from(&run, next, EVENTS_AT_ONCE).await;
            let Some(followed) = followed.upgrade() else { return };
            match events {
                Ok(events) if events.is_empty() => {
                    followed.is_ready();
                    break;
                }
                Ok(events) => {
                    let goes_on = followed.take(next, &events);
                    next += events.len() as u64;
                    if !goes_on {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(%run, "the run cannot be followed: {error}");
                    return followed.give_up();
                }
            }
        }
        match (recorded, &mut changes) {
            // An error says that nobody here carries it out any more.
            (Some(mut recorded), _) => drop(recorded.changed().await),
            (None, Some(changes)) => loop {
                match changes.recv().await {
                    Ok(Change::Run { stands, .. }) if stands.run == run && stands.next_seq > next => break,
                    Ok(Change::Run { .. } | Change::Gate { .. }) => {}
                    Ok(Change::Anything) | Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                }
            },
            (None, None) => return,
        }
    }
}

/// A place in what a run tells: the source of a stream.
pub(crate) struct Follower {
    followed: Arc<Followed>,
    news: watch::Receiver<()>,
    after: Option<Place>,
    ready: VecDeque<(Place, Bytes)>,
    replay: Option<Replay>,
    ended: bool,
}

/// Renders what has fallen out of the window for one follower.
struct Replay {
    next: u64,
    projector: Option<Projector>,
}

impl Follower {
    /// Of everything after `after`.
    pub(crate) fn new(followed: Arc<Followed>, after: Option<Place>) -> Follower {
        let news = followed.news();
        Follower { followed, news, after, ready: VecDeque::new(), replay: None, ended: false }
    }

    async fn replay(&mut self) -> Result<(), String> {
        let mut replay = self.replay.take().unwrap_or(Replay { next: windlass_store::FIRST_SEQ, projector: None });
        let store = &self.followed.parts.store;
        let events = store.events_from(&self.followed.run, replay.next, EVENTS_AT_ONCE).await;
        let events = events.map_err(|error| error.to_string())?;
        if events.is_empty() {
            return Err("events that were there are there no more".to_owned());
        }
        let items = project(&mut replay.projector, replay.next, &events)?;
        replay.next += events.len() as u64;
        self.ready.extend(items.into_iter().filter(|(place, _)| Some(*place) > self.after));
        self.replay = Some(replay);
        Ok(())
    }
}

impl crate::streams::Source for Follower {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some((place, bytes)) = self.ready.pop_front() {
                self.after = Some(place);
                return Some(bytes);
            }
            if self.ended {
                return None;
            }
            self.news.borrow_and_update();
            match self.followed.after(self.after) {
                After::Items(items) => {
                    self.replay = None;
                    self.ready.extend(items);
                }
                After::Fallen => {
                    if let Err(why) = self.replay().await {
                        tracing::error!(run = %self.followed.run, "the run cannot be told again: {why}");
                        return None;
                    }
                }
                After::Nothing => drop(self.news.changed().await),
                After::Over => {
                    self.ended = true;
                    return Some(Bytes::from_static(b"event: end\ndata: {}\n\n"));
                }
            }
        }
    }
}

/// Whether nothing more will come of an attempt.
pub(crate) fn is_over(run: &Run, step: &StepName, attempt: u32) -> bool {
    if run.status() == RunStatus::Finished {
        return true;
    }
    let mut steps = run.visits().flat_map(|visit| visit.steps);
    steps.any(|view| {
        view.name == step
            && view.attempts.iter().any(|each| {
                each.attempt == attempt && (each.finished_ms.is_some() || matches!(view.state, StepState::Undecided))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::BATCH_BYTES;

    /// One with so many items of so many bytes, numbered from 1.
    fn window(count: u64, bytes: usize) -> Window {
        let mut window = Window::default();
        (1..=count).for_each(|seq| window.push(((seq, 0), vec![0; bytes].into())));
        window
    }

    #[test]
    fn a_window_lets_go_of_its_first_items() {
        for (others, most) in
            [(0, MAX_WINDOW_BYTES), (MAX_ALL_BYTES, MAX_WINDOW_BYTES), (MAX_ALL_BYTES + 1, MIN_WINDOW_BYTES)]
        {
            let piece = MIN_WINDOW_BYTES / 4;
            let count = (MAX_WINDOW_BYTES / piece) as u64 + 3;
            let mut window = window(count, piece);
            window.shrink(room(others));
            assert_eq!(window.bytes, most, "{others}");
            assert_eq!(window.items.iter().map(|(_, bytes)| bytes.len()).sum::<usize>(), most);
            let fallen = window.fallen.expect("something fell out");
            assert_eq!(window.items.front().map(|(place, _)| *place), Some((fallen.0 + 1, 0)));
            assert_eq!(window.items.back().map(|(place, _)| *place), Some((count, 0)), "the last ones stay");
            assert!(window.after(None).is_none() && window.after(Some((fallen.0 - 1, 0))).is_none());
            assert_eq!(window.after(Some(fallen)).unwrap()[0].0, (fallen.0 + 1, 0));
        }
    }

    #[test]
    fn a_follower_gets_a_piece_at_a_time() {
        let window = window(100, BATCH_BYTES / 10);
        let (mut after, mut seen) = (None, 0);
        while let Some((last, _)) = window.after(after).unwrap().last() {
            let piece = window.after(after).unwrap();
            let bytes: usize = piece.iter().map(|(_, bytes)| bytes.len()).sum();
            assert!(bytes < 2 * BATCH_BYTES, "{bytes}");
            seen += piece.len();
            after = Some(*last);
        }
        assert_eq!(seen, 100);
    }
}
