//! One contract, four languages: the same plugin from Rust, JavaScript, Python and C in one pipeline, each with every
//! capability.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use windlass_tests::{EXAMPLES, IMAGE, Project, WebServer};

const SECRET: &str = "s3cret-of-the-languages-test";
/// HMAC-SHA-256 of `windlass` with [`SECRET`], as `openssl dgst -sha256 -hmac` tells it.
const HMAC: &str = "HMAC_HERE";

#[test]
fn four_languages_use_every_capability_alike() {
    let mut project = Project::new();
    let server = WebServer::start("welcome");
    project.set_env("WINDLASS_EGRESS_OPEN", "127.0.0.0/8");
    project.secret("vault/token", SECRET, &[server.host()]);

    let mut yaml = "name: languages\nsteps:\n".to_owned();
    for each in EXAMPLES {
        let name = each.trim_start_matches("step.greet_");
        yaml.push_str(&format!(
            "  - name: {name}\n    needs: []\n    type: {each}\n    config: {{ name: Ada, image: IMAGE, token: 'secret:vault/token', url: 'http://{}/{name}' }}\n",
            server.host()
        ));
    }
    let printed = project.run(&yaml).ok();
    println!("{}", printed.all());
    let shown = project.shown("last");
    println!("{shown:#}");
    let steps = shown["steps"].as_array().unwrap();
    assert_eq!(steps.len(), EXAMPLES.len());
}
