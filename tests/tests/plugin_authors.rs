//! What an author's commands do, and say: recorded and replayed cases, permissions that are missing, the loop of `dev`, and the
//! document that a newcomer follows.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use std::{fs, net::TcpListener, path::PathBuf, process::Command};
use windlass_tests::{
    IMAGE, Project, Registry, WebServer, files_with,
    newcomer::{author, install_tools},
    root,
};

const SECRET: &str = "s3cret-of-the-authors-test";

/// A copy of one of the example plugins, which use every capability, built already, with `permissions` in its manifest.
fn example(project: &Project, language: &str) -> PathBuf {
    let from = root().join("examples/plugins").join(language);
    let wasm = fs::read(from.join(format!("dist/greet-{language}.wasm")));
    let wasm = wasm.expect("the example plugin is built. Run: scripts/build-plugins.sh --all");
    let manifest = fs::read_to_string(from.join("plugin.yaml")).unwrap();
    let manifest: String = manifest
        .lines()
        .map(|line| if line.starts_with("component:") { "component: greet.wasm\nbuild: ['true']" } else { line })
        .map(|line| format!("{line}\n"))
        .collect();
    project.file("greet/plugin.yaml", &manifest);
    project.file("greet/README.md", "A copy.\n");
    let folder = project.folder().join("greet");
    fs::write(folder.join("greet.wasm"), wasm).unwrap();
    folder
}

/// What a test prints, without times.
fn without_times(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n']).collect::<Vec<_>>();
    let mut out = String::new();
    for (at, word) in words.iter().enumerate() {
        let is_time =
            words.get(at + 1).is_some_and(|next| next.trim_end() == "ms") && word.trim().parse::<u32>().is_ok();
        out.push_str(if is_time { "N " } else { word });
    }
    out
}

#[test]
fn a_recorded_session_is_played_again_without_the_world() {
    let mut project = Project::empty();
    let folder = example(&project, "rust");
    let server = WebServer::start("welcome");
    project.set_env("WINDLASS_EGRESS_OPEN", "127.0.0.0/8");
    project.secret("vault/token", SECRET, &[server.host()]);
    let case = |name: &str| {
        format!(
            "config: {{ name: {name}, image: {IMAGE}, token: 'secret:vault/token', url: 'http://{}/greeting' }}\n\
             expect:\n  outputs:\n    greeting: hello {name} from rust\n    artifact_digest: 'sha256:{}'\n    hmac: {}\n    \
             container_exit: 0\n    container_stdout: hello {name} and its token\n    http_status: 200\n    http_body: welcome\n  \
             log: [hello {name}, '[2/4] secret', '[4/4] request']\n",
            server.host(),
            "DIGEST",
            "HMAC",
        )
    };
    // What the plugin keeps and signs is known from its first run.
    let (digest, hmac) = (shell("printf 'hello Ada\\n' | sha256sum | cut -d' ' -f1"), hmac());
    let case = |name: &str| case(name).replace("DIGEST", &digest).replace("HMAC", &hmac);
    project.file("greet/tests/all.yaml", &case("Ada"));

    // Without a session, the first call says how to get one.
    let unrecorded = project.windlass(["plugin", "test", "greet"]).expect(1);
    insta::assert_snapshot!(without_times(&unrecorded.stdout), @r#"
    ✘ all N ms
        calls
          this case has no session, and the plugin called:
            artifacts.create key="greetings/rust.txt"
        to record one: windlass plugin test --record --case all
    1 of 1 case failed (- expected, + found)
    "#);

    let recorded = project.windlass(["plugin", "test", "greet", "--record"]).ok();
    insta::assert_snapshot!(without_times(&recorded.stdout), @r"
    ✔ all N ms
    1 case passed
    recorded all.session
    ");
    let received = server.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].header("authorization"), Some(format!("Bearer {SECRET}").as_str()));
    assert_eq!(files_with(&folder, SECRET), [""; 0], "the session holds no secret");
    assert_eq!(left_of_rehearsals(), "", "nothing is left on the engine");

    // From here on there is no engine and no secret, and the server is not asked.
    project.set_env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    project.windlass(["secret", "remove", "vault/token"]).ok();
    let replayed = project.windlass(["plugin", "test", "greet"]).ok();
    insta::assert_snapshot!(without_times(&replayed.stdout), @r"
    ✔ all N ms
    1 case passed
    ");

    assert_eq!(server.received().len(), 1);

    // A plugin that asks for something else is told from one that does the same.
    project.file("greet/tests/all.yaml", &case("Eva"));
    let differs = project.windlass(["plugin", "test", "greet"]).expect(1);
    insta::assert_snapshot!(without_times(&differs.stdout), @r#"
    ✘ all N ms
        calls
          call 2 is another one than was recorded:
          - writer.write on writer#1 bytes={"text":"hello Ada\n"}
          + writer.write on writer#1 bytes={"text":"hello Eva\n"}
          what differs: bytes
    1 of 1 case failed (- expected, + found)
    "#);
    let json = project.windlass(["plugin", "test", "greet", "--json"]).expect(1).json();
    assert_eq!((&json["passed"], &json["cases"][0]["findings"][0]["what"]), (&false.into(), &"calls".into()));
}

/// Computed by another program, so that the plugin's is compared with something.
fn hmac() -> String {
    shell(&format!("printf windlass | openssl dgst -sha256 -hmac {SECRET} | sed 's/.* //'"))
}

fn left_of_rehearsals() -> String {
    shell(
        "docker ps --all --format '{{.Names}} {{.Labels}}' --filter label=dev.windlass.owner | grep owner=rehearsal- || true",
    )
}

/// What a shell prints, without the end of its last line.
#[track_caller]
fn shell(script: &str) -> String {
    let output = Command::new("bash").args(["-euo", "pipefail", "-c", script]).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn what_a_component_imports_has_to_be_asked_for() {
    let project = Project::empty();
    let folder = example(&project, "rust");
    let manifest = fs::read_to_string(folder.join("plugin.yaml")).unwrap();
    let (head, _) = manifest.split_once("permissions:").unwrap();
    project.file(
        "greet/plugin.yaml",
        &format!("{head}permissions: {{ state: true, artifacts: {{ read: true, write: true }} }}\n"),
    );
    let built = project.windlass(["plugin", "build", "greet"]).expect(1);
    insta::assert_snapshot!(built.stderr, @r"
    error: the component imports what plugin.yaml does not ask for. Add, and narrow as you can:

        permissions:
          containers: { images: [from-config] }
          secrets: [from-config]
          http: { hosts: [from-config], methods: [GET] }

    warning: plugin.yaml asks for state, and the component does not import it
    ");

    // The lines that it prints are the ones that are missing.
    let lines: String = built
        .stderr
        .lines()
        .filter(|line| line.starts_with("      "))
        .map(|line| format!("{}\n", &line[4..]))
        .collect();
    project
        .file("greet/plugin.yaml", &format!("{head}permissions:\n  artifacts: {{ read: true, write: true }}\n{lines}"));
    project.windlass(["plugin", "build", "greet"]).ok();
}

#[test]
fn what_cannot_be_begun_is_said() {
    let project = Project::empty();
    project.file("greet/mine.txt", "mine");
    let check = |args: &[&str]| {
        let output = project.windlass(["plugin", "new"].iter().chain(args)).expect(2);
        output.stderr
    };
    let all = [
        check(&["--lang", "c", "acme:greet"]),
        check(&["--lang", "c", "greet"]),
        check(&["--lang", "go", "acme:greet-go"]),
        check(&["--lang", "cobol", "acme:greet-cobol"]).lines().next().unwrap().to_owned(),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    error[WL1420]: greet is there already
      help: give another folder: windlass plugin new … NAME FOLDER

    error: plugin name "greet" is not valid: write namespace:name, each part lower-case letters, digits and single hyphens, starting with a letter, at most 64 characters

    error: there is no template for Go: componentize-go and TinyGo, which make components of Go programs, cannot be had from a package registry; with one of them on your machine, any Go module that exports the world in wit/ is a plugin (docs/plugin-authors.md, "Other languages")

    error: invalid value 'cobol' for '--lang <LANGUAGE>'
    "#);
    assert_eq!(fs::read_dir(project.folder()).unwrap().count(), 1, "nothing was written");
}

#[test]
fn a_missing_tool_is_named() {
    let project = Project::empty();
    project.windlass(["plugin", "new", "--lang", "py", "acme:greet"]).ok();
    let output = project.windlass(["plugin", "build", "greet"]).expect(6);
    insta::assert_snapshot!(output.stderr, @r"
    error[WL1423]: `.venv/bin/componentize-py` is not on this machine, and `build` in plugin.yaml runs it
      help: run `python3 -m venv .venv && .venv/bin/pip install -r requirements.txt` in the plugin's folder
    ");
    let output = project.windlass(["plugin", "test", "greet"]).expect(2);
    insta::assert_snapshot!(output.stderr, @r"
    error[WL1425]: there is no component at greet/greet.wasm
      help: run `windlass plugin build`; if that is what you did, `component` in plugin.yaml names another file
    ");
}

#[test]
fn a_project_runs_what_is_being_made() {
    let registry = Registry::start();
    let project = author(&registry);
    project.windlass(["plugin", "new", "--lang", "c", "acme:greet"]).ok();
    install_tools("c", &project.folder().join("greet"));
    let pipeline = "name: demo\nplugins: { 'acme:greet': ^0.1 }\nsteps:\n  - { name: hello, type: step.greet, config: { who: Ada } }\n";
    let pipeline = project.file("demo.yaml", pipeline).display().to_string();
    let source = project.folder().join("greet/plugin.c");
    let change = |from: &str, to: &str| {
        let text = fs::read_to_string(&source).unwrap();
        assert!(text.contains(from));
        fs::write(&source, text.replace(from, to)).unwrap();
    };
    let runs = || project.windlass(["run", "--no-workspace", &pipeline]);
    let greeting = || {
        let output = runs().ok();
        assert!(
            output.stderr.contains("note: acme:greet is what `windlass plugin dev` builds in"),
            "{}",
            output.stderr
        );
        project.step("last", "hello")["outputs"]["greeting"].as_str().unwrap().to_owned()
    };

    let mut dev = project.spawn(["plugin", "dev", "greet"]);
    dev.wait_for("2 cases passed");
    dev.wait_for("acme:greet@0.1.0+dev runs in");
    dev.wait_for("watching");
    assert_eq!(greeting(), "hello Ada");

    // One project has one of them at a time.
    let second = project.windlass(["plugin", "dev", "greet"]).expect(6);
    assert!(
        second.stderr.contains("another `windlass plugin dev` gives acme:greet to this project"),
        "{}",
        second.stderr
    );

    // A change that fails its test is not given; one that does not build ends nothing.
    change("\"hello %.*s\"", "\"goodbye %.*s\"");
    dev.wait_for("plugin.c changed");
    dev.wait_for("1 of 2 cases failed");
    dev.wait_for("watching");
    assert_eq!(greeting(), "hello Ada");
    change("\"goodbye %.*s\"", "\"goodbye");
    dev.wait_for("plugin.c changed");
    dev.wait_for("watching");
    change("\"goodbye", "\"hello, %.*s\"");
    let case = project.folder().join("greet/tests/hello.yaml");
    let text = fs::read_to_string(&case).unwrap().replace("hello Ada", "hello, Ada");
    fs::write(case, text).unwrap();
    dev.wait_for("runs in");
    dev.wait_for("watching");
    assert_eq!(greeting(), "hello, Ada");

    dev.signal(rustix::process::Signal::INT);
    let ended = dev.wait();
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert!(ended.stderr.contains("`make` ended with"), "{}", ended.stderr);
    assert!(
        ended.stdout.ends_with("acme:greet in this project is again what windlass.lock says\n"),
        "{}",
        ended.stdout
    );
    let after = runs().expect(2);
    assert!(after.stderr.contains("acme:greet"), "{}", after.stderr);
}

#[test]
fn a_pipeline_is_run_after_each_build() {
    let registry = Registry::start();
    let project = author(&registry);
    project.windlass(["plugin", "new", "--lang", "c", "acme:greet"]).ok();
    let pipeline = "name: demo\nplugins: { 'acme:greet': ^0.1 }\nsteps:\n  - { name: hello, type: step.greet, config: { who: Eva } }\n";
    project.file("demo.yaml", pipeline);
    let mut dev = project.spawn(["plugin", "dev", "greet", "--pipeline", "demo.yaml"]);
    dev.wait_for("hello Eva");
    dev.wait_for("demo succeeded");
    dev.wait_for("watching");
    fs::write(project.folder().join("greet/README.md"), "Changed.\n").unwrap();
    assert_eq!(dev.wait_for("changed"), "README.md changed", "what the build itself wrote is no change");
    dev.wait_for("demo succeeded");
}

#[test]
fn what_does_not_end_is_ended() {
    let registry = Registry::start();
    let project = author(&registry);
    project.windlass(["plugin", "new", "--lang", "c", "acme:greet"]).ok();
    let source = project.folder().join("greet/plugin.c");
    let text = fs::read_to_string(&source).unwrap();
    let (from, to) = (
        "  if (equals(who, \"nobody\"))\n",
        "  if (equals(who, \"nobody\")) for (volatile int n = 0;;) n = 1;\n  if (0)\n",
    );
    assert!(text.contains(from));
    fs::write(&source, text.replace(from, to)).unwrap();
    project.windlass(["plugin", "build", "greet"]).ok();
    let output = project.windlass(["plugin", "test", "greet", "--case", "nobody"]).expect(1);
    insta::assert_snapshot!(without_times(&output.stdout), @r"
    ✘ nobody N ms
        outcome
          - invalid-config
          + timed-out: acme:greet@0.1.0 in `run` did not end within 10s
    1 of 1 case failed (- expected, + found)
    ");
}

#[test]
fn permissions_are_granted_before_what_is_being_made_runs() {
    let project = Project::empty();
    example(&project, "c");
    let mut dev = project.spawn(["plugin", "dev", "greet"]);
    dev.wait_for("there are no test cases");
    dev.wait_for("watching");
    dev.kill();
    assert!(!project.folder().join("windlass.grants.yaml").exists());

    let mut dev = project.spawn(["plugin", "dev", "--grant", "greet"]);
    dev.wait_for("runs in");
    dev.kill();
    let grants = fs::read_to_string(project.folder().join("windlass.grants.yaml")).unwrap();
    assert!(grants.contains("examples:greet-c") && grants.contains("from-config"), "{grants}");
    assert!(!project.folder().join("windlass.lock").exists(), "the lock file knows of it nothing");
}

/// The commands of the document, in the order in which they stand in it, as one script. The files that it shows are written.
#[test]
fn the_document_does_what_it_says() {
    let text = fs::read_to_string(root().join("docs/plugin-authors.md")).unwrap();
    let (_, section) = text.split_once("## In five minutes").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("its end");
    let registry = Registry::start();
    let project = author(&registry);
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();

    let (mut script, mut commands) = (String::new(), 0);
    for block in section.split("```").skip(1).step_by(2) {
        let (kind, content) = block.split_once('\n').unwrap();
        match kind {
            "console" => {
                for command in content.lines().filter_map(|line| line.strip_prefix("$ ")) {
                    commands += 1;
                    let command = command.replace("7420", &port.to_string());
                    script.push_str(&match command.split_whitespace().next() {
                        // The tools are there: they are linked instead of fetched a second time.
                        Some("npm") => "ln -s \"$NODE_MODULES\" node_modules\n".to_owned(),
                        Some("registry-server") if command.contains("serve") => format!(
                            "{command} >registry.log 2>&1 &\ntrap \"kill $!\" EXIT\n\
                             until (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.1; done\n"
                        ),
                        _ => format!("{command}\n"),
                    });
                }
            }
            "yaml" => {
                let name = content.lines().next().and_then(|line| line.strip_prefix("# ")).expect("its file's name");
                script.push_str(&format!("cat >{name} <<'EOF'\n{content}EOF\n"));
            }
            other => panic!("a block of {other:?} in the section"),
        }
    }
    assert!(commands >= 8, "the section has {commands} commands");

    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &script]).current_dir(project.folder());
    let programs = windlass_tests::windlass();
    let path = format!("{}:{}", programs.parent().unwrap().display(), std::env::var("PATH").unwrap());
    command.env("PATH", path).env("WINDLASS_HOME", project.home()).env("NO_COLOR", "1");
    command.env("NODE_MODULES", root().join("examples/plugins/js/node_modules"));
    let output = command.output().unwrap();
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n{printed}");
    assert!(printed.contains("hello Ada"), "{printed}");
}

#[test]
fn the_schema_is_printed() {
    let schema = Project::empty().windlass(["plugin", "schema"]).ok().json();
    assert_eq!(schema["title"], "plugin.yaml");
}
