//! One contract, four languages: the same plugin from Rust, JavaScript, Python and C in one pipeline, each with every
//! capability.

use serde_json::json;
use sha2::{Digest as _, Sha256};
use windlass_tests::{EXAMPLES, Project, WebServer, files_with};

const SECRET: &str = "s3cret-of-the-languages-test";
/// HMAC-SHA-256 of `windlass` with [`SECRET`]: `printf windlass | openssl dgst -sha256 -hmac …`.
const HMAC: &str = "bd2fc3714b26cb1a809d1809452520565b6d5ef707a926e831e2819488223e6e";

#[test]
fn four_languages_use_every_capability_alike() {
    let mut project = Project::new();
    let server = WebServer::start("welcome");
    project.set_env("WINDLASS_EGRESS_OPEN", "127.0.0.0/8");
    project.secret("vault/token", SECRET, &[server.host()]);

    let mut yaml = "name: languages\nsteps:\n".to_owned();
    let languages: Vec<&str> = EXAMPLES.iter().map(|each| each.trim_start_matches("step.greet_")).collect();
    for language in &languages {
        yaml.push_str(&format!(
            "  - name: {language}\n    needs: []\n    type: step.greet_{language}\n    config: {{ name: Ada, image: IMAGE, token: 'secret:vault/token', url: 'http://{}/{language}' }}\n",
            server.host()
        ));
    }
    let printed = project.run(&yaml).ok();

    // Results, artifacts and the container: the same from each.
    let digest = format!("sha256:{}", hex::encode(Sha256::digest("hello Ada\n")));
    for language in &languages {
        let expect = json!({
            "greeting": format!("hello Ada from {language}"),
            "artifact_digest": digest,
            "hmac": HMAC,
            "container_exit": 0,
            "container_stdout": "hello Ada and its token",
            "http_status": 200,
            "http_body": "welcome",
        });
        assert_eq!(project.step("last", language)["outputs"], expect, "{language}");
        let key = format!("greetings/{language}.txt");
        assert_eq!(project.windlass(["artifact", "get", "last", &key]).ok().stdout, "hello Ada\n");
    }

    // The log: levels, fields, groups, progress and the container's lines, the same from each but for its own name.
    let log = |language: &str| {
        project
            .windlass(["logs", "last", language])
            .ok()
            .stdout
            .replace(&format!("language={language}"), "language=LANGUAGE")
    };
    insta::assert_snapshot!(log("rust"), @"
    ▸ greet
      hello Ada language=LANGUAGE attempt=1
      [1/4] artifact
      [2/4] secret
      [3/4] container
    hello Ada and its token
      [4/4] request
    ");
    for language in &languages {
        assert_eq!(log(language), log("rust"), "{language}");
    }

    // The secret arrived, both ways, and is nowhere else.
    let received = server.received();
    let mut lines: Vec<&str> = received.iter().map(|request| request.line.as_str()).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["GET /c", "GET /js", "GET /python", "GET /rust"]);
    for request in &received {
        assert_eq!(request.header("authorization"), Some(format!("Bearer {SECRET}").as_str()), "{}", request.line);
        assert_eq!(request.header("x-greet-token"), Some(SECRET), "{}", request.line);
    }
    assert!(!printed.all().contains(SECRET));
    assert_eq!(files_with(project.home(), SECRET), [""; 0]);
    assert_eq!((project.containers(), project.volumes()), (vec![], vec![]), "nothing is left on the engine");
}
