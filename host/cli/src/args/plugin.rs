//! The arguments of `windlass plugin`.

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Begin a plugin: write a folder that builds with its language's ordinary tools
    New {
        /// The language
        #[arg(long, value_name = "LANGUAGE")]
        lang: Lang,
        /// Its name, such as acme:greet
        name: String,
        /// The folder, which must not be there [default: the name's second part]
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: Option<PathBuf>,
    },
    /// Build a plugin with what `build` in its plugin.yaml says, and look at the component
    Build {
        /// The folder that holds plugin.yaml
        #[arg(default_value = ".", value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a plugin's test cases: in the real sandbox, with recorded answers in place of the world
    Test(TestArgs),
    /// Build and test a plugin after each change, and let a project run what was built
    Dev(DevArgs),
    /// Print a JSON Schema of plugin.yaml for editors
    Schema,
    /// Search the registry
    Search {
        /// Words to look for; nothing lists all
        #[arg(default_value = "")]
        query: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch, verify, ask for permissions, lock and compile
    Install(InstallArgs),
    /// What is installed in this project
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// What the registry and this project know of a plugin
    Info {
        /// The plugin, such as windlass:shell
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Install the newest versions that the project allows, and show what they change
    Update(UpdateArgs),
    /// What is locked and could be newer, or was withdrawn
    Outdated {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a plugin out of the lock file and the grants, with what only it called
    Remove {
        /// The plugin
        name: String,
        /// Although a pipeline of the project uses it, or another plugin calls it
        #[arg(long)]
        force: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take out the plugins that no pipeline uses, no other plugin calls and nobody asked for by name
    Prune {
        /// Only name them
        #[arg(long)]
        dry_run: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write everything that is locked into one file, for machines that reach no registry
    Export {
        /// The file to write (tar)
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Verify what such a file holds, and put it on this machine
    Import {
        /// The file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Accept plugins without a signature (for local work)
        #[arg(long)]
        allow_unsigned: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have a published version not chosen any more; who has it locked keeps it
    Yank {
        /// The plugin and its version, such as acme:echo@1.2.3
        #[arg(value_name = "NAME@VERSION")]
        plugin: String,
        /// Why, for whoever meets it
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The registry's token
        #[arg(long, env = "WINDLASS_REGISTRY_TOKEN", hide_env_values = true, value_name = "TOKEN")]
        token: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a yank back
    Unyank {
        /// The plugin and its version, such as acme:echo@1.2.3
        #[arg(value_name = "NAME@VERSION")]
        plugin: String,
        /// The registry's token
        #[arg(long, env = "WINDLASS_REGISTRY_TOKEN", hide_env_values = true, value_name = "TOKEN")]
        token: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep a registry's token, which is read from standard input
    Login {
        /// The registry's address [default: the default registry]
        registry: Option<String>,
    },
    /// Forget a registry's token
    Logout {
        /// The registry's address [default: the default registry]
        registry: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the installed components against the lock file, by digest and signature
    Verify {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// What a component exports, what it imports (its permissions), its size and how long it compiles
    Inspect {
        /// A component file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Sign a plugin and give it to the registry
    Publish {
        /// The folder that holds plugin.yaml
        #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
        /// Check everything and send nothing
        #[arg(long)]
        dry_run: bool,
        /// The registry's token
        #[arg(long, env = "WINDLASS_REGISTRY_TOKEN", hide_env_values = true, value_name = "TOKEN")]
        token: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What a new plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    /// Rust, with cargo
    Rust,
    /// JavaScript, with npm
    Js,
    /// TypeScript, with npm
    Ts,
    /// Python, with pip
    Py,
    /// C, with make and a WASI SDK
    C,
    /// Go: there is no template yet; says what is missing
    Go,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// The folder that holds plugin.yaml
    #[arg(default_value = ".", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// Only this case: the name of its file without ending
    #[arg(long, value_name = "NAME")]
    pub(crate) case: Option<String>,
    /// Run against the real world (containers, secrets, HTTP), and keep what it answers for later tests
    #[arg(long)]
    pub(crate) record: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// The folder that holds plugin.yaml
    #[arg(default_value = ".", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// Run this pipeline after each build that passes its tests; its folder is the project
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) pipeline: Option<PathBuf>,
    /// Grant what plugin.yaml asks for, without asking
    #[arg(long)]
    pub(crate) grant: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Plugins, such as windlass:shell or windlass:shell@^0.1 [default: what the pipeline or lock file asks for]
    pub(crate) plugins: Vec<String>,
    /// Install what this pipeline asks for
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Grant what the plugins ask for, without asking
    #[arg(long)]
    pub(crate) grant: bool,
    /// Refuse to change windlass.lock
    #[arg(long)]
    pub(crate) locked: bool,
    /// Accept plugins without a signature (for local work)
    #[arg(long)]
    pub(crate) allow_unsigned: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Plugins, such as windlass:shell or windlass:shell@^0.2 [default: all]
    pub(crate) plugins: Vec<String>,
    /// Only show what would change; the new versions are fetched and looked into
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Grant what the new versions ask for, without asking
    #[arg(long)]
    pub(crate) grant: bool,
    /// Accept plugins without a signature (for local work)
    #[arg(long)]
    pub(crate) allow_unsigned: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
