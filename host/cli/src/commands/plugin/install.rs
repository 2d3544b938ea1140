//! `windlass plugin install`, and what a pipeline's run does in its place.

use super::{
    super::{print_json, read_source},
    progress::Downloads,
};
use crate::{
    app::{App, interactive},
    args::InstallArgs,
    exit::{Exit, UsageError, coded},
    style,
};
use std::{collections::BTreeMap, io::Write as _};
use windlass_manifest::Source;
use windlass_package::{
    Consent, ConsentRequest, Installer, Outcome, PackageError, Request,
    install::{Options, Verification},
    installed,
    resolve::AskedBy,
};

pub(super) async fn install(app: &App, args: InstallArgs) -> anyhow::Result<Exit> {
    let mut requests = Vec::new();
    for text in &args.plugins {
        let request: Request = text.parse().map_err(|error: PackageError| UsageError(error.to_string()))?;
        requests.push(request);
    }
    if let Some(file) = &args.file {
        requests.extend(required(&read_source(file)?));
    }
    if requests.is_empty() {
        // Nothing named: what the lock file pins, which a fresh checkout has and a fresh machine has not.
        let listed = installed::list(&app.home, &app.project).map_err(coded)?;
        for each in listed {
            let text = format!("{}@={}", each.locked.name, each.locked.version);
            let request: Request = text.parse().map_err(coded)?;
            requests.push(Request { by: AskedBy::Lock, ..request });
        }
    }
    if requests.is_empty() {
        let words = "name what to install, such as windlass:shell, or a pipeline with --file";
        return Err(UsageError(words.to_owned()).into());
    }
    let options = Options { locked: args.locked, allow_unsigned: args.allow_unsigned };
    let outcomes = install_all(app, &requests, options, args.grant).await?;
    if args.json {
        let rows: Vec<_> = outcomes
            .iter()
            .map(|each| {
                serde_json::json!({
                    "name": each.plugin.name, "version": each.plugin.version, "digest": each.plugin.digest,
                    "fetched": each.fetched, "replaced": each.replaced, "dependency": each.dependency,
                })
            })
            .collect();
        return print_json(&rows);
    }
    for each in &outcomes {
        let how = match (&each.verification, &each.replaced) {
            (None, _) => "was installed already".to_owned(),
            (Some(seen), None) => format!("is installed, {}", in_words(seen)),
            (Some(seen), Some(before)) => format!("is installed in place of {before}, {}", in_words(seen)),
        };
        let how = if each.dependency { format!("{how}, because another one calls it") } else { how };
        let digest = style::paint(style::FAINT, each.plugin.digest.short());
        anstream::eprintln!("{} {} {how} {digest}", style::paint(style::GOOD, "✔"), each.plugin);
    }
    Ok(Exit::Success)
}

async fn install_all(app: &App, requests: &[Request], options: Options, granted: bool) -> anyhow::Result<Vec<Outcome>> {
    let downloads = Downloads::new();
    let mut ask = |request: &ConsentRequest| downloads.aside(|| ask(request));
    let consent = match (granted, interactive()) {
        (true, _) => Consent::Given,
        (false, true) => Consent::Ask(&mut ask),
        (false, false) => Consent::Nobody,
    };
    let components = app.runtime()?;
    let installer =
        Installer { home: &app.home, project: &app.project, components: &components, options, progress: &downloads };
    installer.install(requests, consent).await.map_err(coded)
}

/// What a pipeline's `plugins:` asks for. What is wrong with it is for the loader to say.
fn required(source: &Source) -> Vec<Request> {
    let found = windlass_manifest::requirements(source).plugins;
    let by = AskedBy::Pipeline(source.name.clone());
    found.into_iter().map(|(name, asked)| Request { name, requirement: asked.version, by: by.clone() }).collect()
}

/// Sees to it that what a pipeline requires is locked and here. With somebody to ask, what is missing is installed.
pub(in super::super) async fn satisfy(app: &App, source: &Source, locked: bool) -> anyhow::Result<()> {
    let requests = required(source);
    let wanted: BTreeMap<_, _> = requests.iter().map(|each| (each.name.clone(), each.requirement.clone())).collect();
    match windlass_package::locked(&app.home, &app.project, &wanted) {
        Ok(_) => Ok(()),
        Err(PackageError::NotInstalled { .. } | PackageError::NotFetched { .. }) if !locked && interactive() => {
            install_all(app, &requests, Options::default(), false).await.map(|_| ())
        }
        // The loader says at which line what is missing, and how to install it.
        Err(PackageError::NotInstalled { .. }) if !locked => Ok(()),
        Err(error) => Err(coded(error)),
    }
}

/// Shows what a plugin asks for, and asks.
pub(super) fn ask(request: &ConsentRequest) -> bool {
    anstream::eprint!("{}\nGrant this? [y/N] ", request.words().trim_end());
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

pub(super) fn in_words(verification: &Verification) -> String {
    match verification {
        Verification::Verified { first_seen: true, .. } => "signed by a publisher not seen before".to_owned(),
        Verification::Verified { by, first_seen: false } => match by.cosign() {
            None => "signed by its known publisher".to_owned(),
            Some(who) if by.key().is_none() => format!("signed by {who}"),
            Some(who) => format!("signed by its known publisher and by {who}"),
        },
        Verification::Unsigned => "NOT SIGNED".to_owned(),
        Verification::Bad { why } => format!("BAD: {why}"),
    }
}
