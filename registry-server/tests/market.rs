//! The market over HTTP: search, pages, downloads, native entries, and what attackers put into all of them.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

mod common;

use common::{Author, DESCRIPTOR, STATE, World, component};
use serde_json::{Value, json};
use std::path::Path;
use windlass_package::{Consent, market::MAX_LIMIT};
use windlass_registry_server::{
    database::{By, Market as _, Packages as _, Sqlite},
    market::{self, native::source::Source, openapi},
    status::Change,
};

async fn get(world: &World, path: &str) -> (u16, Value) {
    let response = reqwest::get(format!("{}{path}", world.address)).await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

async fn ok(world: &World, path: &str) -> Value {
    let (status, body) = get(world, path).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// The names of the hits.
fn names(answer: &Value) -> Vec<&str> {
    answer["hits"].as_array().unwrap().iter().map(|hit| hit["name"].as_str().unwrap()).collect()
}

fn descriptor(step: &str, docs: &str) -> String {
    json!({"steps": [{"name": step, "summary": "Does it.", "docs": docs, "effect": "pure", "config_schema": {"type": "object"}}]})
        .to_string()
}

fn author(name: &str, version: &str, step: &str) -> Author {
    Author::new(name, version, "{}", component(&descriptor(step, ""), "", &format!("{name}{version}")))
}

async fn database(world: &World) -> Sqlite {
    Sqlite::open(&world.data()).await.unwrap()
}

async fn import(world: &World) -> market::Report {
    let source = Source::Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/native-index"));
    market::import(&database(world).await, &source, &By::operator()).await.unwrap()
}

#[tokio::test]
async fn a_plugin_is_found_and_shown() {
    let world = World::new().await;
    let docs = "Says **it**. <script>alert(1)</script> [x](javascript:alert(1))";
    let plugin =
        Author::new("acme:echo", "1.0.0", "{state: true}", component(&descriptor("step.echo", docs), STATE, "1"));
    plugin
        .write("README.md", b"# Echo\n\nSays it again. <img src=x onerror=alert(1)>\n\n[more](javascript:alert(1))\n");
    let release = world.publish(&plugin).await;

    let answer = ok(&world, "/api/v1/search?q=ech").await;
    assert_eq!(names(&answer), ["acme:echo"]);
    assert_eq!(answer["hits"][0]["capabilities"], json!(["state"]));
    assert_eq!(answer["facets"]["capability"], json!([{"value": "state", "count": 1}]));
    assert_eq!(answer["facets"]["native"], json!([{"value": "false", "count": 1}]));

    let mut page = ok(&world, "/api/v1/plugins/acme/echo").await;
    assert_eq!(page["release"]["digest"], json!(release.digest));
    assert!(page["release"]["signed_by"].as_str().unwrap().starts_with("ed25519:"));
    // What differs from run to run.
    for path in [
        "/release/digest",
        "/release/published",
        "/release/size",
        "/release/signed_by",
        "/versions/0/digest",
        "/versions/0/published",
        "/versions/0/size",
    ] {
        *page.pointer_mut(path).unwrap() = json!("…");
    }
    insta::assert_json_snapshot!(page, @r##"
    {
      "name": "acme:echo",
      "release": {
        "version": "1.0.0",
        "summary": "Say it again",
        "licence": "Apache-2.0",
        "keywords": [],
        "digest": "…",
        "size": "…",
        "published": "…",
        "status": {
          "state": "ok"
        },
        "kinds": [
          "step"
        ],
        "contract": "0.1.0",
        "imports": [
          "state"
        ],
        "permissions": [
          {
            "capability": "state",
            "words": "keep a small store of its own between runs"
          }
        ],
        "dependencies": {},
        "signed_by": "…",
        "steps": [
          {
            "name": "step.echo",
            "summary": "Does it.",
            "docs": "<p>Says <strong>it</strong>. alert(1) <a rel=\"nofollow noopener noreferrer ugc\">x</a></p>\n",
            "effect": "pure",
            "config_schema": {
              "type": "object"
            }
          }
        ]
      },
      "versions": [
        {
          "version": "1.0.0",
          "published": "…",
          "digest": "…",
          "size": "…",
          "status": {
            "state": "ok"
          }
        }
      ],
      "readme": "<h1 id=\"readme-echo\">Echo<a href=\"#readme-echo\" class=\"anchor\" rel=\"nofollow noopener noreferrer ugc\"></a></h1>\n<p>Says it again. </p>\n<p><a rel=\"nofollow noopener noreferrer ugc\">more</a></p>\n",
      "owners": [
        "operator"
      ],
      "verified": false,
      "downloads": {
        "total": 0,
        "last_90_days": 0
      },
      "dependents": {
        "total": 0,
        "plugins": []
      },
      "install": [
        "windlass plugin install acme:echo",
        "windlass plugin install acme:echo@=1.0.0"
      ],
      "conflicts": []
    }
    "##);

    let permissions = ok(&world, "/api/v1/plugins/acme/echo/versions/1.0.0/permissions").await;
    assert_eq!(permissions["permissions"][0]["capability"], "state");
    assert_eq!(ok(&world, "/api/v1/plugins/acme/echo/versions").await["versions"].as_array().unwrap().len(), 1);
    assert_eq!(ok(&world, "/api/v1/plugins/acme/echo/versions/1.0.0").await["steps"][0]["name"], "step.echo");
    assert_eq!(
        ok(&world, "/api/v1/step-types/step.echo").await["providers"],
        json!([{"entry": "plugin", "name": "acme:echo"}])
    );
    assert_eq!(names(&json!({"hits": ok(&world, "/api/v1/namespaces/acme").await["plugins"]})), ["acme:echo"]);
}

#[tokio::test]
async fn what_is_asked_wrongly() {
    let world = World::new().await;
    let mut lines = Vec::new();
    for path in [
        "/api/v1/search?q=x&limit=0",
        "/api/v1/search?q=x&limit=101",
        "/api/v1/search?limit=-1",
        "/api/v1/search?q=x&cursor=abc",
        "/api/v1/search?kind=steps",
        "/api/v1/search?knd=step",
        "/api/v1/search?capability=Everything",
        "/api/v1/plugins/acme/none",
        "/api/v1/plugins/acme/..%2fx",
        "/api/v1/plugins/acme/none/versions/1.0.0",
        "/api/v1/plugins/acme/none/versions/latest",
        "/api/v1/plugins/acme/none/downloads",
        "/api/v1/plugins/acme/none/dependents?after=x",
        "/api/v1/namespaces/nobody",
        "/api/v1/namespaces/No",
        "/api/v1/step-types/step.none",
        "/api/v1/native/none",
        "/api/v1/native/..%2f..%2fetc",
    ] {
        let response = reqwest::get(format!("{}{path}", world.address)).await.unwrap();
        let status = response.status().as_u16();
        assert!(response.headers().get("cache-control").is_none_or(|cache| cache == "no-store"), "{path}");
        let refusals: Value = response.json().await.unwrap();
        let refusal = &refusals["errors"][0];
        lines.push(format!("{path}\n  {status} {} {}", refusal["code"], refusal["message"]));
    }
    let long = format!("/api/v1/search?q={}", "x".repeat(201));
    assert_eq!(get(&world, &long).await.0, 400);
    insta::assert_snapshot!(lines.join("\n"), @r#"
    /api/v1/search?q=x&limit=0
      400 "WL0958" "limit is 1 to 100"
    /api/v1/search?q=x&limit=101
      400 "WL0958" "limit is 1 to 100"
    /api/v1/search?limit=-1
      400 "WL0958" "limit: invalid digit found in string"
    /api/v1/search?q=x&cursor=abc
      400 "WL0958" "this is not a cursor of a search in this order; begin without one"
    /api/v1/search?kind=steps
      400 "WL0958" "kind: unknown variant `steps`, expected one of `step`, `provider`, `scanner`"
    /api/v1/search?knd=step
      400 "WL0958" "knd: unknown field `knd`, expected one of `q`, `kind`, `capability`, `verified`, `licence`, `category`, `native`, `sort`, `cursor`, `limit`"
    /api/v1/search?capability=Everything
      400 "WL0958" "capability: unknown variant `Everything`, expected one of `log`, `inputs`, `outputs`, `containers`, `artifacts`, `secrets`, `secrets-reveal`, `http`, `state`"
    /api/v1/plugins/acme/none
      404 "WL0956" "there is no plugin acme:none"
    /api/v1/plugins/acme/..%2fx
      400 "WL0958" "plugin name \"acme:../x\" is not valid: write namespace:name, each part lower-case letters, digits and single hyphens, starting with a letter, at most 64 characters"
    /api/v1/plugins/acme/none/versions/1.0.0
      404 "WL0956" "there is no plugin acme:none"
    /api/v1/plugins/acme/none/versions/latest
      400 "WL0958" "\"latest\" is not a version such as 1.2.3"
    /api/v1/plugins/acme/none/downloads
      404 "WL0956" "there is no plugin acme:none"
    /api/v1/plugins/acme/none/dependents?after=x
      400 "WL0958" "after: plugin name \"x\" is not valid: write namespace:name, each part lower-case letters, digits and single hyphens, starting with a letter, at most 64 characters"
    /api/v1/namespaces/nobody
      404 "WL0956" "there is no namespace nobody"
    /api/v1/namespaces/No
      400 "WL0958" "\"No\" is not a namespace: write lower-case letters, digits and single hyphens, starting with a letter, at most 64 characters"
    /api/v1/step-types/step.none
      404 "WL0956" "nobody here provides the step type \"step.none\""
    /api/v1/native/none
      404 "WL0956" "there is no native entry none"
    /api/v1/native/..%2f..%2fetc
      400 "WL0958" "\"../../etc\" is not a name: write 1 to 64 lower-case letters, digits, hyphens, underscores and dots"
    "#);
}

#[tokio::test]
async fn filters_orders_and_pages() {
    let world = World::new().await;
    for (name, step) in
        [("acme:aws-deploy", "step.aws"), ("acme:echo", "step.echo"), ("windlass:shell", "step.shell_exec")]
    {
        world.publish(&author(name, "1.0.0", step)).await;
    }
    import(&world).await;
    let check = async |query: &str, expect: &[&str]| {
        let answer = ok(&world, &format!("/api/v1/search?{query}")).await;
        assert_eq!(names(&answer), expect, "{query}");
    };
    check("q=shell", &["windlass:shell"]).await;
    check("q=exec", &["windlass:shell"]).await; // a word of a step type
    check("q=step.shell_exec", &["windlass:shell"]).await;
    check("q=aws+dep", &["acme:aws-deploy"]).await;
    check("q=aws+nothing", &[]).await;
    check("q=&native=false&sort=name", &["acme:aws-deploy", "acme:echo", "windlass:shell"]).await;
    check("native=true&category=infrastructure&sort=name", &["fleet", "fleet-legacy"]).await;
    check("native=true&licence=proprietary", &["premium-scan"]).await;
    check("kind=step&sort=new", &["windlass:shell", "acme:echo", "acme:aws-deploy"]).await;
    check("kind=scanner", &[]).await;
    check("verified=true", &[]).await;
    database(&world).await.verify(&"windlass".parse().unwrap(), true, &By::operator()).await.unwrap();
    check("verified=true", &["windlass:shell"]).await;
    assert_eq!(ok(&world, "/api/v1/plugins/windlass/shell").await["verified"], true);
    assert_eq!(ok(&world, "/api/v1/namespaces/windlass").await["verified"], true);
    database(&world).await.verify(&"windlass".parse().unwrap(), false, &By::operator()).await.unwrap();
    check("verified=true", &[]).await;

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = ok(&world, &format!("/api/v1/search?sort=name&limit=2{cursor}")).await;
        assert_eq!(answer["total"], 9);
        seen.extend(names(&answer).into_iter().map(str::to_owned));
        match answer["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut sorted = seen.clone();
    sorted.sort();
    assert_eq!((seen.len(), &seen), (9, &sorted));

    assert_eq!(ok(&world, "/api/v1/search?q=shel1").await["did_you_mean"], "shell");
    assert_eq!(ok(&world, "/api/v1/search?q=kubernetes").await["did_you_mean"], Value::Null);
}

#[tokio::test]
async fn nothing_typed_reaches_the_index_as_syntax() {
    let world = World::new().await;
    world.publish(&author("acme:echo", "1.0.0", "step.echo")).await;
    for typed in [
        "\"",
        "'",
        "*",
        "^",
        "(",
        ")",
        "{name}:x",
        "facets:f",
        "name:echo",
        "echo OR nothing",
        "NEAR(echo, 2)",
        "-echo",
        "echo*",
        "echo\" OR \"x",
        "');DROP TABLE market;--",
        "\0echo",
        "%",
        "_",
        "\u{202e}echo",
        "a AND",
        "NOT echo",
        "+",
        "echo + x",
    ] {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/search", world.address), [("q", typed)]).unwrap();
        let response = reqwest::get(url).await.unwrap();
        assert_eq!(response.status(), 200, "{typed:?}");
    }
    // A filter is never met by a word.
    let answer = ok(&world, "/api/v1/search?licence=Apache-2.0").await;
    assert_eq!(names(&answer), ["acme:echo"]);
    let url = reqwest::Url::parse_with_params(
        &format!("{}/api/v1/search", world.address),
        [("licence", "\" OR name : \"echo")],
    );
    let answer: Value = reqwest::get(url.unwrap()).await.unwrap().json().await.unwrap();
    assert!(names(&answer).is_empty());
    assert_eq!(names(&ok(&world, "/api/v1/search?q=echo").await), ["acme:echo"], "all is still there");
}

#[tokio::test]
async fn downloads_are_counted_once_and_written_later() {
    let world = World::new().await;
    let release =
        world.publish(&Author::new("acme:echo", "1.0.0", "{state: true}", component(DESCRIPTOR, STATE, "1"))).await;
    let url = format!("{}/v2/acme/echo/blobs/{}", world.address, release.digest);
    let client = reqwest::Client::new();
    let total = async || {
        world.registry.flush_downloads().await.unwrap();
        ok(&world, "/api/v1/plugins/acme/echo/downloads").await["total"].as_u64().unwrap()
    };
    client.head(&url).send().await.unwrap();
    assert_eq!(total().await, 0, "HEAD");
    client.get(&url).header("if-none-match", format!("\"{}\"", release.digest)).send().await.unwrap();
    assert_eq!(total().await, 0, "not modified");
    client.get(&url).header("range", "bytes=10-").send().await.unwrap();
    assert_eq!(total().await, 0, "a later range");
    client.get(&url).header("range", "bytes=0-9").send().await.unwrap();
    assert_eq!(total().await, 1, "the first range");
    client.get(&url).send().await.unwrap();
    assert_eq!(total().await, 1, "the same address within the hour");
    let readme =
        format!("{}/v2/acme/echo/blobs/{}", world.address, windlass_contract::Digest::of(b"# Echo\nSays it again.\n"));
    assert_eq!(client.get(&readme).send().await.unwrap().status(), 200);
    assert_eq!(total().await, 1, "a README is no component");

    let downloads = ok(&world, "/api/v1/plugins/acme/echo/downloads").await;
    assert_eq!((&downloads["last_90_days"], &downloads["versions"]), (&json!(1), &json!({"1.0.0": 1})));
    assert_eq!(downloads["days"].as_object().unwrap().len(), 1);
    assert_eq!(ok(&world, "/api/v1/search?q=echo").await["hits"][0]["downloads"], 1);
    // A publication writes the entry anew, with what was counted before.
    world.publish(&Author::new("acme:echo", "1.1.0", "{state: true}", component(DESCRIPTOR, STATE, "2"))).await;
    assert_eq!(ok(&world, "/api/v1/search?q=echo").await["hits"][0]["downloads"], 1);
}

#[tokio::test]
async fn an_imported_index_is_found_and_not_installed() {
    let world = World::new().await;
    world.publish(&author("acme:echo", "1.0.0", "step.echo")).await;
    let report = import(&world).await;
    insta::assert_snapshot!(report.to_string().replace(env!("CARGO_MANIFEST_DIR"), ""), @r#"
    6 native entries: 6 added, 0 changed, 0 removed; 2 private ones left out
    9 entries or manifests are not valid:
      premium-scan/manifest.json: unknown field `scaner`, which the format does not have; shown as the index has it
      typo: unknown field `licence`, which the format does not have
      no-version: version is "soon", not a version such as 1.2.3
      ../escape: "../escape" is not a name: write 1 to 64 lower-case letters, digits, hyphens, underscores and dots
      odd-tier: unknown variant `gold`, expected one of `core`, `community`, `premium`
      bad-link: homepage is not an http or https address
      bidi: description holds control characters, or some that turn the text around
      entry 15: it is not an object
      chat: it is in the index twice; the first is kept
    2 step types are provided by more than one:
      step.cluster_status: fleet (native), fleet-legacy (native)
      step.echo: acme:echo, echo-native (native)
    "#);
    let again = import(&world).await;
    assert_eq!(
        (again.replaced.added, again.replaced.changed, again.replaced.removed),
        (0, 0, 0),
        "importing twice is importing once"
    );

    let answer = ok(&world, "/api/v1/search?q=chat").await;
    assert_eq!((names(&answer), &answer["hits"][0]["entry"]), (vec!["chat"], &json!("native")));
    let found = ok(&world, "/api/v1/search?q=workflow-plugin-chat").await;
    assert_eq!(names(&found), ["chat"], "its manifest calls it so");
    // An entry with hundreds of step types has a card like the others.
    let many = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(many.path().join("v1")).unwrap();
    let steps: Vec<_> = (0..300).map(|n| format!("step.many_{n}")).collect();
    let entry = json!([{"name": "many", "version": "1.0.0", "author": "a", "description": "d", "type": "external",
        "tier": "core", "license": "MIT", "capabilities": {"stepTypes": steps}}]);
    std::fs::write(many.path().join("v1/index.json"), entry.to_string()).unwrap();
    let source = Source::Folder(many.path().to_owned());
    market::import(&database(&world).await, &source, &By::operator()).await.unwrap();
    let card = &ok(&world, "/api/v1/search?q=many_299").await["hits"][0];
    assert_eq!((card["steps"].as_array().unwrap().len(), &card["more_steps"]), (20, &json!(280)));
    import(&world).await;

    let page = ok(&world, "/api/v1/native/chat").await;
    assert!(page["note"].as_str().unwrap().starts_with("native, not installable here"));
    assert_eq!(page["secrets"][0]["name"], "CHAT_TOKEN");
    let page = ok(&world, "/api/v1/native/echo-native").await;
    let providers = json!([{"entry": "plugin", "name": "acme:echo"}, {"entry": "native", "name": "echo-native"}]);
    assert_eq!(page["conflicts"], json!([{"step": "step.echo", "providers": providers}]));
    assert_eq!(ok(&world, "/api/v1/plugins/acme/echo").await["conflicts"], page["conflicts"]);
    assert_eq!(ok(&world, "/api/v1/step-types/step.echo").await["providers"], providers);
    assert_eq!(ok(&world, "/api/v1/conflicts").await["conflicts"].as_array().unwrap().len(), 2);
    assert_eq!(get(&world, "/api/v1/native/secret-sauce").await.0, 404, "private");
    assert_eq!(get(&world, "/api/v1/native/late-private").await.0, 404, "private by its manifest");

    let error = world.install(&world.home("user"), "acme:chat", Consent::Nobody).await.unwrap_err();
    assert!(error.to_string().contains("acme:chat"), "{error}");

    // What is gone from the index is gone here.
    let fewer = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(fewer.path().join("v1")).unwrap();
    std::fs::write(fewer.path().join("v1/index.json"), "[]").unwrap();
    let source = Source::Folder(fewer.path().to_owned());
    let report = market::import(&database(&world).await, &source, &By::operator()).await.unwrap();
    assert_eq!((report.entries, report.replaced.removed), (0, 6));
    assert_eq!(get(&world, "/api/v1/native/chat").await.0, 404);
    assert!(names(&ok(&world, "/api/v1/search?q=chat").await).is_empty());
    // Where there is no index, nothing changes.
    let nowhere = Source::Folder(fewer.path().join("nowhere"));
    assert!(market::import(&database(&world).await, &nowhere, &By::operator()).await.is_err());
}

#[tokio::test]
async fn answers_can_be_kept_and_run_nothing() {
    let world = World::new().await;
    world.publish(&author("acme:echo", "1.0.0", "step.echo")).await;
    let client = reqwest::Client::new();
    for path in [
        "/api/v1/search?q=echo",
        "/api/v1/plugins/acme/echo",
        "/api/v1/plugins/acme/echo/feed.xml",
        "/api/v1/openapi.json",
    ] {
        let url = format!("{}{path}", world.address);
        let first = client.get(&url).header("authorization", format!("Bearer {}", world.token)).send().await.unwrap();
        let headers = first.headers().clone();
        assert_eq!(headers["cache-control"], "public, max-age=60", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert!(!headers["content-type"].to_str().unwrap().contains("html"), "{path}");
        // The same for everybody: with a token or without.
        let anonymous = client.get(&url).send().await.unwrap();
        assert_eq!(anonymous.headers()["etag"], headers["etag"], "{path}");
        let again = client.get(&url).header("if-none-match", &headers["etag"]).send().await.unwrap();
        assert_eq!((again.status().as_u16(), again.bytes().await.unwrap().len()), (304, 0), "{path}");
    }
}

#[tokio::test]
async fn a_feed_of_versions() {
    let world = World::new().await;
    for version in ["1.0.0", "1.1.0"] {
        world.publish(&author("acme:echo", version, "step.echo")).await;
    }
    let url = format!("{}/api/v1/plugins/acme/echo/feed.xml", world.address);
    let feed = reqwest::get(url).await.unwrap().text().await.unwrap();
    let titles: Vec<_> = feed.lines().filter(|line| line.trim().starts_with("<title>")).map(str::trim).collect();
    assert_eq!(
        titles,
        ["<title>acme:echo</title>", "<title>acme:echo 1.1.0</title>", "<title>acme:echo 1.0.0</title>"]
    );
}

#[tokio::test]
async fn text_stays_text() {
    let world = World::new().await;
    let plugin = author("acme:echo", "1.0.0", "step.echo");
    let yaml = std::fs::read_to_string(plugin.folder.path().join("plugin.yaml")).unwrap();
    let hostile = "</summary><script>alert(1)</script>\" onload=\"x";
    plugin.write("plugin.yaml", yaml.replace("Say it again", &format!("{hostile:?}")).as_bytes());
    world.publish(&plugin).await;
    let url = format!("{}/api/v1/plugins/acme/echo", world.address);
    let page = reqwest::get(&url).await.unwrap();
    assert_eq!(page.headers()["content-type"], "application/json");
    assert_eq!(page.headers()["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
    assert_eq!(page.json::<Value>().await.unwrap()["release"]["summary"], hostile, "JSON carries it as it is");
    let feed = reqwest::get(format!("{url}/feed.xml")).await.unwrap().text().await.unwrap();
    assert!(feed.contains("&lt;/summary&gt;&lt;script&gt;") && !feed.contains("<script"), "{feed}");
}

#[tokio::test]
async fn what_is_withdrawn() {
    let world = World::new().await;
    for version in ["1.0.0", "1.1.0"] {
        world.publish(&author("acme:echo", version, "step.echo")).await;
    }
    let change = async |version: &str, change: Change| {
        let name = "acme:echo".parse().unwrap();
        let database = database(&world).await;
        database.change_status(&name, &version.parse().unwrap(), &change, &By::operator()).await.unwrap();
        // What the server's jobs do each second: see what another process has changed.
        world.registry.work_once(jiff::Timestamp::now()).await.unwrap();
    };
    let why = || "it leaks".parse().unwrap();
    let found = async || {
        let answer = ok(&world, "/api/v1/search?q=echo").await;
        answer["hits"].as_array().unwrap().first().map(|hit| hit["version"].as_str().unwrap().to_owned())
    };
    assert_eq!(found().await.as_deref(), Some("1.1.0"));
    change("1.1.0", Change::Yank(why())).await;
    assert_eq!(found().await.as_deref(), Some("1.0.0"), "the newest that may be used");
    let page = ok(&world, "/api/v1/plugins/acme/echo").await;
    assert_eq!(page["release"]["version"], "1.0.0");
    assert_eq!(
        (&page["versions"][0]["version"], &page["versions"][0]["status"]["reason"]),
        (&json!("1.1.0"), &json!("it leaks"))
    );
    // A yanked one is shown to those who have it.
    assert_eq!(ok(&world, "/api/v1/plugins/acme/echo/versions/1.1.0").await["steps"][0]["name"], "step.echo");

    change("1.0.0", Change::Quarantine(why())).await;
    assert_eq!(found().await, None);
    assert_eq!(get(&world, "/api/v1/step-types/step.echo").await.0, 404, "nobody provides it any more");
    let withheld = ok(&world, "/api/v1/plugins/acme/echo/versions/1.0.0").await;
    assert_eq!((&withheld["status"]["state"], &withheld["steps"]), (&json!("quarantined"), &json!([])));
    change("1.1.0", Change::Remove(why())).await;
    let page = ok(&world, "/api/v1/plugins/acme/echo").await;
    assert_eq!(
        (&page["release"]["status"]["state"], page.get("readme"), &page["install"]),
        (&json!("removed"), None, &json!([]))
    );
    change("1.0.0", Change::Release).await;
    assert_eq!(found().await.as_deref(), Some("1.0.0"));
}

#[tokio::test]
async fn an_index_is_fetched_within_bounds() {
    use axum::{Router, http::StatusCode, response::Redirect, routing::get};
    const ENTRY: &str = r#"[{"name":"far","version":"1.0.0","author":"a","description":"d","type":"external","tier":"core","license":"MIT"}]"#;
    let manifest = || async { ENTRY.trim_matches(['[', ']']).replace("\"far\"", "\"far-away\"") };
    let sites = Router::new()
        .route("/good/v1/index.json", get(|| async { ENTRY }))
        .route("/good/v1/plugins/far/manifest.json", get(manifest))
        .route("/alone/v1/index.json", get(|| async { ENTRY }))
        .route("/moved/v1/index.json", get(|| async { Redirect::temporary("/good/v1/index.json") }))
        .route("/broken/v1/index.json", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/large/v1/index.json", get(|| async { vec![b' '; 16 * 1024 * 1024 + 1] }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, sites).await });
    let fetch = async |site: &str| format!("http://{address}/{site}").parse::<Source>().unwrap().import().await;
    let good = fetch("good").await.unwrap();
    assert_eq!(good.entries.values().next().unwrap().manifest_name, "far-away");
    let alone = fetch("alone").await.unwrap();
    assert_eq!((alone.entries.len(), alone.problems.len()), (1, 1), "{:?}", alone.problems);
    for (site, expect) in [("moved", "307"), ("broken", "500"), ("large", "more than 16777216 bytes"), ("none", "404")]
    {
        let why = fetch(site).await.unwrap_err();
        assert!(why.contains(expect), "{site}: {why}");
    }
}

#[tokio::test]
async fn bombs_do_not_pass_the_gate() {
    let world = World::new().await;
    let plugin = author("acme:echo", "1.0.0", "step.echo");
    plugin.write("README.md", "[".repeat(500_000).as_bytes());
    let error = world.push(&world.prepare(&plugin).await).await.unwrap_err().to_string();
    assert!(error.contains("the README cannot be used: it repeats '['"), "{error}");
    let docs = "> ".repeat(100);
    let plugin = Author::new("acme:echo", "1.0.0", "{}", component(&descriptor("step.echo", &docs), "", "x"));
    let error = world.push(&world.prepare(&plugin).await).await.unwrap_err().to_string();
    assert!(error.contains("the docs of step.echo cannot be shown: "), "{error}");
}

#[tokio::test]
async fn search_ends_where_it_says() {
    let world = World::new().await;
    database(&world).await.seed(2_500).await.unwrap();
    let answer = ok(&world, "/api/v1/search?q=in+place&limit=100").await;
    assert_eq!((answer["total"].as_u64(), &answer["more"]), (Some(2_000), &json!(true)));
    assert_eq!(answer["hits"].as_array().unwrap().len(), MAX_LIMIT as usize);
    let answer = ok(&world, "/api/v1/search?q=in+place+17&limit=100").await;
    assert_eq!(answer["more"], false);
    // The oldest is found by its name, however many later ones have its words.
    assert_eq!(names(&ok(&world, "/api/v1/search?q=bench-aa:build-image-0").await)[0], "bench-aa:build-image-0");
    let (mut pages, mut cursor) = (0, String::new());
    while let Some(next) = ok(&world, &format!("/api/v1/search?q=in+place&limit=100{cursor}")).await["next"].as_str() {
        cursor = format!("&cursor={next}");
        pages += 1;
    }
    assert_eq!(pages, 9, "a thousand are ranked");
    // The index of what was seeded is whole: every document is in its bin.
    assert_eq!(ok(&world, "/api/v1/plugins/bench-aa/build-image-0").await["name"], "bench-aa:build-image-0");
}

#[tokio::test]
async fn the_api_describes_itself() {
    let world = World::new().await;
    let served = reqwest::get(format!("{}/api/v1/openapi.json", world.address)).await.unwrap().text().await.unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&file, &served).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        served == kept,
        "the API has changed: look at the difference after UPDATE_OPENAPI=1 cargo nextest run … -E 'test(the_api_describes_itself)'"
    );
    assert_eq!(served, openapi::document());
}

/// A route of the API is made from its description; one that is not would not be in the document.
#[test]
fn every_route_is_described() {
    fn sources(folder: &Path, texts: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => sources(&path, texts),
                false => texts.push(std::fs::read_to_string(path).unwrap()),
            }
        }
    }
    let mut texts = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
    let routed = texts.iter().flat_map(|text| {
        // `.route("/api/v1/…", …)` and `.route(&format!(…))`, on one line or two.
        let text: String = text.split_whitespace().collect();
        text.split(".route(").skip(1).map(|rest| rest.chars().take(40).collect::<String>()).collect::<Vec<_>>()
    });
    let plain: Vec<_> = routed.filter(|route| !route.starts_with('"') || route.starts_with("\"/api")).collect();
    let [document] = plain.as_slice() else { panic!("make these from utoipa's routes!(…): {plain:?}") };
    assert!(document.starts_with("\"/api/v1/openapi.json\""), "{document}");
    let document: Value = serde_json::from_str(&openapi::document()).unwrap();
    for path in
        ["/api/v1/search", "/api/v1/publish", "/api/v1/tokens", "/api/v1/plugins/{namespace}/{name}/{version}/yank"]
    {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
}
