//! The command line: every command, flag and default, and nothing else.
//!
//! Help, completions and the reference in the documentation are generated from these types.

mod plugin;
mod server;

pub(crate) use plugin::{DevArgs, InstallArgs, Lang, PluginCommand, TestArgs, UpdateArgs};
pub(crate) use server::{KeyAddArgs, KeyCommand, ServerArgs, ServerCommand, UserAddArgs, UserCommand};

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

/// Pipelines whose whole vocabulary is installed, not built in.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, propagate_version = true, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Where runs, plugins, secrets and artifacts are kept [default: ~/.windlass]
    #[arg(long, global = true, env = "WINDLASS_HOME", value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Global options")]
    pub(crate) home: Option<PathBuf>,
    /// The folder that holds windlass.lock and windlass.grants.yaml [default: the pipeline file's folder, else this one]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Global options")]
    pub(crate) project: Option<PathBuf>,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Global options")]
    pub(crate) color: ColorWhen,
    /// More of what happens inside, on standard error; twice for all of it
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a pipeline
    Run(RunArgs),
    /// Go on with a run that the host did not finish, or decide what a step's fate was
    Resume(ResumeArgs),
    /// Repeat a run that has ended: all of it, what failed, or from a step on
    Rerun(RerunArgs),
    /// List what waits for people or a time
    Gates(GatesArgs),
    /// Approve at a gate, and go on with the run if that decides it
    Approve(VoteArgs),
    /// Reject at a gate
    Reject(VoteArgs),
    /// Answer what a run asks, and go on with it
    Answer(AnswerArgs),
    /// Ask a run to stop, whoever carries it out
    Cancel(CancelArgs),
    /// Check a pipeline and print every problem at once
    Lint(LintArgs),
    /// Show what a pipeline would run, and with what permissions; touches nothing
    Plan(PlanArgs),
    /// Print a JSON Schema for editors, with every installed step type in it
    Schema,
    /// List runs, newest first, or show one
    Runs(RunsArgs),
    /// Print a run's log
    Logs(LogsArgs),
    /// Find, install, look at and publish plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Copy everything that the project has locked into a folder, to install from without any network
    Vendor {
        /// The folder, which is replaced as a whole
        #[arg(default_value = "vendor/plugins", value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Look whether this machine and this project have what runs need
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Serve the web UI and the HTTP API, and carry runs out for a team
    Server(ServerArgs),
    /// Keep secrets for pipelines to use by reference
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Look at and fetch what runs have kept
    #[command(subcommand)]
    Artifact(ArtifactCommand),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The pipeline file
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Which of the file's pipelines, where it has several
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// A value for one of the pipeline's inputs, or a JSON object of them; may be given again
    #[arg(short, long = "input", value_name = "NAME=VALUE|JSON", value_parser = parse_input)]
    pub(crate) inputs: Vec<Given>,
    /// A value on the blackboard, over what the workflow's `context` says; may be given again
    #[arg(long, value_name = "NAME=VALUE|JSON", value_parser = parse_input)]
    pub(crate) blackboard: Vec<Given>,
    /// The folder that is copied into the run's workspace (what .gitignore names is left out) [default: the file's folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "no_workspace")]
    pub(crate) workspace: Option<PathBuf>,
    /// Begin with an empty workspace
    #[arg(long)]
    pub(crate) no_workspace: bool,
    /// Refuse to run if windlass.lock would have to change
    #[arg(long)]
    pub(crate) locked: bool,
    #[command(flatten)]
    pub(crate) carrying: CarryArgs,
}

/// How a run is carried out and shown.
#[derive(Debug, Args)]
pub(crate) struct CarryArgs {
    /// Stay where the run waits for people or a gate's time, instead of leaving it to whoever decides
    #[arg(long)]
    pub(crate) wait: bool,
    /// Write a test report (JUnit XML) when the run is left
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) junit: Option<PathBuf>,
    /// Print events and log lines as JSON, one a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Print no log lines, only steps and the summary
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) quiet: bool,
}

/// A value that was given for a name, or a JSON object of several.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Given {
    One(String, String),
    All(serde_json::Map<String, serde_json::Value>),
}

#[derive(Debug, Args)]
pub(crate) struct RerunArgs {
    /// The run; `last` is the newest
    pub(crate) run: String,
    /// Only what failed, and what comes after it
    #[arg(long, conflicts_with = "from")]
    pub(crate) failed: bool,
    /// This step or state, and what comes after it
    #[arg(long, value_name = "STEP|STATE")]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) carrying: CarryArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GatesArgs {
    /// Only those of this run
    pub(crate) run: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VoteArgs {
    /// The run; `last` is the newest
    pub(crate) run: String,
    /// The gate's step [default: the only gate of the run that is open]
    pub(crate) step: Option<String>,
    /// Why, for the record
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    #[command(flatten)]
    pub(crate) carrying: CarryArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// The run; `last` is the newest
    pub(crate) run: String,
    /// The step that asks
    pub(crate) step: String,
    /// The answer
    pub(crate) answer: String,
    #[command(flatten)]
    pub(crate) carrying: CarryArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The run; `last` is the newest
    pub(crate) run: String,
    /// Why, for the record
    #[arg(short, long, value_name = "TEXT", default_value = "cancelled")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) carrying: CarryArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The run [default: the only one that is unfinished]
    pub(crate) run: Option<String>,
    /// What became of a step that nobody could tell about after a crash; may be given again
    #[arg(long = "decide", value_name = "STEP=rerun|succeeded|failed", value_parser = parse_pair)]
    pub(crate) decisions: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) carrying: CarryArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// The pipeline files
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// Which of a file's pipelines, where it has several
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// How to print what is found
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: LintFormat,
}

/// How diagnostics are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LintFormat {
    /// With the line and a caret
    Human,
    /// One JSON document
    Json,
    /// SARIF 2.1.0
    Sarif,
    /// Workflow commands that a hosted CI shows beside the code
    Github,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The pipeline file
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Which of the file's pipelines, where it has several
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// A value for one of the pipeline's inputs, or a JSON object of them; may be given again
    #[arg(short, long = "input", value_name = "NAME=VALUE|JSON", value_parser = parse_input)]
    pub(crate) inputs: Vec<Given>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Show this run in full
    pub(crate) run: Option<String>,
    /// How many to list
    #[arg(short = 'n', long, default_value_t = 20, value_name = "COUNT")]
    pub(crate) limit: u32,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The run; `last` is the newest
    pub(crate) run: String,
    /// Only this step
    pub(crate) step: Option<String>,
    /// Only this attempt [default: the last]
    #[arg(long, requires = "step", value_name = "N")]
    pub(crate) attempt: Option<u32>,
    /// Go on printing until the run ends
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Print exactly the bytes that the containers printed, and nothing else
    #[arg(long, requires = "step", conflicts_with = "json")]
    pub(crate) raw: bool,
    /// Print JSON, one entry a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Keep a secret; its value is read from standard input
    Set {
        /// engine/path; a pipeline refers to it as secret:engine/path
        name: String,
        /// A host that the value may be sent to over HTTP; may be given again. None: containers and signatures only
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
    },
    /// List names and what they are bound to, never values
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget a secret
    Remove {
        /// engine/path
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactCommand {
    /// List a run's artifacts
    List {
        /// The run; `last` is the newest
        run: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write an artifact to a file or to standard output
    Get {
        /// The run; `last` is the newest
        run: String,
        /// The artifact's key
        key: String,
        /// The file to write [default: standard output]
        #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
    },
}

fn parse_input(text: &str) -> Result<Given, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map(Given::All).map_err(|error| format!("no JSON object: {error}"));
    }
    parse_pair(text).map(|(name, value)| Given::One(name, value))
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
