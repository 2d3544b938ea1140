//! The documents that the dialects come from: their manifests run as they stand.
//!
//! Their text is not ours. It is read from `shared/seeds` beside the repository or above it; where that is not, these tests say so and
//! have nothing to run. The images that it names are made here, and their names are taken off the engine again: only this file uses them.

use std::{
    fs,
    process::{Command, Output},
};
use windlass_tests::{DockerRegistry, IMAGE, Project, root};

/// Fails the first build of a workspace, as code of a first draft does.
const CARGO: &str = r#"#!/bin/sh
if [ "$1" = build ] && [ ! -e .tried ]; then
  touch .tried
  echo "error[E0425]: cannot find value" >&2
  exit 101
fi
echo "cargo $*"
"#;
/// Builds what the other steps of the second seed want.
const NPM: &str = "#!/bin/sh\n[ \"$1\" = ci ] || { mkdir -p dist output && echo page > dist/index.html && echo program > output/server; }\n";
/// Pushes only with a login.
const DOCKER: &str =
    "#!/bin/sh\n[ \"$1\" != push ] || [ -s \"$DOCKER_CONFIG/config.json\" ] || exit 9\necho \"docker $*\"\n";
/// Says what it was asked.
const SAYS: &str = "#!/bin/sh\necho \"$(basename \"$0\") $*\"\n";

/// A seed's text.
#[allow(clippy::print_stdout, reason = "the test's own output is where one looks for why it had nothing to run")]
fn seed(name: &str) -> Option<String> {
    let found = root().ancestors().find_map(|folder| fs::read_to_string(folder.join("shared/seeds").join(name)).ok());
    if found.is_none() {
        println!("skipped: shared/seeds/{name} is not beside the repository");
    }
    found
}

/// The manifests of the first seed: from `apiVersion:` to the prose that follows.
fn manifests(text: &str) -> Vec<String> {
    let mut manifests: Vec<String> = Vec::new();
    let mut within = false;
    for line in text.lines() {
        if line.starts_with("apiVersion:") {
            within = true;
            manifests.push(String::new());
        }
        let of_yaml = line.is_empty() || line.starts_with(' ') || line.trim_end().ends_with(':') || line.contains(": ");
        within &= of_yaml && !line.starts_with("Deploy and run");
        if let Some(manifest) = manifests.last_mut().filter(|_| within) {
            manifest.push_str(line);
            manifest.push('\n');
        }
    }
    manifests
}

/// A workflow of the state in the seed's text that stands alone and holds `part`.
fn fragment(text: &str, part: &str) -> String {
    let is_name = |line: &str| line.ends_with(':') && line.chars().next().is_some_and(|c| c.is_ascii_uppercase());
    let lines: Vec<&str> = text.lines().collect();
    let mut states = (0..lines.len()).filter(|at| is_name(lines[*at])).map(|at| {
        let end =
            lines[at + 1..].iter().position(|line| !line.starts_with(' ')).map_or(lines.len(), |end| at + 1 + end);
        &lines[at..end]
    });
    let state: Vec<String> = states
        .rfind(|state| state.iter().any(|line| line.contains(part)))
        .expect("the seed has such a state")
        .iter()
        .map(|line| format!("    {line}\n"))
        .collect();
    let name = state[0].trim().trim_end_matches(':');
    format!(
        "apiVersion: 100monkeys.ai/v1\nkind: Workflow\nmetadata: {{ name: fragment }}\nspec:\n  initial_state: {name}\n  states:\n{}    \
         DONE: {{ kind: System, command: 'echo done', transitions: [] }}\n    \
         FAILED: {{ kind: System, command: 'echo failed', outcome: failed, transitions: [] }}\n",
        state.concat()
    )
}

fn docker(args: &[&str]) -> Output {
    Command::new("docker").args(args).output().expect("the docker client")
}

fn docker_ok(args: &[&str]) -> String {
    let output = docker(args);
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

/// Images under names that are everybody's. What stood there before stands there again afterwards.
#[derive(Default)]
struct Images(Vec<(String, Option<String>)>);

impl Images {
    /// The test image with these programs in it, under this name.
    fn make(&mut self, name: &str, programs: &[(&str, &str)]) {
        self.make_with(name, programs, &[]);
    }

    /// The same, with what the image says of itself, such as its entry point.
    fn make_with(&mut self, name: &str, programs: &[(&str, &str)], says: &[&str]) {
        use std::os::unix::fs::PermissionsExt as _;
        let before = docker(&["image", "inspect", "--format={{.Id}}", name]);
        let before = before.status.success().then(|| String::from_utf8_lossy(&before.stdout).trim().to_owned());
        let container = docker_ok(&["create", "--network=none", IMAGE, "true"]);
        let folder = tempfile::tempdir().expect("a folder");
        for (program, text) in programs {
            let path = folder.path().join(program);
            fs::write(&path, text).expect("the program");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be run");
            docker_ok(&["cp", &path.display().to_string(), &format!("{container}:/bin/{program}")]);
        }
        self.0.push((name.to_owned(), before));
        docker_ok(&[&["commit"], says, &[&container, name]].concat());
        docker_ok(&["rm", &container]);
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        for (name, before) in &self.0 {
            docker(&["rmi", name]);
            if let Some(id) = before {
                docker(&["tag", id, name]);
            }
        }
    }
}

#[test]
fn the_manifests_of_the_first_seed_run() {
    let Some(text) = seed("000-cicd-pipelines.txt") else { return };
    let mut images = Images::default();
    images.make("alpine:3.19", &[]);
    images.make("rust:1.75-alpine", &[("cargo", CARGO)]);
    images.make("docker:24-cli", &[("docker", DOCKER)]);
    // As in the image of that name, the program is its entry point.
    images.make_with("amazon/aws-cli:latest", &[("aws", SAYS)], &["--change", r#"ENTRYPOINT ["aws"]"#]);
    images.make("windlass-test/builder:1", &[("make", SAYS)]);
    let mut registry = DockerRegistry::start();
    registry.publish("windlass-test/builder:1", "myorg/builder:v2");

    let project = Project::new();
    project.secret("cicd/docker-registry", &registry.login(), &[]);
    project.secret("cicd/ghcr-token", &registry.login(), &[]);
    let run = |name: &str, text: &str, args: &[&str]| {
        let file = project.file(name, text).display().to_string();
        project.windlass(["lint", &file]).ok();
        let output = project.windlass(["run", &file, "--no-workspace"].iter().chain(args)).ok();
        assert!(!output.all().contains(registry.password()));
        output
    };

    let manifests = manifests(&text);
    let [short, full] = manifests.as_slice() else { panic!("there are {} manifests", manifests.len()) };
    run("short.yaml", short, &["--input", r#"{"task": "count lines"}"#]);
    assert_eq!(
        project.outcomes("last"),
        "GENERATE succeeded > BUILD failed > FIX_ERRORS succeeded > BUILD succeeded > DONE succeeded = succeeded"
    );
    assert_eq!(project.shown("last")["visits"][2]["feedback"], "error[E0425]: cannot find value\n");

    let board = r#"{"requirements": "fast", "registry": "registry.test", "app_name": "app", "version": "1.0"}"#;
    let output = run("full.yaml", full, &["--input", "task=count", "--blackboard", board]);
    assert_eq!(
        project.outcomes("last"),
        "GENERATE_CODE succeeded > BUILD failed > FIX_BUILD_ERRORS succeeded > BUILD succeeded > TEST succeeded > REVIEW succeeded > \
         DEPLOY succeeded > NOTIFY_SUCCESS succeeded = succeeded"
    );
    let visits = project.shown("last")["visits"].clone();
    assert_eq!(visits[2]["feedback"], "Build failed:\nerror[E0425]: cannot find value\n");
    for line in [
        "│ cargo clippy --all-targets -- -D warnings",
        "│ docker build -t registry.test/app:1.0 /workspace",
        "│ docker push registry.test/app:1.0",
        "REVIEW → DEPLOY  score is 1, agreement is 1",
        "│ Pipeline completed successfully",
    ] {
        assert!(output.stdout.contains(line), "{line}: {}", output.stdout);
    }

    let output = run("push.yaml", &fragment(&text, "amazon/aws-cli"), &[]);
    assert!(output.stdout.contains("│ aws s3 cp /workspace/dist/app.tar.gz"), "{}", output.stdout);

    let private = fragment(&text, "image_pull_policy: Always");
    let image = private.lines().find_map(|line| line.trim().strip_prefix("image: ")).expect("an image");
    let ours = format!("\"{}/myorg/builder:v2\"", registry.host());
    let output = run("private.yaml", &private.replace(image, &ours), &[]);
    assert_eq!(project.outcomes("last"), "BUILD succeeded > DONE succeeded = succeeded");
    assert!(output.stdout.contains("│ make release"), "{}", output.stdout);
    assert_eq!(windlass_tests::files_with(project.home(), registry.password()), [""; 0]);
}

/// A step of the second seed, whose text has lost its indentation: `keys` are those of its configuration itself.
fn restored(text: &str, name: &str, keys: &[&str]) -> String {
    let mut lines = text.lines().skip_while(|line| *line != format!("- name: {name}")).skip(1);
    let step_type = lines.next().expect("its type");
    let mut out = format!("      - name: {name}\n        {step_type}\n        config:\n");
    let mut within_item = false;
    for line in lines.skip(1) {
        // The last line runs into the heading that followed it.
        let (line, is_last) =
            ["module/", "|"].iter().find_map(|mark| line.find(mark)).map_or((line, false), |end| (&line[..end], true));
        let is_key = keys.iter().any(|key| line.starts_with(&format!("{key}:")));
        let indent = match (line.starts_with("- "), is_key && !within_item) {
            (true, _) => 12,
            (false, true) => 10,
            (false, false) if within_item => 14,
            (false, false) => 12,
        };
        within_item = line.starts_with("- ") && line.contains(": ") || within_item && indent == 14;
        out.push_str(&format!("{}{line}\n", " ".repeat(indent)));
        if is_last {
            break;
        }
    }
    out
}

#[test]
fn the_steps_of_the_second_seed_run() {
    let Some(text) = seed("001-cicd-plan.txt") else { return };
    let mut images = Images::default();
    images.make("node:20-alpine", &[("npm", NPM)]);
    let project = Project::new();
    let build = restored(&text, "build-ui", &["image", "commands", "work_dir", "timeout", "env", "artifacts_out"]);
    let fetch = restored(&text, "fetch-assets", &["source", "execution_id", "key", "dest"]);
    let store = restored(&text, "store-binary", &["source_path", "key", "dest"]);
    let run = |steps: &[&str]| {
        project.run(&format!("pipelines:\n  cicd:\n    steps:\n{}", steps.concat())).ok();
        project.outcomes("last")
    };
    // What the second run fetches is what the first has kept.
    assert_eq!(run(&[&build]), "build-ui succeeded = succeeded");
    let expect = "build-ui succeeded, fetch-assets succeeded, store-binary succeeded = succeeded";
    assert_eq!(run(&[&build, &fetch, &store]), expect);
    assert_eq!(project.windlass(["artifact", "get", "last", "server-binary"]).ok().stdout, "program\n");
}
