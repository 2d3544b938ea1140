//! The table at the end of a run, as data: a row for the run, for each visit of a state, and for each step of it.
//!
//! Every row has the same five cells: a sign, a name, how it stands, how long it took, and notes.

use crate::{
    Paint, Tone, console, tone,
    why::{self, why_skipped, why_waiting},
    words::{bare, duration, sign},
};
use serde::Serialize;
use std::collections::HashMap;
use unicode_width::UnicodeWidthStr as _;
use windlass_contract::StepName;
use windlass_engine::{Outcome, Run, StepState, StepView, VisitView};

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Of what.
    pub kind: RowKind,
    /// Sign, name, how it stands, how long it took, notes.
    pub cells: [Cell; 5],
}

/// What a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowKind {
    /// A visit of a state; not there in a `steps:` pipeline.
    State,
    /// A step in the visit above.
    Step,
    /// The run; the last row.
    Run,
}

/// A piece of text with its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// What it means to the eye.
    pub tone: Tone,
    /// The text; one line, without control characters.
    pub text: String,
}

fn cell(tone: Tone, text: impl Into<String>) -> Cell {
    Cell { tone, text: text.into() }
}

/// The table of a run as it stands.
pub fn summary(run: &Run) -> Vec<Row> {
    let places: HashMap<&StepName, usize> = run.plan().steps().enumerate().map(|(n, step)| (&step.name, n)).collect();
    let mut visited: HashMap<&str, usize> = HashMap::new();
    let mut rows = Vec::new();
    let last = run.visits().len();
    for (at, visit) in run.visits().enumerate() {
        let times = visited.entry(visit.state).or_default();
        *times += 1;
        if console::has_states(run.plan()) {
            rows.push(state_row(&visit, *times, run));
        }
        let present = at + 1 == last;
        rows.extend(visit.steps.iter().map(|step| {
            let place = places.get(step.name).copied().unwrap_or_default();
            step_row(step, place, present.then_some(run))
        }));
    }
    rows.push(run_row(run));
    rows
}

fn state_row(visit: &VisitView<'_>, times: usize, run: &Run) -> Row {
    let again = if times > 1 { format!(" (visit {times})") } else { String::new() };
    let (mark, words) = ended(visit.outcome, run);
    let took = visit.ended_ms.map(|end| duration(end.saturating_sub(visit.entered_ms)));
    let target = visit.transition.and_then(|taken| {
        let state = run.plan().states.iter().find(|state| state.name == visit.state)?;
        let target = state.transitions.get(taken)?.target;
        Some(format!("→ {}", bare(&run.plan().states.get(target)?.name)))
    });
    let cells = [
        mark,
        cell(Tone::Strong, bare(visit.state) + &again),
        words,
        cell(Tone::Plain, took.unwrap_or_default()),
        cell(Tone::Faint, target.unwrap_or_default()),
    ];
    Row { kind: RowKind::State, cells }
}

/// The sign and the words of what may have ended.
fn ended(outcome: Option<Outcome>, run: &Run) -> (Cell, Cell) {
    match outcome {
        Some(outcome) => (cell(tone::of(outcome), sign(outcome)), cell(tone::of(outcome), outcome.name())),
        None => (cell(Tone::Plain, "…"), cell(Tone::Plain, run.status().name())),
    }
}

/// A step of a visit; `present` where that visit is the run's present.
fn step_row(step: &StepView<'_>, place: usize, present: Option<&Run>) -> Row {
    let took = match (step.started_ms, step.finished_ms) {
        (Some(start), Some(end)) => duration(end.saturating_sub(start)),
        _ => String::new(),
    };
    let mut notes = Vec::new();
    let (mark, words) = match (step.state, step.outcome) {
        (StepState::Finished, Some(outcome)) => {
            (cell(tone::of(outcome), sign(outcome)), cell(tone::of(outcome), outcome.name()))
        }
        (state, _) => {
            notes.extend(present.and_then(|run| why_waiting(run, step.name)).map(|why| bare(&why)));
            standing(state)
        }
    };
    if step.attempts.len() > 1 {
        notes.push(format!("{} attempts", step.attempts.len()));
    }
    if step.carried {
        notes.push("taken over".to_owned());
    }
    if step.allowed_failure {
        notes.push("may fail".to_owned());
    }
    notes.extend(step.attempts.last().and_then(|last| last.sub_run).map(|run| format!("run {run}")));
    notes.extend(step.skipped.map(|skip| bare(&why_skipped(skip))));
    notes.extend(step.reason.map(|reason| why::first_line(&reason.message)));
    let cells = [
        mark,
        cell(Tone::Step(place), step.name.as_str()),
        words,
        cell(Tone::Plain, took),
        cell(Tone::Faint, notes.join(" · ")),
    ];
    Row { kind: RowKind::Step, cells }
}

fn standing(state: StepState) -> (Cell, Cell) {
    let (tone, sign, words) = match state {
        StepState::Running { cancelling: false } => (Tone::Plain, "▶", "running"),
        StepState::Running { cancelling: true } => (Tone::Warning, "■", "stopping"),
        StepState::Retrying { .. } => (Tone::Plain, "↻", "waits"),
        StepState::Undecided => (Tone::Warning, "?", "undecided"),
        StepState::AtGate { .. } => (Tone::Warning, "◆", "at a gate"),
        StepState::Ready => (Tone::Plain, "·", "ready"),
        StepState::Waiting | StepState::Finished => (Tone::Plain, "·", "waits"),
    };
    (cell(tone, sign), cell(tone, words))
}

fn run_row(run: &Run) -> Row {
    let outcome = run.outcome().filter(|_| run.finished_ms().is_some());
    let (mark, words) = ended(outcome, run);
    let took = run.finished_ms().map(|end| duration(end.saturating_sub(run.created_ms())));
    let reason = run.reason().filter(|_| outcome.is_some()).map(|reason| why::first_line(&reason.message));
    let notes: Vec<String> = [run.id().to_string()].into_iter().chain(reason).collect();
    let cells = [
        mark,
        cell(Tone::Strong, bare(&run.plan().name)),
        words,
        cell(Tone::Plain, took.unwrap_or_default()),
        cell(Tone::Faint, notes.join(" · ")),
    ];
    Row { kind: RowKind::Run, cells }
}

/// The rows as text: columns as wide as their widest cell, steps of states a little further in.
pub fn table(rows: &[Row], paint: &impl Paint) -> String {
    let states = rows.iter().any(|row| row.kind == RowKind::State);
    let indent = |row: &Row| if states && row.kind == RowKind::Step { "  " } else { "" };
    let width = |row: &Row, column: usize| {
        let indent = if column == 0 { indent(row).len() } else { 0 };
        indent + row.cells[column].text.width()
    };
    let widths: Vec<usize> =
        (0..5).map(|column| rows.iter().map(|row| width(row, column)).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let end = row.cells.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
        text.push_str(indent(row));
        for (column, cell) in row.cells[..=end].iter().enumerate() {
            // No escape codes around nothing.
            if !cell.text.is_empty() {
                text.push_str(&paint.paint(cell.tone, &cell.text));
            }
            if column < end {
                let fill = widths[column].saturating_sub(width(row, column)) + if column == 0 { 1 } else { 2 };
                text.extend(std::iter::repeat_n(' ', fill));
            }
        }
        text.push('\n');
    }
    text
}
