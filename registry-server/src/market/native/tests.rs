use super::{source::Source, *};
use serde_json::json;
use std::path::Path;

fn fixture() -> Source {
    Source::Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/native-index"))
}

fn sound() -> Value {
    json!({"name": "http", "version": "1.0.0", "author": "a", "description": "d", "type": "builtin", "tier": "core", "license": "MIT"})
}

/// What importing the one entry, `change`d, comes to.
fn import(change: &Value) -> Import {
    let mut entry = sound();
    for (key, value) in change.as_object().expect("an object") {
        entry[key] = value.clone();
    }
    let index = serde_json::to_vec(&json!([entry])).expect("JSON");
    read(&index, |_| Ok(serde_json::to_vec(&sound()).expect("JSON"))).expect("an index")
}

#[tokio::test]
async fn the_odd_cases_of_a_real_index() {
    let import = fixture().import().await.unwrap();
    let kept: Vec<_> = import.entries.values().map(|page| format!("{} ({})", page.name, page.manifest_name)).collect();
    insta::assert_snapshot!(kept.join("\n"), @r"
    chat (workflow-plugin-chat)
    echo-native (echo-native)
    fleet (fleet)
    fleet-legacy (fleet-legacy)
    http (http)
    premium-scan (premium-scan)
    ");
    let problems: Vec<_> =
        import.problems.iter().map(|problem| format!("{}: {}", problem.entry, problem.why)).collect();
    let problems = problems.join("\n").replace(env!("CARGO_MANIFEST_DIR"), "");
    insta::assert_snapshot!(problems, @r#"
    premium-scan/manifest.json: unknown field `scaner`, which the format does not have; shown as the index has it
    typo: unknown field `licence`, which the format does not have
    no-version: version is "soon", not a version such as 1.2.3
    ../escape: "../escape" is not a name: write 1 to 64 lower-case letters, digits, hyphens, underscores and dots
    odd-tier: unknown variant `gold`, expected one of `core`, `community`, `premium`
    bad-link: homepage is not an http or https address
    bidi: description holds control characters, or some that turn the text around
    entry 15: it is not an object
    chat: it is in the index twice; the first is kept
    "#);
    assert_eq!(import.private, 2, "one by the index, one by its manifest");
    let chat = &import.entries[&"chat".parse().unwrap()];
    insta::assert_json_snapshot!(chat, @r#"
    {
      "name": "chat",
      "manifest_name": "workflow-plugin-chat",
      "version": "1.2.0",
      "author": "Harbour Tools",
      "summary": "Posts messages to a chat room",
      "kind": "external",
      "tier": "core",
      "status": "verified",
      "category": "messaging",
      "licence": "MIT",
      "keywords": [
        "chat",
        "notify"
      ],
      "homepage": "https://harbour.example/chat",
      "repository": "https://forge.example/harbour/chat",
      "min_engine": "0.4.0",
      "steps": [
        "step.chat_send",
        "step.chat_topic"
      ],
      "modules": [
        "chat.client"
      ],
      "triggers": [
        "chat"
      ],
      "dependencies": [
        "http from 1.0.0"
      ],
      "secrets": [
        {
          "name": "CHAT_TOKEN",
          "sensitive": true,
          "description": "A token of a robot account"
        }
      ],
      "conflicts": [],
      "note": ""
    }
    "#);
}

#[tokio::test]
async fn importing_twice_is_importing_once() {
    assert_eq!(fixture().import().await.unwrap(), fixture().import().await.unwrap());
}

#[test]
fn one_bad_entry_costs_itself_only() {
    let check = |change: Value, expect: &str| {
        let import = import(&change);
        assert!(import.entries.is_empty(), "{change} was kept");
        let why = import.problems.first().map_or("", |problem| &problem.why);
        assert!(why.contains(expect), "{change}: {why}");
    };
    check(json!({"name": ""}), "name has 0 characters");
    check(json!({"name": "a/b"}), "is not a name");
    check(json!({"name": 1}), "invalid type");
    check(json!({"version": "1"}), "not a version");
    check(json!({"description": "\u{1b}[31m"}), "control characters");
    check(json!({"description": "x".repeat(MAX_DESCRIPTION + 1)}), "characters, 1 to 2000");
    check(json!({"author": "x".repeat(MAX_TEXT + 1)}), "characters, 1 to 300");
    check(json!({"keywords": vec!["x"; MAX_ITEMS + 1]}), "at most 1000");
    check(json!({"keywords": [1]}), "invalid type");
    check(json!({"type": "wasm"}), "unknown variant");
    check(json!({"category": "games"}), "unknown variant");
    check(json!({"homepage": "javascript:alert(1)"}), "http or https");
    check(json!({"homepage": "https://user@evil.example/"}), "http or https");
    check(json!({"downloads": {"os": "linux"}}), "invalid type");
    check(json!({"capabilities": {"steptypes": []}}), "unknown field");
    check(json!({"required_secrets": [{"name": "X"}]}), "missing field `sensitive`");
    assert_eq!(import(&json!({})).entries.len(), 1, "the entry that is changed is sound");
}

#[test]
fn what_is_no_index() {
    let check = |index: &[u8], expect: &str| {
        let why = read(index, |_| Err("none".to_owned())).unwrap_err();
        assert!(why.contains(expect), "{why}");
    };
    check(b"{}", "not a list");
    check(b"[", "not a list");
    check(&vec![b' '; 16 * 1024 * 1024 + 1], "at most 16777216");
    check(format!("[{}1]", "1,".repeat(MAX_ENTRIES)).as_bytes(), "at most 10000");
    check(&[b'['; 100_000], "not a list"); // nested without an end
    let large = vec![b' '; 1024 * 1024 + 1];
    let import = read(&serde_json::to_vec(&json!([sound()])).unwrap(), |_| Ok(large.clone())).unwrap();
    assert!(import.problems[0].why.contains("at most 1048576"), "{:?}", import.problems);
}

#[test]
fn where_an_index_is() {
    let check = |text: &str, expect: Option<&str>| {
        let got = text.parse::<Source>().ok().map(|source| source.to_string());
        assert_eq!(got.as_deref(), expect, "{text}");
    };
    check("./site", Some("./site"));
    check("https://example.com/registry", Some("https://example.com/registry/"));
    check("file:///etc", None);
    check("https://user:pw@example.com/", None);
}
