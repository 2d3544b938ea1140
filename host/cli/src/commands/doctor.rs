//! `windlass doctor`: whether this machine and this project have what runs need, and what to do where they do not.
//!
//! Looks and changes nothing. A check that fails does not keep the others from being made.

use super::print_json;
use crate::{
    app::App,
    exit::{Exit, coded},
    style,
};
use serde::Serialize;
use std::time::Duration;
use windlass_contract::CodedError;
use windlass_package::{
    client::Registry,
    installed::{self, Health},
    market::SearchQuery,
};

/// How long a registry may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Under this, in bytes, the next image or log may not fit: 2 GiB.
const LITTLE_ROOM: u64 = 2 * 1024 * 1024 * 1024;
/// Under this many open files, a server has fewer places for runs and connections than it offers.
const FEW_FILES: u64 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Warning,
    Bad,
}

/// What came of looking at one thing.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    words: String,
    help: Option<String>,
}

impl Finding {
    fn good(what: &'static str, words: impl Into<String>) -> Finding {
        Finding { what, verdict: Verdict::Good, words: words.into(), help: None }
    }

    fn warning(what: &'static str, words: impl Into<String>, help: &str) -> Finding {
        Finding { what, verdict: Verdict::Warning, words: words.into(), help: Some(help.to_owned()) }
    }

    fn bad(what: &'static str, error: &impl CodedError) -> Finding {
        Finding { what, verdict: Verdict::Bad, words: format!("{error} [{}]", error.code()), help: error.help() }
    }
}

pub(crate) async fn doctor(app: &App, json: bool) -> anyhow::Result<Exit> {
    let mut found = vec![room(app), open_files()];
    let host = app.host().await?;
    found.push(match host.toolbox().engine_version().await {
        Ok(version) => Finding::good("container engine", version),
        Err(error) => Finding::bad("container engine", &error),
    });
    found.push(match host.store().unfinished_runs().await {
        Ok(runs) => {
            let left = runs.iter().filter(|run| !host.is_claimed(run)).count();
            match left {
                0 => Finding::good("event log", "sound; no run is left unfinished"),
                n => Finding::good("event log", format!("sound; {n} runs wait, or were left: `windlass runs`")),
            }
        }
        Err(error) => Finding::bad("event log", &error),
    });
    found.push(match app.vault().list() {
        Ok(secrets) => Finding::good("secrets", format!("{} can be read", secrets.len())),
        Err(error) => Finding::bad("secrets", &error),
    });
    found.extend(plugins(app)?);
    found.extend(registries(app).await);
    let worst = found.iter().any(|each| each.verdict == Verdict::Bad);
    if json {
        print_json(&found)?;
    } else {
        print(&found);
    }
    Ok(if worst { Exit::Infrastructure } else { Exit::Success })
}

fn room(app: &App) -> Finding {
    const WHAT: &str = "disk";
    let home = app.home.root().display();
    match rustix::fs::statvfs(app.home.root()) {
        Ok(facts) => {
            let free = facts.f_bavail.saturating_mul(facts.f_frsize);
            let words = format!("{} free in {home}", style::size(free));
            match free < LITTLE_ROOM {
                true => Finding::warning(WHAT, words, "make room before images and logs fill it"),
                false => Finding::good(WHAT, words),
            }
        }
        Err(error) => {
            Finding::warning(WHAT, format!("cannot look at {home}: {error}"), "check that it exists and is yours")
        }
    }
}

fn open_files() -> Finding {
    use rustix::process::{Resource, getrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    match most {
        Some(most) if most < FEW_FILES => Finding::warning(
            "open files",
            format!("at most {most}"),
            "a server with many runs and readers needs more: raise the hard limit (`ulimit -Hn`, or LimitNOFILE= of its unit)",
        ),
        Some(most) => Finding::good("open files", format!("at most {most}")),
        None => Finding::good("open files", "no limit"),
    }
}

fn plugins(app: &App) -> anyhow::Result<Vec<Finding>> {
    const WHAT: &str = "plugins";
    let all = installed::verify(&app.home, &app.project).map_err(coded)?;
    let faults: Vec<String> = all
        .iter()
        .filter_map(|(locked, health)| {
            let words = match health {
                Health::Sound => return None,
                Health::Missing => "not on this machine",
                Health::Damaged { .. } => "DAMAGED",
                Health::BadSignature { .. } => "BAD SIGNATURE",
            };
            Some(format!("{}@{}: {words}", locked.name, locked.version))
        })
        .collect();
    if !faults.is_empty() {
        let help =
            Some("`windlass plugin verify` says more; `windlass plugin install` fetches what is missing".to_owned());
        return Ok(vec![Finding { what: WHAT, verdict: Verdict::Bad, words: faults.join(", "), help }]);
    }
    if all.is_empty() {
        let help = "find some with `windlass plugin search`, or run this in the project's folder";
        return Ok(vec![Finding::warning(WHAT, "none is installed in this project", help)]);
    }
    let runtime = app.runtime()?;
    let loaded = installed::installed(&app.home, &app.project).map_err(coded)?;
    for each in &loaded {
        if let Err(error) = runtime.load(each.plugin.clone()) {
            return Ok(vec![Finding::bad(WHAT, &error)]);
        }
    }
    Ok(vec![Finding::good(WHAT, format!("{} installed, verified and ready to be called", loaded.len()))])
}

async fn registries(app: &App) -> Vec<Finding> {
    const WHAT: &str = "registry";
    let mut found = Vec::new();
    let urls = match app.home.registries() {
        Ok(urls) => urls,
        Err(error) => return vec![Finding { verdict: Verdict::Warning, ..Finding::bad(WHAT, &error) }],
    };
    for url in urls {
        let asked = async {
            let query = SearchQuery { limit: 1, ..SearchQuery::default() };
            Registry::new(&app.home, url.clone(), None)?.search(&query).await
        };
        found.push(match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => Finding::good(WHAT, format!("{url} answers; it has {} plugins", answer.total)),
            Ok(Err(error)) => Finding { verdict: Verdict::Warning, ..Finding::bad(WHAT, &error) },
            Err(_) => {
                let words = format!("{url} has not answered in {} seconds", PATIENCE.as_secs());
                Finding::warning(
                    WHAT,
                    words,
                    "what is installed goes on; nothing can be installed or updated from there",
                )
            }
        });
    }
    found
}

fn print(found: &[Finding]) {
    let width = found.iter().map(|each| each.what.len()).max().unwrap_or_default();
    for Finding { what, verdict, words, help } in found {
        let sign = match verdict {
            Verdict::Good => style::paint(style::GOOD, "✔"),
            Verdict::Warning => style::paint(style::WARNING, "!"),
            Verdict::Bad => style::paint(style::ERROR, "✘"),
        };
        anstream::println!("{sign} {what:width$}  {words}");
        if let Some(help) = help {
            anstream::println!("  {:width$}  {}", "", style::paint(style::HELP, help));
        }
    }
}
