//! A run as a state machine: `(state, event) → (state, commands)`. Pure.
//!
//! **Purpose.** [`Run`] is everything that is known about a run, derived from its [`Event`]s alone. [`Run::apply`] takes
//! the next event and says what is to be done because of it; a driver does it and records the answer. The embedded
//! driver and a Temporal workflow hold the same reducer.
//!
//! **Invariants.**
//! - No I/O, no clock, no randomness: the same events give the same run, on every machine.
//! - An event that does not fit is an [`EngineError`], leaves the run as it was, and never panics.
//! - After any prefix of a history, [`Run::outstanding`] is what was commanded and not yet answered. Resuming after a
//!   crash is: replay, carry out what is outstanding, and execute [`Run::in_flight`] again.
//! - A step costs the same in a plan of 10,000 as in one of 10: nothing is looked up by walking over all steps.
//! - Every run ends: a state is entered at most so often as it may, and a run takes at most so many transitions.
//!
//! **Semantics of steps.**
//! - A step begins when every step that it `needs` is settled and its condition holds. Without a condition that means
//!   `success()`; `manifest` puts `success()` in front of a condition that asks no status function.
//! - A condition is asked once, when the step's needs are settled; what a step waits for, it names in `needs`. `success()`: no
//!   step of the state has failed but those with `on_failure: continue`, so after a failure nothing new begins by itself.
//!   `failure()`: a step that this one needs, directly or not, has failed so. `cancelled()`: the run is to stop; then
//!   neither of the others holds. `always()`: in any case.
//! - A step that is skipped counts as settled and is no failure. So a step after one whose `if` was false runs, and a step after
//!   one that was skipped because the run failed is skipped for that reason itself.
//! - `retry` repeats an attempt that ended in an infrastructure error ([`ReasonKind::is_infrastructure`]); `on` widens
//!   that. A step that had begun when another one failed runs to its end, retries included. Nothing is retried in a run that is to stop.
//! - A gate is a step that waits (`gate`), a sub-run one that is a run of its own: both are begun, cancelled and settled like any.
//!
//! **Semantics of states.**
//! - When all steps of a state are settled, it has succeeded or failed by its `completion`; its name then reads what it gave. The
//!   first transition that matches (`transition`) leads on, and its feedback is rendered at that moment. A state without
//!   transitions ends the run, with its own outcome.
//! - Step names, `needs` and status functions belong to the state. Attempt numbers go on counting when it is entered again.
//! - A run that is to stop takes no transition: what asks for `always()` or `cancelled()` in its state still runs.
//! - The outcome of a state is the gravest of its steps that were not allowed to fail: `rejected`, `failed`, `timed-out`, `lost`,
//!   `error` in this order; else `succeeded`. What would fail again comes before what another try might mend, and the order
//!   of time plays no part. The run's is `cancelled` if it was asked to stop, else that of the state that it ended in.
//! - A run in a concurrency group begins nothing before its turn; a rerun begins in the state and with the steps that it takes over.
//!
//! **Not here.** Carrying anything out; the language of conditions and templates (`manifest`).

mod command;
mod consensus;
mod ending;
mod error;
mod event;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod rerun;
mod run;
pub mod sequence;
mod stage;
mod transition;
mod view;
mod window;

pub use command::Command;
pub use error::EngineError;
pub use event::{
    CarriedStep, Decision, EVENT_VERSION, Event, EventKind, Group, Origin, Outcome, Parent, Reason, ReasonKind, Rerun,
    Vote,
};
pub use gate::{Asks, Cast};
pub use rerun::RerunFrom;
pub use run::{Container, Run};
pub use view::{AttemptView, GateView, InFlight, RunStatus, Skip, StepState, StepView, VisitView};
