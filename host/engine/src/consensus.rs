//! How the scores of agents become one. Pure arithmetic.
//!
//! With scores `s`, the agents' own confidences `c` and weights `w`:
//! - **weighted_average**: score Σws / Σw; confidence = agreement·af + (Σwc / Σw)·scf.
//! - **majority**: 1, 0, or 0.5 on a tie, of those with `s` ≥ threshold; confidence = |p − f| / n · 0.7 + mean(c) · 0.3.
//! - **unanimous**: mean(s) when all are ≥ threshold, else 0; confidence = min(c).
//! - **best_of_n**: of the n best by s·c, the weighted mean score and the mean confidence.
//!
//! Agreement is 1 − min(variance / 0.25, 1) of the unweighted scores: 1 when all say the same, 0 when half say 0 and half 1.

use serde::Serialize;
use windlass_manifest::plan::{Consensus, ConsensusStrategy};

/// The variance of scores of which half are 0 and half 1: the greatest there is.
const GREATEST_VARIANCE: f64 = 0.25;

/// What one agent has said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) score: f64,
    pub(crate) confidence: f64,
    pub(crate) weight: f64,
}

/// What all have said together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Agreed {
    pub(crate) score: f64,
    pub(crate) confidence: f64,
    pub(crate) agreement: f64,
    /// Whether the score is at least the threshold.
    pub(crate) binary_valid: bool,
    pub(crate) strategy: &'static str,
    pub(crate) judges: usize,
    pub(crate) pass_votes: usize,
    pub(crate) fail_votes: usize,
}

/// The consensus; an error in words where the rule gives none.
pub(crate) fn agree(rule: &Consensus, judgements: &[Judgement]) -> Result<Agreed, String> {
    let needed = usize::try_from(rule.min_judges.max(1)).unwrap_or(usize::MAX);
    if judgements.len() < needed {
        return Err(format!("{} of the agents gave a score, and {needed} must", judgements.len()));
    }
    let scores = || judgements.iter().map(|each| each.score);
    let confidences = || judgements.iter().map(|each| each.confidence);
    let passed = scores().filter(|score| *score >= rule.threshold).count();
    let failed = judgements.len() - passed;
    let middle = mean(scores());
    let variance = mean(scores().map(|score| (score - middle).powi(2)));
    let agreement = 1.0 - (variance / GREATEST_VARIANCE).min(1.0);
    let (strategy, score, confidence) = match rule.strategy {
        ConsensusStrategy::WeightedAverage => {
            let weighting = rule.confidence_weighting;
            let own = weighted(judgements, |each| each.confidence)?;
            let confidence = agreement * weighting.agreement_factor + own * weighting.self_confidence_factor;
            ("weighted_average", weighted(judgements, |each| each.score)?, confidence)
        }
        ConsensusStrategy::Majority => {
            let score = match passed.cmp(&failed) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Less => 0.0,
                std::cmp::Ordering::Equal => 0.5,
            };
            #[allow(clippy::cast_precision_loss, reason = "a few agents")]
            let margin = passed.abs_diff(failed) as f64 / judgements.len() as f64;
            ("majority", score, margin * 0.7 + mean(confidences()) * 0.3)
        }
        ConsensusStrategy::Unanimous => {
            let score = if failed == 0 { middle } else { 0.0 };
            ("unanimous", score, confidences().fold(f64::INFINITY, f64::min))
        }
        ConsensusStrategy::BestOfN { n } => {
            let mut best = judgements.to_vec();
            // Stable: of equals, the one that is written first.
            best.sort_by(|a, b| (b.score * b.confidence).total_cmp(&(a.score * a.confidence)));
            best.truncate(usize::try_from(n.max(1)).unwrap_or(usize::MAX));
            ("best_of_n", weighted(&best, |each| each.score)?, mean(best.iter().map(|each| each.confidence)))
        }
    };
    let score = tidy(score);
    Ok(Agreed {
        score,
        confidence: tidy(confidence),
        agreement: tidy(agreement),
        binary_valid: score >= rule.threshold,
        strategy,
        judges: judgements.len(),
        pass_votes: passed,
        fail_votes: failed,
    })
}

/// Without the last digits, which are of the computation and not of the scores: (0.7 + 3 × 0.9) / 4 is 0.85 and not a little more.
fn tidy(value: f64) -> f64 {
    const DIGITS: f64 = 1e12;
    (value * DIGITS).round() / DIGITS
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count == 0.0 { 0.0 } else { sum / count }
}

fn weighted(judgements: &[Judgement], of: impl Fn(&Judgement) -> f64) -> Result<f64, String> {
    let weights: f64 = judgements.iter().map(|each| each.weight).sum();
    if weights <= 0.0 {
        return Err("the weights of the agents that gave a score come to nothing".to_owned());
    }
    Ok(judgements.iter().map(|each| each.weight * of(each)).sum::<f64>() / weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use windlass_manifest::plan::ConfidenceWeighting;

    fn rule(strategy: ConsensusStrategy, threshold: f64, min_judges: u32) -> Consensus {
        let confidence_weighting = ConfidenceWeighting::default();
        Consensus { strategy, weights: Vec::new(), threshold, min_judges, confidence_weighting }
    }

    /// Judgements as (score, confidence, weight).
    fn judged(all: &[(f64, f64, f64)]) -> Vec<Judgement> {
        all.iter()
            .map(|(score, confidence, weight)| Judgement { score: *score, confidence: *confidence, weight: *weight })
            .collect()
    }

    #[test]
    fn a_score_has_no_digits_of_its_computation() {
        let rule = rule(ConsensusStrategy::WeightedAverage, 0.85, 1);
        let agreed = agree(&rule, &judged(&[(0.7, 0.9, 1.0), (0.9, 0.8, 3.0)])).expect("a consensus");
        #[allow(clippy::float_cmp, reason = "that is the point")]
        let is_exact = agreed.score == 0.85;
        assert!(is_exact, "{}", agreed.score);
    }

    #[track_caller]
    fn check(strategy: ConsensusStrategy, threshold: f64, all: &[(f64, f64, f64)], expect: (f64, f64, f64)) {
        let agreed = agree(&rule(strategy, threshold, 1), &judged(all)).expect("a consensus");
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let found = (agreed.score, agreed.confidence, agreed.agreement);
        assert!(
            near(found.0, expect.0) && near(found.1, expect.1) && near(found.2, expect.2),
            "{strategy:?} of {all:?}: (score, confidence, agreement) is {found:?}, not {expect:?}"
        );
        assert_eq!(agreed.binary_valid, agreed.score >= threshold);
    }

    #[test]
    fn the_formulas() {
        use ConsensusStrategy::{BestOfN, Majority, Unanimous, WeightedAverage};
        // Σws/Σw = (1.5·0.9 + 1·0.7)/2.5; variance 0.01; Σwc/Σw = (1.5·0.8 + 1·0.6)/2.5 = 0.72.
        let two = [(0.9, 0.8, 1.5), (0.7, 0.6, 1.0)];
        check(WeightedAverage, 0.8, &two, (0.82, 0.96 * 0.7 + 0.72 * 0.3, 0.96));
        check(WeightedAverage, 0.8, &[(0.5, 1.0, 1.0)], (0.5, 1.0, 1.0));
        check(WeightedAverage, 0.8, &[(0.0, 0.5, 1.0), (1.0, 0.5, 1.0)], (0.5, 0.15, 0.0));
        // An agent of weight 0 has a say in the agreement and none in the score.
        check(WeightedAverage, 0.8, &[(0.2, 0.9, 0.0), (0.8, 0.5, 2.0)], (0.8, (1.0 - 0.09 / 0.25) * 0.7 + 0.15, 0.64));
        // Two pass, one fails.
        let three = [(0.9, 0.9, 1.0), (0.7, 0.6, 1.0), (0.1, 0.3, 1.0)];
        let spread = 1.0 - (0.346_666_666_666_666_7_f64 / 3.0) / 0.25;
        check(Majority, 0.7, &three, (1.0, 1.0 / 3.0 * 0.7 + 0.6 * 0.3, spread));
        check(Majority, 0.8, &three, (0.0, 1.0 / 3.0 * 0.7 + 0.6 * 0.3, spread));
        check(Majority, 0.8, &two, (0.5, 0.7 * 0.3, 0.96));
        check(Unanimous, 0.7, &two, (0.8, 0.6, 0.96));
        check(Unanimous, 0.71, &two, (0.0, 0.6, 0.96));
        check(BestOfN { n: 2 }, 0.7, &three, (0.8, 0.75, spread));
        check(BestOfN { n: 1 }, 0.7, &three, (0.9, 0.9, spread));
        check(BestOfN { n: 9 }, 0.7, &two, (0.82, 0.7, 0.96));
    }

    #[test]
    fn too_few_and_too_light() {
        let check = |min: u32, all: &[(f64, f64, f64)], expect: &str| {
            assert_eq!(agree(&rule(ConsensusStrategy::WeightedAverage, 0.8, min), &judged(all)).unwrap_err(), expect);
        };
        check(2, &[(0.9, 0.8, 1.0)], "1 of the agents gave a score, and 2 must");
        check(1, &[], "0 of the agents gave a score, and 1 must");
        check(0, &[], "0 of the agents gave a score, and 1 must");
        check(1, &[(0.9, 0.8, 0.0)], "the weights of the agents that gave a score come to nothing");
    }

    proptest! {
        #[test]
        fn all_figures_stay_between_nothing_and_one(
            all in prop::collection::vec((0.0..=1.0, 0.0..=1.0, 0.01..10.0), 1..8),
            which in 0..4_u8, threshold in 0.0..=1.0, n in 1..4_u32,
        ) {
            let strategy = match which {
                0 => ConsensusStrategy::WeightedAverage,
                1 => ConsensusStrategy::Majority,
                2 => ConsensusStrategy::Unanimous,
                _ => ConsensusStrategy::BestOfN { n },
            };
            let agreed = agree(&rule(strategy, threshold, 1), &judged(&all)).expect("a consensus");
            for figure in [agreed.score, agreed.confidence, agreed.agreement] {
                prop_assert!((-1e-9..=1.0 + 1e-9).contains(&figure), "{agreed:?}");
            }
            prop_assert_eq!(agreed.pass_votes + agreed.fail_votes, all.len());
        }
    }
}
