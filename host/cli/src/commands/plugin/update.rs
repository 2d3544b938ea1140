//! `windlass plugin update` and `outdated`.

use super::{
    super::{print_json, secret::header},
    install::{ask, in_words},
    progress::Downloads,
};
use crate::{
    app::{App, interactive},
    args::UpdateArgs,
    exit::{Exit, UsageError, coded},
    style,
};
use std::collections::{BTreeMap, BTreeSet};
use windlass_contract::PluginName;
use windlass_package::{
    Consent, ConsentRequest, Installed, Installer, Request,
    install::{Change, Options},
    lock::Lock,
    resolve::Root,
    update::{Difference, StepChange, outdated},
};

pub(super) async fn update(app: &App, args: UpdateArgs) -> anyhow::Result<Exit> {
    let lock = Lock::load(&app.project).map_err(coded)?;
    let pipelines = windlass_project::pipelines(&app.project);
    let mut roots = windlass_project::roots(&pipelines, &lock);
    let mut names = BTreeSet::new();
    for text in &args.plugins {
        let request: Request =
            text.parse().map_err(|error: windlass_package::PackageError| UsageError(error.to_string()))?;
        if !lock.plugins.contains_key(&request.name) {
            return Err(UsageError(format!("{} is not installed in this project", request.name)).into());
        }
        names.insert(request.name.clone());
        roots.push(Root { name: request.name, requirement: request.requirement, by: request.by });
    }
    let (components, downloads) = (app.runtime()?, Downloads::new());
    let options = Options { locked: false, allow_unsigned: args.allow_unsigned };
    let installer =
        Installer { home: &app.home, project: &app.project, components: &components, options, progress: &downloads };
    let differences = installer.look_ahead(&names, &roots).await.map_err(coded)?;
    let broken = broken(app, &pipelines, &differences)?;
    if !args.dry_run {
        if !args.json {
            print(&differences, &broken);
        }
        let mut ask = |request: &ConsentRequest| downloads.aside(|| ask(request));
        let consent = match (args.grant, interactive()) {
            (true, _) => Consent::Given,
            (false, true) => Consent::Ask(&mut ask),
            (false, false) => Consent::Nobody,
        };
        let outcomes = installer.update(&names, &roots, consent).await.map_err(coded)?;
        if !args.json {
            for each in outcomes {
                anstream::eprintln!("{} {} is installed", style::paint(style::GOOD, "✔"), each.plugin);
            }
        }
    }
    if args.json {
        return print_json(&serde_json::json!({
            "updated": !args.dry_run,
            "plugins": differences.iter().map(as_json).collect::<Vec<_>>(),
            "broken": broken,
        }));
    }
    if args.dry_run {
        print(&differences, &broken);
        anstream::eprintln!("nothing was changed; run it without --dry-run to update");
    }
    Ok(Exit::Success)
}

/// What is wrong with the project's pipelines once the new versions are installed, and is not now.
fn broken(
    app: &App,
    pipelines: &[windlass_project::Pipeline],
    differences: &[Difference],
) -> anyhow::Result<Vec<String>> {
    if differences.is_empty() {
        return Ok(Vec::new());
    }
    let now = app.installed()?;
    let by_name: BTreeMap<&PluginName, &Installed> = now.iter().map(|each| (&each.plugin.name, each)).collect();
    let mut then = BTreeMap::new();
    for each in differences {
        // One that is new has nothing here to be like; it can break nothing.
        if let Some(old) = by_name.get(&each.name) {
            let mut new = Installed { descriptor: each.descriptor.clone(), ..(*old).clone() };
            new.plugin.version = each.to.clone();
            new.plugin.digest = each.digest;
            then.insert(each.name.clone(), new);
        }
    }
    Ok(windlass_project::broken(pipelines, &now, &then))
}

fn print(differences: &[Difference], broken: &[String]) {
    if differences.is_empty() {
        anstream::println!("everything is as new as the project allows");
    }
    for each in differences {
        let from = each.from.as_ref().map_or_else(|| "new".to_owned(), ToString::to_string);
        let name = style::paint(style::STRONG, &each.name);
        anstream::println!("{name} {from} → {}, {}", each.to, in_words(&each.verification));
        for (_, words, change) in &each.permissions {
            match change {
                Change::Same => {}
                Change::First | Change::New => {
                    anstream::println!("  {} may {words}", style::paint(style::WARNING, "+"));
                }
                Change::Widened(before) => {
                    anstream::println!("  {} may {words} (until now: {before})", style::paint(style::WARNING, "~"));
                }
            }
        }
        for words in &each.given_up {
            anstream::println!("  {} may not {words} any more", style::paint(style::GOOD, "-"));
        }
        // A plugin that is new has nothing to differ from.
        for change in each.steps.iter().filter(|_| each.from.is_some()) {
            let sign =
                if change.is_breaking() { style::paint(style::ERROR, "!") } else { style::paint(style::FAINT, "·") };
            anstream::println!("  {sign} {change}");
        }
    }
    if !broken.is_empty() {
        anstream::println!("\n{}", style::paint(style::ERROR, "pipelines that would be wrong"));
        for fault in broken {
            anstream::println!("  {fault}");
        }
    }
}

fn as_json(each: &Difference) -> serde_json::Value {
    let permissions = each.permissions.iter().map(|(interface, words, change)| {
        let (change, before) = match change {
            Change::First => ("first", None),
            Change::Same => ("same", None),
            Change::New => ("new", None),
            Change::Widened(before) => ("changed", Some(before)),
        };
        serde_json::json!({ "interface": interface, "words": words, "change": change, "before": before })
    });
    let steps = each.steps.iter().map(
        |change: &StepChange| serde_json::json!({ "words": change.to_string(), "breaking": change.is_breaking() }),
    );
    serde_json::json!({
        "name": each.name, "from": each.from, "to": each.to, "digest": each.digest,
        "permissions": permissions.collect::<Vec<_>>(), "given_up": each.given_up,
        "steps": steps.collect::<Vec<_>>(),
    })
}

pub(super) async fn show_outdated(app: &App, json: bool) -> anyhow::Result<Exit> {
    let lock = Lock::load(&app.project).map_err(coded)?;
    let roots = windlass_project::roots(&windlass_project::pipelines(&app.project), &lock);
    let all = outdated(&app.home, &app.project, &roots).await.map_err(coded)?;
    if json {
        let rows: Vec<_> = all
            .iter()
            .map(|each| {
                let notice =
                    each.notice.as_ref().map(|(state, reason)| serde_json::json!({ "state": state, "reason": reason }));
                serde_json::json!({
                    "name": each.name, "installed": each.installed, "wanted": each.wanted, "newest": each.newest,
                    "notice": notice,
                })
            })
            .collect();
        return print_json(&rows);
    }
    let mut rows = vec![header(&["PLUGIN", "INSTALLED", "WANTED", "NEWEST", ""])];
    for each in all {
        let is_current = each.wanted.as_ref() == Some(&each.installed) && each.newest.as_ref() == Some(&each.installed);
        if is_current && each.notice.is_none() {
            continue;
        }
        let version = |version: Option<String>| version.unwrap_or_else(|| "-".to_owned());
        let notice = each.notice.map(|(state, reason)| style::paint(style::WARNING, format_args!("{state}: {reason}")));
        rows.push(vec![
            each.name.to_string(),
            each.installed.to_string(),
            version(each.wanted.map(|it| it.to_string())),
            version(each.newest.map(|it| it.to_string())),
            notice.unwrap_or_default(),
        ]);
    }
    if rows.len() == 1 {
        anstream::eprintln!("everything is as new as it can be");
        return Ok(Exit::Success);
    }
    anstream::print!("{}", style::table(&rows));
    Ok(Exit::Success)
}
