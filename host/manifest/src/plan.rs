//! What a run carries out: the loader's result, and the engine's input.
//!
//! A [`Plan`] is complete and self-contained: it is stored with the run, and a run that is resumed a week later reads
//! nothing else. Templates are still in it; [`crate::template`] renders them step by step, while the run goes on.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use windlass_contract::{EffectClass, PluginRef, StepName};

/// How long a step may take when neither it nor its configuration says: 5 minutes, long enough for most builds and
/// short enough that a forgotten step does not hold a machine overnight. There is no hidden cap above what is written.
pub const DEFAULT_TIMEOUT_MS: u64 = 300_000;

/// The name of the one state of a `steps:` pipeline.
pub const MAIN_STATE: &str = "main";

/// A pipeline that was checked: states of steps. A `steps:` pipeline has one state, called [`MAIN_STATE`].
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The pipeline's name, for people.
    pub name: String,
    /// The inputs it takes.
    pub inputs: BTreeMap<String, InputDecl>,
    /// The environment that the pipeline declares: template text over `inputs` and `run`. It is already merged into the
    /// configuration of each step that takes one; here it is what `{{ env.NAME }}` reads.
    pub env: BTreeMap<String, String>,
    /// The run's shared folder.
    pub workspace: Workspace,
    /// Its states, at least one.
    pub states: Vec<State>,
    /// The index of the state that a run begins in.
    pub initial: usize,
    /// Whether a missing value in a template is an error everywhere.
    pub strict: bool,
}

/// One input of a pipeline.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct InputDecl {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: InputType,
    /// What it is when it is not given; of its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether it must be given. Never together with a default.
    pub required: bool,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// The type of an input.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum InputType {
    /// Text.
    String,
    /// A JSON number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// The folder that the steps of a run share.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(deny_unknown_fields)]
pub struct Workspace {
    /// Whether it outlives the run, and the next run of the same pipeline begins with it.
    pub persistent: bool,
}

/// A graph of steps.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Its name.
    pub name: String,
    /// Its steps in written order; each `needs` names others of them, and there is no cycle.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name, unique in the plan.
    pub name: StepName,
    /// The plugin that carries it out, pinned.
    pub plugin: PluginRef,
    /// Which of that plugin's step types, such as `step.shell_exec`.
    pub step_type: String,
    /// What may be done with an attempt that was in flight when the host died.
    pub effect: EffectClass,
    /// The steps that must have ended before it starts: as written, or the step before it.
    pub needs: Vec<StepName>,
    /// The text of its `if`. `None` is `success()`.
    pub condition: Option<String>,
    /// Its configuration. Templates are still in it, and the pipeline's `env` is merged in.
    pub config: Value,
    /// JSON pointers of the strings in `config` that are rendered, and how. A string that is not listed reaches the
    /// plugin as it was written, whatever it holds.
    pub treatment: BTreeMap<String, Treatment>,
    /// JSON pointers of the strings in `config` that are one `{{ expression }}` where the schema takes no text: the value
    /// stays what it is, and must be one of these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub typed: BTreeMap<String, BTreeSet<Scalar>>,
    /// How long one attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// When it is tried again.
    pub retry: Retry,
    /// What its failure does to the run.
    pub on_failure: OnFailure,
}

/// What a missing value does to a rendered string.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Treatment {
    /// It is empty text, with a warning.
    Lenient,
    /// It is an error.
    Strict,
    /// There are no templates here at all.
    Never,
}

/// A type that a rendered value may have where it is not text.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Scalar {
    /// A number without a fraction.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// When a step is tried again.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How many attempts there are in total; 1 is no retry.
    pub max_attempts: u32,
    /// How long to wait before the second attempt, in milliseconds. It doubles with each further one.
    pub backoff_ms: u64,
    /// Which failures are tried again.
    pub on: BTreeSet<RetryOn>,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { max_attempts: 1, backoff_ms: 0, on: BTreeSet::from([RetryOn::Infrastructure]) }
    }
}

/// A kind of failure that may be tried again.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// An image could not be pulled, a daemon did not answer.
    Infrastructure,
    /// The work was done and failed.
    NonZeroExit,
}

/// What a step's failure does to the run.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The run fails; steps that need this one are skipped.
    #[default]
    Stop,
    /// The run goes on, and steps that need this one start as if it had succeeded.
    Continue,
}
