//! What can go wrong while a plugin is made.

use std::{io, path::PathBuf};
use windlass_capabilities::{ToolboxError, containers::EngineError};
use windlass_contract::{Code, CodedError};
use windlass_package::PackageError;
use windlass_rehearse::SessionError;
use windlass_runtime::{CallError, InspectError, RuntimeError};
use windlass_store::StoreError;

/// Why a plugin cannot be made, built or tested. Codes WL1420 to WL1439, and those of what it is made with.
#[derive(Debug, thiserror::Error)]
pub enum AuthorError {
    /// The folder is there already.
    #[error("{} is there already", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The manifest names no build.
    #[error("plugin.yaml does not say how the component is built")]
    NoBuild,
    /// A program of the build is not on this machine.
    #[error("`{program}` is not on this machine, and `build` in plugin.yaml runs it")]
    NoTool {
        /// The program, as the manifest names it.
        program: String,
    },
    /// A command of the build failed.
    #[error("`{command}` ended with {status}")]
    BuildFailed {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
    },
    /// There is no component.
    #[error("there is no component at {}", path.display())]
    NoComponent {
        /// Where the manifest says it is.
        path: PathBuf,
    },
    /// A test case that cannot be carried out.
    #[error("{}: {why}", file.display())]
    BadCase {
        /// The case's file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// No case was found.
    #[error("there are no test cases {looked}")]
    NoCases {
        /// Where, or by which name.
        looked: String,
    },
    /// The sources cannot be watched.
    #[error("the folder cannot be watched for changes: {0}")]
    Watch(String),
    /// The manifest.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The component's bytes.
    #[error(transparent)]
    Component(#[from] InspectError),
    /// The sandbox.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// `describe` or `validate` failed.
    #[error(transparent)]
    Call(Box<CallError>),
    /// A session.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The capabilities could not be made.
    #[error(transparent)]
    Toolbox(#[from] ToolboxError),
    /// The container engine, after a recording.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The plugin's own store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AuthorError {
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        AuthorError::Io { what, path: path.into(), source }
    }

    /// The error of a part, where this one only passes it on.
    fn part(&self) -> Option<&dyn CodedError> {
        Some(match self {
            AuthorError::Package(error) => error,
            AuthorError::Component(error) => error,
            AuthorError::Runtime(error) => error,
            AuthorError::Call(error) => error.as_ref(),
            AuthorError::Session(error) => error,
            AuthorError::Toolbox(error) => error,
            AuthorError::Engine(error) => error,
            AuthorError::Store(error) => error,
            _ => return None,
        })
    }
}

impl From<CallError> for AuthorError {
    fn from(error: CallError) -> Self {
        AuthorError::Call(Box::new(error))
    }
}

/// How a tool is got, by the name of its program.
fn how_to_get(program: &str) -> &'static str {
    match program.rsplit('/').next().unwrap_or(program) {
        "cargo" | "rustup" => "install Rust with rustup, then run `rustup target add wasm32-wasip2`",
        "npm" | "npx" | "node" => "install Node.js 20 or newer, which brings npm, then run `npm ci`",
        "componentize-py" => {
            "run `python3 -m venv .venv && .venv/bin/pip install -r requirements.txt` in the plugin's folder"
        }
        "python3" | "pip" => "install Python 3.10 or newer with venv",
        "make" => "install make, and a WASI SDK (release 25 or newer) whose folder WASI_SDK_PATH names",
        _ => "install it, or change `build` in plugin.yaml",
    }
}

impl CodedError for AuthorError {
    fn code(&self) -> Code {
        if let Some(part) = self.part() {
            return part.code();
        }
        Code(match self {
            AuthorError::Exists { .. } => 1420,
            AuthorError::Io { .. } => 1421,
            AuthorError::NoBuild => 1422,
            AuthorError::NoTool { .. } => 1423,
            AuthorError::BuildFailed { .. } => 1424,
            AuthorError::NoComponent { .. } => 1425,
            AuthorError::BadCase { .. } => 1426,
            AuthorError::NoCases { .. } => 1427,
            _ => 1428,
        })
    }

    fn help(&self) -> Option<String> {
        if let Some(part) = self.part() {
            return part.help();
        }
        Some(match self {
            AuthorError::Exists { .. } => "give another folder: windlass plugin new … NAME FOLDER".into(),
            AuthorError::NoBuild => "add a line such as `build: [make]`: a program and its arguments, no shell".into(),
            AuthorError::NoTool { program } => how_to_get(program).into(),
            AuthorError::BuildFailed { .. } => {
                "what it printed says why; the README of the plugin says what is installed once before the first build"
                    .into()
            }
            AuthorError::NoComponent { .. } => {
                "run `windlass plugin build`; if that is what you did, `component` in plugin.yaml names another file"
                    .into()
            }
            AuthorError::BadCase { .. } => {
                "a case has step, config, attempt, secrets, session and expect; docs/plugin-authors.md describes them"
                    .into()
            }
            AuthorError::NoCases { .. } => "write one into tests/, such as tests/hello.yaml".into(),
            AuthorError::Watch(_) => {
                "the system may be at its limit of watches (fs.inotify.max_user_watches); build and test without `dev`"
                    .into()
            }
            _ => return None,
        })
    }
}
