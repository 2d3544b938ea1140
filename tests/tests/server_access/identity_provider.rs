//! People of an identity provider, which is a real one: `tests/oidc`.

use crate::http::{Answer, Server, try_send};
use serde_json::{Value, json};
use std::{
    net::TcpListener,
    process::{Child, ChildStdout, Command, Stdio},
};
use windlass_tests::{Project, root};

/// A provider of OpenID Connect; ended when it is dropped.
struct Provider {
    child: Child,
    /// Kept open: a program that prints into a closed pipe ends.
    _out: std::io::BufReader<ChildStdout>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Provider {
    fn start(port: u16, redirect: &str, people: &std::path::Path) -> Provider {
        let folder = root().join("tests/oidc");
        assert!(folder.join("node_modules").is_dir(), "the provider is not there. Run: make setup-tests");
        let mut command = Command::new("node");
        command.arg("provider.mjs").arg(port.to_string()).arg(redirect).arg(people).current_dir(folder);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("node starts");
        let mut line = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        assert!(line.contains("the provider listens"), "{line}");
        Provider { child, _out: out }
    }
}

/// What of a browser a sign-in needs: cookies by host and path, and redirects.
#[derive(Default)]
struct Browser {
    /// Name, path, value. Hosts are one: cookies know no ports.
    jar: Vec<(String, String, String)>,
}

impl Browser {
    /// Goes to an address, and wherever it leads, but no further than where `until` stands in it; the last answer and its address.
    fn go(&mut self, url: &str, form: Option<&str>, until: &str) -> (String, Answer) {
        let (mut url, mut form) = (url.to_owned(), form.map(str::to_owned));
        for _ in 0..10 {
            let rest = url.strip_prefix("http://").unwrap();
            let (host, path) =
                rest.split_once('/').map_or((rest, "/".to_owned()), |(host, path)| (host, format!("/{path}")));
            let cookies: Vec<String> = self
                .jar
                .iter()
                .filter(|(_, at, _)| path.starts_with(at.as_str()))
                .map(|(name, _, value)| format!("{name}={value}"))
                .collect();
            let cookies = cookies.join("; ");
            let headers = [("cookie", cookies.as_str()), ("accept", "text/html")];
            let line = format!("{} {path}", if form.is_some() { "POST" } else { "GET" });
            let body = form.take().map(|form| ("application/x-www-form-urlencoded", form));
            let answer = try_send(host, &line, &headers, body).unwrap_or_else(|| panic!("{url}: no answer"));
            for cookie in answer.cookies() {
                let (pair, facts) = cookie.split_once(';').unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                let path = facts.split("ath=").nth(1).unwrap().split(';').next().unwrap();
                self.jar.retain(|(each, at, _)| (each.as_str(), at.as_str()) != (name, path));
                if !value.is_empty() {
                    self.jar.push((name.to_owned(), path.to_owned(), value.to_owned()));
                }
            }
            let Some(next) = answer.header("location").filter(|_| answer.status == 303) else { return (url, answer) };
            let next = if next.starts_with('/') { format!("http://{host}{next}") } else { next.to_owned() };
            if next.contains(until) {
                return (next, answer);
            }
            url = next;
        }
        panic!("it leads in a circle: {url}");
    }

    /// Signs in as `who` at the provider; where that leads back to.
    fn sign_in(&mut self, start: &str, who: &str) -> (String, Answer) {
        let (login, page) = self.go(start, None, "/callback");
        assert!(page.status == 200 && login.contains("/interaction/"), "{login}: {}", page.text);
        let (consent, page) = self.go(&login, Some(&format!("prompt=login&login={who}&password=x")), "/callback");
        assert!(page.status == 200 && consent.contains("/interaction/"), "{consent}: {}", page.text);
        self.go(&consent, Some("prompt=consent"), "/callback")
    }
}

#[test]
fn a_person_of_an_identity_provider() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = Project::empty();
    std::fs::create_dir_all(project.home()).unwrap();
    let config = format!(
        "[oidc.acme]\nlabel = 'Acme'\nissuer = 'http://127.0.0.1:{port}'\nclient_id = 'windlass'\nclient_secret_file = 'acme.secret'\n\
         role_claim = 'groups'\nroles = {{ ci-admins = 'admin', ci = 'operator' }}\nallowed_domains = ['example.com']\n"
    );
    std::fs::write(project.home().join("server.toml"), config).unwrap();
    std::fs::write(project.home().join("acme.secret"), "a secret of the tests\n").unwrap();
    let server = Server::on(project);
    let people = server.project.folder().join("people.json");
    let say = |groups: Value, verified: bool| {
        let person = |name: &str| json!({ "name": name, "groups": groups, "email": "ada@example.com", "email_verified": verified });
        let all =
            json!({ "ada": person("Ada Lovelace"), "admin": person("Not the administrator"), "<b>": person("Markup") });
        std::fs::write(&people, all.to_string()).unwrap();
    };
    say(json!(["ci", "others"]), true);
    let here = format!("http://{}", server.at);
    let callback = format!("{here}/api/v1/session/oidc/acme/callback");
    // Before the provider is there.
    server.send("GET /api/v1/session/oidc/acme/start", &[], None).refused(502, "WL1510");
    // A browser is shown a page.
    let shown = server.send("GET /api/v1/session/oidc/acme/start", &[("accept", "text/html")], None).is(303);
    assert_eq!(shown.header("location"), Some("/sign-in?error=WL1510"));
    let _provider = Provider::start(port, &callback, &people);

    let ways = server.send("GET /api/v1/session/ways", &[], None).is(200).body;
    let start = format!("{here}{}", ways["oidc"][0]["url"].as_str().unwrap());
    assert_eq!(ways["oidc"][0]["label"], "Acme");

    // Nowhere else than here.
    for place in [
        "//evil.example",
        "/%5Cevil.example",
        "https:%2F%2Fevil.example",
        "javascript:alert(1)",
        "%2F%09%2Fevil.example",
    ] {
        let line = format!("GET /api/v1/session/oidc/acme/start?return_to={place}");
        server.send(&line, &[], None).refused(400, "WL1500");
    }
    server.send("GET /api/v1/session/oidc/other/start", &[], None).refused(404, "WL1503");

    let mut browser = Browser::default();
    let (back, _) = browser.sign_in(&format!("{start}?return_to=/runs%3Fmine"), "ada");
    assert!(back.starts_with(&callback), "{back}");
    // The answer is of use in this browser alone, and for this sign-in alone.
    let (strange, answer) = Browser::default().go(&back, None, "/sign-in");
    assert!(strange.ends_with("/sign-in?error=WL1522"), "{strange}");
    assert_eq!(answer.cookies().count(), 0, "no session");
    let forged = back.replace("state=", "state=x");
    let (strange, _) = browser.go(&forged, None, "/sign-in");
    assert!(strange.ends_with("/sign-in?error=WL1522"), "{strange}");
    let (place, answer) = browser.go(&back, None, "/runs");
    assert_eq!(place, format!("{here}/runs?mine"), "{}", answer.text);
    let (_, shown) = browser.go(&format!("{here}/api/v1/session"), None, "/sign-in");
    let shown = shown.is(200).body;
    assert_eq!((&shown["user"]["name"], &shown["role"]), (&json!("ada"), &json!("operator")));
    assert_eq!(
        (&shown["user"]["display_name"], &shown["user"]["has_password"]),
        (&json!("Ada Lovelace"), &json!(false))
    );
    // The code was used.
    let (strange, _) = browser.go(&back, None, "/sign-in");
    assert!(strange.contains("/sign-in?error=WL15"), "{strange}");

    // What the provider says counts at each sign-in, and the person stays one.
    let sign_in = |who: &str| {
        let mut browser = Browser::default();
        let (back, _) = browser.sign_in(&start, who);
        let (place, _) = browser.go(&back, None, "\0");
        let (_, shown) = browser.go(&format!("{here}/api/v1/session"), None, "\0");
        (place, shown.body["user"]["name"].clone(), shown.body["role"].clone())
    };
    say(json!("ci-admins"), true);
    assert_eq!(sign_in("ada"), (format!("{here}/"), json!("ada"), json!("admin")));
    // A name is not an identity: whoever is called as somebody here is somebody else.
    assert_eq!(sign_in("admin").1, json!("admin-2"));
    assert_eq!(sign_in("%3Cb%3E").1, json!("b"));
    // No role, no verified address, disabled: not admitted.
    say(json!(["others"]), true);
    assert!(sign_in("ada").0.ends_with("/sign-in?error=WL1521"));
    say(json!(["ci"]), false);
    assert!(sign_in("ada").0.ends_with("/sign-in?error=WL1521"));
    say(json!(["ci"]), true);
    server.admin("PATCH /api/v1/users/ada", Some(&json!({ "disabled": true }))).is(200);
    assert!(sign_in("ada").0.ends_with("/sign-in?error=WL1521"));
    // A deleted one is a new person, with a new name.
    server.admin("DELETE /api/v1/users/ada", None).is(204);
    assert_eq!(sign_in("ada").1, json!("ada-2"));
    let audit = server.admin("GET /api/v1/audit?action=session.begin&actor=ada-2", None).is(200).body;
    assert_eq!(audit["items"][0]["detail"]["with"], "oidc:acme");
}
