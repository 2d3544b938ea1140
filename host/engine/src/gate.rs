//! Gates: when one opens, what a vote changes, and what counts when the time is over.
//!
//! **Rules.** A gate is a row in the record, not a task: it opens with an event, takes votes as events, and ends with the vote
//! that decides or with the event that its time has come.
//! - An approver is named as the identity is, or by its e-mail address; small and capital letters are the same.
//! - One identity has one vote; a later one takes the place of an earlier one. One rejection is enough; as many approvals as the
//!   quorum approve. Who began the run may not approve it unless the gate says so, and may always reject it.
//! - A vote that comes when the time is over is refused, whoever records first.
//! - A scheduled gate asks the clock of the event that wakes it: a host that was down during a whole window waits for the next.

use crate::{
    EngineError, Outcome, Reason, ReasonKind, Run, Vote,
    run::Turn,
    stage::{Phase, attempt_number},
    window,
};
use serde_json::{Map, Value, json};
use windlass_manifest::{
    plan::{Gate, GateDefault, ManualGate, Question, Work},
    template::evaluate_expression,
};

/// A gate that waits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Waiting {
    /// When its own time is over.
    pub(crate) expires_ms: u64,
    /// When it is to be woken: then, or when a window opens.
    pub(crate) due_ms: u64,
    /// One for each identity, in the order in which they first voted.
    pub(crate) votes: Vec<Cast>,
}

/// A vote that was cast.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Cast {
    /// Who.
    pub by: String,
    /// What.
    pub vote: Vote,
    /// Why, in words.
    pub comment: Option<String>,
    /// When, in milliseconds since 1970 (UTC).
    pub at_ms: u64,
}

/// Who votes.
#[derive(Clone, Copy)]
pub(crate) struct Voter<'a> {
    /// The identity.
    pub(crate) by: &'a str,
    /// Its e-mail address.
    pub(crate) email: Option<&'a str>,
}

/// What a gate asks of people: who may say what at it. It is one for whoever records a vote and for whoever shows the gate.
#[derive(Debug, Clone, Copy)]
pub enum Asks<'a> {
    /// Yes or no.
    Approval {
        /// Of these; of anybody where nobody is named.
        approvers: &'a [String],
        /// Whether who began the run may approve it.
        self_approval: bool,
        /// Who began the run.
        started_by: Option<&'a str>,
    },
    /// An answer, of anybody.
    Answer,
    /// Nothing: it waits for its time.
    Nothing,
}

impl<'a> Asks<'a> {
    fn of(gate: &'a Gate, started_by: Option<&'a str>) -> Self {
        match gate {
            Gate::Manual(ManualGate { approvers, self_approval, .. }) => {
                Asks::Approval { approvers, self_approval: *self_approval, started_by }
            }
            Gate::Question(_) => Asks::Answer,
            Gate::Automated { .. } | Gate::Scheduled(_) => Asks::Nothing,
        }
    }

    /// Why an identity may not vote so, in words; `None` where it may.
    pub fn refused(&self, by: &str, email: Option<&str>, vote: &Vote) -> Option<String> {
        match (*self, vote) {
            (Asks::Answer, Vote::Answer(_)) => None,
            (Asks::Answer, _) => Some("it asks for an answer; give one".to_owned()),
            (Asks::Approval { .. }, Vote::Answer(_)) => Some("it asks for yes or no, and for no answer".to_owned()),
            (Asks::Approval { approvers, .. }, _) if !approvers.is_empty() && !is_named(approvers, by, email) => {
                Some(format!("it may be decided by {}", approvers.join(", ")))
            }
            (Asks::Approval { self_approval: false, started_by, .. }, Vote::Approve) if started_by == Some(by) => Some(
                "who began a run may not approve it, but may reject it; `self_approval: true` on the gate allows both"
                    .to_owned(),
            ),
            (Asks::Approval { .. }, _) => None,
            (Asks::Nothing, _) => Some("it is not for people to decide: it waits for its time".to_owned()),
        }
    }
}

/// Whether an identity is among those that a gate names.
fn is_named(approvers: &[String], by: &str, email: Option<&str>) -> bool {
    let same = |a: &str, b: &str| a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase));
    approvers.iter().any(|who| same(who, by) || email.is_some_and(|email| same(who, email)))
}

/// What a gate comes to.
struct Decided {
    outcome: Outcome,
    reason: Option<Reason>,
    outputs: Map<String, Value>,
}

impl Decided {
    fn passed(outputs: Value) -> Self {
        Decided { outcome: Outcome::Succeeded, reason: None, outputs: object(outputs) }
    }

    fn refused(outcome: Outcome, kind: ReasonKind, message: String, outputs: Value) -> Self {
        Decided { outcome, reason: Some(Reason { kind, code: None, message }), outputs: object(outputs) }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The template text of what people are asked.
pub(crate) fn prompt(gate: &Gate) -> Option<&str> {
    match gate {
        Gate::Manual(manual) => manual.prompt.as_deref(),
        Gate::Question(question) => Some(&question.prompt),
        Gate::Automated { .. } | Gate::Scheduled(_) => None,
    }
}

impl Run {
    fn gate(&self, i: usize) -> Option<&Gate> {
        match &self.planned(i).work {
            Work::Gate(gate) => Some(gate),
            _ => None,
        }
    }

    /// Opens a gate, whose attempt has just begun: it is decided at once, or waits.
    pub(crate) fn open_gate(&mut self, i: usize, turn: &mut Turn) {
        let Some(gate) = self.gate(i) else { return };
        let expires_ms = turn.at_ms.saturating_add(self.planned(i).timeout_ms);
        let mut due_ms = expires_ms;
        let decided = match gate {
            Gate::Manual(ManualGate { auto_approve, .. }) if auto_approve.is_empty() => None,
            // A condition that cannot be evaluated is none that holds: people are asked.
            Gate::Manual(ManualGate { auto_approve, .. }) => self.conditions(auto_approve).ok().and_then(|asked| {
                let all = asked.iter().all(|(_, holds)| *holds);
                all.then(|| Decided::passed(json!({ "approved": true, "automatic": true, "conditions": told(&asked) })))
            }),
            Gate::Question(_) => None,
            Gate::Automated { conditions } => Some(match self.conditions(conditions) {
                Err(reason) => Decided { outcome: Outcome::Error, reason: Some(reason), outputs: Map::new() },
                Ok(asked) => {
                    let outputs =
                        json!({ "approved": asked.iter().all(|(_, holds)| *holds), "conditions": told(&asked) });
                    match asked.iter().find(|(_, holds)| !holds) {
                        None => Decided::passed(outputs),
                        Some((condition, _)) => Decided::refused(
                            Outcome::Rejected,
                            ReasonKind::Rejected,
                            format!("the condition `{condition}` does not hold: {}", self.values_of(condition)),
                            outputs,
                        ),
                    }
                }
            }),
            Gate::Scheduled(schedule) => match window::next_open(schedule, turn.at_ms) {
                Err(why) => Some(Decided::refused(Outcome::Error, ReasonKind::InvalidConfig, why, Value::Null)),
                Ok(Some(open)) if open <= turn.at_ms => Some(Decided::passed(json!({ "approved": true }))),
                Ok(open) => {
                    due_ms = open.map_or(expires_ms, |open| open.min(expires_ms));
                    None
                }
            },
        };
        match decided {
            Some(decided) => self.decide_gate(i, decided, turn),
            None => {
                self.stage.steps[i].phase = Phase::Gate(Waiting { expires_ms, due_ms, votes: Vec::new() });
                self.begin_waiting(i);
                turn.commands.extend(self.command_of(i));
            }
        }
    }

    /// Takes a vote; the gate may be decided by it.
    ///
    /// # Errors
    /// [`EngineError::VoteRefused`], and then nothing has changed.
    pub(crate) fn vote(
        &mut self,
        i: usize,
        Voter { by, email }: Voter<'_>,
        vote: &Vote,
        comment: Option<&str>,
        turn: &mut Turn,
    ) -> Result<(), EngineError> {
        let refuse =
            |why: String| Err(EngineError::VoteRefused { step: self.planned(i).name.clone(), by: by.to_owned(), why });
        let (Some(gate), Phase::Gate(waiting)) = (self.gate(i), &self.stage.steps[i].phase) else {
            return refuse("nobody is asked".to_owned());
        };
        if turn.at_ms >= waiting.expires_ms {
            return refuse("the time to decide is over".to_owned());
        }
        if let Some(why) = Asks::of(gate, self.origin.by.as_deref()).refused(by, email, vote) {
            return refuse(why);
        }
        let cast =
            Cast { by: by.to_owned(), vote: vote.clone(), comment: comment.map(str::to_owned), at_ms: turn.at_ms };
        let mut votes = waiting.votes.clone();
        match votes.iter_mut().find(|known| known.by == cast.by) {
            Some(known) => *known = cast,
            None => votes.push(cast),
        }
        let decided = match (gate, vote) {
            (Gate::Question(_), Vote::Answer(text)) => {
                Some(Decided::passed(json!({ "response": text, "timeout": false, "by": by })))
            }
            (Gate::Manual(_), Vote::Reject) => {
                let words = comment.map(|comment| format!(": {comment}")).unwrap_or_default();
                Some(Decided::refused(
                    Outcome::Rejected,
                    ReasonKind::Rejected,
                    format!("{by} rejected it{words}"),
                    json!({ "approved": false, "rejected_by": by, "comment": comment, "votes": votes }),
                ))
            }
            (Gate::Manual(manual), Vote::Approve) => {
                let approvals = votes.iter().filter(|cast| cast.vote == Vote::Approve).count();
                let enough = u32::try_from(approvals).unwrap_or(u32::MAX) >= manual.quorum;
                enough.then(|| Decided::passed(json!({ "approved": true, "automatic": false, "votes": votes })))
            }
            _ => return refuse("it takes no such vote".to_owned()),
        };
        self.changed.clear();
        if let Phase::Gate(waiting) = &mut self.stage.steps[i].phase {
            waiting.votes = votes;
        }
        if let Some(decided) = decided {
            self.end_waiting(i);
            self.decide_gate(i, decided, turn);
        }
        Ok(())
    }

    /// The time has come that a gate waits for.
    pub(crate) fn gate_due(&mut self, i: usize, turn: &mut Turn) {
        let (Some(gate), Phase::Gate(waiting)) = (self.gate(i), &self.stage.steps[i].phase) else { return };
        // A clock that was set back does not make what is due less so.
        let now = turn.at_ms.max(waiting.due_ms);
        let expired = now >= waiting.expires_ms;
        let decided = match gate {
            Gate::Manual(manual) => {
                let votes = &waiting.votes;
                match manual.on_timeout {
                    GateDefault::Approve => {
                        Decided::passed(json!({ "approved": true, "automatic": true, "timeout": true, "votes": votes }))
                    }
                    GateDefault::Reject => Decided::refused(
                        Outcome::Rejected,
                        ReasonKind::GateExpired,
                        "nobody decided in time, and then it counts as rejected".to_owned(),
                        json!({ "approved": false, "timeout": true, "votes": votes }),
                    ),
                }
            }
            Gate::Question(Question { default_response: Some(answer), .. }) => {
                Decided::passed(json!({ "response": answer, "timeout": true }))
            }
            Gate::Question(_) => Decided::refused(
                Outcome::TimedOut,
                ReasonKind::GateExpired,
                "nobody answered in time, and there is no `default_response`".to_owned(),
                json!({ "timeout": true }),
            ),
            Gate::Scheduled(schedule) => match window::next_open(schedule, now) {
                Err(why) => Decided::refused(Outcome::Error, ReasonKind::InvalidConfig, why, Value::Null),
                Ok(Some(open)) if open <= now => Decided::passed(json!({ "approved": true })),
                Ok(_) if expired => Decided::refused(
                    Outcome::Rejected,
                    ReasonKind::GateExpired,
                    "none of its windows opened in time".to_owned(),
                    json!({ "approved": false, "timeout": true }),
                ),
                Ok(open) => {
                    // Woken too late for the window that it waited for.
                    let due_ms = open.map_or(waiting.expires_ms, |open| open.min(waiting.expires_ms));
                    let waiting = Waiting { due_ms, ..waiting.clone() };
                    self.stage.steps[i].phase = Phase::Gate(waiting);
                    turn.commands.extend(self.command_of(i));
                    return;
                }
            },
            Gate::Automated { .. } => return,
        };
        self.end_waiting(i);
        self.decide_gate(i, decided, turn);
    }

    fn decide_gate(&mut self, i: usize, decided: Decided, turn: &mut Turn) {
        let Decided { outcome, reason, outputs } = decided;
        self.end_attempt(i, turn.at_ms, outcome, reason.clone());
        self.settle(i, outcome, reason, outputs, turn);
    }

    /// Each condition with whether it holds.
    fn conditions<'c>(&self, conditions: &'c [String]) -> Result<Vec<(&'c str, bool)>, Reason> {
        let ask = |text: &'c String| {
            let holds = evaluate_expression(text, &self.context);
            holds.map(|holds| (text.as_str(), holds)).map_err(|error| crate::stage::template_reason(&error))
        };
        conditions.iter().map(ask).collect()
    }

    /// "`scan.passed` is false".
    pub(crate) fn values_of(&self, expression: &str) -> String {
        let values = windlass_manifest::template::explain(expression, &self.context);
        let words: Vec<String> = values.iter().map(|(path, value)| format!("`{path}` is {}", short(value))).collect();
        if words.is_empty() { "it reads nothing".to_owned() } else { words.join(", ") }
    }

    /// The open gate of a step: since when, until when, with which votes. The attempt's number is the last.
    pub(crate) fn open_gate_of(&self, i: usize) -> Option<(&Waiting, u32)> {
        match &self.stage.steps[i].phase {
            Phase::Gate(waiting) => Some((waiting, attempt_number(&self.stage.steps[i]))),
            _ => None,
        }
    }
}

fn told(asked: &[(&str, bool)]) -> Value {
    asked.iter().map(|(condition, holds)| json!({ "condition": condition, "holds": holds })).collect()
}

/// A value as JSON, cut to what a sentence can hold.
pub(crate) fn short(value: &Value) -> String {
    const MAX_CHARS: usize = 80;
    let text = value.to_string();
    if text.chars().count() <= MAX_CHARS {
        return text;
    }
    text.chars().take(MAX_CHARS).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approvers_are_named_by_name_or_address() {
        let named =
            |who: &[&str], by, email| is_named(&who.iter().map(|&who| who.to_owned()).collect::<Vec<_>>(), by, email);
        let table = [
            (&["ada"][..], "ada", None, true),
            (&["Ada"], "aDA", None, true),
            (&["Zoë"], "ZOË", None, true),
            (&["ada@x.test"], "ada", None, false),
            (&["ADA@x.test"], "ada", Some("ada@X.test"), true),
            (&["bob", "ada"], "ada", None, true),
            (&["bob"], "ada", Some("ada@x.test"), false),
            (&["ad"], "ada", None, false),
            (&[], "ada", None, false),
        ];
        for (who, by, email, expect) in table {
            assert_eq!(named(who, by, email), expect, "{who:?} {by} {email:?}");
        }
    }
}
