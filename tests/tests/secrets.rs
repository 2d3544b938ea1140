//! A secret goes where it is meant to go, and nowhere else.

use windlass_tests::{Project, WebServer, files_with};

const SECRET: &str = "correct-horse-battery-staple-7";

/// A variable of the host's environment is nobody's business: not a guest's, not a container's, not a file's.
#[test]
fn the_hosts_environment_stays_on_the_host() {
    const CANARY: &str = "canary-in-the-coal-mine-4711";
    let mut project = Project::new();
    project.set_env("AWS_SECRET_ACCESS_KEY", CANARY);
    project.set_env("WINDLASS_CANARY", CANARY);
    let output = project.run(
        "name: canary
steps:
  - name: container
    type: step.shell_exec
    config: { image: IMAGE, commands: [env, 'tr \"\\\\0\" \"\\\\n\" < /proc/1/environ'] }
  - { name: python, type: step.greet_python, config: { name: Ada, image: IMAGE } }
  - { name: c, type: step.greet_c, config: { name: Ada, image: IMAGE } }
",
    );
    let output = output.ok();
    assert!(output.stdout.contains("PATH="), "the environment was printed:\n{}", output.stdout);
    assert!(!output.all().contains(CANARY) && !output.all().contains("AWS_SECRET"), "{}", output.all());
    assert_eq!(files_with(project.home(), CANARY), [""; 0]);
}

/// Whatever a container does with it, no sink shows it: log, live output, results, errors, events, the database.
#[test]
fn a_secret_by_environment_is_masked_in_every_sink() {
    let project = Project::new();
    project.secret("vault/token", SECRET, &[]);
    let output = project.run(
        "name: masked
steps:
  - name: use
    type: step.shell_exec
    on_failure: continue
    config:
      image: IMAGE
      env: { TOKEN: 'secret:vault/token' }
      commands:
        - test ${#TOKEN} = 30 && echo it is there
        - echo plain $TOKEN
        - printf %s \"$TOKEN\" | base64
        - printf %s \"$TOKEN\" | hexdump -ve '1/1 \"%02x\"' && echo
        - printf %s \"${TOKEN%-staple*}\"; sleep 0.2; printf '%s\\n' \"${TOKEN#*battery}\"
        - echo $TOKEN >&2
        - printf %s \"$TOKEN\" > /workspace/kept
        - exit 3
",
    );
    let output = output.ok();
    let shown = project.shown("last").to_string();
    let logs = project.windlass(["logs", "last", "use"]).ok().stdout;
    let raw = project.windlass(["logs", "last", "use", "--raw"]).ok().stdout;
    let hexed = hex::encode(SECRET);
    for (sink, text) in [("output", &output.all()), ("runs --json", &shown), ("logs", &logs), ("logs --raw", &raw)] {
        assert!(text.contains("it is there") && text.contains("plain ***"), "{sink}: {text}");
        for form in [SECRET, "correct-horse", "staple-7", "Y29ycmVjdC1ob3JzZS", hexed.as_str()] {
            assert!(!text.contains(form), "{sink} shows {form}: {text}");
        }
    }
    for form in [SECRET, "Y29ycmVjdC1ob3JzZS", hexed.as_str()] {
        assert_eq!(files_with(project.home(), form), [""; 0], "{form}");
    }
    // Nor does the vault hold it in the clear, or `secret list` show it.
    let list = project.windlass(["secret", "list"]).ok();
    assert!(list.stdout.contains("secret:vault/token") && !list.all().contains(SECRET));
}

/// A secret is bound to the hosts that its owner named. To any other it is not sent, not even the request without it.
#[test]
fn a_secret_goes_to_no_host_that_it_is_not_bound_to() {
    let mut project = Project::new();
    let (bound, other) = (WebServer::start("bound"), WebServer::start("other"));
    project.set_env("WINDLASS_EGRESS_OPEN", "127.0.0.0/8");
    project.secret("vault/token", SECRET, &[bound.host()]);
    let yaml = |host: &str| {
        let config = format!("{{ name: Ada, token: 'secret:vault/token', url: 'http://{host}/' }}");
        format!("name: bound\nsteps:\n  - {{ name: send, type: step.greet_rust, config: {config} }}\n")
    };
    let refused = project.run(&yaml(other.host()));
    let words = refused.all().replace(other.host(), "OTHER");
    assert_ne!(refused.code, 0, "{words}");
    assert!(words.contains("not bound to") && words.contains("OTHER"), "{words}");
    assert!(!words.contains(SECRET), "{words}");
    assert!(other.received().is_empty(), "{:?}", other.received());

    project.run(&yaml(bound.host())).ok();
    assert_eq!(bound.received().len(), 1);
}

/// Loopback, private and metadata addresses are closed until the operator opens them; a plugin cannot.
#[test]
fn no_plugin_reaches_this_machines_network_by_itself() {
    let project = Project::new();
    let server = WebServer::start("inside");
    let port = server.host().rsplit(':').next().unwrap();
    for host in [server.host(), "169.254.169.254", &format!("localhost:{port}"), &format!("[::ffff:127.0.0.1]:{port}")]
    {
        let config = format!("{{ name: Ada, url: 'http://{host}/' }}");
        let yaml = format!("name: ssrf\nsteps:\n  - {{ name: send, type: step.greet_c, config: {config} }}\n");
        let output = project.run(&yaml);
        assert_ne!(output.code, 0, "{host}: {}", output.all());
        assert!(
            output.all().contains("WINDLASS_EGRESS_OPEN") || output.all().contains("opened"),
            "{host}: {}",
            output.all()
        );
    }
    assert!(server.received().is_empty());
}

#[test]
fn a_secret_that_is_not_there_or_not_granted_is_refused_in_words() {
    let project = Project::new();
    let yaml = "name: refused
steps:
  - { name: use, type: step.shell_exec, config: { image: IMAGE, env: { TOKEN: 'secret:vault/token' }, commands: ['true'] } }
";
    let missing = project.run(yaml);
    assert_ne!(missing.code, 0);
    assert!(missing.all().contains("windlass secret set vault/token"), "{}", missing.all());

    project.secret("vault/token", SECRET, &[]);
    let grants = project.folder().join("windlass.grants.yaml");
    project.tamper(&grants, |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        let (before, shell) = text.split_once("windlass:shell").unwrap();
        let shell = shell.replace("    secrets:\n    - from-config\n", "");
        format!("{before}windlass:shell{shell}").into_bytes()
    });
    let ungranted = project.run(yaml);
    assert_ne!(ungranted.code, 0);
    assert!(ungranted.all().contains("secrets"), "{}", ungranted.all());
    assert!(!ungranted.all().contains(SECRET));
}
