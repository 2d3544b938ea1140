//! What a run carries out: the loader's result, and the engine's input.
//!
//! A [`Plan`] is complete and self-contained: it is stored with the run, and a run that is resumed a week later reads
//! nothing else. Templates are still in it; [`crate::template`] renders them step by step, while the run goes on.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use windlass_contract::{EffectClass, PluginRef, StepName};

/// How long a step may take when neither it nor its configuration says: 5 minutes, long enough for most builds and
/// short enough that a forgotten step does not hold a machine overnight. There is no hidden cap above what is written.
pub const DEFAULT_TIMEOUT_MS: u64 = 300_000;

/// How long a gate, or a run that waits for another, may take when it does not say: 24 hours. People sleep.
pub const DEFAULT_WAIT_MS: u64 = 24 * 60 * 60 * 1000;
/// How long a scheduled gate may take when it does not say: a week, in which every window opens.
pub const DEFAULT_SCHEDULE_WAIT_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// The name of the one state of a `steps:` pipeline.
pub const MAIN_STATE: &str = "main";

/// How often a state may be entered in one run when it does not say: 5.
pub const DEFAULT_STATE_VISITS: u32 = 5;
/// The most that a state may ask for: 20. A loop that needs more repairs nothing.
pub const MAX_STATE_VISITS: u32 = 20;
/// How many transitions a run may take when its workflow does not say: 50.
pub const DEFAULT_TRANSITIONS: u32 = 50;
/// The most that a workflow may ask for: 100.
pub const MAX_TRANSITIONS: u32 = 100;

/// The volume that every run has: where the pipeline's folder is copied to, and what steps share unless they say otherwise.
pub const WORKSPACE_VOLUME: &str = "workspace";

/// A pipeline that was checked: states of steps. A `steps:` pipeline has one state, called [`MAIN_STATE`].
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The pipeline's name, for people.
    pub name: String,
    /// The inputs it declares.
    pub inputs: BTreeMap<String, InputDecl>,
    /// Whether it takes inputs that it does not declare: workflows name what they read and declare nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub open_inputs: bool,
    /// The environment that the pipeline declares: template text over `inputs` and `run`. It is already merged into the
    /// configuration of each step that takes one; here it is what `{{ env.NAME }}` reads.
    pub env: BTreeMap<String, String>,
    /// What `{{ blackboard.NAME }}` reads from the beginning: a workflow's `context`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub blackboard: Map<String, Value>,
    /// The folders that the steps of a run share, by name. [`WORKSPACE_VOLUME`] is always among them.
    pub volumes: BTreeMap<String, Volume>,
    /// Its states, at least one.
    pub states: Vec<State>,
    /// The index of the state that a run begins in.
    pub initial: usize,
    /// How many transitions a run may take before it fails.
    #[serde(default = "default_transitions")]
    pub max_transitions: u32,
    /// Which runs it waits for before it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// The plans that its sub-runs carry out, by the name that [`SubRun::workflow`] has. Complete: what those run in turn is
    /// in them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub workflows: BTreeMap<String, Plan>,
    /// Whether a missing value in a template is an error everywhere.
    pub strict: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn default_transitions() -> u32 {
    DEFAULT_TRANSITIONS
}

fn default_visits() -> u32 {
    DEFAULT_STATE_VISITS
}

impl Plan {
    /// Every step of every state, in written order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.states.iter().flat_map(|state| &state.steps)
    }

    /// What every plugin step of every state asks of its plugin.
    pub fn plugin_steps(&self) -> impl Iterator<Item = (&Step, &PluginWork)> {
        self.steps().filter_map(|step| Some((step, step.plugin()?)))
    }

    /// The step types that no installed plugin provides, with the first step that wants each: such a plan can be looked at and
    /// not run. Those of sub-runs are among them.
    pub fn absent(&self) -> BTreeMap<&str, &StepName> {
        let own = self.steps().filter_map(|step| match &step.work {
            Work::Absent { step_type } => Some((step_type.as_str(), &step.name)),
            _ => None,
        });
        let mut absent = BTreeMap::new();
        for (step_type, step) in own.chain(self.workflows.values().flat_map(Plan::absent)) {
            absent.entry(step_type).or_insert(step);
        }
        absent
    }
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

/// A folder that the steps of a run share.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Whether it outlives the run, and the next run of the same pipeline begins with it.
    pub persistent: bool,
}

/// Runs that are carried out one after the other, in the order of their creation. Nothing is ever dropped.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    /// The group's name: template text over `inputs`, `env` and `run`.
    pub group: String,
    /// How many runs of the group may go on at once; at least 1.
    pub limit: u32,
}

/// A graph of steps, and where the run goes from it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Its name.
    pub name: String,
    /// What people call it, where that is more than its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its steps in written order; each `needs` names others of them, and there is no cycle. May be empty.
    pub steps: Vec<Step>,
    /// When it counts as succeeded.
    #[serde(default)]
    pub completion: Completion,
    /// What `{{ NAME }}` reads once it has ended.
    #[serde(default)]
    pub result: ResultShape,
    /// Where the run goes next: the first that matches. Empty: the run ends here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transitions: Vec<Transition>,
    /// A run that ends here has failed, however well the state went.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fails: bool,
    /// How often a run may enter it.
    #[serde(default = "default_visits")]
    pub max_visits: u32,
}

impl State {
    /// A state of these steps that the run ends in, as a `steps:` pipeline has.
    pub fn of(name: impl Into<String>, steps: Vec<Step>) -> Self {
        State {
            name: name.into(),
            title: None,
            steps,
            completion: Completion::default(),
            result: ResultShape::default(),
            transitions: Vec::new(),
            fails: false,
            max_visits: DEFAULT_STATE_VISITS,
        }
    }
}

/// When a state counts as succeeded.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum Completion {
    /// When no step has failed but those that may.
    #[default]
    AllSucceed,
    /// When at least one step has succeeded.
    AnySucceed,
    /// Always.
    BestEffort,
}

/// What a state's name reads in templates once it has ended.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum ResultShape {
    /// An object of the steps' results, as for parallel containers: by these names, in the order of the steps, or by the steps'
    /// own names where this is empty.
    ByStep(Vec<String>),
    /// The results of its only step.
    Single,
    /// The agreement of agents, each of which is a step.
    Agents(Consensus),
}

impl Default for ResultShape {
    fn default() -> Self {
        ResultShape::ByStep(Vec::new())
    }
}

/// How the scores of agents become one.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Consensus {
    /// By which rule.
    pub strategy: ConsensusStrategy,
    /// The weight of each agent, in the order of the state's steps; not negative.
    pub weights: Vec<f64>,
    /// From which score on an agent approves, in 0 to 1.
    pub threshold: f64,
    /// How many agents must have given a score; with fewer, the state has failed.
    pub min_judges: u32,
    /// How much of the confidence is agreement, and how much the agents' own confidence: two parts of 1.
    pub confidence_weighting: ConfidenceWeighting,
}

/// Of what the confidence of a weighted average is made.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ConfidenceWeighting {
    /// The part of agreement.
    pub agreement_factor: f64,
    /// The part of the agents' own confidence.
    pub self_confidence_factor: f64,
}

impl Default for ConfidenceWeighting {
    fn default() -> Self {
        ConfidenceWeighting { agreement_factor: 0.7, self_confidence_factor: 0.3 }
    }
}

/// The rule by which scores become one.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ConsensusStrategy {
    /// The mean, weighted.
    WeightedAverage,
    /// 1 when more agents approve than not, 0 when fewer, 0.5 when as many.
    Majority,
    /// The mean when every agent approves, else 0.
    Unanimous,
    /// The weighted mean of the `n` best by score times confidence.
    BestOfN {
        /// How many; at least 1.
        n: u32,
    },
}

/// A way out of a state.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    /// When it is taken.
    pub condition: Condition,
    /// The index of the state that it leads to.
    pub target: usize,
    /// Template text, rendered when it is taken, against the state that is left: the target's `{{ state.feedback }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
}

/// When a transition is taken. Names and bounds are those of the documented dialect; `on_error` and `on_timeout` are ours.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Condition {
    /// In any case.
    Always,
    /// The state has succeeded.
    OnSuccess,
    /// The state has failed. What the infrastructure is to blame for counts only where no `on_error` is there to take it.
    OnFailure,
    /// The infrastructure is to blame: an image, a mount, the engine, memory, time.
    OnError,
    /// Its time was over.
    OnTimeout,
    /// Its exit code is 0.
    ExitCodeZero,
    /// It has an exit code, and that is not 0.
    ExitCodeNonZero,
    /// Its exit code is this one.
    ExitCode {
        /// The code.
        value: i64,
    },
    /// Its score is above this.
    ScoreAbove {
        /// The bound, which itself is not above it.
        threshold: f64,
    },
    /// Its score is below this.
    ScoreBelow {
        /// The bound, which itself is not below it.
        threshold: f64,
    },
    /// Its score is between these.
    ScoreBetween {
        /// The lowest that counts.
        min: f64,
        /// The highest that counts.
        max: f64,
    },
    /// Its confidence is above this.
    ConfidenceAbove {
        /// The bound, which itself is not above it.
        threshold: f64,
    },
    /// Both its score and its confidence are above this.
    ScoreAndConfidenceAbove {
        /// The bound, which itself is not above it.
        threshold: f64,
    },
    /// Its score and its agreement are at least these.
    Consensus {
        /// The lowest score that counts.
        threshold: f64,
        /// The lowest agreement that counts.
        agreement: f64,
    },
    /// Every agent's score is at least 0.8.
    AllApproved,
    /// Some agent's score is below 0.8.
    AnyRejected,
    /// The answer is exactly this.
    InputEquals {
        /// The answer.
        value: String,
    },
    /// The answer is yes, y or 1, in any case.
    InputEqualsYes,
    /// The answer is no, n or 0, in any case.
    InputEqualsNo,
    /// This expression is true.
    Custom {
        /// The expression.
        expression: String,
    },
}

/// One step.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name, unique in the plan.
    pub name: StepName,
    /// What it does.
    pub work: Work,
    /// The steps that must have ended before it starts: as written, or the step before it.
    pub needs: Vec<StepName>,
    /// The text of its `if`. `None` is `success()`.
    pub condition: Option<String>,
    /// How long one attempt may take, in milliseconds. A gate that is open for so long takes its default.
    pub timeout_ms: u64,
    /// When it is tried again.
    pub retry: Retry,
    /// What its failure does to the run.
    pub on_failure: OnFailure,
}

impl Step {
    /// What it asks of its plugin, where a plugin carries it out.
    pub fn plugin(&self) -> Option<&PluginWork> {
        match &self.work {
            Work::Plugin(work) => Some(work),
            _ => None,
        }
    }
}

/// What a step does. What a plugin does is installed; gates and sub-runs are the engine's own, as `needs` and `if` are.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// A plugin carries it out.
    Plugin(PluginWork),
    /// It waits for people, for conditions, or for a time.
    Gate(Gate),
    /// It runs another workflow.
    SubRun(SubRun),
    /// No installed plugin provides its type: the plan can be looked at, and not run.
    Absent {
        /// The type that was asked for.
        step_type: String,
    },
}

/// A step that a plugin carries out.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PluginWork {
    /// The plugin, pinned.
    pub plugin: PluginRef,
    /// Which of that plugin's step types, such as `step.shell_exec`.
    pub step_type: String,
    /// What may be done with an attempt that was in flight when the host died.
    pub effect: EffectClass,
    /// Its configuration. Templates are still in it, and the pipeline's `env` is merged in.
    pub config: Value,
    /// JSON pointers of the strings in `config` that are rendered, and how. A string that is not listed reaches the
    /// plugin as it was written, whatever it holds.
    pub treatment: BTreeMap<String, Treatment>,
    /// JSON pointers of the strings in `config` that are one `{{ expression }}` where the schema takes no text: the value
    /// stays what it is, and must be one of these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub typed: BTreeMap<String, BTreeSet<Scalar>>,
}

/// A step that runs another workflow, as a run of its own with its own volumes.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SubRun {
    /// Which: a key of [`Plan::workflows`].
    pub workflow: String,
    /// Whether this run waits for it. Otherwise it has succeeded as soon as the other one has begun.
    pub wait: bool,
    /// The inputs: each template text, or one that is a single expression whose value stays what it is.
    pub inputs: Map<String, Value>,
    /// Template text that is read as a JSON object when it is one, and else is the input `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Under which name on the blackboard the result is kept too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_key: Option<String>,
}

/// A step that waits.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// For people who approve or reject.
    Manual(ManualGate),
    /// For a person's answer.
    Question(Question),
    /// For nobody: it is open or not, by its conditions, all of which must hold.
    Automated {
        /// Expressions.
        conditions: Vec<String>,
    },
    /// For a time.
    Scheduled(Schedule),
}

/// A gate that people decide about.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ManualGate {
    /// What they are asked: template text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Who may decide; empty: anybody.
    pub approvers: Vec<String>,
    /// How many must approve; at least 1. One who rejects is enough.
    pub quorum: u32,
    /// Whether who began the run may approve it.
    pub self_approval: bool,
    /// Expressions: where there are some and all hold, nobody is asked.
    pub auto_approve: Vec<String>,
    /// What counts when the time is over.
    pub on_timeout: GateDefault,
}

/// What a gate counts as when nobody has decided in time.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum GateDefault {
    /// As rejected.
    #[default]
    Reject,
    /// As approved.
    Approve,
}

/// A gate that a person answers in words.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What is asked: template text.
    pub prompt: String,
    /// The answer that counts when the time is over; without one, the step has timed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_response: Option<String>,
}

/// When a scheduled gate is open.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// It is open within any of these; at least one.
    pub windows: Vec<Window>,
    /// The IANA name of the time zone that hours and weekdays are read in.
    pub timezone: String,
}

/// A part of the week.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The days on which it begins, 1 for Monday to 7 for Sunday; empty: every day.
    pub weekdays: BTreeSet<u8>,
    /// The hour at which it begins, 0 to 23.
    pub start_hour: u8,
    /// The hour at which it ends, 0 to 24, not itself in it. One that is not after `start_hour` is on the next day. With
    /// `start_hour` 0 and `end_hour` 24 it is the whole day.
    pub end_hour: u8,
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
    /// Whether each wait is shortened by a part that the run and the attempt decide, so that many runs that failed together
    /// do not come back together.
    #[serde(default, skip_serializing_if = "is_false")]
    pub jitter: bool,
    /// Which failures are tried again.
    pub on: BTreeSet<RetryOn>,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { max_attempts: 1, backoff_ms: 0, jitter: false, on: BTreeSet::from([RetryOn::Infrastructure]) }
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
