//! Which way a run leaves a state: the first transition, in written order, that matches.
//!
//! **What is to be known.**
//! - Bounds: `score_above`, `score_below`, `confidence_above` and `score_and_confidence_above` do not hold at the bound itself;
//!   `score_between` and `consensus` do. A state without a score meets no condition on scores.
//! - What the infrastructure is to blame for (an image, a mount, the engine, memory, time) is a failure of its own kind:
//!   `on_timeout` and `on_error` are for it, and only where the state has neither of them that fits, `on_failure` and
//!   `exit_code_non_zero` are. The order in which they are written decides among what is left, and `always` is always.
//! - Where nothing matches, such a failure fails the run with its own reason; anything else, with `NoMatchingTransition`.

use crate::{Outcome, ReasonKind};
use serde_json::Value;
use windlass_manifest::{
    plan::{Condition, Transition},
    template::{Context, RenderError, evaluate_expression},
};

/// From this score on, `all_approved` counts an agent's judgement as approval.
const APPROVAL: f64 = 0.8;

/// A state that has ended, as conditions see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended<'a> {
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<ReasonKind>,
    /// What its name reads.
    pub(crate) value: &'a Value,
}

impl Ended<'_> {
    /// Whether the infrastructure is to blame.
    pub(crate) fn is_infrastructure(&self) -> bool {
        let memory = matches!(self.reason, Some(ReasonKind::OutOfMemory));
        memory || matches!(self.outcome, Outcome::Error | Outcome::Lost | Outcome::TimedOut)
    }

    fn number(&self, names: &[&str]) -> Option<f64> {
        let within = |value: &Value| names.iter().find_map(|name| value.get(name)?.as_f64());
        let holders = [Some(self.value), self.value.get("consensus"), self.value.get("output")];
        holders.into_iter().flatten().find_map(within).filter(|number| number.is_finite())
    }

    fn score(&self) -> Option<f64> {
        self.number(&["score", "final_score"])
    }

    fn confidence(&self) -> Option<f64> {
        self.number(&["confidence"])
    }

    fn agreement(&self) -> Option<f64> {
        self.number(&["agreement"])
    }

    fn exit_code(&self) -> Option<i64> {
        [Some(self.value), self.value.get("output")]
            .into_iter()
            .flatten()
            .find_map(|value| value.get("exit_code")?.as_i64())
    }

    fn response(&self) -> Option<&str> {
        self.value.get("response")?.as_str()
    }

    fn individual_scores(&self) -> Option<Vec<f64>> {
        let scores: Vec<f64> =
            self.value.get("individual_scores")?.as_array()?.iter().filter_map(Value::as_f64).collect();
        (!scores.is_empty()).then_some(scores)
    }

    /// What a condition is asked about, in words, for a run that found no way out.
    pub(crate) fn in_words(&self, condition: &Condition) -> String {
        let number = |name: &str, value: Option<f64>| match value {
            Some(value) => format!("{name} is {value}"),
            None => format!("it has no {name}"),
        };
        match condition {
            Condition::Always => String::new(),
            Condition::OnSuccess | Condition::OnFailure | Condition::OnError | Condition::OnTimeout => {
                match self.outcome {
                    Outcome::Error => "the infrastructure is to blame for its failure".to_owned(),
                    Outcome::TimedOut => "its time was over".to_owned(),
                    Outcome::Lost => "nobody can tell what became of it".to_owned(),
                    outcome => format!("it has {outcome}"),
                }
            }
            Condition::ExitCodeZero | Condition::ExitCodeNonZero | Condition::ExitCode { .. } => match self.exit_code()
            {
                Some(code) => format!("its exit code is {code}"),
                None => "it has no exit code".to_owned(),
            },
            Condition::ScoreAbove { .. } | Condition::ScoreBelow { .. } | Condition::ScoreBetween { .. } => {
                number("score", self.score())
            }
            Condition::ConfidenceAbove { .. } => number("confidence", self.confidence()),
            Condition::ScoreAndConfidenceAbove { .. } => {
                format!("{}, {}", number("score", self.score()), number("confidence", self.confidence()))
            }
            Condition::Consensus { .. } => {
                format!("{}, {}", number("score", self.score()), number("agreement", self.agreement()))
            }
            Condition::AllApproved | Condition::AnyRejected => match self.individual_scores() {
                Some(scores) => format!("the scores are {scores:?}"),
                None => "no agent gave a score".to_owned(),
            },
            Condition::InputEquals { .. } | Condition::InputEqualsYes | Condition::InputEqualsNo => {
                match self.response() {
                    Some(answer) => format!("the answer is {answer:?}"),
                    None => "there is no answer".to_owned(),
                }
            }
            Condition::Custom { expression } => format!("`{expression}` is false"),
        }
    }
}

/// The first transition that matches.
///
/// # Errors
/// When a `custom` expression that is asked cannot be evaluated.
pub(crate) fn choose(
    transitions: &[Transition],
    ended: Ended<'_>,
    context: &Context,
) -> Result<Option<usize>, RenderError> {
    for (place, transition) in transitions.iter().enumerate() {
        if holds(&transition.condition, transitions, ended, context)? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

fn holds(condition: &Condition, all: &[Transition], ended: Ended<'_>, context: &Context) -> Result<bool, RenderError> {
    let timed_out = ended.outcome == Outcome::TimedOut;
    let has = |wanted: &Condition| all.iter().any(|transition| transition.condition == *wanted);
    // A way out of its own kind is there, and the general ones are not for it.
    let taken_care_of =
        || ended.is_infrastructure() && (has(&Condition::OnError) || (timed_out && has(&Condition::OnTimeout)));
    let above = |value: Option<f64>, bound: f64| value.is_some_and(|value| value > bound);
    let at_least = |value: Option<f64>, bound: f64| value.is_some_and(|value| value >= bound);
    let answers = |wanted: [&str; 3]| {
        ended.response().is_some_and(|answer| wanted.contains(&answer.trim().to_lowercase().as_str()))
    };
    Ok(match condition {
        Condition::Always => true,
        Condition::OnSuccess => ended.outcome == Outcome::Succeeded,
        Condition::OnFailure => ended.outcome != Outcome::Succeeded && !taken_care_of(),
        Condition::OnError => ended.is_infrastructure() && !(timed_out && has(&Condition::OnTimeout)),
        Condition::OnTimeout => timed_out,
        Condition::ExitCodeZero => ended.exit_code() == Some(0),
        Condition::ExitCodeNonZero => ended.exit_code().is_some_and(|code| code != 0) && !taken_care_of(),
        Condition::ExitCode { value } => ended.exit_code() == Some(*value),
        Condition::ScoreAbove { threshold } => above(ended.score(), *threshold),
        Condition::ScoreBelow { threshold } => ended.score().is_some_and(|score| score < *threshold),
        Condition::ScoreBetween { min, max } => ended.score().is_some_and(|score| *min <= score && score <= *max),
        Condition::ConfidenceAbove { threshold } => above(ended.confidence(), *threshold),
        Condition::ScoreAndConfidenceAbove { threshold } => {
            above(ended.score(), *threshold) && above(ended.confidence(), *threshold)
        }
        Condition::Consensus { threshold, agreement } => {
            at_least(ended.score(), *threshold) && at_least(ended.agreement(), *agreement)
        }
        Condition::AllApproved => {
            ended.individual_scores().is_some_and(|scores| scores.iter().all(|score| *score >= APPROVAL))
        }
        Condition::AnyRejected => {
            ended.individual_scores().is_some_and(|scores| scores.iter().any(|score| *score < APPROVAL))
        }
        Condition::InputEquals { value } => ended.response() == Some(value.as_str()),
        Condition::InputEqualsYes => answers(["yes", "y", "1"]),
        Condition::InputEqualsNo => answers(["no", "n", "0"]),
        Condition::Custom { expression } => evaluate_expression(expression, context)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A state that ended so: `ok`, `fail`, `pull`, `oom`, `timeout`, `lost`, with what its name reads.
    fn ended<'a>(how: &str, value: &'a Value) -> Ended<'a> {
        let (outcome, reason) = match how {
            "ok" => (Outcome::Succeeded, None),
            "fail" => (Outcome::Failed, Some(ReasonKind::Other)),
            "rejected" => (Outcome::Rejected, Some(ReasonKind::Rejected)),
            "pull" => (Outcome::Error, Some(ReasonKind::ImagePullFailed)),
            "oom" => (Outcome::Failed, Some(ReasonKind::OutOfMemory)),
            "timeout" => (Outcome::TimedOut, Some(ReasonKind::TimeoutExpired)),
            "lost" => (Outcome::Lost, Some(ReasonKind::Lost)),
            other => panic!("{other:?}"),
        };
        Ended { outcome, reason, value }
    }

    fn transitions(conditions: &[Condition]) -> Vec<Transition> {
        let one = |condition: &Condition| Transition { condition: condition.clone(), target: 0, feedback: None };
        conditions.iter().map(one).collect()
    }

    #[track_caller]
    fn check(condition: Condition, how: &str, value: Value, expect: bool) {
        let found = choose(&transitions(std::slice::from_ref(&condition)), ended(how, &value), &Context::default())
            .expect("it is evaluated");
        assert_eq!(found.is_some(), expect, "{condition:?} of {how} {value}");
    }

    #[test]
    fn how_it_ended() {
        use Condition::{Always, OnError, OnFailure, OnSuccess, OnTimeout};
        let table = [
            // how, always, on_success, on_failure, on_error, on_timeout
            ("ok", true, true, false, false, false),
            ("fail", true, false, true, false, false),
            ("rejected", true, false, true, false, false),
            ("pull", true, false, true, true, false),
            ("oom", true, false, true, true, false),
            ("lost", true, false, true, true, false),
            ("timeout", true, false, true, true, true),
        ];
        for (how, always, success, failure, error, timeout) in table {
            check(Always, how, Value::Null, always);
            check(OnSuccess, how, Value::Null, success);
            check(OnFailure, how, Value::Null, failure);
            check(OnError, how, Value::Null, error);
            check(OnTimeout, how, Value::Null, timeout);
        }
    }

    #[test]
    fn exit_codes() {
        use Condition::{ExitCode, ExitCodeNonZero, ExitCodeZero};
        for (value, zero, non_zero, seven) in [
            (json!({ "exit_code": 0 }), true, false, false),
            (json!({ "exit_code": 7 }), false, true, true),
            (json!({ "exit_code": 1, "output": { "exit_code": 0 } }), false, true, false),
            (json!({ "output": { "exit_code": 7 } }), false, true, true),
            (json!({ "exit_code": "0" }), false, false, false),
            (json!({}), false, false, false),
            (Value::Null, false, false, false),
        ] {
            check(ExitCodeZero, "ok", value.clone(), zero);
            check(ExitCodeNonZero, "fail", value.clone(), non_zero);
            check(ExitCode { value: 7 }, "fail", value, seven);
        }
        check(ExitCode { value: -1 }, "fail", json!({ "exit_code": -1 }), true);
        check(ExitCodeNonZero, "oom", json!({ "exit_code": 137 }), true);
    }

    #[test]
    fn scores_and_their_bounds() {
        use Condition::{ConfidenceAbove, Consensus, ScoreAbove, ScoreAndConfidenceAbove, ScoreBelow, ScoreBetween};
        let at = |score: f64| json!({ "score": score, "confidence": 0.6 });
        for (score, above, below, between) in [
            (0.79, false, true, true),
            (0.8, false, false, true),
            (0.81, true, false, true),
            (0.9, true, false, true),
            (0.91, true, false, false),
        ] {
            check(ScoreAbove { threshold: 0.8 }, "ok", at(score), above);
            check(ScoreBelow { threshold: 0.8 }, "ok", at(score), below);
            check(ScoreBetween { min: 0.5, max: 0.9 }, "ok", at(score), between);
        }
        check(ScoreBetween { min: 0.8, max: 1.0 }, "ok", at(0.8), true);
        check(ScoreBetween { min: 0.8, max: 1.0 }, "ok", at(0.799), false);
        // A bound of 0 is 0 and not "none".
        check(ScoreBelow { threshold: 0.0 }, "ok", at(0.5), false);
        check(ScoreBetween { min: 0.0, max: 0.0 }, "ok", at(0.0), true);
        check(ConfidenceAbove { threshold: 0.6 }, "ok", at(0.1), false);
        check(ConfidenceAbove { threshold: 0.59 }, "ok", at(0.1), true);
        check(ScoreAndConfidenceAbove { threshold: 0.5 }, "ok", at(0.7), true);
        check(ScoreAndConfidenceAbove { threshold: 0.6 }, "ok", at(0.7), false);
        check(ScoreAndConfidenceAbove { threshold: 0.5 }, "ok", at(0.5), false);
        let agreed = |score: f64, agreement: f64| json!({ "consensus": { "score": score, "agreement": agreement } });
        let consensus = Consensus { threshold: 0.8, agreement: 0.75 };
        check(consensus.clone(), "ok", agreed(0.8, 0.75), true);
        check(consensus.clone(), "ok", agreed(0.79, 0.75), false);
        check(consensus.clone(), "ok", agreed(0.8, 0.74), false);
        check(consensus, "ok", json!({ "score": 0.9 }), false);
        // Where a score is looked for, and where there is none.
        check(ScoreAbove { threshold: 0.5 }, "ok", json!({ "final_score": 0.9 }), true);
        check(ScoreAbove { threshold: 0.5 }, "ok", json!({ "output": { "score": 0.9 } }), true);
        check(ScoreAbove { threshold: 0.5 }, "ok", json!({ "score": "0.9" }), false);
        check(ScoreBelow { threshold: 0.5 }, "ok", json!({}), false);
        check(ScoreBelow { threshold: 0.5 }, "fail", Value::Null, false);
    }

    #[test]
    fn approvals_of_agents() {
        use Condition::{AllApproved, AnyRejected};
        for (scores, all, any) in [
            (json!([0.8, 0.9]), true, false),
            (json!([0.8, 0.79]), false, true),
            (json!([]), false, false),
            (json!("0.9"), false, false),
        ] {
            check(AllApproved, "ok", json!({ "individual_scores": scores }), all);
            check(AnyRejected, "ok", json!({ "individual_scores": scores }), any);
        }
        check(AllApproved, "ok", json!({}), false);
        check(AnyRejected, "ok", json!({}), false);
    }

    #[test]
    fn answers() {
        use Condition::{InputEquals, InputEqualsNo, InputEqualsYes};
        for (answer, yes, no, exact) in [
            ("yes", true, false, false),
            ("YES ", true, false, false),
            ("y", true, false, false),
            ("1", true, false, false),
            ("no", false, true, false),
            ("N", false, true, false),
            ("0", false, true, false),
            ("approve", false, false, false),
            ("blue", false, false, true),
            ("Blue", false, false, false),
            ("", false, false, false),
        ] {
            check(InputEqualsYes, "ok", json!({ "response": answer }), yes);
            check(InputEqualsNo, "ok", json!({ "response": answer }), no);
            check(InputEquals { value: "blue".to_owned() }, "ok", json!({ "response": answer }), exact);
        }
        check(InputEquals { value: String::new() }, "ok", json!({}), false);
    }

    /// Several transitions, and which of them is taken.
    #[test]
    fn the_first_that_matches() {
        use Condition::{Always, ExitCode, ExitCodeNonZero, OnError, OnFailure, OnSuccess, OnTimeout};
        let check = |conditions: &[Condition], how: &str, value: Value, expect: Option<usize>| {
            let found =
                choose(&transitions(conditions), ended(how, &value), &Context::default()).expect("it is evaluated");
            assert_eq!(found, expect, "{conditions:?} of {how} {value}");
        };
        check(&[OnSuccess, Always], "ok", Value::Null, Some(0));
        check(&[Always, OnSuccess], "ok", Value::Null, Some(0));
        check(&[OnSuccess, Always], "fail", Value::Null, Some(1));
        check(&[OnSuccess], "fail", Value::Null, None);
        check(&[], "ok", Value::Null, None);
        check(&[ExitCode { value: 2 }, ExitCodeNonZero], "fail", json!({ "exit_code": 2 }), Some(0));
        check(&[ExitCode { value: 2 }, ExitCodeNonZero], "fail", json!({ "exit_code": 3 }), Some(1));
        // `on_error` takes what is its own, wherever it stands; without it `on_failure` does.
        check(&[OnFailure, OnError], "pull", Value::Null, Some(1));
        check(&[OnFailure, OnError], "fail", Value::Null, Some(0));
        check(&[OnFailure], "pull", Value::Null, Some(0));
        check(&[OnFailure, OnError, OnTimeout], "timeout", Value::Null, Some(2));
        check(&[OnFailure, OnTimeout], "timeout", Value::Null, Some(1));
        check(&[OnFailure, OnTimeout], "pull", Value::Null, Some(0));
        check(&[OnError, OnFailure], "timeout", Value::Null, Some(0));
        check(&[ExitCodeNonZero, OnError], "oom", json!({ "exit_code": 137 }), Some(1));
        check(&[ExitCodeNonZero], "oom", json!({ "exit_code": 137 }), Some(0));
        check(&[OnSuccess, ExitCodeNonZero], "pull", Value::Null, None);
        check(&[Always, OnError], "pull", Value::Null, Some(0));
    }
}
