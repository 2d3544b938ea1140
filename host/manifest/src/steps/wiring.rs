//! How the steps hang together: names, `needs`, cycles, and what one step may read of another.

use super::draft::{Draft, StepKind};
use crate::{catalogue::Entry as InstalledEntry, codes, diagnostic::Report, expression::Steps, graph::Graph};
use std::collections::HashMap;
use windlass_contract::StepName;

/// How the steps hang together.
pub(super) struct Wiring<'n> {
    pub(super) names: Vec<Option<&'n StepName>>,
    index: HashMap<&'n str, usize>,
    installed: Vec<Option<&'n InstalledEntry>>,
    /// `None` where it has a cycle, or where a step's name is not known: then nothing is said of order.
    graph: Option<Graph>,
}

impl<'n> Wiring<'n> {
    pub(super) fn new(drafts: &'n [Draft<'n>], report: &mut Report<'_>) -> Self {
        let mut index: HashMap<&str, usize> = HashMap::new();
        for (position, draft) in drafts.iter().enumerate() {
            let Some(name) = &draft.name else { continue };
            match index.get(name.as_str()) {
                Some(first) => {
                    let line = report.line_of(drafts[*first].span.start);
                    let message = format!("there are two steps called `{name}`; the first is on line {line}");
                    report.error(
                        codes::DUPLICATE_NAME,
                        draft.span.clone(),
                        message,
                        Some("give each its own name".to_owned()),
                    );
                }
                None => {
                    index.insert(name.as_str(), position);
                }
            }
        }
        let mut needs: Vec<Vec<usize>> = Vec::with_capacity(drafts.len());
        for (position, draft) in drafts.iter().enumerate() {
            needs.push(match &draft.needs {
                None => position.checked_sub(1).into_iter().collect(),
                Some(written) => {
                    let mut found = Vec::new();
                    for (name, span) in written {
                        match index.get(name.as_str()) {
                            Some(step) => found.push(*step),
                            None => {
                                let help = report.did_you_mean(name.as_str(), index.keys().copied());
                                let message = format!("there is no step `{name}`");
                                report.error(codes::UNKNOWN_STEP, span.clone(), message, help);
                            }
                        }
                    }
                    found
                }
            });
        }
        let mut wiring = Wiring {
            names: drafts.iter().map(|draft| draft.name.as_ref()).collect(),
            index,
            installed: drafts.iter().map(|draft| draft.kind.and_then(StepKind::installed)).collect(),
            graph: None,
        };
        let graph = Graph::new(needs);
        match graph.cycle() {
            Some(cycle) => wiring.report_cycle(&cycle, drafts, report),
            None => wiring.graph = Some(graph),
        }
        wiring
    }

    fn report_cycle(&self, cycle: &[usize], drafts: &[Draft<'_>], report: &mut Report<'_>) {
        const MAX_SHOWN: usize = 8;
        let name = |step: usize| self.names[step].map_or_else(|| "?".to_owned(), ToString::to_string);
        let mut chain: Vec<String> = cycle.iter().take(MAX_SHOWN).map(|step| name(*step)).collect();
        if cycle.len() > MAX_SHOWN {
            chain.push(format!("… {} more", cycle.len() - MAX_SHOWN));
        }
        chain.push(name(cycle[0]));
        // At least one step on a cycle has written what it needs: following the one before never leads back.
        let written = cycle.iter().zip(cycle.iter().cycle().skip(1)).find_map(|(step, next)| {
            drafts[*step].needs.as_ref()?.iter().find(|(need, _)| Some(need) == self.names[*next]).map(|(_, span)| span)
        });
        let span = written.cloned().unwrap_or_else(|| drafts[cycle[0]].span.clone());
        let implicit: Vec<String> = cycle
            .iter()
            .filter(|step| drafts[**step].needs.is_none())
            .take(MAX_SHOWN)
            .map(|s| format!("`{}`", name(*s)))
            .collect();
        let help = if implicit.is_empty() {
            "take one of these needs out".to_owned()
        } else {
            format!(
                "{} without `needs` follow{} the step before; give `needs: []` to what can start at once",
                implicit.join(", "),
                if implicit.len() == 1 { "s" } else { "" }
            )
        };
        let message = match cycle {
            [one] => format!("`{}` needs itself", name(*one)),
            _ => format!("these steps wait for each other: {}", chain.join(" → ")),
        };
        report.error(codes::CYCLE, span, message, Some(help));
    }
}

/// The steps as an expression of step `at` sees them.
pub(super) struct View<'w, 'n> {
    pub(super) wiring: &'w Wiring<'n>,
    pub(super) at: usize,
}

impl Steps for View<'_, '_> {
    fn own(&self) -> Option<&str> {
        self.wiring.names[self.at].map(StepName::as_str)
    }
    fn names(&self) -> Vec<&str> {
        self.wiring.index.keys().copied().collect()
    }
    fn exists(&self, name: &str) -> bool {
        self.wiring.index.contains_key(name)
    }
    fn is_needed(&self, name: &str) -> bool {
        match (&self.wiring.graph, self.wiring.index.get(name)) {
            (Some(graph), Some(earlier)) => graph.reaches(self.at, *earlier),
            _ => true,
        }
    }
    fn outputs(&self, name: &str) -> Option<Vec<&str>> {
        self.wiring.installed[*self.wiring.index.get(name)?]?.outputs()
    }
}
