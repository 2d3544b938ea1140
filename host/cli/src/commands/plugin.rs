//! `windlass plugin`.

use super::{moment, print_json, read_source, secret::header};
use crate::{
    app::{App, interactive},
    args::{Global, InstallArgs, PluginCommand},
    exit::{Exit, UsageError, coded},
    style,
};
use anyhow::Context as _;
use std::{collections::BTreeMap, io::Write as _, path::Path, time::Instant};
use windlass_contract::{Digest, Interface, Permissions, PluginName, SecretValue};
use windlass_manifest::Source;
use windlass_package::{
    Consent, ConsentRequest, Outcome, PackageError, Request,
    install::{Options, Verification},
    installed::{self, Health},
    lock::Locked,
    publish,
};

pub(crate) async fn plugin(global: &Global, command: PluginCommand) -> anyhow::Result<Exit> {
    let file = match &command {
        PluginCommand::Install(args) => args.file.clone(),
        _ => None,
    };
    let app = App::new(global, file.as_deref())?;
    match command {
        PluginCommand::Search { query, json } => search(&app, &query, json).await,
        PluginCommand::Install(args) => install(&app, args).await,
        PluginCommand::List { json } => list(&app, json),
        PluginCommand::Info { name, json } => info(&app, &name, json).await,
        PluginCommand::Remove { name } => remove(&app, &name),
        PluginCommand::Verify { json } => verify(&app, json),
        PluginCommand::Inspect { file, json } => inspect(&app, &file, json).await,
        PluginCommand::Publish { folder, dry_run, token, json } => {
            let token = token.map(|token| SecretValue::new(token.into_bytes()));
            publish(&app, &folder, dry_run, token, json).await
        }
    }
}

fn name(text: &str) -> anyhow::Result<PluginName> {
    text.parse().map_err(|error: windlass_contract::NameError| UsageError(error.to_string()).into())
}

async fn search(app: &App, query: &str, json: bool) -> anyhow::Result<Exit> {
    let found = installed::search(&app.home, query).await.map_err(coded)?;
    if json {
        return print_json(&found);
    }
    if found.is_empty() {
        eprintln!("nothing matches {query:?}");
        return Ok(Exit::Success);
    }
    let mut rows = vec![header(&["PLUGIN", "VERSION", "STEP TYPES", ""])];
    for release in found {
        let row = [release.name.to_string(), release.version.to_string(), release.steps.join(", "), release.summary];
        rows.push(row.into());
    }
    anstream::print!("{}", style::table(&rows));
    Ok(Exit::Success)
}

async fn install(app: &App, args: InstallArgs) -> anyhow::Result<Exit> {
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
            requests.push(text.parse().map_err(coded)?);
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
                    "fetched": each.fetched, "replaced": each.replaced,
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
        let digest = style::paint(style::FAINT, each.plugin.digest.short());
        anstream::eprintln!("{} {} {how} {digest}", style::paint(style::GOOD, "✔"), each.plugin);
    }
    Ok(Exit::Success)
}

async fn install_all(app: &App, requests: &[Request], options: Options, granted: bool) -> anyhow::Result<Vec<Outcome>> {
    let mut ask = ask;
    let consent = match (granted, interactive()) {
        (true, _) => Consent::Given,
        (false, true) => Consent::Ask(&mut ask),
        (false, false) => Consent::Nobody,
    };
    let components = app.runtime()?;
    windlass_package::install(&app.home, &app.project, &components, requests, options, consent).await.map_err(coded)
}

/// What a pipeline's `plugins:` asks for. What is wrong with it is for the loader to say.
fn required(source: &Source) -> Vec<Request> {
    let found = windlass_manifest::requirements(source).plugins;
    found.into_iter().map(|(name, asked)| Request { name, requirement: asked.version }).collect()
}

/// Sees to it that what a pipeline requires is locked and here. With somebody to ask, what is missing is installed.
pub(super) async fn satisfy(app: &App, source: &Source, locked: bool) -> anyhow::Result<()> {
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
fn ask(request: &ConsentRequest) -> bool {
    anstream::eprint!("{}\nGrant this? [y/N] ", request.words().trim_end());
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn in_words(verification: &Verification) -> String {
    match verification {
        Verification::Verified { first_seen: true, .. } => "signed by a publisher not seen before".to_owned(),
        Verification::Verified { first_seen: false, .. } => "signed by its known publisher".to_owned(),
        Verification::Unsigned => "NOT SIGNED".to_owned(),
        Verification::Bad { why } => format!("BAD: {why}"),
    }
}

fn list(app: &App, json: bool) -> anyhow::Result<Exit> {
    let listed = installed::list(&app.home, &app.project).map_err(coded)?;
    if json {
        let rows: Vec<_> = listed
            .iter()
            .map(|each| {
                serde_json::json!({
                    "name": each.locked.name, "version": each.locked.version, "digest": each.locked.digest,
                    "present": each.present, "steps": each.steps, "permissions": each.effective,
                })
            })
            .collect();
        return print_json(&rows);
    }
    if listed.is_empty() {
        eprintln!("nothing is installed in this project; `windlass plugin install NAME` does");
        return Ok(Exit::Success);
    }
    let mut rows = vec![header(&["PLUGIN", "VERSION", "STEP TYPES", "MAY", "DIGEST"])];
    for each in listed {
        let steps =
            if each.present { each.steps.join(", ") } else { style::paint(style::WARNING, "not on this machine") };
        rows.push(vec![
            each.locked.name.to_string(),
            each.locked.version.to_string(),
            steps,
            may(&each.effective),
            style::paint(style::FAINT, each.locked.digest.short()),
        ]);
    }
    anstream::print!("{}", style::table(&rows));
    Ok(Exit::Success)
}

/// The names of what is granted.
fn may(permissions: &Permissions) -> String {
    let each = permissions.interfaces().into_iter().map(|interface| match interface {
        Interface::SecretsReveal => style::paint(style::ERROR, interface),
        _ => interface.to_string(),
    });
    each.collect::<Vec<_>>().join(", ")
}

async fn info(app: &App, text: &str, json: bool) -> anyhow::Result<Exit> {
    let name = name(text)?;
    let info = installed::info(&app.home, &app.project, &name).await.map_err(coded)?;
    if json {
        return print_json(&serde_json::json!({
            "registry": info.registry,
            "releases": info.releases,
            "installed": info.installed.map(|each| each.locked.version),
        }));
    }
    let Some(newest) = info.releases.iter().rev().find(|each| each.status.is_ok()).or(info.releases.last()) else {
        return Err(UsageError(format!("{name} has no release")).into());
    };
    anstream::println!("{} {}", style::paint(style::STRONG, &newest.name), newest.version);
    anstream::println!("{}\n", newest.summary);
    let here = match &info.installed {
        Some(each) => format!("{} is installed here", each.locked.version),
        None => format!("not installed here; windlass plugin install {name}"),
    };
    let signed = newest.signature.as_ref().map_or("no".to_owned(), |signature| format!("by {}", signature.key));
    let rows = [
        ("registry", info.registry.clone()),
        ("here", here),
        ("step types", newest.steps.join(", ")),
        ("licence", newest.licence.clone()),
        ("source", newest.source.clone().unwrap_or_else(|| "-".to_owned())),
        ("signed", signed),
        ("digest", newest.digest.to_string()),
        ("size", style::size(newest.size)),
        ("contract", format!("{} {}", windlass_contract::CONTRACT_PACKAGE, newest.contract)),
    ];
    let rows: Vec<_> = rows.map(|(name, value)| vec![format!("  {}", style::paint(style::FAINT, name)), value]).into();
    anstream::print!("{}", style::table(&rows));
    anstream::println!("\n{}", style::paint(style::STRONG, "asks to"));
    print_permissions(&newest.permissions);
    anstream::println!("\n{}", style::paint(style::STRONG, "releases"));
    let mut rows = Vec::new();
    for each in info.releases.iter().rev() {
        let note = each
            .status
            .notice()
            .map(|(state, why)| style::paint(style::WARNING, format_args!("{state}: {}", why.reason)));
        let at = u64::try_from(each.published.as_millisecond()).unwrap_or(0);
        rows.push(vec![format!("  {}", each.version), moment(at), note.unwrap_or_default()]);
    }
    anstream::print!("{}", style::table(&rows));
    Ok(Exit::Success)
}

fn print_permissions(permissions: &Permissions) {
    let words = permissions.in_words();
    if words.is_empty() {
        anstream::println!("  nothing beyond its own log and results");
    }
    for (interface, words) in words {
        let red = interface == Interface::SecretsReveal;
        anstream::println!("  {}", if red { style::paint(style::ERROR, words) } else { words });
    }
}

fn remove(app: &App, text: &str) -> anyhow::Result<Exit> {
    let name = name(text)?;
    if installed::remove(&app.project, &name).map_err(coded)? {
        anstream::eprintln!("{} {name} is removed from this project", style::paint(style::GOOD, "✔"));
        Ok(Exit::Success)
    } else {
        Err(UsageError(format!("{name} is not installed in this project")).into())
    }
}

fn verify(app: &App, json: bool) -> anyhow::Result<Exit> {
    let all = installed::verify(&app.home, &app.project).map_err(coded)?;
    let bad = all.iter().any(|(_, health)| *health != Health::Sound);
    let words = |locked: &Locked, health: &Health| match health {
        Health::Sound => "sound".to_owned(),
        Health::Missing => "not on this machine; windlass plugin install".to_owned(),
        Health::Damaged { found } => format!("DAMAGED: its bytes have the digest {found}, not {}", locked.digest),
        Health::BadSignature { why } => format!("BAD SIGNATURE: {why}"),
    };
    if json {
        let rows: Vec<_> = all
            .iter()
            .map(|(locked, health)| {
                serde_json::json!({
                    "name": locked.name, "version": locked.version, "digest": locked.digest,
                    "sound": *health == Health::Sound, "words": words(locked, health),
                })
            })
            .collect();
        print_json(&rows)?;
    } else {
        for (locked, health) in &all {
            let sound = *health == Health::Sound;
            let sign = if sound { style::paint(style::GOOD, "✔") } else { style::paint(style::ERROR, "✘") };
            let digest = if sound { style::paint(style::FAINT, locked.digest) } else { String::new() };
            let line = format!("{sign} {}@{} {} {digest}", locked.name, locked.version, words(locked, health));
            anstream::println!("{}", line.trim_end());
        }
    }
    Ok(if bad { Exit::Infrastructure } else { Exit::Success })
}

async fn inspect(app: &App, file: &Path, json: bool) -> anyhow::Result<Exit> {
    let wasm = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let found = windlass_runtime::inspect(&wasm).map_err(coded)?;
    let runtime = app.runtime()?;
    let began = Instant::now();
    let report = runtime.compile(file, Digest::of(&wasm)).await.map_err(coded)?;
    let compile_ms = if report.cached { report.duration } else { began.elapsed() }.as_millis();
    if json {
        return print_json(&serde_json::json!({
            "digest": Digest::of(&wasm),
            "size": found.size,
            "language": found.language,
            "kinds": found.kinds,
            "contract": found.contract.to_string(),
            "exports": found.exports,
            "permissions": found.imports,
            "wasi": found.wasi,
            "unknown_imports": found.unknown_imports,
            "compile_ms": compile_ms,
            "compiled_size": report.cwasm_bytes,
        }));
    }
    let list = |names: Vec<String>| if names.is_empty() { "-".to_owned() } else { names.join(", ") };
    let rows = [
        ("digest", Digest::of(&wasm).to_string()),
        ("size", style::size(found.size)),
        ("language", found.language.unwrap_or_else(|| "unknown".to_owned())),
        ("contract", format!("{} {}", windlass_contract::CONTRACT_PACKAGE, found.contract)),
        ("exports", list(found.exports)),
        ("asks for", list(found.imports.iter().filter(|i| !i.always_granted()).map(ToString::to_string).collect())),
        (
            "wasi",
            if found.wasi.is_empty() { "-".to_owned() } else { format!("{} interfaces, all closed", found.wasi.len()) },
        ),
        ("compile", format!("{compile_ms} ms{}", if report.cached { " (when it was compiled)" } else { "" })),
        ("compiled", style::size(report.cwasm_bytes)),
    ];
    let rows: Vec<_> = rows.map(|(name, value)| vec![style::paint(style::FAINT, name), value]).into();
    anstream::print!("{}", style::table(&rows));
    Ok(Exit::Success)
}

async fn publish(
    app: &App,
    folder: &Path,
    dry_run: bool,
    token: Option<SecretValue>,
    json: bool,
) -> anyhow::Result<Exit> {
    let components = app.runtime()?;
    let prepared = publish::prepare(&app.home, folder, &components, dry_run).await.map_err(coded)?;
    let steps: Vec<&str> = prepared.descriptor.steps.iter().map(|step| step.name.as_str()).collect();
    if !json {
        anstream::eprintln!(
            "{} {} · {} · {} · signed by {}",
            style::paint(style::STRONG, &prepared.plugin),
            steps.join(", "),
            style::size(prepared.size),
            prepared.plugin.digest,
            prepared.key
        );
    }
    if dry_run {
        if json {
            return print_json(&serde_json::json!({ "plugin": prepared.plugin, "steps": steps, "published": false }));
        }
        anstream::eprintln!("{} it would be published; nothing was sent", style::paint(style::GOOD, "✔"));
        return Ok(Exit::Success);
    }
    let release = publish::push(&app.home, &prepared, token).await.map_err(coded)?;
    if json {
        return print_json(&release);
    }
    let registry = app.home.registry_of(prepared.manifest.name.namespace()).map_err(coded)?;
    anstream::eprintln!("{} published to {registry}", style::paint(style::GOOD, "✔"));
    Ok(Exit::Success)
}
