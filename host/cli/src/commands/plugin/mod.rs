//! `windlass plugin`, a module for each thing that is done to plugins.

mod build;
pub(super) mod carry;
mod dev;
mod info;
mod inspect;
mod install;
mod list;
mod login;
mod new;
mod progress;
mod publish;
mod remove;
mod search;
mod test;
mod update;
mod verify;
mod yank;

pub(super) use install::satisfy;

use crate::{
    app::App,
    args::{Global, PluginCommand},
    exit::{Exit, UsageError},
};
use windlass_contract::{PluginName, SecretValue};

pub(crate) async fn plugin(global: &Global, command: PluginCommand) -> anyhow::Result<Exit> {
    let file = match &command {
        PluginCommand::Install(args) => args.file.clone(),
        PluginCommand::Dev(args) => args.pipeline.clone(),
        _ => None,
    };
    let app = App::new(global, file.as_deref())?;
    match command {
        PluginCommand::New { lang, name, folder } => new::new(lang, &name, folder),
        PluginCommand::Build { folder, json } => build::build(&app, &folder, json).await,
        PluginCommand::Test(args) => test::test(&app, args).await,
        PluginCommand::Dev(args) => dev::dev(&app, args).await,
        PluginCommand::Schema => super::print_json(&windlass_author::schema::schema()),
        PluginCommand::Search { query, json } => search::search(&app, &query, json).await,
        PluginCommand::Install(args) => install::install(&app, args).await,
        PluginCommand::List { json } => list::list(&app, json),
        PluginCommand::Info { name, json } => info::info(&app, &name, json).await,
        PluginCommand::Update(args) => update::update(&app, args).await,
        PluginCommand::Outdated { json } => update::show_outdated(&app, json).await,
        PluginCommand::Remove { name, force, json } => remove::remove(&app, &name, force, json),
        PluginCommand::Prune { dry_run, json } => remove::prune(&app, dry_run, json),
        PluginCommand::Export { file, json } => carry::export(&app, &file, json).await,
        PluginCommand::Import { file, allow_unsigned, json } => carry::import(&app, &file, allow_unsigned, json).await,
        PluginCommand::Yank { plugin, reason, token, json } => {
            yank::yank(&app, &plugin, Some(&reason), token.map(secret), json).await
        }
        PluginCommand::Unyank { plugin, token, json } => yank::yank(&app, &plugin, None, token.map(secret), json).await,
        PluginCommand::Login { registry } => login::login(&app, registry.as_deref()),
        PluginCommand::Logout { registry, json } => login::logout(&app, registry.as_deref(), json),
        PluginCommand::Verify { json } => verify::verify(&app, json),
        PluginCommand::Inspect { file, json } => inspect::inspect(&app, &file, json).await,
        PluginCommand::Publish { folder, dry_run, token, json } => {
            publish::publish(&app, &folder, dry_run, token.map(secret), json).await
        }
    }
}

fn secret(token: String) -> SecretValue {
    SecretValue::new(token.into_bytes())
}

fn name(text: &str) -> anyhow::Result<PluginName> {
    text.parse().map_err(|error: windlass_contract::NameError| UsageError(error.to_string()).into())
}
