//! `windlass server` and what it has below it.

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ServerArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ServerCommand>,
    /// Where to listen; anything but this machine itself needs a proxy before it that ends TLS
    #[arg(long, default_value = "127.0.0.1:7780", env = "WINDLASS_LISTEN", value_name = "ADDRESS:PORT")]
    pub(crate) listen: std::net::SocketAddr,
    /// The address under which browsers and webhooks reach it, such as `https://ci.example.com`
    #[arg(long, env = "WINDLASS_PUBLIC_URL", value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// How the server writes its log, on standard error
    #[arg(long, value_enum, default_value = "text", env = "WINDLASS_LOG_FORMAT", value_name = "FORMAT")]
    pub(crate) log_format: crate::telemetry::LogFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Manage who may use the server of this home, while it runs or not
    #[command(subcommand)]
    User(UserCommand),
    /// Manage keys of the server of this home, while it runs or not
    #[command(subcommand)]
    Key(KeyCommand),
    /// Make a new key for the administrator `admin`, whoever has lost theirs
    ResetAdmin,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user; the password is read from standard input, or asked for
    Add(UserAddArgs),
    /// List the users
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change what a user may
    Role {
        /// The user
        name: String,
        /// What they may from now on
        role: RoleArg,
    },
    /// Change how a user is called, or their address; an empty text takes it away
    Profile {
        /// The user
        name: String,
        #[command(flatten)]
        profile: ProfileArgs,
    },
    /// Let a user do nothing, and end their sessions
    Disable {
        /// The user
        name: String,
    },
    /// Let a user who was disabled in again
    Enable {
        /// The user
        name: String,
    },
    /// Remove a user with their keys and sessions; the name is never given again
    Remove {
        /// The user
        name: String,
    },
    /// Set a user's password, which is read from standard input or asked for, and end their sessions
    Password {
        /// The user
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UserAddArgs {
    /// The name: letters, digits, `.`, `_`, `-` and `@`
    pub(crate) name: String,
    /// What they may
    #[arg(long, value_name = "ROLE", default_value = "viewer")]
    pub(crate) role: RoleArg,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// Set no password: they come by key, or from an identity provider
    #[arg(long)]
    pub(crate) no_password: bool,
}

/// What is said of somebody.
#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// How they want to be called
    #[arg(long, value_name = "TEXT")]
    pub(crate) display_name: Option<String>,
    /// Their address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key, and print it this once
    Add(KeyAddArgs),
    /// List the keys, never what they are
    List {
        /// Only those of this user
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End a key, with the sessions that were begun with it
    Revoke {
        /// Its number, as the list has it
        id: i64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KeyAddArgs {
    /// What it is for
    pub(crate) name: String,
    /// Whose it is
    #[arg(long, value_name = "NAME")]
    pub(crate) user: String,
    /// The most that it may; at most what its user may
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: RoleArg,
    /// How many days it is valid, 1 to 366 [default: for ever]
    #[arg(long, value_name = "COUNT")]
    pub(crate) days: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What somebody may: each role may what the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleArg {
    /// Look at everything but people, keys and the audit
    Viewer,
    /// Run, cancel, approve, deploy, write pipelines, and set secrets
    Operator,
    /// Install plugins, grant, manage people, and read the audit
    Admin,
}

impl From<RoleArg> for windlass_server::Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Operator => Self::Operator,
            RoleArg::Admin => Self::Admin,
        }
    }
}
