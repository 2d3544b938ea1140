//! What GitHub says, and whether a trigger is meant by it. Pure.
//!
//! Where the files that have changed are not all known, the path filter counts as met, and it is said so: a run too many costs less than
//! one that is missing.

use super::{
    globs::Globs,
    spec::{GithubEvent, TriggerSpec},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How many commits a push may list at GitHub; older servers stop at [`OLD_LISTED`]. A list that is just as long may be cut off.
const LISTED: usize = 2_048;
/// See [`LISTED`].
const OLD_LISTED: usize = 20;
/// How long a run's title may be, in characters: a line in a list.
pub(super) const MAX_TITLE_CHARS: usize = 200;
/// What in a commit's message keeps it from beginning runs, as at GitHub.
const SKIPS: &[&str] = &["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"];

/// What an event is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Read {
    /// What kind, in GitHub's words; a pushed tag is a `tag`.
    pub(super) event: String,
    /// What a run of it is called.
    pub(super) title: Option<String>,
    /// What templates read as `event.github`.
    pub(super) github: Value,
    /// What it is about.
    what: What,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    Push { branch: String },
    Tag { tag: String },
    PullRequest { base: String, action: String, fork: bool },
    Ping,
    Other,
}

/// Whether a trigger begins a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meant {
    /// It does; with something to be said, maybe.
    Yes(Option<String>),
    /// It does not, for this reason.
    No(String),
    /// Nothing is asked but an answer.
    Ping,
}

/// The globs of a trigger.
#[derive(Debug, Clone)]
pub(super) struct Filters {
    events: Vec<GithubEvent>,
    branches: Globs,
    tags: Globs,
    paths: Globs,
    forks: bool,
}

impl Filters {
    /// Of a trigger whose globs were checked; `None` of another kind.
    pub(super) fn of(spec: &TriggerSpec) -> Option<Filters> {
        let TriggerSpec::Github { events, branches, tags, paths, forks, .. } = spec else { return None };
        let globs = |list: &[String]| Globs::new(list).ok();
        Some(Filters {
            events: events.clone(),
            branches: globs(branches)?,
            tags: globs(tags)?,
            paths: globs(paths)?,
            forks: *forks,
        })
    }
}

/// Reads an event: its kind, from the header, and its body.
pub(super) fn read(kind: &str, body: &Value) -> Read {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let base = json!({
        "event": kind,
        "ref": null, "branch": null, "tag": null, "sha": null, "before": null, "pull_request": null,
        "action": text("/action"),
        "actor": text("/sender/login"),
        "repository": text("/repository/full_name"),
    });
    let with = |more: Value| {
        let mut github = base.clone();
        if let (Value::Object(github), Value::Object(more)) = (&mut github, more) {
            github.extend(more);
        }
        github
    };
    match kind {
        "push" => {
            let reference = text("/ref").unwrap_or_default();
            let message = text("/head_commit/message").unwrap_or_default().lines().next().unwrap_or_default();
            let titled = |name: &str| if message.is_empty() { name.to_owned() } else { format!("{name}: {message}") };
            let common = json!({ "ref": reference, "sha": text("/after"), "before": text("/before") });
            let more = |name: &str, value: &str| {
                let mut more = common.clone();
                more[name] = value.into();
                with(more)
            };
            if let Some(tag) = reference.strip_prefix("refs/tags/") {
                let (title, github) = (titled(tag), more("tag", tag));
                Read { event: "tag".to_owned(), title: line(&title), github, what: What::Tag { tag: tag.to_owned() } }
            } else {
                let branch = reference.strip_prefix("refs/heads/").unwrap_or(reference).to_owned();
                let (title, github) = (titled(&branch), more("branch", &branch));
                Read { event: "push".to_owned(), title: line(&title), github, what: What::Push { branch } }
            }
        }
        "pull_request" => {
            let number = body.pointer("/number").and_then(Value::as_u64);
            let base_branch = text("/pull_request/base/ref").unwrap_or_default().to_owned();
            let (own, theirs) = (text("/pull_request/base/repo/full_name"), text("/pull_request/head/repo/full_name"));
            // A fork that was deleted is one still.
            let fork = own.is_none() || own != theirs;
            let title = text("/pull_request/title").unwrap_or_default();
            let github = with(json!({
                "ref": number.map(|number| format!("refs/pull/{number}/head")),
                "branch": text("/pull_request/head/ref"),
                "sha": text("/pull_request/head/sha"),
                "pull_request": {
                    "number": number,
                    "title": title,
                    "base": base_branch,
                    "head": text("/pull_request/head/ref"),
                    "url": text("/pull_request/html_url"),
                    "draft": body.pointer("/pull_request/draft"),
                    "fork": fork,
                },
            }));
            let title = line(&number.map_or_else(|| title.to_owned(), |number| format!("#{number} {title}")));
            let action = text("/action").unwrap_or_default().to_owned();
            Read { event: kind.to_owned(), title, github, what: What::PullRequest { base: base_branch, action, fork } }
        }
        "ping" => Read { event: kind.to_owned(), title: None, github: base, what: What::Ping },
        _ => Read { event: kind.to_owned(), title: None, github: base, what: What::Other },
    }
}

/// Whether an event is meant for a trigger with these filters.
pub(super) fn meant(read: &Read, body: &Value, filters: &Filters) -> Meant {
    let no = |why: String| Meant::No(why);
    let wants = |event: GithubEvent| match filters.events.contains(&event) {
        true => None,
        false => Some(no(format!("this trigger is not for the event {}", event.name()))),
    };
    match &read.what {
        What::Ping => Meant::Ping,
        What::Other => no(format!("this trigger is not for the event {}", read.event)),
        What::PullRequest { base, action, fork } => {
            if let Some(no) = wants(GithubEvent::PullRequest) {
                return no;
            }
            if !matches!(action.as_str(), "opened" | "synchronize" | "reopened") {
                return no(format!("nothing to run has come with the action {action}"));
            }
            if *fork && !filters.forks {
                return no("it comes from a fork, and this trigger has no `forks: true`".to_owned());
            }
            if !filters.branches.fits(base) {
                return no(format!("the branch {base} is not among this trigger's"));
            }
            match filters.paths.is_empty() {
                true => Meant::Yes(None),
                false => Meant::Yes(Some(
                    "a pull request does not list its files, so the path filter counts as met".to_owned(),
                )),
            }
        }
        What::Push { branch } => {
            if let Some(no) = wants(GithubEvent::Push).or_else(|| ended(body)) {
                return no;
            }
            if !filters.branches.fits(branch) {
                return no(format!("the branch {branch} is not among this trigger's"));
            }
            if filters.paths.is_empty() {
                return Meant::Yes(None);
            }
            match changed(body) {
                Err(why) => Meant::Yes(Some(format!("{why}, so the path filter counts as met"))),
                Ok(files) if files.iter().any(|file| filters.paths.fits(file)) => Meant::Yes(None),
                Ok(_) => no("none of the files that have changed is among this trigger's paths".to_owned()),
            }
        }
        What::Tag { tag } => {
            if let Some(no) = wants(GithubEvent::Tag).or_else(|| ended(body)) {
                return no;
            }
            match filters.tags.fits(tag) {
                true => Meant::Yes(None),
                false => no(format!("the tag {tag} is not among this trigger's")),
            }
        }
    }
}

/// Why a push begins nothing, whatever the filters: there is nothing any more, or its author said so.
fn ended(body: &Value) -> Option<Meant> {
    if body.pointer("/deleted").and_then(Value::as_bool) == Some(true) {
        return Some(Meant::No("it was deleted, so there is nothing to run".to_owned()));
    }
    let message = body.pointer("/head_commit/message").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    let skip = SKIPS.iter().find(|skip| message.contains(**skip))?;
    Some(Meant::No(format!("the commit's message says {skip}")))
}

/// The files that a push has changed; else why they are not all known.
fn changed(body: &Value) -> Result<BTreeSet<&str>, String> {
    let is = |pointer: &str| body.pointer(pointer).and_then(Value::as_bool) == Some(true);
    if is("/created") {
        return Err("the branch is new".to_owned());
    }
    if is("/forced") {
        return Err("the push has rewritten the branch".to_owned());
    }
    let commits = body.pointer("/commits").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let said = body.pointer("/size").and_then(Value::as_u64).unwrap_or(0);
    if commits.is_empty() {
        return Err("the push lists no commits".to_owned());
    }
    if commits.len() >= LISTED || commits.len() == OLD_LISTED || said > commits.len() as u64 {
        return Err(format!("{} commits are listed, and the list may be cut off", commits.len()));
    }
    let lists = commits.iter().flat_map(|commit| ["added", "modified", "removed"].map(|name| commit.get(name)));
    Ok(lists.flatten().filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect())
}

/// A text as one line that is fit for lists: no control characters, and not longer than [`MAX_TITLE_CHARS`].
pub(super) fn line(text: &str) -> Option<String> {
    let line: String = text.chars().filter(|c| !c.is_control()).take(MAX_TITLE_CHARS).collect();
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(more: Value) -> Value {
        let mut body = json!({
            "ref": "refs/heads/main", "before": "aaa", "after": "bbb", "created": false, "deleted": false, "forced": false,
            "repository": { "full_name": "acme/shop" }, "sender": { "login": "ann" },
            "head_commit": { "message": "Mend the cart\n\nIt was broken." },
            "commits": [{ "added": ["src/new.rs"], "modified": ["docs/a.md"], "removed": [] }],
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    fn pull(action: &str, head: &str) -> Value {
        json!({
            "action": action, "number": 7, "sender": { "login": "ann" }, "repository": { "full_name": "acme/shop" },
            "pull_request": {
                "title": "Add a\u{1b}[31m cart", "draft": false, "html_url": "https://example.test/7",
                "base": { "ref": "main", "repo": { "full_name": "acme/shop" } },
                "head": { "ref": "cart", "sha": "ccc", "repo": { "full_name": head } },
            },
        })
    }

    fn spec(more: Value) -> Filters {
        let mut spec = json!({ "kind": "github", "events": ["push", "tag", "pull_request"] });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Filters::of(&serde_json::from_value(spec).unwrap()).unwrap()
    }

    #[test]
    fn what_an_event_is() {
        let pushed = read("push", &push(json!({})));
        assert_eq!((pushed.event.as_str(), pushed.title.as_deref()), ("push", Some("main: Mend the cart")));
        assert_eq!(pushed.github["branch"], "main");
        assert_eq!(pushed.github["sha"], "bbb");
        assert_eq!(pushed.github["actor"], "ann");
        assert_eq!(pushed.github["tag"], Value::Null);
        let tag = read("push", &push(json!({ "ref": "refs/tags/v1" })));
        assert_eq!((tag.event.as_str(), &tag.github["tag"]), ("tag", &json!("v1")));
        let pull = read("pull_request", &pull("opened", "acme/shop"));
        assert_eq!(pull.title.as_deref(), Some("#7 Add a[31m cart"), "no control characters");
        assert_eq!(pull.github["pull_request"]["fork"], false);
        assert_eq!(read("push", &json!({})).title, None, "a body that is nothing like it");
        assert_eq!(
            read("push", &push(json!({ "head_commit": { "message": "x".repeat(1000) } }))).title.unwrap().len(),
            MAX_TITLE_CHARS
        );
    }

    #[test]
    fn which_events_are_meant() {
        let check = |filters: Value, kind: &str, body: Value, expect: Result<Option<&str>, &str>| {
            let found = meant(&read(kind, &body), &body, &spec(filters.clone()));
            match (found, expect) {
                (Meant::Yes(None), Ok(None)) => {}
                (Meant::Yes(Some(said)), Ok(Some(part))) if said.contains(part) => {}
                (Meant::No(why), Err(part)) if why.contains(part) => {}
                (found, expect) => panic!("{filters} {kind}: {found:?} and not {expect:?}"),
            }
        };
        check(json!({}), "push", push(json!({})), Ok(None));
        check(json!({ "events": ["tag"] }), "push", push(json!({})), Err("not for the event push"));
        check(json!({ "branches": ["release/*"] }), "push", push(json!({})), Err("branch main is not"));
        check(json!({ "branches": ["release/*"] }), "push", push(json!({ "ref": "refs/heads/release/2" })), Ok(None));
        check(json!({ "paths": ["src/**"] }), "push", push(json!({})), Ok(None));
        check(json!({ "paths": ["infra/**"] }), "push", push(json!({})), Err("none of the files"));
        check(json!({ "paths": ["**", "!docs/**", "!src/**"] }), "push", push(json!({})), Err("none of the files"));
        check(json!({ "paths": ["infra/**"] }), "push", push(json!({ "forced": true })), Ok(Some("rewritten")));
        check(json!({ "paths": ["infra/**"] }), "push", push(json!({ "created": true })), Ok(Some("is new")));
        check(json!({ "paths": ["infra/**"] }), "push", push(json!({ "commits": [] })), Ok(Some("lists no commits")));
        check(json!({ "paths": ["infra/**"] }), "push", push(json!({ "size": 5 })), Ok(Some("cut off")));
        for count in [OLD_LISTED, LISTED] {
            let commits = vec![json!({ "modified": ["docs/a.md"] }); count];
            check(json!({ "paths": ["infra/**"] }), "push", push(json!({ "commits": commits })), Ok(Some("cut off")));
        }
        let commits = vec![json!({ "modified": ["docs/a.md"] }); OLD_LISTED + 1];
        check(json!({ "paths": ["infra/**"] }), "push", push(json!({ "commits": commits })), Err("none of the files"));
        check(json!({}), "push", push(json!({ "deleted": true })), Err("deleted"));
        check(json!({}), "push", push(json!({ "head_commit": { "message": "Words\n\n[Skip CI]" } })), Err("[skip ci]"));
        let tag = json!({ "ref": "refs/tags/v1.2" });
        check(json!({ "tags": ["v*"], "branches": ["none"], "paths": ["none"] }), "push", push(tag.clone()), Ok(None));
        check(json!({ "tags": ["w*"] }), "push", push(tag), Err("tag v1.2 is not"));
        check(json!({}), "pull_request", pull("opened", "acme/shop"), Ok(None));
        check(json!({}), "pull_request", pull("closed", "acme/shop"), Err("action closed"));
        check(json!({}), "pull_request", pull("opened", "eve/shop"), Err("from a fork"));
        check(json!({ "forks": true }), "pull_request", pull("opened", "eve/shop"), Ok(None));
        check(json!({ "branches": ["release/*"] }), "pull_request", pull("opened", "acme/shop"), Err("branch main"));
        check(
            json!({ "paths": ["src/**"] }),
            "pull_request",
            pull("synchronize", "acme/shop"),
            Ok(Some("counts as met")),
        );
        check(json!({}), "issues", json!({ "action": "opened" }), Err("not for the event issues"));
        assert_eq!(meant(&read("ping", &json!({})), &json!({}), &spec(json!({}))), Meant::Ping);
    }
}
