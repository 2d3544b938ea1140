//! Outcomes of a state that take no transition: the run would fail with `NoMatchingTransition`.
//!
//! Only what is certain is told. A `custom` expression may take anything, so a state that has one is not looked at.

use super::draft::{Draft, StateKind};
use crate::{plan::Condition, yaml::Kind};

/// What takes no transition, each in words, such as "a score of exactly 0.8".
pub(super) fn gaps(draft: &Draft<'_>) -> Vec<String> {
    let (Some(kind), Some(ways)) = (draft.kind, &draft.ways) else { return Vec::new() };
    let conditions: Vec<&Condition> = ways.iter().map(|way| &way.condition).collect();
    let any = |wanted: &dyn Fn(&Condition) -> bool| conditions.iter().any(|condition| wanted(condition));
    if conditions.is_empty() || any(&|c| matches!(c, Condition::Always | Condition::Custom { .. })) {
        return Vec::new();
    }
    let mut gaps = Vec::new();
    let success = match kind {
        StateKind::ContainerRun | StateKind::System => {
            any(&|c| matches!(c, Condition::OnSuccess | Condition::ExitCodeZero | Condition::ExitCode { value: 0 }))
        }
        StateKind::Agent | StateKind::ParallelAgents
            if any(&|c| is_score(c)) && !any(&|c| *c == Condition::OnSuccess) =>
        {
            gaps.extend(scores(&conditions));
            true
        }
        StateKind::Human if any(&|c| is_answer(c)) && !any(&|c| *c == Condition::OnSuccess) => {
            gaps.push("any other answer".to_owned());
            true
        }
        _ => any(&|c| *c == Condition::OnSuccess),
    };
    if !success {
        gaps.push("a success".to_owned());
    }
    let can_fail = match kind {
        StateKind::ParallelContainerRun => !is_text(draft, "completion", "best_effort"),
        StateKind::Human => draft.entry.value.get("default_response").is_none(),
        StateKind::Subworkflow => !is_text(draft, "mode", "fire_and_forget"),
        _ => true,
    };
    let failure = any(&|c| {
        matches!(c, Condition::OnFailure)
            || (matches!(kind, StateKind::ContainerRun | StateKind::System) && *c == Condition::ExitCodeNonZero)
            || (kind == StateKind::Human && *c == Condition::OnTimeout)
    });
    if can_fail && !failure {
        gaps.push(match kind {
            StateKind::Human => "an answer that does not come in time".to_owned(),
            _ if any(&|c| matches!(c, Condition::ExitCode { .. })) => "any other exit code".to_owned(),
            _ => "a failure".to_owned(),
        });
    }
    gaps
}

fn is_text(draft: &Draft<'_>, key: &str, wanted: &str) -> bool {
    draft.entry.value.get(key).is_some_and(|entry| matches!(&entry.value.kind, Kind::String(text) if text == wanted))
}

/// Whether it asks for a score or for what comes with one.
pub(super) fn is_score(condition: &Condition) -> bool {
    matches!(
        condition,
        Condition::ScoreAbove { .. }
            | Condition::ScoreBelow { .. }
            | Condition::ScoreBetween { .. }
            | Condition::ConfidenceAbove { .. }
            | Condition::ScoreAndConfidenceAbove { .. }
            | Condition::Consensus { .. }
            | Condition::AllApproved
            | Condition::AnyRejected
    )
}

/// Whether it asks for a person's answer.
pub(super) fn is_answer(condition: &Condition) -> bool {
    matches!(condition, Condition::InputEquals { .. } | Condition::InputEqualsYes | Condition::InputEqualsNo)
}

/// Which scores are taken by none of the conditions.
fn scores(conditions: &[&Condition]) -> Vec<String> {
    let has = |wanted: &Condition| conditions.contains(&wanted);
    if has(&Condition::AllApproved) && has(&Condition::AnyRejected) {
        return Vec::new();
    }
    // Between two neighbours of these, no condition changes its mind.
    let mut bounds = vec![0.0, 1.0];
    for condition in conditions {
        match condition {
            Condition::ScoreAbove { threshold } | Condition::ScoreBelow { threshold } => bounds.push(*threshold),
            Condition::ScoreBetween { min, max } => bounds.extend([*min, *max]),
            Condition::Consensus { threshold, .. } => bounds.push(*threshold),
            _ => {}
        }
    }
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    let mut samples = Vec::new();
    for (at, bound) in bounds.iter().enumerate() {
        samples.push(Sample { low: *bound, high: *bound });
        if let Some(next) = bounds.get(at + 1) {
            samples.push(Sample { low: *bound, high: *next });
        }
    }
    let partly = |score: f64| {
        conditions
            .iter()
            .any(|condition| matches!(condition, Condition::Consensus { threshold, .. } if score >= *threshold))
    };
    let covered = |score: f64| {
        conditions.iter().any(|condition| match condition {
            Condition::ScoreAbove { threshold } => score > *threshold,
            Condition::ScoreBelow { threshold } => score < *threshold,
            Condition::ScoreBetween { min, max } => *min <= score && score <= *max,
            Condition::Consensus { threshold, agreement } => *agreement <= 0.0 && score >= *threshold,
            _ => false,
        })
    };
    let mut found = Vec::new();
    let mut open: Option<(Sample, Sample, bool)> = None;
    for sample in samples {
        let middle = f64::midpoint(sample.low, sample.high);
        let gap = (!covered(middle)).then(|| partly(middle));
        open = match (open, gap) {
            (Some((first, _, was_partly)), Some(partly)) if was_partly == partly => Some((first, sample, partly)),
            (before, gap) => {
                found.extend(before);
                gap.map(|partly| (sample, sample, partly))
            }
        };
    }
    found.extend(open);
    found
        .into_iter()
        .map(|(first, last, partly)| {
            let words = range(first, last);
            if partly { format!("{words} without the agreement that is asked for") } else { words }
        })
        .collect()
}

/// A bound, or what is between two of them.
#[derive(Debug, Clone, Copy)]
struct Sample {
    low: f64,
    high: f64,
}

impl Sample {
    fn is_point(self) -> bool {
        self.low >= self.high
    }
}

fn range(first: Sample, last: Sample) -> String {
    if first.is_point() && last.is_point() && first.low >= last.low {
        return format!("a score of exactly {}", first.low);
    }
    match (first.is_point(), last.is_point()) {
        (true, true) => format!("a score from {} to {}", first.low, last.high),
        (true, false) => format!("a score from {} to below {}", first.low, last.high),
        (false, true) => format!("a score above {}, up to {}", first.low, last.high),
        (false, false) => format!("a score above {} and below {}", first.low, last.high),
    }
}
