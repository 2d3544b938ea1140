//! The marketplace, what is installed, and secrets, over the server's interface and against a real registry.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    net::TcpStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use windlass_tests::{Client, Project, Registry, Server, files_with, root};

/// A project with nothing installed, and this configuration of its home.
fn project(config: &str) -> Project {
    let project = Project::empty();
    fs::create_dir_all(project.home()).unwrap();
    fs::write(project.home().join("config.toml"), config).unwrap();
    project
}

/// The same, whose plugins come from one registry, to which it may publish.
fn project_at(registry: &Registry) -> Project {
    let project = project(&format!("[registries]\ndefault = \"{}\"\n", registry.url()));
    project.windlass_with(["plugin", "login"], &registry.token("acme")).ok();
    project
}

/// A plugin as its author has it: an example under another name, with a line of its manifest changed.
fn author(place: &Path, example: &str, name: &str, version: &str, (from, to): (&str, &str)) -> PathBuf {
    let folder = place.join("..").join(format!("{}-{version}", name.replace(':', "-")));
    fs::create_dir_all(&folder).unwrap();
    let source = root().join("examples/plugins").join(example);
    let manifest = fs::read_to_string(source.join("plugin.yaml")).unwrap();
    assert!(manifest.contains(from), "{from} in {manifest}");
    let component = manifest.lines().find_map(|line| line.strip_prefix("component: ")).unwrap();
    fs::copy(source.join(component), folder.join("plugin.wasm")).unwrap();
    fs::write(folder.join("README.md"), "# Greets\n\n[more](https://greet.test)\n").unwrap();
    let kept = |line: &&str| !["name:", "version:", "component:", "readme:"].iter().any(|key| line.starts_with(key));
    let manifest = manifest.replace(from, to);
    let rest: Vec<&str> = manifest.lines().filter(kept).collect();
    let head = format!("name: {name}\nversion: {version}\ncomponent: plugin.wasm\nreadme: README.md\n");
    fs::write(folder.join("plugin.yaml"), head + &rest.join("\n")).unwrap();
    folder
}

/// A pipeline that uses the plugin.
const CI: &str = "name: ci\nsteps:\n  - name: greet\n    type: step.greet_c\n    config: { name: Ann }\n";

const AS_IT_IS: (&str, &str) = ("", "");
const WIDER: (&str, &str) = ("methods: [GET]", "methods: [GET, POST]");

fn publish(project: &Project, folder: &Path) {
    project.windlass(["plugin".as_ref(), "publish".as_ref(), folder.as_os_str()]).ok();
}

fn release(project: &Project, example: &str, name: &str, version: &str, change: (&str, &str)) {
    publish(project, &author(project.folder(), example, name, version, change));
}

fn names(items: &Value) -> Vec<String> {
    items.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

fn plan(admin: &Client, name: &str, version: &str) -> Value {
    admin.post("/api/v1/plugins/plan", json!({ "name": name, "version": version })).expect(200).body
}

fn agree(plan: &Value) -> Value {
    let wanted = &plan["changes"][0];
    json!({ "name": wanted["name"], "version": wanted["to"], "consent": plan["consent"] })
}

/// The life of a plugin as an administrator sees it.
#[test]
fn from_a_search_to_the_removal() {
    let registry = Registry::start();
    let project = project_at(&registry);
    release(&project, "c", "acme:greet", "1.0.0", AS_IT_IS);
    let mut server = Server::with(project, &[]);
    let admin = server.admin();

    let found = admin.get("/api/v1/market?q=greet").expect(200).body;
    assert_eq!((names(&found["items"]), found["total"].clone()), (vec!["acme:greet".to_owned()], json!(1)));
    assert_eq!((&found["items"][0]["installed"], &found["items"][0]["outdated"]), (&Value::Null, &json!(false)));
    assert!(found["facets"]["capability"].as_array().unwrap().contains(&json!({ "value": "http", "count": 1 })));
    let page = admin.get("/api/v1/market/acme/greet").expect(200).body;
    assert_eq!((&page["verification"], &page["page"]["release"]["version"]), (&json!("verified"), &json!("1.0.0")));
    let readme = page["page"]["readme"].as_str().unwrap();
    assert!(readme.contains("https://greet.test") && readme.contains("nofollow"), "{readme}");
    admin.get("/api/v1/market/acme/other").expect(404);
    admin.get("/api/v1/market/acme/..%2F..%2Fsearch").expect(404);

    // What is looked at, and nothing else, is what is installed.
    let first = plan(&admin, "acme:greet", "1.0.0");
    assert_eq!((&first["widens"], &first["breaks"], &first["conflicts"]), (&json!(true), &json!([]), &json!([])));
    let asked = first["changes"][0]["permissions"].as_array().unwrap();
    let words: BTreeSet<_> =
        asked.iter().map(|each| (each["capability"].as_str().unwrap(), each["change"].as_str().unwrap())).collect();
    assert_eq!(words, ["artifacts", "containers", "http", "secrets"].map(|name| (name, "first")).into());
    assert_eq!(admin.get("/api/v1/plugins").expect(200).body, json!([]), "a plan changes nothing");
    for (consent, status, code) in [("", 409, "WL1560"), ("sha256:00", 409, "WL1560")] {
        let wrong = json!({ "name": "acme:greet", "version": "1.0.0", "consent": consent });
        let refused = admin.post("/api/v1/plugins", wrong).expect(status).body;
        assert_eq!(refused["code"], code);
    }
    assert_eq!(admin.get("/api/v1/plugins").expect(200).body, json!([]), "a refusal changes nothing");
    let installed = admin.post("/api/v1/plugins", agree(&first)).expect(201).body;
    assert_eq!(
        (&installed["status"], &installed["refused"], &installed["dependency"]),
        (&json!("ok"), &json!([]), &json!(false))
    );
    let lock = fs::read_to_string(server.project().folder().join("windlass.lock")).unwrap();
    assert!(lock.contains("requested = true"), "{lock}");
    let schema = admin.get("/api/v1/module-schemas?type=step.greet_c").expect(200).body;
    assert_eq!((&schema["type"], &schema["plugin"]), (&json!("step.greet_c"), &json!("acme:greet@1.0.0")));
    assert_eq!(admin.get("/api/v1/market?q=greets").expect(200).body["items"][0]["installed"], "1.0.0");

    // An update that asks for more is shown, and refused by not agreeing to it.
    release(server.project(), "c", "acme:greet", "1.1.0", WIDER);
    let update = plan(&admin, "acme:greet", "^1");
    let change = &update["changes"][0];
    assert_eq!((&change["from"], &change["to"], &update["widens"]), (&json!("1.0.0"), &json!("1.1.0"), &json!(true)));
    let wider: Vec<_> =
        change["permissions"].as_array().unwrap().iter().filter(|each| each["change"] != "same").collect();
    assert_eq!(wider.len(), 1, "{wider:?}");
    assert_eq!((&wider[0]["capability"], &wider[0]["change"]), (&json!("http"), &json!("widened")));
    assert_ne!(wider[0]["until_now"], wider[0]["words"]);
    let before = files(server.project());
    let stale = json!({ "name": "acme:greet", "version": "1.1.0", "consent": first["consent"] });
    assert_eq!(admin.post("/api/v1/plugins", stale).expect(409).body["code"], "WL1560");
    assert_eq!(files(server.project()), before);

    // What a pipeline would lose.
    admin.post("/api/v1/workflows", json!({ "yaml": CI })).expect(201);
    release(server.project(), "rust", "acme:greet", "2.0.0", AS_IT_IS);
    let major = plan(&admin, "acme:greet", "2.0.0");
    let breaks = major["breaks"].as_array().unwrap();
    assert!(breaks.iter().any(|line| line.as_str().unwrap().starts_with("ci:")), "{breaks:?}");
    let steps = major["changes"][0]["steps"].as_array().unwrap();
    assert!(steps.contains(&json!({ "words": "step.greet_c is gone", "breaking": true })), "{steps:?}");

    // Agreed to, it is installed.
    let updated = admin.post("/api/v1/plugins", agree(&plan(&admin, "acme:greet", "1.1.0"))).expect(201).body;
    assert_eq!((&updated["version"], &updated["used_by"]), (&json!("1.1.0"), &json!(["ci"])));
    server.end();
    server.restart();
    let admin = server.admin();
    let rows = admin.get("/api/v1/plugins").expect(200).body;
    assert_eq!((&rows[0]["newer"], &rows[0]["present"]), (&json!("2.0.0"), &json!(true)));
    assert_eq!(admin.get("/api/v1/market").expect(200).body["items"][0]["outdated"], json!(true));

    // What is used is not removed behind anybody's back.
    let refused = admin.delete("/api/v1/plugins/acme/greet").expect(409).body;
    assert_eq!((&refused["code"], &refused["blockers"]), (&json!("WL0831"), &json!(["ci uses it"])));
    admin.delete("/api/v1/plugins/acme/greet?force=true").expect(204);
    admin.delete("/api/v1/plugins/acme/greet").expect(404);
    assert_eq!(admin.get("/api/v1/plugins").expect(200).body, json!([]));
}

/// The project's lock and grants.
fn files(project: &Project) -> [String; 2] {
    ["windlass.lock", "windlass.grants.yaml"]
        .map(|name| fs::read_to_string(project.folder().join(name)).unwrap_or_default())
}

/// Whoever goes away does not leave half an install: whenever a plugin is locked, it is granted.
#[test]
fn an_install_that_nobody_waits_for_is_whole() {
    let registry = Registry::start();
    let project = project_at(&registry);
    let delays = [0, 10, 40, 200];
    for n in 0..delays.len() {
        release(&project, "c", &format!("acme:greet-{n}"), "1.0.0", AS_IT_IS);
    }
    let server = Server::with(project, &[]);
    let admin = server.admin();
    for (n, delay) in delays.into_iter().enumerate() {
        let name = format!("acme:greet-{n}");
        let body = agree(&plan(&admin, &name, "1.0.0")).to_string();
        let mut stream = TcpStream::connect(server.url().strip_prefix("http://").unwrap()).unwrap();
        let head = format!(
            "POST /api/v1/plugins HTTP/1.1\r\nhost: windlass\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            server.key(),
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        drop(stream);
        let end = Instant::now() + Duration::from_secs(3);
        loop {
            let [lock, grants] = files(server.project());
            let is_locked = lock.contains(&format!("\"{name}\""));
            // The grants are written first, so they are read last.
            let grants = if is_locked {
                fs::read_to_string(server.project().folder().join("windlass.grants.yaml")).unwrap()
            } else {
                grants
            };
            assert!(!is_locked || grants.contains(&name), "{name} is locked and not granted:\n{grants}");
            if is_locked || Instant::now() > end {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    // What was begun was brought to its end: the last one had time to begin.
    let rows = admin.get("/api/v1/plugins").expect(200).body;
    assert!(names(&rows).contains(&"acme:greet-3".to_owned()), "{rows:#}");
    assert!(
        rows.as_array().unwrap().iter().all(|row| row["refused"] == json!([]) && row["present"] == json!(true)),
        "{rows:#}"
    );
}

/// Several registries are one list, each hit once, whatever the size of the pages; one that is away is told and holds nothing up.
#[test]
fn registries_are_one_market() {
    let (ours, theirs) = (Registry::start(), Registry::start());
    let config = format!(
        "[registries]\ndefault = \"{}\"\n[registries.namespaces]\nother = \"{}\"\naway = \"http://127.0.0.1:1\"\n",
        ours.url(),
        theirs.url()
    );
    let mut project = project(&config);
    for (registry, namespace, count) in [(&ours, "acme", 3), (&theirs, "other", 2)] {
        project.set_env("WINDLASS_REGISTRY_TOKEN", &registry.token(namespace));
        for n in 0..count {
            release(&project, "c", &format!("{namespace}:greet-{n}"), "1.0.0", AS_IT_IS);
        }
    }
    // Who has no say in a namespace is not heard about it.
    project.set_env("WINDLASS_REGISTRY_TOKEN", &theirs.token("acme"));
    fs::write(project.home().join("config.toml"), format!("[registries]\ndefault = \"{}\"\n", theirs.url())).unwrap();
    release(&project, "c", "acme:impostor", "1.0.0", AS_IT_IS);
    fs::write(project.home().join("config.toml"), &config).unwrap();
    fs::remove_dir_all(project.home().join("cache")).ok();

    let server = Server::with(project, &[]);
    let admin = server.admin();
    let expect = ["acme:greet-0", "acme:greet-1", "acme:greet-2", "other:greet-0", "other:greet-1"];
    for (limit, sort) in [(1, "name"), (2, "name"), (3, "relevance"), (100, "new")] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        for _ in 0..10 {
            let page = admin.get(&format!("/api/v1/market?limit={limit}&sort={sort}{cursor}")).expect(200).body;
            assert!(page["items"].as_array().unwrap().len() <= limit);
            assert_eq!(page["unreachable"][0]["registry"], "http://127.0.0.1:1");
            seen.extend(names(&page["items"]));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        if sort == "name" {
            assert_eq!(seen, expect, "pages of {limit}");
        }
        seen.sort();
        assert_eq!(seen, expect, "pages of {limit} by {sort}");
    }
    let one = admin.get(&format!("/api/v1/market?registry={}", theirs.url())).expect(200).body;
    assert_eq!(names(&one["items"]), ["other:greet-0", "other:greet-1"]);
    for wrong in ["limit=0", "limit=101", "cursor=x", "sort=size", "kind=x", "capability=x"] {
        let problem = admin.get(&format!("/api/v1/market?{wrong}")).expect(400).body;
        assert_eq!(problem["errors"][0]["pointer"], format!("?{}", wrong.split_once('=').unwrap().0));
    }
    let rows = admin.get("/api/v1/registries").expect(200).body;
    let told: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| (row["default"] == true, row["reachable"] == true)).collect();
    assert_eq!(told.len(), 3);
    assert_eq!(told[0], (true, true));
    assert_eq!(told.iter().filter(|(_, reachable)| !reachable).count(), 1);

    // What is installed is found although its registry is away.
    admin.post("/api/v1/plugins", agree(&plan(&admin, "acme:greet-1", "1.0.0"))).expect(201);
    ours.stop();
    let mut server = server;
    server.end();
    server.restart();
    let began = Instant::now();
    let admin = server.admin();
    let left = admin.get("/api/v1/market?sort=name").expect(200).body;
    assert_eq!(names(&left["items"]), ["acme:greet-1", "other:greet-0", "other:greet-1"]);
    assert_eq!(left["items"][0]["installed"], "1.0.0");
    assert_eq!(left["unreachable"].as_array().unwrap().len(), 2);
    let rows = admin.get("/api/v1/plugins").expect(200).body;
    assert_eq!((&rows[0]["status"], &rows[0]["version"]), (&json!("unknown"), &json!("1.0.0")));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    admin.get("/api/v1/market/acme/greet-1").expect(502);
    admin.post("/api/v1/plugins/plan", json!({ "name": "acme:greet-1" })).expect(502);
}

/// What a plugin may is narrowed, and never widened over what it asks for.
#[test]
fn grants_are_narrowed() {
    let registry = Registry::start();
    let project = project_at(&registry);
    release(&project, "c", "acme:greet", "1.0.0", AS_IT_IS);
    project.windlass(["plugin", "install", "acme:greet", "--grant"]).ok();
    let server = Server::with(project, &[]);
    let admin = server.admin();
    let address = "/api/v1/plugins/acme/greet/grants";
    let all = admin.get(address).expect(200).body;
    assert_eq!(all["granted"], all["asked"]);
    let mut narrow = all["granted"].clone();
    narrow.as_object_mut().unwrap().remove("http");
    let row = admin.put(address, json!({ "granted": narrow })).expect(200).body;
    let refused: Vec<_> = row["refused"].as_array().unwrap().iter().map(|each| each["capability"].clone()).collect();
    assert_eq!(refused, ["http"]);
    assert_eq!(admin.get(address).expect(200).body["granted"], narrow);

    let before = files(server.project());
    let wide = json!({ "http": { "hosts": ["*.evil.test"], "methods": ["GET"] } });
    for wrong in [wide, json!({ "state": true }), json!({ "http": {} }), json!({ "everything": true }), json!([])] {
        let problem = admin.put(address, json!({ "granted": wrong })).expect(400).body;
        assert_eq!(problem["errors"][0]["pointer"], "/granted", "{wrong}");
    }
    assert_eq!(files(server.project()), before);
    admin.put("/api/v1/plugins/acme/nothing/grants", json!({ "granted": {} })).expect(404);
}

/// The documented interface's view of the same.
#[test]
fn the_documented_view_of_plugins() {
    let registry = Registry::start();
    let project = project_at(&registry);
    release(&project, "c", "acme:greet", "1.0.0", AS_IT_IS);
    let server = Server::with(project, &[]);
    let admin = server.admin();
    let found = admin.get("/api/v1/admin/plugins/registry/search?q=greet").expect(200).body;
    let keys: BTreeSet<_> = found[0].as_object().unwrap().keys().map(String::as_str).collect();
    let expect = ["author", "description", "installed", "name", "providers", "tags", "tier", "version"];
    assert_eq!(keys, expect.into());
    assert_eq!((&found[0]["installed"], &found[0]["tier"]), (&json!(false), &json!("community")));
    let install = "/api/v1/admin/plugins/registry/install";
    let wanted = json!({ "name": "acme:greet", "version": "1.0.0" });
    assert!(admin.post(install, wanted.clone()).expect(409).body["help"].as_str().unwrap().contains("consent"));
    let consent = plan(&admin, "acme:greet", "1.0.0")["consent"].clone();
    let agreed = json!({ "name": "acme:greet", "version": "1.0.0", "consent": consent });
    let answer = admin.post(install, agreed.clone()).expect(201).body;
    assert_eq!(answer, json!({ "status": "installed", "name": "acme:greet", "version": "1.0.0" }));
    admin.post(install, agreed).expect(409);
    admin.post(install, json!({ "name": "acme:none", "version": "1.0.0" })).expect(404);
    for (name, version) in [("../x", "1.0.0"), ("acme:greet", "../1"), ("", "1.0.0"), ("acme:greet", "")] {
        admin.post(install, json!({ "name": name, "version": version })).expect(400);
    }
    assert_eq!(names(&admin.get("/api/v1/admin/plugins").expect(200).body), ["acme:greet"]);
    assert_eq!(admin.delete("/api/v1/admin/plugins/acme:greet").expect(200).body, json!({ "status": "deleted" }));
    admin.delete("/api/v1/admin/plugins/acme:greet").expect(404);
}

/// Every step type that is there is described for forms.
#[test]
fn module_schemas() {
    let server = Server::start();
    let admin = server.admin();
    let all = admin.get("/api/v1/module-schemas").expect(200).body;
    for name in [
        "step.shell_exec",
        "step.artifact_push",
        "step.artifact_pull",
        "step.container_run",
        "step.gate",
        "step.workflow",
        "provider.local",
    ] {
        let schema = &all[name];
        assert_eq!(schema["type"], name, "{:?}", all.as_object().unwrap().keys().collect::<Vec<_>>());
        assert!(schema["label"].is_string() && schema["category"].is_string() && schema["defaultConfig"].is_object());
        let fields = schema["configFields"].as_array().unwrap();
        assert!(
            !fields.is_empty()
                && fields.iter().all(|field| field["key"].is_string() && field["sensitive"].is_boolean())
        );
    }
    assert_eq!(admin.get("/api/v1/module-schemas?type=step.gate").expect(200).body, all["step.gate"]);
    admin.get("/api/v1/module-schemas?type=step.none").expect(404);
}

/// A provider's page says how an environment is configured and what can be asked, as that of step types has their fields.
#[test]
fn the_page_of_a_provider() {
    let registry = Registry::start();
    let project = project(&format!("[registries]\ndefault = \"{}\"\n", registry.url()));
    project.windlass_with(["plugin", "login"], &registry.token("windlass")).ok();
    publish(&project, &root().join("plugins/local"));
    let server = Server::with(project, &[]);
    let page = server.admin().get("/api/v1/market/windlass/local").expect(200).body;
    let (release, provider) = (&page["page"]["release"], &page["page"]["release"]["provider"]);
    assert_eq!((&release["kinds"], &release["steps"]), (&json!(["provider"]), &json!([])));
    assert_eq!((&provider["name"], &provider["title"]), (&json!("local"), &json!("This machine")));
    assert_eq!(provider["config_schema"]["properties"]["registry_credentials"]["x-windlass-secret"], true);
    let verbs = provider["verbs"].as_array().unwrap();
    assert!(["deploy", "rollback", "status"].iter().all(|verb| verbs.contains(&json!(verb))), "{verbs:?}");
    let docs = provider["docs"].as_str().unwrap();
    assert!(docs.starts_with("<p>") || docs.starts_with("<h"), "{docs}");
}

/// A secret is written, and nothing ever tells its value.
#[test]
fn secrets_are_only_written() {
    let server = Server::with(Project::empty(), &[]);
    let admin = server.admin();
    let value = "hunter2-and-more";
    let set = json!({ "value": value, "hosts": ["api.a.test"] });
    let reply = admin.put("/api/v1/secrets/cicd/registry", set.clone()).expect(204);
    assert!(reply.bytes.is_empty());
    admin.put("/api/v1/secrets/cicd/deep%2Fpath", json!({ "value": "x" })).expect(204);
    let rows = admin.get("/api/v1/secrets").expect(200);
    assert!(!rows.text().contains(value));
    assert_eq!(names(&rows.body), ["cicd/deep/path", "cicd/registry"]);
    assert_eq!(rows.body[1]["hosts"], json!(["api.a.test"]));
    assert_eq!(files_with(server.home(), value), Vec::<String>::new());
    for engine in ["environments", "triggers"] {
        admin.put(&format!("/api/v1/secrets/{engine}/x"), set.clone()).expect(403);
        admin.delete(&format!("/api/v1/secrets/{engine}/x")).expect(403);
    }
    for (path, body) in [
        ("..%2Fx/y", set.clone()),
        ("a/..%2Fx", set.clone()),
        ("a%20b/c", set.clone()),
        ("a/b", json!({ "value": "" })),
        ("a/b", json!({ "value": "x".repeat(65_537) })),
        ("a/b", json!({ "value": "x", "hosts": ["*"] })),
        ("a/b", json!({ "value": "x", "hosts": ["https://a.test"] })),
    ] {
        admin.put(&format!("/api/v1/secrets/{path}"), body).expect(400);
    }
    admin.delete("/api/v1/secrets/cicd/registry").expect(204);
    admin.delete("/api/v1/secrets/cicd/registry").expect(404);
}
