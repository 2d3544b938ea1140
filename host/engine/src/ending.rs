//! The end of a state: what it came to, what its name reads from now on, and what follows.

use crate::{
    Outcome, Reason, ReasonKind, Run,
    consensus::{Agreed, Judgement, agree},
    run::{Cancel, Next, Verdict, VisitEnd, sentences},
    stage::{StepRecord, template_reason},
    transition::{Ended, choose},
};
use serde_json::{Map, Value, json};
use windlass_manifest::{
    plan::{Completion, Consensus, ResultShape, State, Work},
    template::render_text,
};

/// The confidence of an agent that gave a score and no confidence.
const DEFAULT_CONFIDENCE: f64 = 0.8;

impl Run {
    /// Every step of the present state is settled: keeps what it came to, and decides what follows.
    pub(crate) fn end_state(&mut self, at_ms: u64) {
        let (verdict, value) = self.state_result();
        let name = self.state().name.clone();
        let board = self.board();
        self.context.states.insert(name, value.clone());
        let next = match self.cancel {
            Cancel::No => self.way_out(&verdict, &value),
            Cancel::Requested | Cancel::Forced => Next::Finish(Verdict {
                outcome: Outcome::Cancelled,
                reason: Some(reason(ReasonKind::Cancelled, "the run was asked to stop".to_owned())),
            }),
        };
        let taken = match &next {
            Next::Enter { transition, .. } => Some(*transition),
            Next::Finish(_) => None,
        };
        let last = self.visits.len() - 1;
        self.visits[last].end = Some(VisitEnd { at_ms, verdict, value, board, steps: Vec::new(), taken });
        self.next = Some(next);
    }

    /// Where the run goes from a state that ended so.
    fn way_out(&mut self, verdict: &Verdict, value: &Value) -> Next {
        let state = self.state();
        if state.transitions.is_empty() {
            if state.fails && verdict.outcome == Outcome::Succeeded {
                let words = format!("it ended in the state {}, whose `outcome` is `failed`", state.name);
                return finish(Outcome::Failed, reason(ReasonKind::FailedState, words));
            }
            return Next::Finish(verdict.clone());
        }
        let ended =
            Ended { outcome: verdict.outcome, reason: verdict.reason.as_ref().map(|reason| reason.kind), value };
        let transition = match choose(&state.transitions, ended, &self.context) {
            Err(error) => return finish(Outcome::Error, template_reason(&error)),
            Ok(Some(transition)) => transition,
            Ok(None) if ended.is_infrastructure() => return Next::Finish(verdict.clone()),
            Ok(None) => {
                return finish(Outcome::Failed, reason(ReasonKind::NoMatchingTransition, no_match(state, ended)));
            }
        };
        let target = state.transitions[transition].target;
        let (name, most) = (&self.plan.states[target].name, self.plan.states[target].max_visits as usize);
        if self.visits.iter().filter(|visit| visit.state == target).count() >= most {
            let words = format!(
                "the state {name} was to be entered once more, and may be entered {most} times; raise its `max_state_visits`, or \
                 give the loop another way out"
            );
            return finish(Outcome::Failed, reason(ReasonKind::StateVisitLimit, words));
        }
        let most = self.plan.max_transitions as usize;
        if self.visits.len() > most {
            let words =
                format!("the run has taken {most} transitions, and may take no more; raise `max_total_transitions`");
            return finish(Outcome::Failed, reason(ReasonKind::TransitionLimit, words));
        }
        let feedback = match &state.transitions[transition].feedback {
            None => None,
            Some(text) => match render_text(text, &self.plan, &self.context, "feedback") {
                Ok((text, odd)) => {
                    self.warnings.extend(sentences(&odd));
                    Some(text)
                }
                Err(error) => return finish(Outcome::Error, template_reason(&error)),
            },
        };
        Next::Enter { transition, feedback }
    }

    /// What the present state came to, and what its name reads.
    pub(crate) fn state_result(&self) -> (Verdict, Value) {
        let state = self.state();
        let outcome = self.stage_outcome();
        let because = self.stage.failure.filter(|_| outcome.is_failure()).map(|(_, i)| i);
        let step_reason = because.and_then(|first| self.gravest(first, outcome)).cloned();
        let verdict = Verdict { outcome, reason: step_reason };
        match &state.result {
            ResultShape::Single if self.stage.steps.len() == 1 => {
                let value = self.step_value(0);
                (verdict, value)
            }
            ResultShape::Agents(rule) => self.agents_result(rule),
            shape => {
                // Read by nobody where the run ends: a pipeline of ten thousand steps is not copied for it.
                let value = if state.transitions.is_empty() { Value::Null } else { self.by_step(shape, &verdict) };
                (verdict, value)
            }
        }
    }

    /// The reason of the first step that ended as the state did.
    fn gravest(&self, first: usize, outcome: Outcome) -> Option<&Reason> {
        let of = |i: usize| self.stage.settled(i).filter(|end| end.outcome == outcome && !end.allowed)?.reason.as_ref();
        of(first)
            .or_else(|| (0..self.stage.steps.len()).find_map(of))
            .or_else(|| self.stage.settled(first)?.reason.as_ref())
    }

    /// What a step gave, with how it went: its results, and again under `output`, unless it gave that itself.
    fn step_value(&self, i: usize) -> Value {
        let record = &self.stage.steps[i];
        let outputs = self.context.steps.get(self.planned(i).name.as_str()).map(|step| &step.outputs);
        let mut value = outputs.cloned().unwrap_or_default();
        if !value.contains_key("output") {
            let own = Value::Object(value.clone());
            value.insert("output".to_owned(), own);
        }
        let Some(end) = record.settled() else { return Value::Object(value) };
        value.insert("status".to_owned(), Value::from(status(end.outcome)));
        value.insert("outcome".to_owned(), Value::from(end.outcome.name()));
        if let Some(reason) = &end.reason {
            value.insert("reason".to_owned(), Value::from(reason.kind.name()));
            value.insert("message".to_owned(), Value::from(reason.message.as_str()));
        }
        value.insert("attempts".to_owned(), Value::from(record.attempts.len()));
        if let Some(started) = record.attempts.first() {
            value.insert("duration_ms".to_owned(), Value::from(end.at_ms.saturating_sub(started.started_ms)));
        }
        Value::Object(value)
    }

    /// The steps' values by the names that the author gave them.
    fn by_step(&self, shape: &ResultShape, verdict: &Verdict) -> Value {
        let steps: Map<String, Value> =
            (0..self.stage.steps.len()).map(|i| (self.short_name(shape, i), self.step_value(i))).collect();
        let ends = || self.stage.steps.iter().filter_map(StepRecord::settled);
        json!({
            "status": status(verdict.outcome),
            "outcome": verdict.outcome.name(),
            "reason": verdict.reason.as_ref().map(|reason| reason.kind.name()),
            "overall_success": verdict.outcome == Outcome::Succeeded,
            "completion": match self.state().completion {
                Completion::AllSucceed => "all_succeed",
                Completion::AnySucceed => "any_succeed",
                Completion::BestEffort => "best_effort",
            },
            "succeeded": ends().filter(|end| end.outcome == Outcome::Succeeded).count(),
            "failed": ends().filter(|end| end.outcome.is_failure()).count(),
            "output": steps,
        })
    }

    /// What the author called a step: in a plan, the steps of parallel states carry their state's name too.
    fn short_name(&self, shape: &ResultShape, i: usize) -> String {
        let given = match shape {
            ResultShape::ByStep(names) => names.get(i).cloned(),
            ResultShape::Single | ResultShape::Agents(_) => None,
        };
        given.unwrap_or_else(|| self.planned(i).name.to_string())
    }

    /// The agreement of agents. One that failed gives no score, and fails nothing while enough others do.
    fn agents_result(&self, rule: &Consensus) -> (Verdict, Value) {
        let mut judgements = Vec::new();
        let mut agents = Vec::new();
        let mut scores = Vec::new();
        for i in 0..self.stage.steps.len() {
            let value = self.step_value(i);
            let figure =
                |name: &str| value.get(name).and_then(Value::as_f64).filter(|figure| (0.0..=1.0).contains(figure));
            let succeeded = self.stage.settled(i).is_some_and(|end| end.outcome == Outcome::Succeeded);
            if let Some(score) = figure("score").filter(|_| succeeded) {
                let confidence = figure("confidence").unwrap_or(DEFAULT_CONFIDENCE);
                let weight = rule.weights.get(i).copied().unwrap_or(1.0);
                judgements.push(Judgement { score, confidence, weight });
                scores.push(score);
            }
            agents.push(value);
        }
        let mut value = json!({ "agents": agents, "individual_scores": scores });
        let verdict = match agree(rule, &judgements) {
            Ok(agreed) => {
                value["consensus"] = consensus_value(&agreed);
                value["score"] = Value::from(agreed.score);
                value["confidence"] = Value::from(agreed.confidence);
                value["agreement"] = Value::from(agreed.agreement);
                Verdict { outcome: Outcome::Succeeded, reason: None }
            }
            Err(why) => {
                let failed = self.stage.failure.and_then(|(outcome, first)| self.gravest(first, outcome));
                let words = match failed {
                    Some(failed) => {
                        format!("{why}; one of them: {}", failed.message.lines().next().unwrap_or_default())
                    }
                    None => why,
                };
                Verdict { outcome: Outcome::Failed, reason: Some(reason(ReasonKind::TooFewJudges, words)) }
            }
        };
        value["status"] = Value::from(status(verdict.outcome));
        value["outcome"] = Value::from(verdict.outcome.name());
        (verdict, value)
    }

    /// What the sub-runs of the present state have put on the blackboard.
    fn board(&self) -> Map<String, Value> {
        let keys = self.state().steps.iter().filter_map(|step| match &step.work {
            Work::SubRun(sub) => sub.result_key.as_ref(),
            _ => None,
        });
        keys.filter_map(|key| Some((key.clone(), self.context.blackboard.get(key)?.clone()))).collect()
    }
}

fn consensus_value(agreed: &Agreed) -> Value {
    serde_json::to_value(agreed).unwrap_or(Value::Null)
}

fn status(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "completed",
        Outcome::Skipped => "skipped",
        _ => "failed",
    }
}

fn reason(kind: ReasonKind, message: String) -> Reason {
    Reason { kind, code: None, message }
}

fn finish(outcome: Outcome, reason: Reason) -> Next {
    Next::Finish(Verdict { outcome, reason: Some(reason) })
}

/// Each way out with what stood in its way.
fn no_match(state: &State, ended: Ended<'_>) -> String {
    let mut words: Vec<String> = Vec::new();
    for transition in &state.transitions {
        let why = ended.in_words(&transition.condition);
        if !words.contains(&why) {
            words.push(why);
        }
    }
    format!(
        "no transition of the state {} matches: {}; add one that does, such as `condition: always` at the end",
        state.name,
        words.join("; ")
    )
}
