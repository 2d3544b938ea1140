//! What is legal in a workflow, and probably not as meant. Only warnings, and only of a workflow that is sound so far.

use super::{
    draft::{Draft, StateKind},
    gaps::{gaps, is_answer, is_score},
    graph::Graph,
    waiting::result_key,
};
use crate::{
    codes,
    diagnostic::Report,
    expression::{Expr, ExprKind, Target, parse},
    pieces::{Piece, cut, is_template},
    plan::{Condition, DEFAULT_STATE_VISITS},
    yaml::{Kind, Node},
};
use std::collections::BTreeSet;

/// How many states are named in one warning.
const MAX_NAMED: usize = 8;

/// Tells everything that can be seen surely.
pub(super) fn lint(drafts: &[Draft<'_>], graph: &Graph<'_>, initial: usize, report: &mut Report<'_>) {
    let reachable = |state: usize| state == initial || graph.leads(initial, state);
    let ends: Vec<usize> = (0..drafts.len()).filter(|state| drafts[*state].is_terminal()).collect();
    if ends.is_empty() {
        let help = Some("write `transitions: []` where the run ends".to_owned());
        let message = "no state ends the run: a limit will fail it";
        report.warning(codes::NO_END, drafts[initial].entry.key_span.clone(), message, help);
    }
    for (state, draft) in drafts.iter().enumerate() {
        let span = || draft.entry.key_span.clone();
        if !reachable(state) {
            let message = format!("no transition leads to the state `{}`", draft.entry.key);
            let help = Some("let a transition lead to it, or take it out".to_owned());
            report.warning(codes::UNREACHABLE_STATE, span(), message, help);
        } else if !ends.is_empty() && !ends.iter().any(|end| *end == state || graph.leads(state, *end)) {
            let message =
                format!("from the state `{}`, no end can be reached: a limit will fail the run", draft.entry.key);
            let help = Some("let a transition lead to a state with `transitions: []`".to_owned());
            report.warning(codes::NO_END, span(), message, help);
        }
        if draft.is_terminal() && draft.fails.is_none() && says_failure(&draft.entry.key) {
            let message = format!("a run that ends in `{}` counts as succeeded", draft.entry.key);
            let help = Some("add `outcome: failed`, or `outcome: succeeded` if that is meant".to_owned());
            report.warning(codes::ENDS_WELL, span(), message, help);
        }
        for gap in gaps(draft) {
            let message = format!("{gap} in `{}` takes no transition: the run would fail", draft.entry.key);
            let help = Some("add a transition for it, or one without a condition as the last".to_owned());
            report.warning(codes::GAP, span(), message, help);
        }
        ways(draft, report);
    }
    loops(drafts, graph, report);
    unused(drafts, report);
}

/// Whether a state's name says that the run has failed.
fn says_failure(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.contains("FAIL") || name == "ERROR" || name.ends_with("_ERROR") || name.ends_with("-ERROR")
}

/// Transitions that are never asked, and those that can never be taken.
fn ways(draft: &Draft<'_>, report: &mut Report<'_>) {
    let Some(kind) = draft.kind else { return };
    let mut ended = false;
    for way in draft.ways.iter().flatten() {
        if ended {
            let help = Some("put it before the one that is always taken, or take it out".to_owned());
            let message = "a transition before this one is always taken";
            report.warning(codes::AFTER_ALWAYS, way.span(), message, help);
        } else if let Some(why) = never(&way.condition, kind) {
            report.warning(codes::NEVER_TRUE, way.span(), format!("{why}, so this is never taken"), None);
        }
        ended |= way.condition == Condition::Always;
    }
}

/// Why a condition cannot hold for a kind of state.
fn never(condition: &Condition, kind: StateKind) -> Option<&'static str> {
    let agents = matches!(kind, StateKind::Agent | StateKind::ParallelAgents);
    match condition {
        Condition::ExitCodeZero | Condition::ExitCodeNonZero | Condition::ExitCode { .. }
            if !matches!(kind, StateKind::ContainerRun | StateKind::System) =>
        {
            Some(if kind == StateKind::ParallelContainerRun {
                "several containers have no exit code together"
            } else {
                "this state has no exit code"
            })
        }
        Condition::AllApproved | Condition::AnyRejected if kind != StateKind::ParallelAgents => {
            Some("only a ParallelAgents state has several scores")
        }
        // What another workflow gives is not known here.
        other if is_score(other) && !agents && kind != StateKind::Subworkflow => Some("this state has no score"),
        other if is_answer(other) && kind != StateKind::Human => Some("only a Human state has an answer"),
        _ => None,
    }
}

/// Loops in which no state says how often it may be entered.
fn loops(drafts: &[Draft<'_>], graph: &Graph<'_>, report: &mut Report<'_>) {
    let open: Vec<bool> = drafts.iter().map(|draft| draft.max_visits.is_none()).collect();
    let reach = |from: usize| {
        let mut seen = vec![false; drafts.len()];
        let mut stack = graph.next[from].clone();
        while let Some(state) = stack.pop() {
            if open[state] && !std::mem::replace(&mut seen[state], true) {
                stack.extend(&graph.next[state]);
            }
        }
        seen
    };
    let mut told = vec![false; drafts.len()];
    for state in 0..drafts.len() {
        if told[state] || !open[state] {
            continue;
        }
        let ahead = reach(state);
        if !ahead[state] {
            continue;
        }
        let round: Vec<usize> =
            (0..drafts.len()).filter(|other| *other == state || (ahead[*other] && reach(*other)[state])).collect();
        round.iter().for_each(|other| told[*other] = true);
        let mut names: Vec<&str> = round.iter().take(MAX_NAMED).map(|at| drafts[*at].entry.key.as_str()).collect();
        if round.len() > MAX_NAMED {
            names.push("…");
        }
        let message =
            format!("the loop of {} ends only by the default limit of {DEFAULT_STATE_VISITS} visits", names.join(", "));
        let help = Some("say on one of them how often it may be entered: max_state_visits: 3".to_owned());
        report.warning(codes::DEFAULT_GUARD, drafts[state].entry.key_span.clone(), message, help);
    }
}

/// Feedback and results that nothing reads.
fn unused(drafts: &[Draft<'_>], report: &mut Report<'_>) {
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut takes_feedback = vec![false; drafts.len()];
    for (state, draft) in drafts.iter().enumerate() {
        paths(&draft.entry.value, &mut |target| match target {
            Target::Feedback => takes_feedback[state] = true,
            Target::Blackboard { name, .. } | Target::Named { name, .. } => {
                names.insert(name.to_owned());
            }
            _ => {}
        });
    }
    for draft in drafts {
        if let (Some(key), Some(entry)) = (result_key(&draft.entry.value), draft.entry.value.get("result_key"))
            && !names.contains(key)
        {
            let message = format!("nothing reads `blackboard.{key}`");
            report.warning(codes::UNUSED, entry.value.span.clone(), message, None);
        }
        for way in draft.ways.iter().flatten() {
            let (Some((_, node)), Some(target)) = (&way.feedback, way.target) else { continue };
            if !takes_feedback[target] {
                let message = format!("the state `{}` does not read `state.feedback`", drafts[target].entry.key);
                let help = Some("write {{ state.feedback }} there".to_owned());
                report.warning(codes::UNUSED, node.span.clone(), message, help);
            }
        }
    }
}

/// Calls `visit` with what each path in a state reads.
fn paths(node: &Node, visit: &mut dyn FnMut(Target<'_>)) {
    let mut within = |expr: &Expr| {
        expr.walk(&mut |expr| {
            if let ExprKind::Path(path) = &expr.kind {
                visit(path.target());
            }
        });
    };
    match &node.kind {
        Kind::String(text) if is_template(text) => {
            for piece in cut(text).0 {
                if let Piece::Expr(expr) = piece {
                    within(&expr);
                }
            }
        }
        Kind::List(items) => items.iter().for_each(|item| paths(item, visit)),
        Kind::Map(entries) => {
            for entry in entries {
                match &entry.value.kind {
                    Kind::String(text) if entry.key == "expression" => {
                        if let Ok(expr) = parse(text) {
                            expr.walk(&mut |expr| {
                                if let ExprKind::Path(path) = &expr.kind {
                                    visit(path.target());
                                }
                            });
                        }
                    }
                    _ => paths(&entry.value, visit),
                }
            }
        }
        _ => {}
    }
}
