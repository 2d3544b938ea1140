//! What the operator does in a data folder, whether or not a server serves it at the same time.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use semver::Version;
use std::{fs, path::PathBuf, str::FromStr};
use windlass_contract::PluginName;
use windlass_registry_server::{
    RegistryError,
    accounts::{self, Action, Namespace, NewToken, Scope, TokenId, UserName, create_token},
    database::{Accounts as _, By, Journal as _, Packages as _, Sqlite},
    snapshot::Key,
    status::{Change, Reason},
};

/// How many lines of the audit log are shown unless said otherwise.
const AUDIT_LINES: usize = 50;

#[derive(Args)]
pub(crate) struct Data {
    /// The folder that holds everything
    #[arg(long = "data", value_name = "DIR", env = "WINDLASS_REGISTRY_DATA")]
    folder: PathBuf,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Users
    #[command(subcommand)]
    User(UserCommand),
    /// Tokens for publishing and for more
    #[command(subcommand)]
    Token(TokenCommand),
    /// Namespaces
    #[command(subcommand)]
    Namespace(NamespaceCommand),
    /// Stop handing out a release while it is looked into
    Quarantine(Withdrawal),
    /// Hand out a release again that was in quarantine
    Release {
        #[command(flatten)]
        data: Data,
        /// Such as acme:slack@1.2.3
        release: ReleaseName,
    },
    /// Take the bytes of a release away, for good; its line in the index stays and says why
    Remove(Withdrawal),
    /// Show the audit log, the newest lines first
    Audit {
        #[command(flatten)]
        data: Data,
        /// Only of this namespace
        #[arg(long)]
        namespace: Option<Namespace>,
        /// How many lines
        #[arg(long, default_value_t = AUDIT_LINES)]
        limit: usize,
    },
    /// Print the registry's public key, which clients pin
    Key(Data),
    /// Write the index, its snapshot and the well-known document as files that any web server can serve
    ExportStatic {
        #[command(flatten)]
        data: Data,
        /// Where to; made if it is not there
        to: PathBuf,
    },
}

#[derive(Args)]
pub(crate) struct Withdrawal {
    #[command(flatten)]
    data: Data,
    /// Such as acme:slack@1.2.3
    release: ReleaseName,
    /// Why, in words for whoever meets it
    #[arg(long)]
    reason: Reason,
}

#[derive(Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user, who can then be given tokens
    Add {
        #[command(flatten)]
        data: Data,
        /// Its name
        name: UserName,
        /// May quarantine, remove, and read the audit log
        #[arg(long)]
        admin: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it; it is not shown again
    Create {
        #[command(flatten)]
        data: Data,
        /// What to call it
        #[arg(long)]
        name: String,
        /// Whose it is; without it, the operator's own, which takes the namespaces that nobody has
        #[arg(long)]
        user: Option<UserName>,
        /// A namespace that it is for; may be given several times. Without it: all that the user owns
        #[arg(long, required_unless_present = "user")]
        namespace: Vec<Namespace>,
        /// What it is for: publish, yank, delete, owners, claim, admin; may be given several times
        #[arg(long, default_values = ["publish", "yank"])]
        action: Vec<Action>,
        /// How many days it lives
        #[arg(long, default_value_t = accounts::DEFAULT_DAYS)]
        days: u32,
    },
    /// List the tokens, without their secrets
    List {
        #[command(flatten)]
        data: Data,
        /// Only of this user
        #[arg(long)]
        user: Option<UserName>,
    },
    /// End a token
    Revoke {
        #[command(flatten)]
        data: Data,
        /// Its id, as `token list` shows it
        id: TokenId,
    },
}

#[derive(Subcommand)]
pub(crate) enum NamespaceCommand {
    /// List the namespaces with their owners
    List {
        #[command(flatten)]
        data: Data,
    },
    /// Give a namespace to a user, beside the owners that it has
    Give {
        #[command(flatten)]
        data: Data,
        /// Which
        namespace: Namespace,
        /// To whom
        user: UserName,
    },
}

/// A plugin and its version.
#[derive(Clone)]
pub(crate) struct ReleaseName {
    name: PluginName,
    version: Version,
}

impl FromStr for ReleaseName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = text.split_once('@').ok_or("write namespace:name@version, such as acme:slack@1.2.3")?;
        Ok(ReleaseName {
            name: name.parse().map_err(|error: windlass_contract::NameError| error.to_string())?,
            version: version.parse().map_err(|error: semver::Error| error.to_string())?,
        })
    }
}

impl Data {
    async fn open(&self) -> Result<Sqlite, RegistryError> {
        Sqlite::open(&self.folder).await
    }
}

impl Command {
    /// Does it; gives the lines to print.
    pub(crate) async fn run(self) -> anyhow::Result<Vec<String>> {
        match self {
            Command::User(UserCommand::Add { data, name, admin }) => {
                data.open().await?.add_user(&name, admin, &By::operator()).await?;
                Ok(vec![format!("added {name}")])
            }
            Command::Token(command) => command.run().await,
            Command::Namespace(command) => command.run().await,
            Command::Quarantine(what) => {
                change(&what.data, &what.release, &Change::Quarantine(what.reason.clone())).await
            }
            Command::Release { data, release } => change(&data, &release, &Change::Release).await,
            Command::Remove(what) => change(&what.data, &what.release, &Change::Remove(what.reason.clone())).await,
            Command::Audit { data, namespace, limit } => {
                let lines = data.open().await?.audit(namespace.as_ref(), None, limit).await?;
                let line = |line: windlass_registry_server::database::AuditLine| {
                    let from = line.ip.map(|ip| format!(" from {ip}")).unwrap_or_default();
                    let token = line.token.map(|token| format!(" by token {token}")).unwrap_or_default();
                    format!("{} {} {} {}{token}{from} {}", line.at, line.actor, line.action, line.subject, line.detail)
                };
                Ok(lines.into_iter().map(line).map(|line| line.trim_end().to_owned()).collect())
            }
            Command::Key(data) => Ok(vec![Key::open(&data.folder)?.public().to_string()]),
            Command::ExportStatic { data, to } => export(&data, &to).await,
        }
    }
}

async fn change(data: &Data, release: &ReleaseName, change: &Change) -> anyhow::Result<Vec<String>> {
    let database = data.open().await?;
    database.change_status(&release.name, &release.version, change, &By::operator()).await?;
    Ok(vec![format!("{}@{}: {}", release.name, release.version, change.action())])
}

impl TokenCommand {
    async fn run(self) -> anyhow::Result<Vec<String>> {
        match self {
            TokenCommand::Create { data, name, user: None, namespace, action, days } => {
                let (database, actions) = (data.open().await?, action.into_iter().collect());
                let text = accounts::create_operator_token(&database, &name, &namespace, actions, days).await?;
                Ok(vec![text])
            }
            TokenCommand::Create { data, name, user: Some(user), namespace, action, days } => {
                let database = data.open().await?;
                let user = known(&database, &user).await?;
                let namespaces = (!namespace.is_empty()).then(|| namespace.into_iter().collect());
                let scope = Scope { actions: action.into_iter().collect(), namespaces };
                let new = NewToken::for_days(&name, scope, days)?;
                Ok(vec![create_token(&database, Some(user), new, &By::operator()).await?.0])
            }
            TokenCommand::List { data, user } => {
                let database = data.open().await?;
                let user = match user {
                    Some(user) => Some(known(&database, &user).await?),
                    None => None,
                };
                let tokens = database.tokens(user.as_ref()).await?;
                let line = |token: accounts::Token| {
                    let user =
                        token.user.map_or_else(|| "(trusted publisher)".to_owned(), |user| user.name.to_string());
                    let actions: Vec<_> = token.scope.actions.iter().map(|action| action.name()).collect();
                    let namespaces = token.scope.namespaces.map_or_else(
                        || "all its namespaces".to_owned(),
                        |few| few.iter().map(Namespace::as_str).collect::<Vec<_>>().join(","),
                    );
                    let used = token.last_used.map_or_else(|| "never".to_owned(), |at| at.to_string());
                    format!(
                        "{} {user} {:?} {} in {namespaces}, expires {}, last used {used}",
                        token.id.as_str(),
                        token.name,
                        actions.join(","),
                        token.expires,
                    )
                };
                Ok(tokens.into_iter().map(line).collect())
            }
            TokenCommand::Revoke { data, id } => {
                data.open().await?.revoke_token(&id, None, &By::operator()).await?;
                Ok(vec![format!("revoked {}", id.as_str())])
            }
        }
    }
}

async fn known(database: &Sqlite, user: &UserName) -> Result<accounts::User, RegistryError> {
    let found = database.user(user).await?;
    found.ok_or_else(|| {
        RegistryError::Unknown(format!("there is no user {user}; add it with `registry-server user add`"))
    })
}

impl NamespaceCommand {
    async fn run(self) -> anyhow::Result<Vec<String>> {
        match self {
            NamespaceCommand::List { data } => {
                let database = data.open().await?;
                let mut lines = Vec::new();
                for namespace in database.namespaces().await? {
                    let owners = database.owners(&namespace).await?;
                    let owners: Vec<_> = owners.iter().map(UserName::as_str).collect();
                    lines.push(format!("{namespace} {}", owners.join(",")));
                }
                Ok(lines)
            }
            NamespaceCommand::Give { data, namespace, user } => {
                let database = data.open().await?;
                let user = known(&database, &user).await?;
                database.claim(&namespace, &user, true, &By::operator()).await?;
                Ok(vec![format!("{} owns {namespace}", user.name)])
            }
        }
    }
}

/// Writes what a static host serves. The snapshot is written last: what it names is there.
async fn export(data: &Data, to: &std::path::Path) -> anyhow::Result<Vec<String>> {
    let database = data.open().await?;
    let write = |path: PathBuf, bytes: &[u8]| -> anyhow::Result<()> {
        let folder = path.parent().unwrap_or(to);
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let temporary = folder.join(".tmp-export");
        fs::write(&temporary, bytes).with_context(|| format!("cannot write {}", temporary.display()))?;
        fs::rename(&temporary, &path).with_context(|| format!("cannot write {}", path.display()))
    };
    let snapshot = database.snapshot().await?;
    let names = database.documents().await?;
    for name in &names {
        if let Some(document) = database.document(name).await? {
            write(to.join("index").join(name.namespace()).join(name.name()), &document.body)?;
        }
    }
    for digest in snapshot.bins.values() {
        if let Some(body) = database.bin(digest).await? {
            write(to.join("snapshot/bins").join(digest.to_string()), body.as_bytes())?;
        }
    }
    write(to.join("snapshot.json"), &Key::open(&data.folder)?.sign(&snapshot).body)?;
    if database.serial().await? != snapshot.serial {
        anyhow::bail!("something was published meanwhile, so the files do not go together; export again");
    }
    Ok(vec![format!("{} plugins, serial {}", names.len(), snapshot.serial)])
}
