//! How a trigger works: what is said of it, and what is wrong with that.

use super::{globs::Globs, schedule};
use crate::Problem;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use windlass_contract::CodedError as _;
use windlass_manifest::event;

/// How many inputs a trigger may set, and how long they may be as JSON, in bytes: a form, not a data store.
const MAX_INPUTS: usize = 100;
/// See [`MAX_INPUTS`]: 64 KiB.
const MAX_INPUT_BYTES: usize = 64 << 10;
/// How many globs a list may have: 100.
const MAX_GLOBS: usize = 100;
/// How long a glob may be, in bytes: 512, a long path.
const MAX_GLOB_BYTES: usize = 512;

/// What filters and inputs of a webhook may read of `event`.
const WEBHOOK_PARTS: &[&str] = &["body", "headers"];
/// The same of a repository.
const GITHUB_PARTS: &[&str] = &["body", "headers", "github"];
/// The same of a schedule.
const SCHEDULE_PARTS: &[&str] = &["time_ms", "time"];

/// How a trigger works.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum TriggerSpec {
    /// Any system that can send a signed request.
    Webhook {
        /// When it begins a run: an expression over `event.body` and `event.headers`, such as `event.body.action == 'published'`; always without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filter: Option<String>,
        /// Inputs of the run: templates over `event`.
        #[serde(default)]
        #[schema(value_type = Object)]
        inputs: Map<String, Value>,
    },
    /// A repository at GitHub, or at what speaks as it does.
    Github {
        /// For which events: `push`, `pull_request`, `tag`.
        events: Vec<GithubEvent>,
        /// For which branches (of a pull request: those that it goes to), as globs; all without them.
        #[serde(default)]
        branches: Vec<String>,
        /// For which tags, as globs; all without them.
        #[serde(default)]
        tags: Vec<String>,
        /// For changes of which files, as globs; `!` before one takes away. All without them. It is about pushes: where the files that
        /// have changed are not all known, a run is begun.
        #[serde(default)]
        paths: Vec<String>,
        /// Whether pull requests from forks begin runs. What is in them was written by people who may not write to the repository.
        #[serde(default)]
        forks: bool,
        /// As of a webhook; it may read `event.github` too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filter: Option<String>,
        /// As of a webhook; they may read `event.github` too.
        #[serde(default)]
        #[schema(value_type = Object)]
        inputs: Map<String, Value>,
    },
    /// Times.
    Schedule {
        /// Five fields of cron, such as `0 9 * * 1-5`.
        cron: String,
        /// The time zone, such as `Europe/Berlin`; UTC without it.
        #[serde(default = "utc")]
        time_zone: String,
        /// What to do when the run before still goes on.
        #[serde(default)]
        overlap: Overlap,
        /// What to do about times at which no server was there.
        #[serde(default)]
        missed: Missed,
        /// Inputs of the run: templates over `event.time_ms` and `event.time`.
        #[serde(default)]
        #[schema(value_type = Object)]
        inputs: Map<String, Value>,
    },
}

fn utc() -> String {
    "UTC".to_owned()
}

/// The events of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GithubEvent {
    /// A branch has new commits.
    Push,
    /// A pull request was opened, reopened, or has new commits.
    PullRequest,
    /// A tag was made.
    Tag,
}

impl GithubEvent {
    pub(crate) fn name(self) -> &'static str {
        match self {
            GithubEvent::Push => "push",
            GithubEvent::PullRequest => "pull_request",
            GithubEvent::Tag => "tag",
        }
    }
}

/// What a schedule does when the run before still goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Overlap {
    /// Begin nothing.
    #[default]
    Skip,
    /// Begin when that one has ended; one at most waits.
    Queue,
    /// Begin beside it.
    Allow,
    /// Ask that one to stop, and begin when it has.
    CancelPrevious,
}

/// What a schedule does about times at which no server was there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Missed {
    /// Nothing.
    #[default]
    Skip,
    /// Begin one run for all of them.
    RunOnce,
}

impl TriggerSpec {
    /// What kind of trigger it is.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            TriggerSpec::Webhook { .. } => "webhook",
            TriggerSpec::Github { .. } => "github",
            TriggerSpec::Schedule { .. } => "schedule",
        }
    }

    /// Whether requests come to it.
    pub(crate) fn is_hook(&self) -> bool {
        !matches!(self, TriggerSpec::Schedule { .. })
    }

    /// The inputs that it gives its runs, as templates.
    pub(crate) fn inputs(&self) -> &Map<String, Value> {
        match self {
            TriggerSpec::Webhook { inputs, .. }
            | TriggerSpec::Github { inputs, .. }
            | TriggerSpec::Schedule { inputs, .. } => inputs,
        }
    }

    /// Its filter.
    pub(crate) fn filter(&self) -> Option<&str> {
        match self {
            TriggerSpec::Webhook { filter, .. } | TriggerSpec::Github { filter, .. } => filter.as_deref(),
            TriggerSpec::Schedule { .. } => None,
        }
    }

    /// When it comes next after `now`; `None` for what has no times, or never comes.
    pub(crate) fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            TriggerSpec::Schedule { cron, time_zone, .. } => {
                schedule::Times::parse(cron, time_zone).ok()?.next_after(now)
            }
            _ => None,
        }
    }

    /// Everything that is wrong with it, each at its place.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        let mut wrong: Vec<(String, String)> = Vec::new();
        let parts = match self {
            TriggerSpec::Webhook { .. } => WEBHOOK_PARTS,
            TriggerSpec::Github { .. } => GITHUB_PARTS,
            TriggerSpec::Schedule { .. } => SCHEDULE_PARTS,
        };
        let mut help = None;
        if let Some(filter) = self.filter()
            && let Err(error) = event::check_filter(filter, parts)
        {
            wrong.push(("/spec/filter".to_owned(), error.to_string()));
            help = error.help();
        }
        let inputs = self.inputs();
        let size = serde_json::to_vec(inputs).map_or(usize::MAX, |bytes| bytes.len());
        if inputs.len() > MAX_INPUTS || size > MAX_INPUT_BYTES {
            let words = format!("at most {MAX_INPUTS} inputs with {MAX_INPUT_BYTES} bytes are taken");
            wrong.push(("/spec/inputs".to_owned(), words));
        } else {
            for error in event::check_inputs(inputs, parts) {
                wrong.push((format!("/spec/inputs{}", error.pointer), error.to_string()));
                help = help.or(error.help);
            }
        }
        match self {
            TriggerSpec::Webhook { .. } => {}
            TriggerSpec::Github { events, branches, tags, paths, .. } => {
                if events.is_empty() {
                    wrong.push(("/spec/events".to_owned(), "name at least one event".to_owned()));
                }
                for (place, globs) in [("branches", branches), ("tags", tags), ("paths", paths)] {
                    if globs.len() > MAX_GLOBS || globs.iter().any(|glob| glob.len() > MAX_GLOB_BYTES) {
                        let words = format!("at most {MAX_GLOBS} globs of {MAX_GLOB_BYTES} bytes are taken");
                        wrong.push((format!("/spec/{place}"), words));
                    } else if let Err((index, why)) = Globs::new(globs) {
                        wrong.push((format!("/spec/{place}/{index}"), why));
                    }
                }
            }
            TriggerSpec::Schedule { cron, time_zone, .. } => match schedule::Times::parse(cron, time_zone) {
                Ok(times) if times.next_after(Timestamp::now()).is_none() => {
                    wrong.push(("/spec/cron".to_owned(), "this time never comes".to_owned()));
                }
                Ok(_) => {}
                Err((field, why)) => wrong.push((format!("/spec/{field}"), why)),
            },
        }
        let mut wrong = wrong.into_iter();
        let Some((pointer, why)) = wrong.next() else { return Ok(()) };
        let problem = wrong.fold(Problem::field(&pointer, why), |problem, (pointer, why)| problem.at(pointer, why));
        Err(Problem { help, ..problem })
    }
}
