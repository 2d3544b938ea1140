//! `windlass server user` and `key`: what the API does, by the operator of the machine, while the server runs or not.

use crate::http::{PASSWORD, Server, signed_in};
use serde_json::{Value, json};
use windlass_tests::{Output, Project, files_with};

/// A command below `windlass server`, with this on its standard input.
fn server(project: &Project, line: &str, input: &str) -> Output {
    project.windlass_with(std::iter::once("server").chain(line.split(' ')), input)
}

#[test]
fn what_the_operator_changes_is_seen_by_the_next_request() {
    let running = Server::start();
    let command = |line: &str, input: &str| server(&running.project, line, input).ok();
    let made =
        command("user add ada --role operator --display-name Ada --email ada@example.com", &format!("{PASSWORD}\n"));
    assert_eq!((made.stdout.as_str(), made.stderr.as_str()), ("", "✔ ada is a user (operator, with a password)\n"));
    let (cookie, _) = running.session("ada", PASSWORD);
    let key = command("key add deploys --user ada --role operator --days 7", "");
    assert!(key.stderr.contains("of ada (operator, until ") && !key.stderr.contains("wlk_"), "{}", key.stderr);
    let key = key.stdout.trim().to_owned();
    let by_key = running.send("POST /api/v1/session", &[], Some(&json!({ "key": key }))).is(200);
    let (by_key, _) = signed_in(&by_key);
    let all = |status: u16| {
        running.key(&key, "GET /api/v1/session", None).is(status);
        running.cookie(&cookie, "GET /api/v1/session").is(status);
        running.cookie(&by_key, "GET /api/v1/session").is(status)
    };
    let shown = all(200).body;
    assert_eq!((&shown["user"]["display_name"], &shown["role"]), (&json!("Ada"), &json!("operator")));

    command("user role ada viewer", "");
    assert_eq!(all(200).body["role"], "viewer");
    command("user disable ada", "");
    all(401).refused(401, "WL1501");
    running.sign_in("ada", PASSWORD).refused(401, "WL1501");
    command("user enable ada", "");
    running.key(&key, "GET /api/v1/session", None).is(200);
    running.cookie(&cookie, "GET /api/v1/session").refused(401, "WL1501");

    let (cookie, _) = running.session("ada", PASSWORD);
    command("user password ada", "another horse battery");
    running.cookie(&cookie, "GET /api/v1/session").refused(401, "WL1501");
    running.sign_in("ada", PASSWORD).refused(401, "WL1501");
    running.sign_in("ada", "another horse battery").is(200);

    let keys = command("key list --user ada --json", "").json();
    assert_eq!((keys.as_array().unwrap().len(), &keys[0]["name"]), (1, &json!("deploys")));
    assert!(key.starts_with(keys[0]["prefix"].as_str().unwrap()));
    command(&format!("key revoke {}", keys[0]["id"]), "");
    running.key(&key, "GET /api/v1/session", None).refused(401, "WL1501");

    command("user profile ada --email other@example.com", "");
    let users = command("user list --json", "").json();
    let ada = users.as_array().unwrap().iter().find(|user| user["name"] == "ada").unwrap();
    assert_eq!((&ada["display_name"], &ada["email"]), (&json!("Ada"), &json!("other@example.com")));
    let table = command("user list", "").stdout;
    let ada = table.lines().find(|line| line.starts_with("ada ")).unwrap();
    assert!(ada.contains("viewer") && ada.contains("with a password"), "{table}");
    command("user remove ada", "");
    running.admin("GET /api/v1/users/ada", None).refused(404, "WL1503");

    // Who it was, and nothing that is secret.
    let audit = running.admin("GET /api/v1/audit?limit=200", None).is(200);
    let account = String::from_utf8(std::process::Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let operator = format!("command line ({})", account.trim());
    let by_operator: Vec<&str> = audit.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["actor"] == operator.as_str())
        .map(|row| row["action"].as_str().unwrap())
        .collect();
    let expected = [
        "user.delete",
        "user.change",
        "key.delete",
        "user.set-password",
        "user.change",
        "user.change",
        "user.change",
        "key.create",
        "user.create",
    ];
    assert_eq!(by_operator, expected, "{}", audit.text);
    for secret in [PASSWORD, "another horse battery", &key] {
        assert_eq!(files_with(running.project.home(), secret), Vec::<String>::new(), "{secret}");
        assert!(!audit.text.contains(secret));
    }
}

#[test]
fn the_rules_are_those_of_the_api() {
    let running = Server::start();
    running.person("ada", "operator");
    for (line, input, code, words) in [
        ("user remove admin", "", "WL1525", "admin is the last administrator"),
        ("user disable admin", "", "WL1525", "admin is the last administrator"),
        ("user role admin operator", "", "WL1525", "admin is the last administrator"),
        ("user add ADA", PASSWORD, "WL1504", "the name \"ADA\" is or was somebody's"),
        ("user add -- -rf", PASSWORD, "WL1500", "a name begins with a letter or digit"),
        ("user add bob", "short", "WL1500", "a password has at least 12 characters"),
        ("user add bob --no-password --email bob", "", "WL1500", "an e-mail address has an @"),
        ("user password bob", PASSWORD, "WL1503", "there is no user \"bob\""),
        ("user disable bob", "", "WL1503", "there is no user \"bob\""),
        ("key add x --user ada --role admin", "", "WL1500", "a key may at most what its user may: operator"),
        ("key add x --user ada --role viewer --days 367", "", "WL1500", "a key is valid for 1 to 366 days"),
        ("key add x --user bob --role viewer", "", "WL1503", "there is no user \"bob\""),
        ("key list --user bob", "", "WL1503", "there is no user \"bob\""),
        ("key revoke 999", "", "WL1503", "there is no key 999"),
    ] {
        let refused = server(&running.project, line, input).expect(2);
        let told = &refused.stderr;
        assert!(told.starts_with(&format!("error[{code}]: ")) && told.contains(words), "{line}: {told}");
        assert_eq!(refused.stdout, "", "{line}");
    }
    let nothing = server(&running.project, "user password ada", "").expect(2);
    assert!(nothing.stderr.contains("no value on standard input"), "{}", nothing.stderr);
    let users = running.admin("GET /api/v1/users", None).is(200).body["items"].as_array().unwrap().len();
    assert_eq!(users, 2, "nothing was changed");
}

#[test]
fn people_are_made_before_the_first_start() {
    let project = Project::empty();
    let refused = server(&project, "user add ada", PASSWORD).expect(2);
    assert!(refused.stderr.contains("the first user is an administrator"), "{}", refused.stderr);
    server(&project, "user add ada --role admin", PASSWORD).ok();
    server(&project, "user add bob --no-password", "").ok();
    let made = server(&project, "key add laptop --user bob --role viewer --json", "").ok().json();
    let key = made["key"].as_str().unwrap();
    // The server makes nobody then: it is not one of those that print a key.
    let running = Server::on(project);
    let (cookie, _) = running.session("ada", PASSWORD);
    assert_eq!(running.cookie(&cookie, "GET /api/v1/session").is(200).body["role"], "admin");
    assert_eq!(running.key(key, "GET /api/v1/session", None).is(200).body["user"]["name"], "bob");
    let names: Vec<Value> = running.cookie(&cookie, "GET /api/v1/users").is(200).body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["name"].clone())
        .collect();
    assert_eq!(names, ["ada", "bob"]);
}

/// Types into a terminal what is asked for, and prints all that the terminal has shown: the program, then the answers.
const TERMINAL: &str = "
import os, pty, sys, termios, time
answers = [each.encode() for each in sys.argv[2:]]
child, terminal = pty.fork()
if child == 0:
    os.execvp('sh', ['sh', '-c', sys.argv[1]])
shown = b''
while True:
    try:
        read = os.read(terminal, 4096)
    except OSError:
        break
    if not read:
        break
    shown += read
    # Each prompt ends so. What comes before the echo is off would be thrown away.
    if answers and shown.endswith(b': '):
        until = time.monotonic() + 10
        while termios.tcgetattr(terminal)[3] & termios.ECHO and time.monotonic() < until:
            time.sleep(0.01)
        os.write(terminal, answers.pop(0) + b'\\n')
_, status = os.waitpid(child, 0)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(status))
";

#[test]
fn a_password_that_is_typed_is_not_shown() {
    let project = Project::empty();
    let windlass = windlass_tests::windlass();
    let typed = |answers: [&str; 2]| {
        let line =
            format!("{} --home {} server user add ada --role admin", windlass.display(), project.home().display());
        let output =
            std::process::Command::new("python3").args(["-c", TERMINAL, &line]).args(answers).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, shown) = typed([PASSWORD, "another horse battery"]);
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("two different passwords") && !shown.contains("horse"), "{shown}");
    let (code, shown) = typed([PASSWORD, PASSWORD]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("new password of ada: ") && shown.contains("the same again: "), "{shown}");
    assert!(!shown.contains("horse"), "{shown}");
    let running = Server::on(project);
    running.sign_in("ada", PASSWORD).is(200);
}
