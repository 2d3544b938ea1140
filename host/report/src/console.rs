//! For people: what a run tells, as lines on a screen.
//!
//! Lines of a step begin with its name, `build │ …`; what is the run's own begins at the edge. What a person can do stands below the
//! line that asks for it, ready to be typed. Of control sequences in text that others wrote, only colours are obeyed.

use crate::{
    Counts, Ended, GateKind, Item, LogLine, Paint, Stream, Told, Tone, tone,
    why::may_approve,
    words::{self, count, duration},
};
use serde_json::{Map, Value};
use std::collections::HashMap;
use unicode_width::UnicodeWidthStr as _;
use windlass_contract::StepName;
use windlass_engine::{Decision, Outcome, Vote};
use windlass_manifest::plan::{MAIN_STATE, Plan};

/// The most characters of a log's line that are shown; the log has the whole.
const MAX_SHOWN_CHARS: usize = 4096;
/// The narrowest column that sentences are broken into, in characters: on a narrower screen the terminal breaks them.
const MIN_TEXT_CHARS: usize = 24;

/// A screen: how wide it is, what its text looks like, and the names that stand at its edge.
#[derive(Debug, Clone)]
pub struct Console<P> {
    paint: P,
    width: usize,
    pipeline: String,
    /// Each step's place in the plan.
    places: HashMap<StepName, usize>,
    label: usize,
    states: bool,
}

/// Whether a plan's states are worth telling of: a `steps:` pipeline has one, which nobody named.
pub(crate) fn has_states(plan: &Plan) -> bool {
    plan.states.len() != 1 || plan.states[0].name != MAIN_STATE
}

impl<P: Paint> Console<P> {
    /// A screen of so many columns for a run of this plan.
    pub fn new(plan: &Plan, width: usize, paint: P) -> Console<P> {
        let places: HashMap<StepName, usize> =
            plan.steps().enumerate().map(|(n, step)| (step.name.clone(), n)).collect();
        let label = places.keys().map(|name| name.as_str().len()).max().unwrap_or(0);
        Console { paint, width, pipeline: plan.name.clone(), places, label, states: has_states(plan) }
    }

    /// What an item looks like: no line, or several.
    pub fn lines(&self, told: &Told) -> Vec<String> {
        match &told.item {
            Item::RunStarted { name, file, inputs, by, parent, rerun_of, warnings } => {
                let mut words = vec![told.run.to_string()];
                words.extend(file.clone());
                words.extend(by.as_ref().map(|by| format!("by {by}")));
                words.extend(parent.as_ref().map(|parent| format!("for {} of {}", parent.step, parent.run)));
                words.extend(rerun_of.as_ref().map(|run| format!("repeats {run}")));
                let head = format!("▶ {}", words::bare(name));
                let mut lines = vec![format!(
                    "{} {}",
                    self.paint(Tone::Strong, &head),
                    self.paint(Tone::Faint, &words::bare(&words.join(" · ")))
                )];
                lines.extend(self.paragraph("  ", Tone::Faint, &given(inputs)));
                lines.extend(warnings.iter().flat_map(|warning| self.paragraph("  ", Tone::Warning, warning)));
                lines
            }
            // Until it is known behind whom, it may as well begin at once.
            Item::RunQueued { behind, .. } if behind.is_empty() => Vec::new(),
            Item::RunQueued { group, limit, behind } => {
                let ids: Vec<&str> = behind.iter().map(|run| run.as_str()).collect();
                let words = format!(
                    "waits for its turn in the group `{group}`, in which {} may go on at once, behind {}",
                    count(*limit, "run"),
                    ids.join(", ")
                );
                self.paragraph("", Tone::Warning, &words)
            }
            Item::StateEntered { state, visit, from, because, feedback } => {
                self.state(state, *visit, from.as_deref(), because.as_deref(), feedback.as_deref())
            }
            Item::StepStarted { step, attempt, step_type, plugin, .. } => {
                vec![self.began(step, *attempt, step_type, &plugin.to_string())]
            }
            Item::SubRunStarted { step, attempt, workflow, sub_run, wait, .. } => {
                let alone = if *wait { "" } else { ", and nobody waits for it" };
                vec![self.began(step, *attempt, workflow, &format!("as {sub_run}{alone}"))]
            }
            Item::StepEnded { .. } | Item::SubRunEnded { .. } => {
                told.item.ended().map(|ended| self.ended(ended, told.at_ms, ended.outcome.name())).unwrap_or_default()
            }
            Item::StepSkipped { step, sentence, .. } => {
                self.of_step(step, Tone::Faint, &format!("○ skipped: {sentence}"))
            }
            Item::StepCarried { step, outcome, from, .. } => {
                let sign = self.paint(tone::of(*outcome), words::sign(*outcome));
                let words = self.paint(Tone::Faint, &format!("taken over from {from}"));
                vec![format!("{} {sign} {outcome}, {words}", self.edge(step))]
            }
            Item::GateOpened { .. } => self.gate(told),
            Item::GateVoted { step, by, vote, comment, missing, .. } => {
                let said = match vote {
                    Vote::Approve => "approves".to_owned(),
                    Vote::Reject => "rejects".to_owned(),
                    Vote::Answer(answer) => format!("answers {}", words::short(&answer.as_str().into())),
                };
                let comment = comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
                let more = match missing {
                    0 => String::new(),
                    n => format!(" · {} missing", count(*n, "approval")),
                };
                self.of_step(step, Tone::Plain, &format!("{by} {said}{comment}{more}"))
            }
            Item::GateDecided { by, answer, .. } => {
                let Some(ended) = told.item.ended() else { return Vec::new() };
                // What people said was told when they did.
                let reason = ended.reason.filter(|_| by.is_empty());
                let answer = answer.as_ref().map(|answer| format!(" with {}", words::short(&answer.as_str().into())));
                let by = if by.is_empty() { String::new() } else { format!(" by {}", by.join(", ")) };
                let how = format!("{}{by}", answer.unwrap_or_default());
                let word = if ended.outcome == Outcome::Succeeded { "passed" } else { ended.outcome.name() };
                self.ended(Ended { reason, ..ended }, told.at_ms, &format!("{word}{how}"))
            }
            Item::ContainerCreated { .. } => Vec::new(),
            Item::StepUndecided { step, commands, .. } => {
                let words = "? nobody can tell what became of it when the host died: a person decides";
                let mut lines = self.of_step(step, Tone::Warning, words);
                lines.extend(self.commands(step, commands));
                lines
            }
            Item::StepDecided { step, decision, by, .. } => {
                let words = match decision {
                    Decision::Rerun => "has it done again",
                    Decision::Succeeded => "says that it succeeded",
                    Decision::Failed => "says that it failed",
                };
                self.of_step(step, Tone::Plain, &format!("{by} {words}"))
            }
            Item::Cancelling { reason, forced } => {
                let words =
                    if *forced { "stopping everything" } else { "stopping what runs (once more stops everything)" };
                self.paragraph("", Tone::Warning, &format!("■ {reason}: {words}"))
            }
            Item::Log(LogLine { step, stream, text, .. }) => {
                let text: String = words::shown(text).chars().take(MAX_SHOWN_CHARS).collect();
                let text = if *stream == Stream::System { self.paint(Tone::Faint, &text) } else { text };
                vec![format!("{} {text}", self.edge(step)).trim_end().to_owned()]
            }
            Item::RunEnded { outcome, reason, took_ms, counts } => {
                let end = format!("{} {} {outcome}", words::sign(*outcome), words::bare(&self.pipeline));
                let rest = format!("in {} · {} · {}", duration(*took_ms), in_words(*counts), told.run);
                let mut lines = Vec::new();
                if let Some(reason) = reason {
                    lines.extend(self.paragraph("  ", tone::of(*outcome), &reason.message));
                }
                lines.insert(0, format!("{} {}", self.paint(tone::of(*outcome), &end), self.paint(Tone::Faint, &rest)));
                lines
            }
        }
    }

    fn paint(&self, tone: Tone, text: &str) -> String {
        self.paint.paint(tone, text)
    }

    /// `build │`.
    fn edge(&self, step: &StepName) -> String {
        let place = self.places.get(step).copied().unwrap_or_default();
        self.paint(Tone::Step(place), &format!("{:label$} │", step.as_str(), label = self.label))
    }

    /// Text beside a step's name, broken at the screen's width.
    fn of_step(&self, step: &StepName, tone: Tone, text: &str) -> Vec<String> {
        let edge = self.edge(step);
        let broken = wrap(text, self.width.saturating_sub(self.label + 3));
        broken.into_iter().map(|line| format!("{edge} {}", self.paint(tone, &line)).trim_end().to_owned()).collect()
    }

    /// Text of the run's own, broken at the screen's width; nothing where there is none.
    fn paragraph(&self, indent: &str, tone: Tone, text: &str) -> Vec<String> {
        let broken = wrap(text, self.width.saturating_sub(indent.len()));
        broken.into_iter().map(|line| format!("{indent}{}", self.paint(tone, &line))).collect()
    }

    fn commands(&self, step: &StepName, commands: &[String]) -> Vec<String> {
        let edge = self.edge(step);
        commands.iter().map(|command| format!("{edge}   {}", self.paint(Tone::Help, command))).collect()
    }

    fn state(
        &self,
        state: &str,
        visit: u32,
        from: Option<&str>,
        because: Option<&str>,
        feedback: Option<&str>,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        let state = words::bare(state);
        if let Some(from) = from.map(words::bare) {
            let way = self.paint(Tone::Strong, &format!("{from} → {state}"));
            let why = self.paint(Tone::Faint, &words::shown(because.unwrap_or_default()));
            lines.push(format!("{way}  {why}").trim_end().to_owned());
        }
        if self.states {
            let again = if visit > 1 { format!(" (visit {visit})") } else { String::new() };
            let head = format!("── {state}{again} ");
            let fill = "─".repeat(self.width.saturating_sub(head.width()).max(2));
            lines.push(self.paint(Tone::Strong, &format!("{head}{fill}")));
        }
        lines.extend(feedback.into_iter().flat_map(|feedback| self.paragraph("   ", Tone::Faint, feedback)));
        lines
    }

    fn began(&self, step: &StepName, attempt: u32, what: &str, more: &str) -> String {
        let sign = self.paint(Tone::Faint, "▶");
        let which = if attempt > 1 { format!(" · attempt {attempt}") } else { String::new() };
        format!("{} {sign} {} {}{which}", self.edge(step), words::bare(what), self.paint(Tone::Faint, more))
    }

    fn ended(&self, ended: Ended<'_>, at_ms: u64, how: &str) -> Vec<String> {
        let Ended { step, attempt, outcome, reason, retry_ms, took_ms, allowed } = ended;
        let mut lines = Vec::new();
        if let Some(reason) = reason {
            let code = reason.code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default();
            let tone = if outcome.is_failure() { tone::of(outcome) } else { Tone::Faint };
            lines.extend(self.of_step(step, tone, &format!("{code}{}", reason.message)));
        }
        let sign = self.paint(tone::of(outcome), words::sign(outcome));
        let after = if attempt.is_some() { format!(" after {}", duration(took_ms)) } else { String::new() };
        let again = match retry_ms.map(|due| due.saturating_sub(at_ms)) {
            None if allowed => " · and may, so the run goes on".to_owned(),
            None => String::new(),
            Some(0) => " · tried again at once".to_owned(),
            Some(pause) => format!(" · tried again in {}", duration(pause)),
        };
        lines.push(format!("{} {sign} {how}{}{again}", self.edge(step), self.paint(Tone::Faint, &after)));
        lines
    }

    /// What a gate asks, of whom, until when, and what to type.
    fn gate(&self, told: &Told) -> Vec<String> {
        let Item::GateOpened {
            step,
            gate,
            prompt,
            approvers,
            not_by,
            quorum,
            opens_ms,
            expires_ms,
            otherwise,
            commands,
            ..
        } = &told.item
        else {
            return Vec::new();
        };
        let what = match gate {
            GateKind::Manual => "a gate asks for approval",
            GateKind::Question => "a question waits for an answer",
            GateKind::Automated => "a gate asks its conditions",
            GateKind::Scheduled => "a gate waits for its window",
        };
        let mut lines = self.of_step(step, Tone::Warning, &format!("◆ {what}"));
        lines.extend(prompt.iter().flat_map(|prompt| self.of_step(step, Tone::Strong, prompt)));
        let Some(expires_ms) = expires_ms else { return lines };
        let mut terms = Vec::new();
        if let Some(quorum) = quorum {
            terms.push(format!("{} of {}", count(*quorum, "approval"), may_approve(approvers, not_by.as_deref())));
        }
        if let Some(opens_ms) = opens_ms {
            terms.push(format!("its window opens in {}", duration(opens_ms.saturating_sub(told.at_ms))));
        }
        let counts = otherwise.as_ref().map(|word| format!(", then it counts as {word}")).unwrap_or_default();
        terms.push(format!("open for {}{counts}", duration(expires_ms.saturating_sub(told.at_ms))));
        lines.extend(self.of_step(step, Tone::Faint, &terms.join(" · ")));
        lines.extend(self.commands(step, commands));
        lines
    }
}

/// `channel="dev" count=3`.
fn given(inputs: &Map<String, Value>) -> String {
    inputs.iter().map(|(name, value)| format!("{name}={}", words::short(value))).collect::<Vec<_>>().join(" ")
}

/// `3 succeeded · 1 skipped`; what there is none of is not named.
fn in_words(counts: Counts) -> String {
    let Counts { succeeded, failed, cancelled, allowed, skipped, carried } = counts;
    let all = [
        (succeeded, Outcome::Succeeded.name()),
        (failed, Outcome::Failed.name()),
        (cancelled, Outcome::Cancelled.name()),
        (allowed, "failed as they may"),
        (skipped, Outcome::Skipped.name()),
        (carried, "taken over"),
    ];
    let told: Vec<String> = all.iter().filter(|(n, _)| *n > 0).map(|(n, name)| format!("{n} {name}")).collect();
    if told.is_empty() { "no steps".to_owned() } else { told.join(" · ") }
}

/// Text broken at spaces into lines of at most so many columns; a longer word stands alone. Lines that the text has are kept.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(MIN_TEXT_CHARS);
    let mut lines = Vec::new();
    for line in text.lines() {
        let line = words::shown(line);
        let mut present = String::new();
        let mut columns = 0;
        for word in line.split_inclusive(' ') {
            if columns > 0 && columns + word.trim_end().width() > width {
                lines.push(std::mem::take(&mut present).trim_end().to_owned());
                columns = 0;
            }
            present.push_str(word);
            columns += word.width();
        }
        lines.push(present.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_at_spaces() {
        let check = |text: &str, expect: &[&str]| assert_eq!(wrap(text, 0), expect, "{text:?}");
        check("", &[]);
        check("short", &["short"]);
        check("123456789 123456789 1234", &["123456789 123456789 1234"]);
        check("123456789 123456789 12345", &["123456789 123456789", "12345"]);
        check("a\n\n  b", &["a", "", "  b"]);
        check(&"x".repeat(100), &[&"x".repeat(100)]);
        // Wide characters take two columns each.
        check("漢字漢字漢字 漢字漢字漢字", &["漢字漢字漢字", "漢字漢字漢字"]);
    }

    #[test]
    fn a_long_line_of_a_log_is_cut() {
        let plan: Plan = serde_json::from_value(serde_json::json!({
            "name": "demo", "inputs": {}, "env": {}, "volumes": {}, "states": [], "initial": 0, "strict": false
        }))
        .expect("a plan");
        let line = LogLine {
            step: "a".parse().expect("a name"),
            attempt: 1,
            line: 1,
            stream: Stream::Stdout,
            text: "x".repeat(MAX_SHOWN_CHARS + 1),
        };
        let told = Told { run: "r1".parse().expect("an id"), seq: 1, part: 0, at_ms: 0, item: Item::Log(line) };
        let lines = Console::new(&plan, 80, crate::Plain).lines(&told);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].matches('x').count(), MAX_SHOWN_CHARS);
    }
}
