//! Requests that are sent again.

use crate::http::{Server, try_send};
use serde_json::json;
use windlass_tests::files_with;

#[test]
fn a_request_that_is_sent_again_has_its_effect_once() {
    let server = Server::start();
    let post = |server: &Server, key: &str, name: &str| {
        let headers = [("x-api-key", server.admin.as_str()), ("idempotency-key", key)];
        server.send("POST /api/v1/users", &headers, Some(&json!({ "name": name, "role": "viewer" })))
    };
    let first = post(&server, "k1", "ada").is(201);
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = post(&server, "k1", "ada").is(201);
    assert_eq!((again.header("idempotency-replayed"), &again.text), (Some("true"), &first.text));
    assert_eq!(again.header("content-type"), first.header("content-type"));
    post(&server, "k1", "bob").refused(422, "WL1505");
    // A refusal is an answer, too.
    let taken = post(&server, "k2", "ada").refused(409, "WL1504").said();
    assert_eq!(post(&server, "k2", "ada").refused(409, "WL1504").said(), taken);
    post(&server, &"x".repeat(256), "bob").refused(400, "WL1500");
    post(&server, "", "bob").refused(400, "WL1500");
    let nobody = [("idempotency-key", "k1")];
    let body = json!({ "name": "ada", "role": "viewer" });
    server.send("POST /api/v1/users", &nobody, Some(&body)).refused(401, "WL1501");
    // Another person's key is another key.
    server.person("eve", "admin");
    let (_, eve) = server.key_of("eve", "admin");
    let headers = [("x-api-key", eve.as_str()), ("idempotency-key", "k1")];
    server.send("POST /api/v1/users", &headers, Some(&json!({ "name": "zoe", "role": "viewer" }))).is(201);

    // What is secret is not kept: where an answer has one, the header has no effect.
    let token = |key| {
        let headers = [("x-api-key", server.admin.as_str()), ("idempotency-key", key)];
        let made =
            server.send("POST /api/v1/tokens", &headers, Some(&json!({ "name": "x", "role": "viewer" }))).is(201);
        made.body["key"].as_str().unwrap().to_owned()
    };
    let tokens = [token("k3"), token("k3")];
    assert_ne!(tokens[0], tokens[1]);

    // The same ones at once: one of them is carried out.
    let headers = [("x-api-key", server.admin.as_str()), ("idempotency-key", "k4")];
    let (at, body) = (server.at.as_str(), json!({ "name": "ivy", "role": "viewer" }).to_string());
    let one = || try_send(at, "POST /api/v1/users", &headers, Some(("application/json", body.clone())));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let each: Vec<_> = (0..8).map(|_| scope.spawn(|| one().expect("an answer").status)).collect();
        each.into_iter().map(|each| each.join().unwrap()).collect()
    });
    assert!(statuses.contains(&201) && statuses.iter().all(|status| [201, 409].contains(status)), "{statuses:?}");
    assert_eq!(post(&server, "k4", "ivy").is(201).header("idempotency-replayed"), Some("true"));

    // Over a restart.
    let mut server = server.again();
    assert_eq!(post(&server, "k1", "ada").is(201).text, first.text);
    for key in &tokens {
        assert_eq!(files_with(server.project.home(), key), Vec::<String>::new());
    }

    // A crash between effect and answer: nobody guesses.
    server.running.kill();
    server.project.set_env("FAILPOINTS", "records::before-answer=return");
    let mut server = server.again();
    let headers = [("x-api-key", server.admin.as_str()), ("idempotency-key", "k5")];
    let body = json!({ "name": "kim", "role": "viewer" });
    let lost = try_send(&server.at, "POST /api/v1/users", &headers, Some(("application/json", body.to_string())));
    assert!(lost.is_none(), "{lost:?}");
    server.running.end();
    server.project.set_env("FAILPOINTS", "");
    let server = server.again();
    post(&server, "k5", "kim").refused(409, "WL1524");
    // What changes nothing is not noted at all.
    let headers = [("x-api-key", server.admin.as_str()), ("idempotency-key", "k6")];
    for yaml in ["name: a", "name: b"] {
        let answer = server.send("POST /api/v1/lint", &headers, Some(&json!({ "yaml": yaml }))).is(200);
        assert_eq!(answer.header("idempotency-replayed"), None);
    }
    server.admin("GET /api/v1/users/kim", None).is(200);
}
