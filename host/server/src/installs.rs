//! What is installed, and what is done to it.
//!
//! **Invariants.**
//! - Nothing is installed that nobody has looked at: an install names the consent of a plan, which is the digest of what would be installed
//!   and what it asks for. What would be installed now is worked out again, and anything else is refused.
//! - One change at a time. Who only looks never waits for one.
//! - What was begun is brought to its end and into the audit, also when nobody waits for the answer any more.
//! - The project is as before, or as after: `package` replaces its files whole.
//!
//! **Not here.** How plugins are found, verified and fetched (`package`), and what is wrong with a pipeline (`manifest`).

use crate::{
    App, Problem,
    access::Caller,
    api::plugins::{
        Grants, InstallPlan, InstalledPlugin, PermissionWords, PlannedChange, PlannedPermission, StepChangeRow,
    },
    aside::{aside, detached},
    problem::Kind,
};
use semver::{Version, VersionReq};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use windlass_contract::{Digest, Interface, Permissions, PluginName};
use windlass_package::{
    Consent, ConsentRequest, Installed, Installer, Silent, grants,
    install::{Change, Options, Verification},
    installed::{self, Listed},
    lock::Lock,
    manifest::check_permissions,
    removal::{self, Uses},
    resolve::{AskedBy, Root},
    update::{Difference, Standing},
};
use windlass_project::Pipeline;

/// What is to be installed.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The plugin.
    pub(crate) name: PluginName,
    /// In which versions.
    pub(crate) requirement: VersionReq,
}

impl Wanted {
    /// A version or a requirement; the newest that goes where there is none.
    pub(crate) fn parse(name: &str, version: Option<&str>) -> Result<Wanted, Problem> {
        let version = version.map(str::trim).filter(|version| !version.is_empty());
        match version {
            Some(text) if text.parse::<Version>().is_ok() => Wanted::exactly(name, text),
            text => {
                let requirement = text.unwrap_or("*").parse::<VersionReq>();
                let rule = "write a version such as 1.2.3, or a range such as ^1.2";
                let requirement = requirement.map_err(|_| Problem::field("/version", rule))?;
                Ok(Wanted { name: self::name(name)?, requirement })
            }
        }
    }

    /// This version and no other.
    pub(crate) fn exactly(name: &str, version: &str) -> Result<Wanted, Problem> {
        let parsed =
            version.parse::<Version>().ok().and_then(|version| format!("={version}").parse::<VersionReq>().ok());
        let requirement = parsed.ok_or_else(|| Problem::field("/version", "write a whole version such as 1.2.3"))?;
        Ok(Wanted { name: self::name(name)?, requirement })
    }
}

/// A plugin's name in a request.
pub(crate) fn name(text: &str) -> Result<PluginName, Problem> {
    text.parse().map_err(|error: windlass_contract::NameError| Problem::field("/name", error.to_string()))
}

/// Which version is installed.
pub(crate) fn version_of(app: &App, name: &PluginName) -> Result<Option<Version>, Problem> {
    Ok(Lock::load(app.plugins().project())?.plugins.get(name).map(|locked| locked.version.clone()))
}

/// What was found of who made a release, as one word and in words.
pub(crate) fn verified(verification: &Verification) -> (&'static str, String) {
    match verification {
        Verification::Verified { by, first_seen: true } => {
            ("verified", format!("signed by {by}, a publisher that was not seen before"))
        }
        Verification::Verified { by, first_seen: false } => {
            ("verified", format!("signed by {by}, the known publisher"))
        }
        Verification::Unsigned => ("unsigned", "not signed".to_owned()),
        Verification::Bad { why } => ("bad", why.clone()),
    }
}

/// Whether people should think about a permission twice: it opens the machine or the network wide, or shows values of secrets.
fn is_alarming(interface: Interface, asked: &str) -> bool {
    match interface {
        Interface::SecretsReveal => true,
        Interface::Http => asked.contains('*'),
        Interface::Containers => {
            let wide = |image: &str| image.split('/').next_back().is_some_and(|last| last.starts_with('*'));
            asked.split([' ', ',', ';']).any(wide)
        }
        _ => false,
    }
}

/// Names all that a plan would install and grant.
fn consent(changes: &[Difference]) -> String {
    let change = |each: &Difference| {
        let words = each.permissions.iter().map(|(interface, words, _)| json!([interface, words]));
        json!([each.name, each.from, each.to, each.digest, words.collect::<Vec<_>>()])
    };
    let plan: Vec<Value> = changes.iter().map(change).collect();
    Digest::of(Value::Array(plan).to_string().as_bytes()).to_string()
}

/// What would be done, worked out now. Fetches, verifies and compiles into the store; the project stays as it is.
async fn look_ahead(app: &App, wanted: &Wanted, roots: &[Root]) -> Result<Vec<Difference>, Problem> {
    let names = BTreeSet::from([wanted.name.clone()]);
    let mut changes = installer(app).look_ahead(&names, roots).await?;
    changes.sort_by_key(|each| each.name != wanted.name);
    Ok(changes)
}

fn installer(app: &App) -> Installer<'_> {
    Installer {
        home: app.plugins().home(),
        project: app.plugins().project(),
        components: app.host().runtime(),
        options: Options::default(),
        progress: &Silent,
    }
}

/// What is asked for: what pipelines and people asked for before, and what is wanted now.
fn roots(pipelines: &[Pipeline], lock: &Lock, wanted: &Wanted) -> Vec<Root> {
    let mut roots = windlass_project::roots(pipelines, lock);
    // What a person asks for by name is what moves: what the lock says of it is what it moves away from.
    roots.retain(|root| root.name != wanted.name || root.by != AskedBy::Lock);
    let (name, requirement) = (wanted.name.clone(), wanted.requirement.clone());
    roots.push(Root { name, requirement, by: AskedBy::Command });
    roots
}

/// What an install or update would do.
pub(crate) async fn plan(app: &App, wanted: Wanted) -> Result<InstallPlan, Problem> {
    let pipelines = app.pipelines().await?;
    let app = app.clone();
    aside(move || async move {
        let lock = Lock::load(app.plugins().project())?;
        let changes = look_ahead(&app, &wanted, &roots(&pipelines, &lock, &wanted)).await?;
        let now = app.plugins().installed()?;
        Ok(InstallPlan {
            consent: consent(&changes),
            breaks: breaks(&pipelines, &now, &changes),
            conflicts: conflicts(&now, &changes),
            widens: changes.iter().flat_map(|each| &each.permissions).any(|(_, _, change)| *change != Change::Same),
            changes: changes.iter().map(planned).collect(),
        })
    })
    .await?
}

fn planned(each: &Difference) -> PlannedChange {
    let (verification, verification_words) = verified(&each.verification);
    let permission = |(interface, words, change): &(Interface, String, Change)| {
        let (change, until_now) = match change {
            Change::First => ("first", None),
            Change::Same => ("same", None),
            Change::New => ("new", None),
            Change::Widened(before) => ("widened", Some(before.clone())),
        };
        PlannedPermission {
            capability: interface.to_string(),
            alarming: is_alarming(*interface, words),
            words: words.clone(),
            change: change.to_owned(),
            until_now,
        }
    };
    let step = |step: &windlass_package::update::StepChange| StepChangeRow {
        words: step.to_string(),
        breaking: step.is_breaking(),
    };
    PlannedChange {
        name: each.name.to_string(),
        from: each.from.as_ref().map(ToString::to_string),
        to: each.to.to_string(),
        digest: each.digest.to_string(),
        size: Some(each.size),
        summary: each.summary.clone(),
        verification: verification.to_owned(),
        verification_words,
        permissions: each.permissions.iter().map(permission).collect(),
        given_up: each.given_up.clone(),
        steps: each.steps.iter().map(step).collect(),
    }
}

/// What is wrong with pipelines once this is done, and is not now.
fn breaks(pipelines: &[Pipeline], now: &[Installed], changes: &[Difference]) -> Vec<String> {
    let mut then = BTreeMap::new();
    for each in changes {
        // One that is new has nothing here to be like; it can break nothing.
        if let Some(old) = now.iter().find(|old| old.plugin.name == each.name) {
            let mut new = Installed { descriptor: each.descriptor.clone(), ..old.clone() };
            new.plugin.version = each.to.clone();
            new.plugin.digest = each.digest;
            then.insert(each.name.clone(), new);
        }
    }
    if then.is_empty() { Vec::new() } else { windlass_project::broken(pipelines, now, &then) }
}

/// What others provide too.
fn conflicts(now: &[Installed], changes: &[Difference]) -> Vec<String> {
    let mut words = Vec::new();
    for each in changes {
        let stays = |other: &&Installed| !changes.iter().any(|change| change.name == other.plugin.name);
        for other in now.iter().filter(stays) {
            for name in each.descriptor.provides().iter().filter(|name| other.descriptor.provides().contains(name)) {
                let (new, old) = (&each.name, &other.plugin.name);
                words.push(format!("{name} is provided by {old} too; pipelines then have to write {new}/… or {old}/…"));
            }
        }
    }
    words
}

/// Installs or updates a plugin as its plan was agreed to. Goes on when nobody waits for it any more.
pub(crate) async fn install(
    app: &App,
    caller: &Caller,
    wanted: Wanted,
    agreed: String,
) -> Result<InstalledPlugin, Problem> {
    let (app, caller) = (app.clone(), caller.clone());
    let work = detached(async move {
        let turn = app.plugins().turn().await;
        let pipelines = app.pipelines().await?;
        let (name, at) = (wanted.name.clone(), app.clone());
        aside(move || async move { carry_out(&at, &caller, &wanted, &pipelines, &agreed).await }).await??;
        drop(turn);
        row(&app, &name).await
    });
    work.await.map_err(Problem::internal)?
}

async fn carry_out(
    app: &App,
    caller: &Caller,
    wanted: &Wanted,
    pipelines: &[Pipeline],
    agreed: &str,
) -> Result<(), Problem> {
    let lock = Lock::load(app.plugins().project())?;
    let roots = roots(pipelines, &lock, wanted);
    let changes = look_ahead(app, wanted, &roots).await?;
    if consent(&changes) != agreed {
        let words = "what would be installed is not what was agreed to: it has changed since, or it never was that";
        return Err(Problem::new(Kind::PlanChanged, words).help("look at the plan again, and agree to that"));
    }
    // What was agreed to, to the letter: a registry might answer otherwise a second time.
    let mut is_agreed = |request: &ConsentRequest| {
        changes.iter().any(|each| {
            let words = each.permissions.iter().map(|(interface, words, _)| (*interface, words.clone()));
            each.digest == request.plugin.digest && words.eq(request.asked.in_words())
        })
    };
    let names = BTreeSet::from([wanted.name.clone()]);
    let entry = |each: &Difference| {
        let granted: Vec<_> = each.permissions.iter().map(|(_, words, _)| words).collect();
        let detail = json!({ "from": each.from, "to": each.to, "digest": each.digest, "permissions": granted });
        let action = if each.from.is_some() { "plugin.update" } else { "plugin.install" };
        caller.did(action, &each.name.to_string(), detail)
    };
    let entries: Vec<_> = changes.iter().map(entry).collect();
    let work = async {
        let done = installer(app).update(&names, &roots, Consent::Ask(&mut is_agreed)).await;
        app.plugins().forget();
        Ok(done.map(drop)?)
    };
    app.audited(&entries, work).await
}

/// Removes a plugin, and those that only it called.
pub(crate) async fn remove(app: &App, caller: &Caller, name: &PluginName, force: bool) -> Result<(), Problem> {
    let (app, caller, name) = (app.clone(), caller.clone(), name.clone());
    let work = detached(async move {
        let turn = app.plugins().turn().await;
        let uses = uses(&app).await?;
        let at = app.clone();
        let removed = aside(move || async move {
            let (app, project) = (&at, at.plugins().project());
            let going = removal::would_remove(project, &name, &uses, force)?;
            if going.is_empty() {
                return Err(Problem::not_found(format!("plugin {name} installed here")));
            }
            let entry = caller.did("plugin.remove", &name.to_string(), json!({ "removed": going, "force": force }));
            let work = async {
                let gone = removal::remove(project, &name, &uses, force);
                app.plugins().forget();
                Ok(gone.map(drop)?)
            };
            app.audited(&[entry], work).await
        });
        let removed = removed.await?;
        drop(turn);
        removed
    });
    work.await.map_err(Problem::internal)?
}

/// Which pipelines and environments use which plugin.
async fn uses(app: &App) -> Result<Uses, Problem> {
    let pipelines = app.pipelines().await?;
    let environments = app.records().environments(Default::default()).await?;
    let app = app.clone();
    aside(move || async move {
        let listed = installed::list(app.plugins().home(), app.plugins().project())?;
        let mut uses = windlass_project::uses(&pipelines, &listed);
        for environment in environments {
            let is_it = |each: &&Listed| each.provider.as_ref().is_some_and(|it| it.as_str() == environment.provider);
            for provider in listed.iter().filter(is_it) {
                let by = format!("environment {}", environment.name);
                uses.entry(provider.locked.name.clone()).or_default().insert(by);
            }
        }
        Ok(uses)
    })
    .await?
}

/// One plugin that is installed.
pub(crate) async fn row(app: &App, name: &PluginName) -> Result<InstalledPlugin, Problem> {
    rows(app, Some(name)).await?.pop().ok_or_else(|| Problem::not_found(format!("plugin {name} installed here")))
}

/// What is installed, by name; only one, where one is named.
pub(crate) async fn rows(app: &App, only: Option<&PluginName>) -> Result<Vec<InstalledPlugin>, Problem> {
    let uses = uses(app).await?;
    let (app, only) = (app.clone(), only.cloned());
    aside(move || async move {
        let (home, project) = (app.plugins().home(), app.plugins().project());
        let (lock, mut listed) = (Lock::load(project)?, installed::list(home, project)?);
        listed.retain(|each| only.as_ref().is_none_or(|only| each.locked.name == *only));
        let standings = listed.iter().map(|each| app.plugins().market().standing(home, &each.locked));
        let standings = futures::future::join_all(standings).await;
        let mut rows = Vec::new();
        for (each, standing) in listed.iter().zip(standings) {
            let entry = home.store().get(&each.locked.digest)?;
            let kinds = entry.into_iter().flat_map(|entry| entry.kinds).map(|kind| json!(kind));
            rows.push(InstalledPlugin {
                name: each.locked.name.to_string(),
                version: each.locked.version.to_string(),
                digest: each.locked.digest.to_string(),
                registry: each.locked.registry.clone(),
                kinds: kinds.filter_map(|kind| kind.as_str().map(str::to_owned)).collect(),
                steps: each.steps.clone(),
                permissions: in_words(&each.effective),
                refused: refused(&each.locked.permissions, &each.effective),
                used_by: uses.get(&each.locked.name).into_iter().flatten().cloned().collect(),
                present: each.present,
                status: status(standing.as_deref()).to_owned(),
                newer: standing.as_deref().and_then(newer),
                dependency: !each.locked.requested && lock.needed_by(&each.locked.name).next().is_some(),
            });
        }
        Ok(rows)
    })
    .await?
}

fn status(standing: Option<&Standing>) -> &'static str {
    match standing {
        None => "unknown",
        Some(Standing { notice: Some((state, _)), .. }) => state,
        Some(Standing { notice: None, .. }) => "ok",
    }
}

fn newer(standing: &Standing) -> Option<String> {
    let newest = standing.newest.as_ref()?;
    newest.cmp_precedence(&standing.installed).is_gt().then(|| newest.to_string())
}

fn in_words(permissions: &Permissions) -> Vec<PermissionWords> {
    let words = permissions.in_words().into_iter();
    words.map(|(interface, words)| PermissionWords { capability: interface.to_string(), words }).collect()
}

/// What is asked for and not given: each permission that is not given to the letter.
fn refused(asked: &Permissions, effective: &Permissions) -> Vec<PermissionWords> {
    let given = in_words(effective);
    in_words(asked).into_iter().filter(|asked| !given.contains(asked)).collect()
}

/// What a plugin was granted and asks for, as the grants file has it.
pub(crate) async fn grants(app: &App, name: &PluginName) -> Result<Grants, Problem> {
    let (app, name) = (app.clone(), name.clone());
    aside(move || async move {
        let project = app.plugins().project();
        let lock = Lock::load(project)?;
        let locked =
            lock.plugins.get(&name).ok_or_else(|| Problem::not_found(format!("plugin {name} installed here")))?;
        let granted = grants::Grants::load(project)?.of(&name);
        // Texts, numbers and sets of texts: cannot fail.
        let value = |permissions: &Permissions| serde_json::to_value(permissions).unwrap_or_default();
        Ok(Grants { granted: value(&granted), asked: value(&locked.permissions) })
    })
    .await?
}

/// Gives a plugin these permissions, which are within what it asks for.
pub(crate) async fn set_grants(
    app: &App,
    caller: &Caller,
    name: &PluginName,
    granted: Value,
) -> Result<InstalledPlugin, Problem> {
    // A list would be read as an object whose fields come one after the other.
    if !granted.is_object() {
        return Err(Problem::field("/granted", "write an object, as it stands in the grants file"));
    }
    let granted: Permissions =
        serde_json::from_value(granted).map_err(|error| Problem::field("/granted", error.to_string()))?;
    check_permissions(&granted).map_err(|why| Problem::field("/granted", why))?;
    let turn = app.plugins().turn().await;
    let (at, caller, plugin) = (app.clone(), caller.clone(), name.clone());
    let done = aside(move || async move {
        let (app, name) = (at, plugin);
        let project = app.plugins().project();
        let lock = Lock::load(project)?;
        let locked =
            lock.plugins.get(&name).ok_or_else(|| Problem::not_found(format!("plugin {name} installed here")))?;
        if !granted.within(&locked.permissions) {
            let words = format!("this is more than {name} asks for, or said in other words");
            return Err(
                Problem::field("/granted", words).help("narrow what it asks for: take out what it may not have")
            );
        }
        let mut grants = grants::Grants::load(project)?;
        let before = grants.plugins.insert(name.clone(), granted.clone()).unwrap_or_default();
        let words =
            |permissions: &Permissions| permissions.in_words().into_iter().map(|(_, words)| words).collect::<Vec<_>>();
        let detail = json!({ "before": words(&before), "after": words(&granted) });
        let entry = caller.did("plugin.grant", &name.to_string(), detail);
        let work = async {
            let saved = grants.save(project);
            app.plugins().forget();
            Ok(saved?)
        };
        app.audited(&[entry], work).await
    });
    done.await??;
    drop(turn);
    row(app, name).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(json: Value) -> Permissions {
        serde_json::from_value(json).unwrap()
    }

    fn difference(to: &str, asked: &Permissions) -> Difference {
        Difference {
            name: "acme:slack".parse().unwrap(),
            from: None,
            to: to.parse().unwrap(),
            digest: Digest::of(to.as_bytes()),
            size: 1,
            summary: "Tell a channel".to_owned(),
            verification: Verification::Unsigned,
            permissions: windlass_package::differences(None, asked),
            given_up: Vec::new(),
            steps: Vec::new(),
            descriptor: windlass_contract::Descriptor::default(),
        }
    }

    #[test]
    fn a_consent_is_for_one_plan() {
        let narrow = permissions(json!({ "http": { "hosts": ["a.test"], "methods": ["GET"] } }));
        let wide = permissions(json!({ "http": { "hosts": ["a.test", "b.test"], "methods": ["GET"] } }));
        let agreed = consent(&[difference("1.0.0", &narrow)]);
        assert_eq!(consent(&[difference("1.0.0", &narrow)]), agreed);
        assert_ne!(consent(&[difference("1.0.1", &narrow)]), agreed, "another version");
        assert_ne!(consent(&[difference("1.0.0", &wide)]), agreed, "it asks for more");
        assert_ne!(consent(&[difference("1.0.0", &narrow), difference("1.0.0", &narrow)]), agreed, "more plugins");
        let other = Difference { digest: Digest::of(b"other"), ..difference("1.0.0", &narrow) };
        assert_ne!(consent(&[other]), agreed, "other bytes");
    }

    #[test]
    fn versions_that_are_wanted() {
        let check = |version: Option<&str>, expect: Option<&str>| {
            let wanted = Wanted::parse("acme:x", version).ok().map(|wanted| wanted.requirement.to_string());
            assert_eq!(wanted.as_deref(), expect, "{version:?}");
        };
        check(None, Some("*"));
        check(Some(" "), Some("*"));
        check(Some("1.2.3"), Some("=1.2.3"));
        check(Some("1.2.3-rc.1"), Some("=1.2.3-rc.1"));
        check(Some("^1.2"), Some("^1.2"));
        check(Some("../1"), None);
        for name in ["x", "acme:../x", "acme:x/y", ""] {
            assert_eq!(Wanted::parse(name, None).unwrap_err().errors[0].pointer, "/name", "{name}");
        }
        assert!(Wanted::exactly("acme:x", "^1").is_err());
    }

    #[test]
    fn what_alarms() {
        let check = |asked: Value, expect: &[Interface]| {
            let words = permissions(asked.clone()).in_words();
            let alarming = words.iter().filter(|(interface, words)| is_alarming(*interface, words));
            assert_eq!(alarming.map(|(interface, _)| *interface).collect::<Vec<_>>(), expect, "{asked}");
        };
        check(json!({ "secrets": ["from-config"] }), &[]);
        check(json!({ "secrets": ["from-config"], "secrets-reveal": true }), &[Interface::SecretsReveal]);
        check(json!({ "http": { "hosts": ["api.a.test"], "methods": ["GET"] } }), &[]);
        check(json!({ "http": { "hosts": ["*.a.test"], "methods": ["GET"] } }), &[Interface::Http]);
        check(json!({ "containers": { "images": ["from-config"], "network": true } }), &[]);
        check(json!({ "containers": { "images": ["a.test/app:*"] } }), &[]);
        check(json!({ "containers": { "images": ["a.test/*"] } }), &[Interface::Containers]);
    }

    #[test]
    fn what_is_not_given() {
        let asked = permissions(json!({ "state": true, "secrets": ["a/b", "c/d"] }));
        let capabilities = |granted: Value| {
            let effective = asked.intersect(&permissions(granted));
            refused(&asked, &effective).into_iter().map(|each| each.capability).collect::<Vec<_>>()
        };
        assert!(capabilities(json!({ "state": true, "secrets": ["a/b", "c/d"] })).is_empty());
        assert_eq!(capabilities(json!({ "state": true, "secrets": ["a/b"] })), ["secrets"]);
        assert_eq!(capabilities(json!({})), ["secrets", "state"]);
    }
}
