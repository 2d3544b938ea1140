//! Graphs of steps that do nothing, each of any length.

use super::{
    home::{plan, step},
    noop,
};
use serde_json::json;
use windlass_contract::{PluginRef, StepName};
use windlass_manifest::plan::Plan;

/// How many steps a layer has.
const WIDTH: u32 = 10;
/// Which of the layer before a step needs, counted from the place of its own.
const REACH: [u32; 3] = [0, 3, 7];

/// How the steps of a pipeline need each other.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// Each the one before it.
    Chain,
    /// All the first one.
    FanOut,
    /// In layers of ten, each three of the layer before.
    Layered,
}

impl Shape {
    pub(crate) const ALL: [Shape; 3] = [Shape::Chain, Shape::FanOut, Shape::Layered];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Shape::Chain => "chain",
            Shape::FanOut => "fan-out",
            Shape::Layered => "layered",
        }
    }

    /// The steps that step `n` needs, both counted from 0.
    pub(crate) fn needs(self, n: u32) -> Vec<u32> {
        match self {
            _ if n == 0 => Vec::new(),
            Shape::Chain => vec![n - 1],
            Shape::FanOut => vec![0],
            Shape::Layered if n < WIDTH => Vec::new(),
            Shape::Layered => {
                let before = n / WIDTH * WIDTH - WIDTH;
                REACH.map(|reach| before + (n + reach) % WIDTH).to_vec()
            }
        }
    }

    /// A plan of `count` steps.
    pub(crate) fn plan(self, plugin: &PluginRef, count: u32) -> anyhow::Result<Plan> {
        let steps = (0..count).map(|n| {
            let needs = self.needs(n).into_iter().map(|need| name(need).parse());
            step(&name(n), plugin, noop::STEP_TYPE, json!({}), &needs.collect::<Result<Vec<StepName>, _>>()?)
        });
        Ok(plan(&format!("{}-{count}", self.name()), steps.collect::<anyhow::Result<_>>()?))
    }
}

/// What step `n` is called.
pub(crate) fn name(n: u32) -> String {
    format!("s{n}")
}
