//! The server against its own description: schemathesis asks it everything that the document allows, and much that it does not, and looks
//! whether each answer is one that the document tells of. No answer may be a failure of the server.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use serde_json::json;
use std::process::Command;
use windlass_tests::{Project, Server, root};

/// What is left out: streams, which do not end, and what would take the tool's own key away.
const LEFT_OUT: &str = r"/events$|/stream$|/tokens/.id.$|/users/.name.";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

#[test]
fn every_answer_is_one_that_the_description_tells_of() {
    let server = Server::with(Project::new(), &[]);
    let admin = server.admin();
    // So that some of what is asked for is there.
    let yaml = "name: demo\ninputs:\n  who: { type: string, default: you }\nsteps:\n  - name: approval\n    type: step.gate\n    config: { type: manual }\n";
    admin.post("/api/v1/workflows", json!({ "yaml": yaml })).expect(201);
    admin.post("/api/v1/workflows/demo/runs", json!({})).expect(201);
    let template = json!({ "name": "a", "prompt": "do a", "manual": true });
    admin.post("/api/workflows", template.clone()).expect(201);
    admin.post("/api/workflows", template).expect(201);

    let tool = root().join("tests/schemathesis/.venv/bin/schemathesis");
    assert!(tool.is_file(), "{} is not there. Run: scripts/setup-schemathesis.sh", tool.display());
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new(tool)
        .args(["run", &format!("{}/api/v1/openapi.json", server.url())])
        .args(["-H", &format!("x-api-key: {}", server.key())])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "8"])
        .args(["--generation-deterministic", "--no-shrink", "--no-color"])
        .args(["--exclude-path-regex", LEFT_OUT, "--checks", CHECKS, "--request-timeout", "60"])
        .current_dir(scratch.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    // It may not have been content because it was never let in.
    let of = |words: &str| told.lines().find(|line| line.contains(words)).unwrap_or_default().to_owned();
    let shut_out = of("operations returned only 401/403");
    assert!(shut_out.is_empty(), "it was shut out: {shut_out}");
    assert!(told.contains("passed"), "{told}");
}
