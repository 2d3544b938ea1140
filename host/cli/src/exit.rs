//! Exit codes, and how an error is printed.

use crate::style;
use std::process::ExitCode;
use windlass_contract::{Code, CodedError};
use windlass_engine::Outcome;
use windlass_server::Problem;

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All is well.
    Success = 0,
    /// The run failed.
    Failed = 1,
    /// The command line or the pipeline is wrong; nothing was executed.
    Usage = 2,
    /// The run was cancelled.
    Cancelled = 3,
    /// The run timed out.
    TimedOut = 4,
    /// The run waits for a person, or a person said no.
    Gate = 5,
    /// The run could not be carried out: infrastructure or configuration.
    Infrastructure = 6,
    /// Interrupted with Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

impl Exit {
    /// How a run that ended so is reported.
    pub(crate) fn of(outcome: Outcome) -> Exit {
        match outcome {
            Outcome::Succeeded | Outcome::Skipped => Exit::Success,
            Outcome::Failed => Exit::Failed,
            Outcome::Cancelled => Exit::Cancelled,
            Outcome::TimedOut => Exit::TimedOut,
            Outcome::Rejected => Exit::Gate,
            Outcome::Error | Outcome::Lost => Exit::Infrastructure,
        }
    }
}

/// An error that is the user's to mend: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// An error of ours, with its code and help, as it crosses into `anyhow`.
pub(crate) fn coded<E: CodedError + Send + Sync + 'static>(error: E) -> anyhow::Error {
    let (code, help) = (error.code(), error.help());
    let exit = if ASKED_WRONGLY.contains(&code) { Exit::Usage } else { Exit::Infrastructure };
    anyhow::Error::new(error).context(Coded { code: code.to_string(), help, exit })
}

/// What is refused because of who asks or what the run is, and not because anything is broken: a vote, a rerun, a decision,
/// files that a rerun needs and that are gone, a plugin that something still needs. Nothing was executed.
const ASKED_WRONGLY: &[Code] = &[
    Code(213),
    Code(214),
    Code(216),
    Code(831),
    Code(1102),
    Code(1107),
    // A plugin's folder: it is there already, or what the command needs is not in it.
    Code(1420),
    Code(1422),
    Code(1425),
    Code(1426),
    Code(1427),
];

/// What the server's rules refused, or what broke while they were asked.
pub(crate) fn problem(problem: Problem) -> anyhow::Error {
    let exit = if problem.status < 500 { Exit::Usage } else { Exit::Infrastructure };
    anyhow::Error::msg(problem.detail).context(Coded { code: problem.code, help: problem.help, exit })
}

#[derive(Debug)]
struct Coded {
    code: String,
    help: Option<String>,
    exit: Exit,
}

impl std::fmt::Display for Coded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.code)
    }
}

/// Prints an error and gives the exit code for it.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    if let Some(UsageError(words)) = error.downcast_ref() {
        anstream::eprintln!("{}error{}: {words}", style::ERROR.render(), style::ERROR.render_reset());
        return Exit::Usage.into();
    }
    let coded = error.downcast_ref::<Coded>();
    let code = coded.map(|coded| format!("[{}]", coded.code)).unwrap_or_default();
    anstream::eprint!("{}error{code}{}: ", style::ERROR.render(), style::ERROR.render_reset());
    let chain = error.chain().skip(usize::from(coded.is_some()));
    let mut words: Vec<String> = Vec::new();
    for cause in chain {
        let cause = cause.to_string();
        // Many errors repeat their cause in their own words.
        if !words.last().is_some_and(|last| last.contains(&cause)) {
            words.push(cause);
        }
    }
    anstream::eprintln!("{}", words.join(": "));
    if let Some(help) = coded.and_then(|coded| coded.help.as_ref()) {
        anstream::eprintln!("  {}help{}: {help}", style::HELP.render(), style::HELP.render_reset());
    }
    coded.map_or(Exit::Infrastructure, |coded| coded.exit).into()
}
