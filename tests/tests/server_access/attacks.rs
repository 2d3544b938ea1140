//! Other sites, and who guesses passwords.

use crate::http::{PASSWORD, Server, try_send};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_change_with_a_cookie_comes_from_our_own_pages() {
    let server = Server::start();
    server.person("ada", "admin");
    server.person("bob", "admin");
    let (cookie, token) = server.session("ada", PASSWORD);
    let (_, others) = server.session("bob", PASSWORD);
    let ours = format!("http://{}", server.at);
    let mut n = 0;
    let mut attempt = |more: &[(&str, &str)]| {
        n += 1;
        let headers = [&[("cookie", cookie.as_str())], more].concat();
        server.send("POST /api/v1/users", &headers, Some(&json!({ "name": format!("u{n}"), "role": "viewer" })))
    };
    attempt(&[]).refused(403, "WL1520");
    attempt(&[("x-csrf-token", "")]).refused(403, "WL1520");
    attempt(&[("x-csrf-token", &others)]).refused(403, "WL1520");
    attempt(&[("x-csrf-token", &token), ("origin", "https://evil.example")]).refused(403, "WL1520");
    attempt(&[("x-csrf-token", &token), ("origin", "null")]).refused(403, "WL1520");
    attempt(&[("x-csrf-token", &token), ("sec-fetch-site", "cross-site")]).refused(403, "WL1520");
    attempt(&[("x-csrf-token", &token), ("sec-fetch-site", "same-site")]).refused(403, "WL1520");
    // A form of another site cannot send JSON, and what it can send is not read.
    let form = ("application/x-www-form-urlencoded", "name=x&role=admin".to_owned());
    let headers = [("cookie", cookie.as_str()), ("x-csrf-token", token.as_str())];
    let answer = try_send(&server.at, "POST /api/v1/users", &headers, Some(form)).unwrap();
    answer.refused(415, "WL1507");
    attempt(&[("x-csrf-token", &token)]).is(201);
    attempt(&[("x-csrf-token", &token), ("origin", &ours), ("sec-fetch-site", "same-origin")]).is(201);
    let made = server.admin("GET /api/v1/users", None).is(200).body["items"].as_array().unwrap().len();
    assert_eq!(made, 5, "the administrator, ada, bob, and two");
    // Nobody is signed in from another site, either: that would be somebody else's account in this browser.
    let body = json!({ "name": "ada", "password": PASSWORD });
    let evil = [("origin", "https://evil.example")];
    server.send("POST /api/v1/session", &evil, Some(&body)).refused(403, "WL1520");
}

#[test]
fn wrong_passwords_make_one_wait() {
    let server = Server::start();
    server.person("ada", "viewer");
    server.person("bob", "viewer");
    let wrong = server.sign_in("ada", "not the password").refused(401, "WL1501").said();
    let nobody = server.sign_in("not-a-user", "not the password").refused(401, "WL1501").said();
    assert_eq!(wrong, nobody, "the answer does not tell who is there");
    // After five of them one waits. Where the machine is so busy that the first waits are over before the next try, the later ones are longer.
    let mut wrong_ones = 1;
    let waits = loop {
        let answer = server.sign_in("Ada", "not the password");
        if answer.status == 429 {
            break answer.refused(429, "WL1508");
        }
        answer.refused(401, "WL1501");
        wrong_ones += 1;
        assert!(wrong_ones < 12, "nobody has to wait");
    };
    assert!(wrong_ones >= 5, "only {wrong_ones}");
    let seconds: u64 = waits.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=65).contains(&seconds), "{seconds}");
    server.sign_in("bob", PASSWORD).is(200);
    // Whoever waits for so long gets in, and begins anew.
    std::thread::sleep(Duration::from_secs(seconds));
    server.sign_in("ada", PASSWORD).is(200);
    server.sign_in("ada", "not the password").refused(401, "WL1501");

    let audit = server.admin("GET /api/v1/audit?action=session.refused", None).is(200);
    let targets: Vec<&str> =
        audit.body["items"].as_array().unwrap().iter().map(|row| row["target"].as_str().unwrap()).collect();
    assert_eq!(targets.iter().filter(|target| **target == "ada").count(), wrong_ones + 1, "{targets:?}");
    assert!(!audit.text.contains("not-a-user"), "what was typed as a name may be a password");
    for body in [json!({}), json!({ "name": "ada" }), json!({ "name": "ada", "password": "x", "key": "y" })] {
        server.send("POST /api/v1/session", &[], Some(&body)).refused(400, "WL1500");
    }
}
