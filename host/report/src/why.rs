//! Why a step waits, and why it was skipped: one sentence each, with the values that decided.

use crate::words::{bare, count, duration, fate_commands, short};
use windlass_contract::StepName;
use windlass_engine::{GateView, Run, Skip, StepState, Vote};
use windlass_manifest::plan::Gate;

/// Why a step has not gone on. `None` for one that runs by itself or is over, and for one that the plan does not have.
pub fn why_waiting(run: &Run, step: &StepName) -> Option<String> {
    if run.finished_ms().is_some() {
        return None;
    }
    let Some(view) = run.step(step) else {
        let elsewhere = run.plan().states.iter().find(|state| state.steps.iter().any(|known| known.name == *step))?;
        return Some(format!("the run is in the state {}, and not in {}", run.state_name(), elsewhere.name));
    };
    match view.state {
        StepState::Waiting => Some(match run.queued_in() {
            Some(group) => {
                let may = count(group.limit, "run");
                format!("queued in the group `{}`, in which {may} may go on at once", group.name)
            }
            None => format!("waits for {}", list(run.waits_for(step).into_iter().map(StepName::as_str))),
        }),
        StepState::Ready => Some("is about to begin".to_owned()),
        StepState::Running { cancelling: true } => Some("was asked to stop".to_owned()),
        StepState::Running { cancelling: false } => {
            let sub_run = view.attempts.last()?.sub_run?;
            Some(format!("waits for the run {sub_run}"))
        }
        StepState::Retrying { due_ms } => {
            let last = view.attempts.last()?;
            let pause = due_ms.saturating_sub(last.finished_ms?);
            Some(format!("attempt {} comes {} after the end of the last one", last.attempt + 1, duration(pause)))
        }
        StepState::Undecided => {
            let commands = fate_commands(run.id(), step);
            Some(format!("a person must say what became of it: `{}`", commands.join("` or `")))
        }
        StepState::AtGate { .. } => run.gates().iter().find(|gate| gate.step == step).map(|gate| at_gate(run, gate)),
        StepState::Finished => None,
    }
}

fn at_gate(run: &Run, gate: &GateView<'_>) -> String {
    let open = duration(gate.expires_ms.saturating_sub(gate.opened_ms));
    match gate.gate {
        Gate::Manual(manual) => {
            let who = may_approve(&manual.approvers, run.origin().by.as_deref().filter(|_| !manual.self_approval));
            let more = if gate.votes.is_empty() { "" } else { " more" };
            let needs = match missing_approvals(gate) {
                1 => format!("1{more} approval"),
                n => format!("{n}{more} approvals"),
            };
            format!("needs {needs} of {who}; open for {open}")
        }
        Gate::Question(_) => format!("waits for an answer; open for {open}"),
        Gate::Scheduled(_) if gate.due_ms < gate.expires_ms => {
            let wait = duration(gate.due_ms.saturating_sub(gate.opened_ms));
            format!("waits for its window, which opens {wait} after the gate did")
        }
        Gate::Scheduled(_) => format!("waits for its window, and none opens in the {open} that it is open"),
        Gate::Automated { .. } => "its conditions are asked".to_owned(),
    }
}

/// How many more must approve.
pub(crate) fn missing_approvals(gate: &GateView<'_>) -> u32 {
    let Gate::Manual(manual) = gate.gate else { return 0 };
    let approvals = gate.votes.iter().filter(|cast| cast.vote == Vote::Approve).count();
    manual.quorum.saturating_sub(u32::try_from(approvals).unwrap_or(u32::MAX))
}

/// "ada or bob", "anybody but ada".
pub(crate) fn may_approve(approvers: &[String], not_by: Option<&str>) -> String {
    let others: Vec<&str> = approvers.iter().map(String::as_str).filter(|who| Some(*who) != not_by).collect();
    match (approvers.is_empty(), not_by) {
        (true, None) => "anybody".to_owned(),
        (true, Some(starter)) => format!("anybody but {starter}, who began the run"),
        (false, _) if others.is_empty() => "nobody: who may approve it began the run".to_owned(),
        (false, _) => list(others),
    }
}

/// Why a step never began.
pub fn why_skipped(skip: &Skip) -> String {
    match skip {
        Skip::RunFailed { by } => format!("{by} had failed"),
        Skip::RunCancelled => "the run was asked to stop".to_owned(),
        Skip::Condition { text, values } => {
            let told: Vec<String> = values.iter().map(|(path, value)| format!("{path} is {}", short(value))).collect();
            let colon = if told.is_empty() { "" } else { ": " };
            format!("`{text}` is false{colon}{}", told.join(", "))
        }
    }
}

/// The first line of a message, as a table can hold it.
pub(crate) fn first_line(message: &str) -> String {
    bare(message.lines().next().unwrap_or_default())
}

fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}
