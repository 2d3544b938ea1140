//! The schedule that a pipeline's own text asks for.
//!
//! **Invariants.**
//! - A pipeline has one such trigger at most. It is made, changed and removed in the commit of the version whose text says so, and by nothing
//!   else; people pause it, and nothing more.
//! - One that is paused stays so when a version changes its times.
//!
//! **Not here.** What a text says (`windlass_manifest::schedule`).

use super::{Live, TriggerSpec, new_id, next_ms, schedule::Times, stored_spec};
use crate::{App, Problem, access::Caller, clock::now_ms};
use serde_json::Map;
use std::sync::Arc;
use windlass_manifest::{Diagnostic, found_wrong};
use windlass_store::records::{Change, triggers::TriggerRow};

/// How such a trigger is called.
const NAME: &str = "the pipeline's own schedule";

/// What a version has made of its pipeline's own schedule.
pub(crate) enum Step {
    /// There is none, or it is as it was.
    Stays,
    /// It is new.
    Made(TriggerRow),
    /// It has other times.
    Changed(TriggerRow),
    /// The text asks for it no more.
    Removed(Arc<Live>),
}

impl Step {
    /// For the audit.
    pub(crate) fn word(&self) -> Option<&'static str> {
        match self {
            Step::Stays => None,
            Step::Made(_) => Some("made"),
            Step::Changed(_) => Some("changed"),
            Step::Removed(_) => Some("removed"),
        }
    }
}

/// The schedule that a text asks for, of the pipeline that is chosen of it; else what is wrong with that.
pub(crate) fn schedule(yaml: &str, chosen: Option<&str>) -> Result<Option<TriggerSpec>, Vec<Diagnostic>> {
    let Some(written) = windlass_manifest::schedule(yaml, chosen) else { return Ok(None) };
    let time_zone = written.time_zone.unwrap_or_else(|| "UTC".to_owned());
    let wrong = |span, why| Err(found_wrong(yaml, span, why));
    match Times::parse(&written.cron, &time_zone) {
        Err(("time_zone", why)) => wrong(written.time_zone_span, why),
        Err((_, why)) => wrong(written.cron_span, why),
        Ok(times) if times.next_after(jiff::Timestamp::now()).is_none() => {
            wrong(written.cron_span, "this time never comes".to_owned())
        }
        Ok(_) => Ok(Some(TriggerSpec::Schedule {
            cron: written.cron,
            time_zone,
            overlap: Default::default(),
            missed: Default::default(),
            inputs: Map::new(),
        })),
    }
}

/// Brings a pipeline's own schedule in step with a version, in the change that deploys it. The caller keeps others from changing triggers.
pub(crate) async fn keep_in_step(
    app: &App,
    caller: &Caller,
    change: &mut Change,
    workflow: &str,
    wanted: Option<TriggerSpec>,
) -> Result<Step, Problem> {
    let there = app.triggers().of(workflow).into_iter().find(|live| live.row.managed);
    match (there, wanted) {
        (None, None) => Ok(Step::Stays),
        (None, Some(spec)) => {
            let row = TriggerRow {
                id: new_id(),
                workflow: workflow.to_owned(),
                name: NAME.to_owned(),
                spec: stored_spec(&spec)?,
                enabled: true,
                managed: true,
                next_ms: next_ms(&spec, true),
                before_until_ms: None,
                created_by: caller.name.clone(),
                created_at_ms: now_ms(),
            };
            change.insert_trigger(&row).await?;
            Ok(Step::Made(row))
        }
        (Some(live), Some(spec)) => {
            let kept = stored_spec(&spec)?;
            if kept == live.row.spec {
                return Ok(Step::Stays);
            }
            let row = TriggerRow { spec: kept, next_ms: next_ms(&spec, live.row.enabled), ..live.row.clone() };
            change.update_trigger(&row).await?;
            Ok(Step::Changed(row))
        }
        (Some(live), None) => {
            change.delete_trigger(&live.row.id).await?;
            Ok(Step::Removed(live))
        }
    }
}

/// Goes by what was committed.
pub(crate) fn take(app: &App, step: Step) -> Result<(), Problem> {
    let triggers = app.triggers();
    match step {
        Step::Stays => return Ok(()),
        Step::Made(row) | Step::Changed(row) => drop(triggers.put(Live::new(row)?)),
        Step::Removed(live) => triggers.forget(&live.row.id),
    }
    triggers.0.times.notify_one();
    Ok(())
}
