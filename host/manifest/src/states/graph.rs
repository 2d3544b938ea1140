//! How the states of a workflow hang together, and what can be read at a place in it.

use crate::expression::States;
use std::collections::{BTreeSet, HashMap};

/// The states, by their places in the plan.
pub(super) struct Graph<'n> {
    pub(super) index: HashMap<&'n str, usize>,
    /// Where each leads, in written order.
    pub(super) next: Vec<Vec<usize>>,
    /// A bit for each state that another can lead to, by at least one transition.
    closure: Vec<u64>,
    /// Whether a transition into it gives feedback.
    pub(super) feedback: Vec<bool>,
    /// The names that may follow the state's own in a template, where their list is closed.
    pub(super) results: Vec<Option<Vec<String>>>,
    /// What is put on the blackboard: the workflow's `context`, and results by their keys.
    pub(super) puts: BTreeSet<&'n str>,
}

impl<'n> Graph<'n> {
    pub(super) fn new(index: HashMap<&'n str, usize>, next: Vec<Vec<usize>>) -> Self {
        let count = next.len();
        let words = count.div_ceil(64);
        let mut closure = vec![0u64; count * words];
        for from in 0..count {
            for to in reached(&next, &next[from]) {
                closure[from * words + to / 64] |= 1 << (to % 64);
            }
        }
        Graph { index, next, closure, feedback: vec![false; count], results: vec![None; count], puts: BTreeSet::new() }
    }

    /// Whether `from` can lead to `to`, by at least one transition.
    pub(super) fn leads(&self, from: usize, to: usize) -> bool {
        let words = self.next.len().div_ceil(64);
        self.closure[from * words + to / 64] & (1 << (to % 64)) != 0
    }
}

/// Everything that can be reached from `starts`, which are in it.
fn reached(next: &[Vec<usize>], starts: &[usize]) -> Vec<usize> {
    let mut seen = vec![false; next.len()];
    let mut found = Vec::new();
    let mut open = starts.to_vec();
    while let Some(state) = open.pop() {
        if !std::mem::replace(&mut seen[state], true) {
            found.push(state);
            open.extend(&next[state]);
        }
    }
    found
}

/// The states as an expression of state `at` sees them.
pub(super) struct View<'g, 'n> {
    pub(super) graph: &'g Graph<'n>,
    pub(super) at: usize,
    /// The state has ended, as where a transition is taken.
    pub(super) ended: bool,
}

impl States for View<'_, '_> {
    fn names(&self) -> Vec<&str> {
        self.graph.index.keys().copied().collect()
    }
    fn exists(&self, name: &str) -> bool {
        self.graph.index.contains_key(name)
    }
    fn may_have_ended(&self, name: &str) -> bool {
        let Some(state) = self.graph.index.get(name).copied() else { return false };
        (self.ended && state == self.at) || self.graph.leads(state, self.at)
    }
    fn results(&self, name: &str) -> Option<Vec<&str>> {
        let results = self.graph.results[*self.graph.index.get(name)?].as_ref()?;
        Some(results.iter().map(String::as_str).collect())
    }
    fn has_feedback(&self) -> bool {
        self.graph.feedback[self.at]
    }
    fn puts(&self, name: &str) -> bool {
        self.graph.puts.contains(name)
    }
}
