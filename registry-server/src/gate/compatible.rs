//! Whether a version that is compatible by its number is compatible.
//!
//! It is held against the highest lower version of its own track (the same major version; before 1.0 the same minor one).
//! What worked with that one works with this one: the step types are there, a configuration that was accepted is accepted, and
//! an output that could be read can be read. A pre-release promises nothing, and nothing is held against one.
//!
//! **Not here.** Proof: JSON Schema can say things that cannot be compared. What is found is a break; what is not found may
//! still be one.

mod schema;

use super::{Refused, Stop, interfaces};
use crate::{Registry, database::Stored};
use semver::Version;
use windlass_contract::{Descriptor, PluginRef};
use windlass_package::release::Status;
use windlass_runtime::Inspection;

/// Most breaks that are told: the author corrects the first, and most of the others go with it.
const MAX_BREAKS: usize = 10;

/// Holds a new version against the one that it goes on from.
pub(super) async fn check(
    registry: &Registry,
    plugin: &PluginRef,
    facts: &Inspection,
    descriptor: &Descriptor,
) -> Result<(), Stop> {
    let releases = registry.0.database.releases(&plugin.name).await?;
    let Some(previous) = previous(&releases, &plugin.version) else { return Ok(()) };
    let mut breaks = descriptor_breaks(&previous.descriptor, descriptor);
    for kind in previous.release.kinds.difference(&facts.kinds) {
        breaks.push(format!("it does not export what makes it a {kind:?} plugin any more").to_lowercase());
    }
    let [before, now] = [&previous.release.digest, &plugin.digest];
    if let (Some(before), Some(now)) = (registry.0.blobs.read(before).await?, registry.0.blobs.read(now).await?) {
        let compared = tokio::task::spawn_blocking(move || {
            Ok::<_, String>(interfaces::breaks(&interfaces::exported(&before)?, &interfaces::exported(&now)?))
        });
        let unreadable = |why: String| Refused::Component(format!("{plugin}: its interfaces cannot be read: {why}"));
        breaks.extend(compared.await.map_err(|error| unreadable(error.to_string()))?.map_err(unreadable)?);
    }
    if breaks.is_empty() {
        return Ok(());
    }
    breaks.truncate(MAX_BREAKS);
    let (version, previous) = (plugin.version.clone(), previous.release.version.clone());
    Err(Refused::Breaking { version, previous, breaks }.into())
}

/// The release that a version goes on from.
fn previous<'a>(releases: &'a [Stored], version: &Version) -> Option<&'a Stored> {
    let track = |version: &Version| match version.major {
        0 => (0, version.minor),
        major => (major, 0),
    };
    // 0.0.x is compatible with nothing.
    if !version.pre.is_empty() || track(version) == (0, 0) {
        return None;
    }
    releases
        .iter()
        .filter(|stored| {
            let other = &stored.release.version;
            let is_used = matches!(stored.release.status, Status::Ok | Status::Yanked(_));
            is_used && other.pre.is_empty() && other < version && track(other) == track(version)
        })
        .max_by(|a, b| a.release.version.cmp(&b.release.version))
}

fn descriptor_breaks(old: &Descriptor, new: &Descriptor) -> Vec<String> {
    let mut all = Vec::new();
    if let (Some(old), Some(now)) = (&old.provider, &new.provider) {
        if old.name != now.name {
            all.push(format!("it is the provider {} and was {}", now.name, old.name));
        }
        for verb in old.verbs.difference(&now.verbs) {
            all.push(format!("the provider has no {verb} any more"));
        }
        for why in schema::stricter(&old.config_schema, &now.config_schema) {
            all.push(format!("the config of the provider: {why}"));
        }
    }
    for step in &old.steps {
        let Some(now) = new.steps.iter().find(|other| other.name == step.name) else {
            all.push(format!("{} is gone", step.name));
            continue;
        };
        for why in schema::stricter(&step.config_schema, &now.config_schema) {
            all.push(format!("the config of {}: {why}", step.name));
        }
        for why in schema::lost(&step.output_schema, &now.output_schema) {
            all.push(format!("the outputs of {}: {why}", step.name));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};
    use windlass_contract::{Digest, PluginKind};
    use windlass_package::release::{LINE_FORMAT, Notice, Release};

    fn stored(version: &str, status: Status) -> Stored {
        let release = Release {
            v: LINE_FORMAT,
            name: "acme:echo".parse().unwrap(),
            version: version.parse().unwrap(),
            digest: Digest::of(version.as_bytes()),
            size: 1,
            manifest: Digest::of(b"manifest"),
            kinds: [PluginKind::Step].into(),
            steps: Vec::new(),
            provider: None,
            contract: Version::new(0, 1, 0),
            imports: BTreeSet::new(),
            permissions: Default::default(),
            dependencies: BTreeMap::new(),
            engine: None,
            summary: "x".to_owned(),
            keywords: BTreeSet::new(),
            licence: "MIT".to_owned(),
            source: None,
            published: Default::default(),
            signature: None,
            status,
        };
        Stored { release, descriptor: Descriptor::default() }
    }

    #[test]
    fn what_breaks_a_provider() {
        let provider = |name: &str, verbs: serde_json::Value, required: serde_json::Value| -> Descriptor {
            let schema = serde_json::json!({"type": "object", "required": required, "properties": {"region": {"type": "string"}}});
            let provider = serde_json::json!({"name": name, "title": "x", "config_schema": schema, "verbs": verbs});
            serde_json::from_value(serde_json::json!({ "provider": provider })).unwrap()
        };
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let old = provider("cloud", json(r#"["deploy", "status"]"#), json("[]"));
        assert_eq!(descriptor_breaks(&old, &old), Vec::<String>::new());
        let new = provider("clouds", json(r#"["deploy", "rollback"]"#), json(r#"["region"]"#));
        insta::assert_snapshot!(descriptor_breaks(&old, &new).join("\n"), @"");
    }

    #[test]
    fn what_a_version_goes_on_from() {
        let notice = || Notice { reason: "x".to_owned(), since: Default::default() };
        let releases = [
            stored("0.0.1", Status::Ok),
            stored("0.1.0", Status::Ok),
            stored("0.1.1", Status::Quarantined(notice())),
            stored("1.0.0", Status::Ok),
            stored("1.2.0", Status::Yanked(notice())),
            stored("1.3.0-rc.1", Status::Ok),
            stored("2.0.0", Status::Ok),
        ];
        let check = |version: &str, expect: Option<&str>| {
            let found = previous(&releases, &version.parse().unwrap());
            assert_eq!(found.map(|stored| stored.release.version.to_string()).as_deref(), expect, "{version}");
        };
        check("0.0.2", None);
        check("0.1.2", Some("0.1.0"));
        check("0.2.0", None);
        check("1.0.1", Some("1.0.0")); // a backport
        check("1.3.0", Some("1.2.0"));
        check("1.3.0-rc.2", None);
        check("2.0.1", Some("2.0.0"));
        check("3.0.0", None);
    }
}
